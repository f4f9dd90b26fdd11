package kernels

import (
	"github.com/lanewise/lanewise/asm/lanes"
	"github.com/lanewise/lanewise/asm/pipeline"
)

// Sort is the kernels of the sort, which follow kernels_generic_sort.go.
var Sort = []pipeline.Kernel{
	{Name: "sortCount32", Signature: "func(counts, keys []uint32, shift uint32) (nan bool)", On: pipeline.LanesOf256(sortCount32),
		Doc: "counts float32s by the bits of their keys above shift, and reports whether there is a NaN."},
	{Name: "sortSplit32", Signature: "func(items []uint64, keys []uint32, index uint32, parts, next []uint32, shift uint32)",
		On: pipeline.LanesOf256(sortSplit32),
		Doc: "moves the items that float32s become, the first of which has the index, to the next places in their parts: parts by " +
			"the bits of their keys above shift."},
	{Name: "sortUnpack", Signature: "func(keys []uint32, perm []int32, items []uint64)", On: pipeline.Lanes(sortUnpack),
		Doc: "turns items into float32s and their indices."},
	{Name: "sortCount64", Signature: "func(counts []uint32, keys []uint64, up, shift uint32)", On: pipeline.LanesOf256(sortCount64),
		Doc: "counts float64s by the bits of their keys, shifted left by up, above shift + 32."},
	{Name: "sortSplit64",
		Signature: "func(values []uint64, perm []int32, keys []uint64, index uint32, parts, next []uint32, up, shift uint32)",
		On:        pipeline.LanesOf256(sortSplit64),
		Doc: "moves float64s, the first of which has the index, to the next places in their parts, and their indices to the same " +
			"places in perm: parts by the bits that sortCount64 counts."},
	{Name: "sortItems64", Signature: "func(items, keys []uint64, up, low uint32)", On: pipeline.Lanes(sortItems64),
		Doc: "turns float64s into items: their keys, shifted left by up, and in the lowest bits, low of them, where each is."},
	{Name: "sortBounds", Signature: "func(items []uint64) (least, largest uint32)", On: pipeline.Lanes(sortBounds),
		Doc: "returns the smallest and the largest key of items."},
	{Name: "sortCount", Signature: "func(counts []uint16, items []uint64, least, shift uint32)", On: pipeline.LanesOf256(sortCount),
		Doc: "counts items by how far their keys are above the least, shifted right."},
	{Name: "sortPlace", Signature: "func(sorted, items []uint64, next []uint16, least, shift uint32)", On: pipeline.LanesOf256(sortPlace),
		Doc: "moves items to the next places in their bins: bins by what sortCount counts."},
	{Name: "sortSums", Signature: "func(counts []uint16) (most uint16)", On: pipeline.LanesOf256(sortSums),
		Doc: "turns counts into the sums of those before, and returns the largest of them. It takes a multiple of 32."},
	{Name: "sortNeighbours", Signature: "func(items []uint64)", On: pipeline.Lanes(sortNeighbours),
		Doc: "orders pairs of neighbours three times over: those that begin at even items, at odd ones, and at even ones again. It takes a " +
			"multiple of 32."},
	{Name: "sortBelow", Signature: "func(items, limits []uint64) (at int)", On: pipeline.Lanes(sortBelow),
		Doc: "returns where the first 32 items begin of which one is below its limit, or how many items there are. It takes a multiple of 32."},
}

// descending turns the bits of floats into integers that are smaller the larger the floats are, and back; others is all bits but the sign.
func descending(m lanes.Machine, d, b, others lanes.V) {
	t := m.New(b.Bits)
	m.Sign(t, b)
	m.AndNot(t, others, t)
	m.Xor(d, b, t)
}

// A sortKey32 turns float32s into keys.
type sortKey32 struct{ sign, others lanes.V }

func newSortKey32(m lanes.Machine) sortKey32 {
	return sortKey32{m.Const(32, 1<<31), m.Const(32, 1<<31-1)}
}

func (k sortKey32) of(m lanes.Machine, key, b lanes.V) (zero lanes.M) {
	descending(m, key, b, k.others)
	zero = m.Equal(b, k.sign)
	m.Decrement(key, zero)
	return zero
}

func sortCount32(m lanes.Machine) {
	counts, keys, shift := m.Slice("counts"), m.Slice("keys"), m.ShiftRight("shift", 0)
	key, inf, largest := newSortKey32(m), m.Const(32, 0xff<<23), m.Const(32, 0)
	m.Each(32, func(j int) {
		b, k := m.New(32), m.New(32)
		m.Ahead(keys, j)
		m.Load(b, keys, j)
		key.of(m, k, b)
		m.Shift(k, k, shift)
		m.And(b, b, key.others)
		m.Max(largest, largest, b)
		m.Lanes(func(bin []lanes.R) lanes.R {
			m.Increment1(counts, bin[0])
			return lanes.None
		}, m.Spill(k))
	}, keys)
	m.ReturnAny("nan", m.Above(largest, inf))
}

