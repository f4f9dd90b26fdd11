package main

import (
	"bytes"
	"encoding/xml"
	"io"
	"strings"

	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// A glyphCanvas is an SVG that carries its own glyphs, as paths: in a browser without the fonts that gonum measures with, text would be as
// long as another font's, and run into what is beside it.
//
// Its texts stand in its description, for who does not see it.
type glyphCanvas struct {
	*vgsvg.Canvas
	texts []string
}

func newGlyphCanvas(w, h vg.Length) *glyphCanvas { return &glyphCanvas{Canvas: vgsvg.New(w, h)} }

// WriteTo writes the picture.
func (c *glyphCanvas) WriteTo(w io.Writer) (int64, error) {
	var picture, texts bytes.Buffer
	if _, err := c.Canvas.WriteTo(&picture); err != nil {
		return 0, err
	}
	if err := xml.EscapeText(&texts, []byte(strings.Join(c.texts, "; "))); err != nil {
		return 0, err
	}
	before, svg, _ := strings.Cut(picture.String(), "<svg")
	opening, body, _ := strings.Cut(svg, ">")
	n, err := io.WriteString(w, before+"<svg"+opening+">\n<desc>"+texts.String()+"</desc>"+body)
	return int64(n), err
}

// FillString fills the outlines of the text.
func (c *glyphCanvas) FillString(f font.Face, at vg.Point, text string) {
	c.texts = append(c.texts, text)
	const units = 1 << 10 // of the em, in 26.6: outlines do not depend on hints
	var buffer sfnt.Buffer
	scale := f.Font.Size / units
	x, previous := at.X, sfnt.GlyphIndex(0)
	point := func(p fixed.Point26_6) vg.Point {
		return vg.Point{X: x + vg.Length(p.X)/64*scale, Y: at.Y - vg.Length(p.Y)/64*scale}
	}
	for _, r := range text {
		glyph, err := f.Face.GlyphIndex(&buffer, r)
		if err != nil {
			continue
		}
		if kern, err := f.Face.Kern(&buffer, previous, glyph, fixed.I(units), 0); err == nil {
			x += vg.Length(kern) / 64 * scale
		}
		segments, err := f.Face.LoadGlyph(&buffer, glyph, fixed.I(units), nil)
		if err != nil {
			continue
		}
		var outline vg.Path
		for _, s := range segments {
			switch s.Op {
			case sfnt.SegmentOpMoveTo:
				outline.Move(point(s.Args[0]))
			case sfnt.SegmentOpLineTo:
				outline.Line(point(s.Args[0]))
			case sfnt.SegmentOpQuadTo:
				outline.QuadTo(point(s.Args[0]), point(s.Args[1]))
			case sfnt.SegmentOpCubeTo:
				outline.CubeTo(point(s.Args[0]), point(s.Args[1]), point(s.Args[2]))
			}
		}
		if len(outline) > 0 {
			outline.Close()
			c.Fill(outline)
		}
		if advance, err := f.Face.GlyphAdvance(&buffer, glyph, fixed.I(units), 0); err == nil {
			x += vg.Length(advance) / 64 * scale
		}
		previous = glyph
	}
}
