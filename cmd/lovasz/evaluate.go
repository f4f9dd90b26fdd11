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

	Images     int      `json:"images"`
	Pixels     int      `json:"pixels"`
	Void       int      `json:"void_pixels"`
	Layout     string   `json:"layout"`
	Hinge      bool     `json:"hinge,omitempty"`
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

// evaluate computes what the flags ask for. The gradient, nil unless it is to be written, takes the place of the logits.
func evaluate(o *options, x *array[float32], y *array[int32], s shape) (*report, []float32, error) {
	cfg, err := o.config(s)
	if err != nil {
		return nil, nil, err
	}
	l, err := lanewise.NewLovasz(cfg)
	if err != nil {
		return nil, nil, errors.New(asFlags.Replace(err.Error()))
	}
	r := &report{
		Example:    o.example(),
		Images:     s.images,
		Pixels:     len(y.data),
		Layout:     map[lanewise.Layout]string{lanewise.PixelMajor: "pixel", lanewise.ClassMajor: "class"}[s.layout],
		Hinge:      o.Hinge,
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
	if o.Only != nil {
		r.Average = "selected"
	}
	if r.Workers == 0 {
		r.Workers = runtime.GOMAXPROCS(0)
	}
	if err := r.count(o, x.data, y.data, s); err != nil {
		return nil, nil, err
	}

	var grad []float32
	if o.Grad != "" {
		grad = x.data
	}
	var result lanewise.LovaszResult
	start := time.Now()
	switch {
	case o.Hinge:
		result, err = l.Hinge(grad, x.data, y.data, s.images)
	case grad != nil:
		result, err = l.Backward(grad, x.data, y.data, s.images)
	default:
		result, err = l.Forward(x.data, y.data, s.images)
	}
	r.Seconds = time.Since(start).Seconds()
	if err != nil {
		return nil, nil, explain(err, y.data, s.classes)
	}
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
	return r, grad, nil
}

// count fills in what was predicted: the class of the largest logit, for one class whether the probability is above ½. Void pixels do not
// count.
func (r *report) count(o *options, logits []float32, labels []int32, s shape) error {
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
			r.Void++
		}
	}
	confusion := lanewise.NewConfusion(max(2, s.classes))
	if err := confusion.Add(predicted, counted); err != nil {
		return err
	}
	iou := confusion.IoU()
	pixels := make([]int, max(2, s.classes))
	for _, label := range counted {
		if label >= 0 && int(label) < len(pixels) {
			pixels[label]++
		}
	}
	if s.classes == 1 { // the foreground
		iou, pixels = iou[1:], pixels[1:]
		r.MeanIoU = number(iou[0])
	} else {
		r.MeanIoU = number(confusion.MeanIoU())
	}
	names := o.Names
	if names == nil && r.Example {
		names = exampleNames
	}
	for k := range s.classes {
		c := classReport{Class: k, Pixels: pixels[k], IoU: number(iou[k])}
		if names != nil {
			c.Name = names[k]
		}
		r.Classes = append(r.Classes, c)
	}
	return nil
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
