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
	off     Mem            // of the columns, in bytes of the element type
	left    Mem            // columns left; both are in memory, since routines need the registers
	scratch map[string]Mem // a register of columns for every lane of a sum
	slots   Mem            // room for a vector for each register
}

func (m mach) Planes(few, many func(machine.Columns)) {
	c := m.columns("planes")
	m.MOVQ(m.param("n"), c.left)
	done := m.label("end")
	if few != nil {
		rest := m.label("many")
		planes := m.param("planes")
		m.CMPQ(planes, U32(m.typ.Lanes()))
		m.JA(LabelRef(rest))
		c.blocks(few)
		m.JMP(LabelRef(done))
		m.Label(rest)
	}
	c.blocks(many)
	m.Label(done)
}

func (m mach) Turn(body func(machine.Columns), in []string, out string) {
	c := m.columns("cols")
	m.MOVQ(m.param("n"), c.left)
	c.turn(body, in, out)
}

// turn is blocks for columns that are the rows of in and out.
func (c *columns) turn(body func(machine.Columns), in []string, out string) {
	c.turned = append(slices.Clone(in), out)
	c.blocks(func(machine.Columns) {
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
	c := &columns{mach: m, count: count, off: m.AllocLocal(8), left: m.AllocLocal(8), scratch: map[string]Mem{},
		slots: m.AllocLocal(blockRegs * m.isa.bytes)}
	m.MOVQ(U32(0), c.off)
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
func (c *columns) blocks(body func(machine.Columns)) {
	wide, narrow, loop, done := c.label("wide"), c.label("narrow"), c.label("narrow"), c.label("end")
	c.Commentf("columns, %d registers at a time", blockRegs)
	c.Label(wide)
	c.CMPQ(c.left, U32(blockRegs*c.lanes()))
	c.JB(LabelRef(narrow))
	c.regs, c.mask = blockRegs, mask{}
	body(c)
	c.ADDQ(U32(c.stride()), c.off)
	c.SUBQ(U32(blockRegs*c.lanes()), c.left)
	c.JMP(LabelRef(wide))
	c.Comment("columns, a register at a time, the last one in part")
	c.Label(narrow)
	c.CMPQ(c.left, I8(0))
	c.JE(LabelRef(done))
	c.Label(loop)
	c.regs, c.mask = 1, c.masks(c.some(), len(c.ints) > 0)(0)
	body(c)
	c.ADDQ(U32(c.isa.bytes), c.off)
	c.SUBQ(U32(c.lanes()), c.left)
	c.JA(LabelRef(loop))
	c.Label(done)
}

// some returns how many columns of a register there are.
func (c *columns) some() reg.GPVirtual {
	n := c.GP64()
	c.MOVQ(U32(c.lanes()), n)
	c.CMPQ(n, c.left)
	c.CMOVQHI(c.left, n)
	return n
}

// stride returns the bytes from lane to lane of scratch memory.
func (m mach) stride() int { return blockRegs * m.isa.bytes }

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
	if c.isTurned(name) {
		rows := c.param("cols")
		c.IMULQ(c.off, rows)
		c.ADDQ(rows, p)
		return p
	}
	c.ADDQ(c.bytes(name), p)
	return p
}

// bytes returns how far into a slice the columns are.
func (c *columns) bytes(name string) Op {
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
		if b.Fixed {
			continue
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
		if next[i] != nil {
			c.ADDQ(next[i], p[i])
		}
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
	lane, end := c.scratchAt(machine.Scratch), c.GP64()
	c.LEAQ(Mem{Base: lane, Disp: c.typ.Lanes() * c.stride()}, end)
	// the first plane of every lane is added to zeros, those that come round again to the lane
	from, step := c.GP64(), c.GP64()
	c.LEAQ(c.zeros(), from)
	c.XORQ(step, step)
	loop, done := c.label("lanes"), c.label("end")
	c.Label(loop)
	c.plane(p, next, func(j int, x []V) V {
		y := body(j, x)
		s := c.New()
		c.Add(s, y, c.value(Mem{Base: from, Disp: j * c.isa.bytes}))
		c.VMOVUPS(c.r(s), Mem{Base: lane, Disp: j * c.isa.bytes})
		return y
	}, bufs)
	c.DECQ(left)
	c.JE(LabelRef(done))
	c.ADDQ(U32(c.stride()), lane)
	c.ADDQ(step, from)
	c.CMPQ(lane, end)
	c.JB(LabelRef(loop))
	c.SUBQ(U32(c.typ.Lanes()*c.stride()), lane)
	c.MOVQ(lane, from)
	c.MOVQ(U32(c.stride()), step)
	c.JMP(LabelRef(loop))
	c.Label(done)
	return c.Fold(then, machine.In(machine.Scratch, 0))
}

// zeros is as much memory as a plane of a block takes.
func (c *columns) zeros() Mem {
	return c.table("zeros", func() {
		for i := 0; i < blockRegs*AVX512.bytes; i += 8 {
			c.AddDatum(i, U64(0))
		}
	})
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

func (c *columns) Stored(slice string, j int) V {
	p, b, v := c.base(slice), machine.In(slice, 0), c.New()
	c.ADDQ(c.bytes(slice), p)
	c.load(v, Mem{Base: p, Disp: j * c.step(b)}, c.mask, b)
	return v
}

func (c *columns) Fold(then func(V), bufs ...machine.Buf) []V {
	c.Commentf("fold the planes of %v", bufs)
	var ints []reg.GPVirtual
	for _, b := range bufs {
		ints = append(ints, c.at(b.Name))
	}
	totals, size := c.GP64(), c.GP64()
	c.LEAQ(c.slots, totals)
	c.MOVQ(U32(c.regs*c.isa.bytes), size)
	name := [...]string{"", "fold", "foldProducts"}[len(bufs)]
	last := c.call(name, append(ints, c.param(c.count), totals, size), nil, foldColumns)[0]
	if then != nil && c.regs == 1 {
		then(last)
	} else if then != nil {
		loop, x := c.label("totals"), c.New()
		c.Label(loop)
		c.VMOVUPS(Mem{Base: totals}, c.r(x))
		then(x)
		c.VMOVUPS(c.r(x), Mem{Base: totals})
		c.ADDQ(U32(c.isa.bytes), totals)
		c.SUBQ(U32(c.isa.bytes), size)
		c.JNE(LabelRef(loop))
	}
	if c.regs == 1 {
		return []V{last}
	}
	d := make([]V, c.regs)
	for j := range d {
		d[j] = c.New()
		c.VMOVUPS(c.slots.Offset(j*c.isa.bytes), c.r(d[j]))
	}
	return d
}

// foldColumns adds up the lanes at one or two pointers, for one register of columns after the other, and writes the totals; the last one it
// returns. Its arguments are the pointers, how many planes there are, where the totals go, and how many bytes they take.
func foldColumns(m mach, ints []reg.GPVirtual, _ []V) []V {
	n := len(ints) - 3
	column, planes, slots, size := ints[:n], ints[n], ints[n+1], ints[n+2]
	loop := m.label("column")
	m.ADDQ(slots, size)
	m.Label(loop)
	p, left := make([]reg.GPVirtual, n), m.GP64()
	for i := range p {
		p[i] = m.GP64()
		m.MOVQ(column[i], p[i])
	}
	m.MOVQ(planes, left)
	total := m.foldPlanes(p, left)
	m.VMOVUPS(m.r(total), Mem{Base: slots})
	m.advance(column, m.isa.bytes)
	m.ADDQ(U32(m.isa.bytes), slots)
	m.CMPQ(slots, size)
	m.JB(LabelRef(loop))
	return []V{total}
}

// foldPlanes adds up the lanes at p, or the products of the lanes at two pointers, of which left exist, and more may follow. A lane that no
// plane went to is left out.
func (m mach) foldPlanes(p []reg.GPVirtual, left reg.GPVirtual) V {
	group := m.typ.Lanes() / 4
	total, pair, sum := m.New(), m.New(), m.New()
	end, odd := m.GP64(), m.GP64()
	loop, added, done := m.label("group"), m.label("added"), m.label("sum")
	m.zero(total)
	m.zero(pair)
	m.LEAQ(Mem{Base: p[0], Disp: m.typ.Lanes() * m.stride()}, end)
	m.MOVQ(U32(0), odd)
	m.Label(loop)
	m.foldGroup(sum, p, group, left, added)
	m.Label(added)
	m.Add(pair, pair, sum)
	m.SUBQ(I8(group), left)
	m.JLE(LabelRef(done))
	m.advance(p, group*m.stride())
	m.XORQ(I8(1), odd)
	m.JNE(LabelRef(loop))
	m.Add(total, total, pair)
	m.zero(pair)
	m.CMPQ(p[0], end)
	m.JB(LabelRef(loop))
	m.Label(done)
	m.Add(total, total, pair)
	return total
}

// foldGroup sets d to the sum of the group of n lanes at p, lane i with lane i + n/2, and so on. Where fewer than n are left, that is the
// sum of half or a quarter of them, to which only some of the others are added. It jumps to done, or ends there.
func (m mach) foldGroup(d V, p []reg.GPVirtual, n int, left reg.GPVirtual, done string) {
	all := m.label("all")
	m.CMPQ(left, I8(n))
	m.JGE(LabelRef(all))
	for ; n > 0; n /= 2 {
		fewer, folded := m.label("fewer"), m.label("folded")
		half := max(1, n/2)
		if n > 1 {
			m.CMPQ(left, I8(half))
			m.JLE(LabelRef(fewer))
		}
		acc := make([]V, half)
		for i := range acc {
			acc[i] = m.New()
			m.loadLane(acc[i], p, i)
		}
		for i := range n - half {
			if i > 0 {
				m.CMPQ(left, I8(half+i))
				m.JLE(LabelRef(folded))
			}
			m.addLane(acc[i], p, half+i)
		}
		m.Label(folded)
		m.vertical(m.Add, acc)
		m.Set(d, acc[0])
		m.JMP(LabelRef(done))
		m.Label(fewer)
	}
	m.Label(all)
	m.allLanes(d, p)
}

// allLanes sets d to the sum of a whole group. It visits the lanes in the order in which they are folded, evens first, so that few
// registers are needed.
func (m mach) allLanes(d V, p []reg.GPVirtual) {
	order := []int{0, 8, 4, 12, 2, 10, 6, 14}
	if m.typ == machine.F64 {
		order = []int{0, 4, 2, 6}
	}
	acc := make([]V, len(order)/2)
	for parity := range 2 {
		for i := range acc {
			acc[i] = m.New()
			m.loadLane(acc[i], p, order[2*i]+parity)
			m.addLane(acc[i], p, order[2*i+1]+parity)
		}
		for n := len(acc) / 2; n > 0; n /= 2 {
			for i := range n {
				m.Add(acc[i], acc[2*i], acc[2*i+1])
			}
		}
		if parity == 0 {
			m.Set(d, acc[0])
		} else {
			m.Add(d, d, acc[0])
		}
	}
}

// lane is a lane of the planes at p. loadLane reads one, or the product of two, and addLane adds it.
func (m mach) lane(p reg.GPVirtual, lane int) V {
	return m.value(Mem{Base: p, Disp: lane * m.stride()})
}

func (m mach) loadLane(d V, p []reg.GPVirtual, lane int) {
	m.Set(d, m.lane(p[0], lane))
	if len(p) > 1 {
		m.Mul(d, d, m.lane(p[1], lane))
	}
}

func (m mach) addLane(d V, p []reg.GPVirtual, lane int) {
	x := m.lane(p[0], lane)
	if len(p) > 1 {
		x = m.New()
		m.loadLane(x, p, lane)
	}
	m.Add(d, d, x)
}

func (m mach) advance(p []reg.GPVirtual, bytes int) {
	for _, q := range p {
		m.ADDQ(U32(bytes), q)
	}
}
