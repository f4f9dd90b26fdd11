package amd64

import (
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// DotInt8 widens to 16 bits and adds products in pairs, four registers side by side.
func (m mach) DotInt8(a, b string) {
	const chains = 4
	width := m.isa.bytes / 2 // elements of a register
	p, q, n := m.base(a), m.base(b), m.Load(m.Param(a).Len(), m.GP64()).(reg.GPVirtual)
	sums := make([]V, chains)
	for i := range sums {
		sums[i] = m.New()
		m.zero(sums[i])
	}
	multiply := func(i int, from, with Op) {
		x, y := m.r(m.New()), m.r(m.New())
		m.VPMOVSXBW(from, x)
		m.VPMOVSXBW(with, y)
		m.VPMADDWD(y, x, x)
		m.VPADDD(x, m.r(sums[i]), m.r(sums[i]))
	}
	at := func(p reg.GPVirtual, i int) Mem { return Mem{Base: p, Disp: i * width} }
	loop, tail, registers, rest, single, done := m.label("blocks"), m.label("tail"), m.label("registers"), m.label("rest"), m.label("single"),
		m.label("done")
	m.SUBQ(U32(chains*width), n)
	m.JB(LabelRef(tail))
	m.Label(loop)
	for i := range chains {
		multiply(i, at(p, i), at(q, i))
	}
	m.ADDQ(U32(chains*width), p)
	m.ADDQ(U32(chains*width), q)
	m.SUBQ(U32(chains*width), n)
	m.JAE(LabelRef(loop))
	m.Label(tail)
	m.ADDQ(U32((chains-1)*width), n)
	m.JNC(LabelRef(rest))
	m.Label(registers)
	multiply(0, at(p, 0), at(q, 0))
	m.ADDQ(U32(width), p)
	m.ADDQ(U32(width), q)
	m.SUBQ(U32(width), n)
	m.JAE(LabelRef(registers))
	m.Label(rest)
	m.ADDQ(U32(width), n)
	sum := m.GP32()
	if m.zmm() {
		k, x, y := m.masks(n, false)(0).k, m.YMM(), m.YMM()
		m.VMOVDQU8_Z(at(p, 0), k, x)
		m.VMOVDQU8_Z(at(q, 0), k, y)
		multiply(1, x, y)
	}
	m.vertical(m.addInt32, sums)
	fold := m.r(sums[0])
	high := m.YMM()
	if m.zmm() {
		m.VEXTRACTI64X4(U8(1), fold, high)
		m.VPADDD(high, fold.AsY(), fold.AsY())
	}
	low, t := fold.AsX(), m.XMM()
	m.VEXTRACTI128(U8(1), fold.AsY(), t)
	m.VPADDD(t, low, low)
	for _, order := range []uint8{0x4e, 0xb1} {
		m.VPSHUFD(U8(order), low, t)
		m.VPADDD(t, low, low)
	}
	m.VMOVD(low, sum)
	if !m.zmm() {
		m.TESTQ(n, n)
		m.JE(LabelRef(done))
		m.Label(single)
		x, y := m.GP32(), m.GP32()
		m.MOVBLSX(Mem{Base: p, Index: n, Scale: 1, Disp: -1}, x)
		m.MOVBLSX(Mem{Base: q, Index: n, Scale: 1, Disp: -1}, y)
		m.IMULL(y, x)
		m.ADDL(x, sum)
		m.DECQ(n)
		m.JNE(LabelRef(single))
		m.Label(done)
	}
	m.Context.Store(sum, m.Context.ReturnIndex(0))
}

func (m mach) addInt32(d, a, b V) { m.VPADDD(m.r(b), m.r(a), m.r(d)) }
