package arm64

import (
	"slices"

	"github.com/lanewise/lanewise/asm/arm64/emit"
	"github.com/lanewise/lanewise/asm/machine"
)

// blockRegs is how many registers of columns a block has: 128 bytes of each plane.
const blockRegs = 8

// columns are machine.Columns.
type columns struct {
	mach
	count   string   // the argument that says how many planes there are
	turned  []string // the slices of rows: the columns are rows, the planes their elements
	regs    int
	partial *emit.GP // how many columns there are, where they do not fill the register
	off     emit.GP  // of the columns, in bytes of the element type
}

func (m mach) columns(count string) *columns {
	c := &columns{mach: m, count: count, off: m.GP()}
	m.MOVD(emit.ZR, c.off)
	return c
}

func (m mach) Planes(few, many func(machine.Columns)) {
	c := m.columns("planes")
	left := m.param("n")
	done := m.NewLabel("end")
	if few != nil {
		rest := m.NewLabel("many")
		m.CMP(emit.Imm(m.typ.Lanes()), m.param("planes"))
		m.BGT(rest)
		c.blocks(left, few)
		m.B(done)
		m.Label(rest)
	}
	c.blocks(left, many)
	m.Label(done)
}

func (m mach) Turn(body func(machine.Columns), in []string, out string) {
	m.columns("cols").turn(m.param("n"), body, in, out)
}

// turn is blocks for columns that are the rows of in and out.
func (c *columns) turn(left emit.GP, body func(machine.Columns), in []string, out string) {
	c.turned = append(slices.Clone(in), out)
	c.blocks(left, func(machine.Columns) {
		tiles := []string{machine.Scratch, machine.Scratch2}
		for i, slice := range in {
			c.transposed(slice, tiles[i], false)
		}
		body(c)
		if out != "" {
			c.transposed(out, machine.Scratch, true)
		}
	})
	c.turned = nil
}

// isTurned says whether the columns are rows of a slice.
func (c *columns) isTurned(name string) bool { return slices.Contains(c.turned, name) }

// blocks runs body over blocks of registers, then over what is left a register at a time, the last one in part.
func (c *columns) blocks(left emit.GP, body func(machine.Columns)) {
	done := c.NewLabel("end")
	for _, c.regs = range []int{blockRegs, 1} {
		loop, rest := c.NewLabel("columns"), c.NewLabel("rest")
		n := emit.Imm(c.regs * c.lanes())
		if c.regs > 1 {
			c.Commentf("columns, %d registers at a time", c.regs)
		} else {
			c.Commentf("columns, a register at a time")
		}
		c.CMP(n, left)
		c.BLT(rest)
		c.Label(loop)
		body(c)
		c.ADD(emit.Imm(c.stride()), c.off, c.off)
		c.SUB(n, left, left)
		c.CMP(n, left)
		c.BGE(loop)
		c.Label(rest)
	}
	c.Commentf("the last columns")
	c.CBZ(left, done)
	c.partial = &left
	body(c)
	c.partial = nil
	c.Label(done)
}

// stride returns the bytes from plane to plane of scratch memory.
func (c *columns) stride() int { return c.regs * registerBytes }

func scratch(name string) bool { return name == machine.Scratch || name == machine.Scratch2 }

// strideOf returns the bytes from plane to plane of a slice.
func (m mach) strideOf(name string) emit.GP {
	param := "stride"
	if m.HasParam(name + "Stride") {
		param = name + "Stride"
	}
	s := m.param(param)
	size := m.size()
	if m.ints[name] {
		size = 4
	}
	m.LSL(log2(size), s, s)
	return s
}

func (c *columns) at(name string) emit.GP {
	if scratch(name) {
		p := c.GP()
		c.MOVD(c.local(name, c.typ.Lanes()*blockRegs*registerBytes), p)
		return p
	}
	p := c.base(name)
	c.addOffset(name, p)
	return p
}

func (c *columns) addOffset(name string, p emit.GP) {
	off := c.off
	if c.isTurned(name) {
		cols := c.param("cols")
		c.MUL(cols, off, cols)
		off = cols
	}
	if c.ints[name] && c.typ == machine.F64 {
		off = c.GP()
		c.LSR(1, c.off, off)
	}
	c.ADD(off, p, p)
}

func (c *columns) Block(x float64) []V {
	b := make([]V, c.regs)
	for i := range b {
		b[i] = c.New()
		c.fill(b[i], x)
	}
	return b
}

