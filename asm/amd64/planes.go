package amd64

import (
	"math/bits"
	"slices"

	"github.com/mmcloughlin/avo/attr"

	"github.com/lanewise/lanewise/asm/machine"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// blockRegs is how many registers of columns a block has: 256 bytes of each plane (AVX2: 128), so that whole lines come in a row.
const blockRegs = 4

// frame takes n bytes of the stack. Such a function has to check for room, as Go functions do.
func (m mach) frame(n int) Mem {
	m.fn.Attributes &^= attr.NOSPLIT
	return m.AllocLocal(n)
}

// columns are machine.Columns.
type columns struct {
	mach
	count   string   // the parameter that says how many planes
	turned  []string // the slices of rows: the columns are rows, the planes their elements
	regs    int
	mask    mask
	off     reg.GPVirtual  // of the columns, in bytes of the element type
	left    reg.GPVirtual  // columns left
	scratch map[string]Mem // a register of columns for every lane of a sum
	first   reg.GPVirtual  // where Scratch begins
	slots   Mem            // room for a vector for each register
}

func (m mach) Planes(few, many func(machine.Columns)) {
	c := m.columns("planes")
	left := m.param("n")
	m.XORQ(c.off, c.off)
	done := m.label("end")
	if few != nil {
		rest := m.label("many")
		planes := m.param("planes")
		m.CMPQ(planes, U32(m.typ.Lanes()))
		m.JA(LabelRef(rest))
		c.blocks(left, few)
		m.JMP(LabelRef(done))
		m.Label(rest)
	}
	c.blocks(left, many)
	m.Label(done)
}

func (m mach) Turn(body func(machine.Columns), in []string, out string) {
	c := m.columns("cols")
	m.XORQ(c.off, c.off)
	c.turn(m.param("n"), body, in, out)
}

// turn is blocks for columns that are the rows of in and out.
func (c *columns) turn(left reg.GPVirtual, body func(machine.Columns), in []string, out string) {
	c.left, c.turned = left, append(slices.Clone(in), out)
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

func (m mach) columns(count string) *columns {
	c := &columns{mach: m, count: count, off: m.GP64(), scratch: map[string]Mem{}, slots: m.AllocLocal(blockRegs * m.isa.bytes)}
	c.first = c.scratchAt(machine.Scratch)
	return c
}

// scratchAt returns a pointer to a scratch buffer.
func (c *columns) scratchAt(name string) reg.GPVirtual {
	mem, ok := c.scratch[name]
	if !ok {
		mem = c.frame(c.typ.Lanes()*blockRegs*c.isa.bytes + 64)
		c.scratch[name] = mem
	}
	p := c.GP64()
	c.LEAQ(mem.Offset(63), p)
	c.ANDQ(I8(-64), p)
	return p
}

func scratch(name string) bool { return name == machine.Scratch || name == machine.Scratch2 }

// blocks runs body over blocks of registers, then over what is left a register at a time, the last one in part.
func (c *columns) blocks(left reg.GPVirtual, body func(machine.Columns)) {
	wide, narrow, loop, done := c.label("wide"), c.label("narrow"), c.label("narrow"), c.label("end")
	c.Commentf("columns, %d registers at a time", blockRegs)
	c.Label(wide)
	c.CMPQ(left, U32(blockRegs*c.lanes()))
	c.JB(LabelRef(narrow))
	c.regs, c.mask = blockRegs, mask{}
	body(c)
	c.ADDQ(U32(c.stride()), c.off)
	c.SUBQ(U32(blockRegs*c.lanes()), left)
	c.JMP(LabelRef(wide))
	c.Comment("columns, a register at a time, the last one in part")
	c.Label(narrow)
	c.TESTQ(left, left)
	c.JE(LabelRef(done))
	c.Label(loop)
	count := c.GP64()
	c.MOVQ(U32(c.lanes()), count)
	c.CMPQ(left, count)
	c.CMOVQCS(left, count)
	c.regs, c.mask = 1, c.masks(count, len(c.ints) > 0)(0)
	body(c)
	c.ADDQ(U32(c.isa.bytes), c.off)
	c.SUBQ(U32(c.lanes()), left)
	c.JA(LabelRef(loop))
	c.Label(done)
}

// stride returns the bytes from lane to lane of scratch memory.
func (c *columns) stride() int { return c.regs * c.isa.bytes }

// strideOf returns the bytes from plane to plane of a slice.
func (m mach) strideOf(name string) reg.GPVirtual {
	param := "stride"
	if m.hasParam(name + "Stride") {
		param = name + "Stride"
	}
	s := m.param(param)
	m.SHLQ(U8(m.logSize()), s)
	return s
}

func (m mach) hasParam(name string) bool {
	_, err := m.Param(name).Resolve()
	return err == nil
}

func (c *columns) at(name string) reg.GPVirtual {
	if scratch(name) {
		return c.scratchAt(name)
	}
	p := c.base(name)
	off := c.bytes(name)
	if c.isTurned(name) {
		rows := c.param("cols")
		c.IMULQ(off, rows)
		off = rows
	}
	c.ADDQ(off, p)
	return p
}

// bytes returns how far into a slice the columns are.
func (c *columns) bytes(name string) reg.GPVirtual {
	if !c.ints[name] || c.typ == machine.F32 {
		return c.off
	}
	half := c.GP64()
	c.MOVQ(c.off, half)
	c.SHRQ(U8(1), half)
	return half
}

func (c *columns) Block(x float64) []V {
	b := make([]V, c.regs)
	for i := range b {
		b[i] = c.New()
		c.fill(b[i], x)
	}
	return b
}

// pointers returns a pointer into each buffer, and what takes it to the next plane.
func (c *columns) pointers(bufs []machine.Buf) (p []reg.GPVirtual, next []Op) {
	p, next = make([]reg.GPVirtual, len(bufs)), make([]Op, len(bufs))
	known := map[string]reg.GPVirtual{}
	for i, b := range bufs {
		p[i] = c.at(b.Name)
		if b.Ahead {
			c.ahead(b.Name, p[i])
		}
		if scratch(b.Name) || c.isTurned(b.Name) {
			next[i] = U32(c.stride())
			continue
		}
		if known[b.Name] == nil {
			known[b.Name] = c.strideOf(b.Name)
		}
		next[i] = known[b.Name]
	}
	return p, next
}

// ahead moves p, in a slice, to the next block.
func (c *columns) ahead(name string, p reg.GPVirtual) {
	if !c.isTurned(name) {
		c.ADDQ(U32(c.regs*c.isa.bytes), p)
		return
	}
	size := c.param(c.count)
	c.SHLQ(U8(bits.TrailingZeros(uint(c.stride()))), size)
	c.ADDQ(size, p)
}

// plane runs body on the registers of one plane and moves on.
func (c *columns) plane(p []reg.GPVirtual, next []Op, body func(j int, x []V) V, bufs []machine.Buf) {
	mems := make([]Mem, len(bufs))
	for j := range c.regs {
		for i, b := range bufs {
			mems[i] = Mem{Base: p[i], Disp: j * c.step(b)}
		}
		c.one(bufs, mems, c.mask, func(x []V) V { return body(j, x) })
	}
	for i := range p {
		c.ADDQ(next[i], p[i])
	}
}

func (c *columns) Each(body func(j int, x []V) V, bufs ...machine.Buf) {
	c.Commentf("every plane: %v", bufs)
	p, next := c.pointers(bufs)
	planes := c.param(c.count)
	loop := c.label("planes")
	c.Label(loop)
	c.plane(p, next, body, bufs)
	c.DECQ(planes)
	c.JNE(LabelRef(loop))
}

func (c *columns) Sum(body func(j int, x []V) V, then func(V), bufs ...machine.Buf) []V {
	c.Commentf("every plane, added up: %v", bufs)
	p, next := c.pointers(bufs)
	left := c.param(c.count)
	lane, end := c.GP64(), c.GP64()
	first, again, wrap, done := c.label("lanes"), c.label("again"), c.label("wrap"), c.label("end")
	// the first plane of every lane, from +0
	c.MOVQ(c.first, lane)
	c.LEAQ(Mem{Base: c.first, Disp: c.typ.Lanes() * c.stride()}, end)
	c.Label(first)
	c.plane(p, next, func(j int, x []V) V {
		y := body(j, x)
		s := c.New()
		c.zero(s)
		c.Add(s, s, y)
		c.VMOVUPS(c.r(s), Mem{Base: lane, Disp: j * c.isa.bytes})
		return y
	}, bufs)
	c.DECQ(left)
	c.JE(LabelRef(done))
	c.ADDQ(U32(c.stride()), lane)
	c.CMPQ(lane, end)
	c.JB(LabelRef(first))
	// and those that come round again
	c.Comment("the lanes again")
	c.Label(wrap)
	c.MOVQ(c.first, lane)
	c.Label(again)
	c.plane(p, next, func(j int, x []V) V {
		y := body(j, x)
		mem := Mem{Base: lane, Disp: j * c.isa.bytes}
		s := c.New()
		c.VMOVUPS(mem, c.r(s))
		c.Add(s, s, y)
		c.VMOVUPS(c.r(s), mem)
		return y
	}, bufs)
	c.DECQ(left)
	c.JE(LabelRef(done))
	c.ADDQ(U32(c.stride()), lane)
	c.CMPQ(lane, end)
	c.JB(LabelRef(again))
	c.JMP(LabelRef(wrap))
	c.Label(done)
	return c.Fold(machine.Same, then, machine.In(machine.Scratch, 0))
}

func (c *columns) Store(slice string, v []V) {
	done := c.label("none")
	p := c.base(slice)
	c.TESTQ(p, p)
	c.JE(LabelRef(done))
	c.ADDQ(c.bytes(slice), p)
	b := machine.Out(slice)
	for j := range v {
		c.store(v[j], Mem{Base: p, Disp: j * c.step(b)}, c.mask, b)
	}
	c.Label(done)
}

// Fold visits the lanes of a group in the order in which they are folded, evens first, so that few registers are needed. A lane that no
// plane went to is left out.
func (c *columns) Fold(body machine.Body, then func(V), bufs ...machine.Buf) []V {
	c.Commentf("fold the planes of %v", bufs)
	d := make([]V, c.regs)
	for i := range d {
		d[i] = c.New()
	}
	group := c.typ.Lanes() / 4
	total, pair, second := c.New(), c.New(), c.New()
	column, left, end := c.GP64(), c.GP64(), c.GP64()
	p := make([]reg.GPVirtual, len(bufs))
	columns, pairs, single, done := c.label("column"), c.label("groups"), c.label("pair"), c.label("sum")
	if c.regs > 1 {
		c.XORQ(column, column)
		c.Label(columns)
	}
	c.zero(total)
	c.Load(c.Param(c.count), left)
	for i, b := range bufs {
		p[i] = c.at(b.Name)
		if c.regs > 1 {
			c.ADDQ(column, p[i])
		}
	}
	c.LEAQ(Mem{Base: p[0], Disp: c.typ.Lanes() * c.stride()}, end)
	c.Label(pairs)
	c.group(pair, p, left, body)
	c.advance(p, group*c.stride())
	c.SUBQ(I32(group), left)
	c.JLE(LabelRef(single))
	c.group(second, p, left, body)
	c.advance(p, group*c.stride())
	c.SUBQ(I32(group), left)
	c.Add(pair, pair, second)
	c.Label(single)
	c.Add(total, total, pair)
	c.TESTQ(left, left)
	c.JLE(LabelRef(done))
	c.CMPQ(p[0], end)
	c.JB(LabelRef(pairs))
	c.Label(done)
	if then != nil {
		then(total)
	}
	if c.regs == 1 {
		c.Set(d[0], total)
		return d
	}
	slot := c.GP64()
	c.LEAQ(c.slots, slot)
	c.VMOVUPS(c.r(total), Mem{Base: slot, Index: column, Scale: 1})
	c.ADDQ(U32(c.isa.bytes), column)
	c.CMPQ(column, U32(c.regs*c.isa.bytes))
	c.JB(LabelRef(columns))
	for j := range d {
		c.VMOVUPS(c.slots.Offset(j*c.isa.bytes), c.r(d[j]))
	}
	return d
}

// group sets d to the sum of what body makes of the group of lanes at p, of which left exist, and more may follow.
func (c *columns) group(d V, p []reg.GPVirtual, left reg.GPVirtual, body machine.Body) {
	order := []int{0, 8, 4, 12, 2, 10, 6, 14}
	if c.typ == machine.F64 {
		order = []int{0, 4, 2, 6}
	}
	acc := make([]V, len(order)/2)
	for i := range acc {
		acc[i] = c.New()
	}
	for parity := range 2 {
		part, folded := c.label("part"), c.label("folded")
		lane := func(lane int) V {
			x := make([]V, len(p))
			for i := range p {
				x[i] = c.New()
				c.VMOVUPS(Mem{Base: p[i], Disp: (lane + parity) * c.stride()}, c.r(x[i]))
			}
			return body(x)
		}
		c.CMPQ(left, I32(2*len(order)))
		c.JLT(LabelRef(part))
		for i := range acc {
			x, y := lane(order[2*i]), lane(order[2*i+1])
			c.Add(acc[i], x, y)
		}
		c.JMP(LabelRef(folded))
		c.Label(part)
		for i := range acc {
			skip := c.label("none")
			c.zero(acc[i])
			for _, l := range order[2*i : 2*i+2] {
				c.CMPQ(left, I32(l+parity))
				c.JLE(LabelRef(skip))
				c.Add(acc[i], acc[i], lane(l))
			}
			c.Label(skip)
		}
		c.Label(folded)
		for n := len(acc) / 2; n > 0; n /= 2 {
			for i := range n {
				c.Add(acc[i], acc[2*i], acc[2*i+1])
			}
		}
		if parity == 0 {
			c.Set(d, acc[0])
		} else {
			c.Add(d, d, acc[0])
		}
	}
}

func (c *columns) advance(p []reg.GPVirtual, bytes int) {
	for _, q := range p {
		c.ADDQ(U32(bytes), q)
	}
}
