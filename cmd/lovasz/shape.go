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

// fit finds the class axis: logits have the labels' axes and one more, the last ([…, C]), the first ([C, …]) or the second ([N, C, …]).
// Axes of length 1 may be missing on either side. layout (auto, pixel, class), classes and images (0: any) narrow the choice; it is an
// error when nothing fits, or more than one reading does.
func fit(logits, labels []int, layout string, classes, images int) (shape, error) {
	var found []shape
	add := func(s shape) {
		if classes > 0 && classes != s.classes {
			return
		}
		if images > 0 && images != s.images {
			pixels := s.images * s.pixels
			if s.layout == lanewise.ClassMajor || pixels%images != 0 {
				return
			}
			s.images, s.pixels = images, pixels/images
		}
		if !slices.Contains(found, s) {
			found = append(found, s)
		}
	}

	last := len(logits) - 1
	same := slices.Equal(logits, labels)
	if same && (last == 0 || classes == 1) { // one score per pixel, without a class axis
		add(shape{images: imageCount(labels), pixels: product(labels) / imageCount(labels), classes: 1})
		return one(found, logits, labels, layout, classes, images)
	}
	for axis := range logits {
		if axis > 1 && axis != last {
			continue
		}
		count := logits[axis]
		rest := slices.Delete(slices.Clone(logits), axis, axis+1)
		switch {
		case count == 0, !slices.Equal(squeeze(rest), squeeze(labels)):
			continue
		case same && axis == 0 && last >= 3: // [1, C, H, W] twice is one-hot
			continue
		case layout == "pixel" && axis != last && count > 1, layout == "class" && axis == last && last > 0 && count > 1:
			continue
		}
		s := shape{images: 1, classes: count}
		switch {
		case axis == last:
			s.images = imageCount(rest)
		case axis == 1:
			s.images = max(1, logits[0])
		}
		if axis != last && count > 1 {
			s.layout = lanewise.ClassMajor
		}
		s.pixels = product(rest) / s.images
		add(s)
	}
	return one(found, logits, labels, layout, classes, images)
}

// one returns the only reading, or says what is wrong.
func one(found []shape, logits, labels []int, layout string, classes, images int) (shape, error) {
	if len(found) == 1 {
		return found[0], nil
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
	switch {
	case len(found) > 1:
		var readings []string
		for _, s := range found {
			readings = append(readings, s.String())
		}
		return shape{}, fmt.Errorf("logits %s and labels %s%s may be %s: say which with -layout, -classes or -images",
			axes(logits), axes(labels), flags, strings.Join(readings, " or "))
	case slices.Equal(logits, labels):
		return shape{}, fmt.Errorf("logits and labels both have the shape %s: labels are class ids, one per pixel, not one-hot; for one score per pixel add -classes 1",
			axes(logits))
	}
	return shape{}, fmt.Errorf("logits %s and labels %s do not fit%s: logits have the labels' shape and one axis more, for the classes: […, C], [C, …] or [N, C, …]",
		axes(logits), axes(labels), flags)
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
