package lanewise

import (
	"math"
	"slices"
	"sync/atomic"
	"unsafe"
)

// The number format of the loss. A class's plane has a signedError for every pixel: its error, negative for foreground, so that −0 is
// foreground without an error. Softmax, sigmoid, probabilities and hinge scores alike become signed errors before anything else happens,
// and where a network is nearly right they are as exact as they are small: the complement of a probability is never taken from 1, where
// the others' sum, or the sigmoid of −x, is at hand.

// errorBits returns the bits of a signed error, which sort as the errors do, and 1 if it is foreground.
func errorBits(s float32) (e, foreground uint32) {
	b := math.Float32bits(s)
	return b &^ (1 << 31), b >> 31
}

const oneBits = 0x3f800000 // of the largest error, but for the hinge's

// A tile is the part of a block that a worker has in its cache.
type tile struct {
	block
	picked []int32 // the pixels that take part, as indices into the tile
	target []int32 // the target of each
	every  []int32 // the targets of all pixels
}

// A run is neighbouring pixels of a tile that take part: the first one, which number it is among those, and how many they are.
type run struct{ pixel, picked, n int }

// tile cuts a tile off what is left of a block. What takes part was read once, with the labels: it does not change.
func (c *call) tile(w *worker, rest *block) tile {
	w.resize(c.width, c.size)
	t := tile{block: *rest}
	t.pixels = min(c.size, rest.pixels)
	t.every = c.target[t.at:][:t.pixels]
	if rest.keptN == rest.pixels {
		t.picked, t.target = everyPixel[:t.pixels], t.every
	} else {
		n := t.pick(c.isa, words(w.picked), words(everyPixel[:t.pixels]))
		t.pick(c.isa, words(w.target), words(t.every))
		t.picked, t.target = w.picked[:n], w.target[:n]
	}
	t.keptN = len(t.picked)
	rest.pixel, rest.at, rest.pixels = rest.pixel+t.pixels, rest.at+t.pixels, rest.pixels-t.pixels
	rest.kept, rest.keptN = rest.kept+t.keptN, rest.keptN-t.keptN
	return t
}

// pick copies the elements of the pixels that take part, and returns how many there are. It writes up to 16 elements more.
func (t *tile) pick(isa ISA, dst, src []uint32) int {
	var n [maxParts]uint32
	lossPick(isa, dst, src, &n, t.every)
	return int(n[0])
}

// words are the bits of elements.
func words[E float32 | int32](x []E) []uint32 {
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(x))), len(x))
}

// runs yields the neighbouring pixels of a tile that take part.
func (t *tile) runs(yield func(r run) bool) {
	picked := 0
	for i := 0; i < len(t.every); {
		from := i
		for i < len(t.every) && t.every[i] != dropped {
			i++
		}
		if i > from && !yield(run{from, picked, i - from}) {
			return
		}
		picked += i - from
		for i < len(t.every) && t.every[i] == dropped {
			i++
		}
	}
}

// everyPixel are the indices into a tile of which no pixel is dropped.
var everyPixel = func() (p [maxTile]int32) {
	for i := range p {
		p[i] = int32(i)
	}
	return p
}()

// findErrors finds the signed errors of a block's pixels, the foreground that is nearest to being right, and the cross-entropies.
func (c *call) findErrors(w *worker, task int) {
	for rest := c.blocks[task]; rest.pixels > 0; {
		t := c.tile(w, &rest)
		src, stride := c.inputs(w, &t)
		bad := -1
		if t.keptN > 0 {
			bad = c.errors(w, &t, src, stride)
		}
		if bad >= 0 {
			w.err = c.pixelError(&t.block, t.pixel+int(t.picked[bad]), t.target[bad])
			return
		}
		rest.entropy = t.entropy
	}
}

// errors finds those of a tile, whose logits are src. It returns the first bad pixel, or −1.
func (c *call) errors(w *worker, t *tile, src []float32, srcStride int) int {
	n, stride := t.keptN, c.groups[t.group].stride
	s, classes := c.planesOf(t), c.classes[t.group*c.width:][:c.width]
	if c.activation == SoftmaxActivation {
		return c.softmaxErrors(w, t, src, srcStride, s, stride, classes)
	}
	bad := n
	for k := range classes {
		x, s := src[k*srcStride:][:n], s[k*stride:][:n]
		switch c.activation {
		case SigmoidActivation:
			if s := sum(c.isa, x); s-s != 0 { // an element that is not finite, or a sum that overflowed
				bad = min(bad, firstIndex(x, c.badLogit))
			}
			lossSigmoid(c.isa, s, x, t.target, int32(k))
		case NoActivation:
			if clamped := lossClamp(c.isa, s, x, t.target, int32(k)); clamped != 0 {
				bad = min(bad, firstIndex(x, func(p float32) bool { return !probable(p) }))
			}
		case hingeActivation:
			if s := sum(c.isa, x); s-s != 0 {
				bad = min(bad, firstIndex(x, c.badLogit))
			}
			lossHinge(c.isa, s, x, t.target, int32(k))
		}
		raise(&classes[k].largest, math.Float32bits(lossLargest(c.isa, s)))
		if classes[k].foreground.Load() > 0 {
			if nearest := lossNearest(c.isa, s); !math.IsInf(float64(nearest), -1) {
				classes[k].see(math.Float32bits(-nearest))
			}
		}
	}
	if bad < n {
		return bad
	}
	if c.lambda > 0 {
		c.sigmoidEntropy(w, t, src, srcStride)
	}
	return -1
}

