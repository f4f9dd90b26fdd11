package arm64

import "github.com/lanewise/lanewise/asm/arm64/emit"

func (m mach) NegAbs(d, a V) {
	sign := uint64(1) << (8*m.size() - 1)
	m.VORR(m.b(m.constBits(sign)), m.b(a), m.b(d))
}

func (m mach) StoreRow(v V) {
	m.scalarMove()(m.r(v), emit.At(m.out, 0))
	m.ADD(emit.Imm(m.size()), m.out, m.out)
}
