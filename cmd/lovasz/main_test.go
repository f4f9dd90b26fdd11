package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/files"
)

// A and B of the cases below, row-major.
var (
	logitsA = []float32{2, 0, -1, 0, 1, 0, 1, 1, 3, .5, -.5, 0} // 4 pixels, 3 classes
	logitsB = []float32{1, 0, 0, 1, 2, -1}                      // 3 pixels, 2 classes
)

var nan32 = float32(math.NaN())

// pairOf writes logits and labels (int64, as PyTorch has them) and returns the flags that name them.
func pairOf(t *testing.T, logits []float32, logitsShape []int, labels []int64, labelsShape ...int) []string {
	t.Helper()
	dir := t.TempDir()
	if err := writeNPY(dir+"/logits.npy", logitsShape, logits); err != nil {
		t.Fatal(err)
	}
	if labelsShape == nil {
		labelsShape = []int{len(labels)}
	}
	var payload []byte
	for _, label := range labels {
		payload = binary.LittleEndian.AppendUint64(payload, uint64(label))
	}
	tuple := "(" + strings.Trim(files.Axes(labelsShape), "[]") + ",)"
	if err := os.WriteFile(dir+"/labels.npy", npyFile(dict("'<i8'", "False", tuple), payload), 0o666); err != nil {
		t.Fatal(err)
	}
	return []string{"-logits", dir + "/logits.npy", "-labels", dir + "/labels.npy"}
}

// What -json prints, with null for what is not a number.
type printed struct {
	Example      bool
	Loss         float64
	Lovasz       float64
	CrossEntropy float64 `json:"cross_entropy"`
	Lambda       float64
	Weights      []float32
	CEWeights    []float32 `json:"cross_entropy_weights"`
	Smoothing    float64   `json:"label_smoothing"`
	Gap          float64
	MeanIoU      *float64 `json:"mean_iou"`
	MeanDice     *float64 `json:"mean_dice"`
	Accuracy     *float64
	WeightedIoU  *float64   `json:"frequency_weighted_iou"`
	IoUByImage   *float64   `json:"mean_iou_by_image"`
	IoUByClass   *float64   `json:"mean_iou_by_class"`
	ImageIoU     []*float64 `json:"image_mean_iou"`
	Masks        bool
	Classes      []struct {
		Class     int
		Name      string
		Counted   bool
		Pixels    int
		IoU       *float64
		Dice      *float64
		Precision *float64
		Recall    *float64
		Loss      *float64
	}
	PerImage   []*float64 `json:"per_image"`
	ImageNames []string   `json:"image_names"`
	Files      int
	Merged     int
	Hard       bool `json:"hard_predictions"`
	Images     int
	Pixels     int
	Void       int `json:"void_pixels"`
	Layout     string
	Activation string
	Average    string
	Method     string
	Hinge      bool
	Logits     fileInfo
	Labels     fileInfo
	Gradient   string
	Seconds    float64
	ISA        string
	Workers    int
}

func command(args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = run(args, &out, &err)
	return code, out.String(), err.String()
}

// runJSON runs the command with -json, and returns with what was printed.
func runJSON(t *testing.T, args ...string) (p printed) {
	t.Helper()
	code, stdout, stderr := command(append(args, "-json")...)
	if code != 0 || stderr != "" {
		t.Fatalf("%v: exit %d, %s", args, code, stderr)
	}
	return parseJSON(t, stdout)
}

func parseJSON(t *testing.T, stdout string) (p printed) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(stdout))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		t.Fatalf("%v in\n%s", err, stdout)
	}
	return p
}

func near(got, want float64) bool { return math.Abs(got-want) <= 1e-6*max(1, math.Abs(want)) }

// values reads *float64, NaN for null.
func values(list []*float64) []float64 {
	var out []float64
	for _, v := range list {
		if v == nil {
			out = append(out, math.NaN())
		} else {
			out = append(out, *v)
		}
	}
	return out
}

func allNear(got, want []float64) bool {
	return slices.EqualFunc(got, want, func(a, b float64) bool { return near(a, b) || math.IsNaN(a) && math.IsNaN(b) })
}

func (p printed) classLosses() []float64 {
	var list []*float64
	for _, c := range p.Classes {
		list = append(list, c.Loss)
	}
	return values(list)
}

