package main

import (
	"math"
	"testing"
)

// Every peer computes what Lanewise does: numbers of other functions would compare nothing.
func TestPeers(t *testing.T) {
	for name, p := range peers {
		kernels := 0
		for _, kernel := range []string{"Dot", "DotRows", "SquaredDistance", "SquaredDistanceRows", "Softmax", "SoftmaxRows", "SoftmaxPlanes",
			"LogSoftmaxRows", "CumSum"} {
			kernels += checkPeer(t, name, kernel, p.f32) + checkPeer(t, name, kernel, p.f64)
		}
		if kernels == 0 && !(name == "weaviate" && weaviateDot == nil) {
			t.Errorf("%s has no kernel", name)
		}
		if p.setup("NoSuchKernel", "float32", 64, 16) != nil {
			t.Errorf("%s has a kernel that does not exist", name)
		}
	}
}

func checkPeer[T float](t *testing.T, name, kernel string, setup func(kernel string, n, cols int) *instance[T]) int {
	const n, cols = 19 * 8, 19
	in := setup(kernel, n, cols)
	if in == nil {
		return 0
	}
	in.call()
	got, want := in.dst(), definition(kernel, cols, in.src)
	if len(got) != len(want) {
		t.Errorf("%s %s: %d results, want %d", name, kernel, len(got), len(want))
		return 1
	}
	for i := range want {
		if d := math.Abs(float64(got[i]) - want[i]); !(d <= 1e-4*max(1, math.Abs(want[i]))) {
			t.Errorf("%s %s: [%d] is %v, want %v", name, kernel, i, got[i], want[i])
			break
		}
	}
	return 1
}

// definition is the kernel in float64.
func definition[T float](kernel string, cols int, src [][]T) []float64 {
	x := make([]float64, len(src[0]))
	for i, v := range src[0] {
		x[i] = float64(v)
	}
	switch kernel {
	case "Dot", "DotRows":
		y := src[1]
		dst := make([]float64, len(x)/len(y))
		for i, v := range x {
			dst[i/len(y)] += v * float64(y[i%len(y)])
		}
		return dst
	case "SquaredDistance", "SquaredDistanceRows":
		y := src[1]
		dst := make([]float64, len(x)/len(y))
		for i, v := range x {
			d := v - float64(y[i%len(y)])
			dst[i/len(y)] += d * d
		}
		return dst
	case "SoftmaxPlanes":
		n := len(x) / cols
		for i := range n {
			softmax(x[i:], cols, n, false)
		}
		return x
	case "Softmax":
		softmax(x, len(x), 1, false)
		return x
	}
	for i := 0; i < len(x); i += cols {
		softmax(x[i:], cols, 1, kernel == "LogSoftmaxRows")
	}
	return x
}

func softmax(x []float64, n, stride int, log bool) {
	var sum float64
	for i := range n {
		sum += math.Exp(x[i*stride])
	}
	for i := range n {
		if v := &x[i*stride]; log {
			*v -= math.Log(sum)
		} else {
			*v = math.Exp(*v) / sum
		}
	}
}
