package files

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What testdata/make.py writes, in C order.
var (
	someLogits = []float32{2, 0, -1, 0, 1, 0, 1, 1, 3, 0.5, -0.5, 0}
	someLabels = []int32{0, 255, 2, 1}
)

func TestReadLogits(t *testing.T) {
	for _, test := range []struct {
		file, dtype string
	}{
		{"logits_float32.npy", "float32"},
		{"logits_float16.npy", "float16"},
		{"logits_float64.npy", "float64"},
		{"logits_big_endian.npy", "float32"},
		{"logits_fortran.npy", "float32"},
		{"logits_version2.npy", "float32"},
		{"both.npz", "float32"},
		{"both.npz:logits", "float32"},
		{"both.npz:logits.npy", "float32"},
		{"compressed.npz:a", "float32"},
		{"one.npz", "float32"},
	} {
		t.Run(test.file, func(t *testing.T) {
			a, err := readLogits("testdata/" + test.file)
			if err != nil {
				t.Fatal(err)
			}
			if a.dtype != test.dtype || !slices.Equal(a.shape, []int{4, 3}) || !slices.Equal(a.data, someLogits) {
				t.Errorf("got %s %v %v", a.dtype, a.shape, a.data)
			}
		})
	}
}

func TestReadLabels(t *testing.T) {
	for _, test := range []struct {
		file, dtype string
		void        int32
	}{
		{"labels_uint8.npy", "uint8", 255}, // not −1
		{"labels_int8.npy", "int8", -1},
		{"labels_int16.npy", "int16", 255},
		{"labels_uint16.npy", "uint16", 255},
		{"labels_int32.npy", "int32", 255},
		{"labels_uint32.npy", "uint32", 255},
		{"labels_int64.npy", "int64", 255},
		{"labels_uint64.npy", "uint64", 255},
		{"labels_big_endian.npy", "int64", 255},
		{"both.npz", "int64", 255},
		{"compressed.npz:b", "int64", 255},
	} {
		t.Run(test.file, func(t *testing.T) {
			a, err := readLabels("testdata/" + test.file)
			if err != nil {
				t.Fatal(err)
			}
			want := slices.Clone(someLabels)
			want[1] = test.void
			if a.dtype != test.dtype || !slices.Equal(a.shape, []int{4}) || !slices.Equal(a.data, want) {
				t.Errorf("got %s %v %v, want %v", a.dtype, a.shape, a.data, want)
			}
		})
	}
	a, err := readLabels("testdata/labels_bool.npy")
	if err != nil || a.dtype != "bool" || !slices.Equal(a.data, []int32{0, 1, 0, 0}) {
		t.Errorf("bool: %v, %v", a, err)
	}
}

// npyFile writes a .npy file of version 1 around any header text and payload.
func npyFile(header string, payload []byte) []byte {
	b := append([]byte(npyMagic), 1, 0)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(header)))
	return append(append(b, header...), payload...)
}

func dict(descr, fortran, shape string) string {
	return fmt.Sprintf("{'descr': %s, 'fortran_order': %s, 'shape': %s, }\n", descr, fortran, shape)
}

func TestExtremeLabels(t *testing.T) {
	for _, test := range []struct {
		descr   string
		payload []byte
		want    []int32
	}{
		{"'|u1'", []byte{0, 127, 128, 255}, []int32{0, 127, 128, 255}},
		{"'|i1'", []byte{0, 127, 128, 255}, []int32{0, 127, -128, -1}},
		{"'<i2'", []byte{0xff, 0x7f, 0, 0x80}, []int32{32767, -32768}},
		{"'>u2'", []byte{0xff, 0x7f, 0, 0x80}, []int32{0xff7f, 0x80}},
		{"'<i4'", []byte{0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0x80}, []int32{math.MaxInt32, math.MinInt32}},
		{"'>i4'", []byte{0x7f, 0xff, 0xff, 0xff, 0x80, 0, 0, 0}, []int32{math.MaxInt32, math.MinInt32}},
		{"'<u4'", []byte{0xff, 0xff, 0xff, 0x7f}, []int32{math.MaxInt32}},
		{"'<i8'", []byte{0, 0, 0, 0x80, 0xff, 0xff, 0xff, 0xff}, []int32{math.MinInt32}},
	} {
		count := len(test.want)
		_, _, y, err := readBytes(npyFile(dict(test.descr, "False", fmt.Sprintf("(%d,)", count)), test.payload))
		if err != nil || !slices.Equal(y.data, test.want) {
			t.Errorf("%s %v: got %v, %v, want %v", test.descr, test.payload, y, err, test.want)
		}
	}
}

