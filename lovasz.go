package lanewise

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"
)

// Layout says how the logits of [images, pixels, classes] lie in memory.
type Layout uint8

const (
	PixelMajor Layout = iota // [images, pixels, classes]: the classes of a pixel side by side
	ClassMajor               // [images, classes, pixels]: a plane per class, as in [N, C, H, W]
)

// Activation turns logits into probabilities.
type Activation uint8

const (
	SoftmaxActivation Activation = iota // across the classes of a pixel; needs at least two
	SigmoidActivation                   // each class by itself, one against the rest
	NoActivation                        // the inputs are probabilities
)

// Average says which classes the loss is the mean of.
type Average uint8

const (
	PresentClasses Average = iota // those that have a pixel
	AllClasses                    // all of them
)

// VoidPolicy says what becomes of pixels whose label is in VoidLabels.
type VoidPolicy uint8

const (
	DropPixels   VoidPolicy = iota // they take no part: the loss is that of the batch without them, and their gradient is 0
	AsBackground                   // they are background for every class, and have no cross-entropy
)

// Method says how the weights of the errors are found.
type Method uint8

const (
	Exact  Method = iota // the loss of the float32 errors, within 1e-7 relative
	Binned               // errors that agree in their exponent and 9 bits of mantissa count as ties: O(pixels), and Gap bounds the difference
)

// LovaszConfig configures a Lovasz. Only Classes is required.
type LovaszConfig struct {
	Classes      int        // 1 to 2²⁰. With one class labels are a binary mask: 1 is the foreground, 0 the background
	Layout       Layout     // PixelMajor (default) or ClassMajor
	Activation   Activation // SoftmaxActivation (default), SigmoidActivation or NoActivation
	Average      Average    // PresentClasses (default) or AllClasses; a class without a pixel has as loss the largest probability it was given
	OnlyClasses  []int      // nil, or average over exactly these class ids, absent ones too
	SkipClasses  []int      // class ids left out of the average
	VoidLabels   []int32    // labels that are no class; they may be class ids, which then have no foreground
	Void         VoidPolicy // DropPixels (default) or AsBackground
	Weights      []float32  // per class, nil: all 1; the mean is weighted: Σ wₖ·lossₖ / Σ wₖ
	CrossEntropy float64    // λ >= 0: adds λ times the mean cross-entropy (sigmoid: binary, mean over the classes too) of the pixels that are not void
	PerImage     bool       // the loss of every image, then their mean; false: all pixels of the batch together
	Method       Method     // Exact (default) or Binned
	Workers      int        // goroutines per call; 0: GOMAXPROCS; 1: all on the caller's. Results do not depend on it
}

// LovaszResult is what Forward, Backward and Hinge return.
type LovaszResult struct {
	Loss         float64   // Lovasz + λ · CrossEntropy; 0 where there is no pixel or no class to average
	Lovasz       float64   // the (weighted) mean of the class losses
	CrossEntropy float64   // the mean cross-entropy; 0 where λ is 0
	Gap          float64   // the exact Lovasz lies in [Lovasz, Lovasz+Gap], proved from the counts; 0 with Exact
	PerClass     []float64 // [classes], NaN for a class that took no part; with PerImage its mean over the images where it did; valid until the next call
	PerImage     []float64 // [images] with PerImage: each one's Lovasz, NaN for an image that took no part; valid until the next call; nil otherwise
}

// What errors.Is finds in the errors of this package.
var (
	ErrShape     = errors.New("lengths do not fit")
	ErrLabel     = errors.New("label outside the classes")
	ErrNotFinite = errors.New("not finite")
	ErrRange     = errors.New("probability outside [0, 1]")
	ErrConfig    = errors.New("bad configuration")
	ErrFormat    = errors.New("bad encoding")
)

// A PixelError says where in the input an error was found. It wraps ErrLabel, ErrNotFinite or ErrRange.
type PixelError struct {
	Pixel int // index into the labels
	Class int // −1 where the error is the label's
	inputError
}

// An inputError is an error of a kind that errors.Is finds, with a text of its own.
type inputError struct {
	kind error
	text string
}

func (e *inputError) Error() string { return "lanewise: " + e.text }

func (e *inputError) Unwrap() error { return e.kind }

func errorf(kind error, format string, args ...any) error {
	return &inputError{kind, fmt.Sprintf(format, args...)}
}

func pixelErrorf(kind error, pixel, class int, format string, args ...any) error {
	return &PixelError{pixel, class, inputError{kind, fmt.Sprintf(format, args...)}}
}

