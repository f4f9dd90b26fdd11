package main

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/lanewise/lanewise"
	"github.com/lanewise/lanewise/files"
)

type options struct {
	Logits         string   `group:"Files:" placeholder:"FILE" help:"Logits, float32 (other floats are converted): .npy, .npz, .safetensors or PyTorch's .pt; of several arrays FILE.npz:name (an array called probabilities, as nnU-Net writes, is taken for such). The labels' shape with one more axis, for the classes: [P, C], [N, C, H, W], [C, H, W], [N, H, W, C], … A directory, with all below it, or a quoted pattern ('out/*/*.npy', '**' for folders in folders) are many files, one image each, paired with those of -labels."`
	Labels         string   `group:"Files:" placeholder:"FILE" help:"Class ids, one per pixel: any integers in the same kinds of file, a PNG mask (paletted, gray, or RGB with -labels-map), NIfTI (.nii, .nii.gz), or SemanticKITTI's .label. In the logits' own shape they are masks, 0 and 1, one for each class: classes that overlap. Where -logits is one file, a directory or a quoted pattern stacks its files, 2.png before 10.png; where -logits are many files, one array of so many images goes with them in that order, and is kept in memory."`
	Predictions    string   `group:"Files:" placeholder:"FILE" help:"Instead of logits the class ids that were predicted, in files as of -labels; needs -classes. The loss of a class is then 1 − its IoU."`
	Shape          []int    `group:"Files:" placeholder:"D" help:"Read -logits as raw float32 of this shape, such as 20,512,1024; one axis may be -1: -1,20 for points of 20 classes."`
	Pairs          bool     `group:"Files:" help:"List the pairs of files that -logits and -labels make, and stop. They have the same path below their directories, or the same text in place of the wildcards, but for the extension and endings such as _leftImg8bit, _gtFine_labelTrainIds, _mask, _seg."`
	List           string   `group:"Files:" placeholder:"FILE" help:"Compare only the images that this file names, one a line, such as VOC's ImageSets/Segmentation/val.txt."`
	Unpaired       string   `group:"Files:" enum:"refuse,skip" default:"refuse" placeholder:"refuse|skip" help:"What to do about files that have no partner."`
	LabelsMap      []string `group:"Labels:" sep:"none" placeholder:"MAP" help:"What the labels stand for: pairs and ranges, 255=1 for a mask of 0 and 255, 0=255,1-150=0-149; or a file: lines '7 = 0', semantic-kitti.yaml (its learning_map), JSON {\"7\": 0}, or JSON of colours for RGB masks: {\"128,64,128\": 0, …}. Labels that it does not name stay. Several are used in turn."`
	PredictionsMap []string `group:"Labels:" sep:"none" placeholder:"MAP" help:"The same for -predictions."`
	LabelShift     int      `group:"Labels:" placeholder:"D" help:"Add D to all labels but those of -void: -1 where classes are counted from 1."`
	Void           []int32  `group:"Labels:" placeholder:"LABEL" help:"Labels that are no class, such as 255 or -100 (ignore_index)."`
	VoidAs         string   `group:"Labels:" enum:"drop,background" default:"drop" placeholder:"drop|background" help:"Void pixels take no part (drop), or are background for every class."`

	Grad         string `group:"Results:" placeholder:"FILE" help:"Write d loss / d logits to this .npy file: float32, in the logits' shape. Of many files: a directory, for one file per image."`
	Counts       string `group:"Results:" placeholder:"FILE" help:"Write what was counted, for lovasz merge, which adds up the counts of many machines. Implies -method binned."`
	CSV          string `group:"Results:" name:"csv" placeholder:"FILE" help:"Write pixels, IoU, Dice, precision and recall of every image and class (.csv); rows without an image are those of all together."`
	Plot         string `group:"Results:" placeholder:"FILE" help:"Draw the losses and IoU of the classes, and what was taken for what (.svg, .png or .pdf)."`
	Heatmap      string `group:"Results:" placeholder:"FILE" help:"Draw one image's labels, predictions, errors and gradient, of the worst classes (.png)."`
	HeatmapImage int    `group:"Results:" placeholder:"I" help:"Which image that is, from 0."`
	JSON         bool   `group:"Results:" name:"json" help:"Print JSON, which lovasz compare reads; what is not a number is null."`

	Layout  string   `group:"Shape:" enum:"auto,pixel,class" default:"auto" placeholder:"auto|pixel|class" help:"Where the class axis is: pixel (the last axis), class (the first, or the second behind the images), or auto (the one that fits the labels)."`
	Classes int      `group:"Shape:" placeholder:"C" help:"Number of classes, checked against the shapes. 1: one score per pixel, labels 0 and 1."`
	Images  int      `group:"Shape:" placeholder:"N" help:"Number of images, where the shapes do not tell: [P, C] may hold several."`
	Names   []string `group:"Shape:" placeholder:"NAME" help:"Names of the classes, for the output."`

	Activation string    `group:"Loss:" enum:"auto,softmax,sigmoid,none" default:"auto" placeholder:"auto|softmax|sigmoid|none" help:"softmax, sigmoid (each class against the rest) or none (the input holds probabilities). auto: softmax, for one class and for masks sigmoid, for arrays called probabilities none."`
	Hinge      bool      `group:"Loss:" help:"The binary Lovász hinge on one score per pixel."`
	Average    string    `group:"Loss:" enum:"present,all" default:"present" placeholder:"present|all" help:"The loss is the mean over the classes present in the labels, or over all."`
	Only       []int     `group:"Loss:" placeholder:"CLASS" help:"Average over exactly these classes, absent ones too."`
	Skip       []int     `group:"Loss:" placeholder:"CLASS" help:"Leave these classes out of the averages."`
	Weights    []float32 `group:"Loss:" placeholder:"W" help:"Weights of the classes in the average of the loss, one per class."`
	CE         float64   `group:"Loss:" name:"ce" placeholder:"LAMBDA" help:"Add LAMBDA times the mean cross-entropy."`
	CEWeights  []float32 `group:"Loss:" name:"ce-weights" placeholder:"W" help:"Weights of the classes in the cross-entropy, one per class, as those of torch.nn.CrossEntropyLoss."`
	Smoothing  float64   `group:"Loss:" name:"label-smoothing" placeholder:"E" help:"The share of every label that the cross-entropy spreads over all classes, from 0 to below 1."`
	PerImage   bool      `group:"Loss:" help:"The loss of every image, then the mean; otherwise of all pixels together."`
	Method     string    `group:"Loss:" enum:"exact,binned" default:"exact" placeholder:"exact|binned" help:"exact, or binned: no sorting, with a proved bound on the difference (gap)."`

	Workers int  `group:"Run:" placeholder:"N" help:"Goroutines; the result does not depend on it. 0: one per CPU."`
	Version bool `group:"Run:" help:"Print the version."`

	probabilities bool // the arrays that are read are called so
}

