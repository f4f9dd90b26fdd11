package main

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/lanewise/lanewise"
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
	read(&got, "-layout", "class", "-logits", dir+"/logits/*/*.npy", "-masks", dir+"/masks/*/*.npz")
	if want := wantReport(t, 0, 1, 2, 3); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	got = report{}
	read(&got, "-pairs", dir+"/pairs/*.npz")
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
	for _, test := range []struct{ args, want string }{
		{"-logits a", "-logits and -masks, or -pairs, are needed"},
		{"-layout hwc", "want pixel or class"},
		{"-layout class -logits D/logits/*/*.npy -masks D/masks/*/*.npz", "logits/north/4.npy has no mask of its name"},
		{"-logits D/none*.npy -masks D/masks/*/*.npz", "no files matching pattern"},
		{"-logits D/cut.npy -masks D/labels0.npy", "cut.npy: the file holds 17 values, want 18 for the shape [2 3 3]"},
		{"-logits D/labels0.npy -masks D/labels0.npy", "labels0.npy: logits are <i8"},
		{"-layout class -logits D/logits/north/4.npy -masks D/large.npy", "large.npy: label 4294967296 does not fit in int32"},
		{"-logits D/logits/north/4.npy -masks D/labels0.npy", "4.npy: logits [3 2 3] do not fit the labels [2 3]"},
		{"-classes 4 -logits D/logits/north/4.npy -masks D/labels0.npy", "4.npy: logits [3 2 3] do not have 4 classes along axis 2"},
		{"-void 7 -void 8 -layout class -logits D/logits/north/4.npy -masks D/labels0.npy", ""},
	} {
		err := runs(append(append([]string{}, loss...), strings.Fields(strings.ReplaceAll(test.args, "D/", dir+"/"))...)...)
		if test.want == "" {
			if err != nil {
				t.Errorf("%s: %v", test.args, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", test.args, err, test.want)
		}
	}
}

func TestDtypes(t *testing.T) {
	for _, test := range []struct {
		dtype  string
		values any
		want   string
	}{
		{"|u1", []uint8{0, 255}, "[0 255]"},
		{"|i1", []int8{-1, 5}, "[-1 5]"},
		{"|b1", []bool{true, false}, "[1 0]"},
		{"<u2", []uint16{65535, 1}, "[65535 1]"},
		{"<i2", []int16{-100, 1}, "[-100 1]"},
		{"<i4", []int32{-100, math.MaxInt32}, "[-100 2147483647]"},
		{"<i8", []int64{-100, 7}, "[-100 7]"},
		{"<u8", []uint64{9, 7}, "[9 7]"},
		{"<u4", []uint32{9, 1 << 31}, "label 2147483648 does not fit in int32"},
		{"<i8", []int64{9, -1 << 40}, "label -1099511627776 does not fit in int32"},
		{"<f4", []float32{9, 1}, "labels are <f4: want integers, the class ids"},
		{">i4", []int32{9, 1}, "labels are >i4: want integers, the class ids"},
	} {
		a, err := readArray(npyBytes(test.dtype, test.values, 2), "labels", integers)
		if got := fmt.Sprint(a.data); err == nil && got != test.want || err != nil && err.Error() != test.want {
			t.Errorf("%s: got %v, %v, want %s", test.dtype, got, err, test.want)
		}
	}
	for dtype, values := range map[string]any{"<f2": []uint16{0x3c00, 0xc100}, "<f4": []float32{1, -2.5}, "<f8": []float64{1, -2.5}} {
		if a, err := readArray(npyBytes(dtype, values, 2), "logits", floats); err != nil || fmt.Sprint(a.data) != "[1 -2.5]" {
			t.Errorf("%s: %v %v", dtype, a.data, err)
		}
	}
}
