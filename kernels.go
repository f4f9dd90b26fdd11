package lanewise

import (
	"bytes"
	"fmt"
	"math"
	"unsafe"
)

// Float is the element types of the kernels.
type Float interface{ float32 | float64 }

// The functions of this file check their arguments, cut long inputs into pieces (assembly cannot be preempted) and call the kernels, which
// may rely on lengths that fit and, dot excepted, on inputs that are not empty.

const (
	piece     = 8192    // elements of one sum: what is longer is summed piece by piece, in float64
	longPiece = 1 << 16 // elements of one call where nothing is summed: some microseconds
)

// Dot returns Σ aᵢ·bᵢ; 0 for empty vectors. It panics where the lengths differ.
//
// Products and sums are rounded to T, in 64 lanes for float32 (32 for float64) over pieces of 8192 elements, which float64 adds up: the
// relative error is at most 136 roundings of Σ |aᵢ·bᵢ|, whatever the length.
func Dot[T Float](a, b []T) T {
	return dot(active, a, b)
}

// dotPieces is dot of more than a piece.
func dotPieces[T Float](isa ISA, a, b []T) T {
	if len(a) != len(b) {
		panicLengths("Dot", "len(a)", len(a), "len(b)", len(b))
	}
	var total float64
	for len(a) > 0 {
		n := min(len(a), piece)
		total += float64(dot(isa, a[:n], b[:n]))
		a, b = a[n:], b[n:]
	}
	return T(total)
}

// sumPieces is sum of more than a piece.
func sumPieces[T Float](isa ISA, x []T) T {
	var total float64
	for len(x) > 0 {
		n := min(len(x), piece)
		total += float64(sum(isa, x[:n]))
		x = x[n:]
	}
	return T(total)
}

// DotRows multiplies a matrix by a vector: m is row-major [len(dst), len(x)], and dst[r] is what Dot gives for row r and x. An empty x
// writes zeros. It panics where len(m) ≠ len(dst)·len(x), or where dst overlaps m or x.
func DotRows[T Float](dst, m, x []T) {
	cols := len(x)
	if cols == 0 && len(m) != 0 || cols != 0 && (len(m)%cols != 0 || len(m)/cols != len(dst)) {
		panic(fmt.Sprintf("lanewise: DotRows: len(m) = %d, want len(dst)·len(x) = %d·%d", len(m), len(dst), cols))
	}
	if overlap(dst, m) || overlap(dst, x) {
		panicOverlap("DotRows")
	}
	isa := active
	for r := range dst {
		dst[r] = dot(isa, m[r*cols:(r+1)*cols], x)
	}
}

// CumSum writes the inclusive prefix sums of src to dst, which has its length and is src itself or does not overlap it.
//
// The sum runs in float64 from block to block of 16 float32 (8 float64) and in T inside a block: over float32 its relative error stays
// below 1.5e-7 on input of one sign, at every length, and it never steps down where the input is not negative. A block's own sums may
// overflow where no prefix does.
func CumSum[T Float](dst, src []T) {
	cumSum(active, dst, src, math.Float64frombits(1<<63)) // −0, so that a −0 keeps its sign
}

// cumSumFew is cumSum of up to 3 elements, whose sums are those of a plain loop.
func cumSumFew[T Float](_ ISA, dst, src []T, carry float64) float64 {
	var s T
	s = -s // −0: adding it changes nothing
	dst = dst[:len(src)]
	for i, v := range src {
		s += v
		dst[i] = T(carry + float64(s))
	}
	return carry + float64(s+0) // the rest of the block is zeros
}