// firstIndex is slices.IndexFunc, but len(x) where there is none.
func firstIndex(x []float32, bad func(float32) bool) int {
	if i := slices.IndexFunc(x, bad); i >= 0 {
		return i
	}
	return len(x)
}

// badLogit says whether a sigmoid's logit is none: NaN, and where the cross-entropy would be infinite an infinity; or a hinge's score.
func (c *call) badLogit(x float32) bool {
	return x != x || x-x != 0 && (c.lambda > 0 || c.activation == hingeActivation)
}

// probable says whether p is in [0, 1], or off by no more than what rounding does.
func probable(p float32) bool { return float64(p) >= -1e-6 && float64(p) <= 1+1e-6 }

// softmaxErrors is errors across the classes. A surely wrong pixel has an error near 1, which has lost the probability: that, and the
// complement of the largest one, are kept beside the planes where a gradient is wanted.
func (c *call) softmaxErrors(w *worker, t *tile, src []float32, srcStride int, s []float32, stride int, classes []class) int {
	n := t.keptN
	own, comp := w.own[:n], w.comp[:n]
	if c.grad != nil {
		own, comp = c.own[t.kept:][:n], c.comp[t.kept:][:n]
	}
	var tops, rest []float32
	if c.lambda > 0 {
		tops, rest = w.max, w.rest
	}
	if c.turns() {
		lossSoftmaxRows(c.isa, s, src, tops, rest, comp, c.width, n, stride)
	} else {
		lossSoftmax(c.isa, s, src, tops, rest, comp, c.width, n, stride, srcStride)
	}
	bad := n
	if s := sum(c.isa, comp); s != s {
		bad = firstIndex(comp, func(p float32) bool { return p != p })
	}
	if c.lambda > 0 {
		bad = min(bad, c.softmaxEntropy(w, t))
	}
	if bad < n {
		return bad
	}
	var largest uint32 // of integers, since the one of floats waits long for the one before
	for i, k := range t.target {
		if k < 0 {
			own[i], largest = 0, oneBits
			continue
		}
		p := &s[int(k)*stride+i]
		own[i] = *p
		e := comp[i]
		if *p <= 0.5 {
			e, largest = 1-*p, oneBits
		}
		*p = -e
		bits := math.Float32bits(e)
		largest = max(largest, bits)
		classes[k].see(bits)
	}
	raise(&classes[0].largest, largest)
	return -1
}

// see makes the class's smallest error of foreground this one, if it is not smaller.
func (c *class) see(e uint32) { raise(&c.nearest, ^e) }

// raise makes x at least v.
func raise(x *atomic.Uint32, v uint32) {
	for old := x.Load(); v > old; old = x.Load() {
		x.CompareAndSwap(old, v)
	}
}

// smallest is the bits of the smallest error of foreground, all ones without foreground.
func (c *class) smallest() uint32 { return ^c.nearest.Load() }

// planesOf returns the planes of a tile's pixels; they are the group's stride apart.
func (c *call) planesOf(t *tile) []float32 {
	group := &c.groups[t.group]
	return c.planes[group.planes+t.kept-group.kept:]
}

// plane returns one plane of the pixels of a block.
func (c *call) plane(b *block, k int) []float32 {
	group := &c.groups[b.group]
	return c.planes[group.planes+k*group.stride+b.kept-group.kept:][:b.keptN]
}

// turns says whether kernels take pixels as rows of logits and turn these to planes themselves, and gradients back where labels are not
// smoothed.
func (c *call) turns() bool {
	return c.cfg.Layout == PixelMajor && c.activation == SoftmaxActivation && c.width <= maxLanes
}

// logit returns where the logit of a pixel in one of the block's classes stands.
func (c *call) logit(pixel int, b *block, k int) int {
	k += b.class
	if c.cfg.Layout == ClassMajor {
		return b.image*c.pixels*(c.cfg.Classes-1) + k*c.pixels + pixel
	}
	return pixel*c.cfg.Classes + k
}

