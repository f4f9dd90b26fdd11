// Command lovaszbeam computes the Lovász-Softmax loss and the intersection over union of files on an Apache Beam runner, and writes them
// as JSON.
//
//	lovaszbeam -classes 19 -void 255 -logits 'logits/*.npy' -masks 'masks/*.npy' -output result.json
//
// It runs on this machine unless -runner names another runner; README.md has the commands.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/x/beamx"
	"github.com/lanewise/lanewise"
	lanewisebeam "github.com/lanewise/lanewise/beam"

	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem/s3"
)

type options struct {
	logits, masks, pairs string
	byFolder             bool
	output               string
	loss                 lanewise.LovaszConfig
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
		err = beamx.Run(context.Background(), pipeline)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "lovaszbeam:", err)
		os.Exit(1)
	}
}

// flags defines the flags, beside those of Beam. (-labels is Dataflow's.)
func (o *options) flags(f *flag.FlagSet) {
	f.StringVar(&o.logits, "logits", "", "`pattern` of the .npy or .npz files of logits, float32: [H, W, C], [C, H, W], or several images with an axis before")
	f.StringVar(&o.masks, "masks", "", "`pattern` of their labels, any integers; pairs have the same path from the first wildcard on, but for the extension")
	f.StringVar(&o.pairs, "pairs", "", "instead of both: `pattern` of .npz files that hold \"logits\" and \"labels\"")
	f.BoolVar(&o.byFolder, "by_folder", false, "a result for every folder below the first wildcard, as in 'logits/*/*.npy'")
	f.StringVar(&o.output, "output", "", "`file` to write: JSON, null for what is not a number")

	f.IntVar(&o.loss.Classes, "classes", 0, "`number` of classes; 1: one score per pixel, labels 0 and 1")
	choice(f, "layout", "where the class axis is", &o.loss.Layout, "pixel", "class")
	choice(f, "activation", "what makes logits probabilities", &o.loss.Activation, "softmax", "sigmoid", "none")
	choice(f, "average", "the classes that the loss is the mean of", &o.loss.Average, "present", "all")
	choice(f, "void_as", "what void pixels become", &o.loss.Void, "drop", "background")
	list(f, "void", "`labels` that are no class, with commas", &o.loss.VoidLabels, integer[int32])
	list(f, "only", "average over exactly these `classes`", &o.loss.OnlyClasses, integer[int])
	list(f, "skip", "leave these `classes` out of the average", &o.loss.SkipClasses, integer[int])
	list(f, "weights", "`weights` of the classes in the average", &o.loss.Weights, func(s string) (float32, error) {
		w, err := strconv.ParseFloat(s, 32)
		return float32(w), err
	})
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
	case o.pairs == "" && (o.logits == "" || o.masks == ""):
		return errors.New("-logits and -masks, or -pairs, are needed")
	case o.pairs != "" && (o.logits != "" || o.masks != ""):
		return errors.New("-pairs stands for both -logits and -masks")
	}
	_, err := lanewise.NewLovaszCounts(o.loss)
	return err
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
