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

// TestSortBounds compares the kernels of the sort with plain Go, on slices that touch unmapped pages, on either side.
func TestSortBounds(t *testing.T) {
	for _, isa := range available {
		for _, before := range []bool{false, true} {
			rng := rand.New(rand.NewPCG(13, 14))
			clean := func(name string, f func()) { leavesClean(t, isa, name, f) }
			t.Run(fmt.Sprintf("%v/before=%v", isa, before), func(t *testing.T) {
				t.Run("divide32", func(t *testing.T) { divideBounds32(t, isa, rng, before, clean) })
				t.Run("divide64", func(t *testing.T) { divideBounds64(t, isa, rng, before, clean) })
				t.Run("part", func(t *testing.T) { partBounds(t, isa, rng, before, clean) })
				t.Run("pack64", func(t *testing.T) { packBounds64(t, isa, rng, before, clean) })
				t.Run("unpack", func(t *testing.T) { unpackBounds(t, isa, rng, before, clean) })
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

// A divider counts the items that keys become, and splits them.
type divider[K any] struct {
	count func(counts []uint32, keys []K, shift uint) (nan bool)
	split func(items []uint64, keys []K, parts []uint32, next *[maxSortParts]uint32, shift uint) (perm []int32) // the first key has the index 1000
}

func divideBounds32(t *testing.T, isa ISA, rng *rand.Rand, before bool, clean func(string, func())) {
	divideBounds(t, rng, before, clean, func(nan bool) uint32 { return anyBits(rng, nan) }, divider[uint32]{
		count: func(counts []uint32, keys []uint32, shift uint) bool {
			return sortCount32(isa, counts, keys, uint32(shift))
		},
		split: func(items []uint64, keys []uint32, parts []uint32, next *[maxSortParts]uint32, shift uint) []int32 {
			sortSplit32(isa, items, keys, 1000, parts, next, uint32(shift))
			return nil
		},
	}, divider[uint32]{
		count: func(counts []uint32, keys []uint32, shift uint) bool {
			return sortCount32Generic(counts, keys, uint32(shift))
		},
		split: func(items []uint64, keys []uint32, parts []uint32, next *[maxSortParts]uint32, shift uint) []int32 {
			sortSplit32Generic(items, keys, 1000, parts, next, uint32(shift))
			return nil
		},
	})
}

func divideBounds64(t *testing.T, isa ISA, rng *rand.Rand, before bool, clean func(string, func())) {
	fence := newFence[int32](t, 1<<14, 7)
	fence.before = before
	for _, up := range []uint{0, 1, 12, 31, 32, 40, 63} {
		divideBounds(t, rng, before, clean, func(bool) uint64 { return anyBits64(rng) }, divider[uint64]{
			count: func(counts []uint32, keys []uint64, shift uint) bool {
				sortCount64(isa, counts, keys, uint32(shift), uint32(up))
				return false
			},
			split: func(values []uint64, keys []uint64, parts []uint32, next *[maxSortParts]uint32, shift uint) []int32 {
				perm := fence.place(len(keys), 0)
				sortSplit64(isa, values, perm, keys, 1000, parts, next, uint32(shift), uint32(up))
				if !fence.intact() {
					t.Fatalf("%d keys, shift %d: wrote outside of perm", len(keys), shift)
				}
				return perm
			},
		}, divider[uint64]{
			count: func(counts []uint32, keys []uint64, shift uint) bool {
				sortCount64Generic(counts, keys, uint32(shift), uint32(up))
				return false
			},
			split: func(values []uint64, keys []uint64, parts []uint32, next *[maxSortParts]uint32, shift uint) []int32 {
				perm := make([]int32, len(keys))
				sortSplit64Generic(values, perm, keys, 1000, parts, next, uint32(shift), uint32(up))
				return perm
			},
		})
	}
}

func divideBounds[K uint32 | uint64](t *testing.T, rng *rand.Rand, before bool, clean func(string, func()), anyKey func(nan bool) K, kernel, plain divider[K]) {
	keys, items, counts := newFence[K](t, 1<<14, 7), newFence[uint64](t, 1<<14, 7), newFence[uint32](t, 1<<18, 7)
	keys.before, items.before, counts.before = before, before, before
	for n := 0; n < 2000; n += 32 {
		shift, parts := uint(16+rng.IntN(9)), uint32(1+rng.IntN(40))
		keys, to := keys.place(n, 0), items.place(n, 0)
		for i := range keys {
			keys[i] = anyKey(n%3 == 0)
		}
		got, want := counts.place(1<<(32-shift), 0), make([]uint32, 1<<(32-shift))
		clear(got)
		wantNaN, nan := plain.count(want, keys, shift), false
		clean("count", func() { nan = kernel.count(got, keys, shift) })
		if !slices.Equal(got, want) || nan != wantNaN {
			t.Fatalf("%d keys, shift %d: other counts", n, shift)
		}
		if nan {
			continue
		}
		var next [maxSortParts]uint32 // of the part of each key, its bits above shift modulo parts
		for i, c := range want {
			next[uint32(i)%parts] += c
			got[i] = uint32(i) % parts
		}
		at := uint32(0)
		for i, c := range next {
			next[i] = at
			at += c
		}
		wantNext, wantItems := next, make([]uint64, n)
		wantPerm, perm := plain.split(wantItems, keys, got, &wantNext, shift), []int32(nil)
		clean("split", func() { perm = kernel.split(to, keys, got, &next, shift) })
		if !slices.Equal(to, wantItems) || !slices.Equal(perm, wantPerm) || next != wantNext || !items.intact() || !counts.intact() {
			t.Fatalf("%d keys, shift %d: other items", n, shift)
		}
		for i := range next { // as if others were counted
			next[i] = uint32(max(n-3, 0))
		}
		kernel.split(to, keys, got, &next, shift)
		if !items.intact() {
			t.Fatalf("%d keys, shift %d: wrote behind the items", n, shift)
		}
	}
}

func partBounds(t *testing.T, isa ISA, rng *rand.Rand, before bool, clean func(string, func())) {
	items, sorted, counts := newFence[uint64](t, 1<<15, 7), newFence[uint64](t, 1<<15, 7), newFence[uint16](t, 1<<15, 7)
	items.before, sorted.before, counts.before = before, before, before
	skewed := 0
	for n := 8; n < 3000; n += 1 + n/100 {
		for _, crowd := range []int{1, 3, 20, 200, 5000} { // items of a bin, about
			bins := 32 << rng.IntN(9)
			from, to, c := items.place(n, 0), sorted.place(n+sortSlack, 0), counts.place(bins, 0)
			width := uint32(1) << rng.IntN(31) // of the keys
			first := rng.Uint32N(1 << 30)
			for i := range from {
				key := first + rng.Uint32N(width)
				if crowd > 1 {
					key = first + (key-first)/uint32(crowd)
				}
				if i > 0 && rng.IntN(4) == 0 {
					key = uint32(from[rng.IntN(i)] >> 32) // again
				}
				from[i] = uint64(key)<<32 | uint64(i)<<1 | uint64(rng.IntN(2))
				if n%3 == 0 { // more bits of a key, that is
					from[i] ^= uint64(rng.IntN(8)) << 16
				}
			}
			if rng.IntN(4) == 0 {
				from[rng.IntN(n)] |= 0xffff << 48 // far from the others
			}
			want := slices.Clone(from)
			slices.Sort(want)
			least, largest := uint32(want[0]>>32), uint32(want[n-1]>>32)
			shift := max(bits.Len32(largest-least)-bits.Len(uint(bins))+1, 0)
			inBin, most := make([]int, bins), 0
			for _, it := range from {
				bin := (uint32(it>>32) - least) >> shift
				inBin[bin]++
				most = max(most, inBin[bin])
			}
			sortable, ok := most <= mostInBin, false
			if least == largest {
				sortable = slices.IsSorted(from)
			}
			clean("part", func() { ok = sortByBins(isa, to, from, c) })
			if ok != sortable || ok && !slices.Equal(to[:n], want) || !items.intact() || !sorted.intact() || !counts.intact() {
				t.Fatalf("%d items in %d bins, at most %d in one: sorted %v, %v", n, bins, most, ok, to)
			}
			if !ok {
				skewed++
			}
		}
	}
	if skewed == 0 {
		t.Error("no bin had too many items")
	}
}

func packBounds64(t *testing.T, isa ISA, rng *rand.Rand, before bool, clean func(string, func())) {
	items, values := newFence[uint64](t, 1<<13, 7), newFence[uint64](t, 1<<13, 7)
	items.before, values.before = before, before
	for n := 0; n < 300; n += 8 {
		for _, up := range []uint{0, 1, 12, 32, 63} {
			from, to, low := values.place(n, 0), items.place(n, 0), uint(rng.IntN(33))
			for i := range from {
				from[i] = anyBits64(rng)
			}
			want := make([]uint64, n)
			sortPack64Generic(want, from, uint32(up), uint32(low))
			clean("pack64", func() { sortPack64(isa, to, from, uint32(up), uint32(low)) })
			if !slices.Equal(to, want) || !items.intact() || !values.intact() {
				t.Fatalf("%d values, up %d, low %d: %x, want %x", n, up, low, to, want)
			}
		}
	}
}

func unpackBounds(t *testing.T, isa ISA, rng *rand.Rand, before bool, clean func(string, func())) {
	items, keys, perm := newFence[uint64](t, 1<<13, 7), newFence[uint32](t, 1<<13, 7), newFence[int32](t, 1<<13, 7)
	items.before, keys.before, perm.before = before, before, before
	for n := 0; n < 300; n += 8 {
		from, to, indices := items.place(n, 0), keys.place(n, 0), perm.place(n, 0)
		wantKeys, wantPerm := make([]uint32, n), make([]int32, n)
		for i := range from {
			from[i] = pack32(anyBits(rng, false), rng.IntN(math.MaxInt32))
		}
		sortUnpackGeneric(wantKeys, wantPerm, from)
		clean("unpack", func() { sortUnpack(isa, to, indices, from) })
		if !slices.Equal(to, wantKeys) || !slices.Equal(indices, wantPerm) || !items.intact() || !keys.intact() || !perm.intact() {
			t.Fatalf("%d items: %x %v, want %x %v", n, to, indices, wantKeys, wantPerm)
		}
	}
}
