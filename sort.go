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
// differ or there are more than 2³¹ − 1 keys. Its scratch, 16 bytes a key (up to 28 of float64) and up to 0.4 MB, comes from a pool; keys
// that are in order already need none. Nothing else may write to keys during the call.
func SortDescending[T Float](keys []T, perm []int32) {
	if len(keys) != len(perm) {
		panicLengths("SortDescending", "len(keys)", len(keys), "len(perm)", len(perm))
	}
	if len(keys) > math.MaxInt32 {
		panic(fmt.Sprintf("lanewise: SortDescending: %d keys, want at most 2³¹ − 1", len(keys)))
	}
	if descend(keys) {
		inOrder(perm)
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

// inOrder makes perm that of keys that have not moved.
func inOrder(perm []int32) {
	for i := range perm {
		perm[i] = int32(i)
	}
}

// descend reports whether no key is larger than the one before it. A NaN, except as the only key, is not in order.
func descend[T Float](keys []T) bool {
	for i := 1; i < len(keys); i++ {
		if !(keys[i] <= keys[i-1]) {
			return false
		}
	}
	return true
}

// sort32 is SortDescending on the bits of float32. NaNs go to the front. The others become items, and the end of their sort turns the items
// into keys and perm.
func (s *sorter) sort32(keys []uint32, perm []int32) {
	nans := s.divide32(keys, perm)
	keys, perm = keys[nans:], perm[nans:]
	for _, p := range s.parts {
		items, keys, perm := s.items[p.start:p.end], keys[p.start:p.end], perm[p.start:p.end]
		if sorted := s.byBins(items); sorted != nil {
			sortUnpack(s.isa, keys, perm, sorted)
		} else if len(items) <= insertionMax {
			insertionSort(items)
			sortUnpackGeneric(keys, perm, items)
		} else {
			items, next, shift := s.lowDigits(items, s.spare, p.digits)
			scatter32(keys, perm, items, next, shift)
		}
	}
}

// divide32 turns keys into items, divided into parts, and moves NaNs to the front.
func (s *sorter) divide32(keys []uint32, perm []int32) (nans int) {
	items := s.resize(len(keys))
	if !s.divides(len(keys)) {
		n := fill32(items, keys, perm)
		s.parts = append(s.parts[:0], sortPart{0, n, 4})
		return len(keys) - n
	}
	if s.count32(keys) {
		n := fill32(items, keys, perm)
		s.split(n)
		return len(keys) - n
	}
	s.plan(len(keys))
	for i := 0; i < len(keys); i += keyPiece {
		sortSplit32(s.isa, items, keys[i:min(i+keyPiece, len(keys))], uint32(i), s.coarse, s.next, uint32(s.shift))
	}
	return 0
}

// count32 counts the items that keys become, by the upper bits of their keys, unless there is a NaN, which it reports.
func (s *sorter) count32(keys []uint32) (nan bool) {
	for i := 0; i < len(keys); i += keyPiece {
		if sortCount32(s.isa, s.coarse, keys[i:min(i+keyPiece, len(keys))], uint32(s.shift)) {
			return true
		}
	}
	return false
}

// fill32 turns keys into n items, and moves NaNs to the front.
func fill32(items []uint64, keys []uint32, perm []int32) (n int) {
	for i, b := range keys {
		if isNaN32(b) {
			keys[i-n], perm[i-n] = b, int32(i)
			continue
		}
		key, zero := key32(b)
		items[n] = uint64(key)<<32 | uint64(i)<<1 | uint64(zero)
		n++
	}
	return n
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

// sort64 is SortDescending on the bits of float64. The keys move to their parts, and perm says where they came from. In a part an item is
// the bits of a key from the first in which keys differ, as many as there is room for beside its place in the part. The keys are fetched in
// the order of the items; those whose items are equal are sorted by the rest of their bits.
func (s *sorter) sort64(keys []uint64, perm []int32) {
	if len(keys) <= insertionMax {
		inOrder(perm)
		insertionSort64(keys, perm)
		return
	}
	up := uint(64 - differing(keys))
	s.divide64(keys, perm, up)
	for _, p := range s.parts {
		s.sortPart64(keys[p.start:p.end], perm[p.start:p.end], s.items[p.start:p.end], p.digits, up)
	}
}

// sortPart64 sorts a part: values to keys, and perm, where they came from, with them. Their keys, shifted left by up, differ in so many
// digits.
func (s *sorter) sortPart64(keys []uint64, perm []int32, values []uint64, digits int, up uint) {
	width := uint(bits.Len(uint(len(values) - 1)))
	s.packed = resize(s.packed, len(values))
	items := s.packed
	sortItems64(s.isa, items, values, uint32(up), uint32(width))
	sorted, low := s.byBins(items), width // how many of their lowest bits are not in order
	if sorted == nil {
		s.byRadix(items, digits)
		sorted, low = items, 32
	}
	s.indices = resize(s.indices, len(perm))
	copy(s.indices, perm)
	from := source64{values, s.indices, 1<<width - 1}
	tied := from.fetch(keys, perm, sorted, low)
	rest := uint64(1)<<max(int(low)-int(up), 0) - 1 // the bits of a key that have not been seen
	for i := 0; i < len(sorted) && tied && rest != 0; {
		end := i + 1
		for end < len(sorted) && sorted[end]>>low == sorted[i]>>low {
			end++
		}
		if end > i+1 {
			s.sortRest(keys[i:end], perm[i:end], sorted[i:end], from, rest)
		}
		i = end
	}
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

// divide64 moves keys to their parts, in s.items, and to perm their indices.
func (s *sorter) divide64(keys []uint64, perm []int32, up uint) {
	values := s.resize(len(keys))
	if !s.divides(len(keys)) {
		copy(values, keys)
		inOrder(perm)
		return
	}
	for i := 0; i < len(keys); i += keyPiece {
		sortCount64(s.isa, s.coarse, keys[i:min(i+keyPiece, len(keys))], uint32(up), uint32(s.shift))
	}
	s.plan(len(keys))
	for i := 0; i < len(keys); i += keyPiece {
		sortSplit64(s.isa, values, perm, keys[i:min(i+keyPiece, len(keys))], uint32(i), s.coarse, s.next, uint32(up), uint32(s.shift))
	}
}

// A source64 is where the items of a part came from: values and their indices in all keys, at the place that the bits in place say.
type source64 struct {
	values  []uint64
	indices []int32
	place   uint64
}

// fetch fetches what belongs to the items, and reports whether two neighbours agree above the lowest bits, low of them.
func (from *source64) fetch(keys []uint64, perm []int32, items []uint64, low uint) (tied bool) {
	keys, perm = keys[:len(items)], perm[:len(items)]
	values, indices := from.values, from.indices[:len(from.values)]
	before := ^items[0]
	for i, it := range items {
		at := it & from.place
		keys[i], perm[i] = values[at], indices[at]
		if (it^before)>>(low&63) == 0 {
			tied = true
		}
		before = it
	}
	return tied
}

// sortRest sorts keys, which are those of items that are equal, by the rest of their bits.
func (s *sorter) sortRest(keys []uint64, perm []int32, items []uint64, from source64, rest uint64) {
	if len(keys) <= insertionMax {
		insertionSort64(keys, perm)
		return
	}
	first, differ := key64(keys[0]), uint64(0)
	for _, b := range keys {
		differ |= key64(b) ^ first
	}
	if differ == 0 {
		return
	}
	for i, b := range keys {
		items[i] = key64(b)&rest<<32 | items[i]&from.place
	}
	s.radix(items, keys, 4)
	from.fetch(keys, perm, items, 0)
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
