package lanewise

import (
	"encoding/binary"
	"fmt"
	"math"
)

// A Confusion counts how often each class was predicted for each label: a matrix [labels, predictions]. A zero Confusion has no classes:
// UnmarshalBinary and UnmarshalText give it some, all else answers ErrConfig. Several goroutines may read it at a time, but none while one
// changes it: the later of the two panics. It must not be copied, since the copy has the same counts.
//
// Its measures follow from these counts, with TP the pixels of a class that were predicted so, FP those of others that were, FN those of
// the class that were not. Each is in [0, 1], and NaN where it would divide by 0.
type Confusion struct {
	_ noCopy
	inUse
	classes int
	counts  []int64
	total   int64 // of all counts, so none can overflow while it does not
}

// NewConfusion returns an empty matrix for labels and predictions in [0, classes). It panics for classes < 1, and for so many that the
// matrix does not fit into memory.
func NewConfusion(classes int) *Confusion {
	if classes < 1 || classes > math.MaxInt/classes {
		panic(fmt.Sprintf("lanewise: NewConfusion: classes is %d", classes))
	}
	return &Confusion{classes: classes, counts: make([]int64, classes*classes)}
}

// Add counts pixels: predicted and labels have one entry for each. A label outside [0, classes) is not counted: such a pixel is void. A
// prediction outside is ErrLabel (a *PixelError), different lengths are ErrShape, and so are more than 2⁶³ − 1 pixels in all; then nothing
// is counted.
func (c *Confusion) Add(predicted, labels []int32) error {
	c.enter("Confusion")
	defer c.leave()
	if c.classes == 0 {
		return errNoClasses()
	}
	if len(predicted) != len(labels) {
		return errorf(ErrShape, "predicted holds %d values, want %d as labels", len(predicted), len(labels))
	}
	var more int64
	for i, p := range predicted {
		if uint(p) >= uint(c.classes) {
			return pixelErrorf(ErrLabel, i, -1, "prediction %d at pixel %d is outside [0, %d)", p, i, c.classes)
		}
		if uint(labels[i]) < uint(c.classes) {
			more++
		}
	}
	if err := c.room(more); err != nil {
		return err
	}
	for i, p := range predicted {
		if label := labels[i]; uint(label) < uint(c.classes) {
			c.counts[int(label)*c.classes+int(p)]++
		}
	}
	c.total += more
	return nil
}

// room says whether so many pixels more can be counted.
func (c *Confusion) room(pixels int64) error {
	if pixels > math.MaxInt64-c.total {
		return errorf(ErrShape, "%d pixels and %d more are over 2⁶³ − 1", c.total, pixels)
	}
	return nil
}

// Merge adds the counts of other. The error is ErrConfig where the numbers of classes differ, and ErrShape where the pixels would be more
// than 2⁶³ − 1; then nothing is added.
func (c *Confusion) Merge(other *Confusion) error {
	c.enter("Confusion")
	defer c.leave()
	if other != nil && other != c {
		other.enterReading("Confusion")
		defer other.leaveReading()
	}
	if c.classes == 0 || other == nil || other.classes == 0 {
		return errNoClasses()
	}
	if c.classes != other.classes {
		return errorf(ErrConfig, "the Confusion to merge has %d classes, want %d", other.classes, c.classes)
	}
	if err := c.room(other.total); err != nil {
		return err
	}
	c.total += other.total
	for i, n := range other.counts {
		c.counts[i] += n
	}
	return nil
}

// At returns how many pixels with that label were predicted so. It panics for a class outside [0, classes).
func (c *Confusion) At(label, predicted int) int64 {
	c.enterReading("Confusion")
	defer c.leaveReading()
	if uint(label) >= uint(c.classes) || uint(predicted) >= uint(c.classes) {
		panic(fmt.Sprintf("lanewise: Confusion.At(%d, %d) with %d classes", label, predicted, c.classes))
	}
	return c.counts[label*c.classes+predicted]
}

// at is At, without a check.
func (c *Confusion) at(label, predicted int) uint64 {
	return uint64(c.counts[label*c.classes+predicted])
}

// IoU returns the intersection over union of each class, TP/(TP + FP + FN); NaN for a class that is in neither the labels nor the
// predictions.
func (c *Confusion) IoU() []float64 {
	return c.perClass(func(both, labelled, predicted uint64) (of, all uint64) { return both, labelled + predicted - both })
}

