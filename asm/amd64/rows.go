package amd64

import (
	"math/bits"

	"github.com/lanewise/lanewise/asm/machine"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// fewRows is from how many short rows on it pays to transpose them.
const fewRows = 3

func (m mach) logSize() int  { return bits.TrailingZeros(uint(m.size())) }
func (m mach) logLanes() int { return bits.TrailingZeros(uint(m.lanes())) }

func (m mach) Rows(long func(), short func(machine.Columns), in []string, out string) {
	c := m.columns("cols")
	m.XORQ(c.off, c.off)
	n := m.AllocLocal(8) // elements left: general registers are few
	t := m.Load(m.Param(in[0]).Len(), m.GP64())
	m.MOVQ(t, n)
	if m.ints["dst"] {
		m.out = m.base("dst")
	}
	longLoop, done := m.label("row"), m.label("end")
	m.short(c, longLoop, n, short, in, out)
	m.Comment("a row at a time")
	m.Label(longLoop)
	m.CMPQ(n, I8(0))
	m.JE(LabelRef(done))
	m.row = &walk{c.at, func() reg.GPVirtual { return m.param("cols") }}
	long()
	m.row = nil
	cols := m.param("cols")
	m.SUBQ(cols, n)
	m.SHLQ(U8(m.logSize()), cols)
	m.ADDQ(cols, c.off)
	m.JMP(LabelRef(longLoop))
	m.Label(done)
}

// short takes the rows if they are short and not few, and leaves n at 0; otherwise it jumps to long.
func (m mach) short(c *columns, long string, n Mem, body func(machine.Columns), in []string, out string) {
	cols := m.param("cols")
	m.CMPQ(cols, U32(m.typ.Lanes()))
	m.JA(LabelRef(long))
	left, size := m.GP64(), m.GP64()
	m.LEAQ(Mem{Base: cols, Index: cols, Scale: fewRows - 1}, size)
	m.MOVQ(n, left)
	m.CMPQ(left, size)
	m.JB(LabelRef(long))
	m.MOVL(left.As32(), reg.EAX)
	m.XORL(reg.EDX, reg.EDX)
	m.DIVL(cols.As32())
	m.MOVL(reg.EAX, left.As32())
	m.MOVQ(U32(0), n)
	c.turn(left, body, in, out)
}

// transposed moves the rows of a block from a slice to scratch memory, a register of columns for each element, or back.
//
// It goes by units of 128 bits of every row, of which a register holds as many as it has such lanes: only these are transposed. The last
// unit of a row may overlap the one before.
func (c *columns) transposed(slice, tile string, back bool) {
	if back {
		c.Commentf("transpose %s to %s", tile, slice)
	} else {
		c.Commentf("transpose %s to %s", slice, tile)
	}
	p, s := c.at(slice), c.scratchAt(tile)
	stride := c.param("cols")
	c.SHLQ(U8(c.logSize()), stride)
	unit := 16 / c.size()
	careful, done := c.label("careful"), c.label("moved")
	if c.regs == 1 {
		c.CMPQ(c.left, U32(c.lanes()))
		c.JB(LabelRef(careful))
	}
	cols := c.param("cols")
	c.CMPQ(cols, U32(unit))
	c.JB(LabelRef(careful))

	c.everyRegister(p, s, stride, back, false)
	c.JMP(LabelRef(done))
	c.Comment("rows that are not there, or shorter than a unit")
	c.Label(careful)
	c.everyRegister(p, s, stride, back, true)
	c.Label(done)
}

// everyRegister moves the rows of one register after the other.
func (c *columns) everyRegister(p, s, stride reg.GPVirtual, back, careful bool) {
	if c.regs == 1 {
		c.units(p, s, stride, back, careful)
		return
	}
	left, step, loop := c.GP64(), c.GP64(), c.label("registers")
	c.MOVQ(U32(c.regs), left)
	c.Label(loop)
	c.units(p, s, stride, back, careful)
	c.MOVQ(stride, step)
	c.SHLQ(U8(c.logLanes()), step)
	c.ADDQ(step, p)
	c.ADDQ(U32(c.isa.bytes), s)
	c.DECQ(left)
	c.JNE(LabelRef(loop))
}

// units moves one register's rows, unit by unit.
func (c *columns) units(p, s, stride reg.GPVirtual, back, careful bool) {
	unit := 16 / c.size()
	at, tile, left := c.GP64(), c.GP64(), c.param("cols")
	c.MOVQ(p, at)
	c.MOVQ(s, tile)
	var some Op
	if careful {
		n, most := c.GP64(), c.GP64()
		c.MOVQ(left, n)
		c.MOVQ(U32(unit), most)
		c.CMPQ(n, most)
		c.CMOVQHI(most, n)
		some = c.partUnit(n)
	}
	c.eachUnit(left, func() {
		if back {
			c.unitOut(at, tile, stride, some)
		} else {
			c.unitIn(at, tile, stride, some)
		}
	}, func(step reg.GPVirtual) {
		c.LEAQ(Mem{Base: at, Index: step, Scale: uint8(c.size())}, at)
		c.SHLQ(U8(bits.TrailingZeros(uint(c.stride()))), step)
		c.ADDQ(step, tile)
	})
}

// eachUnit runs body for every unit of 128 bits of left elements, and next to move on by step elements: the last unit may overlap the one
// before.
func (m mach) eachUnit(left reg.GPVirtual, body func(), next func(step reg.GPVirtual)) {
	unit := U32(16 / m.size())
	loop, on, done := m.label("unit"), m.label("next"), m.label("done")
	m.Label(loop)
	body()
	step := m.GP64()
	m.MOVQ(unit, step)
	m.SUBQ(step, left)
	m.JLE(LabelRef(done))
	m.CMPQ(left, step)
	m.JAE(LabelRef(on))
	m.MOVQ(left, step)
	m.MOVQ(unit, left)
	m.Label(on)
	next(step)
	m.JMP(LabelRef(loop))
	m.Label(done)
}

// partUnit returns the mask of n elements of 128 bits.
func (c *columns) partUnit(n reg.GPVirtual) Op {
	if c.zmm() {
		return c.masks(n, false)(0).k
	}
	count, k := c.XMM(), c.XMM()
	c.VMOVQ(n, count)
	if c.typ == machine.F32 {
		c.VPBROADCASTD(count, count)
	} else {
		c.VPBROADCASTQ(count, count)
	}
	c.ps(c.VPCMPGTD, c.VPCMPGTQ)(c.iota(c.size()), count, k)
	return k
}

// unitRows calls f for each row of the unit at p: it belongs into lane of v[i]. Where some is not nil it stops at the last row there is.
func (c *columns) unitRows(p, stride reg.GPVirtual, careful bool, f func(i, lane int, mem Mem)) {
	unit := 16 / c.size()
	q, q2 := c.GP64(), c.GP64()
	c.MOVQ(p, q)
	if careful {
		end := c.label("rows")
		for r := range c.lanes() {
			if r > 0 {
				if c.regs == 1 {
					c.CMPQ(c.left, U32(r))
					c.JBE(LabelRef(end))
				}
				c.ADDQ(stride, q)
			}
			f(r%unit, r/unit, Mem{Base: q})
		}
		c.Label(end)
		return
	}
	for i := range unit {
		f(i, 0, Mem{Base: q})
		f(i, 1, Mem{Base: q, Index: stride, Scale: uint8(unit)})
		if c.zmm() {
			f(i, 2, Mem{Base: q, Index: stride, Scale: uint8(2 * unit)})
			c.LEAQ(Mem{Base: q, Index: stride, Scale: uint8(unit)}, q2)
			f(i, 3, Mem{Base: q2, Index: stride, Scale: uint8(2 * unit)})
		}
		if i < unit-1 {
			c.ADDQ(stride, q)
		}
	}
}

// insert sets 128 bits of v; lane 0 comes first, and needs nothing of v.
func (m mach) insert(lane int, from Op, v V) {
	switch {
	case lane == 0:
		m.VMOVUPS(from, m.x(v))
	case m.zmm():
		m.VINSERTF32X4(U8(lane), from, m.r(v), m.r(v))
	default:
		m.VINSERTF128(U8(lane), from, m.r(v), m.r(v))
	}
	if lane == 1 {
		m.last().Inputs = []Op{from, m.x(v)}
	}
}

// extract stores 128 bits of v.
func (m mach) extract(lane int, v V, to Op) {
	switch {
	case lane == 0:
		m.VMOVUPS(m.x(v), to)
	case m.zmm():
		m.VEXTRACTF32X4(U8(lane), m.r(v), to)
	default:
		m.VEXTRACTF128(U8(lane), m.r(v), to)
	}
}

func (c *columns) unitIn(p, tile, stride reg.GPVirtual, some Op) {
	v := make([]V, 16/c.size())
	for i := range v {
		v[i] = c.New()
		if some != nil {
			c.zero(v[i])
		}
	}
	c.unitRows(p, stride, some != nil, func(i, lane int, mem Mem) {
		if some == nil {
			c.insert(lane, mem, v[i])
			return
		}
		x := c.XMM()
		switch {
		case c.zmm() && c.typ == machine.F32:
			c.VMOVUPS_Z(mem, some, x)
		case c.zmm():
			c.VMOVUPD_Z(mem, some, x)
		default:
			c.maskmov(mem, some, x)
		}
		c.insert(lane, x, v[i])
	})
	for i, v := range c.square128(v) {
		c.VMOVUPS(c.r(v), Mem{Base: tile, Disp: i * c.stride()})
	}
}

func (c *columns) unitOut(p, tile, stride reg.GPVirtual, some Op) {
	v := make([]V, 16/c.size())
	for i := range v {
		v[i] = c.New()
		c.VMOVUPS(Mem{Base: tile, Disp: i * c.stride()}, c.r(v[i]))
	}
	v = c.square128(v)
	c.unitRows(p, stride, some != nil, func(i, lane int, mem Mem) {
		if some == nil {
			c.extract(lane, v[i], mem)
			return
		}
		x := c.x(v[i])
		if lane > 0 {
			x = c.XMM()
			c.extract(lane, v[i], x)
		}
		if c.zmm() {
			c.ps(c.VMOVUPS, c.VMOVUPD)(x, some, mem)
		} else {
			c.maskmov(x, some, mem)
		}
	})
}

// square128 transposes the 4×4 or 2×2 elements of every 128-bit lane.
func (m mach) square128(v []V) []V {
	pair := func(low, high func(...Op), a, b V) (V, V) {
		l, h := m.New(), m.New()
		low(m.r(b), m.r(a), m.r(l))
		high(m.r(b), m.r(a), m.r(h))
		return l, h
	}
	if m.typ == machine.F64 {
		a, b := pair(m.VUNPCKLPD, m.VUNPCKHPD, v[0], v[1])
		return []V{a, b}
	}
	a, b := pair(m.VUNPCKLPS, m.VUNPCKHPS, v[0], v[1])
	d, e := pair(m.VUNPCKLPS, m.VUNPCKHPS, v[2], v[3])
	w0, w1 := pair(m.VUNPCKLPD, m.VUNPCKHPD, a, d)
	w2, w3 := pair(m.VUNPCKLPD, m.VUNPCKHPD, b, e)
	return []V{w0, w1, w2, w3}
}
