package kernels

import "github.com/lanewise/lanewise/asm/machine"

func dot(m machine.Machine) {
	s := m.New()
	dotProduct(m, s, "a", "b")
	m.Return(s)
}

func dotProduct(m machine.Machine, s V, a, b string) {
	sum := m.Block(0)
	m.Each(func(j int, x []V) V {
		m.Mul(x[0], x[0], x[1])
		m.Add(sum[j], sum[j], x[0])
		return machine.None
	}, machine.In(a, 0), machine.Operand(b))
	m.Sum(s, sum)
}

func sum(m machine.Machine) {
	s := m.New()
	total(m, s, "x")
	m.Return(s)
}

func total(m machine.Machine, s V, x string) {
	sum := m.Block(0)
	m.Each(func(j int, x []V) V {
		m.Add(sum[j], sum[j], x[0])
		return machine.None
	}, machine.Operand(x))
	m.Sum(s, sum)
}

func expSum(m machine.Machine) {
	m.Return(rowExp(m, m.Arg("max"), nil, "src", "dst"))
}

func expSumScaled(m machine.Machine) {
	m.Return(rowExp(m, m.Arg("max"), []V{m.Arg("scale")}, "src", "dst"))
}

func sumExp(m machine.Machine) {
	s, _ := rowSumExp(m, m.Arg("max"), "src")
	m.Return(s)
}

// rowExp writes exp(src − top) to dst, or exp((src − top)·scale), and returns the sum of that. rowSumExp returns the sum, and top once
// more.
func rowExp(m machine.Machine, top V, scale []V, src, dst string) V {
	name := [...]string{"rowExp", "rowExpScaled"}[len(scale)]
	return m.Share(name, []string{src, dst}, append([]V{top}, scale...), func(m machine.Machine, in []V) []V {
		return []V{exps(m, in[0], in[1:], machine.In(src, -inf), machine.Out(dst))}
	})[0]
}

func rowSumExp(m machine.Machine, top V, src string) (sum, again V) {
	v := m.Share("rowSumExp", []string{src}, []V{top}, func(m machine.Machine, in []V) []V {
		return []V{exps(m, in[0], nil, machine.In(src, -inf)), in[0]}
	})
	return v[0], v[1]
}

func exps(m machine.Machine, top V, scale []V, bufs ...machine.Buf) V {
	e, sum, s := newExp(m), m.Sums(), m.New()
	m.Each(func(j int, x []V) V {
		below(m, x[0], top, scale)
		y := e.of(x[0])
		m.Add(sum[j], sum[j], y)
		return y
	}, bufs...)
	m.Sum(s, sum)
	return s
}

// below replaces x by x − top, times the scale if there is one.
func below(m machine.Machine, x, top V, scale []V) {
	m.Sub(x, x, top)
	for _, s := range scale {
		m.Mul(x, x, s)
	}
}
