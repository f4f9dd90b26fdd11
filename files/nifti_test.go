package files

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"
)

// niftiOf makes a file of elements that follow one another; dims are x, y, z, ….
func niftiOf(order binary.AppendByteOrder, code uint16, start int, dims []int, elements []byte) []byte {
	b := order.AppendUint32(nil, niftiHeader)
	b = append(b, make([]byte, start-len(b))...)
	put := func(at int, v uint16) { copy(b[at:], order.AppendUint16(nil, v)) }
	put(40, uint16(len(dims)))
	for i, n := range dims {
		put(42+2*i, uint16(n))
	}
	put(70, code)
	copy(b[108:], order.AppendUint32(nil, math.Float32bits(float32(start))))
	copy(b[344:], "n+1\x00")
	return append(b, elements...)
}

func gzipped(t testing.TB, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// elementsOf writes 0, 1, 2, … in a type.
func elementsOf(t *testing.T, order binary.AppendByteOrder, code uint16, n int) (b []byte) {
	t.Helper()
	d := niftiTypes[code]
	for i := range n {
		bits := uint64(i)
		if d.kind == 'f' && d.size == 4 {
			bits = uint64(math.Float32bits(float32(i)))
		} else if d.kind == 'f' {
			bits = math.Float64bits(float64(i))
		}
		wide := order.AppendUint64(nil, bits)
		if order.String() == "BigEndian" {
			b = append(b, wide[8-d.size:]...)
		} else {
			b = append(b, wide[:d.size]...)
		}
	}
	return b
}

func openBytes(content []byte, name string, role Role) ([]int32, []int, error) {
	a, err := OpenReader(bytes.NewReader(content), int64(len(content)), name, role, Options{})
	if err != nil {
		return nil, nil, err
	}
	data, err := a.Integers()
	return data, a.Shape, err
}

// Every type, in both orders of bytes, compressed or not; x runs fastest, and is the last axis.
func TestNIfTI(t *testing.T) {
	want := make([]int32, 24)
	for i := range want {
		want[i] = int32(i)
	}
	for code := range niftiTypes {
		for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
			content := niftiOf(order, code, 352+16*int(code%2), []int{4, 3, 2, 1}, elementsOf(t, order, code, 24))
			for name, content := range map[string][]byte{"a.nii": content, "a.nii.gz": gzipped(t, content)} {
				got, shape, err := openBytes(content, name, Labels)
				if err != nil || !slices.Equal(got, want) || !slices.Equal(shape, []int{2, 3, 4}) {
					t.Errorf("type %d, %v, %s: %v %v, %v", code, order, name, shape, got, err)
				}
			}
		}
	}
	for _, dims := range [][]int{{24}, {24, 1, 1}, {6, 2, 1, 1, 2}} {
		_, shape, err := openBytes(niftiOf(binary.LittleEndian, 2, 352, dims, make([]byte, 24)), "a.nii", Labels)
		slices.Reverse(dims)
		if err != nil || !slices.Equal(shape, dims) {
			t.Errorf("%v: %v, %v", dims, shape, err)
		}
	}
}

func TestNIfTIErrors(t *testing.T) {
	good := niftiOf(binary.LittleEndian, 2, 352, []int{4, 3}, make([]byte, 12))
	with := func(at int, bytes ...byte) []byte {
		b := slices.Clone(good)
		copy(b[at:], bytes)
		return b
	}
	float := func(v float32) []byte { return binary.LittleEndian.AppendUint32(nil, math.Float32bits(v)) }
	flipped := gzipped(t, good)
	flipped[len(flipped)-6] ^= 1 // in the checksum
	for _, test := range []struct {
		content []byte
		role    Role
		want    string
	}{
		{good, Logits, "NIfTI is not read: convert it in Python with numpy.save('logits.npy', nibabel.load('a.nii').get_fdata().T)"},
		{gzipped(t, good), Logits, "gzip (.nii.gz) is not read"},
		{gzipped(t, []byte("text")), Labels, "not a NIfTI-1 file"},
		{[]byte(gzipMagic), Labels, "not a valid gzip file: the file is truncated"},
		{good[:350], Labels, "the file is truncated"},
		{good[:363], Labels, "the file is truncated"},
		{append(slices.Clone(good), 0), Labels, "yet there are 13"},
		{gzipped(t, append(slices.Clone(good), 0)), Labels, "more bytes follow the array"},
		{gzipped(t, good[:360]), Labels, "the file is truncated"},
		{gzipped(t, good)[:40], Labels, "the file is truncated"},
		{flipped, Labels, "checksum"},
		{gzipped(t, with(40, 7, 0, 0xff, 0x7f, 0xff, 0x7f, 0xff, 0x7f, 0xff, 0x7f, 0xff, 0x7f, 0xff, 0x7f, 0xff, 0x7f)), Labels, "the file is truncated: its header claims more"},
		{with(42, 0xff, 0xff), Labels, "not a valid NIfTI-1 header"},
		{with(40, 8, 0), Labels, "not a valid NIfTI-1 header"},
		{with(0, 1, 2, 3, 4), Labels, "not a valid NIfTI-1 header"},
		{with(70, 32, 0), Labels, "of NIfTI's type 32: want integers"},
		{with(108, float(100)...), Labels, "not a valid NIfTI-1 header"},
		{with(108, float(float32(math.NaN()))...), Labels, "not a valid NIfTI-1 header"},
		{gzipped(t, with(108, float(1<<20)...)), Labels, "the file is truncated"},
		{with(112, float(.5)...), Labels, "the elements are scaled (scl_slope 0.5, scl_inter 0)"},
		{niftiOf(binary.LittleEndian, 16, 352, []int{1}, float(.5)), Labels, "label 0.5 at index [0] does not fit in int32"},
		{niftiOf(binary.LittleEndian, 16, 352, []int{1}, float(float32(math.NaN()))), Labels, "label NaN at index [0]"},
	} {
		if _, _, err := openBytes(test.content, "a.nii", test.role); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
	// Scales that change nothing.
	for _, slope := range []float32{0, 1, float32(math.NaN())} {
		if _, _, err := openBytes(with(112, float(slope)...), "a.nii", Labels); err != nil {
			t.Errorf("%v: %v", slope, err)
		}
	}
}
