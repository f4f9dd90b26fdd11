package main

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/lanewise/lanewise"
	lanewisebeam "github.com/lanewise/lanewise/beam"
)

func TestMain(m *testing.M) { os.Exit(ptest.MainRet(m)) }

// runs parses the flags, and runs the pipeline on prism.
func runs(args ...string) error {
	var o options
	f := flag.NewFlagSet("lovaszbeam", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	o.flags(f)
	if err := f.Parse(args); err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	p, s := beam.NewPipelineWithRoot()
	o.build(s)
	return ptest.Run(p)
}

// npyBytes is a .npy file of the values.
func npyBytes(dtype string, values any, shape ...int) []byte {
	list := strings.Trim(strings.ReplaceAll(fmt.Sprint(shape), " ", ", "), "[]")
	text := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s,), }\n", dtype, list)
	b := binary.LittleEndian.AppendUint16([]byte("\x93NUMPY\x01\x00"), uint16(len(text)))
	b, err := binary.Append(append(b, text...), binary.LittleEndian, values)
	if err != nil {
		panic(err)
	}
	return b
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o666); err != nil {
		t.Fatal(err)
	}
}

// zipped is a .npz file of logits and labels.
func zipped(t *testing.T, logits, labels []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, content := range map[string][]byte{"logits.npy": logits, "labels.npy": labels} {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write(content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Four images of 2 × 3 pixels and 3 classes: planes, the same in rows, and labels. The last of every image is void.
func image(i int) (planes, rows []float32, labels []int64) {
	planes, rows = make([]float32, 18), make([]float32, 18)
	for p := range 6 {
		for k := range 3 {
			x := float32((7*i+5*p+11*k)%13)/4 - 1
			planes[6*k+p], rows[3*p+k] = x, x
		}
		labels = append(labels, int64((i+p)%3))
	}
	labels[5] = 255
	return planes, rows, labels
}

func wantReport(t *testing.T, images ...int) report {
	t.Helper()
	var logits []float32
	var labels []int32
	for _, i := range images {
		_, rows, ids := image(i)
		logits = append(logits, rows...)
		for _, id := range ids {
			labels = append(labels, int32(id))
		}
	}
	l, err := lanewise.NewLovasz(lanewise.LovaszConfig{Classes: 3, VoidLabels: []int32{255}, Method: lanewise.Binned})
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.Forward(logits, labels, 1)
	if err != nil {
		t.Fatal(err)
	}
	confusion := lanewise.NewConfusion(3)
	predicted := make([]int32, len(labels))
	lanewise.ArgMaxRows(predicted, logits, 3)
	if err := confusion.Add(predicted, labels); err != nil {
		t.Fatal(err)
	}
	out := report{Loss: number(r.Loss), Gap: number(r.Gap), MeanIoU: number(confusion.MeanIoU())}
	for k, iou := range confusion.IoU() {
		pixels := int64(0)
		for _, label := range labels {
			if int(label) == k {
				pixels++
			}
		}
		out.Classes = append(out.Classes, classReport{k, pixels, number(iou), number(r.PerClass[k])})
	}
	return out
}

func TestCommand(t *testing.T) {
	dir := t.TempDir()
	out := dir + "/out.json"
	for i := range 4 {
		planes, rows, labels := image(i)
		region := []string{"north", "south"}[i/2]
		write(t, fmt.Sprintf("%s/logits/%s/%d.npy", dir, region, i), npyBytes("<f4", planes, 3, 2, 3))
		write(t, fmt.Sprintf("%s/masks/%s/%d.npz", dir, region, i), zipped(t, npyBytes("<f4", rows, 2, 3, 3), npyBytes("<i8", labels, 2, 3)))
		write(t, fmt.Sprintf("%s/pairs/%d.npz", dir, i), zipped(t, npyBytes("<f4", rows, 2, 3, 3), npyBytes("<i8", labels, 2, 3)))
	}
	_, rows, labels := image(0)
	planes0, _, _ := image(0)
	planes1, _, more := image(1)
	write(t, dir+"/batch/logits.npy", npyBytes("<f4", append(planes0, planes1...), 2, 3, 2, 3))
	write(t, dir+"/batch/labels.npy", npyBytes("<i8", append(labels, more...), 2, 2, 3))
	write(t, dir+"/labels0.npy", npyBytes("<i8", labels, 2, 3))

	loss := []string{"-classes", "3", "-void", "255", "-output", out}
	read := func(v any, args ...string) {
		t.Helper()
		if err := runs(append(args, loss...)...); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(out)
		if err == nil {
			err = json.Unmarshal(content, v)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var got report
	read(&got, "-layout", "class", "-logits", dir+"/logits/*/*.npy", "-labels", dir+"/masks/*/*.npz")
	if want := wantReport(t, 0, 1, 2, 3); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	got = report{}
	read(&got, "-layout", "pixel", "-pairs", dir+"/pairs/*.npz")
	if want := wantReport(t, 0, 1, 2, 3); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	got = report{}
	read(&got, "-layout", "class", "-logits", dir+"/batch/logits.npy", "-masks", dir+"/batch/labels.npy")
	if want := wantReport(t, 0, 1); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	var regions map[string]report
	read(&regions, "-layout", "class", "-logits", dir+"/logits/*/*.npy", "-masks", dir+"/masks/*/*.npz", "-by_folder")
	if want := map[string]report{"north": wantReport(t, 0, 1), "south": wantReport(t, 2, 3)}; !reflect.DeepEqual(regions, want) {
		t.Errorf("got %+v, want %+v", regions, want)
	}

	// What is wrong is named. The first two are found before there is a pipeline.
	write(t, dir+"/logits/north/4.npy", npyBytes("<f4", rows, 3, 2, 3))
	write(t, dir+"/cut.npy", npyBytes("<f4", rows[:17], 2, 3, 3))
	write(t, dir+"/large.npy", npyBytes("<i8", []int64{1 << 32, 0, 0, 0, 0, 0}, 2, 3))
	write(t, dir+"/cut0.npy", npyBytes("<i8", labels, 6))
	write(t, dir+"/from1.npy", npyBytes("<i8", []int64{1, 2, 3, 1, 2, 3}, 2, 3))
	write(t, dir+"/probs.npy", npyBytes("<f4", []float32{1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1}, 3, 2, 3))
	for _, test := range []struct{ args, want string }{
		{"-logits a", "-logits and -labels, or -pairs, are needed"},
		{"-layout hwc -logits a -labels b", "-layout hwc: want auto, pixel or class"},
		{"-layout class -logits D/logits/*/*.npy -masks D/masks/*/*.npz", "logits/north/4.npy has no labels: nothing in D/masks/*/*.npz is called north/4; nearest is D/masks/north/0.npz"},
		{"-logits D/none*.npy -masks D/masks/*/*.npz", "D/none*.npy: no file fits this pattern"},
		{"-logits D/cut.npy -labels D/labels0.npy", "cut.npy: the file is truncated"},
		{"-logits D/labels0.npy -labels D/labels0.npy", "labels0.npy: logits are int64"},
		{"-layout class -logits D/logits/north/4.npy -labels D/large.npy", "large.npy: label 4294967296 at index [0, 0] does not fit in int32"},
		{"-logits D/logits/north/4.npy -labels D/cut0.npy", "4.npy: logits [3, 2, 3] and labels [6] do not fit"},
		{"-classes 4 -logits D/logits/north/4.npy -labels D/labels0.npy", "4.npy: logits [3, 2, 3] and labels [2, 3] are 1 image of 6 pixels × 3 classes (class-major): that does not fit -classes 4"},
		{"-layout class -logits D/logits/north/4.npy -labels D/from1.npy", "from1.npy: label 3 at pixel 2 is outside [0, 3) and not in VoidLabels (labels run from 1 to 3: -labels_map 1=0,2=1,3=2 or -label_shift -1)"},
		{"-layout class -logits D/logits/north/4.npy -labels D/from1.npy -label_shift -1", ""},
		{"-layout class -logits D/logits/north/4.npy -labels D/from1.npy -labels_map 1-3=0-2", ""},
		{"-layout class -logits D/probs.npy -labels D/labels0.npy", "probs.npy: the values are all in [0, 1], as probabilities are"},
		{"-layout class -logits D/probs.npy -labels D/labels0.npy -activation none", ""},
		{"-layout class -logits D/logits/north/4.npy -labels D/labels0.npy -output D/labels0.npy", "-output would overwrite D/labels0.npy"},
		{"-layout class -logits D/logits/north/4.npy -labels D/labels0.npy -output D/none/o.json", "there is no folder D/none"},
		{"-void 7 -void 8 -layout class -logits D/logits/north/4.npy -labels D/labels0.npy", ""},
	} {
		err := runs(append(append([]string{}, loss...), strings.Fields(strings.ReplaceAll(test.args, "D/", dir+"/"))...)...)
		if test.want == "" {
			if err != nil {
				t.Errorf("%s: %v", test.args, err)
			}
		} else if err == nil {
			t.Errorf("%s: no error, want %s", test.args, test.want)
		} else if !strings.Contains(oneLine(err), strings.ReplaceAll(test.want, "D/", dir+"/")) || len(oneLine(err)) > 500 {
			t.Errorf("%s: got %v, want %s", test.args, oneLine(err), test.want)
		}
	}
}

// What goes wrong in a worker, behind whatever a runner says around it, is one line without what a terminal obeys.
func TestOneLine(t *testing.T) {
	err := fmt.Errorf("a page\nof text: %w\nand more", forUser(fmt.Errorf("a\x1b[31m.npy: %w", forUserTwice())))
	if got := oneLine(err); got != "x.npy: the file is empty" {
		t.Errorf("%q", got)
	}
	if got := oneLine(forUser(errors.New("lanewise: a\nb\x1b[0m"))); got != "a b?[0m" {
		t.Errorf("%q", got)
	}
	if forUser(nil) != nil {
		t.Error("an error of nothing")
	}
}

func forUserTwice() error { return forUser(errors.New("x.npy: the file is empty")) }

// -labels is Dataflow's too: JSON goes there.
func TestLabelsFlag(t *testing.T) {
	var o options
	f := flag.NewFlagSet("lovaszbeam", flag.ContinueOnError)
	job := f.String("labels", "", "JSON of the job's labels")
	o.flags(f)
	if err := f.Parse([]string{"-labels", `{"team": "x"}`, "-labels", "masks/*.png"}); err != nil || *job != `{"team": "x"}` ||
		o.labels != "masks/*.png" {
		t.Errorf("%v, %q, %q", err, *job, o.labels)
	}
}

// A Result goes into JSON and back, with null for what is not a number; classes that the loss leaves out leave the mean.
func TestResultJSON(t *testing.T) {
	fn := lanewisebeam.NewEvaluateFn(lanewise.LovaszConfig{Classes: 4, VoidLabels: []int32{0}, OnlyClasses: []int{1, 2}})
	sum, err := fn.CreateAccumulator()
	if err != nil {
		t.Fatal(err)
	}
	if sum, err = fn.AddInput(sum, lanewisebeam.Image{Logits: []float32{3, 0, 0, 0, 2, 1, 0, 0, 0, 3, 0, 0, 0, 0, 3, 0},
		Labels: []int32{0, 1, 1, 2}}); err != nil {
		t.Fatal(err)
	}
	r := fn.ExtractOutput(sum)
	if r.MeanIoU != .75 {
		t.Errorf("mean IoU %v, want 0.75", r.MeanIoU)
	}
	b, err := json.Marshal(r)
	var back lanewisebeam.Result
	if err != nil || json.Unmarshal(b, &back) != nil || !strings.Contains(string(b), "null") || fmt.Sprint(back) != fmt.Sprint(r) {
		t.Errorf("%s, %v: %v, want %v", b, err, back, r)
	}
}