// Losses that users of such libraries asked about, computed in float64 by the seed algorithm.
func TestLoss(t *testing.T) {
	a := []int{4, 3}
	for _, test := range []struct {
		name     string
		files    []string
		flags    string
		loss     float64
		perClass []float64
	}{
		{"all void", pairOf(t, logitsA, a, []int64{255, 255, 255, 255}), "-void 255", 0, []float64{math.NaN(), math.NaN(), math.NaN()}},
		{"void dropped", pairOf(t, logitsA, a, []int64{0, 255, 0, 255}), "-void 255", 0.524849143, nil},
		{"void as background", pairOf(t, logitsA, a, []int64{0, 255, 0, 255}), "-void 255 -void-as background", 0.587873022, nil},
		{"void logits not finite", pairOf(t, []float32{2, 0, -1, nan32, 1e30, -1e30, 1, 1, 3, float32(math.Inf(-1)), 0, 0}, a, []int64{0, 255, 0, 255}),
			"-void 255", 0.524849143, nil},
		{"void -100", pairOf(t, logitsA, a, []int64{0, -100, 0, -1}), "-void -100,-1", 0.524849143, nil},
		{"void class 0", pairOf(t, logitsA, a, []int64{0, 1, 2, 0}), "-void 0", 0.318448537, nil},
		{"void class 0, all", pairOf(t, logitsA, a, []int64{0, 1, 2, 0}), "-void 0 -average all", 0.28294621, nil},
		{"absent class, only", pairOf(t, logitsB, []int{3, 2}, []int64{0, 0, 0}), "-only 1", 0.731058579, []float64{math.NaN(), 0.731058579}},
		{"absent class, present", pairOf(t, logitsB, []int{3, 2}, []int64{0, 0, 0}), "", 0.349141958, []float64{0.349141958, math.NaN()}},
		{"absent class, all", pairOf(t, logitsB, []int{3, 2}, []int64{0, 0, 0}), "-average all", 0.540100268, nil},
		{"absent class, skipped", pairOf(t, logitsB, []int{3, 2}, []int64{0, 0, 0}), "-average all -skip 1", 0.349141958, nil},
		{"square, pixel", pairOf(t, []float32{1, 2, 0, 0, 3, 1, 2, 0, 4}, []int{3, 3}, []int64{0, 1, 2}), "-layout pixel", 0.433060436, nil},
		{"square, class", pairOf(t, []float32{1, 2, 0, 0, 3, 1, 2, 0, 4}, []int{3, 3}, []int64{0, 1, 2}), "-layout class", 0.471462573, nil},
		{"per class", pairOf(t, logitsA, a, []int64{2, 2, 0, 1}), "", 0.860064495, []float64{0.89349302, 0.81367628, 0.87302419}},
		{"equal weights", pairOf(t, logitsA, a, []int64{2, 2, 0, 1}), "-weights 2,2,2", 0.860064495, nil},
		{"weights", pairOf(t, logitsA, a, []int64{2, 2, 0, 1}), "-weights 1,0,3", 0.878141396, nil},
		{"per image", pairOf(t, logitsA, a, []int64{2, 2, 0, 1}), "-images 2 -per-image", (0.873024188 + 0.853584649) / 2, nil},
		{"probabilities", pairOf(t, []float32{.2, .8, .7, .3, .9, .1}, []int{3, 2}, []int64{1, 0, 1}), "-activation none", 0.583333333, nil},
		{"sigmoid", pairOf(t, []float32{2, -1, .5}, []int{3}, []int64{1, 0, 1}), "", 0.273328212, []float64{0.273328212}},
		{"hinge", pairOf(t, []float32{.5, -1, 2}, []int{3}, []int64{1, 0, 0}), "-hinge", 1.75, []float64{1.75}},
		{"hinge of what may be masks", pairOf(t, []float32{.5, -1, 2}, []int{1, 3, 1}, []int64{1, 0, 0}, 1, 3, 1), "-hinge", 1.75, []float64{1.75}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := runJSON(t, append(test.files, strings.Fields(test.flags)...)...)
			if !near(p.Loss, test.loss) || p.Lovasz != p.Loss {
				t.Errorf("loss %.9g (Lovász %.9g), want %.9g", p.Loss, p.Lovasz, test.loss)
			}
			if test.perClass != nil && !allNear(p.classLosses(), test.perClass) {
				t.Errorf("classes %v, want %v", p.classLosses(), test.perClass)
			}
		})
	}
}

// Class-major logits in all their shapes, of two images, against the same pixels in rows.
func TestLayouts(t *testing.T) {
	labels := []int64{2, 2, 0, 1}
	planes := []float32{2, 0, 0, 1, -1, 0, 1, .5, 1, -.5, 3, 0} // [2, 3, 2]: the classes of 2 pixels, twice
	rows := runJSON(t, append(pairOf(t, logitsA, []int{4, 3}, labels), "-images", "2", "-per-image")...)
	if !allNear(values(rows.PerImage), []float64{0.873024188, 0.853584649}) {
		t.Fatalf("per image: %v", values(rows.PerImage))
	}
	for _, test := range []struct {
		logits, labels []int
		data           []float32
	}{
		{[]int{2, 3, 1, 2}, []int{2, 1, 2}, planes},
		{[]int{2, 3, 2}, []int{2, 2}, planes},
		{[]int{2, 3, 1, 2}, []int{2, 1, 1, 2}, planes},
		{[]int{2, 1, 2, 3}, []int{2, 1, 2}, logitsA},
	} {
		got := runJSON(t, append(pairOf(t, test.data, test.logits, labels, test.labels...), "-per-image", "-classes", "3")...)
		if got.Loss != rows.Loss || !slices.Equal(values(got.PerImage), values(rows.PerImage)) ||
			!slices.Equal(got.classLosses(), rows.classLosses()) {
			t.Errorf("%v: got %+v, want %+v", test.logits, got, rows)
		}
		if *got.MeanIoU != *rows.MeanIoU || got.Images != 2 || got.Pixels != 4 {
			t.Errorf("%v: mean IoU %v, want %v; %d images of %d pixels in all", test.logits, *got.MeanIoU, *rows.MeanIoU, got.Images, got.Pixels)
		}
	}
}

