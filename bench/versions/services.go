package main

import (
	"github.com/lanewise/lanewise"
)

// What came with the kernels of services: CHANGELOG.md.

func init() {
	kernels["SquaredDistance"] = kernel{squaredDistance[float32], squaredDistance[float64]}
	kernels["SquaredDistanceRows"] = kernel{squaredDistanceRows[float32], squaredDistanceRows[float64]}
	kernels["Norm"] = kernel{norm[float32], norm[float64]}
	kernels["NormalizeRows"] = kernel{normalizeRows[float32], normalizeRows[float64]}
	kernels["TopK"] = kernel{topK[float32], topK[float64]}
	kernels["SortAscending"] = kernel{sortAscending[float32], sortAscending[float64]}
	kernels["Sigmoid"] = kernel{sigmoid[float32], sigmoid[float64]}
	kernels["SigmoidGrad"] = kernel{sigmoidGrad[float32], sigmoidGrad[float64]}
	kernels["SoftmaxRowsScaled"] = kernel{softmaxRowsScaled[float32], softmaxRowsScaled[float64]}
	kernels["LogSumExpRows"] = kernel{logSumExpRows[float32], logSumExpRows[float64]}
	kernels["CumSumRows"] = kernel{cumSumRows[float32], cumSumRows[float64]}
	kernels["FromFloat16"] = kernel{f32: fromFloat16}
	kernels["ToFloat16"] = kernel{f32: toFloat16}
	kernels["FromBFloat16"] = kernel{f32: fromBFloat16}
	kernels["ToBFloat16"] = kernel{f32: toBFloat16}
	kernels["DotRowsFloat16"] = kernel{f32: dotRowsFloat16}
	kernels["DotRowsBFloat16"] = kernel{f32: dotRowsBFloat16}
	kernels["DotInt8"] = kernel{f32: dotInt8}
	kernels["DotRowsInt8"] = kernel{f32: dotRowsInt8}
}

func squaredDistance[T lanewise.Float](n, _ int) func() {
	a, b := normal[T](n, 1), normal[T](n, 1)
	return func() { sinkFloat = float64(lanewise.SquaredDistance(a, b)) }
}

func squaredDistanceRows[T lanewise.Float](n, cols int) func() {
	n, rows := inRows(n, cols)
	dst, m, x := alloc[T](rows), normal[T](n, 1), normal[T](cols, 1)
	return func() { lanewise.SquaredDistanceRows(dst, m, x) }
}

func norm[T lanewise.Float](n, _ int) func() {
	x := normal[T](n, 1)
	return func() { sinkFloat = float64(lanewise.Norm(x)) }
}

func normalizeRows[T lanewise.Float](n, cols int) func() {
	n, _ = inRows(n, cols)
	dst, src := alloc[T](n), normal[T](n, 1)
	return func() { lanewise.NormalizeRows(dst, src, cols) }
}

func topK[T lanewise.Float](n, k int) func() {
	src, values, indices := normal[T](max(n, k), 1), alloc[T](k), alloc[int32](k)
	return func() { lanewise.TopK(values, indices, src) }
}

func sortAscending[T lanewise.Float](n, _ int) func() {
	src, keys, perm := normal[T](n, 1), alloc[T](n), alloc[int32](n)
	return func() {
		copy(keys, src)
		lanewise.SortAscending(keys, perm)
	}
}

func sigmoid[T lanewise.Float](n, _ int) func() {
	dst, src := alloc[T](n), normal[T](n, 3)
	return func() { lanewise.Sigmoid(dst, src) }
}

func sigmoidGrad[T lanewise.Float](n, _ int) func() {
	dx, y, dy := alloc[T](n), normal[T](n, 3), normal[T](n, 1)
	lanewise.Sigmoid(y, y)
	return func() { lanewise.SigmoidGrad(dx, y, dy) }
}

func softmaxRowsScaled[T lanewise.Float](n, cols int) func() {
	n, _ = inRows(n, cols)
	dst, src, mask := alloc[T](n), normal[T](n, 3), normal[T](n, 1)
	return func() { lanewise.SoftmaxRowsScaled(dst, src, mask, cols, 0.125) }
}

func logSumExpRows[T lanewise.Float](n, cols int) func() {
	n, rows := inRows(n, cols)
	dst, src := alloc[T](rows), normal[T](n, 3)
	return func() { lanewise.LogSumExpRows(dst, src, cols) }
}

func cumSumRows[T lanewise.Float](n, cols int) func() {
	n, _ = inRows(n, cols)
	dst, src := alloc[T](n), normal[T](n, 1)
	return func() { lanewise.CumSumRows(dst, src, cols) }
}

// halves returns n float16 of a normal distribution, which are bfloat16 of another one.
func halves(n int) []uint16 {
	h := alloc[uint16](n)
	lanewise.ToFloat16(h, normal[float32](n, 1))
	return h
}

func fromFloat16(n, _ int) func() {
	dst, src := alloc[float32](n), halves(n)
	return func() { lanewise.FromFloat16(dst, src) }
}

func toFloat16(n, _ int) func() {
	dst, src := alloc[uint16](n), normal[float32](n, 1)
	return func() { lanewise.ToFloat16(dst, src) }
}

func fromBFloat16(n, _ int) func() {
	dst, src := alloc[float32](n), halves(n)
	return func() { lanewise.FromBFloat16(dst, src) }
}

func toBFloat16(n, _ int) func() {
	dst, src := alloc[uint16](n), normal[float32](n, 1)
	return func() { lanewise.ToBFloat16(dst, src) }
}

func dotRowsFloat16(n, cols int) func() {
	n, rows := inRows(n, cols)
	dst, m, x := alloc[float32](rows), halves(n), normal[float32](cols, 1)
	return func() { lanewise.DotRowsFloat16(dst, m, x) }
}

func dotRowsBFloat16(n, cols int) func() {
	n, rows := inRows(n, cols)
	dst, m, x := alloc[float32](rows), halves(n), normal[float32](cols, 1)
	return func() { lanewise.DotRowsBFloat16(dst, m, x) }
}

// bytes returns n numbers from the whole range.
func bytes(n int) []int8 {
	x := alloc[int8](n)
	for i, v := range labels(n, 256) {
		x[i] = int8(v)
	}
	return x
}

func dotInt8(n, _ int) func() {
	a, b := bytes(n), bytes(n)
	return func() { sinkInt = int(lanewise.DotInt8(a, b)) }
}

func dotRowsInt8(n, cols int) func() {
	n, rows := inRows(n, cols)
	dst, m, x := alloc[int32](rows), bytes(n), bytes(cols)
	return func() { lanewise.DotRowsInt8(dst, m, x) }
}
