package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/lanewise/lanewise/files"
)

func (r *report) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return r.printJSON(w)
	}
	return r.printText(w)
}

func (r *report) printJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

func (r *report) printText(w io.Writer) error {
	var b strings.Builder
	if r.Example {
		b.WriteString(exampleNotice)
	}
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-13s %s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	layout := ""
	if len(r.Classes) > 1 {
		layout = ", " + r.Layout + "-major"
	}
	what, first := "logits", ""
	if r.Hard {
		what, layout = "predictions", ""
	}
	if r.Files > 0 {
		first = ": " + plural(r.Files, "file") + ", the first"
	}
	if r.Merged > 0 {
		line("counts", "%s: %s, %s, %d void", plural(r.Merged, "file"), plural(r.Images, "image"), plural(r.Pixels, "pixel"), r.Void)
	} else {
		line(what, "%s%s %s %s%s", r.Logits.Path, first, files.Axes(r.Logits.Shape), r.Logits.Dtype, layout)
		if r.oneLabels {
			first = ""
		}
		line("labels", "%s%s %s %s: %s, %d void", r.Labels.Path, first, files.Axes(r.Labels.Shape), r.Labels.Dtype, plural(r.Pixels, "pixel"),
			r.Void)
	}
	if r.firstPair != "" {
		line("pairs", "%s … %s (-pairs lists all)", r.firstPair, r.lastPair)
	}
	line("method", "%s", r.describe())
	b.WriteString("\n")
	line("loss", "%.9g", r.Loss)
	if r.Lambda > 0 {
		line("Lovász", "%.9g", r.Lovasz)
		how := ""
		if r.CEWeights != nil {
			how += ", weighted"
		}
		if r.Smoothing > 0 {
			how += fmt.Sprintf(", labels smoothed by %g", r.Smoothing)
		}
		line("cross-entropy", "%.9g%s, times %g", r.CrossEntropy, how, r.Lambda)
	}
	if r.Method == "binned" {
		line("gap", "%.3g", r.Gap)
	}
	line("mean IoU", "%s%s", r.MeanIoU.format("%.6f"), r.without())
	if r.IoUByImage != nil {
		line("by image", "%s, by class %s: the means of the images' IoU", r.IoUByImage.format("%.6f"), r.IoUByClass.format("%.6f"))
	}
	line("mean Dice", "%s", r.MeanDice.format("%.6f"))
	line("accuracy", "%s, IoU weighted by pixels %s", r.Accuracy.format("%.6f"), r.WeightedIoU.format("%.6f"))
	b.WriteString(r.classTable() + "\n")
	if r.PerImage != nil {
		b.WriteString(r.imageTable() + "\n")
	}
	if r.Gradient != "" {
		line("gradient", "%s", r.Gradient)
	}
	if r.Merged > 0 {
		_, err := io.WriteString(w, b.String())
		return err
	}
	line("time", "%v, %s, %s", time.Duration(r.Seconds*1e9).Round(time.Microsecond), r.ISA, plural(r.Workers, "worker"))
	_, err := io.WriteString(w, b.String())
	return err
}

// without names the classes that the means leave out.
func (r *report) without() string {
	var names []string
	for i := range r.Classes {
		if c := &r.Classes[i]; !c.Counted {
			names = append(names, c.name())
		}
	}
	switch {
	case len(names) == 0:
		return ""
	case len(names) > 8:
		return fmt.Sprintf(", without %d classes", len(names))
	}
	return ", without class " + strings.Join(names, ", ")
}

// describe says how the loss was computed.
func (r *report) describe() string {
	what := "Lovász-Softmax"
	switch {
	case r.Hinge:
		what = "Lovász hinge"
	case r.Hard:
		what = "Lovász loss of hard predictions, of each class 1 − IoU"
	case r.Masks && r.Activation == "sigmoid":
		what = "Lovász loss of sigmoids, masks of classes that may overlap"
	case r.Masks:
		what = "Lovász loss of probabilities, masks of classes that may overlap"
	case r.Activation == "sigmoid":
		what = "Lovász loss of sigmoids"
	case r.Activation == "none":
		what = "Lovász loss of probabilities"
	}
	if len(r.Classes) > 1 {
		what += ", mean over " + r.Average + " classes"
	}
	if r.PerImage != nil {
		what += ", mean over " + plural(r.Images, "image")
	}
	if r.Hinge {
		return what
	}
	return what + ", " + r.Method
}

func (r *report) classTable() string {
	t := newTable("pixels", "IoU", "Dice", "precision", "recall", "loss")
	header := table.Row{"class"}
	named := r.Classes[0].Name != ""
	if named {
		header = append(header, "name")
	}
	t.AppendHeader(append(header, "pixels", "IoU", "Dice", "precision", "recall", "loss"))
	for _, c := range r.Classes {
		row := table.Row{c.Class}
		if named {
			row = append(row, printable(c.Name))
		}
		t.AppendRow(append(row, c.Pixels, c.IoU.format("%.6f"), c.Dice.format("%.6f"), c.Precision.format("%.6f"), c.Recall.format("%.6f"),
			c.Loss.format("%.6f")))
	}
	return t.Render()
}

func (r *report) imageTable() string {
	t := newTable("loss")
	t.AppendHeader(table.Row{"image", "loss"})
	for i, loss := range r.PerImage {
		image := any(i)
		if r.ImageNames != nil {
			image = printable(r.ImageNames[i])
		}
		t.AppendRow(table.Row{image, loss.format("%.6f")})
	}
	return t.Render()
}

// newTable returns a table in which the columns of these names are numbers.
func newTable(numbers ...string) table.Writer {
	t := table.NewWriter()
	t.SetStyle(table.StyleRounded)
	t.Style().Format.Header = text.FormatDefault
	t.SetColumnConfigs(columns(numbers...))
	return t
}

func columns(numbers ...string) (configs []table.ColumnConfig) {
	for _, name := range numbers {
		configs = append(configs, table.ColumnConfig{Name: name, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	return configs
}

// plural counts things.
func plural(n int, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case noun == "class":
		return fmt.Sprintf("%d classes", n)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func (x number) format(verb string) string {
	if math.IsNaN(float64(x)) {
		return "–"
	}
	return fmt.Sprintf(verb, float64(x))
}
