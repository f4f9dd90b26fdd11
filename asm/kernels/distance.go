package kernels

import "github.com/lanewise/lanewise/asm/machine"

func squaredDistance(m machine.Machine) {
	s, sum := m.New(), m.Block(0)
	m.Each(func(j int, x []V) V {
		m.Sub(x[0], x[0], x[1])
		m.Mul(x[0], x[0], x[0])
		m.Add(sum[j], sum[j], x[0])
		return machine.None
	}, machine.In("a", 0), machine.Operand("b"))
	m.Sum(s, sum)
	m.Return(s)
}

// sumSquares has the lanes of float64 for both types: a register of float32 goes to two of them. Its squares are exact.
func sumSquares(m machine.Machine) {
	d := m.Double()
	s, sum := d.New(), d.Block(0)
	m.Each(func(j int, x []V) V {
		if m.Type() == machine.F64 {
			m.Mul(x[0], x[0], x[0])
			m.Add(sum[j], sum[j], x[0])
			return machine.None
		}
		for i, w := range m.Widen(x[0]) {
			lane := (2*j + i) % len(sum)
			d.MulAdd(sum[lane], w, w)
		}
		return machine.None
	}, machine.In("x", 0))
	d.Sum(s, sum)
	m.Return(s)
}
