package arm64

import (
	"github.com/lanewise/lanewise/asm/arm64/emit"
	"github.com/lanewise/lanewise/asm/machine"
)

func (m mach) FirstAbove(slice string, t V) machine.Index {
	const four = 4 * registerBytes
	w := m.slices(slice)
	base := w.pointer(slice)
	p, end, left, any, index := m.copyGP(base), m.GP(), m.GP(), m.GP(), m.GP()
	m.LSL(log2(m.size()), w.length(), end)
	m.ADD(base, end, end)
	loop, single, done := m.NewLabel("blocks"), m.NewLabel("single"), m.NewLabel("done")
	below := func(x V) V { // or equal
		d := m.New()
		m.VFCMGE(m.a(x), m.a(t), m.a(d))
		return d
	}
	all := m.Int(-1)
	m.Label(loop)
	m.SUB(p, end, left)
	m.CMP(emit.Imm(four), left)
	m.BLT(single)
	x := m.loadFour(p)
	for i := range x {
		x[i] = below(x[i])
	}
	for n := 2; n > 0; n /= 2 {
		for i := range n {
			m.VAND(m.b(x[i+n]), m.b(x[i]), m.b(x[i]))
		}
	}
	m.VBIC(m.b(x[0]), m.b(all), m.b(x[0]))
	m.VUMAXP(m.r(x[0]).S4(), m.r(x[0]).S4(), m.r(x[0]).S4())
	m.VMOVGP(m.r(x[0]).D(0), any)
	m.CBNZ(any, single)
	m.ADD(emit.Imm(four), p, p)
	m.B(loop)
	m.Label(single)
	m.SUB(p, end, left)
	m.CBZ(left, done)
	one := m.New()
	m.scalarMove()(emit.At(p, 0), m.r(one))
	m.VMOVGP(m.lane(below(one), 0), any)
	m.CBZ(any, done)
	m.ADD(emit.Imm(m.size()), p, p)
	m.B(single)
	m.Label(done)
	m.SUB(base, p, index)
	m.LSR(log2(m.size()), index, index)
	return index
}
