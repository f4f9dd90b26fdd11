package arm64

import (
	"slices"

	"github.com/lanewise/lanewise/asm/arm64/emit"
	"github.com/lanewise/lanewise/asm/machine"
)

// A walk says where the buffers of a loop are, and how many elements of them it has.
type walk struct {
	pointer func(name string) emit.GP // in a fresh register
	length  func() emit.GP            // likewise
}

// slices is the walk over whole arguments, or over a row.
func (m mach) slices(name string) walk {
	if m.row != nil {
		return *m.row
	}
	return walk{m.base, func() emit.GP { return m.len(name) }}
}

func (m mach) base(name string) emit.GP {
	g := m.GP()
	m.MOVD(m.function.Base(name), g)
	return g
}

func (m mach) len(name string) emit.GP {
	g := m.GP()
	m.MOVD(m.function.Len(name), g)
	return g
}

func (m mach) copyGP(g emit.GP) emit.GP {
	h := m.GP()
	m.MOVD(g, h)
	return h
}

// step is how far a register takes a buffer on, in bytes.
func (m mach) step(b machine.Buf) int {
	if b.Half != 0 {
		return 2 * m.lanes()
	}
	if m.ints[b.Name] {
		return 4 * m.lanes()
	}
	return registerBytes
}

// wideInts says whether the integers of a buffer are narrower than the elements.
func (m mach) wideInts(b machine.Buf) bool { return m.ints[b.Name] && m.typ == machine.F64 }

// load reads a register from a buffer.
func (m mach) load(d V, mem emit.Mem, b machine.Buf) {
	if b.Half != 0 {
		m.FMOVD(mem, m.r(d))
		m.widenHalves(d, d, b.Half)
		return
	}
	if m.wideInts(b) {
		m.FMOVD(mem, m.r(d))
		m.VSXTL(m.r(d).S2(), m.r(d).D2())
		return
	}
	m.FMOVQ(mem, m.r(d))
}

// store writes a register to a buffer.
func (m mach) store(v V, mem emit.Mem, b machine.Buf) {
	if b.Half != 0 {
		t := m.New()
		m.narrowHalves(t, []V{v}, b.Half)
		m.FMOVD(m.r(t), mem)
		return
	}
	if m.wideInts(b) {
		t := m.New()
		m.VXTN(m.r(v).D2(), m.r(t).S2())
		m.FMOVD(m.r(t), mem)
		return
	}
	m.FMOVQ(m.r(v), mem)
}

// lanesAt runs f on the lanes 0 to n−1 of v and their memory: n is less than a register has, and not 0.
func (m mach) lanesAt(v V, p, n emit.GP, f func(e emit.Element, mem emit.Mem)) {
	r := m.r(v)
	if m.typ == machine.F64 {
		f(r.D(0), emit.At(p, 0))
		return
	}
	one, done, q := m.NewLabel("one"), m.NewLabel("done"), m.GP()
	m.TBZ(1, n, one)
	f(r.D(0), emit.At(p, 0))
	m.TBZ(0, n, done)
	m.ADD(emit.Imm(8), p, q)
	f(r.S(2), emit.At(q, 0))
	m.B(done)
	m.Label(one)
	f(r.S(0), emit.At(p, 0))
	m.Label(done)
}

// loadPart reads n elements, fewer than a register has. Nothing past them is touched.
func (m mach) loadPart(d V, p, n emit.GP, b machine.Buf) {
	if m.wideInts(b) {
		m.FMOVS(emit.At(p, 0), m.r(d))
		m.VSXTL(m.r(d).S2(), m.r(d).D2())
		return
	}
	m.fill(d, b.Fill)
	m.lanesAt(d, p, n, func(e emit.Element, mem emit.Mem) { m.VLD1(mem, e) })
}

// storePart writes n elements, fewer than a register has.
func (m mach) storePart(v V, p, n emit.GP, b machine.Buf) {
	if m.wideInts(b) {
		m.FMOVS(m.r(v), emit.At(p, 0)) // the lower half of lane 0
		return
	}
	m.lanesAt(v, p, n, func(e emit.Element, mem emit.Mem) { m.VST1(e, mem) })
}

// one runs body on a register of each buffer.
func (m mach) one(bufs []machine.Buf, mems []emit.Mem, body func(x []V) V) {
	var x []V
	for i, b := range bufs {
		if b.Ahead && mems[i].Disp%64 == 0 {
			m.PRFM(mems[i])
		}
		if b.Read {
			v := m.New()
			m.load(v, mems[i], b)
			x = append(x, v)
		}
	}
	y := body(x)
	for i, b := range bufs {
		if b.Write {
			m.store(y, mems[i], b)
		}
	}
}

