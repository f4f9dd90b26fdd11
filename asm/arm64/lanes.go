package arm64

import (
	"fmt"
	"slices"

	"github.com/lanewise/lanewise/asm/arm64/emit"
	"github.com/lanewise/lanewise/asm/lanes"
)

// Lanes returns the lanes.Machine that writes the function.
func (c *Code) Lanes() lanes.Machine {
	return &laner{Func: c.Func, signature: c.signature, kept: map[uint64]emit.Vec{}, tables: map[string]emit.GP{}}
}

// laner is a lanes.Machine. Its masks are lanes that are all ones or 0.
type laner struct {
	*emit.Func
	signature string
	vectors   []emit.Vec
	zeros     emit.Vec // once something asks for it
	shifts    []emit.Vec
	slices    []*slice
	streams   []stream
	kept      map[uint64]emit.Vec // constants that operations ask for, by their lower half
	tables    map[string]emit.GP
	live      lanes.M // the lanes of a register that there are, if partial
	partial   bool
	count     int     // of locals
	at, n     emit.GP // of a loop: the first element of a turn, how many there are

	scalars  []emit.GP
	room     []emit.GP // for each L of a turn
	bits     []int     // of its lanes
	calls    int       // of Spill and Lanes by this run of a body
	register int       // of a turn, that it is at
	later    []stage   // what Lanes left for the end of a turn
	lane     int       // which f of Lanes is at
	offset   *emit.GP  // and where that begins, in elements from at, unless it is nil
}

// A stage is what Lanes left: for a lane, and unless that is nil for a turn of lanes that are alike, or it goes to each.
type stage struct {
	lane  func()
	alike func(each emit.Label)
}

// A slice is an argument that is one.
type slice struct {
	name          string
	bits          int // of an element
	disp          int // of the first turn, if it is one of several
	base          emit.GP
	of            *slice  // which it is a part of, or nil
	turn          emit.GP // where the elements of a turn begin, in a loop
	loaded, saved bool    // by the body of a loop
}

// A stream is a pointer, and where it begins.
type stream struct {
	slices, next string
	number       int
	at           emit.GP
}

func (l *laner) Slice(name string) lanes.S {
	s := &slice{name: name, bits: lanes.ElementBits(l.signature, name), base: l.GP()}
	l.MOVD(l.Base(name), s.base)
	l.slices = append(l.slices, s)
	return lanes.S{ID: len(l.slices) - 1, Bits: s.bits}
}

func (l *laner) Narrow(s lanes.S, bits, i int) lanes.S {
	n := *l.slices[s.ID]
	n.disp, n.of = i*lanes.Turn*bits/8, l.slices[s.ID]
	l.slices = append(l.slices, &n)
	return lanes.S{ID: len(l.slices) - 1, Bits: bits}
}

func (l *laner) length(s lanes.S) emit.GP {
	n := l.GP()
	l.MOVD(l.Len(l.slices[s.ID].name), n)
	return n
}

func (l *laner) New(bits int) lanes.V {
	l.vectors = append(l.vectors, l.Vec())
	return lanes.V{ID: len(l.vectors) - 1, Bits: bits}
}

func (l *laner) r(v lanes.V) emit.Vec      { return l.vectors[v.ID] }
func (l *laner) b(v lanes.V) emit.Arranged { return l.r(v).B16() }

// a is v as its lanes.
func (l *laner) a(v lanes.V) emit.Arranged {
	return l.r(v).As(map[int]emit.Arrangement{16: emit.H8, 32: emit.S4, 64: emit.D2}[v.Bits])
}

func (l *laner) Const(bits int, x uint64) lanes.V {
	v := l.New(bits)
	l.fill(v, x)
	return v
}

func (l *laner) Block(bits int, x uint64) []lanes.V {
	v := make([]lanes.V, lanes.Turn*bits/128)
	for i := range v {
		v[i] = l.Const(bits, x)
	}
	return v
}

func (l *laner) Park(v lanes.V) lanes.V { return v }

func (l *laner) fill(v lanes.V, x uint64) {
	if x == 0 {
		l.VMOVI(0, l.b(v))
		return
	}
	for b := v.Bits; b < 64; b *= 2 {
		x |= x << b
	}
	l.FMOVQ(l.Constant(x, x), l.r(v))
}

// zero returns a register that is 0 from the beginning on.
func (l *laner) zero() emit.Vec {
	if l.zeros == (emit.Vec{}) {
		l.zeros = l.Vec()
		l.Prologue(func() { l.VMOVI(0, l.zeros.B16()) })
	}
	return l.zeros
}

// keep returns a register that holds 128 bits from the beginning on.
func (l *laner) keep(lo, hi uint64) emit.Vec {
	v, ok := l.kept[lo]
	if !ok {
		v = l.Vec()
		l.kept[lo] = v
		l.Prologue(func() { l.FMOVQ(l.Constant(lo, hi), v) })
	}
	return v
}

func (l *laner) Set(d, x lanes.V) { l.VMOV(l.b(x), l.b(d)) }

// Arguments and results.

func (l *laner) word(arg string) emit.GP {
	g := l.GP()
	l.MOVWU(l.Param(arg), g)
	return g
}

func (l *laner) Arg(name string, bits int) lanes.V {
	v := l.New(bits)
	if bits == 64 {
		l.VDUPGP(l.double(name), l.a(v))
	} else {
		l.VDUPGP(l.word(name), l.a(v))
	}
	return v
}

