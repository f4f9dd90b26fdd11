package main

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lanewise/lanewise"
)

// A report is what the command prints, in JSON under these names.
type report struct {
	Example      bool          `json:"example"` // the embedded one
	Loss         number        `json:"loss"`
	Lovasz       number        `json:"lovasz"`
	CrossEntropy number        `json:"cross_entropy"`
	Lambda       float64       `json:"lambda"` // loss = lovasz + lambda · cross_entropy
	Gap          number        `json:"gap"`
	MeanIoU      number        `json:"mean_iou"`
	Classes      []classReport `json:"classes"`
	PerImage     []number      `json:"per_image,omitempty"`
	ImageNames   []string      `json:"image_names,omitempty"` // of per_image, where each has its file

	Files      int      `json:"files,omitempty"`  // where there are many: dtypes and shapes are then those of the first
	Merged     int      `json:"merged,omitempty"` // files of counts
	Images     int      `json:"images"`
	Pixels     int      `json:"pixels"`
	Void       int      `json:"void_pixels"`
	Layout     string   `json:"layout"`
	Hinge      bool     `json:"hinge,omitempty"`
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
}

type classReport struct {
	Class  int    `json:"class"`
	Name   string `json:"name,omitempty"`
	Pixels int    `json:"pixels"` // with this label
	IoU    number `json:"iou"`
	Loss   number `json:"loss"`
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

// evaluate computes what the flags ask for of one file. The gradient, nil unless it is to be written or drawn, takes the place of the logits.
func evaluate(o *options, x *array[float32], y *array[int32], s shape) (*report, []float32, error) {
	cfg, err := o.config(s)
	if err != nil {
		return nil, nil, err
	}
	l, err := lanewise.NewLovasz(cfg)
	if err != nil {
		return nil, nil, errors.New(asFlags.Replace(err.Error()))
	}
	r := o.newReport(x, y, s)
	t := newTally(s.classes)
	if err := t.add(o, x.data, y.data, s); err != nil {
		return nil, nil, err
	}
	r.setTally(o, t)

	var grad []float32
	if o.Grad != "" || o.Heatmap != "" {
		grad = x.data
	}
	start := time.Now()
	result, err := compute(l, o.Hinge, grad, x.data, y.data, s.images)
	r.Seconds = time.Since(start).Seconds()
	if err != nil {
		return nil, nil, explain(err, y.data, s.classes)
	}
	r.setLoss(o, result)
	return r, grad, nil
}

// compute is the one call of the library; grad may be nil, or the logits.
func compute(l *lanewise.Lovasz, hinge bool, grad, logits []float32, labels []int32, images int) (lanewise.LovaszResult, error) {
	switch {
	case hinge:
		return l.Hinge(grad, logits, labels, images)
	case grad != nil:
		return l.Backward(grad, logits, labels, images)
	}
	return l.Forward(logits, labels, images)
}

// newReport says what was asked for.
func (o *options) newReport(x *array[float32], y *array[int32], s shape) *report {
	r := &report{
		Example:    o.example(),
		Layout:     map[lanewise.Layout]string{lanewise.PixelMajor: "pixel", lanewise.ClassMajor: "class"}[s.layout],
		Hinge:      o.Hinge,
		Hard:       o.Predictions != "",
		Activation: o.activation(s.classes),
		Average:    o.Average,
		Method:     o.Method,
		Lambda:     o.CE,
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
	if r.Workers == 0 {
		r.Workers = runtime.GOMAXPROCS(0)
	}
	r.newClasses(o, s.classes)
	return r
}

// newClasses makes the rows of the classes, with their names.
func (r *report) newClasses(o *options, classes int) {
	names := o.Names
	if names == nil && r.Example {
		names = exampleNames
	}
	for k := range classes {
		c := classReport{Class: k}
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
func (r *report) setTally(o *options, t *tally) {
	r.Images, r.Pixels, r.Void = t.images, t.pixels, t.void
	iou, first := t.confusion.IoU(), 0
	r.MeanIoU = number(t.confusion.MeanIoU())
	if len(r.Classes) == 1 { // the foreground
		first = 1
		r.MeanIoU = number(iou[1])
	}
	for k := range r.Classes {
		c := &r.Classes[k]
		c.IoU = number(iou[first+k])
		for predicted := range iou {
			c.Pixels += int(t.confusion.At(first+k, predicted))
		}
	}
}

// A tally counts what was predicted.
type tally struct {
	confusion            *lanewise.Confusion
	images, pixels, void int
}

func newTally(classes int) *tally { return &tally{confusion: lanewise.NewConfusion(max(2, classes))} }

// add counts the class of the largest logit, for one class whether the probability is above ½. Void pixels do not count.
func (t *tally) add(o *options, logits []float32, labels []int32, s shape) error {
	predicted := make([]int32, len(labels))
	switch {
	case s.classes == 1:
		threshold := float32(0)
		if o.activation(1) == "none" && !o.Hinge {
			threshold = 0.5
		}
		for i, x := range logits {
			if x > threshold {
				predicted[i] = 1
			}
		}
	case s.layout == lanewise.PixelMajor:
		lanewise.ArgMaxRows(predicted, logits, s.classes)
	default:
		for i := range s.images {
			from, to := i*s.pixels, (i+1)*s.pixels
			lanewise.ArgMaxPlanes(predicted[from:to], logits[from*s.classes:to*s.classes], s.classes)
		}
	}
	counted := slices.Clone(labels)
	for i, label := range counted {
		if slices.Contains(o.Void, label) {
			counted[i] = -1
			t.void++
		}
	}
	t.images, t.pixels = t.images+s.images, t.pixels+len(labels)
	return t.confusion.Add(predicted, counted)
}

// explain adds to the library's error what to do about it here.
func explain(err error, labels []int32, classes int) error {
	var at *lanewise.PixelError
	if !errors.Is(err, lanewise.ErrLabel) || !errors.As(err, &at) {
		return err
	}
	label := labels[at.Pixel]
	if classes == 1 {
		return fmt.Errorf("label %d at pixel %d: with one class labels are 0 and 1 (if it is no class: -void %d)", label, at.Pixel, label)
	}
	return fmt.Errorf("label %d at pixel %d is outside [0, %d) (if it is no class: -void %d)", label, at.Pixel, classes, label)
}

// asFlags turns the fields that the library's errors name into the flags that set them.
var asFlags = strings.NewReplacer("OnlyClasses", "-only", "SkipClasses", "-skip", "VoidLabels", "-void", "Weights", "-weights",
	"CrossEntropy", "-ce", "Workers", "-workers", "NoActivation", "-activation none", "SigmoidActivation", "-activation sigmoid")