func TestIoU(t *testing.T) {
	// Predicted: 0 1 2 0.
	p := runJSON(t, append(pairOf(t, logitsA, []int{4, 3}, []int64{0, 255, 0, 0}), "-void", "255")...)
	var iou []*float64
	for _, c := range p.Classes {
		iou = append(iou, c.IoU)
	}
	if !allNear(values(iou), []float64{2. / 3, math.NaN(), 0}) || !near(*p.MeanIoU, 1./3) {
		t.Errorf("IoU %v, mean %v", values(iou), *p.MeanIoU)
	}
	if p.Classes[0].Pixels != 3 || p.Classes[1].Pixels != 0 || p.Classes[2].Pixels != 0 || p.Void != 1 {
		t.Errorf("pixels %+v, void %d", p.Classes, p.Void)
	}
	// One class: the foreground, of probability above ½.
	for _, test := range []struct {
		flags  string
		scores []float32
	}{
		{"", []float32{2, -1, .5, .1}},
		{"-hinge", []float32{2, -1, .5, .1}},
		{"-activation none", []float32{.9, .1, .6, .51}},
	} {
		p := runJSON(t, append(pairOf(t, test.scores, []int{4}, []int64{1, 1, 0, 1}), strings.Fields(test.flags)...)...)
		if len(p.Classes) != 1 || p.Classes[0].Pixels != 3 || !near(*p.Classes[0].IoU, 2./4) || !near(*p.MeanIoU, 2./4) {
			t.Errorf("%s: %+v, mean %v", test.flags, p.Classes, *p.MeanIoU)
		}
	}
}

func TestGradient(t *testing.T) {
	for _, test := range []struct {
		name  string
		files []string
		flags string
		shape []int
		want  []float64
	}{
		{"absent class", pairOf(t, logitsB, []int{3, 2}, []int64{0, 0, 0}), "-only 1", []int{3, 2}, []float64{0, 0, -0.1966119, 0.1966119, 0, 0}},
		{"class-major", pairOf(t, []float32{1, 0, 2, 0, 1, -1}, []int{2, 1, 3}, []int64{0, 0, 0}, 1, 3), "-only 1", []int{2, 1, 3},
			[]float64{0, -0.1966119, 0, 0, 0.1966119, 0}},
		{"sigmoid", pairOf(t, []float32{2, -1, .5}, []int{3, 1}, []int64{1, 0, 1}), "", []int{3, 1}, []float64{-0.0349978618, 0.0327686555, -0.117501856}},
		{"hinge", pairOf(t, []float32{.5, -1, 2}, []int{3}, []int64{1, 0, 0}), "-hinge", []int{3}, []float64{-.5, 0, .5}},
		{"void", pairOf(t, logitsA, []int{4, 3}, []int64{255, 255, 255, 255}), "-void 255", []int{4, 3}, make([]float64, 12)},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "grad.npy")
			p := runJSON(t, append(append(test.files, strings.Fields(test.flags)...), "-grad", path)...)
			if p.Gradient != path {
				t.Errorf("gradient in %q", p.Gradient)
			}
			plain := runJSON(t, append(test.files, strings.Fields(test.flags)...)...)
			if p.Loss != plain.Loss || !reflect.DeepEqual(p.Classes, plain.Classes) {
				t.Errorf("loss %v %+v, without -grad %v %+v", p.Loss, p.Classes, plain.Loss, plain.Classes)
			}
			got, shape := readBack(t, path)
			if !slices.Equal(shape, test.shape) || !allNear(got, test.want) {
				t.Errorf("gradient %v %v, want %v %v", shape, got, test.shape, test.want)
			}
		})
	}
}

// readBack reads a float32 array.
func readBack(t *testing.T, path string) ([]float64, []int) {
	t.Helper()
	a, err := readLogits(path)
	if err != nil || a.dtype != "float32" {
		t.Fatal(err)
	}
	var wide []float64
	for _, v := range a.data {
		wide = append(wide, float64(v))
	}
	return wide, a.shape
}

