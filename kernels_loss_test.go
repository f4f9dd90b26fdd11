package lanewise

import (
	"math"
	"math/rand/v2"
	"testing"
)

// lossValues are what logits are made of: numbers of every size, zeros of both signs, and where special is wanted what is no number.
func lossValues(rng *rand.Rand, n int, special bool) []float32 {
	x := make([]float32, n)
	for i := range x {
		switch rng.IntN(12) {
		case 0:
			x[i] = []float32{0, float32(math.Copysign(0, -1)), 1, -1, math.MaxFloat32, -math.MaxFloat32, 1e-40, -1e-40, 88, -104}[rng.IntN(10)]
		case 1:
			x[i] = float32(rng.NormFloat64() * 40)
			if special {
				x[i] = []float32{float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN())}[rng.IntN(3)]
			}
		default:
			x[i] = float32(rng.NormFloat64() * 4)
		}
	}
	return x
}

func sameValues(a, b []float32) (at int, same bool) {
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) && (a[i] == a[i] || b[i] == b[i]) {
			return i, false
		}
	}
	return 0, len(a) == len(b)
}

// plainZeros makes a −0 a 0: which one the largest of both is, is not defined.
func plainZeros(x []float32) {
	for i := range x {
		x[i] += 0
	}
}

// TestLossKernels compares the kernels of the loss with their definitions at every length, among guards, and looks at the vector state.
func TestLossKernels(t *testing.T) {
	for _, isa := range available {
		if isa == Generic {
			continue
		}
		rng := rand.New(rand.NewPCG(3, 4))
		check := func(name string, n int, got, want []float32, run func(isa ISA, dst []float32)) {
			t.Helper()
			const guard = 17
			for _, x := range [][]float32{got, want} {
				for i := range x {
					x[i] = guard
				}
			}
			run(Generic, want)
			leavesClean(t, isa, name, func() { run(isa, got) })
			if i, same := sameValues(got, want); !same {
				t.Fatalf("%v, %s of %d: element %d is %v, want %v", isa, name, n, i, got[i], want[i])
			}
		}
		for n := range 330 {
			x, v := lossValues(rng, n, n%3 == 0), lossValues(rng, n, false)
			target := make([]int32, n)
			for i := range target {
				target[i] = int32(rng.IntN(4) - 2)
			}
			got, want := make([]float32, n+40), make([]float32, n+40)
			check("lossSigmoid", n, got, want, func(isa ISA, d []float32) { lossSigmoid(isa, d[:n], x, target, 0) })
			check("lossHinge", n, got, want, func(isa ISA, d []float32) { lossHinge(isa, d[:n], x, target, 1) })
			check("lossSigmoidGrad", n, got, want, func(isa ISA, d []float32) { lossSigmoidGrad(isa, d[:n], x, v) })
			probs := lossValues(rng, n, false)
			for i := range probs {
				probs[i] = float32(math.Abs(math.Mod(float64(probs[i]), 1)))
				if n%2 == 1 && rng.IntN(20) == 0 {
					probs[i] = 1 + probs[i]*1e-6
				}
			}
			check("lossClamp", n, got, want, func(isa ISA, d []float32) {
				clamped := lossClamp(isa, d[:n], probs, target, 0)
				d[n+1] = 1
				if clamped == 0 {
					d[n+1] = 0
				}
			})
			check("lossAddProduct", n, got, want, func(isa ISA, d []float32) { lossAddProduct(isa, d[:n], v, probs) })
			check("lossLog1p", n, got, want, func(isa ISA, d []float32) {
				copy(d, v)
				for i := range d[:n] {
					d[i] = float32(math.Abs(float64(d[i])))
				}
				lossLog1p(isa, d[:n], d[:n])
			})
			check("lossNearest", n, got, want, func(isa ISA, d []float32) {
				if n > 0 {
					d[0] = lossNearest(isa, v)
				}
			})
			check("lossLargest", n, got, want, func(isa ISA, d []float32) {
				if n > 0 {
					d[0] = lossLargest(isa, v)
				}
			})
		}
		for range 400 {
			planes, n := 1+rng.IntN(70), 1+rng.IntN(90)
			if rng.IntN(4) == 0 {
				planes = 2 + rng.IntN(3)
			}
			stride := n + rng.IntN(20)
			x := lossValues(rng, planes*stride, rng.IntN(3) == 0)
			if rng.IntN(2) == 0 { // ties, and surely one
				for i := range x {
					x[i] = float32(rng.IntN(3)) * 9
				}
			}
			size := planes*stride + 4*n + 64
			got, want := make([]float32, size), make([]float32, size)
			rest := func(d []float32, i int) []float32 { return d[planes*stride+i*n:][:n] }
			check("lossSoftmax", n, got, want, func(isa ISA, d []float32) {
				lossSoftmax(isa, d[:planes*stride], x, nil, rest(d, 1), rest(d, 2), planes, n, stride, stride)
			})
			finite := lossValues(rng, planes*stride, false)
			check("lossSoftmax with maxima", n, got, want, func(isa ISA, d []float32) {
				lossSoftmax(isa, d[:planes*stride], finite, rest(d, 0), rest(d, 1), rest(d, 2), planes, n, stride, stride)
				plainZeros(rest(d, 0))
			})
			if planes <= maxLanes {
				check("lossSoftmaxRows", n, got, want, func(isa ISA, d []float32) {
					lossSoftmaxRows(isa, d[:planes*stride], finite[:planes*n], rest(d, 0), rest(d, 1), rest(d, 2), planes, n, stride)
					plainZeros(rest(d, 0))
				})
			}
			s, own, comp, v := make([]float32, planes*stride), make([]float32, n), make([]float32, n), lossValues(rng, planes*stride, false)
			for i := range v {
				v[i] = float32(math.Mod(float64(v[i]), 1))
			}
			lossSoftmaxGeneric(s, x, nil, nil, comp, planes, n, stride, stride)
			for i := range n {
				if k := rng.IntN(planes + 1); k < planes {
					p := &s[k*stride+i]
					own[i] = *p
					*p = -(1 - *p)
				}
			}
			check("lossSoftmaxGrad", n, got, want, func(isa ISA, d []float32) {
				lossSoftmaxGrad(isa, d[:planes*stride], s, v, own, comp, planes, n, stride, stride, stride)
			})
			if planes <= maxLanes {
				check("lossSoftmaxGradRows", n, got, want, func(isa ISA, d []float32) {
					lossSoftmaxGradRows(isa, d[:planes*n], s, v, own, comp, planes, n, stride, stride)
				})
				check("lossEntropyGradRows", n, got, want, func(isa ISA, d []float32) {
					lossEntropyGradRows(isa, d[:planes*n], s, v, own, comp, finite, planes, n, stride, stride)
				})
			}
			check("lossEntropyGrad", n, got, want, func(isa ISA, d []float32) {
				lossEntropyGrad(isa, d[:planes*stride], s, v, own, comp, finite, planes, n, stride, stride, stride)
			})
		}
	}
}
