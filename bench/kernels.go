package main

import (
	"math"

	"github.com/lanewise/lanewise"
)

// A kernel is one entry of the table. To add one, write its function below and name it here.
type kernel struct {
	name  string
	f32   func(n int) instance
	f64   func(n int) instance
	least int // elements: one row
	most  int // elements, where more take too long, or are no arguments; 0: no such bound
}

// An instance is a kernel on data of one length.
type instance struct {
	n     int // elements: a whole number of rows, so not always what was asked for
	cols  int // of a row, or planes; 0 where there are none
	call  func()
	peers []peer
	limit limit // of one call; the zero limit: unknown
	dst   any   // what call writes, where the peers write there too
}

// A peer is another implementation of the same function.
type peer struct {
	name string
	call func()
}

var kernels = []kernel{
	{name: "Dot", f32: dot[float32], f64: dot[float64]},
	{name: "DotRows/768", least: 768, f32: dotRows[float32](768), f64: dotRows[float64](768)},
	{name: "CumSum", f32: cumSum[float32], f64: cumSum[float64]},
	{name: "Softmax", f32: softmax[float32], f64: softmax[float64]},
	{name: "SoftmaxRows/19", least: 19, f32: softmaxRows[float32](19), f64: softmaxRows[float64](19)},
	{name: "SoftmaxRows/21", least: 21, f32: softmaxRows[float32](21), f64: softmaxRows[float64](21)},
	{name: "SoftmaxRows/64", least: 64, f32: softmaxRows[float32](64), f64: softmaxRows[float64](64)},
	{name: "SoftmaxPlanes/19", least: 19, f32: softmaxPlanes[float32](19), f64: softmaxPlanes[float64](19)},
	{name: "LogSoftmaxRows/19", least: 19, f32: logSoftmaxRows[float32](19), f64: logSoftmaxRows[float64](19)},
	{name: "LogSumExp", f32: logSumExp[float32], f64: logSumExp[float64]},
	{name: "SoftmaxRowsGrad/19", least: 19, f32: softmaxRowsGrad[float32](19), f64: softmaxRowsGrad[float64](19)},
	{name: "LogSoftmaxRowsGrad/19", least: 19, f32: logSoftmaxRowsGrad[float32](19), f64: logSoftmaxRowsGrad[float64](19)},
	{name: "ClassErrors", f32: classErrors[float32], f64: classErrors[float64]},
	{name: "ArgMax", f32: argMax[float32], f64: argMax[float64]},
	{name: "ArgMaxRows/19", least: 19, f32: argMaxRows[float32](19), f64: argMaxRows[float64](19)},
	{name: "ArgMaxPlanes/19", least: 19, f32: argMaxPlanes[float32](19), f64: argMaxPlanes[float64](19)},
	{name: "SortDescending", f32: sortDescending[float32], f64: sortDescending[float64], most: 1 << 22},
	{name: "SortAscending", f32: sortAscending[float32], f64: sortAscending[float64], most: 1 << 22},
	{name: "SquaredDistance", f32: squaredDistance[float32], f64: squaredDistance[float64]},
	{name: "SquaredDistanceRows/768", least: 768, f32: squaredDistanceRows[float32](768), f64: squaredDistanceRows[float64](768)},
	{name: "Norm", f32: norm[float32], f64: norm[float64]},
	{name: "Normalize", f32: normalize[float32], f64: normalize[float64]},
	{name: "NormalizeRows/768", least: 768, f32: normalizeRows[float32](768), f64: normalizeRows[float64](768)},
	{name: "TopK/10", least: 64, f32: topK[float32](10), f64: topK[float64](10)},
	{name: "TopK/1000", least: 4096, f32: topK[float32](1000), f64: topK[float64](1000)},
	{name: "TopKRows/10", least: 1000, f32: topKRows[float32](10, 1000), f64: topKRows[float64](10, 1000)},
	{name: "Sigmoid", f32: sigmoid[float32], f64: sigmoid[float64]},
	{name: "SigmoidGrad", f32: sigmoidGrad[float32], f64: sigmoidGrad[float64]},
	{name: "SoftmaxScaled", f32: softmaxScaled[float32], f64: softmaxScaled[float64]},
	{name: "SoftmaxRowsScaled/64", least: 64, f32: softmaxRowsScaled[float32](64), f64: softmaxRowsScaled[float64](64)},
	{name: "SoftmaxRowsScaled/1024", least: 1024, f32: softmaxRowsScaled[float32](1024), f64: softmaxRowsScaled[float64](1024)},
	{name: "LogSumExpRows/19", least: 19, f32: logSumExpRows[float32](19), f64: logSumExpRows[float64](19)},
	{name: "CumSumRows/19", least: 19, f32: cumSumRows[float32](19), f64: cumSumRows[float64](19)},
	{name: "CumSumRows/1024", least: 1024, f32: cumSumRows[float32](1024), f64: cumSumRows[float64](1024)},
	{name: "SoftmaxAxis/19", least: 19, f32: softmaxAxis[float32](19), f64: softmaxAxis[float64](19)},
	{name: "LogSoftmaxAxis/19", least: 19, f32: logSoftmaxAxis[float32](19), f64: logSoftmaxAxis[float64](19)},
	{name: "SoftmaxAxisGrad/19", least: 19, f32: softmaxAxisGrad[float32](19), f64: softmaxAxisGrad[float64](19)},
	{name: "LogSoftmaxAxisGrad/19", least: 19, f32: logSoftmaxAxisGrad[float32](19), f64: logSoftmaxAxisGrad[float64](19)},
	{name: "LogSumExpAxis/19", least: 19, f32: logSumExpAxis[float32](19), f64: logSumExpAxis[float64](19)},
	{name: "ArgMaxAxis/19", least: 19, f32: argMaxAxis[float32](19), f64: argMaxAxis[float64](19)},
	{name: "FromFloat16", f32: fromFloat16},
	{name: "FromBFloat16", f32: fromBFloat16},
	{name: "ToFloat16", f32: toFloat16},
	{name: "ToBFloat16", f32: toBFloat16},
	{name: "DotRowsFloat16/768", least: 768, f32: dotRowsFloat16(768)},
	{name: "DotRowsBFloat16/768", least: 768, f32: dotRowsBFloat16(768)},
	{name: "DotInt8", f32: dotInt8, most: 1 << 16},
	{name: "DotRowsInt8/768", least: 768, f32: dotRowsInt8(768)},
	{name: "DotThenExp", f32: dotThenExp[float32], f64: dotThenExp[float64], most: 1 << 14},
	{name: "LovaszGrad", f32: lovaszGrad[float32], f64: lovaszGrad[float64]},
}

