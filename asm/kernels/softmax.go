package kernels

import (
	"github.com/lanewise/lanewise/asm/machine"
)

func dot(m machine.Machine) {
	m.Func("dot", "func(a, b []T) T", "returns Σ aᵢ·bᵢ.")
	s := m.New()
	dotProduct(m, s, "a", "b")
	m.Return(s)
	m.End()
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
	m.Func("sum", "func(x []T) T", "returns Σ xᵢ.")
	s := m.New()
	total(m, s, "x")
	m.Return(s)
	m.End()
}

func total(m machine.Machine, s V, x string) {
	sum := m.Block(0)
	m.Each(func(j int, x []V) V {
		m.Add(sum[j], sum[j], x[0])
		return machine.None
	}, machine.Operand(x))
	m.Sum(s, sum)
}

func largest(m machine.Machine) {
	m.Func("max", "func(x []T) T", "returns the largest element; anything where there is a NaN.")
	top := m.New()
	rowMax(m, top, "x")
	m.Return(top)
	m.End()
}

func rowMax(m machine.Machine, top V, x string) {
	block := m.Block(-inf)
	m.Each(func(j int, x []V) V {
		m.Max(block[j], block[j], x[0])
		return machine.None
	}, machine.In(x, -inf))
	m.Largest(top, block)
}

func expSum(m machine.Machine) {
	m.Func("expSum", "func(dst, src []T, max T) T", "writes exp(src − max) and returns its sum.")
	s := m.New()
	rowExp(m, newExp(m), s, m.Arg("max"), machine.In("src", -inf), machine.Out("dst"))
	m.Return(s)
	m.End()
}

func sumExp(m machine.Machine) {
	m.Func("sumExp", "func(src []T, max T) T", "returns Σ exp(src − max).")
	s := m.New()
	rowExp(m, newExp(m), s, m.Arg("max"), machine.In("src", -inf))
	m.Return(s)
	m.End()
}

// rowExp writes e^(x − top) and sets s to its sum. Past the end x is −∞, so that nothing is added.
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

func scale(m machine.Machine) {
	m.Func("scale", "func(dst, src []T, factor T)", "writes src · factor.")
	rowScale(m, m.Arg("factor"), "dst", "src")
	m.End()
}

func rowScale(m machine.Machine, factor V, dst, src string) {
	m.Each(func(j int, x []V) V {
		m.Mul(x[0], factor, x[0])
		return x[0]
	}, machine.In(src, 0), machine.Out(dst))
}

func subtract(m machine.Machine) {
	m.Func("subtract", "func(dst, src []T, max, log T)", "writes (src − max) − log.")
	rowSubtract(m, m.Arg("max"), m.Arg("log"))
	m.End()
}

func rowSubtract(m machine.Machine, max, log V) {
	m.Each(func(j int, x []V) V {
		m.Sub(x[0], x[0], max)
		m.Sub(x[0], x[0], log)
		return x[0]
	}, machine.In("src", 0), machine.Out("dst"))
}

// factor makes of a sum what its terms are multiplied by: 1/s, or the canonical NaN.
func factor(m machine.Machine, s V) {
	m.Div(s, m.Const(1), s)
	m.Canonical(s)
}

func softmaxRows(m machine.Machine) {
	m.Func("softmaxRows", "func(dst, src []T, cols int)", "writes the softmax of every row.")
	m.Rows(func() {
		top, s := m.New(), m.New()
		rowMax(m, top, "src")
		rowExp(m, newExp(m), s, top, machine.In("src", -inf), machine.Out("dst"))
		factor(m, s)
		rowScale(m, s, "dst", "dst")
	}, func(c machine.Columns) {
		s := columnExp(m, c, columnMax(m, c, machine.Scratch))
		columnScale(m, c, s, machine.Scratch, machine.Scratch)
	}, []string{"src"}, "dst")
	m.End()
}

