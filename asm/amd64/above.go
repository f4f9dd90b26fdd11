package amd64

import (
	"github.com/lanewise/lanewise/asm/machine"
	. "github.com/mmcloughlin/avo/operand"
)

func (m mach) FirstAbove(slice string, t V) machine.Index {
	in := machine.In(slice, negInf) // which is not above
	w := m.slices([]machine.Buf{in})
	n, base := w.length(), w.pointer(slice)
	at, end, ahead, i := m.GP64(), m.GP64(), m.GP64(), m.GP64()
	m.MOVQ(base, at)
	m.LEAQ(Mem{Base: base, Index: n, Scale: uint8(m.size())}, end)
	blocks, loop, last, found, done := m.label("blocks"), m.label("registers"), m.label("last"), m.label("hit"), m.label("done")
	m.MOVQ(n, i)
	// A selection goes on from anywhere: the first block, then the blocks from its first aligned register on.
	m.LEAQ(Mem{Base: at, Disp: machine.BlockBytes}, ahead)
	m.CMPQ(ahead, end)
	m.JA(LabelRef(loop))
	m.anyHit(notGreaterEq, t, at, loop)
	m.MOVQ(ahead, at)
	m.ANDQ(I8(-m.isa.bytes), at)
	m.Label(blocks)
	m.LEAQ(Mem{Base: at, Disp: machine.BlockBytes}, ahead)
	m.CMPQ(ahead, end)
	m.JA(LabelRef(loop))
	m.anyHit(notGreaterEq, t, at, loop)
	m.MOVQ(ahead, at)
	m.JMP(LabelRef(blocks))

	hits, left := m.GP64(), m.GP64()
	compare := func(k mask) {
		x := m.New()
		m.load(x, Mem{Base: at}, k, in)
		m.MOVQ(m.bitmask(notLessEq, x, t), hits)
		m.TESTL(hits.As32(), hits.As32())
	}
	m.Label(loop)
	m.MOVQ(end, left)
	m.SUBQ(at, left)
	m.JE(LabelRef(done))
	m.CMPQ(left, U32(m.isa.bytes))
	m.JB(LabelRef(last))
	compare(mask{})
	m.JNE(LabelRef(found))
	m.ADDQ(U32(m.isa.bytes), at)
	m.JMP(LabelRef(loop))
	m.Label(last)
	m.SHRQ(U8(m.logSize()), left)
	compare(m.masks(left, false)(0))
	m.JE(LabelRef(done))
	m.Label(found)
	m.BSFL(hits.As32(), hits.As32())
	m.MOVQ(at, i)
	m.SUBQ(base, i)
	m.SHRQ(U8(m.logSize()), i)
	m.ADDQ(hits, i)
	m.Label(done)
	return i
}
