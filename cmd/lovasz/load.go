package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lanewise/lanewise"
	"github.com/lanewise/lanewise/files"
)

// An array is what a file holds, in C order.
type array[T float32 | int32] struct {
	path  string
	dtype string // of the file, as NumPy names it
	shape []int
	data  []T
}

// A pair is the files of one image, or of a batch; stack are labels that stand for the batch, one file for each image. The other way round
// the labels of many files may be one array: then of is how many images it has to hold, and at which of them the pair's is.
type pair struct {
	files.Pair
	stack  []string
	at, of int
}

// pairs returns the files that the flags name: one pair, or those of a set, and notes about them. The embedded example has no names.
func (o *options) pairs() (pairs []pair, notes []string, err error) {
	switch {
	case o.example():
		return []pair{{}}, nil, nil
	case o.source() == "" || o.Labels == "":
		return nil, nil, fmt.Errorf("both -logits (or -predictions) and -labels are needed (neither: the embedded example)")
	case o.List != "" && !(o.set() && files.IsSet(o.Labels)):
		one := o.source()
		if o.set() {
			one = o.Labels
		}
		return nil, nil, fmt.Errorf("-list names files of a set, while %s is one file: give a directory or a pattern", one)
	case o.set() && !files.IsSet(o.Labels):
		x, err := files.List(o.source(), o.role(), o.Shape != nil)
		if err != nil {
			return nil, nil, err
		}
		names, paths, notes, err := files.Ordered(x)
		for i, path := range paths {
			pairs = append(pairs, pair{Pair: files.Pair{Name: names[i], Logits: path, Labels: o.Labels}, at: i, of: len(paths)})
		}
		return pairs, notes, err
	case o.set():
		x, err := files.List(o.source(), o.role(), o.Shape != nil)
		if err != nil {
			return nil, nil, err
		}
		y, err := files.List(o.Labels, files.Labels, false)
		if err != nil {
			return nil, nil, err
		}
		only, err := o.only()
		if err != nil {
			return nil, nil, err
		}
		found, notes, err := files.Match(x, y, files.PairOptions{Only: only, Skip: o.Unpaired == "skip"})
		for _, p := range found {
			pairs = append(pairs, pair{Pair: p})
		}
		return pairs, notes, err
	}
	p := pair{Pair: files.Pair{Logits: o.source(), Labels: o.Labels}}
	if files.IsSet(o.Labels) && !isZarr(o.Labels) {
		y, err := files.List(o.Labels, files.Labels, false)
		if err != nil {
			return nil, nil, err
		}
		if _, p.stack, notes, err = files.Ordered(y); err != nil {
			return nil, nil, err
		}
	}
	return []pair{p}, notes, nil
}

// isZarr leaves stores, which are folders, to the reader, which says how to convert them.
func isZarr(path string) bool { return strings.HasSuffix(filepath.Clean(path), ".zarr") }

// only reads the names of -list.
func (o *options) only() ([]string, error) {
	if o.List == "" {
		return nil, nil
	}
	content, err := os.ReadFile(o.List)
	if err != nil {
		return nil, fmt.Errorf("-list: %w", err)
	}
	names := []string{}
	for line := range strings.Lines(string(content)) {
		if fields := strings.Fields(line); len(fields) > 0 { // VOC's lists of a class have a second column
			names = append(names, fields[0])
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("-list: %s names no image", o.List)
	}
	return names, nil
}

// role is what the source holds.
func (o *options) role() files.Role {
	if o.Predictions != "" {
		return files.Labels
	}
	return files.Logits
}

// files are all inputs of a pair.
func (p pair) files() []string {
	if p.stack != nil {
		return append([]string{p.Logits}, p.stack...)
	}
	return []string{p.Logits, p.Labels}
}

// A loader reads pairs. It remembers what it has seen.
type loader struct {
	o           *options
	labelMaps   []*files.LabelMap
	predictMaps []*files.LabelMap
	areLogits   bool // a file was seen whose values are no probabilities
	overlap     bool // masks were seen that are not one-hot

	whole *labelSource  // the labels of many files in one array, which is opened and read once
	all   *array[int32] // its elements
}

func (o *options) newLoader() (*loader, error) {
	l := &loader{o: o}
	for _, list := range []struct {
		flag string
		from []string
		to   *[]*files.LabelMap
	}{{"-labels-map", o.LabelsMap, &l.labelMaps}, {"-predictions-map", o.PredictionsMap, &l.predictMaps}} {
		for _, text := range list.from {
			m, err := files.ParseLabelMap(text)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", list.flag, err)
			}
			*list.to = append(*list.to, m)
		}
	}
	return l, nil
}

