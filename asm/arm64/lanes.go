package arm64

import (
	"fmt"

	"github.com/lanewise/lanewise/asm/arm64/emit"
	"github.com/lanewise/lanewise/asm/lanes"
)

// Lanes returns the lanes.Machine that writes the function.
func (c *Code) Lanes() lanes.Machine {
	return &laner{Func: c.Func, signature: c.signature}
}

// laner is a lanes.Machine. Its masks are lanes that are all ones or 0.
type laner struct {
	*emit.Func
	signature string
	vectors   []emit.Vec
	zeros     emit.Vec // once something asks for it
	shifts    []emit.Vec
	slices    []*slice
	count     int     // of locals
	at, n     emit.GP // of a loop: the first element of a turn, how many there are

	scalars  []emit.GP
	room     []emit.GP // for each L of a turn
	bits     []int     // of its lanes
	calls    int       // of Spill and Lanes by this run of a body
	register int       // of a turn, that it is at
	later    []func()  // what Lanes left for the end of a turn
	lane     int       // which f of Lanes is at
	offset   *emit.GP  // and where that begins, in elements from at, unless it is nil
}

// A slice is an argument that is one.
type slice struct {
	name          string
	bits          int // of an element
	base          emit.GP
	turn          emit.GP // where the elements of a turn begin
	loaded, saved bool    // by the body of a loop
}

func (l *laner) Slice(name string) lanes.S {
	s := &slice{name: name, bits: lanes.ElementBits(l.signature, name), base: l.GP()}
	l.MOVD(l.Base(name), s.base)
	l.slices = append(l.slices, s)
	return lanes.S{ID: len(l.slices) - 1, Bits: s.bits}
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

func (l *laner) Set(d, x lanes.V) { l.VMOV(l.b(x), l.b(d)) }

// Arguments and results.

func (l *laner) word(arg string) emit.GP {
	g := l.GP()
	l.MOVWU(l.Param(arg), g)
	return g
}

func (l *laner) Arg(name string, bits int) lanes.V {
	v := l.New(bits)
	l.VDUPGP(l.word(name), l.a(v))
	return v
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

func (l *laner) fold(result string, v lanes.V, f func(m, n, d emit.Arranged)) {
	d := l.New(v.Bits)
	l.Set(d, v)
	for n := 128 / v.Bits; n > 1; n /= 2 {
		f(l.a(d), l.a(d), l.a(d))
	}
	g := l.GP()
	l.VMOVGP(l.r(d).S(0), g)
	if v.Bits == 16 {
		l.MOVH(g, l.Param(result))
	} else {
		l.MOVW(g, l.Param(result))
	}
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

// Halves.

func (l *laner) Zip(a, b, low, high lanes.V) {
	l.VZIP1(l.r(high).S4(), l.r(low).S4(), l.r(a).S4())
	l.VZIP2(l.r(high).S4(), l.r(low).S4(), l.r(b).S4())
}

func (l *laner) Unzip(low, high, a, b lanes.V) {
	l.Low(low, a, b)
	l.High(high, a, b)
}

func (l *laner) Low(d, a, b lanes.V)  { l.VUZP1(l.r(b).S4(), l.r(a).S4(), l.r(d).S4()) }
func (l *laner) High(d, a, b lanes.V) { l.VUZP2(l.r(b).S4(), l.r(a).S4(), l.r(d).S4()) }

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
	return emit.At(a.turn, i*registerBytes)
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
	var half [2]uint64
	for j := range 128 / d.Bits {
		half[j*d.Bits/64] |= uint64(i*128/d.Bits+j) << (j * d.Bits % 64)
	}
	t := l.New(d.Bits)
	l.FMOVQ(l.Constant(half[0], half[1]), l.r(t))
	l.VDUPGP(l.at, l.a(d))
	l.Add(d, d, t)
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
	for _, s := range s {
		a := l.slices[s.ID]
		l.ADD(emit.Shifted{GP: l.at, By: int(log2(a.bits / 8))}, a.base, a.turn)
	}
	l.later, l.bits = nil, l.bits[:0]
	for j := range lanes.Turn * bits / 128 {
		l.register, l.calls = j, 0
		body(j)
	}
}

// finish does what Lanes left: for a whole turn, or from the lane from on to the one before to.
func (l *laner) finish(from, to *emit.GP) {
	for _, f := range l.later {
		if from == nil {
			for l.lane = range lanes.Turn {
				f()
			}
			continue
		}
		loop, offset := l.NewLabel("lanes"), l.GP()
		l.lane, l.offset = 0, &offset
		l.MOVD(*from, offset)
		l.Label(loop)
		f()
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

func (l *laner) Lanes(f func(x []lanes.R) lanes.R, x ...lanes.L) lanes.L {
	to := l.memory(32)
	if l.register > 0 {
		return to
	}
	l.later = append(l.later, func() {
		var in []lanes.R
		for _, x := range x {
			g := l.GP()
			l.get(l.bits[x], l.laneAt(l.lanesOf(x), l.bits[x]), g)
			in = append(in, l.scalar(g))
		}
		if y := f(in); y != lanes.None {
			l.put(32, l.scalars[y], l.laneAt(l.lanesOf(to), 32))
		}
	})
	return to
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

func (l *laner) Increment1(s lanes.S, i lanes.R) { l.Advance(s, i) }

func (l *laner) Advance(s lanes.S, i lanes.R) lanes.R {
	g, next := l.GP(), l.GP()
	l.get(s.Bits, l.element(s, i), g)
	l.ADD(emit.Imm(1), g, next)
	l.put(s.Bits, next, l.element(s, i))
	return l.scalar(g)
}

func (l *laner) Fetch(s lanes.S, i lanes.R) {
	p := l.GP()
	l.ADD(emit.Shifted{GP: l.scalars[i], By: int(log2(s.Bits / 8))}, l.slices[s.ID].base, p)
	l.PRFM(emit.At(p, 0))
}
