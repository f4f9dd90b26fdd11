package main

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"codeberg.org/sbinet/npyio/npy"
)

// An npyArray is an array whose header is read and checked; its elements come next.
type npyArray struct {
	dtype   dtype
	shape   []int
	count   int // elements
	fortran bool
	payload io.Reader
}

// maxHeader bounds the text of a header. numpy itself stops at 10,000 bytes.
const maxHeader = 1 << 16

// openNPY reads the header of a .npy file of the given size. npyio parses it, but trusts what it reads: it allocates whatever the length
// field says and panics on some malformed dictionaries, so the bytes are read here and a panic is an invalid header.
func openNPY(r io.Reader, size int64) (_ *npyArray, err error) {
	invalid := errors.New("not a valid .npy header")
	begin := make([]byte, 12) // magic, version and the length of the text: 2 bytes of it in version 1, 4 in version 2
	if _, err := io.ReadFull(r, begin[:10]); err != nil || string(begin[:6]) != npyMagic {
		return nil, orReadError(err, invalid)
	}
	text := int64(binary.LittleEndian.Uint16(begin[8:10]))
	switch version := begin[6]; version {
	case 1:
		begin = begin[:10]
	case 2:
		if _, err := io.ReadFull(r, begin[10:]); err != nil {
			return nil, orReadError(err, invalid)
		}
		text = int64(binary.LittleEndian.Uint32(begin[8:12]))
	default:
		return nil, fmt.Errorf("version %d of the .npy format is not supported", version)
	}
	if text > maxHeader {
		return nil, invalid
	}
	header := append(begin, make([]byte, text)...)
	if _, err := io.ReadFull(r, header[len(begin):]); err != nil {
		return nil, orReadError(err, invalid)
	}
	defer func() {
		if recover() != nil {
			err = invalid
		}
	}()
	parsed, err := npy.NewReader(bytes.NewReader(header))
	if err != nil {
		return nil, invalid
	}
	descr := parsed.Header.Descr
	a := &npyArray{shape: descr.Shape, fortran: descr.Fortran, payload: r}
	if a.dtype, err = parseDtype(descr.Type); err != nil {
		return nil, err
	}
	return a, a.checkSize(size - int64(len(header)))
}

// orReadError returns what is wrong with a header that cannot be read whole: invalid, unless the reader itself failed.
func orReadError(err, invalid error) error {
	if err == nil || err == io.EOF || err == io.ErrUnexpectedEOF {
		return invalid
	}
	return err
}

// checkSize counts the elements and compares their bytes with those that follow the header, before any memory is taken for them.
func (a *npyArray) checkSize(have int64) error {
	what := fmt.Sprintf("shape %s of %v", axes(a.shape), a.dtype)
	a.count = 1
	for _, d := range a.shape {
		if d < 0 {
			return fmt.Errorf("%s: not a shape", what)
		}
	}
	if slices.Contains(a.shape, 0) {
		a.count = 0
	}
	limit := min(have/int64(a.dtype.size), math.MaxInt/8)
	for _, d := range a.shape {
		if a.count > 0 && int64(d) > limit/int64(a.count) {
			return fmt.Errorf("the file is truncated: %s wants more than the %s that follow the header", what, plural(int(have), "byte"))
		}
		a.count *= d
	}
	if want := int64(a.count) * int64(a.dtype.size); want < have {
		return fmt.Errorf("%s is %s, yet %d follow the header", what, plural(int(want), "byte"), have)
	}
	return nil
}