// Arrays of every number of axes come back, the data at a multiple of 64 bytes as numpy has them.
func TestWriteNPY(t *testing.T) {
	path := filepath.Join(t.TempDir(), "array.npy")
	for _, shape := range [][]int{{7}, {3, 4}, {2, 3, 4, 5}, {40000, 2}, {0, 6}} {
		data := make([]float32, files.Product(shape))
		for i := range data {
			data[i] = float32(i) - 3.25
		}
		if err := writeNPY(path, shape, data); err != nil {
			t.Fatal(err)
		}
		a, err := readLogits(path)
		if err != nil || !slices.Equal(a.shape, shape) || !slices.Equal(a.data, data) {
			t.Errorf("shape %v: %v", shape, err)
		}
		if info, err := os.Stat(path); err != nil || (info.Size()-int64(4*len(data)))%64 != 0 {
			t.Errorf("shape %v: header of %d bytes", shape, info.Size()-int64(4*len(data)))
		}
	}
}

func TestCrossEntropy(t *testing.T) {
	f := pairOf(t, logitsA, []int{4, 3}, []int64{2, 2, 0, 1})
	p := runJSON(t, append(f, "-ce", "0.5")...)
	want := 0.
	for i, label := range []int{2, 2, 0, 1} {
		sum := 0.
		for k := range 3 {
			sum += math.Exp(float64(logitsA[3*i+k]))
		}
		want += (math.Log(sum) - float64(logitsA[3*i+label])) / 4
	}
	if !near(p.CrossEntropy, want) || !near(p.Lovasz, 0.860064495) || p.Loss != p.Lovasz+0.5*p.CrossEntropy || p.Lambda != 0.5 {
		t.Errorf("got %+v, want a cross-entropy of %v", p, want)
	}
}

// The cross-entropy with weights and smoothing by its formula, of a softmax and of sigmoids; they leave the Lovász loss alone.
func TestCrossEntropyOptions(t *testing.T) {
	labels, weights := []int{2, 2, 0, 1}, []float64{1, 0.5, 3}
	f := pairOf(t, logitsA, []int{4, 3}, []int64{2, 2, 0, 1})
	plain := runJSON(t, append(f, "-ce", "0.5")...)
	if plain.Weights != nil || plain.CEWeights != nil || plain.Smoothing != 0 {
		t.Errorf("%+v", plain)
	}
	want := func(weights []float64, smoothing float64) float64 {
		var sum, all float64
		for i, label := range labels {
			exps := 0.
			for k := range 3 {
				exps += math.Exp(float64(logitsA[3*i+k]))
			}
			for k := range 3 {
				target := smoothing / 3
				if k == label {
					target += 1 - smoothing
				}
				sum += target * weights[k] * (math.Log(exps) - float64(logitsA[3*i+k]))
			}
			all += weights[label]
		}
		return sum / all
	}
	sigmoid := func(weights []float64, smoothing float64) float64 {
		var sum, all float64
		for i, label := range labels {
			for k := range 3 {
				x, target := float64(logitsA[3*i+k]), smoothing/2
				if k == label {
					target += 1 - smoothing
				}
				sum += weights[k] * (math.Log1p(math.Exp(x)) - target*x)
				all += weights[k]
			}
		}
		return sum / all
	}
	ones := []float64{1, 1, 1}
	for _, test := range []struct {
		flags string
		want  float64
	}{
		{"-ce-weights 1,0.5,3", want(weights, 0)},
		{"-label-smoothing 0.1", want(ones, 0.1)},
		{"-ce-weights 1,0.5,3 -label-smoothing=0.1", want(weights, 0.1)},
		{"-ce-weights 1,0.5,3 -label-smoothing 0.1 -activation sigmoid", sigmoid(weights, 0.1)},
		{"-ce-weights 1,0.5,3 -weights 1,2,3", want(weights, 0)},
	} {
		args := append(slices.Concat(f, []string{"-ce", "0.5"}), strings.Fields(test.flags)...)
		p := runJSON(t, args...)
		if !near(p.CrossEntropy, test.want) || p.Loss != p.Lovasz+0.5*p.CrossEntropy || near(p.CrossEntropy, plain.CrossEntropy) {
			t.Errorf("%s: got %+v, want a cross-entropy of %v", test.flags, p, test.want)
		}
		if !strings.Contains(test.flags, "sigmoid") && (p.Lovasz == plain.Lovasz) == strings.Contains(test.flags, "-weights 1,2,3") {
			t.Errorf("%s: Lovász %v, without it %v", test.flags, p.Lovasz, plain.Lovasz)
		}
		if weighted := strings.Contains(test.flags, "-ce-weights"); weighted != slices.Equal(p.CEWeights, []float32{1, 0.5, 3}) ||
			(p.Smoothing == 0.1) != strings.Contains(test.flags, "smoothing") || (p.Weights != nil) != strings.Contains(test.flags,
			"-weights 1,2,3") {
			t.Errorf("%s: %+v", test.flags, p)
		}
	}
	_, stdout, _ := command(append(f, "-ce", "0.5", "-ce-weights", "1,0.5,3", "-label-smoothing", "0.1")...)
	if !strings.Contains(stdout, ", weighted, labels smoothed by 0.1, times 0.5\n") {
		t.Errorf("not said:\n%s", stdout)
	}
}

