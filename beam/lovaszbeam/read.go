package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/lanewise/lanewise"
	lanewisebeam "github.com/lanewise/lanewise/beam"
	"github.com/lanewise/lanewise/files"
)

func init() {
	register.DoFn3x1[context.Context, []byte, func(files.Pair), error](&pairFn{})
	register.DoFn3x1[context.Context, files.Pair, func(string, lanewisebeam.Counts), error](&countFn{})
	register.Emitter1[files.Pair]()
	register.Emitter2[string, lanewisebeam.Counts]()
}

// An input says which files are read, and how.
type input struct {
	Logits, Labels string
	Unpaired       string
	Layout         string
	Shape          []int
	Maps           []*files.LabelMap
	Shift          int32
	Guard          bool // probabilities are not taken for logits
}

// countImages returns what is counted in the files that the flags name, by folder: a PCollection<KV<string, Counts>>.
func countImages(s beam.Scope, o *options) beam.PCollection {
	s = s.Scope("read")
	pairs := beam.ParDo(s, &pairFn{o.input}, beam.Impulse(s))
	// Names travel to the workers, counts from there; images, which are larger than both, do not.
	return beam.ParDo(s, &countFn{Loss: o.loss, Input: o.input}, beam.Reshuffle(s, pairs))
}

// isRemote tells gs:// and s3:// from files of this machine.
func isRemote(path string) bool { return strings.Contains(path, "://") }

// A pairFn finds which files belong together.
type pairFn struct{ Input input }

func (fn *pairFn) ProcessElement(ctx context.Context, _ []byte, emit func(files.Pair)) error {
	pairs, err := fn.Input.pairs(ctx)
	for _, p := range pairs {
		emit(p)
	}
	return forUser(err)
}

func (in *input) pairs(ctx context.Context) ([]files.Pair, error) {
	x, err := list1(ctx, in.Logits, files.Logits, in.Shape != nil)
	if err != nil {
		return nil, err
	}
	y, err := list1(ctx, in.Labels, files.Labels, false)
	if err != nil {
		return nil, err
	}
	pairs, _, err := files.Match(x, y, files.PairOptions{Skip: in.Unpaired == "skip"})
	return pairs, err
}

// list1 finds the files of a folder or a pattern, one alone too.
func list1(ctx context.Context, spec string, role files.Role, raw bool) (*files.Set, error) {
	if !isRemote(spec) {
		return files.List(spec, role, raw)
	}
	if !files.IsPattern(spec) && path.Ext(spec) == "" {
		return nil, fmt.Errorf("%s: a folder of a bucket is given as a pattern, such as '%s/*.npy'", spec, strings.TrimSuffix(spec, "/"))
	}
	fs, err := filesystem.New(ctx, spec)
	if err != nil {
		return nil, err
	}
	defer fs.Close()
	names, err := fs.List(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", spec, err)
	}
	return &files.Set{Spec: spec, Role: role, Raw: raw, Files: names}, nil
}

// A countFn reads files, counts the images in them, and gives the counts with the folder.
type countFn struct {
	Loss  lanewise.LovaszConfig
	Input input

	evaluate map[lanewise.Layout]*lanewisebeam.EvaluateFn
}

func (fn *countFn) ProcessElement(ctx context.Context, p files.Pair, emit func(folder string, c lanewisebeam.Counts)) error {
	counts, err := fn.count(ctx, p)
	if err != nil {
		return forUser(err)
	}
	emit(strings.TrimPrefix(path.Dir("/"+p.Name), "/"), counts)
	return nil
}

