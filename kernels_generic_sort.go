package lanewise

import "unsafe"

// The kernels of SortDescending in plain Go. A key is an integer that is smaller the larger the float is; an item is a key in the upper 32
// bits and, below, where it came from. Each kernel is described for all instruction sets in asm/kernels/sort.go, step by step as here.
//
// An ascending sort is these kernels with other key maps: key32, unpack32 and key64 with the bits of a number's key turned.

// sortCount32Generic counts float32s by the bits of their keys above shift, and reports whether there is a NaN.
func sortCount32Generic(counts, keys []uint32, shift uint32) (nan bool) {
	for _, b := range keys {
		key, _ := key32(b)
		counts[key>>(shift&31)]++
		nan = nan || isNaN32(b)
	}
	return nan
}

// sortSplit32Generic moves the items that float32s become, none of them a NaN, to the next places in their parts: parts by the bits of
// their keys above shift. The low half of an item is twice the index, which is given for the first, and 1 for −0, whose key is that of +0.
// No place is outside of items, whatever was counted.
func sortSplit32Generic(items []uint64, keys []uint32, index uint32, parts, next []uint32, shift uint32) {
	for i, b := range keys {
		key, zero := key32(b)
		part := parts[key>>(shift&31)]
		at := next[part]
		next[part] = at + 1
		items[min(at, uint32(len(items)-1))] = uint64(key)<<32 | uint64(2*(index+uint32(i))+zero)
	}
}

// sortUnpackGeneric turns such items into float32s and their indices.
func sortUnpackGeneric(keys []uint32, perm []int32, items []uint64) {
	for i, it := range items {
		keys[i], perm[i] = unpack32(it)
	}
}

// sortCount64Generic counts float64s by the bits of their keys, shifted left by up, above shift + 32.
func sortCount64Generic(counts []uint32, keys []uint64, up, shift uint32) {
	for _, b := range keys {
		counts[key64(b)<<(up&63)>>32>>(shift&31)]++
	}
}

// sortSplit64Generic moves float64s, the first of which has the index, to the next places in their parts, and their indices to the same
// places in perm: parts by the bits that sortCount64 counts. No place is outside of values, whatever was counted.
func sortSplit64Generic(values []uint64, perm []int32, keys []uint64, index uint32, parts, next []uint32, up, shift uint32) {
	for i, b := range keys {
		part := parts[key64(b)<<(up&63)>>32>>(shift&31)]
		at := min(next[part], uint32(len(values)-1))
		next[part]++
		values[at], perm[at] = b, int32(index)+int32(i)
	}
}

// sortItems64Generic turns float64s into items: their keys, shifted left by up, and in the lowest bits, low of them, where each is.
func sortItems64Generic(items, keys []uint64, up, low uint32) {
	for i, b := range keys {
		items[i] = key64(b)<<(up&63)>>(low&63)<<(low&63) | uint64(i)
	}
}

// sortBoundsGeneric returns the smallest and the largest key of items.
func sortBoundsGeneric(items []uint64) (least, largest uint32) {
	least = 1<<32 - 1
	for _, it := range items {
		key := uint32(it >> 32)
		least, largest = min(least, key), max(largest, key)
	}
	return least, largest
}

// sortCountGeneric counts items by how far their keys are above the least, shifted right.
func sortCountGeneric(counts []uint16, items []uint64, least, shift uint32) {
	for _, it := range items {
		counts[(uint32(it>>32)-least)>>(shift&31)]++
	}
}

// sortSumsGeneric turns counts into the sums of those before, and returns the largest of them.
func sortSumsGeneric(counts []uint16) (most uint16) {
	sum := uint16(0)
	for i, c := range counts {
		most = max(most, c)
		counts[i] = sum
		sum += c
	}
	return most
}

// sortPlaceGeneric moves items to the next places in their bins: bins by what sortCount counts.
func sortPlaceGeneric(sorted, items []uint64, next []uint16, least, shift uint32) {
	for _, it := range items {
		bin := (uint32(it>>32) - least) >> (shift & 31)
		at := next[bin]
		next[bin] = at + 1
		sorted[at] = it
	}
}

// sortNeighboursGeneric orders pairs of neighbours three times over: those that begin at even items, at odd ones, and at even ones again.
func sortNeighboursGeneric(items []uint64) {
	for _, first := range []int{0, 1, 0} {
		for i := first; i+1 < len(items); i += 2 {
			items[i], items[i+1] = min(items[i], items[i+1]), max(items[i], items[i+1])
		}
	}
}

// sortBelowGeneric returns where the first 32 items begin of which one is below its limit, or how many items there are. It takes a multiple
// of 32.
func sortBelowGeneric(items, limits []uint64) (at int) {
	for i, it := range items {
		if it < limits[i] {
			return i &^ 31
		}
	}
	return len(items)
}

func isNaN32(b uint32) bool { return b<<1 > 0xff<<24 }
func isNaN64(b uint64) bool { return b<<1 > 0x7ff<<53 }

// descending turns the bits of a float into an integer that is smaller the larger the float is, and back.
func descending[K uint32 | uint64](b K) K {
	sign := b >> (8*unsafe.Sizeof(b) - 1)
	return b ^ (sign-1)>>1
}

// key32 returns the key of a float32 that is not a NaN, and 1 for −0, which has the key of +0.
func key32(b uint32) (key, zero uint32) {
	if b == 1<<31 {
		zero = 1
	}
	return descending(b) - zero, zero
}

// unpack32 returns the float32 and the index of an item.
func unpack32(it uint64) (b uint32, index int32) {
	return descending(uint32(it>>32) + uint32(it)&1), int32(uint32(it) >> 1)
}

// key64 returns the key of a float64: both zeros have the same one, and NaNs 0.
func key64(b uint64) uint64 {
	k := descending(b)
	if b == 1<<63 {
		k--
	}
	if isNaN64(b) {
		k = 0
	}
	return k
}

func negateGeneric[T Float](dst, src []T) {
	dst = dst[:len(src)]
	if is32[T]() {
		for i := range src {
			*(*uint32)(unsafe.Pointer(&dst[i])) = *(*uint32)(unsafe.Pointer(&src[i])) ^ 1<<31
		}
		return
	}
	for i := range src {
		*(*uint64)(unsafe.Pointer(&dst[i])) = *(*uint64)(unsafe.Pointer(&src[i])) ^ 1<<63
	}
}
