package lanewise

import (
	"math"
	"math/bits"
	"slices"
	"sync/atomic"
	"unsafe"
)

// A call is one call of a Lovasz or a LovaszCounts: its arguments, how they are divided, and what is known of the parts. Its slices are
// used again.
//
// Pixels are divided into groups, which have planes of their own: an image with PerImage, else all of them; with masks, where each class
// drops pixels of its own, such a unit has a group for every class. Groups are divided into blocks, which are what a worker takes at a
// time, and these into tiles, which fit its cache. Images that are many and small come in waves.
type call struct {
	*plan
	isa ISA

	grad, logits []float32
	labels       []int32
	masks        []uint8
	masked       bool // rather than labelled
	images       int
	pixels       int // of an image
	width        int // classes of a group
	parts        int // of the keys of a class, at most
	size         int // pixels of a tile

	units      []unit
	groups     []group
	blocks     []block
	classes    []class   // [units][classes]
	found      []spread  // likewise, for the gradient
	marks      []uint32  // [blocks][width][parts] where in a plane of weights those of a block begin, for every part of the keys
	target     []int32   // of each pixel, block after block
	planes     []float32 // signed errors, [groups][width][kept pixels of the group]
	weightsAt  []float32 // likewise: with Exact the weights of the pixels that have one, one after the other; with Binned see spread
	own, comp  []float32 // of each kept pixel of a softmax, for the gradient: the probability of its class, and the others' of the largest
	entropy    []float64 // the cross-entropy of each pixel that has one
	labelError error     // the first bad label, where no pixel before it is bad
	took       int       // units that took part so far; all of them, when there is a gradient
	shared     []sharedClass
	ranges     int       // of each of these
	sums       []unitSum // [shared][maxParts]

	tables [][]float32 // of a LovaszCounts: the weights of all bins of each class, instead of weightsAt

	team
}

// A plan is a configuration that is checked, and what follows from it.
type plan struct {
	cfg            LovaszConfig
	activation     Activation // hingeActivation too
	lambda         float64
	averaged       []bool    // which classes the average knows
	absentToo      bool      // whether these count without a pixel
	weights        []float64 // [classes]
	entropyWeights []float32 // likewise; nil: all 1
	entropySum     float32   // Σ of them
	targets        labelMap
	voids          [256]int32 // what a mask's values stand for
}

// hingeActivation are the scores of a hinge.
const hingeActivation = NoActivation + 1

func newPlan(cfg LovaszConfig) *plan {
	p := &plan{
		cfg:            cfg,
		activation:     cfg.Activation,
		lambda:         cfg.CrossEntropy,
		averaged:       make([]bool, cfg.Classes),
		absentToo:      cfg.Average == AllClasses || cfg.OnlyClasses != nil,
		weights:        make([]float64, cfg.Classes),
		entropyWeights: cfg.CrossEntropyWeights,
		entropySum:     float32(cfg.Classes),
		targets:        newLabelMap(cfg),
	}
	for _, c := range cfg.OnlyClasses {
		p.averaged[c] = true
	}
	for c := range p.averaged {
		p.averaged[c] = p.averaged[c] || cfg.OnlyClasses == nil
		p.weights[c] = 1
		if cfg.Weights != nil {
			p.weights[c] = float64(cfg.Weights[c])
		}
	}
	for _, c := range cfg.SkipClasses {
		p.averaged[c] = false
	}
	if p.entropyWeights != nil {
		var sum float64
		for _, w := range p.entropyWeights {
			sum += float64(w)
		}
		p.entropySum = float32(sum)
	}
	for i := range p.voids {
		p.voids[i] = voidTarget(cfg)
	}
	p.voids[0], p.voids[1] = background, 0
	return p
}

// hinge is the plan of Hinge, of what matters to it.
func (p *plan) hinge() *plan {
	h := newPlan(LovaszConfig{Classes: 1, Average: AllClasses, VoidLabels: p.cfg.VoidLabels, Void: p.cfg.Void, PerImage: p.cfg.PerImage})
	h.activation = hingeActivation
	return h
}

