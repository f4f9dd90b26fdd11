package kernels

import "github.com/lanewise/lanewise/asm/machine"

func argMax(m machine.Machine) {
	m.Func("argMax", "func(x []T) int", "returns the index of the first NaN, or of the first of the largest.")
	m.ReturnIndex(m.ArgMax("x"))
	m.End()
}

func argMaxRows(m machine.Machine) {
	m.Func("argMaxRows", "func(dst []int32, src []T, cols int)", "writes argMax of every row.")
	m.Rows(func() {
		m.StoreIndex(m.ArgMax("src"))
	}, func(c machine.Columns) {
		columnArgMax(m, c, machine.Scratch)
	}, []string{"src"}, "")
	m.End()
}

func argMaxPlanes(m machine.Machine) {
	m.Func("argMaxPlanes", "func(dst []int32, src []T, planes, n, stride int)", "writes argMax down every column.")
	m.Planes(nil, func(c machine.Columns) {
		columnArgMax(m, c, "src")
	})
	m.End()
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
