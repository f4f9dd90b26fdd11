package main

import (
	"slices"
	"sync"

	"github.com/gomlx/gomlx/backends"
	_ "github.com/gomlx/gomlx/backends/simplego" // the backend "go"
	"github.com/gomlx/gomlx/pkg/core/graph"
	"github.com/gomlx/gomlx/pkg/core/tensors"
	"github.com/lanewise/lanewise"
	"github.com/nlpodyssey/spago/mat"
	"github.com/viterin/vek"
	"github.com/viterin/vek/vek32"
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/floats"
	"gorgonia.org/tensor"
)

// Names of the peers, which are columns of the table.
const (
	plain    = "plain Go"
	gonum    = "gonum"
	vekName  = "vek"
	weaviate = "weaviate"
	gorgonia = "gorgonia"
	spago    = "spago"
	gomlx    = "gomlx"
)

// mostSlow is the longest input of the peers that take a hundred times as long as others, and would only make everybody wait.
const mostSlow = 1 << 16

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
	peers = append(peers,
		peer{gonum, func() { sinkFloat = float64(blas32.Dot(x, y)) }},
		peer{vekName, func() { sinkFloat = float64(vek32.Dot(a32, b32)) }},
	)
	if weaviateDot != nil {
		peers = append(peers, peer{weaviate, func() { sinkFloat = float64(weaviateDot(a32, b32)) }})
	}
	return peers
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
	peers = append(peers,
		peer{gonum, func() { blas32.Gemv(blas.NoTrans, 1, a, vx, 0, vy) }},
		peer{vekName, eachDot(any(vek32.Dot).(func(a, b []T) T))},
	)
	if weaviateDot != nil {
		peers = append(peers, peer{weaviate, eachDot(any(weaviateDot).(func(a, b []T) T))})
	}
	return peers
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
	if n <= mostSlow {
		peers = append(peers,
			peer{gorgonia, gorgoniaSoftmax(tensor.SoftMax, src, 1, n/cols, cols)},
			peer{spago, spagoSoftmax(src, cols)},
			peer{gomlx, gomlxSoftmax(src, n/cols, cols)},
		)
	}
	return peers
}

// vekSoftmax is made of vek's functions: it has no softmax, and for float64 no exp.
func vekSoftmax(dst, src []float32) {
	vek32.SubNumber_Into(dst, src, vek32.Max(src))
	vek32.Exp_Inplace(dst)
	vek32.DivNumber_Inplace(dst, vek32.Sum(dst))
}

// gorgoniaSoftmax allocates its result, whatever WithReuse says, and starts a goroutine for every row.
func gorgoniaSoftmax[T lanewise.Float](softmax func(tensor.Tensor, int, ...tensor.FuncOpt) (tensor.Tensor, error), src []T, axis int, shape ...int) func() {
	x := tensor.New(tensor.WithShape(shape...), tensor.WithBacking(src))
	return func() {
		var err error
		if sinkTensor, err = softmax(x, axis); err != nil {
			panic(err) // shapes and types are fixed
		}
	}
}

var sinkTensor tensor.Tensor

// spagoSoftmax allocates its result, row by row: spago has it for vectors alone.
func spagoSoftmax[T lanewise.Float](src []T, cols int) func() {
	var rows []mat.Matrix
	eachRow(len(src), cols, func(i, j int) { rows = append(rows, mat.NewDense[T](mat.WithBacking(src[i:j]))) })
	return func() {
		for _, row := range rows {
			sinkMatrix = row.Softmax()
		}
	}
}

var sinkMatrix mat.Matrix

// gomlxSoftmax is a graph of one operation on the backend of gomlx that is Go. It allocates its result.
func gomlxSoftmax[T lanewise.Float](src []T, shape ...int) func() {
	softmax := graph.MustNewExec(gomlxBackend(), func(x *graph.Node) *graph.Node { return graph.Softmax(x) })
	x := tensors.FromFlatDataAndDimensions(src, shape...)
	return func() {
		if sinkGomlx != nil {
			sinkGomlx.FinalizeAll()
		}
		sinkGomlx = softmax.MustExec(x)[0]
	}
}

var (
	sinkGomlx    *tensors.Tensor
	gomlxBackend = sync.OnceValue(func() backends.Backend {
		b, err := backends.NewWithConfig("go")
		if err != nil {
			panic(err) // it is linked in
		}
		return b
	})
)

func softmaxPlanesPeers[T lanewise.Float](dst, src []T, planes, n int) []peer {
	peers := []peer{{plain, func() { plainSoftmaxPlanes(dst, src, planes, n) }}}
	if len(src) <= mostSlow {
		peers = append(peers, peer{gorgonia, gorgoniaSoftmax(tensor.SoftMax, src, 0, planes, n)})
	}
	return peers
}

func logSoftmaxPeers[T lanewise.Float](dst, src []T, cols int) []peer {
	n := len(src)
	peers := []peer{{plain, func() { eachRow(n, cols, func(i, j int) { plainLogSoftmax(dst[i:j], src[i:j]) }) }}}
	if n <= mostSlow {
		peers = append(peers, peer{gorgonia, gorgoniaSoftmax(tensor.LogSoftMax, src, 1, n/cols, cols)})
	}
	return peers
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
