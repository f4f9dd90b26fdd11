package kernels

import "github.com/lanewise/lanewise/asm/machine"

// Elements of 16 bits are widened where they are read and rounded where they are written.

func widenHalves(format machine.Half) func(machine.Machine) {
	return func(m machine.Machine) {
		m.Map(func(x []V) V { return x[0] }, machine.In("src", 0).As(format), machine.Out("dst"))
	}
}

func roundToHalves(format machine.Half) func(machine.Machine) {
	return func(m machine.Machine) {
		m.Map(func(x []V) V { return x[0] }, machine.In("src", 0), machine.Out("dst").As(format))
	}
}

func dotHalves(format machine.Half) func(machine.Machine) {
	return func(m machine.Machine) {
		s, sum := m.New(), m.Block(0)
		m.Each(func(j int, x []V) V {
			m.Mul(x[0], x[0], x[1])
			m.Add(sum[j], sum[j], x[0])
			return machine.None
		}, machine.In("h", 0).As(format), machine.Operand("x"))
		m.Sum(s, sum)
		m.Return(s)
	}
}
