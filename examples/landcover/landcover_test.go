package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"image/png"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"codeberg.org/sbinet/npyio"
	"gonum.org/v1/gonum/diff/fd"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"

	"github.com/lanewise/lanewise"
)

func TestData(t *testing.T) {
	train, test, err := landsat()
	if err != nil {
		t.Fatal(err)
	}
	if len(train.labels) != 4435 || len(test.labels) != 2000 {
		t.Errorf("%d pixels for training and %d for testing, want 4435 and 2000", len(train.labels), len(test.labels))
	}
	if len(train.features) != 36*4435 || len(test.features) != 36*2000 {
		t.Errorf("%d and %d features, want 36 a pixel", len(train.features), len(test.features))
	}
	// Counted by cut, sort and uniq.
	want := map[string]int{"red soil": 1533, "cotton crop": 703, "grey soil": 1358, "damp grey soil": 626, "vegetation stubble": 707,
		"very damp grey soil": 1508}
	got := map[string]int{}
	for _, label := range append(slices.Clone(train.labels), test.labels...) {
		got[classNames[label]]++
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("classes %v, want %v", got, want)
	}
	for column := range features {
		var values []float64
		for i := column; i < len(train.features); i += features {
			values = append(values, float64(train.features[i]))
		}
		if mean, deviation := stat.PopMeanStdDev(values, nil); math.Abs(mean) > 1e-6 || math.Abs(deviation-1) > 1e-6 {
			t.Errorf("column %d: mean %g and standard deviation %g, want 0 and 1", column, mean, deviation)
		}
	}
	// Column 0 of the first three rows is 92, 84 and 84.
	if x := train.features; x[0] <= x[36] || x[36] != x[2*36] {
		t.Errorf("the first three pixels begin with %g, %g and %g", x[0], x[36], x[2*36])
	}
}

func TestBadData(t *testing.T) {
	for _, test := range []struct{ name, data, want string }{
		{"empty", "", "want a header"},
		{"two lines", strings.Join(strings.SplitAfterN(satellite, "\n", 3)[:2], ""), "more than 4435 rows"},
		{"unknown class", strings.Replace(satellite, ",grey soil", ",moon dust", 1), `pixel 0: unknown class "moon dust"`},
		{"not a number", strings.Replace(satellite, "\n92,", "\nx,", 1), "pixel 0"},
		{"missing value", strings.Replace(satellite, "\n92,", "\n", 1), "wrong number of fields"},
	} {
		if _, _, err := readData(strings.NewReader(test.data)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one with %q", test.name, err, test.want)
		}
	}
}

func TestBatches(t *testing.T) {
	var all dataset
	for i := range 10 {
		all.labels = append(all.labels, int32(i))
		all.features = append(all.features, slices.Repeat([]float32{float32(i)}, features)...)
	}
	var sizes []int
	var labels []int32
	for batch := range all.batches(4, rand.New(rand.NewPCG(1, 2))) {
		sizes = append(sizes, len(batch.labels))
		labels = append(labels, batch.labels...)
		for i, x := range batch.features {
			if want := float32(batch.labels[i/features]); x != want {
				t.Fatalf("a feature of pixel %g came with label %g", x, want)
			}
		}
	}
	if !slices.Equal(sizes, []int{4, 4, 2}) {
		t.Errorf("batches of %v, want 4, 4 and 2", sizes)
	}
	if slices.Equal(labels, all.labels) {
		t.Error("the pixels came in their own order")
	}
	slices.Sort(labels)
	if !slices.Equal(labels, all.labels) {
		t.Errorf("the pixels %v came, want each once", labels)
	}
}

// referenceForward is the network in float64, in plain loops.
func referenceForward(params []float64, x []float32, pixels int) []float64 {
	const units = 64
	w1, b1 := params[:features*units], params[features*units:][:units]
	params = params[(features+1)*units:]
	w2, b2 := params[:units*classes], params[units*classes:]
	logits := make([]float64, pixels*classes)
	for i := range pixels {
		y := logits[i*classes : (i+1)*classes]
		copy(y, b2)
		for u := range units {
			h := b1[u]
			for j := range features {
				h += float64(x[i*features+j]) * w1[j*units+u]
			}
			for k := range classes {
				y[k] += max(h, 0) * w2[u*classes+k]
			}
		}
	}
	return logits
}

