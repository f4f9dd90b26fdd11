package main

import (
	"bytes"
	"fmt"
	"image/color"
	"io"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/font/liberation"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	_ "gonum.org/v1/plot/vg/vgpdf" // a format of -plot
	_ "gonum.org/v1/plot/vg/vgsvg" // another one
)

// The colours of loss and IoU, which colour-blind people tell apart, and others.
var (
	lossColour = color.RGBA{0xd5, 0x5e, 0x00, 0xff}
	iouColour  = color.RGBA{0x00, 0x72, 0xb2, 0xff}
	gridColour = color.RGBA{0xdd, 0xdd, 0xdd, 0xff}
	inkColour  = color.RGBA{0x22, 0x22, 0x22, 0xff}
	dimColour  = color.RGBA{0x77, 0x77, 0x77, 0xff}
)

// name is what a picture calls a class.
func (c *classReport) name() string {
	if c.Name != "" {
		return c.Name
	}
	return strconv.Itoa(c.Class)
}

// pageWidth is 800 pixels, of 96 to the inch.
const pageWidth = 600 * vg.Inch / 72

// A page is drawn from its top down, in points.
type page struct {
	c      draw.Canvas
	height vg.Length
	hand   text.Plain
}

// faces are the fonts of the pictures: they are in the program, and so nothing has to be installed to draw with them.
var faces = font.NewCache(liberation.Collection())

func newPage(c vg.CanvasSizer) *page {
	w, h := c.Size()
	p := &page{draw.New(c), h, text.Plain{Fonts: faces}}
	p.rect(color.White, 0, 0, w, h)
	return p
}

// rect fills a rectangle whose upper left corner is x, y below the top.
func (p *page) rect(fill color.Color, x, y, w, h vg.Length) {
	if w <= 0 || h <= 0 {
		return
	}
	p.c.FillPolygon(fill, []vg.Point{{X: x, Y: p.height - y}, {X: x + w, Y: p.height - y}, {X: x + w, Y: p.height - y - h},
		{X: x, Y: p.height - y - h}})
}

func (p *page) frame(x, y, w, h vg.Length) {
	line := draw.LineStyle{Color: dimColour, Width: 0.5}
	at := func(x, y vg.Length) vg.Point { return vg.Point{X: x, Y: p.height - y} }
	p.c.StrokeLines(line, []vg.Point{at(x, y), at(x+w, y), at(x+w, y+h), at(x, y+h), at(x, y)})
}

func (p *page) style(size vg.Length, ink color.Color) draw.TextStyle {
	return draw.TextStyle{Color: ink, Font: font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}, Handler: p.hand}
}

// write puts text with its middle at y; x is its left end or its middle. A right end would depend on the font that a viewer of SVG has.
func (p *page) write(s string, size vg.Length, ink color.Color, x, y vg.Length, align draw.XAlignment) {
	style := p.style(size, ink)
	style.XAlign, style.YAlign = align, draw.YCenter
	p.c.FillText(style, vg.Point{X: x, Y: p.height - y}, s)
}

// width is how wide text is, with room for other fonts: viewers of SVG may have none of the family.
func (p *page) width(s string, size vg.Length) vg.Length {
	return 1.15 * p.style(size, inkColour).Width(s)
}

// fit shortens text.
func (p *page) fit(s string, size, most vg.Length) string {
	for p.width(s, size) > most && utf8.RuneCountInString(s) > 2 {
		runes := []rune(strings.TrimSuffix(s, "…"))
		s = string(runes[:len(runes)-1]) + "…"
	}
	return s
}

// svgFonts are asked for where the family of the pictures is not installed; the first two have its widths.
const svgFonts = "'Liberation Sans', Arial, Helvetica, 'DejaVu Sans', sans-serif"

// savePage writes a page of this height in the format of the path's ending.
func savePage(to io.Writer, path string, height vg.Length, paint func(*page)) error {
	format := strings.TrimPrefix(strings.ToLower(filepath.Ext(path)), ".")
	c, err := draw.NewFormattedCanvas(pageWidth, height, format)
	if err != nil {
		return err
	}
	paint(newPage(c))
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return err
	}
	content := b.Bytes()
	if format == "svg" {
		for _, family := range []string{"Liberation Sans", "LiberationSans-Regular", "LiberationSans"} {
			content = bytes.ReplaceAll(content, []byte("font-family:"+family+";"), []byte("font-family:"+svgFonts+";"))
		}
	}
	_, err = to.Write(content)
	return err
}

