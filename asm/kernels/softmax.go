package kernels

import "github.com/lanewise/lanewise/asm/machine"

func softmaxRows(m machine.Machine) {
	m.Rows(func() {
		s := rowExp(m, rowMax(m, "src"), "src", "dst")
		m.Spread(s)
		factor(m, s)
		rowScale(m, s, "dst", "dst")
	}, func(c machine.Columns) {
		s := columnExp(m, c, columnMax(m, c, machine.Scratch), machine.Ahead("src"), machine.Ahead("dst"))
		columnScale(m, c, s, machine.Scratch, machine.Scratch)
	}, []string{"src"}, "dst")
}

func softmaxPlanes(m machine.Machine) {
	m.Planes(func(c machine.Columns) {
		s := columnExp(m, c, columnMax(m, c, "src", machine.Out(machine.Scratch)), machine.Ahead("src"), machine.Ahead("dst"))
		columnScale(m, c, s, machine.Scratch, "dst")
	}, func(c machine.Columns) {
		top := columnMax(m, c, "src")
		e := newExp(m)
		s := c.Sum(func(j int, x []V) V {
			m.Sub(x[0], x[0], top[j])
			return e.of(x[0])
		}, nil, machine.In("src", 0), machine.Out("dst"))
		columnScale(m, c, s, "dst", "dst")
	})
}

func columnMax(m machine.Machine, c machine.Columns, src string, dst ...machine.Buf) []V {
	top := c.Block(-inf)
	c.Each(func(j int, x []V) V {
		m.Max(top[j], top[j], x[0])
		return x[0]
	}, append(dst, machine.In(src, -inf))...)
	return top
}

// columnExp replaces Scratch by its exponentials and returns their sums.
func columnExp(m machine.Machine, c machine.Columns, top []V, ahead ...machine.Buf) []V {
	e := newExp(m)
	c.Each(func(j int, x []V) V {
		m.Sub(x[0], x[0], top[j])
		return e.of(x[0])
	}, append(ahead, machine.In(machine.Scratch, 0), machine.Out(machine.Scratch))...)
	return c.Fold(nil, machine.In(machine.Scratch, 0))
}

func factor(m machine.Machine, s V) {
	m.Div(s, m.Const(1), s)
	m.Canonical(s)
}

func columnScale(m machine.Machine, c machine.Columns, s []V, src, dst string) {
	for _, s := range s {
		factor(m, s)
	}
	c.Each(func(j int, x []V) V {
		m.Mul(x[0], s[j], x[0])
		return x[0]
	}, machine.In(src, 0), machine.Out(dst))
}