// sortSplit32 stores items at a distance from where their places are found, so that no store waits for its address.
func sortSplit32(m lanes.Machine) {
	items, keys, index := m.Slice("items"), m.Slice("keys"), m.Arg("index", 32)
	parts, next, shift := m.Slice("parts"), m.Slice("next"), m.ShiftRight("shift", 0)
	key, last := newSortKey32(m), m.Last(items)
	m.Each(32, func(j int) {
		b, k, low, x, y := m.New(32), m.New(32), m.New(32), m.New(64), m.New(64)
		m.Ahead(keys, j)
		m.Load(b, keys, j)
		zero := key.of(m, k, b)
		m.Position(low, j)
		m.Add(low, low, index)
		m.Add(low, low, low)
		m.Increment(low, zero)
		m.Zip(x, y, low, k)
		m.Shift(k, k, shift)
		places := m.Lanes(func(bin []lanes.R) lanes.R {
			return place(m, next, m.Get(parts, bin[0]), last, items)
		}, m.Spill(k))
		m.Lanes(func(x []lanes.R) lanes.R {
			m.Put(items, x[0], x[1])
			return lanes.None
		}, places, m.Spill(x, y))
	}, keys)
}

// place takes the next place of a part, and fetches what is there. Should the keys not be those that were counted, because another
// goroutine writes to them, the result is of no use, but no other memory is written to.
func place(m lanes.Machine, next lanes.S, part, last lanes.R, to ...lanes.S) lanes.R {
	at := m.Advance(next, part, 1)
	m.AtMost(at, last)
	for _, s := range to {
		m.Fetch(s, at)
	}
	return at
}

func sortUnpack(m lanes.Machine) {
	keys, perm, items := m.Slice("keys"), m.Slice("perm"), m.Slice("items")
	others, one := m.Const(32, 1<<31-1), m.Const(32, 1)
	m.Each(32, func(j int) {
		x, y, low, k, zero := m.New(64), m.New(64), m.New(32), m.New(32), m.New(32)
		m.Ahead(keys, j)
		m.Ahead(perm, j)
		m.Load(x, items, 2*j)
		m.Load(y, items, 2*j+1)
		m.Low(low, x, y)
		m.High(k, x, y)
		m.And(zero, low, one)
		m.Add(k, k, zero)
		descending(m, k, k, others)
		m.ShiftRightBy(low, low, 1)
		m.Store(keys, j, k)
		m.Store(perm, j, low)
	}, keys, perm, items)
}

// A sortKey64 turns float64s into keys, shifted left by up.
type sortKey64 struct {
	sign, others, inf lanes.V
	up                lanes.Shift
}

func newSortKey64(m lanes.Machine) sortKey64 {
	return sortKey64{m.Const(64, 1<<63), m.Const(64, 1<<63-1), m.Const(64, 0x7ff<<52), m.ShiftLeft("up")}
}

func (k sortKey64) of(m lanes.Machine, key, b lanes.V) {
	descending(m, key, b, k.others)
	m.Decrement(key, m.Equal(b, k.sign))
	m.And(b, b, k.others)
	m.ZeroWhere(key, m.Above(b, k.inf))
	m.Shift(key, key, k.up)
}

// bins sets d to the bits of the keys of a register's float64s above a shift.
func (k sortKey64) bins(m lanes.Machine, d lanes.V, keys lanes.S, j int, shift lanes.Shift) {
	var key [2]lanes.V
	for i := range key {
		b := m.New(64)
		key[i] = m.New(64)
		m.Ahead(keys, 2*j+i)
		m.Load(b, keys, 2*j+i)
		k.of(m, key[i], b)
		m.Shift(key[i], key[i], shift)
	}
	m.Low(d, key[0], key[1])
}

func sortCount64(m lanes.Machine) {
	counts, keys, shift := m.Slice("counts"), m.Slice("keys"), m.ShiftRight("shift", 32)
	key := newSortKey64(m)
	m.Each(32, func(j int) {
		bin := m.New(32)
		key.bins(m, bin, keys, j, shift)
		m.Lanes(func(bin []lanes.R) lanes.R {
			m.Increment1(counts, bin[0])
			return lanes.None
		}, m.Spill(bin))
	}, keys)
}