// The network's forward pass is held against that reference, its backward pass against the reference's finite differences.
func TestNetwork(t *testing.T) {
	const pixels = 7
	rng := rand.New(rand.NewPCG(1, 2))
	net := newNetwork(rng)
	x := normal32(rng, pixels*features)
	copy(net.hidden.params[features*64:], normal32(rng, 64)) // biases, which begin at 0
	copy(net.output.params[64*classes:], normal32(rng, classes))

	params := floats64(slices.Concat(net.hidden.params, net.output.params))
	logits := floats64(net.forward(x))
	if d := floats.Distance(logits, referenceForward(params, x, pixels), math.Inf(1)); d > 1e-5 {
		t.Errorf("logits differ by up to %g", d)
	}

	dLogits := normal32(rng, pixels*classes) // of the loss Σ dLogits·logits
	net.backward(dLogits)
	got := floats64(slices.Concat(net.hidden.grads, net.output.grads))
	want := fd.Gradient(nil, func(params []float64) float64 {
		return floats.Dot(floats64(dLogits), referenceForward(params, x, pixels))
	}, params, &fd.Settings{Formula: fd.Central})
	if d := floats.Distance(got, want, 2) / floats.Norm(want, 2); d > 1e-5 {
		t.Errorf("gradient differs by %g of its norm", d)
	}
}

// Adam's first step is the rate against the sign of the gradient, whatever its size.
func TestStep(t *testing.T) {
	l := newLayer(1, 1, rand.New(rand.NewPCG(1, 2)))
	l.params[0], l.params[1] = 1, 2
	l.grads[0], l.grads[1] = 1e-3, -50
	l.step(0.25)
	if d := floats.Distance(floats64(l.params), []float64{0.75, 2.25}, math.Inf(1)); d > 1e-5 {
		t.Errorf("after a step the parameters are %v, want 0.75 and 2.25", l.params)
	}
}

func TestCrossEntropy(t *testing.T) {
	const pixels = 9
	rng := rand.New(rand.NewPCG(1, 2))
	logits, labels := normal32(rng, pixels*classes), randomLabels(rng, pixels)
	reference := func(x []float64) float64 {
		var sum float64
		for i, label := range labels {
			row := x[i*classes : (i+1)*classes]
			sum += floats.LogSumExp(row) - row[label]
		}
		return sum / pixels
	}
	grad := normal32(rng, len(logits)) // what was there does not matter
	got, err := crossEntropy(grad, logits, labels)
	if err != nil {
		t.Fatal(err)
	}
	if want := reference(floats64(logits)); math.Abs(got-want) > 1e-6 {
		t.Errorf("loss %g, want %g", got, want)
	}
	want := fd.Gradient(nil, reference, floats64(logits), &fd.Settings{Formula: fd.Central})
	if d := floats.Distance(floats64(grad), want, math.Inf(1)); d > 1e-6 {
		t.Errorf("gradient differs by up to %g", d)
	}
}

// Both losses together are the sum of the two, and so are their gradients.
func TestBoth(t *testing.T) {
	const pixels = 50
	rng := rand.New(rand.NewPCG(1, 2))
	logits, labels := normal32(rng, pixels*classes), randomLabels(rng, pixels)
	ways, err := threeWays()
	if err != nil {
		t.Fatal(err)
	}
	var losses []float64
	var grads [][]float64
	for _, way := range ways {
		grad := make([]float32, len(logits))
		loss, err := way.loss(grad, logits, labels)
		if err != nil {
			t.Fatal(err)
		}
		losses, grads = append(losses, loss), append(grads, floats64(grad))
		if loss <= 0 || floats.Norm(grads[len(grads)-1], 2) == 0 {
			t.Errorf("%s: loss %g and gradient %v", way.name, loss, grad)
		}
	}
	if d := losses[0] + losses[1] - losses[2]; math.Abs(d) > 1e-6 {
		t.Errorf("losses %v: the third is not the sum of the others", losses)
	}
	floats.Add(grads[0], grads[1])
	if d := floats.Distance(grads[0], grads[2], math.Inf(1)); d > 1e-7 {
		t.Errorf("gradients differ from their sum by up to %g", d)
	}
}

