package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lanewise/lanewise"
)

// A shape says how logits lie in memory: [images, pixels, classes] in layout.
type shape struct {
	images, pixels, classes int
	layout                  lanewise.Layout
}

// maxClasses bounds the confusion matrix, the square of it. No data set comes near; a pixel axis taken for the classes' does.
const maxClasses = 1 << 13

// fit finds the class axis: logits have the labels' axes and one more, the last ([…, C]), the first ([C, …]) or the second ([N, C, …]).
// Axes of length 1 may be missing on either side. layout (auto, pixel, class), classes and images (0: any) narrow the choice; it is an
// error when nothing fits, or more than one reading does.
func fit(logits, labels []int, layout string, classes, images int) (shape, error) {
	var found []shape
	for _, s := range readings(logits, labels, layout, classes == 1) {
		pixels := s.images * s.pixels
		switch {
		case classes > 0 && classes != s.classes:
			continue
		case images > 0 && images != s.images:
			// Rows are one image behind the other, however many; planes say themselves how many images there are.
			if s.layout == lanewise.ClassMajor || pixels%images != 0 {
				continue
			}
			s.images, s.pixels = images, pixels/images
		}
		if !slices.Contains(found, s) {
			found = append(found, s)
		}
	}
	if len(found) == 1 {
		if found[0].classes > maxClasses {
			return shape{}, fmt.Errorf("logits %s and labels %s have %d classes, more than %d", axes(logits), axes(labels), found[0].classes, maxClasses)
		}
		return found[0], nil
	}

	if len(found) == 0 && slices.Equal(logits, labels) {
		return shape{}, fmt.Errorf("logits and labels both have the shape %s: labels are class ids, one per pixel, not one-hot; for one score per pixel add -classes 1",
			axes(logits))
	}
	var flags string
	if layout != "auto" {
		flags += " -layout " + layout
	}
	if classes > 0 {
		flags += fmt.Sprintf(" -classes %d", classes)
	}
	if images > 0 {
		flags += fmt.Sprintf(" -images %d", images)
	}
	if flags != "" {
		flags = " with" + flags
	}
	what := fmt.Sprintf("logits %s and labels %s", axes(logits), axes(labels))
	if len(found) == 0 {
		return shape{}, fmt.Errorf("%s do not fit%s: logits have the labels' shape and one axis more, for the classes: […, C], [C, …] or [N, C, …]", what, flags)
	}
	var list []string
	for _, s := range found {
		list = append(list, s.String())
	}
	return shape{}, fmt.Errorf("%s%s may be %s: say which with -layout, -classes or -images", what, flags, strings.Join(list, " or "))
}

// readings returns what the logits may be in this layout. single says that there is one class, whose axis may be missing.
func readings(logits, labels []int, layout string, single bool) []shape {
	last := len(logits) - 1
	same := slices.Equal(logits, labels)
	if same && (single || last == 0) {
		images := imageCount(labels)
		return []shape{{images: images, pixels: product(labels) / images, classes: 1}}
	}
	var list []shape
	for axis, classes := range logits {
		rest := slices.Delete(slices.Clone(logits), axis, axis+1)
		switch {
		case axis > 1 && axis != last, classes == 0, !slices.Equal(squeeze(rest), squeeze(labels)):
			continue
		case same && axis == 0 && last >= 3: // [1, C, H, W] twice is one-hot
			continue
		}
		s := shape{images: 1, classes: classes}
		switch {
		case axis == last:
			s.images = imageCount(rest)
		case axis == 1:
			s.images = max(1, logits[0])
		}
		s.pixels = product(rest) / s.images
		if classes > 1 && last > 0 { // otherwise rows and planes are the same
			if axis != last {
				s.layout = lanewise.ClassMajor
			}
			if layout == "pixel" && axis != last || layout == "class" && axis == last {
				continue
			}
		}
		list = append(list, s)
	}
	return list
}

func (s shape) String() string {
	layout := "pixel-major"
	if s.layout == lanewise.ClassMajor {
		layout = "class-major"
	}
	text := plural(s.images, "image") + " of " + plural(s.pixels, "pixel")
	if s.classes > 1 {
		return fmt.Sprintf("%s × %d classes (%s)", text, s.classes, layout)
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

func product(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

func squeeze(shape []int) []int {
	return slices.DeleteFunc(slices.Clone(shape), func(d int) bool { return d == 1 })
}

// axes writes a shape as the messages have it: [2, 19, 512, 1024].
func axes(shape []int) string {
	return strings.ReplaceAll(fmt.Sprint(shape), " ", ", ")
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
