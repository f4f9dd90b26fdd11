package files

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// zipOf writes a zip; sizes that an entry is to claim may be given.
func zipOf(t testing.TB, method uint16, entries ...any) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(entries); i += 2 {
		f, err := w.CreateHeader(&zip.FileHeader{Name: entries[i].(string), Method: method})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(entries[i+1].([]byte)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// zeros is a zip entry of very many zero bytes behind a beginning, in few bytes.
func zeros(t testing.TB, name string, begin []byte, count int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	sum := crc32.NewIEEE()
	var packed bytes.Buffer
	f, err := flate.NewWriter(&packed, 9)
	if err != nil {
		t.Fatal(err)
	}
	to := io.MultiWriter(f, sum)
	to.Write(begin)
	block := make([]byte, 1<<20)
	for left := count; left > 0; left -= len(block) {
		to.Write(block[:min(left, len(block))])
	}
	f.Close()
	raw, err := w.CreateRaw(&zip.FileHeader{Name: name, Method: zip.Deflate, CRC32: sum.Sum32(), CompressedSize64: uint64(packed.Len()),
		UncompressedSize64: uint64(len(begin) + count)})
	if err != nil {
		t.Fatal(err)
	}
	raw.Write(packed.Bytes())
	w.Close()
	return b.Bytes()
}

// A pickle of a tensor, as torch.save writes it.
func tensorPickle(kind, key string, count int64, size, strides []int64) []byte {
	tuple := func(list []int64) string {
		s := "("
		for _, v := range list {
			s += "\x8a\x08" + string(binary.LittleEndian.AppendUint64(nil, uint64(v)))
		}
		return s + "t"
	}
	word := func(s string) string { return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s }
	p := "\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(("
	p += word("storage") + "ctorch\n" + kind + "\n" + word(key) + word("cpu") + "\x8a\x08" +
		string(binary.LittleEndian.AppendUint64(nil, uint64(count))) + "tQ"
	p += "K\x00" + tuple(size) + tuple(strides) + "\x89ccollections\nOrderedDict\n)RtR."
	return []byte(p)
}

func ptOf(t testing.TB, pickle, storage []byte) []byte {
	t.Helper()
	return zipOf(t, zip.Store, "archive/data.pkl", pickle, "archive/byteorder", []byte("little"), "archive/data/0", storage, "archive/version",
		[]byte("3\n"))
}

// Whatever a file claims, it ends in an error, quickly and in little memory.
func TestHostile(t *testing.T) {
	big := int64(1) << 40
	npy := func(version byte, length uint32, text string) []byte {
		b := append([]byte(npyMagic), version, 0)
		b = binary.LittleEndian.AppendUint32(b, length)
		return append(b, text...)
	}
	legacy, err := os.ReadFile("testdata/legacy.pt")
	if err != nil {
		t.Fatal(err)
	}
	legacy = slices.Clone(legacy)
	at := len(legacy) - (8 + 48 + 8 + 4) // the elements that a storage claims, before the 12 floats and the 4 bytes
	for _, i := range []int{at, at + 8 + 4, at + 8 + 48} {
		if i >= 0 && i+8 <= len(legacy) {
			binary.LittleEndian.PutUint64(legacy[i:], 1<<40)
		}
	}
	deep := append(append([]byte("\x80\x02"), bytes.Repeat([]byte("]"), 1)...), bytes.Repeat([]byte("\x85"), 900_000)...)
	laughs := "\x80\x02("
	for range 20 {
		laughs += "K\x01K\x01"
	}
	laughs += "tq\x00"
	for i := range 60 { // each tuple holds the one before it twice
		laughs += fmt.Sprintf("0h%c h%c\x86q%c", i, i, i+1)
	}
	laughs = strings.ReplaceAll(laughs, " ", "") + "."
	copies := "\x80\x02(" + strings.Repeat("K\x01K\x01\x86", 30_000) + "lq\x00" + strings.Repeat("ccollections\nOrderedDict\nh\x00\x85R",
		3000) + "."
	for _, test := range []struct {
		name    string
		content []byte
		want    string
	}{
		{"npy header of 4 GB", npy(2, 0xffffffff, strings.Repeat(" ", 128)), "it claims 4294967295 bytes"},
		{"npy of 2⁴⁰ elements", npyFile(dict("'<f4'", "False", "(1099511627776,)"), make([]byte, 100)), "the file is truncated"},
		{"npy nested header", npyFile(strings.Repeat("(", 9000), nil), "not a valid .npy header"},
		{"npz of 128 MB of zeros that claims another shape", zeros(t, "logits.npy", npyFile(dict("'<f4'", "False", "(4, 3)"), nil), 1<<27), "is 48 bytes, yet there are"},
		{"npz that claims more than it has", func() []byte {
			b := zeros(t, "logits.npy", npyFile(dict("'<f4'", "False", "(16777216, 8)"), nil), 1<<20)
			directory := bytes.Index(b, []byte("PK\x01\x02"))
			binary.LittleEndian.PutUint32(b[directory+24:], 1<<29+128)
			return b
		}(), "more than the file can hold"},
		{"pt of 2⁴⁰ elements", ptOf(t, tensorPickle("FloatStorage", "0", big, []int64{big}, []int64{1}), make([]byte, 16)), "the file is truncated: 1099511627776 elements are claimed"},
		{"pt of one element 2³⁰ times", ptOf(t, tensorPickle("FloatStorage", "0", 4, []int64{1 << 30, 1}, []int64{0, 1}), make([]byte, 16)), "does not fit 4 elements"},
		{"pt of negative sizes", ptOf(t, tensorPickle("FloatStorage", "0", -1, []int64{-4}, []int64{-1}), make([]byte, 16)), "truncated"},
		{"pt with strides that overflow", ptOf(t, tensorPickle("FloatStorage", "0", 4, []int64{2, 2}, []int64{1 << 62, 1 << 62}), make([]byte, 16)), "does not fit 4 elements"},
		{"pt behind its storage", ptOf(t, tensorPickle("FloatStorage", "0", 4, []int64{2, 2}, []int64{3, 1}), make([]byte, 16)), "does not fit 4 elements"},
		{"pt without its elements", ptOf(t, tensorPickle("FloatStorage", "7", 4, []int64{4}, []int64{1}), make([]byte, 16)), "does not hold its elements"},
		{"legacy pt of 2⁴⁰ elements", legacy, ""},
		{"pickle 900,000 deep", ptOf(t, append(deep, '.'), nil), "want a tensor"},
		{"pickle of tuples that double", ptOf(t, []byte(laughs), nil), ""},
		{"pickle of copies", ptOf(t, []byte(copies), nil), "more than 1048576 values"},
		{"pickle without end", ptOf(t, []byte("\x80\x02]"), nil), "cut off"},
		{"pickle of pops", ptOf(t, []byte("\x80\x020."), nil), "cut off"},
		{"pickle bomb", zeros(t, "archive/data.pkl", []byte("\x80\x02"), 1<<27), "its pickle takes"},
		{"safetensors header of 90 MB", append(binary.LittleEndian.AppendUint64(nil, 90_000_000), `{"a":{}}`...), "truncated"},
		{"safetensors of 2⁶² elements", append(binary.LittleEndian.AppendUint64(nil, 62), `{"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,4]}}`[:62]...), "not a valid"},
		{"png of 400 million pixels", pngFile(1<<15, 1<<15, 1, 0, nil), "too small"},
		{"png that is cut off", pngFile(64, 64, 8, 0, make([]byte, 100)), "not a valid PNG file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			_, errX, _, errY := readBytes(test.content)
			runtime.ReadMemStats(&after)
			if errX == nil || errY == nil {
				t.Fatalf("logits: %v, labels: %v", errX, errY)
			}
			if text := errX.Error() + " / " + errY.Error(); !strings.Contains(text, test.want) || strings.Contains(text, "\n") {
				t.Errorf("got  %s\nwant %s", text, test.want)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 200<<20 {
				t.Errorf("%d MB in all", n>>20)
			}
		})
	}
}

// An archive says nothing about itself until a shape is asked for: its elements are not decompressed by Open.
func TestOpenReadsHeadersAlone(t *testing.T) {
	header := npyFile(dict("'<f4'", "False", "(8192, 4096)"), nil)
	bomb := zeros(t, "logits.npy", header, 1<<27)
	mask := pngFile(1<<12, 1<<12, 8, 0, make([]byte, (1<<12+1)<<12))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	a, errA := OpenReader(bytes.NewReader(bomb), int64(len(bomb)), "a.npz", Logits, Options{})
	b, errB := OpenReader(bytes.NewReader(mask), int64(len(mask)), "b.png", Labels, Options{})
	runtime.ReadMemStats(&after)
	if errA != nil || errB != nil || fmt.Sprint(a.Shape, b.Shape) != "[8192 4096] [4096 4096]" {
		t.Fatal(errA, errB)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("%d bytes for two headers", n)
	}
}

// Every bit of a .pt and of a .npz is under a checksum, or the file is refused, or what is read is the same: no damage gives other numbers.
func TestDamaged(t *testing.T) {
	for _, name := range []string{"logits_float64.pt", "dict.pt", "both.npz", "compressed.npz:a"} {
		file, entry := SplitEntry(name)
		content, err := os.ReadFile("testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		read := func(content []byte) (string, error) {
			a, err := OpenReader(bytes.NewReader(content), int64(len(content)), strings.TrimSuffix(file+":"+entry, ":"), Logits, Options{})
			if err != nil {
				return "", err
			}
			data, err := a.Floats()
			return fmt.Sprint(a.Shape, data), err
		}
		want, err := read(content)
		if err != nil {
			t.Fatal(err)
		}
		same := 0
		for i := range content {
			damaged := slices.Clone(content)
			damaged[i] ^= 1 << (i % 8)
			if got, err := read(damaged); err == nil && got != want {
				t.Errorf("%s, byte %d: %s, want %s", name, i, got, want)
			} else if err == nil {
				same++
			}
		}
		if same > len(content)*3/4 {
			t.Errorf("%s: of %d bytes %d may be anything", name, len(content), same)
		}
		for _, n := range []int{1, 10, 100, len(content) / 2} {
			if got, err := read(content[:len(content)-n]); err == nil {
				t.Errorf("%s, cut by %d bytes: %s", name, n, got)
			}
		}
	}
}

// What NumPy reads is read; what it refuses is refused. (Compared with numpy.lib.format 1.24.)
func TestHeaders(t *testing.T) {
	good := []string{
		"{'shape': (2, 3), 'fortran_order': False, 'descr': '<f4'}",
		"{'fortran_order': False, 'descr': '<f4', 'shape': (2, 3), }",
		`{"descr": "<f4", "fortran_order": False, "shape": (2, 3)}`,
		"{'descr':'<f4','fortran_order':False,'shape':(2,3)}",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3,)}",
		"{u'descr': u'<f4', u'fortran_order': False, u'shape': (2, 3)}",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 3L), }",
		"{'descr': 'f4', 'fortran_order': False, 'shape': (2, 3), }",
		"{'descr': 'float32', 'fortran_order': False, 'shape': (2, 3), }",
		"{'descr': 'f', 'fortran_order': False, 'shape': (2, 3), }",
		"{'descr': '=f4', 'fortran_order': False, 'shape': (2, 3), }",
		"{'descr': '|f4', 'fortran_order': False, 'shape': (2, 3), }",
		"  {\n'descr' : '<f4',\n 'fortran_order':\tFalse, 'shape': ( 2 , 3 ) }  \n\n",
		"{'descr': ('<f4'), 'fortran_order': (False), 'shape': (0x2, +3)}",
		"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}",
	}
	for _, header := range good {
		for _, version := range []byte{1, 2, 3} {
			b := append([]byte(npyMagic), version, 0)
			if version == 1 {
				b = binary.LittleEndian.AppendUint16(b, uint16(len(header)))
			} else {
				b = binary.LittleEndian.AppendUint32(b, uint32(len(header)))
			}
			x, err, _, _ := readBytes(append(append(b, header...), make([]byte, 24)...))
			if version == 3 && strings.Contains(header, "2L") { // Python 2 did not know version 3
				if err == nil {
					t.Errorf("version 3: %s was read", header)
				}
			} else if err != nil || fmt.Sprint(x.shape) != "[2 3]" {
				t.Errorf("version %d: %s: %v, %v", version, header, x, err)
			}
		}
	}
	for _, header := range []string{
		"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, 1)}, 1",
		"{'descr': '<f4', 'fortran_order': False, 'shape': [2, 3]}",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (6)}",
		"{'descr': '<f4', 'fortran_order': False, 'shape': 6}",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (2.0, 3)}",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (2 3)}",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (2,, 3)}",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (02, 3)}",
		"{'descr': '<f4', 'fortran_order': false, 'shape': (2, 3)}",
		"{'descr': '<f4', 'fortran_order': 0, 'shape': (2, 3)}",
		"{'descr': '<f4', 'fortran_order': Falsehood, 'shape': (2, 3)}",
		"{'descr': '<f4', 'fortran_order': False}",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), 'more': 1}",
		"{'descr': '<f4' 'fortran_order': False, 'shape': (2, 3)}",
		"{'descr': 'f5', 'fortran_order': False, 'shape': (2, 3)}",
		"{'descr': '', 'fortran_order': False, 'shape': (2, 3)}",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)",
		"{'descr': '<f4, 'fortran_order': False, 'shape': (2, 3)}",
		"('<f4', False, (2, 3))",
	} {
		if x, err, _, _ := readBytes(npyFile(header, make([]byte, 24))); err == nil {
			t.Errorf("%s: %v", header, x)
		}
	}
	four := npyFile("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 5, 3, 1)}", make([]byte, 120))
	if x, err, _, _ := readBytes(four); err != nil || fmt.Sprint(x.shape) != "[2 5 3 1]" {
		t.Errorf("a 1 before the brace: %v, %v", x, err)
	}
}

