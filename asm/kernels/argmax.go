package kernels

import "github.com/lanewise/lanewise/asm/machine"

func argMax(m machine.Machine) {
	m.ReturnIndex(m.ArgMax("x"))
}

func argMaxRows(m machine.Machine) {
	m.Rows(func() {
		m.StoreIndex(m.ArgMax("src"))
	}, func(c machine.Columns) {
		columnArgMax(m, c, machine.Scratch)
	}, []string{"src"}, "")
}

func argMaxPlanes(m machine.Machine) {
	m.Planes(nil, func(c machine.Columns) {
		columnArgMax(m, c, "src")
	})
}

func largestPlanes(m machine.Machine) {
	m.Planes(nil, func(c machine.Columns) {
		c.Store("dst", columnMax(m, c, "src"))
	})
}

func columnArgMax(m machine.Machine, c machine.Columns, src string) {
	one := m.Int(1)
	best, index, plane := c.Block(-inf), c.Block(0), m.Int(-1)
	c.Each(func(j int, x []V) V {
		if j == 0 {
			m.AddInt(plane, plane, one)
		}
		m.TakeLarger(best[j], index[j], x[0], plane)
		return machine.None
	}, machine.In(src, 0))
	c.Store("dst", index)
}
