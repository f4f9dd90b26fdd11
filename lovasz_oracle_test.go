package lanewise

import (
	"cmp"
	"math"
	"slices"
	"testing"
)

// An oracle computes the loss and its gradient straight from the definition and shares no code with the package: every probability, error
// and weight stands in a slice of its own, and ranks come from comparing every pixel with every other.
//
// oracle[float64] is the loss of the paper in float64. oracle[float32] rounds where docs/numerics.md rounds, so that the package has to
// give its bits.
type oracle[T Float] struct{ LovaszConfig }

// oraclePixel is a pixel that takes part.
type oraclePixel[T Float] struct {
	at       int     // index into the labels
	label    int32   // −1 for a void one
	mask     []uint8 // instead, of each class; nil: there is a label
	p        []T     // its classes' probabilities
	e        []T     // and their errors
	slope    []T     // of the sigmoid: p·(1 − p)
	comp     T       // of a softmax, the sum of all probabilities but the largest
	entropy  float64 // its cross-entropy, unless it is void
	entropyN float64 // and the sum of its terms' weights
}

func (o oracle[T]) foreground(px oraclePixel[T], class int) bool {
	if px.mask != nil {
		return px.mask[class] == 1
	}
	if o.Classes == 1 {
		return px.label == 1
	}
	return int(px.label) == class
}

// void says whether a pixel is void in a class. Where void ones are dropped, a pixel with a label takes no part at all.
func (px oraclePixel[T]) void(class int) bool {
	if px.mask != nil {
		return px.mask[class] > 1
	}
	return px.label < 0
}

func (o oracle[T]) dropped(px oraclePixel[T], class int) bool {
	return o.Void == DropPixels && px.void(class)
}

// refLog1p returns log(1 + x).
func refLog1p(x float64) float64 {
	w := 1 + x
	return refLog(w) + (x-(w-1))/w
}

func (o oracle[T]) entropyWeight(class int) float64 {
	if o.CrossEntropyWeights == nil {
		return 1
	}
	return float64(o.CrossEntropyWeights[class])
}

func (o oracle[T]) pixel(at int, x []T, label int32, mask []uint8) oraclePixel[T] {
	px := oraclePixel[T]{at: at, label: label, mask: mask, p: make([]T, len(x)), e: make([]T, len(x)), slope: make([]T, len(x))}
	if slices.Contains(o.VoidLabels, label) {
		px.label = -1
	}
	entropy := px.label >= 0 && o.CrossEntropy > 0
	switch o.Activation {
	case NoActivation:
		for k, p := range x {
			px.p[k], px.e[k] = p, p
			if o.foreground(px, k) {
				px.e[k] = 1 - p
			}
			px.e[k] = min(max(px.e[k], 0), 1)
		}
	case SoftmaxActivation:
		top, ones := refMax(x), 0
		others := make([]T, len(x))
		for k, v := range x {
			px.p[k] = refExp(v - top)
			if others[k] = px.p[k]; px.p[k] == 1 {
				ones++
				others[k] = 0
			}
		}
		rest := T(ones-1) + refSum(others)
		inverse := 1 / (1 + rest)
		px.comp = rest * inverse
		for k := range x {
			px.p[k] *= inverse
			px.e[k] = px.p[k]
			if o.foreground(px, k) {
				if px.e[k] = 1 - px.p[k]; px.p[k] > 0.5 {
					px.e[k] = px.comp
				}
			}
		}
		if entropy {
			var smooth float64
			minusLog := func(k int) float64 {
				return float64(T(refLog1p(float64(rest)))) + (float64(top) - float64(x[k]))
			}
			for k := range x {
				smooth += float64(o.entropyWeight(k) * minusLog(k))
			}
			px.entropyN = o.entropyWeight(int(px.label))
			px.entropy = minusLog(int(px.label)) * px.entropyN
			if o.LabelSmoothing > 0 {
				px.entropy = float64((1-o.LabelSmoothing)*px.entropy) + float64(o.LabelSmoothing/float64(len(x))*smooth)
			}
		}
	case SigmoidActivation:
		for k, v := range x {
			z := v
			if o.foreground(px, k) {
				z = -z
			}
			e := refExp(-max(z, -z))
			px.e[k] = 1 / (1 + e)
			px.slope[k] = px.e[k] * T(e*px.e[k])
			if z < 0 {
				px.e[k] = e / (1 + e)
			}
			if entropy && !px.void(k) {
				h := max(float64(z), 0) + float64(T(refLog1p(float64(e)))) - float64(float64(z)*(o.LabelSmoothing/2))
				px.entropyN += o.entropyWeight(k)
				px.entropy += float64(o.entropyWeight(k) * h)
			}
		}
	}
	return px
}