func (l *laner) double(arg string) emit.GP {
	g := l.GP()
	l.MOVD(l.Param(arg), g)
	return g
}

func (l *laner) Element(array string, i int) lanes.V {
	v, g := l.New(32), l.GP()
	l.MOVWU(emit.At(l.pointer(array), 4*i), g)
	l.VDUPGP(g, l.a(v))
	return v
}

func (l *laner) pointer(name string) emit.GP {
	p := l.GP()
	l.MOVD(l.Base(name), p)
	return p
}

// A shift is in the lowest byte of a lane, negative to the right.
func (l *laner) shift(count emit.GP) lanes.Shift {
	v := l.Vec()
	l.VDUPGP(count, v.S4())
	l.shifts = append(l.shifts, v)
	return lanes.Shift(len(l.shifts) - 1)
}

func (l *laner) ShiftLeft(arg string) lanes.Shift { return l.shift(l.word(arg)) }

func (l *laner) ShiftRight(arg string, more int) lanes.Shift {
	count := l.word(arg)
	l.ADD(emit.Imm(more), count, count)
	l.SUB(count, emit.ZR, count)
	return l.shift(count)
}

// any returns a register that is not 0 where a mask is anywhere.
func (l *laner) any(m lanes.M) emit.GP {
	g, t := l.GP(), l.Vec()
	l.VUMAXP(l.vectors[m.ID].S4(), l.vectors[m.ID].S4(), t.S4())
	l.VMOVGP(t.D(0), g)
	return g
}

func (l *laner) ReturnAny(result string, m lanes.M) {
	any, one := l.any(m), l.GP()
	l.MOVD(emit.Imm(1), one)
	l.CMP(emit.ZR, any)
	l.CSEL("NE", one, any, any)
	l.MOVB(any, l.Param(result))
}

func (l *laner) ReturnLeast(result string, v lanes.V)   { l.fold(result, v, l.VUMINP) }
func (l *laner) ReturnLargest(result string, v lanes.V) { l.fold(result, v, l.VUMAXP) }
func (l *laner) ReturnSum(result string, v lanes.V)     { l.fold(result, v, l.VADDP) }

func (l *laner) fold(result string, v lanes.V, f func(m, n, d emit.Arranged)) {
	d := l.New(v.Bits)
	l.Set(d, v)
	for n := 128 / v.Bits; n > 1; n /= 2 {
		f(l.a(d), l.a(d), l.a(d))
	}
	l.ReturnFirst(result, d)
}

func (l *laner) ReturnFirst(result string, v lanes.V) {
	g := l.GP()
	l.VMOVGP(l.r(v).D(0), g)
	l.put(v.Bits, g, l.Param(result))
}

// Integers.

func (l *laner) Add(d, a, b lanes.V)    { l.VADD(l.a(b), l.a(a), l.a(d)) }
func (l *laner) Sub(d, a, b lanes.V)    { l.VSUB(l.a(b), l.a(a), l.a(d)) }
func (l *laner) And(d, a, b lanes.V)    { l.VAND(l.b(b), l.b(a), l.b(d)) }
func (l *laner) AndNot(d, a, b lanes.V) { l.VBIC(l.b(b), l.b(a), l.b(d)) }
func (l *laner) Or(d, a, b lanes.V)     { l.VORR(l.b(b), l.b(a), l.b(d)) }
func (l *laner) Xor(d, a, b lanes.V)    { l.VEOR(l.b(b), l.b(a), l.b(d)) }
func (l *laner) Min(d, a, b lanes.V)    { l.VUMIN(l.a(b), l.a(a), l.a(d)) }
func (l *laner) Max(d, a, b lanes.V)    { l.VUMAX(l.a(b), l.a(a), l.a(d)) }

func (l *laner) Shift(d, a lanes.V, s lanes.Shift) {
	count := l.shifts[s].As(l.a(d).Arrangement)
	l.VUSHL(count, l.a(a), l.a(d))
}

func (l *laner) ShiftLeftBy(d, a lanes.V, n int)  { l.VSHL(emit.Imm(n), l.a(a), l.a(d)) }
func (l *laner) ShiftRightBy(d, a lanes.V, n int) { l.VUSHR(emit.Imm(n), l.a(a), l.a(d)) }

func (l *laner) Sign(d, a lanes.V) {
	l.VCMGT(l.a(a), l.zero().As(l.a(a).Arrangement), l.a(d)) // 0 > a
}

// Masks.

func (l *laner) compare(f func(m, n, d emit.Arranged), a, b lanes.V) lanes.M {
	m := l.New(a.Bits)
	f(l.a(b), l.a(a), l.a(m))
	return lanes.M{ID: m.ID, Bits: a.Bits}
}

func (l *laner) Equal(a, b lanes.V) lanes.M { return l.compare(l.VCMEQ, a, b) }
func (l *laner) Above(a, b lanes.V) lanes.M { return l.compare(l.VCMGT, a, b) }
func (l *laner) Below(a, b lanes.V) lanes.M { return l.compare(l.VCMHI, b, a) }

func (l *laner) Increment(d lanes.V, m lanes.M) { l.Sub(d, d, lanes.V(m)) }
func (l *laner) Decrement(d lanes.V, m lanes.M) { l.Add(d, d, lanes.V(m)) }
func (l *laner) ZeroWhere(d lanes.V, m lanes.M) { l.AndNot(d, d, lanes.V(m)) }

