package kernels

import "github.com/lanewise/lanewise/asm/machine"

func logSoftmaxRows(m machine.Machine) {
	m.Rows(func() {
		s, top := rowSumExp(m, rowMax(m, "src"), "src")
		m.Spread(s)
		minusLog(m, s)
		m.Map(func(x []V) V {
			m.Sub(x[0], x[0], top)
			m.Add(x[0], s, x[0])
			return x[0]
		}, machine.In("src", 0), machine.Out("dst"))
	}, func(c machine.Columns) {
		columnLog(m, c, columnMax(m, c, machine.Scratch), machine.Scratch)
	}, []string{"src"}, "dst")
}

func logSoftmaxPlanes(m machine.Machine) {
	m.Planes(func(c machine.Columns) {
		top := columnMax(m, c, "src", machine.Out(machine.Scratch))
		columnLog(m, c, top, "dst")
	}, func(c machine.Columns) {
		top := columnMax(m, c, "src")
		e := newExp(m)
		s := c.Sum(func(j int, x []V) V {
			m.Sub(x[0], x[0], top[j])
			return e.of(x[0])
		}, func(s V) { minusLog(m, s) }, machine.In("src", 0))
		columnSubtract(m, c, top, s, "src", "dst")
	})
}

func columnLog(m machine.Machine, c machine.Columns, top []V, dst string) {
	e := newExp(m)
	c.Each(func(j int, x []V) V {
		m.Sub(x[0], x[0], top[j])
		return e.of(x[0])
	}, machine.In(machine.Scratch, 0), machine.Out(machine.Scratch2), machine.Ahead("src"), machine.Ahead("dst"))
	s := c.Fold(func(s V) { minusLog(m, s) }, machine.In(machine.Scratch2, 0))
	columnSubtract(m, c, top, s, machine.Scratch, dst)
}

func columnSubtract(m machine.Machine, c machine.Columns, top, minusLog []V, src, dst string) {
	c.Each(func(j int, x []V) V {
		m.Sub(x[0], x[0], top[j])
		m.Add(x[0], minusLog[j], x[0])
		return x[0]
	}, machine.In(src, 0), machine.Out(dst))
}

func minusLog(m machine.Machine, s V) {
	m.Set(s, m.Share("minusLog", nil, []V{s}, func(m machine.Machine, in []V) []V {
		s, l := in[0], m.New()
		logarithm(m, l, s)
		m.Sub(s, s, s) // 0, or NaN
		m.Sub(s, s, l)
		m.Canonical(s)
		return []V{s}
	})[0])
}