// A labelSource is labels whose shape is known, and which are read next.
type labelSource struct {
	arrays []*files.Array // several are a stack
	info   array[int32]
}

func openLabels(path string, stack []string) (*labelSource, error) {
	if stack == nil {
		a, err := files.Open(path, files.Labels, files.Options{})
		if err != nil {
			return nil, err
		}
		return &labelSource{[]*files.Array{a}, array[int32]{a.Path, a.Dtype, a.Shape, nil}}, nil
	}
	s := &labelSource{}
	for i, name := range stack {
		a, err := files.Open(name, files.Labels, files.Options{})
		if err != nil {
			return nil, err
		}
		a.Close() // there may be more than can be open: each is opened again
		first := a
		if i > 0 {
			first = s.arrays[0]
		}
		switch {
		case !slices.Equal(a.Shape, first.Shape):
			return nil, fmt.Errorf("%s: shape %s, while %s has %s", name, files.Axes(a.Shape), stack[0], files.Axes(first.Shape))
		case a.Dtype != first.Dtype:
			return nil, fmt.Errorf("%s: %s, while %s is %s", name, a.Dtype, stack[0], first.Dtype)
		}
		s.arrays = append(s.arrays, a)
	}
	s.info = array[int32]{path, s.arrays[0].Dtype, append([]int{len(stack)}, s.arrays[0].Shape...), nil}
	return s, nil
}

func (s *labelSource) close() {
	for _, a := range s.arrays {
		a.Close()
	}
}

// read reads the elements, and makes class ids of them.
func (s *labelSource) read(maps []*files.LabelMap, shift int32, void []int32) (*array[int32], error) {
	out := s.info
	for i, a := range s.arrays {
		if len(s.arrays) > 1 || out.path != a.Path { // of a stack
			var err error
			if a, err = files.Open(a.Path, files.Labels, files.Options{}); err != nil {
				return nil, err
			}
		}
		data, err := a.Integers()
		a.Close()
		if err != nil {
			return nil, err
		}
		if data, err = files.MapLabels(a, data, maps, shift, void); err != nil {
			return nil, err
		}
		if i == 0 {
			out.data = data
		} else {
			out.data = append(out.data, data...)
		}
	}
	if len(out.data) != files.Product(out.shape) {
		return nil, fmt.Errorf("%s: a file has changed while it was read", out.path)
	}
	return &out, nil
}

// labels opens those of a pair.
func (l *loader) labels(p pair) (*labelSource, error) {
	if p.of == 0 {
		return openLabels(p.Labels, p.stack)
	}
	if l.whole == nil {
		s, err := openLabels(p.Labels, nil)
		if err != nil {
			return nil, err
		}
		if shape := s.info.shape; len(shape) < 2 || shape[0] != p.of {
			s.close()
			return nil, fmt.Errorf("%s: labels are %s, want [%d, …]: an image for each file of %s", p.Labels, files.Axes(shape), p.of, l.o.source())
		}
		l.whole = s
	}
	one := *l.whole
	one.info.shape = one.info.shape[1:]
	return &one, nil
}

// readLabels reads the labels that were opened.
func (l *loader) readLabels(s *labelSource, p pair) (*array[int32], error) {
	if p.of == 0 {
		return s.read(l.labelMaps, int32(l.o.LabelShift), l.o.Void)
	}
	if l.all == nil {
		var err error
		if l.all, err = l.whole.read(l.labelMaps, int32(l.o.LabelShift), l.o.Void); err != nil {
			return nil, err
		}
	}
	one := s.info
	pixels := len(l.all.data) / p.of
	one.data = slices.Clip(l.all.data[p.at*pixels : (p.at+1)*pixels])
	return &one, nil
}