func (l *laner) AddWhere(d, x lanes.V, m lanes.M) { l.VMLS(l.a(lanes.V(m)), l.a(x), l.a(d)) }
func (l *laner) SetWhere(d, x lanes.V, m lanes.M) { l.VBIT(l.b(lanes.V(m)), l.b(x), l.b(d)) }

func (l *laner) Without(a, b lanes.M) lanes.M {
	m := l.New(a.Bits)
	l.AndNot(m, lanes.V(a), lanes.V(b))
	return lanes.M(m)
}

// alive returns the lanes of m that there are.
func (l *laner) alive(m lanes.M) lanes.V {
	if !l.partial {
		return lanes.V(m)
	}
	in := l.New(m.Bits)
	l.And(in, lanes.V(m), lanes.V(l.live))
	return in
}

// Floats.

func (l *laner) ToFloats(d, a lanes.V)      { l.VSCVTF(l.a(a), l.a(d)) }
func (l *laner) MulFloats(d, a, b lanes.V)  { l.VFMUL(l.a(b), l.a(a), l.a(d)) }
func (l *laner) DivFloats(d, a, b lanes.V)  { l.VFDIV(l.a(b), l.a(a), l.a(d)) }
func (l *laner) MulDoubles(d, a, b lanes.V) { l.VFMUL(l.a(b), l.a(a), l.a(d)) }

func (l *laner) MulAddDoubles(d, a, b, c lanes.V) {
	l.Set(d, c)
	l.VFMLA(l.a(b), l.a(a), l.a(d))
}

func (l *laner) ToDoubles(low, high, a lanes.V) {
	l.VFCVTL2(l.r(a).S4(), l.a(high))
	l.VFCVTL(l.r(a).S2(), l.a(low))
}

func (l *laner) NegateBy(d, s lanes.V) {
	t := l.New(32)
	l.VAND(l.keep(1<<63|1<<31, 1<<63|1<<31).B16(), l.b(s), l.b(t))
	l.Xor(d, d, t)
}

// Streams. A mask becomes a number, 16 times its bits plus 1024 times how many there are, whose lower byte says where in a table there is
// what moves the lanes, and whose upper ones how far the stream moves on.

const sliceBytes = 24 // of a Go slice

func (l *laner) Streams(slices, next string, n int) []lanes.T {
	t := make([]lanes.T, n)
	from := l.pointer(next)
	for i := range t {
		s, first := stream{slices, next, i, l.GP()}, l.GP()
		l.first(s, s.at)
		l.MOVWU(emit.At(from, 4*i), first)
		l.ADD(emit.Shifted{GP: first, By: 2}, s.at, s.at)
		l.streams = append(l.streams, s)
		t[i] = lanes.T(len(l.streams) - 1)
	}
	return t
}

// first sets p to the beginning of a stream's slice.
func (l *laner) first(s stream, p emit.GP) {
	if lanes.IsSlice(l.signature, s.slices) {
		l.MOVD(l.Base(s.slices), p)
	} else {
		l.MOVD(emit.At(l.pointer(s.slices), sliceBytes*s.number), p)
	}
}

func (l *laner) Leave(t []lanes.T) {
	to := l.pointer(l.streams[t[0]].next)
	for _, t := range t {
		s, p := l.streams[t], l.GP()
		l.first(s, p)
		l.SUB(p, s.at, s.at)
		l.LSR(2, s.at, s.at)
		l.MOVW(s.at, emit.At(to, 4*s.number))
	}
}

func (l *laner) Append(t lanes.T, x lanes.V, m lanes.M) {
	s, moved := l.streams[t], l.New(32)
	mask := l.number(l.alive(m))
	l.permutation("compress", mask, moved)
	l.VTBL(l.b(moved), l.b(x), l.b(moved))
	l.FMOVQ(l.r(moved), emit.At(s.at, 0))
	l.ADD(emit.Shifted{GP: mask, By: -8}, s.at, s.at)
}

func (l *laner) Take(d lanes.V, t lanes.T, m lanes.M) {
	s, in, moved, next := l.streams[t], l.alive(m), l.New(32), l.New(32)
	mask := l.number(in)
	l.permutation("expand", mask, moved)
	l.FMOVQ(emit.At(s.at, 0), l.r(next))
	l.VTBL(l.b(moved), l.b(next), l.b(moved))
	l.VBIT(l.b(in), l.b(moved), l.b(d))
	l.ADD(emit.Shifted{GP: mask, By: -8}, s.at, s.at)
}

// number returns that of a mask.
func (l *laner) number(m lanes.V) emit.GP {
	v, g := l.New(32), l.GP()
	l.VAND(l.keep((1024+32)<<32|1024+16, (1024+128)<<32|1024+64).B16(), l.b(m), l.b(v))
	l.VADDV(l.a(v), l.r(v))
	l.VMOVGP(l.r(v).S(0), g)
	return g
}

// permutation loads the one that compresses or expands 4 lanes by a mask.
func (l *laner) permutation(which string, mask emit.GP, d lanes.V) {
	table, ok := l.tables[which]
	if !ok {
		table = l.GP()
		l.tables[which] = table
		l.Prologue(func() { l.MOVD(l.Table(which, permutations(which)), table) })
	}
	p := l.GP()
	l.ADD(emit.Byte{GP: mask}, table, p)
	l.FMOVQ(emit.At(p, 0), l.r(d))
}

