package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lanewise/lanewise"
	"github.com/lanewise/lanewise/files"
)

// A report is what the command prints, in JSON under these names.
type report struct {
	Example      bool          `json:"example"` // the embedded one
	Loss         number        `json:"loss"`
	Lovasz       number        `json:"lovasz"`
	CrossEntropy number        `json:"cross_entropy"`
	Lambda       float64       `json:"lambda"`            // loss = lovasz + lambda · cross_entropy
	Weights      []float32     `json:"weights,omitempty"` // of the classes in lovasz
	CEWeights    []float32     `json:"cross_entropy_weights,omitempty"`
	Smoothing    float64       `json:"label_smoothing,omitempty"`
	Gap          number        `json:"gap"`
	MeanIoU      number        `json:"mean_iou"` // over the classes that count, as all means are
	MeanDice     number        `json:"mean_dice"`
	Accuracy     number        `json:"accuracy"` // of pixels; of masks over all classes
	WeightedIoU  number        `json:"frequency_weighted_iou"`
	IoUByImage   *number       `json:"mean_iou_by_image,omitempty"` // the mean over the images of each one's mean IoU
	IoUByClass   *number       `json:"mean_iou_by_class,omitempty"` // the mean over the classes of each one's mean over the images
	Classes      []classReport `json:"classes"`
	PerImage     []number      `json:"per_image,omitempty"`
	ImageNames   []string      `json:"image_names,omitempty"` // of per_image and image_mean_iou, where each has its file
	ImageIoU     []number      `json:"image_mean_iou,omitempty"`

	Files      int      `json:"files,omitempty"`  // where there are many: dtypes and shapes are then those of the first
	Merged     int      `json:"merged,omitempty"` // files of counts
	Images     int      `json:"images"`
	Pixels     int      `json:"pixels"`
	Void       int      `json:"void_pixels"`
	Layout     string   `json:"layout"`
	Hinge      bool     `json:"hinge,omitempty"`
	Masks      bool     `json:"masks,omitempty"`            // of classes that may overlap
	Hard       bool     `json:"hard_predictions,omitempty"` // class ids: the loss of a class is 1 − its IoU
	Activation string   `json:"activation"`
	Average    string   `json:"average"` // present, all, or selected (-only)
	Method     string   `json:"method"`
	Logits     fileInfo `json:"logits"`
	Labels     fileInfo `json:"labels"`
	Gradient   string   `json:"gradient,omitempty"` // the file written

	Seconds float64 `json:"seconds"` // of the loss, with its gradient where that is written
	ISA     string  `json:"isa"`
	Workers int     `json:"workers"`

	firstPair, lastPair string // of a set
	oneLabels           bool   // whose labels are in one file
	tally               *tally
}

type classReport struct {
	Class     int    `json:"class"`
	Name      string `json:"name,omitempty"`
	Counted   bool   `json:"counted"` // in the means
	Pixels    int    `json:"pixels"`  // with this label
	IoU       number `json:"iou"`
	Dice      number `json:"dice"`
	Precision number `json:"precision"`
	Recall    number `json:"recall"`
	Loss      number `json:"loss"`
}

type fileInfo struct {
	Path  string `json:"path"`
	Dtype string `json:"dtype"`
	Shape []int  `json:"shape"`
}

// A number is null in JSON where it is NaN: the loss of a class that took no part, the IoU of one that nobody saw.
type number float64

func (x number) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(x)) {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, float64(x), 'g', -1, 64), nil
}

func (x *number) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*x = number(math.NaN())
		return nil
	}
	return json.Unmarshal(b, (*float64)(x))
}

// evaluate computes what the flags ask for of one file. The gradient, nil unless it is to be written or drawn, takes the place of the
// logits.
func evaluate(o *options, x *array[float32], y *array[int32], s files.Shape, t *tally) (*report, []float32, error) {
	cfg, err := o.config(s)
	if err != nil {
		return nil, nil, err
	}
	l, err := lanewise.NewLovasz(cfg)
	if err != nil {
		return nil, nil, errors.New(asFlags.Replace(err.Error()))
	}
	r := o.newReport(x, y, s)
	if err := t.add(o, x.data, y.data, s); err != nil {
		return nil, nil, err
	}
	var grad []float32
	if o.Grad != "" || o.Heatmap != "" {
		grad = x.data
	}
	start := time.Now()
	result, err := compute(l, o, grad, x.data, y.data, s)
	r.Seconds = time.Since(start).Seconds()
	if err != nil {
		return nil, nil, err
	}
	r.setLoss(o, result)
	return r, grad, nil
}

