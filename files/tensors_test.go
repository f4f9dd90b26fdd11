package files

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
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
		{"testdata/list.pt", "", "testdata/list.pt: labels are float32: want integers, the class ids"},
		{"testdata/model.pt", "testdata/model.pt: the .pt file holds a torch.nn.modules.linear.Linear: want a tensor, or a dict of tensors…", ""},
		{"testdata/labels_too_large.pt",
			"testdata/labels_too_large.pt: logits are int64: want float16, float32 or float64 (class ids that were predicted are -predictions)",
			"testdata/labels_too_large.pt: label 4294967296 at index [1] does not fit in int32"},
		{"testdata/logits_float16.pt", "", "testdata/logits_float16.pt: labels are float16: want integers, the class ids"},
		{"testdata/logits_float16.pt:a", "testdata/logits_float16.pt:a: the .pt file holds one tensor, without a name", ""},
		{writeFile(t, "cut.pt", cut[:len(cut)-5]), "…cut.pt: the file is truncated", ""},
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

// A tensorView is a tensor as a .safetensors file has it.
type tensorView struct {
	dtype  string
	shape  []int
	values any
}

// tensorFile writes a .safetensors file.
func tensorFile(t testing.TB, name string, tensors map[string]tensorView) string {
	t.Helper()
	header := map[string]any{"__metadata__": map[string]string{"format": "pt"}}
	var payload []byte
	for name, v := range tensors {
		from := len(payload)
		var err error
		if payload, err = binary.Append(payload, binary.LittleEndian, v.values); err != nil {
			t.Fatal(err)
		}
		header[name] = map[string]any{"dtype": v.dtype, "shape": v.shape, "data_offsets": []int{from, len(payload)}}
	}
	text, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
	return writeFile(t, name, append(append(b, text...), payload...))
}

func TestReadSafetensors(t *testing.T) {
	brain := make([]uint16, len(testLogits))
	for i, x := range testLogits {
		brain[i] = uint16(math.Float32bits(x) >> 16)
	}
	both := tensorFile(t, "both.safetensors", map[string]tensorView{
		"logits": {"F32", []int{4, 3}, testLogits},
		"labels": {"I64", []int{4}, []int64{0, 255, 2, 1}},
	})
	half := tensorFile(t, "half.safetensors", map[string]tensorView{
		"a": {"BF16", []int{4, 3}, brain},
		"b": {"U8", []int{2, 2}, []uint8{0, 255, 2, 1}},
	})
	for path, dtype := range map[string]string{both: "float32", both + ":logits": "float32", half + ":a": "bfloat16"} {
		a, err := readLogits(path)
		if err != nil || a.dtype != dtype || fmt.Sprint(a.shape) != "[4 3]" || !slices.Equal(a.data, testLogits) {
			t.Errorf("%s: %+v, %v", path, a, err)
		}
	}
	for path, dtype := range map[string]string{both: "int64", half + ":b": "uint8"} {
		a, err := readLabels(path)
		if err != nil || a.dtype != dtype || Product(a.shape) != 4 || !slices.Equal(a.data, []int32{0, 255, 2, 1}) {
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
		{both + ":labels", "…both.safetensors:labels: logits are int64: want float16, float32 or float64 (class ids that were predicted are -predictions)"},
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
		wantError(t, store, refuseZarr(filepath.Join(dir, store), Logits),
			"…"+store+": zarr is not read: convert it in Python with numpy.save('logits.npy', zarr.open('"+store+"')[:])")
	}
	if err := refuseZarr(dir, Logits); err != nil {
		t.Error(err)
	}
}