// permutations are the bytes that VTBL takes to compress or expand 4 lanes, by their mask.
func permutations(which string) (words []uint64) {
	for m := range 16 {
		var taken, places []int
		for i := range 4 {
			places = append(places, len(taken))
			if m>>i&1 != 0 {
				taken = append(taken, i)
			}
		}
		lanes := places
		if which == "compress" {
			lanes = append(taken, make([]int, 4-len(taken))...)
		}
		for i := 0; i < 4; i += 2 {
			words = append(words, 0x03020100*(1+1<<32)+0x04040404*uint64(lanes[i]+lanes[i+1]<<32))
		}
	}
	return words
}

// Halves.

func (l *laner) Zip(a, b, low, high lanes.V) {
	l.VZIP1(l.r(high).S4(), l.r(low).S4(), l.r(a).S4())
	l.VZIP2(l.r(high).S4(), l.r(low).S4(), l.r(b).S4())
}

func (l *laner) Low(d, a, b lanes.V)  { l.VUZP1(l.r(b).S4(), l.r(a).S4(), l.r(d).S4()) }
func (l *laner) High(d, a, b lanes.V) { l.VUZP2(l.r(b).S4(), l.r(a).S4(), l.r(d).S4()) }

func (l *laner) Widen(d, a lanes.V, half int) {
	if half == 0 {
		l.VUXTL(l.r(a).H4(), l.a(d))
	} else {
		l.VUXTL2(l.r(a).H8(), l.a(d))
	}
}

// Gather loads lane by lane.
func (l *laner) Gather(d lanes.V, s lanes.S, i lanes.V) {
	var at [4]emit.GP
	for j := range at {
		at[j] = l.GP()
		l.VMOVGP(l.r(i).S(j), at[j])
	}
	x := l.Vec()
	l.FMOVS(emit.Indexed(l.slices[s.ID].base, at[0], 4), x)
	for j := 1; j < 4; j++ {
		t := l.Vec()
		l.FMOVS(emit.Indexed(l.slices[s.ID].base, at[j], 4), t)
		l.VINS(t.S(0), x.S(j))
	}
	l.VMOV(x.B16(), l.b(d))
}

// Prefix adds what is 1, 2 and 4 lanes before.
func (l *laner) Prefix(d, x, carry lanes.V) {
	rest, t, sum := l.New(16), l.New(16), l.New(16)
	l.Sub(rest, carry, x)
	l.Set(sum, x)
	for _, bytes := range []int{2, 4, 8} {
		l.VEXT(emit.Imm(16-bytes), l.b(sum), l.zero().B16(), l.b(t))
		l.Add(sum, sum, t)
	}
	l.Add(d, sum, rest)
	l.VDUP(l.r(sum).H(7), l.a(t))
	l.Add(carry, carry, t)
}

// Pairs.

func (l *laner) Least(d lanes.V) { l.fill(d, 0) }

func (l *laner) LoadPairs(a, b lanes.V, s lanes.S) {
	l.loadPairs(a, b, emit.At(l.slices[s.ID].base, 0))
}

func (l *laner) loadPairs(a, b lanes.V, m emit.Mem) {
	x, y := l.New(64), l.New(64)
	l.FLDPQ(m, l.r(x), l.r(y))
	l.VUZP1(l.a(y), l.a(x), l.a(a))
	l.VUZP2(l.a(y), l.a(x), l.a(b))
}

func (l *laner) storePairs(a, b lanes.V, m emit.Mem) {
	x, y := l.New(64), l.New(64)
	l.VZIP1(l.a(b), l.a(a), l.a(x))
	l.VZIP2(l.a(b), l.a(a), l.a(y))
	l.FSTPQ(l.r(x), l.r(y), m)
}

func (l *laner) Order(a, b lanes.V) {
	larger, before := l.New(64), l.New(64)
	l.VCMHI(l.a(b), l.a(a), l.a(larger))
	l.Set(before, a)
	l.VBIT(l.b(larger), l.b(b), l.b(a))
	l.VBIT(l.b(larger), l.b(before), l.b(b))
}

func (l *laner) Next(d, a, b lanes.V)   { l.VEXT(8, l.b(b), l.b(a), l.b(d)) }
func (l *laner) Before(d, a, b lanes.V) { l.VEXT(8, l.b(b), l.b(a), l.b(d)) }

func (l *laner) Pairs(s lanes.S, body func(after, store func(a, b lanes.V))) {
	const step = 32
	p, last := l.GP(), l.length(s)
	l.MOVD(l.slices[s.ID].base, p)
	l.ADD(emit.Shifted{GP: last, By: 3}, p, last)
	l.SUB(emit.Imm(step), last, last)
	loop, end := l.NewLabel("pairs"), l.NewLabel("last")
	l.CMP(last, p)
	l.BEQ(end)
	store := func(a, b lanes.V) { l.storePairs(a, b, emit.At(p, 0)) }
	l.Label(loop)
	body(func(a, b lanes.V) { l.loadPairs(a, b, emit.At(p, step)) }, store)
	l.ADD(emit.Imm(step), p, p)
	l.CMP(last, p)
	l.BLT(loop)
	l.Label(end)
	body(func(a, b lanes.V) {
		l.fill(a, 1<<64-1)
		l.fill(b, 1<<64-1)
	}, store)
}

// Loops.