// compute is the one call of the library; grad may be nil, or the logits.
func compute(l *lanewise.Lovasz, o *options, grad, logits []float32, labels []int32, s files.Shape) (lanewise.LovaszResult, error) {
	switch {
	case o.Hinge:
		return l.Hinge(grad, logits, labels, s.Images)
	case s.Masks:
		if at := checkMasks(labels, o.Void); at >= 0 {
			return lanewise.LovaszResult{}, &labelError{at}
		}
		return computeMasks(l, grad, logits, masksOf(labels, o.Void), s.Images)
	case grad != nil:
		return l.Backward(grad, logits, labels, s.Images)
	}
	return l.Forward(logits, labels, s.Images)
}

// A labelError is a value of a mask that is none.
type labelError struct{ at int }

func (e *labelError) Error() string { return "a mask holds a value that is neither 0 nor 1" }

// newReport says what was asked for.
func (o *options) newReport(x *array[float32], y *array[int32], s files.Shape) *report {
	r := &report{
		Example:    o.example(),
		Layout:     map[lanewise.Layout]string{lanewise.PixelMajor: "pixel", lanewise.ClassMajor: "class"}[s.Layout],
		Hinge:      o.Hinge,
		Masks:      s.Masks,
		Hard:       o.Predictions != "",
		Activation: o.activation(s),
		Average:    o.Average,
		Method:     o.Method,
		Lambda:     o.CE,
		Weights:    o.Weights,
		CEWeights:  o.CEWeights,
		Smoothing:  o.Smoothing,
		Logits:     fileInfo{x.path, x.dtype, x.shape},
		Labels:     fileInfo{y.path, y.dtype, y.shape},
		Gradient:   o.Grad,
		ISA:        lanewise.ActiveISA().String(),
		Workers:    o.Workers,
	}
	if r.Hard {
		r.Layout = ""
		r.Logits.Shape = slices.Clone(y.shape)
	}
	if o.Only != nil {
		r.Average = "selected"
	}
	if most := runtime.GOMAXPROCS(0); r.Workers == 0 || r.Workers > most {
		r.Workers = most
	}
	r.newClasses(o, s.Classes)
	return r
}

// newClasses makes the rows of the classes, with their names.
func (r *report) newClasses(o *options, classes int) {
	names := o.Names
	if names == nil && r.Example {
		names = exampleNames
	}
	counted := o.counted(classes)
	for k := range classes {
		c := classReport{Class: k, Counted: slices.Contains(counted, k)}
		if names != nil {
			c.Name = names[k]
		}
		r.Classes = append(r.Classes, c)
	}
}

// setLoss fills in what the library found.
func (r *report) setLoss(o *options, result lanewise.LovaszResult) {
	r.Loss, r.Lovasz = number(result.Loss), number(result.Lovasz)
	r.CrossEntropy, r.Gap = number(result.CrossEntropy), number(result.Gap)
	for k := range r.Classes {
		r.Classes[k].Loss = number(math.NaN())
		switch {
		case result.PerClass != nil:
			r.Classes[k].Loss = number(result.PerClass[k])
		case o.Hinge:
			r.Classes[k].Loss = number(result.Lovasz)
		}
	}
	for _, loss := range result.PerImage {
		r.PerImage = append(r.PerImage, number(loss))
	}
}

// setTally fills in what was predicted.
func (r *report) setTally(t *tally) {
	r.Images, r.Pixels, r.Void = t.images, t.pixels, t.void
	iou, dice, precision, recall := t.each((*lanewise.Confusion).IoU), t.each((*lanewise.Confusion).Dice),
		t.each((*lanewise.Confusion).Precision), t.each((*lanewise.Confusion).Recall)
	pixels := t.labelled()
	var meanIoU, meanDice, byClass mean
	for k := range r.Classes {
		c := &r.Classes[k]
		c.IoU, c.Dice, c.Precision, c.Recall, c.Pixels = number(iou[k]), number(dice[k]), number(precision[k]), number(recall[k]), pixels[k]
		if c.Counted {
			meanIoU.addNumber(iou[k])
			meanDice.addNumber(dice[k])
			byClass.addNumber(t.imageIoU[k].orNaN())
		}
	}
	r.MeanIoU, r.MeanDice = number(meanIoU.orNaN()), number(meanDice.orNaN())
	r.Accuracy, r.WeightedIoU = t.overall()
	if len(t.means) > 1 {
		var byImage mean
		for _, v := range t.means {
			byImage.addNumber(float64(v))
		}
		a, b := number(byImage.orNaN()), number(byClass.orNaN())
		r.IoUByImage, r.IoUByClass, r.ImageIoU = &a, &b, t.means
	}
}

