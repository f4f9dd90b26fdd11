package lanewise

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"
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
	CrossEntropy float64    // λ >= 0: adds λ times the mean cross-entropy (sigmoid: binary, of the classes too) of pixels that are not void
	PerImage     bool       // the loss of every image, then their mean; false: all pixels of the batch together
	Method       Method     // Exact (default) or Binned
	Workers      int        // goroutines per call, GOMAXPROCS at most; 0: as many; 1: all on the caller's. Results do not depend on it

	// The cross-entropy's own weights and smoothing, by the conventions of torch.nn.CrossEntropyLoss; both need CrossEntropy > 0. With
	// sigmoids a weight is that of the class's binary cross-entropies, and the smoothed labels are ε/2 and 1 − ε/2.
	CrossEntropyWeights []float32 // per class, nil: all 1; the mean is weighted by each pixel's label, with sigmoids by each term's class
	LabelSmoothing      float64   // ε in [0, 1): how much of each label is spread over all classes
}

// LovaszResult is what a Lovasz returns.
type LovaszResult struct {
	Loss         float64   // Lovasz + λ · CrossEntropy; 0 where there is no pixel or no class to average
	Lovasz       float64   // the (weighted) mean of the class losses
	CrossEntropy float64   // the mean cross-entropy; 0 where λ is 0
	Gap          float64   // the Lovasz of the float32 errors is in [Lovasz, Lovasz+Gap], proved from the counts; 0 with Exact (within 1e-7)
	PerClass     []float64 // [classes], NaN for one that took no part; with PerImage its mean where it did; valid until the next call
	PerImage     []float64 // [images] with PerImage, else nil: each one's Lovasz, NaN for one that took no part; valid until the next call
}

// Clone returns a result with slices of its own, which later calls leave alone.
func (r LovaszResult) Clone() LovaszResult {
	r.PerClass, r.PerImage = slices.Clone(r.PerClass), slices.Clone(r.PerImage)
	return r
}

// What errors.Is finds in the errors of this package.
var (
	ErrShape     = errors.New("lanewise: lengths do not fit")
	ErrLabel     = errors.New("lanewise: label outside the classes")
	ErrNotFinite = errors.New("lanewise: not finite")
	ErrRange     = errors.New("lanewise: probability outside [0, 1]")
	ErrConfig    = errors.New("lanewise: bad configuration")
	ErrFormat    = errors.New("lanewise: bad encoding")
)

// A PixelError says where in the input an error was found.
type PixelError struct {
	Pixel int   // index into the labels
	Class int   // −1 where the error is the label's
	Err   error // ErrShape, ErrLabel, ErrNotFinite or ErrRange
	text  string
}

// Error returns the text that the package has for it, or one made of the fields where a test has built it.
func (e *PixelError) Error() string {
	if e.text != "" {
		return "lanewise: " + e.text
	}
	text := fmt.Sprintf("lanewise: pixel %d", e.Pixel)
	if e.Class >= 0 {
		text += fmt.Sprintf(", class %d", e.Class)
	}
	if e.Err != nil {
		text += ": " + strings.TrimPrefix(e.Err.Error(), "lanewise: ")
	}
	return text
}

// Unwrap returns Err.
func (e *PixelError) Unwrap() error { return e.Err }

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
	return &PixelError{pixel, class, kind, fmt.Sprintf(format, args...)}
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
// safe for concurrent use: have one per goroutine. A method called while another goroutine is in one panics.
//
// It keeps its scratch from call to call, until Release: 4 bytes a logit, 8 with a gradient, 4 a pixel (12 with cross-entropy, and 8 more
// with the gradient of a softmax). With Exact a gradient takes 4 bytes a class more for every 8,192 pixels (32 where a loss has more than
// 150,000), and every worker some 8 bytes a pixel (at most 27, where all errors crowd together; 20 in plain Go); with Binned every worker
// takes at most 1.6 MB. What is known of every image and class takes less than a quarter of the logits, or 1 MB.
type Lovasz struct {
	inUse
	plan   *plan // nil: no configuration
	hinges *plan // of Hinge
	call   call
	sum    lossSum
}

// NewLovasz returns a Lovasz for cfg, of which it keeps a copy. The error is ErrConfig.
func NewLovasz(cfg LovaszConfig) (*Lovasz, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	l := &Lovasz{plan: newPlan(cfg.clone())}
	l.hinges = l.plan.hinge()
	l.call.maxWorkers = cfg.workers()
	return l, nil
}

// clone returns a configuration with slices of its own.
func (cfg LovaszConfig) clone() LovaszConfig {
	cfg.OnlyClasses, cfg.SkipClasses = slices.Clone(cfg.OnlyClasses), slices.Clone(cfg.SkipClasses)
	cfg.VoidLabels, cfg.Weights, cfg.CrossEntropyWeights = slices.Clone(cfg.VoidLabels), slices.Clone(cfg.Weights),
		slices.Clone(cfg.CrossEntropyWeights)
	return cfg
}

