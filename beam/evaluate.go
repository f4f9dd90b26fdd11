package lanewisebeam

import (
	"encoding/json"
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
	MeanIoU  float64   // over the classes that the loss is a mean of, but for those that are NaN
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
func (fn *EvaluateFn) ExtractOutput(sum Counts) Result { return newResult(fn.Lovasz.Config, sum) }

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
func (fn *MergeFn) ExtractOutput(sum Counts) Result { return newResult(fn.Config, sum) }

func newResult(cfg lanewise.LovaszConfig, sum Counts) Result {
	loss := sum.Lovasz.Result()
	r := Result{
		Loss:     loss.Loss,
		Gap:      loss.Gap,
		PerClass: slices.Clone(loss.PerClass),
		IoU:      sum.Confusion.IoU(),
		MeanIoU:  math.NaN(),
	}
	if counted := countedClasses(cfg); len(counted) > 0 {
		r.MeanIoU = sum.Confusion.MeanIoU(counted...)
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

// countedClasses are those that the means are of: OnlyClasses, or all but SkipClasses, and no void ones. Of one class it is the foreground,
// class 1 of the Confusion.
func countedClasses(cfg lanewise.LovaszConfig) (list []int) {
	if cfg.Classes == 1 {
		return []int{1}
	}
	for k := range cfg.Classes {
		if (cfg.OnlyClasses == nil || slices.Contains(cfg.OnlyClasses, k)) && !slices.Contains(cfg.SkipClasses, k) &&
			!slices.Contains(cfg.VoidLabels, int32(k)) {
			list = append(list, k)
		}
	}
	return list
}

// A nullable is null in JSON where it is NaN.
type nullable float64

func (x nullable) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(x)) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(x))
}

func (x *nullable) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*x = nullable(math.NaN())
		return nil
	}
	return json.Unmarshal(b, (*float64)(x))
}

// resultJSON is a Result as JSON has it.
type resultJSON struct {
	Loss, Gap     nullable
	PerClass, IoU []nullable
	MeanIoU       nullable
	Pixels        []int64
}

// MarshalJSON writes the fields under their names, and null for NaN, which JSON does not have.
func (r Result) MarshalJSON() ([]byte, error) {
	return json.Marshal(resultJSON{nullable(r.Loss), nullable(r.Gap), convert[nullable](r.PerClass), convert[nullable](r.IoU),
		nullable(r.MeanIoU), r.Pixels})
}

// UnmarshalJSON reads what MarshalJSON wrote: null is NaN.
func (r *Result) UnmarshalJSON(b []byte) error {
	var read resultJSON
	if err := json.Unmarshal(b, &read); err != nil {
		return err
	}
	*r = Result{float64(read.Loss), float64(read.Gap), convert[float64](read.PerClass), convert[float64](read.IoU), float64(read.MeanIoU),
		read.Pixels}
	return nil
}

// convert copies a list; nil stays nil.
func convert[To, From ~float64](list []From) (out []To) {
	for _, v := range list {
		out = append(out, To(v))
	}
	return out
}

// checkShape is for what the kernels would panic on.
func checkShape(classes int, im Image) error {
	if classes < 1 || len(im.Labels) > math.MaxInt/classes || len(im.Logits) != len(im.Labels)*classes {
		return fmt.Errorf("logits hold %d values, want %d pixels × %d classes", len(im.Logits), len(im.Labels), classes)
	}
	return nil
}