// cumSumShort is cumSum of 4 to 7 elements that nothing comes before, in less time than a call into assembly: a four, and a plain loop.
func cumSumShort[T Float](_ ISA, dst, src []T, _ float64) float64 {
	dst = dst[:len(src)]
	x, y := (*[4]T)(src), (*[4]T)(dst)
	a, b, c, d := scan4(x[0], x[1], x[2], x[3])
	y[0], y[1], y[2], y[3] = a, b, c, d
	var s T
	s = -s
	for i := 4; i < len(src); i++ {
		s += src[i]
		dst[i] = s + d
	}
	return float64(s + d + 0) // the rest of the block is zeros
}

// firstCall says whether a carry is that of the first call.
func firstCall(carry float64) bool { return math.Float64bits(carry) == 1<<63 }

// cumSumPieces is cumSum of more than a long piece.
func cumSumPieces[T Float](isa ISA, dst, src []T, carry float64) float64 {
	checkUnary("CumSum", dst, src)
	for len(src) > 0 {
		n := min(len(src), longPiece)
		carry = cumSum(isa, dst[:n], src[:n], carry)
		dst, src = dst[n:], src[n:]
	}
	return carry
}

// Softmax writes exp(xᵢ − max x) / Σ exp(xⱼ − max x) to dst, which has the length of src and is src itself or does not overlap it.
//
// A −Inf gets 0. If there is a NaN or a +Inf, or nothing but −Inf, all of dst becomes NaN. exp is within 0.9 ulp, and 0 where it would be
// subnormal.
func Softmax[T Float](dst, src []T) {
	checkUnary("Softmax", dst, src)
	if len(src) > piece {
		softmaxPieces(active, dst, src, 1)
	} else if len(src) > 0 {
		softmaxRows(active, dst, src, len(src))
	}
}

// softmaxPieces is the softmax of a row of more than a piece, multiplied by times, which is positive.
func softmaxPieces[T Float](isa ISA, dst, src []T, times T) {
	m := largest(isa, src)
	var s float64
	for i := 0; i < len(src); i += piece {
		end := min(i+piece, len(src))
		if times == 1 {
			s += float64(expSum(isa, dst[i:end], src[i:end], m))
		} else {
			s += float64(expSumScaled(isa, dst[i:end], src[i:end], m, times))
		}
	}
	sum := T(s)
	if sum != sum {
		fillNaN(dst)
		return
	}
	factor := 1 / sum
	for i := 0; i < len(dst); i += longPiece {
		d := dst[i:min(i+longPiece, len(dst))]
		scale(isa, d, d, factor)
	}
}

// largestPieces is largest of more than a long piece.
func largestPieces[T Float](isa ISA, x []T) T {
	m := largest(isa, x[:longPiece])
	for i := longPiece; i < len(x); i += longPiece {
		m = max(m, largest(isa, x[i:min(i+longPiece, len(x))]))
	}
	return m
}

// sumExpPieces is sumExp of more than a piece.
func sumExpPieces[T Float](isa ISA, x []T, m T) T {
	var s float64
	for i := 0; i < len(x); i += piece {
		s += float64(sumExp(isa, x[i:min(i+piece, len(x))], m))
	}
	return T(s)
}

// SoftmaxRows is Softmax for every row of the row-major matrix src [len(src)/cols, cols]. A row with NaN, +Inf or nothing but −Inf
// becomes NaN throughout; no other row is touched by it. It panics where cols is not positive or does not divide the length.
func SoftmaxRows[T Float](dst, src []T, cols int) {
	checkUnary("SoftmaxRows", dst, src)
	checkDivides("SoftmaxRows", "cols", cols, len(src))
	softmaxOfRows(active, dst, src, cols, 1)
}

// softmaxOfRows is softmaxRows of any number of rows and columns, multiplied by times, which is not negative and not 0.
func softmaxOfRows[T Float](isa ISA, dst, src []T, cols int, times T) {
	if cols > piece {
		for i := 0; i < len(src); i += cols {
			softmaxPieces(isa, dst[i:i+cols], src[i:i+cols], times)
		}
		return
	}
	for len(src) > 0 {
		n := rowsPiece(cols, len(src))
		if times == 1 {
			softmaxRows(isa, dst[:n], src[:n], cols)
		} else {
			softmaxRowsScaled(isa, dst[:n], src[:n], cols, times)
		}
		dst, src = dst[n:], src[n:]
	}
}