// What is asked for is read, whatever is beside it.
func TestBeside(t *testing.T) {
	brain := tensorFile(t, "a.safetensors", map[string]tensorView{"logits": {"F32", []int{4, 3}, testLogits},
		"x": {"F8_E4M3", []int{2}, []uint8{1, 2}}, "y": {"C64", []int{1}, []uint64{1}}})
	if a, err := readLogits(brain); err != nil || !slices.Equal(a.data, testLogits) {
		t.Errorf("%v, %v", a, err)
	}
	_, err := readLogits(brain + ":x")
	wantError(t, "F8", err, "…tensor x: dtype F8_E4M3 cannot be read: want F16, BF16, F32 or F64, integers or BOOL")

	// A dict of a parameter, a size, a device, a NumPy value, a class of somebody's, and dicts in it.
	tensor := strings.TrimSuffix(strings.TrimPrefix(string(tensorPickle("FloatStorage", "0", 12, []int64{4, 3}, []int64{3, 1})), "\x80\x02"),
		".")
	word := func(s string) string { return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s }
	p := "\x80\x02}(" + word("size") + "ctorch\nSize\n(K\x04K\x03t\x85R" +
		word("device") + "ctorch\ndevice\n" + word("cuda") + "K\x00\x86R" +
		word("scalar") + "cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\n" + word("f8") + "\x89\x88\x87R(K\x03" + word("<") +
		"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb" + word("8bytes!!") + "\x86R" +
		word("mine") + "cmodule\nClass\n)\x81}" + word("a") + "K\x01sb" +
		word("model") + "}" + word("head") + "ctorch._utils\n_rebuild_parameter\n" + tensor + "\x89ccollections\nOrderedDict\n)R\x87Rs" +
		word("steps") + "](K\x01K\x02eu."
	b, err := binary.Append(nil, binary.LittleEndian, testLogits)
	if err != nil {
		t.Fatal(err)
	}
	file := writeFile(t, "a.pt", ptOf(t, []byte(p), b))
	for _, path := range []string{file, file + ":model.head"} {
		if a, err := readLogits(path); err != nil || !slices.Equal(a.data, testLogits) || fmt.Sprint(a.shape) != "[4 3]" {
			t.Errorf("%s: %v, %v", path, a, err)
		}
	}
	_, err = readLogits(file + ":model")
	wantError(t, "no tensor", err, `…a.pt:model: no tensor "model" among model.head`)
}

