package kernels

import (
	"fmt"
	"slices"

	"github.com/lanewise/lanewise/asm/lanes"
	"github.com/lanewise/lanewise/asm/pipeline"
)

// What the kernels and the loss have to agree on.
const (
	maxParts    = 8
	oneBits     = 0x3f800000         // Float32bits(1)
	one64       = 0x3ff0000000000000 // Float64bits(1)
	restBits    = 14                 // of an error, below its bin
	firstBin    = 48639              // the bits above these, of the errors of bin 0
	binCount    = 32<<9 + 2          // bins
	packedShift = 39                 // where the count in a tally begins
)

// Weigh is the kernels that find the weights of errors, which follow kernels_generic_loss.go.
var Weigh = slices.Concat(forParts(split), []pipeline.Kernel{
	{Name: "lossCount", Signature: "func(counts, ranks, keys []uint32, shift, first uint32)",
		Doc: "counts the keys by bin, (key >> shift) - first, and writes how many were in its bin before to ranks.",
		On:  pipeline.LanesOf256(lossCount)},
	{Name: "lossPlace", Signature: "func(slots []uint16, positions, keys, starts []uint32, shift, first uint32)",
		Doc: "finds the slot of every key from its bin's start and its rank, which its position replaces, and stores the lower shift " +
			"bits of the key, plus 2, there. The 31 keys and ranks behind the last ones have to be valid.",
		On:     pipeline.LanesOf256(lossPlace),
		Beyond: map[string]pipeline.Beyond{"positions": {Read: 31, Write: 31}, "keys": {Read: 31}}},
	{Name: "lossRank",
		Signature: "func(weights []float32, slots []uint16, scratch []uint64, base, twice uint32, more *[2][32]uint32) (background, " +
			"foreground uint32)",
		Doc: "replaces the rows of 32 slots by zeros and writes the weights of their pixels. Lane by lane come the bins with smaller " +
			"keys; base is G + FP> and twice 2·(G - TP>) before the first; more[0] is to be added, and more[1] to be subtracted, per lane. " +
			"It returns how many pixels there were.",
		On: pipeline.Lanes(lossRank)},
	{Name: "lossGather", Signature: "func(dst []float32, positions, keys []uint32, weights []float32, scale float64) (sum int64)",
		Doc: "writes the weights at the positions of the keys, and returns Σ bits(1 + error·scale·weight) - bits(1).",
		On:  pipeline.Lanes(lossGather)},
	{Name: "lossTally", Signature: "func(packed []uint64, keys []uint32)",
		Doc: "counts the keys by their bins, those of background first, then those of foreground: it adds 1<<39 + the key without its bin.",
		On:  pipeline.LanesOf256(lossTally)},
	{Name: "lossLookUp", Signature: "func(dst, signed, table []float32, first uint32, factor float32)",
		Doc: "writes factor times the weights that the pixels have by their bins, negated for foreground: table has those of " +
			"background and of foreground in turn, from the bin whose errors' bits begin with first on. Smaller errors have the weights of " +
			"that one.",
		On: pipeline.Lanes(lossLookUp)},
}, forParts(expand))

// forParts are the kernels of each number of parts that a class's keys may have.
func forParts(kernel func(parts int) pipeline.Kernel) (k []pipeline.Kernel) {
	for _, parts := range []int{1, 2, 4, maxParts} {
		k = append(k, kernel(parts))
	}
	return k
}

func split(parts int) pipeline.Kernel {
	return pipeline.Kernel{
		Name: fmt.Sprint("lossSplit", parts), Signature: "func(keys *[8][]uint32, n *[8]uint32, from *[9]uint32, signed []float32)",
		Doc: "appends the keys of the pixels, 2·(bits of the error) + (1 for foreground), to the n[t] keys of the first part t whose " +
			"from[t] is no larger than the bits. Errors are negative for foreground, and count as from[8] where they are larger. It writes " +
			"up to 16 keys more.",
		On: pipeline.Lanes(func(m lanes.Machine) { lossSplit(m, parts) }),
	}
}

func expand(parts int) pipeline.Kernel {
	return pipeline.Kernel{
		Name: fmt.Sprint("lossExpand", parts), Signature: "func(dst, signed, weights []float32, at *[8]uint32, from *[9]uint32, factor float32)",
		Doc: "writes factor times the weights of the pixels, negated for foreground: those of part t are in weights from at[t] on, " +
			"in the order in which split took them; 0 where it took none. It reads up to 16 weights more.",
		On:     pipeline.Lanes(func(m lanes.Machine) { lossExpand(m, parts) }),
		Beyond: map[string]pipeline.Beyond{"weights": {Read: 16}},
	}
}

