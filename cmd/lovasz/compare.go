package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
)

type compareOptions struct {
	A    string `arg:"" name:"a.json" help:"What lovasz -json printed about one model, …"`
	B    string `arg:"" name:"b.json" help:"… and about another one, on the same data."`
	Most int    `default:"10" placeholder:"10" help:"How many images to show: those whose mean IoU differs most."`
	JSON bool   `name:"json" help:"Print JSON, with every image."`
}

const compareDescription = `How two models differ on the same data, class by class and image by image. Differences are B − A.

  lovasz -logits model_a -labels masks -json >a.json
  lovasz -logits model_b -labels masks -json >b.json
  lovasz compare a.json b.json`

// A difference is of one measure.
type difference struct {
	A    number `json:"a"`
	B    number `json:"b"`
	Diff number `json:"difference"`
}

func differ(a, b number) difference { return difference{a, b, b - a} }

type classDifference struct {
	Class int        `json:"class"`
	Name  string     `json:"name,omitempty"`
	IoU   difference `json:"iou"`
	Loss  difference `json:"loss"`
}

type imageDifference struct {
	Image   string     `json:"image"`
	MeanIoU difference `json:"mean_iou"`
}

type comparison struct {
	A       string            `json:"a"`
	B       string            `json:"b"`
	Loss    difference        `json:"loss"`
	MeanIoU difference        `json:"mean_iou"`
	Classes []classDifference `json:"classes"`
	Images  []imageDifference `json:"images,omitempty"` // the largest difference first
	Unlike  []string          `json:"unlike,omitempty"` // what was counted in another way, so that numbers differ by more than the models
	only    int               // images that one of them has alone
}

// compare is the command "lovasz compare".
func compare(args []string, out io.Writer) error {
	var o compareOptions
	if helped, err := parseInto(&o, "lovasz compare", compareDescription, args, out); helped || err != nil {
		return err
	}
	a, err := readReport(o.A)
	if err != nil {
		return err
	}
	b, err := readReport(o.B)
	if err != nil {
		return err
	}
	switch {
	case len(a.Classes) != len(b.Classes):
		return fmt.Errorf("%s has %s, %s %d: they are not of the same data", o.A, plural(len(a.Classes), "class"), o.B, len(b.Classes))
	case a.Pixels != b.Pixels || a.Images != b.Images:
		return fmt.Errorf("%s is of %s and %s, %s of %d and %d: they are not of the same data", o.A, plural(a.Images, "image"),
			plural(a.Pixels, "pixel"), o.B, b.Images, b.Pixels)
	}
	for k := range a.Classes {
		if a.Classes[k].Pixels != b.Classes[k].Pixels {
			return fmt.Errorf("class %d has %s in %s, %d in %s: they are not of the same labels", k, plural(a.Classes[k].Pixels, "pixel"), o.A,
				b.Classes[k].Pixels, o.B)
		}
	}
	c := &comparison{A: o.A, B: o.B, Loss: differ(a.Loss, b.Loss), MeanIoU: differ(a.MeanIoU, b.MeanIoU)}
	for k, class := range a.Classes {
		c.Classes = append(c.Classes, classDifference{k, class.Name, differ(class.IoU, b.Classes[k].IoU), differ(class.Loss, b.Classes[k].Loss)})
	}
	c.Unlike = unlike(a, b)
	byName := map[string]number{}
	for i, iou := range b.ImageIoU {
		byName[b.imageName(i)] = iou
	}
	for i, iou := range a.ImageIoU {
		if other, ok := byName[a.imageName(i)]; ok {
			c.Images = append(c.Images, imageDifference{a.imageName(i), differ(iou, other)})
		} else {
			c.only++
		}
	}
	slices.SortStableFunc(c.Images, func(x, y imageDifference) int { return cmp.Compare(y.MeanIoU.size(), x.MeanIoU.size()) })
	if o.JSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(c)
	}
	return c.print(out, max(0, o.Most))
}