// input is the arguments of a call.
type input struct {
	grad, logits []float32
	labels       []int32
	masks        []uint8
	masked       bool // rather than labels
	images       int
}

// A unit is the pixels of one loss: an image with PerImage, else all of them.
type unit struct {
	weight    float64 // Σ of the weights of the classes that it averages
	takesPart bool
	entropyN  int     // its cross-entropies
	terms     float64 // Σ of their weights
}

// A group is pixels that have planes.
type group struct {
	firstBlock  int
	blocks      int
	kept, keptN int // its pixels that take part
	planes      int // where its planes begin
	stride      int // how far they are apart
	entropyN    int // those with a cross-entropy
}

// A block is what a worker takes at a time: some pixels of one image, and with masks of one class.
type block struct {
	pixel, pixels     int // the first one, as index into all pixels, and how many
	at                int // where their targets are
	image             int
	class             int // the first one of the group
	group             int
	kept, keptN       int // where the pixels that take part stand among all that do, and how many
	entropy, entropyN int // likewise for those that have a cross-entropy
}

const (
	blockSize = 1 << 13 // pixels
	maxTile   = 1 << 10
)

// A class is what is known of one class in one unit.
type class struct {
	foreground atomic.Int64  // G
	nearest    atomic.Uint32 // the bits of the smallest error of foreground, all flipped
	largest    atomic.Uint32 // those of the largest error; of a softmax a bound for all classes of the group, in its first one
	takesPart  bool
	loss, gap  float64
}

// unitOf returns the unit of a group.
func (c *call) unitOf(group int) *unit { return &c.units[group*c.width/c.cfg.Classes] }

// maxEmptyImages is how many images a call may have that has no pixels: a bad number must not cost memory or time.
const maxEmptyImages = 1 << 16

// open checks the shapes of the arguments.
func (c *call) open(p *plan, a input) error {
	count, classes := len(a.labels), p.cfg.Classes
	if a.masked {
		count = len(a.masks) / classes
	}
	if a.images < 1 {
		return errorf(ErrShape, "images is %d, want at least 1", a.images)
	}
	if a.images > max(count, maxEmptyImages) {
		return errorf(ErrShape, "%d images of %d labels", a.images, count)
	}
	if a.masked {
		if len(a.masks) != len(a.logits) || len(a.masks)%classes != 0 || count%a.images != 0 {
			return errorf(ErrShape, "logits hold %d values and masks %d, want %d images × pixels × %d classes", len(a.logits), len(a.masks),
				a.images, classes)
		}
	} else if count%a.images != 0 {
		return errorf(ErrShape, "labels hold %d values, want a multiple of %d images", count, a.images)
	}
	pixels := count / a.images
	if hi, want := bits.Mul64(uint64(count), uint64(classes)); hi != 0 || want != uint64(len(a.logits)) {
		if p.activation == hingeActivation {
			return errorf(ErrShape, "scores hold %d values, want %d images × %d pixels", len(a.logits), a.images, pixels)
		}
		return errorf(ErrShape, "logits hold %d values, want %d images × %d pixels × %d classes", len(a.logits), a.images, pixels, classes)
	}
	if count > math.MaxInt32 {
		return errorf(ErrShape, "%d pixels in one call, want at most 2³¹ − 1", count)
	}
	c.plan, c.isa = p, active
	c.grad, c.logits, c.labels, c.masks, c.masked = a.grad, a.logits, a.labels, a.masks, a.masked
	c.images, c.pixels, c.width, c.took = a.images, pixels, classes, 0
	if a.masked {
		c.width = 1
	}
	if !p.cfg.PerImage && (p.cfg.Layout == PixelMajor || classes == 1) {
		c.images, c.pixels = 1, count // their pixels follow each other
	}
	c.size = min(max(16384/c.width, 64), maxTile, max(c.pixels, 1))
	if c.size >= 64 {
		c.size &^= 63
	}
	c.choose(len(c.logits))
	return nil
}

// release drops the scratch. Helpers that linger have the old team's workers to themselves.
func (c *call) release() { *c = call{team: team{maxWorkers: c.maxWorkers}} }

// close lets go of the caller's slices.
func (c *call) close() { c.grad, c.logits, c.labels, c.masks = nil, nil, nil, nil }