// oracleRank counts the pixels before one in the order of errors.
type oracleRank struct{ fpMore, fpSame, tpMore, tpSame int } // background, foreground; with a larger error, or with a larger or equal one

// oracleRanks compares every pixel with every other.
func oracleRanks(keys []uint64, fg []bool) []oracleRank {
	ranks := make([]oracleRank, len(keys))
	for i := range ranks {
		r := &ranks[i]
		for j := range keys {
			if keys[j] < keys[i] {
				continue
			}
			same, more := &r.fpSame, &r.fpMore
			if fg[j] {
				same, more = &r.tpSame, &r.tpMore
			}
			*same++
			if keys[j] > keys[i] {
				*more++
			}
		}
	}
	return ranks
}

// oracleRanksCounted is oracleRanks for inputs too long for comparing all pairs: it counts the pixels of each key, the largest first.
func oracleRanksCounted(keys []uint64, fg []bool) []oracleRank {
	distinct := slices.Clone(keys)
	slices.Sort(distinct)
	distinct = slices.Compact(distinct)
	counts, at := make([]oracleRank, len(distinct)), make([]int, len(keys))
	for i, k := range keys {
		at[i], _ = slices.BinarySearch(distinct, k)
		counts[at[i]].fpSame += b2i(!fg[i])
		counts[at[i]].tpSame += b2i(fg[i])
	}
	var more oracleRank
	for i := range slices.Backward(counts) {
		r := &counts[i]
		r.fpMore, r.tpMore = more.fpSame, more.tpSame
		r.fpSame += r.fpMore
		r.tpSame += r.tpMore
		more = *r
	}
	ranks := make([]oracleRank, len(keys))
	for i := range keys {
		ranks[i] = counts[at[i]]
	}
	return ranks
}

// oracleClass is one class over the pixels of an image, or of the batch.
type oracleClass[T Float] struct {
	loss, gap float64
	w         []T // the weights of the errors; nil where the class takes no part
}

func oracleBin(e float64) int { return max(0, int(math.Float32bits(float32(e))>>14)-48639) }

// class finds the weights of the errors e, and their loss.
func (o oracle[T]) class(e []T, fg []bool) oracleClass[T] {
	return o.classUpTo(e, fg, slices.Max(append([]T{0}, e...)))
}

// classUpTo is class where no error is above top.
func (o oracle[T]) classUpTo(e []T, fg []bool, top T) oracleClass[T] {
	keys, G := make([]uint64, len(e)), 0
	for i := range e {
		keys[i] = bitsOf(e[i]) // in the order of the errors, which are not negative
		if o.Method == Binned {
			keys[i] = uint64(oracleBin(float64(e[i])))
		}
		G += b2i(fg[i])
	}
	ranks := oracleRanks
	if len(e) > 1000 {
		ranks = oracleRanksCounted
	}
	r := ranks(keys, fg)
	w := make([]T, len(e))
	for i := range e {
		A, B := G+r[i].fpMore, G+r[i].fpSame
		switch {
		case G > 0 && fg[i]:
			w[i] = 0.5 * T(A+B) / (T(A) * T(B))
		case G > 0:
			w[i] = 0.5 * T(2*G-r[i].tpMore-r[i].tpSame) / (T(A) * T(B))
		case r[i].fpMore == 0: // no foreground: the largest errors share the weight 1
			w[i] = 1 / T(B)
		}
	}
	if o.Method == Binned {
		loss, gap := oracleBinned(e, fg, r, G)
		return oracleClass[T]{loss, gap, w}
	}
	return oracleClass[T]{oracleLoss(e, w, top), 0, w}
}

