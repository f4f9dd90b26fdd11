package kernels

import "github.com/lanewise/lanewise/asm/machine"

// The scale is positive: what stands past the end stays −Inf.
func softmaxRowsScaled(m machine.Machine) { softmaxOfRows(m, "scale") }

func softmaxRowsMasked(m machine.Machine) {
	scale := m.Arg("scale")
	logits := func(x []V) {
		m.Mul(x[0], x[0], scale)
		m.Add(x[0], x[0], x[1])
	}
	in := []machine.Buf{machine.In("src", 0), machine.In("mask", -inf)}
	m.Rows(func() {
		top, block := m.New(), m.Block(-inf)
		m.Each(func(j int, x []V) V {
			logits(x)
			m.Max(block[j], block[j], x[0])
			return machine.None
		}, in...)
		m.Largest(top, block)
		s, e, sum := m.New(), newExp(m), m.Sums()
		m.Each(func(j int, x []V) V {
			logits(x)
			m.Sub(x[0], x[0], top)
			y := e.of(x[0])
			m.Add(sum[j], sum[j], y)
			return y
		}, append(in, machine.Out("dst"))...)
		m.Sum(s, sum)
		rowNormalize(m, s)
	}, func(c machine.Columns) {
		top := c.Block(-inf)
		c.Each(func(j int, x []V) V {
			logits(x)
			m.Max(top[j], top[j], x[0])
			return x[0]
		}, machine.In(machine.Scratch, 0), machine.In(machine.Scratch2, 0), machine.Out(machine.Scratch))
		s := columnExp(m, c, top, nil, machine.Ahead("src"), machine.Ahead("dst"))
		columnScale(m, c, s, machine.Scratch, machine.Scratch)
	}, []string{"src", "mask"}, "dst")
}
