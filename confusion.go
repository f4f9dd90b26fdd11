package lanewise

import (
	"encoding/binary"
	"fmt"
	"math"
)

// A Confusion counts how often each class was predicted for each label: a matrix [labels, predictions]. A zero Confusion has no classes:
// UnmarshalBinary gives it some, all else answers ErrConfig.
type Confusion struct {
	classes int
	counts  []int64
}

// NewConfusion returns an empty matrix for labels and predictions in [0, classes). It panics for classes < 1, and for so many that the
// matrix does not fit into memory.
func NewConfusion(classes int) *Confusion {
	if classes < 1 || classes > math.MaxInt/classes {
		panic(fmt.Sprintf("lanewise: NewConfusion: classes is %d", classes))
	}
	return &Confusion{classes, make([]int64, classes*classes)}
}

// Add counts pixels: predicted and labels have one entry for each. A label outside [0, classes) is not counted: such a pixel is void. A
// prediction outside is ErrLabel (a *PixelError), different lengths are ErrShape; then nothing is counted.
func (c *Confusion) Add(predicted, labels []int32) error {
	if c.classes == 0 {
		return errNoClasses()
	}
	if len(predicted) != len(labels) {
		return errorf(ErrShape, "%d predictions for %d labels", len(predicted), len(labels))
	}
	for i, p := range predicted {
		if uint(p) >= uint(c.classes) {
			return pixelErrorf(ErrLabel, i, -1, "prediction %d at pixel %d is outside [0, %d)", p, i, c.classes)
		}
	}
	for i, p := range predicted {
		if label := labels[i]; uint(label) < uint(c.classes) {
			c.counts[int(label)*c.classes+int(p)]++
		}
	}
	return nil
}

// Merge adds the counts of other. The error is ErrConfig where the numbers of classes differ.
func (c *Confusion) Merge(other *Confusion) error {
	if c.classes == 0 || other == nil || other.classes == 0 {
		return errNoClasses()
	}
	if c.classes != other.classes {
		return errorf(ErrConfig, "a Confusion of %d classes does not merge into one of %d", other.classes, c.classes)
	}
	for i, n := range other.counts {
		c.counts[i] += n
	}
	return nil
}

// At returns how many pixels with that label were predicted so. It panics for a class outside [0, classes).
func (c *Confusion) At(label, predicted int) int64 {
	if uint(label) >= uint(c.classes) || uint(predicted) >= uint(c.classes) {
		panic(fmt.Sprintf("lanewise: Confusion.At(%d, %d) with %d classes", label, predicted, c.classes))
	}
	return c.counts[label*c.classes+predicted]
}

// IoU returns the intersection over union of each class, TP/(TP + FP + FN); NaN for a class that is in neither the labels nor the
// predictions.
func (c *Confusion) IoU() []float64 {
	iou := make([]float64, c.classes)
	for k := range iou {
		var union int64
		for j := range c.classes {
			union += c.At(k, j) + c.At(j, k)
		}
		both := c.At(k, k)
		iou[k] = float64(both) / float64(union-both)
	}
	return iou
}

// MeanIoU returns the mean of IoU over the classes that are not NaN; NaN if all are.
func (c *Confusion) MeanIoU() float64 {
	var sum float64
	n := 0
	for _, v := range c.IoU() {
		if v == v {
			sum += v
			n++
		}
	}
	return sum / float64(n)
}

func errNoClasses() error {
	return errorf(ErrConfig, "the Confusion has no classes: it comes from NewConfusion or UnmarshalBinary")
}

// What AppendBinary writes: a magic with its version, the number of classes, and the counts, row by row (encoding.go says how).
const confusionMagic = "LWC\x01"

// AppendBinary appends the counts to b.
func (c *Confusion) AppendBinary(b []byte) ([]byte, error) {
	if c.classes == 0 {
		return b, errNoClasses()
	}
	start := len(b)
	b = append(b, confusionMagic...)
	b = binary.AppendUvarint(b, uint64(c.classes))
	for _, n := range c.counts {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return appendChecksum(b, start), nil
}

// MarshalBinary returns what AppendBinary appends.
func (c *Confusion) MarshalBinary() ([]byte, error) { return c.AppendBinary(nil) }

// UnmarshalBinary replaces the counts by those that AppendBinary wrote. A zero Confusion takes over the number of classes; for another one
// the error is ErrConfig if that differs. Bytes that are truncated, corrupt or something else are ErrFormat. After an error the counts are
// what they were.
func (c *Confusion) UnmarshalBinary(data []byte) error {
	d := newDecoder(data, confusionMagic)
	classes := int(d.uint(math.MaxInt32))
	if d.err == nil && (classes == 0 || classes > len(d.data)/classes) {
		d.fail("%d classes do not fit into %d bytes", classes, len(data)) // a count takes a byte at least
	}
	if d.err != nil {
		return d.err
	}
	if c.classes != 0 && classes != c.classes {
		return errorf(ErrConfig, "the encoded Confusion has %d classes, want %d", classes, c.classes)
	}
	read := NewConfusion(classes)
	for i := range read.counts {
		read.counts[i] = int64(d.uint(math.MaxInt64))
	}
	if err := d.end(); err != nil {
		return err
	}
	*c = *read
	return nil
}