// oracleLoss is Σ e·w; for float32 as a sum of integers, of products that the power of two next to top takes to 1 at most.
func oracleLoss[T Float](e, w []T, top T) (loss float64) {
	if is64[T]() {
		for i := range e {
			loss += float64(e[i] * w[i])
		}
		return loss
	}
	var sum uint64
	scale := 1.0
	for top > 0 && float64(top) > scale {
		scale *= 2
	}
	for top > 0 && float64(top) <= scale/2 && scale > 0x1p-126 {
		scale /= 2
	}
	for i := range e {
		sum += math.Float64bits(1+float64(float64(e[i])/scale*float64(w[i]))) - math.Float64bits(1)
	}
	return float64(sum) * 0x1p-52 * scale
}

// oracleBinned is the loss of a class from the counts of its bins, and the certificate of how much larger the exact loss can be.
func oracleBinned[T Float](e []T, fg []bool, r []oracleRank, G int) (loss, gap float64) {
	type bin struct {
		count, rest [2]uint64 // background, foreground
		rank        oracleRank
	}
	bins := map[int]*bin{}
	for i := range e {
		b := oracleBin(float64(e[i]))
		if bins[b] == nil {
			bins[b] = &bin{rank: r[i]}
		}
		bins[b].count[b2i(fg[i])]++
		bins[b].rest[b2i(fg[i])] += uint64(math.Float32bits(float32(e[i])) & (1<<14 - 1))
	}
	var certificate, step float64 // step: of the Jaccard loss, at bin 0
	for b := 16385; b >= 0; b-- {
		if bins[b] == nil {
			continue
		}
		count, rest, rank := bins[b].count, bins[b].rest, bins[b].rank
		A, B := float64(G+rank.fpMore), float64(G+rank.fpSame)
		AB := float64(A * B)
		wf, wb := (A+B)/(2*AB), (float64(G)-float64(rank.tpMore+rank.tpSame)/2)/AB
		df, db := (1/A-1/B)/2, max(math.Abs(wb-float64(G-rank.tpMore)/(A*(A+1))), math.Abs(wb-float64(G-rank.tpSame)/(B*(B-1))))
		if G == 0 { // the first bin has everything
			wf, wb, df, db = 0, 0, 0, 0
			if rank.fpMore == 0 {
				wb, db = 1/B, 2*(1/B)*(1-1/B)
			}
		}
		if b == 0 {
			step = 1
			if A > 0 {
				step = float64(G-rank.tpMore) / A
			}
			break
		}
		octave, j := (b-1)/512, (b-1)%512
		width := math.Ldexp(1, octave-32-9)
		if b == 16385 {
			width = 0
		}
		sumOfErrors := func(side int) float64 {
			return math.Ldexp(float64(count[side]*uint64(512+j)<<14+rest[side]), octave-55)
		}
		if count[1] > 0 {
			loss += float64(wf * sumOfErrors(1))
			certificate += float64(width / 2 * float64(count[1]) * df)
		}
		if count[0] > 0 {
			loss += float64(wb * sumOfErrors(0))
			certificate += float64(width / 2 * float64(count[0]) * db)
		}
	}
	return loss, min(certificate+0x1p-32*step, 0x1p-9*loss+0x1p-32) + 0x1p-40*loss
}

type oracleResult[T Float] struct {
	LovaszResult
	grad []T // in the layout of the logits
}

// index is where the logit of a pixel and a class lies.
func (o oracle[T]) index(at, class, pixels int) int {
	if o.Layout == ClassMajor {
		image := at / pixels
		return (image*o.Classes+class)*pixels + at - image*pixels
	}
	return at*o.Classes + class
}

// averaged says whether a class with G foreground pixels enters the average.
func (o oracle[T]) averaged(class, G int) bool {
	if slices.Contains(o.SkipClasses, class) {
		return false
	}
	if o.OnlyClasses != nil {
		return slices.Contains(o.OnlyClasses, class)
	}
	return G > 0 || o.Average == AllClasses
}

func (o oracle[T]) weight(class int) float64 {
	if o.Weights == nil {
		return 1
	}
	return float64(o.Weights[class])
}

// run is Backward.
func (o oracle[T]) run(logits []T, labels []int32, images int) oracleResult[T] {
	return o.runEither(logits, labels, nil, images)
}

// runMasks is BackwardMasks.
func (o oracle[T]) runMasks(logits []T, masks []uint8, images int) oracleResult[T] {
	o.VoidLabels = nil
	return o.runEither(logits, make([]int32, len(masks)/o.Classes), masks, images)
}

