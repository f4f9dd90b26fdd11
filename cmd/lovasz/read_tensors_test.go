package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nlpodyssey/safetensors"
)

// Four pixels, three classes, as testdata/make_pt.py has them.
var testLogits = []float32{2, 0, -1, 0, 1, 0, 1, 1, 3, .5, -.5, 0}

func TestReadPT(t *testing.T) {
	for _, test := range []struct {
		path, dtype string
	}{
		{"dict.pt", "float32"},
		{"dict.pt:logits", "float32"},
		{"legacy.pt", "float32"},
		{"ordered.pt:a", "float32"}, // strides, and an offset
		{"logits_float16.pt", "float16"},
		{"logits_bfloat16.pt", "bfloat16"},
		{"logits_float64.pt", "float64"},
	} {
		a, err := readLogits("testdata/" + test.path)
		if err != nil || a.dtype != test.dtype || fmt.Sprint(a.shape) != "[4 3]" || !slices.Equal(a.data, testLogits) {
			t.Errorf("%s: %+v, %v", test.path, a, err)
		}
	}
	for _, test := range []struct {
		path, dtype string
		data        []int32
	}{
		{"dict.pt", "int64", []int32{0, 255, 2, 1}},
		{"legacy.pt", "uint8", []int32{0, 255, 2, 1}},
		{"ordered.pt:b", "int32", []int32{0, 255, 2, 1}},
		{"labels_int8.pt", "int8", []int32{-1, 2}},
		{"labels_int16.pt", "int16", []int32{-1, 2}},
		{"labels_bool.pt", "bool", []int32{0, 1, 0, 0}},
	} {
		a, err := readLabels("testdata/" + test.path)
		if err != nil || a.dtype != test.dtype || !slices.Equal(a.data, test.data) || !slices.Equal(a.shape, []int{len(test.data)}) {
			t.Errorf("%s: %+v, %v", test.path, a, err)
		}
	}
	cut, err := os.ReadFile("testdata/legacy.pt")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ path, logits, labels string }{
		{"testdata/ordered.pt", "testdata/ordered.pt: holds a, b: name one, as in FILE.pt:a", "testdata/ordered.pt: holds a, b: name one, as in FILE.pt:a"},
		{"testdata/dict.pt:epoch", `testdata/dict.pt:epoch: no tensor "epoch" among logits, labels`, `testdata/dict.pt:epoch: no tensor "epoch" among logits, labels`},
		{"testdata/list.pt", "testdata/list.pt: the .pt file holds a List: want a tensor, or a dict of tensors", ""},
		{"testdata/model.pt", "testdata/model.pt: not a .pt file of tensors (save tensors, or a dict of them, not a model)…", ""},
		{"testdata/labels_too_large.pt", "testdata/labels_too_large.pt: logits are int64: want float16, float32 or float64",
			"testdata/labels_too_large.pt: label 4294967296 does not fit in int32"},
		{"testdata/logits_float16.pt", "", "testdata/logits_float16.pt: labels are float16: want integers, the class ids"},
		{"testdata/logits_float16.pt:a", "testdata/logits_float16.pt:a: the .pt file holds one tensor, without a name", ""},
		{writeFile(t, "cut.pt", cut[:len(cut)-5]), "…cut.pt: not a .pt file of tensors…", ""},
	} {
		if test.logits != "" {
			_, err := readLogits(test.path)
			wantError(t, test.path, err, test.logits)
		}
		if test.labels != "" {
			_, err := readLabels(test.path)
			wantError(t, test.path, err, test.labels)
		}
	}
}

// tensorFile is a .safetensors file by the library.
func tensorFile(t *testing.T, name string, tensors map[string]safetensors.TensorView) string {
	t.Helper()
	b, err := safetensors.Serialize(tensors, nil)
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, name, b)
}

