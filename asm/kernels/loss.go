package kernels

import (
	"math"
	"slices"

	"github.com/lanewise/lanewise/asm/lanes"
	"github.com/lanewise/lanewise/asm/machine"
	"github.com/lanewise/lanewise/asm/pipeline"
)

// What labels stand for, as the loss has it too.
const (
	dropped    = -3   // of a pixel that takes no part
	firstLabel = -128 // the first one in the table of what they stand for
)

// Loss is the kernels of the loss that have one description. Slices fit each other and are not empty.
var Loss = []pipeline.Kernel{
	{Name: "lossTargets", Signature: "func(targets, labels, of []int32, last uint32)", On: pipeline.Lanes(lossTargets),
		Doc: "writes what labels stand for: of has that of firstLabel and the following ones, and at last, its end, that of all others."},
	{Name: "lossCountTargets", Signature: "func(targets []int32) (minus1, minus2, minus3, minus4, one uint32)",
		On:  pipeline.Lanes(lossCountTargets),
		Doc: "returns how many targets are −1, −2, −3, −4 and 1."},
	{Name: "lossPick", Signature: "func(dst, src []uint32, n *[8]uint32, targets []int32)", On: pipeline.Lanes(lossPick),
		Doc:    "appends the elements of src whose target is not −3 to the n[0] elements of dst. It writes up to 16 elements more.",
		Beyond: map[string]pipeline.Beyond{"dst": {Write: 16}}},
	{Name: "lossUnpick", Signature: "func(dst, src []float32, n *[8]uint32, targets []int32)", On: pipeline.Lanes(lossUnpick),
		Doc: "writes the elements of src from n[0] on, one after the other, where the target is not −3, else 0. It reads up to 16 elements " +
			"more.",
		Beyond: map[string]pipeline.Beyond{"src": {Read: 16}}},
	{Name: "lossSoftmax", Signature: "func(dst, src, max, rest, comp []float32, planes, n, dstStride, srcStride int)",
		On:    pipeline.Everywhere(lossSoftmax),
		Doc:   "writes the softmax down every column, and what it is made of.",
		Apart: manyPlanes},
	{Name: "lossSoftmaxRows", Signature: "func(dst, src, max, rest, comp []float32, cols, n, dstStride int)",
		On:  pipeline.Everywhere(lossSoftmaxRows),
		Doc: "is lossSoftmax of n rows."},
	{Name: "lossSoftmaxGrad", Signature: "func(dx, s, dy, own, comp []float32, planes, n, dxStride, sStride, dyStride int)",
		On:    pipeline.Everywhere(lossSoftmaxGrad),
		Doc:   "writes the gradient by the logits down every column.",
		Apart: manyPlanes},
	{Name: "lossSoftmaxGradRows", Signature: "func(dx, s, dy, own, comp []float32, cols, n, sStride, dyStride int)",
		On:  pipeline.Everywhere(lossSoftmaxGradRows),
		Doc: "is lossSoftmaxGrad, which it writes as n rows."},
	{Name: "lossEntropyGrad", Signature: "func(dx, s, dy, own, comp, a []float32, planes, n, dxStride, sStride, dyStride int)",
		On:    pipeline.Everywhere(lossEntropyGrad),
		Doc:   "is lossSoftmaxGrad, and adds s·a to every plane; a is one plane.",
		Apart: manyPlanes},
	{Name: "lossEntropyGradRows", Signature: "func(dx, s, dy, own, comp, a []float32, cols, n, sStride, dyStride int)",
		On:  pipeline.Everywhere(lossEntropyGradRows),
		Doc: "is lossEntropyGrad, which it writes as n rows."},
	{Name: "lossSigmoid", Signature: "func(dst, src []float32, target []int32, class int32)", On: pipeline.Everywhere(lossSigmoid),
		Doc: "writes the errors of the sigmoids of src, negative where target is class."},
	{Name: "lossHinge", Signature: "func(dst, src []float32, target []int32, class int32)", On: pipeline.Everywhere(lossHinge),
		Doc: "writes the hinge errors of src, negative where target is class."},
	{Name: "lossClamp", Signature: "func(dst, src []float32, target []int32, class int32) float32", On: pipeline.Everywhere(lossClamp),
		Doc: "writes the errors of the probabilities src, negative where target is class. It returns 0 if none had to be clamped, " +
			"otherwise something positive or NaN."},
	{Name: "lossSigmoidGrad", Signature: "func(dx, x, dy []float32)", On: pipeline.Everywhere(lossSigmoidGrad),
		Doc: "writes the gradient by the logits x: p·(1 − p)·dy."},
	{Name: "lossNearest", Signature: "func(x []float32) float32", On: pipeline.Everywhere(lossNearest),
		Doc: "returns the largest element with a negative sign; −Inf without one."},
	{Name: "lossLargest", Signature: "func(x []float32) float32", On: pipeline.Everywhere(lossLargest),
		Doc: "returns the largest absolute value."},
	{Name: "lossAddProduct", Signature: "func(dst, s, a []float32)", On: pipeline.Everywhere(lossAddProduct),
		Doc: "adds s·a to dst."},
	{Name: "lossLog1p", Signature: "func(dst, src []float32)", On: pipeline.Everywhere(lossLog1p),
		Doc: "writes log(1 + src); src is not negative."},
}