// openNPZ finds an array in a .npz file.
func openNPZ(f *file, usual string) (*npyArray, error) {
	archive, err := zip.NewReader(f.r, f.size)
	if err != nil {
		return nil, fmt.Errorf("not a valid .npz file: %w", err)
	}
	var names []string
	arrays := map[string]*zip.File{}
	for _, entry := range archive.File {
		if name, ok := strings.CutSuffix(entry.Name, ".npy"); ok {
			names = append(names, name)
			arrays[name] = entry
		}
	}
	if len(names) == 0 {
		return nil, errors.New("the .npz file holds no array")
	}
	list := strings.Join(names, ", ")
	name := strings.TrimSuffix(f.entry, ".npy")
	switch {
	case name != "":
		if arrays[name] == nil {
			return nil, fmt.Errorf("no array %q among %s", name, list)
		}
	case arrays[usual] != nil:
		name = usual
	case len(names) == 1:
		name = names[0]
	default:
		return nil, fmt.Errorf("holds %s: name one, as in FILE.npz:%s", list, names[0])
	}
	entry := arrays[name]
	size := entry.UncompressedSize64
	if size/maxRatio > uint64(f.size) {
		return nil, fmt.Errorf("array %s claims %d bytes, more than the file can hold", name, size)
	}
	content, err := entry.Open()
	if err != nil {
		return nil, fmt.Errorf("array %s: %w", name, err)
	}
	a, err := openNPY(content, int64(size)) // nothing to close: it reads from f
	if err != nil {
		return nil, fmt.Errorf("array %s: %w", name, err)
	}
	return a, nil
}

// maxRatio is the most that deflate can expand: a file cannot hold more than this many times its size.
const maxRatio = 1032

// A dtype is the type of an array's elements.
type dtype struct {
	kind byte // 'f', 'i', 'u' or 'b'
	size int  // bytes
	big  bool // big-endian
}

// parseDtype reads a descr as it stands in a header: '<f4', with its quotes.
func parseDtype(descr string) (dtype, error) {
	unsupported := fmt.Errorf("dtype %s cannot be read: want float16, float32 or float64, integers or bool", descr)
	s := strings.Trim(descr, `'`)
	if len(s) < 3 || len(s) != len(descr)-2 {
		return dtype{}, unsupported
	}
	size, err := strconv.Atoi(s[2:])
	if err != nil {
		return dtype{}, unsupported
	}
	d := dtype{kind: s[1], size: size}
	switch s[0] {
	case '<', '|':
	case '>':
		d.big = true
	case '=':
		d.big = !littleEndian
	default:
		return dtype{}, unsupported
	}
	if d.String() == "" {
		return dtype{}, unsupported
	}
	return d, nil
}

// String is numpy's name, "" for a type that is not supported.
func (d dtype) String() string {
	switch {
	case d.kind == 'b' && d.size == 1:
		return "bool"
	case d.kind == 'f' && (d.size == 2 || d.size == 4 || d.size == 8):
		return fmt.Sprintf("float%d", 8*d.size)
	case (d.kind == 'i' || d.kind == 'u') && (d.size == 1 || d.size == 2 || d.size == 4 || d.size == 8):
		return map[byte]string{'i': "int", 'u': "uint"}[d.kind] + strconv.Itoa(8*d.size)
	}
	return ""
}

// littleEndian says how this machine keeps numbers.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// bits returns the i-th element of raw.
func (d dtype) bits(raw []byte, i int) uint64 {
	var order binary.ByteOrder = binary.LittleEndian
	if d.big {
		order = binary.BigEndian
	}
	switch raw = raw[i*d.size : (i+1)*d.size]; d.size {
	case 1:
		return uint64(raw[0])
	case 2:
		return uint64(order.Uint16(raw))
	case 4:
		return uint64(order.Uint32(raw))
	}
	return order.Uint64(raw)
}

// floats reads the elements as float32.
func (a *npyArray) floats() ([]float32, error) {
	d := a.dtype
	if d.kind != 'f' {
		return nil, fmt.Errorf("logits are %v: want float16, float32 or float64", d)
	}
	return elements(a, d.size == 4, func(dst []float32, raw []byte, _ int) error {
		for i := range dst {
			switch bits := d.bits(raw, i); d.size {
			case 2:
				dst[i] = float16(uint16(bits))
			case 4:
				dst[i] = math.Float32frombits(uint32(bits))
			case 8:
				dst[i] = float32(math.Float64frombits(bits))
			}
		}
		return nil
	})
}