func view(t *testing.T, dtype safetensors.DType, values any, shape ...uint64) safetensors.TensorView {
	t.Helper()
	b, err := binary.Append(nil, binary.LittleEndian, values)
	if err != nil {
		t.Fatal(err)
	}
	v, err := safetensors.NewTensorView(dtype, shape, b)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestReadSafetensors(t *testing.T) {
	brain := make([]uint16, len(testLogits))
	for i, x := range testLogits {
		brain[i] = uint16(math.Float32bits(x) >> 16)
	}
	both := tensorFile(t, "both.safetensors", map[string]safetensors.TensorView{
		"logits": view(t, safetensors.F32, testLogits, 4, 3),
		"labels": view(t, safetensors.I64, []int64{0, 255, 2, 1}, 4),
	})
	half := tensorFile(t, "half.safetensors", map[string]safetensors.TensorView{
		"a": view(t, safetensors.BF16, brain, 4, 3),
		"b": view(t, safetensors.U8, []uint8{0, 255, 2, 1}, 2, 2),
	})
	for path, dtype := range map[string]string{both: "float32", both + ":logits": "float32", half + ":a": "bfloat16"} {
		a, err := readLogits(path)
		if err != nil || a.dtype != dtype || fmt.Sprint(a.shape) != "[4 3]" || !slices.Equal(a.data, testLogits) {
			t.Errorf("%s: %+v, %v", path, a, err)
		}
	}
	for path, dtype := range map[string]string{both: "int64", half + ":b": "uint8"} {
		a, err := readLabels(path)
		if err != nil || a.dtype != dtype || product(a.shape) != 4 || !slices.Equal(a.data, []int32{0, 255, 2, 1}) {
			t.Errorf("%s: %+v, %v", path, a, err)
		}
	}
	header := func(json string, payload int) []byte {
		b := binary.LittleEndian.AppendUint64(nil, uint64(len(json)))
		return append(append(b, json...), make([]byte, payload)...)
	}
	for _, test := range []struct {
		path string
		want string
	}{
		{half, "…half.safetensors: holds a, b: name one, as in FILE.safetensors:a"},
		{half + ":c", `…half.safetensors:c: no tensor "c" among a, b`},
		{both + ":labels", "…both.safetensors:labels: logits are int64: want float16, float32 or float64"},
		{writeFile(t, "cut.safetensors", header(`{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}`, 23)),
			"…cut.safetensors: the file is truncated: tensor a ends behind it"},
		{writeFile(t, "shape.safetensors", header(`{"a":{"dtype":"F32","shape":[2,4],"data_offsets":[0,24]}}`, 24)), "…shape.safetensors: tensor a: …"},
		{writeFile(t, "huge.safetensors", header(`{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,24]}}`, 24)), "…huge.safetensors: tensor a: …"},
		{writeFile(t, "order.safetensors", header(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[8,4]}}`, 24)), "…the file is truncated: tensor a ends behind it"},
		{writeFile(t, "json.safetensors", header(`{"a":{}`, 24)), "…json.safetensors: not a valid .safetensors header: …"},
		{writeFile(t, "empty.safetensors", header(`{}`, 0)), "…empty.safetensors: the file holds no tensor"},
	} {
		_, err := readLogits(test.path)
		wantError(t, test.path, err, test.want)
	}
}

// What is not read says how to convert it.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	for _, store := range []string{"a.zarr", "b"} {
		if err := os.Mkdir(filepath.Join(dir, store), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "b", "zarr.json"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	const tiff = "…mask.tif: TIFF is not read: convert it in Python with numpy.save('labels.npy', tifffile.imread('mask.tif'))"
	for _, magic := range []string{"II*\x00", "MM\x00*", "II+\x00", "MM\x00+"} {
		_, err := readLabels(writeFile(t, "mask.tif", []byte(magic+"\x08\x00\x00\x00")))
		wantError(t, "tiff", err, tiff)
	}
	_, err := readLogits(writeFile(t, "net.h5", []byte("\x89HDF\r\n\x1a\n…")))
	wantError(t, "hdf5", err, "…net.h5: HDF5 is not read: convert it in Python with numpy.save('logits.npy', h5py.File('net.h5')['DATASET'][:])")
	for _, store := range []string{"a.zarr", "b"} {
		wantError(t, store, refuseZarr(filepath.Join(dir, store), "logits"),
			"…"+store+": zarr is not read: convert it in Python with numpy.save('logits.npy', zarr.open('"+store+"')[:])")
	}
	for _, args := range [][]string{{"-logits", dir + "/a.zarr", "-labels", "y.npy"}, {"-logits", dir, "-labels", dir + "/b"}, {"-logits", "testdata/dict.pt", "-labels", dir + "/b"}} {
		if code, _, stderr := command(args...); code != 1 || !strings.Contains(stderr, "zarr is not read: convert it") {
			t.Errorf("%v: exit %d, %s", args, code, stderr)
		}
	}
	if err := refuseZarr(dir, "logits"); err != nil {
		t.Error(err)
	}
}

// wantError compares a message; "…" at its ends stands for anything.
func wantError(t *testing.T, what string, err error, want string) {
	t.Helper()
	got := fmt.Sprint(err)
	part := strings.Trim(want, "…")
	fits := got == want
	switch begin, end := strings.HasPrefix(want, "…"), strings.HasSuffix(want, "…"); {
	case begin && end:
		fits = strings.Contains(got, part)
	case begin:
		fits = strings.HasSuffix(got, part)
	case end:
		fits = strings.HasPrefix(got, part)
	}
	if err == nil || !fits {
		t.Errorf("%s: got  %s\nwant %s", what, got, want)
	}
}