func TestBinned(t *testing.T) {
	exact, binned := runJSON(t), runJSON(t, "-method", "binned")
	if exact.Method != "exact" || binned.Method != "binned" || exact.Gap != 0 || binned.Gap <= 0 || binned.Gap > 1e-3 {
		t.Fatalf("exact %+v, binned %+v", exact, binned)
	}
	if low, high := binned.Lovasz*(1-1e-9), (binned.Lovasz+binned.Gap)*(1+1e-7); exact.Lovasz < low || exact.Lovasz > high {
		t.Errorf("exact %v is not in [%v, %v]", exact.Lovasz, low, high)
	}
}

// The example is what its files are, and the network that made them is as good as it should be.
func TestExample(t *testing.T) {
	p := runJSON(t)
	if !p.Example || p.Pixels != 2000 || p.Images != 1 || len(p.Classes) != 6 || p.Classes[0].Name != "red soil" {
		t.Errorf("got %+v", p)
	}
	q := runJSON(t, "-logits", "example/logits.npy", "-labels=example/labels.npy", "-names", strings.Join(exampleNames, ","))
	if q.Example || q.Logits.Path != "example/logits.npy" || q.Labels.Path != "example/labels.npy" {
		t.Errorf("got %+v", q)
	}
	p.Example, p.Logits.Path, p.Labels.Path, p.Seconds, q.Seconds = q.Example, q.Logits.Path, q.Labels.Path, 0, 0
	if !reflect.DeepEqual(p, q) {
		t.Errorf("embedded %+v\nfrom files %+v", p, q)
	}

	l, err := (&options{Layout: "auto"}).newLoader()
	if err != nil {
		t.Fatal(err)
	}
	x, y, _, err := l.example()
	if err != nil {
		t.Fatal(err)
	}
	var both, either [6]float64
	for i, label := range y.data {
		row := x.data[6*i : 6*i+6]
		best := slices.Index(row, slices.Max(row))
		either[label]++
		if best == int(label) {
			both[label]++
		} else {
			either[best]++
		}
	}
	mean := 0.
	for k := range both {
		if iou := both[k] / either[k]; !near(*p.Classes[k].IoU, iou) {
			t.Errorf("IoU of class %d: %v, want %v", k, *p.Classes[k].IoU, iou)
		}
		mean += both[k] / either[k] / 6
	}
	if !near(*p.MeanIoU, mean) || mean < 0.78 {
		t.Errorf("mean IoU %v, want %v, above 0.78", *p.MeanIoU, mean)
	}
}

// Workers change the time and nothing else.
func TestWorkers(t *testing.T) {
	one := runJSON(t, "-workers", "1", "-ce", "1")
	if one.Workers != 1 {
		t.Errorf("%d workers", one.Workers)
	}
	for _, workers := range []string{"0", "2", "7"} {
		many := runJSON(t, "-workers", workers, "-ce", "1")
		many.Workers, many.Seconds, one.Seconds = 1, 0, 0
		if !reflect.DeepEqual(one, many) {
			t.Errorf("%s workers: %+v\none: %+v", workers, many, one)
		}
	}
}

