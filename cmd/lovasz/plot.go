package main

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/lanewise/lanewise"
	"github.com/lanewise/lanewise/files"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/palette/moreland"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// The colours of loss and IoU, which colour-blind people tell apart.
var (
	lossColour = color.RGBA{0xd5, 0x5e, 0x00, 0xff}
	iouColour  = color.RGBA{0x00, 0x72, 0xb2, 0xff}
)

// name is what a picture calls a class.
func (c *classReport) name() string {
	if c.Name != "" {
		return c.Name
	}
	return strconv.Itoa(c.Class)
}

// plot draws the loss and the IoU of every class side by side. What is not a number has no bar.
func (r *report) plot(to io.Writer, path string) error {
	p := plot.New()
	p.Title.Text = fmt.Sprintf("loss %.4g, mean IoU %s", r.Loss, r.MeanIoU.format("%.4g"))
	p.Y.Min = 0
	p.X.Padding, p.Y.Padding = 0, 0
	grid := plotter.NewGrid()
	grid.Vertical.Color = nil
	p.Add(grid)
	const width = 9 // points a bar
	var names []string
	longest := 0
	for _, c := range r.Classes {
		names = append(names, c.name())
		longest = max(longest, utf8.RuneCountInString(c.name()))
	}
	across := max(5*vg.Inch, vg.Points(float64(len(names))*3.2*width))
	for i, series := range []struct {
		name   string
		colour color.Color
		of     func(classReport) number
	}{
		{"Lovász loss", lossColour, func(c classReport) number { return c.Loss }},
		{"IoU", iouColour, func(c classReport) number { return c.IoU }},
	} {
		var values plotter.Values
		for _, c := range r.Classes {
			v := float64(series.of(c))
			if math.IsNaN(v) {
				v = 0
			}
			values = append(values, v)
		}
		bars, err := plotter.NewBarChart(values, vg.Points(width))
		if err != nil {
			return err
		}
		bars.Color, bars.LineStyle.Width = series.colour, 0
		bars.Offset = vg.Points(float64(2*i-1) * width / 2)
		p.Add(bars)
		p.Legend.Add(series.name, bars)
	}
	p.Y.Max = 1.2 * max(1, p.Y.Max) // room for the legend
	p.NominalX(names...)
	p.X.Min, p.X.Max = -0.5, float64(len(names))-0.5
	if vg.Points(float64(6*longest*len(names))) > across-vg.Inch { // side by side they would overlap
		p.X.Tick.Label.Rotation = math.Pi / 4
		p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = draw.XRight, draw.YTop
	}
	p.Legend.Top = true
	format := strings.TrimPrefix(strings.ToLower(filepath.Ext(path)), ".")
	w, err := p.WriterTo(across, 3.5*vg.Inch, format)
	if err != nil {
		return err
	}
	_, err = w.WriteTo(to)
	return err
}

// A heatmap is one image's errors, for the picture of them and the gradient.
type heatmap struct {
	width, height int
	s             files.Shape
	image         int
	labels        []int32
	void          []bool
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
	axis := len(y.shape)
	if axis < 2 || y.shape[axis-1]*y.shape[axis-2] != s.Pixels || s.Pixels == 0 {
		return nil, fmt.Errorf("-heatmap draws rows and columns: labels [H, W] or [N, H, W], not %s", files.Axes(y.shape))
	}
	h := &heatmap{width: y.shape[axis-1], height: y.shape[axis-2], s: s, image: image}
	h.labels = y.data[image*s.Pixels : (image+1)*s.Pixels]
	for _, label := range h.labels {
		h.void = append(h.void, slices.Contains(o.Void, label))
	}
	planes := h.planes(x.data)
	switch o.activation(s) {
	case "softmax":
		lanewise.SoftmaxPlanes(planes, planes, s.Classes)
	case "sigmoid":
		for i, v := range planes {
			planes[i] = float32(1 / (1 + math.Exp(-float64(v))))
		}
	}
	for k := range s.Classes {
		class := int32(k)
		if s.Classes == 1 {
			class = 1
		}
		plane := planes[k*s.Pixels : (k+1)*s.Pixels]
		lanewise.ClassErrors(plane, plane, h.labels, class)
		h.errors = append(h.errors, plane)
	}
	return h, nil
}

// planes copies the image's part of logits, or of the gradient, class by class.
func (h *heatmap) planes(data []float32) []float32 {
	n := h.s.Pixels * h.s.Classes
	data = data[h.image*n : (h.image+1)*n]
	if h.s.Layout == lanewise.ClassMajor {
		return slices.Clone(data)
	}
	planes := make([]float32, n)
	for p := range h.s.Pixels {
		for k := range h.s.Classes {
			planes[k*h.s.Pixels+p] = data[p*h.s.Classes+k]
		}
	}
	return planes
}

// save writes the picture: a row for every class, its errors on the left and its gradient's magnitude on the right.
func (h *heatmap) save(to io.Writer, r *report, grad []float32) (err error) {
	planes := h.planes(grad)
	var largest float64
	for i, g := range planes {
		planes[i] = float32(math.Abs(float64(g)))
		largest = max(largest, float64(planes[i]))
	}
	const side = 7 * vg.Centimeter
	scale := side / vg.Length(max(h.width, h.height))
	width, height := max(scale*vg.Length(h.width), side/2), scale*vg.Length(h.height)+1.2*vg.Centimeter
	canvas := vgimg.New(2*width+vg.Centimeter, height*vg.Length(len(h.errors)))
	tiles := draw.Tiles{Rows: len(h.errors), Cols: 2, PadX: 0.3 * vg.Centimeter}
	all := draw.New(canvas)
	for k, errors := range h.errors {
		for column, panel := range []struct {
			title  string
			values []float32
			top    float64
		}{
			{r.Classes[k].name() + ": error, white 1", errors, 1},
			{fmt.Sprintf("|gradient|, white %.2g", largest), planes[k*h.s.Pixels : (k+1)*h.s.Pixels], largest},
		} {
			p := plot.New()
			p.Title.Text = panel.title
			p.HideAxes()
			p.Add(plotter.NewImage(h.picture(panel.values, panel.top), 0, 0, float64(h.width), float64(h.height)))
			p.Draw(tiles.At(all, column, k))
		}
	}
	return png.Encode(to, canvas.Image())
}

// picture colours the values from 0 to top; void pixels are blue, which the scale has not.
func (h *heatmap) picture(values []float32, top float64) image.Image {
	colours := moreland.BlackBody()
	colours.SetMin(0)
	colours.SetMax(1)
	var shades [256]color.RGBA
	for i := range shades {
		c, err := colours.At(float64(i) / 255)
		if err != nil {
			panic(err) // within its range
		}
		shades[i] = color.RGBAModel.Convert(c).(color.RGBA)
	}
	picture := image.NewRGBA(image.Rect(0, 0, h.width, h.height))
	for i, v := range values {
		shade := shades[0]
		switch {
		case h.void[i]:
			shade = color.RGBA{0x56, 0x88, 0xc7, 0xff}
		case top > 0:
			shade = shades[int(255*min(1, max(0, float64(v)/top)))]
		}
		picture.SetRGBA(i%h.width, i/h.width, shade)
	}
	return picture
}