// Every binary16 against its definition: sign, exponent and 10 bits of fraction.
func TestFloat16(t *testing.T) {
	for bits := range 1 << 16 {
		exponent, fraction := bits>>10&31, float64(bits&1023)
		var want float64
		switch exponent {
		case 0:
			want = math.Ldexp(fraction, -24)
		case 31:
			want = math.Inf(1)
			if fraction != 0 {
				want = math.NaN()
			}
		default:
			want = math.Ldexp(1024+fraction, exponent-25)
		}
		if bits>>15 == 1 {
			want = -want
		}
		got := float16(uint16(bits))
		if math.IsNaN(want) {
			if got == got {
				t.Errorf("%#04x: got %v, want NaN", bits, got)
			}
		} else if math.Float32bits(got) != math.Float32bits(float32(want)) {
			t.Errorf("%#04x: got %v, want %v", bits, got, want)
		}
	}
}

// Any number of axes in Fortran order, over the edge of a block, against the definition of that order.
func TestFortranOrder(t *testing.T) {
	for _, shape := range [][]int{{}, {5}, {2, 3}, {3, 2, 4}, {1, 4, 1, 3}, {2, 3, 4, 5}, {90, 101}, {0, 3}, {3, 0}} {
		n := Product(shape)
		payload := make([]byte, 0, 4*n)
		want := make([]int32, n)
		for i := range n { // in the order of the file
			payload = binary.BigEndian.AppendUint32(payload, uint32(i))
			at, index := 0, i
			stride := n
			for _, d := range shape {
				stride /= d
				at += index % d * stride
				index /= d
			}
			want[at] = int32(i)
		}
		tuple := strings.Trim(Axes(shape), "[]") + ","
		if len(shape) == 0 {
			tuple = ""
		}
		_, _, y, err := readBytes(npyFile(dict("'>i4'", "True", "("+tuple+")"), payload))
		if err != nil || !slices.Equal(y.data, want) || !slices.Equal(y.shape, shape) {
			t.Errorf("shape %v: got %v, %v, want %v", shape, y, err, want)
		}
	}
}

// float32 in the machine's order goes straight to where it stays: bits, not values, NaN payloads included.
func TestStraightBits(t *testing.T) {
	var payload []byte
	for i := range 3 * 8192 {
		payload = binary.LittleEndian.AppendUint32(payload, uint32(i)*2654435761)
	}
	little, err, _, _ := readBytes(npyFile(dict("'<f4'", "False", "(3, 8192)"), payload))
	if err != nil {
		t.Fatal(err)
	}
	swapped := slices.Clone(payload)
	for i := 0; i < len(swapped); i += 4 {
		slices.Reverse(swapped[i : i+4])
	}
	big, err, _, _ := readBytes(npyFile(dict("'>f4'", "False", "(3, 8192)"), swapped))
	if err != nil {
		t.Fatal(err)
	}
	for i := range little.data {
		want := uint32(i) * 2654435761
		if l, b := math.Float32bits(little.data[i]), math.Float32bits(big.data[i]); l != want || b != want {
			t.Fatalf("element %d: %#x (little-endian), %#x (big-endian), want %#x", i, l, b, want)
		}
	}
}