const description = `The Lovász-Softmax loss, the intersection over union (IoU) and other measures of a segmentation network's output.

  lovasz -logits logits.npy -labels labels.npy                                   one file, of one image or many
  lovasz -logits logits -labels gtFine/val -void 255                             Cityscapes: directories of directories
  lovasz -logits logits -labels SegmentationClass -list val.txt -void 255        VOC
  lovasz -logits nnunet_out -labels labelsTs                                     nnU-Net, which saved probabilities
  lovasz -logits logits -labels masks -classes 1 -labels-map 255=1               one score per pixel, masks of 0 and 255
  lovasz -predictions out -labels masks -classes 2 -labels-map 255=1 -predictions-map 255=1       such masks on both sides
  lovasz -predictions out/sequences/08/predictions -labels sequences/08/labels -classes 20 -void 0
         -labels-map semantic-kitti.yaml -predictions-map semantic-kitti.yaml    SemanticKITTI (logits: raw .bin with -shape -1,20)

Without arguments it computes an embedded example. "lovasz merge FILE…" adds up what -counts wrote; "lovasz compare A.json B.json" shows how
two models differ, from what -json printed. Flags may be written with one dash or two, values behind a space or =, lists with commas; of
choices (a|b) the first is the default. The environment variable LANEWISE_ISA picks an instruction set (generic, avx2, avx512, neon).`

// parse returns the options, or nil where the arguments asked for help, which it prints.
func parse(args []string, out io.Writer) (*options, error) {
	var o options
	if helped, err := parseInto(&o, "lovasz", description, args, out); helped || err != nil {
		return nil, err
	}
	if o.Version {
		_, err := io.WriteString(out, version())
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
		case o.Grad != "" || o.Heatmap != "" || o.Hinge || o.entropy() || o.Activation != "auto":
			return nil, errors.New("hard predictions have no logits: -predictions goes without -grad, -heatmap, -hinge, -ce, -ce-weights, " +
				"-label-smoothing and -activation")
		}
	}
	for _, axis := range o.Shape {
		if axis < -1 || axis == 0 {
			return nil, errors.New("-shape: axes are positive, one of them may be -1")
		}
	}
	switch {
	case o.Shape != nil && o.Predictions != "":
		return nil, errors.New("-shape is of -logits: class ids that were predicted are in files that know their shape")
	case len(o.PredictionsMap) > 0 && o.Predictions == "":
		return nil, errors.New("-predictions-map goes with -predictions")
	case o.LabelShift != int(int32(o.LabelShift)):
		return nil, errors.New("-label-shift is too large")
	case o.HeatmapImage < 0:
		return nil, errors.New("-heatmap-image counts from 0")
	}
	if o.Counts != "" {
		if o.Hinge || o.entropy() {
			return nil, errors.New("-hinge, -ce, -ce-weights and -label-smoothing have no -counts")
		}
		o.Method = "binned"
	}
	return &o, nil
}