func (o oracle[T]) runEither(logits []T, labels []int32, masks []uint8, images int) oracleResult[T] {
	pixels := len(labels) / images
	res := oracleResult[T]{grad: make([]T, len(logits))}
	groups, size := 1, len(labels)
	if o.PerImage {
		groups, size = images, pixels
		res.PerImage = make([]float64, images)
	}
	sums, counts := make([]float64, o.Classes), make([]float64, o.Classes)
	var took []oracleGroup[T]
	for i := range groups {
		g := o.group(logits, labels, masks, pixels, i*size, (i+1)*size)
		for k, c := range g.class {
			if c.w != nil {
				sums[k] += c.loss
				counts[k]++
			}
		}
		takesPart := g.sumWeights > 0 || g.terms > 0
		if takesPart {
			took = append(took, g)
			res.Lovasz += g.lovasz
			res.CrossEntropy += g.entropy
			res.Gap += g.gap
		}
		if res.PerImage != nil {
			res.PerImage[i] = g.lovasz
			if !takesPart {
				res.PerImage[i] = math.NaN()
			}
		}
	}
	n := float64(max(1, len(took)))
	res.Lovasz /= n
	res.CrossEntropy /= n
	res.Gap /= n
	res.Loss = res.Lovasz + float64(o.CrossEntropy*res.CrossEntropy)
	for k := range sums {
		res.PerClass = append(res.PerClass, sums[k]/counts[k]) // 0/0 where it took no part
	}
	for _, g := range took {
		o.gradient(res.grad, g, n, pixels)
	}
	return res
}

// oracleGroup is the pixels of an image, or of the batch.
type oracleGroup[T Float] struct {
	px                   []oraclePixel[T]
	class                []oracleClass[T]
	sumWeights           float64 // of the classes averaged
	lovasz, gap, entropy float64
	terms                float64 // Σ of the weights in the cross-entropy
}

// group computes the losses of the pixels from … to−1.
func (o oracle[T]) group(logits []T, labels []int32, masks []uint8, pixels, from, to int) oracleGroup[T] {
	g := oracleGroup[T]{class: make([]oracleClass[T], o.Classes)}
	var entropies []float64
	for at := from; at < to; at++ {
		if o.Void == DropPixels && slices.Contains(o.VoidLabels, labels[at]) {
			continue
		}
		x := make([]T, o.Classes)
		var mask []uint8
		for k := range x {
			x[k] = logits[o.index(at, k, pixels)]
			if masks != nil {
				mask = append(mask, masks[o.index(at, k, pixels)])
			}
		}
		px := o.pixel(at, x, labels[at], mask)
		if px.label >= 0 && o.CrossEntropy > 0 {
			entropies = append(entropies, px.entropy)
			g.terms += px.entropyN
		}
		g.px = append(g.px, px)
	}
	if g.terms > 0 {
		g.entropy = refSum(entropies) / g.terms
	}
	if len(g.px) == 0 {
		return g
	}
	for k := range g.class {
		var e []T
		var fg []bool
		G := 0
		for _, px := range g.px {
			if !o.dropped(px, k) {
				e, fg = append(e, px.e[k]), append(fg, o.foreground(px, k))
				G += b2i(o.foreground(px, k))
			}
		}
		if len(e) == 0 || !o.averaged(k, G) {
			continue
		}
		g.class[k] = o.classUpTo(e, fg, o.top(g, e))
		w := make([]T, len(g.px)) // of all pixels
		for i, px := range g.px {
			if !o.dropped(px, k) {
				w[i], g.class[k].w = g.class[k].w[0], g.class[k].w[1:]
			}
		}
		g.class[k].w = w
		g.sumWeights += o.weight(k)
		g.lovasz += float64(o.weight(k) * g.class[k].loss)
		g.gap += float64(o.weight(k) * g.class[k].gap)
	}
	if g.sumWeights > 0 {
		g.lovasz /= g.sumWeights
		g.gap /= g.sumWeights
	}
	return g
}

// top is what the errors e of a class do not exceed: the largest of them, but for a softmax, where all classes have one bound.
func (o oracle[T]) top(g oracleGroup[T], e []T) (top T) {
	if o.Activation != SoftmaxActivation {
		return slices.Max(e)
	}
	for _, px := range g.px {
		if px.label < 0 || px.p[px.label] <= 0.5 {
			return 1
		}
		top = max(top, px.comp)
	}
	return top
}

