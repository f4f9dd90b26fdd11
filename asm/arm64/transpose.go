package arm64

import "github.com/lanewise/lanewise/asm/arm64/emit"

// Transpose goes through squares of as many rows and columns as a register has lanes, and element by element through what is left beside
// and below them.
func (m mach) Transpose(dst, src string) {
	stride := func(name string) emit.GP {
		s := m.param(name)
		m.LSL(log2(m.size()), s, s)
		return s
	}
	from, to := stride(src+"Stride"), stride(dst+"Stride")
	p, q := m.base(src), m.base(dst)
	rows := m.param("rows")
	n := emit.Imm(m.lanes())
	bands, squares, beside, next, last := m.NewLabel("rows"), m.NewLabel("columns"), m.NewLabel("beside"), m.NewLabel("next"),
		m.NewLabel("last")
	m.Label(bands)
	m.CMP(n, rows)
	m.BLT(last)
	cols, x, y := m.param("cols"), m.copyGP(p), m.copyGP(q)
	m.Label(squares)
	m.CMP(n, cols)
	m.BLT(beside)
	v := make([]V, m.lanes())
	at := m.copyGP(x)
	for i := range v {
		v[i] = m.New()
		m.FMOVQ(emit.At(at, 0), m.r(v[i]))
		m.ADD(from, at, at)
	}
	for _, column := range m.transpose(v) {
		m.FMOVQ(m.r(column), emit.At(y, 0))
		m.ADD(to, y, y)
	}
	m.ADD(emit.Imm(registerBytes), x, x)
	m.SUB(n, cols, cols)
	m.B(squares)
	m.Label(beside)
	m.CBZ(cols, next)
	band := m.GP()
	m.MOVD(n, band)
	m.moveElements(band, cols, x, y, from, to)
	m.Label(next)
	for range m.lanes() {
		m.ADD(from, p, p)
	}
	m.ADD(emit.Imm(registerBytes), q, q)
	m.SUB(n, rows, rows)
	m.B(bands)
	m.Label(last)
	done := m.NewLabel("end")
	m.CBZ(rows, done)
	m.moveElements(rows, m.param("cols"), p, q, from, to)
	m.Label(done)
}

// moveElements transposes element by element; it changes rows, p and q.
func (m mach) moveElements(rows, cols, p, q, from, to emit.GP) {
	row, column := m.NewLabel("row"), m.NewLabel("element")
	x, y, left, t := m.GP(), m.GP(), m.GP(), m.New()
	move := m.scalarMove()
	m.Label(row)
	m.MOVD(p, x)
	m.MOVD(q, y)
	m.MOVD(cols, left)
	m.Label(column)
	move(emit.At(x, 0), m.r(t))
	move(m.r(t), emit.At(y, 0))
	m.ADD(emit.Imm(m.size()), x, x)
	m.ADD(to, y, y)
	m.SUBS(emit.Imm(1), left, left)
	m.BNE(column)
	m.ADD(from, p, p)
	m.ADD(emit.Imm(m.size()), q, q)
	m.SUBS(emit.Imm(1), rows, rows)
	m.BNE(row)
}

// transpose returns as many registers as there are lanes with rows and columns exchanged.
func (m mach) transpose(x []V) []V {
	y := make([]V, len(x))
	for i := range y {
		y[i] = m.New()
	}
	if len(x) == 2 {
		m.VZIP1(m.r(x[1]).D2(), m.r(x[0]).D2(), m.r(y[0]).D2())
		m.VZIP2(m.r(x[1]).D2(), m.r(x[0]).D2(), m.r(y[1]).D2())
		return y
	}
	t := make([]V, 4)
	for i := 0; i < 4; i += 2 {
		t[i], t[i+1] = m.New(), m.New()
		m.VTRN1(m.a(x[i+1]), m.a(x[i]), m.a(t[i]))
		m.VTRN2(m.a(x[i+1]), m.a(x[i]), m.a(t[i+1]))
	}
	for i := range 2 {
		m.VZIP1(m.r(t[i+2]).D2(), m.r(t[i]).D2(), m.r(y[i]).D2())
		m.VZIP2(m.r(t[i+2]).D2(), m.r(t[i]).D2(), m.r(y[i+2]).D2())
	}
	return y
}
