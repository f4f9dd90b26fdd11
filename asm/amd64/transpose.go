package amd64

import (
	"github.com/lanewise/lanewise/asm/machine"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// transposeAhead is how many bytes ahead of rows to prefetch: one side has short rows side by side, which come from memory.
const transposeAhead = 4096

// Transpose goes through units of 128 bits along the shorter side, of as many rows or columns as a register has lanes, and through squares
// of as many rows and columns for what is left.
func (m mach) Transpose(dst, src string) {
	stride := func(name string) (s, s3 reg.GPVirtual) {
		s, s3 = m.param(name), m.GP64()
		m.SHLQ(U8(m.logSize()), s)
		m.LEAQ(Mem{Base: s, Index: s, Scale: 2}, s3)
		return s, s3
	}
	from, from3 := stride(src + "Stride")
	to, to3 := stride(dst + "Stride")
	p, q := m.base(src), m.base(dst)
	rows, cols := m.param("rows"), m.param("cols")
	wide, squares := m.label("wide"), m.label("squares")
	m.CMPQ(cols, rows)
	m.JA(LabelRef(wide))
	m.Comment("short rows of src")
	m.unitBands(rows, cols, p, q, from, to, squares, func(x, y reg.GPVirtual) {
		v := m.unit()
		m.walk(x, from, from3, m.lanes(), func(i int, mem Mem) {
			m.PREFETCHT0(mem.Offset(transposeAhead))
			m.insert(i/len(v), mem, v[i%len(v)])
		})
		v = m.square128(v)
		m.walk(y, to, to3, len(v), func(i int, mem Mem) { m.VMOVUPS(m.r(v[i]), mem) })
	})
	m.Label(wide)
	m.Comment("short rows of dst")
	m.unitBands(cols, rows, q, p, to, from, squares, func(y, x reg.GPVirtual) {
		v := m.unit()
		m.walk(x, from, from3, len(v), func(i int, mem Mem) { m.VMOVUPS(mem, m.r(v[i])) })
		v = m.square128(v)
		m.walk(y, to, to3, m.lanes(), func(i int, mem Mem) {
			m.PREFETCHT0(mem.Offset(transposeAhead))
			m.extract(i/len(v), v[i%len(v)], mem)
		})
	})
	m.Label(squares)
	m.squares(rows, cols, p, q, from, from3, to, to3)
}

// unit returns the registers that a unit of 128 bits takes.
func (m mach) unit() []V {
	v := make([]V, 16/m.size())
	for i := range v {
		v[i] = m.New()
	}
	return v
}

// unitBands calls body for all units of the bands of as many short rows as a register has lanes: x is where the rows are, at p and stride
// apart, and y where the same elements are on the other side, as columns of the rows at q. It takes these off n rows; then it goes to done.
// The last unit of a band may overlap the one before.
func (m mach) unitBands(n, short, p, q, stride, otherStride reg.GPVirtual, done string, body func(x, y reg.GPVirtual)) {
	unit := 16 / m.size()
	m.CMPQ(short, U32(unit))
	m.JB(LabelRef(done))
	band := m.label("band")
	m.Label(band)
	m.CMPQ(n, U32(m.lanes()))
	m.JB(LabelRef(done))
	x, y, left := m.GP64(), m.GP64(), m.GP64()
	m.MOVQ(p, x)
	m.MOVQ(q, y)
	m.MOVQ(short, left)
	m.eachUnit(left, func() { body(x, y) }, func(step reg.GPVirtual) {
		m.LEAQ(Mem{Base: x, Index: step, Scale: uint8(m.size())}, x)
		m.IMULQ(otherStride, step)
		m.ADDQ(step, y)
	})
	m.nextBand(n, p, q, stride)
	m.JMP(LabelRef(band))
}

// nextBand takes a register's rows, stride apart from p on, off n, which are columns of the rows at q.
func (m mach) nextBand(n, p, q, stride reg.GPVirtual) {
	t := m.GP64()
	m.MOVQ(stride, t)
	m.SHLQ(U8(m.logLanes()), t)
	m.ADDQ(t, p)
	m.ADDQ(U32(m.isa.bytes), q)
	m.SUBQ(U32(m.lanes()), n)
}

// walk calls f for n rows from p on; stride3 is three times the stride.
func (m mach) walk(p, stride, stride3 reg.GPVirtual, n int, f func(i int, mem Mem)) {
	q := m.GP64()
	m.MOVQ(p, q)
	for i := range n {
		if i > 0 && i%4 == 0 {
			m.LEAQ(Mem{Base: q, Index: stride, Scale: 4}, q)
		}
		switch i % 4 {
		case 0:
			f(i, Mem{Base: q})
		case 3:
			f(i, Mem{Base: q, Index: stride3, Scale: 1})
		default:
			f(i, Mem{Base: q, Index: stride, Scale: uint8(i % 4)})
		}
	}
}

// squares transposes any rows and columns, down the rows of a few columns.
func (m mach) squares(rows, cols, p, q, from, from3, to, to3 reg.GPVirtual) {
	bands, last, done := m.label("rows"), m.label("last"), m.label("end")
	m.TESTQ(cols, cols)
	m.JE(LabelRef(done))
	band := func(k mask) {
		x, y, left := m.GP64(), m.GP64(), m.GP64()
		m.MOVQ(p, x)
		m.MOVQ(q, y)
		m.MOVQ(cols, left)
		loop := m.label("columns")
		m.Label(loop)
		m.square(rows, left, x, from, from3, y, to, to3, k)
		m.ADDQ(U32(m.isa.bytes), x)
		t := m.GP64()
		m.MOVQ(to, t)
		m.SHLQ(U8(m.logLanes()), t)
		m.ADDQ(t, y)
		m.SUBQ(U32(m.lanes()), left)
		m.JA(LabelRef(loop))
	}
	m.Label(bands)
	m.CMPQ(rows, U32(m.lanes()))
	m.JB(LabelRef(last))
	band(mask{})
	m.nextBand(rows, p, q, from)
	m.JMP(LabelRef(bands))
	m.Label(last)
	m.TESTQ(rows, rows)
	m.JE(LabelRef(done))
	band(m.masks(rows, false)(0))
	m.Label(done)
}

// square transposes one square, of which rows and cols exist; k is the mask of the rows if they are fewer than lanes.
func (m mach) square(rows, cols, x, from, from3, y, to, to3 reg.GPVirtual, k mask) {
	n := m.lanes()
	// every row's place among the registers is such that the columns come out in order
	where := m.folded(m.lanes())
	v := make([]V, n)
	for i := range v {
		v[i] = m.New()
		if k.k != nil {
			m.zero(v[i])
		}
	}
	in, out := machine.In("", 0), machine.Out("")
	row := make([]V, n)
	for i := range v {
		row[where[i]] = v[i]
	}
	load := func(full bool) {
		loaded := m.label("loaded")
		var columns mask
		if !full {
			columns = m.masks(cols, false)(0)
		}
		m.walk(x, from, from3, n, func(r int, mem Mem) {
			if k.k != nil && r > 0 {
				m.CMPQ(rows, U32(r))
				m.JBE(LabelRef(loaded))
			}
			m.load(row[r], mem, columns, in)
		})
		m.Label(loaded)
	}
	part, all := m.label("part"), m.label("all")
	m.CMPQ(cols, U32(n))
	m.JB(LabelRef(part))
	load(true)
	m.JMP(LabelRef(all))
	m.Label(part)
	load(false)
	m.Label(all)

	// halve all pairs, then all pairs of each half
	columns := make([][]int, n) // the columns in each register's lanes
	for i := range columns {
		for l := range n {
			columns[i] = append(columns[i], l)
		}
	}
	for width, group := m.isa.bytes, n; group > 1; width, group = width/2, group/2 {
		for g := 0; g < n; g += group {
			for i := g; i < g+group/2; i++ {
				j := i + group/2
				lo, hi := m.New(), m.New()
				m.halves(lo, hi, width, v[i], v[j])
				v[i], v[j] = lo, hi
				columns[i], columns[j] = m.columnsAfter(width, columns[i], columns[j])
			}
		}
	}
	column := make([]V, n)
	for i := range v {
		column[columns[i][0]] = v[i]
	}
	end := m.label("stored")
	m.walk(y, to, to3, n, func(c int, mem Mem) {
		if c > 0 {
			m.CMPQ(cols, U32(c))
			m.JBE(LabelRef(end))
		}
		m.store(column[c], mem, k, out)
	})
	m.Label(end)
}

// columnsAfter follows halves.
func (m mach) columnsAfter(width int, a, b []int) (lo, hi []int) {
	// shifting the lanes by half of what is halved brings the upper halves to where lanesAfter looks
	lo = m.lanesAfter(width, a, b)
	shift := width / 2 / m.size()
	up := func(x []int) []int {
		y := make([]int, len(x))
		for i := range x {
			y[i] = x[(i+shift)%len(x)]
		}
		return y
	}
	return lo, m.lanesAfter(width, up(a), up(b))
}