func TestBadFiles(t *testing.T) {
	f4 := dict("'<f4'", "False", "(2, 3)")
	i8 := func(shape, fortran string, values ...int64) []byte {
		var payload []byte
		for _, v := range values {
			payload = binary.LittleEndian.AppendUint64(payload, uint64(v))
		}
		return npyFile(dict("'<i8'", fortran, shape), payload)
	}
	good := npyFile(f4, make([]byte, 24))
	zipped, err := os.ReadFile("testdata/both.npz")
	if err != nil {
		t.Fatal(err)
	}
	damaged := slices.Clone(zipped)
	damaged[bytes.Index(damaged, []byte("}"))+80]++ // in the stored payload of logits: the checksum differs
	bomb := slices.Clone(zipped)
	directory := bytes.Index(bomb, []byte("PK\x01\x02"))
	binary.LittleEndian.PutUint32(bomb[directory+24:], 1<<31) // the size of logits, uncompressed

	for _, test := range []struct {
		name    string
		content []byte
		logits  string // the error; "" where they are fine
		labels  string
	}{
		{"empty", nil, "the file is empty", "the file is empty"},
		{"text", []byte("0 1 2\n"), "not a .npy, .npz, .safetensors or .pt file (raw float32 is read with -shape, as in -shape -1,20)", "not a .npy, .npz, .safetensors, .pt, .label, NIfTI or PNG file"},
		{"png", []byte(pngMagic + "\r\n\x1a\n"), "a PNG file cannot hold logits: want .npy, .npz, .safetensors or .pt (class ids that were predicted are -predictions)", "the PNG file is truncated"},
		{"magic only", []byte(npyMagic), "not a valid .npy header: the file ends within it", ""},
		{"version 3", []byte(npyMagic + "\x03\x00\x00\x00\x00\x00"), "not a valid .npy header: it is not a Python literal (at byte 0)", ""},
		{"header cut", good[:20], "not a valid .npy header: the file ends within it", ""},
		{"header without end", []byte(npyMagic + "\x01\x00\x10\x00{'descr': '<f4', "), "not a valid .npy header: it is not a Python literal (at byte 16)", ""},
		{"header of 4 GiB", []byte(npyMagic + "\x02\x00\xff\xff\xff\xff"), "not a valid .npy header: it claims 4294967295 bytes, more than the 10000 that NumPy reads", ""},
		{"empty header", npyFile("", nil), "not a valid .npy header: it is not a Python literal (at byte 0)", ""},
		{"no dictionary", npyFile("[1, 2]\n", nil), "not a valid .npy header: it is not a dictionary", ""},
		{"no closing brace", npyFile("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)\n", make([]byte, 4)), "not a valid .npy header: it is not a Python literal (at byte 55)", ""},
		{"fortran_order 2", npyFile(dict("'<f4'", "2", "(1,)"), make([]byte, 4)), "not a valid .npy header: fortran_order is neither True nor False", ""},
		{"shape of words", npyFile(dict("'<f4'", "False", "(a,)"), make([]byte, 4)), "not a valid .npy header: it is not a Python literal (at byte 52)", ""},
		{"shape past int64", npyFile(dict("'<f4'", "False", "(9223372036854775808,)"), make([]byte, 4)), "not a valid .npy header: it is not a Python literal (at byte 70)", ""},
		{"negative axes", npyFile(dict("'<f4'", "False", "(-1, -1)"), make([]byte, 4)), "shape [-1, -1] of float32: not a shape", ""},
		{"overflow to 0", npyFile(dict("'<f4'", "False", "(4294967296, 4294967296)"), nil),
			"the file is truncated: shape [4294967296, 4294967296] of float32 wants more than the 0 bytes that there are for it", ""},
		{"overflow to 1", npyFile(dict("'<f4'", "False", "(9223372036854775807, 9223372036854775807)"), make([]byte, 4)),
			"the file is truncated: shape [9223372036854775807, 9223372036854775807] of float32 wants more than the 4 bytes that there are for it",
			""},
		{"huge", npyFile(dict("'|u1'", "False", "(1000000, 1000000)"), make([]byte, 9)), "",
			"the file is truncated: shape [1000000, 1000000] of uint8 wants more than the 9 bytes that there are for it"},
		{"one byte short", good[:len(good)-1], "the file is truncated: shape [2, 3] of float32 wants more than the 23 bytes that there are for it", ""},
		{"one byte more", append(slices.Clone(good), 0), "shape [2, 3] of float32 is 24 bytes, yet there are 25", ""},
		{"zero axis and bytes", npyFile(dict("'<f4'", "False", "(9223372036854775807, 9, 0)"), make([]byte, 4)),
			"shape [9223372036854775807, 9, 0] of float32 is 0 bytes, yet there are 4", ""},
		{"scalar cut", npyFile(dict("'<f4'", "False", "()"), make([]byte, 3)), "the file is truncated: shape [] of float32 wants more than the 3 bytes that there are for it", ""},
		{"objects", npyFile(dict("'|O'", "False", "(1,)"), make([]byte, 8)), "dtype \"|O\" cannot be read: want float16, float32 or float64, integers or bool", ""},
		{"strings", npyFile(dict("'<U3'", "False", "(1,)"), make([]byte, 12)), "dtype \"<U3\" cannot be read: want float16, float32 or float64, integers or bool", ""},
		{"records", npyFile(dict("[('a', '<f4')]", "False", "(1,)"), make([]byte, 4)), "records of several fields cannot be read: want float16, float32 or float64, integers or bool", ""},
		{"long double", npyFile(dict("'<f16'", "False", "(1,)"), make([]byte, 16)), "dtype \"<f16\" cannot be read: want float16, float32 or float64, integers or bool", ""},
		{"float of one byte", npyFile(dict("'<f1'", "False", "(1,)"), make([]byte, 1)), "dtype \"<f1\" cannot be read: want float16, float32 or float64, integers or bool", ""},
		{"float labels", good, "", "labels are float32: want integers, the class ids"},
		{"integer logits", i8("(1,)", "False", 1), "logits are int64: want float16, float32 or float64 (class ids that were predicted are -predictions)", ""},
		{"2³² + 255", i8("(2, 3)", "False", 0, 1, 2, 3, 4294967551, 5), "", "label 4294967551 at index [1, 1] does not fit in int32"},
		{"2³² + 255, Fortran", i8("(2, 3)", "True", 0, 1, 2, 3, 4294967551, 5), "", "label 4294967551 at index [0, 2] does not fit in int32"},
		{"−2³¹ − 1", i8("(2,)", "False", 0, -2147483649), "", "label -2147483649 at index [1] does not fit in int32"},
		{"2³¹ as uint32", npyFile(dict("'<u4'", "False", "(1,)"), []byte{0, 0, 0, 0x80}), "", "label 2147483648 at index [0] does not fit in int32"},
		{"2⁶⁴ − 1", npyFile(dict("'>u8'", "False", "(1,)"), bytes.Repeat([]byte{0xff}, 8)), "", "label 18446744073709551615 at index [0] does not fit in int32"},
		{"zip of nothing", append([]byte("PK\x05\x06"), make([]byte, 18)...), "the file holds no array", "the file holds no array"},
		{"zip cut", zipped[:len(zipped)-30], "not a valid zip file (.npz, .pt), or one that is cut off: zip: not a valid zip file", ""},
		{"zip damaged", damaged, "the checksum does not fit: the file is damaged", ""},
		{"zip bomb", bomb, "array logits: it claims 2147483648 bytes, more than the file can hold", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, errX, _, errY := readBytes(test.content)
			if test.logits != "" && fmt.Sprint(errX) != test.logits {
				t.Errorf("logits: %v\nwant    %s", errX, test.logits)
			}
			if test.labels != "" && fmt.Sprint(errY) != test.labels {
				t.Errorf("labels: %v\nwant    %s", errY, test.labels)
			}
		})
	}
}

