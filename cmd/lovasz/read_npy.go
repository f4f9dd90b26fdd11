package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
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

var errHeader = errors.New("not a valid .npy header")

// openNPY reads and checks the header of a .npy file of the given size.
func openNPY(r io.Reader, size int64) (*npyArray, error) {
	begin := make([]byte, 12) // magic, version and the length of the text: 2 bytes of it in version 1, 4 in version 2
	if _, err := io.ReadFull(r, begin[:10]); err != nil || string(begin[:6]) != npyMagic {
		return nil, headerError(err)
	}
	text := int64(binary.LittleEndian.Uint16(begin[8:10]))
	switch version := begin[6]; version {
	case 1:
		begin = begin[:10]
	case 2:
		if _, err := io.ReadFull(r, begin[10:]); err != nil {
			return nil, headerError(err)
		}
		text = int64(binary.LittleEndian.Uint32(begin[8:12]))
	default:
		return nil, fmt.Errorf("version %d of the .npy format is not supported", version)
	}
	if text > maxHeader {
		return nil, errHeader
	}
	header := append(begin, make([]byte, text)...)
	if _, err := io.ReadFull(r, header[len(begin):]); err != nil {
		return nil, headerError(err)
	}
	parsed, err := parseHeader(header)
	if err != nil {
		return nil, err
	}
	a := &npyArray{shape: parsed.Descr.Shape, fortran: parsed.Descr.Fortran, payload: r}
	if a.dtype, err = parseDtype(parsed.Descr.Type); err != nil {
		return nil, err
	}
	return a, a.checkSize(size - int64(len(header)))
}

// headerError returns what is wrong with a header that cannot be read whole: errHeader, unless the reader itself failed.
func headerError(err error) error {
	if err == nil || err == io.EOF || err == io.ErrUnexpectedEOF {
		return errHeader
	}
	return err
}

// parseHeader leaves the header to npyio, which panics on some malformed ones. (It would also allocate as much as a header says that it is
// long: so the bytes are read before.)
func parseHeader(header []byte) (h npy.Header, err error) {
	defer func() {
		if recover() != nil {
			err = errHeader
		}
	}()
	r, err := npy.NewReader(bytes.NewReader(header))
	if err != nil {
		return h, errHeader
	}
	return r.Header, nil
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

func (a *npyArray) header() (string, []int) { return a.dtype.String(), a.shape }

// floats reads the elements as float32.
func (a *npyArray) floats() ([]float32, error) {
	d := a.dtype
	if d.kind != 'f' {
		return nil, errNotFloats(d.String())
	}
	return elements(a, d.size == 4, func(dst []float32, raw []byte, _ int) error {
		for i := range dst {
			switch bits := d.bits(raw, i); {
			case d.brain:
				dst[i] = math.Float32frombits(uint32(bits) << 16)
			case d.size == 2:
				dst[i] = float16(uint16(bits))
			case d.size == 4:
				dst[i] = math.Float32frombits(uint32(bits))
			default:
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
		return nil, errNotIntegers(d.String())
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
