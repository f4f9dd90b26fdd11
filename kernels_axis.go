package lanewise

import (
	"fmt"
	"math"
	"sync"
	"unsafe"
)

// LogSumExpRows writes LogSumExp of every row of the row-major matrix src [len(dst), cols] to dst. It panics where cols is not positive,
// where len(src) ≠ len(dst)·cols, or where dst overlaps src.
func LogSumExpRows[T Float](dst, src []T, cols int) {
	checkArgMax("LogSumExpRows", "cols", cols, len(dst), len(src))
	if overlap(dst, src) {
		panicOverlap("LogSumExpRows")
	}
	isa := active
	if cols > piece {
		for r := range dst {
			dst[r] = logSumExp(isa, src[r*cols:(r+1)*cols])
		}
		return
	}
	for len(dst) > 0 {
		n := rowsPiece(cols, len(src))
		rows := dst[:n/cols]
		logSumExpRows(isa, rows, src[:n], cols)
		for i, v := range rows {
			if v != v {
				rows[i] = extreme(src[i*cols:], cols, 1)
			}
		}
		dst, src = dst[len(rows):], src[n:]
	}
}

// extreme returns the largest of n elements, stride apart, or NaN if there is one: the log-sum-exp where it is infinite or NaN.
func extreme[T Float](x []T, n, stride int) T {
	m := T(math.Inf(-1))
	for i := range n {
		m = max(m, x[i*stride])
	}
	return m
}

// LogSumExpAxis writes LogSumExp along the middle axis of a row-major array src [outer, axis, inner] to dst [outer, inner]. outer and inner
// may be 0; it panics where axis is not positive, one of the others is negative, the product is not len(src), len(dst) is not outer·inner,
// or dst overlaps src.
func LogSumExpAxis[T Float](dst, src []T, outer, axis, inner int) {
	checkAlong("LogSumExpAxis", len(dst), len(src), outer, axis, inner)
	if overlap(dst, src) {
		panicOverlap("LogSumExpAxis")
	}
	if inner == 1 {
		LogSumExpRows(dst, src, axis)
		return
	}
	isa := active
	for size := axis * inner; len(src) > 0; dst, src = dst[inner:], src[size:] {
		if tall(isa, axis) {
			turned(isa, nil, src[:size], nil, axis, inner, func(i int, x, _ []T) { dst[i] = logSumExp(isa, x) })
			continue
		}
		for i := 0; i < inner; {
			n := planesPiece(axis, inner-i)
			logSumExpPlanes(isa, dst[i:i+n], src[i:size], axis, n, inner)
			i += n
		}
		for i, v := range dst[:inner] {
			if v != v {
				dst[i] = extreme(src[i:], axis, inner)
			}
		}
	}
}

// ArgMaxAxis writes ArgMax along the middle axis of a row-major array src [outer, axis, inner] to dst [outer, inner]: for a batch of images
// [n, classes, h·w] the class masks. It panics as LogSumExpAxis does, and where axis is above 2³¹ − 1.
func ArgMaxAxis[T Float](dst []int32, src []T, outer, axis, inner int) {
	checkAlong("ArgMaxAxis", len(dst), len(src), outer, axis, inner)
	checkIndices("ArgMaxAxis", "axis", axis)
	if inner == 1 {
		ArgMaxRows(dst, src, axis)
		return
	}
	for size := axis * inner; len(src) > 0; dst, src = dst[inner:], src[size:] {
		ArgMaxPlanes(dst[:inner], src[:size], axis)
	}
}

// SoftmaxAxisGrad is SoftmaxRowsGrad along the middle axis of row-major arrays [outer, axis, inner]: dx = y ⊙ (dy − Σ y·dy), the
// vector-Jacobian product of SoftmaxAxis. dx has the length of y and dy and may be one of them. It panics where lengths differ, where dx
// overlaps otherwise, or where the axes do not fit as in SoftmaxAxis.
func SoftmaxAxisGrad[T Float](dx, y, dy []T, outer, axis, inner int) {
	checkAxisGrad("SoftmaxAxisGrad", dx, y, dy, outer, axis, inner)
	if inner == 1 {
		SoftmaxRowsGrad(dx, y, dy, axis)
		return
	}
	isa := active
	for size := axis * inner; len(y) > 0; dx, y, dy = dx[size:], y[size:], dy[size:] {
		for i := 0; i < inner; {
			n := planesPiece(axis, inner-i)
			softmaxGradPlanes(isa, dx[i:size], y[i:size], dy[i:size], axis, n, inner)
			i += n
		}
	}
}