// plot draws the loss and the IoU of every class, and below what was predicted for each label.
func (r *report) plot(to io.Writer, path string) error {
	const margin, row, head = 20, 27, 78
	classes := vg.Length(len(r.Classes))
	bars := head + classes*row + 26
	total := bars + margin
	var m *matrix
	if r.tally != nil && !r.tally.masks {
		m = r.matrix()
		total += m.height() + margin
	}
	return savePage(to, path, total, func(p *page) {
		p.write(fmt.Sprintf("mean IoU %s, loss %.4g%s", r.MeanIoU.format("%.4f"), r.Loss, r.without()), 15, inkColour, margin, 22, draw.XLeft)
		p.write(fmt.Sprintf("%s, %s; accuracy %s", plural(r.Images, "image"), plural(r.Pixels, "pixel"), r.Accuracy.format("%.4f")), 10.5,
			dimColour, margin, 40, draw.XLeft)
		p.rect(iouColour, margin, 53, 10, 10)
		p.write("IoU: 1 is best", 10.5, inkColour, margin+15, 58, draw.XLeft)
		p.rect(lossColour, margin+110, 53, 10, 10)
		p.write("Lovász loss: 0 is best", 10.5, inkColour, margin+125, 58, draw.XLeft)
		r.bars(p, margin, head, row)
		if m != nil {
			m.draw(p, margin, bars+margin)
		}
	})
}

// nameWidth is the room for the names of the classes.
func (r *report) nameWidth(p *page) vg.Length {
	width := vg.Length(20)
	for i := range r.Classes {
		width = max(width, p.width(r.label(i), 11))
	}
	return min(width, 170)
}

// label is the name of a class with its id.
func (r *report) label(k int) string {
	c := &r.Classes[k]
	if c.Name == "" && len(r.Classes) == 1 { // beside a key of two, in which 0 is the background
		return "foreground"
	} else if c.Name == "" {
		return strconv.Itoa(c.Class)
	}
	return fmt.Sprintf("%d %s", c.Class, printable(c.Name))
}

// bars draws two bars for every class. What is not a number has none.
func (r *report) bars(p *page, x, y, row vg.Length) {
	names := r.nameWidth(p)
	from := x + names + 10
	width := pageWidth - from - 60
	top := 1.
	for _, c := range r.Classes {
		if v := float64(c.Loss); v > top { // of the hinge
			top = v
		}
	}
	bottom := y + row*vg.Length(len(r.Classes))
	for i := range 5 {
		at := from + width*vg.Length(i)/4
		p.rect(gridColour, at-0.25, y-4, 0.5, bottom-y+8)
		p.write(strconv.FormatFloat(top*float64(i)/4, 'g', 3, 64), 10, dimColour, at, bottom+13, draw.XCenter)
	}
	for k, c := range r.Classes {
		at := y + row*vg.Length(k)
		ink := inkColour
		if !c.Counted {
			ink = dimColour
		}
		p.write(p.fit(r.label(k), 11, names), 11, ink, x, at+10.5, draw.XLeft)
		for i, series := range []struct {
			v      number
			colour color.Color
		}{{c.IoU, iouColour}, {c.Loss, lossColour}} {
			at := at + 1 + vg.Length(i)*10
			if math.IsNaN(float64(series.v)) {
				p.write("–", 9, dimColour, from+4, at+4.5, draw.XLeft)
				continue
			}
			length := width * vg.Length(max(0, float64(series.v))/top)
			p.rect(series.colour, from, at, length, 9)
			p.write(series.v.format("%.3f"), 9, inkColour, from+length+4, at+4.5, draw.XLeft)
		}
	}
	p.rect(inkColour, from-0.5, y-4, 1, bottom-y+8)
}