// LovaszSoftmax is the Lovász-Softmax loss in one call, as the reference implementation has it: logits [pixels, classes] row-major, labels
// [pixels], the mean over the classes present. A pixel with the label 255 is background for every class. The errors are those of NewLovasz
// and Lovasz.Forward.
func LovaszSoftmax(logits []float32, labels []int32, classes int) (float64, error) {
	l, err := NewLovasz(LovaszConfig{Classes: classes, VoidLabels: []int32{255}, Void: AsBackground})
	if err != nil {
		return 0, err
	}
	r, err := l.Forward(logits, labels, 1)
	return r.Loss, err
}

// A Lovasz computes the Lovász-Softmax loss (Berman, Rannen Triki and Blaschko, CVPR 2018) again and again without allocating. It is not
// safe for concurrent use: have one per goroutine.
//
// It keeps its scratch from call to call: 4 bytes a logit, 8 with a gradient, 4 a pixel (12 with cross-entropy). With Exact a gradient takes
// 32 bytes a class more for every 8,192 pixels (and for every image with PerImage or ClassMajor), and every worker some 8 bytes a pixel (at
// most 27, where all errors crowd together; 20 in plain Go); with Binned every worker takes 1 MB.
type Lovasz struct {
	cfg        LovaszConfig
	averaged   []bool    // which classes the average knows
	absentToo  bool      // whether these count without a pixel
	weights    []float64 // [classes]
	targets    labelMap
	binary     labelMap // of Hinge
	size       int      // pixels of a tile, whose probabilities stay in the cache
	everyPixel []int32  // 0 … size−1

	// One call: its arguments, how they are divided, and what is known of the parts.
	in         input
	blocks     []block
	groups     []group
	target     []int32            // [kept pixels] the class of each, background or voidBackground
	probs      []float32          // the planes of the groups, [groups][classes][kept pixels of the group], signed: negative for a pixel's own class
	sparse     []float32          // likewise: with Exact the weights of the pixels that have one, one after the other; with Binned see binTable
	cursors    [][maxParts]uint32 // with Exact, [blocks][classes]: where in a plane of sparse the weights of a block's pixels begin, for every part of the keys
	entropy    []float64          // the cross-entropy of each pixel that has one
	classes    []class            // [groups][classes]
	images     int                // groups that take part
	labelError error              // the first bad label, where no pixel before it is bad

	maxWorkers int
	workers    []*worker // as many as there was work for
	task       func(l *Lovasz, w *worker, task int)
	tasks      int
	next       atomic.Int64 // the next task to take
	failed     atomic.Int64 // the first task known to have failed
	busy       atomic.Int32 // helpers that are not done
	wait       sync.WaitGroup
	perClass   []float64
	perImage   []float64
}

// NewLovasz returns a Lovasz for cfg, of which it keeps a copy. The error is ErrConfig.
func NewLovasz(cfg LovaszConfig) (*Lovasz, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg.OnlyClasses, cfg.SkipClasses = slices.Clone(cfg.OnlyClasses), slices.Clone(cfg.SkipClasses)
	cfg.VoidLabels, cfg.Weights = slices.Clone(cfg.VoidLabels), slices.Clone(cfg.Weights)
	l := &Lovasz{
		cfg:       cfg,
		averaged:  make([]bool, cfg.Classes),
		absentToo: cfg.Average == AllClasses || cfg.OnlyClasses != nil,
		weights:   make([]float64, cfg.Classes),
		targets:   newLabelMap(cfg, cfg.Classes),
		binary:    newLabelMap(cfg, 1),
		size:      min(max(16384/cfg.Classes, 64), 1024) &^ 63,
		perClass:  make([]float64, cfg.Classes),

		maxWorkers: cfg.Workers,
		workers:    []*worker{new(worker)},
	}
	l.everyPixel = make([]int32, l.size)
	for i := range l.everyPixel {
		l.everyPixel[i] = int32(i)
	}
	for _, c := range cfg.OnlyClasses {
		l.averaged[c] = true
	}
	for c := range l.averaged {
		l.averaged[c] = l.averaged[c] || cfg.OnlyClasses == nil
		l.weights[c] = 1
		if cfg.Weights != nil {
			l.weights[c] = float64(cfg.Weights[c])
		}
	}
	for _, c := range cfg.SkipClasses {
		l.averaged[c] = false
	}
	if l.maxWorkers == 0 {
		l.maxWorkers = runtime.GOMAXPROCS(0)
	}
	return l, nil
}

