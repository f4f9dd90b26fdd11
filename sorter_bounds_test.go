//go:build unix

package lanewise

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"
)

// sortSizes are the lengths that kernels of the sort are tried with.
func sortSizes() []int {
	sizes := []int{1000, 4099}
	for n := range 301 {
		sizes = append(sizes, n)
	}
	return sizes
}

// TestSortBounds compares the kernels of the sort with their definitions, on slices that touch unmapped pages, on either side.
func TestSortBounds(t *testing.T) {
	for _, isa := range available {
		for _, before := range []bool{false, true} {
			b := newSortFences(t, isa, before)
			t.Run(fmt.Sprintf("%v/before=%v", isa, before), func(t *testing.T) {
				for _, n := range sortSizes() {
					b.T, b.n = t, n
					b.divide32()
					b.divide64()
					b.items64()
					b.unpack()
					b.part()
				}
			})
		}
	}
}

// anyBits are the bits of a float32, a NaN now and then if nan.
func anyBits(rng *rand.Rand, nan bool) uint32 {
	switch b := rng.Uint32(); {
	case b%8 == 0:
		return []uint32{0, 1 << 31, 1, 1<<31 + 1, 0xff << 23, 0x1ff << 23}[rng.IntN(6)] // ±0, the smallest, ±Inf
	case b%8 == 1:
		return math.Float32bits(1) + rng.Uint32N(3)
	case isNaN32(b) && !nan:
		return b &^ (1 << 30)
	default:
		return b
	}
}

// anyBits64 are the bits of a float64.
func anyBits64(rng *rand.Rand) uint64 {
	switch b := rng.Uint64(); b % 8 {
	case 0:
		return []uint64{0, 1 << 63, 1, 1<<63 + 1, 0x7ff << 52, 0xfff << 52, 0x7ff<<52 + 1, 1<<64 - 1}[rng.IntN(8)] // also NaNs
	case 1:
		return math.Float64bits(1) + rng.Uint64N(3)
	default:
		return b
	}
}

// sortFences is what kernels are given: slices of n elements at unmapped pages.
type sortFences struct {
	*testing.T
	isa ISA
	n   int
	rng *rand.Rand
	u16 *fence[uint16]
	u32 [3]*fence[uint32]
	i32 *fence[int32]
	u64 [2]*fence[uint64]
}

func newSortFences(t *testing.T, isa ISA, before bool) *sortFences {
	b := &sortFences{T: t, isa: isa, rng: rand.New(rand.NewPCG(13, 14)), u16: newFence[uint16](t, 1<<17, 7), i32: newFence[int32](t, 1<<15, 7)}
	b.u16.before, b.i32.before = before, before
	for i := range b.u32 {
		b.u32[i] = newFence[uint32](t, 1<<18, 7)
		b.u32[i].before = before
	}
	for i := range b.u64 {
		b.u64[i] = newFence[uint64](t, 1<<16, 7)
		b.u64[i].before = before
	}
	return b
}

// check runs a kernel, and fails if it wrote outside of the slices, left vector state behind, or if same is false after it.
func (b *sortFences) check(name string, kernel func(), same func() bool) {
	b.Helper()
	leavesClean(b.T, b.isa, name, kernel)
	intact := b.u16.intact() && b.i32.intact()
	for _, f := range b.u32 {
		intact = intact && f.intact()
	}
	for _, f := range b.u64 {
		intact = intact && f.intact()
	}
	if !intact {
		b.Fatalf("%s of %d: wrote outside of a slice", name, b.n)
	}
	if !same() {
		b.Fatalf("%s of %d: not what its definition says", name, b.n)
	}
}

// parts gives keys with the upper bits i the part i modulo parts, and returns where the items of each begin, if there are counts of i.
func parts(counts []uint32, parts uint32) (next []uint32) {
	next = make([]uint32, parts)
	for i, c := range counts {
		next[uint32(i)%parts] += c
		counts[i] = uint32(i) % parts
	}
	at := uint32(0)
	for i, c := range next {
		next[i] = at
		at += c
	}
	return next
}

