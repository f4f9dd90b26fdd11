package amd64

import (
	"github.com/lanewise/lanewise/asm/machine"
	. "github.com/mmcloughlin/avo/operand"
)

// Elements of 16 bits in memory, float32 in registers.

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
	m.VCVTPH2PS(mem, m.r(d))
}

func (m mach) storeHalves(v V, mem Mem, k mask, h machine.Half) {
	const nearestEven = U8(0)
	if !m.zmm() && k.k != nil {
		slot := m.halfSlot()
		m.storeHalves(v, slot, mask{}, h)
		m.someHalves(k, slot, mem)
		return
	}
	if h == machine.Float16 {
		if k.k == nil {
			m.VCVTPS2PH(nearestEven, m.r(v), mem)
		} else {
			m.VCVTPS2PH(nearestEven, m.r(v), k.k, mem)
		}
		return
	}
	d := m.New()
	m.toBFloat16(d, v)
	switch {
	case m.zmm() && k.k == nil:
		m.VPMOVDW(m.r(d), mem)
	case m.zmm():
		m.VPMOVDW(m.r(d), k.k, mem)
	default:
		m.VPACKUSDW(m.r(d), m.r(d), m.r(d))
		m.VPERMQ(U8(0x08), m.r(d), m.r(d))
		m.VMOVDQU(m.x(d), mem)
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
