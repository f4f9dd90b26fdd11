package lanewise

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"testing"
)

// The kernels for elements of 16 and 8 bits.

// narrowOperands is what such a kernel reads and writes; one without some of them leaves them nil.
type narrowOperands struct {
	dst, x []float32
	halves []uint16 // written by those that narrow
	sums   []int32
	a, b   []int8
}

type narrowLengths struct{ dst, x, halves, sums, a, b int }

// A narrowTest describes a kernel, as kernelTest does.
type narrowTest struct {
	name    string
	family  family
	lengths func(s shape) narrowLengths
	narrows bool // writes halves
	run     func(o *narrowOperands, s shape)
	want    func(o *narrowOperands, s shape)
}

func narrowTests() []narrowTest {
	conversion := func(s shape) narrowLengths { return narrowLengths{dst: s.axis, halves: s.axis} }
	narrowing := func(s shape) narrowLengths { return narrowLengths{x: s.axis, halves: s.axis} }
	dotRows := func(s shape) narrowLengths { return narrowLengths{dst: s.outer, halves: s.size(), x: s.axis} }
	each := func(f func(h uint16) float32) func(o *narrowOperands, s shape) {
		return func(o *narrowOperands, _ shape) {
			for i, h := range o.halves {
				o.dst[i] = f(h)
			}
		}
	}
	round := func(f func(x float32) uint16) func(o *narrowOperands, s shape) {
		return func(o *narrowOperands, _ shape) {
			for i, x := range o.x {
				o.halves[i] = f(x)
			}
		}
	}
	dots := func(f func(h uint16) float32) func(o *narrowOperands, s shape) {
		return func(o *narrowOperands, s shape) {
			row := make([]float32, s.axis)
			for r := range o.dst {
				for i, h := range o.halves[r*s.axis : (r+1)*s.axis] {
					row[i] = f(h)
				}
				o.dst[r] = refDot(row, o.x)
			}
		}
	}
	return []narrowTest{
		{"FromFloat16", vectors, conversion, false, func(o *narrowOperands, s shape) { FromFloat16(o.dst, o.halves) }, each(refFromFloat16)},
		{"FromBFloat16", vectors, conversion, false, func(o *narrowOperands, s shape) { FromBFloat16(o.dst, o.halves) }, each(refFromBFloat16)},
		{"ToFloat16", vectors, narrowing, true, func(o *narrowOperands, s shape) { ToFloat16(o.halves, o.x) }, round(refToFloat16)},
		{"ToBFloat16", vectors, narrowing, true, func(o *narrowOperands, s shape) { ToBFloat16(o.halves, o.x) }, round(refToBFloat16)},
		{"DotRowsFloat16", rows, dotRows, false, func(o *narrowOperands, s shape) { DotRowsFloat16(o.dst, o.halves, o.x) }, dots(refFromFloat16)},
		{"DotRowsBFloat16", rows, dotRows, false, func(o *narrowOperands, s shape) { DotRowsBFloat16(o.dst, o.halves, o.x) }, dots(refFromBFloat16)},
		{
			"DotInt8", vectors, func(s shape) narrowLengths { return narrowLengths{sums: 1, a: s.axis, b: s.axis} }, false,
			func(o *narrowOperands, s shape) {
				o.sums[0] = DotInt8(o.a[:min(s.axis, maxInt8)], o.b[:min(s.axis, maxInt8)])
			},
			func(o *narrowOperands, s shape) { o.sums[0] = refDotInt8(o.a[:min(s.axis, maxInt8)], o.b) },
		}, {
			"DotRowsInt8", rows, func(s shape) narrowLengths { return narrowLengths{sums: s.outer, a: s.size(), b: s.axis} }, false,
			func(o *narrowOperands, s shape) { DotRowsInt8(o.sums, o.a, o.b) },
			func(o *narrowOperands, s shape) {
				for r := range o.sums {
					o.sums[r] = refDotInt8(o.a[r*s.axis:(r+1)*s.axis], o.b)
				}
			},
		},
	}
}

func refDotInt8(a, b []int8) int32 {
	var sum int64
	for i, v := range a {
		sum += int64(v) * int64(b[i])
	}
	if int64(int32(sum)) != sum {
		panic("the sum is no int32")
	}
	return int32(sum)
}