func (b *sortFences) divide32() {
	const index = 1000
	shift := uint32(16 + b.rng.IntN(9))
	keys := b.u32[0].place(b.n, 0)
	for i := range keys {
		keys[i] = anyBits(b.rng, b.n%3 == 0)
	}
	counts := b.u32[1].place(1<<(32-shift), 0)
	clear(counts)
	want := slices.Clone(counts)
	nan, wantNaN := false, sortCount32Generic(want, keys, shift)
	b.check("sortCount32", func() { nan = sortCount32(b.isa, counts, keys, shift) }, func() bool { return nan == wantNaN && slices.Equal(counts, want) })
	if nan {
		return
	}
	starts := parts(counts, uint32(1+b.rng.IntN(40)))
	next, wantNext := b.u32[2].place(len(starts), 0), slices.Clone(starts)
	copy(next, starts)
	items, wantItems := b.u64[0].place(b.n, 0), make([]uint64, b.n)
	sortSplit32Generic(wantItems, keys, index, counts, wantNext, shift)
	b.check("sortSplit32", func() { sortSplit32(b.isa, items, keys, index, counts, next, shift) },
		func() bool { return slices.Equal(items, wantItems) && slices.Equal(next, wantNext) })
	for i := range next { // as if others were counted
		next[i] = uint32(max(b.n-3, 0))
	}
	b.check("sortSplit32 of other keys", func() { sortSplit32(b.isa, items, keys, index, counts, next, shift) }, func() bool { return true })
}

func (b *sortFences) divide64() {
	const index = 1000
	up := []uint32{0, 1, 12, 31, 32, 40, 63}[b.rng.IntN(7)]
	shift := uint32(16 + b.rng.IntN(9))
	keys := b.u64[0].place(b.n, 0)
	for i := range keys {
		keys[i] = anyBits64(b.rng)
	}
	counts := b.u32[1].place(1<<(32-shift), 0)
	clear(counts)
	want := slices.Clone(counts)
	sortCount64Generic(want, keys, up, shift)
	b.check("sortCount64", func() { sortCount64(b.isa, counts, keys, up, shift) }, func() bool { return slices.Equal(counts, want) })
	starts := parts(counts, uint32(1+b.rng.IntN(40)))
	next, wantNext := b.u32[2].place(len(starts), 0), slices.Clone(starts)
	copy(next, starts)
	values, wantValues := b.u64[1].place(b.n, 0), make([]uint64, b.n)
	perm, wantPerm := b.i32.place(b.n, 0), make([]int32, b.n)
	sortSplit64Generic(wantValues, wantPerm, keys, index, counts, wantNext, up, shift)
	b.check("sortSplit64", func() { sortSplit64(b.isa, values, perm, keys, index, counts, next, up, shift) },
		func() bool {
			return slices.Equal(values, wantValues) && slices.Equal(perm, wantPerm) && slices.Equal(next, wantNext)
		})
	for i := range next {
		next[i] = uint32(max(b.n-3, 0))
	}
	b.check("sortSplit64 of other keys", func() { sortSplit64(b.isa, values, perm, keys, index, counts, next, up, shift) }, func() bool { return true })
}

func (b *sortFences) items64() {
	up, low := []uint32{0, 1, 12, 32, 63}[b.rng.IntN(5)], uint32(b.rng.IntN(33))
	keys, items, want := b.u64[0].place(b.n, 0), b.u64[1].place(b.n, 0), make([]uint64, b.n)
	for i := range keys {
		keys[i] = anyBits64(b.rng)
	}
	sortItems64Generic(want, keys, up, low)
	b.check("sortItems64", func() { sortItems64(b.isa, items, keys, up, low) }, func() bool { return slices.Equal(items, want) })
}

