package files

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lanewise/lanewise"
)

// A Shape says how logits lie in memory: [Images, Pixels, Classes] in Layout. Labels are [Images, Pixels], or with Masks as the logits.
type Shape struct {
	Images, Pixels, Classes int
	Layout                  lanewise.Layout
	Masks                   bool // one for each class: classes may overlap
}

// maxClasses bounds the confusion matrix, the square of it. No data set comes near; a pixel axis taken for the classes' does.
const maxClasses = 1 << 13

// FitOptions narrow down what shapes mean.
type FitOptions struct {
	Layout  string // pixel, class, or auto: the one that fits
	Classes int    // 0: any
	Images  int    // 0: any
}

// A reading is one thing that shapes may mean.
type reading struct {
	Shape
	axes string
	ask  bool // only where -classes says so
}

// Fit finds the class axis: logits have the labels' axes and one more, the last ([…, C]), the first ([C, …]) or the second ([N, C, …]).
// Axes of length 1 may be missing on either side. Labels of the logits' own shape are masks, one for each class, or with one class those of
// one score per pixel. It is an error when nothing fits, or more than one reading does.
func Fit(logits, labels []int, o FitOptions) (Shape, error) {
	all := readings(logits, labels)
	found := narrow(all, o)
	what := fmt.Sprintf("logits %s and labels %s", Axes(logits), Axes(labels))
	if len(found) == 1 {
		s := found[0].Shape
		if s.Classes > maxClasses {
			return Shape{}, fmt.Errorf("%s have %d classes, more than %d", what, s.Classes, maxClasses)
		}
		return s, nil
	}
	if len(found) > 1 {
		var list []string
		for _, r := range found {
			list = append(list, fmt.Sprintf("%s, %s:%s", r.axes, r.Shape, only1(found, r, o)))
		}
		return Shape{}, fmt.Errorf("%s%s may be %s", what, o.flags(), strings.Join(list, ", or "))
	}
	// Nothing fits: which of the flags is in the way?
	for _, without := range []struct {
		flag string
		o    FitOptions
	}{
		{fmt.Sprintf("-classes %d", o.Classes), FitOptions{o.Layout, 0, o.Images}},
		{"-layout " + o.Layout, FitOptions{"auto", o.Classes, o.Images}},
		{fmt.Sprintf("-images %d", o.Images), FitOptions{o.Layout, o.Classes, 0}},
	} {
		if without.o == o {
			continue
		}
		if rest := narrow(all, without.o); len(rest) == 1 {
			return Shape{}, fmt.Errorf("%s are %s: that does not fit %s", what, rest[0].Shape, without.flag)
		}
	}
	return Shape{}, fmt.Errorf("%s do not fit%s: logits have the labels' shape and one axis more, for the classes: […, C], [C, …] or "+
		"[N, C, …]", what, o.flags())
}

// flags names what narrows.
func (o FitOptions) flags() string {
	var flags string
	if o.Layout != "auto" && o.Layout != "" {
		flags += " -layout " + o.Layout
	}
	if o.Classes > 0 {
		flags += fmt.Sprintf(" -classes %d", o.Classes)
	}
	if o.Images > 0 {
		flags += fmt.Sprintf(" -images %d", o.Images)
	}
	if flags != "" {
		return " with" + flags
	}
	return ""
}

// only1 names the flags that single out a reading of these.
func only1(found []reading, r reading, o FitOptions) string {
	layout := "pixel"
	if r.Layout == lanewise.ClassMajor {
		layout = "class"
	}
	for _, try := range []struct {
		flags string
		o     FitOptions
	}{
		{" -layout " + layout, FitOptions{layout, o.Classes, o.Images}},
		{fmt.Sprintf(" -classes %d", r.Classes), FitOptions{o.Layout, r.Classes, o.Images}},
		{fmt.Sprintf(" -images %d", r.Images), FitOptions{o.Layout, o.Classes, r.Images}},
		{fmt.Sprintf(" -layout %s -classes %d", layout, r.Classes), FitOptions{layout, r.Classes, o.Images}},
		{fmt.Sprintf(" -layout %s -images %d", layout, r.Images), FitOptions{layout, o.Classes, r.Images}},
		{fmt.Sprintf(" -classes %d -images %d", r.Classes, r.Images), FitOptions{o.Layout, r.Classes, r.Images}},
		{fmt.Sprintf(" -layout %s -classes %d -images %d", layout, r.Classes, r.Images), FitOptions{layout, r.Classes, r.Images}},
	} {
		if rest := narrow(found, try.o); len(rest) == 1 && rest[0] == r {
			return try.flags
		}
	}
	return " the shapes do not tell"
}

