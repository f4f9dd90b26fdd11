package lanewisebeam

import (
	"fmt"
	"math"
	"slices"

	"github.com/lanewise/lanewise"
)

// A Result is what Evaluate finds out about all pixels of a PCollection, or of a key.
type Result struct {
	Loss     float64   // the binned Lovász loss, the mean of PerClass
	Gap      float64   // the exact loss lies in [Loss, Loss+Gap]
	PerClass []float64 // [classes], NaN for a class that took no part
	IoU      []float64 // [classes], NaN for a class that was neither labelled nor predicted
	MeanIoU  float64   // over the classes that are not NaN
	Pixels   []int64   // [classes]: the pixels with this label, void ones not counted
}

// Counts is the state behind a Result: what LovaszFn and ConfusionFn count.
type Counts struct {
	Lovasz    *lanewise.LovaszCounts
	Confusion *lanewise.Confusion
}

// merge adds the pixels of other.
func (c Counts) merge(other Counts) error {
	if err := c.Lovasz.Merge(other.Lovasz); err != nil {
		return err
	}
	return c.Confusion.Merge(other.Confusion)
}

// An EvaluateFn is the CombineFn of Evaluate, LovaszFn and ConfusionFn in one pass over the Images. It comes from NewEvaluateFn.
type EvaluateFn struct {
	Lovasz    LovaszFn
	Confusion ConfusionFn
}

// NewEvaluateFn returns an EvaluateFn. It panics for a bad configuration, as Beam does for what is wrong where a pipeline is built.
func NewEvaluateFn(cfg lanewise.LovaszConfig) *EvaluateFn {
	if _, err := lanewise.NewLovaszCounts(cfg); err != nil {
		panic(err)
	}
	return &EvaluateFn{LovaszFn{Config: cfg}, ConfusionFn{Config: cfg}}
}

// CreateAccumulator returns counts of no pixels.
func (fn *EvaluateFn) CreateAccumulator() (Counts, error) {
	lovasz, err := fn.Lovasz.CreateAccumulator()
	return Counts{lovasz, fn.Confusion.CreateAccumulator()}, err
}

// AddInput counts the pixels of an image.
func (fn *EvaluateFn) AddInput(sum Counts, im Image) (Counts, error) {
	if _, err := fn.Lovasz.AddInput(sum.Lovasz, im); err != nil { // first: it looks at every label and logit
		return Counts{}, err
	}
	_, err := fn.Confusion.AddInput(sum.Confusion, im)
	return sum, err
}

// MergeAccumulators adds the pixels of other to sum.
func (fn *EvaluateFn) MergeAccumulators(sum, other Counts) (Counts, error) {
	return sum, sum.merge(other)
}

// ExtractOutput returns what the counts say.
func (fn *EvaluateFn) ExtractOutput(sum Counts) Result { return newResult(sum) }

// A MergeFn is a CombineFn of Counts that a pipeline has made already, with the methods of an EvaluateFn: where images are read, say, so
// that a runner need not send the images themselves from the step that reads to the step that combines. Config is the EvaluateFn's.
type MergeFn struct{ Config lanewise.LovaszConfig }

// CreateAccumulator returns counts of no pixels.
func (fn *MergeFn) CreateAccumulator() (Counts, error) {
	return NewEvaluateFn(fn.Config).CreateAccumulator()
}

// AddInput adds the pixels of counts.
func (fn *MergeFn) AddInput(sum, counts Counts) (Counts, error) { return sum, sum.merge(counts) }

// MergeAccumulators adds the pixels of other to sum.
func (fn *MergeFn) MergeAccumulators(sum, other Counts) (Counts, error) { return sum, sum.merge(other) }

// ExtractOutput returns what the counts say.
func (fn *MergeFn) ExtractOutput(sum Counts) Result { return newResult(sum) }

func newResult(sum Counts) Result {
	loss := sum.Lovasz.Result()
	r := Result{
		Loss:     loss.Loss,
		Gap:      loss.Gap,
		PerClass: slices.Clone(loss.PerClass),
		IoU:      sum.Confusion.IoU(),
		MeanIoU:  sum.Confusion.MeanIoU(),
	}
	classes := len(r.IoU)
	for label := range classes {
		var pixels int64
		for predicted := range classes {
			pixels += sum.Confusion.At(label, predicted)
		}
		r.Pixels = append(r.Pixels, pixels)
	}
	if len(r.PerClass) == 1 { // the foreground
		r.IoU, r.Pixels, r.MeanIoU = r.IoU[1:], r.Pixels[1:], r.IoU[1]
	}
	return r
}

// checkShape is for what the kernels would panic on.
func checkShape(classes int, im Image) error {
	if classes < 1 || len(im.Labels) > math.MaxInt/classes || len(im.Logits) != len(im.Labels)*classes {
		return fmt.Errorf("logits hold %d values, want %d pixels × %d classes", len(im.Logits), len(im.Labels), classes)
	}
	return nil
}