// Ten epochs go most of the way: the mean IoU of guessing is below 0.15.
func TestTraining(t *testing.T) {
	train, test, err := landsat()
	if err != nil {
		t.Fatal(err)
	}
	ways, err := threeWays()
	if err != nil {
		t.Fatal(err)
	}
	s := schedule{epochs: 10, batch: 256, rate: 0.01, seed: 1}
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			first, err := fit(train, test, way.loss, s, func(int, score) {})
			if err != nil {
				t.Fatal(err)
			}
			last := first.scores[len(first.scores)-1]
			t.Logf("%+v", last)
			if len(first.scores) != s.epochs || last.test < 0.7 || last.train < 0.7 || last.loss > first.scores[0].loss {
				t.Errorf("scores %+v", first.scores)
			}
			if mean := stat.Mean(first.iou, nil); math.Abs(mean-last.test) > 1e-12 {
				t.Errorf("the classes' IoU are %v, their mean is not %g", first.iou, last.test)
			}
			again, err := fit(train, test, way.loss, s, func(int, score) {})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(first.scores, again.scores) {
				t.Errorf("the same seed led from %+v to %+v", last, again.scores[len(again.scores)-1])
			}
		})
	}
}

func TestTrainingStopsAtError(t *testing.T) {
	train, test, err := landsat()
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	_, err = fit(train, test, func(grad, logits []float32, labels []int32) (float64, error) { return 0, broken },
		schedule{epochs: 3, batch: 256, rate: 0.01}, func(int, score) { t.Error("an epoch was reported") })
	if !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

// What the command prints and writes.
func TestRun(t *testing.T) {
	out := filepath.Join(t.TempDir(), "new")
	save := filepath.Join(out, "example")
	var printed bytes.Buffer
	if err := run(&printed, schedule{epochs: 2, batch: 256, rate: 0.01, seed: 7}, 2, out, save); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\ncross-entropy   seed 8  epoch  2  loss 0.", "\nLovász-Softmax  seed 7  epoch  1  loss 0.",
		"\nboth            seed 8  epoch  2  loss 0.",
		"\ndamp grey soil   ", " ± 0.0",
	} {
		if !strings.Contains(printed.String(), want) {
			t.Errorf("%q is not printed:\n%s", want, &printed)
		}
	}

	file, err := os.Open(filepath.Join(out, "curves.png"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	picture, err := png.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	if size := picture.Bounds().Size(); size.X < 1000 || size.Y < 400 {
		t.Errorf("a picture of %v pixels", size)
	}
	svg, err := os.ReadFile(filepath.Join(out, "curves.svg"))
	if err != nil {
		t.Fatal(err)
	}
	for decoder := xml.NewDecoder(bytes.NewReader(svg)); ; {
		if _, err := decoder.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"cross-entropy", "Lovász-Softmax", "both", "Mean IoU"} {
		if !bytes.Contains(svg, []byte(want)) {
			t.Errorf("%q is not in curves.svg", want)
		}
	}

	names, err := os.ReadFile(filepath.Join(save, "classes.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if string(names) != strings.Join(classNames, "\n")+"\n" {
		t.Errorf("classes.txt holds %q", names)
	}
	var logits []float32
	readArray(t, filepath.Join(save, "logits.npy"), []int{2000, 6}, &logits)
	var labels []int32
	readArray(t, filepath.Join(save, "labels.npy"), []int{2000}, &labels)
	predicted := make([]int32, len(labels))
	lanewise.ArgMaxRows(predicted, logits, classes)
	counts := lanewise.NewConfusion(classes)
	if err := counts.Add(predicted, labels); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%.4f test", counts.MeanIoU()); !strings.HasSuffix(lastLine(printed.String(), "both            seed 7"), want) {
		t.Errorf("the mean IoU of the saved logits, %s, is not what was printed:\n%s", want, &printed)
	}
}

// lastLine returns the last line of text that begins with prefix.
func lastLine(text, prefix string) (last string) {
	for line := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(line, prefix) {
			last = line
		}
	}
	return last
}

func readArray[T any](t *testing.T, name string, shape []int, data *[]T) {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r, err := npyio.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.Header.Descr.Shape, shape) {
		t.Errorf("%s has the shape %v, want %v", name, r.Header.Descr.Shape, shape)
	}
	if err := r.Read(data); err != nil {
		t.Fatal(err)
	}
}

func normal32(rng *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

func randomLabels(rng *rand.Rand, n int) []int32 {
	labels := make([]int32, n)
	for i := range labels {
		labels[i] = rng.Int32N(int32(classes))
	}
	return labels
}

func floats64(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}