// integers reads the elements as int32. One that does not fit is an error: cut to 32 bits it would be another class.
func (a *npyArray) integers() ([]int32, error) {
	d := a.dtype
	if d.kind == 'f' {
		return nil, fmt.Errorf("labels are %v: want integers, the class ids", d)
	}
	return elements(a, d.kind == 'i' && d.size == 4, func(dst []int32, raw []byte, first int) error {
		for i := range dst {
			bits := d.bits(raw, i)
			if d.kind == 'i' {
				unused := 64 - 8*d.size
				v := int64(bits<<unused) >> unused
				if dst[i] = int32(v); int64(dst[i]) != v {
					return fmt.Errorf("label %d at index %s does not fit in int32", v, a.index(first+i))
				}
			} else {
				if dst[i] = int32(bits); bits > math.MaxInt32 {
					return fmt.Errorf("label %d at index %s does not fit in int32", bits, a.index(first+i))
				}
			}
		}
		return nil
	})
}

// elements reads all elements in C order. Where straight says that the file holds T they are read to where they stay; otherwise convert
// gets them block by block, with the place of the first one in the file.
func elements[T float32 | int32](a *npyArray, straight bool, convert func(dst []T, raw []byte, first int) error) ([]T, error) {
	data := make([]T, a.count)
	if straight && a.dtype.big != littleEndian && a.count > 0 {
		if _, err := io.ReadFull(a.payload, unsafe.Slice((*byte)(unsafe.Pointer(&data[0])), 4*a.count)); err != nil {
			return nil, truncated(err)
		}
	} else {
		const block = 8192
		raw := make([]byte, min(block, a.count)*a.dtype.size)
		for i := 0; i < a.count; i += block {
			dst := data[i:min(i+block, a.count)]
			raw := raw[:len(dst)*a.dtype.size]
			if _, err := io.ReadFull(a.payload, raw); err != nil {
				return nil, truncated(err)
			}
			if err := convert(dst, raw, i); err != nil {
				return nil, err
			}
		}
	}
	// The end of a .npz entry is where its checksum is compared.
	switch n, err := io.ReadFull(a.payload, make([]byte, 1)); {
	case n > 0:
		return nil, errors.New("more bytes follow the array")
	case err != io.EOF:
		return nil, err
	}
	if a.fortran {
		data = fromFortran(data, a.shape)
	}
	return data, nil
}

func truncated(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errors.New("the file is truncated")
	}
	return err
}

// fromFortran brings an array whose first index runs fastest into C order.
func fromFortran[T any](src []T, shape []int) []T {
	dst := make([]T, len(src))
	index := make([]int, len(shape))
	at := 0 // of index in src
	for i := range dst {
		dst[i] = src[at]
		stride := len(src)
		for axis := len(shape) - 1; axis >= 0; axis-- {
			stride /= shape[axis]
			at += stride
			if index[axis]++; index[axis] < shape[axis] {
				break
			}
			at -= stride * shape[axis]
			index[axis] = 0
		}
	}
	return dst
}

// index writes where the i-th element of the file is, as numpy would.
func (a *npyArray) index(i int) string {
	index := make([]int, len(a.shape))
	for axis := range index {
		if !a.fortran {
			axis = len(index) - 1 - axis
		}
		index[axis] = i % a.shape[axis]
		i /= a.shape[axis]
	}
	return axes(index)
}

// float16 converts IEEE 754 binary16; every value has its float32.
func float16(bits uint16) float32 {
	sign := uint32(bits&0x8000) << 16
	magnitude := uint32(bits&0x7fff) << 13
	if magnitude >= 0x7c00<<13 {
		return math.Float32frombits(sign | 0x7f800000 | magnitude) // Inf and NaN
	}
	// Read as float32 the bits are 2⁻¹¹² times the value, subnormal numbers included.
	return math.Float32frombits(sign|magnitude) * 0x1p112
}
