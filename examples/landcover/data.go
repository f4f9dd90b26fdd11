package main

import (
	_ "embed"
	"encoding/csv"
	"fmt"
	"io"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// satellite is the Statlog (Landsat Satellite) data set of the UCI Machine Learning Repository, as the R package mlbench has it: 6435
// pixels of a Landsat scene, each with the four spectral bands (0 to 255) of its 3×3 neighbourhood and the land cover of the pixel itself.
//
//go:embed satellite.csv
var satellite string

const (
	features    = 36   // 9 pixels × 4 bands
	trainPixels = 4435 // the split that the data set comes with: the first rows are for training, the other 2000 for testing
)

var classNames = []string{"red soil", "cotton crop", "grey soil", "damp grey soil", "vegetation stubble", "very damp grey soil"}

var classes = len(classNames)

// A dataset is pixels and what grows on them.
type dataset struct {
	features []float32 // [pixels, features], row-major
	labels   []int32   // [pixels], indices into classNames
}

// readData returns the training and the test pixels in r, a file like satellite.csv. Every feature has mean 0 and standard deviation 1 over
// the training pixels.
func readData(r io.Reader) (train, test dataset, err error) {
	rows, err := csv.NewReader(r).ReadAll()
	if err != nil {
		return train, test, err
	}
	if len(rows) <= 1+trainPixels || len(rows[0]) != features+1 {
		return train, test, fmt.Errorf("want a header and more than %d rows of %d values", trainPixels, features+1)
	}
	var all dataset
	for i, row := range rows[1:] {
		for _, field := range row[:features] {
			x, err := strconv.ParseFloat(field, 32)
			if err != nil {
				return train, test, fmt.Errorf("pixel %d: %w", i, err)
			}
			all.features = append(all.features, float32(x))
		}
		label := slices.Index(classNames, row[features])
		if label < 0 {
			return train, test, fmt.Errorf("pixel %d: unknown class %q", i, row[features])
		}
		all.labels = append(all.labels, int32(label))
	}
	train, test = all.slice(0, trainPixels), all.slice(trainPixels, len(all.labels))
	standardise(all.features, train.features)
	return train, test, nil
}

func (d dataset) slice(from, to int) dataset {
	return dataset{d.features[from*features : to*features], d.labels[from:to]}
}

// standardise shifts and scales the columns of x so that those of sample, a part of x, have mean 0 and standard deviation 1.
func standardise(x, sample []float32) {
	for column := range features {
		var n, sum, squares float64
		for i := column; i < len(sample); i += features {
			n++
			sum += float64(sample[i])
			squares += float64(sample[i]) * float64(sample[i])
		}
		mean := sum / n
		deviation := math.Sqrt(squares/n - mean*mean)
		for i := column; i < len(x); i += features {
			x[i] = float32((float64(x[i]) - mean) / deviation)
		}
	}
}

// batches yields all pixels once, in random order, size at a time; the last batch has what is left. A batch is valid until the next one.
func (d dataset) batches(size int, rng *rand.Rand) iter.Seq[dataset] {
	return func(yield func(dataset) bool) {
		var batch dataset
		for pixels := range slices.Chunk(rng.Perm(len(d.labels)), size) {
			batch.features, batch.labels = batch.features[:0], batch.labels[:0]
			for _, i := range pixels {
				batch.features = append(batch.features, d.features[i*features:(i+1)*features]...)
				batch.labels = append(batch.labels, d.labels[i])
			}
			if !yield(batch) {
				return
			}
		}
	}
}

func landsat() (train, test dataset, err error) { return readData(strings.NewReader(satellite)) }