// gradient writes the gradient of one group, of which groups took part.
func (o oracle[T]) gradient(grad []T, g oracleGroup[T], groups float64, pixels int) {
	for i, px := range g.px {
		v := make([]T, o.Classes) // with respect to the probabilities
		for k, c := range g.class {
			if c.w == nil || g.sumWeights == 0 {
				continue
			}
			v[k] = c.w[i] * T(o.weight(k)/g.sumWeights/groups)
			if o.foreground(px, k) {
				v[k] = -v[k]
			}
		}
		switch o.Activation {
		case SoftmaxActivation:
			v = px.softmaxGrad(v)
		case SigmoidActivation:
			for k := range v {
				v[k] = px.slope[k] * v[k]
			}
		}
		for k := range v {
			if g.terms > 0 {
				v[k] = o.addEntropyGrad(v[k], px, k, o.CrossEntropy/g.terms/groups)
			}
			if o.dropped(px, k) {
				v[k] = 0
			}
			grad[o.index(px.at, k, pixels)] = v[k]
		}
	}
}

// softmaxGrad is p·(v − Σ p·v), where the one probability above ½ knows what the others add up to.
func (px oraclePixel[T]) softmaxGrad(v []T) []T {
	others, large := make([]T, len(v)), T(0)
	for k, p := range px.p {
		if others[k] = p * v[k]; p > 0.5 {
			large, others[k] = others[k], 0
		}
	}
	sum := refSum(others)
	all := sum + large
	grad := make([]T, len(v))
	for k, p := range px.p {
		if p > 0.5 {
			grad[k] = p * (T(v[k]*px.comp) - sum)
		} else {
			grad[k] = p * (v[k] - all)
		}
	}
	return grad
}

// addEntropyGrad adds the gradient of a pixel's cross-entropy by one logit, times a factor.
func (o oracle[T]) addEntropyGrad(grad T, px oraclePixel[T], k int, factor float64) T {
	signed, smoothing := px.e[k], o.LabelSmoothing
	if o.foreground(px, k) {
		signed = -signed
	}
	if px.void(k) {
		return grad + 0*signed
	}
	if o.Activation == SigmoidActivation {
		base := T(T(factor) * T(o.entropyWeight(k)))
		grad += T(base * signed)
		if d := T(base * T(smoothing/2)); smoothing > 0 && o.foreground(px, k) {
			grad += d
		} else if smoothing > 0 {
			grad -= d
		}
		return grad
	}
	grad += T(T(T((1-smoothing)*factor)*T(o.entropyWeight(int(px.label)))) * signed)
	if smoothing > 0 {
		var sum float64
		for k := range o.Classes {
			sum += o.entropyWeight(k)
		}
		grad += T(T(smoothing/float64(o.Classes)*factor) * (T(T(sum)*px.p[k]) - T(o.entropyWeight(k))))
	}
	return grad
}

// hinge is Hinge. Its errors pass 1.
func (o oracle[T]) hinge(scores []T, labels []int32, images int) oracleResult[T] {
	groups, size := 1, len(labels)
	res := oracleResult[T]{grad: make([]T, len(scores))}
	if o.PerImage {
		groups, size = images, len(labels)/images
		res.PerImage = make([]float64, images)
	}
	took := 0.0
	for i := range groups {
		var at []int
		var sign, e []T
		var fg []bool
		for j := i * size; j < (i+1)*size; j++ {
			void := slices.Contains(o.VoidLabels, labels[j])
			if void && o.Void == DropPixels {
				continue
			}
			y := T(-1)
			if labels[j] == 1 && !void {
				y = 1
			}
			at, sign, fg = append(at, j), append(sign, y), append(fg, y > 0)
			e = append(e, max(0, 1-T(scores[j]*y)))
		}
		loss := math.NaN()
		if len(at) > 0 {
			took++
			c := oracle[T]{}.class(e, fg)
			loss = c.loss
			w := c.w
			for j := range e {
				if e[j] == 0 {
					w[j] = 0
				}
				res.grad[at[j]] = -sign[j] * w[j]
			}
			res.Lovasz += loss
		}
		if res.PerImage != nil {
			res.PerImage[i] = loss
		}
	}
	took = max(1, took)
	res.Lovasz /= took
	res.Loss = res.Lovasz
	for i := range res.grad {
		res.grad[i] *= T(1 / took)
	}
	return res
}

