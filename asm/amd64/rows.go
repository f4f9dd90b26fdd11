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
	n := m.AllocLocal(8) // elements left: general registers are few
	t := m.Load(m.Param(in[0]).Len(), m.GP64())
	m.MOVQ(t, n)
	long1, longLoop, done := m.label("long"), m.label("row"), m.label("end")
	m.short(c, long1, n, short, in, out)
	m.JMP(LabelRef(done))
	m.Comment("a row at a time")
	m.Label(long1)
	if out == "" { // a value for each row
		m.out = m.base("dst")
	}
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

// short takes the rows if they are short and not few; otherwise it jumps to long.
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
	m.MOVQ(left, c.left)
	c.turn(body, in, out)
}

// transposed moves the rows of a block from a slice to scratch memory, a register of columns for each element, or back.
func (c *columns) transposed(slice, tile string, back bool) {
	name := "rowsIn"
	if back {
		c.Commentf("transpose %s to %s", tile, slice)
		name = "rowsOut"
	} else {
		c.Commentf("transpose %s to %s", slice, tile)
	}
	rows := c.GP64()
	if c.regs == 1 {
		rows = c.some()
	} else {
		c.MOVQ(U32(c.regs*c.lanes()), rows)
	}
	c.call(name, []reg.GPVirtual{c.at(slice), c.scratchAt(tile), c.param("cols"), rows}, nil, func(m mach, ints []reg.GPVirtual, _ []V) []V {
		m.rows(ints[0], ints[1], ints[2], ints[3], back)
		return nil
	})
}

// rows moves rows of cols elements at p to scratch memory at s, or back: those of one register of columns after the other.
//
// It goes by units of 128 bits of every row, of which a register holds as many as it has such lanes: only these are transposed. The last
// unit of a row may overlap the one before.
func (m mach) rows(p, s, cols, rows reg.GPVirtual, back bool) {
	loop, careful, next, done := m.label("register"), m.label("careful"), m.label("next"), m.label("moved")
	stride := m.GP64()
	m.MOVQ(cols, stride)
	m.SHLQ(U8(m.logSize()), stride)
	m.Label(loop)
	m.CMPQ(rows, U32(m.lanes()))
	m.JB(LabelRef(careful))
	m.CMPQ(cols, U32(16/m.size()))
	m.JB(LabelRef(careful))
	m.units(p, s, cols, stride, nil, back)
	m.Label(next)
	step := m.GP64()
	m.MOVQ(stride, step)
	m.SHLQ(U8(m.logLanes()), step)
	m.ADDQ(step, p)
	m.ADDQ(U32(m.isa.bytes), s)
	m.SUBQ(U32(m.lanes()), rows)
	m.JA(LabelRef(loop))
	m.JMP(LabelRef(done))
	m.Comment("rows that are not there, or shorter than a unit")
	m.Label(careful)
	m.units(p, s, cols, stride, &rows, back)
	m.JMP(LabelRef(next))
	m.Label(done)
}

// units moves one register's rows, unit by unit. Unless rows is nil it says how many there are, and units may be longer than rows.
func (m mach) units(p, s, cols, stride reg.GPVirtual, rows *reg.GPVirtual, back bool) {
	unit := 16 / m.size()
	at, tile, left := m.GP64(), m.GP64(), m.GP64()
	m.MOVQ(p, at)
	m.MOVQ(s, tile)
	m.MOVQ(cols, left)
	var some Op
	if rows != nil {
		n, most := m.GP64(), m.GP64()
		m.MOVQ(left, n)
		m.MOVQ(U32(unit), most)
		m.CMPQ(n, most)
		m.CMOVQHI(most, n)
		some = m.partUnit(n)
	}
	m.eachUnit(left, func() {
		if back {
			m.unitOut(at, tile, stride, rows, some)
		} else {
			m.unitIn(at, tile, stride, rows, some)
		}
	}, func(step reg.GPVirtual) {
		m.LEAQ(Mem{Base: at, Index: step, Scale: uint8(m.size())}, at)
		m.SHLQ(U8(bits.TrailingZeros(uint(m.stride()))), step)
		m.ADDQ(step, tile)
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
func (m mach) partUnit(n reg.GPVirtual) Op {
	if m.zmm() {
		return m.masks(n, false)(0).k
	}
	count, k := m.XMM(), m.XMM()
	m.VMOVQ(n, count)
	if m.typ == machine.F32 {
		m.VPBROADCASTD(count, count)
	} else {
		m.VPBROADCASTQ(count, count)
	}
	m.ps(m.VPCMPGTD, m.VPCMPGTQ)(m.iota(m.size()), count, k)
	return k
}

// unitRows calls f for each row of the unit at p: it belongs into lane of v[i]. Where rows is not nil it stops at the last row there is.
func (m mach) unitRows(p, stride reg.GPVirtual, rows *reg.GPVirtual, f func(i, lane int, mem Mem)) {
	unit := 16 / m.size()
	q, q2 := m.GP64(), m.GP64()
	m.MOVQ(p, q)
	if rows != nil {
		end := m.label("rows")
		for r := range m.lanes() {
			if r > 0 {
				m.CMPQ(*rows, U32(r))
				m.JBE(LabelRef(end))
				m.ADDQ(stride, q)
			}
			f(r%unit, r/unit, Mem{Base: q})
		}
		m.Label(end)
		return
	}
	for i := range unit {
		f(i, 0, Mem{Base: q})
		f(i, 1, Mem{Base: q, Index: stride, Scale: uint8(unit)})
		if m.zmm() {
			f(i, 2, Mem{Base: q, Index: stride, Scale: uint8(2 * unit)})
			m.LEAQ(Mem{Base: q, Index: stride, Scale: uint8(unit)}, q2)
			f(i, 3, Mem{Base: q2, Index: stride, Scale: uint8(2 * unit)})
		}
		if i < unit-1 {
			m.ADDQ(stride, q)
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

func (m mach) unitIn(p, tile, stride reg.GPVirtual, rows *reg.GPVirtual, some Op) {
	v := make([]V, 16/m.size())
	for i := range v {
		v[i] = m.New()
		if some != nil {
			m.zero(v[i])
		}
	}
	m.unitRows(p, stride, rows, func(i, lane int, mem Mem) {
		if some == nil {
			m.insert(lane, mem, v[i])
			return
		}
		x := m.XMM()
		switch {
		case m.zmm() && m.typ == machine.F32:
			m.VMOVUPS_Z(mem, some, x)
		case m.zmm():
			m.VMOVUPD_Z(mem, some, x)
		default:
			m.maskmov(mem, some, x)
		}
		m.insert(lane, x, v[i])
	})
	for i, v := range m.square128(v) {
		m.VMOVUPS(m.r(v), Mem{Base: tile, Disp: i * m.stride()})
	}
}

func (m mach) unitOut(p, tile, stride reg.GPVirtual, rows *reg.GPVirtual, some Op) {
	v := make([]V, 16/m.size())
	for i := range v {
		v[i] = m.New()
		m.VMOVUPS(Mem{Base: tile, Disp: i * m.stride()}, m.r(v[i]))
	}
	v = m.square128(v)
	m.unitRows(p, stride, rows, func(i, lane int, mem Mem) {
		if some == nil {
			m.extract(lane, v[i], mem)
			return
		}
		x := m.x(v[i])
		if lane > 0 {
			x = m.XMM()
			m.extract(lane, v[i], x)
		}
		if m.zmm() {
			m.ps(m.VMOVUPS, m.VMOVUPD)(x, some, mem)
		} else {
			m.maskmov(x, some, mem)
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
