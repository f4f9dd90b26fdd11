// Package lanewisebeam computes the Lovász-Softmax loss and the intersection over union of more pixels than one machine holds, on Apache
// Beam. What workers pass on is counts, integers alone: however a runner divides the images, and in whatever order it merges, the results
// have the same bits, those of one lanewise.Lovasz.Forward with Method Binned over all pixels.
//
//	results := lanewisebeam.Evaluate(s, lanewise.LovaszConfig{Classes: 19, VoidLabels: []int32{255}}, images)
//
// Evaluate and EvaluatePerKey give loss and IoU together. LovaszFn and ConfusionFn are the CombineFns of each, for beam.Combine and
// beam.CombinePerKey; EvaluateFn and MergeFn are for steps that count where they read.
package lanewisebeam

import (
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/lanewise/lanewise"
)

func init() {
	register.Combiner3[*lanewise.LovaszCounts, Image, *lanewise.LovaszCounts](&LovaszFn{})
	register.Combiner3[*lanewise.Confusion, Image, *lanewise.Confusion](&ConfusionFn{})
	register.Combiner3[Counts, Image, Result](&EvaluateFn{})
	register.Combiner2[Counts, Result](&MergeFn{})
}

// An Image is some pixels, whole images or parts of them: Beam sees no difference.
type Image struct {
	Name   string    // for messages; may be empty
	Logits []float32 // [pixels, classes], or [classes, pixels] for ClassMajor
	Labels []int32   // [pixels]
}

// failed says which image an error is about.
func (im Image) failed(err error) error {
	if im.Name == "" {
		return err
	}
	return fmt.Errorf("%s: %w", im.Name, err)
}

// Evaluate returns a PCollection of one Result: that of all images, a PCollection<Image>, together. It is empty where there is no image.
// Bad input fails the pipeline, with an error that names image and pixel; a bad configuration panics here.
func Evaluate(s beam.Scope, cfg lanewise.LovaszConfig, images beam.PCollection) beam.PCollection {
	return beam.Combine(s.Scope("lanewise.Evaluate"), NewEvaluateFn(cfg), images)
}

// EvaluatePerKey does the same for every key: images is a PCollection<KV<K, Image>>, what it returns a PCollection<KV<K, Result>>.
func EvaluatePerKey(s beam.Scope, cfg lanewise.LovaszConfig, images beam.PCollection) beam.PCollection {
	return beam.CombinePerKey(s.Scope("lanewise.EvaluatePerKey"), NewEvaluateFn(cfg), images)
}

// A LovaszFn is a CombineFn: it counts Images to a *lanewise.LovaszCounts, from which Result and Backward follow. Config is one that
// lanewise.NewLovaszCounts takes.
type LovaszFn struct {
	Config lanewise.LovaszConfig

	image *lanewise.LovaszCounts
}

// CreateAccumulator returns counts of no pixels.
func (fn *LovaszFn) CreateAccumulator() (*lanewise.LovaszCounts, error) {
	return lanewise.NewLovaszCounts(fn.Config)
}

// AddInput counts the pixels of an image.
//
// The image is counted apart and then merged: Layout and Workers, which the coder does not keep, are those of Config even where a runner
// adds to what it decoded, and scratch of an image's size is kept once, not in the accumulator of every key.
func (fn *LovaszFn) AddInput(sum *lanewise.LovaszCounts, im Image) (*lanewise.LovaszCounts, error) {
	if fn.image == nil {
		var err error
		if fn.image, err = lanewise.NewLovaszCounts(fn.Config); err != nil {
			return nil, err
		}
	}
	fn.image.Reset()
	if err := fn.image.Add(im.Logits, im.Labels, 1); err != nil {
		return nil, im.failed(err)
	}
	return fn.MergeAccumulators(sum, fn.image)
}

// MergeAccumulators adds the pixels of other to sum.
func (fn *LovaszFn) MergeAccumulators(sum, other *lanewise.LovaszCounts) (*lanewise.LovaszCounts, error) {
	return sum, sum.Merge(other)
}

// ExtractOutput returns the counts.
func (fn *LovaszFn) ExtractOutput(sum *lanewise.LovaszCounts) *lanewise.LovaszCounts { return sum }