// workers returns how many a call has at most; that GOMAXPROCS has a say too, each call sees by itself.
func (cfg *LovaszConfig) workers() int {
	if cfg.Workers == 0 {
		return math.MaxInt
	}
	return cfg.Workers
}

// maxClasses bounds what a bad number, or a few bytes that claim to be a LovaszCounts, can make NewLovasz allocate.
const maxClasses = 1 << 20

func (cfg *LovaszConfig) check() error {
	switch {
	case cfg.Classes < 1 || cfg.Classes > maxClasses:
		return errorf(ErrConfig, "Classes is %d, want 1 to %d", cfg.Classes, maxClasses)
	case cfg.Layout > ClassMajor:
		return errorf(ErrConfig, "Layout is %v, want PixelMajor or ClassMajor", cfg.Layout)
	case cfg.Activation > NoActivation:
		return errorf(ErrConfig, "Activation is %v, want SoftmaxActivation, SigmoidActivation or NoActivation", cfg.Activation)
	case cfg.Average > AllClasses:
		return errorf(ErrConfig, "Average is %v, want PresentClasses or AllClasses", cfg.Average)
	case cfg.Void > AsBackground:
		return errorf(ErrConfig, "Void is %v, want DropPixels or AsBackground", cfg.Void)
	case cfg.Method > Binned:
		return errorf(ErrConfig, "Method is %v, want Exact or Binned", cfg.Method)
	case cfg.Classes == 1 && cfg.Activation == SoftmaxActivation:
		return errorf(ErrConfig, "Classes is 1, want SigmoidActivation, or at least 2: the softmax of one class is always 1")
	case cfg.OnlyClasses != nil && len(cfg.OnlyClasses) == 0:
		return errorf(ErrConfig, "OnlyClasses is empty, want nil or class ids")
	case !(cfg.CrossEntropy >= 0) || math.IsInf(cfg.CrossEntropy, 1):
		return errorf(ErrConfig, "CrossEntropy is %v, want a finite λ >= 0", cfg.CrossEntropy)
	case cfg.CrossEntropy > 0 && cfg.Activation == NoActivation:
		return errorf(ErrConfig, "CrossEntropy is %v, want 0 with NoActivation: it needs logits", cfg.CrossEntropy)
	case !(cfg.LabelSmoothing >= 0 && cfg.LabelSmoothing < 1):
		return errorf(ErrConfig, "LabelSmoothing is %v, want at least 0 and less than 1", cfg.LabelSmoothing)
	case cfg.CrossEntropy == 0 && cfg.LabelSmoothing > 0:
		return errorf(ErrConfig, "CrossEntropy is 0, want more with LabelSmoothing")
	case cfg.CrossEntropy == 0 && cfg.CrossEntropyWeights != nil:
		return errorf(ErrConfig, "CrossEntropy is 0, want more with CrossEntropyWeights")
	case cfg.Workers < 0:
		return errorf(ErrConfig, "Workers is %d, want at least 0", cfg.Workers)
	}
	if err := checkClassIDs("OnlyClasses", cfg.OnlyClasses, cfg.Classes); err != nil {
		return err
	}
	if err := checkClassIDs("SkipClasses", cfg.SkipClasses, cfg.Classes); err != nil {
		return err
	}
	if err := checkWeights("Weights", cfg.Weights, cfg.Classes); err != nil {
		return err
	}
	return checkWeights("CrossEntropyWeights", cfg.CrossEntropyWeights, cfg.Classes)
}

func checkWeights(name string, weights []float32, classes int) error {
	if weights == nil {
		return nil
	}
	if len(weights) != classes {
		return errorf(ErrConfig, "%d %s for %d classes, want one for each", len(weights), name, classes)
	}
	var sum float64
	for c, w := range weights {
		if !(w >= 0) || math.IsInf(float64(w), 1) {
			return errorf(ErrConfig, "the weight of class %d is %v, want a finite value >= 0 in %s", c, w, name)
		}
		sum += float64(w)
	}
	if sum == 0 {
		return errorf(ErrConfig, "%s holds nothing but 0, want one that is more", name)
	}
	return nil
}

func checkClassIDs(name string, ids []int, classes int) error {
	seen := make(map[int]bool, len(ids))
	for _, c := range ids {
		if c < 0 || c >= classes {
			return errorf(ErrConfig, "%s holds %d, want class ids in [0, %d)", name, c, classes)
		}
		if seen[c] {
			return errorf(ErrConfig, "%s holds %d twice, want it once", name, c)
		}
		seen[c] = true
	}
	return nil
}

// Forward returns the loss of logits [images, pixels, classes], in the configured layout, and labels [images, pixels]; pixels is
// len(labels)/images. The errors are ErrShape, ErrLabel, ErrNotFinite and ErrRange; the first bad pixel in memory is named.
func (l *Lovasz) Forward(logits []float32, labels []int32, images int) (LovaszResult, error) {
	return l.run(input{logits: logits, labels: labels, images: images})
}

