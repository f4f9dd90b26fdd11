package lanewise

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
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
// It keeps its scratch from call to call: 4 bytes a logit, 8 with a gradient, 4 a pixel (12 with cross-entropy), and for every worker some 8
// bytes a pixel with Exact (at most 27, where all errors crowd together; 20 in plain Go), or 4 bytes a pixel and 1 MB with Binned.
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
	sparse     []float32          // likewise, the weights of the pixels that have one, one after the other
	cursors    [][maxParts]uint32 // [blocks][classes] where in a plane of sparse the weights of a block's pixels begin, for every part of the keys
	entropy    []float64          // the cross-entropy of each pixel that has one
	classes    []class            // [groups][classes]
	images     int                // groups that take part
	labelError error              // the first bad label, where no pixel before it is bad

	maxWorkers int
	workers    []*worker    // as many as there was work for
	next       atomic.Int64 // the next task to take
	failed     atomic.Int64 // the first task known to have failed
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

// What a label stands for, where it is not a class.
const (
	background     int32 = -1 - iota // of the one class of a binary mask
	voidBackground                   // void, and background for every class
	dropped                          // void, takes no part
	unknown                          // an error
)

// A labelMap says what labels stand for.
type labelMap struct {
	classes int
	of      []int32         // the labels from 0 on
	other   map[int32]int32 // void labels that are not in of
}

func newLabelMap(cfg LovaszConfig, classes int) labelMap {
	m := labelMap{classes: classes, of: make([]int32, max(classes, 256)), other: map[int32]int32{}}
	for i := range m.of {
		switch {
		case classes == 1 && i < 2:
			m.of[i] = [2]int32{background, 0}[i]
		case i < classes:
			m.of[i] = int32(i)
		default:
			m.of[i] = unknown
		}
	}
	void := dropped
	if cfg.Void == AsBackground {
		void = voidBackground
	}
	for _, label := range cfg.VoidLabels {
		if label >= 0 && int(label) < len(m.of) {
			m.of[label] = void
		} else {
			m.other[label] = void
		}
	}
	return m
}

func (m *labelMap) target(label int32) int32 {
	if uint(label) < uint(len(m.of)) {
		return m.of[label]
	}
	if void, ok := m.other[label]; ok {
		return void
	}
	return unknown
}

func (m *labelMap) errorAt(pixel int, label int32) error {
	if m.classes == 1 {
		return pixelErrorf(ErrLabel, pixel, -1, "label %d at pixel %d is neither 0 nor 1, and not in VoidLabels", label, pixel)
	}
	return pixelErrorf(ErrLabel, pixel, -1, "label %d at pixel %d is outside [0, %d) and not in VoidLabels", label, pixel, m.classes)
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
	ranges     ranges // of its keys
	loss, gap  float64
}

