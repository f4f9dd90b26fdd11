package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"codeberg.org/sbinet/npyio/npy/float16"
)

// floats decodes the elements of a float array.
func floats(dtype string, raw []byte) ([]float32, error) {
	switch dtype {
	case "<f4":
		return decode(raw, 4, func(b []byte) (float32, error) {
			return math.Float32frombits(binary.LittleEndian.Uint32(b)), nil
		})
	case "<f2":
		return decode(raw, 2, func(b []byte) (float32, error) {
			return float16.Float16Frombits(binary.LittleEndian.Uint16(b)).Float32(), nil
		})
	case "<f8":
		return decode(raw, 8, func(b []byte) (float32, error) {
			return float32(math.Float64frombits(binary.LittleEndian.Uint64(b))), nil
		})
	}
	return nil, fmt.Errorf("logits are %s: want float32 (<f4), <f2 or <f8", dtype)
}

// integers decodes the elements of an integer array. One that does not fit is an error: cut to 32 bits it would be another class.
func integers(dtype string, raw []byte) ([]int32, error) {
	signed := false
	switch dtype {
	case "|b1", "|u1", "<u2", "<u4", "<u8":
	case "|i1", "<i2", "<i4", "<i8":
		signed = true
	default:
		return nil, fmt.Errorf("labels are %s: want integers, the class ids", dtype)
	}
	size := int(dtype[2] - '0')
	return decode(raw, size, func(b []byte) (int32, error) {
		var v uint64
		for i, part := range b {
			v |= uint64(part) << (8 * i)
		}
		if signed {
			unused := 64 - 8*size
			v = uint64(int64(v<<unused) >> unused)
			if int64(v) != int64(int32(v)) {
				return 0, fmt.Errorf("label %d does not fit in int32", int64(v))
			}
		} else if v > math.MaxInt32 {
			return 0, fmt.Errorf("label %d does not fit in int32", v)
		}
		return int32(v), nil
	})
}

func decode[T any](raw []byte, size int, one func([]byte) (T, error)) ([]T, error) {
	if len(raw)%size != 0 {
		return nil, errors.New("the file ends within a value")
	}
	data := make([]T, len(raw)/size)
	for i := range data {
		var err error
		if data[i], err = one(raw[i*size : (i+1)*size]); err != nil {
			return nil, err
		}
	}
	return data, nil
}

// product is the number of elements of a shape, −1 where that does not fit.
func product(shape []int) int {
	n := 1
	for _, d := range shape {
		if d < 0 || d > 0 && n > math.MaxInt/d {
			return -1
		}
		n *= d
	}
	return n
}
