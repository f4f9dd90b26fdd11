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
	s := m.New()
	rowExp(m, newExp(m), s, m.Arg("max"), machine.In("src", -inf), machine.Out("dst"))
	m.Return(s)
}

func sumExp(m machine.Machine) {
	s := m.New()
	rowExp(m, newExp(m), s, m.Arg("max"), machine.In("src", -inf))
	m.Return(s)
}

func rowExp(m machine.Machine, e exp, s, top V, bufs ...machine.Buf) {
	sum := m.Sums()
	m.Each(func(j int, x []V) V {
		m.Sub(x[0], x[0], top)
		y := e.of(x[0])
		m.Add(sum[j], sum[j], y)
		return y
	}, bufs...)
	m.Sum(s, sum)
}
