// Package arm64 writes the code of a [machine.Machine] for NEON, through package emit.
package arm64

import (
	"fmt"
	"math"
	"slices"

	"github.com/lanewise/lanewise/asm/arm64/emit"
	"github.com/lanewise/lanewise/asm/machine"
)

// V is a vector.
type V = machine.V

const (
	registerBytes = 16
	regs          = machine.BlockBytes / registerBytes
)

// mach is a machine.Machine.
type mach struct {
	*function
	typ machine.Type
}

// function is what is known of the function being written.
type function struct {
	*emit.Func
	file    *emit.File
	elem    machine.Type
	values  []value
	ints    map[string]bool // arguments that are []int32
	row     *walk           // within Rows: where the row is
	out     emit.GP         // within Rows: where StoreIndex writes
	slots   emit.GP         // room for a register each, for what is left over
	locals  map[string]emit.Symbol
	sums    []V // that Sums has put into memory, at sumsAt
	sumsAt  emit.GP
	factors []uint64   // constants that MulAdd multiplies by,
	packed  []emit.Vec // and the registers that hold them side by side from the beginning on
}

// A value is a register. That of a constant is loaded when the constant is made; where a copy of it is wanted it is loaded again, which
// takes a load instead of a move that would compete with the arithmetic.
type value struct {
	emit.Vec
	constant bool
	bits     uint64 // of a constant, the same in both halves
}

func (m mach) Type() machine.Type      { return m.typ }
func (m mach) size() int               { return m.typ.Size() }
func (m mach) lanes() int              { return registerBytes / m.size() }
func (m mach) Double() machine.Machine { return mach{m.function, machine.F64} }

// local returns the address of n bytes of the stack that have this name.
func (m mach) local(name string, n int) emit.Symbol {
	if _, ok := m.locals[name]; !ok {
		m.locals[name] = m.Local(name, n)
	}
	return m.locals[name]
}

// prologue sets up at the beginning what was asked for since.
func (m mach) prologue() {
	m.Prologue(func() {
		m.MOVD(m.Local("slots", 4*registerBytes), m.slots)
		for i, v := range m.packed {
			var half [2]uint64
			for j, bits := range m.factors[i*m.lanes() : min((i+1)*m.lanes(), len(m.factors))] {
				half[j*m.size()/8] |= bits << (8 * (j * m.size() % 8))
			}
			m.FMOVQ(m.Constant(half[0], half[1]), v)
		}
	})
}

// factor returns a constant as one lane of a register, so that constants take few registers.
func (m mach) factor(bits uint64) emit.Element {
	if m.size() == 4 {
		bits &= 1<<32 - 1
	}
	i := slices.Index(m.factors, bits)
	if i < 0 {
		i = len(m.factors)
		m.factors = append(m.factors, bits)
		if i%m.lanes() == 0 {
			m.packed = append(m.packed, m.Vec())
		}
	}
	return m.lane(m.value(m.packed[i/m.lanes()]), i%m.lanes())
}

// Vectors.

func (m mach) value(v emit.Vec) V {
	m.values = append(m.values, value{Vec: v})
	return V(len(m.values) - 1)
}

func (m mach) New() V { return m.value(m.Vec()) }

func (m mach) r(v V) emit.Vec { return m.values[v].Vec }

// a is v as lanes of the elements, b as bits.
func (m mach) a(v V) emit.Arranged { return m.r(v).As(m.arrangement()) }
func (m mach) b(v V) emit.Arranged { return m.r(v).B16() }

func (m mach) arrangement() emit.Arrangement {
	if m.typ == machine.F64 {
		return emit.D2
	}
	return emit.S4
}

// lane is one lane of v.
func (m mach) lane(v V, i int) emit.Element {
	if m.typ == machine.F64 {
		return m.r(v).D(i)
	}
	return m.r(v).S(i)
}

func (m mach) bits(x float64) uint64 {
	if m.typ == machine.F64 {
		return math.Float64bits(x)
	}
	if float64(float32(x)) != x && x == x {
		panic(fmt.Sprintf("%x is no float32", x))
	}
	return uint64(math.Float32bits(float32(x)))
}

func (m mach) Const(x float64) V { return m.constBits(m.bits(x)) }