func (l *laner) mem(s lanes.S, i int, v lanes.V) emit.Mem {
	a := l.slices[s.ID]
	if v.Bits != s.Bits {
		panic(fmt.Sprintf("%d bits of %s, whose elements have %d", v.Bits, a.name, s.Bits))
	}
	disp := a.disp + i*registerBytes
	if a.of != nil {
		a = a.of
	}
	if a.turn == (emit.GP{}) {
		return emit.At(a.base, disp)
	}
	return emit.At(a.turn, disp)
}

func (l *laner) Load(d lanes.V, s lanes.S, i int) {
	l.slices[s.ID].loaded = true
	l.FMOVQ(l.mem(s, i, d), l.r(d))
}

func (l *laner) Store(s lanes.S, i int, x lanes.V) {
	l.slices[s.ID].saved = true
	l.FMOVQ(l.r(x), l.mem(s, i, x))
}

func (l *laner) Position(d lanes.V, i int) {
	t := l.New(d.Bits)
	l.iota(t, i)
	l.VDUPGP(l.at, l.a(d))
	l.Add(d, d, t)
}

// iota sets d to the numbers of the lanes of register i.
func (l *laner) iota(d lanes.V, i int) {
	var half [2]uint64
	for j := range 128 / d.Bits {
		half[j*d.Bits/64] |= uint64(i*128/d.Bits+j) << (j * d.Bits % 64)
	}
	l.FMOVQ(l.Constant(half[0], half[1]), l.r(d))
}

// ahead is how far ahead of a loop memory is fetched, in bytes.
const ahead = 2048

func (l *laner) Ahead(s lanes.S, i int) {
	if at := i * registerBytes; at%64 == 0 {
		l.PRFM(emit.At(l.slices[s.ID].turn, at+ahead))
	}
}

func (l *laner) start(s []lanes.S) {
	l.n, l.at = l.length(s[0]), l.GP()
	l.MOVD(emit.Imm(0), l.at)
	for _, s := range s {
		l.slices[s.ID].turn = l.GP()
	}
}

// turn runs body for the registers of a turn.
func (l *laner) turn(bits int, body func(j int), s []lanes.S) {
	l.point(s)
	l.later, l.bits = nil, l.bits[:0]
	for j := range lanes.Turn * bits / 128 {
		l.register, l.calls = j, 0
		body(j)
	}
}

// Once takes four registers at a time, and of the rest one after the other, copied to where a turn has room.
func (l *laner) Once(bits int, body func(j int), s ...lanes.S) {
	const registers = 4
	l.start(s)
	step := registers * 128 / bits
	last, i := l.GP(), l.GP()
	turns, check, rest, end := l.NewLabel("turns"), l.NewLabel("check"), l.NewLabel("rest"), l.NewLabel("end")
	l.SUB(emit.Imm(step), l.n, last)
	l.B(check)
	l.Label(turns)
	l.point(s)
	for j := range registers {
		body(j)
	}
	l.ADD(emit.Imm(step), l.at, l.at)
	l.Label(check)
	l.CMP(last, l.at)
	l.BLE(turns)
	left := l.GP()
	l.SUB(l.at, l.n, left)
	l.CBZ(left, end)
	l.point(s)
	slots := make([]emit.GP, len(s))
	for i, s := range s {
		a := l.slices[s.ID]
		slots[i] = l.locals(step * a.bits / 8)
		if a.loaded {
			l.clear(slots[i], step*a.bits/8)
			l.copy(a.bits, a.turn, slots[i], left)
		}
		l.MOVD(slots[i], a.turn)
	}
	l.MOVD(left, i)
	l.Label(rest)
	alive, lane := l.New(bits), l.New(bits)
	l.VDUPGP(i, l.a(alive))
	l.iota(lane, 0)
	l.live, l.partial = l.Above(alive, lane), true
	body(0)
	l.partial = false
	for _, s := range s {
		a := l.slices[s.ID]
		l.ADD(emit.Imm(128/bits*a.bits/8), a.turn, a.turn)
	}
	l.SUB(emit.Imm(128/bits), i, i)
	l.CMP(emit.Imm(0), i)
	l.BGT(rest)
	for i, s := range s {
		if a := l.slices[s.ID]; a.saved {
			to := l.GP()
			l.ADD(emit.Shifted{GP: l.at, By: int(log2(a.bits / 8))}, a.base, to)
			l.copy(a.bits, slots[i], to, left)
		}
	}
	l.Label(end)
}

// point sets where the elements of a turn begin.
func (l *laner) point(s []lanes.S) {
	for _, s := range s {
		a := l.slices[s.ID]
		l.ADD(emit.Shifted{GP: l.at, By: int(log2(a.bits / 8))}, a.base, a.turn)
	}
}

// clear makes some bytes 0, a multiple of 16.
func (l *laner) clear(p emit.GP, n int) {
	zero := l.zero()
	for i := 0; i < n; i += 16 {
		l.FMOVQ(zero, emit.At(p, i))
	}
}

// copy copies n elements, at least one.
func (l *laner) copy(bits int, from, to, n emit.GP) {
	i, t := l.GP(), l.GP()
	loop := l.NewLabel("copy")
	l.MOVD(emit.Imm(0), i)
	l.Label(loop)
	l.get(bits, emit.Indexed(from, i, bits/8), t)
	l.put(bits, t, emit.Indexed(to, i, bits/8))
	l.ADD(emit.Imm(1), i, i)
	l.CMP(n, i)
	l.BLT(loop)
}

