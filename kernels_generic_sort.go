package lanewise

import (
	"math/bits"
	"slices"
)

// The kernels of the sort in plain Go: their definition. What items, parts and bins are is said in sorter.go.

// sortCount32Generic counts the items that keys become, by the bits of their keys above shift, and reports whether there is a NaN.
func sortCount32Generic(counts []uint32, keys []uint32, shift uint32) (nan bool) {
	for _, b := range keys {
		counts[upper(pack32(b, 0), uint(shift))]++
		nan = nan || isNaN32(b)
	}
	return nan
}

// sortCount64Generic counts keys, shifted left by up, by their bits above shift + 32.
func sortCount64Generic(counts []uint32, keys []uint64, shift, up uint32) {
	for _, b := range keys {
		counts[upper(key64(b)<<(up&63), uint(shift))]++
	}
}

// sortSplit32Generic moves the items that keys become, the first of which has the index, to their parts: it takes the next place of each. No
// place is outside of items, whatever was counted.
func sortSplit32Generic(items []uint64, keys []uint32, index uint32, parts []uint32, next *[maxSortParts]uint32, shift uint32) {
	for i, b := range keys {
		it := pack32(b, int(index)+i)
		items[min(place(it, parts, next, uint(shift)), uint32(len(items)-1))] = it
	}
}

// sortSplit64Generic moves keys to their parts in values, and their indices to perm.
func sortSplit64Generic(values []uint64, perm []int32, keys []uint64, index uint32, parts []uint32, next *[maxSortParts]uint32, shift, up uint32) {
	for i, b := range keys {
		at := min(place(key64(b)<<(up&63), parts, next, uint(shift)), uint32(len(values)-1))
		values[at], perm[at] = b, int32(index)+int32(i)
	}
}

// sortPack64Generic turns values into items: their keys, shifted left by up, and in the lowest bits, low of them, where each is.
func sortPack64Generic(items, values []uint64, up, low uint32) {
	for i, b := range values {
		items[i] = key64(b)<<(up&63)>>(low&63)<<(low&63) | uint64(i)
	}
}

// sortByBinsGeneric sorts items by bins that divide the range of their keys, the upper halves, evenly; len(counts) is a power of two, and half
// to all of them are bins. It does not where a bin has more than mostInBin items; where all keys are the same it is that the items are not in
// order.
func sortByBinsGeneric(sorted, items []uint64, counts []uint16) (ok bool) {
	least, largest := uint32(items[0]>>32), uint32(items[0]>>32)
	for _, it := range items {
		least, largest = min(least, uint32(it>>32)), max(largest, uint32(it>>32))
	}
	if least == largest && !slices.IsSorted(items) {
		return false
	}
	if least != largest {
		shift := max(bits.Len32(largest-least)-bits.Len(uint(len(counts)))+1, 0)
		clear(counts)
		for _, it := range items {
			bin := (uint32(it>>32) - least) >> shift
			if counts[bin]++; counts[bin] > mostInBin {
				return false
			}
		}
	}
	slices.Sort(sorted[:copy(sorted, items)])
	return true
}

// sortUnpackGeneric turns items into keys and perm.
func sortUnpackGeneric(keys []uint32, perm []int32, items []uint64) {
	for i, it := range items {
		keys[i], perm[i] = unpack32(it)
	}
}
