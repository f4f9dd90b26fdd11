// Package amd64 writes the code of a [machine.Machine] for AVX2 and AVX-512 through avo.
package amd64

import (
	"fmt"
	"math"
	"slices"

	"github.com/lanewise/lanewise/asm/machine"
	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// V is a vector.
type V = machine.V

// An ISA is one of the two widths that this package writes.
type ISA struct {
	Name     string   // the suffix of its functions
	bytes    int      // of a register
	spec     reg.Spec // avo's name for the width
	Features []machine.Feature
}

// has says whether the CPUs of an ISA have what avo calls by a name. Every amd64 has CMOV and what avo counts as MMX+, PREFETCHT0.
func (isa *ISA) has(name string) bool {
	return name == "CMOV" || name == "MMX+" ||
		slices.ContainsFunc(isa.Features, func(f machine.Feature) bool { return slices.Contains(f.Names, name) })
}

// The features are those that functions may use, and those that the library asks the CPU for: there is no other list.
var (
	AVX2 = &ISA{"AVX2", 32, reg.S256, []machine.Feature{
		{Field: "HasAVX2", Setting: "avx2", Names: []string{"AVX", "AVX2"}},
		{Field: "HasFMA", Setting: "fma", Names: []string{"FMA3"}},
		{Field: "HasF16C", Setting: "f16c", Names: []string{"F16C"}},
		{Field: "HasPOPCNT", Setting: "popcnt", Names: []string{"POPCNT"}},
	}}
	AVX512 = &ISA{"AVX512", 64, reg.S512, append(slices.Clone(AVX2.Features),
		machine.Feature{Field: "HasAVX512F", Setting: "avx512f", Names: []string{"AVX512F"}},
		machine.Feature{Field: "HasAVX512BW", Setting: "avx512bw", Names: []string{"AVX512BW"}},
		machine.Feature{Field: "HasAVX512CD", Setting: "avx512cd", Names: []string{"AVX512CD"}},
		machine.Feature{Field: "HasAVX512DQ", Setting: "avx512dq", Names: []string{"AVX512DQ"}},
		machine.Feature{Field: "HasAVX512VL", Setting: "avx512vl", Names: []string{"AVX512VL"}},
	)}

	avx512y = &ISA{"AVX512", 32, reg.S256, AVX512.Features} // the lower halves of its registers
)

// mach is a machine.Machine.
type mach struct {
	*function
	isa *ISA
	typ machine.Type
}

// function is the function being written.
type function struct {
	*Code
	elem    machine.Type
	values  []Op
	globals map[string]Mem
	summed  map[V]bool      // values of Sums, which are in memory
	ints    map[string]bool // arguments that are []int32
	labels  int
	partial bool          // within the last block of Each
	row     *walk         // within Rows: where the buffers of a row are
	walked  walk          // the walk of the last Each
	out     reg.GPVirtual // within Rows: where its value goes
	slot    *Mem          // see halfSlot
}

// Machine returns the vocabulary of descriptions for a function.
func (c *Code) Machine() machine.Machine { return newMachine(c) }

func newMachine(c *Code) mach {
	return mach{&function{Code: c, elem: c.typ, globals: map[string]Mem{}, summed: map[V]bool{}, ints: c.ints}, c.ISA, c.typ}
}

func (m mach) Type() machine.Type      { return m.typ }
func (m mach) size() int               { return m.typ.Size() }
func (m mach) lanes() int              { return m.isa.bytes / m.size() }
func (m mach) regs() int               { return machine.BlockBytes / m.isa.bytes }
func (m mach) zmm() bool               { return m.isa.bytes == 64 }
func (m mach) Double() machine.Machine { return mach{m.function, m.isa, machine.F64} }

// narrow is the machine for 256 bits, whose instructions take less time than those of 512.
func (m mach) narrow() mach {
	if m.zmm() {
		m.isa = avx512y
	}
	return m
}

// last returns the instruction that was written last.
func (m mach) last() *ir.Instruction { return m.fn.Nodes[len(m.fn.Nodes)-1].(*ir.Instruction) }

// label returns a name that nothing else has.
func (m mach) label(name string) string {
	m.labels++
	return fmt.Sprintf("%s%d", name, m.labels)
}

// ps returns the instruction for the element type.
func (m mach) ps(single, double func(...Op)) func(...Op) {
	if m.typ == machine.F64 {
		return double
	}
	return single
}

// Vectors.

func (m mach) value(o Op) V         { m.values = append(m.values, o); return V(len(m.values) - 1) }
func (m mach) op(v V) Op            { return m.values[v] }
func (m mach) r(v V) reg.VecVirtual { return m.values[v].(reg.VecVirtual) }
func (m mach) x(v V) reg.Register   { return m.r(v).AsX() }
func (m mach) y(v V) reg.Register   { return m.r(v).AsY() }

func (m mach) New() V { return m.value(m.Vec(m.isa.spec)) }

func (m mach) bits(x float64) uint64 {
	if m.typ == machine.F64 {
		return math.Float64bits(x)
	}
	if float64(float32(x)) != x && x == x {
		panic(fmt.Sprintf("%x is no float32", x))
	}
	return uint64(math.Float32bits(float32(x)))
}

// splat returns memory with bits in as many lanes of size bytes as a register of AVX-512 has.
func (m mach) splat(bits uint64, size int) Mem {
	name := fmt.Sprintf("c%0*x", 2*size, bits)
	return m.table(name, func() {
		for i := 0; i < 64; i += size {
			m.datum(i, bits, size)
		}
	})
}

func (m mach) datum(offset int, bits uint64, size int) {
	if size == 4 {
		m.AddDatum(offset, U32(bits))
	} else {
		m.AddDatum(offset, U64(bits))
	}
}

func (m mach) table(name string, fill func()) Mem {
	if g, ok := m.globals[name]; ok {
		return g
	}
	g := m.StaticGlobal(name)
	m.DataAttributes(attr.RODATA | attr.NOPTR)
	fill()
	m.globals[name] = g
	return g
}

// iota returns memory that counts 0, 1, 2, … in integers of size bytes, a block of them.
func (m mach) iota(size int) Mem {
	return m.table(fmt.Sprintf("iota%d", 8*size), func() {
		for i := range machine.BlockBytes / size {
			m.datum(size*i, uint64(i), size)
		}
	})
}

func (m mach) Const(x float64) V {
	v := m.constBits(m.bits(x))
	if m.zmm() { // registers are not scarce
		r := m.New()
		m.Set(r, v)
		return r
	}
	return v
}

func (m mach) Consts(x ...float64) []V {
	v := make([]V, len(x))
	for i := range v {
		v[i] = m.Const(x[i])
		if !m.zmm() && i < m.kept {
			r := m.New()
			m.Set(r, v[i])
			v[i] = r
		}
	}
	return v
}

// constBits returns a constant in memory.
func (m mach) constBits(bits uint64) V { return m.value(m.splat(bits, m.size())) }

func (m mach) Set(d, x V) { m.VMOVUPS(m.op(x), m.r(d)) }

func (m mach) zero(d V) {
	if m.zmm() {
		m.VPXORD(m.r(d), m.r(d), m.r(d))
		m.last().CancellingInputs = true // which avo does not know of EVEX
	} else {
		m.VXORPS(m.r(d), m.r(d), m.r(d))
	}
}

// fill sets every lane of d, where speed is no matter.
func (m mach) fill(d V, x float64) {
	if m.bits(x) == 0 {
		m.zero(d)
		return
	}
	m.ps(m.VBROADCASTSS, m.VBROADCASTSD)(m.splat(m.bits(x), m.size()), m.r(d))
}

// binary writes an instruction with the sources in Intel's order; a constant in memory has to be the second one.
func (m mach) binary(f func(...Op), d, a, b V) {
	if _, ok := m.op(a).(Mem); ok {
		t := m.New()
		m.Set(t, a)
		a = t
	}
	f(m.op(b), m.op(a), m.op(d))
}

func (m mach) Add(d, a, b V) {
	if mem, ok := m.op(d).(Mem); ok {
		if !m.summed[d] {
			panic(fmt.Sprintf("%s: Add to memory that is not of Sums", m.fn.Name))
		}
		t := m.New()
		m.ps(m.VADDPS, m.VADDPD)(mem, m.op(b), m.r(t))
		m.VMOVUPS(m.r(t), mem)
		return
	}
	m.binary(m.ps(m.VADDPS, m.VADDPD), d, a, b)
}
func (m mach) Sub(d, a, b V) { m.binary(m.ps(m.VSUBPS, m.VSUBPD), d, a, b) }
func (m mach) Mul(d, a, b V) { m.binary(m.ps(m.VMULPS, m.VMULPD), d, a, b) }
func (m mach) Div(d, a, b V) { m.binary(m.ps(m.VDIVPS, m.VDIVPD), d, a, b) }
func (m mach) Max(d, a, b V) { m.binary(m.ps(m.VMAXPS, m.VMAXPD), d, a, b) }

func (m mach) MulAdd(d, a, b V) { m.binary(m.ps(m.VFMADD231PS, m.VFMADD231PD), d, a, b) }

func (m mach) Poly(d, x V, c ...V) {
	m.Set(d, c[0])
	for _, k := range c[1:] {
		m.ps(m.VFMADD213PS, m.VFMADD213PD)(m.op(k), m.op(x), m.op(d))
	}
}

func (m mach) MinZero(d, a V) {
	z := m.New()
	m.zero(z)
	m.ps(m.VMINPS, m.VMINPD)(m.op(a), m.op(z), m.op(d)) // the second source where there is a NaN
}

func (m mach) Abs(d, a V) {
	m.logic("AND", m.op(d), m.op(a), m.op(m.constBits(m.signBit()-1)))
}

func (m mach) signBit() uint64 { return 1 << (8*m.size() - 1) }

// logic writes a bitwise instruction on whole registers.
func (m mach) logic(what string, d, a, b Op) {
	switch what {
	case "AND":
		if m.zmm() {
			m.VPANDD(b, a, d)
		} else {
			m.VPAND(b, a, d)
		}
	case "OR":
		if m.zmm() {
			m.VPORD(b, a, d)
		} else {
			m.VPOR(b, a, d)
		}
	}
}

func (m mach) BySign(d, s, a, b V) {
	if _, ok := m.op(b).(Mem); ok {
		t := m.New()
		m.Set(t, b)
		b = t
	}
	f32 := m.typ == machine.F32
	switch {
	case m.zmm():
		k := m.K()
		if f32 {
			m.VPMOVD2M(m.r(s), k)
		} else {
			m.VPMOVQ2M(m.r(s), k)
		}
		m.ps(m.VBLENDMPS, m.VBLENDMPD)(m.op(a), m.r(b), k, m.r(d))
		m.last().Inputs = []Op{m.op(a), m.r(b), k} // avo thinks that it keeps lanes of d
	case f32:
		m.VBLENDVPS(m.r(s), m.op(a), m.r(b), m.r(d))
	default:
		m.VBLENDVPD(m.r(s), m.op(a), m.r(b), m.r(d))
	}
}

func (m mach) canonicalNaN() uint64 {
	if m.typ == machine.F64 {
		return 0x7ff8000000000001
	}
	return 0x7fc00000
}

const (
	ordered      = U8(0x07) // ORD_Q
	unordered    = U8(0x03) // UNORD_Q
	notLess      = U8(0x15) // NLT_UQ
	notLessEq    = U8(0x16) // NLE_UQ
	notGreaterEq = U8(0x19) // NGE_UQ
	equal        = U8(0x00) // EQ_OQ
	greater      = U8(0x1e) // GT_OQ
)

func (m mach) Canonical(d V) {
	nan := m.splat(m.canonicalNaN(), m.size())
	cmp := m.ps(m.VCMPPS, m.VCMPPD)
	if m.zmm() {
		k := m.K()
		cmp(unordered, m.r(d), m.r(d), k)
		m.ps(m.VBROADCASTSS, m.VBROADCASTSD)(nan, k, m.r(d))
		return
	}
	t := m.New()
	cmp(unordered, m.r(d), m.r(d), m.r(t))
	if m.typ == machine.F32 {
		m.VBLENDVPS(m.r(t), nan, m.r(d), m.r(d))
	} else {
		m.VBLENDVPD(m.r(t), nan, m.r(d), m.r(d))
	}
}

func (m mach) Ldexp(d, k, n, x, low V) {
	cmp := m.ps(m.VCMPPS, m.VCMPPD)
	if m.zmm() {
		mask := m.K()
		cmp(notLess, m.op(low), m.op(x), mask)
		if m.typ == machine.F32 {
			m.VSCALEFPS_Z(m.op(n), m.op(d), mask, m.op(d))
		} else {
			m.VSCALEFPD_Z(m.op(n), m.op(d), mask, m.op(d))
		}
		return
	}
	t := m.New()
	if m.typ == machine.F32 {
		m.VPSLLD(U8(23), m.op(k), m.op(t))
		m.VPADDD(m.op(m.constBits(0x3f800000)), m.op(t), m.op(t))
	} else {
		m.VPSLLQ(U8(52), m.op(k), m.op(t))
		m.VPADDQ(m.op(m.constBits(0x3ff0000000000000)), m.op(t), m.op(t))
	}
	m.Mul(d, d, t)
	cmp(notLess, m.op(low), m.op(x), m.op(t))
	m.logic("AND", m.op(d), m.op(d), m.op(t))
}

func (m mach) Frexp(k, mant, x V) {
	const half = 0x3fe6a09e667f3bcd // √½
	b := m.New()
	m.VPADDQ(m.op(m.constBits(0x3ff0000000000000-half)), m.op(x), m.op(b))
	m.VPSRLQ(U8(52), m.op(b), m.op(k))
	m.logic("OR", m.op(k), m.op(k), m.op(m.constBits(math.Float64bits(1<<52))))
	m.Sub(k, k, m.Const(1<<52+1023))
	m.logic("AND", m.op(b), m.op(b), m.op(m.constBits(1<<52-1)))
	m.VPADDQ(m.op(m.constBits(half)), m.op(b), m.op(mant))
}

func (m mach) Widen(x V) []V {
	lo, hi := m.New(), m.New()
	if m.elem == machine.F64 {
		m.Set(lo, x)
		return []V{lo}
	}
	if m.zmm() {
		m.VEXTRACTF64X4(U8(1), m.r(x), m.y(hi))
		m.VCVTPS2PD(m.y(x), m.r(lo))
		m.VCVTPS2PD(m.y(hi), m.r(hi))
	} else {
		m.VEXTRACTF128(U8(1), m.r(x), m.x(hi))
		m.VCVTPS2PD(m.x(x), m.r(lo))
		m.VCVTPS2PD(m.x(hi), m.r(hi))
	}
	return []V{lo, hi}
}

func (m mach) Narrow(d V, x []V) {
	if m.elem == machine.F64 {
		m.Set(d, x[0])
		return
	}
	t := m.New()
	if m.zmm() {
		m.VCVTPD2PS(m.r(x[0]), m.y(d))
		m.VCVTPD2PS(m.r(x[1]), m.y(t))
		m.VINSERTF64X4(U8(1), m.y(t), m.r(d), m.r(d))
		m.last().Inputs = []Op{m.y(t), m.y(d)} // what is above is replaced
	} else {
		m.VCVTPD2PSY(m.r(x[0]), m.x(d))
		m.VCVTPD2PSY(m.r(x[1]), m.x(t))
		m.VINSERTF128(U8(1), m.x(t), m.r(d), m.r(d))
		m.last().Inputs = []Op{m.x(t), m.x(d)}
	}
}

func (m mach) Equal(d, a, b, x V) {
	cmp := m.ps(m.VPCMPEQD, m.VPCMPEQQ)
	if m.zmm() {
		k := m.K()
		cmp(m.op(b), m.op(a), k)
		if m.typ == machine.F32 {
			m.VMOVUPS_Z(m.op(x), k, m.op(d))
		} else {
			m.VMOVUPD_Z(m.op(x), k, m.op(d))
		}
		return
	}
	cmp(m.op(b), m.op(a), m.op(d))
	m.logic("AND", m.op(d), m.op(d), m.op(x))
}

func (m mach) Block(x float64) []V {
	b := make([]V, m.regs())
	for i := range b {
		b[i] = m.New()
		m.fill(b[i], x)
	}
	return b
}

func (m mach) Sums() []V {
	if m.zmm() {
		return m.Block(0)
	}
	b := make([]V, m.regs())
	zero := m.New()
	m.zero(zero)
	slots := m.aligned(machine.BlockBytes)
	for i := range b {
		b[i] = m.value(slots.Offset(i * m.isa.bytes))
		m.summed[b[i]] = true
		m.VMOVUPS(m.r(zero), m.op(b[i]))
	}
	return b
}

// aligned returns n bytes of the stack that begin with a cache line.
func (m mach) aligned(n int) Mem {
	p := m.GP64()
	m.LEAQ(m.AllocLocal(n+56).Offset(56), p)
	m.ANDQ(I8(-64), p)
	return Mem{Base: p}
}

// Arguments.

func (m mach) Arg(name string) V {
	b, err := m.Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	v := m.New()
	switch b.Type.String() {
	case "int32":
		g := m.GP64()
		m.MOVLQSX(b.Addr, g)
		if m.typ == machine.F32 {
			m.VMOVD(g.As32(), m.x(v))
			m.VPBROADCASTD(m.x(v), m.r(v))
			return v
		}
		m.VMOVQ(g, m.x(v))
		m.VPBROADCASTQ(m.x(v), m.r(v))
	case "float32":
		m.VBROADCASTSS(b.Addr, m.r(v))
	case "float64":
		m.VBROADCASTSD(b.Addr, m.r(v))
	}
	return v
}

func (m mach) Return(v V) {
	b, err := m.Context.ReturnIndex(0).Resolve()
	if err != nil {
		panic(err)
	}
	if b.Type.String() == "float32" {
		m.VMOVSS(m.x(v), b.Addr)
	} else {
		m.VMOVSD(m.x(v), b.Addr)
	}
}

func (m mach) param(name string) reg.GPVirtual {
	return m.Load(m.Param(name), m.GP64()).(reg.GPVirtual)
}