// partBounds returns what the errors' bits are above in each part, or a part before.
func partBounds(m lanes.Machine, parts int) []lanes.V {
	bounds, one := make([]lanes.V, parts), m.Const(32, 1)
	for t := range bounds {
		bounds[t] = m.Element("from", t)
		m.Sub(bounds[t], bounds[t], one)
	}
	return bounds
}

// eachPart hands body the lanes of e that are in each part.
func eachPart(m lanes.Machine, e lanes.V, bounds []lanes.V, body func(t int, in lanes.M)) {
	var before lanes.M
	for t, bound := range bounds {
		above := m.Above(e, bound)
		if t == 0 {
			body(t, above)
		} else {
			body(t, m.Without(above, before))
		}
		before = above
	}
}

func lossSplit(m lanes.Machine, parts int) {
	signed, bounds, top := m.Slice("signed"), partBounds(m, parts), m.Element("from", maxParts)
	others, to := m.Const(32, 1<<31-1), m.Streams("keys", "n", parts)
	m.Once(32, func(j int) {
		e, key := m.New(32), m.New(32)
		m.Ahead(signed, j)
		m.Load(key, signed, j)
		m.And(e, key, others)
		m.Min(e, e, top)
		m.ShiftRightBy(key, key, 31) // 1 for foreground
		m.Add(key, key, e)
		m.Add(key, key, e)
		eachPart(m, e, bounds, func(t int, in lanes.M) { m.Append(to[t], key, in) })
	}, signed)
	m.Leave(to)
}

func lossExpand(m lanes.Machine, parts int) {
	dst, signed, bounds := m.Slice("dst"), m.Slice("signed"), partBounds(m, parts)
	factor, others, from := m.Arg("factor", 32), m.Const(32, 1<<31-1), m.Streams("weights", "at", parts)
	m.Once(32, func(j int) {
		s, e, w := m.New(32), m.New(32), m.Const(32, 0)
		m.Ahead(signed, j)
		m.Load(s, signed, j)
		m.And(e, s, others)
		eachPart(m, e, bounds, func(t int, in lanes.M) { m.Take(w, from[t], in) })
		m.MulFloats(w, w, factor)
		m.NegateBy(w, s)
		m.Store(dst, j, w)
	}, dst, signed)
	m.Leave(from)
}

// lossCount does not count one by one where all are in one bin: each would wait for the one before.
func lossCount(m lanes.Machine) {
	counts, ranks, keys := m.Slice("counts"), m.Slice("ranks"), m.Slice("keys")
	shift, first := m.ShiftRight("shift", 0), m.Arg("first", 32)
	m.Each(32, func(j int) {
		bin := m.New(32)
		m.Ahead(keys, j)
		m.Ahead(ranks, j)
		m.Load(bin, keys, j)
		m.Shift(bin, bin, shift)
		m.Sub(bin, bin, first)
		m.LanesUnlessAlike(func(bin lanes.R) {
			m.PutSteps(ranks, m.Advance(counts, bin, lanes.Turn))
		}, func(bin []lanes.R) lanes.R {
			m.PutOwn(ranks, m.Advance(counts, bin[0], 1))
			return lanes.None
		}, m.Spill(bin))
	}, keys, ranks)
}

// lossPlace fetches the slots before any of a turn is stored to.
func lossPlace(m lanes.Machine) {
	slots, positions, keys, starts := m.Slice("slots"), m.Slice("positions"), m.Slice("keys"), m.Slice("starts")
	shift, above, first := m.ShiftRight("shift", 0), m.ShiftLeft("shift"), m.Arg("first", 32)
	upper, others, two, zero := m.Const(32, 1<<32-1), m.Const(32, 1<<31-1), m.Const(32, 2), m.Const(32, 0)
	m.Shift(upper, upper, above)
	m.Padded(32, func(j int) {
		key, start, at, more := m.New(32), m.New(32), m.New(32), m.New(32)
		m.Load(key, keys, j)
		m.Shift(at, key, shift)
		m.Sub(at, at, first)
		m.Gather(start, starts, at)
		m.Load(at, positions, j) // the rank
		m.ShiftLeftBy(more, at, 5)
		m.Sub(more, more, at)
		m.ZeroWhere(more, m.Above(zero, start)) // a list, not a column
		m.Add(at, at, more)
		m.And(start, start, others)
		m.Add(at, at, start)
		m.Store(positions, j, at)
		m.AndNot(key, key, upper)
		m.Add(key, key, two)
		places := m.Spill(at)
		m.Lanes(func(at []lanes.R) lanes.R {
			m.Fetch(slots, at[0])
			return lanes.None
		}, places)
		m.Lanes(func(x []lanes.R) lanes.R {
			m.Put(slots, x[0], x[1])
			return lanes.None
		}, places, m.Spill(key))
	}, keys, positions)
}