func (fn *countFn) count(ctx context.Context, p files.Pair) (counts lanewisebeam.Counts, err error) {
	in := &fn.Input
	logits, err := open(ctx, p.Logits, files.Logits, files.Options{Shape: in.Shape})
	if err != nil {
		return counts, err
	}
	defer logits.Close()
	labels, err := open(ctx, p.Labels, files.Labels, files.Options{})
	if err != nil {
		return counts, err
	}
	defer labels.Close()
	s, err := files.Fit(logits.Shape, labels.Shape, files.FitOptions{Layout: in.Layout, Classes: fn.Loss.Classes})
	if err != nil {
		return counts, fmt.Errorf("%s: %w", p.Logits, err)
	}
	if s.Masks {
		return counts, fmt.Errorf("%s: labels have the logits' shape, as masks of classes that overlap have: the command lovasz computes those",
			p.Labels)
	}
	if in.Guard && logits.Probabilities {
		return counts, fmt.Errorf("%s: the array is called probabilities: add -activation none", p.Logits)
	}
	x, err := logits.Floats()
	if err != nil {
		return counts, err
	}
	y, err := labels.Integers()
	if err != nil {
		return counts, err
	}
	if y, err = files.MapLabels(labels, y, in.Maps, in.Shift, fn.Loss.VoidLabels); err != nil {
		return counts, err
	}
	if in.Guard && files.LooksLikeProbabilities(x, y, fn.Loss.VoidLabels, s) {
		return counts, fmt.Errorf("%s: the values are all in [0, 1], as probabilities are: if they are, add -activation none; if they are "+
			"logits, -activation softmax or sigmoid", p.Logits)
	}
	evaluate := fn.evaluate[s.Layout]
	if evaluate == nil {
		cfg := fn.Loss
		cfg.Layout = s.Layout
		evaluate = lanewisebeam.NewEvaluateFn(cfg)
		if fn.evaluate == nil {
			fn.evaluate = map[lanewise.Layout]*lanewisebeam.EvaluateFn{}
		}
		fn.evaluate[s.Layout] = evaluate
	}
	if counts, err = evaluate.CreateAccumulator(); err != nil {
		return counts, err
	}
	for i := range s.Images {
		from, to := i*s.Pixels, (i+1)*s.Pixels
		im := lanewisebeam.Image{Logits: x[from*s.Classes : to*s.Classes], Labels: y[from:to]}
		if counts, err = evaluate.AddInput(counts, im); err != nil {
			return counts, fn.explain(err, p, i, s, y)
		}
	}
	return counts, nil
}

// explain says which file an error is about, and of labels that are no classes what they may stand for.
func (fn *countFn) explain(err error, p files.Pair, image int, s files.Shape, labels []int32) error {
	file, hint := p.Logits, ""
	if errors.Is(err, lanewise.ErrLabel) {
		file = p.Labels
		values := slices.DeleteFunc(files.Values(labels), func(v int32) bool { return slices.Contains(fn.Loss.VoidLabels, v) })
		if hint = files.OutOfRange(values, s.Classes, false); hint != "" {
			hint = " (" + strings.NewReplacer("-labels-map", "-labels_map", "-label-shift", "-label_shift").Replace(hint) + ")"
		}
	}
	if s.Images > 1 {
		file = fmt.Sprintf("%s[%d]", file, image)
	}
	return fmt.Errorf("%s: %s%s", file, strings.TrimPrefix(err.Error(), "lanewise: "), hint)
}

// open finds the array of a file. One of a bucket is fetched whole.
func open(ctx context.Context, file string, role files.Role, o files.Options) (*files.Array, error) {
	if !isRemote(file) {
		return files.Open(file, role, o)
	}
	fs, err := filesystem.New(ctx, file)
	if err != nil {
		return nil, err
	}
	defer fs.Close()
	size, err := fs.Size(ctx, file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	r, err := fs.OpenRead(ctx, file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	defer r.Close()
	var content bytes.Buffer // as large as the file from the start: filesystem.Read takes several times the memory
	content.Grow(int(size) + bytes.MinRead)
	if _, err = content.ReadFrom(r); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return files.OpenReader(bytes.NewReader(content.Bytes()), int64(content.Len()), file, role, o)
}
