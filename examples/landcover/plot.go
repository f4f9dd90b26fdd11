package main

import (
	"bytes"
	"image/color"
	"os"
	"path/filepath"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// colours are three that people with colour blindness can tell apart too (Okabe and Ito).
var colours = []color.NRGBA{{0, 114, 178, 255}, {213, 94, 0, 255}, {0, 158, 115, 255}}

// drawCurves writes curves.svg and curves.png to folder: the loss and the mean IoU on the test pixels, epoch by epoch. Each line is the
// mean of the runs, the band around it reaches from the lowest to the highest of them.
func drawCurves(folder string, ways []way) error {
	losses, err := newPanel(ways, "Training loss", func(s score) float64 { return s.loss })
	if err != nil {
		return err
	}
	losses.Y.Min = 0
	losses.Legend.Top = true
	losses.Legend.YOffs = 0
	ious, err := newPanel(ways, "Mean IoU on the test pixels", func(s score) float64 { return s.test })
	if err != nil {
		return err
	}
	panels := []*plot.Plot{losses, ious}

	const width, height = 24 * vg.Centimeter, 10 * vg.Centimeter
	svg := newGlyphCanvas(width, height)
	png := vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(150))
	for _, canvas := range []vg.CanvasSizer{svg, png} {
		page := draw.New(canvas)
		page.SetColor(color.White)
		page.Fill(page.Rectangle.Path())
		const margin = 4 * vg.Millimeter
		tiles := draw.Tiles{Cols: 2, Rows: 1, PadX: 2 * margin, PadTop: margin, PadBottom: margin, PadLeft: margin, PadRight: margin}
		for i, tile := range plot.Align([][]*plot.Plot{panels}, tiles, page)[0] {
			panels[i].Draw(tile)
		}
	}

	if err := os.MkdirAll(folder, 0o777); err != nil {
		return err
	}
	var file bytes.Buffer
	if _, err := (vgimg.PngCanvas{Canvas: png}).WriteTo(&file); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, "curves.png"), file.Bytes(), 0o666); err != nil {
		return err
	}
	file.Reset()
	if _, err := svg.WriteTo(&file); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "curves.svg"), file.Bytes(), 0o666)
}

// newPanel returns a plot of value over the epochs, with a line for each way.
func newPanel(ways []way, title string, value func(score) float64) (*plot.Plot, error) {
	plot.DefaultFont = font.Font{Typeface: "Liberation", Variant: "Sans"}
	p := plot.New()
	p.Title.Text = title
	p.Title.TextStyle.Font.Size = 13
	p.Title.Padding = 3 * vg.Millimeter
	p.X.Label.Text = "epoch"
	p.X.Min = 0
	p.Legend.Padding = 2
	p.Legend.XOffs = -3 * vg.Millimeter
	p.Legend.YOffs = 3 * vg.Millimeter
	grid := plotter.NewGrid()
	grid.Vertical.Width = 0
	grid.Horizontal.Color = color.Gray{220}
	p.Add(grid)

	var lines []plot.Plotter // on top of all bands
	for i, way := range ways {
		var mean, low, high plotter.XYs
		for epoch := range way.runs[0].scores {
			values := way.over(func(t training) float64 { return value(t.scores[epoch]) })
			x := float64(epoch + 1)
			mean = append(mean, plotter.XY{X: x, Y: stat.Mean(values, nil)})
			low = append(low, plotter.XY{X: x, Y: floats.Min(values)})
			high = append(high, plotter.XY{X: x, Y: floats.Max(values)})
		}
		slices.Reverse(high)
		band, err := plotter.NewPolygon(append(low, high...))
		if err != nil {
			return nil, err
		}
		faint := colours[i]
		faint.A = 45
		band.Color = faint
		band.LineStyle.Width = 0
		line, err := plotter.NewLine(mean)
		if err != nil {
			return nil, err
		}
		line.Color = colours[i]
		line.Width = 1.6
		p.Add(band)
		p.Legend.Add(way.name, line)
		lines = append(lines, line)
	}
	p.Add(lines...)
	return p, nil
}
