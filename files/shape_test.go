package files

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
		want            Shape
		err             string // a part of it
	}{
		{name: "[P, C]", logits: []int{2000, 6}, labels: []int{2000}, want: Shape{1, 2000, 6, pixel, false}},
		{name: "[C, P]", logits: []int{6, 2000}, labels: []int{2000}, want: Shape{1, 2000, 6, class, false}},
		{name: "[N, C, H, W]", logits: []int{2, 19, 5, 7}, labels: []int{2, 5, 7}, want: Shape{2, 35, 19, class, false}},
		{name: "[N, H, W, C]", logits: []int{2, 5, 7, 19}, labels: []int{2, 5, 7}, want: Shape{2, 35, 19, pixel, false}},
		{name: "[C, H, W]", logits: []int{19, 5, 7}, labels: []int{5, 7}, want: Shape{1, 35, 19, class, false}},
		{name: "[H, W, C]", logits: []int{5, 7, 19}, labels: []int{5, 7}, want: Shape{1, 35, 19, pixel, false}},
		{name: "[N, C, P]", logits: []int{3, 19, 50}, labels: []int{3, 50}, want: Shape{3, 50, 19, class, false}},
		{name: "[N, C, D, H, W]", logits: []int{2, 4, 3, 5, 7}, labels: []int{2, 3, 5, 7}, want: Shape{2, 105, 4, class, false}},
		{name: "[C, D, H, W]", logits: []int{4, 3, 5, 7}, labels: []int{3, 5, 7}, want: Shape{1, 105, 4, class, false}},
		{name: "a mask for [1, C, H, W]", logits: []int{1, 19, 5, 7}, labels: []int{5, 7}, want: Shape{1, 35, 19, class, false}},
		{name: "labels [N, 1, H, W]", logits: []int{2, 19, 5, 7}, labels: []int{2, 1, 5, 7}, want: Shape{2, 35, 19, class, false}},
		{name: "one pixel", logits: []int{5}, labels: nil, want: Shape{1, 1, 5, pixel, false}},
		{name: "one pixel, [1, C]", logits: []int{1, 5}, labels: []int{1}, want: Shape{1, 1, 5, pixel, false}},

		{name: "one class", logits: []int{100}, labels: []int{100}, want: Shape{1, 100, 1, pixel, false}},
		{name: "one class, [P, 1]", logits: []int{100, 1}, labels: []int{100}, want: Shape{1, 100, 1, pixel, false}},
		{name: "one class, [N, 1, H, W]", logits: []int{2, 1, 5, 7}, labels: []int{2, 5, 7}, want: Shape{2, 35, 1, pixel, false}},
		{name: "one class, both [N, 1, H, W]", logits: []int{2, 1, 5, 7}, labels: []int{2, 1, 5, 7}, want: Shape{2, 35, 1, pixel, false}},
		{name: "one class, both [H, W]", logits: []int{5, 7}, labels: []int{5, 7}, classes: 1, want: Shape{1, 35, 1, pixel, false}},
		{name: "one class, both [N, H, W]", logits: []int{2, 5, 7}, labels: []int{2, 5, 7}, classes: 1, want: Shape{2, 35, 1, pixel, false}},
		{name: "one class under -layout class", logits: []int{1, 5, 7}, labels: []int{5, 7}, layout: "class", want: Shape{1, 35, 1, pixel, false}},

		{name: "several images in rows", logits: []int{60, 6}, labels: []int{60}, images: 3, want: Shape{3, 20, 6, pixel, false}},
		{name: "no pixels", logits: []int{0, 6}, labels: []int{0}, want: Shape{1, 0, 6, pixel, false}},
		{name: "no images", logits: []int{0, 6, 4, 5}, labels: []int{0, 4, 5}, want: Shape{1, 0, 6, class, false}},

		{name: "square", logits: []int{3, 3}, labels: []int{3}, err: "may be [C, …], 1 image of 3 pixels × 3 classes (class-major): -layout class, or […, C], 1 image of 3 pixels × 3 classes (pixel-major): -layout pixel"},
		{name: "square, pixel", logits: []int{3, 3}, labels: []int{3}, layout: "pixel", want: Shape{1, 3, 3, pixel, false}},
		{name: "square, class", logits: []int{3, 3}, labels: []int{3}, layout: "class", want: Shape{1, 3, 3, class, false}},
		{name: "[C, H, W] or [N, C, P]", logits: []int{6, 6, 9}, labels: []int{6, 9}, err: "may be"},
		{name: "[C, H, W]", logits: []int{6, 6, 9}, labels: []int{6, 9}, images: 1, want: Shape{1, 54, 6, class, false}},
		{name: "[N, C, P]", logits: []int{6, 6, 9}, labels: []int{6, 9}, images: 6, want: Shape{6, 9, 6, class, false}},
		{name: "classes as high as wide", logits: []int{2, 4, 4, 4}, labels: []int{2, 4, 4}, err: "may be"},
		{name: "masks [N, C, H, W]", logits: []int{2, 6, 5, 7}, labels: []int{2, 6, 5, 7}, want: Shape{2, 35, 6, class, true}},
		{name: "masks of one image", logits: []int{1, 6, 5, 7}, labels: []int{1, 6, 5, 7}, want: Shape{1, 35, 6, class, true}},
		{name: "masks [N, H, W, C]", logits: []int{2, 50, 70, 6}, labels: []int{2, 50, 70, 6}, want: Shape{2, 3500, 6, pixel, true}},
		{name: "masks as high as wide", logits: []int{2, 6, 5, 6}, labels: []int{2, 6, 5, 6}, err: "-layout class, or masks [N, …, C]"},
		{name: "masks [C, H, W] or scores", logits: []int{6, 50, 70}, labels: []int{6, 50, 70}, err: "-classes 1, or masks [C, …], 1 image of 3500 pixels × 6 masks (class-major): -classes 6, or"},
		{name: "masks [C, H, W]", logits: []int{6, 50, 70}, labels: []int{6, 50, 70}, classes: 6, want: Shape{1, 3500, 6, class, true}},
		{name: "masks [C, H, W] for [1, C, H, W]", logits: []int{1, 6, 50, 70}, labels: []int{6, 50, 70}, classes: 6, want: Shape{1, 3500, 6, class, true}},
		{name: "a volume of scores", logits: []int{2, 6, 5, 7}, labels: []int{2, 6, 5, 7}, classes: 1, want: Shape{2, 210, 1, pixel, false}},
		{name: "as many images as classes", logits: []int{3, 3, 5, 7}, labels: []int{3, 5, 7}, err: "-images 1, or [N, C, …], 3 images of 35 pixels × 3 classes (class-major): -images 3"},
		{name: "masks in rows", logits: []int{100, 6}, labels: []int{100, 6}, err: "-classes 1, or masks [C, …], 1 image of 6 pixels × 100 masks (class-major): -classes 100, or masks […, C], 1 image of 100 pixels × 6 masks (pixel-major): -classes 6"},
		{name: "too few labels", logits: []int{2000, 6}, labels: []int{1999},
			err: "logits [2000, 6] and labels [1999] do not fit: logits have the labels' shape and one axis more, for the classes: […, C], [C, …] or [N, C, …]"},
		{name: "other classes", logits: []int{2000, 6}, labels: []int{2000}, classes: 19, err: "× 6 classes (pixel-major): that does not fit -classes 19"},
		{name: "other layout", logits: []int{2000, 6}, labels: []int{2000}, layout: "class", err: "that does not fit -layout class"},
		{name: "images that do not divide", logits: []int{2000, 6}, labels: []int{2000}, images: 3, err: "that does not fit -images 3"},
		{name: "pixels for classes", logits: []int{2000000, 6}, labels: []int{6}, err: "logits [2000000, 6] and labels [6] have 2000000 classes, more than 8192"},
		{name: "no classes", logits: []int{10, 0}, labels: []int{10}, err: "do not fit"},
		{name: "a scalar", logits: nil, labels: nil, want: Shape{1, 1, 1, pixel, false}},
		{name: "class axis in the middle", logits: []int{2, 5, 6, 7}, labels: []int{2, 5, 7}, err: "do not fit"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.layout == "" {
				test.layout = "auto"
			}
			got, err := Fit(test.logits, test.labels, FitOptions{test.layout, test.classes, test.images})
			switch {
			case test.err == "" && (err != nil || got != test.want):
				t.Errorf("got %+v, %v, want %+v", got, err, test.want)
			case test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)):
				t.Errorf("got %+v, %v, want an error with %q", got, err, test.err)
			}
		})
	}
}
