package main

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// ours has the colours of Lanewise on its ISAs, others those of the peers, which are thinner and dashed.
var (
	ours   = []color.Color{rgb(0x0b3d91), rgb(0x2f7de1), rgb(0x7fb2f0)}
	others = []color.Color{rgb(0xd1495b), rgb(0xedae49), rgb(0x66a182), rgb(0x8d6a9f), rgb(0x5f5f5f), rgb(0xb5651d), rgb(0xe377c2),
		rgb(0x17becf)}
	dashes = [][]vg.Length{{vg.Points(6), vg.Points(2)}, {vg.Points(3), vg.Points(2)}, {vg.Points(1), vg.Points(2)}}
)

func rgb(c uint32) color.Color { return color.RGBA{uint8(c >> 16), uint8(c >> 8), uint8(c), 255} }

// writePlots writes an SVG for every kernel and type: ns per element over n, both logarithmic, with the limit drawn in.
func writePlots(folder string, all results) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for rows := range groups(all.kernels, func(r row) string { return r.Kernel + r.Type }) {
		if err := plotKernel(filepath.Join(folder, plotName(rows[0])), rows, all.machine); err != nil {
			return err
		}
	}
	if len(all.wanted) > 0 {
		return plotLosses(filepath.Join(folder, lossPlot), all.wanted, all.machine)
	}
	return nil
}

// lossPlot is the chart of the loss.
const lossPlot = "loss.svg"

// plotLosses draws two bars for every configuration with its gradient, Lanewise's on the best ISA with one worker and PyTorch's, with their
// numbers behind them, and a line for the dense sort.
func plotLosses(path string, rows []caseRow, m machine) error {
	p := plot.New()
	p.Title.Text = fmt.Sprintf("Loss and gradient, ns per logit, one core of %s (%s)", m.CPU, rows[0].ISA)
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	p.Y.LineStyle.Width, p.Y.Tick.Length = 0, 0
	var configurations []caseRow
	least, most := math.Inf(1), 0.
	for _, r := range rows {
		if r.ISA == rows[0].ISA && r.Workers == 1 && r.Most > 0 && r.Method == "exact" {
			configurations = append(configurations, r)
			least, most = min(least, r.Backward), max(most, r.Backward, r.PyTorch)
		}
	}
	if len(configurations) == 0 {
		return nil
	}
	slices.Reverse(configurations) // the first on top
	left := math.Pow(10, math.Floor(math.Log10(least)))
	var names []string
	var labels plotter.XYLabels
	bar := func(name string, colour color.Color, ns, from, to float64) error {
		if ns == 0 {
			return nil
		}
		b, err := plotter.NewPolygon(plotter.XYs{{X: left, Y: from}, {X: ns, Y: from}, {X: ns, Y: to}, {X: left, Y: to}})
		if err != nil {
			return err
		}
		b.Color, b.LineStyle.Width = colour, 0
		p.Add(b)
		if name != "" {
			p.Legend.Add(name, b)
		}
		labels.XYs = append(labels.XYs, plotter.XY{X: ns, Y: (from + to) / 2})
		labels.Labels = append(labels.Labels, digits(ns))
		return nil
	}
	lanewise, torch := "Lanewise", "PyTorch"
	for i, r := range configurations {
		y := float64(i)
		if err := bar(lanewise, ours[1], r.Backward, y, y+0.38); err != nil {
			return err
		}
		if err := bar(torch, others[4], r.PyTorch, y-0.38, y); err != nil {
			return err
		}
		lanewise = ""
		if r.PyTorch > 0 {
			torch = ""
		}
		names = append(names, r.title())
	}
	sort := rows[0].Backward / rows[0].Sorts
	line := draw.LineStyle{Color: color.Black, Width: vg.Points(1), Dashes: dashes[0]}
	if err := addLine(p, denseSort+", a pair", plotter.XYs{{X: sort, Y: -0.6}, {X: sort, Y: float64(len(names)) - 0.4}}, line); err != nil {
		return err
	}
	texts, err := plotter.NewLabels(labels)
	if err != nil {
		return err
	}
	texts.Offset = vg.Point{X: vg.Points(4), Y: vg.Points(-3)}
	p.Add(texts)
	p.NominalY(names...)
	p.Y.Min, p.Y.Max = -0.6, float64(len(names))+0.9 // with room for the legend
	p.Legend.Top = true
	p.X.Min, p.X.Max = left, most*3
	return save(p, path, 22*vg.Centimeter, vg.Points(float64(80+30*len(names))))
}

