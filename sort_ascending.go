package lanewise

import (
	"fmt"
	"math"
	"slices"
	"unsafe"
)

// SortAscending sorts keys in place, the smallest first, and writes to perm where each key came from: afterwards keys[i] is what
// keys[perm[i]] was. Equal keys keep their order, −0 equals +0, NaNs come last in their order, and every key keeps its bits. Panics and
// scratch are those of SortDescending, which does the work.
func SortAscending[T Float](keys []T, perm []int32) {
	if len(keys) != len(perm) {
		panicLengths("SortAscending", "len(keys)", len(keys), "len(perm)", len(perm))
	}
	if len(keys) > math.MaxInt32 {
		panic(fmt.Sprintf("lanewise: SortAscending: %d keys, want at most 2³¹ − 1", len(keys)))
	}
	negate(keys)
	SortDescending(keys, perm)
	negate(keys)
	nans := 0 // in front
	for nans < len(keys) && keys[nans] != keys[nans] {
		nans++
	}
	rotate(keys, nans)
	rotate(perm, nans)
}

// negate flips the signs, those of NaNs too, and keeps all other bits.
func negate[T Float](x []T) {
	if unsafe.Sizeof(T(0)) == 4 {
		for i, b := range unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(x))), len(x)) {
			*(*uint32)(unsafe.Pointer(&x[i])) = b ^ 1<<31
		}
		return
	}
	for i, b := range unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(x))), len(x)) {
		*(*uint64)(unsafe.Pointer(&x[i])) = b ^ 1<<63
	}
}

// rotate moves the first n elements behind the others.
func rotate[E any](x []E, n int) {
	if n > 0 && n < len(x) {
		slices.Reverse(x[:n])
		slices.Reverse(x[n:])
		slices.Reverse(x)
	}
}