// finish does what Lanes left: for a whole turn, or from the lane from on to the one before to.
func (l *laner) finish(from, to *emit.GP) {
	for _, f := range l.later {
		if from == nil {
			each, done := l.NewLabel("each"), l.NewLabel("done")
			if f.alike != nil {
				f.alike(each)
				l.B(done)
				l.Label(each)
			}
			for l.lane = range lanes.Turn {
				f.lane()
			}
			if f.alike != nil {
				l.Label(done)
			}
			continue
		}
		loop, offset := l.NewLabel("lanes"), l.GP()
		l.lane, l.offset = 0, &offset
		l.MOVD(*from, offset)
		l.Label(loop)
		f.lane()
		l.ADD(emit.Imm(1), offset, offset)
		l.CMP(*to, offset)
		l.BLT(loop)
		l.offset = nil
	}
}

func (l *laner) Each(bits int, body func(j int), s ...lanes.S) {
	l.start(s)
	last, from, to := l.GP(), l.GP(), l.GP()
	turns, part, few, all, end := l.NewLabel("turns"), l.NewLabel("part"), l.NewLabel("few"), l.NewLabel("all"), l.NewLabel("end")
	l.CMP(emit.Imm(lanes.Turn), l.n)
	l.BLT(few)
	l.SUB(emit.Imm(lanes.Turn), l.n, last)
	l.Label(turns)
	l.turn(bits, body, s)
	l.finish(nil, nil)
	l.ADD(emit.Imm(lanes.Turn), l.at, l.at)
	l.CMP(last, l.at)
	l.BLE(turns)
	l.CMP(l.n, l.at)
	l.BEQ(end)
	l.SUB(last, l.at, from)
	l.MOVD(last, l.at)
	l.MOVD(emit.Imm(lanes.Turn), to)
	l.Label(part)
	l.turn(bits, body, s)
	l.finish(&from, &to)
	l.B(all)

	l.Label(few)
	l.CBZ(l.n, end)
	slots := make([]emit.GP, len(s))
	for i, s := range s {
		a := l.slices[s.ID]
		slots[i] = l.locals(lanes.Turn * a.bits / 8)
		if a.loaded {
			l.copyIn(a, slots[i])
		}
		l.MOVD(slots[i], a.base)
	}
	l.MOVD(emit.Imm(0), from)
	l.MOVD(l.n, to)
	l.B(part)

	l.Label(all)
	l.MOVD(l.Len(l.slices[s[0].ID].name), l.n)
	l.CMP(emit.Imm(lanes.Turn), l.n)
	l.BGE(end)
	for i, s := range s {
		if a := l.slices[s.ID]; a.saved {
			l.copyOut(a, slots[i])
		}
	}
	l.Label(end)
}

// locals returns a pointer to n bytes of the stack, from the beginning on.
func (l *laner) locals(n int) emit.GP {
	p := l.GP()
	l.count++
	at := l.Local(fmt.Sprintf("local%d", l.count), n)
	l.Prologue(func() { l.MOVD(at, p) })
	return p
}

// copyIn copies the elements of a slice, fewer than a turn, to a slot, and the first one to the rest of it.
func (l *laner) copyIn(a *slice, slot emit.GP) {
	i, from, t := l.GP(), l.GP(), l.GP()
	loop := l.NewLabel("in")
	l.MOVD(emit.Imm(0), i)
	l.Label(loop)
	l.CMP(l.n, i)
	l.CSEL("LT", i, emit.ZR, from)
	l.get(a.bits, emit.Indexed(a.base, from, a.bits/8), t)
	l.put(a.bits, t, emit.Indexed(slot, i, a.bits/8))
	l.ADD(emit.Imm(1), i, i)
	l.CMP(emit.Imm(lanes.Turn), i)
	l.BLT(loop)
}

// copyOut copies them to the slice.
func (l *laner) copyOut(a *slice, slot emit.GP) {
	i, to, t := l.GP(), l.GP(), l.GP()
	loop := l.NewLabel("out")
	l.MOVD(l.Base(a.name), to)
	l.MOVD(emit.Imm(0), i)
	l.Label(loop)
	l.get(a.bits, emit.Indexed(slot, i, a.bits/8), t)
	l.put(a.bits, t, emit.Indexed(to, i, a.bits/8))
	l.ADD(emit.Imm(1), i, i)
	l.CMP(l.n, i)
	l.BLT(loop)
}

func (l *laner) get(bits int, from emit.Operand, to emit.GP) {
	switch bits {
	case 16:
		l.MOVHU(from, to)
	case 32:
		l.MOVWU(from, to)
	case 64:
		l.MOVD(from, to)
	}
}

func (l *laner) put(bits int, from emit.GP, to emit.Operand) {
	switch bits {
	case 16:
		l.MOVH(from, to)
	case 32:
		l.MOVW(from, to)
	case 64:
		l.MOVD(from, to)
	}
}

func (l *laner) Whole(bits int, body func(j int), s ...lanes.S) {
	l.start(s)
	turns, check := l.NewLabel("turns"), l.NewLabel("check")
	l.B(check)
	l.Label(turns)
	l.turn(bits, body, s)
	l.finish(nil, nil)
	l.ADD(emit.Imm(lanes.Turn), l.at, l.at)
	l.Label(check)
	l.CMP(l.n, l.at)
	l.BLT(turns)
	l.over(s)
}