// lossRank compares all pixels of a column with each other. Counts of background are in the lower byte of 16 bits, those of foreground in
// the upper one.
func lossRank(m lanes.Machine) {
	weights, slots, scratch, more := m.Slice("weights"), m.Slice("slots"), m.Slice("scratch"), m.Slice("more")
	values, units, larger, smaller := m.Narrow(scratch, 16, 0), m.Narrow(scratch, 16, 1), m.Narrow(scratch, 16, 2), m.Narrow(scratch, 16, 3)
	zero, one, all := m.Const(16, 0), m.Const(16, 1), m.Block(16, 0)
	m.Whole(16, func(j int) {
		x, unit, foreground := m.New(16), m.New(16), m.New(16)
		m.Load(x, slots, j)
		m.Store(slots, j, zero)
		m.Min(unit, x, one) // 1 for a pixel
		m.And(foreground, x, one)
		m.Sub(unit, unit, foreground)
		m.ShiftLeftBy(foreground, foreground, 8)
		m.Add(unit, unit, foreground)
		m.Add(all[j], all[j], unit)
		m.ShiftRightBy(x, x, 1)
		m.Store(values, j, x)
		m.Store(units, j, unit)
		m.Store(larger, j, zero)
		m.Store(smaller, j, zero)
	}, slots, scratch)

	m.Pairwise(16, func(a, b []lanes.V) {
		const value, unit, larger, smaller = 0, 1, 2, 3
		above := m.Above(b[value], a[value])
		m.AddWhere(a[larger], b[unit], above)
		m.AddWhere(b[smaller], a[unit], above)
		below := m.Above(a[value], b[value])
		m.AddWhere(a[smaller], b[unit], below)
		m.AddWhere(b[larger], a[unit], below)
	}, slots, []lanes.S{values, units}, []lanes.S{larger, smaller})

	low, background, foreground := m.Const(16, 255), m.Const(16, 0), m.Const(16, 0)
	base, twice := m.Arg("base", 32), m.Arg("twice", 32)
	var bases, twices []lanes.V
	for j := range all {
		bg, fg := m.New(16), m.New(16)
		m.And(bg, all[j], low)
		m.ShiftRightBy(fg, all[j], 8)
		m.Prefix(bg, bg, background)
		m.Prefix(fg, fg, foreground)
		for half := range 2 {
			a, left, t := m.New(32), m.New(32), m.New(32)
			m.Widen(a, bg, half)
			m.Add(a, a, base)
			m.Load(t, more, 2*j+half)
			m.Add(a, a, t)
			m.Widen(t, fg, half)
			m.Add(t, t, t)
			m.Sub(left, twice, t)
			m.Load(t, more, 2*(len(all)+j)+half)
			m.Sub(left, left, t)
			bases, twices = append(bases, m.Park(a)), append(twices, m.Park(left))
		}
		all[j] = m.Park(all[j])
	}
	for _, n := range []lanes.V{background, foreground} {
		t := m.New(32)
		m.Widen(t, n, 0)
		m.ReturnFirst(map[lanes.V]string{background: "background", foreground: "foreground"}[n], t)
	}

	fgUnit, half32 := m.Const(32, 256), m.Const(32, 0x3f000000)
	m.Whole(16, func(j int) {
		unit, more, most, fg, t := m.New(16), m.New(16), m.New(16), m.New(16), m.New(16)
		m.Load(unit, units, j)
		m.Load(more, larger, j)
		m.Load(most, smaller, j)
		m.Sub(most, all[j], most) // larger or equal
		m.ShiftRightBy(fg, more, 8)
		m.ShiftRightBy(t, most, 8)
		m.Add(fg, fg, t) // TP> + TP≥ within the lane
		m.And(more, more, low)
		m.And(most, most, low)
		for half := range 2 {
			a, b, n, t := m.New(32), m.New(32), m.New(32), m.New(32)
			m.Widen(a, more, half)
			m.Widen(b, most, half)
			m.Widen(n, fg, half)
			m.Add(a, a, bases[2*j+half])
			m.Add(b, b, bases[2*j+half])
			m.Sub(n, twices[2*j+half], n)
			m.Widen(t, unit, half)
			foreground := m.Equal(t, fgUnit)
			m.Add(t, a, b)
			m.SetWhere(n, t, foreground)
			m.ToFloats(a, a)
			m.ToFloats(b, b)
			m.ToFloats(n, n)
			m.MulFloats(n, n, half32)
			m.MulFloats(a, a, b)
			m.DivFloats(n, n, a)
			m.Store(weights, 2*j+half, n)
		}
	}, slots, scratch, weights)
}

