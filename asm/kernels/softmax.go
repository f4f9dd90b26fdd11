package kernels

import "github.com/lanewise/lanewise/asm/machine"

func softmaxRows(m machine.Machine) { softmaxOfRows(m) }

// softmaxOfRows is the softmax of rows of src, times the argument of that name if there is one.
func softmaxOfRows(m machine.Machine, scale ...string) {
	m.Rows(func() {
		top := rowMax(m, "src")
		rowNormalize(m, rowExp(m, top, arguments(m, scale), "src", "dst"))
	}, func(c machine.Columns) {
		top := columnMax(m, c, machine.Scratch)
		s := columnExp(m, c, top, arguments(m, scale), machine.Ahead("src"), machine.Ahead("dst"))
		columnScale(m, c, s, machine.Scratch, machine.Scratch)
	}, []string{"src"}, "dst")
}

func arguments(m machine.Machine, names []string) (v []V) {
	for _, name := range names {
		v = append(v, m.Arg(name))
	}
	return v
}

// rowNormalize divides dst by s, its sum.
func rowNormalize(m machine.Machine, s V) {
	m.Spread(s)
	factor(m, s)
	rowScale(m, s, "dst", "dst")
}

func softmaxPlanes(m machine.Machine) {
	m.Planes(func(c machine.Columns) {
		s := columnExp(m, c, columnMax(m, c, "src", machine.Out(machine.Scratch)), nil, machine.Ahead("src"), machine.Ahead("dst"))
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

// columnExp replaces Scratch by exp(Scratch − top), or exp((Scratch − top)·scale), and returns the sums.
func columnExp(m machine.Machine, c machine.Columns, top, scale []V, ahead ...machine.Buf) []V {
	e := newExp(m)
	c.Each(func(j int, x []V) V {
		below(m, x[0], top[j], scale)
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
