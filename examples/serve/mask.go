package main

import (
	"image"
	"image/color"
	"image/png"
	"math"
	"net/http"
	"strings"

	"github.com/lanewise/lanewise"
)

// maxClasses is what a paletted PNG has colours for.
const maxClasses = 256

// A classShare is what JSON says of a class.
type classShare struct {
	Class      int     `json:"class"`
	Pixels     int     `json:"pixels"`
	Share      float64 `json:"share"`      // of all pixels
	Confidence float64 `json:"confidence"` // the mean probability of the class where it is the likeliest, 0 where it never is
}

// mask answers a .npy of logits [C, H, W] with the classes of the pixels: as a PNG, or where JSON is asked for how many pixels each class
// has.
func (s *server) mask(w http.ResponseWriter, r *http.Request) error {
	work, done, err := s.work(r)
	if err != nil {
		return err
	}
	defer done()
	logits, err := work.read(r.Body, s.limit)
	if err != nil {
		return err
	}
	if n := len(logits.shape); n == 4 && logits.shape[0] == 1 {
		logits.shape = logits.shape[1:]
	} else if n != 3 {
		return failure(http.StatusUnprocessableEntity, "the logits have the shape %v, want [classes, height, width]", logits.shape)
	}
	classes, height, width := logits.shape[0], logits.shape[1], logits.shape[2]
	if classes < 1 || classes > maxClasses || height < 1 || width < 1 {
		return failure(http.StatusUnprocessableEntity, "the logits have the shape %v, want 1 to %d classes and at least one pixel", logits.shape,
			maxClasses)
	}
	if pixel := work.classify(logits.data, classes); pixel >= 0 {
		return failure(http.StatusUnprocessableEntity, "the logits at row %d, column %d hold a NaN or +Inf, or nothing but −Inf", pixel/width,
			pixel%width)
	}
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		return respond(w, http.StatusOK, struct {
			Height  int          `json:"height"`
			Width   int          `json:"width"`
			Classes []classShare `json:"classes"`
		}{height, width, work.shares(logits.data, classes)})
	}
	img := image.Paletted{Pix: resize(work.pixels, height*width), Stride: width, Rect: image.Rect(0, 0, width, height),
		Palette: palette[:classes]}
	work.pixels = img.Pix
	for i, class := range work.classes {
		img.Pix[i] = uint8(class)
	}
	w.Header().Set("Content-Type", "image/png")
	return (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(w, &img)
}

// classify writes the likeliest class of every pixel to work.classes. It returns the first pixel whose softmax would not be one, or −1.
func (work *work) classify(logits []float32, classes int) int {
	n := len(logits) / classes
	work.classes = resize(work.classes, n)
	lanewise.ArgMaxPlanes(work.classes, logits, classes)
	for i, class := range work.classes {
		if x := logits[int(class)*n+i]; x-x != 0 { // NaN or infinite
			return i
		}
	}
	return -1
}

// shares counts the pixels of the classes. It replaces the logits by their softmax.
func (work *work) shares(logits []float32, classes int) []classShare {
	lanewise.SoftmaxPlanes(logits, logits, classes)
	n := len(work.classes)
	shares := make([]classShare, classes)
	for i, class := range work.classes {
		c := &shares[class]
		c.Pixels++
		c.Confidence += float64(logits[int(class)*n+i])
	}
	for i := range shares {
		c := &shares[i]
		c.Class, c.Share = i, float64(c.Pixels)/float64(n)
		c.Confidence /= math.Max(1, float64(c.Pixels))
	}
	return shares
}

// palette has a colour for every class, that of Pascal VOC: the bits of the class are spread over red, green and blue.
var palette = func() color.Palette {
	p := make(color.Palette, maxClasses)
	for i := range p {
		var c color.RGBA
		c.A = 255
		for bit, v := uint(7), i; v != 0; bit, v = bit-1, v>>3 {
			c.R |= uint8(v&1) << bit
			c.G |= uint8(v>>1&1) << bit
			c.B |= uint8(v>>2&1) << bit
		}
		p[i] = c
	}
	return p
}()