// What functions return goes here, lest the compiler drop their calls.
var (
	sinkFloat float64
	sinkInt   int
)

// expOperations is the vector instructions of one exp of NUMERICS: 6 (float64: 11) steps of the polynomial, 4 of the reduction, the
// comparison and the scaling.
func expOperations[T lanewise.Float]() float64 {
	if is64[T]() {
		return 17
	}
	return 12
}

func is64[T lanewise.Float]() bool {
	_, ok := any(T(0)).(float64)
	return ok
}

// softmaxOperations adds the maximum, the subtraction, the sum and the scaling.
func softmaxOperations[T lanewise.Float]() float64 { return expOperations[T]() + 4 }

// inRows rounds n to whole rows.
func inRows(n, cols int) (elements, rows int) {
	rows = max(1, n/cols)
	return rows * cols, rows
}

func dot[T lanewise.Float](n int) instance {
	a, b := normal[T](n), normal[T](n)
	return instance{
		n:     n,
		call:  func() { sinkFloat = float64(lanewise.Dot(a, b)) },
		peers: dotPeers(a, b),
		limit: reads2(a, b).of(2, n),
	}
}

func dotRows[T lanewise.Float](cols int) func(n int) instance {
	return func(n int) instance {
		n, rows := inRows(n, cols)
		dst, m, x := alloc[T](rows), normal[T](n), normal[T](cols)
		return instance{
			n: n, cols: cols,
			call:  func() { lanewise.DotRows(dst, m, x) },
			peers: dotRowsPeers(dst, m, x),
			limit: reads(m).of(2, n),
		}
	}
}

func cumSum[T lanewise.Float](n int) instance {
	dst, src := alloc[T](n), normal[T](n)
	return instance{
		n:     n,
		call:  func() { lanewise.CumSum(dst, src) },
		peers: cumSumPeers(dst, src),
		limit: copies(dst, src),
	}
}

func softmax[T lanewise.Float](n int) instance {
	dst, src := alloc[T](n), logits[T](n)
	return instance{
		n:     n,
		call:  func() { lanewise.Softmax(dst, src) },
		peers: softmaxPeers(dst, src, n),
		limit: copies(dst, src).of(softmaxOperations[T](), n),
	}
}

func softmaxRows[T lanewise.Float](cols int) func(n int) instance {
	return func(n int) instance {
		n, _ = inRows(n, cols)
		dst, src := alloc[T](n), logits[T](n)
		return instance{
			n: n, cols: cols,
			call:  func() { lanewise.SoftmaxRows(dst, src, cols) },
			peers: softmaxPeers(dst, src, cols),
			limit: copies(dst, src).of(softmaxOperations[T](), n),
		}
	}
}

func softmaxPlanes[T lanewise.Float](planes int) func(n int) instance {
	return func(n int) instance {
		n, columns := inRows(n, planes)
		dst, src := alloc[T](n), logits[T](n)
		return instance{
			n: n, cols: planes,
			call:  func() { lanewise.SoftmaxPlanes(dst, src, planes) },
			peers: softmaxPlanesPeers(dst, src, planes, columns),
			limit: copies(dst, src).of(softmaxOperations[T](), n),
		}
	}
}