// entropy says whether a flag asks for a cross-entropy, or for something of it.
func (o *options) entropy() bool { return o.CE != 0 || o.CEWeights != nil || o.Smoothing != 0 }

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
		text := plainWords.Replace(longFlag.ReplaceAllString(err.Error(), "-$1"))
		if len(args) > 0 && text == "unexpected argument "+args[0] && name == "lovasz" {
			text = fmt.Sprintf("there is no command %s: they are merge and compare (all else are flags: lovasz -h)", args[0])
		} else if strings.HasPrefix(text, "unexpected argument") {
			text += " (a pattern with * or ? is quoted, so that the shell leaves it alone: -labels 'masks/*.png')"
		}
		return false, errors.New(text)
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
func (o *options) set() bool { return files.IsSet(o.source()) && !isZarr(o.source()) }

// config returns the loss that the flags describe; classes and layout are those of the files.
func (o *options) config(s files.Shape) (lanewise.LovaszConfig, error) {
	activation := map[string]lanewise.Activation{
		"softmax": lanewise.SoftmaxActivation, "sigmoid": lanewise.SigmoidActivation, "none": lanewise.NoActivation,
	}[o.activation(s)]
	if s.Masks && o.Hinge {
		return lanewise.LovaszConfig{}, errors.New("-hinge takes one score per pixel, not masks")
	}
	if o.Hinge && s.Classes != 1 {
		return lanewise.LovaszConfig{}, fmt.Errorf("-hinge takes one score per pixel, not %d classes", s.Classes)
	}
	if o.Hinge && (o.Activation != "auto" || o.Average != "present" || o.Only != nil || o.Skip != nil || o.Weights != nil || o.CE != 0 ||
		o.CEWeights != nil || o.Smoothing != 0 || o.Method != "exact") {
		return lanewise.LovaszConfig{}, errors.New("of the flags of the loss -hinge goes with -void, -void-as and -per-image alone")
	}
	if o.Names != nil && len(o.Names) != s.Classes {
		return lanewise.LovaszConfig{}, fmt.Errorf("-names has %d names for %d classes", len(o.Names), s.Classes)
	}
	cfg := lanewise.LovaszConfig{
		Classes:      s.Classes,
		Layout:       s.Layout,
		Activation:   activation,
		OnlyClasses:  o.Only,
		SkipClasses:  o.Skip,
		VoidLabels:   o.Void,
		Weights:      o.Weights,
		CrossEntropy: o.CE,
		PerImage:     o.PerImage,
		Workers:      o.Workers,

		CrossEntropyWeights: o.CEWeights,
		LabelSmoothing:      o.Smoothing,
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
func (o *options) activation(s files.Shape) string {
	switch {
	case o.Hinge || o.Predictions != "":
		return "none"
	case o.Activation != "auto":
		return o.Activation
	case o.probabilities:
		return "none"
	case s.Classes == 1 || s.Masks:
		return "sigmoid"
	}
	return "softmax"
}

// counted are the classes that enter the means of IoU and the like: as those of the loss, those that -only names, or all but those of
// -skip, and no void ones.
func (o *options) counted(classes int) []int {
	list := []int{}
	for k := range classes {
		switch {
		case o.Only != nil && !slices.Contains(o.Only, k), slices.Contains(o.Skip, k), classes > 1 && slices.Contains(o.Void, int32(k)):
		default:
			list = append(list, k)
		}
	}
	return list
}

// version says what this program is.
func version() string {
	text := "lovasz"
	if info, ok := debug.ReadBuildInfo(); ok {
		text += " " + info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" || s.Key == "vcs.time" {
				text += " " + s.Value
			}
		}
		text += ", " + info.GoVersion
	}
	return fmt.Sprintf("%s, %s/%s, %v\n", text, runtime.GOOS, runtime.GOARCH, lanewise.ActiveISA())
}