// maxClasses bounds what a bad number, or a few bytes that claim to be a LovaszCounts, can make NewLovasz allocate.
const maxClasses = 1 << 20

func (cfg *LovaszConfig) check() error {
	switch {
	case cfg.Classes < 1 || cfg.Classes > maxClasses:
		return errorf(ErrConfig, "Classes is %d, want 1 to %d", cfg.Classes, maxClasses)
	case cfg.Layout > ClassMajor:
		return errorf(ErrConfig, "unknown Layout %d", cfg.Layout)
	case cfg.Activation > NoActivation:
		return errorf(ErrConfig, "unknown Activation %d", cfg.Activation)
	case cfg.Average > AllClasses:
		return errorf(ErrConfig, "unknown Average %d", cfg.Average)
	case cfg.Void > AsBackground:
		return errorf(ErrConfig, "unknown VoidPolicy %d", cfg.Void)
	case cfg.Method > Binned:
		return errorf(ErrConfig, "unknown Method %d", cfg.Method)
	case cfg.Classes == 1 && cfg.Activation == SoftmaxActivation:
		return errorf(ErrConfig, "the softmax of one class is always 1: take SigmoidActivation, or two classes")
	case cfg.OnlyClasses != nil && len(cfg.OnlyClasses) == 0:
		return errorf(ErrConfig, "OnlyClasses is empty, want nil or class ids")
	case cfg.Weights != nil && len(cfg.Weights) != cfg.Classes:
		return errorf(ErrConfig, "%d Weights for %d classes", len(cfg.Weights), cfg.Classes)
	case !(cfg.CrossEntropy >= 0) || math.IsInf(cfg.CrossEntropy, 1):
		return errorf(ErrConfig, "CrossEntropy is %v, want a finite λ >= 0", cfg.CrossEntropy)
	case cfg.CrossEntropy > 0 && cfg.Activation == NoActivation:
		return errorf(ErrConfig, "CrossEntropy needs logits, not NoActivation")
	case cfg.Workers < 0:
		return errorf(ErrConfig, "Workers is %d", cfg.Workers)
	}
	if err := checkClassIDs("OnlyClasses", cfg.OnlyClasses, cfg.Classes); err != nil {
		return err
	}
	if err := checkClassIDs("SkipClasses", cfg.SkipClasses, cfg.Classes); err != nil {
		return err
	}
	var sum float64
	for c, w := range cfg.Weights {
		if !(w >= 0) || math.IsInf(float64(w), 1) {
			return errorf(ErrConfig, "the weight of class %d is %v", c, w)
		}
		sum += float64(w)
	}
	if cfg.Weights != nil && sum == 0 {
		return errorf(ErrConfig, "all Weights are 0")
	}
	return nil
}

func checkClassIDs(name string, ids []int, classes int) error {
	seen := make(map[int]bool, len(ids))
	for _, c := range ids {
		if c < 0 || c >= classes {
			return errorf(ErrConfig, "%s holds %d, which is outside [0, %d)", name, c, classes)
		}
		if seen[c] {
			return errorf(ErrConfig, "%s holds %d twice", name, c)
		}
		seen[c] = true
	}
	return nil
}

// input is the arguments of one call.
type input struct {
	grad, logits []float32
	labels       []int32
	targets      *labelMap
	images       int
	pixels       int  // of an image
	hinge        bool // the logits are scores
}

// A block is what a worker takes at a time: some pixels of one image.
type block struct {
	pixel, pixels     int // the first one, as index into the labels, and how many
	image             int
	group             int
	kept, keptN       int // where the pixels that take part stand among all that do, and how many
	entropy, entropyN int // likewise for those that have a cross-entropy
}

const blockSize = 1 << 13 // pixels

// A tile is the part of a block that a worker has in its cache.
type tile struct {
	block
	picked []int32 // the pixels that take part, as indices into the tile
}

// A group is the pixels of one loss: an image with PerImage, else all of them.
type group struct {
	firstBlock  int
	blocks      int
	kept, keptN int     // its pixels that take part
	planes      int     // where its planes begin
	stride      int     // how far they are apart
	entropyN    int     // those with a cross-entropy
	weight      float64 // Σ of the weights of the classes that it averages
	takesPart   bool
	lovasz      float64
	gap         float64
	entropy     float64 // the mean cross-entropy
}