func logSoftmaxRows(m machine.Machine) {
	m.Func("logSoftmaxRows", "func(dst, src []T, cols int)", "writes the log-softmax of every row.")
	m.Rows(func() {
		top, s := m.New(), m.New()
		rowMax(m, top, "src")
		rowExp(m, newExp(m), s, top, machine.In("src", -inf))
		minusLog(m, s)
		m.Each(func(j int, x []V) V {
			m.Sub(x[0], x[0], top)
			m.Add(x[0], s, x[0])
			return x[0]
		}, machine.In("src", 0), machine.Out("dst"))
	}, func(c machine.Columns) {
		columnLog(m, c, columnMax(m, c, machine.Scratch), machine.Scratch)
	}, []string{"src"}, "dst")
	m.End()
}

// minusLog makes −log s of s, or the canonical NaN.
func minusLog(m machine.Machine, s V) {
	l := m.New()
	logarithm(m, l, s)
	m.Sub(s, s, s) // 0, or NaN
	m.Sub(s, s, l)
	m.Canonical(s)
}

func softmaxGrad(m machine.Machine) {
	m.Func("softmaxGrad", "func(dx, y, dy []T, dot T)", "writes y·(dy − dot).")
	rowGrad(m, m.Arg("dot"))
	m.End()
}

func rowGrad(m machine.Machine, dot V) {
	m.Each(func(j int, x []V) V { return grad(m, dot, x) }, machine.In("y", 0), machine.In("dy", 0), machine.Out("dx"))
}

// grad makes y·(dy − dot) of y and dy.
func grad(m machine.Machine, dot V, x []V) V {
	m.Sub(x[1], x[1], dot)
	m.Mul(x[0], x[0], x[1])
	return x[0]
}

func softmaxRowsGrad(m machine.Machine) {
	m.Func("softmaxRowsGrad", "func(dx, y, dy []T, cols int)", "writes y·(dy − Σ y·dy) for every row.")
	m.Rows(func() {
		s := m.New()
		dotProduct(m, s, "y", "dy")
		rowGrad(m, s)
	}, func(c machine.Columns) {
		y, dy := machine.In(machine.Scratch, 0), machine.In(machine.Scratch2, 0)
		dot := c.Fold(func(x []V) V {
			m.Mul(x[0], x[0], x[1])
			return x[0]
		}, nil, y, dy)
		c.Each(func(j int, x []V) V { return grad(m, dot[j], x) }, y, dy, machine.Out(machine.Scratch), machine.Ahead("y"), machine.Ahead("dy"), machine.Ahead("dx"))
	}, []string{"y", "dy"}, "dx")
	m.End()
}

func logSoftmaxGrad(m machine.Machine) {
	m.Func("logSoftmaxGrad", "func(dx, y, dy []T, sum T)", "writes dy − exp(min(y, 0))·sum.")
	rowLogGrad(m, newExp(m), m.Arg("sum"))
	m.End()
}

func rowLogGrad(m machine.Machine, e exp, sum V) {
	m.Each(func(j int, x []V) V {
		m.MinZero(x[0], x[0])
		return logGrad(m, sum, e.of(x[0]), x[1])
	}, machine.In("y", 0), machine.In("dy", 0), machine.Out("dx"))
}

// logGrad makes dy − exp y·sum of exp y and dy.
func logGrad(m machine.Machine, sum, exp, dy V) V {
	m.Mul(exp, exp, sum)
	m.Sub(dy, dy, exp)
	return dy
}

func logSoftmaxRowsGrad(m machine.Machine) {
	m.Func("logSoftmaxRowsGrad", "func(dx, y, dy []T, cols int)", "writes dy − exp(min(y, 0))·Σ dy for every row.")
	m.Rows(func() {
		s := m.New()
		total(m, s, "dy")
		rowLogGrad(m, newExp(m), s)
	}, func(c machine.Columns) {
		y, dy := machine.In(machine.Scratch, 0), machine.In(machine.Scratch2, 0)
		sum := c.Fold(machine.Same, nil, dy)
		e := newExp(m)
		c.Each(func(j int, x []V) V {
			m.MinZero(x[0], x[0])
			return logGrad(m, sum[j], e.of(x[0]), x[1])
		}, y, dy, machine.Out(machine.Scratch), machine.Ahead("y"), machine.Ahead("dy"), machine.Ahead("dx"))
	}, []string{"y", "dy"}, "dx")
	m.End()
}

