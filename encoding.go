package lanewise

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"
	"slices"
)

// The binary forms of LovaszCounts and Confusion: a magic of four bytes that ends in the version, then numbers, then the CRC-32C of all
// that, little-endian. Numbers are varints of encoding/binary unless said otherwise; where bytes would be too coarse, bits in Exp-Golomb
// codes.

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

// A bitWriter appends bits to bytes, the lowest bit of a byte first.
type bitWriter struct {
	to   []byte
	word uint64 // the bits that do not fill it yet
	n    int    // how many these are
}

// put appends the lower n bits of v, which has no others.
func (w *bitWriter) put(v uint64, n int) {
	w.word |= v << w.n
	if w.n += n; w.n >= 64 {
		w.to = binary.LittleEndian.AppendUint64(w.to, w.word)
		w.n -= 64
		w.word = v >> (n - w.n)
	}
}

// golomb appends v < 2⁶² as its Exp-Golomb code (Teuhola, A compression method for clustered bit-vectors, 1978). As many of its lower bits
// as the order says, at most 56, are written as they are, after what is above them: v>>order + 1 ≤ 2⁵⁵, whose bits below the highest follow
// their number in unary. The order should be near the bits of a typical v.
func (w *bitWriter) golomb(v uint64, order int) {
	rest := v>>order + 1
	n := bits.Len64(rest) - 1
	w.put(1<<n, n+1)
	w.put(rest&^(1<<n), n)
	w.put(v&(1<<order-1), order)
}

// end fills up the last byte with zeros, and returns all bytes.
func (w *bitWriter) end() []byte {
	for ; w.n > 0; w.n -= 8 {
		w.to = append(w.to, byte(w.word))
		w.word >>= 8
	}
	return w.to
}

// A decoder reads an encoding, and remembers the first error: what is read after it is 0.
type decoder struct {
	data []byte
	err  error

	word uint64 // bits taken out of data ahead of take and golomb, after which only end may follow
	n    int    // how many these are
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
	d.data, d.word, d.n = nil, 0, 0
}

// end returns the first error. What is left over is one, but for zeros in the last byte of which bits were taken.
func (d *decoder) end() error {
	if left := len(d.data) + d.n/8; left > 0 || d.word != 0 {
		d.fail("%d bytes and the bits %b are left over", left, d.word&0x7f)
	}
	return d.err
}

const badNumber = "a number is cut off, too large, or longer than it has to be"

// uint reads a number that is at most most.
func (d *decoder) uint(most uint64) uint64 {
	v, n := binary.Uvarint(d.data)
	if d.err != nil || n <= 0 || v > most || padded(d.data[:n]) {
		d.fail(badNumber)
		return 0
	}
	d.data = d.data[n:]
	return v
}

// padded says whether a varint has a byte that adds nothing: a number has one form.
func padded(varint []byte) bool { return len(varint) > 1 && varint[len(varint)-1] == 0 }

// refill takes bits out of data until there are at least 56, or no more.
func (d *decoder) refill() {
	for ; d.n < 56 && len(d.data) > 0; d.n += 8 {
		d.word |= uint64(d.data[0]) << d.n
		d.data = d.data[1:]
	}
}

// take reads n bits, at most 56.
func (d *decoder) take(n int) uint64 {
	if d.n < n {
		if d.refill(); d.n < n {
			d.fail("it is cut off")
			return 0
		}
	}
	v := d.word & (1<<n - 1)
	d.word >>= n
	d.n -= n
	return v
}

// golomb reads a number that bitWriter.golomb wrote, and that is at most most.
func (d *decoder) golomb(order int, most uint64) uint64 {
	d.refill()
	n := bits.TrailingZeros64(d.word)
	if n >= min(d.n, 56, 63-order) {
		d.fail(badNumber)
		return 0
	}
	d.take(n + 1)
	rest := d.take(n) | 1<<n
	v := (rest-1)<<order | d.take(order)
	if d.err != nil || v > most {
		d.fail(badNumber)
		return 0
	}
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
		if n <= 0 || padded(d.data[:n]) || int64(E(v)) != v || len(set) > 0 && E(v) <= set[len(set)-1] {
			d.fail("a list is cut off or not in order")
			return nil
		}
		d.data = d.data[n:]
		set = append(set, E(v))
	}
	return set
}
