package main

import (
	"slices"

	"github.com/lanewise/lanewise"
	"github.com/viterin/vek"
	"github.com/viterin/vek/vek32"
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/floats"
)

// Names of the peers in this process, which are columns of the table.
const (
	plain   = "plain Go"
	gonum   = "gonum"
	vekName = "vek"
)

// eachRow calls f with every row's range.
func eachRow(n, cols int, f func(from, to int)) {
	for i := 0; i < n; i += cols {
		f(i, i+cols)
	}
}

// as is x as a slice of U, where that is its type.
func as[U any](x any) []U { return x.([]U) }

func dotPeers[T lanewise.Float](a, b []T) []peer {
	peers := []peer{{plain, func() { sinkFloat = float64(plainDot(a, b)) }}}
	if is64[T]() {
		a, b := as[float64](a), as[float64](b)
		return append(peers,
			peer{gonum, func() { sinkFloat = floats.Dot(a, b) }},
			peer{vekName, func() { sinkFloat = vek.Dot(a, b) }},
		)
	}
	a32, b32 := as[float32](a), as[float32](b)
	x, y := blas32.Vector{N: len(a), Data: a32, Inc: 1}, blas32.Vector{N: len(b), Data: b32, Inc: 1}
	return append(peers,
		peer{gonum, func() { sinkFloat = float64(blas32.Dot(x, y)) }},
		peer{vekName, func() { sinkFloat = float64(vek32.Dot(a32, b32)) }},
	)
}

func dotRowsPeers[T lanewise.Float](dst, m, x []T) []peer {
	rows, cols := len(dst), len(x)
	eachDot := func(dot func(a, b []T) T) func() {
		return func() {
			for r := range dst {
				dst[r] = dot(m[r*cols:(r+1)*cols], x)
			}
		}
	}
	peers := []peer{{plain, eachDot(plainDot[T])}}
	if is64[T]() {
		a := blas64.General{Rows: rows, Cols: cols, Stride: cols, Data: as[float64](m)}
		vx := blas64.Vector{N: cols, Data: as[float64](x), Inc: 1}
		vy := blas64.Vector{N: rows, Data: as[float64](dst), Inc: 1}
		return append(peers,
			peer{gonum, func() { blas64.Gemv(blas.NoTrans, 1, a, vx, 0, vy) }},
			peer{vekName, eachDot(any(vek.Dot).(func(a, b []T) T))},
		)
	}
	a := blas32.General{Rows: rows, Cols: cols, Stride: cols, Data: as[float32](m)}
	vx := blas32.Vector{N: cols, Data: as[float32](x), Inc: 1}
	vy := blas32.Vector{N: rows, Data: as[float32](dst), Inc: 1}
	return append(peers,
		peer{gonum, func() { blas32.Gemv(blas.NoTrans, 1, a, vx, 0, vy) }},
		peer{vekName, eachDot(any(vek32.Dot).(func(a, b []T) T))},
	)
}

func cumSumPeers[T lanewise.Float](dst, src []T) []peer {
	peers := []peer{{plain, func() { plainCumSum(dst, src) }}}
	if is64[T]() {
		dst, src := as[float64](dst), as[float64](src)
		return append(peers,
			peer{gonum, func() { floats.CumSum(dst, src) }},
			peer{vekName, func() { vek.CumSum_Into(dst, src) }},
		)
	}
	d, s := as[float32](dst), as[float32](src)
	return append(peers, peer{vekName, func() { vek32.CumSum_Into(d, s) }})
}

func softmaxPeers[T lanewise.Float](dst, src []T, cols int) []peer {
	n := len(src)
	rows := func(row func(dst, src []T)) func() {
		return func() { eachRow(n, cols, func(i, j int) { row(dst[i:j], src[i:j]) }) }
	}
	peers := []peer{
		{plain, rows(plainSoftmax[T])},
	}
	if !is64[T]() {
		peers = append(peers, peer{vekName, rows(any(vekSoftmax).(func(dst, src []T)))})
	}
	return peers
}

