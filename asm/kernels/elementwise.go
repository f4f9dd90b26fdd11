package kernels

import (
	"math"

	"github.com/lanewise/lanewise/asm/machine"
)

func largest(m machine.Machine) {
	m.Return(rowMax(m, "x"))
}

func rowMax(m machine.Machine, x string) V {
	return m.Share("rowMax", []string{x}, nil, func(m machine.Machine, _ []V) []V {
		top, block := m.New(), m.Block(-inf)
		m.Each(func(j int, x []V) V {
			m.Max(block[j], block[j], x[0])
			return machine.None
		}, machine.In(x, -inf))
		m.Largest(top, block)
		return []V{top}
	})[0]
}

func scale(m machine.Machine) {
	rowScale(m, m.Arg("factor"), "dst", "src")
}

func rowScale(m machine.Machine, factor V, dst, src string) {
	m.Map(func(x []V) V {
		m.Mul(x[0], factor, x[0])
		return x[0]
	}, machine.In(src, 0), machine.Out(dst))
}

func subtract(m machine.Machine) {
	max, log := m.Arg("max"), m.Arg("log")
	m.Map(func(x []V) V {
		m.Sub(x[0], x[0], max)
		m.Sub(x[0], x[0], log)
		return x[0]
	}, machine.In("src", 0), machine.Out("dst"))
}

func classErrors(m machine.Machine) {
	class, one := m.Arg("class"), m.Const(1)
	m.Map(func(x []V) V {
		p, label := x[0], x[1]
		m.Equal(label, label, class, one)
		m.Sub(p, label, p)
		m.Abs(p, p)
		return p
	}, machine.In("probs", 0), machine.In("labels", 0), machine.Out("dst"))
}

func scaleAdd(m machine.Machine) {
	factor := m.Arg("factor")
	m.Map(func(x []V) V {
		m.Mul(x[0], x[0], factor)
		m.Add(x[0], x[0], x[1])
		return x[0]
	}, machine.In("src", 0), machine.Operand("mask"), machine.Out("dst"))
}

// negate adds to the sign bit what carries out of it.
func negate(m machine.Machine) {
	sign := m.Int(math.MinInt32)
	if m.Type() == machine.F64 {
		sign = m.Int(math.MinInt64)
	}
	m.Map(func(x []V) V {
		m.AddInt(x[0], x[0], sign)
		return x[0]
	}, machine.In("src", 0), machine.Out("dst"))
}