// rowsPiece is how many of n elements, in whole rows, go into one call.
func rowsPiece(cols, n int) int {
	if n <= longPiece {
		return n // the division would take as long as a few rows
	}
	return min(n, max(1, longPiece/cols)*cols)
}

// LogSoftmaxRows writes (x − max) − log Σ exp(x − max) for every row of the row-major matrix src [len(src)/cols, cols]. A −Inf stays
// −Inf; a row with NaN, +Inf or nothing but −Inf becomes NaN throughout. Aliasing and panics are those of SoftmaxRows.
func LogSoftmaxRows[T Float](dst, src []T, cols int) {
	checkUnary("LogSoftmaxRows", dst, src)
	checkDivides("LogSoftmaxRows", "cols", cols, len(src))
	isa := active
	if cols > piece {
		for i := 0; i < len(src); i += cols {
			logSoftmaxRow(isa, dst[i:i+cols], src[i:i+cols])
		}
		return
	}
	for len(src) > 0 {
		n := rowsPiece(cols, len(src))
		logSoftmaxRows(isa, dst[:n], src[:n], cols)
		dst, src = dst[n:], src[n:]
	}
}

func logSoftmaxRow[T Float](isa ISA, dst, src []T) {
	m := largest(isa, src)
	sum := sumExp(isa, src, m)
	if sum != sum {
		fillNaN(dst)
		return
	}
	l := T(log(float64(sum)))
	for i := 0; i < len(dst); i += longPiece {
		end := min(i+longPiece, len(dst))
		subtract(isa, dst[i:end], src[i:end], m, l)
	}
}

// SoftmaxPlanes is Softmax across the planes of a channel-first array [planes, n], n = len(src)/planes: for every column i over
// src[i], src[n+i], src[2n+i], … It panics where planes is not positive or does not divide the length; dst is src itself or does not
// overlap it. Its results are the bits of SoftmaxRows on the transposed array.
func SoftmaxPlanes[T Float](dst, src []T, planes int) {
	checkUnary("SoftmaxPlanes", dst, src)
	checkDivides("SoftmaxPlanes", "planes", planes, len(src))
	softmaxArray(active, dst, src, planes)
}

func softmaxArray[T Float](isa ISA, dst, src []T, planes int) {
	n := len(src) / planes
	if tall(isa, planes) {
		turned(isa, dst, src, nil, planes, n, func(_ int, x, _ []T) { softmaxPieces(isa, x, x, 1) })
		return
	}
	for i := 0; i < n; {
		some := planesPiece(planes, n-i)
		softmaxPlanes(isa, dst[i:], src[i:], planes, some, n, n)
		i += some
	}
}

// planesPiece is how many of n columns of planes go into one call.
func planesPiece(planes, n int) int {
	if n*planes <= longPiece {
		return n
	}
	return min(n, (max(longPiece/planes, 1)+63)&^63)
}

// SoftmaxAxis is Softmax along the middle axis of a row-major array [outer, axis, inner]: rows where inner is 1, planes where outer is 1.
// outer and inner may be 0; it panics where axis is not positive, one of the others is negative, or the product is not the length.
func SoftmaxAxis[T Float](dst, src []T, outer, axis, inner int) {
	checkUnary("SoftmaxAxis", dst, src)
	checkAxis("SoftmaxAxis", len(src), outer, axis, inner)
	if inner == 1 {
		SoftmaxRows(dst, src, axis)
		return
	}
	isa := active
	for size := axis * inner; len(src) > 0; dst, src = dst[size:], src[size:] {
		softmaxArray(isa, dst[:size], src[:size], axis)
	}
}