func logSoftmaxRows[T lanewise.Float](cols int) func(n int) instance {
	return func(n int) instance {
		n, _ = inRows(n, cols)
		dst, src := alloc[T](n), logits[T](n)
		return instance{
			n: n, cols: cols,
			call:  func() { lanewise.LogSoftmaxRows(dst, src, cols) },
			peers: logSoftmaxPeers(dst, src, cols),
			limit: copies(dst, src).of(softmaxOperations[T](), n),
		}
	}
}

func logSumExp[T lanewise.Float](n int) instance {
	x := logits[T](n)
	return instance{
		n:     n,
		call:  func() { sinkFloat = float64(lanewise.LogSumExp(x)) },
		peers: logSumExpPeers(x),
		limit: reads(x).of(expOperations[T]()+3, n), // the maximum, the subtraction, the sum
	}
}

func softmaxRowsGrad[T lanewise.Float](cols int) func(n int) instance {
	return func(n int) instance {
		n, _ = inRows(n, cols)
		dx, y, dy := alloc[T](n), logits[T](n), normal[T](n)
		lanewise.SoftmaxRows(y, y, cols)
		return instance{
			n: n, cols: cols,
			call:  func() { lanewise.SoftmaxRowsGrad(dx, y, dy, cols) },
			peers: softmaxGradPeers(dx, y, dy, cols),
			limit: merges(dx, y, dy).of(4, n),
		}
	}
}

func logSoftmaxRowsGrad[T lanewise.Float](cols int) func(n int) instance {
	return func(n int) instance {
		n, _ = inRows(n, cols)
		dx, y, dy := alloc[T](n), logits[T](n), normal[T](n)
		lanewise.LogSoftmaxRows(y, y, cols)
		return instance{
			n: n, cols: cols,
			call:  func() { lanewise.LogSoftmaxRowsGrad(dx, y, dy, cols) },
			peers: logSoftmaxGradPeers(dx, y, dy, cols),
			limit: merges(dx, y, dy).of(expOperations[T]()+4, n), // the sum, the clamp, the product, the difference
		}
	}
}

func classErrors[T lanewise.Float](n int) instance {
	dst, probs, classes := alloc[T](n), logits[T](n), labels(n, 19)
	lanewise.Softmax(probs, probs)
	return instance{
		n:     n,
		call:  func() { lanewise.ClassErrors(dst, probs, classes, 7) },
		peers: classErrorsPeers(dst, probs, classes, 7),
		limit: merges(dst, probs, classes),
	}
}

func argMax[T lanewise.Float](n int) instance {
	x := normal[T](n)
	return instance{
		n:     n,
		call:  func() { sinkInt = lanewise.ArgMax(x) },
		peers: argMaxPeers(x),
		limit: reads(x).of(1, n),
	}
}

func argMaxRows[T lanewise.Float](cols int) func(n int) instance {
	return func(n int) instance {
		n, rows := inRows(n, cols)
		dst, src := alloc[int32](rows), normal[T](n)
		return instance{
			n: n, cols: cols,
			call:  func() { lanewise.ArgMaxRows(dst, src, cols) },
			peers: argMaxRowsPeers(dst, src, cols),
			limit: reads(src).of(1, n),
		}
	}
}

func argMaxPlanes[T lanewise.Float](planes int) func(n int) instance {
	return func(n int) instance {
		n, columns := inRows(n, planes)
		dst, src := alloc[int32](columns), normal[T](n)
		return instance{
			n: n, cols: planes,
			call:  func() { lanewise.ArgMaxPlanes(dst, src, planes) },
			peers: argMaxPlanesPeers(dst, src, planes),
			limit: reads(src).of(1, n),
		}
	}
}

// sortDescending sorts in place: every call copies the keys first, as the peers do.
func sortDescending[T lanewise.Float](n int) instance {
	src, keys, perm := normal[T](n), alloc[T](n), alloc[int32](n)
	return instance{
		n: n,
		call: func() {
			copy(keys, src)
			lanewise.SortDescending(keys, perm)
		},
		peers: sortPeers(keys, src, perm),
	}
}

// dotThenExp is a kernel with math.Exp after it: code that leaves the upper halves of vector registers dirty makes that a hundred times as
// slow.
func dotThenExp[T lanewise.Float](n int) instance {
	a, b, x := normal[T](64), normal[T](64), normal[float64](n)
	exps := func() {
		var sum float64
		for _, v := range x {
			sum += math.Exp(v)
		}
		sinkFloat = sum
	}
	return instance{
		n: n,
		call: func() {
			sinkFloat = float64(lanewise.Dot(a, b))
			exps()
		},
		peers: []peer{{"math.Exp alone", exps}},
	}
}

func lovaszGrad[T lanewise.Float](n int) instance {
	dst, foreground := alloc[T](n), alloc[uint8](n)
	for i, label := range labels(n, 19) {
		if label == 0 {
			foreground[i] = 1
		}
	}
	return instance{
		n:     n,
		call:  func() { lanewise.LovaszGrad(dst, foreground) },
		peers: lovaszGradPeers(dst, foreground),
		limit: copies(dst, foreground),
	}
}
