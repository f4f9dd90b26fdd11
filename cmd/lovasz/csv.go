package main

import (
	"encoding/csv"
	"io"
	"math"
	"strconv"
)

// writeCSV writes a row for every image and class, and then one for every class of all images together, with no image. What is not a number
// is empty.
func (r *report) writeCSV(to io.Writer) error {
	w := csv.NewWriter(to)
	w.Write([]string{"image", "class", "name", "counted", "pixels", "predicted", "correct", "iou", "dice", "precision", "recall", "loss"})
	cell := func(x float64) string {
		if math.IsNaN(x) {
			return ""
		}
		return strconv.FormatFloat(x, 'g', -1, 64)
	}
	row := func(image string, c *classReport, n classRow, loss float64) {
		both := float64(n.both)
		w.Write([]string{image, strconv.Itoa(c.Class), c.Name, strconv.FormatBool(c.Counted), strconv.Itoa(n.labelled), strconv.Itoa(n.predicted),
			strconv.Itoa(n.both),
			cell(both / float64(n.labelled+n.predicted-n.both)), cell(2 * both / float64(n.labelled+n.predicted)), cell(both / float64(n.predicted)),
			cell(both / float64(n.labelled)), cell(loss)})
	}
	all := make([]classRow, len(r.Classes))
	for i, rows := range r.tally.rows {
		for k, n := range rows {
			row(r.imageName(i), &r.Classes[k], n, math.NaN())
			all[k].labelled, all[k].predicted, all[k].both = all[k].labelled+n.labelled, all[k].predicted+n.predicted, all[k].both+n.both
		}
	}
	for k := range r.Classes {
		row("", &r.Classes[k], all[k], float64(r.Classes[k].Loss))
	}
	w.Flush()
	return w.Error()
}

// imageName is what an image is called: its file's name, or its number.
func (r *report) imageName(i int) string {
	if r.ImageNames != nil {
		return r.ImageNames[i]
	}
	return strconv.Itoa(i)
}
