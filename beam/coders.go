package lanewisebeam

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/lanewise/lanewise"
)

// Beam does not look for MarshalBinary: without these, types with unexported fields travel as nothing, and images element by element.
func init() {
	beam.RegisterCoder(reflect.TypeFor[Image](), encodeImage, decodeImage)
	beam.RegisterCoder(reflect.TypeFor[*lanewise.LovaszCounts](), encodeLovasz, decodeLovasz)
	beam.RegisterCoder(reflect.TypeFor[*lanewise.Confusion](), encodeConfusion, decodeConfusion)
	beam.RegisterCoder(reflect.TypeFor[Counts](), encodeCounts, decodeCounts)
	beam.RegisterType(reflect.TypeFor[Result]())
}

func encodeLovasz(c *lanewise.LovaszCounts) ([]byte, error) { return c.MarshalBinary() }

func decodeLovasz(b []byte) (*lanewise.LovaszCounts, error) {
	c := new(lanewise.LovaszCounts)
	return c, c.UnmarshalBinary(b)
}

func encodeConfusion(c *lanewise.Confusion) ([]byte, error) { return c.MarshalBinary() }

func decodeConfusion(b []byte) (*lanewise.Confusion, error) {
	c := new(lanewise.Confusion)
	return c, c.UnmarshalBinary(b)
}

// Both counts: the bytes of the first behind their number, then those of the second.
func encodeCounts(c Counts) ([]byte, error) {
	lovasz, err := c.Lovasz.MarshalBinary()
	if err != nil {
		return nil, err
	}
	b := binary.AppendUvarint(nil, uint64(len(lovasz)))
	return c.Confusion.AppendBinary(append(b, lovasz...))
}

func decodeCounts(b []byte) (c Counts, err error) {
	n, rest, err := length(b)
	if err != nil {
		return Counts{}, err
	}
	if c.Lovasz, err = decodeLovasz(rest[:n]); err != nil {
		return Counts{}, err
	}
	c.Confusion, err = decodeConfusion(rest[n:])
	return c, err
}

// An image: its name and labels, each behind its number of bytes, then the logits; little-endian.
func encodeImage(im Image) ([]byte, error) {
	b := make([]byte, 0, 2*binary.MaxVarintLen64+len(im.Name)+4*len(im.Labels)+4*len(im.Logits))
	b = binary.AppendUvarint(b, uint64(len(im.Name)))
	b = append(b, im.Name...)
	b = binary.AppendUvarint(b, 4*uint64(len(im.Labels)))
	for _, label := range im.Labels {
		b = binary.LittleEndian.AppendUint32(b, uint32(label))
	}
	for _, x := range im.Logits {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b, nil
}

func decodeImage(b []byte) (im Image, err error) {
	n, b, err := length(b)
	if err != nil {
		return Image{}, err
	}
	im.Name, b = string(b[:n]), b[n:]
	if n, b, err = length(b); err != nil {
		return Image{}, err
	}
	if n%4 != 0 || len(b)%4 != 0 {
		return Image{}, errors.New("an encoded image is cut off")
	}
	im.Labels = make([]int32, n/4)
	for i := range im.Labels {
		im.Labels[i] = int32(binary.LittleEndian.Uint32(b[4*i:]))
	}
	b = b[n:]
	im.Logits = make([]float32, len(b)/4)
	for i := range im.Logits {
		im.Logits[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return im, nil
}

// length reads a number of bytes, which are there, and returns what follows it.
func length(b []byte) (int, []byte, error) {
	n, read := binary.Uvarint(b)
	if read <= 0 || n > uint64(len(b)-read) {
		return 0, nil, fmt.Errorf("%d encoded bytes are cut off", len(b))
	}
	return int(n), b[read:], nil
}
