package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A dtype is the type of an array's elements.
type dtype struct {
	kind  byte // 'f', 'i', 'u' or 'b'
	size  int  // bytes
	big   bool // big-endian
	brain bool // bfloat16
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