// planes is a loop over planes: a pointer into each buffer, and what takes it to the next plane.
type planes struct {
	*columns
	bufs []machine.Buf
	p    []emit.GP
	next map[emit.GP]emit.Operand
}

func (c *columns) planes(bufs []machine.Buf) planes {
	w := planes{c, bufs, pointers(bufs, c.at), map[emit.GP]emit.Operand{}}
	strides := map[string]emit.GP{}
	for i, b := range bufs {
		if b.Ahead { // the next block: of rows, it lies in one piece
			by := emit.Operand(emit.Imm(c.stride()))
			if c.isTurned(b.Name) {
				bytes := c.param("cols")
				c.LSL(log2(c.stride()), bytes, bytes)
				by = bytes
			}
			c.ADD(by, w.p[i], w.p[i])
		}
		if b.Fixed {
			continue
		}
		if c.isTurned(b.Name) || scratch(b.Name) {
			w.next[w.p[i]] = emit.Imm(c.stride())
			continue
		}
		if _, ok := strides[b.Name]; !ok {
			strides[b.Name] = c.strideOf(b.Name)
		}
		w.next[w.p[i]] = strides[b.Name]
	}
	return w
}

// plane runs body on the registers of one plane and moves on.
func (w planes) plane(body func(j int, x []V) V) {
	if w.partial != nil && slices.ContainsFunc(w.bufs, func(b machine.Buf) bool { return !b.Ahead && !scratch(b.Name) }) {
		w.part(w.bufs, w.p, *w.partial, func(x []V) V { return body(0, x) })
	} else {
		at := func(j int) []emit.Mem {
			mems := make([]emit.Mem, len(w.bufs))
			for i, b := range w.bufs {
				mems[i] = emit.At(w.p[i], j*w.step(b))
			}
			return mems
		}
		if w.regs == 1 {
			w.one(w.bufs, at(0), func(x []V) V { return body(0, x) })
		}
		for j := 0; j+1 < w.regs; j += 2 {
			w.some(w.bufs, at(j), j, 2, body)
		}
	}
	for i, p := range w.p {
		if next := w.next[p]; next != nil && firstOf(w.p, i) {
			w.ADD(next, p, p)
		}
	}
}

func (c *columns) Each(body func(j int, x []V) V, bufs ...machine.Buf) {
	c.Commentf("every plane: %v", bufs)
	w := c.planes(bufs)
	left := c.param(c.count)
	loop := c.NewLabel("planes")
	c.Label(loop)
	w.plane(body)
	c.SUBS(emit.Imm(1), left, left)
	c.BNE(loop)
}

func (c *columns) Sum(body func(j int, x []V) V, then func(V), bufs ...machine.Buf) []V {
	c.Commentf("every plane, added up: %v", bufs)
	w := c.planes(bufs)
	left := c.param(c.count)
	lane, end := c.at(machine.Scratch), c.GP()
	first, again, wrap, done := c.NewLabel("lanes"), c.NewLabel("again"), c.NewLabel("wrap"), c.NewLabel("end")
	c.ADD(emit.Imm(c.typ.Lanes()*c.stride()), lane, end)
	// the first plane of every lane, from +0
	c.Label(first)
	zero := c.New()
	c.fill(zero, 0)
	w.plane(func(j int, x []V) V {
		y, s := body(j, x), c.New()
		c.Add(s, zero, y)
		c.FMOVQ(c.r(s), emit.At(lane, j*registerBytes))
		return y
	})
	next := func(loop emit.Label) {
		c.SUBS(emit.Imm(1), left, left)
		c.BEQ(done)
		c.ADD(emit.Imm(c.stride()), lane, lane)
		c.CMP(end, lane)
		c.BLT(loop)
	}
	next(first)
	c.Commentf("the lanes again")
	c.Label(wrap)
	c.SUB(emit.Imm(c.typ.Lanes()*c.stride()), end, lane)
	c.Label(again)
	w.plane(func(j int, x []V) V {
		y, s := body(j, x), c.New()
		mem := emit.At(lane, j*registerBytes)
		c.FMOVQ(mem, c.r(s))
		c.Add(s, s, y)
		c.FMOVQ(c.r(s), mem)
		return y
	})
	next(again)
	c.B(wrap)
	c.Label(done)
	return c.Fold(then, machine.In(machine.Scratch, 0))
}