func lossGather(m lanes.Machine) {
	dst, positions, keys, weights := m.Slice("dst"), m.Slice("positions"), m.Slice("keys"), m.Slice("weights")
	one, scale, sum := m.Const(64, one64), m.Arg("scale", 64), m.Const(64, 0)
	m.Once(32, func(j int) {
		at, e, w := m.New(32), m.New(32), m.New(32)
		m.Ahead(keys, j)
		m.Ahead(dst, j)
		m.Load(at, positions, j)
		m.Load(e, keys, j) // 0 adds nothing
		m.Gather(w, weights, at)
		m.Store(dst, j, w)
		m.ShiftRightBy(e, e, 1)
		var x, y [2]lanes.V
		for half := range 2 {
			x[half], y[half] = m.New(64), m.New(64)
		}
		m.ToDoubles(x[0], x[1], e)
		m.ToDoubles(y[0], y[1], w)
		for half := range 2 {
			x, y, part := x[half], y[half], m.New(64)
			m.MulDoubles(x, x, scale)
			m.MulAddDoubles(part, x, y, one) // the product is exact
			m.Sub(part, part, one)
			m.Add(sum, sum, part)
		}
	}, keys, positions, dst)
	m.ReturnSum("sum", sum)
}

func lossTally(m lanes.Machine) {
	packed, keys := m.Slice("packed"), m.Slice("keys")
	first, bins, rest, unit := m.Const(32, firstBin), m.Const(32, binCount), m.Const(32, 2<<restBits-1), m.Const(32, 1<<(packedShift-32))
	m.Each(32, func(j int) {
		key, bin, foreground, x, y := m.New(32), m.New(32), m.New(32), m.New(64), m.New(64)
		m.Ahead(keys, j)
		m.Load(key, keys, j)
		m.ShiftRightBy(bin, key, restBits+1)
		m.Max(bin, bin, first)
		m.Sub(bin, bin, first)
		m.ShiftLeftBy(foreground, key, 31)
		m.Sign(foreground, foreground)
		m.And(foreground, foreground, bins)
		m.Add(bin, bin, foreground)
		m.And(key, key, rest)
		m.Zip(x, y, key, unit)
		m.Lanes(func(x []lanes.R) lanes.R {
			m.AddTo(packed, x[0], x[1])
			return lanes.None
		}, m.Spill(bin), m.Spill(x, y))
	}, keys)
}

func lossLookUp(m lanes.Machine) {
	dst, signed, table := m.Slice("dst"), m.Slice("signed"), m.Slice("table")
	first, factor := m.Arg("first", 32), m.Arg("factor", 32)
	others, one := m.Const(32, 1<<31-1), m.Const(32, oneBits)
	m.Once(32, func(j int) {
		s, bin, w := m.New(32), m.New(32), m.New(32)
		m.Ahead(signed, j)
		m.Load(s, signed, j)
		m.And(bin, s, others)
		m.Min(bin, bin, one)
		m.ShiftRightBy(bin, bin, restBits)
		m.Max(bin, bin, first)
		m.Sub(bin, bin, first)
		m.ShiftRightBy(w, s, 31) // 1 for foreground
		m.Add(bin, bin, bin)
		m.Add(bin, bin, w)
		m.Gather(w, table, bin)
		m.MulFloats(w, w, factor)
		m.NegateBy(w, s)
		m.Store(dst, j, w)
	}, signed, dst)
}
