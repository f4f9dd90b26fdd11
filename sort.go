package lanewise

import (
	"fmt"
	"math"
	"sync"
	"unsafe"
)

// SortDescending sorts keys in place, the largest first, and writes to perm where each key came from: afterwards keys[i] is what
// keys[perm[i]] was. Equal keys keep their order, −0 equals +0, NaNs come first, and every key keeps its bits. It panics where the lengths
// differ or there are more than 2³¹ − 1 keys. Its scratch, 16 bytes a float32 or 32 bytes a float64, comes from a pool.
func SortDescending[T Float](keys []T, perm []int32) {
	if len(keys) != len(perm) {
		panicLengths("SortDescending", "len(keys)", len(keys), "len(perm)", len(perm))
	}
	if len(keys) > math.MaxInt32 {
		panic(fmt.Sprintf("lanewise: SortDescending: %d keys, want at most 2³¹ − 1", len(keys)))
	}
	if unsafe.Sizeof(T(0)) == 4 {
		bits := unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(keys))), len(keys))
		sortDescending(bits, perm, math.Float32bits(float32(math.Inf(1))), &sortPool32)
	} else {
		bits := unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(keys))), len(keys))
		sortDescending(bits, perm, math.Float64bits(math.Inf(1)), &sortPool64)
	}
}

var (
	sortPool32 = sync.Pool{New: func() any { return new(sorter[uint32]) }}
	sortPool64 = sync.Pool{New: func() any { return new(sorter[uint64]) }}
)

// sortDescending is SortDescending on the bits of the floats, whose +Inf is inf.
func sortDescending[K uint32 | uint64](keys []K, perm []int32, inf K, pool *sync.Pool) {
	s := pool.Get().(*sorter[K])
	defer pool.Put(s)
	items := s.resize(len(keys))
	var nanKey, zeroKey = K(0), descending(K(0))
	special := false // a NaN or a zero: their keys do not tell their bits
	for i, b := range keys {
		k := descending(b)
		if b<<1 == 0 {
			k, special = zeroKey, true
		} else if b<<1 > inf<<1 {
			k, special = nanKey, true
		}
		items[i] = sortItem[K]{k, uint32(i)}
	}
	items = s.sort()
	if special {
		bits := s.spare
		for i, it := range items {
			if it.key == nanKey || it.key == zeroKey {
				bits[i].key = keys[it.value]
			}
		}
	}
	for i, it := range items {
		perm[i] = int32(it.value)
		if it.key == nanKey || it.key == zeroKey {
			keys[i] = s.spare[i].key
		} else {
			keys[i] = descending(it.key)
		}
	}
}

// descending turns the bits of a float into an integer that is smaller the larger the float is, and back.
func descending[K uint32 | uint64](b K) K {
	if b>>(8*unsafe.Sizeof(b)-1) != 0 {
		return b
	}
	return b ^ ^K(0)>>1
}

// A sortItem is sorted by its key, the smallest first.
type sortItem[K uint32 | uint64] struct {
	key   K
	value uint32
}

// A sorter holds the items to sort, and the scratch for it.
type sorter[K uint32 | uint64] struct {
	items, spare []sortItem[K]
	counts       []uint32
}

// resize returns the items to fill in, n of them.
func (s *sorter[K]) resize(n int) []sortItem[K] {
	if cap(s.items) < n {
		s.items, s.spare = make([]sortItem[K], n), make([]sortItem[K], n)
	}
	s.items, s.spare = s.items[:n], s.spare[:n]
	return s.items
}

// sort sorts the items and returns them. Equal keys keep their order. It counts the digits of the keys, all digits in one pass, and then
// moves the items once for every digit, the lowest first; a digit that all keys share moves nothing.
func (s *sorter[K]) sort() []sortItem[K] {
	n := len(s.items)
	if n <= 64 {
		insertionSort(s.items)
		return s.items
	}
	width := uintptr(11) // bits of a digit: 2048 counters fit L1
	if n < 4096 {
		width = 8
	}
	keyBits := 8 * unsafe.Sizeof(K(0))
	size := 1 << width
	mask := K(size - 1)
	digits := (keyBits + width - 1) / width
	if s.counts == nil {
		s.counts = make([]uint32, (keyBits+10)/11<<11)
	}
	counts := s.counts[:int(digits)*size]
	clear(counts)
	for _, it := range s.items {
		k := it.key
		for d := 0; d < len(counts); d += size {
			counts[d+int(k&mask)]++
			k >>= width
		}
	}
	for d := uintptr(0); d < digits; d++ {
		next := counts[int(d)*size:][:size]
		shift := d * width
		if next[s.items[0].key>>shift&mask] == uint32(n) {
			continue
		}
		var before uint32
		for i, c := range next {
			next[i] = before
			before += c
		}
		from, to := s.items, s.spare
		for _, it := range from {
			at := &next[it.key>>shift&mask]
			to[*at] = it
			*at++
		}
		s.items, s.spare = to, from
	}
	return s.items
}

func insertionSort[K uint32 | uint64](items []sortItem[K]) {
	for i := 1; i < len(items); i++ {
		it := items[i]
		j := i
		for ; j > 0 && items[j-1].key > it.key; j-- {
			items[j] = items[j-1]
		}
		items[j] = it
	}
}