// Raw floats and SemanticKITTI's labels.
func TestRaw(t *testing.T) {
	b, err := binary.Append(nil, binary.LittleEndian, testLogits)
	if err != nil {
		t.Fatal(err)
	}
	path := writeFile(t, "a.bin", b)
	for shape, want := range map[string][]int{"[-1 3]": {-1, 3}, "[4 3]": {4, 3}, "[2 -1 3]": {2, -1, 3}} {
		a, err := Open(path, Logits, Options{Shape: want})
		if err != nil {
			t.Fatal(shape, err)
		}
		if data, err := a.Floats(); err != nil || !slices.Equal(data, testLogits) || Product(a.Shape) != 12 || slices.Contains(a.Shape, -1) {
			t.Errorf("%s: %v %v %v", shape, a.Shape, data, err)
		}
		a.Close()
	}
	for _, test := range []struct {
		shape []int
		want  string
	}{
		{[]int{-1, 5}, "the file has 48 bytes, no multiple of the 20 that float32 [-1, 5] takes"},
		{[]int{-1, -1}, "axes are positive, one of them may be -1"},
		{[]int{5, 3}, "the file is truncated"},
		{[]int{3, 3}, "is 36 bytes, yet there are 48"},
		{[]int{1 << 40, 1 << 40}, "axes are positive"},
		{nil, "raw float32 is read with -shape"},
	} {
		if _, err := Open(path, Logits, Options{Shape: test.shape}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: %v, want %s", test.shape, err, test.want)
		}
	}
	points := writeFile(t, "0.label", []byte{40, 0, 7, 0, 252, 0, 255, 255, 0xff, 0xff, 1, 0})
	if a, err := readLabels(points); err != nil || !slices.Equal(a.data, []int32{40, 252, 65535}) || a.dtype != "label" {
		t.Errorf("%v, %v", a, err)
	}
	_, err = readLabels(writeFile(t, "1.label", make([]byte, 7)))
	wantError(t, "cut", err, "…: the file has 7 bytes: a .label file has 4 for each point, so it is cut off")
}