func (b *sortFences) unpack() {
	items, keys, perm := b.u64[0].place(b.n, 0), b.u32[0].place(b.n, 0), b.i32.place(b.n, 0)
	for i := range items {
		key, zero := key32(anyBits(b.rng, false))
		items[i] = uint64(key)<<32 | uint64(b.rng.IntN(math.MaxInt32))<<1 | uint64(zero)
	}
	wantKeys, wantPerm := make([]uint32, b.n), make([]int32, b.n)
	sortUnpackGeneric(wantKeys, wantPerm, items)
	b.check("sortUnpack", func() { sortUnpack(b.isa, keys, perm, items) }, func() bool { return slices.Equal(keys, wantKeys) && slices.Equal(perm, wantPerm) })
}

// part tries what sorts a part, step by step.
func (b *sortFences) part() {
	items := b.u64[0].place(b.n, 0)
	width, first := uint32(1)<<b.rng.IntN(32), b.rng.Uint32()
	for i := range items {
		items[i] = uint64(first+b.rng.Uint32N(width))<<32 | uint64(b.rng.Uint32())
		if i > 0 && b.rng.IntN(4) == 0 {
			items[i] = items[b.rng.IntN(i)]>>32<<32 | uint64(i) // again
		}
	}
	var least, largest uint32
	wantLeast, wantLargest := sortBoundsGeneric(items)
	if b.n > 0 {
		b.check("sortBounds", func() { least, largest = sortBounds(b.isa, items) }, func() bool { return least == wantLeast && largest == wantLargest })
	}
	shift := uint32(max(bits.Len32(wantLargest-wantLeast)-8, 0))
	counts := b.u16.place(1<<8, 0)
	clear(counts)
	want := slices.Clone(counts)
	sortCountGeneric(want, items, wantLeast, shift)
	b.check("sortCount", func() { sortCount(b.isa, counts, items, wantLeast, shift) }, func() bool { return slices.Equal(counts, want) })

	turns := b.n &^ (sortTurn - 1)
	sums, most := b.u16.place(turns, 0), uint16(0)
	for i := range sums {
		sums[i] = uint16(b.rng.IntN(1 << b.rng.IntN(17)))
	}
	wantSums := slices.Clone(sums)
	wantMost := sortSumsGeneric(wantSums)
	b.check("sortSums", func() { most = sortSums(b.isa, sums) }, func() bool { return most == wantMost && slices.Equal(sums, wantSums) })

	next := b.u16.place(1<<8, 0)
	copy(next, want)
	sortSumsGeneric(next)
	wantNext := slices.Clone(next)
	sorted, wantSorted := b.u64[1].place(b.n, 0), make([]uint64, b.n)
	sortPlaceGeneric(wantSorted, items, wantNext, wantLeast, shift)
	b.check("sortPlace", func() { sortPlace(b.isa, sorted, items, next, wantLeast, shift) },
		func() bool { return slices.Equal(sorted, wantSorted) && slices.Equal(next, wantNext) })

	if turns > 0 {
		x := b.u64[1].place(turns, 0)
		copy(x, items)
		if b.n%2 == 0 {
			copy(x, wantSorted)
		}
		wantSorted = slices.Clone(x)
		sortNeighboursGeneric(wantSorted)
		b.check("sortNeighbours", func() { sortNeighbours(b.isa, x) }, func() bool { return slices.Equal(x, wantSorted) })
	}
	x, limits := b.u64[0].place(turns, 0), b.u64[1].place(turns, 0)
	for i := range limits {
		limits[i] = b.rng.Uint64()
		x[i] = limits[i] + b.rng.Uint64N(-limits[i])
		if b.rng.IntN(100) == 0 {
			x[i] = limits[i] - uint64(b.rng.IntN(2))
		}
	}
	at, wantAt := 0, sortBelowGeneric(x, limits)
	b.check("sortBelow", func() { at = sortBelow(b.isa, x, limits) }, func() bool { return at == wantAt })
}
