package amd64

import (
	"github.com/lanewise/lanewise/asm/machine"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Scan goes through blocks of 64 bytes: a register of AVX-512, two of AVX2. Inside them it adds, in steps 1, 2, 4, 8, the last lane of each
// left half to its right half; the carry from block to block is in float64.
func (m mach) Scan(dst, src, carry string) {
	const block = 64 // bytes
	n := m.Load(m.Param(src).Len(), m.GP64()).(reg.GPVirtual)
	from, to := m.base(src), m.base(dst)
	double := m.Double().(mach)
	sum := double.Arg(carry)
	s := m.scanner()
	in, out := machine.In(src, 0), machine.Out(dst)
	regs := block / m.isa.bytes
	lanes := block / m.size()

	slot := m.aligned(block)
	step := func(masks func(j int) mask) {
		x := make([]V, regs)
		k := make([]mask, regs)
		for j := range x {
			x[j] = m.New()
			mem := Mem{Base: from, Disp: j * m.isa.bytes}
			if masks != nil {
				k[j] = masks(j)
				m.load(x[j], mem, k[j], in)
				s.scan(x[j], m.op(x[j]))
			} else {
				m.load(x[j], mem, k[j], in)
				s.scan(x[j], mem)
			}
			if j > 0 {
				t := m.New()
				s.last(t, x[j-1])
				m.Add(x[j], x[j], t)
			}
		}
		// the next carry does not wait for what is done with this one
		before, t := m.New(), m.New()
		m.Set(before, sum)
		if m.typ == machine.F64 {
			s.last(t, x[regs-1])
			m.Add(sum, sum, t)
			for j := range x {
				m.Add(x[j], before, x[j])
				m.store(x[j], Mem{Base: to, Disp: j * m.isa.bytes}, k[j], out)
			}
			return
		}
		// reading the block back converts it without a shuffle
		for j := range x {
			m.VMOVUPS(m.r(x[j]), slot.Offset(j*m.isa.bytes))
		}
		w := make([]V, 2*regs)
		for i := range w {
			w[i] = m.New()
			m.VCVTPS2PD(slot.Offset(i*m.isa.bytes/2), m.r(w[i]))
		}
		lastDouble(m, t, w[len(w)-1])
		double.Add(sum, sum, t)
		for _, v := range w {
			double.Add(v, before, v)
		}
		if masks != nil {
			for j := range x {
				m.Narrow(x[j], w[2*j:2*j+2])
				m.store(x[j], Mem{Base: to, Disp: j * m.isa.bytes}, k[j], out)
			}
			return
		}
		for i, v := range w { // halves are stored sooner than joined
			mem := Mem{Base: to, Disp: i * m.isa.bytes / 2}
			if m.zmm() {
				m.VCVTPD2PS(m.r(v), m.y(v))
				m.VMOVUPS(m.y(v), mem)
			} else {
				m.VCVTPD2PSY(m.r(v), m.x(v))
				m.VMOVUPS(m.x(v), mem)
			}
		}
	}

	loop, tail, done := m.label("blocks"), m.label("tail"), m.label("end")
	m.SUBQ(U32(lanes), n)
	m.JB(LabelRef(tail))
	m.Label(loop)
	step(nil)
	m.ADDQ(U32(block), from)
	m.ADDQ(U32(block), to)
	m.SUBQ(U32(lanes), n)
	m.JAE(LabelRef(loop))
	m.Label(tail)
	m.ADDQ(U32(lanes), n)
	m.JE(LabelRef(done))
	step(m.masks(n, false))
	m.Label(done)
	double.Return(sum)
}

// A scanner scans one register.
type scanner struct {
	scan func(x V, source Op) // prefix sums of x, in place; source is where x stands as well, so that the first step may load
	last func(d, x V)         // the last lane of x in all lanes
}

// indices returns a register of integers for permutations, loaded on entry.
func (m mach) indices(name string, index ...int) V {
	mem := m.table(name, func() {
		for i, x := range index {
			m.datum(m.size()*i, uint64(x), m.size())
		}
	})
	v := m.value(m.Vec(m.isa.spec))
	m.VMOVUPS(mem, m.r(v))
	return v
}

func repeat(n int, x ...int) []int {
	var all []int
	for _, v := range x {
		for range n {
			all = append(all, v)
		}
	}
	return all
}

func (m mach) scanner() scanner {
	switch {
	case m.zmm() && m.typ == machine.F32:
		threes, sevens := m.indices("third32", repeat(8, 3, 11)...), m.indices("seventh32", repeat(16, 7)...)
		k1, k2, k4, k8 := m.opmask(0xaaaa), m.opmask(0xcccc), m.opmask(0xf0f0), m.opmask(0xff00)
		return scanner{func(x V, source Op) {
			t := m.New()
			m.VMOVSLDUP(source, m.r(t))
			m.VADDPS(m.r(t), m.r(x), k1, m.r(x))
			m.VPERMILPS(U8(0x55), m.r(x), m.r(t))
			m.VADDPS(m.r(t), m.r(x), k2, m.r(x))
			m.VPERMPS(m.r(x), m.r(threes), m.r(t))
			m.VADDPS(m.r(t), m.r(x), k4, m.r(x))
			m.VPERMPS(m.r(x), m.r(sevens), m.r(t))
			m.VADDPS(m.r(t), m.r(x), k8, m.r(x))
		}, nil}
	case m.zmm():
		threes, sevens := m.indices("third64", repeat(8, 3)...), m.indices("last64", repeat(8, 7)...)
		k1, k2, k4 := m.opmask(0xaa), m.opmask(0xcc), m.opmask(0xf0)
		return scanner{func(x V, source Op) {
			t := m.New()
			m.VMOVDDUP(source, m.r(t))
			m.VADDPD(m.r(t), m.r(x), k1, m.r(x))
			m.VPERMPD(U8(0x55), m.r(x), m.r(t))
			m.VADDPD(m.r(t), m.r(x), k2, m.r(x))
			m.VPERMPD(m.r(x), m.r(threes), m.r(t))
			m.VADDPD(m.r(t), m.r(x), k4, m.r(x))
		}, func(d, x V) { m.VPERMPD(m.r(x), m.r(sevens), m.r(d)) }}
	case m.typ == machine.F32:
		threes, sevens := m.indices("thirds32", repeat(8, 3)...), m.indices("lasts32", repeat(8, 7)...)
		nothing := m.New() // −0: adding it changes nothing
		m.VMOVUPS(m.splat(1<<31, 4), m.r(nothing))
		return scanner{func(x V, source Op) {
			t := m.New()
			m.VMOVSLDUP(source, m.r(t))
			m.VBLENDPS(U8(0xaa), m.r(t), m.r(nothing), m.r(t))
			m.Add(x, x, t)
			m.VPERMILPS(U8(0x55), m.r(x), m.r(t))
			m.VBLENDPS(U8(0xcc), m.r(t), m.r(nothing), m.r(t))
			m.Add(x, x, t)
			m.VPERMPS(m.r(x), m.r(threes), m.r(t))
			m.VBLENDPS(U8(0xf0), m.r(t), m.r(nothing), m.r(t))
			m.Add(x, x, t)
		}, func(d, x V) { m.VPERMPS(m.r(x), m.r(sevens), m.r(d)) }}
	default:
		nothing := m.New()
		m.VMOVUPS(m.splat(1<<63, 8), m.r(nothing))
		return scanner{func(x V, source Op) {
			t := m.New()
			m.VMOVDDUP(source, m.r(t))
			m.VBLENDPD(U8(0xa), m.r(t), m.r(nothing), m.r(t))
			m.Add(x, x, t)
			m.VPERMPD(U8(0x55), m.r(x), m.r(t))
			m.VBLENDPD(U8(0xc), m.r(t), m.r(nothing), m.r(t))
			m.Add(x, x, t)
		}, func(d, x V) { m.VPERMPD(U8(0xff), m.r(x), m.r(d)) }}
	}
}

// lastDouble sets d to the last lane of a register of float64.
func lastDouble(m mach, d, x V) {
	if !m.zmm() {
		m.VPERMPD(U8(0xff), m.r(x), m.r(d))
		return
	}
	m.VSHUFF64X2(U8(0xff), m.r(x), m.r(x), m.r(d))
	m.VPERMILPD(U8(0xff), m.r(d), m.r(d))
}

// opmask returns an opmask of a constant.
func (m mach) opmask(bits uint32) Op {
	g, k := m.GP32(), m.K()
	m.MOVL(U32(bits), g)
	m.KMOVW(g, k)
	return k
}