func lossTargets(m lanes.Machine) {
	targets, labels, of := m.Slice("targets"), m.Slice("labels"), m.Slice("of")
	first, last := m.Const(32, -firstLabel), m.Arg("last", 32)
	m.Once(32, func(j int) {
		at, target := m.New(32), m.New(32)
		m.Ahead(labels, j)
		m.Load(at, labels, j)
		m.Add(at, at, first)
		m.Min(at, at, last)
		m.Gather(target, of, at)
		m.Store(targets, j, target)
	}, labels, targets)
}

// lossCountTargets counts no zeros: there are more of these behind the end.
func lossCountTargets(m lanes.Machine) {
	targets := m.Slice("targets")
	results := []string{"minus1", "minus2", "minus3", "minus4", "one"}
	var values, counts []lanes.V
	for i := range results {
		value := uint64(1<<32 - 1 - i)
		if results[i] == "one" {
			value = 1
		}
		values, counts = append(values, m.Const(32, value)), append(counts, m.New(32))
		m.Set(counts[i], m.Const(32, 0))
	}
	m.Once(32, func(j int) {
		target := m.New(32)
		m.Load(target, targets, j)
		for i, value := range values {
			m.Increment(counts[i], m.Equal(target, value))
		}
	}, targets)
	for i, result := range results {
		m.ReturnSum(result, counts[i])
	}
}

func lossPick(m lanes.Machine) {
	src, targets, dropped := m.Slice("src"), m.Slice("targets"), m.Const(32, 1<<32+dropped)
	to := m.Streams("dst", "n", 1)
	m.Once(32, func(j int) {
		x := m.New(32)
		m.Load(x, src, j)
		m.Append(to[0], x, notEqual(m, targets, j, dropped))
	}, src, targets)
	m.Leave(to)
}

func lossUnpick(m lanes.Machine) {
	dst, targets, dropped := m.Slice("dst"), m.Slice("targets"), m.Const(32, 1<<32+dropped)
	from := m.Streams("src", "n", 1)
	m.Once(32, func(j int) {
		x := m.New(32)
		m.Set(x, m.Const(32, 0))
		m.Take(x, from[0], notEqual(m, targets, j, dropped))
		m.Store(dst, j, x)
	}, targets, dst)
	m.Leave(from)
}

// notEqual returns where the elements of a slice are not x.
func notEqual(m lanes.Machine, s lanes.S, j int, x lanes.V) lanes.M {
	v := m.New(32)
	m.Load(v, s, j)
	return m.Without(m.Equal(v, v), m.Equal(v, x))
}

func lossSoftmax(m machine.Machine) {
	m.Planes(func(c machine.Columns) {
		columnErrors(m, c, columnMax(m, c, "src", machine.Out(machine.Scratch)))
	}, func(c machine.Columns) {
		top := columnMax(m, c, "src")
		c.Store("max", top)
		ones := c.Block(0)
		others := c.Sum(expsBut1(m, top, ones), nil, machine.In("src", 0), machine.Out("dst"))
		columnInverse(m, c, ones, others, "dst")
	})
}

func lossSoftmaxRows(m machine.Machine) {
	m.Turn(func(c machine.Columns) {
		columnErrors(m, c, columnMax(m, c, machine.Scratch))
	}, []string{"src"}, "")
}

// columnErrors is lossSoftmax of Scratch.
func columnErrors(m machine.Machine, c machine.Columns, top []V) {
	c.Store("max", top)
	ones := c.Block(0)
	c.Each(expsBut1(m, top, ones), machine.In(machine.Scratch, 0), machine.Out(machine.Scratch), machine.Ahead("src"), machine.Ahead("dst"))
	others := c.Fold(nil, machine.In(machine.Scratch, 0))
	columnInverse(m, c, ones, others, machine.Scratch)
}

