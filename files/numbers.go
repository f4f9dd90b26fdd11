package files

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"unsafe"
)

// A dtype is the type of an array's elements.
type dtype struct {
	kind  byte // 'f', 'i', 'u' or 'b'
	size  int  // bytes
	big   bool // big-endian
	brain bool // bfloat16
}

// String is NumPy's name, "" for a type that is not supported.
func (d dtype) String() string {
	switch {
	case d.brain:
		return "bfloat16"
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

// A numberError is a number that would become another one.
type numberError struct{ what, index, want string }

func (e *numberError) Error() string { return e.what + e.index + " does not fit in " + e.want }

// float converts the i-th element of raw. A number that float32 does not have is an error: rounded it would be infinite.
func (d dtype) float(raw []byte, i int) (float32, error) {
	switch bits := d.bits(raw, i); {
	case d.brain:
		return math.Float32frombits(uint32(bits) << 16), nil
	case d.size == 2:
		return float16(uint16(bits)), nil
	case d.size == 4:
		return math.Float32frombits(uint32(bits)), nil
	default:
		wide := math.Float64frombits(bits)
		v := float32(wide)
		if math.IsInf(float64(v), 0) && !math.IsInf(wide, 0) {
			return v, &numberError{what: fmt.Sprintf("logit %g", wide), want: "float32"}
		}
		return v, nil
	}
}

// integer converts the i-th element of raw.
func (d dtype) integer(raw []byte, i int) (int32, error) {
	bits := d.bits(raw, i)
	if d.kind == 'i' {
		unused := 64 - 8*d.size
		v := int64(bits<<unused) >> unused
		if int64(int32(v)) != v {
			return 0, &numberError{what: fmt.Sprintf("label %d", v), want: "int32"}
		}
		return int32(v), nil
	}
	if bits > math.MaxInt32 {
		return 0, &numberError{what: fmt.Sprintf("label %d", bits), want: "int32"}
	}
	return int32(bits), nil
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

// dense is an array whose elements follow one another in the file.
type dense struct {
	dtype   dtype
	shape   []int
	count   int // elements
	fortran bool
	payload io.Reader
	drain   bool // what follows the elements is another array's: it is read for the checksum at its end
}

// newDense compares the size of an array with the bytes that there are for it, before any memory is taken.
func newDense(d dtype, shape []int, have int64) (*dense, error) {
	a := &dense{dtype: d, shape: shape, count: 1}
	what := fmt.Sprintf("shape %s of %v", Axes(shape), d)
	for _, n := range shape {
		if n < 0 {
			return nil, fmt.Errorf("%s: not a shape", what)
		}
	}
	if slices.Contains(shape, 0) {
		a.count = 0
	}
	limit := min(have/int64(d.size), math.MaxInt/8)
	for _, n := range shape {
		if a.count > 0 && int64(n) > limit/int64(a.count) {
			return nil, fmt.Errorf("the file is truncated: %s wants more than the %s that there are for it", what, plural(int(have), "byte"))
		}
		a.count *= n
	}
	if want := int64(a.count) * int64(d.size); want > have {
		return nil, fmt.Errorf("the file is truncated: %s wants more than the %s that there are for it", what, plural(int(have), "byte"))
	} else if want < have {
		return nil, fmt.Errorf("%s is %s, yet there are %d", what, plural(int(want), "byte"), have)
	}
	return a, nil
}

func (a *dense) floats() ([]float32, error) {
	if a.dtype.kind != 'f' {
		return nil, errNotFloats(a.dtype.String())
	}
	return readDense(a, a.dtype.size == 4, a.dtype.float)
}

func (a *dense) integers() ([]int32, error) {
	if a.dtype.kind == 'f' {
		return nil, errNotIntegers(a.dtype.String())
	}
	return readDense(a, a.dtype.kind == 'i' && a.dtype.size == 4, a.dtype.integer)
}

// readDense reads all elements in C order. Where straight says that the file holds T they are read to where they stay; otherwise they are
// converted block by block.
func readDense[T float32 | int32](a *dense, straight bool, convert func(raw []byte, i int) (T, error)) ([]T, error) {
	data, err := grow[T](a.payload, a.count, a.dtype, straight && a.dtype.big != littleEndian, func(raw []byte, i, at int) (T, error) {
		v, err := convert(raw, i)
		var number *numberError
		if errors.As(err, &number) {
			number.index = " at index " + a.index(at)
		}
		return v, err
	})
	if err != nil {
		return nil, err
	}
	// The end of a zip's entry is where its checksum is compared.
	if a.drain {
		if _, err := io.Copy(io.Discard, a.payload); err != nil {
			return nil, truncated(err)
		}
	} else if n, err := io.ReadFull(a.payload, make([]byte, 1)); n > 0 {
		return nil, errors.New("more bytes follow the array")
	} else if err != io.EOF {
		return nil, truncated(err)
	}
	if a.fortran {
		data = fromFortran(data, a.shape)
	}
	return data, nil
}

// grow reads count elements. Memory is taken as they come: what is compressed may end early.
func grow[T float32 | int32](r io.Reader, count int, d dtype, straight bool, convert func(raw []byte, i, at int) (T, error)) ([]T, error) {
	const first, block = 1 << 22, 8192
	data := make([]T, 0, min(count, first))
	var raw []byte
	if !straight {
		raw = make([]byte, min(block, count)*d.size)
	}
	for len(data) < count {
		if len(data) == cap(data) {
			data = append(make([]T, 0, min(count, 4*cap(data))), data...)
		}
		from := len(data)
		if straight {
			data = data[:cap(data)]
			if _, err := io.ReadFull(r, unsafe.Slice((*byte)(unsafe.Pointer(&data[from])), 4*(len(data)-from))); err != nil {
				return nil, truncated(err)
			}
			continue
		}
		data = data[:min(from+block, cap(data))]
		raw := raw[:(len(data)-from)*d.size]
		if _, err := io.ReadFull(r, raw); err != nil {
			return nil, truncated(err)
		}
		for i := range data[from:] {
			var err error
			if data[from+i], err = convert(raw, i, from+i); err != nil {
				return nil, err
			}
		}
	}
	return data, nil
}

// fromFortran brings an array whose first index runs fastest into C order.
func fromFortran[T any](src []T, shape []int) []T {
	strides, stride := make([]int, len(shape)), 1
	for axis, d := range shape {
		strides[axis] = stride
		stride *= d
	}
	dst := make([]T, len(src))
	walk(shape, strides, 0, len(dst), func(i, at int) { dst[i] = src[at] })
	return dst
}

// walk visits count elements of an array in C order, and says where each is by the strides.
func walk(shape, strides []int, at, count int, visit func(i, at int)) {
	index := make([]int, len(shape))
	for i := range count {
		visit(i, at)
		for axis := len(shape) - 1; axis >= 0; axis-- {
			at += strides[axis]
			if index[axis]++; index[axis] < shape[axis] {
				break
			}
			at -= strides[axis] * shape[axis]
			index[axis] = 0
		}
	}
}

// index writes where the i-th element of the file is, as NumPy would.
func (a *dense) index(i int) string {
	index := make([]int, len(a.shape))
	for axis := range index {
		if !a.fortran {
			axis = len(index) - 1 - axis
		}
		index[axis] = i % a.shape[axis]
		i /= a.shape[axis]
	}
	return Axes(index)
}