// A worker is the scratch of one goroutine.
type worker struct {
	dprobs   []float32          // [classes][size] the gradient by the probabilities
	grads    []float32          // [classes][size] by the logits
	exp      []float32          // [classes][size] exp(−|x|), of sigmoids
	max, sum []float32          // [size]
	picked   []int32            // [size] the pixels of a tile that take part
	counts   []int32            // [classes] a block's pixels
	cursors  [][maxParts]uint32 // [classes] how far a block's weights are read
	keys     keyLists
	exact    exactScratch
	binned   binnedScratch
	err      error // why its last task failed
	failed   int64 // and which one that was
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

// begin checks the shapes and the labels, and divides the pixels into groups and blocks.
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
		l.cursors = resize(l.cursors, len(l.blocks)*l.cfg.Classes)
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

// maxEmptyImages is how many images a call may have that has no pixels: a bad number must not cost memory or time.
const maxEmptyImages = 1 << 16

// divide checks the shapes and the labels, and cuts the pixels into groups and blocks.
func (l *Lovasz) divide(in input, labels *labelMap) error {
	if in.images < 1 {
		return errorf(ErrShape, "images is %d, want at least 1", in.images)
	}
	if in.images > max(len(in.labels), maxEmptyImages) {
		return errorf(ErrShape, "%d images of %d labels", in.images, len(in.labels))
	}
	if len(in.labels)%in.images != 0 {
		return errorf(ErrShape, "%d labels do not divide into %d images", len(in.labels), in.images)
	}
	in.pixels = len(in.labels) / in.images
	if hi, want := bits.Mul64(uint64(len(in.labels)), uint64(labels.classes)); hi != 0 || want != uint64(len(in.logits)) {
		if in.hinge {
			return errorf(ErrShape, "scores hold %d values, want %d images × %d pixels", len(in.logits), in.images, in.pixels)
		}
		return errorf(ErrShape, "logits hold %d values, want %d images × %d pixels × %d classes", len(in.logits), in.images, in.pixels, labels.classes)
	}
	if len(in.labels) > math.MaxInt32 {
		return errorf(ErrShape, "%d pixels in one call, want at most 2³¹ − 1", len(in.labels))
	}
	if !l.cfg.PerImage && (l.cfg.Layout == PixelMajor || in.hinge) {
		in.images, in.pixels = 1, len(in.labels) // their pixels follow each other
	}
	in.targets = labels
	l.in = in
	l.blocks, l.target, l.images = l.blocks[:0], resize(l.target, len(in.labels)), 0
	groups := 1
	if l.cfg.PerImage {
		groups = in.images
	}
	l.groups = resize(l.groups, groups)
	l.classes = resize(l.classes, groups*labels.classes)
	clear(l.groups)
	clear(l.classes)
	for image := range in.images {
		g := 0
		if l.cfg.PerImage {
			g = image
		}
		for i := 0; i < in.pixels; i += blockSize {
			l.blocks = append(l.blocks, block{pixel: image*in.pixels + i, pixels: min(blockSize, in.pixels-i), image: image, group: g})
		}
	}
	l.labelError = l.try(len(l.blocks), (*Lovasz).readLabels)
	l.keep()
	return nil
}

// readLabels writes the targets of a block's pixels that take part to where the block begins in l.target, and counts them.
func (l *Lovasz) readLabels(w *worker, task int) {
	b, labels := &l.blocks[task], l.in.targets
	w.counts = resize(w.counts, labels.classes)
	counts, target := w.counts, l.target[b.pixel:][:b.pixels]
	clear(counts)
	kept := 0
	for i, label := range l.in.labels[b.pixel:][:b.pixels] {
		t := labels.target(label)
		switch {
		case t >= 0:
			counts[t]++
		case t == dropped:
			continue
		case t == voidBackground:
			b.entropyN--
		case t == unknown:
			w.err = labels.errorAt(b.pixel+i, label)
			b.pixels = i
		}
		if w.err != nil {
			break
		}
		target[kept] = t
		kept++
	}
	b.keptN = kept
	b.entropyN += kept
	classes := l.classes[b.group*labels.classes:]
	for c, n := range counts {
		if n > 0 {
			classes[c].foreground.Add(int64(n))
		}
	}
}

// keep lays the targets of all blocks side by side, and tells the groups what is theirs. After a bad label only the pixels before it
// are left: one of them may have a bad logit, which is then to be named.
func (l *Lovasz) keep() {
	kept, entropy := 0, 0
	for i := range l.blocks {
		b := &l.blocks[i]
		if l.labelError != nil && b.pixel > l.labelError.(*PixelError).Pixel {
			l.blocks = l.blocks[:i]
			break
		}
		g := &l.groups[b.group]
		if g.blocks == 0 {
			g.firstBlock, g.kept = i, kept
		}
		g.blocks++
		if kept < b.pixel {
			copy(l.target[kept:], l.target[b.pixel:][:b.keptN])
		}
		b.kept, b.entropy = kept, entropy
		g.keptN += b.keptN
		g.entropyN += b.entropyN
		kept += b.keptN
		entropy += b.entropyN
	}
	l.target = l.target[:kept]
}

// end lets go of the caller's slices.
func (l *Lovasz) end() { l.in = input{} }

// tryBlocks calls f for every block, and returns the error of the first bad pixel.
func (l *Lovasz) tryBlocks(f func(l *Lovasz, w *worker, task int)) error {
	if err := l.try(len(l.blocks), f); err != nil {
		return err
	}
	return l.labelError
}

// tile cuts a tile off what is left of a block.
func (l *Lovasz) tile(w *worker, rest *block) tile {
	w.resize(l.cfg.Classes, l.size)
	t := tile{block: *rest}
	t.pixels = min(l.size, rest.pixels)
	if rest.keptN == rest.pixels {
		t.picked = l.everyPixel[:t.pixels]
	} else {
		t.picked = w.picked[:0]
		for i, label := range l.in.labels[t.pixel:][:t.pixels] {
			if l.targets.target(label) != dropped {
				t.picked = append(t.picked, int32(i))
			}
		}
	}
	t.keptN, t.entropyN = len(t.picked), 0
	if l.cfg.CrossEntropy > 0 {
		for _, target := range l.targetOf(&t) {
			if target != voidBackground {
				t.entropyN++
			}
		}
	}
	rest.pixel, rest.pixels = rest.pixel+t.pixels, rest.pixels-t.pixels
	rest.kept, rest.keptN = rest.kept+t.keptN, rest.keptN-t.keptN
	rest.entropy, rest.entropyN = rest.entropy+t.entropyN, rest.entropyN-t.entropyN
	return t
}

// targetOf returns the targets of the pixels of a tile that take part.
func (l *Lovasz) targetOf(t *tile) []int32 { return l.target[t.kept:][:t.keptN] }

// probabilities finds the signed probabilities of a block's pixels, the foreground that is nearest to being right, and the cross-entropies.
func (l *Lovasz) probabilities(w *worker, task int) {
	for rest := l.blocks[task]; rest.pixels > 0; {
		t := l.tile(w, &rest)
		if w.err = l.activate(w, &t); w.err != nil {
			return
		}
		if l.cfg.CrossEntropy > 0 {
			l.tileEntropy(w, &t)
		}
		l.mark(&t)
	}
}

// mark negates the probabilities that the tile's pixels have in their own classes, and tells these of their foreground.
func (l *Lovasz) mark(t *tile) {
	probs, stride, classes := l.planesOf(t), l.groups[t.group].stride, l.classes[t.group*l.cfg.Classes:][:l.cfg.Classes]
	for i, c := range l.targetOf(t) {
		if c >= 0 {
			p := &probs[int(c)*stride+i]
			*p = -*p
			if e := oneBits - math.Float32bits(1+*p); e > classes[c].nearest.Load() {
				classes[c].see(e)
			}
		}
	}
}

// unmark makes all probabilities positive again.
func (l *Lovasz) unmark(t *tile) {
	probs, stride := l.planesOf(t), l.groups[t.group].stride
	for i, c := range l.targetOf(t) {
		if c >= 0 {
			p := &probs[int(c)*stride+i]
			*p = -*p
		}
	}
}

// see makes the class's nearest foreground this near, if it is not nearer.
func (c *class) see(near uint32) {
	for nearest := c.nearest.Load(); near > nearest; nearest = c.nearest.Load() {
		c.nearest.CompareAndSwap(nearest, near)
	}
}

// smallest is the bits of the smallest error of foreground.
func (c *class) smallest() uint32 { return oneBits - c.nearest.Load() }

// planesOf returns the planes of a tile's pixels in l.probs; they are the group's stride apart.
func (l *Lovasz) planesOf(t *tile) []float32 {
	group := &l.groups[t.group]
	return l.probs[group.planes+t.kept-group.kept:]
}

// plane returns one plane of the pixels of a block.
func (l *Lovasz) plane(b *block, c int) []float32 {
	group := &l.groups[b.group]
	return l.probs[group.planes+c*group.stride+b.kept-group.kept:][:b.keptN]
}

// activate writes the probabilities of the tile's pixels that take part to l.probs, and where they come from a softmax the largest logit
// and Σ exp(x − max) to w.max and w.sum, from a sigmoid exp(−|x|) to w.exp. The error is that of the first bad pixel.
func (l *Lovasz) activate(w *worker, t *tile) error {
	classes, n, stride := l.cfg.Classes, t.keptN, l.groups[t.group].stride
	probs := l.planesOf(t)
	src, srcStride := w.dprobs, l.size
	if l.cfg.Layout == ClassMajor && n == t.pixels {
		src, srcStride = l.in.logits[l.logit(t.pixel, &t.block, 0):], l.in.pixels
	} else {
		l.gather(src, srcStride, t)
	}
	bad := -1
	switch l.cfg.Activation {
	case SoftmaxActivation:
		columnSoftmax(table[float32](), probs, src, w.max, w.sum, classes, n, stride, srcStride)
		if sums := w.sum[:n]; n > 0 && math.IsNaN(float64(table[float32]().sum(sums))) {
			bad = slices.IndexFunc(sums, func(s float32) bool { return s != s })
		}
		if l.cfg.CrossEntropy > 0 {
			if i := l.firstMinusInf(t); i >= 0 && (bad < 0 || i < bad) {
				bad = i
			}
		}
	case SigmoidActivation:
		bad = sigmoidPlanes(probs, w.exp, src, classes, n, stride, l.size, srcStride, l.cfg.CrossEntropy > 0)
	case NoActivation:
		bad = clampPlanes(probs, src, classes, n, stride, srcStride)
	}
	if bad < 0 {
		return nil
	}
	return l.pixelError(&t.block, t.pixel+int(t.picked[bad]), l.target[t.kept+bad])
}

// sigmoidPlanes writes the sigmoid of src to probs, and exp(−|x|), which it is made of, to exps. It returns the first column with a NaN (if
// finite is asked for: with an infinity, too), or −1. src may be probs.
func sigmoidPlanes(probs, exps, src []float32, planes, n, stride, expStride, srcStride int, finite bool) int {
	bad := n
	for k := range planes {
		x, p, e := src[k*srcStride:][:n], probs[k*stride:][:n], exps[k*expStride:][:n]
		for i, v := range x {
			if !(v-v == 0) && (finite || v != v) {
				bad = min(bad, i)
			}
			e[i] = -float32(math.Abs(float64(v)))
		}
		exp(e, e, 0)
		for i, v := range x {
			if v >= 0 {
				p[i] = 1 / (1 + e[i])
			} else {
				p[i] = e[i] / (1 + e[i])
			}
		}
	}
	if bad == n {
		return -1
	}
	return bad
}

// clampPlanes writes probabilities clamped to [0, 1] to probs. It returns the first column with one that is none, or −1. src may be probs.
func clampPlanes(probs, src []float32, planes, n, stride, srcStride int) int {
	bad := n
	for k := range planes {
		p := probs[k*stride:][:n]
		for i, v := range src[k*srcStride:][:n] {
			if !probable(v) {
				bad = min(bad, i)
			}
			p[i] = min(max(v, 0), 1)
		}
	}
	if bad == n {
		return -1
	}
	return bad
}

// probable says whether p is in [0, 1], or off by no more than what rounding does.
func probable(p float32) bool { return float64(p) >= -1e-6 && float64(p) <= 1+1e-6 }

// firstMinusInf returns which pixel of the tile is the first to have a logit of −Inf at its own label, or −1.
func (l *Lovasz) firstMinusInf(t *tile) int {
	for i, c := range l.targetOf(t) {
		if c >= 0 && math.IsInf(float64(l.in.logits[l.logit(t.pixel+int(t.picked[i]), &t.block, int(c))]), -1) {
			return i
		}
	}
	return -1
}

// logit returns where a logit stands.
func (l *Lovasz) logit(pixel int, b *block, class int) int {
	if l.cfg.Layout == ClassMajor {
		return b.image*l.in.pixels*l.cfg.Classes + class*l.in.pixels + pixel - b.image*l.in.pixels
	}
	return pixel*l.cfg.Classes + class
}

// gather copies the logits of the picked pixels of a tile to planes.
func (l *Lovasz) gather(planes []float32, stride int, t *tile) {
	if l.cfg.Layout == ClassMajor {
		for c := range l.cfg.Classes {
			x := l.in.logits[l.logit(t.pixel, &t.block, c):]
			plane := planes[c*stride:][:len(t.picked)]
			for i, p := range t.picked {
				plane[i] = x[p]
			}
		}
		return
	}
	if len(t.picked) == t.pixels {
		table[float32]().transpose(planes, l.in.logits[l.logit(t.pixel, &t.block, 0):], t.pixels, l.cfg.Classes, stride, l.cfg.Classes)
		return
	}
	for i, p := range t.picked {
		for c, x := range l.in.logits[l.logit(t.pixel+int(p), &t.block, 0):][:l.cfg.Classes] {
			planes[c*stride+i] = x
		}
	}
}

// pixelError says what is wrong with the logits of a pixel.
func (l *Lovasz) pixelError(b *block, pixel int, target int32) error {
	for c := range l.cfg.Classes {
		x := float64(l.in.logits[l.logit(pixel, b, c)])
		switch {
		case l.cfg.Activation == NoActivation:
			if x != x {
				return pixelErrorf(ErrNotFinite, pixel, c, "probability of pixel %d, class %d is NaN", pixel, c)
			}
			if !probable(float32(x)) {
				return pixelErrorf(ErrRange, pixel, c, "probability of pixel %d, class %d is %v, outside [0, 1]", pixel, c, float32(x))
			}
		case x != x:
			return pixelErrorf(ErrNotFinite, pixel, c, "logit of pixel %d, class %d is NaN", pixel, c)
		case math.IsInf(x, 1) && (l.cfg.Activation == SoftmaxActivation || l.cfg.CrossEntropy > 0):
			return pixelErrorf(ErrNotFinite, pixel, c, "logit of pixel %d, class %d is +Inf", pixel, c)
		case math.IsInf(x, -1) && l.cfg.CrossEntropy > 0 && (int32(c) == target || l.cfg.Activation == SigmoidActivation):
			return pixelErrorf(ErrNotFinite, pixel, c, "logit of pixel %d, class %d is -Inf: its cross-entropy is infinite", pixel, c)
		}
	}
	return pixelErrorf(ErrNotFinite, pixel, 0, "logits of pixel %d are all -Inf, from class 0 on", pixel)
}

// tileEntropy computes the cross-entropies of a tile's pixels.
func (l *Lovasz) tileEntropy(w *worker, t *tile) {
	at := t.entropy
	for i, own := range l.targetOf(t) {
		if own == voidBackground {
			continue
		}
		pixel := t.pixel + int(t.picked[i])
		var h float64
		if l.cfg.Activation == SoftmaxActivation {
			x := l.in.logits[l.logit(pixel, &t.block, int(own))]
			h = float64(float32(log(float64(w.sum[i]))) - (x - w.max[i]))
		} else {
			for c := range l.cfg.Classes {
				x := float64(l.in.logits[l.logit(pixel, &t.block, c)])
				if int32(c) == own {
					h += max(-x, 0)
				} else {
					h += max(x, 0)
				}
				h += log(1 + float64(w.exp[c*l.size+i]))
			}
		}
		l.entropy[at] = h
		at++
	}
}

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
	} else {
		w.keys.restart(binFloor(from))
	}
	l.split(&w.keys, g, c)
	class.ranges = w.keys.ranges
	weights := l.sparseOf(g, c)
	if l.cfg.Method == Exact {
		class.loss = w.exact.weigh(&w.keys, foreground, weights)
	} else {
		class.loss, class.gap = w.binned.weigh(w.keys.all(), foreground, weights)
	}
}

