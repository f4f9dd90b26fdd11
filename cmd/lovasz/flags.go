package main

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/lanewise/lanewise"
)

type options struct {
	Logits       string `group:"Files:" placeholder:"FILE" help:"Logits, float32 (other floats are converted): .npy, .npz, .safetensors or PyTorch's .pt; of several arrays FILE.npz:name. The labels' shape with one more axis, for the classes: [P, C], [N, C, H, W], [C, H, W], [N, H, W, C], … A directory, or a quoted pattern, are many files, one image each, matched with those of -labels by name."`
	Labels       string `group:"Files:" placeholder:"FILE" help:"Class ids, one per pixel: any integers in the same kinds of file, or a PNG mask (paletted or gray). Where -logits is one file, a quoted pattern such as 'masks/*.png' stacks its files in the order of their names."`
	Predictions  string `group:"Files:" placeholder:"FILE" help:"Instead of logits the class ids that were predicted, in files as of -labels. The loss of a class is then 1 − its IoU."`
	Grad         string `group:"Files:" placeholder:"FILE" help:"Write d loss / d logits to this .npy file: float32, in the logits' shape. Of many files: a directory, for one file per image."`
	Counts       string `group:"Files:" placeholder:"FILE" help:"Write what was counted, for lovasz merge, which adds up the counts of many machines. Implies -method binned."`
	Plot         string `group:"Files:" placeholder:"FILE" help:"Draw the losses and IoU of the classes (.svg, .png or .pdf)."`
	Heatmap      string `group:"Files:" placeholder:"FILE" help:"Draw one image's errors and gradient, class by class (.png)."`
	HeatmapImage int    `group:"Files:" placeholder:"I" help:"Which image that is, from 0."`

	Layout  string   `group:"Shape:" enum:"auto,pixel,class" default:"auto" placeholder:"auto|pixel|class" help:"Where the class axis is: pixel (the last axis), class (the first, or the second behind the images), or auto (the one that fits the labels)."`
	Classes int      `group:"Shape:" placeholder:"C" help:"Number of classes, checked against the shapes. 1: one score per pixel, labels 0 and 1."`
	Images  int      `group:"Shape:" placeholder:"N" help:"Number of images, where the shapes do not tell: [P, C] may hold several."`
	Names   []string `group:"Shape:" placeholder:"NAME" help:"Names of the classes, for the output."`

	Activation string    `group:"Loss:" enum:"auto,softmax,sigmoid,none" default:"auto" placeholder:"auto|softmax|sigmoid|none" help:"softmax, sigmoid (each class against the rest) or none (the input holds probabilities). auto: softmax, and sigmoid for one class."`
	Hinge      bool      `group:"Loss:" help:"The binary Lovász hinge on one score per pixel."`
	Average    string    `group:"Loss:" enum:"present,all" default:"present" placeholder:"present|all" help:"The loss is the mean over the classes present in the labels, or over all."`
	Only       []int     `group:"Loss:" placeholder:"CLASS" help:"Average over exactly these classes, absent ones too."`
	Skip       []int     `group:"Loss:" placeholder:"CLASS" help:"Leave these classes out of the average."`
	Void       []int32   `group:"Loss:" placeholder:"LABEL" help:"Labels that are no class, such as 255 or -100 (ignore_index)."`
	VoidAs     string    `group:"Loss:" enum:"drop,background" default:"drop" placeholder:"drop|background" help:"Void pixels take no part (drop), or are background for every class."`
	Weights    []float32 `group:"Loss:" placeholder:"W" help:"Weights of the classes in the average, one per class."`
	CE         float64   `group:"Loss:" name:"ce" placeholder:"LAMBDA" help:"Add LAMBDA times the mean cross-entropy."`
	PerImage   bool      `group:"Loss:" help:"The loss of every image, then the mean; otherwise of all pixels together."`
	Method     string    `group:"Loss:" enum:"exact,binned" default:"exact" placeholder:"exact|binned" help:"exact, or binned: no sorting, with a proved bound on the difference (gap)."`

	Workers int  `group:"Run:" placeholder:"N" help:"Goroutines; the result does not depend on it. 0: one per CPU."`
	JSON    bool `group:"Run:" name:"json" help:"Print JSON; what is not a number is null."`
}

const description = `The Lovász-Softmax loss and the intersection over union (IoU) of a segmentation network's output.

  lovasz -logits logits.npy -labels labels.npy

Without arguments it computes an embedded example. "lovasz merge FILE…" adds up what -counts wrote. Flags may be written with one dash or two, values behind a space or =, lists with commas; of
choices (a|b) the first is the default. The environment variable LANEWISE_ISA picks an instruction set (generic, avx2, avx512, neon).`

// parse returns the options, or nil where the arguments asked for help, which it prints.
func parse(args []string, out io.Writer) (*options, error) {
	var o options
	if helped, err := parseInto(&o, "lovasz", description, args, out); helped || err != nil {
		return nil, err
	}
	if o.Classes < 0 || o.Images < 0 {
		return nil, errors.New("-classes and -images are positive")
	}
	if o.Predictions != "" {
		switch {
		case o.Logits != "":
			return nil, errors.New("-predictions stands for -logits: give one of them")
		case o.Classes == 0:
			return nil, errors.New("-predictions needs -classes")
		case o.Grad != "" || o.Heatmap != "" || o.Hinge || o.CE != 0 || o.Activation != "auto":
			return nil, errors.New("hard predictions have no logits: -predictions goes without -grad, -heatmap, -hinge, -ce and -activation")
		}
	}
	if o.Counts != "" {
		if o.Hinge || o.CE != 0 {
			return nil, errors.New("-hinge and -ce have no -counts")
		}
		o.Method = "binned"
	}
	return &o, nil
}