// A class is what is known of one class in one group.
type class struct {
	foreground atomic.Int64  // G
	nearest    atomic.Uint32 // oneBits − the bits of the smallest error of foreground
	takesPart  bool
	ranges     ranges   // of its keys, with Exact
	table      binTable // with Binned
	loss, gap  float64
}

// Forward returns the loss of logits [images, pixels, classes], in the configured layout, and labels [images, pixels]; pixels is
// len(labels)/images. The errors are ErrShape, ErrLabel, ErrNotFinite and ErrRange; the first bad pixel in memory is named.
func (l *Lovasz) Forward(logits []float32, labels []int32, images int) (LovaszResult, error) {
	return l.run(nil, logits, labels, images)
}

// Backward does what Forward does, and writes d loss / d logits, in the logits' layout, to grad, which has their length and may be the
// same slice. After an error grad holds what it held before.
func (l *Lovasz) Backward(grad, logits []float32, labels []int32, images int) (LovaszResult, error) {
	if err := checkGradient(grad, logits, "logits"); err != nil {
		return LovaszResult{}, err
	}
	return l.run(grad, logits, labels, images)
}

// run is the algorithm: the probabilities, the weights of every class's errors in descending order, the losses, and the gradient.
func (l *Lovasz) run(grad, logits []float32, labels []int32, images int) (LovaszResult, error) {
	defer l.end()
	if err := l.begin(grad, logits, labels, images); err != nil {
		return LovaszResult{}, err
	}
	l.each(len(l.classes), (*Lovasz).weigh)
	r := l.result()
	if grad != nil {
		l.each(len(l.blocks), (*Lovasz).gradient)
	}
	return r, nil
}

// begin checks the arguments, divides the pixels into groups and blocks, and finds their probabilities.
func (l *Lovasz) begin(grad, logits []float32, labels []int32, images int) error {
	if err := l.divide(input{grad: grad, logits: logits, labels: labels, images: images}, &l.targets); err != nil {
		return err
	}
	for g := range l.groups {
		group := &l.groups[g]
		for c := range l.cfg.Classes {
			class := &l.classes[g*l.cfg.Classes+c]
			class.takesPart = l.averaged[c] && group.keptN > 0 && (class.foreground.Load() > 0 || l.absentToo)
			if class.takesPart {
				group.weight += l.weights[c]
			}
		}
		group.takesPart = group.weight > 0 || l.cfg.CrossEntropy > 0 && group.entropyN > 0
		if group.takesPart {
			l.images++
		}
	}
	planes := l.layPlanes()
	l.probs = resize(l.probs, planes)
	if grad != nil {
		l.sparse = resize(l.sparse, planes+padding)
		if l.cfg.Method == Exact {
			l.cursors = resize(l.cursors, len(l.blocks)*l.cfg.Classes)
		}
	}
	if l.cfg.CrossEntropy > 0 {
		entropies := 0
		for _, g := range l.groups {
			entropies += g.entropyN
		}
		l.entropy = resize(l.entropy, entropies)
	}
	return l.tryBlocks((*Lovasz).probabilities)
}

func checkGradient(grad, logits []float32, name string) error {
	if grad == nil || len(grad) != len(logits) {
		return errorf(ErrShape, "grad holds %d values, %s %d", len(grad), name, len(logits))
	}
	if unsafe.SliceData(grad) != unsafe.SliceData(logits) && overlap(grad, logits) {
		return errorf(ErrShape, "grad overlaps %s, and is not the same slice", name)
	}
	return nil
}

// layPlanes gives every group its planes, and returns how long they are together.
func (l *Lovasz) layPlanes() int {
	length := 0
	for g := range l.groups {
		group := &l.groups[g]
		group.stride = (group.keptN + 15) &^ 15
		if group.stride%1024 == 0 {
			group.stride += 16 // planes a multiple of the page size apart would share the sets of the cache
		}
		group.planes = length
		length += group.stride * l.cfg.Classes
	}
	return length
}

// end lets go of the caller's slices.
func (l *Lovasz) end() { l.in = input{} }

