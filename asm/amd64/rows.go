package amd64

import (
	"math/bits"

	"github.com/lanewise/lanewise/asm/machine"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// tileRows is how many rows a tile has: enough that its three passes, which wait for each other's stores, do not wait long, and few enough
// that it stays in L1.
const tileRows = 64

// fewRows is from how many rows on a tile is faster than a row at a time.
const fewRows = 3

// A tile is a machine.Tile. All its buffers are rows of the same length that follow each other.
type tile struct {
	mach
	off     reg.GPVirtual // of the tile, in bytes from the slices' beginnings
	rows    Mem           // in the tile
	stride  reg.GPVirtual // bytes of a row
	stride3 reg.GPVirtual // and of three
	tail    mask          // of what is left after a row's full registers
	slot    Mem           // room for a vector
	scratch *Mem          // room for the tile, once it was asked for

	// within Lines
	line *reg.GPVirtual // the same offset for the first of these rows
	left *reg.GPVirtual // rows from there
}

func (m mach) Rows(long func(), short func(machine.Tile), slices ...string) {
	off := m.GP64()
	m.XORQ(off, off)
	n := m.AllocLocal(8) // elements left: general registers are few
	t := m.Load(m.Param(slices[0]).Len(), m.GP64())
	m.MOVQ(t, n)
	longLoop, done := m.label("row"), m.label("end")
	if m.ints["dst"] {
		m.out = m.base("dst")
	}
	at := func(name string) reg.GPVirtual {
		p := m.base(name)
		m.ADDQ(off, p)
		return p
	}
	m.short(longLoop, n, off, short)
	m.Label(longLoop)
	m.CMPQ(n, I8(0))
	m.JE(LabelRef(done))
	m.row = &walk{at, func() reg.GPVirtual { return m.param("cols") }}
	long()
	m.row = nil
	cols := m.param("cols")
	m.SUBQ(cols, n)
	m.SHLQ(U8(m.logSize()), cols)
	m.ADDQ(cols, off)
	m.JMP(LabelRef(longLoop))
	m.Label(done)
}

func (m mach) logSize() int { return bits.TrailingZeros(uint(m.size())) }

// short takes as many rows as fill tiles, unless they are too long; it jumps to long for the rest.
func (m mach) short(long string, n Mem, off reg.GPVirtual, body func(machine.Tile)) {
	cols := m.param("cols")
	m.CMPQ(cols, U32(m.typ.Lanes()))
	m.JA(LabelRef(long))
	t := &tile{mach: m, off: off, rows: m.AllocLocal(8), stride: m.GP64(), stride3: m.GP64(), slot: m.AllocLocal(m.isa.bytes)}
	m.MOVQ(cols, t.stride)
	m.SHLQ(U8(m.logSize()), t.stride)
	m.LEAQ(Mem{Base: t.stride, Index: t.stride, Scale: 2}, t.stride3)
	m.ANDQ(I32(m.lanes()-1), cols)
	t.tail = m.masks(cols, false)(0)

	// rows = min(tileRows, n / cols)
	loop, full := m.label("tile"), m.label("rows")
	m.Label(loop)
	cols = m.param("cols")
	left, rows := m.GP64(), m.GP64()
	m.MOVQ(n, left)
	m.MOVQ(U32(tileRows), rows)
	size := m.GP64()
	m.MOVQ(cols, size)
	m.SHLQ(U8(bits.TrailingZeros(tileRows)), size)
	m.CMPQ(left, size)
	m.JAE(LabelRef(full))
	m.MOVL(left.As32(), reg.EAX)
	m.XORL(reg.EDX, reg.EDX)
	m.DIVL(cols.As32())
	m.MOVL(reg.EAX, rows.As32())
	m.CMPQ(rows, U32(fewRows))
	m.JB(LabelRef(long))
	m.Label(full)
	m.MOVQ(rows, t.rows)
	body(t)
	size = m.GP64()
	m.MOVQ(t.stride, size)
	m.IMULQ(t.rows, size)
	m.ADDQ(size, off)
	m.SHRQ(U8(m.logSize()), size)
	m.SUBQ(size, n)
	m.JMP(LabelRef(loop))
}

// at returns a pointer into a slice, or into scratch memory, at the rows that are being worked on.
func (t *tile) at(name string, off reg.GPVirtual) reg.GPVirtual {
	if name == machine.Scratch {
		if t.scratch == nil {
			mem := t.frame(tileRows * machine.BlockBytes)
			t.scratch = &mem
		}
		p := t.GP64()
		t.LEAQ(*t.scratch, p)
		if off != t.off {
			t.ADDQ(off, p)
			t.SUBQ(t.off, p)
		}
		return p
	}
	p := t.base(name)
	t.ADDQ(off, p)
	return p
}

func (t *tile) Lines(body func()) {
	line, left := t.GP64(), t.GP64()
	t.MOVQ(t.off, line)
	t.MOVQ(t.rows, left)
	loop := t.label("lines")
	t.Label(loop)
	t.line, t.left = &line, &left
	body()
	t.line, t.left = nil, nil
	step := t.GP64()
	t.MOVQ(t.stride, step)
	t.SHLQ(U8(bits.TrailingZeros(uint(t.lanes()))), step)
	t.ADDQ(step, line)
	t.SUBQ(I32(t.lanes()), left)
	t.JA(LabelRef(loop))
}

// chunk runs body on a register of each row of the lines, at pointers p: rows that are not there are left out.
func (t *tile) chunk(p []reg.GPVirtual, k mask, bufs []machine.Buf, body func(row int, x []V)) {
	end := t.label("rows")
	q := make([]reg.GPVirtual, len(p))
	for i := range p {
		q[i] = t.GP64()
		t.MOVQ(p[i], q[i])
	}
	mems := make([]Mem, len(p))
	for r := range t.lanes() {
		if r > 0 {
			t.CMPQ(*t.left, U8(r))
			t.JBE(LabelRef(end))
		}
		for i := range q {
			if r > 0 && r%4 == 0 {
				t.LEAQ(Mem{Base: q[i], Index: t.stride, Scale: 4}, q[i])
			}
			switch r % 4 {
			case 0:
				mems[i] = Mem{Base: q[i]}
			case 3:
				mems[i] = Mem{Base: q[i], Index: t.stride3, Scale: 1}
			default:
				mems[i] = Mem{Base: q[i], Index: t.stride, Scale: uint8(r % 4)}
			}
		}
		t.one(bufs, mems, k, func(x []V) V { body(r, x); return machine.None })
	}
	t.Label(end)
}

// rowRegisters returns a register for each row of the lines.
func (t *tile) rowRegisters() []V {
	v := make([]V, t.lanes())
	for i := range v {
		v[i] = t.New()
	}
	return v
}

func (t *tile) pointers(bufs []machine.Buf, off reg.GPVirtual) []reg.GPVirtual {
	p := make([]reg.GPVirtual, len(bufs))
	for i, b := range bufs {
		p[i] = t.at(b.Name, off)
	}
	return p
}

func (t *tile) advance(p []reg.GPVirtual, bytes int) {
	for _, q := range p {
		t.ADDQ(I32(bytes), q)
	}
}

func (t *tile) Largest(d V, buf machine.Buf) {
	bufs := []machine.Buf{buf}
	v := t.rowRegisters()
	for i := range v {
		t.fill(v[i], buf.Fill)
	}
	p := t.pointers(bufs, *t.line)
	left := t.param("cols")
	loop, tail, done := t.label("columns"), t.label("tail"), t.label("end")
	body := func(r int, x []V) { t.Max(v[r], v[r], x[0]) }
	t.SUBQ(I32(t.lanes()), left)
	t.JB(LabelRef(tail))
	t.Label(loop)
	t.chunk(p, mask{}, bufs, body)
	t.advance(p, t.isa.bytes)
	t.SUBQ(I32(t.lanes()), left)
	t.JAE(LabelRef(loop))
	t.Label(tail)
	t.CMPQ(left, I32(-t.lanes()))
	t.JE(LabelRef(done))
	t.chunk(p, t.tail, bufs, body)
	t.Label(done)
	t.foldRows(t.Max, d, func(lane int) V { return v[lane] })
}

func (t *tile) Sum(d V, body machine.Body, bufs ...machine.Buf) {
	total, pair := t.New(), t.New()
	t.zero(total)
	p := t.pointers(bufs, *t.line)
	left := t.param("cols")
	// groups are taken in pairs: (T0 + T1) + (T2 + T3)
	loop, done := t.label("groups"), t.label("end")
	t.Label(loop)
	for half := range 2 {
		v := t.rowRegisters()
		for i := range v {
			t.zero(v[i])
		}
		add := func(r int, x []V) { t.Add(v[r], v[r], body(x)) }
		fold := t.label("fold")
		for range t.typ.Lanes() / 4 / t.lanes() {
			tail, next := t.label("tail"), t.label("next")
			t.SUBQ(I32(t.lanes()), left)
			t.JB(LabelRef(tail))
			t.chunk(p, mask{}, bufs, add)
			t.advance(p, t.isa.bytes)
			t.JMP(LabelRef(next))
			t.Label(tail)
			t.ADDQ(I32(t.lanes()), left)
			t.JE(LabelRef(fold))
			t.chunk(p, t.tail, bufs, add)
			t.XORQ(left, left)
			t.JMP(LabelRef(fold))
			t.Label(next)
		}
		t.Label(fold)
		if half == 0 {
			t.foldRows(t.Add, pair, func(lane int) V { return v[lane] })
			only := t.label("pair")
			t.TESTQ(left, left)
			t.JNE(LabelRef(only))
			t.Add(total, total, pair)
			t.JMP(LabelRef(done))
			t.Label(only)
		} else {
			sum := t.New()
			t.foldRows(t.Add, sum, func(lane int) V { return v[lane] })
			t.Add(pair, pair, sum)
			t.Add(total, total, pair)
		}
	}
	t.TESTQ(left, left)
	t.JNE(LabelRef(loop))
	t.Label(done)
	t.Set(d, total)
}

func (t *tile) Each(v V, body func(row V, x []V) V, bufs ...machine.Buf) {
	t.VMOVUPS(t.r(v), t.slot)
	values, rows, rest := t.GP64(), t.GP64(), t.GP64()
	t.LEAQ(t.slot, values)
	t.MOVQ(U32(t.lanes()), rows)
	t.CMPQ(*t.left, rows)
	t.CMOVQCS(*t.left, rows)
	t.MOVQ(t.stride, rest)
	t.ANDQ(I32(t.isa.bytes-1), rest)
	p := t.pointers(bufs, *t.line)
	mems := make([]Mem, len(p))
	for i := range p {
		mems[i] = Mem{Base: p[i]}
	}
	loop, columns, tail, next := t.label("row"), t.label("columns"), t.label("tail"), t.label("next")
	t.Label(loop)
	row := t.New()
	t.ps(t.VBROADCASTSS, t.VBROADCASTSD)(Mem{Base: values}, t.r(row))
	left := t.param("cols")
	t.SUBQ(I32(t.lanes()), left)
	t.JB(LabelRef(tail))
	t.Label(columns)
	t.one(bufs, mems, mask{}, func(x []V) V { return body(row, x) })
	t.advance(p, t.isa.bytes)
	t.SUBQ(I32(t.lanes()), left)
	t.JAE(LabelRef(columns))
	t.Label(tail)
	t.TESTQ(rest, rest)
	t.JE(LabelRef(next))
	t.one(bufs, mems, t.tail, func(x []V) V { return body(row, x) })
	for i := range p {
		t.ADDQ(rest, p[i])
	}
	t.Label(next)
	t.ADDQ(I32(t.size()), values)
	t.DECQ(rows)
	t.JNE(LabelRef(loop))
}

func (t *tile) All(body machine.Body, bufs ...machine.Buf) {
	n := t.GP64()
	t.MOVQ(t.stride, n)
	t.IMULQ(t.rows, n)
	p := t.pointers(bufs, t.off)
	for i, b := range bufs {
		if b.Ahead {
			t.ADDQ(n, p[i])
		}
	}
	t.SHRQ(U8(t.logSize()), n)
	t.each(n, p, func(j int, x []V) V { return body(x) }, bufs)
}