func sortSplit64(m lanes.Machine) {
	values, perm, keys := m.Slice("values"), m.Slice("perm"), m.Slice("keys")
	parts, next, shift := m.Slice("parts"), m.Slice("next"), m.ShiftRight("shift", 32)
	key, last := newSortKey64(m), m.Last(values)
	m.Each(32, func(j int) {
		bin := m.New(32)
		key.bins(m, bin, keys, j, shift)
		places := m.Lanes(func(bin []lanes.R) lanes.R {
			return place(m, next, m.Get(parts, bin[0]), last, values, perm)
		}, m.Spill(bin))
		m.Lanes(func(at []lanes.R) lanes.R {
			m.Put(values, at[0], m.Own(keys))
			m.Put(perm, at[0], m.Index("index"))
			return lanes.None
		}, places)
	}, keys)
}

func sortItems64(m lanes.Machine) {
	items, keys, low := m.Slice("items"), m.Slice("keys"), m.ShiftLeft("low")
	key, upper := newSortKey64(m), m.Const(64, 1<<64-1)
	m.Shift(upper, upper, low)
	m.Each(64, func(j int) {
		b, k, at := m.New(64), m.New(64), m.New(64)
		m.Load(b, keys, j)
		key.of(m, k, b)
		m.And(k, k, upper)
		m.Position(at, j)
		m.Or(k, k, at)
		m.Store(items, j, k)
	}, items, keys)
}

func sortBounds(m lanes.Machine) {
	items, least, largest := m.Slice("items"), m.Const(32, 1<<32-1), m.Const(32, 0)
	m.Each(32, func(j int) {
		x, y, key := m.New(64), m.New(64), m.New(32)
		m.Ahead(items, 2*j)
		m.Ahead(items, 2*j+1)
		m.Load(x, items, 2*j)
		m.Load(y, items, 2*j+1)
		m.High(key, x, y)
		m.Min(least, least, key)
		m.Max(largest, largest, key)
	}, items)
	m.ReturnLeast("least", least)
	m.ReturnLargest("largest", largest)
}

// sortBin sets d to how far the keys of a register's items are above the least, shifted right.
func sortBin(m lanes.Machine, d lanes.V, items lanes.S, j int, least lanes.V, shift lanes.Shift) {
	x, y := m.New(64), m.New(64)
	m.Load(x, items, 2*j)
	m.Load(y, items, 2*j+1)
	m.High(d, x, y)
	m.Sub(d, d, least)
	m.Shift(d, d, shift)
}

func sortCount(m lanes.Machine) {
	counts, items, least, shift := m.Slice("counts"), m.Slice("items"), m.Arg("least", 32), m.ShiftRight("shift", 0)
	m.Each(32, func(j int) {
		bin := m.New(32)
		sortBin(m, bin, items, j, least, shift)
		m.Lanes(func(bin []lanes.R) lanes.R {
			m.Increment1(counts, bin[0])
			return lanes.None
		}, m.Spill(bin))
	}, items)
}

func sortPlace(m lanes.Machine) {
	sorted, items, next := m.Slice("sorted"), m.Slice("items"), m.Slice("next")
	least, shift := m.Arg("least", 32), m.ShiftRight("shift", 0)
	m.Each(32, func(j int) {
		bin := m.New(32)
		sortBin(m, bin, items, j, least, shift)
		m.Lanes(func(bin []lanes.R) lanes.R {
			at := m.Advance(next, bin[0], 1)
			m.Put(sorted, at, m.Own(items))
			return lanes.None
		}, m.Spill(bin))
	}, items)
}

func sortSums(m lanes.Machine) {
	counts, most, sum := m.Slice("counts"), m.Const(16, 0), m.Const(16, 0)
	m.Whole(16, func(j int) {
		c := m.New(16)
		m.Load(c, counts, j)
		m.Max(most, most, c)
		m.Prefix(c, c, sum)
		m.Store(counts, j, c)
	}, counts)
	m.ReturnLargest("most", most)
}

// sortNeighbours does its three rounds in one pass. The second one orders second items with the first ones of the pairs after theirs.
func sortNeighbours(m lanes.Machine) {
	items := m.Slice("items")
	first, second, before := m.New(64), m.New(64), m.New(64) // before: the first ones of the pairs from the second one on, up to this
	m.LoadPairs(first, second, items)
	m.Order(first, second)
	least := m.New(64)
	m.Least(least)
	m.Next(before, least, first)
	m.Pairs(items, func(after, store func(a, b lanes.V)) {
		first1, second1, next := m.New(64), m.New(64), m.New(64)
		after(first1, second1)
		m.Order(first1, second1)
		m.Next(next, first, first1)
		m.Order(second, next)
		m.Before(first, before, next)
		m.Order(first, second)
		store(first, second)
		m.Set(before, next)
		m.Set(first, first1)
		m.Set(second, second1)
	})
}

func sortBelow(m lanes.Machine) {
	items, limits := m.Slice("items"), m.Slice("limits")
	m.Until("at", 64, func(j int) lanes.M {
		x, limit := m.New(64), m.New(64)
		m.Load(x, items, j)
		m.Load(limit, limits, j)
		return m.Below(x, limit)
	}, items, limits)
}
