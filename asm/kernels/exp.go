package kernels

import "github.com/lanewise/lanewise/asm/machine"

// exp is exp x for x that is not positive, or NaN; a result below the smallest normal number is 0.
type exp struct {
	m                           machine.Machine
	under, log2e, magic, hi, lo V
	c                           []V
}

func newExp(m machine.Machine) exp {
	c := []float64{
		-0x1.5d589ep6, 0x1.8p23, 1, 0x1.715476p0, -0x1.62e4p-1, -0x1.7f7dp-20, // under, magic, 1, log₂ e, −ln 2 in two parts
		0x1.6ac74ap-10, 0x1.123dep-7, 0x1.555858p-5, 0x1.55548cp-3, 0x1.fffffcp-2,
	}
	if m.Type() == machine.F64 {
		c = []float64{
			-0x1.6232bdd7abcd2p9, 0x1.8p52, 1, 0x1.71547652b82fep0, -0x1.62e42feep-1, -0x1.a39ef35793c76p-33,
			0x1.af633a92c2458p-26, 0x1.28b41da12708bp-22, 0x1.71ddf6ab977fbp-19, 0x1.a01993a5e7f04p-16, 0x1.a01a01b00f205p-13,
			0x1.6c16c18606b59p-10, 0x1.111111110f7fdp-7, 0x1.55555555503cfp-5, 0x1.5555555555558p-3, 0x1.0000000000009p-1,
		}
	}
	v := m.Consts(c...)
	one := v[2]
	return exp{m: m, under: v[0], magic: v[1], log2e: v[3], hi: v[4], lo: v[5], c: append(v[6:], one, one)}
}

func (e exp) of(x V) V {
	m := e.m
	k, n, r, p := m.New(), m.New(), m.New(), m.New()
	m.Set(k, e.magic)
	m.MulAdd(k, x, e.log2e)
	m.Sub(n, k, e.magic)
	m.Set(r, x)
	m.MulAdd(r, n, e.hi)
	m.MulAdd(r, n, e.lo)
	m.Poly(p, r, e.c...)
	m.Ldexp(p, k, n, x, e.under)
	return p
}