// wave returns how many images come at a time: what is known of every image and class is to take little beside the logits.
func (c *call) wave() int {
	if !c.cfg.PerImage {
		return c.images
	}
	return min(c.images, max(1, max(1<<13, len(c.logits)/32)/c.cfg.Classes))
}

// load reads the labels of some images, divides their pixels and finds their errors.
func (c *call) load(from, to int) error {
	c.divide(from, to)
	c.labelError = c.try(len(c.blocks), (*call).readTargets)
	c.keep()
	for i := range c.units {
		c.units[i].terms = 0
	}
	for i := range c.groups {
		g, u, first := &c.groups[i], c.unitOf(i), i*c.width%c.cfg.Classes
		for j := range c.width {
			class, k := &c.classes[i*c.width+j], first+j
			foreground := class.foreground.Load()
			class.takesPart = c.averaged[k] && g.keptN > 0 && (foreground > 0 || c.absentToo)
			if class.takesPart {
				u.weight += c.weights[k]
			}
			if c.lambda > 0 {
				switch weight := float64(c.entropyWeight(k)); {
				case c.activation == SoftmaxActivation:
					u.terms += float64(float64(foreground) * weight)
				default:
					u.terms += float64(float64(g.entropyN) * weight)
				}
			}
		}
	}
	for i := range c.units {
		u := &c.units[i]
		u.takesPart = u.weight > 0 || u.terms > 0
		if u.takesPart {
			c.took++
		}
	}
	planes, kept, entropies := c.layPlanes()
	c.planes = resize(c.planes, planes)
	if c.grad != nil {
		if c.tables == nil {
			c.weightsAt = resize(c.weightsAt, planes+padding)
		}
		c.found = resize(c.found, len(c.classes))
		c.marks = resize(c.marks, len(c.blocks)*c.width*c.parts)
		if c.activation == SoftmaxActivation {
			c.own, c.comp = resize(c.own, kept), resize(c.comp, kept)
		}
	}
	if c.lambda > 0 {
		c.entropy = resize(c.entropy, entropies)
	}
	if err := c.try(len(c.blocks), (*call).findErrors); err != nil {
		if c.masked {
			return c.firstBad()
		}
		return err
	}
	return c.labelError
}

// divide cuts the pixels of some images into units, groups and blocks.
func (c *call) divide(from, to int) {
	units := 1
	if c.cfg.PerImage {
		units = to - from
	}
	groups := c.cfg.Classes / c.width // of a unit
	c.units, c.groups, c.classes = resize(c.units, units), resize(c.groups, units*groups), resize(c.classes, units*c.cfg.Classes)
	clear(c.units)
	clear(c.groups)
	clear(c.classes)
	c.blocks = c.blocks[:0]
	at := 0
	for u := range units {
		first, last := from, to
		if c.cfg.PerImage {
			first, last = from+u, from+u+1
		}
		for g := range groups {
			for image := first; image < last; image++ {
				for i := 0; i < c.pixels; i += blockSize {
					b := block{pixel: image*c.pixels + i, pixels: min(blockSize, c.pixels-i), at: at, image: image, class: g, group: u*groups + g}
					at += b.pixels
					c.blocks = append(c.blocks, b)
				}
			}
		}
	}
	c.target = resize(c.target, at)
}

// readTargets finds what the labels of a block's pixels stand for, or its masks, and counts them. They are read this once.
func (c *call) readTargets(w *worker, task int) {
	b := &c.blocks[task]
	w.resize(c.width, c.size)
	target := c.target[b.at:][:b.pixels]
	if c.masked {
		step := 1
		if c.cfg.Layout == PixelMajor {
			step = c.cfg.Classes
		}
		masks := c.masks[c.logit(b.pixel, b, 0):]
		for i := range target {
			target[i] = c.voids[masks[i*step]]
		}
	} else {
		c.targets.targets(c.isa, target, c.labels[b.pixel:][:b.pixels])
	}
	counts := w.counts[:kinds+c.width]
	countTargets(c.isa, counts, target)
	if n := counts[kinds+unknown]; n != (targetCount{}) {
		b.pixels = slices.Index(target, unknown)
		w.err = c.targets.errorAt(b.pixel+b.pixels, c.labels[b.pixel+b.pixels])
		countTargets(c.isa, counts, target[:b.pixels])
	}
	b.keptN = b.pixels - counts[kinds+dropped].sum()
	b.entropyN = b.keptN - counts[kinds+voidBackground].sum()
	classes := c.classes[b.group*c.width:][:c.width]
	for k, n := range counts[kinds:] {
		if n := n.sum(); n > 0 {
			classes[k].foreground.Add(int64(n))
		}
	}
}

