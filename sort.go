package lanewise

import (
	"fmt"
	"math"
	"math/bits"
	"sync"
	"unsafe"
)

// SortDescending sorts keys in place, the largest first, and writes to perm where each key came from: afterwards keys[i] is what
// keys[perm[i]] was. Equal keys keep their order, −0 equals +0, NaNs come first, and every key keeps its bits. It panics where the lengths
// differ or there are more than 2³¹ − 1 keys. Its scratch, 16 bytes a key and up to 0.4 MB, comes from a pool; keys that are in order already
// need none. Nothing else may write to keys during the call.
func SortDescending[T Float](keys []T, perm []int32) {
	if len(keys) != len(perm) {
		panicLengths("SortDescending", "len(keys)", len(keys), "len(perm)", len(perm))
	}
	if len(keys) > math.MaxInt32 {
		panic(fmt.Sprintf("lanewise: SortDescending: %d keys, want at most 2³¹ − 1", len(keys)))
	}
	if descend(keys) {
		for i := range perm {
			perm[i] = int32(i)
		}
		return
	}
	s := sortPool.Get().(*sorter)
	defer sortPool.Put(s)
	if unsafe.Sizeof(T(0)) == 4 {
		s.sort32(unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(keys))), len(keys)), perm)
	} else {
		s.sort64(unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(keys))), len(keys)), perm)
	}
}

var sortPool = sync.Pool{New: func() any { return new(sorter) }}

// descend reports whether no key is larger than the one before it. A NaN, except as the only key, is not in order.
func descend[T Float](keys []T) bool {
	for i := 1; i < len(keys); i++ {
		if !(keys[i] <= keys[i-1]) {
			return false
		}
	}
	return true
}

// descending turns the bits of a float into an integer that is smaller the larger the float is, and back.
func descending[K uint32 | uint64](b K) K {
	sign := b >> (8*unsafe.Sizeof(b) - 1)
	return b ^ (sign-1)>>1
}

// sort32 is SortDescending on the bits of float32. NaNs go to the front. The others become items, and the end of their sort turns the items
// into keys and perm.
func (s *sorter) sort32(keys []uint32, perm []int32) {
	nans := s.divide32(keys, perm)
	keys, perm = keys[nans:], perm[nans:]
	for _, p := range s.parts {
		items, keys, perm := s.items[p.start:p.end], keys[p.start:p.end], perm[p.start:p.end]
		if sorted := s.inBins(p); sorted != nil {
			done := len(sorted) &^ 7
			active.sort.unpack(keys, perm, sorted[:done])
			unpackItems(keys[done:], perm[done:], sorted[done:])
		} else if len(items) <= insertionMax {
			insertionSort(items)
			unpackItems(keys, perm, items)
		} else {
			items, next, shift := s.lowDigits(items, s.spare, p.digits)
			scatter32(keys, perm, items, next, shift)
		}
	}
}

// divide32 turns keys into items, divided into parts, and moves NaNs to the front.
func (s *sorter) divide32(keys []uint32, perm []int32) (nans int) {
	items := s.resize(len(keys))
	if !s.divides(len(keys)) || s.count32(keys) {
		n := fill32(items, keys, perm)
		s.split(n)
		return len(keys) - n
	}
	s.plan(len(keys))
	done := forKernels(len(keys))
	for i := 0; i < done; i += chunk {
		active.sort.split32(items, keys[i:min(i+chunk, done)], uint32(i), s.coarse, s.next, uint32(s.shift))
	}
	split32(items, keys, done, s.coarse, s.next, s.shift)
	return 0
}

// count32 counts the items that keys become, by the upper bits of their keys, unless there is a NaN, which it reports.
func (s *sorter) count32(keys []uint32) (nan bool) {
	done := forKernels(len(keys))
	for i := 0; i < done; i += chunk {
		if active.sort.count32(s.coarse, keys[i:min(i+chunk, done)], uint32(s.shift)) {
			return true
		}
	}
	return count32(s.coarse, keys[done:], s.shift)
}