// A tally counts what was predicted.
type tally struct {
	classes              int
	masks                bool
	confusions           []*lanewise.Confusion // one; for masks one of each class
	images, pixels, void int

	counted  []int        // the classes in the means
	imageIoU []mean       // by class, over the images
	means    []number     // the mean IoU of each image
	rows     [][]classRow // of each image, where they are kept
	keep     bool
}

// A classRow is what was counted of a class in an image.
type classRow struct{ labelled, predicted, both int }

func newTally(o *options, s files.Shape) *tally {
	t := &tally{classes: s.Classes, masks: s.Masks, counted: o.counted(s.Classes), keep: o.CSV != "", imageIoU: make([]mean, s.Classes)}
	if s.Masks {
		for range s.Classes {
			t.confusions = append(t.confusions, lanewise.NewConfusion(2))
		}
	} else {
		t.confusions = []*lanewise.Confusion{lanewise.NewConfusion(max(2, s.Classes))}
	}
	return t
}

// each returns a measure of every class. Of one class, and of masks, it is the foreground's.
func (t *tally) each(measure func(*lanewise.Confusion) []float64) []float64 {
	if t.classes > 1 && !t.masks {
		return measure(t.confusions[0])
	}
	var list []float64
	for _, c := range t.confusions {
		list = append(list, measure(c)[1])
	}
	return list
}

// labelled returns how many pixels have each label.
func (t *tally) labelled() []int {
	list := make([]int, t.classes)
	for k := range list {
		c, class := t.confusions[0], k
		if t.masks {
			c = t.confusions[k]
		}
		if t.masks || t.classes == 1 {
			class = 1
		}
		for predicted := range len(c.IoU()) {
			list[k] += int(c.At(class, predicted))
		}
	}
	return list
}

// overall returns the accuracy of pixels, and the IoU weighted by pixels. For masks the one is of (pixel, class), the other over the
// classes.
func (t *tally) overall() (accuracy, weighted number) {
	if !t.masks {
		return number(t.confusions[0].Accuracy()), number(t.confusions[0].FrequencyWeightedIoU())
	}
	var right, all, sum, labelled float64
	iou, pixels := t.each((*lanewise.Confusion).IoU), t.labelled()
	for k, c := range t.confusions {
		for label := range 2 {
			for predicted := range 2 {
				n := float64(c.At(label, predicted))
				all += n
				if label == predicted {
					right += n
				}
			}
		}
		if pixels[k] > 0 {
			sum, labelled = sum+float64(pixels[k])*iou[k], labelled+float64(pixels[k])
		}
	}
	return number(right / all), number(sum / labelled)
}

// add counts the class of the largest logit, for one class and for masks whether the probability is above ½. Void pixels do not count.
func (t *tally) add(o *options, logits []float32, labels []int32, s files.Shape) error {
	t.images, t.pixels = t.images+s.Images, t.pixels+s.Images*s.Pixels
	counted := slices.Clone(labels)
	for i, label := range counted {
		if slices.Contains(o.Void, label) {
			counted[i] = -1
			t.void++
		}
	}
	if s.Masks {
		return t.addMasks(logits, counted, s, o.activation(s))
	}
	predicted := o.predict(logits, s)
	for i := range s.Images {
		from, to := i*s.Pixels, (i+1)*s.Pixels
		rows := make([]classRow, t.classes)
		for p := from; p < to; p++ {
			label, seen := int(counted[p]), int(predicted[p])
			if t.classes == 1 {
				if label < 0 || label > 1 {
					continue
				}
				rows[0].labelled += label
				rows[0].predicted += seen
				rows[0].both += label & seen
			} else if label >= 0 && label < t.classes {
				rows[label].labelled++
				rows[seen].predicted++
				if label == seen {
					rows[label].both++
				}
			}
		}
		t.addImage(rows)
	}
	return t.confusions[0].Add(predicted, counted)
}

// predict returns the class of every pixel.
func (o *options) predict(logits []float32, s files.Shape) []int32 {
	predicted := make([]int32, s.Images*s.Pixels)
	switch {
	case s.Classes == 1:
		for i, x := range logits {
			if x > threshold(o.activation(s), o.Hinge) {
				predicted[i] = 1
			}
		}
	case s.Layout == lanewise.PixelMajor:
		lanewise.ArgMaxRows(predicted, logits, s.Classes)
	default:
		for i := range s.Images {
			from, to := i*s.Pixels, (i+1)*s.Pixels
			lanewise.ArgMaxPlanes(predicted[from:to], logits[from*s.Classes:to*s.Classes], s.Classes)
		}
	}
	return predicted
}