func TestBadPaths(t *testing.T) {
	for _, test := range []struct{ path, want string }{
		{"testdata/none.npy", "testdata/none.npy: no such file or directory"},
		{"testdata", "testdata: is a directory; a set of files is compared with another one"},
		{"testdata/both.npz:none", `testdata/both.npz:none: no array "none" among logits, labels`},
		{"testdata/compressed.npz", "testdata/compressed.npz: holds a, b: name one, as in FILE.npz:a"},
		{"testdata/none.npz:a", "testdata/none.npz: no such file or directory"},
		{writeFile(t, "array.npz", npyFile(dict("'<f4'", "False", "(1,)"), make([]byte, 4))) + ":a", `array.npz:a: not a .npz, .safetensors or .pt file, so it holds no "a"`},
		{"testdata/logits_complex.npy", "testdata/logits_complex.npy: dtype \"<c8\" cannot be read: want float16, float32 or float64, integers or bool"},
		{"testdata/logits_object.npy", "testdata/logits_object.npy: dtype \"|O\" cannot be read: want float16, float32 or float64, integers or bool"},
		{"testdata/logits_record.npy", "testdata/logits_record.npy: records of several fields cannot be read: want float16, float32 or float64, integers or bool"},
	} {
		if _, err := readLogits(test.path); err == nil || !strings.HasSuffix(err.Error(), test.want) {
			t.Errorf("%s: got %v\nwant %s", test.path, err, test.want)
		}
	}
}

