package main

import (
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
)

// A network is a perceptron with one hidden layer of rectifiers: logits = max(0, x·W₁ + b₁)·W₂ + b₂.
type network struct {
	hidden, output *layer

	// of the latest forward pass, which the backward pass asks for
	x, h blas32.General
}

func newNetwork(rng *rand.Rand) *network {
	const units = 64
	return &network{hidden: newLayer(features, units, rng), output: newLayer(units, classes, rng)}
}

// forward returns the logits [pixels, classes] of x [pixels, features], both row-major.
func (n *network) forward(x []float32) []float32 {
	n.x = matrix(x, features)
	n.h = n.hidden.forward(n.x)
	for i, v := range n.h.Data {
		n.h.Data[i] = max(v, 0)
	}
	return n.output.forward(n.h).Data
}

// backward takes d loss / d logits for the logits that forward returned last, and computes the gradients of all parameters.
func (n *network) backward(dLogits []float32) {
	dy := matrix(dLogits, classes)
	n.output.backward(n.h, dy)
	dh := n.output.backwardInput(dy)
	for i, v := range n.h.Data {
		if v == 0 {
			dh.Data[i] = 0
		}
	}
	n.hidden.backward(n.x, dh)
}

// step lets Adam change all parameters by their gradients.
func (n *network) step(rate float64) {
	n.hidden.step(rate)
	n.output.step(rate)
}

// A layer is y = x·W + b.
type layer struct {
	in, out int
	params  []float32 // W [in, out] and b [out]
	grads   []float32 // d loss / d params

	steps        int
	mean, square []float32 // Adam's running means of grads and of their squares
}

// newLayer returns a layer with He's initial weights.
func newLayer(in, out int, rng *rand.Rand) *layer {
	size := (in + 1) * out
	l := &layer{
		in: in, out: out,
		params: make([]float32, size), grads: make([]float32, size),
		mean: make([]float32, size), square: make([]float32, size),
	}
	for i := range l.params[:in*out] {
		l.params[i] = float32(rng.NormFloat64() * math.Sqrt(2/float64(in)))
	}
	return l
}

// split returns the weights and the bias in params or grads.
func (l *layer) split(p []float32) (weights blas32.General, bias []float32) {
	n := l.in * l.out
	return matrix(p[:n], l.out), p[n:]
}

func (l *layer) forward(x blas32.General) blas32.General {
	w, b := l.split(l.params)
	y := matrix(make([]float32, x.Rows*l.out), l.out)
	for i := 0; i < len(y.Data); i += l.out {
		copy(y.Data[i:], b)
	}
	blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, x, w, 1, y)
	return y
}

// backward computes the gradients of the parameters: dW = xᵀ·dy, db = the sum of dy's rows.
func (l *layer) backward(x, dy blas32.General) {
	dw, db := l.split(l.grads)
	blas32.Gemm(blas.Trans, blas.NoTrans, 1, x, dy, 0, dw)
	clear(db)
	for i, v := range dy.Data {
		db[i%l.out] += v
	}
}

// backwardInput returns the gradient of the layer's input: dx = dy·Wᵀ.
func (l *layer) backwardInput(dy blas32.General) blas32.General {
	w, _ := l.split(l.params)
	dx := matrix(make([]float32, dy.Rows*l.in), l.in)
	blas32.Gemm(blas.NoTrans, blas.Trans, 1, dy, w, 0, dx)
	return dx
}

// step is one step of Adam (Kingma and Ba, 2015).
func (l *layer) step(rate float64) {
	const beta1, beta2, epsilon = 0.9, 0.999, 1e-8
	l.steps++
	correction1 := 1 - math.Pow(beta1, float64(l.steps))
	correction2 := 1 - math.Pow(beta2, float64(l.steps))
	for i, g := range l.grads {
		l.mean[i] += (1 - beta1) * (g - l.mean[i])
		l.square[i] += (1 - beta2) * (g*g - l.square[i])
		mean, square := float64(l.mean[i])/correction1, float64(l.square[i])/correction2
		l.params[i] -= float32(rate * mean / (math.Sqrt(square) + epsilon))
	}
}

// matrix is data as a row-major matrix of so many columns.
func matrix(data []float32, cols int) blas32.General {
	return blas32.General{Rows: len(data) / cols, Cols: cols, Stride: cols, Data: data}
}
