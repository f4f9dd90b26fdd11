package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// oneHot makes probabilities of predicted class ids: 1 for the class of a pixel, 0 for the others. On these the Lovász extension is the
// Jaccard loss that it extends: the loss of a class is 1 − its IoU.
func (o *options) oneHot(predicted, labels *array[int32]) (*array[float32], error) {
	x := &array[float32]{path: predicted.path, dtype: predicted.dtype, data: make([]float32, o.Classes*len(predicted.data))}
	x.shape = append(slices.Clone(labels.shape), o.Classes)
	for i, class := range predicted.data {
		switch {
		case o.Classes == 1 && (class == 0 || class == 1):
			x.data[i] = float32(class)
		case o.Classes > 1 && class >= 0 && int(class) < o.Classes:
			x.data[i*o.Classes+int(class)] = 1
		case slices.Contains(o.Void, labels.data[i]): // predicted as what the label is, or nothing: void pixels have no class
		case o.Classes == 1:
			return nil, fmt.Errorf("%s: prediction %d at pixel %d: with one class predictions are 0 and 1 (of 0 and %d: -predictions-map %d=1)",
				predicted.path, class, i, class, class)
		case o.Classes == 2 && class == 255:
			return nil, fmt.Errorf("%s: prediction 255 at pixel %d is outside [0, 2) (if 255 is the foreground: -predictions-map 255=1)",
				predicted.path, i)
		default:
			return nil, fmt.Errorf("%s: prediction %d at pixel %d is outside [0, %d) (what it stands for says -predictions-map)", predicted.path,
				class, i, o.Classes)
		}
	}
	return x, nil
}

// fitsPredictions compares shapes, but for axes of length 1.
func fitsPredictions(predicted, labels []int) bool {
	squeeze := func(shape []int) []int {
		return slices.DeleteFunc(slices.Clone(shape), func(d int) bool { return d == 1 })
	}
	return slices.Equal(squeeze(predicted), squeeze(labels))
}

// ofPredictions makes an error about a file of labels one about predictions, which are read as those are.
func ofPredictions(err error) error {
	return errors.New(strings.NewReplacer(
		": labels are float", ": predictions are float",
		"want integers, the class ids", "want integers, the class ids (logits and probabilities are -logits)",
		"-labels-map", "-predictions-map",
		"numpy.save('labels.npy'", "numpy.save('predictions.npy'",
	).Replace(err.Error()))
}
