package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/lanewise/lanewise"
)

// An array is what a .npy file holds.
type array struct {
	shape []int
	data  []float32
}

// A header says what a .npy file holds.
type header struct {
	half  bool // float16, otherwise float32
	shape []int
	size  int // elements
}

var (
	descr   = regexp.MustCompile(`'descr'\s*:\s*'([^']*)'`)
	fortran = regexp.MustCompile(`'fortran_order'\s*:\s*(True|False)`)
	shapeIs = regexp.MustCompile(`'shape'\s*:\s*\(([^)]*)\)`)
)

// readHeader reads the beginning of a .npy file. Arrays of more than most bytes are refused before anything is allocated for them.
func readHeader(r io.Reader, most int64) (h header, err error) {
	var start [12]byte
	if _, err := io.ReadFull(r, start[:10]); err != nil {
		return h, unreadable(err, "the body is no .npy file: it ends within the header")
	}
	length := int(binary.LittleEndian.Uint16(start[8:]))
	switch {
	case string(start[:6]) != "\x93NUMPY":
		return h, failure(http.StatusBadRequest, "the body is no .npy file: it begins with %q", start[:6])
	case start[6] == 2 || start[6] == 3:
		if _, err := io.ReadFull(r, start[10:]); err != nil {
			return h, unreadable(err, "the .npy file ends within the header")
		}
		length = int(binary.LittleEndian.Uint32(start[8:]))
	case start[6] != 1:
		return h, failure(http.StatusBadRequest, "the .npy file has version %d, want 1 to 3", start[6])
	}
	if length > 1<<12 {
		return h, failure(http.StatusBadRequest, "the .npy file has a header of %d bytes", length)
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(r, text); err != nil {
		return h, unreadable(err, "the .npy file ends within the header")
	}
	typ, order, shape := descr.FindSubmatch(text), fortran.FindSubmatch(text), shapeIs.FindSubmatch(text)
	if typ == nil || order == nil || shape == nil {
		return h, failure(http.StatusBadRequest, "the header of the .npy file is not one: %.100q", text)
	}
	elementSize := int64(4)
	switch string(typ[1]) {
	case "<f4":
	case "<f2":
		h.half, elementSize = true, 2
	default:
		return h, failure(http.StatusUnsupportedMediaType, "the array is of %q, want float32 (<f4) or float16 (<f2): a.astype('<f4')", typ[1])
	}
	if string(order[1]) == "True" {
		return h, failure(http.StatusUnsupportedMediaType, "the array is in Fortran order, want C: numpy.ascontiguousarray(a)")
	}
	size := int64(1)
	for field := range strings.SplitSeq(string(shape[1]), ",") {
		if field = strings.TrimSpace(field); field == "" {
			continue
		}
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil || n < 0 {
			return h, failure(http.StatusBadRequest, "the shape of the .npy file is (%s)", shape[1])
		}
		if n > 0 && size > most/n {
			return h, failure(http.StatusRequestEntityTooLarge, "the array (%s) is larger than %d bytes", shape[1], most)
		}
		size *= n
		h.shape = append(h.shape, int(n))
	}
	if size*elementSize > most {
		return h, failure(http.StatusRequestEntityTooLarge, "the array (%s) of %d bytes is larger than %d", shape[1], size*elementSize, most)
	}
	h.size = int(size)
	return h, nil
}

// A reader reads arrays into memory that it keeps.
type reader struct {
	bytes  []byte
	halves []uint16
	array  array
}

// read reads a .npy file of at most most bytes of elements.
func (b *reader) read(r io.Reader, most int64) (*array, error) {
	h, err := readHeader(r, most)
	if err != nil {
		return nil, err
	}
	elementSize := 4
	if h.half {
		elementSize = 2
	}
	b.bytes = resize(b.bytes, h.size*elementSize)
	if n, err := io.ReadFull(r, b.bytes); err != nil {
		return nil, unreadable(err, "the .npy file ends after %d of %d bytes of elements", n, len(b.bytes))
	}
	var one [1]byte
	if n, _ := r.Read(one[:]); n > 0 {
		return nil, failure(http.StatusBadRequest, "there is more behind the %d elements of the .npy file", h.size)
	}
	b.array.shape = h.shape
	b.array.data = resize(b.array.data, h.size)
	if h.half {
		b.halves = resize(b.halves, h.size)
		for i := range b.halves {
			b.halves[i] = binary.LittleEndian.Uint16(b.bytes[2*i:])
		}
		lanewise.FromFloat16(b.array.data, b.halves)
	} else {
		for i := range b.array.data {
			b.array.data[i] = math.Float32frombits(binary.LittleEndian.Uint32(b.bytes[4*i:]))
		}
	}
	return &b.array, nil
}

func resize[E any](s []E, n int) []E { return slices.Grow(s[:0], n)[:n] }

// A statusError is the client's fault, or what else is to be said with a status.
type statusError struct {
	status  int
	message string
}

func (e *statusError) Error() string { return e.message }

func failure(status int, format string, a ...any) error {
	return &statusError{status, fmt.Sprintf(format, a...)}
}

// unreadable is a failure to read a body: it is too long, or ends too early, or the client went away.
func unreadable(err error, format string, a ...any) error {
	var long *http.MaxBytesError
	if errors.As(err, &long) {
		return failure(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes", long.Limit)
	}
	return failure(http.StatusBadRequest, format, a...)
}