// forKernels is how many of n keys the kernels take.
func forKernels(n int) int {
	if active.sort == nil {
		return 0
	}
	return n &^ (sortBlock - 1)
}

func isNaN32(b uint32) bool { return b<<1 > 0xff<<24 }

// pack32 returns the item of a float32 that is not a NaN: its key, its index, and a bit that tells −0 from +0, whose key it has.
func pack32(b uint32, i int) uint64 {
	zero := uint32(0)
	if b == 1<<31 {
		zero = 1
	}
	return uint64(descending(b)-zero)<<32 | uint64(i)<<1 | uint64(zero)
}

func unpack32(it uint64) (b uint32, i int32) {
	return descending(uint32(it>>32) + uint32(it)&1), int32(uint32(it) >> 1)
}

// unpackItems turns items into keys and perm.
func unpackItems(keys []uint32, perm []int32, items []uint64) {
	for i, it := range items {
		keys[i], perm[i] = unpack32(it)
	}
}

// fill32 turns keys into n items, and moves NaNs to the front.
func fill32(items []uint64, keys []uint32, perm []int32) (n int) {
	for i, b := range keys {
		if isNaN32(b) {
			keys[i-n], perm[i-n] = b, int32(i)
			continue
		}
		items[n] = pack32(b, i)
		n++
	}
	return n
}

// count32 counts the items that keys become, by the bits of their keys above shift, and reports whether there is a NaN.
func count32(coarse []uint32, keys []uint32, shift uint) (nan bool) {
	for _, b := range keys {
		coarse[upper(pack32(b, 0), shift)]++
		nan = nan || isNaN32(b)
	}
	return nan
}

// split32 moves the items that keys[from:] become to their parts.
func split32(items []uint64, keys []uint32, from int, coarse []uint32, next *[maxSortParts]uint32, shift uint) {
	for i := from; i < len(keys); i++ {
		it := pack32(keys[i], i)
		items[place(it, coarse, next, shift)] = it
	}
}

// scatter32 is scatter, to keys and perm.
func scatter32(keys []uint32, perm []int32, items []uint64, next *[sortDigits]uint32, shift uint) {
	perm = perm[:len(keys)]
	for _, it := range items {
		d := uint8(it >> (shift & 63))
		at := next[d]
		next[d] = at + 1
		keys[at], perm[at] = unpack32(it)
	}
}

// sort64 is SortDescending on the bits of float64. An item is the bits of a key from the first in which keys differ, as many as there is room
// for beside the index. The keys are fetched in the order of the items; those whose items are equal are sorted by the rest of their bits.
func (s *sorter) sort64(keys []uint64, perm []int32) {
	if len(keys) <= insertionMax {
		for i := range perm {
			perm[i] = int32(i)
		}
		insertionSort64(keys, perm)
		return
	}
	used, width := differing(keys), bits.Len(uint(len(keys)-1))
	s.divide64(keys, packing64{drop: uint(max(used+width-64, 0)), up: uint(max(64-used, width))})
	index, rest := uint64(1)<<width-1, uint64(1)<<max(used-32, 0)-1
	for _, p := range s.parts {
		sorted, ties := s.inBins(p), width // which of the bits of sorted do not matter
		if sorted == nil {
			s.byRadix(p)
			sorted, ties = s.spare[:p.end-p.start], 32
			copy(sorted, s.items[p.start:p.end])
		}
		values, perm := s.items[p.start:p.end], perm[p.start:p.end]
		tied := fetch64(values, perm, sorted, keys, index, ties)
		for i := 0; i < len(sorted) && tied && rest != 0; {
			end := i + 1
			for end < len(sorted) && sorted[end]>>ties == sorted[i]>>ties {
				end++
			}
			if end > i+1 {
				s.sortRest(values[i:end], perm[i:end], sorted[i:end], keys, index, rest)
			}
			i = end
		}
	}
	copy(keys, s.items)
}