// A targetCount counts the pixels of a block that have one target, every fourth in one place: an increment waits for the one before it at
// the same place, and where the classes are two that is every other one.
type targetCount [4]uint16

func (n targetCount) sum() int { return int(n[0]) + int(n[1]) + int(n[2]) + int(n[3]) }

// countTargets counts the targets of a block's pixels, from the first kind on.
func countTargets(isa ISA, counts []targetCount, target []int32) {
	clear(counts)
	if classes := counts[kinds:]; len(classes) <= 2 {
		minus1, minus2, minus3, minus4, one := lossCountTargets(isa, target)
		for i, n := range []uint32{minus4, minus3, minus2, minus1} {
			counts[i][0] = uint16(n)
		}
		classes[0][0] = uint16(uint32(len(target)) - minus1 - minus2 - minus3 - minus4 - one)
		if len(classes) == 2 {
			classes[1][0] = uint16(one)
		}
		return
	}
	for ; len(target) >= 4; target = target[4:] {
		counts[kinds+target[0]][0]++
		counts[kinds+target[1]][1]++
		counts[kinds+target[2]][2]++
		counts[kinds+target[3]][3]++
	}
	for _, t := range target {
		counts[kinds+t][0]++
	}
}

// keep tells the groups what is theirs. After a bad label only the pixels before it are left: one of them may have a bad logit, which is
// then to be named.
func (c *call) keep() {
	kept, entropy, largest := 0, 0, 0
	for i := range c.blocks {
		b := &c.blocks[i]
		if c.labelError != nil && b.pixel > c.labelError.(*PixelError).Pixel {
			c.blocks = c.blocks[:i]
			break
		}
		g := &c.groups[b.group]
		if g.blocks == 0 {
			g.firstBlock, g.kept = i, kept
		}
		g.blocks++
		b.kept, b.entropy = kept, entropy
		g.keptN += b.keptN
		g.entropyN += b.entropyN
		largest = max(largest, g.keptN)
		kept += b.keptN
		entropy += b.entropyN
	}
	c.parts = 1
	if largest > onePart {
		c.parts = maxParts
	}
}

// layPlanes gives every group its planes, and returns how long they are together, and how many pixels and cross-entropies there are.
func (c *call) layPlanes() (length, kept, entropies int) {
	for i := range c.groups {
		g := &c.groups[i]
		g.stride = g.keptN
		if g.keptN > 64 {
			g.stride = (g.keptN + 15) &^ 15
		}
		if g.stride > 0 && g.stride%1024 == 0 {
			g.stride += 16 // planes a multiple of the page size apart would share the sets of the cache
		}
		g.planes = length
		length += g.stride * c.width
		kept += g.keptN
		entropies += g.entropyN
		c.unitOf(i).entropyN += g.entropyN
	}
	return length, kept, entropies
}

// firstBad names the first bad logit in memory, with masks: blocks of one class come before those of another.
func (c *call) firstBad() error {
	for i, x := range c.logits {
		pixel, class := i/c.cfg.Classes, i%c.cfg.Classes
		if c.cfg.Layout == ClassMajor {
			image := i / (c.pixels * c.cfg.Classes)
			pixel, class = image*c.pixels+i%c.pixels, i/c.pixels%c.cfg.Classes
		}
		if t := c.voids[c.masks[i]]; t != dropped {
			if err := c.logitError(x, pixel, class, t == 0); err != nil {
				return err
			}
		}
	}
	return pixelErrorf(ErrNotFinite, 0, 0, "the logits changed during the call")
}

