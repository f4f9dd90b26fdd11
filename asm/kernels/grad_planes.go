package kernels

import "github.com/lanewise/lanewise/asm/machine"

func softmaxGradPlanes(m machine.Machine) {
	m.Planes(nil, func(c machine.Columns) {
		dot := c.Sum(func(j int, x []V) V {
			m.Mul(x[0], x[0], x[1])
			return x[0]
		}, nil, machine.In("y", 0), machine.In("dy", 0))
		c.Each(func(j int, x []V) V { return grad(m, dot[j], x) }, machine.In("y", 0), machine.In("dy", 0), machine.Out("dx"))
	})
}

func logSoftmaxGradPlanes(m machine.Machine) {
	m.Planes(nil, func(c machine.Columns) {
		sum := c.Sum(func(j int, x []V) V { return x[0] }, nil, machine.In("dy", 0))
		e := newExp(m)
		c.Each(func(j int, x []V) V {
			m.MinZero(x[0], x[0])
			return logGrad(m, sum[j], e.of(x[0]), x[1])
		}, machine.In("y", 0), machine.In("dy", 0), machine.Out("dx"))
	})
}
