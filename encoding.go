package lanewise

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
)

// The binary forms of LovaszCounts and Confusion: a magic of four bytes that ends in the version, then numbers, then the CRC-32C of all
// that, little-endian. Numbers are varints of encoding/binary unless said otherwise.

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendChecksum ends an encoding that began at b[start:].
func appendChecksum(b []byte, start int) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// appendSet appends the different elements of a list in ascending order.
func appendSet[E int | int32](b []byte, list []E) []byte {
	set := slices.Compact(slices.Sorted(slices.Values(list)))
	b = binary.AppendUvarint(b, uint64(len(set)))
	for _, e := range set {
		b = binary.AppendVarint(b, int64(e))
	}
	return b
}

// A decoder reads an encoding, and remembers the first error: what is read after it is 0.
type decoder struct {
	data []byte
	err  error
}

// newDecoder checks the magic and the checksum.
func newDecoder(data []byte, magic string) *decoder {
	d := &decoder{}
	end := len(data) - 4
	switch {
	case end < len(magic):
		d.fail("%d bytes are too few", len(data))
	case string(data[:len(magic)]) != magic:
		d.fail("the bytes begin with %q, want %q", data[:len(magic)], magic)
	case binary.LittleEndian.Uint32(data[end:]) != crc32.Checksum(data[:end], castagnoli):
		d.fail("the checksum does not fit: the bytes are cut off or damaged")
	default:
		d.data = data[len(magic):end]
	}
	return d
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = errorf(ErrFormat, format, args...)
	}
	d.data = nil
}

// end returns the first error; bytes that are left over are one.
func (d *decoder) end() error {
	if d.err == nil && len(d.data) > 0 {
		d.fail("%d bytes are left over", len(d.data))
	}
	return d.err
}

// uint reads a number that is at most most.
func (d *decoder) uint(most uint64) uint64 {
	v, n := binary.Uvarint(d.data)
	if d.err != nil || n <= 0 || v > most {
		d.fail("a number is cut off or too large")
		return 0
	}
	d.data = d.data[n:]
	return v
}

// length reads how many things follow, of so many bytes each at least.
func (d *decoder) length(each int) int { return int(d.uint(uint64(len(d.data) / each))) }

func (d *decoder) byte() byte { return byte(d.fixed(1)) }

func (d *decoder) uint32() uint32 { return uint32(d.fixed(4)) }

// fixed reads a number of n bytes.
func (d *decoder) fixed(n int) uint64 {
	if len(d.data) < n {
		d.fail("it is cut off")
		return 0
	}
	var v uint64
	for i, b := range d.data[:n] {
		v |= uint64(b) << (8 * i)
	}
	d.data = d.data[n:]
	return v
}

// decodeSet reads what appendSet wrote: nil for nothing.
func decodeSet[E int | int32](d *decoder) []E {
	var set []E
	for range d.length(1) {
		v, n := binary.Varint(d.data)
		if n <= 0 || int64(E(v)) != v || len(set) > 0 && E(v) <= set[len(set)-1] {
			d.fail("a list is cut off or not in order")
			return nil
		}
		d.data = d.data[n:]
		set = append(set, E(v))
	}
	return set
}
