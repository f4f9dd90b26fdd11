package lanewise

import (
	"errors"
	"math"
	"slices"
	"testing"
)

func TestGolomb(t *testing.T) {
	type code struct {
		v     uint64
		order int
	}
	var codes []code
	for order := range 57 {
		for n := range min(order+55, 62) {
			for _, v := range []uint64{0, 1<<n - 1, 1 << n, 1<<n + 1, math.MaxUint64 >> (63 - n)} {
				codes = append(codes, code{v, order})
			}
		}
	}
	codes = slices.DeleteFunc(codes, func(c code) bool { return c.v>>c.order+1 > 1<<55 || c.v >= 1<<62 })
	var w bitWriter
	for _, c := range codes {
		w.golomb(c.v, c.order)
	}
	all := w.end()
	d := &decoder{data: all}
	for i, c := range codes {
		if got := d.golomb(c.order, c.v); got != c.v || d.err != nil {
			t.Fatalf("number %d: %d, %v, want %d of order %d", i, got, d.err, c.v, c.order)
		}
	}
	if err := d.end(); err != nil {
		t.Error(err)
	}

	for _, c := range codes {
		var w bitWriter
		w.golomb(c.v, c.order)
		b := w.end()
		bad := []*decoder{{data: b[:len(b)-1]}}
		if c.v > 0 {
			tooLarge := &decoder{data: b}
			tooLarge.golomb(c.order, c.v-1)
			bad = append(bad, tooLarge)
		}
		for _, d := range bad {
			if got := d.golomb(c.order, math.MaxUint64); got != 0 || !errors.Is(d.end(), ErrFormat) {
				t.Fatalf("%d of order %d: %d, %v", c.v, c.order, got, d.end())
			}
		}
	}
	for _, b := range [][]byte{nil, make([]byte, 100)} {
		d := &decoder{data: b}
		if got := d.golomb(3, math.MaxUint64); got != 0 || !errors.Is(d.end(), ErrFormat) {
			t.Errorf("%d zeros: %d, %v", len(b), got, d.end())
		}
	}
	for _, b := range [][]byte{{0b11}, {1, 0}} { // a bit, and a byte, behind the code of 0
		d := &decoder{data: b}
		if got := d.golomb(0, 9); got != 0 || !errors.Is(d.end(), ErrFormat) {
			t.Errorf("%b: %d, %v", b, got, d.end())
		}
	}
}