// vekSoftmax is made of vek's functions: it has no softmax, and for float64 no exp.
func vekSoftmax(dst, src []float32) {
	vek32.SubNumber_Into(dst, src, vek32.Max(src))
	vek32.Exp_Inplace(dst)
	vek32.DivNumber_Inplace(dst, vek32.Sum(dst))
}

func softmaxPlanesPeers[T lanewise.Float](dst, src []T, planes, n int) []peer {
	return []peer{{plain, func() { plainSoftmaxPlanes(dst, src, planes, n) }}}
}

func logSoftmaxPeers[T lanewise.Float](dst, src []T, cols int) []peer {
	return []peer{{plain, func() { eachRow(len(src), cols, func(i, j int) { plainLogSoftmax(dst[i:j], src[i:j]) }) }}}
}

func logSumExpPeers[T lanewise.Float](x []T) []peer {
	peers := []peer{{plain, func() { sinkFloat = float64(plainLogSumExp(x)) }}}
	if is64[T]() {
		x := as[float64](x)
		peers = append(peers, peer{gonum, func() { sinkFloat = floats.LogSumExp(x) }})
	}
	return peers
}

func softmaxGradPeers[T lanewise.Float](dx, y, dy []T, cols int) []peer {
	return []peer{{plain, func() {
		eachRow(len(y), cols, func(i, j int) { plainSoftmaxGrad(dx[i:j], y[i:j], dy[i:j]) })
	}}}
}

func logSoftmaxGradPeers[T lanewise.Float](dx, y, dy []T, cols int) []peer {
	return []peer{{plain, func() {
		eachRow(len(y), cols, func(i, j int) { plainLogSoftmaxGrad(dx[i:j], y[i:j], dy[i:j]) })
	}}}
}

func classErrorsPeers[T lanewise.Float](dst, probs []T, labels []int32, class int32) []peer {
	return []peer{{plain, func() { plainClassErrors(dst, probs, labels, class) }}}
}

func argMaxPeers[T lanewise.Float](x []T) []peer {
	peers := []peer{{plain, func() { sinkInt = plainArgMax(x) }}}
	if is64[T]() {
		x := as[float64](x)
		return append(peers,
			peer{gonum, func() { sinkInt = floats.MaxIdx(x) }},
			peer{vekName, func() { sinkInt = vek.ArgMax(x) }},
		)
	}
	x32 := as[float32](x)
	return append(peers, peer{vekName, func() { sinkInt = vek32.ArgMax(x32) }})
}

func argMaxRowsPeers[T lanewise.Float](dst []int32, src []T, cols int) []peer {
	rows := func(argMax func(x []T) int) func() {
		return func() {
			for r := range dst {
				dst[r] = int32(argMax(src[r*cols : (r+1)*cols]))
			}
		}
	}
	vekArgMax := any(vek32.ArgMax)
	if is64[T]() {
		vekArgMax = any(vek.ArgMax)
	}
	return []peer{{plain, rows(plainArgMax[T])}, {vekName, rows(vekArgMax.(func(x []T) int))}}
}

func argMaxPlanesPeers[T lanewise.Float](dst []int32, src []T, planes int) []peer {
	return []peer{{plain, func() { plainArgMaxPlanes(dst, src, planes) }}}
}

func sortPeers[T lanewise.Float](keys, src []T, perm []int32) []peer {
	peers := []peer{
		{"slices.SortStableFunc", func() { plainSort(keys, src, perm, slices.SortStableFunc[[]int32]) }},
		{"slices.Sort, keys alone", func() {
			copy(keys, src)
			slices.Sort(keys)
		}},
	}
	if is64[T]() {
		keys, src, inds := as[float64](keys), as[float64](src), make([]int, len(src))
		peers = append(peers, peer{gonum, func() {
			copy(keys, src)
			floats.ArgsortStable(keys, inds)
		}})
	}
	return peers
}

func lovaszGradPeers[T lanewise.Float](dst []T, foreground []uint8) []peer {
	return []peer{{plain, func() { plainLovaszGrad(dst, foreground) }}}
}