// part is one for n elements, fewer than a register has, at p.
func (m mach) part(bufs []machine.Buf, p []emit.GP, n emit.GP, body func(x []V) V) {
	var x []V
	for i, b := range bufs {
		if b.Read {
			v := m.New()
			m.loadPart(v, p[i], n, b)
			x = append(x, v)
		}
	}
	y := body(x)
	for i, b := range bufs {
		if b.Write {
			m.storePart(y, p[i], n, b)
		}
	}
}

func (m mach) Each(body func(j int, x []V) V, bufs ...machine.Buf) {
	w := m.slices(bufs[0].Name)
	m.each(w.length(), pointers(bufs, w.pointer), body, bufs, false)
}

func (m mach) Map(body func(x []V) V, bufs ...machine.Buf) {
	w := m.slices(bufs[0].Name)
	m.each(w.length(), pointers(bufs, w.pointer), func(_ int, x []V) V { return body(x) }, bufs, true)
}

// pointers returns a pointer into each buffer, the same one for buffers of one name.
func pointers(bufs []machine.Buf, pointer func(name string) emit.GP) []emit.GP {
	p := make([]emit.GP, len(bufs))
	for i, b := range bufs {
		if j := slices.IndexFunc(bufs, func(c machine.Buf) bool { return c.Name == b.Name && c.Ahead == b.Ahead }); j < i {
			p[i] = p[j]
		} else {
			p[i] = pointer(b.Name)
		}
	}
	return p
}

// firstOf says whether pointer i is the first of its buffer.
func firstOf(p []emit.GP, i int) bool { return slices.Index(p, p[i]) == i }

// advance adds to pointers, once to each.
func (m mach) advance(p []emit.GP, by func(i int) emit.Imm) {
	for i, q := range p {
		if firstOf(p, i) {
			m.ADD(by(i), q, q)
		}
	}
}

// long is from how many instructions for two registers on half a block a turn is enough.
const long = 24

// each is Each for n elements at pointers p; it changes them. same says that body does the same to every register.
func (m mach) each(n emit.GP, p []emit.GP, body func(j int, x []V) V, bufs []machine.Buf, same bool) {
	at := func(disp int) []emit.Mem {
		mems := make([]emit.Mem, len(bufs))
		for i, b := range bufs {
			mems[i] = emit.At(p[i], disp*m.step(b))
		}
		return mems
	}
	turn := regs
	if same && m.Measure(func() { m.some(bufs, at(0), 0, 2, body) }) > long {
		turn = regs / 2
	}
	block := emit.Imm(turn * m.lanes())
	loop, tail, done := m.NewLabel("blocks"), m.NewLabel("tail"), m.NewLabel("end")
	m.Commentf("blocks of %d: %v", block, bufs)
	m.SUBS(block, n, n)
	m.BLT(tail)
	m.Label(loop)
	for j := 0; j < turn; j += m.abreast() {
		m.some(bufs, at(j), j, m.abreast(), body)
	}
	m.advance(p, func(i int) emit.Imm { return emit.Imm(turn * m.step(bufs[i])) })
	m.SUBS(block, n, n)
	m.BGE(loop)
	m.Label(tail)
	m.ADDS(block, n, n)
	m.BEQ(done)

	// What is left: a register at a time. Where it does not fill the last one, it goes there by way of a slot, so that there is only one
	// copy of body for each register, or one at all: sums that are in memory pass by.
	m.Commentf("the last block, register by register")
	slot := make([]emit.GP, len(bufs))
	rest, whole := m.GP(), m.NewLabel("whole")
	m.AND(emit.Imm(m.lanes()-1), n, rest)
	end := make([]emit.GP, len(bufs)) // where the rest begins
	for i, b := range bufs {
		if j := slices.Index(p, p[i]); j < i {
			slot[i], end[i] = slot[j], end[j]
			continue
		}
		slot[i], end[i] = m.GP(), m.GP()
		m.ADD(emit.Imm(registerBytes*i), m.slots, slot[i])
		size := m.step(b) / m.lanes()
		m.SUB(rest, n, end[i])
		m.LSL(log2(size), end[i], end[i])
		m.ADD(p[i], end[i], end[i])
	}
	m.CBZ(rest, whole)
	for i, b := range bufs {
		if b.Read {
			v := m.New()
			if m.wideInts(b) {
				m.FMOVS(emit.At(end[i], 0), m.r(v))
				m.FMOVQ(m.r(v), emit.At(slot[i], 0))
				continue
			}
			if b.Half != 0 {
				m.fill(v, 0)
				m.FMOVQ(m.r(v), emit.At(slot[i], 0))
				m.someHalves(end[i], slot[i], rest)
				continue
			}
			m.loadPart(v, end[i], rest, b)
			m.FMOVQ(m.r(v), emit.At(slot[i], 0))
		}
	}
	m.Label(whole)
	last := m.NewLabel("last")
	copies, loop := regs, m.NewLabel("one")
	sumsAt := m.sumsAt
	if m.sums != nil {
		m.sumsAt = m.copyGP(sumsAt)
	}
	if same || m.sums != nil {
		copies = 1
		m.Label(loop)
	}
	for j := range copies {
		ready := m.NewLabel("register")
		m.CMP(emit.Imm(m.lanes()), n)
		m.BGE(ready)
		for i := range bufs {
			if firstOf(p, i) {
				m.MOVD(slot[i], p[i])
			}
		}
		m.Label(ready)
		m.one(bufs, at(0), func(x []V) V { return body(j, x) })
		m.advance(p, func(i int) emit.Imm { return emit.Imm(m.step(bufs[i])) })
		if m.sums != nil {
			m.ADD(emit.Imm(registerBytes), m.sumsAt, m.sumsAt)
		}
		m.SUBS(emit.Imm(m.lanes()), n, n)
		if copies == 1 {
			m.BGT(loop)
		} else {
			m.BLE(last)
		}
	}
	m.sumsAt = sumsAt
	m.Label(last)
	m.CBZ(rest, done)
	for i, b := range bufs {
		if !b.Write {
			continue
		}
		if b.Half != 0 {
			m.someHalves(slot[i], end[i], rest)
			continue
		}
		v := m.New()
		m.FMOVQ(emit.At(slot[i], 0), m.r(v))
		m.storePart(v, end[i], rest, b)
	}
	m.Label(done)
}