func plotName(r row) string {
	return strings.ReplaceAll(r.Kernel, "/", "x") + "-" + r.Type + ".svg"
}

func plotKernel(path string, rows []row, m machine) error {
	p := plot.New()
	p.Title.Text = fmt.Sprintf("%s, %s: %s, one core", rows[0].Kernel, rows[0].Type, m.CPU)
	p.X.Label.Text = "elements"
	p.Y.Label.Text = "ns per element"
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.TickerFunc(powersOf2), plot.LogTicks{Prec: -1}
	p.Legend.Top = true
	p.Legend.TextStyle.Font.Size = vg.Points(8)
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = rgb(0xe8e8e8), rgb(0xe8e8e8)
	p.Add(grid)

	var best plotter.XYs // what the best ISA could do
	for _, r := range rows {
		if r.ISA == rows[0].ISA && r.LimitNs > 0 {
			best = append(best, plotter.XY{X: float64(r.N), Y: r.LimitNs / float64(r.N)})
		}
	}
	if best != nil {
		if err := addLine(p, "limit", best, draw.LineStyle{Color: color.Black, Width: vg.Points(1), Dashes: dashes[2]}); err != nil {
			return err
		}
	}
	series := map[string]plotter.XYs{}
	var names []string
	isas := 0
	for _, r := range rows {
		name := r.ISA + r.Peer
		if series[name] == nil {
			names = append(names, name)
			if r.ISA != "" {
				isas++
			}
		}
		series[name] = append(series[name], plotter.XY{X: float64(r.N), Y: r.Ns / float64(r.N)})
	}
	// The rows of a length begin with the ISAs, so that these come first.
	for i, name := range names {
		style := draw.LineStyle{Width: vg.Points(2)}
		label := "Lanewise " + name
		if i < isas {
			style.Color = ours[i%len(ours)]
		} else {
			label = name
			style = draw.LineStyle{Color: others[(i-isas)%len(others)], Width: vg.Points(1.2), Dashes: dashes[(i-isas)/len(others)%2]}
		}
		if err := addLine(p, label, series[name], style); err != nil {
			return err
		}
	}
	p.X.Max *= 8 // room for the legend
	return save(p, path, 20*vg.Centimeter, 12*vg.Centimeter)
}

// save writes a plot whose texts look the same everywhere.
func save(p *plot.Plot, path string, width, height vg.Length) error {
	canvas := newGlyphCanvas(width, height)
	p.Draw(draw.New(canvas))
	var file bytes.Buffer
	if _, err := canvas.WriteTo(&file); err != nil {
		return err
	}
	return os.WriteFile(path, file.Bytes(), 0o644)
}

func addLine(p *plot.Plot, name string, points plotter.XYs, style draw.LineStyle) error {
	line, err := plotter.NewLine(points)
	if err != nil {
		return err
	}
	line.LineStyle = style
	p.Add(line)
	p.Legend.Add(name, line)
	return nil
}

// powersOf2 labels every fourth power of two, as the lengths are.
func powersOf2(least, most float64) []plot.Tick {
	var ticks []plot.Tick
	for e := int(math.Ceil(math.Log2(least))); e <= int(math.Log2(most)); e++ {
		t := plot.Tick{Value: math.Exp2(float64(e))}
		if e%4 == 0 {
			t.Label = fmt.Sprint(1 << e)
		}
		ticks = append(ticks, t)
	}
	return ticks
}

// groups yields the runs of items with equal keys.
func groups[T any](items []T, key func(T) string) func(yield func([]T) bool) {
	return func(yield func([]T) bool) {
		for len(items) > 0 {
			k := key(items[0])
			n := slices.IndexFunc(items, func(t T) bool { return key(t) != k })
			if n < 0 {
				n = len(items)
			}
			if !yield(items[:n]) {
				return
			}
			items = items[n:]
		}
	}
}
