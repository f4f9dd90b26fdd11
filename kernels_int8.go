package lanewise

import (
	"fmt"
	"math"
)

// maxInt8 is how many products of two int8, at most 128·128 each, an int32 holds the sum of whatever they are.
const maxInt8 = math.MaxInt32 / (128 * 128)

// DotInt8 returns Σ aᵢ·bᵢ, exactly; 0 for empty vectors. It panics where the lengths differ, or exceed 131071: more products might not fit
// into an int32.
func DotInt8(a, b []int8) int32 {
	if len(a) != len(b) {
		panicLengths("DotInt8", "len(a)", len(a), "len(b)", len(b))
	}
	checkInt8("DotInt8", len(a))
	return dotInt8(active, a, b)
}

// DotRowsInt8 multiplies a matrix by a vector: m is row-major [len(dst), len(x)], and dst[r] is what DotInt8 gives for row r and x. An
// empty x writes zeros. It panics where len(m) ≠ len(dst)·len(x), or len(x) exceeds 131071.
func DotRowsInt8(dst []int32, m, x []int8) {
	checkMatrix("DotRowsInt8", len(dst), len(m), len(x))
	checkInt8("DotRowsInt8", len(x))
	isa := active
	for r := range dst {
		dst[r] = dotInt8(isa, m[r*len(x):(r+1)*len(x)], x)
	}
}

func checkInt8(name string, n int) {
	if n > maxInt8 {
		panic(fmt.Sprintf("lanewise: %s: the sum of %d products may exceed an int32, want at most %d", name, n, maxInt8))
	}
}
