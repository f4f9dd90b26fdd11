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
		c.ADD(emit.Imm(c.regs*registerBytes), c.off, c.off)
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

// stride is the bytes from plane to plane of scratch memory.
const stride = blockRegs * registerBytes

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
			by := emit.Operand(emit.Imm(stride))
			if c.isTurned(b.Name) {
				bytes := c.param("cols")
				c.LSL(log2(stride), bytes, bytes)
				by = bytes
			}
			c.ADD(by, w.p[i], w.p[i])
		}
		if b.Fixed {
			continue
		}
		if c.isTurned(b.Name) || scratch(b.Name) {
			w.next[w.p[i]] = emit.Imm(stride)
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
	c.ADD(emit.Imm(c.typ.Lanes()*stride), lane, end)
	// the first plane of every lane is added to zeros, those that come round again to the lane
	zero, from, step := c.New(), c.GP(), c.GP()
	c.fill(zero, 0)
	c.MOVD(c.local("zeros", stride), from)
	for j := 0; j < blockRegs; j += 2 {
		c.FSTPQ(c.r(zero), c.r(zero), emit.At(from, j*registerBytes))
	}
	c.MOVD(emit.Imm(0), step)
	loop, done := c.NewLabel("lanes"), c.NewLabel("end")
	c.Label(loop)
	w.plane(func(j int, x []V) V {
		y, s := body(j, x), c.New()
		c.FMOVQ(emit.At(from, j*registerBytes), c.r(s))
		c.Add(s, s, y)
		c.FMOVQ(c.r(s), emit.At(lane, j*registerBytes))
		return y
	})
	c.SUBS(emit.Imm(1), left, left)
	c.BEQ(done)
	c.ADD(emit.Imm(stride), lane, lane)
	c.ADD(step, from, from)
	c.CMP(end, lane)
	c.BLT(loop)
	c.SUB(emit.Imm(c.typ.Lanes()*stride), end, lane)
	c.MOVD(lane, from)
	c.MOVD(emit.Imm(stride), step)
	c.B(loop)
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

// Fold adds up the lanes of one register of columns after the other.
func (c *columns) Fold(then func(V), bufs ...machine.Buf) []V {
	c.Commentf("fold the planes of %v", bufs)
	var ints []emit.GP
	for _, b := range bufs {
		ints = append(ints, c.at(b.Name))
	}
	totals, size := c.GP(), c.GP()
	c.MOVD(c.local("columnSums", blockRegs*registerBytes), totals)
	c.MOVD(emit.Imm(c.regs*registerBytes), size)
	name := [...]string{"", "fold", "foldProducts"}[len(bufs)]
	last := c.call(name, append(ints, c.param(c.count), totals, size), nil, foldColumns)[0]
	if then != nil && c.regs == 1 {
		then(last)
	} else if then != nil {
		loop, at, x := c.NewLabel("totals"), c.copyGP(totals), c.New()
		c.Label(loop)
		c.FMOVQ(emit.At(at, 0), c.r(x))
		then(x)
		c.FMOVQ(c.r(x), emit.At(at, 0))
		c.ADD(emit.Imm(registerBytes), at, at)
		c.SUBS(emit.Imm(registerBytes), size, size)
		c.BNE(loop)
	}
	if c.regs == 1 {
		return []V{last}
	}
	d := make([]V, c.regs)
	for j := range d {
		d[j] = c.New()
		c.FMOVQ(emit.At(totals, j*registerBytes), c.r(d[j]))
	}
	return d
}

// foldColumns adds up the lanes at one or two pointers, for one register of columns after the other, and writes the totals; the last one it
// returns. Its arguments are the pointers, how many planes there are, where the totals go, and how many bytes they take.
func foldColumns(m mach, ints []emit.GP, _ []V) []V {
	n := len(ints) - 3
	column, planes, totals, end := ints[:n], ints[n], ints[n+1], m.GP()
	loop := m.NewLabel("column")
	m.ADD(ints[n+2], totals, end)
	m.Label(loop)
	p, left := make([]emit.GP, n), m.copyGP(planes)
	for i := range p {
		p[i] = m.copyGP(column[i])
	}
	total := m.foldPlanes(p, left)
	m.FMOVQ(m.r(total), emit.At(totals, 0))
	m.advance(column, func(int) emit.Imm { return registerBytes })
	m.ADD(emit.Imm(registerBytes), totals, totals)
	m.CMP(end, totals)
	m.BLT(loop)
	return []V{total}
}

// foldPlanes adds up the lanes at p, or the products of the lanes at two pointers, of which left exist, and more may follow. A lane that no
// plane went to is left out.
func (m mach) foldPlanes(p []emit.GP, left emit.GP) V {
	group := m.typ.Lanes() / 4
	total, pair, sum := m.New(), m.New(), m.New()
	end, odd := m.GP(), m.GP()
	loop, added, again, done := m.NewLabel("group"), m.NewLabel("added"), m.NewLabel("again"), m.NewLabel("sum")
	m.fill(total, 0)
	m.fill(pair, 0)
	m.ADD(emit.Imm(m.typ.Lanes()*stride), p[0], end)
	m.Label(again)
	m.MOVD(emit.Imm(2), odd)
	m.Label(loop)
	m.foldGroup(sum, p, group, left, added)
	m.Label(added)
	m.Add(pair, pair, sum)
	m.SUBS(emit.Imm(group), left, left)
	m.BLE(done)
	m.advance(p, func(int) emit.Imm { return emit.Imm(group * stride) })
	m.SUBS(emit.Imm(1), odd, odd)
	m.BNE(loop)
	m.Add(total, total, pair)
	m.fill(pair, 0)
	m.CMP(end, p[0])
	m.BLT(again)
	m.Label(done)
	m.Add(total, total, pair)
	return total
}

// foldGroup sets d to the sum of the group of n lanes at p, lane i with lane i + n/2, and so on. Where fewer than n are left, that is the
// sum of half or a quarter of them, to which only some of the others are added. It jumps to done, or ends there.
func (m mach) foldGroup(d V, p []emit.GP, n int, left emit.GP, done emit.Label) {
	all := m.NewLabel("all")
	m.CMP(emit.Imm(n), left)
	m.BGE(all)
	fold := func(n int, some bool) {
		half, folded := max(1, n/2), m.NewLabel("folded")
		acc := make([]V, half)
		for i := range acc {
			acc[i] = m.New()
			m.loadLane(acc[i], p, i)
		}
		for i := range n - half {
			if some && i > 0 {
				m.CMP(emit.Imm(half+i), left)
				m.BLE(folded)
			}
			x := m.New()
			m.loadLane(x, p, half+i)
			m.Add(acc[i], acc[i], x)
		}
		m.Label(folded)
		for n := half / 2; n > 0; n /= 2 {
			for i := range n {
				m.Add(acc[i], acc[i], acc[i+n])
			}
		}
		m.Set(d, acc[0])
	}
	for few := n; few > 0; few /= 2 {
		fewer := m.NewLabel("fewer")
		if few > 1 {
			m.CMP(emit.Imm(few/2), left)
			m.BLE(fewer)
		}
		fold(few, true)
		m.B(done)
		m.Label(fewer)
	}
	m.Label(all)
	fold(n, false)
}

// loadLane reads a lane of the planes at p, or the product of two.
func (m mach) loadLane(d V, p []emit.GP, lane int) {
	m.FMOVQ(emit.At(p[0], lane*stride), m.r(d))
	if len(p) > 1 {
		x := m.New()
		m.FMOVQ(emit.At(p[1], lane*stride), m.r(x))
		m.Mul(d, d, x)
	}
}
