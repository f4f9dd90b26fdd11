package files

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
)

// openRaw takes the bytes of the file for float32, little-endian, of the shape that the options name.
func (s *source) openRaw() (*Array, error) {
	shape, known, open := slices.Clone(s.options.Shape), 1, -1
	for axis, n := range shape {
		switch {
		case n == -1 && open < 0:
			open = axis
		case n < 1 || known > math.MaxInt/4/n:
			return nil, fmt.Errorf("-shape %s: axes are positive, one of them may be -1", Axes(shape))
		default:
			known *= n
		}
	}
	if open >= 0 {
		if s.size%int64(4*known) != 0 {
			return nil, fmt.Errorf("the file has %d bytes, no multiple of the %d that float32 %s takes", s.size, 4*known, Axes(s.options.Shape))
		}
		shape[open] = int(s.size / int64(4*known))
	}
	a, err := newDense(dtype{kind: 'f', size: 4}, shape, s.size)
	if err != nil {
		return nil, err
	}
	a.payload = io.NewSectionReader(s.r, 0, s.size)
	return &Array{Dtype: "raw float32", Shape: shape, elements: a}, nil
}

// A labelFile is one of SemanticKITTI's: 32 bits a point, little-endian; the lower 16 are its class, the upper ones the instance.
type labelFile struct {
	r     io.Reader
	count int
}

func (s *source) openLabel() (*Array, error) {
	if s.size%4 != 0 {
		return nil, fmt.Errorf("the file has %d bytes: a .label file has 4 for each point, so it is cut off", s.size)
	}
	count := int(s.size / 4)
	return &Array{Dtype: "label", Shape: []int{count}, elements: &labelFile{io.NewSectionReader(s.r, 0, s.size), count}}, nil
}

func (l *labelFile) floats() ([]float32, error) { return nil, errNotFloats("a .label file") }

func (l *labelFile) integers() ([]int32, error) {
	return grow(l.r, l.count, dtype{kind: 'u', size: 4}, false, func(raw []byte, i, _ int) (int32, error) {
		return int32(binary.LittleEndian.Uint16(raw[4*i:])), nil
	})
}