// load reads a pair, and finds out how its logits lie. Shapes are compared before anything but headers is read.
func (l *loader) load(p pair) (x *array[float32], y *array[int32], s files.Shape, err error) {
	o := l.o
	if o.example() {
		return l.example()
	}
	fit := func(logits, labels []int) (files.Shape, error) {
		layout, images := o.Layout, o.Images
		if o.Predictions != "" {
			layout = "pixel"
			if o.set() && images == 0 {
				images = 1 // each file is one, a volume too
			}
		}
		s, err := o.fit(logits, labels, files.FitOptions{Layout: layout, Classes: o.Classes, Images: images})
		if err != nil && o.set() {
			err = fmt.Errorf("%s: %w", p.Logits, err)
		}
		return s, err
	}
	var source *files.Array
	var predicted *labelSource
	if o.Predictions != "" {
		if predicted, err = openLabels(p.Logits, nil); err != nil {
			return nil, nil, s, ofPredictions(err)
		}
		defer predicted.close()
	} else {
		if source, err = files.Open(p.Logits, files.Logits, files.Options{Shape: o.Shape}); err != nil {
			return nil, nil, s, err
		}
		defer source.Close()
	}
	labels, err := l.labels(p)
	if err != nil {
		return nil, nil, s, err
	}
	defer labels.close()
	if _, err := files.MapLabels(labels.arrays[0], nil, l.labelMaps, 0, nil); err != nil { // colours without a map of them
		return nil, nil, s, err
	}

	if predicted != nil {
		if !fitsPredictions(predicted.info.shape, labels.info.shape) {
			return nil, nil, s, fmt.Errorf("%s: predictions %s do not fit the labels %s", p.Logits, files.Axes(predicted.info.shape),
				files.Axes(labels.info.shape))
		}
		if s, err = fit(append(slices.Clone(labels.info.shape), o.Classes), labels.info.shape); err != nil {
			return nil, nil, s, err
		}
		ids, err := predicted.read(l.predictMaps, 0, nil)
		if err != nil {
			return nil, nil, s, ofPredictions(err)
		}
		if y, err = l.readLabels(labels, p); err != nil {
			return nil, nil, s, err
		}
		x, err = o.oneHot(ids, y)
		return x, y, s, err
	}
	if s, err = fit(source.Shape, labels.info.shape); err != nil {
		return nil, nil, s, err
	}
	o.probabilities = source.Probabilities
	x = &array[float32]{path: source.Path, dtype: source.Dtype, shape: source.Shape}
	if x.data, err = source.Floats(); err != nil {
		return nil, nil, s, err
	}
	if y, err = l.readLabels(labels, p); err != nil {
		return nil, nil, s, err
	}
	if s.Masks {
		if s, err = l.masks(y, s); err != nil {
			return nil, nil, s, fmt.Errorf("%s: %w", p.labels(), err)
		}
	}
	if err := l.checkActivation(x, y, s); err != nil {
		return nil, nil, s, err
	}
	return x, y, s, nil
}

// example returns the embedded logits and labels.
func (l *loader) example() (x *array[float32], y *array[int32], s files.Shape, err error) {
	open := func(name string, role files.Role) (*files.Array, error) {
		content := exampleFile(name)
		return files.OpenReader(bytes.NewReader(content), int64(len(content)), name, role, files.Options{})
	}
	a, err := open("logits.npy", files.Logits)
	if err != nil {
		return nil, nil, s, fmt.Errorf("embedded %w", err)
	}
	b, err := open("labels.npy", files.Labels)
	if err != nil {
		return nil, nil, s, fmt.Errorf("embedded %w", err)
	}
	x, y = &array[float32]{"(embedded)", a.Dtype, a.Shape, nil}, &array[int32]{"(embedded)", b.Dtype, b.Shape, nil}
	if s, err = l.o.fit(x.shape, y.shape, files.FitOptions{Layout: l.o.Layout, Classes: l.o.Classes, Images: l.o.Images}); err != nil {
		return nil, nil, s, err
	}
	if x.data, err = a.Floats(); err != nil {
		return nil, nil, s, err
	}
	y.data, err = b.Integers()
	return x, y, s, err
}

