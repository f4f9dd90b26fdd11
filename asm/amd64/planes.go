package amd64

import (
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
	regs    int
	mask    mask
	off     reg.GPVirtual // of the columns, in bytes of the element type
	scratch reg.GPVirtual // a register of columns for every lane of a sum
	slots   Mem           // room for a vector for each register
}

func (m mach) Planes(few, many func(machine.Columns)) {
	frame := m.frame(m.typ.Lanes()*blockRegs*m.isa.bytes + 64)
	c := &columns{mach: m, off: m.GP64(), scratch: m.GP64(), slots: m.AllocLocal(blockRegs * m.isa.bytes)}
	left := m.param("n")
	m.XORQ(c.off, c.off)
	m.LEAQ(frame.Offset(63), c.scratch)
	m.ANDQ(I8(-64), c.scratch)
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

// blocks runs body over blocks of registers, then over what is left a register at a time, the last one in part.
func (c *columns) blocks(left reg.GPVirtual, body func(machine.Columns)) {
	wide, narrow, loop, done := c.label("wide"), c.label("narrow"), c.label("narrow"), c.label("end")
	c.Label(wide)
	c.CMPQ(left, U32(blockRegs*c.lanes()))
	c.JB(LabelRef(narrow))
	c.regs, c.mask = blockRegs, mask{}
	body(c)
	c.ADDQ(U32(blockRegs*c.isa.bytes), c.off)
	c.SUBQ(U32(blockRegs*c.lanes()), left)
	c.JMP(LabelRef(wide))
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
	if name == machine.Scratch {
		p := c.GP64()
		c.MOVQ(c.scratch, p)
		return p
	}
	p := c.base(name)
	if c.ints[name] && c.typ == machine.F64 {
		half := c.GP64()
		c.MOVQ(c.off, half)
		c.SHRQ(U8(1), half)
		c.ADDQ(half, p)
	} else {
		c.ADDQ(c.off, p)
	}
	return p
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
			c.ADDQ(U32(c.regs*c.isa.bytes), p[i])
		}
		if b.Name == machine.Scratch {
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
	p, next := c.pointers(bufs)
	planes := c.param("planes")
	loop := c.label("planes")
	c.Label(loop)
	c.plane(p, next, body, bufs)
	c.DECQ(planes)
	c.JNE(LabelRef(loop))
}

func (c *columns) Sum(body func(j int, x []V) V, then func(V), bufs ...machine.Buf) []V {
	p, next := c.pointers(bufs)
	left := c.param("planes")
	lane, end := c.GP64(), c.GP64()
	first, again, wrap, done := c.label("lanes"), c.label("again"), c.label("wrap"), c.label("end")
	// the first plane of every lane, from +0
	c.MOVQ(c.scratch, lane)
	c.LEAQ(Mem{Base: c.scratch, Disp: c.typ.Lanes() * c.stride()}, end)
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
	c.Label(wrap)
	c.MOVQ(c.scratch, lane)
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
	return c.Fold(then)
}

func (c *columns) Store(slice string, v []V) {
	done := c.label("none")
	p := c.base(slice)
	c.TESTQ(p, p)
	c.JE(LabelRef(done))
	c.storeAll(p, slice, v)
	c.Label(done)
}

func (c *columns) storeAll(p reg.GPVirtual, slice string, v []V) {
	if c.ints[slice] && c.typ == machine.F64 {
		half := c.GP64()
		c.MOVQ(c.off, half)
		c.SHRQ(U8(1), half)
		c.ADDQ(half, p)
	} else {
		c.ADDQ(c.off, p)
	}
	b := machine.Out(slice)
	for j := range v {
		c.store(v[j], Mem{Base: p, Disp: j * c.step(b)}, c.mask, b)
	}
}

// Fold visits the lanes of a group in the order in which they are folded, evens first, so that few registers are needed. A lane that no
// plane went to is left out.
func (c *columns) Fold(then func(V)) []V {
	d := make([]V, c.regs)
	for i := range d {
		d[i] = c.New()
	}
	group := c.typ.Lanes() / 4
	total, pair, second := c.New(), c.New(), c.New()
	column, p, left, end := c.GP64(), c.GP64(), c.GP64(), c.GP64()
	columns, pairs, single, done := c.label("column"), c.label("groups"), c.label("pair"), c.label("sum")
	if c.regs > 1 {
		c.XORQ(column, column)
		c.Label(columns)
	}
	c.zero(total)
	c.Load(c.Param("planes"), left)
	c.MOVQ(c.scratch, p)
	if c.regs > 1 {
		c.ADDQ(column, p)
	}
	c.LEAQ(Mem{Base: p, Disp: c.typ.Lanes() * c.stride()}, end)
	c.Label(pairs)
	c.group(pair, p, left)
	c.ADDQ(U32(group*c.stride()), p)
	c.SUBQ(I32(group), left)
	c.JLE(LabelRef(single))
	c.group(second, p, left)
	c.ADDQ(U32(group*c.stride()), p)
	c.SUBQ(I32(group), left)
	c.Add(pair, pair, second)
	c.Label(single)
	c.Add(total, total, pair)
	c.TESTQ(left, left)
	c.JLE(LabelRef(done))
	c.CMPQ(p, end)
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

// group sets d to the sum of the group of lanes at p, of which left exist, and more may follow.
func (c *columns) group(d V, p, left reg.GPVirtual) {
	order := []int{0, 8, 4, 12, 2, 10, 6, 14}
	if c.typ == machine.F64 {
		order = []int{0, 4, 2, 6}
	}
	acc := make([]V, len(order))
	for i := range acc {
		acc[i] = c.New()
	}
	for parity := range 2 {
		part, folded := c.label("part"), c.label("folded")
		at := func(lane int) Mem { return Mem{Base: p, Disp: (lane + parity) * c.stride()} }
		c.CMPQ(left, I32(2*len(order)))
		c.JLT(LabelRef(part))
		for i := 0; i < len(order); i += 2 {
			c.VMOVUPS(at(order[i]), c.r(acc[i]))
			c.ps(c.VADDPS, c.VADDPD)(at(order[i+1]), c.r(acc[i]), c.r(acc[i]))
			c.VMOVUPS(c.r(acc[i]), c.r(acc[i/2]))
		}
		c.JMP(LabelRef(folded))
		c.Label(part)
		for i := 0; i < len(order); i += 2 {
			skip := c.label("none")
			c.zero(acc[i/2])
			for _, lane := range order[i : i+2] {
				c.CMPQ(left, I32(lane+parity))
				c.JLE(LabelRef(skip))
				c.ps(c.VADDPS, c.VADDPD)(at(lane), c.r(acc[i/2]), c.r(acc[i/2]))
			}
			c.Label(skip)
		}
		c.Label(folded)
		for n := len(order) / 4; n > 0; n /= 2 {
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