func TestText(t *testing.T) {
	f := pairOf(t, logitsA, []int{4, 3}, []int64{0, 255, 0, 255})
	code, stdout, stderr := command(append(f, "-void", "255", "-images", "2", "-per-image", "-names", "road,sky,tree", "-workers", "1")...)
	if code != 0 || stderr != "" {
		t.Fatal(code, stderr)
	}
	stdout = strings.NewReplacer(f[1], "logits.npy", f[3], "labels.npy").Replace(stdout)
	stdout = regexp.MustCompile(`(?m)^time .*, 1 worker$`).ReplaceAllString(stdout, "TIME")
	stdout = regexp.MustCompile(`(?m)^(loss          0\.524849)\d{3}$`).ReplaceAllString(stdout, "$1…") // what follows is the arithmetic's
	const want = `logits        logits.npy [4, 3] float32, pixel-major
labels        labels.npy [4] int64: 4 pixels, 2 void
method        Lovász-Softmax, mean over present classes, mean over 2 images, exact

loss          0.524849…
mean IoU      0.250000
by image      0.500000, by class 0.250000: the means of the images' IoU
mean Dice     0.333333
accuracy      0.500000, IoU weighted by pixels 0.500000
╭───────┬──────┬────────┬──────────┬──────────┬───────────┬──────────┬──────────╮
│ class │ name │ pixels │      IoU │     Dice │ precision │   recall │     loss │
├───────┼──────┼────────┼──────────┼──────────┼───────────┼──────────┼──────────┤
│     0 │ road │      2 │ 0.500000 │ 0.666667 │  1.000000 │ 0.500000 │ 0.524849 │
│     1 │ sky  │      0 │        – │        – │         – │        – │        – │
│     2 │ tree │      0 │ 0.000000 │ 0.000000 │  0.000000 │        – │        – │
╰───────┴──────┴────────┴──────────┴──────────┴───────────┴──────────┴──────────╯
╭───────┬──────────╮
│ image │     loss │
├───────┼──────────┤
│     0 │ 0.156205 │
│     1 │ 0.893493 │
╰───────┴──────────╯
TIME
`
	if stdout != want {
		t.Errorf("got\n%s\nwant\n%s", stdout, want)
	}

	_, stdout, _ = command()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, sample, _ := strings.Cut(string(readme), "```\nlogits ")
	if sample, _, ok := strings.Cut(sample, "```"); !ok || !strings.Contains(stdout, "\nlogits "+sample+"time ") {
		t.Errorf("the README has\n%s\nwant what is in\n%s", sample, stdout)
	}

	_, stdout, _ = command("-method", "binned", "-ce", "0.25")
	for _, pattern := range []string{
		`\ANo files given: this is the embedded example`,
		`\nlogits        \(embedded\) \[2000, 6\] float32, pixel-major\nlabels        \(embedded\) \[2000\] int32: 2000 pixels, 0 void\n`,
		`\nloss          0\.\d{6,9}\nLovász        0\.\d{6,9}\ncross-entropy 0\.\d{6,9}, times 0\.25\ngap           \d[.0-9e-]+\nmean IoU      0\.\d{6}\nmean Dice     0\.\d{6}\n`,
		`\n│     3 │ damp grey soil      │    211 │ 0\.\d{6} │ 0\.\d{6} │  0\.\d{6} │ 0\.\d{6} │ 0\.\d{6} │\n`,
		`\ntime          [.0-9]+(µs|ms|s), (generic|avx2|avx512|neon), \d+ workers?\n\z`,
	} {
		if !regexp.MustCompile(pattern).MatchString(stdout) {
			t.Errorf("%s does not match\n%s", pattern, stdout)
		}
	}
}

func TestFlags(t *testing.T) {
	f := pairOf(t, logitsA, []int{4, 3}, []int64{0, -1, 0, -1})
	x, y := f[1], f[3]
	want := runJSON(t, "-logits", x, "-labels", y, "-void", "-1")
	for _, args := range [][]string{
		{"--logits", x, "--labels", y, "--void", "-1"},
		{"-logits=" + x, "-labels=" + y, "-void=-1"},
		{"--logits=" + x, "--labels=" + y, "--void=-1"},
		{"-void", "-1,255", "-labels", y, "-logits", x},
		{"-void", "255,-1", "-labels", y, "-logits", x},
		{"-void", "255", "-void", "-1", "-labels", y, "-logits", x},
	} {
		got := runJSON(t, args...)
		if got.Seconds = want.Seconds; !reflect.DeepEqual(got, want) {
			t.Errorf("%v: %+v\nwant %+v", args, got, want)
		}
	}
	for _, help := range []string{"-h", "-help", "--help"} {
		code, stdout, stderr := command(help)
		if code != 0 || stderr != "" || strings.Contains(stdout, "--") {
			t.Errorf("%s: exit %d, %q\n%s", help, code, stderr, stdout)
		}
		for _, flag := range []string{"-logits=FILE", "-labels=FILE", "-predictions=FILE", "-grad=FILE", "-counts=FILE", "-plot=FILE",
			"-heatmap=FILE", "-heatmap-image=I", "-layout=auto|pixel|class", "-classes=C", "-images=N", "-names=NAME,...",
			"-activation=auto|softmax|sigmoid|none", "-hinge", "-average=present|all", "-only=CLASS,...", "-skip=CLASS,...", "-void=LABEL,...",
			"-void-as=drop|background", "-weights=W,...", "-ce=LAMBDA", "-ce-weights=W,...", "-label-smoothing=E", "-per-image",
			"-method=exact|binned", "-workers=N", "-json"} {
			if !strings.Contains(stdout, "   "+flag) {
				t.Errorf("%s: no %s in\n%s", help, flag, stdout)
			}
		}
	}
}

// testdata is of files that are read.
const testdata = "../../files/testdata"