// LogSoftmaxAxis is LogSoftmaxRows along the middle axis of a row-major array [outer, axis, inner], with the rules of SoftmaxAxis.
func LogSoftmaxAxis[T Float](dst, src []T, outer, axis, inner int) {
	checkUnary("LogSoftmaxAxis", dst, src)
	checkAxis("LogSoftmaxAxis", len(src), outer, axis, inner)
	if inner == 1 {
		LogSoftmaxRows(dst, src, axis)
		return
	}
	isa := active
	for size := axis * inner; len(src) > 0; dst, src = dst[size:], src[size:] {
		if tall(isa, axis) {
			turned(isa, dst[:size], src[:size], nil, axis, inner, func(_ int, x, _ []T) { logSoftmaxRow(isa, x, x) })
			continue
		}
		for i := 0; i < inner; {
			n := planesPiece(axis, inner-i)
			logSoftmaxPlanes(isa, dst[i:size], src[i:size], axis, n, inner, inner)
			i += n
		}
	}
}

// LogSumExp returns log Σ exp(xᵢ), without overflow: −Inf for nothing and for nothing but −Inf, NaN if there is one, else +Inf if there is
// one.
func LogSumExp[T Float](x []T) T {
	if len(x) == 0 {
		return T(math.Inf(-1))
	}
	return logSumExp(active, x)
}

func logSumExp[T Float](isa ISA, x []T) T {
	m := largest(isa, x)
	s := sumExp(isa, x, m)
	if s == s {
		return T(float64(m) + log(float64(s)))
	}
	m = T(math.Inf(-1))
	for _, v := range x {
		m = max(m, v) // NaN if there is one
	}
	return m
}

// SoftmaxRowsGrad is the vector-Jacobian product of SoftmaxRows: dx = y ⊙ (dy − Σ y·dy) for every row, where y is the softmax and dy the
// gradient with respect to it, both row-major [len(y)/cols, cols]. dx has their length and may be y or dy. It panics where lengths differ,
// where cols is not positive or does not divide them, or where dx overlaps otherwise.
func SoftmaxRowsGrad[T Float](dx, y, dy []T, cols int) {
	checkGrad("SoftmaxRowsGrad", dx, y, dy, cols)
	isa := active
	if cols <= piece {
		for len(y) > 0 {
			n := rowsPiece(cols, len(y))
			softmaxRowsGrad(isa, dx[:n], y[:n], dy[:n], cols)
			dx, y, dy = dx[n:], y[n:], dy[n:]
		}
		return
	}
	for i := 0; i < len(y); i += cols {
		s := dot(isa, y[i:i+cols], dy[i:i+cols])
		for j := i; j < i+cols; j += longPiece {
			end := min(j+longPiece, i+cols)
			softmaxGrad(isa, dx[j:end], y[j:end], dy[j:end], s)
		}
	}
}

// LogSoftmaxRowsGrad is the vector-Jacobian product of LogSoftmaxRows: dx = dy − exp(y)·Σ dy for every row, where y is the log-softmax (a
// positive y counts as 0) and dy the gradient with respect to it. Shapes, aliasing and panics are those of SoftmaxRowsGrad.
func LogSoftmaxRowsGrad[T Float](dx, y, dy []T, cols int) {
	checkGrad("LogSoftmaxRowsGrad", dx, y, dy, cols)
	isa := active
	if cols <= piece {
		for len(y) > 0 {
			n := rowsPiece(cols, len(y))
			logSoftmaxRowsGrad(isa, dx[:n], y[:n], dy[:n], cols)
			dx, y, dy = dx[n:], y[n:], dy[n:]
		}
		return
	}
	for i := 0; i < len(y); i += cols {
		logSoftmaxRowGrad(isa, dx[i:i+cols], y[i:i+cols], dy[i:i+cols])
	}
}

