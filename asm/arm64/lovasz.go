package arm64

import (
	"github.com/lanewise/lanewise/asm/arm64/emit"
	"github.com/lanewise/lanewise/asm/machine"
)

// LovaszGrad goes by eight pixels. Their background is counted in bytes, from each one on, by three shifts and additions; everything after
// that is float64, where the counts and their sums are exact.
func (m mach) LovaszGrad(dst, foreground, left, union string) machine.Index {
	const eight, pairs = 8, 4
	d := m.Double().(mach)
	p, q, n := m.base(foreground), m.base(dst), m.len(foreground)
	count := func(name string) V {
		v := m.New()
		m.VDUPGP(m.param(name), d.a(v))
		m.VSCVTF(d.a(v), d.a(v))
		return v
	}
	unions := count(union) // of the first pixel
	lefts := make([]V, pairs)
	for j, c := 0, count(left); j < pairs; j++ { // of each pixel, if all before it were foreground
		lefts[j] = m.New()
		number := m.New()
		m.FMOVQ(m.Constant(d.bits(float64(2*j)), d.bits(float64(2*j+1))), m.r(number))
		d.Sub(lefts[j], c, number)
	}
	zero, one, all := m.New(), d.Const(1), d.Const(eight)
	m.fill(zero, 0)

	// widen returns the eight bytes of v as pairs of integers
	widen := func(v V) []V {
		var x []V
		half, words := m.New(), []V{m.New(), m.New()}
		m.VSXTLB(m.r(v).B8(), m.r(half).H8())
		m.VSXTLH(m.r(half).H4(), m.r(words[0]).S4())
		m.VSXTLH2(m.r(half).H8(), m.r(words[1]).S4())
		for _, w := range words {
			lo, hi := m.New(), m.New()
			m.VSXTL(m.r(w).S2(), m.r(lo).D2())
			m.VSXTL2(m.r(w).S4(), m.r(hi).D2())
			x = append(x, lo, hi)
		}
		return x
	}
	// weights writes the weights of the pixels at p to q, and goes on to those after them
	weights := func(p, q emit.GP) {
		background, sum, total := m.New(), m.New(), m.New() // −1 for each
		m.FMOVD(emit.At(p, 0), m.r(background))
		m.VCMEQB(m.b(zero), m.b(background), m.b(background))
		m.VMOV(m.b(background), m.b(sum))
		for shift := emit.Imm(8); shift < 64; shift *= 2 {
			t := m.New()
			m.VSHL(shift, d.a(sum), d.a(t))
			m.VADDB(m.b(t), m.b(sum), m.b(sum))
		}
		m.VUSHR(56, d.a(sum), d.a(total))
		m.VSUBB(m.b(background), m.b(sum), m.b(sum)) // before each pixel
		m.VSXTLB(m.r(total).B8(), m.r(total).H8())
		m.VSXTLH(m.r(total).H4(), m.r(total).S4())
		m.VSXTL(m.r(total).S2(), m.r(total).D2())
		m.VSCVTF(d.a(total), d.a(total))
		d.Spread(total)
		is, w := widen(background), make([]V, pairs)
		for j, b := range widen(sum) {
			m.VSCVTF(d.a(b), d.a(b))
			u, l, more := m.New(), m.New(), m.New()
			w[j] = m.New()
			d.Sub(u, unions, b)
			d.Sub(l, lefts[j], b)
			d.Add(more, u, one)
			d.Mul(more, u, more)
			m.VBIT(m.b(is[j]), m.b(more), m.b(u))
			m.VMOV(m.b(one), m.b(w[j]))
			m.VBIT(m.b(is[j]), m.b(l), m.b(w[j]))
			d.Div(w[j], w[j], u)
		}
		if m.elem == machine.F32 {
			for j := range pairs / 2 {
				x := m.New()
				m.Narrow(x, w[2*j:2*j+2])
				w[j] = x
			}
			w = w[:pairs/2]
		}
		for j := 0; j < len(w); j += 2 {
			m.FSTPQ(m.r(w[j]), m.r(w[j+1]), emit.At(q, j*registerBytes))
		}
		d.Sub(unions, unions, total)
		d.Add(total, total, all)
		for _, l := range lefts {
			d.Sub(l, l, total)
		}
	}
	loop, tail, done, in := m.NewLabel("pixels"), m.NewLabel("tail"), m.NewLabel("end"), m.NewLabel("in")
	m.SUBS(emit.Imm(eight), n, n)
	m.BLT(tail)
	m.Label(loop)
	weights(p, q)
	m.ADD(emit.Imm(eight), p, p)
	m.ADD(emit.Imm(eight*m.size()), q, q)
	m.SUBS(emit.Imm(eight), n, n)
	m.BGE(loop)
	m.Label(tail)
	m.ADDS(emit.Imm(eight), n, n)
	m.BEQ(done)
	m.Commentf("fewer than eight: background after them")
	m.MOVD(emit.ZR, emit.At(m.slots, 0))
	at, i, b := m.copyGP(m.slots), m.copyGP(n), m.GP()
	m.Label(in)
	m.MOVBU(emit.At(p, 0), b)
	m.MOVB(b, emit.At(at, 0))
	m.ADD(emit.Imm(1), p, p)
	m.ADD(emit.Imm(1), at, at)
	m.SUBS(emit.Imm(1), i, i)
	m.BNE(in)
	weights(m.slots, m.slots)
	m.copyElements(m.slots, q, n, "out")
	m.Label(done)
	result := m.GP()
	m.FCVTZSD(m.r(lefts[0]), result)
	return result
}