// differing is how many of the lowest bits of the keys may differ: as many as of the floats, but that a NaN and −0 have the keys of others.
func differing(keys []uint64) int {
	var differ uint64
	for _, b := range keys {
		differ |= b ^ keys[0]
		if isNaN64(b) || b == 1<<63 {
			return 64
		}
	}
	return bits.Len64(differ)
}

// A packing64 says how the item of a float64 comes from its key: the lowest bits are dropped, the others go up and leave room for the index.
type packing64 struct{ drop, up uint }

func (p packing64) pack(b uint64, i int) uint64 { return key64(b)>>(p.drop&63)<<(p.up&63) | uint64(i) }

// divide64 turns keys into items, divided into parts.
func (s *sorter) divide64(keys []uint64, p packing64) {
	items := s.resize(len(keys))
	if active.sort == nil || !s.divides(len(keys)) {
		for i, b := range keys {
			items[i] = p.pack(b, i)
		}
		s.split(len(keys))
		return
	}
	done := forKernels(len(keys))
	for i := 0; i < done; i += chunk {
		active.sort.count64(s.coarse, keys[i:min(i+chunk, done)], uint32(s.shift), uint32(p.drop), uint32(p.up))
	}
	count64(s.coarse, keys[done:], s.shift, p)
	s.plan(len(keys))
	for i := 0; i < done; i += chunk {
		active.sort.split64(items, keys[i:min(i+chunk, done)], uint32(i), s.coarse, s.next, uint32(s.shift), uint32(p.drop), uint32(p.up))
	}
	split64(items, keys, done, s.coarse, s.next, s.shift, p)
}

func isNaN64(b uint64) bool { return b<<1 > 0x7ff<<53 }

// key64 is descending, with one key for both zeros and one for all NaNs.
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

// count64 counts the items that keys become, by the bits of their upper halves above shift.
func count64(coarse []uint32, keys []uint64, shift uint, p packing64) {
	for _, b := range keys {
		coarse[upper(p.pack(b, 0), shift)]++
	}
}

// split64 moves the items that keys[from:] become to their parts.
func split64(items, keys []uint64, from int, coarse []uint32, next *[maxSortParts]uint32, shift uint, p packing64) {
	for i := from; i < len(keys); i++ {
		it := p.pack(keys[i], i)
		items[place(it, coarse, next, shift)] = it
	}
}

// fetch64 fetches the keys of the items, whose indices are the bits in index, and reports whether two neighbours agree above the lowest bits,
// ties of them.
func fetch64(values []uint64, perm []int32, items, keys []uint64, index uint64, ties int) (tied bool) {
	values, perm = values[:len(items)], perm[:len(items)]
	before := ^items[0]
	for i, it := range items {
		perm[i] = int32(it & index)
		values[i] = keys[it&index]
		if (it^before)>>(ties&63) == 0 {
			tied = true
		}
		before = it
	}
	return tied
}

// sortRest sorts values, which are the keys of items that are equal, by the rest of their bits.
func (s *sorter) sortRest(values []uint64, perm []int32, items, keys []uint64, index, rest uint64) {
	if len(values) <= insertionMax {
		insertionSort64(values, perm)
		return
	}
	first, differ := key64(values[0]), uint64(0)
	for _, v := range values {
		differ |= key64(v) ^ first
	}
	if differ == 0 {
		return
	}
	for i, v := range values {
		items[i] = key64(v)&rest<<32 | items[i]&index
	}
	s.radix(items, values, 4)
	fetch64(values, perm, items, keys, index, 0)
}

// insertionSort64 sorts at most insertionMax values, and perm with them.
func insertionSort64(values []uint64, perm []int32) {
	var sorted [insertionMax]uint64
	perm = perm[:len(values)]
	for i, b := range values {
		key, from := key64(b), perm[i]
		j := i
		for ; j > 0 && sorted[j-1] > key; j-- {
			sorted[j], values[j], perm[j] = sorted[j-1], values[j-1], perm[j-1]
		}
		sorted[j], values[j], perm[j] = key, b, from
	}
}