// weigh finds the weights of one class of one group, and the class's loss.
func (c *call) weigh(w *worker, task int) {
	if weigher := c.begin(w, task); weigher != nil {
		c.finish(task, weigher)
	}
}

// begin begins with one class, and returns the weigher that is best; nil: it takes no part.
func (c *call) begin(w *worker, task int) weigher {
	class := &c.classes[task]
	if !class.takesPart {
		return nil
	}
	g := task / c.width
	plane := c.classPlane(task)
	st := stats{foreground: class.foreground.Load(), from: class.smallest(), top: class.largest.Load()}
	if c.activation == SoftmaxActivation {
		st.top = c.classes[g*c.width].largest.Load()
	}
	if st.foreground == 0 {
		st.from = st.top
		if c.activation == SoftmaxActivation {
			st.from = c.largest(plane)
		}
	}
	if c.activation == hingeActivation {
		st.from = max(st.from, 1) // an error of 0 has no gradient
	}
	weigher := w.weigher(c, st, plane)
	weigher.begin(st, plane)
	return weigher
}

// show shows some blocks' errors of a class to what adds them.
func (c *call) show(task, from, to int, add func(piece []float32, marks []uint32)) {
	group, plane := &c.groups[task/c.width], c.classPlane(task)
	for i := group.firstBlock + from; i < group.firstBlock+to; i++ {
		b := &c.blocks[i]
		var at []uint32
		if c.grad != nil {
			at = c.marksOf(i, task%c.width)
		}
		add(plane[b.kept-group.kept:][:b.keptN], at)
	}
}

// classPlane returns the errors of one class of one group.
func (c *call) classPlane(task int) []float32 {
	group := &c.groups[task/c.width]
	return c.planes[group.planes+task%c.width*group.stride:][:group.keptN]
}

// finish shows all errors of a class to a weigher, and lets it weigh them.
func (c *call) finish(task int, weigher weigher) {
	c.show(task, 0, c.groups[task/c.width].blocks, weigher.add)
	c.weighed(task, weigher)
}

// weighed lets a weigher weigh the errors of a class, which it has.
func (c *call) weighed(task int, weigher weigher) {
	class := &c.classes[task]
	if c.grad == nil {
		class.loss, class.gap = weigher.weigh(nil, nil)
		return
	}
	found := &c.found[task]
	class.loss, class.gap = weigher.weigh(c.weightsOf(task/c.width, task%c.width), found)
	c.moveMarks(task, 0, c.groups[task/c.width].blocks, &found.begin)
}

// moveMarks tells blocks where the weights of the parts of a class begin.
func (c *call) moveMarks(task, from, to int, begin *[maxParts]uint32) {
	group := &c.groups[task/c.width]
	for i := from; i < to; i++ {
		at := c.marksOf(group.firstBlock+i, task%c.width)
		for t := range at {
			at[t] += begin[t]
		}
	}
}

// largest returns the bits of the largest error.
func (c *call) largest(plane []float32) (e uint32) {
	for len(plane) > 0 {
		n := min(len(plane), longPiece)
		e = max(e, math.Float32bits(lossLargest(c.isa, plane[:n])))
		plane = plane[n:]
	}
	return e
}

// marksOf returns where the weights of a block's pixels in a class begin, for every part of the keys.
func (c *call) marksOf(block, k int) []uint32 { return c.marks[(block*c.width+k)*c.parts:][:c.parts] }

// weightsOf returns the place for the weights of one class of one group.
func (c *call) weightsOf(g, k int) []float32 {
	if c.tables != nil {
		return c.tables[g*c.width+k]
	}
	group := &c.groups[g]
	return c.weightsAt[group.planes+k*group.stride:]
}

// A lossSum adds up the losses of units, wave after wave.
type lossSum struct {
	r        LovaszResult
	perClass []float64 // Σ over the units where a class took part
	counts   []int     // how many those are
}