// threshold is the value above which the probability is above ½.
func threshold(activation string, hinge bool) float32 {
	if activation == "none" && !hinge {
		return 0.5
	}
	return 0
}

func (t *tally) addMasks(logits []float32, counted []int32, s files.Shape, activation string) error {
	above := threshold(activation, false)
	predicted, labels := make([]int32, s.Pixels), make([]int32, s.Pixels)
	for image := range s.Images {
		rows := make([]classRow, t.classes)
		for k := range s.Classes {
			for p := range s.Pixels {
				at := (image*s.Pixels+p)*s.Classes + k
				if s.Layout == lanewise.ClassMajor {
					at = (image*s.Classes+k)*s.Pixels + p
				}
				predicted[p], labels[p] = 0, counted[at]
				if logits[at] > above {
					predicted[p] = 1
				}
				if label := labels[p]; label == 0 || label == 1 {
					rows[k].labelled += int(label)
					rows[k].predicted += int(predicted[p])
					rows[k].both += int(label & predicted[p])
				}
			}
			if err := t.confusions[k].Add(predicted, labels); err != nil {
				return err
			}
		}
		t.addImage(rows)
	}
	return nil
}

// addImage adds an image to the means over images.
func (t *tally) addImage(rows []classRow) {
	var m mean
	for k, row := range rows {
		iou := float64(row.both) / float64(row.labelled+row.predicted-row.both)
		t.imageIoU[k].addNumber(iou)
		if slices.Contains(t.counted, k) {
			m.addNumber(iou)
		}
	}
	t.means = append(t.means, number(m.orNaN()))
	if t.keep {
		t.rows = append(t.rows, rows)
	}
}

// explain adds to the library's error what to do about it here: which file it is about, and of labels that are no classes what they may
// stand for.
func (l *loader) explain(err error, at int, pairs []pair, y *array[int32], s files.Shape) error {
	var pixel *lanewise.PixelError
	var mask *labelError
	p := pairs[at]
	isLabel := errors.As(err, &mask)
	if isLabel {
		err = fmt.Errorf("mask value %d at index %d is neither 0 nor 1", y.data[mask.at], mask.at)
	} else if errors.As(err, &pixel) && errors.Is(err, lanewise.ErrLabel) {
		isLabel = true
		err = fmt.Errorf("label %d at pixel %d is outside [0, %d)", y.data[pixel.Pixel], pixel.Pixel, s.Classes)
		if s.Classes == 1 {
			err = fmt.Errorf("label %d at pixel %d: with one class labels are 0 and 1", y.data[pixel.Pixel], pixel.Pixel)
		}
	}
	path := p.Logits
	if isLabel {
		path = p.labels()
		if hint := files.OutOfRange(l.values(at, pairs, y), s.Classes, s.Masks); hint != "" {
			err = fmt.Errorf("%w (%s)", err, hint)
		}
	}
	if !l.o.set() {
		return err
	}
	return fmt.Errorf("%s: %s", path, strings.TrimPrefix(err.Error(), "lanewise: "))
}

// values returns the different labels of this file and of others of the set, which tell more together than one alone: void ones left out.
func (l *loader) values(at int, pairs []pair, y *array[int32]) []int32 {
	if l.all != nil {
		y = l.all
	}
	lists := [][]int32{y.data}
	for i, p := range pairs[:min(len(pairs), 200)] {
		if i == at || p.Labels == "" || p.of > 0 {
			continue
		}
		labels, err := openLabels(p.Labels, p.stack)
		if err != nil {
			continue // which is not what this error is about
		}
		if files.Product(labels.info.shape) <= 16*len(y.data) {
			if other, err := labels.read(l.labelMaps, int32(l.o.LabelShift), l.o.Void); err == nil {
				lists = append(lists, files.Values(other.data))
			}
		}
		labels.close()
	}
	return slices.DeleteFunc(files.Values(lists...), func(v int32) bool { return slices.Contains(l.o.Void, v) })
}

// asFlags turns the fields that the library's errors name into the flags that set them.
var asFlags = strings.NewReplacer("OnlyClasses", "-only", "SkipClasses", "-skip", "VoidLabels", "-void", "CrossEntropyWeights",
	"-ce-weights",
	"LabelSmoothing", "-label-smoothing", "Weights", "-weights", "CrossEntropy", "-ce", "Workers", "-workers", "NoActivation",
	"-activation none", "SigmoidActivation", "-activation sigmoid")