// unlike lists how two reports were counted differently: then losses and means differ even for one model.
func unlike(a, b *report) (list []string) {
	add := func(what, a, b string) {
		if a != b {
			list = append(list, fmt.Sprintf("%s: %s and %s", what, a, b))
		}
	}
	kind := func(r *report) string {
		switch {
		case r.Hard:
			return "of hard predictions"
		case r.Hinge:
			return "the hinge"
		}
		return "of " + r.Activation
	}
	weights := func(list []float32) string {
		if list == nil {
			return "none"
		}
		return strings.ReplaceAll(strings.Trim(fmt.Sprint(list), "[]"), " ", ",")
	}
	images := func(r *report) string {
		if r.PerImage != nil {
			return "per image"
		}
		return "of all pixels together"
	}
	means := func(r *report) string {
		var classes []string
		for _, k := range r.Classes {
			if k.Counted {
				classes = append(classes, strconv.Itoa(k.Class))
			}
		}
		return strings.Join(classes, ",")
	}
	add("the loss", kind(a), kind(b))
	add("the loss", images(a), images(b))
	add("the loss is the mean over classes", a.Average, b.Average)
	if a.Merged == 0 && b.Merged == 0 { // files of counts do not tell them
		add("weights of the classes", weights(a.Weights), weights(b.Weights))
	}
	add("λ of the cross-entropy", fmt.Sprint(a.Lambda), fmt.Sprint(b.Lambda))
	add("weights in the cross-entropy", weights(a.CEWeights), weights(b.CEWeights))
	add("label smoothing", fmt.Sprint(a.Smoothing), fmt.Sprint(b.Smoothing))
	add("classes in the means", means(a), means(b))
	return list
}

// size orders differences; one that is not a number is the smallest.
func (d difference) size() float64 {
	if d.Diff != d.Diff {
		return -1
	}
	return math.Abs(float64(d.Diff))
}

func readReport(path string) (*report, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var r report
	if err := json.Unmarshal(content, &r); err != nil || len(r.Classes) == 0 || r.ImageNames != nil && r.ImageIoU != nil &&
		len(r.ImageNames) != len(r.ImageIoU) {
		return nil, fmt.Errorf("%s: not what lovasz -json printed", path)
	}
	return &r, nil
}

func (c *comparison) print(w io.Writer, most int) error {
	var b strings.Builder
	row := func(what string, d difference) {
		fmt.Fprintf(&b, "%-9s %s → %s (%s)\n", what, d.A.format("%.6f"), d.B.format("%.6f"), d.Diff.format("%+.6f"))
	}
	fmt.Fprintf(&b, "A         %s\nB         %s\n\n", c.A, c.B)
	row("loss", c.Loss)
	row("mean IoU", c.MeanIoU)
	for _, what := range c.Unlike {
		fmt.Fprintf(&b, "unlike    %s\n", what)
	}
	numbers := []string{"IoU A", "IoU B", "B − A", "loss A", "loss B", "B − A (loss)"}
	t := newTable(numbers...)
	if !slices.ContainsFunc(c.Classes, func(k classDifference) bool { return k.Name != "" }) {
		t.SetColumnConfigs(append(columns(numbers...), table.ColumnConfig{Name: "name", Hidden: true}))
	}
	t.AppendHeader(table.Row{"class", "name", "IoU A", "IoU B", "B − A", "loss A", "loss B", "B − A (loss)"})
	for _, k := range c.Classes {
		t.AppendRow(table.Row{k.Class, k.Name, k.IoU.A.format("%.4f"), k.IoU.B.format("%.4f"), k.IoU.Diff.format("%+.4f"),
			k.Loss.A.format("%.4f"), k.Loss.B.format("%.4f"), k.Loss.Diff.format("%+.4f")})
	}
	b.WriteString(t.Render() + "\n")
	if len(c.Images) > 0 && most > 0 {
		better := 0
		for _, im := range c.Images {
			if im.MeanIoU.Diff > 0 {
				better++
			}
		}
		fmt.Fprintf(&b, "of %s B is better in %d; those that differ most:\n", plural(len(c.Images), "image"), better)
		t := newTable("mean IoU A", "mean IoU B", "B − A")
		t.AppendHeader(table.Row{"image", "mean IoU A", "mean IoU B", "B − A"})
		for _, im := range c.Images[:min(most, len(c.Images))] {
			t.AppendRow(table.Row{printable(im.Image), im.MeanIoU.A.format("%.4f"), im.MeanIoU.B.format("%.4f"), im.MeanIoU.Diff.format("%+.4f")})
		}
		b.WriteString(t.Render() + "\n")
	}
	if c.only > 0 {
		fmt.Fprintf(&b, "%s of A are called otherwise in B\n", plural(c.only, "image"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