// refFromFloat16 takes a number apart as the format is defined.
func refFromFloat16(h uint16) float32 {
	sign, exponent, mantissa := 1-2*float64(h>>15), int(h>>10&31), float64(h&1023)
	switch {
	case exponent == 31 && mantissa == 0:
		return float32(sign * math.Inf(1))
	case exponent == 31:
		return fromBits[float32](uint64(h>>15)<<31 | 0x7fc00000 | uint64(h&1023)<<13)
	case exponent == 0:
		return float32(sign * math.Ldexp(mantissa, -24))
	}
	return float32(sign * math.Ldexp(1024+mantissa, exponent-25))
}

func refFromBFloat16(h uint16) float32 { return fromBits[float32](uint64(h) << 16) }

// refToFloat16 looks for the nearest value, as if the largest number were followed by the next power of two.
func refToFloat16(x float32) uint16 { return nearest(x, refFromFloat16, 0x7c00, 0x1p16, 13) }

func refToBFloat16(x float32) uint16 { return nearest(x, refFromBFloat16, 0x7f80, 0x1p128, 16) }

// nearest returns the half that is nearest to x, the even one of two; inf is what an infinity is, beyond the largest number by as much as
// the power of two would be that the exponents have no room for.
func nearest(x float32, value func(uint16) float32, inf uint16, beyond float64, shift uint) uint16 {
	b := bitsOf(x)
	sign := uint16(b >> 16 & 0x8000)
	if x != x {
		quiet := inf & -inf >> 1
		return sign | inf | quiet | uint16(b>>shift)&(quiet-1)
	}
	size := math.Abs(float64(x))
	at := func(h uint16) float64 {
		if h == inf {
			return beyond
		}
		return float64(value(h))
	}
	lo, hi := uint16(0), inf // at(lo) <= size
	for lo+1 < hi {
		if mid := (lo + hi) / 2; at(mid) <= size {
			lo = mid
		} else {
			hi = mid
		}
	}
	below, above := size-at(lo), at(hi)-size
	if above < below || above == below && hi%2 == 0 {
		return sign | hi
	}
	return sign | lo
}

// fillHalves writes all kinds of halves.
func fillHalves(dst []uint16, special bool, r *random) {
	for i := range dst {
		dst[i] = uint16(r.next())
		if !special { // about 1, as float16 and as bfloat16
			dst[i] = dst[i]&0x87ff | 0x3800
		}
	}
}

func (k *narrowTest) operands(s shape, kind string, seed uint64) (in, want narrowOperands) {
	n := k.lengths(s)
	r := random(seed)
	in = narrowOperands{make([]float32, n.dst), make([]float32, n.x), make([]uint16, n.halves), make([]int32, n.sums), make([]int8, n.a),
		make([]int8, n.b)}
	fill(in.x, kind, max(1, s.axis), &r)
	if k.narrows {
		for i := range in.x { // what a half can hold, and values half-way between two of them
			switch h := uint16(r.next()); r.below(4) {
			case 0:
				in.x[i] = fromBits[float32](bitsOf(refFromFloat16(h)) + uint64(r.below(3)-1) + 0x1000)
			case 1:
				in.x[i] = fromBits[float32](uint64(h)<<16 + 0x8000 + uint64(r.below(3)-1))
			case 2:
				in.x[i] = float32(math.Ldexp(r.uniform(0), r.below(20)-30))
			}
		}
	}
	fillHalves(in.halves, kind == "bits" || kind == "special", &r)
	for i := range in.a {
		in.a[i] = int8(r.next())
	}
	for i := range in.b {
		in.b[i] = int8(r.next())
	}
	if kind == "edges" {
		for i := range in.a {
			in.a[i] = -128
		}
		for i := range in.b {
			in.b[i] = -128
		}
	}
	want = in
	want.dst, want.sums = make([]float32, n.dst), make([]int32, n.sums)
	if k.narrows {
		want.halves = make([]uint16, n.halves)
	}
	k.want(&want, s)
	return in, want
}

// A narrowBench has a place for every operand.
type narrowBench struct {
	dst, x placer[float32]
	halves placer[uint16]
	sums   placer[int32]
	a, b   placer[int8]
}