func log2(n int) emit.Imm {
	for i := range 64 {
		if n == 1<<i {
			return emit.Imm(i)
		}
	}
	panic("no power of two")
}

// abreast is how many registers go side by side.
func (m mach) abreast() int {
	if m.sums != nil {
		return 4
	}
	return 2
}

// some runs body on n registers of each buffer that lie side by side, an even number; the first ones are at mems. Their instructions go by
// turns.
func (m mach) some(bufs []machine.Buf, mems []emit.Mem, j, n int, body func(j int, x []V) V) {
	after := func(mem emit.Mem, bytes int) emit.Mem { return emit.At(mem.Base, mem.Disp+bytes) }
	x := make([][]V, n)
	for i, b := range bufs {
		if b.Ahead && mems[i].Disp%64 == 0 {
			m.PRFM(mems[i])
		}
		for k := 0; k < n && b.Read; k += 2 {
			v, w, mem := m.New(), m.New(), after(mems[i], k*m.step(b))
			if b.Half != 0 {
				m.FMOVQ(mem, m.r(w))
				m.widenHalves(v, w, b.Half)
				m.widenUpperHalves(w, w, b.Half)
			} else if m.wideInts(b) {
				m.FMOVQ(mem, m.r(w))
				m.VSXTL(m.r(w).S2(), m.r(v).D2())
				m.VSXTL2(m.r(w).S4(), m.r(w).D2())
			} else {
				m.FLDPQ(mem, m.r(v), m.r(w))
			}
			x[k], x[k+1] = append(x[k], v), append(x[k+1], w)
		}
	}
	y := make([]V, n)
	pieces := make([]func(), n)
	for k := range pieces {
		pieces[k] = func() { y[k] = body(j+k, x[k]) }
	}
	m.Interleave(pieces...)
	for i, b := range bufs {
		for k := 0; k < n && b.Write; k += 2 {
			mem := after(mems[i], k*m.step(b))
			if b.Half != 0 {
				t := m.New()
				m.narrowHalves(t, y[k:k+2], b.Half)
				m.FMOVQ(m.r(t), mem)
			} else if m.wideInts(b) {
				t := m.New()
				m.VUZP1(m.r(y[k+1]).S4(), m.r(y[k]).S4(), m.r(t).S4())
				m.FMOVQ(m.r(t), mem)
			} else {
				m.FSTPQ(m.r(y[k]), m.r(y[k+1]), mem)
			}
		}
	}
}
