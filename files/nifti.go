package files

import (
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// NIfTI-1: a header of 348 bytes and four more, extensions, then the elements, x fastest. It is usually compressed as a whole (.nii.gz).
const (
	niftiHeader = 348
	gzipMagic   = "\x1f\x8b"
)

var niftiTypes = map[uint16]dtype{
	2: {kind: 'u', size: 1}, 4: {kind: 'i', size: 2}, 8: {kind: 'i', size: 4}, 16: {kind: 'f', size: 4}, 64: {kind: 'f', size: 8},
	256: {kind: 'i', size: 1}, 512: {kind: 'u', size: 2}, 768: {kind: 'u', size: 4}, 1024: {kind: 'i', size: 8}, 1280: {kind: 'u', size: 8},
}

// isNIfTI reports whether the file is one, not compressed.
func (s *source) isNIfTI() bool {
	magic := make([]byte, 4)
	_, err := s.r.ReadAt(magic, 344)
	return (err == nil || err == io.EOF) && string(magic) == "n+1\x00"
}

// openNIfTI reads the header of class ids. The axes are z, y, x, as SimpleITK has them and nnU-Net writes its probabilities; how the voxels
// lie in space is of no account.
func (s *source) openNIfTI() (*Array, error) {
	var r io.Reader = io.NewSectionReader(s.r, 0, s.size)
	limit := s.size
	if s.holds(gzipMagic) {
		unzipped, err := gzip.NewReader(r)
		if err != nil {
			return nil, fmt.Errorf("not a valid gzip file: %w", truncated(err))
		}
		r, limit = unzipped, min(s.size, math.MaxInt64/maxRatio)*maxRatio
	}
	h := make([]byte, niftiHeader)
	if _, err := io.ReadFull(r, h); err != nil || string(h[344:]) != "n+1\x00" {
		if err != nil && truncated(err) == err {
			return nil, err
		}
		return nil, errors.New("not a NIfTI-1 file of header and elements (n+1), which is all that is read of gzip files")
	}
	var order binary.ByteOrder = binary.LittleEndian
	if order.Uint32(h) != niftiHeader {
		order = binary.BigEndian
	}
	d, known := niftiTypes[order.Uint16(h[70:])]
	if !known {
		return nil, fmt.Errorf("elements of NIfTI's type %d: want integers, the class ids", order.Uint16(h[70:]))
	}
	d.big = order == binary.BigEndian
	number := func(at int) float64 { return float64(math.Float32frombits(order.Uint32(h[at:]))) }
	if slope, offset := number(112), number(116); slope != 0 && slope == slope && (slope != 1 || offset != 0) {
		return nil, fmt.Errorf("the elements are scaled (scl_slope %g, scl_inter %g), which class ids are not", slope, offset)
	}
	axes, start := int(int16(order.Uint16(h[40:]))), number(108)
	if order.Uint32(h) != niftiHeader || axes < 1 || axes > 7 || !(start >= niftiHeader+4 && start <= 1<<24) || start != math.Trunc(start) {
		return nil, errors.New("not a valid NIfTI-1 header")
	}
	if _, err := io.CopyN(io.Discard, r, int64(start)-niftiHeader); err != nil {
		return nil, truncated(err)
	}
	var shape []int
	limit -= int64(start)
	want := int64(d.size)
	for axis := axes; axis > 0; axis-- {
		n := int(int16(order.Uint16(h[40+2*axis:])))
		switch {
		case n < 1:
			return nil, errors.New("not a valid NIfTI-1 header")
		case n == 1 && axis > 3 && len(shape) == 0: // of time and the like
			continue
		case int64(n) > limit/want:
			return nil, fmt.Errorf("the file is truncated: its header claims more elements than its %s can hold", plural(int(s.size), "byte"))
		}
		want *= int64(n)
		shape = append(shape, n)
	}
	if !s.holds(gzipMagic) {
		want = limit // all that there is
	}
	a, err := newDense(d, shape, want)
	if err != nil {
		return nil, err
	}
	a.payload = r
	return &Array{Dtype: "NIfTI", Shape: shape, elements: &volume{a}}, nil
}

// A volume is the class ids of a NIfTI file: integers, be their type one of floats.
type volume struct{ *dense }

func (v *volume) floats() ([]float32, error) { return nil, errNotFloats("a NIfTI file") }

func (v *volume) integers() ([]int32, error) {
	if v.dtype.kind != 'f' {
		return v.dense.integers()
	}
	return readDense(v.dense, false, func(raw []byte, i int) (int32, error) {
		value := math.Float64frombits(v.dtype.bits(raw, i))
		if v.dtype.size == 4 {
			value = float64(math.Float32frombits(uint32(v.dtype.bits(raw, i))))
		}
		if value != math.Trunc(value) || math.Abs(value) > math.MaxInt32 {
			return 0, &numberError{what: fmt.Sprintf("label %g", value), want: "int32"}
		}
		return int32(value), nil
	})
}
