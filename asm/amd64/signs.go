package amd64

import (
	"github.com/lanewise/lanewise/asm/machine"
	. "github.com/mmcloughlin/avo/operand"
)

func (m mach) NegAbs(d, a V) { m.logic("OR", m.op(d), m.op(a), m.op(m.constBits(m.signBit()))) }

func (m mach) WhereNegative(d, x, a, b V) {
	if _, ok := m.op(b).(Mem); ok {
		t := m.New()
		m.Set(t, b)
		b = t
	}
	f64 := m.typ == machine.F64
	switch {
	case m.zmm() && f64:
		k := m.K()
		m.VPMOVQ2M(m.r(x), k)
		m.VBLENDMPD(m.op(a), m.r(b), k, m.r(d))
		m.last().Inputs = []Op{m.op(a), m.r(b), k} // avo counts d, as if lanes stayed
	case m.zmm():
		k := m.K()
		m.VPMOVD2M(m.r(x), k)
		m.VBLENDMPS(m.op(a), m.r(b), k, m.r(d))
		m.last().Inputs = []Op{m.op(a), m.r(b), k}
	case f64:
		m.VBLENDVPD(m.r(x), m.op(a), m.r(b), m.r(d))
	default:
		m.VBLENDVPS(m.r(x), m.op(a), m.r(b), m.r(d))
	}
}

func (m mach) StoreRow(v V) {
	if m.typ == machine.F64 {
		m.VMOVSD(m.x(v), Mem{Base: m.out})
	} else {
		m.VMOVSS(m.x(v), Mem{Base: m.out})
	}
	m.ADDQ(U8(m.size()), m.out)
}