// account adds the losses of a wave.
func (s *lossSum) account(c *call) {
	entropies := c.entropy
	for i := range c.units {
		u := &c.units[i]
		var lovasz, gap, entropy float64
		for k := range c.cfg.Classes {
			class := &c.classes[i*c.cfg.Classes+k]
			if !class.takesPart {
				continue
			}
			s.perClass[k] += class.loss
			s.counts[k]++
			if u.weight > 0 {
				lovasz += float64(c.weights[k] * class.loss)
				gap += float64(c.weights[k] * class.gap)
			}
		}
		if u.weight > 0 {
			lovasz /= u.weight
			gap /= u.weight
		}
		if c.lambda > 0 {
			if u.terms > 0 {
				entropy = sum(c.isa, entropies[:u.entropyN]) / u.terms
			}
			entropies = entropies[u.entropyN:]
		}
		if !u.takesPart {
			s.image(c.plan, math.NaN())
			continue
		}
		s.image(c.plan, lovasz)
		s.r.Lovasz += lovasz
		s.r.Gap += gap
		s.r.CrossEntropy += entropy
	}
}

// image notes the loss of an image, where that is asked for.
func (s *lossSum) image(p *plan, lovasz float64) {
	if p.cfg.PerImage {
		s.r.PerImage = append(s.r.PerImage, lovasz)
	}
}

// begin forgets all losses, for a configuration.
func (s *lossSum) begin(p *plan) {
	s.r = LovaszResult{PerImage: s.r.PerImage[:0]}
	if !p.cfg.PerImage {
		s.r.PerImage = nil
	}
	s.perClass, s.counts = resize(s.perClass, p.cfg.Classes), resize(s.counts, p.cfg.Classes)
	clear(s.perClass)
	clear(s.counts)
}

// result returns the means over the units that took part.
func (s *lossSum) result(p *plan, took int) LovaszResult {
	r := &s.r
	if took > 1 {
		r.Lovasz /= float64(took)
		r.Gap /= float64(took)
		r.CrossEntropy /= float64(took)
	}
	r.Loss = r.Lovasz + float64(p.lambda*r.CrossEntropy)
	for k, n := range s.counts {
		s.perClass[k] /= float64(n) // NaN without any
	}
	r.PerClass = s.perClass
	return *r
}

// run is the algorithm: the errors, the weights of every class's errors in descending order, the losses, and the gradient.
func (c *call) run(p *plan, a input, sum *lossSum) (LovaszResult, error) {
	defer c.close()
	if a.masked && p.activation == SoftmaxActivation {
		return LovaszResult{}, errorf(ErrConfig, "masks need SigmoidActivation or NoActivation")
	}
	if err := c.open(p, a); err != nil {
		return LovaszResult{}, err
	}
	sum.begin(p)
	if c.pixels == 0 {
		for range c.images {
			sum.image(p, math.NaN())
		}
		return sum.result(p, 0), nil
	}
	step := c.wave()
	waves := func(f func() error) error {
		for from := 0; from < c.images; from += step {
			if err := c.load(from, min(from+step, c.images)); err != nil {
				return err
			}
			if err := f(); err != nil {
				return err
			}
		}
		return nil
	}
	if c.grad != nil && step < c.images {
		// Nothing is written before everything is known to be good, and how many units share the gradient.
		if err := waves(func() error { return nil }); err != nil {
			return LovaszResult{}, err
		}
		took := c.took
		err := waves(func() error {
			c.took = took
			c.weighAll()
			sum.account(c)
			c.each(len(c.blocks), (*call).gradient)
			return nil
		})
		return sum.result(p, took), err
	}
	err := waves(func() error {
		c.weighAll()
		sum.account(c)
		if c.grad != nil {
			c.each(len(c.blocks), (*call).gradient)
		}
		return nil
	})
	if err != nil {
		return LovaszResult{}, err
	}
	return sum.result(p, c.took), nil
}

func checkGradient(grad, logits []float32, name string) error {
	if grad == nil || len(grad) != len(logits) {
		return errorf(ErrShape, "grad holds %d values, want %d as %s", len(grad), len(logits), name)
	}
	if unsafe.SliceData(grad) != unsafe.SliceData(logits) && overlap(grad, logits) {
		return errorf(ErrShape, "grad overlaps %s, want the same slice or none of it", name)
	}
	return nil
}