// steps returns how far the logits of neighbouring pixels are apart, and of neighbouring classes.
func (c *call) steps() (pixel, class int) {
	if c.cfg.Layout == ClassMajor {
		return 1, c.pixels
	}
	return c.cfg.Classes, 1
}

// direct says whether the tile's logits lie in planes as they are.
func (c *call) direct(t *tile) bool {
	return t.keptN == t.pixels && (c.cfg.Layout == ClassMajor || c.cfg.Classes == 1)
}

// inputs returns the logits of the tile's pixels that take part, in planes; as rows, where kernels take these. It may use dprobs.
func (c *call) inputs(w *worker, t *tile) (src []float32, stride int) {
	switch {
	case c.direct(t) || c.turns() && t.keptN == t.pixels:
		return c.logits[c.logit(t.pixel, &t.block, 0):], c.pixels
	case c.turns():
		c.gatherRows(w.grads, t)
	default:
		c.gather(w, t)
	}
	return w.grads, c.size
}

// gather copies the logits of the picked pixels of a tile to planes in grads.
func (c *call) gather(w *worker, t *tile) {
	x, row := c.logits[c.logit(t.pixel, &t.block, 0):], c.cfg.Classes
	switch {
	case c.cfg.Layout == ClassMajor || row == 1:
		for k := range c.width {
			t.pick(c.isa, words(w.grads[k*c.size:]), words(x[k*c.pixels:][:t.pixels])) // what it writes more the next one overwrites
		}
	case c.width == 1:
		for i, p := range t.picked {
			w.grads[i] = x[int(p)*row]
		}
	case t.keptN > 0:
		if t.keptN < t.pixels {
			c.gatherRows(w.dprobs, t)
			x = w.dprobs
		}
		transpose(c.isa, w.grads, x, t.keptN, c.width, c.size, row)
	}
}

// gatherRows copies the logits of the picked pixels of a tile that lie in rows.
func (c *call) gatherRows(rows []float32, t *tile) {
	x, row := c.logits[c.logit(t.pixel, &t.block, 0):], c.width
	for r := range t.runs {
		copy(rows[r.picked*row:], x[r.pixel*row:][:r.n*row])
	}
}

// pixelError says what is wrong with the logits of a pixel.
func (c *call) pixelError(b *block, pixel int, target int32) error {
	for k := range c.width {
		class := b.class + k
		x := c.logits[c.logit(pixel, b, k)]
		if err := c.logitError(x, pixel, class, int32(k) == target); err != nil {
			return err
		}
	}
	return pixelErrorf(ErrNotFinite, pixel, 0, "logits of pixel %d are all -Inf, from class 0 on", pixel)
}

// logitError says what is wrong with a logit, if it is by itself.
func (c *call) logitError(x float32, pixel, class int, own bool) error {
	switch v := float64(x); {
	case c.activation == hingeActivation:
		if v-v != 0 {
			return pixelErrorf(ErrNotFinite, pixel, 0, "score of pixel %d is %v", pixel, x)
		}
	case c.activation == NoActivation:
		if v != v {
			return pixelErrorf(ErrNotFinite, pixel, class, "probability of pixel %d, class %d is NaN", pixel, class)
		}
		if !probable(x) {
			return pixelErrorf(ErrRange, pixel, class, "probability of pixel %d, class %d is %v, outside [0, 1]", pixel, class, x)
		}
	case v != v:
		return pixelErrorf(ErrNotFinite, pixel, class, "logit of pixel %d, class %d is NaN", pixel, class)
	case math.IsInf(v, 1) && (c.activation == SoftmaxActivation || c.lambda > 0):
		return pixelErrorf(ErrNotFinite, pixel, class, "logit of pixel %d, class %d is +Inf", pixel, class)
	case math.IsInf(v, -1) && c.lambda > 0 && (own || c.activation == SigmoidActivation || c.cfg.LabelSmoothing > 0):
		return pixelErrorf(ErrNotFinite, pixel, class, "logit of pixel %d, class %d is -Inf: its cross-entropy is infinite", pixel, class)
	}
	return nil
}

// gradient writes the gradient of a block's pixels.
func (c *call) gradient(w *worker, task int) {
	w.marks = resize(w.marks, c.width)
	for k := range w.marks {
		copy(w.marks[k][:], c.marksOf(task, k))
	}
	for rest := c.blocks[task]; rest.pixels > 0; {
		t := c.tile(w, &rest)
		grad := c.grad[c.logit(t.pixel, &t.block, 0):]
		switch {
		case c.turns() && c.cfg.LabelSmoothing == 0 && t.keptN == t.pixels:
			c.softmaxGradients(w, &t, grad, asRows)
		case c.turns() && c.cfg.LabelSmoothing == 0:
			c.softmaxGradients(w, &t, w.grads, asRows)
			c.scatterRows(w.grads, &t)
		case c.direct(&t):
			c.logitGradients(w, &t, grad, c.pixels)
		default:
			c.logitGradients(w, &t, w.grads, c.size)
			c.scatter(w, &t)
		}
	}
}