// A pipe has no size until it was read.
func TestReadPipe(t *testing.T) {
	content, err := os.ReadFile("testdata/logits_float32.npy")
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	go func() {
		w.Write(content)
		w.Close()
	}()
	path := fmt.Sprintf("/dev/fd/%d", r.Fd())
	if _, err := os.Stat(path); err != nil {
		t.Skip("no /dev/fd")
	}
	a, err := readLogits(path)
	if err != nil || !slices.Equal(a.data, someLogits) {
		t.Errorf("got %v, %v", a, err)
	}
}

// FuzzReadNPY reads bytes as logits and as labels: nothing may panic, and what is read is as long as its shape and the file say.
func FuzzReadNPY(f *testing.F) {
	for _, pattern := range []string{"testdata/*.npy", "testdata/*.npz", "testdata/*.png"} {
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
	f.Add(npyFile(dict("'<f4'", "True", "(2, 3, 4)"), make([]byte, 96)))
	f.Add(npyFile(dict("'>f2'", "False", "()"), make([]byte, 2)))
	f.Add(npyFile(dict("'<i8'", "False", "(0, 7)"), nil))
	f.Fuzz(func(t *testing.T, content []byte) {
		x, errX, y, errY := readBytes(content)
		plain := bytes.HasPrefix(content, []byte(npyMagic))
		if errX == nil {
			if Product(x.shape) != len(x.data) {
				t.Errorf("logits: %d elements of shape %v", len(x.data), x.shape)
			}
			if plain && len(x.data)*2 > len(content) {
				t.Errorf("logits: %d elements out of %d bytes", len(x.data), len(content))
			}
		}
		if errY == nil {
			if Product(y.shape) != len(y.data) {
				t.Errorf("labels: %d elements of shape %v", len(y.data), y.shape)
			}
			if plain && len(y.data) > len(content) {
				t.Errorf("labels: %d elements out of %d bytes", len(y.data), len(content))
			}
		}
		if plain && errX == nil && errY == nil {
			t.Error("both logits and labels")
		}
	})
}

func BenchmarkReadLogits(b *testing.B) {
	const n = 1 << 22
	path := filepath.Join(b.TempDir(), "logits.npy")
	if err := writeNPY(path, []int{n / 16, 16}, make([]float32, n)); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(4 * n)
	for b.Loop() {
		if _, err := readLogits(path); err != nil {
			b.Fatal(err)
		}
	}
}