// weigh finds the weights of one class of one group, and the class's loss.
func (l *Lovasz) weigh(w *worker, task int) {
	class := &l.classes[task]
	if !class.takesPart {
		return
	}
	g, c := task/l.cfg.Classes, task%l.cfg.Classes
	group, foreground := &l.groups[g], class.foreground.Load()
	probs := l.probs[group.planes+c*group.stride:][:group.keptN]
	from := class.smallest()
	if foreground == 0 {
		from = math.Float32bits(l.largest(g, c))
	}
	if l.cfg.Method == Exact {
		w.exact.restart(&w.keys, probs, from, foreground)
		l.split(&w.keys, g, c)
		class.ranges = w.keys.ranges
		class.loss = w.exact.weigh(&w.keys, foreground, l.sparseOf(g, c))
		return
	}
	lowest := binOf(from)
	w.binned.bins.clear(lowest)
	l.countErrors(w, w.binned.bins, g, c, lowest)
	class.loss, class.gap = l.weighBins(w, w.binned.bins, g, c, lowest)
}

// largest returns the largest probability of one class of one group.
func (l *Lovasz) largest(g, c int) float32 {
	var p float32
	group := &l.groups[g]
	for i := range group.blocks {
		if plane := l.plane(&l.blocks[group.firstBlock+i], c); len(plane) > 0 {
			p = max(p, largest(active, plane))
		}
	}
	return p
}

// split takes the keys of one class of one group, and where a gradient is wanted notes where those of every block begin.
func (l *Lovasz) split(keys *keyLists, g, c int) {
	group := &l.groups[g]
	keys.reserve(group.keptN)
	for i := range group.blocks {
		i += group.firstBlock
		if l.in.grad != nil {
			l.cursors[i*l.cfg.Classes+c] = keys.n
		}
		keys.split(active, l.plane(&l.blocks[i], c))
	}
	if l.in.grad == nil {
		return
	}
	for i := range group.blocks { // the parts lie one after the other
		cursor := &l.cursors[(group.firstBlock+i)*l.cfg.Classes+c]
		begin := uint32(0)
		for t := range keys.parts {
			cursor[t] += begin
			begin += keys.n[t]
		}
	}
}

// sparseOf returns the place for the weights of one class of one group, nil where there is no gradient.
func (l *Lovasz) sparseOf(g, c int) []float32 {
	if l.in.grad == nil {
		return nil
	}
	group := &l.groups[g]
	return l.sparse[group.planes+c*group.stride:]
}

// result adds up what the classes and groups have.
func (l *Lovasz) result() LovaszResult {
	classes := l.cfg.Classes
	entropies := l.entropy
	for g := range l.groups {
		group := &l.groups[g]
		for c := range classes {
			class := &l.classes[g*classes+c]
			if class.takesPart && group.weight > 0 {
				group.lovasz += float64(l.weights[c] * class.loss)
				group.gap += float64(l.weights[c] * class.gap)
			}
		}
		if group.weight > 0 {
			group.lovasz /= group.weight
			group.gap /= group.weight
		}
		if l.cfg.CrossEntropy > 0 && group.entropyN > 0 {
			group.entropy = sumPieces(active, entropies[:group.entropyN]) / l.entropyTerms(group)
			entropies = entropies[group.entropyN:]
		}
	}
	r := l.meanOfGroups()
	r.PerClass = l.perClass
	r.Loss = r.Lovasz + float64(l.cfg.CrossEntropy*r.CrossEntropy)
	for c := range r.PerClass {
		var sum float64
		n := 0
		for g := range l.groups {
			if class := &l.classes[g*classes+c]; class.takesPart {
				sum += class.loss
				n++
			}
		}
		r.PerClass[c] = sum / float64(n) // NaN without any
	}
	return r
}

// meanOfGroups returns the means over the groups that take part, and with PerImage the loss of each.
func (l *Lovasz) meanOfGroups() LovaszResult {
	var r LovaszResult
	if l.cfg.PerImage {
		l.perImage = resize(l.perImage, len(l.groups))
		r.PerImage = l.perImage
	}
	for g := range l.groups {
		group := &l.groups[g]
		if group.takesPart {
			r.Lovasz += group.lovasz
			r.Gap += group.gap
			r.CrossEntropy += group.entropy
		}
		if r.PerImage != nil {
			r.PerImage[g] = math.NaN()
			if group.takesPart {
				r.PerImage[g] = group.lovasz
			}
		}
	}
	if l.images > 1 {
		r.Lovasz /= float64(l.images)
		r.Gap /= float64(l.images)
		r.CrossEntropy /= float64(l.images)
	}
	return r
}

// entropyTerms is how many terms a group's mean cross-entropy has.
func (l *Lovasz) entropyTerms(g *group) float64 {
	if l.cfg.Activation == SigmoidActivation {
		return float64(g.entropyN) * float64(l.cfg.Classes)
	}
	return float64(g.entropyN)
}
