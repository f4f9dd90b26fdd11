package main

import (
	"cmp"
	"errors"
	"fmt"
	"image"
	"image/color"
	imagedraw "image/draw"
	"image/png"
	"io"
	"math"
	"slices"

	"github.com/lanewise/lanewise"
	"github.com/lanewise/lanewise/files"
	"gonum.org/v1/plot/palette/moreland"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// A heatmap is one image's errors, for the picture of them and the gradient.
type heatmap struct {
	width, height int
	s             files.Shape
	image         int         // in its file
	number        int         // of all
	labels        []int32     // of masks class by class
	void          []bool      // the same
	predicted     []int32     // nil for masks
	errors        [][]float32 // [classes][pixels] |1 − p| where the label is the class, else p
}

// newHeatmap finds the errors of an image, from the logits: the gradient may take their place later.
func (o *options) newHeatmap(x *array[float32], y *array[int32], s files.Shape, image int) (*heatmap, error) {
	if o.Hinge {
		return nil, errors.New("-heatmap is not drawn of -hinge, which has no probabilities")
	}
	if image < 0 || image >= s.Images {
		return nil, fmt.Errorf("-heatmap-image %d: there are %s, from 0", image, plural(s.Images, "image"))
	}
	axes := y.shape
	if s.Masks && s.Layout == lanewise.PixelMajor {
		axes = axes[:len(axes)-1]
	}
	axis := len(axes)
	if axis < 2 || axes[axis-1]*axes[axis-2] != s.Pixels || s.Pixels == 0 {
		return nil, fmt.Errorf("-heatmap draws rows and columns: labels [H, W] or [N, H, W], not %s of %s", files.Axes(y.shape),
			plural(s.Images, "image"))
	}
	h := &heatmap{width: axes[axis-1], height: axes[axis-2], s: s, image: image, number: o.HeatmapImage}
	if s.Masks {
		h.labels = planesOf(s, image, y.data)
	} else {
		h.labels = y.data[image*s.Pixels : (image+1)*s.Pixels]
	}
	for _, label := range h.labels {
		h.void = append(h.void, slices.Contains(o.Void, label))
	}
	planes := h.planes(x.data)
	if !s.Masks {
		one := s
		one.Images, one.Layout = 1, lanewise.ClassMajor
		h.predicted = o.predict(planes, one)
	}
	switch o.activation(s) {
	case "softmax":
		lanewise.SoftmaxPlanes(planes, planes, s.Classes)
	case "sigmoid":
		for i, v := range planes {
			planes[i] = float32(1 / (1 + math.Exp(-float64(v))))
		}
	}
	for k := range s.Classes {
		class, labels := int32(k), h.labels
		if s.Masks {
			labels = h.labels[k*s.Pixels : (k+1)*s.Pixels]
		}
		if s.Classes == 1 || s.Masks {
			class = 1
		}
		plane := planes[k*s.Pixels : (k+1)*s.Pixels]
		lanewise.ClassErrors(plane, plane, labels, class)
		h.errors = append(h.errors, plane)
	}
	return h, nil
}

// planes copies the image's part of logits, or of the gradient, class by class.
func (h *heatmap) planes(data []float32) []float32 { return planesOf(h.s, h.image, data) }

func planesOf[T any](s files.Shape, image int, data []T) []T {
	n := s.Pixels * s.Classes
	data = data[image*n : (image+1)*n]
	if s.Layout == lanewise.ClassMajor {
		return slices.Clone(data)
	}
	planes := make([]T, n)
	for p := range s.Pixels {
		for k := range s.Classes {
			planes[k*s.Pixels+p] = data[p*s.Classes+k]
		}
	}
	return planes
}

// isVoid says whether a pixel takes no part in a class.
func (h *heatmap) isVoid(class, pixel int) bool {
	if h.s.Masks {
		return h.void[class*h.s.Pixels+pixel]
	}
	return h.void[pixel]
}

// worst returns the classes that are drawn: those in the labels by their soft Jaccard loss, then others that were predicted.
func (h *heatmap) worst(most int) []int {
	type score struct {
		class  int
		absent bool
		error  float64
	}
	var list []score
	for k, plane := range h.errors {
		var both, either float64
		absent := true
		for p, e := range plane {
			if h.isVoid(k, p) {
				continue
			}
			own := h.labels[p] == int32(k) || h.s.Classes == 1 && h.labels[p] == 1
			if h.s.Masks {
				own = h.labels[k*h.s.Pixels+p] == 1
			}
			if own {
				absent = false
				both, either = both+1-float64(e), either+1
			} else {
				either += float64(e)
			}
		}
		if either > 0 && slices.ContainsFunc(plane, func(e float32) bool { return e > 1e-3 }) {
			list = append(list, score{k, absent, 1 - both/either}) // the soft Jaccard loss
		}
	}
	slices.SortStableFunc(list, func(a, b score) int {
		if a.absent != b.absent { // of those a few stray pixels are all the error there is
			if a.absent {
				return 1
			}
			return -1
		}
		return cmp.Compare(b.error, a.error)
	})
	var classes []int
	for _, s := range list[:min(most, len(list))] {
		classes = append(classes, s.class)
	}
	if classes == nil {
		classes = []int{0}
	}
	return classes
}

// A panel is a part of the picture that is made of pixels.
type panel struct {
	picture    image.Image
	x, y, w, h vg.Length
}

// classColour is the colour of a class in the maps of labels and predictions: hues far apart, in three shades.
func classColour(k int) color.RGBA {
	hue := math.Mod(float64(k)*0.618034, 1) * 6
	light := []float64{0.95, 0.62, 0.8}[k%3]
	ramp := func(shift float64) uint8 {
		d := math.Abs(math.Mod(hue+shift, 6) - 3)
		return uint8(255 * light * (0.25 + 0.75*min(1, max(0, d-1))))
	}
	return color.RGBA{ramp(0), ramp(4), ramp(2), 0xff}
}

var voidColour = color.RGBA{0x56, 0x88, 0xc7, 0xff}

// worstDrawn is how many classes have their errors and gradients drawn.
const worstDrawn = 4

// save writes the picture: labels and predictions, and of the worst classes errors and the gradient's magnitude.
func (h *heatmap) save(to io.Writer, r *report, grad []float32) error {
	planes := h.planes(grad)
	for i, g := range planes {
		planes[i] = float32(math.Abs(float64(g)))
	}
	const margin, gap, head = 20, 16, 44
	width := (pageWidth - 2*margin - gap) / 2
	scale := min(width/vg.Length(h.width), 320/vg.Length(h.height))
	w, ht := scale*vg.Length(h.width), scale*vg.Length(h.height)

	// What the label map and the prediction need a key for.
	var seen []int
	entries, keyRows := 0, 0
	if h.predicted != nil {
		for k := range max(2, h.s.Classes) {
			if slices.Contains(h.labels, int32(k)) || slices.Contains(h.predicted, int32(k)) {
				seen = append(seen, k)
			}
		}
		entries = len(seen)
		if slices.Contains(h.void, true) {
			entries++
		}
		keyRows = (entries + 3) / 4
	}
	worst := h.worst(worstDrawn)
	total := vg.Length(head)
	if h.predicted != nil {
		total += 20 + ht + 10 + 15*vg.Length(keyRows) + 14
	}
	each := 20 + ht + 30
	total += vg.Length(len(worst))*each + 6

	canvas := vgimg.New(pageWidth, total)
	p := newPage(canvas)
	var panels []panel
	left, right := vg.Length(margin), margin+width+gap
	title := fmt.Sprintf("image %d", h.number)
	p.write(p.fit(fmt.Sprintf("%s: %d × %d pixels%s", title, h.width, h.height, h.which(len(worst))), 14, pageWidth-2*margin), 14, inkColour,
		left, 22, draw.XLeft)
	y := vg.Length(head)
	add := func(picture image.Image, x, y vg.Length) {
		p.frame(x-0.5, y-0.5, w+1, ht+1)
		panels = append(panels, panel{picture, x, y, w, ht})
	}
	if h.predicted != nil {
		p.write("label", 11, inkColour, left, y+6, draw.XLeft)
		p.write("prediction", 11, inkColour, right, y+6, draw.XLeft)
		add(h.classMap(h.labels), left, y+16)
		add(h.classMap(h.predicted), right, y+16)
		y += 16 + ht + 10
		column := (pageWidth - 2*margin) / 4
		for i := range entries {
			x, at := margin+column*vg.Length(i%4), y+15*vg.Length(i/4)
			name, fill := "void: takes no part", voidColour
			if i < len(seen) {
				fill = classColour(seen[i])
				name = (&matrix{r: r}).keyName(h.s.Classes, seen[i])
			}
			p.rect(fill, x, at, 10, 10)
			p.write(p.fit(name, 10, column-18), 10, inkColour, x+14, at+5, draw.XLeft)
		}
		y += 15*vg.Length(keyRows) + 18
	}
	for _, k := range worst {
		plane := planes[k*h.s.Pixels : (k+1)*h.s.Pixels]
		top := float64(slices.Max(plane))
		const what = ": error"
		p.write(p.fit(r.label(k), 11, width-p.width(what, 11))+what, 11, inkColour, left, y+6, draw.XLeft)
		p.write("|gradient| of the loss", 11, inkColour, right, y+6, draw.XLeft)
		add(h.pictureOf(k, h.errors[k], 1), left, y+16)
		add(h.pictureOf(k, plane, top), right, y+16)
		h.scaleKey(p, left, y+16+ht+8, "0", "1")
		h.scaleKey(p, right, y+16+ht+8, "0", fmt.Sprintf("%.2g", top))
		y += each
	}
	picture := canvas.Image()
	for _, panel := range panels {
		paste(picture, panel)
	}
	return png.Encode(to, picture)
}

// which says that not all classes are drawn.
func (h *heatmap) which(drawn int) string {
	if drawn == h.s.Classes {
		return ""
	}
	return fmt.Sprintf("; errors of the worst %d of %s", drawn, plural(h.s.Classes, "class"))
}

// keyName names a class in a key.
func (m *matrix) keyName(classes, k int) string {
	if classes == 1 {
		return []string{"0 background", "1 foreground"}[k]
	}
	return m.r.label(k)
}

// scaleKey draws the scale of colours below a panel.
func (h *heatmap) scaleKey(p *page, x, y vg.Length, low, high string) {
	const width = 120
	x += p.width(low, 10) + 5
	for i, c := range shades() {
		p.rect(c, x+width*vg.Length(i)/256, y, width/256.+0.3, 9)
	}
	p.frame(x, y, width, 9)
	p.write(low, 10, inkColour, x-5, y+4.5, draw.XRight)
	p.write(high, 10, inkColour, x+width+5, y+4.5, draw.XLeft)
	at := x + width + 5 + p.width(high, 10) + 12
	if slices.Contains(h.void, true) {
		p.rect(voidColour, at, y, 9, 9)
		p.write("void", 10, inkColour, at+13, y+4.5, draw.XLeft)
	}
}

// paste puts a picture into its panel, its pixels as squares; of a larger one each pixel is one of those that it stands for.
func paste(to imagedraw.Image, p panel) {
	const perPoint = 96. / 72
	x0, y0 := int(float64(p.x)*perPoint+0.5), int(float64(p.y)*perPoint+0.5)
	w, h := max(1, int(float64(p.w)*perPoint)), max(1, int(float64(p.h)*perPoint))
	b := p.picture.Bounds()
	for y := range h {
		for x := range w {
			to.Set(x0+x, y0+y, p.picture.At(b.Min.X+x*b.Dx()/w, b.Min.Y+y*b.Dy()/h))
		}
	}
}

// classMap colours class ids.
func (h *heatmap) classMap(ids []int32) image.Image {
	picture := image.NewRGBA(image.Rect(0, 0, h.width, h.height))
	for i, id := range ids {
		fill := voidColour
		if !h.void[i] && id >= 0 {
			fill = classColour(int(id))
		}
		picture.SetRGBA(i%h.width, i/h.width, fill)
	}
	return picture
}

// shades are the colours from 0 to the top of a scale.
func shades() (list [256]color.RGBA) {
	colours := moreland.BlackBody()
	colours.SetMin(0)
	colours.SetMax(1)
	for i := range list {
		c, err := colours.At(float64(i) / 255)
		if err != nil {
			panic(err) // within its range
		}
		list[i] = color.RGBAModel.Convert(c).(color.RGBA)
	}
	return list
}

// picture colours the values from 0 to top; void pixels are blue, which the scale has not.
func (h *heatmap) picture(values []float32, top float64) image.Image {
	return h.pictureOf(0, values, top)
}

func (h *heatmap) pictureOf(class int, values []float32, top float64) image.Image {
	shades := shades()
	picture := image.NewRGBA(image.Rect(0, 0, h.width, h.height))
	for i, v := range values {
		shade := shades[0]
		switch {
		case h.isVoid(class, i):
			shade = voidColour
		case top > 0:
			shade = shades[int(255*min(1, max(0, float64(v)/top)))]
		}
		picture.SetRGBA(i%h.width, i/h.width, shade)
	}
	return picture
}
