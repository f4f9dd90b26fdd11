package lanewisebeam

import (
	"slices"

	"github.com/lanewise/lanewise"
)

// A ConfusionFn is a CombineFn: it counts what Images predict to a *lanewise.Confusion. Of Config it looks at Classes, Layout, Activation
// and VoidLabels.
//
// The class of the largest logit is predicted. With one class the matrix has two: 1, the foreground, where the probability is above ½.
// Pixels with a void label do not count.
type ConfusionFn struct {
	Config lanewise.LovaszConfig

	predicted, labels []int32
}

// CreateAccumulator returns counts of no pixels.
func (fn *ConfusionFn) CreateAccumulator() *lanewise.Confusion {
	return lanewise.NewConfusion(max(2, fn.Config.Classes))
}

// AddInput counts the pixels of an image.
func (fn *ConfusionFn) AddInput(sum *lanewise.Confusion, im Image) (*lanewise.Confusion, error) {
	if err := checkShape(fn.Config.Classes, im); err != nil {
		return nil, im.failed(err)
	}
	fn.predicted = slices.Grow(fn.predicted[:0], len(im.Labels))[:len(im.Labels)]
	switch {
	case fn.Config.Classes == 1:
		threshold := float32(0) // of a logit
		if fn.Config.Activation == lanewise.NoActivation {
			threshold = 0.5
		}
		for i, x := range im.Logits {
			fn.predicted[i] = 0
			if x > threshold {
				fn.predicted[i] = 1
			}
		}
	case fn.Config.Layout == lanewise.PixelMajor:
		lanewise.ArgMaxRows(fn.predicted, im.Logits, fn.Config.Classes)
	default:
		lanewise.ArgMaxPlanes(fn.predicted, im.Logits, fn.Config.Classes)
	}
	fn.labels = append(fn.labels[:0], im.Labels...)
	for i, label := range fn.labels {
		if slices.Contains(fn.Config.VoidLabels, label) {
			fn.labels[i] = -1
		}
	}
	if err := sum.Add(fn.predicted, fn.labels); err != nil {
		return nil, im.failed(err)
	}
	return sum, nil
}

// MergeAccumulators adds the pixels of other to sum.
func (fn *ConfusionFn) MergeAccumulators(sum, other *lanewise.Confusion) (*lanewise.Confusion, error) {
	return sum, sum.Merge(other)
}

// ExtractOutput returns the counts.
func (fn *ConfusionFn) ExtractOutput(sum *lanewise.Confusion) *lanewise.Confusion { return sum }