// A number that float32 does not have is called by its name.
func TestTooLarge(t *testing.T) {
	payload := make([]byte, 24)
	binary.LittleEndian.PutUint64(payload[8:], 0x7e37e43c8800759c) // 1e300
	_, err, _, _ := readBytes(npyFile(dict("'<f8'", "False", "(3,)"), payload))
	wantError(t, "1e300", err, "logit 1e+300 at index [1] does not fit in float32")
}

// A gray mask with a transparent value is the mask without it, and one of colours is mapped.
func TestPNGKinds(t *testing.T) {
	mask := pngFile(2, 2, 8, 0, []byte{0, 7, 1, 0, 255, 0})
	at := bytes.Index(mask, []byte("IDAT")) - 4
	chunk := []byte("\x00\x00\x00\x02tRNS\x00\x07")
	chunk = binary.BigEndian.AppendUint32(chunk, crc32.ChecksumIEEE(chunk[4:]))
	mask = slices.Concat(mask[:at], chunk, mask[at:])
	if a, err := readLabels(writeFile(t, "a.png", mask)); err != nil || !slices.Equal(a.data, []int32{7, 1, 255, 0}) || a.dtype != "gray8" {
		t.Errorf("%v, %v", a, err)
	}
	rgb := writeFile(t, "b.png", pngFile(2, 1, 8, 2, []byte{0, 128, 64, 128, 0, 0, 1}))
	a, err := Open(rgb, Labels, Options{})
	if err != nil || !a.Colours {
		t.Fatal(err)
	}
	defer a.Close()
	data, err := a.Integers()
	if err != nil || !slices.Equal(data, []int32{0x804080, 1}) {
		t.Fatalf("%x, %v", data, err)
	}
	wantError(t, "no map", (*LabelMap)(nil).Apply(a, data), "…the PNG file is RGB: a mask is paletted or gray, its values class ids; …")
	for _, text := range []string{`{"128,64,128": 5, "0,0,1": 255}`, `{"#804080": 5, "#000001": 255}`, `{"5": [128,64,128], "255": [0,0,1]}`,
		`[{"name": "a", "id": 5, "color": [128,64,128]}, {"id": 255, "color": [0,0,1]}]`} {
		m, err := ParseLabelMap(writeFile(t, "map.json", []byte(text)))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := slices.Clone(data); m.Apply(a, got) != nil || !slices.Equal(got, []int32{5, 255}) {
			t.Errorf("%s: %v", text, got)
		}
	}
	m, err := ParseLabelMap(writeFile(t, "map.json", []byte(`{"road": [128,64,128]}`)))
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, "a colour more", m.Apply(a, slices.Clone(data)), "…b.png: the colour 0,0,1 (#000001) at pixel 1 is not in the map")
}