func cumSum(m machine.Machine) {
	m.Func("cumSum", "func(dst, src []T, carry float64) float64", "writes prefix sums that go on from carry, and returns the next carry.")
	m.Scan("dst", "src", "carry")
	m.End()
}

func classErrors(m machine.Machine) {
	m.Func("classErrors", "func(dst, probs []T, labels []int32, class int32)", "writes |1{label = class} − p|.")
	class := m.Arg("class")
	m.Each(func(j int, x []V) V {
		p, label := x[0], x[1]
		m.Equal(label, label, class)
		m.Sub(p, label, p)
		m.Abs(p, p)
		return p
	}, machine.In("probs", 0), machine.In("labels", 0), machine.Out("dst"))
	m.End()
}

func classGrad(m machine.Machine) {
	m.Func("classGrad", "func(dst, weights []T, labels []int32, class int32, factor T)", "writes weights · factor, negated where label = class.")
	class, factor := m.Arg("class"), m.Arg("factor")
	m.Each(func(j int, x []V) V {
		m.Mul(x[0], x[0], factor)
		m.NegateEqual(x[0], x[1], class)
		return x[0]
	}, machine.In("weights", 0), machine.In("labels", 0), machine.Out("dst"))
	m.End()
}

func transpose(m machine.Machine) {
	m.Func("transpose", "func(dst, src []T, rows, cols, dstStride, srcStride int)", "writes dst[c·dstStride + r] = src[r·srcStride + c].")
	m.Transpose("dst", "src")
	m.End()
}

func argMax(m machine.Machine) {
	m.Func("argMax", "func(x []T) int", "returns the index of the first NaN, or of the first of the largest.")
	m.ReturnIndex(m.ArgMax("x"))
	m.End()
}

func argMaxRows(m machine.Machine) {
	m.Func("argMaxRows", "func(dst []int32, src []T, cols int)", "writes argMax of every row.")
	m.Rows(func() {
		m.StoreIndex(m.ArgMax("src"))
	}, func(c machine.Columns) {
		columnArgMax(m, c, machine.Scratch)
	}, []string{"src"}, "")
	m.End()
}

func argMaxPlanes(m machine.Machine) {
	m.Func("argMaxPlanes", "func(dst []int32, src []T, planes, n, stride int)", "writes argMax down every column.")
	m.Planes(nil, func(c machine.Columns) {
		columnArgMax(m, c, "src")
	})
	m.End()
}

func columnArgMax(m machine.Machine, c machine.Columns, src string) {
	one := m.Int(1)
	best, index, plane := c.Block(-inf), c.Block(0), m.Int(-1)
	c.Each(func(j int, x []V) V {
		if j == 0 {
			m.AddInt(plane, plane, one)
		}
		m.TakeLarger(best[j], index[j], x[0], plane)
		return machine.None
	}, machine.In(src, 0))
	c.Store("dst", index)
}

func softmaxPlanes(m machine.Machine) {
	m.Func("softmaxPlanes", "func(dst, src, max, sum []T, planes, n, dstStride, srcStride int)", "writes the softmax down every column.")
	m.Planes(func(c machine.Columns) {
		top := columnMax(m, c, "src", machine.Out(machine.Scratch))
		s := columnExp(m, c, top)
		c.Store("max", top)
		c.Store("sum", s)
		columnScale(m, c, s, machine.Scratch, "dst")
	}, func(c machine.Columns) {
		top := columnMax(m, c, "src")
		e := newExp(m)
		s := c.Sum(func(j int, x []V) V {
			m.Sub(x[0], x[0], top[j])
			return e.of(x[0])
		}, nil, machine.In("src", 0), machine.Out("dst"))
		c.Store("max", top)
		c.Store("sum", s)
		columnScale(m, c, s, "dst", "dst")
	})
	m.End()
}