func (c *columns) Store(slice string, v []V) {
	b := machine.Out(slice)
	done := c.NewLabel("none")
	p := c.base(slice)
	c.CBZ(p, done)
	c.addOffset(slice, p)
	if c.partial != nil {
		t := v[0]
		if c.wideInts(b) {
			t = c.New()
			c.VXTN(c.r(v[0]).D2(), c.r(t).S2())
		}
		c.storePart(t, p, *c.partial, b)
	} else {
		for j := range v {
			c.store(v[j], emit.At(p, j*c.step(b)), b)
		}
	}
	c.Label(done)
}

func (c *columns) Stored(slice string, j int) V {
	p, b, v := c.base(slice), machine.In(slice, 0), c.New()
	c.addOffset(slice, p)
	if c.partial != nil {
		c.loadPart(v, p, *c.partial, b)
	} else {
		c.load(v, emit.At(p, j*c.step(b)), b)
	}
	return v
}

// Fold adds up the lanes of one register of columns after the other. A lane that no plane went to is left out.
func (c *columns) Fold(then func(V), bufs ...machine.Buf) []V {
	c.Commentf("fold the planes of %v", bufs)
	group := c.typ.Lanes() / 4
	sums := c.GP()
	c.MOVD(c.local("columnSums", blockRegs*registerBytes), sums)
	column := pointers(bufs, c.at)
	slot := c.copyGP(sums)
	total, pair, second := c.New(), c.New(), c.New()
	columns, pairs, single, done := c.NewLabel("column"), c.NewLabel("groups"), c.NewLabel("pair"), c.NewLabel("sum")
	p, end := make([]emit.GP, len(bufs)), c.GP()
	c.Label(columns)
	c.fill(total, 0)
	left := c.param(c.count)
	for i := range p {
		p[i] = c.copyGP(column[i])
	}
	c.ADD(emit.Imm(c.typ.Lanes()*c.stride()), p[0], end)
	next := func(int) emit.Imm { return emit.Imm(group * c.stride()) }
	c.Label(pairs)
	c.group(pair, p, left)
	c.advance(p, next)
	c.SUBS(emit.Imm(group), left, left)
	c.BLE(single)
	c.group(second, p, left)
	c.advance(p, next)
	c.SUB(emit.Imm(group), left, left)
	c.Add(pair, pair, second)
	c.Label(single)
	c.Add(total, total, pair)
	c.CMP(emit.Imm(0), left)
	c.BLE(done)
	c.CMP(end, p[0])
	c.BLT(pairs)
	c.Label(done)
	if then != nil {
		then(total)
	}
	if c.regs == 1 {
		return []V{total}
	}
	c.FMOVQ(c.r(total), emit.At(slot, 0))
	c.ADD(emit.Imm(registerBytes), slot, slot)
	c.advance(column, func(int) emit.Imm { return registerBytes })
	last := c.GP()
	c.ADD(emit.Imm(c.stride()), sums, last)
	c.CMP(last, slot)
	c.BLT(columns)
	d := make([]V, c.regs)
	for j := range d {
		d[j] = c.New()
		c.FMOVQ(emit.At(sums, j*registerBytes), c.r(d[j]))
	}
	return d
}

// group sets d to the sum of the group of lanes at p, of which left exist, and more may follow.
func (c *columns) group(d V, p []emit.GP, left emit.GP) {
	acc := make([]V, c.typ.Lanes()/4)
	part, folded := c.NewLabel("part"), c.NewLabel("folded")
	for i := range acc {
		acc[i] = c.New()
	}
	load := func(i int) {
		x := make([]V, len(p))
		for b := range p {
			x[b] = c.New()
			c.FMOVQ(emit.At(p[b], i*c.stride()), c.r(x[b]))
		}
		if len(x) > 1 {
			c.Mul(x[0], x[0], x[1])
		}
		c.Set(acc[i], x[0])
	}
	c.CMP(emit.Imm(len(acc)), left)
	c.BLT(part)
	for i := range acc {
		load(i)
	}
	c.B(folded)
	c.Label(part)
	for i := range acc {
		c.fill(acc[i], 0)
	}
	for i := range acc {
		c.CMP(emit.Imm(i), left)
		c.BLE(folded)
		load(i)
	}
	c.Label(folded)
	for n := len(acc) / 2; n > 0; n /= 2 {
		for i := range n {
			c.Add(acc[i], acc[i], acc[i+n])
		}
	}
	c.Set(d, acc[0])
}
