package amd64

import (
	"github.com/lanewise/lanewise/asm/machine"
	. "github.com/mmcloughlin/avo/operand"
)

func (m mach) NegAbs(d, a V) { m.logic("OR", m.op(d), m.op(a), m.op(m.constBits(m.signBit()))) }

func (m mach) StoreRow(v V) {
	if m.typ == machine.F64 {
		m.VMOVSD(m.x(v), Mem{Base: m.out})
	} else {
		m.VMOVSS(m.x(v), Mem{Base: m.out})
	}
	m.ADDQ(U8(m.size()), m.out)
}