// expsBut1 returns exp(x − top), or −0 where that is 1, which it counts.
func expsBut1(m machine.Machine, top, ones []V) func(j int, x []V) V {
	e, one, half, minus0 := newExp(m), m.Const(1), m.Const(0.5), m.Const(math.Copysign(0, -1))
	return func(j int, x []V) V {
		m.Sub(x[0], x[0], top[j])
		y := e.of(x[0])
		m.Equal(x[0], y, one, one)
		m.Add(ones[j], ones[j], x[0])
		m.Sub(x[0], half, x[0])
		m.BySign(y, x[0], minus0, y)
		return y
	}
}

// columnInverse turns exponentials into probabilities. So many of them are 1, and stand there as −0; the others have that sum.
func columnInverse(m machine.Machine, c machine.Columns, ones, others []V, src string) {
	one := m.Const(1)
	for j, rest := range others {
		m.Sub(ones[j], ones[j], one)
		m.Add(rest, ones[j], rest)
	}
	c.Store("rest", others)
	for j, rest := range others {
		inverse := ones[j]
		m.Add(inverse, rest, one)
		m.Div(inverse, one, inverse)
		m.Mul(rest, rest, inverse)
	}
	c.Store("comp", others)
	c.Each(func(j int, x []V) V {
		m.BySign(x[0], x[0], one, x[0])
		m.Mul(x[0], ones[j], x[0])
		return x[0]
	}, machine.In(src, 0), machine.Out("dst"))
}

func lossSoftmaxGrad(m machine.Machine) {
	m.Planes(nil, func(c machine.Columns) { columnErrorsGrad(m, c, machine.Out("dx")) })
}

func lossSoftmaxGradRows(m machine.Machine) {
	m.Turn(func(c machine.Columns) { columnErrorsGrad(m, c, machine.Out(machine.Scratch)) }, nil, "dx")
}

func lossEntropyGrad(m machine.Machine) {
	m.Planes(nil, func(c machine.Columns) { columnErrorsGrad(m, c, machine.Column("a"), machine.Out("dx")) })
}

func lossEntropyGradRows(m machine.Machine) {
	m.Turn(func(c machine.Columns) { columnErrorsGrad(m, c, machine.Column("a"), machine.Out(machine.Scratch)) }, nil, "dx")
}

// columnErrorsGrad is lossSoftmaxGrad, or lossEntropyGrad where there is a column before what is written.
func columnErrorsGrad(m machine.Machine, c machine.Columns, bufs ...machine.Buf) {
	half, zero := m.Const(0.5), m.Const(0)
	large := c.Block(0)
	others := c.Sum(func(j int, x []V) V {
		p, v := x[0], x[1]
		m.BySign(p, p, x[2], p)
		m.Mul(v, p, v)
		m.Sub(p, half, p) // negative for the one probability above ½
		m.BySign(p, p, v, zero)
		m.Add(large[j], large[j], p)
		m.Sub(v, v, p)
		return v
	}, nil, machine.In("s", 0), machine.In("dy", 0), machine.Column("own"), machine.Ahead("s"), machine.Ahead("dx"))
	for j := range large {
		m.Add(large[j], others[j], large[j])
	}
	one := m.Const(1)
	c.Each(func(j int, x []V) V {
		p, v, t := x[0], x[1], m.New()
		for _, a := range x[4:] {
			m.Mul(a, a, p) // of the error
		}
		m.BySign(p, p, x[2], p)
		m.Sub(t, half, p)
		m.BySign(x[3], t, x[3], one)
		m.Mul(v, v, x[3])
		m.BySign(t, t, others[j], large[j])
		m.Sub(v, v, t)
		m.Mul(p, p, v)
		for _, a := range x[4:] {
			m.Add(p, p, a)
		}
		return p
	}, slices.Concat([]machine.Buf{machine.In("s", 0), machine.In("dy", 0), machine.Column("own"), machine.Column("comp")}, bufs)...)
}

// sigmoidOf returns 1/(1 + e) for x ≥ 0 and e/(1 + e) for others, e = exp(−|x|).
func sigmoidOf(m machine.Machine, e exp, zero, one, x V) V {
	y, top := expMinusAbs(m, e, zero, x), m.New()
	m.BySign(top, x, y, one)
	m.Add(y, y, one)
	m.Div(y, top, y)
	return y
}

// expMinusAbs returns exp(−|x|).
func expMinusAbs(m machine.Machine, e exp, zero, x V) V {
	a := m.New()
	m.Abs(a, x)
	m.Sub(a, zero, a)
	return e.of(a)
}

