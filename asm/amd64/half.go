package amd64

import (
	"github.com/lanewise/lanewise/asm/machine"
	. "github.com/mmcloughlin/avo/operand"
)

// Elements of 16 bits in memory, float32 in registers. AVX-512 has instructions for float16; AVX2 would need F16C for them, and computes with
// integers instead.

// word returns a constant of 32 bits in memory, in every lane.
func (m mach) word(bits uint32) Op { return m.splat(uint64(bits), 4) }

func (m mach) loadHalves(d V, mem Mem, k mask, h machine.Half) {
	if m.zmm() {
		switch {
		case h == machine.Float16 && k.k == nil:
			m.VCVTPH2PS(mem, m.r(d))
		case h == machine.Float16:
			m.VCVTPH2PS_Z(mem, k.k, m.r(d))
		case k.k == nil:
			m.VPMOVZXWD(mem, m.r(d))
		default:
			m.VPMOVZXWD_Z(mem, k.k, m.r(d))
		}
		if h == machine.BFloat16 {
			m.VPSLLD(U8(16), m.r(d), m.r(d))
		}
		return
	}
	if k.k != nil {
		slot := m.halfSlot()
		zero := m.XMM()
		m.VPXOR(zero, zero, zero)
		m.VMOVDQU(zero, slot)
		m.someHalves(k, mem, slot)
		mem = slot
	}
	if h == machine.BFloat16 {
		m.VPMOVZXWD(mem, m.r(d))
		m.VPSLLD(U8(16), m.r(d), m.r(d))
		return
	}
	// The bits of a float16 in their place in a float32 are its value times 2⁻¹¹², but for infinities and NaNs.
	x, y, t := m.r(m.New()), m.r(m.New()), m.r(m.New())
	m.VPMOVSXWD(mem, x)
	m.VPSLLD(U8(13), x, y)
	m.VPAND(m.word(0x0fffe000), y, y)
	m.VPAND(m.word(0x80000000), x, x)
	m.VMULPS(m.word(0x77800000), y, m.r(d)) // 2¹¹²
	m.VPOR(x, m.r(d), m.r(d))
	m.VPCMPGTD(m.word(0x7c00<<13-1), y, t)
	m.VPAND(m.word(0x7f800000), t, t)
	m.VPOR(t, m.r(d), m.r(d))
	m.VPCMPGTD(m.word(0x7c00<<13), y, t)
	m.VPAND(m.word(0x00400000), t, t)
	m.VPOR(t, m.r(d), m.r(d))
}

func (m mach) storeHalves(v V, mem Mem, k mask, h machine.Half) {
	if m.zmm() && h == machine.Float16 {
		if k.k == nil {
			m.VCVTPS2PH(U8(0), m.r(v), mem)
		} else {
			m.VCVTPS2PH(U8(0), m.r(v), k.k, mem)
		}
		return
	}
	d := m.New()
	if h == machine.BFloat16 {
		m.toBFloat16(d, v)
	} else {
		m.toFloat16(d, v)
	}
	switch {
	case m.zmm() && k.k == nil:
		m.VPMOVDW(m.r(d), mem)
	case m.zmm():
		m.VPMOVDW(m.r(d), k.k, mem)
	default:
		m.VPACKUSDW(m.r(d), m.r(d), m.r(d))
		m.VPERMQ(U8(0x08), m.r(d), m.r(d))
		if k.k == nil {
			m.VMOVDQU(m.x(d), mem)
			return
		}
		slot := m.halfSlot()
		m.VMOVDQU(m.x(d), slot)
		m.someHalves(k, slot, mem)
	}
}

// toBFloat16 sets the lower halves of d to v, rounded; the upper ones are 0.
func (m mach) toBFloat16(d, v V) {
	odd := m.r(m.New())
	m.VPSRLD(U8(16), m.r(v), odd)
	if m.zmm() {
		m.VPANDD(m.word(1), odd, odd)
	} else {
		m.VPAND(m.word(1), odd, odd)
	}
	m.VPADDD(m.r(v), odd, odd)
	m.VPADDD(m.word(0x7fff), odd, odd)
	if m.zmm() {
		k := m.K()
		m.VCMPPS(unordered, m.r(v), m.r(v), k)
		m.VPORD(m.word(0x00400000), m.r(v), k, odd)
	} else {
		nan, quiet := m.r(m.New()), m.r(m.New())
		m.VCMPPS(unordered, m.r(v), m.r(v), nan)
		m.VPOR(m.word(0x00400000), m.r(v), quiet)
		m.VBLENDVPS(nan, quiet, odd, odd)
	}
	m.VPSRLD(U8(16), odd, m.r(d))
}

// toFloat16 is toBFloat16 for float16, of AVX2.
func (m mach) toFloat16(d, v V) {
	size, y, t, mask := m.r(m.New()), m.r(m.New()), m.r(m.New()), m.r(m.New())
	m.VPAND(m.word(0x7fffffff), m.r(v), size)
	// normal numbers
	m.VPSRLD(U8(13), size, t)
	m.VPAND(m.word(1), t, y)
	m.VPADDD(size, y, y)
	m.VPADDD(m.word(1<<32+0xfff-112<<23), y, y)
	m.VPSRLD(U8(13), y, y)
	// below 2⁻¹⁴: ½ has the ulp of the subnormals
	sub := m.r(m.New())
	m.VADDPS(m.word(0x3f000000), size, sub)
	m.VPSUBD(m.word(0x3f000000), sub, sub)
	m.VPCMPGTD(m.word(0x38800000-1), size, mask)
	m.VPBLENDVB(mask, y, sub, y)
	// from 65520 on infinities, then NaNs
	m.VPCMPGTD(m.word(0x477ff000-1), size, mask)
	m.VPBLENDVB(mask, m.word(0x7c00), y, y)
	m.VPAND(m.word(0x3ff), t, t)
	m.VPOR(m.word(0x7e00), t, t)
	m.VPCMPGTD(m.word(0x7f800000), size, mask)
	m.VPBLENDVB(mask, t, y, y)
	m.VPSRLD(U8(16), m.r(v), t)
	m.VPAND(m.word(0x8000), t, t)
	m.VPOR(t, y, m.r(d))
}

// halfSlot returns room on the stack for the halves of a register.
func (m mach) halfSlot() Mem {
	if m.slot == nil {
		slot := m.AllocLocal(16)
		m.slot = &slot
	}
	return *m.slot
}

// someHalves copies the halves that a mask says are there.
func (m mach) someHalves(k mask, from, to Mem) {
	left, most, half := m.GP64(), m.GP64(), m.GP64()
	m.LEAQ(Mem{Base: k.left, Disp: -k.from}, left)
	m.MOVQ(U32(m.lanes()), most)
	m.CMPQ(left, most)
	m.CMOVQHI(most, left)
	loop := m.label("half")
	m.Label(loop)
	at := func(mem Mem) Mem { return Mem{Base: mem.Base, Disp: mem.Disp - 2, Index: left, Scale: 2} }
	p, q := m.GP64(), m.GP64()
	m.LEAQ(from, p)
	m.LEAQ(to, q)
	m.MOVWLZX(at(Mem{Base: p}), half.As32())
	m.MOVW(half.As16(), at(Mem{Base: q}))
	m.DECQ(left)
	m.JNE(LabelRef(loop))
}
