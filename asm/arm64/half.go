package arm64

import (
	"github.com/lanewise/lanewise/asm/arm64/emit"
	"github.com/lanewise/lanewise/asm/machine"
)

// widenHalves sets d to the lower four halves of h.
func (m mach) widenHalves(d, h V, format machine.Half) {
	if format == machine.Float16 {
		m.VFCVTLH(m.r(h).H4(), m.r(d).S4())
		return
	}
	m.VUXTL(m.r(h).H4(), m.r(d).S4())
	m.VSHL(16, m.r(d).S4(), m.r(d).S4())
}

// widenUpperHalves sets d to the upper four.
func (m mach) widenUpperHalves(d, h V, format machine.Half) {
	if format == machine.Float16 {
		m.VFCVTLH2(m.r(h).H8(), m.r(d).S4())
		return
	}
	m.VUXTL2(m.r(h).H8(), m.r(d).S4())
	m.VSHL(16, m.r(d).S4(), m.r(d).S4())
}

// narrowHalves rounds one or two registers to halves of d.
func (m mach) narrowHalves(d V, v []V, format machine.Half) {
	if format == machine.Float16 {
		m.VFCVTNH(m.r(v[0]).S4(), m.r(d).H4())
		if len(v) > 1 {
			m.VFCVTNH2(m.r(v[1]).S4(), m.r(d).H8())
		}
		return
	}
	m.VXTNH(m.r(m.toBFloat16(v[0])).S4(), m.r(d).H4())
	if len(v) > 1 {
		m.VXTNH2(m.r(m.toBFloat16(v[1])).S4(), m.r(d).H8())
	}
}

// toBFloat16 returns v rounded, in the lower halves of its lanes.
func (m mach) toBFloat16(v V) V {
	y, nan, number := m.New(), m.New(), m.New()
	m.VUSHR(16, m.a(v), m.a(y))
	m.VAND(m.b(m.constBits(1)), m.b(y), m.b(y))
	m.VADD(m.a(v), m.a(y), m.a(y))
	m.VADD(m.a(m.constBits(0x7fff)), m.a(y), m.a(y))
	m.VORR(m.b(m.constBits(0x00400000)), m.b(v), m.b(nan))
	m.VFCMEQ(m.a(v), m.a(v), m.a(number))
	m.VBIF(m.b(number), m.b(nan), m.b(y))
	m.VUSHR(16, m.a(y), m.a(y))
	return y
}

// someHalves copies n halves, fewer than a register has.
func (m mach) someHalves(from, to, n emit.GP) {
	p, q, left, t, loop := m.copyGP(from), m.copyGP(to), m.copyGP(n), m.GP(), m.NewLabel("half")
	m.Label(loop)
	m.MOVH(emit.At(p, 0), t)
	m.MOVH(t, emit.At(q, 0))
	m.ADD(emit.Imm(2), p, p)
	m.ADD(emit.Imm(2), q, q)
	m.SUBS(emit.Imm(1), left, left)
	m.BNE(loop)
}