// largest returns the largest probability of one class of one group.
func (l *Lovasz) largest(g, c int) float32 {
	var p float32
	group := &l.groups[g]
	for i := range group.blocks {
		if plane := l.plane(&l.blocks[group.firstBlock+i], c); len(plane) > 0 {
			p = max(p, table[float32]().max(plane))
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
		keys.split(active.sparse, l.plane(&l.blocks[i], c))
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
			group.entropy = sumPieces(table[float64](), entropies[:group.entropyN]) / l.entropyTerms(group)
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

// gradient writes the gradient of a block's pixels.
func (l *Lovasz) gradient(w *worker, task int) {
	w.cursors = append(w.cursors[:0], l.cursors[task*l.cfg.Classes:][:l.cfg.Classes]...)
	for rest := l.blocks[task]; rest.pixels > 0; {
		t := l.tile(w, &rest)
		if l.cfg.Layout == ClassMajor && t.keptN == t.pixels {
			l.tileGradient(w, &t, l.in.grad[l.logit(t.pixel, &t.block, 0):], l.in.pixels)
		} else {
			l.tileGradient(w, &t, w.grads, l.size)
			l.scatter(w, &t)
		}
	}
}

// tileGradient writes the gradient of the tile's pixels that take part, plane by plane.
func (l *Lovasz) tileGradient(w *worker, t *tile, dst []float32, stride int) {
	group := &l.groups[t.group]
	classes, n := l.cfg.Classes, t.keptN
	if l.cfg.Activation == SigmoidActivation {
		l.activate(w, t) // for exp(−|x|), before the logits may be overwritten
		l.mark(t)
	}
	for c := range classes {
		v, class := w.dprobs[c*l.size:][:n], &l.classes[t.group*classes+c]
		if !class.takesPart || group.weight == 0 {
			clear(v)
			continue
		}
		share := float32(l.weights[c] / group.weight / float64(l.images))
		class.ranges.expand(active.sparse, v, l.plane(&t.block, c), l.sparseOf(t.group, c), &w.cursors[c], share)
	}
	l.unmark(t)
	switch l.cfg.Activation {
	case SoftmaxActivation:
		columnSoftmaxGrad(table[float32](), dst, l.planesOf(t), w.dprobs, classes, n, stride, group.stride, l.size)
	case SigmoidActivation:
		for c := range classes {
			v, e, grad := w.dprobs[c*l.size:][:n], w.exp[c*l.size:][:n], dst[c*stride:][:n]
			for i, e := range e {
				grad[i] = (1 / (1 + e)) * (e / (1 + e)) * v[i]
			}
		}
	case NoActivation:
		for c := range classes {
			copy(dst[c*stride:][:n], w.dprobs[c*l.size:])
		}
	}
	if l.cfg.CrossEntropy == 0 {
		return
	}
	share := float32(l.cfg.CrossEntropy / l.entropyTerms(group) / float64(l.images))
	for c := range classes {
		p, grad := l.plane(&t.block, c), dst[c*stride:][:n]
		for i, own := range l.targetOf(t) {
			if own == voidBackground {
				continue
			}
			d := p[i]
			if own == int32(c) {
				d -= 1
			}
			grad[i] += float32(share * d)
		}
	}
}

// scatter writes w.grads to the gradient, and 0 for the pixels that take no part.
func (l *Lovasz) scatter(w *worker, t *tile) {
	size, classes := l.size, l.cfg.Classes
	if l.cfg.Layout == ClassMajor {
		for c := range classes {
			grad := l.in.grad[l.logit(t.pixel, &t.block, c):][:t.pixels]
			clear(grad)
			for i, p := range t.picked {
				grad[p] = w.grads[c*size+i]
			}
		}
		return
	}
	grad := l.in.grad[l.logit(t.pixel, &t.block, 0):][:t.pixels*classes]
	if len(t.picked) == t.pixels {
		table[float32]().transpose(grad, w.grads, classes, t.pixels, classes, size)
		return
	}
	clear(grad)
	for i, p := range t.picked {
		row := grad[int(p)*classes:][:classes]
		for c := range row {
			row[c] = w.grads[c*size+i]
		}
	}
}

// each calls f for every task, on all workers.
func (l *Lovasz) each(tasks int, f func(l *Lovasz, w *worker, task int)) {
	l.try(tasks, f)
}

// try calls f for every task in order, on all workers, until one leaves an error in its worker; it returns the first task's.
func (l *Lovasz) try(tasks int, f func(l *Lovasz, w *worker, task int)) error {
	l.next.Store(0)
	l.failed.Store(math.MaxInt64)
	for len(l.workers) < min(l.maxWorkers, tasks) {
		l.workers = append(l.workers, new(worker))
	}
	for _, w := range l.workers {
		w.failed, w.err = math.MaxInt64, nil
	}
	for i := 1; i < min(len(l.workers), tasks); i++ {
		l.wait.Go(func() { l.work(l.workers[i], tasks, f) })
	}
	l.work(l.workers[0], tasks, f)
	l.wait.Wait()
	first := l.workers[0]
	for _, w := range l.workers {
		if w.failed < first.failed {
			first = w
		}
	}
	return first.err
}

func (l *Lovasz) work(w *worker, tasks int, f func(l *Lovasz, w *worker, task int)) {
	for {
		// Tasks are taken in order, so those before one that failed are done, or being done.
		task := l.next.Add(1) - 1
		if task >= int64(tasks) || task > l.failed.Load() {
			return
		}
		if f(l, w, int(task)); w.err != nil {
			w.failed = task
			l.failed.Store(min(task, l.failed.Load()))
			return
		}
	}
}

func (w *worker) resize(classes, size int) {
	if w.grads == nil {
		w.dprobs, w.grads, w.exp = make([]float32, classes*size), make([]float32, classes*size), make([]float32, classes*size)
		w.max, w.sum, w.picked = make([]float32, size), make([]float32, size), make([]int32, size)
	}
}

// resize returns s with length n, and anything in it.
func resize[E any](s []E, n int) []E { return slices.Grow(s[:0], n)[:n] }
