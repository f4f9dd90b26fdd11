package amd64

import (
	"github.com/lanewise/lanewise/asm/machine"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// LovaszGrad goes by eight pixels. Their background is counted in bytes, from each one on, by three shifts and additions; everything after
// that is float64, where the counts and their sums are exact.
func (m mach) LovaszGrad(dst, foreground, left, union string) machine.Index {
	const eight = 8
	d := m.Double().(mach)
	regs := eight * 8 / m.isa.bytes
	p, q := m.base(foreground), m.base(dst)
	n := m.Load(m.Param(foreground).Len(), m.GP64()).(reg.GPVirtual)
	count := func(name string) V {
		v := m.New()
		m.VXORPS(m.x(v), m.x(v), m.x(v))
		m.VCVTSI2SDQ(m.param(name), m.x(v), m.x(v))
		d.Spread(v)
		return v
	}
	unions := count(union) // of the first pixel
	lefts := make([]V, regs)
	numbers := m.table("counts64", func() {
		for i := range eight {
			m.AddDatum(8*i, U64(d.bits(float64(i))))
		}
	})
	for j, c := 0, count(left); j < regs; j++ { // of each pixel, if all before it were foreground
		lefts[j] = m.New()
		d.Sub(lefts[j], c, m.value(numbers.Offset(j*m.isa.bytes)))
	}
	one, all := m.New(), m.New()
	d.Set(one, d.constBits(d.bits(1)))
	d.Set(all, d.constBits(d.bits(eight)))
	zero := m.XMM()
	m.VPXOR(zero, zero, zero)
	local := m.AllocLocal(eight * 8)

	// weights writes the weights of the pixels in x, and goes on to those after them
	weights := func(x reg.VecVirtual, at func(j int) Mem) {
		background, t, sum := m.XMM(), m.XMM(), m.XMM() // −1 for each
		m.VPCMPEQB(zero, x, background)
		m.VMOVDQA(background, sum)
		for shift := 8; shift < 64; shift *= 2 {
			m.VPSLLQ(U8(shift), sum, t)
			m.VPADDB(t, sum, sum)
		}
		m.VPSRLQ(U8(56), sum, t)
		m.VPSUBB(background, sum, sum) // before each pixel
		m.VPMOVSXBD(t, t)
		before, total := make([]V, regs), m.New()
		ints := m.YMM()
		m.VPMOVSXBD(sum, ints)
		for j := range before {
			before[j] = m.New()
		}
		if m.zmm() {
			tt := m.YMM()
			m.VPBROADCASTD(t, tt)
			m.VCVTDQ2PD(tt, m.r(total))
			m.VCVTDQ2PD(ints, m.r(before[0]))
		} else {
			m.VPBROADCASTD(t, t)
			m.VCVTDQ2PD(t, m.r(total))
			m.VCVTDQ2PD(ints.AsX(), m.r(before[0]))
			m.VEXTRACTI128(U8(1), ints, t)
			m.VCVTDQ2PD(t, m.r(before[1]))
		}
		for j, b := range before {
			u, l, more, num := m.New(), m.New(), m.New(), m.New()
			d.Sub(u, unions, b)
			d.Sub(l, lefts[j], b)
			d.Add(more, u, one)
			if m.zmm() {
				k, wide := m.K(), m.YMM()
				m.VPMOVSXBD(background, wide)
				m.VPMOVD2M(wide, k)
				m.VMULPD(m.r(more), m.r(u), k, m.r(u))
				d.Set(num, one)
				m.VMOVAPD(m.r(l), k, m.r(num))
			} else {
				k := m.New()
				if j > 0 {
					m.VPSRLDQ(U8(4), background, background)
				}
				m.VPMOVSXBQ(background, m.r(k))
				d.Mul(more, u, more)
				m.VBLENDVPD(m.r(k), m.r(more), m.r(u), m.r(u))
				m.VBLENDVPD(m.r(k), m.r(l), m.r(one), m.r(num))
			}
			d.Div(num, num, u)
			switch {
			case m.elem == machine.F64:
				m.VMOVUPD(m.r(num), at(j))
			case m.zmm():
				m.VCVTPD2PS(m.r(num), m.y(num))
				m.VMOVUPS(m.y(num), at(j))
			default:
				m.VCVTPD2PSY(m.r(num), m.x(num))
				m.VMOVUPS(m.x(num), at(j))
			}
		}
		d.Sub(unions, unions, total)
		d.Add(total, total, all)
		for _, l := range lefts {
			d.Sub(l, l, total)
		}
	}
	step := eight * m.elem.Size() / regs
	loop, tail, done := m.label("pixels"), m.label("tail"), m.label("end")
	m.SUBQ(I8(eight), n)
	m.JB(LabelRef(tail))
	m.Label(loop)
	x := m.XMM()
	m.VMOVQ(Mem{Base: p}, x)
	weights(x, func(j int) Mem { return Mem{Base: q, Disp: j * step} })
	m.ADDQ(I8(eight), p)
	m.ADDQ(I8(eight*m.elem.Size()), q)
	m.SUBQ(I8(eight), n)
	m.JAE(LabelRef(loop))
	m.Label(tail)
	m.ADDQ(I8(eight), n)
	m.JE(LabelRef(done))
	m.Comment("fewer than eight: background after them")
	in, out := m.label("in"), m.label("out")
	bytes, i, b := m.GP64(), m.GP64(), m.GP64()
	m.XORQ(bytes, bytes)
	m.MOVQ(n, i)
	m.Label(in)
	m.SHLQ(U8(8), bytes)
	m.MOVBQZX(Mem{Base: p, Index: i, Scale: 1, Disp: -1}, b)
	m.ORQ(b, bytes)
	m.DECQ(i)
	m.JNE(LabelRef(in))
	m.VMOVQ(bytes, x)
	slots := m.GP64()
	m.LEAQ(local, slots)
	weights(x, func(j int) Mem { return Mem{Base: slots, Disp: j * step} })
	m.Label(out)
	if m.elem == machine.F64 {
		m.MOVQ(Mem{Base: slots, Index: n, Scale: 8, Disp: -8}, b)
		m.MOVQ(b, Mem{Base: q, Index: n, Scale: 8, Disp: -8})
	} else {
		m.MOVL(Mem{Base: slots, Index: n, Scale: 4, Disp: -4}, b.As32())
		m.MOVL(b.As32(), Mem{Base: q, Index: n, Scale: 4, Disp: -4})
	}
	m.DECQ(n)
	m.JNE(LabelRef(out))
	m.Label(done)
	result := m.GP64()
	m.VCVTTSD2SIQ(m.x(lefts[0]), result)
	return result
}