// over says that a loop is.
func (l *laner) over(s []lanes.S) {
	for _, s := range s {
		l.slices[s.ID].turn = emit.GP{}
	}
}

func (l *laner) Padded(bits int, body func(j int), s ...lanes.S) {
	l.start(s)
	turns, check, last, end := l.NewLabel("turns"), l.NewLabel("check"), l.NewLabel("last"), l.NewLabel("end")
	from, to := l.GP(), l.GP()
	l.B(check)
	l.Label(turns)
	l.turn(bits, body, s)
	l.SUB(l.at, l.n, to)
	l.CMP(emit.Imm(lanes.Turn), to)
	l.BLT(last)
	l.finish(nil, nil)
	l.ADD(emit.Imm(lanes.Turn), l.at, l.at)
	l.Label(check)
	l.CMP(l.n, l.at)
	l.BLT(turns)
	l.B(end)
	l.Label(last)
	l.MOVD(emit.Imm(0), from)
	l.finish(&from, &to)
	l.Label(end)
	l.over(s)
}

// Pairwise keeps four turns in registers, and takes those behind them one after the other.
func (l *laner) Pairwise(bits int, body func(a, b []lanes.V), n lanes.S, read, sums []lanes.S) {
	first := l.slices[read[0].ID].of
	stride := first.bits / 8 * lanes.Turn
	for j := range lanes.Turn * bits / 128 {
		row, other, last, end := l.GP(), l.GP(), l.GP(), l.length(n)
		l.ADD(emit.Shifted{GP: end, By: int(log2(first.bits / 8))}, first.base, end)
		l.MOVD(first.base, row)
		load := func(p emit.GP, turn int) (v []lanes.V) {
			for _, s := range slices.Concat(read, sums) {
				x := l.New(bits)
				l.FMOVQ(emit.At(p, turn*stride+l.slices[s.ID].disp+j*registerBytes), l.r(x))
				v = append(v, x)
			}
			return v
		}
		store := func(p emit.GP, turn int, v []lanes.V) {
			for i, s := range sums {
				l.FMOVQ(l.r(v[len(read)+i]), emit.At(p, turn*stride+l.slices[s.ID].disp+j*registerBytes))
			}
		}
		for _, block := range []int{4, 1} {
			rows, rowsCheck, others, othersCheck := l.NewLabel("rows"), l.NewLabel("rowsCheck"), l.NewLabel("others"), l.NewLabel("othersCheck")
			l.SUB(emit.Imm(block*stride), end, last)
			l.B(rowsCheck)
			l.Label(rows)
			a := make([][]lanes.V, block)
			for i := range a {
				a[i] = load(row, i)
			}
			for i := range a {
				for k := range i {
					body(a[k], a[i])
				}
			}
			l.ADD(emit.Imm(block*stride), row, other)
			l.B(othersCheck)
			l.Label(others)
			b := load(other, 0)
			for i := range a {
				body(a[i], b)
			}
			store(other, 0, b)
			l.ADD(emit.Imm(stride), other, other)
			l.Label(othersCheck)
			l.CMP(end, other)
			l.BLT(others)
			for i := range a {
				store(row, i, a[i])
			}
			l.ADD(emit.Imm(block*stride), row, row)
			l.Label(rowsCheck)
			l.CMP(last, row)
			l.BLE(rows)
		}
	}
}

func (l *laner) Until(result string, bits int, body func(j int) lanes.M, s ...lanes.S) {
	l.start(s)
	turns, check, found := l.NewLabel("turns"), l.NewLabel("check"), l.NewLabel("found")
	l.B(check)
	l.Label(turns)
	var all lanes.M
	l.turn(bits, func(j int) {
		m := body(j)
		if j == 0 {
			all = m
		} else {
			l.Or(lanes.V(all), lanes.V(all), lanes.V(m))
		}
	}, s)
	l.CBNZ(l.any(all), found)
	l.ADD(emit.Imm(lanes.Turn), l.at, l.at)
	l.Label(check)
	l.CMP(l.n, l.at)
	l.BLT(turns)
	l.Label(found)
	l.MOVD(l.at, l.Param(result))
}

// Scalars.

func (l *laner) scalar(g emit.GP) lanes.R {
	l.scalars = append(l.scalars, g)
	return lanes.R(len(l.scalars) - 1)
}

// memory returns the lanes that the body asks for in this call.
func (l *laner) memory(bits int) lanes.L {
	if l.register == 0 {
		l.bits = append(l.bits, bits)
	}
	l.calls++
	return lanes.L(l.calls - 1)
}

// lanesOf returns where they are.
func (l *laner) lanesOf(x lanes.L) emit.GP {
	for len(l.room) <= int(x) {
		l.room = append(l.room, emit.GP{})
	}
	if l.room[x] == (emit.GP{}) {
		l.room[x] = l.locals(lanes.Turn * l.bits[x] / 8)
	}
	return l.room[x]
}

func (l *laner) Spill(v ...lanes.V) lanes.L {
	to := l.memory(v[0].Bits)
	for i, x := range v {
		l.FMOVQ(l.r(x), emit.At(l.lanesOf(to), (l.register*len(v)+i)*registerBytes))
	}
	return to
}

