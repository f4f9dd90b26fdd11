package lanewise

import (
	"fmt"
	"math"
	"unsafe"
)

// SquaredDistance returns Σ (aᵢ − bᵢ)², the square of the Euclidean distance; 0 for empty vectors. It panics where the lengths differ.
//
// Differences, squares and sums are rounded to T, the sums in the lanes and pieces of Dot: the relative error is at most 139 roundings,
// whatever the length. Of vectors of norm 1 it is 2 − 2·Dot, which takes one instruction less and loses digits where they are near each
// other.
func SquaredDistance[T Float](a, b []T) T {
	return squaredDistance(active, a, b)
}

// squaredDistancePieces is squaredDistance of more than a piece.
func squaredDistancePieces[T Float](isa ISA, a, b []T) T {
	if len(a) != len(b) {
		panicLengths("SquaredDistance", "len(a)", len(a), "len(b)", len(b))
	}
	var sum float64
	for len(a) > 0 {
		n := min(len(a), piece)
		sum += float64(squaredDistance(isa, a[:n], b[:n]))
		a, b = a[n:], b[n:]
	}
	return T(sum)
}

// SquaredDistanceRows writes the squared distance of every row of m to x: m is row-major [len(dst), len(x)], and dst[r] is what
// SquaredDistance gives for row r and x. An empty x writes zeros. It panics where len(m) ≠ len(dst)·len(x), or where dst overlaps m or x.
func SquaredDistanceRows[T Float](dst, m, x []T) {
	cols := len(x)
	checkMatrix("SquaredDistanceRows", len(dst), len(m), cols)
	if overlap(dst, m) || overlap(dst, x) {
		panicOverlap("SquaredDistanceRows")
	}
	isa := active
	for r := range dst {
		dst[r] = squaredDistance(isa, m[r*cols:(r+1)*cols], x)
	}
}

// checkMatrix checks that m is a matrix [rows, cols].
func checkMatrix(name string, rows, m, cols int) {
	if cols == 0 && m != 0 || cols != 0 && (m%cols != 0 || m/cols != rows) {
		panic(fmt.Sprintf("lanewise: %s: len(m) = %d, want len(dst)·len(x) = %d·%d", name, m, rows, cols))
	}
}

// Norm returns the Euclidean norm √Σ xᵢ²; 0 for nothing, NaN if there is one, else +Inf if there is an infinity.
//
// Nothing overflows or underflows on the way to a finite norm. Over float32 the squares and their sum are float64: the result is within
// 0.51 ulp. Over float64 vectors whose squares would leave the range are scaled by a power of two first; the relative error is at most 70
// roundings, whatever the length.
func Norm[T Float](x []T) T {
	r, factor := norm(active, x)
	return T(r / factor)
}

// norm returns the norm of x·factor, in a range in which it can be divided by, and factor, a power of two: 1 unless x is very large or very
// small. The norm of zeros is 0.
func norm[T Float](isa ISA, x []T) (r, factor float64) {
	s := sumSquares(isa, x)
	if unsafe.Sizeof(T(0)) == 4 {
		switch { // s itself is exact enough: every square of a float32 is a normal float64
		case s < 0x1p-200:
			factor = 0x1p100
		case s > 0x1p200:
			factor = 0x1p-100
		default:
			factor = 1
		}
		return math.Sqrt(s) * factor, factor
	}
	switch {
	case s < 0x1p-900: // squares may have been subnormal, or 0
		factor = 0x1p600
	case s > math.MaxFloat64:
		factor = 0x1p-600
	default:
		return math.Sqrt(s), 1
	}
	s = 0
	var scaled [512]T
	for len(x) > 0 {
		n := min(len(x), len(scaled))
		scaleAll(isa, scaled[:n], x[:n], T(factor))
		s += sumSquares(isa, scaled[:n])
		x = x[n:]
	}
	return math.Sqrt(s), factor
}

// sumSquaresPieces is sumSquares of more than a piece, or of nothing.
func sumSquaresPieces[T Float](isa ISA, x []T) (sum float64) {
	for len(x) > 0 {
		n := min(len(x), piece)
		sum += sumSquares(isa, x[:n])
		x = x[n:]
	}
	return sum
}

// scaleAll writes src·factor.
func scaleAll[T Float](isa ISA, dst, src []T, factor T) {
	for len(src) > 0 {
		n := min(len(src), longPiece)
		scale(isa, dst[:n], src[:n], factor)
		dst, src = dst[n:], src[n:]
	}
}

// Normalize writes src divided by its Euclidean norm to dst, which has its length and is src itself or does not overlap it. Zeros stay
// zeros. A NaN makes all of dst NaN; beside an infinity, which becomes NaN, numbers become 0.
//
// Every element is multiplied by the reciprocal of the norm, which is rounded once for float32 and twice for float64. As in Norm nothing
// overflows or underflows on the way.
func Normalize[T Float](dst, src []T) {
	checkUnary("Normalize", dst, src)
	normalize(active, dst, src)
}

func normalize[T Float](isa ISA, dst, src []T) {
	r, factor := norm(isa, src)
	if factor != 1 {
		scaleAll(isa, dst, src, T(factor))
		src = dst
	}
	if r == 0 {
		copy(dst, src)
		return
	}
	scaleAll(isa, dst, src, T(1/r))
}

// NormalizeRows is Normalize for every row of the row-major matrix src [len(src)/cols, cols]. DotRows of normalised rows and a normalised
// vector gives their cosines. It panics where cols is not positive or does not divide the length.
func NormalizeRows[T Float](dst, src []T, cols int) {
	checkUnary("NormalizeRows", dst, src)
	checkDivides("NormalizeRows", "cols", cols, len(src))
	isa := active
	for ; len(src) > 0; dst, src = dst[cols:], src[cols:] {
		normalize(isa, dst[:cols], src[:cols])
	}
}