// Everything that can be wrong is one line on stderr and exit code 1; nothing is written.
func TestErrors(t *testing.T) {
	good := pairOf(t, logitsA, []int{4, 3}, []int64{2, 2, 0, 1})
	binary := pairOf(t, []float32{2, -1, .5}, []int{3}, []int64{1, 0, 1})
	grad := filepath.Join(t.TempDir(), "grad.npy")
	with := func(f []string, more ...string) []string { return append(slices.Clone(f), more...) }
	truncated := writeFile(t, "cut.npy", npyFile(dict("'<f4'", "False", "(4, 3)"), make([]byte, 47)))
	for _, test := range []struct {
		args []string
		want string // behind "lovasz: "; with "…" a part of it
	}{
		{[]string{"-logits", good[1]}, "both -logits (or -predictions) and -labels are needed (neither: the embedded example)"},
		{[]string{"-labels", good[3]}, "both -logits (or -predictions) and -labels are needed (neither: the embedded example)"},
		{[]string{"-logits", "none.npy", "-labels", good[3]}, "none.npy: no such file or directory"},
		{[]string{"-logits", good[1], "-labels", "none.npy"}, "none.npy: no such file or directory"},
		{[]string{"-logits", good[1], "-labels", good[3], "-list", "val.txt"}, "-list names files of a set, while " + good[1] + " is one file: give a directory or a pattern"},
		{[]string{"-logits", "none[1].npy", "-labels", good[3]}, "none[1].npy: no such file, and none fits it as a pattern"},
		{[]string{"-logits", good[1], "-labels", "none*.png"}, "none*.png: no file fits this pattern: the folder holds…"},
		{[]string{"-logits", truncated, "-labels", good[3]},
			truncated + ": the file is truncated: shape [4, 3] of float32 wants more than the 47 bytes that there are for it"},
		{[]string{"-logits", good[3], "-labels", good[3]}, good[3] + ": logits are int64: want float16, float32 or float64 (class ids that were predicted are -predictions)"},
		{[]string{"-logits", good[1], "-labels", good[1]}, good[1] + ": labels are float32: want integers, the class ids"},
		{[]string{"-logits", good[1], "-labels", testdata + "/labels_too_large.npy"},
			testdata + "/labels_too_large.npy: label 4294967551 at index [1] does not fit in int32"},
		{[]string{"-logits", good[1], "-labels", testdata + "/labels_too_large_unsigned.npy"},
			testdata + "/labels_too_large_unsigned.npy: label 18446744073709551615 at index [2] does not fit in int32"},
		{[]string{"-logits", good[1], "-labels", testdata + "/mask_rgb.png"},
			testdata + "/mask_rgb.png: the PNG file is RGB: a mask is paletted or gray, its values class ids; what the colours stand for says -labels-map COLOURS.json, as in {\"128,64,128\": 0, \"0,0,0\": 255}"},
		{[]string{"-logits", good[1], "-labels", testdata + "/mask_gray8.png"},
			"logits [4, 3] and labels [2, 4] do not fit: logits have the labels' shape and one axis more, for the classes: […, C], [C, …] or [N, C, …]"},
		{with(pairOf(t, logitsA, []int{4, 3}, []int64{0, 1, 3, 2})), "label 3 at pixel 2 is outside [0, 3) (labels run from 0 to 3, and there are 3 classes: if 0 is no class, -labels-map 0=255,1-3=0-2 -void 255; if 3 is none, -void 3)"},
		{with(pairOf(t, logitsA, []int{4, 3}, []int64{0, -1, 1, 2})), "label -1 at pixel 1 is outside [0, 3) (if it is no class: -void -1)"},
		{with(pairOf(t, []float32{.5, -1, 2}, []int{3}, []int64{1, 0, 255})), "label 255 at pixel 2: with one class labels are 0 and 1 (if it is no class: -void 255)"},
		{with(pairOf(t, []float32{.5, -1, 2}, []int{3}, []int64{1, -1, 0}), "-hinge"), "label -1 at pixel 1: with one class labels are 0 and 1 (if it is no class: -void -1)"},
		{with(pairOf(t, []float32{2, 0, -1, 0, nan32, 0}, []int{2, 3}, []int64{0, 1})), "logit of pixel 1, class 1 is NaN"},
		{with(good, "-names", "road,sky"), "-names has 2 names for 3 classes"},
		{with(good, "-hinge"), "-hinge takes one score per pixel, not 3 classes"},
		{with(binary, "-hinge", "-ce", "1"), "of the flags of the loss -hinge goes with -void, -void-as and -per-image alone"},
		{with(binary, "-hinge", "-ce-weights", "1"), "of the flags of the loss -hinge goes with -void, -void-as and -per-image alone"},
		{with(binary, "-hinge", "-label-smoothing", "0.1"), "of the flags of the loss -hinge goes with -void, -void-as and -per-image alone"},
		{with(binary, "-hinge", "-method", "binned"), "of the flags of the loss -hinge goes with -void, -void-as and -per-image alone"},
		{with(good, "-classes", "-3"), "-classes and -images are positive"},
		{with(good, "-grad", good[1]), "-grad would overwrite " + good[1]},
		{with(good, "-grad", t.TempDir()+"/none/grad.npy"), "…: there is no folder…"},
		{with(good, "-layout", "chw"), `-layout must be one of "auto","pixel","class" but got "chw"`},
		{with(good, "-void", "x"), `-void: expected an integer but got "x"`},
		{with(good, "-lables", "x"), "unknown flag -lables, did you mean…"},
		{with(good, "more.npy"), "unexpected argument more.npy…"},
		{with(good, "-ce"), "-ce: a value is missing"},
		{with(good, "-void"), "-void: a value is missing"},
		// What the library finds, with the flag for its field.
		{with(good, "-weights", "1,2"), "-weights…"},
		{with(good, "-weights", "0,0,0"), "-weights…"},
		{with(good, "-weights", "1,-1,1"), "the weight of class 1 is -1, want a finite value >= 0 in -weights"},
		{with(good, "-only", "3"), "-only…"},
		{with(good, "-skip", "0,0"), "-skip…"},
		{with(good, "-ce", "-1"), "-ce…"},
		{with(good, "-ce", "1", "-activation", "none"), "-activation none…"},
		{with(good, "-ce-weights", "1,2,3"), "-ce is 0, want more with -ce-weights"},
		{with(good, "-label-smoothing", "0.1"), "-ce is 0, want more with -label-smoothing"},
		{with(good, "-ce", "1", "-ce-weights", "1,2"), "2 -ce-weights for 3 classes, want one for each"},
		{with(good, "-ce", "1", "-ce-weights", "1,-2,1"), "the weight of class 1 is -2, want a finite value >= 0 in -ce-weights"},
		{with(good, "-ce", "1", "-ce-weights", "1,NaN,1"), "the weight of class 1 is NaN, want a finite value >= 0 in -ce-weights"},
		{with(good, "-ce", "1", "-ce-weights", "0,0,0"), "-ce-weights holds nothing but 0, want one that is more"},
		{with(good, "-ce", "1", "-ce-weights", "1,x,1"), `-ce-weights: expected a float but got "x" (string)`},
		{with(good, "-ce", "1", "-ce-weights"), "-ce-weights: a value is missing"},
		{with(good, "-ce", "1", "-label-smoothing", "1"), "-label-smoothing is 1, want at least 0 and less than 1"},
		{with(good, "-ce", "1", "-label-smoothing", "-0.1"), "-label-smoothing is -0.1, want at least 0 and less than 1"},
		{with(good, "-ce", "1", "-label-smoothing", "NaN"), "-label-smoothing is NaN, want at least 0 and less than 1"},
		{with(good, "-workers", "-1"), "-workers…"},
		{with(good, "-activation", "none"), "pixel 0, class 0…"},
		{with(binary, "-activation", "softmax"), "…-activation sigmoid…"},
	} {
		t.Run(test.want, func(t *testing.T) {
			args := test.args
			if !slices.Contains(args, "-grad") {
				args = append([]string{"-grad", grad}, args...)
			}
			code, stdout, stderr := command(args...)
			line, rest, _ := strings.Cut(strings.TrimPrefix(stderr, "lovasz: "), "\n")
			if code != 1 || stdout != "" || rest != "" || line+"\n" == stderr || strings.Contains(line, "lanewise: ") {
				t.Errorf("exit %d, stdout %q, stderr %q", code, stdout, stderr)
			}
			if part := strings.ReplaceAll(test.want, "…", ""); line != test.want && (part == test.want || !strings.Contains(line, part)) {
				t.Errorf("got  %s\nwant %s", line, test.want)
			}
			if _, err := os.Stat(grad); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s was written (%v)", grad, err)
			}
		})
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestStdoutFails(t *testing.T) {
	var stderr bytes.Buffer
	if code := run(nil, brokenPipe{}, &stderr); code != 1 || stderr.String() != "lovasz: broken pipe\n" {
		t.Errorf("exit %d, %s", code, stderr.String())
	}
	// What was there before a failed run stays.
	path := writeFile(t, "grad.npy", []byte("before"))
	if code, _, _ := command("-grad", path, "-weights", "1"); code != 1 {
		t.Errorf("exit %d", code)
	}
	if content, err := os.ReadFile(path); err != nil || string(content) != "before" {
		t.Errorf("%q, %v", content, err)
	}
	// Nothing but the example's flags is needed for its gradient.
	if p := runJSON(t, "-grad", path); p.Gradient != path {
		t.Errorf("%+v", p)
	}
	if data, shape := readBack(t, path); fmt.Sprint(shape) != "[2000 6]" || len(data) != 12000 {
		t.Errorf("%v, %d", shape, len(data))
	}
}