// logSoftmaxRowGrad is logSoftmaxRowsGrad of one row of more than a piece.
func logSoftmaxRowGrad[T Float](isa ISA, dx, y, dy []T) {
	s := sum(isa, dy)
	for i := 0; i < len(y); i += longPiece {
		end := min(i+longPiece, len(y))
		logSoftmaxGrad(isa, dx[i:end], y[i:end], dy[i:end], s)
	}
}

// ArgMax returns the index of the largest value, the first of equals; the index of the first NaN if there is one; −1 for nothing.
func ArgMax[T Float](x []T) int { return argMax(active, x) }

// argMaxPieces is argMax of more than a long piece, or of nothing.
func argMaxPieces[T Float](isa ISA, x []T) int {
	if len(x) == 0 {
		return -1
	}
	best := argMax(isa, x[:min(len(x), longPiece)])
	for i := longPiece; i < len(x) && x[best] == x[best]; i += longPiece {
		if j := i + argMax(isa, x[i:min(i+longPiece, len(x))]); !(x[j] <= x[best]) {
			best = j
		}
	}
	return best
}

// ArgMaxRows writes ArgMax of every row of the row-major matrix src [len(dst), cols] to dst. It panics where cols is not positive or above
// 2³¹ − 1, or len(src) ≠ len(dst)·cols.
func ArgMaxRows[T Float](dst []int32, src []T, cols int) {
	checkArgMax("ArgMaxRows", "cols", cols, len(dst), len(src))
	checkIndices("ArgMaxRows", "cols", cols)
	isa := active
	if cols > longPiece {
		for r := range dst {
			dst[r] = int32(argMax(isa, src[r*cols:(r+1)*cols]))
		}
		return
	}
	for len(dst) > 0 {
		n := rowsPiece(cols, len(src))
		argMaxRows(isa, dst[:n/cols], src[:n], cols)
		dst, src = dst[n/cols:], src[n:]
	}
}

// ArgMaxPlanes writes the ArgMax across the planes of a channel-first array src [planes, len(dst)] to dst: the class mask of a
// segmentation network's output. It panics where planes is not positive or above 2³¹ − 1, or len(src) ≠ planes·len(dst).
func ArgMaxPlanes[T Float](dst []int32, src []T, planes int) {
	checkArgMax("ArgMaxPlanes", "planes", planes, len(dst), len(src))
	checkIndices("ArgMaxPlanes", "planes", planes)
	isa := active
	for i := 0; i < len(dst); {
		n := planesPiece(planes, len(dst)-i)
		argMaxPlanes(isa, dst[i:i+n], src[i:], planes, n, len(dst))
		i += n
	}
}

// ClassErrors is the error computation of the Lovász losses: dst[i] = |1{labels[i] = class} − probs[i]|, not clamped. It panics where the
// lengths differ; dst is probs itself or does not overlap it.
func ClassErrors[T Float](dst, probs []T, labels []int32, class int32) {
	classErrors(active, dst, probs, labels, class)
}

// classErrorsPieces is classErrors of more than a long piece, and panics where the arguments do not fit.
func classErrorsPieces[T Float](isa ISA, dst, probs []T, labels []int32, class int32) {
	checkUnary("ClassErrors", dst, probs)
	if len(labels) != len(probs) {
		panicLengths("ClassErrors", "len(probs)", len(probs), "len(labels)", len(labels))
	}
	for len(dst) > 0 {
		n := min(len(dst), longPiece)
		classErrors(isa, dst[:n], probs[:n], labels[:n], class)
		dst, probs, labels = dst[n:], probs[n:], labels[n:]
	}
}