// columnMax returns the largest elements of src, which it copies to dst.
func columnMax(m machine.Machine, c machine.Columns, src string, dst ...machine.Buf) []V {
	top := c.Block(-inf)
	c.Each(func(j int, x []V) V {
		m.Max(top[j], top[j], x[0])
		return x[0]
	}, append(dst, machine.In(src, -inf))...)
	return top
}

// columnExp makes e^(x − top) of Scratch and returns its sums.
func columnExp(m machine.Machine, c machine.Columns, top []V) []V {
	e := newExp(m)
	c.Each(func(j int, x []V) V {
		m.Sub(x[0], x[0], top[j])
		return e.of(x[0])
	}, machine.In(machine.Scratch, 0), machine.Out(machine.Scratch), machine.Ahead("src"), machine.Ahead("dst"))
	return c.Fold(machine.Same, nil, machine.In(machine.Scratch, 0))
}

// columnScale divides src, whose sums are s.
func columnScale(m machine.Machine, c machine.Columns, s []V, src, dst string) {
	for _, s := range s {
		factor(m, s)
	}
	c.Each(func(j int, x []V) V {
		m.Mul(x[0], s[j], x[0])
		return x[0]
	}, machine.In(src, 0), machine.Out(dst))
}

func logSoftmaxPlanes(m machine.Machine) {
	m.Func("logSoftmaxPlanes", "func(dst, src []T, planes, n, dstStride, srcStride int)", "writes the log-softmax down every column.")
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
	m.End()
}

// columnLog writes the log-softmax of Scratch, whose largest elements are top.
func columnLog(m machine.Machine, c machine.Columns, top []V, dst string) {
	e := newExp(m)
	c.Each(func(j int, x []V) V {
		m.Sub(x[0], x[0], top[j])
		return e.of(x[0])
	}, machine.In(machine.Scratch, 0), machine.Out(machine.Scratch2), machine.Ahead("src"), machine.Ahead("dst"))
	s := c.Fold(machine.Same, func(s V) { minusLog(m, s) }, machine.In(machine.Scratch2, 0))
	columnSubtract(m, c, top, s, machine.Scratch, dst)
}

// columnSubtract writes (x − top) − log.
func columnSubtract(m machine.Machine, c machine.Columns, top, minusLog []V, src, dst string) {
	c.Each(func(j int, x []V) V {
		m.Sub(x[0], x[0], top[j])
		m.Add(x[0], minusLog[j], x[0])
		return x[0]
	}, machine.In(src, 0), machine.Out(dst))
}

func softmaxPlanesGrad(m machine.Machine) {
	m.Func("softmaxPlanesGrad", "func(dx, y, dy []T, planes, n, stride, yStride int)", "writes y·(dy − Σ y·dy) down every column.")
	m.Planes(nil, func(c machine.Columns) {
		dot := c.Sum(func(j int, x []V) V {
			m.Mul(x[0], x[0], x[1])
			return x[0]
		}, nil, machine.In("y", 0), machine.In("dy", 0), machine.Ahead("y"), machine.Ahead("dy"), machine.Ahead("dx"))
		c.Each(func(j int, x []V) V { return grad(m, dot[j], x) }, machine.In("y", 0), machine.In("dy", 0), machine.Out("dx"))
	})
	m.End()
}

// All are the descriptions of every kernel.
var All = []func(machine.Machine){
	dot, sum, expSum, sumExp,
	largest, scale, subtract, softmaxGrad, logSoftmaxGrad, cumSum, argMax, classErrors, classGrad, transpose,
	softmaxRows, logSoftmaxRows, softmaxRowsGrad, logSoftmaxRowsGrad, argMaxRows,
	softmaxPlanes, logSoftmaxPlanes, softmaxPlanesGrad, argMaxPlanes,
}
