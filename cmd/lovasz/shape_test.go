package main

import (
	"strings"
	"testing"

	"github.com/lanewise/lanewise"
)

func TestFit(t *testing.T) {
	const pixel, class = lanewise.PixelMajor, lanewise.ClassMajor
	for _, test := range []struct {
		name            string
		logits, labels  []int
		layout          string
		classes, images int
		want            shape
		err             string // a part of it
	}{
		{name: "[P, C]", logits: []int{2000, 6}, labels: []int{2000}, want: shape{1, 2000, 6, pixel}},
		{name: "[C, P]", logits: []int{6, 2000}, labels: []int{2000}, want: shape{1, 2000, 6, class}},
		{name: "[N, C, H, W]", logits: []int{2, 19, 5, 7}, labels: []int{2, 5, 7}, want: shape{2, 35, 19, class}},
		{name: "[N, H, W, C]", logits: []int{2, 5, 7, 19}, labels: []int{2, 5, 7}, want: shape{2, 35, 19, pixel}},
		{name: "[C, H, W]", logits: []int{19, 5, 7}, labels: []int{5, 7}, want: shape{1, 35, 19, class}},
		{name: "[H, W, C]", logits: []int{5, 7, 19}, labels: []int{5, 7}, want: shape{1, 35, 19, pixel}},
		{name: "[N, C, P]", logits: []int{3, 19, 50}, labels: []int{3, 50}, want: shape{3, 50, 19, class}},
		{name: "[N, C, D, H, W]", logits: []int{2, 4, 3, 5, 7}, labels: []int{2, 3, 5, 7}, want: shape{2, 105, 4, class}},
		{name: "[C, D, H, W]", logits: []int{4, 3, 5, 7}, labels: []int{3, 5, 7}, want: shape{1, 105, 4, class}},
		{name: "a mask for [1, C, H, W]", logits: []int{1, 19, 5, 7}, labels: []int{5, 7}, want: shape{1, 35, 19, class}},
		{name: "labels [N, 1, H, W]", logits: []int{2, 19, 5, 7}, labels: []int{2, 1, 5, 7}, want: shape{2, 35, 19, class}},
		{name: "one pixel", logits: []int{5}, labels: nil, want: shape{1, 1, 5, pixel}},
		{name: "one pixel, [1, C]", logits: []int{1, 5}, labels: []int{1}, want: shape{1, 1, 5, pixel}},

		{name: "one class", logits: []int{100}, labels: []int{100}, want: shape{1, 100, 1, pixel}},
		{name: "one class, [P, 1]", logits: []int{100, 1}, labels: []int{100}, want: shape{1, 100, 1, pixel}},
		{name: "one class, [N, 1, H, W]", logits: []int{2, 1, 5, 7}, labels: []int{2, 5, 7}, want: shape{2, 35, 1, pixel}},
		{name: "one class, both [N, 1, H, W]", logits: []int{2, 1, 5, 7}, labels: []int{2, 1, 5, 7}, want: shape{2, 35, 1, pixel}},
		{name: "one class, both [H, W]", logits: []int{5, 7}, labels: []int{5, 7}, classes: 1, want: shape{1, 35, 1, pixel}},
		{name: "one class, both [N, H, W]", logits: []int{2, 5, 7}, labels: []int{2, 5, 7}, classes: 1, want: shape{2, 35, 1, pixel}},
		{name: "one class under -layout class", logits: []int{1, 5, 7}, labels: []int{5, 7}, layout: "class", want: shape{1, 35, 1, pixel}},

		{name: "several images in rows", logits: []int{60, 6}, labels: []int{60}, images: 3, want: shape{3, 20, 6, pixel}},
		{name: "no pixels", logits: []int{0, 6}, labels: []int{0}, want: shape{1, 0, 6, pixel}},
		{name: "no images", logits: []int{0, 6, 4, 5}, labels: []int{0, 4, 5}, want: shape{1, 0, 6, class}},

		{name: "square", logits: []int{3, 3}, labels: []int{3}, err: "may be 1 image of 3 pixels × 3 classes (class-major) or 1 image of 3 pixels × 3 classes (pixel-major): say which with -layout"},
		{name: "square, pixel", logits: []int{3, 3}, labels: []int{3}, layout: "pixel", want: shape{1, 3, 3, pixel}},
		{name: "square, class", logits: []int{3, 3}, labels: []int{3}, layout: "class", want: shape{1, 3, 3, class}},
		{name: "[C, H, W] or [N, C, P]", logits: []int{6, 6, 9}, labels: []int{6, 9}, err: "may be"},
		{name: "[C, H, W]", logits: []int{6, 6, 9}, labels: []int{6, 9}, images: 1, want: shape{1, 54, 6, class}},
		{name: "[N, C, P]", logits: []int{6, 6, 9}, labels: []int{6, 9}, images: 6, want: shape{6, 9, 6, class}},
		{name: "classes as high as wide", logits: []int{2, 4, 4, 4}, labels: []int{2, 4, 4}, err: "may be"},
		{name: "one-hot", logits: []int{2, 6, 5, 7}, labels: []int{2, 6, 5, 7}, err: "not one-hot"},
		{name: "one-hot, one image", logits: []int{1, 6, 5, 7}, labels: []int{1, 6, 5, 7}, err: "not one-hot"},
		{name: "one-hot rows", logits: []int{100, 6}, labels: []int{100, 6}, err: "not one-hot"},
		{name: "too few labels", logits: []int{2000, 6}, labels: []int{1999},
			err: "logits [2000, 6] and labels [1999] do not fit: logits have the labels' shape and one axis more, for the classes: […, C], [C, …] or [N, C, …]"},
		{name: "other classes", logits: []int{2000, 6}, labels: []int{2000}, classes: 19, err: "do not fit with -classes 19:"},
		{name: "other layout", logits: []int{2000, 6}, labels: []int{2000}, layout: "class", err: "do not fit with -layout class:"},
		{name: "images that do not divide", logits: []int{2000, 6}, labels: []int{2000}, images: 3, err: "do not fit with -images 3:"},
		{name: "pixels for classes", logits: []int{2000000, 6}, labels: []int{6}, err: "logits [2000000, 6] and labels [6] have 2000000 classes, more than 8192"},
		{name: "no classes", logits: []int{10, 0}, labels: []int{10}, err: "do not fit"},
		{name: "a scalar", logits: nil, labels: nil, err: "not one-hot"},
		{name: "class axis in the middle", logits: []int{2, 5, 6, 7}, labels: []int{2, 5, 7}, err: "do not fit"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.layout == "" {
				test.layout = "auto"
			}
			got, err := fit(test.logits, test.labels, test.layout, test.classes, test.images)
			switch {
			case test.err == "" && (err != nil || got != test.want):
				t.Errorf("got %+v, %v, want %+v", got, err, test.want)
			case test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)):
				t.Errorf("got %+v, %v, want an error with %q", got, err, test.err)
			}
		})
	}
}
