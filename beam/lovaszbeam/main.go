// Command lovaszbeam computes the Lovász-Softmax loss and the intersection over union of files on an Apache Beam runner, and writes them
// as JSON.
//
//	lovaszbeam -classes 19 -void 255 -logits 'logits/*.npy' -labels 'masks/*.png' -output result.json
//
// It runs on this machine unless -runner names another runner; README.md has the commands.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/log"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/x/beamx"
	"github.com/lanewise/lanewise"
	lanewisebeam "github.com/lanewise/lanewise/beam"
	"github.com/lanewise/lanewise/files"

	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem/s3"
)

type options struct {
	logits, labels, pairs string
	input                 input
	byFolder              bool
	output                string
	auto                  bool // the activation follows from the number of classes
	loss                  lanewise.LovaszConfig
}

func main() {
	var o options
	o.flags(flag.CommandLine)
	flag.Parse()
	beam.Init() // on a worker it does not return
	err := o.check()
	if err == nil {
		pipeline, root := beam.NewPipelineWithRoot()
		o.build(root)
		quiet()
		err = beamx.Run(context.Background(), pipeline)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "lovaszbeam:", oneLine(err))
		os.Exit(1)
	}
}

// quiet keeps what Beam says about a pipeline that fails on this machine, a page for every step, from what is wrong with a file.
func quiet() {
	if runner := flag.Lookup("runner"); runner == nil || runner.Value.String() == "" || runner.Value.String() == "prism" {
		slog.SetDefault(slog.New(slog.DiscardHandler))
		log.SetLogger(nothing{})
	}
}

// nothing is a logger of Beam's that says nothing.
type nothing struct{}

func (nothing) Log(context.Context, log.Severity, int, string) {}

// Runners pass on the text of an error alone, between pages of their own. These are around what is for the user.
const begin, end = "⟦lovaszbeam: ", "⟧"

// forUser marks an error of a DoFn.
func forUser(err error) error {
	if err == nil || strings.Contains(err.Error(), begin) {
		return err
	}
	return errors.New(begin + strings.TrimPrefix(err.Error(), "lanewise: ") + end)
}

// oneLine is the part of an error that was marked, or all of it, without what a terminal obeys.
func oneLine(err error) string {
	text := err.Error()
	if _, rest, ok := strings.Cut(text, begin); ok {
		text, _, _ = strings.Cut(rest, end)
	}
	text = strings.ReplaceAll(strings.TrimPrefix(text, "lanewise: "), "\n", " ")
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
}

// flags defines the flags, beside those of Beam.
func (o *options) flags(f *flag.FlagSet) {
	f.StringVar(&o.logits, "logits", "", "`pattern` (or folder of this machine) of the files of logits: .npy, .npz, .safetensors, .pt, or "+
		"raw float32 with -shape")
	usage := "`pattern` (or folder) of their labels: the same, PNG masks, NIfTI or .label; pairs have the same path below the folders, " +
		"or the same text in place of the wildcards, but for the extension and endings such as _leftImg8bit, _gtFine_labelTrainIds, _mask"
	if dataflow := f.Lookup("labels"); dataflow != nil { // Dataflow's are JSON
		dataflow.Value = &eitherLabels{&o.labels, dataflow.Value}
		dataflow.Usage = usage + " (with Dataflow also JSON of the job's labels)"
	} else {
		f.StringVar(&o.labels, "labels", "", usage)
	}
	f.StringVar(&o.labels, "masks", "", "another name of -labels")
	f.StringVar(&o.pairs, "pairs", "", "instead of both: `pattern` of .npz files that hold \"logits\" and \"labels\"")
	f.StringVar(&o.input.Unpaired, "unpaired", "refuse", "what to do about files without a partner: `refuse|skip`")
	f.StringVar(&o.input.Layout, "layout", "auto", "where the class axis is: `auto|pixel|class`")
	list(f, "shape", "read -logits as raw float32 of this `shape`, one axis of which may be -1", &o.input.Shape, integer[int])
	f.Func("labels_map", "what labels stand for: `pairs` such as 255=1 or 0=255,1-150=0-149, or a file of them; "+
		"of colours for RGB masks: JSON", func(s string) error {
		m, err := files.ParseLabelMap(s)
		o.input.Maps = append(o.input.Maps, m)
		return err
	})
	f.Func("label_shift", "`number` added to all labels but void ones", func(s string) error {
		v, err := strconv.ParseInt(s, 10, 32)
		o.input.Shift = int32(v)
		return err
	})
	f.BoolVar(&o.byFolder, "by_folder", false, "a result for every folder below the first wildcard, as in 'logits/*/*.npy'")
	f.StringVar(&o.output, "output", "", "`file` to write: JSON, null for what is not a number")

	f.IntVar(&o.loss.Classes, "classes", 0, "`number` of classes; 1: one score per pixel, labels 0 and 1")
	o.auto = true
	f.Func("activation", "what makes logits probabilities: `auto|softmax|sigmoid|none`", func(s string) error {
		i := slices.Index([]string{"softmax", "sigmoid", "none", "auto"}, s)
		if i < 0 {
			return errors.New("want auto, softmax, sigmoid or none")
		}
		if o.auto = s == "auto"; !o.auto {
			o.loss.Activation = lanewise.Activation(i)
		}
		return nil
	})
	choice(f, "average", "the classes that the loss is the mean of", &o.loss.Average, "present", "all")
	choice(f, "void_as", "what void pixels become", &o.loss.Void, "drop", "background")
	list(f, "void", "`labels` that are no class, with commas", &o.loss.VoidLabels, integer[int32])
	list(f, "only", "average over exactly these `classes`", &o.loss.OnlyClasses, integer[int])
	list(f, "skip", "leave these `classes` out of the averages", &o.loss.SkipClasses, integer[int])
	list(f, "weights", "`weights` of the classes in the average", &o.loss.Weights, func(s string) (float32, error) {
		w, err := strconv.ParseFloat(s, 32)
		return float32(w), err
	})
}