// logitGradients writes the gradient by the logits of the tile's pixels that take part, plane by plane.
func (c *call) logitGradients(w *worker, t *tile, dst []float32, stride int) {
	n := t.keptN
	if n == 0 {
		return
	}
	switch c.activation {
	case SoftmaxActivation:
		c.softmaxGradients(w, t, dst, stride)
		if c.cfg.LabelSmoothing > 0 {
			c.addSmoothingGradient(t, dst, stride)
		}
	case SigmoidActivation:
		src, srcStride := c.inputs(w, t)
		c.spread(w, t, w.dprobs, c.size)
		for k := range c.width {
			lossSigmoidGrad(c.isa, dst[k*stride:][:n], src[k*srcStride:][:n], w.dprobs[k*c.size:][:n])
		}
		c.addSigmoidEntropyGradient(w, t, dst, stride)
	default:
		c.spread(w, t, dst, stride)
	}
}

// asRows stands for a stride where kernels write rows.
const asRows = 0

// softmaxGradients writes the gradient by the logits of the tile's pixels that take part, as planes or as rows; but for what smoothing adds.
func (c *call) softmaxGradients(w *worker, t *tile, dst []float32, stride int) {
	n, s, sStride := t.keptN, c.planesOf(t), c.groups[t.group].stride
	if n == 0 {
		return
	}
	c.spread(w, t, w.dprobs, c.size)
	own, comp, factors := c.own[t.kept:], c.comp[t.kept:], c.entropyFactors(w, t)
	switch {
	case stride == asRows && factors != nil:
		lossEntropyGradRows(c.isa, dst, s, w.dprobs, own, comp, factors, c.width, n, sStride, c.size)
	case stride == asRows:
		lossSoftmaxGradRows(c.isa, dst, s, w.dprobs, own, comp, c.width, n, sStride, c.size)
	case factors != nil:
		lossEntropyGrad(c.isa, dst, s, w.dprobs, own, comp, factors, c.width, n, stride, sStride, c.size)
	default:
		lossSoftmaxGrad(c.isa, dst, s, w.dprobs, own, comp, c.width, n, stride, sStride, c.size)
	}
}

// spread writes the gradient by the probabilities of the tile's pixels that take part, plane by plane.
func (c *call) spread(w *worker, t *tile, dst []float32, stride int) {
	u, at := c.unitOf(t.group), t.kept-c.groups[t.group].kept
	for k := range c.width {
		dst, i := dst[k*stride:][:t.keptN], t.group*c.width+k
		if !c.classes[i].takesPart || u.weight == 0 {
			clear(dst)
			continue
		}
		share := float32(c.weights[t.class+k] / u.weight / float64(c.took)) // what a class's loss counts in the mean
		c.found[i].spread(c.isa, dst, c.plane(&t.block, k), c.weightsOf(t.group, k), at, &w.marks[k], share)
	}
}

// scatter writes the planes in grads to the gradient, and 0 for the pixels that take no part. It uses dprobs.
func (c *call) scatter(w *worker, t *tile) {
	grad, row := c.grad[c.logit(t.pixel, &t.block, 0):], c.cfg.Classes
	switch {
	case c.cfg.Layout == ClassMajor || row == 1:
		for k := range c.width {
			var at [maxParts]uint32
			lossUnpick(c.isa, grad[k*c.pixels:][:t.pixels], w.grads[k*c.size:], &at, t.every)
		}
	case c.width == 1:
		for p := range t.pixels {
			grad[p*row] = 0
		}
		for i, p := range t.picked {
			grad[int(p)*row] = w.grads[i]
		}
	case t.keptN == t.pixels:
		transpose(c.isa, grad, w.grads, c.width, t.pixels, row, c.size)
	default:
		if t.keptN > 0 {
			transpose(c.isa, w.dprobs, w.grads, c.width, t.keptN, row, c.size)
		}
		c.scatterRows(w.dprobs, t)
	}
}

// scatterRows writes rows to the gradient, and 0 for the pixels that take no part.
func (c *call) scatterRows(rows []float32, t *tile) {
	grad, row, end := c.grad[c.logit(t.pixel, &t.block, 0):], c.width, 0
	for r := range t.runs {
		clear(grad[end*row : r.pixel*row])
		copy(grad[r.pixel*row:][:r.n*row], rows[r.picked*row:])
		end = r.pixel + r.n
	}
	clear(grad[end*row : t.pixels*row])
}