// Dice returns the Dice coefficient of each class, its F1 score, 2·TP/(2·TP + FP + FN); NaN for a class that is in neither the labels nor
// the predictions.
func (c *Confusion) Dice() []float64 {
	return c.perClass(func(both, labelled, predicted uint64) (of, all uint64) { return 2 * both, labelled + predicted })
}

// Precision returns which part of the pixels predicted as each class is of it, TP/(TP + FP); NaN for a class that was not predicted.
func (c *Confusion) Precision() []float64 {
	return c.perClass(func(both, _, predicted uint64) (of, all uint64) { return both, predicted })
}

// Recall returns which part of the pixels of each class was predicted so, TP/(TP + FN), also called its accuracy; NaN for a class that has
// no pixel.
func (c *Confusion) Recall() []float64 {
	return c.perClass(func(both, labelled, _ uint64) (of, all uint64) { return both, labelled })
}

// perClass returns a quotient for each class. The numbers that it gets are at most 2⁶³ − 1, so the sum of two of them does not overflow.
func (c *Confusion) perClass(quotient func(both, labelled, predicted uint64) (of, all uint64)) []float64 {
	c.enterReading("Confusion")
	defer c.leaveReading()
	list := make([]float64, c.classes)
	for k := range list {
		var labelled, predicted uint64
		for j := range c.classes {
			labelled += c.at(k, j)
			predicted += c.at(j, k)
		}
		of, all := quotient(c.at(k, k), labelled, predicted)
		list[k] = float64(of) / float64(all)
	}
	return list
}

// MeanIoU returns the mean of IoU over these classes, or over all where none is named; classes that are NaN do not enter it. It is NaN if
// all are. Classes that an evaluation leaves out are not named here: their pixels and predictions still count against the others. It panics
// for a class outside [0, classes).
func (c *Confusion) MeanIoU(classes ...int) float64 {
	c.enterReading("Confusion")
	defer c.leaveReading()
	iou := c.IoU()
	if len(classes) > 0 {
		named := make([]float64, 0, len(classes))
		for _, k := range classes {
			if uint(k) >= uint(c.classes) {
				panic(fmt.Sprintf("lanewise: Confusion.MeanIoU of class %d with %d classes", k, c.classes))
			}
			named = append(named, iou[k])
		}
		iou = named
	}
	var sum float64
	n := 0
	for _, v := range iou {
		if v == v {
			sum += v
			n++
		}
	}
	return sum / float64(n)
}

// Accuracy returns which part of all pixels was predicted right; NaN without a pixel.
func (c *Confusion) Accuracy() float64 {
	c.enterReading("Confusion")
	defer c.leaveReading()
	var right uint64
	for k := range c.classes {
		right += c.at(k, k)
	}
	return float64(right) / float64(c.total)
}

// FrequencyWeightedIoU returns the mean of IoU in which each class weighs as much as it has pixels; NaN without a pixel.
func (c *Confusion) FrequencyWeightedIoU() float64 {
	c.enterReading("Confusion")
	defer c.leaveReading()
	var sum float64
	for k, iou := range c.IoU() {
		var labelled uint64
		for j := range c.classes {
			labelled += c.at(k, j)
		}
		if labelled > 0 {
			sum += float64(labelled) * iou
		}
	}
	return sum / float64(c.total)
}

func errNoClasses() error {
	return errorf(ErrConfig, "the Confusion has no classes: it comes from NewConfusion or UnmarshalBinary")
}

// What AppendBinary writes: a magic with its version, the number of classes, and the counts, row by row (encoding.go says how).
const confusionMagic = "LWC\x01"

// AppendBinary appends the counts to b.
func (c *Confusion) AppendBinary(b []byte) ([]byte, error) {
	c.enterReading("Confusion")
	defer c.leaveReading()
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
	c.enter("Confusion")
	defer c.leave()
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
		read.counts[i] = int64(d.uint(uint64(math.MaxInt64 - read.total)))
		read.total += read.counts[i]
	}
	if err := d.end(); err != nil {
		return err
	}
	c.classes, c.counts, c.total = read.classes, read.counts, read.total
	return nil
}