// targets hands body the registers of src, turned around for foreground; what it returns is turned around for foreground again.
func targets(m machine.Machine, body func(x V) V) {
	class, minusTwo, one := m.Arg("class"), m.Const(-2), m.Const(1)
	m.Each(func(j int, r []V) V {
		x, sign := r[0], r[1]
		m.Equal(sign, sign, class, one)
		m.Mul(sign, sign, minusTwo)
		m.Add(sign, sign, one)
		m.Mul(x, x, sign)
		y := body(x)
		m.Mul(y, y, sign)
		return y
	}, machine.In("src", 0), machine.In("target", 0), machine.Out("dst"))
}

func lossSigmoid(m machine.Machine) {
	e, zero, one := newExp(m), m.Const(0), m.Const(1)
	targets(m, func(x V) V { return sigmoidOf(m, e, zero, one, x) })
}

func lossHinge(m machine.Machine) {
	zero, one := m.Const(0), m.Const(1)
	targets(m, func(x V) V {
		m.Add(x, x, one)
		m.BySign(x, x, zero, x)
		return x
	})
}

func lossClamp(m machine.Machine) {
	class, zero, one, minusTwo := m.Arg("class"), m.Const(0), m.Const(1), m.Const(-2)
	check := m.Sums()
	m.Each(func(j int, x []V) V {
		e, target, t := x[0], x[1], m.New()
		m.Equal(target, target, class, one)
		m.Sub(e, target, e) // 1 − p, or −p
		m.Mul(t, target, minusTwo)
		m.Add(target, t, one)
		m.Mul(t, e, target)
		m.Sub(t, zero, t) // the error
		m.Set(e, t)
		m.BySign(t, t, zero, t)
		above := m.New()
		m.Sub(above, one, t)
		m.BySign(t, above, one, t)
		m.Sub(above, e, t)
		m.Abs(above, above)
		m.Add(check[j], check[j], above)
		m.Mul(t, t, target)
		return t
	}, machine.In("src", 0), machine.In("target", 0), machine.Out("dst"))
	sum := m.New()
	m.Sum(sum, check)
	m.Return(sum)
}

func lossSigmoidGrad(m machine.Machine) {
	e, zero, one := newExp(m), m.Const(0), m.Const(1)
	m.Each(func(j int, x []V) V {
		y, p := expMinusAbs(m, e, zero, x[0]), m.New()
		m.Add(p, y, one)
		m.Div(p, one, p)
		m.Mul(y, y, p)
		m.Mul(p, p, y)
		m.Mul(p, p, x[1])
		return p
	}, machine.In("x", 0), machine.In("dy", 0), machine.Out("dx"))
}

// lossNearest returns the smallest error of foreground, negative; −Inf where there is none.
func lossNearest(m machine.Machine) {
	block := m.Block(-inf)
	low := m.Const(-inf)
	m.Each(func(j int, x []V) V {
		m.BySign(x[0], x[0], x[0], low)
		m.Max(block[j], block[j], x[0])
		return machine.None
	}, machine.In("x", -inf))
	top := m.New()
	m.Largest(top, block)
	m.Return(top)
}

func lossLargest(m machine.Machine) {
	block := m.Block(0)
	m.Each(func(j int, x []V) V {
		m.Abs(x[0], x[0])
		m.Max(block[j], block[j], x[0])
		return machine.None
	}, machine.In("x", 0))
	top := m.New()
	m.Largest(top, block)
	m.Return(top)
}

func lossAddProduct(m machine.Machine) {
	m.Map(func(x []V) V {
		m.Mul(x[1], x[1], x[2])
		m.Add(x[0], x[0], x[1])
		return x[0]
	}, machine.In("dst", 0), machine.In("s", 0), machine.In("a", 0), machine.Out("dst"))
}

// lossLog1p writes log(1 + x) for x ≥ 0, in float64 and then rounded: the logarithm of 1 + x, and what 1 + x has lost of x.
func lossLog1p(m machine.Machine) {
	m.Each(func(j int, x []V) V {
		w := m.Widen(x[0])
		for _, x := range w {
			d := m.Double()
			sum, lost := d.New(), d.New()
			one := d.Const(1)
			d.Add(sum, x, one)
			d.Sub(lost, sum, one)
			d.Sub(lost, x, lost)
			d.Div(lost, lost, sum)
			log64(d, sum)
			d.Add(x, sum, lost)
		}
		m.Narrow(x[0], w)
		return x[0]
	}, machine.In("src", 0), machine.Out("dst"))
}