// Consts has nothing to choose: factors are packed, and what the others take is little.
func (m mach) Consts(x ...float64) []V {
	v := make([]V, len(x))
	for i := range x {
		v[i] = m.Const(x[i])
	}
	return v
}

// constBits returns a constant of which every lane has these bits.
func (m mach) constBits(bits uint64) V {
	if m.size() == 4 {
		bits |= bits << 32
	}
	v := m.New()
	m.values[v] = value{m.r(v), true, bits}
	m.FMOVQ(m.Constant(bits, bits), m.r(v))
	return v
}

func (m mach) Set(d, x V) {
	if c := m.values[x]; c.constant {
		m.FMOVQ(m.Constant(c.bits, c.bits), m.r(d))
	} else {
		m.VMOV(m.b(x), m.b(d))
	}
}

// fill sets every lane of d.
func (m mach) fill(d V, x float64) {
	if m.bits(x) == 0 {
		m.VMOVI(0, m.b(d))
	} else {
		m.Set(d, m.Const(x))
	}
}

func (m mach) Add(d, a, b V) {
	if i := slices.Index(m.sums, d); i >= 0 {
		at, t := emit.At(m.sumsAt, i*registerBytes), m.New()
		m.FMOVQ(at, m.r(t))
		m.VFADD(m.a(b), m.a(t), m.a(t))
		m.FMOVQ(m.r(t), at)
		return
	}
	m.VFADD(m.a(b), m.a(a), m.a(d))
}

func (m mach) Sub(d, a, b V) { m.VFSUB(m.a(b), m.a(a), m.a(d)) }
func (m mach) Mul(d, a, b V) { m.VFMUL(m.a(b), m.a(a), m.a(d)) }
func (m mach) Div(d, a, b V) { m.VFDIV(m.a(b), m.a(a), m.a(d)) }
func (m mach) Max(d, a, b V) { m.VFMAX(m.a(b), m.a(a), m.a(d)) } // NaN where one is: ArgMax relies on it
func (m mach) Abs(d, a V)    { m.VFABS(m.a(a), m.a(d)) }

func (m mach) MulAdd(d, a, b V) {
	if m.values[a].constant {
		a, b = b, a
	}
	if c := m.values[b]; c.constant && m.typ == m.elem {
		m.VFMLAElement(m.factor(c.bits), m.a(a), m.a(d))
	} else {
		m.VFMLA(m.a(b), m.a(a), m.a(d))
	}
}

func (m mach) Poly(d, x V, c ...V) {
	y := c[0]
	for i, k := range c[1:] {
		z := d
		if i < len(c)-2 {
			z = m.New()
		}
		m.Set(z, k)
		m.MulAdd(z, y, x)
		y = z
	}
}

func (m mach) MinZero(d, a V) {
	z := m.New()
	m.fill(z, 0)
	m.VFMIN(m.a(z), m.a(a), m.a(d))
}

func (m mach) BySign(d, s, a, b V) {
	negative := m.New()
	m.VCMLT(m.a(s), m.a(negative))
	if d == a {
		m.VBIF(m.b(negative), m.b(b), m.b(d))
		return
	}
	if d != b {
		m.Set(d, b)
	}
	m.VBIT(m.b(negative), m.b(a), m.b(d))
}

func (m mach) canonicalNaN() uint64 {
	if m.typ == machine.F64 {
		return 0x7ff8000000000001
	}
	return 0x7fc00000
}

func (m mach) Canonical(d V) {
	number := m.New()
	m.VFCMEQ(m.a(d), m.a(d), m.a(number))
	m.VBIF(m.b(number), m.b(m.constBits(m.canonicalNaN())), m.b(d))
}

func (m mach) Ldexp(d, k, n, x, low V) {
	power, under := m.New(), m.New()
	shift, one := emit.Imm(23), uint64(0x3f800000)
	if m.typ == machine.F64 {
		shift, one = 52, 0x3ff0000000000000
	}
	m.VSHL(shift, m.a(k), m.a(power))
	m.VADD(m.a(m.constBits(one)), m.a(power), m.a(power))
	m.VFCMGT(m.a(x), m.a(low), m.a(under))
	m.Mul(d, d, power)
	m.VBIC(m.b(under), m.b(d), m.b(d))
}

