package lanewise

import (
	"fmt"
	"math"
	"sync"
	"unsafe"
)

// TopK writes the k = len(values) largest elements of src to values, the largest first, and where they are in src to indices: what
// SortDescending puts first. Equal elements come in the order of src, −0 equals +0, NaNs come first, and every element keeps its bits. It
// panics where indices has another length, k > len(src), src has more than 2³¹ − 1 elements, or values overlaps src.
//
// src is read once, its first 8192 elements twice, and only elements larger than the k-th so far cost more than that. For k up to 64 they
// are inserted into values, for larger ones collected and sorted when there are as many as k, in scratch from a pool, 24 bytes for each of
// up to 2·k + 1024 elements. Even where every element is larger than those before, it takes no more than a few times what SortDescending
// does.
func TopK[T Float](values []T, indices []int32, src []T) {
	if len(indices) != len(values) {
		panicLengths("TopK", "len(values)", len(values), "len(indices)", len(indices))
	}
	if len(values) > len(src) {
		panic(fmt.Sprintf("lanewise: TopK: len(values) = %d of len(src) = %d", len(values), len(src)))
	}
	if len(src) > math.MaxInt32 {
		panic(fmt.Sprintf("lanewise: TopK: %d elements, want at most 2³¹ − 1", len(src)))
	}
	if overlap(values, src) {
		panicOverlap("TopK")
	}
	topK(active, values, indices, src)
}

// TopKRows is TopK for every row of the row-major matrix src [rows, cols]: values and indices are [rows, k], with k = len(values)/rows and
// indices counted from the beginning of a row. It panics where cols is not positive or does not divide len(src), rows does not divide
// len(values), or as TopK does.
func TopKRows[T Float](values []T, indices []int32, src []T, cols int) {
	if len(indices) != len(values) {
		panicLengths("TopKRows", "len(values)", len(values), "len(indices)", len(indices))
	}
	checkDivides("TopKRows", "cols", cols, len(src))
	rows := len(src) / cols
	if rows == 0 && len(values) != 0 || rows != 0 && (len(values)%rows != 0 || len(values)/rows > cols) {
		panic(fmt.Sprintf("lanewise: TopKRows: len(values) = %d, want up to %d for each of %d rows", len(values), cols, rows))
	}
	if cols > math.MaxInt32 {
		panic(fmt.Sprintf("lanewise: TopKRows: %d columns, want at most 2³¹ − 1", cols))
	}
	if overlap(values, src) {
		panicOverlap("TopKRows")
	}
	if rows == 0 {
		return
	}
	for isa, k := active, len(values)/rows; len(src) > 0; {
		topK(isa, values[:k], indices[:k], src[:cols])
		values, indices, src = values[k:], indices[k:], src[cols:]
	}
}

// insertedMost is up to which k insertion pays.
const insertedMost = 64

func topK[T Float](isa ISA, values []T, indices []int32, src []T) {
	switch k := len(values); {
	case k == 0:
	case k <= insertedMost:
		topInserted(isa, values, indices, src)
	default:
		topCollected(isa, values, indices, src)
	}
}

// topInserted keeps values in order.
func topInserted[T Float](isa ISA, values []T, indices []int32, src []T) {
	k := len(values)
	least := leastTop(isa, values, indices, src)
	n, i, last := 0, 0, below(least) // n are kept so far
	if !(least > T(math.Inf(-1))) {  // which says nothing
		for i, v := range src[:k] {
			insert(values, indices, i, v, i)
		}
		n, i, last = k, k, values[k-1]
	}
	for i = nextAbove(isa, src, i, last); i < len(src); i = nextAbove(isa, src, i+1, last) {
		n = min(n+1, k)
		insert(values, indices, n-1, src[i], i)
		if n == k {
			last = values[k-1]
		}
	}
}

// leastTop returns a number that is no larger than the k-th largest element of src, and near that of its first elements: it takes them for
// rows of at least 4·k columns, and returns the k-th largest of the columns' largest. Where there are too few elements for it to pay it
// returns −Inf. values and indices are scratch.
func leastTop[T Float](isa ISA, values []T, indices []int32, src []T) T {
	k := len(values)
	cols := max(4*k, 64)
	if rows := min(len(src), piece, 256*k) / cols; rows >= 8 {
		return columnsTop(isa, values, indices, src, rows, cols)
	}
	return T(math.Inf(-1))
}

func columnsTop[T Float](isa ISA, values []T, indices []int32, src []T, rows, cols int) T {
	var largest [4 * insertedMost]T
	largestPlanes(isa, largest[:cols], src, rows, cols, cols)
	topInserted(isa, values, indices, largest[:cols])
	return values[len(values)-1]
}

// below returns the next smaller number.
func below[T Float](x T) T {
	if is32[T]() {
		return T(math.Nextafter32(float32(x), float32(math.Inf(-1))))
	}
	return T(math.Nextafter(float64(x), math.Inf(-1)))
}

// nextAbove returns the index of the first element from i on that comes before threshold, which stands before all of them: one that is
// larger, or NaN where threshold is not. It is len(src) where there is none.
func nextAbove[T Float](isa ISA, src []T, i int, threshold T) int {
	if threshold != threshold {
		return len(src)
	}
	for i < len(src) {
		if !(src[i] <= threshold) { // often several come in a row
			return i
		}
		n := min(len(src)-i, longPiece)
		j := above(isa, src[i:i+n], threshold)
		i += j
		if j < n {
			return i
		}
	}
	return i
}

// insert inserts v, element number of src, into the values [0, n], of which the last one is lost. It comes behind those that equal it.
func insert[T Float](values []T, indices []int32, n int, v T, number int) {
	values, indices = values[:n+1], indices[:n+1]
	for ; n > 0; n-- {
		if w := values[n-1]; w >= v || w != w {
			break
		}
		values[n], indices[n] = values[n-1], indices[n-1]
	}
	values[n], indices[n] = v, int32(number)
}

// A selection is the scratch of TopK where k is large.
type selection struct {
	keys                []uint64 // room for elements of either type
	indices, perm, next []int32
}

var selectionPool = sync.Pool{New: func() any { return new(selection) }}

// topCollected collects candidates behind the k largest so far. When there is no more room, or nothing left, they are sorted, and the first
// k stay.
func topCollected[T Float](isa ISA, values []T, indices []int32, src []T) {
	k := len(values)
	room := min(2*k+1024, len(src))
	s := selectionPool.Get().(*selection)
	defer selectionPool.Put(s)
	s.keys, s.indices, s.perm, s.next = resize(s.keys, room), resize(s.indices, room), resize(s.perm, room), resize(s.next, k)
	keys := unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(s.keys))), room)
	copy(keys, src)
	inOrder(s.indices)
	for i, n := room, room; ; {
		SortDescending(keys[:n], s.perm[:n])
		for j, from := range s.perm[:k] {
			s.next[j] = s.indices[from]
		}
		copy(s.indices, s.next)
		last := keys[k-1]
		for n = k; n < room; n++ {
			if i = nextAbove(isa, src, i, last); i == len(src) {
				break
			}
			keys[n], s.indices[n] = src[i], int32(i)
			i++
		}
		if n == k {
			break
		}
	}
	copy(values, keys)
	copy(indices, s.indices)
}