func newNarrowBench() *narrowBench {
	return &narrowBench{
		&buffer[float32]{guard: guard[float32]()}, &buffer[float32]{guard: guard[float32]()}, &buffer[uint16]{guard: 0xa5a5},
		&buffer[int32]{guard: guardIndex}, &buffer[int8]{guard: 0x5a}, &buffer[int8]{guard: 0x5a},
	}
}

func (b *narrowBench) run(k *narrowTest, s shape, in, want *narrowOperands, offset int) error {
	n := k.lengths(s)
	o := narrowOperands{
		b.dst.place(n.dst, offset), b.x.place(n.x, offset*5%16), b.halves.place(n.halves, offset*3%32), b.sums.place(n.sums, offset),
		b.a.place(n.a, offset*7%64), b.b.place(n.b, offset*11%64),
	}
	copy(o.x, in.x)
	copy(o.a, in.a)
	copy(o.b, in.b)
	if !k.narrows {
		copy(o.halves, in.halves)
	}
	soilStack()
	k.run(&o, s)
	if i, ok := firstDifference(o.dst, want.dst, len(in.x) == 0); !ok {
		return fmt.Errorf("dst[%d] = %v (%#x), want %v (%#x)", i, o.dst[i], bitsOf(o.dst[i]), want.dst[i], bitsOf(want.dst[i]))
	}
	for i, h := range want.halves {
		if o.halves[i] != h {
			return fmt.Errorf("halves[%d] = %#x, want %#x", i, o.halves[i], h)
		}
	}
	if !slices.Equal(o.sums, want.sums) {
		return fmt.Errorf("sums %v, want %v", o.sums, want.sums)
	}
	if i, ok := firstDifference(o.x, in.x, true); !ok || !slices.Equal(o.a, in.a) || !slices.Equal(o.b, in.b) {
		return fmt.Errorf("wrote to a source, perhaps x[%d]", i)
	}
	if !b.dst.intact() || !b.x.intact() || !b.halves.intact() || !b.sums.intact() || !b.a.intact() || !b.b.intact() {
		return fmt.Errorf("wrote outside of the slices")
	}
	return nil
}

// TestNarrow holds every kernel for 16 and 8 bits on every ISA against the reference.
func TestNarrow(t *testing.T) {
	for _, k := range narrowTests() {
		t.Run(k.name, func(t *testing.T) {
			eachISA(t, func(t *testing.T) {
				b := newNarrowBench()
				testNarrow(t, &k, func(s shape, in, want *narrowOperands, i int) error {
					for offset := i % 5; offset < 16; offset += 5 {
						if err := b.run(&k, s, in, want, offset); err != nil {
							return fmt.Errorf("offset %d: %v", offset, err)
						}
					}
					return nil
				})
			})
		})
	}
}

func testNarrow(t *testing.T, k *narrowTest, run func(s shape, in, want *narrowOperands, i int) error) {
	for i, s := range k.family.shapes() {
		if s.size() > 40_000 && s.outer > 1 || k.name == "DotRowsInt8" && s.axis > maxInt8 { // which panics
			continue
		}
		in, want := k.operands(s, fills[i%len(fills)], uint64(i))
		if err := run(s, &in, &want, i); err != nil {
			t.Fatalf("%v of %s: %v", s, fills[i%len(fills)], err)
		}
	}
}

// TestHalves: every half there is, to float32 and back.
func TestHalves(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		all, back, x := make([]uint16, 1<<16), make([]uint16, 1<<16), make([]float32, 1<<16)
		for i := range all {
			all[i] = uint16(i)
		}
		for name, c := range map[string]struct {
			from  func([]float32, []uint16)
			to    func([]uint16, []float32)
			value func(uint16) float32
			quiet uint16
		}{"float16": {FromFloat16, ToFloat16, refFromFloat16, 0x200}, "bfloat16": {FromBFloat16, ToBFloat16, refFromBFloat16, 0x40}} {
			c.from(x, all)
			c.to(back, x)
			for i, h := range all {
				if bitsOf(x[i]) != bitsOf(c.value(h)) {
					t.Fatalf("%s %#x is %v (%#x), want %v", name, h, x[i], bitsOf(x[i]), c.value(h))
				}
				if want := h; back[i] != want && (x[i] == x[i] || back[i] != h|c.quiet) {
					t.Fatalf("%s %#x comes back as %#x", name, h, back[i])
				}
			}
		}
	})
}

