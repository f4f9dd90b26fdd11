package arm64

import (
	"github.com/lanewise/lanewise/asm/arm64/emit"
	"github.com/lanewise/lanewise/asm/machine"
)

// fewRows is from how many short rows on it pays to transpose them.
const fewRows = 3

func (m mach) Rows(long func(), short func(machine.Columns), in []string, out string) {
	c := m.columns("cols")
	n := m.len(in[0])
	oneByOne, longLoop, done := m.NewLabel("long"), m.NewLabel("row"), m.NewLabel("end")
	m.short(c, oneByOne, n, short, in, out)
	m.B(done)
	m.Commentf("a row at a time")
	m.Label(oneByOne)
	if out == "" { // a value for each row
		m.out = m.base("dst")
	}
	m.Label(longLoop)
	m.CBZ(n, done)
	m.row = &walk{c.at, func() emit.GP { return m.param("cols") }}
	long()
	m.row = nil
	cols := m.param("cols")
	m.SUB(cols, n, n)
	m.LSL(log2(m.size()), cols, cols)
	m.ADD(cols, c.off, c.off)
	m.B(longLoop)
	m.Label(done)
}

// short takes the rows if they are short and not few; otherwise it jumps to long.
func (m mach) short(c *columns, long emit.Label, n emit.GP, body func(machine.Columns), in []string, out string) {
	cols, left := m.param("cols"), m.GP()
	m.CMP(emit.Imm(m.typ.Lanes()), cols)
	m.BGT(long)
	m.UDIV(cols, n, left)
	m.CMP(emit.Imm(fewRows), left)
	m.BLT(long)
	c.turn(left, body, in, out)
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
	rows := c.GP()
	if c.partial != nil {
		c.MOVD(*c.partial, rows)
	} else {
		c.MOVD(emit.Imm(c.regs*c.lanes()), rows)
	}
	c.call(name, []emit.GP{c.at(slice), c.at(tile), c.param("cols"), rows}, nil, func(m mach, ints []emit.GP, _ []V) []V {
		m.rows(ints[0], ints[1], ints[2], ints[3], back)
		return nil
	})
}

// rows moves rows of cols elements at p to scratch memory at s, or back, by squares of as many elements as a register has: the rows of one
// register of columns after the other. The last square of some rows may overlap the one before.
func (m mach) rows(p, s, cols, rows emit.GP, back bool) {
	loop, careful, next, done := m.NewLabel("register"), m.NewLabel("careful"), m.NewLabel("next"), m.NewLabel("moved")
	bytes := m.GP()
	m.LSL(log2(m.size()), cols, bytes)
	m.Label(loop)
	m.CMP(emit.Imm(m.lanes()), rows)
	m.BLT(careful)
	m.CMP(emit.Imm(m.lanes()), cols)
	m.BLT(careful)
	m.squares(p, s, cols, bytes, back)
	m.Label(next)
	for range m.lanes() {
		m.ADD(bytes, p, p)
	}
	m.ADD(emit.Imm(registerBytes), s, s)
	m.SUBS(emit.Imm(m.lanes()), rows, rows)
	m.BGT(loop)
	m.B(done)
	m.Commentf("rows that are not there, or shorter than a register")
	m.Label(careful)
	some, tile, n := m.GP(), m.GP(), m.copyGP(cols)
	m.MOVD(emit.Imm(m.lanes()), some)
	m.CMP(some, rows)
	m.CSEL("LT", rows, some, some)
	m.MOVD(emit.Imm(stride), tile)
	if back {
		m.moveElements(n, some, m.copyGP(s), m.copyGP(p), tile, bytes)
	} else {
		m.moveElements(some, n, m.copyGP(p), m.copyGP(s), bytes, tile)
	}
	m.B(next)
	m.Label(done)
}

// squares moves the rows at p, as many as a register has lanes, to s or back.
func (m mach) squares(p, s, cols, bytes emit.GP, back bool) {
	rows := []emit.GP{m.copyGP(p)}
	for r := 1; r < m.lanes(); r++ {
		rows = append(rows, m.GP())
		m.ADD(bytes, rows[r-1], rows[r])
	}
	tile, left, step := m.copyGP(s), m.copyGP(cols), m.GP()
	loop, next, done := m.NewLabel("square"), m.NewLabel("next"), m.NewLabel("done")
	m.Label(loop)
	var from, to []emit.Mem
	for i, r := range rows {
		from, to = append(from, emit.At(r, 0)), append(to, emit.At(tile, i*stride))
	}
	if back {
		from, to = to, from
	}
	v := make([]V, m.lanes())
	for i := range v {
		v[i] = m.New()
		m.FMOVQ(from[i], m.r(v[i]))
	}
	for i, v := range m.transpose(v) {
		m.FMOVQ(m.r(v), to[i])
	}
	m.SUBS(emit.Imm(m.lanes()), left, left)
	m.BLE(done)
	m.MOVD(emit.Imm(m.lanes()), step)
	m.CMP(step, left)
	m.BGE(next)
	m.MOVD(left, step)
	m.MOVD(emit.Imm(m.lanes()), left)
	m.Label(next)
	on := m.GP()
	m.LSL(log2(m.size()), step, on)
	for _, r := range rows {
		m.ADD(on, r, r)
	}
	m.LSL(log2(stride), step, step)
	m.ADD(step, tile, tile)
	m.B(loop)
	m.Label(done)
}