// A matrix is a picture of a confusion matrix: of each label's pixels the share that was predicted as each class.
type matrix struct {
	r      *report
	shares [][]float64 // NaN for a label that has no pixel
}

func (r *report) matrix() *matrix {
	m := &matrix{r: r}
	c := r.tally.confusions[0]
	n := max(2, r.tally.classes)
	for label := range n {
		row, sum := make([]float64, n), 0.
		for k := range n {
			row[k] = float64(c.At(label, k))
			sum += row[k]
		}
		for k := range row {
			row[k] /= sum
		}
		m.shares = append(m.shares, row)
	}
	return m
}

const matrixHead, matrixFoot = 66, 14

const predicted = "predicted:"

// cell is how large an element is drawn.
func (m *matrix) cell() vg.Length {
	return min(34, 390/vg.Length(len(m.shares)))
}

func (m *matrix) height() vg.Length {
	return matrixHead + m.cell()*vg.Length(len(m.shares)) + matrixFoot
}

// label names a class. A binary mask has two, which the report knows as one.
func (m *matrix) label(k int) string {
	if m.r.tally.classes == 1 {
		return []string{"0 background", "1 foreground"}[k]
	}
	return m.r.label(k)
}

func shareColour(v float64) color.Color {
	mix := func(a, b float64) uint8 { return uint8(a + (b-a)*v + 0.5) }
	return color.RGBA{mix(255, 0x00), mix(255, 0x4c), mix(255, 0x8c), 0xff}
}

func (m *matrix) draw(p *page, x, y vg.Length) {
	n, cell := len(m.shares), m.cell()
	p.write("What each label's pixels were predicted as, in %", 13, inkColour, x, y+8, draw.XLeft)
	const none, all = "share: 0 %", "100 %"
	key := x + p.width(none, 10) + 4
	for i := range 101 {
		p.rect(shareColour(float64(i)/100), key+vg.Length(i), y+20, 1.2, 10)
	}
	p.frame(key, y+20, 101, 10)
	p.write(none, 10, inkColour, x, y+25, draw.XLeft)
	p.write(all, 10, inkColour, key+106, y+25, draw.XLeft)
	p.write("–: no pixel has the label", 10, inkColour, key+106+p.width(all, 10)+20, y+25, draw.XLeft)
	names := max(m.r.nameWidth(p), p.width(predicted, 10))
	if m.r.tally.classes == 1 {
		names = max(p.width(m.label(0), 11), p.width(m.label(1), 11))
	}
	size := min(11, cell)
	left, top := x+names+10, y+matrixHead
	every := 1 // which classes have room for their ids
	for vg.Length(every)*cell < 16 {
		every *= 2
		if every == 4 {
			every = 5
		}
	}
	p.write(predicted, 10, dimColour, x, top-8, draw.XLeft)
	for k := range n {
		if k%every == 0 {
			p.write(strconv.Itoa(k), 10, inkColour, left+cell*(vg.Length(k)+0.5), top-8, draw.XCenter)
		}
		if cell >= 9 || k%every == 0 {
			p.write(p.fit(m.label(k), max(8, size), names), max(8, size), inkColour, x, top+cell*(vg.Length(k)+0.5), draw.XLeft)
		}
	}
	for i, row := range m.shares {
		for k, v := range row {
			atX, atY := left+cell*vg.Length(k), top+cell*vg.Length(i)
			if math.IsNaN(v) {
				p.rect(color.RGBA{0xf0, 0xf0, 0xf0, 0xff}, atX, atY, cell, cell)
				if k == 0 && cell >= 9 {
					p.write("–", min(10, cell), dimColour, atX+cell/2, atY+cell/2, draw.XCenter)
				}
				continue
			}
			p.rect(shareColour(v), atX, atY, cell, cell)
			if cell >= 19 && v >= 0.005 {
				ink := color.Color(inkColour)
				if v > 0.5 {
					ink = color.White
				}
				p.write(strconv.Itoa(int(100*v+0.5)), min(10, cell/2), ink, atX+cell/2, atY+cell/2, draw.XCenter)
			}
		}
	}
	p.frame(left, top, cell*vg.Length(n), cell*vg.Length(n))
}
