package kernels

import "github.com/lanewise/lanewise/asm/machine"

// logarithm sets d to log s, in float64 and then rounded; s is at least 1, or NaN, where d is anything.
func logarithm(m machine.Machine, d, s V) {
	w := m.Widen(s)
	for _, x := range w {
		log64(m.Double(), x)
	}
	m.Narrow(d, w)
}

func log64(m machine.Machine, x V) {
	const (
		ln2Hi = 0x1.62e42feep-1
		ln2Lo = 0x1.a39ef35793c76p-33
		l1    = 0x1.5555555555593p-1
		l2    = 0x1.999999997fa04p-2
		l3    = 0x1.2492494229359p-2
		l4    = 0x1.c71c51d8e78afp-3
		l5    = 0x1.7466496cb03dep-3
		l6    = 0x1.39a09d078c69fp-3
		l7    = 0x1.2f112df3e5244p-3
	)
	k, f, s, z, w, r, h, t := m.New(), m.New(), m.New(), m.New(), m.New(), m.New(), m.New(), m.New()
	// addMul sets t to w·t + c
	addMul := func(t, w V, c float64) {
		m.Mul(t, t, w)
		m.Add(t, t, m.Const(c))
	}

	// x = 2ᵏ·(1 + f); s = f/(2 + f)
	m.Frexp(k, f, x)
	m.Sub(f, f, m.Const(1))
	m.Add(s, f, m.Const(2))
	m.Div(s, f, s)
	m.Mul(z, s, s)
	m.Mul(w, z, z)

	// r = w·(l2 + w·(l4 + w·l6)) + z·(l1 + w·(l3 + w·(l5 + w·l7)))
	m.Set(r, m.Const(l6))
	addMul(r, w, l4)
	addMul(r, w, l2)
	m.Mul(r, r, w)
	m.Set(t, m.Const(l7))
	addMul(t, w, l5)
	addMul(t, w, l3)
	addMul(t, w, l1)
	m.Mul(t, t, z)
	m.Add(r, r, t)

	// h = f²/2
	m.Mul(h, f, m.Const(0.5))
	m.Mul(h, h, f)

	// log x = k·hi − ((h − (s·(h + r) + k·lo)) − f)
	m.Add(r, h, r)
	m.Mul(r, s, r)
	m.Mul(t, k, m.Const(ln2Lo))
	m.Add(r, r, t)
	m.Sub(r, h, r)
	m.Sub(r, r, f)
	m.Mul(t, k, m.Const(ln2Hi))
	m.Sub(x, t, r)
}