// LovaszGrad writes the gradient of the Lovász extension of the Jaccard loss with respect to the sorted errors (Berman, Rannen Triki and
// Blaschko, CVPR 2018, algorithm 1): foreground holds the ground truth of the pixels in descending order of their errors, 0 for background
// and anything else for foreground, and dst takes their weights. Without foreground that is 1, then 0. It panics where the lengths differ.
//
// The counts are integers and each weight is one division in float64, rounded to T.
func LovaszGrad[T Float](dst []T, foreground []uint8) {
	if len(dst) != len(foreground) {
		panicLengths("LovaszGrad", "len(dst)", len(dst), "len(foreground)", len(foreground))
	}
	g := len(foreground) - bytes.Count(foreground, []byte{0})
	if g == 0 {
		clear(dst)
		if len(dst) > 0 {
			dst[0] = 1
		}
		return
	}
	isa := active
	left, union := g, g
	for len(dst) > 0 {
		n := min(len(dst), longPiece)
		after := lovaszWeights(isa, dst[:n], foreground[:n], left, union)
		union += n - (left - after)
		left = after
		dst, foreground = dst[n:], foreground[n:]
	}
}

func checkUnary[T Float](name string, dst, src []T) {
	if !unary(dst, src) {
		panicUnary(name, dst, src)
	}
}

// unary says whether dst is what src may be written to.
func unary[T Float](dst, src []T) bool {
	return len(dst) == len(src) && (unsafe.SliceData(dst) == unsafe.SliceData(src) || !overlap(dst, src))
}

//go:noinline
func panicUnary[T Float](name string, dst, src []T) {
	if len(dst) != len(src) {
		panicLengths(name, "len(dst)", len(dst), "len(src)", len(src))
	}
	panicOverlap(name)
}

func checkGrad[T Float](name string, dx, y, dy []T, cols int) {
	checkUnary(name, dx, y)
	checkUnary(name, dx, dy)
	checkDivides(name, "cols", cols, len(y))
}

func checkDivides(name, what string, n, length int) {
	if n <= 0 || length%n != 0 {
		panicDivides(name, what, n, length)
	}
}

//go:noinline
func panicDivides(name, what string, n, length int) {
	panic(fmt.Sprintf("lanewise: %s: %s = %d does not divide the length %d", name, what, n, length))
}

func checkArgMax(name, what string, n, dst, src int) {
	if n <= 0 || src%n != 0 || src/n != dst {
		panicArgMax(name, what, n, dst, src)
	}
}

//go:noinline
func panicArgMax(name, what string, n, dst, src int) {
	panic(fmt.Sprintf("lanewise: %s: len(src) = %d, want len(dst)·%s = %d·%d", name, src, what, dst, n))
}

// checkIndices panics where indices below n do not fit int32.
func checkIndices(name, what string, n int) {
	if n > math.MaxInt32 {
		panic(fmt.Sprintf("lanewise: %s: %s = %d, want at most 2³¹ − 1", name, what, n))
	}
}

func checkAxis(name string, length, outer, axis, inner int) {
	ok := axis > 0 && outer >= 0 && inner >= 0
	if ok && (outer == 0 || inner == 0) {
		ok = length == 0
	} else if ok {
		ok = length%outer == 0 && length/outer%axis == 0 && length/outer/axis == inner
	}
	if !ok {
		panic(fmt.Sprintf("lanewise: %s: the length is %d, want outer·axis·inner = %d·%d·%d", name, length, outer, axis, inner))
	}
}

// overlap says whether a and b share memory.
func overlap[T Float](a, b []T) bool {
	if len(a) == 0 || len(b) == 0 {
		return false
	}
	p, q := uintptr(unsafe.Pointer(unsafe.SliceData(a))), uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	size := unsafe.Sizeof(a[0])
	return p < q+uintptr(len(b))*size && q < p+uintptr(len(a))*size
}

// The panics are functions of their own: what they need of the stack is not their callers' concern.

//go:noinline
func panicLengths(name, a string, lenA int, b string, lenB int) {
	panic(fmt.Sprintf("lanewise: %s: %s = %d, %s = %d", name, a, lenA, b, lenB))
}

//go:noinline
func panicOverlap(name string) {
	panic(fmt.Sprintf("lanewise: %s: the destination overlaps a source, and is not the same slice", name))
}
