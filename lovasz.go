package lanewise

import (
	"errors"
	"fmt"
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
	Classes      int        // C >= 1. With one class labels are a binary mask: 1 is the foreground, 0 the background
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
	err   error
	text  string
}

func (e *PixelError) Error() string { return e.text }
func (e *PixelError) Unwrap() error { return e.err }

// LovaszSoftmax is the Lovász-Softmax loss in one call, as the reference implementation has it: logits [pixels, classes] row-major, labels
// [pixels], the mean over the classes present. A pixel with the label 255 is background for every class.
func LovaszSoftmax(logits []float32, labels []int32, classes int) (float64, error) {
	l, err := NewLovasz(LovaszConfig{Classes: classes, VoidLabels: []int32{255}, Void: AsBackground})
	if err != nil {
		return 0, err
	}
	r, err := l.Forward(logits, labels, 1)
	return r.Loss, err
}

// A Lovasz computes the loss again and again without allocating. It is not safe for concurrent use: have one per goroutine.
type Lovasz struct {
	cfg LovaszConfig
}

// NewLovasz returns a Lovasz for cfg, of which it keeps a copy. The error is ErrConfig.
func NewLovasz(cfg LovaszConfig) (*Lovasz, error) {
	if cfg.Classes < 1 {
		return nil, fmt.Errorf("lanewise: %w: Classes is %d", ErrConfig, cfg.Classes)
	}
	return &Lovasz{cfg: cfg}, nil
}

// Forward returns the loss of logits [images, pixels, classes] in the configured layout and labels [images, pixels].
func (l *Lovasz) Forward(logits []float32, labels []int32, images int) (LovaszResult, error) {
	return LovaszResult{}, errors.ErrUnsupported
}

// Backward does what Forward does, and writes d loss / d logits, in the logits' layout, to grad.
func (l *Lovasz) Backward(grad, logits []float32, labels []int32, images int) (LovaszResult, error) {
	return LovaszResult{}, errors.ErrUnsupported
}

// Hinge is the binary Lovász hinge.
func (l *Lovasz) Hinge(grad, scores []float32, labels []int32, images int) (LovaszResult, error) {
	return LovaszResult{}, errors.ErrUnsupported
}
