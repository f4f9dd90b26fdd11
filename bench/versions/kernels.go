package main

import (
	"math"

	"github.com/lanewise/lanewise"
)

func init() {
	kernels["Dot"] = kernel{dot[float32], dot[float64]}
	kernels["DotRows"] = kernel{dotRows[float32], dotRows[float64]}
	kernels["DotThenExp"] = kernel{dotThenExp[float32], dotThenExp[float64]}
	kernels["CumSum"] = kernel{cumSum[float32], cumSum[float64]}
	kernels["Softmax"] = kernel{softmax[float32], softmax[float64]}
	kernels["SoftmaxRows"] = kernel{softmaxRows[float32], softmaxRows[float64]}
	kernels["SoftmaxPlanes"] = kernel{softmaxPlanes[float32], softmaxPlanes[float64]}
	kernels["LogSoftmaxRows"] = kernel{logSoftmaxRows[float32], logSoftmaxRows[float64]}
	kernels["LogSumExp"] = kernel{logSumExp[float32], logSumExp[float64]}
	kernels["SoftmaxRowsGrad"] = kernel{softmaxRowsGrad[float32], softmaxRowsGrad[float64]}
	kernels["LogSoftmaxRowsGrad"] = kernel{logSoftmaxRowsGrad[float32], logSoftmaxRowsGrad[float64]}
	kernels["ClassErrors"] = kernel{classErrors[float32], classErrors[float64]}
	kernels["ArgMax"] = kernel{argMax[float32], argMax[float64]}
	kernels["ArgMaxRows"] = kernel{argMaxRows[float32], argMaxRows[float64]}
	kernels["ArgMaxPlanes"] = kernel{argMaxPlanes[float32], argMaxPlanes[float64]}
	kernels["SortDescending"] = kernel{sortDescending[float32], sortDescending[float64]}
	kernels["LovaszGrad"] = kernel{lovaszGrad[float32], lovaszGrad[float64]}

	onStack["Softmax"] = func() { var v [19]float32; lanewise.Softmax(v[:], v[:]) }
	onStack["ArgMax"] = func() { var v [19]float32; sinkInt = lanewise.ArgMax(v[:]) }
	onStack["CumSum"] = func() { var v [19]float32; lanewise.CumSum(v[:], v[:]) }
	onStack["LogSumExp"] = func() { var v [19]float32; sinkFloat = float64(lanewise.LogSumExp(v[:])) }
	onStack["SoftmaxRows"] = func() { var v [38]float32; lanewise.SoftmaxRows(v[:], v[:], 19) }
}

func dot[T lanewise.Float](n, _ int) func() {
	a, b := normal[T](n, 1), normal[T](n, 1)
	return func() { sinkFloat = float64(lanewise.Dot(a, b)) }
}

func dotRows[T lanewise.Float](n, cols int) func() {
	n, rows := inRows(n, cols)
	dst, m, x := alloc[T](rows), normal[T](n, 1), normal[T](cols, 1)
	return func() { lanewise.DotRows(dst, m, x) }
}

func dotThenExp[T lanewise.Float](n, _ int) func() {
	a, b, x := normal[T](64, 1), normal[T](64, 1), normal[float64](n, 1)
	return func() {
		sum := float64(lanewise.Dot(a, b))
		for _, v := range x {
			sum += math.Exp(v)
		}
		sinkFloat = sum
	}
}

func cumSum[T lanewise.Float](n, _ int) func() {
	dst, src := alloc[T](n), normal[T](n, 1)
	return func() { lanewise.CumSum(dst, src) }
}

func softmax[T lanewise.Float](n, _ int) func() {
	dst, src := alloc[T](n), normal[T](n, 3)
	return func() { lanewise.Softmax(dst, src) }
}

func softmaxRows[T lanewise.Float](n, cols int) func() {
	n, _ = inRows(n, cols)
	dst, src := alloc[T](n), normal[T](n, 3)
	return func() { lanewise.SoftmaxRows(dst, src, cols) }
}

func softmaxPlanes[T lanewise.Float](n, planes int) func() {
	n, _ = inRows(n, planes)
	dst, src := alloc[T](n), normal[T](n, 3)
	return func() { lanewise.SoftmaxPlanes(dst, src, planes) }
}

func logSoftmaxRows[T lanewise.Float](n, cols int) func() {
	n, _ = inRows(n, cols)
	dst, src := alloc[T](n), normal[T](n, 3)
	return func() { lanewise.LogSoftmaxRows(dst, src, cols) }
}

func logSumExp[T lanewise.Float](n, _ int) func() {
	x := normal[T](n, 3)
	return func() { sinkFloat = float64(lanewise.LogSumExp(x)) }
}

func softmaxRowsGrad[T lanewise.Float](n, cols int) func() {
	n, _ = inRows(n, cols)
	dx, y, dy := alloc[T](n), normal[T](n, 3), normal[T](n, 1)
	lanewise.SoftmaxRows(y, y, cols)
	return func() { lanewise.SoftmaxRowsGrad(dx, y, dy, cols) }
}

func logSoftmaxRowsGrad[T lanewise.Float](n, cols int) func() {
	n, _ = inRows(n, cols)
	dx, y, dy := alloc[T](n), normal[T](n, 3), normal[T](n, 1)
	lanewise.LogSoftmaxRows(y, y, cols)
	return func() { lanewise.LogSoftmaxRowsGrad(dx, y, dy, cols) }
}

func classErrors[T lanewise.Float](n, _ int) func() {
	dst, probs, classes := alloc[T](n), normal[T](n, 3), labels(n, 19)
	lanewise.Softmax(probs, probs)
	return func() { lanewise.ClassErrors(dst, probs, classes, 7) }
}

func argMax[T lanewise.Float](n, _ int) func() {
	x := normal[T](n, 1)
	return func() { sinkInt = lanewise.ArgMax(x) }
}

func argMaxRows[T lanewise.Float](n, cols int) func() {
	n, rows := inRows(n, cols)
	dst, src := alloc[int32](rows), normal[T](n, 1)
	return func() { lanewise.ArgMaxRows(dst, src, cols) }
}

func argMaxPlanes[T lanewise.Float](n, planes int) func() {
	n, columns := inRows(n, planes)
	dst, src := alloc[int32](columns), normal[T](n, 1)
	return func() { lanewise.ArgMaxPlanes(dst, src, planes) }
}

func sortDescending[T lanewise.Float](n, _ int) func() {
	src, keys, perm := normal[T](n, 1), alloc[T](n), alloc[int32](n)
	return func() {
		copy(keys, src)
		lanewise.SortDescending(keys, perm)
	}
}

func lovaszGrad[T lanewise.Float](n, _ int) func() {
	dst, foreground := alloc[T](n), alloc[uint8](n)
	for i, label := range labels(n, 19) {
		if label == 0 {
			foreground[i] = 1
		}
	}
	return func() { lanewise.LovaszGrad(dst, foreground) }
}
