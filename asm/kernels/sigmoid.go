package kernels

import "github.com/lanewise/lanewise/asm/machine"

func sigmoid(m machine.Machine) {
	e := newExp(m)
	one := m.Const(1)
	m.Map(func(x []V) V {
		n, y := m.New(), m.New()
		m.NegAbs(n, x[0])
		n = e.of(n)
		m.BySign(y, x[0], n, one)
		m.Add(n, n, one)
		m.Div(y, y, n)
		return y
	}, machine.In("src", 0), machine.Out("dst"))
}

func sigmoidGrad(m machine.Machine) {
	one := m.Const(1)
	m.Map(func(x []V) V {
		q := m.New()
		m.Sub(q, one, x[0])
		m.Mul(x[0], x[0], q)
		m.Mul(x[0], x[0], x[1])
		return x[0]
	}, machine.In("y", 0), machine.In("dy", 0), machine.Out("dx"))
}