// widen returns x in float64, where the oracle computes.
func widen(x []float32) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v)
	}
	return out
}

// seedWeights is the seed algorithm (Berman et al., algorithm 1) on pixels in the given order: cumulative sums, Jaccard losses,
// differences.
func seedWeights(order []int, fg []bool) []float64 {
	var G float64
	for _, b := range fg {
		if b {
			G++
		}
	}
	intersection, union := G, G
	w := make([]float64, len(fg))
	previous := 0.0
	for _, i := range order {
		if fg[i] {
			intersection--
		} else {
			union++
		}
		jaccard := 1 - intersection/union
		w[i] = jaccard - previous
		previous = jaccard
	}
	return w
}

// sortedByError returns the pixels by descending error; of equal ones those that first chooses come first.
func sortedByError(e []float64, first func(i int) bool) []int {
	order := make([]int, len(e))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		if c := cmp.Compare(e[b], e[a]); c != 0 || first(a) == first(b) {
			return c
		}
		if first(a) {
			return -1
		}
		return 1
	})
	return order
}

// The oracle's weights are the seed algorithm's: where errors are equal, the mean of foreground first and background first, shared equally.
func TestOracleWeights(t *testing.T) {
	rng := newRand(1)
	for range 300 {
		n, values := 1+rng.IntN(40), 1+rng.IntN(30)
		e, fg, keys := make([]float64, n), make([]bool, n), make([]uint64, n)
		for i := range e {
			e[i], fg[i] = float64(rng.IntN(values))/32, rng.IntN(3) == 0
			keys[i] = math.Float64bits(e[i])
		}
		if ranks, counted := oracleRanks(keys, fg), oracleRanksCounted(keys, fg); !slices.Equal(ranks, counted) {
			t.Fatalf("ranks by comparing %v, by counting %v", ranks, counted)
		}
		if !slices.Contains(fg, true) {
			continue // the seed algorithm gives 0/0
		}
		one := seedWeights(sortedByError(e, func(i int) bool { return fg[i] }), fg)
		two := seedWeights(sortedByError(e, func(i int) bool { return !fg[i] }), fg)
		got := oracle[float64]{}.class(e, fg)
		var loss float64
		for i := range e {
			var sum, tied float64
			for j := range e {
				if e[j] == e[i] && fg[j] == fg[i] {
					sum += (one[j] + two[j]) / 2
					tied++
				}
			}
			if math.Abs(got.w[i]-sum/tied) > 1e-14 {
				t.Fatalf("errors %v, foreground %v: weight %d is %v, by the seed algorithm %v", e, fg, i, got.w[i], sum/tied)
			}
			loss += e[i] * one[i]
		}
		if math.Abs(got.loss-loss) > 1e-14 {
			t.Fatalf("errors %v, foreground %v: loss %v, by the seed algorithm %v", e, fg, got.loss, loss)
		}
	}
}

// The oracle's gradient is the slope of its loss.
func TestOracleGradient(t *testing.T) {
	for i, c := range smoothCases(40) {
		o := oracle[float64]{c.cfg}
		if d := relativeNorm(o.run(widen(c.logits), c.labels, c.images).grad, slope(c)); d > 2e-6 {
			t.Errorf("case %d, %+v: gradient is %.2g off the central differences", i, c.cfg, d)
		}
	}
}

// slope is the gradient by central differences of the oracle's loss.
func slope(c lossCase) []float64 {
	const h = 1e-5
	o, x := oracle[float64]{c.cfg}, widen(c.logits)
	grad := make([]float64, len(x))
	for i := range x {
		at := x[i]
		x[i] = at + h
		more := o.run(x, c.labels, c.images).Loss
		x[i] = at - h
		less := o.run(x, c.labels, c.images).Loss
		x[i] = at
		grad[i] = (more - less) / (2 * h)
	}
	return grad
}

// relativeNorm is |a − b| / |b|; |a| where b is 0.
func relativeNorm(a, b []float64) float64 {
	var d, n float64
	for i := range a {
		d += (a[i] - b[i]) * (a[i] - b[i])
		n += b[i] * b[i]
	}
	if n == 0 {
		return math.Sqrt(d)
	}
	return math.Sqrt(d / n)
}