// parseInto fills v from the arguments, or prints the help that they ask for.
func parseInto(v any, name, description string, args []string, out io.Writer) (helped bool, err error) {
	parser, err := kong.New(v,
		kong.Name(name),
		kong.Description(description),
		kong.Writers(helpWriter{out}, io.Discard),
		kong.Exit(func(int) { helped = true }),
		kong.ConfigureHelp(kong.HelpOptions{WrapUpperBound: 110}),
	)
	if err != nil {
		return false, err
	}
	_, err = parser.Parse(doubleDashes(args))
	if !helped && err != nil {
		return false, errors.New(plainWords.Replace(longFlag.ReplaceAllString(err.Error(), "-$1")))
	}
	return helped, nil
}

var (
	longFlag   = regexp.MustCompile(`--([a-z])`)
	singleDash = regexp.MustCompile(`^-[a-zA-Z][^=]`)
	negative   = regexp.MustCompile(`(^|,)-[0-9]`)
)

// doubleDashes lets flags be written as the flag package has them, -name and -name=value, for kong, which knows --name alone. Negative
// numbers become the value of the flag before them, since kong would take each for a flag.
func doubleDashes(args []string) []string {
	var out []string
	for i, arg := range args {
		switch {
		case arg == "--":
			return append(out, args[i:]...)
		case singleDash.MatchString(arg):
			out = append(out, "-"+arg)
		case negative.MatchString(arg) && len(out) > 0 && strings.HasPrefix(out[len(out)-1], "--"):
			out[len(out)-1] += "=" + arg
		default:
			out = append(out, arg)
		}
	}
	return out
}

// plainWords replaces what kong says in terms of its parser.
var plainWords = strings.NewReplacer(`expected string value but got "EOL" (<EOL>)`, "a value is missing",
	`expected int value but got "EOL" (<EOL>)`, "a value is missing", `expected float value but got "EOL" (<EOL>)`, "a value is missing",
	`missing value, expecting "<arg>,..."`, "a value is missing", "a valid 32 bit int", "an integer", "a valid 64 bit int", "an integer")

// helpWriter writes kong's help with flags as the README has them: one dash. Columns stay aligned.
type helpWriter struct{ w io.Writer }

func (h helpWriter) Write(p []byte) (int, error) {
	if _, err := h.w.Write(longFlag.ReplaceAll(p, []byte(" -$1"))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// example reports whether the embedded example is asked for.
func (o *options) example() bool { return o.source() == "" && o.Labels == "" }

// source is where logits or predictions come from.
func (o *options) source() string {
	if o.Predictions != "" {
		return o.Predictions
	}
	return o.Logits
}

// set reports whether these are many files.
func (o *options) set() bool { return isSet(o.source()) }

// config returns the loss that the flags describe; classes and layout are those of the files.
func (o *options) config(s shape) (lanewise.LovaszConfig, error) {
	activation := map[string]lanewise.Activation{
		"softmax": lanewise.SoftmaxActivation, "sigmoid": lanewise.SigmoidActivation, "none": lanewise.NoActivation,
	}[o.activation(s.classes)]
	if o.Hinge && s.classes != 1 {
		return lanewise.LovaszConfig{}, fmt.Errorf("-hinge takes one score per pixel, not %d classes", s.classes)
	}
	if o.Hinge && (o.Activation != "auto" || o.Average != "present" || o.Only != nil || o.Skip != nil || o.Weights != nil || o.CE != 0 || o.Method != "exact") {
		return lanewise.LovaszConfig{}, errors.New("of the flags of the loss -hinge goes with -void, -void-as and -per-image alone")
	}
	if o.Names != nil && len(o.Names) != s.classes {
		return lanewise.LovaszConfig{}, fmt.Errorf("-names has %d names for %d classes", len(o.Names), s.classes)
	}
	cfg := lanewise.LovaszConfig{
		Classes:      s.classes,
		Layout:       s.layout,
		Activation:   activation,
		OnlyClasses:  o.Only,
		SkipClasses:  o.Skip,
		VoidLabels:   o.Void,
		Weights:      o.Weights,
		CrossEntropy: o.CE,
		PerImage:     o.PerImage,
		Workers:      o.Workers,
	}
	if o.Average == "all" {
		cfg.Average = lanewise.AllClasses
	}
	if o.VoidAs == "background" {
		cfg.Void = lanewise.AsBackground
	}
	if o.Method == "binned" {
		cfg.Method = lanewise.Binned
	}
	return cfg, nil
}

// activation resolves auto, and names the hinge's.
func (o *options) activation(classes int) string {
	switch {
	case o.Hinge || o.Predictions != "":
		return "none"
	case o.Activation != "auto":
		return o.Activation
	case classes == 1:
		return "sigmoid"
	}
	return "softmax"
}
