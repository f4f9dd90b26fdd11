package main

import "github.com/lanewise/lanewise"

// The kernels along an axis of [outer, axis, inner], and those of rows that have no file of their own.

const innerElements = 256

// axisShape returns a shape of about n elements.
func axisShape(n, axis int) (elements, outer, inner int) {
	inner = min(innerElements, max(1, n/axis))
	outer = max(1, n/(axis*inner))
	return outer * axis * inner, outer, inner
}

// eachColumn calls f with where every column begins, and its number.
func eachColumn(outer, axis, inner int, f func(first, column int)) {
	for o := range outer {
		for i := range inner {
			f(o*axis*inner+i, o*inner+i)
		}
	}
}

// gather copies a column to x.
func gather[T any](x, src []T, first, step int) {
	for k := range x {
		x[k] = src[first+k*step]
	}
}

func scatter[T any](dst, x []T, first, step int) {
	for k, v := range x {
		dst[first+k*step] = v
	}
}

// alongAxis is a kernel from logits to as many values. Plain Go copies every column to where it lies in a row.
func alongAxis[T lanewise.Float](axis int, call func(dst, src []T, outer, axis, inner int), row func(dst, src []T)) func(n int) instance {
	return func(n int) instance {
		n, outer, inner := axisShape(n, axis)
		dst, src, x := alloc[T](n), logits[T](n), alloc[T](axis)
		return instance{
			n: n, cols: axis,
			dst:  dst,
			call: func() { call(dst, src, outer, axis, inner) },
			peers: []peer{{plain, func() {
				eachColumn(outer, axis, inner, func(first, _ int) {
					gather(x, src, first, inner)
					row(x, x)
					scatter(dst, x, first, inner)
				})
			}}},
			limit: copies(dst, src).of(softmaxOperations[T](), n),
		}
	}
}

func softmaxAxis[T lanewise.Float](axis int) func(n int) instance {
	return alongAxis(axis, lanewise.SoftmaxAxis[T], plainSoftmax[T])
}

func logSoftmaxAxis[T lanewise.Float](axis int) func(n int) instance {
	return alongAxis(axis, lanewise.LogSoftmaxAxis[T], plainLogSoftmax[T])
}

// gradAlongAxis is the gradient of one of those.
func gradAlongAxis[T lanewise.Float](axis int, forward func(dst, src []T, outer, axis, inner int),
	call func(dx, y, dy []T, outer, axis, inner int),
	row func(dx, y, dy []T), operations float64) func(n int) instance {
	return func(n int) instance {
		n, outer, inner := axisShape(n, axis)
		dx, y, dy := alloc[T](n), logits[T](n), normal[T](n)
		forward(y, y, outer, axis, inner)
		a, b := alloc[T](axis), alloc[T](axis)
		return instance{
			n: n, cols: axis,
			dst:  dx,
			call: func() { call(dx, y, dy, outer, axis, inner) },
			peers: []peer{{plain, func() {
				eachColumn(outer, axis, inner, func(first, _ int) {
					gather(a, y, first, inner)
					gather(b, dy, first, inner)
					row(b, a, b)
					scatter(dx, b, first, inner)
				})
			}}},
			limit: merges(dx, y, dy).of(operations, n),
		}
	}
}

func softmaxAxisGrad[T lanewise.Float](axis int) func(n int) instance {
	return gradAlongAxis(axis, lanewise.SoftmaxAxis[T], lanewise.SoftmaxAxisGrad[T], plainSoftmaxGrad[T], 4)
}

func logSoftmaxAxisGrad[T lanewise.Float](axis int) func(n int) instance {
	return gradAlongAxis(axis, lanewise.LogSoftmaxAxis[T], lanewise.LogSoftmaxAxisGrad[T], plainLogSoftmaxGrad[T], expOperations[T]()+4)
}

func logSumExpAxis[T lanewise.Float](axis int) func(n int) instance {
	return func(n int) instance {
		n, outer, inner := axisShape(n, axis)
		dst, src, x := alloc[T](outer*inner), logits[T](n), alloc[T](axis)
		return instance{
			n: n, cols: axis,
			dst:  dst,
			call: func() { lanewise.LogSumExpAxis(dst, src, outer, axis, inner) },
			peers: []peer{{plain, func() {
				eachColumn(outer, axis, inner, func(first, column int) {
					gather(x, src, first, inner)
					dst[column] = plainLogSumExp(x)
				})
			}}},
			limit: reads(src).of(expOperations[T]()+3, n),
		}
	}
}

func argMaxAxis[T lanewise.Float](axis int) func(n int) instance {
	return func(n int) instance {
		n, outer, inner := axisShape(n, axis)
		dst, src, x := alloc[int32](outer*inner), normal[T](n), alloc[T](axis)
		return instance{
			n: n, cols: axis,
			dst:  dst,
			call: func() { lanewise.ArgMaxAxis(dst, src, outer, axis, inner) },
			peers: []peer{{plain, func() {
				eachColumn(outer, axis, inner, func(first, column int) {
					gather(x, src, first, inner)
					dst[column] = int32(plainArgMax(x))
				})
			}}},
			limit: reads(src).of(1, n),
		}
	}
}

func cumSumRows[T lanewise.Float](cols int) func(n int) instance {
	return func(n int) instance {
		n, _ = inRows(n, cols)
		dst, src := alloc[T](n), normal[T](n)
		return instance{
			n: n, cols: cols,
			dst:   dst,
			call:  func() { lanewise.CumSumRows(dst, src, cols) },
			peers: []peer{{plain, func() { eachRow(n, cols, func(i, j int) { plainCumSum(dst[i:j], src[i:j]) }) }}},
			limit: copies(dst, src),
		}
	}
}