// fit is files.Fit, which reads one score per pixel of a hinge where that fits.
func (o *options) fit(logits, labels []int, f files.FitOptions) (files.Shape, error) {
	if o.Hinge && f.Classes == 0 {
		one := f
		one.Classes = 1
		if s, err := files.Fit(logits, labels, one); err == nil {
			return s, nil
		}
	}
	return files.Fit(logits, labels, f)
}

// masks looks at labels of the logits' own shape: one mask for each class, 0 and 1. Where each pixel has exactly one class they may be
// one-hot labels of a softmax, and then only the user knows.
func (l *loader) masks(y *array[int32], s files.Shape) (files.Shape, error) {
	o := l.o
	if o.activation(s) == "none" && o.Activation == "auto" { // the array says so
		return s, nil
	}
	at := func(image, pixel, class int) int32 {
		if s.Layout == lanewise.ClassMajor {
			return y.data[(image*s.Classes+class)*s.Pixels+pixel]
		}
		return y.data[(image*s.Pixels+pixel)*s.Classes+class]
	}
	oneHot := s.Images*s.Pixels > 0
	ids := make([]int32, 0, s.Images*s.Pixels)
scan:
	for image := range s.Images {
		for pixel := range s.Pixels {
			ones, void, id := 0, int32(0), int32(-1)
			isVoid := false
			for k := range s.Classes {
				switch v := at(image, pixel, k); {
				case slices.Contains(o.Void, v):
					isVoid, void = true, v
				case v == 1:
					ones, id = ones+1, int32(k)
				}
			}
			switch {
			case ones == 1 && !isVoid:
			case ones == 0 && isVoid:
				id = void
			default:
				oneHot = false
				if o.Activation == "softmax" {
					return s, fmt.Errorf("pixel %d of image %d has %d classes: a softmax knows one for each pixel, -activation sigmoid takes masks "+
						"that overlap", pixel, image, ones)
				}
				break scan
			}
			ids = append(ids, id)
		}
	}
	switch {
	case !oneHot:
		l.overlap = true
		return s, nil
	case o.Activation == "softmax":
		y.data, s.Masks = ids, false
	case o.Activation == "auto" && !l.overlap:
		return s, errors.New("labels have the logits' shape, and each pixel has exactly one class: where the network ends in a softmax add " +
			"-activation softmax, " +
			"where it has a sigmoid for each class -activation sigmoid")
	}
	return s, nil
}

// checkActivation refuses probabilities that would be taken for logits: a softmax of them is a number too, and a wrong one.
func (l *loader) checkActivation(x *array[float32], y *array[int32], s files.Shape) error {
	o := l.o
	if o.Activation != "auto" || o.Hinge || o.probabilities || l.areLogits {
		return nil
	}
	if !files.LooksLikeProbabilities(x.data, y.data, o.Void, s) {
		l.areLogits = true
		return nil
	}
	found := fmt.Sprintf("the values are all in [0, 1], and those of each pixel sum to 1, as probabilities do: if they are, add "+
		"-activation none; if they are logits, -activation %s",
		o.activation(s))
	if s.Classes == 1 || s.Masks {
		found = "the values are all in [0, 1], as probabilities are: if they are, add -activation none; if they are logits, -activation sigmoid"
	}
	return fmt.Errorf("%s: %s", x.path, found)
}

// masksOf makes masks of labels, as the library has them: 0, 1, and 255 for void.
func masksOf(labels, void []int32) []uint8 {
	masks := make([]uint8, len(labels))
	for i, v := range labels {
		switch {
		case slices.Contains(void, v):
			masks[i] = 255
		case v == 1:
			masks[i] = 1
		}
	}
	return masks
}

// checkMasks says which value of a mask is neither 0 nor 1 nor void; −1 if there is none.
func checkMasks(labels, void []int32) int {
	return slices.IndexFunc(labels, func(v int32) bool { return v != 0 && v != 1 && !slices.Contains(void, v) })
}
