package arm64

import (
	"math"

	"github.com/lanewise/lanewise/asm/arm64/emit"
	"github.com/lanewise/lanewise/asm/machine"
)

// Scan goes through blocks of 64 bytes, transposed: register i holds elements i, i+4, i+8, … (float64: a block is two of these), so that
// the first steps of the network, inside four elements, are whole registers. What goes from four to four is then the same for each
// register. Adding −0 changes nothing.
func (m mach) Scan(dst, src, carry string) {
	n, from, to := m.len(src), m.base(src), m.base(dst)
	double := m.Double().(mach)
	sum := double.Arg(carry)
	block := 4 * registerBytes / m.size()
	step := m.scanner(double, sum)

	loop, tail, done := m.NewLabel("blocks"), m.NewLabel("tail"), m.NewLabel("end")
	m.SUBS(emit.Imm(block), n, n)
	m.BLT(tail)
	m.Label(loop)
	step(from, to)
	m.ADD(emit.Imm(4*registerBytes), from, from)
	m.ADD(emit.Imm(4*registerBytes), to, to)
	m.SUBS(emit.Imm(block), n, n)
	m.BGE(loop)
	m.Label(tail)
	m.ADDS(emit.Imm(block), n, n)
	m.BEQ(done)

	// the rest goes through a block in the slots, after zeros
	zero := m.New()
	m.fill(zero, 0)
	for i := range 4 {
		m.FMOVQ(m.r(zero), emit.At(m.slots, i*registerBytes))
	}
	m.copyElements(from, m.slots, n, "in")
	step(m.slots, m.slots)
	m.copyElements(m.slots, to, n, "out")
	m.Label(done)
	double.Return(sum)
}

// scalarMove is the instruction that moves one element.
func (m mach) scalarMove() func(from, to emit.Operand) {
	if m.typ == machine.F64 {
		return m.FMOVD
	}
	return m.FMOVS
}

// copyElements copies n elements, one by one.
func (m mach) copyElements(from, to, n emit.GP, name string) {
	p, q, left := m.copyGP(from), m.copyGP(to), m.copyGP(n)
	loop := m.NewLabel(name)
	t := m.New()
	m.Label(loop)
	move := m.scalarMove()
	move(emit.At(p, 0), m.r(t))
	move(m.r(t), emit.At(q, 0))
	m.ADD(emit.Imm(m.size()), p, p)
	m.ADD(emit.Imm(m.size()), q, q)
	m.SUBS(emit.Imm(1), left, left)
	m.BNE(loop)
}

var minusZero = math.Copysign(0, -1)

// scanner returns what scans a block and moves sum on.
func (m mach) scanner(double mach, sum V) func(from, to emit.GP) {
	if m.typ == machine.F64 {
		return func(from, to emit.GP) { m.scan64(sum, from, to) }
	}
	nothing := m.New()
	m.Set(nothing, m.Const(minusZero))
	return func(from, to emit.GP) { m.scan32(double, sum, nothing, from, to) }
}

func (m mach) scan32(double mach, sum, nothing V, from, to emit.GP) {
	x := m.transpose(m.loadFour(from))
	m.Add(x[1], x[1], x[0])
	m.Add(x[3], x[3], x[2])
	m.Add(x[2], x[2], x[1])
	m.Add(x[3], x[3], x[1])
	// x[3] has the sums of the fours. The second and the fourth begin with those before them, then the upper two with the lower two.
	before := m.New()
	m.VTRN1(m.a(x[3]), m.a(nothing), m.a(before)) // −0, T0, −0, T2
	for i := range x {
		m.Add(x[i], x[i], before)
	}
	half := m.New()
	m.VDUP(m.lane(x[3], 1), m.a(half))
	m.VEXT(8, m.b(half), m.b(nothing), m.b(half)) // −0, −0, T1, T1
	for i := range x {
		m.Add(x[i], x[i], half)
	}
	carry := m.New()
	m.Set(carry, sum)
	last := m.New()
	m.VEXT(8, m.b(x[3]), m.b(x[3]), m.b(last))
	m.VFCVTL(m.r(last).S2(), m.r(last).D2())
	m.VDUP(double.lane(last, 1), double.a(last))
	double.Add(sum, sum, last)
	for i := range x {
		w := m.Widen(x[i])
		for _, v := range w {
			double.Add(v, carry, v)
		}
		m.Narrow(x[i], w)
	}
	m.storeFour(m.transpose(x), to)
}

func (m mach) scan64(sum V, from, to emit.GP) {
	// a block of 8: registers 0 and 1 hold elements 0, 2 | 1, 3, registers 2 and 3 hold 4, 6 | 5, 7
	in := m.loadFour(from)
	x := append(m.transpose(in[:2]), m.transpose(in[2:])...)
	nothing, four := m.Const(minusZero), m.New()
	for i := 0; i < 4; i += 2 {
		before := m.New()
		m.Add(x[i+1], x[i+1], x[i])
		m.VZIP1(m.a(x[i+1]), m.a(nothing), m.a(before)) // −0, T0
		m.Add(x[i], x[i], before)
		m.Add(x[i+1], x[i+1], before)
	}
	m.VDUP(m.lane(x[1], 1), m.a(four))
	m.Add(x[2], x[2], four)
	m.Add(x[3], x[3], four)
	last := m.New()
	m.VDUP(m.lane(x[3], 1), m.a(last))
	for i := range x {
		m.Add(x[i], sum, x[i])
	}
	m.Add(sum, sum, last)
	m.storeFour(append(m.transpose(x[:2]), m.transpose(x[2:])...), to)
}

func (m mach) loadFour(p emit.GP) []V {
	x := []V{m.New(), m.New(), m.New(), m.New()}
	m.FLDPQ(emit.At(p, 0), m.r(x[0]), m.r(x[1]))
	m.FLDPQ(emit.At(p, 2*registerBytes), m.r(x[2]), m.r(x[3]))
	return x
}

func (m mach) storeFour(x []V, p emit.GP) {
	m.FSTPQ(m.r(x[0]), m.r(x[1]), emit.At(p, 0))
	m.FSTPQ(m.r(x[2]), m.r(x[3]), emit.At(p, 2*registerBytes))
}