func (m mach) Frexp(k, mant, x V) {
	const half = 0x3fe6a09e667f3bcd // √½
	b := m.New()
	m.VADD(m.a(m.constBits(0x3ff0000000000000-half)), m.a(x), m.a(b))
	m.VUSHR(52, m.a(b), m.a(k))
	m.VORR(m.b(m.constBits(math.Float64bits(1<<52))), m.b(k), m.b(k))
	m.Sub(k, k, m.Const(1<<52+1023))
	m.VAND(m.b(m.constBits(1<<52-1)), m.b(b), m.b(b))
	m.VADD(m.a(m.constBits(half)), m.a(b), m.a(mant))
}

func (m mach) Widen(x V) []V {
	lo, hi := m.New(), m.New()
	if m.elem == machine.F64 {
		m.Set(lo, x)
		return []V{lo}
	}
	m.VFCVTL2(m.r(x).S4(), m.r(hi).D2())
	m.VFCVTL(m.r(x).S2(), m.r(lo).D2())
	return []V{lo, hi}
}

func (m mach) Narrow(d V, x []V) {
	if m.elem == machine.F64 {
		m.Set(d, x[0])
		return
	}
	m.VFCVTN(m.r(x[0]).D2(), m.r(d).S2())
	m.VFCVTN2(m.r(x[1]).D2(), m.r(d).S4())
}

func (m mach) Equal(d, a, b, x V) {
	m.VCMEQ(m.a(b), m.a(a), m.a(d))
	m.VAND(m.b(x), m.b(d), m.b(d))
}

func (m mach) Spread(d V) { m.VDUP(m.lane(d, 0), m.a(d)) }

func (m mach) Block(x float64) []V {
	b := make([]V, regs)
	for i := range b {
		b[i] = m.New()
		m.fill(b[i], x)
	}
	return b
}

// Sums are in memory for float64: its exponential is such a long chain that four of them have to go side by side, which takes the
// registers.
func (m mach) Sums() []V {
	if m.typ == machine.F32 {
		return m.Block(0)
	}
	m.sums = make([]V, regs)
	m.sumsAt = m.GP()
	m.MOVD(m.local("sums", machine.BlockBytes), m.sumsAt)
	zero := m.New()
	m.fill(zero, 0)
	for i := range m.sums {
		m.sums[i] = m.New() // no register, until Sum loads it
		if i%2 == 0 {
			m.FSTPQ(m.r(zero), m.r(zero), emit.At(m.sumsAt, i*registerBytes))
		}
	}
	return m.sums
}

// loadSums makes registers of the sums that are in memory.
func (m mach) loadSums() {
	for i := 0; i < len(m.sums); i += 2 {
		m.FLDPQ(emit.At(m.sumsAt, i*registerBytes), m.r(m.sums[i]), m.r(m.sums[i+1]))
	}
	m.sums = nil
}

func (m mach) Int(x int64) V {
	if m.size() == 4 {
		return m.constBits(uint64(uint32(x)))
	}
	return m.constBits(uint64(x))
}

func (m mach) AddInt(d, a, b V) { m.VADD(m.a(b), m.a(a), m.a(d)) }

func (m mach) TakeLarger(best, index, x, at V) {
	smaller, number := m.New(), m.New()
	m.VFCMGE(m.a(x), m.a(best), m.a(smaller)) // or equal; not where there is a NaN
	m.VFCMEQ(m.a(best), m.a(best), m.a(number))
	m.VBIC(m.b(smaller), m.b(number), m.b(number))
	m.VBIT(m.b(number), m.b(x), m.b(best))
	m.VBIT(m.b(number), m.b(at), m.b(index))
}

// Arguments.

func (m mach) Arg(name string) V {
	v := m.New()
	switch m.ParamType(name) {
	case "int32":
		g := m.GP()
		m.MOVW(m.Param(name), g)
		m.VDUPGP(g, m.a(v))
		return v
	case "float32":
		m.FMOVS(m.Param(name), m.r(v))
	case "float64":
		m.FMOVD(m.Param(name), m.r(v))
	}
	m.Spread(v)
	return v
}

func (m mach) Return(v V) {
	if m.ParamType("ret") == "float32" {
		m.FMOVS(m.r(v), m.Result())
	} else {
		m.FMOVD(m.r(v), m.Result())
	}
}

// param returns an argument that is an int.
func (m mach) param(name string) emit.GP {
	g := m.GP()
	m.MOVD(m.Param(name), g)
	return g
}