// LogSoftmaxAxisGrad is LogSoftmaxRowsGrad along the middle axis of row-major arrays [outer, axis, inner]: dx = dy − exp(y)·Σ dy, the
// vector-Jacobian product of LogSoftmaxAxis, where a positive y counts as 0. Aliasing and panics are those of SoftmaxAxisGrad.
func LogSoftmaxAxisGrad[T Float](dx, y, dy []T, outer, axis, inner int) {
	checkAxisGrad("LogSoftmaxAxisGrad", dx, y, dy, outer, axis, inner)
	if inner == 1 {
		LogSoftmaxRowsGrad(dx, y, dy, axis)
		return
	}
	isa := active
	for size := axis * inner; len(y) > 0; dx, y, dy = dx[size:], y[size:], dy[size:] {
		if tall(isa, axis) {
			turned(isa, dx[:size], y[:size], dy[:size], axis, inner, func(_ int, y, dy []T) { logSoftmaxRowGrad(isa, y, y, dy) })
			continue
		}
		for i := 0; i < inner; {
			n := planesPiece(axis, inner-i)
			logSoftmaxGradPlanes(isa, dx[i:size], y[i:size], dy[i:size], axis, n, inner)
			i += n
		}
	}
}

// CumSumRows is CumSum for every row of the row-major matrix src [len(src)/cols, cols]. It panics where cols is not positive or does not
// divide the length; dst is src itself or does not overlap it.
func CumSumRows[T Float](dst, src []T, cols int) {
	checkUnary("CumSumRows", dst, src)
	checkDivides("CumSumRows", "cols", cols, len(src))
	for ; len(src) > 0; dst, src = dst[cols:], src[cols:] {
		CumSum(dst[:cols], src[:cols])
	}
}

// tall says whether the assembly for planes does not take so many, as they are a sum of more than a piece.
func tall(isa ISA, planes int) bool { return planes > piece && isa != Generic }

// turnedColumns is how many columns are made rows at a time: a cache line of float32.
const turnedColumns = 16

// turned takes planes to the kernels of rows, which have the same bits: f gets every column of x, and of y unless that is nil, as a row of
// its own, and what it leaves in the first one goes to dst, unless that is nil.
func turned[T Float](isa ISA, dst, x, y []T, planes, n int, f func(column int, x, y []T)) {
	s := columnsPool.Get().(*columnsScratch)
	defer columnsPool.Put(s)
	stride := planes + turnedColumns // rows that begin at one offset of a page would share few lines of the cache
	for i := 0; i < n; i += turnedColumns {
		m := min(turnedColumns, n-i)
		a, b := room[T](&s.x, m*stride), []T(nil)
		intoRows(isa, a, x[i:], planes, m, stride, n)
		if y != nil {
			b = room[T](&s.y, m*stride)
			intoRows(isa, b, y[i:], planes, m, stride, n)
		}
		for j := range m {
			row := a[j*stride:][:planes]
			if y == nil {
				f(i+j, row, nil)
			} else {
				f(i+j, row, b[j*stride:][:planes])
			}
		}
		for k := 0; k < planes && dst != nil; k += longPiece / turnedColumns {
			transpose(isa, dst[k*n+i:], a[k:], m, min(longPiece/turnedColumns, planes-k), n, stride)
		}
	}
}

// intoRows writes n columns of planes to rows that are stride elements apart.
func intoRows[T Float](isa ISA, rows, src []T, planes, n, stride, srcStride int) {
	for k := 0; k < planes; k += longPiece / turnedColumns {
		transpose(isa, rows[k:], src[k*srcStride:], min(longPiece/turnedColumns, planes-k), n, stride, srcStride)
	}
}

// columnsScratch has the columns of one or two arrays, of either type.
type columnsScratch struct{ x, y []float64 }

var columnsPool = sync.Pool{New: func() any { return new(columnsScratch) }}

// room returns n elements of scratch.
func room[T Float](scratch *[]float64, n int) []T {
	if need := (n*int(unsafe.Sizeof(T(0))) + 7) / 8; len(*scratch) < need {
		*scratch = make([]float64, need)
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(*scratch))), n)
}

func checkAxisGrad[T Float](name string, dx, y, dy []T, outer, axis, inner int) {
	checkUnary(name, dx, y)
	checkUnary(name, dx, dy)
	checkAxis(name, len(y), outer, axis, inner)
}

// checkAlong checks the lengths of what has an element for each vector along the middle axis, dst, and of the array.
func checkAlong(name string, dst, src, outer, axis, inner int) {
	checkAxis(name, src, outer, axis, inner)
	if want := src / axis; dst != want {
		panic(fmt.Sprintf("lanewise: %s: len(dst) = %d, want outer·inner = %d·%d", name, dst, outer, inner))
	}
}