// Where several values are no classes, no hint names one of them a class that another one may be.
func TestOutOfRange(t *testing.T) {
	for _, test := range []struct {
		values  []int32
		classes int
		want    string
	}{
		{[]int32{0, 1, 2}, 3, ""},
		{[]int32{300, 301, 302}, 3, "labels are 300,301,302: what they stand for says -labels-map, as in -labels-map 300=0,301=1,302=2"},
		{[]int32{100, 200}, 1, "labels are 100,200: what they stand for says -labels-map, as in -labels-map 100=0,200=1"},
		{[]int32{2, 300, 301}, 3, "labels are 2,300,301: what they stand for says -labels-map, as in -labels-map 300=…,301=…; if they are no class: -void 300,301"},
		{[]int32{7, 255}, 3, "labels are 7,255: what they stand for says -labels-map, as in -labels-map 7=…,255=…; if they are no class: -void 7,255"},
	} {
		if got := OutOfRange(test.values, test.classes, false); got != test.want {
			t.Errorf("%v: got %s, want %s", test.values, got, test.want)
		}
	}
}

func FuzzOpen(f *testing.F) {
	for _, pattern := range []string{"testdata/*.pt", "testdata/*.npy", "testdata/*.npz", "testdata/*.png"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			f.Fatal(pattern, err)
		}
		for _, path := range paths {
			content, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(content)
		}
	}
	f.Add(niftiOf(binary.LittleEndian, 4, 352, []int{3, 2}, make([]byte, 12)))
	f.Add(gzipped(f, niftiOf(binary.BigEndian, 16, 352, []int{3, 2}, make([]byte, 24))))
	f.Add(tensorPickle("FloatStorage", "0", 12, []int64{4, 3}, []int64{3, 1}))
	f.Fuzz(func(t *testing.T, content []byte) {
		x, errX, y, errY := readBytes(content)
		if errX == nil && Product(x.shape) != len(x.data) || errY == nil && Product(y.shape) != len(y.data) {
			t.Error("elements of another number than the shape's")
		}
		if v, n, err := unpickle(content); err == nil && (n > len(content) || v == any(pickleMark{})) {
			t.Errorf("a pickle of %d bytes in %d: %v", n, len(content), v)
		}
		// The same bytes as the pickle of a .pt.
		pt := ptOf(t, content, make([]byte, 48))
		if a, err := OpenReader(bytes.NewReader(pt), int64(len(pt)), "a.pt", Logits, Options{}); err == nil {
			if data, err := a.Floats(); err == nil && len(data) > 48/2 {
				t.Errorf("%d elements of 48 bytes", len(data))
			}
		}
	})
}
