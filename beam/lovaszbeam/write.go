package main

import (
	"context"
	"encoding/json"
	"math"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	lanewisebeam "github.com/lanewise/lanewise/beam"
	"github.com/lanewise/lanewise/files"
)

func init() {
	register.Function2x1(rowOfKey)
	register.Function2x1(rowOfAll)
	register.DoFn3x1[context.Context, int, func(*row) bool, error](&writeFn{})
	register.Iter1[row]()
}

// A row is a result and its key.
type row struct {
	Key    string
	Result lanewisebeam.Result
}

func rowOfKey(key string, r lanewisebeam.Result) row { return row{key, r} }

func rowOfAll(_ int, r lanewisebeam.Result) row { return row{"", r} }

// writeJSON writes one file: the result, or by folder an object with the result of each.
func writeJSON(s beam.Scope, o *options, results beam.PCollection) {
	s = s.Scope("write")
	filesystem.ValidateScheme(o.output)
	var rows beam.PCollection
	if o.byFolder {
		rows = beam.ParDo(s, rowOfKey, results)
	} else {
		rows = beam.ParDo(s, rowOfAll, results)
	}
	beam.ParDo0(s, &writeFn{o.output, o.byFolder}, beam.GroupByKey(s, beam.AddFixedKey(s, rows)))
}

// A writeFn gets all rows at once.
type writeFn struct {
	Path     string
	ByFolder bool
}

func (fn *writeFn) ProcessElement(ctx context.Context, _ int, rows func(*row) bool) error {
	var out any
	folders := map[string]report{} // which JSON sorts
	for r := (row{}); rows(&r); r = (row{}) {
		out = newReport(r.Result)
		folders[r.Key] = newReport(r.Result)
	}
	if fn.ByFolder {
		out = folders
	}
	text, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return err
	}
	if !isRemote(fn.Path) { // beside, and then to its place
		var out files.Outputs
		defer out.Abort()
		f, err := out.Add("-output", fn.Path)
		if err == nil {
			_, err = f.Write(append(text, '\n'))
		}
		if err == nil {
			err = out.Commit()
		}
		return forUser(err)
	}
	fs, err := filesystem.New(ctx, fn.Path)
	if err != nil {
		return err
	}
	defer fs.Close()
	return filesystem.Write(ctx, fs, fn.Path, append(text, '\n'))
}

// A report is a result under the names that cmd/lovasz prints.
type report struct {
	Loss    number        `json:"loss"`
	Gap     number        `json:"gap"`
	MeanIoU number        `json:"mean_iou"`
	Classes []classReport `json:"classes"`
}

type classReport struct {
	Class  int    `json:"class"`
	Pixels int64  `json:"pixels"`
	IoU    number `json:"iou"`
	Loss   number `json:"loss"`
}

func newReport(r lanewisebeam.Result) report {
	out := report{Loss: number(r.Loss), Gap: number(r.Gap), MeanIoU: number(r.MeanIoU)}
	for k := range r.PerClass {
		out.Classes = append(out.Classes, classReport{k, r.Pixels[k], number(r.IoU[k]), number(r.PerClass[k])})
	}
	return out
}

// A number is null in JSON where it is NaN.
type number float64

func (x number) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(x)) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(x))
}