// narrow keeps the readings that the options allow.
func narrow(all []reading, o FitOptions) []reading {
	var found []reading
	for _, r := range all {
		pixels := r.Images * r.Pixels
		rows := r.Classes == 1 || r.Layout == lanewise.PixelMajor
		switch {
		case o.Classes > 0 && o.Classes != r.Classes, r.ask && o.Classes == 0:
			continue
		case r.Classes > 1 && o.Layout == "pixel" && r.Layout != lanewise.PixelMajor || r.Classes > 1 && o.Layout == "class" &&
			r.Layout != lanewise.ClassMajor:
			continue
		case o.Images > 0 && o.Images != r.Images:
			// Rows are one image behind the other, however many; planes say themselves how many images there are.
			if !rows || pixels%o.Images != 0 {
				continue
			}
			r.Images, r.Pixels = o.Images, pixels/o.Images
		}
		if !slices.ContainsFunc(found, func(f reading) bool { return f.Shape == r.Shape }) {
			found = append(found, r)
		}
	}
	return found
}

// readings returns what the shapes may mean, without any flag.
func readings(logits, labels []int) []reading {
	last := len(logits) - 1
	var list []reading
	same := slices.Equal(logits, labels)
	if same {
		images := imageCount(labels)
		one := reading{Shape{Images: images, Pixels: Product(labels) / images, Classes: 1}, "one score per pixel", false}
		if last < 1 {
			return []reading{one}
		}
		masks := func(axis, images int, axes string) {
			classes := logits[axis]
			if classes < 2 {
				return
			}
			layout := lanewise.PixelMajor
			if axis != last {
				layout = lanewise.ClassMajor
			}
			list = append(list, reading{Shape{images, Product(logits) / max(1, images*classes), classes, layout, true}, axes, false})
		}
		if len(logits) >= 4 {
			// [N, C, H, W] or [N, H, W, C]: networks have far fewer classes than rows or columns.
			switch {
			case logits[1] == 1 || logits[last] == 1:
				return []reading{one}
			case logits[1] < logits[last]:
				masks(1, max(1, logits[0]), "masks [N, C, …]")
			case logits[last] < logits[1]:
				masks(last, max(1, logits[0]), "masks [N, …, C]")
			default:
				masks(1, max(1, logits[0]), "masks [N, C, …]")
				masks(last, max(1, logits[0]), "masks [N, …, C]")
			}
			one.ask = len(list) > 0 && list[0].Masks
			return append(list, one)
		}
		list = append(list, one)
		masks(0, 1, "masks [C, …]")
		masks(last, 1, "masks […, C]")
		if len(logits) == 3 {
			masks(1, max(1, logits[0]), "masks [N, C, P]")
		}
		return list
	}
	for axis, classes := range logits {
		rest := slices.Delete(slices.Clone(logits), axis, axis+1)
		if axis > 1 && axis != last || classes == 0 || !slices.Equal(squeeze(rest), squeeze(labels)) {
			continue
		}
		s := Shape{Images: 1, Classes: classes}
		axes := "[C, …]"
		switch {
		case axis == last:
			s.Images, axes = imageCount(rest), "[…, C]"
		case axis == 1:
			s.Images, axes = max(1, logits[0]), "[N, C, …]"
		}
		s.Pixels = Product(rest) / s.Images
		if classes > 1 && last > 0 && axis != last { // otherwise rows and planes are the same
			s.Layout = lanewise.ClassMajor
		}
		list = append(list, reading{s, axes, false})
		if axis == 0 && classes == 1 && len(logits) == 4 && len(labels) == 3 && labels[0] > 1 { // or masks of one image
			list = append(list, reading{Shape{1, labels[1] * labels[2], labels[0], lanewise.ClassMajor, true}, "masks [C, …]", false})
		}
	}
	return list
}

func (s Shape) String() string {
	layout := "pixel-major"
	if s.Layout == lanewise.ClassMajor {
		layout = "class-major"
	}
	text := plural(s.Images, "image") + " of " + plural(s.Pixels, "pixel")
	switch {
	case s.Masks:
		return fmt.Sprintf("%s × %d masks (%s)", text, s.Classes, layout)
	case s.Classes > 1:
		return fmt.Sprintf("%s × %d classes (%s)", text, s.Classes, layout)
	}
	return text + " × 1 class"
}

// imageCount is the number of images in pixels of this shape: [N, H, W] and beyond have several. A batch of none counts as one without
// pixels.
func imageCount(pixels []int) int {
	if len(pixels) >= 3 {
		return max(1, pixels[0])
	}
	return 1
}

// Product is the number of elements of a shape.
func Product(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

func squeeze(shape []int) []int {
	return slices.DeleteFunc(slices.Clone(shape), func(d int) bool { return d == 1 })
}

// Axes writes a shape as the messages have it: [2, 19, 512, 1024].
func Axes(shape []int) string {
	return strings.ReplaceAll(fmt.Sprint(shape), " ", ", ")
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if stem, ok := strings.CutSuffix(noun, "y"); ok {
		return fmt.Sprintf("%d %sies", n, stem)
	}
	return fmt.Sprintf("%d %ss", n, strings.Replace(noun, "class", "classe", 1))
}