// TestInt8Lengths: the longest sums that are promised, at both ends of what an int32 holds.
func TestInt8Lengths(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		a := slices.Repeat([]int8{-128}, 131072)
		b := slices.Repeat([]int8{127}, 131072)
		if got := DotInt8(a[:131071], a[:131071]); got != 131071*16384 {
			t.Errorf("131071 times 128·128 is %d", got)
		}
		if got := DotInt8(a[:131071], b[:131071]); got != -131071*16256 {
			t.Errorf("131071 times −128·127 is %d", got)
		}
	})
}

// TestNarrowPanics: what does not fit panics before anything is written.
func TestNarrowPanics(t *testing.T) {
	x := make([]float32, 12)
	h := make([]uint16, 12)
	a := make([]int8, 131072)
	for _, c := range []struct {
		call func(d []float32, p []int32)
		want string
	}{
		{func(d []float32, p []int32) { FromFloat16(d[:5], h[:4]) }, `FromFloat16: .*\b5\b.*\b4\b`},
		{func(d []float32, p []int32) { FromBFloat16(d[:5], h[:4]) }, `FromBFloat16: .*\b5\b.*\b4\b`},
		{func(d []float32, p []int32) { ToFloat16(h[:5], x[:4]) }, `ToFloat16: .*\b5\b.*\b4\b`},
		{func(d []float32, p []int32) { ToBFloat16(h[:5], x[:4]) }, `ToBFloat16: .*\b5\b.*\b4\b`},
		{func(d []float32, p []int32) { DotRowsFloat16(d[:2], h[:7], x[:3]) }, `DotRowsFloat16: .*\b7\b.*\b2\b.*\b3\b`},
		{func(d []float32, p []int32) { DotRowsFloat16(d[:3], h[:9], d[2:5]) }, `DotRowsFloat16: .*overlap`},
		{func(d []float32, p []int32) { DotRowsBFloat16(d[:2], h[:5], nil) }, `DotRowsBFloat16: .*\b5\b.*\b2\b.*\b0\b`},
		{func(d []float32, p []int32) { DotRowsBFloat16(d[:3], h[:9], d[2:5]) }, `DotRowsBFloat16: .*overlap`},
		{func(d []float32, p []int32) { DotInt8(a[:5], a[:4]) }, `DotInt8: .*\b5\b.*\b4\b`},
		{func(d []float32, p []int32) { DotInt8(a, a) }, `DotInt8: .*\b131072\b.*\b131071\b`},
		{func(d []float32, p []int32) { DotRowsInt8(p[:2], a[:7], a[:3]) }, `DotRowsInt8: .*\b7\b.*\b2\b.*\b3\b`},
		{func(d []float32, p []int32) { DotRowsInt8(p[:1], a, a) }, `DotRowsInt8: .*\b131072\b.*\b131071\b`},
	} {
		d, p := make([]float32, 12), make([]int32, 12)
		for i := range d {
			d[i], p[i] = 7, 7
		}
		message := func() (message any) {
			defer func() { message = recover() }()
			c.call(d, p)
			return nil
		}()
		if text := fmt.Sprint(message); !regexp.MustCompile(`^lanewise: ` + c.want).MatchString(text) {
			t.Errorf("panic %q, want lanewise: %s", text, c.want)
		}
		if slices.ContainsFunc(d, func(v float32) bool { return v != 7 }) || slices.ContainsFunc(p, func(v int32) bool { return v != 7 }) {
			t.Errorf("%s: wrote before it panicked", c.want)
		}
	}
}

// TestNarrowAllocations: nor do these kernels allocate.
func TestNarrowAllocations(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		for _, k := range narrowTests() {
			for _, s := range []shape{{1, 1, 1}, {1, 1000, 1}, {1, 20_000, 1}, {30, 19, 1}} {
				if !k.family.takes(s) {
					continue
				}
				o, _ := k.operands(s, "logits", 1)
				if allocs := testing.AllocsPerRun(5, func() { k.run(&o, s) }); allocs != 0 {
					t.Errorf("%s of %v allocates %v times", k.name, s, allocs)
				}
			}
		}
	})
}
