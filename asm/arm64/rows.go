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
	if out == "" { // a value for each row
		m.out = m.base("dst")
	}
	longLoop, done := m.NewLabel("row"), m.NewLabel("end")
	m.short(c, longLoop, n, short, in, out)
	m.Commentf("a row at a time")
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

// short takes the rows if they are short and not few, and leaves n at 0; otherwise it jumps to long.
func (m mach) short(c *columns, long emit.Label, n emit.GP, body func(machine.Columns), in []string, out string) {
	cols, left := m.param("cols"), m.GP()
	m.CMP(emit.Imm(m.typ.Lanes()), cols)
	m.BGT(long)
	m.UDIV(cols, n, left)
	m.CMP(emit.Imm(fewRows), left)
	m.BLT(long)
	m.MOVD(emit.ZR, n)
	c.turn(left, body, in, out)
}

// transposed moves the rows of a block from a slice to scratch memory, a register of columns for each element, or back: by squares of as
// many elements as a register has. The last square of some rows may overlap the one before.
func (c *columns) transposed(slice, tile string, back bool) {
	if back {
		c.Commentf("transpose %s to %s", tile, slice)
	} else {
		c.Commentf("transpose %s to %s", slice, tile)
	}
	p, s := c.at(slice), c.at(tile)
	stride, tileStride := c.param("cols"), c.GP()
	c.LSL(log2(c.size()), stride, stride)
	c.MOVD(emit.Imm(c.stride()), tileStride)
	careful := func(rows emit.GP) {
		cols := c.param("cols")
		if back {
			c.moveElements(cols, rows, s, p, tileStride, stride)
		} else {
			c.moveElements(rows, cols, p, s, stride, tileStride)
		}
	}
	if c.partial != nil {
		careful(c.copyGP(*c.partial))
		return
	}
	wide, registers, done := c.NewLabel("wide"), c.NewLabel("registers"), c.NewLabel("moved")
	count := c.GP()
	c.CMP(emit.Imm(c.lanes()), c.param("cols"))
	c.BGE(wide)
	c.MOVD(emit.Imm(c.regs*c.lanes()), count)
	careful(count)
	c.B(done)
	c.Label(wide)
	c.MOVD(emit.Imm(c.regs), count)
	c.Label(registers)
	c.squares(p, s, stride, back)
	for range c.lanes() {
		c.ADD(stride, p, p)
	}
	c.ADD(emit.Imm(registerBytes), s, s)
	c.SUBS(emit.Imm(1), count, count)
	c.BNE(registers)
	c.Label(done)
}

// squares moves the rows at p, as many as a register has lanes, to s or back.
func (c *columns) squares(p, s, stride emit.GP, back bool) {
	rows := []emit.GP{c.copyGP(p)}
	for r := 1; r < c.lanes(); r++ {
		rows = append(rows, c.GP())
		c.ADD(stride, rows[r-1], rows[r])
	}
	tile, left, step := c.copyGP(s), c.param("cols"), c.GP()
	loop, next, done := c.NewLabel("square"), c.NewLabel("next"), c.NewLabel("done")
	c.Label(loop)
	var from, to []emit.Mem
	for i, r := range rows {
		from, to = append(from, emit.At(r, 0)), append(to, emit.At(tile, i*c.stride()))
	}
	if back {
		from, to = to, from
	}
	v := make([]V, c.lanes())
	for i := range v {
		v[i] = c.New()
		c.FMOVQ(from[i], c.r(v[i]))
	}
	for i, v := range c.transpose(v) {
		c.FMOVQ(c.r(v), to[i])
	}
	c.SUBS(emit.Imm(c.lanes()), left, left)
	c.BLE(done)
	c.MOVD(emit.Imm(c.lanes()), step)
	c.CMP(step, left)
	c.BGE(next)
	c.MOVD(left, step)
	c.MOVD(emit.Imm(c.lanes()), left)
	c.Label(next)
	bytes := c.GP()
	c.LSL(log2(c.size()), step, bytes)
	for _, r := range rows {
		c.ADD(bytes, r, r)
	}
	c.LSL(log2(c.stride()), step, step)
	c.ADD(step, tile, tile)
	c.B(loop)
	c.Label(done)
}
