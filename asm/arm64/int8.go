package arm64

import "github.com/lanewise/lanewise/asm/arm64/emit"

// DotInt8 multiplies to 16 bits and adds neighbours, four chains side by side.
func (m mach) DotInt8(a, b string) {
	p, q, n, sum := m.base(a), m.base(b), m.len(a), m.GP()
	sums := make([]V, 4)
	for i := range sums {
		sums[i] = m.New()
		m.fill(sums[i], 0)
	}
	multiply := func(i, at int) {
		x, y, lo, hi := m.New(), m.New(), m.New(), m.New()
		m.FMOVQ(emit.At(p, at), m.r(x))
		m.FMOVQ(emit.At(q, at), m.r(y))
		m.VSMULL(m.r(y).B8(), m.r(x).B8(), m.r(lo).H8())
		m.VSMULL2(m.r(y).B16(), m.r(x).B16(), m.r(hi).H8())
		m.VSADALP(m.r(lo).H8(), m.r(sums[i]).S4())
		m.VSADALP(m.r(hi).H8(), m.r(sums[i+1]).S4())
	}
	loop, tail, rest, single, done := m.NewLabel("blocks"), m.NewLabel("tail"), m.NewLabel("rest"), m.NewLabel("single"), m.NewLabel("done")
	const block = 2 * registerBytes
	m.SUBS(emit.Imm(block), n, n)
	m.BLT(tail)
	m.Label(loop)
	multiply(0, 0)
	multiply(2, registerBytes)
	m.ADD(emit.Imm(block), p, p)
	m.ADD(emit.Imm(block), q, q)
	m.SUBS(emit.Imm(block), n, n)
	m.BGE(loop)
	m.Label(tail)
	m.ADDS(emit.Imm(block-registerBytes), n, n)
	m.BLT(rest)
	multiply(0, 0)
	m.ADD(emit.Imm(registerBytes), p, p)
	m.ADD(emit.Imm(registerBytes), q, q)
	m.SUBS(emit.Imm(registerBytes), n, n)
	m.Label(rest)
	m.ADD(emit.Imm(registerBytes), n, n)
	s := m.r(sums[0]).S4()
	for _, v := range sums[1:] {
		m.VADD(m.r(v).S4(), s, s)
	}
	m.VADDP(s, s, s)
	m.VADDP(s, s, s)
	m.VMOVGP(m.r(sums[0]).S(0), sum)
	m.CBZ(n, done)
	x, y := m.GP(), m.GP()
	m.Label(single)
	m.MOVB(emit.At(p, 0), x)
	m.MOVB(emit.At(q, 0), y)
	m.MUL(y, x, x)
	m.ADD(x, sum, sum)
	m.ADD(emit.Imm(1), p, p)
	m.ADD(emit.Imm(1), q, q)
	m.SUBS(emit.Imm(1), n, n)
	m.BNE(single)
	m.Label(done)
	m.MOVW(sum, m.Result())
}
