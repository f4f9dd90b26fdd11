package kernels

import "github.com/lanewise/lanewise/asm/machine"

func softmaxGrad(m machine.Machine) {
	rowGrad(m, m.Arg("dot"))
}

func rowGrad(m machine.Machine, dot V) {
	m.Map(func(x []V) V { return grad(m, dot, x) }, machine.In("y", 0), machine.In("dy", 0), machine.Out("dx"))
}

func grad(m machine.Machine, dot V, x []V) V {
	m.Sub(x[1], x[1], dot)
	m.Mul(x[0], x[0], x[1])
	return x[0]
}

func softmaxRowsGrad(m machine.Machine) {
	m.Rows(func() {
		s := m.New()
		dotProduct(m, s, "y", "dy")
		m.Spread(s)
		rowGrad(m, s)
	}, func(c machine.Columns) {
		y, dy := machine.In(machine.Scratch, 0), machine.In(machine.Scratch2, 0)
		dot := c.Fold(nil, y, dy)
		c.Each(func(j int, x []V) V { return grad(m, dot[j], x) }, y, dy, machine.Out(machine.Scratch), machine.Ahead("y"), machine.Ahead("dy"),
			machine.Ahead("dx"))
	}, []string{"y", "dy"}, "dx")
}

func logSoftmaxGrad(m machine.Machine) {
	rowLogGrad(m, m.Arg("sum"))
}

func rowLogGrad(m machine.Machine, sum V) {
	m.Share("rowLogGrad", []string{"y", "dy", "dx"}, []V{sum}, func(m machine.Machine, in []V) []V {
		e := newExp(m)
		m.Map(func(x []V) V {
			m.MinZero(x[0], x[0])
			return logGrad(m, in[0], e.of(x[0]), x[1])
		}, machine.In("y", 0), machine.In("dy", 0), machine.Out("dx"))
		return nil
	})
}

func logGrad(m machine.Machine, sum, exp, dy V) V {
	m.Mul(exp, exp, sum)
	m.Sub(dy, dy, exp)
	return dy
}

func logSoftmaxRowsGrad(m machine.Machine) {
	m.Rows(func() {
		s := m.New()
		total(m, s, "dy")
		m.Spread(s)
		rowLogGrad(m, s)
	}, func(c machine.Columns) {
		y, dy := machine.In(machine.Scratch, 0), machine.In(machine.Scratch2, 0)
		sum := c.Fold(nil, dy)
		e := newExp(m)
		c.Each(func(j int, x []V) V {
			m.MinZero(x[0], x[0])
			return logGrad(m, sum[j], e.of(x[0]), x[1])
		}, y, dy, machine.Out(machine.Scratch), machine.Ahead("y"), machine.Ahead("dy"), machine.Ahead("dx"))
	}, []string{"y", "dy"}, "dx")
}