// Backward does what Forward does, and writes d loss / d logits, in the logits' layout, to grad, which has their length and may be the
// same slice. After an error grad holds what it held before.
func (l *Lovasz) Backward(grad, logits []float32, labels []int32, images int) (LovaszResult, error) {
	if err := checkGradient(grad, logits, "logits"); err != nil {
		return LovaszResult{}, err
	}
	return l.run(input{grad: grad, logits: logits, labels: labels, images: images})
}

// ForwardMasks is Forward for classes that may overlap: masks has the logits' layout, and says of every pixel and class whether it is
// background (0) or foreground (1). Any other value is void, there alone: by the VoidPolicy the pixel takes no part in the class, or is its
// background without a cross-entropy. PerClass, averages and PerImage are what they are with labels; the cross-entropy is the mean over the
// pixels and classes that are not void. VoidLabels do not matter. The Activation has to be SigmoidActivation or NoActivation, else the
// error is ErrConfig; masks have the length of logits, else it is ErrShape.
func (l *Lovasz) ForwardMasks(logits []float32, masks []uint8, images int) (LovaszResult, error) {
	return l.run(input{logits: logits, masks: masks, masked: true, images: images})
}

// BackwardMasks does what ForwardMasks does, and writes the gradient as Backward does.
func (l *Lovasz) BackwardMasks(grad, logits []float32, masks []uint8, images int) (LovaszResult, error) {
	if err := checkGradient(grad, logits, "logits"); err != nil {
		return LovaszResult{}, err
	}
	return l.run(input{grad: grad, logits: logits, masks: masks, masked: true, images: images})
}

func (l *Lovasz) run(a input) (LovaszResult, error) {
	l.enter("Lovasz")
	defer l.leave()
	if l.plan == nil {
		return LovaszResult{}, errorf(ErrConfig, "the Lovasz has no configuration: it comes from NewLovasz")
	}
	return l.call.run(l.plan, a, &l.sum)
}

// Hinge returns the binary Lovász hinge (Yu and Blaschko, 2015) of one score per pixel, without a sigmoid: scores [images, pixels], labels
// [images, pixels] 0 or 1, or void. The error of a pixel is max(0, 1 − s) for foreground and max(0, 1 + s) for background; where there is
// no foreground the largest error has the weight 1. The gradient goes to grad unless that is nil; it has the length of scores and may be
// the same slice; an error that is 0 has gradient 0.
//
// It is always exact, since Binned would save it nothing. Of the configuration only VoidLabels, Void (AsBackground makes void pixels 0),
// PerImage and Workers matter; for nothing but a hinge it is {Classes: 1, Activation: NoActivation}. PerClass is nil, and Gap 0. A score
// that is not finite is ErrNotFinite; the other errors are those of Forward.
func (l *Lovasz) Hinge(grad, scores []float32, labels []int32, images int) (LovaszResult, error) {
	l.enter("Lovasz")
	defer l.leave()
	if l.plan == nil {
		return LovaszResult{}, errorf(ErrConfig, "the Lovasz has no configuration: it comes from NewLovasz")
	}
	if grad != nil {
		if err := checkGradient(grad, scores, "scores"); err != nil {
			return LovaszResult{}, err
		}
	}
	r, err := l.call.run(l.hinges, input{grad: grad, logits: scores, labels: labels, images: images}, &l.sum)
	r.PerClass = nil
	return r, err
}

// Release drops the scratch, and the slices of the last result with it. The Lovasz stays usable: the next call allocates anew.
func (l *Lovasz) Release() {
	l.enter("Lovasz")
	defer l.leave()
	l.call.release()
	l.sum = lossSum{}
}

// noCopy is in what must not be copied: go vet says where it is, as it does with a sync.Mutex.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// inUse tells when two goroutines use something that is one's. Where they do, the later one panics before it has touched anything.
type inUse struct{ users int32 } // −1: one that may change it; else how many read it

func (u *inUse) enter(name string) {
	if !atomic.CompareAndSwapInt32(&u.users, 0, -1) {
		usedTwice(name)
	}
}

func (u *inUse) leave() { atomic.StoreInt32(&u.users, 0) }

// enterReading is enter for what changes nothing: several may do so at a time.
func (u *inUse) enterReading(name string) {
	for {
		users := atomic.LoadInt32(&u.users)
		if users < 0 {
			usedTwice(name)
		}
		if atomic.CompareAndSwapInt32(&u.users, users, users+1) {
			return
		}
	}
}

func (u *inUse) leaveReading() { atomic.AddInt32(&u.users, -1) }

func usedTwice(name string) {
	panic("lanewise: a " + name + " is used by two goroutines at the same time: have one for each")
}