// eitherLabels is the flag -labels, which Dataflow has too.
type eitherLabels struct {
	files    *string
	dataflow flag.Value
}

func (e *eitherLabels) String() string { return "" }

func (e *eitherLabels) Set(s string) error {
	if strings.HasPrefix(strings.TrimSpace(s), "{") {
		return e.dataflow.Set(s)
	}
	*e.files = s
	return nil
}

// choice defines a flag whose values stand for 0, 1, …; the first is the default.
func choice[T ~uint8](f *flag.FlagSet, name, usage string, value *T, names ...string) {
	f.Func(name, usage+": `"+strings.Join(names, "|")+"`", func(s string) error {
		i := slices.Index(names, s)
		if i < 0 {
			return errors.New("want " + strings.Join(names, " or "))
		}
		*value = T(i)
		return nil
	})
}

// list defines a flag that takes values with commas, and may be given more than once.
func list[T any](f *flag.FlagSet, name, usage string, values *[]T, parse func(string) (T, error)) {
	f.Func(name, usage, func(s string) error {
		for _, part := range strings.Split(s, ",") {
			v, err := parse(strings.TrimSpace(part))
			if err != nil {
				return err
			}
			*values = append(*values, v)
		}
		return nil
	})
}

func integer[T int | int32](s string) (T, error) {
	v, err := strconv.ParseInt(s, 10, 32)
	return T(v), err
}

func (o *options) check() error {
	switch {
	case flag.NArg() > 0:
		return fmt.Errorf("unexpected argument %s (patterns are quoted)", flag.Arg(0))
	case o.output == "":
		return errors.New("-output is needed")
	case o.pairs == "" && (o.logits == "" || o.labels == ""):
		return errors.New("-logits and -labels, or -pairs, are needed")
	case o.pairs != "" && (o.logits != "" || o.labels != ""):
		return errors.New("-pairs stands for both -logits and -labels")
	case o.loss.Classes < 1:
		return errors.New("-classes is needed: how many classes the logits have")
	case !slices.Contains([]string{"auto", "pixel", "class"}, o.input.Layout):
		return fmt.Errorf("-layout %s: want auto, pixel or class", o.input.Layout)
	case !slices.Contains([]string{"refuse", "skip"}, o.input.Unpaired):
		return fmt.Errorf("-unpaired %s: want refuse or skip", o.input.Unpaired)
	}
	if o.auto && o.loss.Classes == 1 {
		o.loss.Activation = lanewise.SigmoidActivation
	}
	o.input.Guard = o.auto
	o.input.Logits, o.input.Labels = o.logits, o.labels
	if o.pairs != "" {
		o.input.Logits, o.input.Labels = o.pairs, o.pairs
	}
	if _, err := lanewise.NewLovaszCounts(o.loss); err != nil {
		return err
	}
	if isRemote(o.output) {
		return nil
	}
	var out files.Outputs // its place is tried; a worker writes it
	defer out.Abort()
	if _, err := out.Add("-output", o.output); err != nil {
		return err
	}
	if isRemote(o.input.Logits) || isRemote(o.input.Labels) {
		return nil
	}
	pairs, err := o.input.pairs(context.Background())
	if err != nil {
		return err
	}
	var inputs []string
	for _, p := range pairs {
		inputs = append(inputs, p.Logits, p.Labels)
	}
	return out.Protect(inputs...)
}

// build adds everything to the pipeline.
func (o *options) build(s beam.Scope) {
	counts, merge := countImages(s, o), &lanewisebeam.MergeFn{Config: o.loss}
	var results beam.PCollection
	if o.byFolder {
		results = beam.CombinePerKey(s, merge, counts)
	} else {
		results = beam.AddFixedKey(s, beam.Combine(s, merge, beam.DropKey(s, counts)))
	}
	writeJSON(s, o, results)
}
