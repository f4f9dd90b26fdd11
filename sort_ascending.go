package lanewise

import (
	"fmt"
	"math"
	"slices"
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
	isa := active
	negateAll(isa, keys, keys)
	SortDescending(keys, perm)
	negateAll(isa, keys, keys)
	nans := 0 // in front
	for nans < len(keys) && keys[nans] != keys[nans] {
		nans++
	}
	rotate(keys, nans)
	rotate(perm, nans)
}

// negateAll writes −src.
func negateAll[T Float](isa ISA, dst, src []T) {
	for len(src) > 0 {
		n := min(len(src), longPiece)
		negate(isa, dst[:n], src[:n])
		dst, src = dst[n:], src[n:]
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
