package main

import (
	"sync"

	"github.com/gomlx/gomlx/backends"
	_ "github.com/gomlx/gomlx/backends/simplego" // the backend "go"
	"github.com/gomlx/gomlx/pkg/core/graph"
	"github.com/gomlx/gomlx/pkg/core/tensors"
	"github.com/nlpodyssey/spago/mat"
	"gorgonia.org/tensor"
)

// A task is a softmax or log-softmax of logits [rows, cols], along one of the axes.
type task struct{ rows, cols, axis int }

// rowsOf is what n elements are to a kernel of rows or of a vector; it is not ok for other kernels, and for more than anybody waits for.
func rowsOf(kernel string, n, cols int) (t task, log, ok bool) {
	if n > mostSlow || n == 0 {
		return t, false, false
	}
	switch kernel {
	case "Softmax":
		return task{1, n, 1}, false, true
	case "SoftmaxRows":
		return task{n / cols, cols, 1}, false, true
	case "SoftmaxPlanes":
		return task{cols, n / cols, 0}, false, true
	case "LogSoftmaxRows":
		return task{n / cols, cols, 1}, true, true
	}
	return t, false, false
}

// gorgonia allocates its result, whatever WithReuse says, and starts a goroutine for every row.
func gorgonia[T float](kernel string, n, cols int) *instance[T] {
	t, log, ok := rowsOf(kernel, n, cols)
	if !ok {
		return nil
	}
	softmax := tensor.SoftMax
	if log {
		softmax = tensor.LogSoftMax
	}
	src := normal[T](n, 3)
	x := tensor.New(tensor.WithShape(t.rows, t.cols), tensor.WithBacking(src))
	var y tensor.Tensor
	return &instance[T]{
		src: [][]T{src},
		call: func() {
			var err error
			if y, err = softmax(x, t.axis); err != nil {
				panic(err) // shapes and types are fixed
			}
		},
		dst: func() []T { return y.Data().([]T) },
	}
}

// spago allocates its result, row by row: it has the softmax for vectors alone.
func spago[T float](kernel string, n, cols int) *instance[T] {
	t, log, ok := rowsOf(kernel, n, cols)
	if !ok || log || t.axis != 1 {
		return nil
	}
	src := normal[T](n, 3)
	rows, results := make([]mat.Matrix, t.rows), make([]mat.Matrix, t.rows)
	for r := range rows {
		rows[r] = mat.NewDense[T](mat.WithBacking(src[r*t.cols : (r+1)*t.cols]))
	}
	return &instance[T]{
		src: [][]T{src},
		call: func() {
			for r, row := range rows {
				results[r] = row.Softmax()
			}
		},
		dst: func() []T {
			var dst []T
			for _, y := range results {
				dst = append(dst, mat.Data[T](y)...)
			}
			return dst
		},
	}
}

// gomlx is a graph of one operation on its backend that is Go. It allocates its result.
func gomlx[T float](kernel string, n, cols int) *instance[T] {
	t, log, ok := rowsOf(kernel, n, cols)
	if !ok || log || t.axis != 1 {
		return nil
	}
	src := normal[T](n, 3)
	softmax := graph.MustNewExec(backend(), func(x *graph.Node) *graph.Node { return graph.Softmax(x) })
	x := tensors.FromFlatDataAndDimensions(src, t.rows, t.cols)
	var y *tensors.Tensor
	return &instance[T]{
		src: [][]T{src},
		call: func() {
			if y != nil {
				y.FinalizeAll()
			}
			y = softmax.MustExec(x)[0]
		},
		dst: func() []T {
			var dst []T
			tensors.MustConstFlatData(y, func(flat []T) { dst = append(dst, flat...) })
			return dst
		},
	}
}

var backend = sync.OnceValue(func() backends.Backend {
	b, err := backends.NewWithConfig("go")
	if err != nil {
		panic(err) // it is linked in
	}
	return b
})
