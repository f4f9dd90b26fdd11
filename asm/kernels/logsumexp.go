package kernels

import "github.com/lanewise/lanewise/asm/machine"

func logSumExpRows(m machine.Machine) {
	m.Rows(func() {
		s, top := rowSumExp(m, rowMax(m, "src"), "src")
		addLog(m, s, top)
		m.StoreRow(s)
	}, func(c machine.Columns) {
		top := columnMax(m, c, machine.Scratch)
		c.Store("dst", top)
		storeLogs(m, c, columnExp(m, c, top, nil, machine.Ahead("src")))
	}, []string{"src"}, "")
}

func logSumExpPlanes(m machine.Machine) {
	m.Planes(func(c machine.Columns) {
		top := columnMax(m, c, "src", machine.Out(machine.Scratch))
		c.Store("dst", top)
		storeLogs(m, c, columnExp(m, c, top, nil))
	}, func(c machine.Columns) {
		top := columnMax(m, c, "src")
		c.Store("dst", top)
		e := newExp(m)
		storeLogs(m, c, c.Sum(func(j int, x []V) V {
			m.Sub(x[0], x[0], top[j])
			return e.of(x[0])
		}, nil, machine.In("src", 0)))
	})
}

// storeLogs adds the logarithms of s to what dst has.
func storeLogs(m machine.Machine, c machine.Columns, s []V) {
	for j := range s {
		addLog(m, s[j], c.Stored("dst", j))
	}
	c.Store("dst", s)
}

// addLog sets s to top + log s, or NaN where s is. It changes top.
func addLog(m machine.Machine, s, top V) {
	d := m.Double()
	w := m.Widen(s)
	m.Sub(s, s, s) // 0, or NaN
	m.Add(top, top, s)
	for _, x := range w {
		log64(d, x)
	}
	for i, t := range m.Widen(top) {
		d.Add(w[i], t, w[i])
	}
	m.Narrow(s, w)
}