func (l *laner) LanesUnlessAlike(alike func(x lanes.R), f func(x []lanes.R) lanes.R, x lanes.L) lanes.L {
	to := l.Lanes(f, x)
	if l.register == 0 {
		l.later[len(l.later)-1].alike = func(each emit.Label) {
			l.unlessAlike(x, each)
			first := l.GP()
			l.MOVWU(emit.At(l.lanesOf(x), 0), first)
			alike(l.scalar(first))
		}
	}
	return to
}

func (l *laner) Lanes(f func(x []lanes.R) lanes.R, x ...lanes.L) lanes.L {
	to := l.memory(32)
	if l.register > 0 {
		return to
	}
	l.later = append(l.later, stage{lane: func() {
		var in []lanes.R
		for _, x := range x {
			g := l.GP()
			l.get(l.bits[x], l.laneAt(l.lanesOf(x), l.bits[x]), g)
			in = append(in, l.scalar(g))
		}
		if y := f(in); y != lanes.None {
			l.put(32, l.scalars[y], l.laneAt(l.lanesOf(to), 32))
		}
	}})
	return to
}

// unlessAlike goes to each where lanes of 32 bits are not all the same. Mostly the first one and the last one differ.
func (l *laner) unlessAlike(x lanes.L, each emit.Label) {
	p, first, last, same, all := l.lanesOf(x), l.GP(), l.GP(), l.New(32), l.New(32)
	l.MOVWU(emit.At(p, 0), first)
	l.MOVWU(emit.At(p, 4*(lanes.Turn-1)), last)
	l.CMP(last, first)
	l.BNE(each)
	l.VDUPGP(first, l.a(same))
	for i := range lanes.Turn / 4 {
		t := l.New(32)
		l.FMOVQ(emit.At(p, i*registerBytes), l.r(t))
		if m := l.Equal(same, t); i == 0 {
			l.Set(all, lanes.V(m))
		} else {
			l.And(all, all, lanes.V(m))
		}
	}
	l.VUMINP(l.a(all), l.a(all), l.a(all))
	mask := l.GP()
	l.VMOVGP(l.r(all).D(0), mask)
	l.ADD(emit.Imm(1), mask, mask)
	l.CBNZ(mask, each)
}

func (l *laner) PutSteps(s lanes.S, x lanes.R) {
	l.slices[s.ID].saved = true
	first, t := l.New(32), l.New(32)
	l.VDUPGP(l.scalars[x], l.a(first))
	for i := range lanes.Turn / 4 {
		l.iota(t, i)
		l.Add(t, t, first)
		l.FMOVQ(l.r(t), l.mem(s, i, t))
	}
}

// laneAt returns where the lane is among those that begin at p.
func (l *laner) laneAt(p emit.GP, bits int) emit.Mem {
	if l.offset != nil {
		return emit.Indexed(p, *l.offset, bits/8)
	}
	return emit.At(p, l.lane*bits/8)
}

func (l *laner) Own(s lanes.S) lanes.R {
	a, g := l.slices[s.ID], l.GP()
	a.loaded = true
	l.get(s.Bits, l.laneAt(a.turn, s.Bits), g)
	return l.scalar(g)
}

func (l *laner) PutOwn(s lanes.S, x lanes.R) {
	a := l.slices[s.ID]
	a.saved = true
	l.put(s.Bits, l.scalars[x], l.laneAt(a.turn, s.Bits))
}

func (l *laner) Index(arg string) lanes.R {
	g := l.word(arg)
	l.ADD(l.at, g, g)
	if l.offset != nil {
		l.ADD(*l.offset, g, g)
	} else {
		l.ADD(emit.Imm(l.lane), g, g)
	}
	return l.scalar(g)
}

func (l *laner) Last(s lanes.S) lanes.R {
	n := l.length(s)
	l.SUB(emit.Imm(1), n, n)
	return l.scalar(n)
}

func (l *laner) AtMost(x, limit lanes.R) {
	a, b := l.scalars[x], l.scalars[limit]
	l.CMP(b, a)
	l.CSEL("LO", a, b, a)
}

func (l *laner) element(s lanes.S, i lanes.R) emit.Mem {
	return emit.Indexed(l.slices[s.ID].base, l.scalars[i], s.Bits/8)
}

func (l *laner) Get(s lanes.S, i lanes.R) lanes.R {
	g := l.GP()
	l.get(s.Bits, l.element(s, i), g)
	return l.scalar(g)
}

func (l *laner) Put(s lanes.S, i, x lanes.R) { l.put(s.Bits, l.scalars[x], l.element(s, i)) }

func (l *laner) AddTo(s lanes.S, i, x lanes.R) {
	g := l.GP()
	l.get(s.Bits, l.element(s, i), g)
	l.ADD(l.scalars[x], g, g)
	l.put(s.Bits, g, l.element(s, i))
}

func (l *laner) Increment1(s lanes.S, i lanes.R) { l.Advance(s, i, 1) }

func (l *laner) Advance(s lanes.S, i lanes.R, n int) lanes.R {
	g, next := l.GP(), l.GP()
	l.get(s.Bits, l.element(s, i), g)
	l.ADD(emit.Imm(n), g, next)
	l.put(s.Bits, next, l.element(s, i))
	return l.scalar(g)
}

func (l *laner) Fetch(s lanes.S, i lanes.R) {
	p := l.GP()
	l.ADD(emit.Shifted{GP: l.scalars[i], By: int(log2(s.Bits / 8))}, l.slices[s.ID].base, p)
	l.PRFM(emit.At(p, 0))
}
