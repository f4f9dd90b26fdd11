package main

import (
	"math"
	"slices"

	"github.com/lanewise/lanewise"
)

// The loops that people write, as the compiler makes them.

func plainDot[T lanewise.Float](a, b []T) T {
	var s T
	b = b[:len(a)]
	for i, v := range a {
		s += v * b[i]
	}
	return s
}

func plainCumSum[T lanewise.Float](dst, src []T) {
	var s T
	dst = dst[:len(src)]
	for i, v := range src {
		s += v
		dst[i] = s
	}
}

func plainSoftmax[T lanewise.Float](dst, src []T) {
	dst = dst[:len(src)]
	m := slices.Max(src)
	var s T
	for i, v := range src {
		e := T(math.Exp(float64(v - m)))
		dst[i] = e
		s += e
	}
	s = 1 / s
	for i := range dst {
		dst[i] *= s
	}
}

func plainSoftmaxPlanes[T lanewise.Float](dst, src []T, planes, n int) {
	for i := range n {
		m := src[i]
		for j := i; j < planes*n; j += n {
			m = max(m, src[j])
		}
		var s T
		for j := i; j < planes*n; j += n {
			e := T(math.Exp(float64(src[j] - m)))
			dst[j] = e
			s += e
		}
		s = 1 / s
		for j := i; j < planes*n; j += n {
			dst[j] *= s
		}
	}
}

func plainLogSoftmax[T lanewise.Float](dst, src []T) {
	dst = dst[:len(src)]
	l := plainLogSumExp(src)
	for i, v := range src {
		dst[i] = v - l
	}
}

func plainLogSumExp[T lanewise.Float](x []T) T {
	m := slices.Max(x)
	var s T
	for _, v := range x {
		s += T(math.Exp(float64(v - m)))
	}
	return m + T(math.Log(float64(s)))
}

func plainSoftmaxGrad[T lanewise.Float](dx, y, dy []T) {
	dx, dy = dx[:len(y)], dy[:len(y)]
	s := plainDot(y, dy)
	for i, v := range y {
		dx[i] = v * (dy[i] - s)
	}
}

func plainLogSoftmaxGrad[T lanewise.Float](dx, y, dy []T) {
	dx, dy = dx[:len(y)], dy[:len(y)]
	var s T
	for _, v := range dy {
		s += v
	}
	for i, v := range y {
		dx[i] = dy[i] - T(math.Exp(float64(v)))*s
	}
}

func plainClassErrors[T lanewise.Float](dst, probs []T, labels []int32, class int32) {
	dst, labels = dst[:len(probs)], labels[:len(probs)]
	for i, p := range probs {
		if labels[i] == class {
			p = 1 - p
		}
		dst[i] = T(math.Abs(float64(p)))
	}
}

func plainArgMax[T lanewise.Float](x []T) int {
	best := 0
	for i, v := range x {
		if v > x[best] {
			best = i
		}
	}
	return best
}

func plainArgMaxPlanes[T lanewise.Float](dst []int32, src []T, planes int) {
	n := len(dst)
	for i := range dst {
		best := 0
		for k := range planes {
			if src[k*n+i] > src[best*n+i] {
				best = k
			}
		}
		dst[i] = int32(best)
	}
}

// plainSort sorts the permutation by the keys, then moves the keys.
func plainSort[T lanewise.Float](keys, src []T, perm []int32, sort func(perm []int32, cmp func(i, j int32) int)) {
	for i := range perm {
		perm[i] = int32(i)
	}
	sort(perm, func(i, j int32) int {
		switch a, b := src[i], src[j]; {
		case a > b:
			return -1
		case a < b:
			return 1
		}
		return 0
	})
	for i, from := range perm {
		keys[i] = src[from]
	}
}

// plainLovaszGrad is the reference's: the differences of the Jaccard losses.
func plainLovaszGrad[T lanewise.Float](dst []T, foreground []uint8) {
	dst = dst[:len(foreground)]
	var total T
	for _, f := range foreground {
		total += T(f)
	}
	intersection, union, last := total, total, T(0)
	for i, f := range foreground {
		intersection -= T(f)
		union += T(1 - f)
		jaccard := 1 - intersection/union
		dst[i] = jaccard - last
		last = jaccard
	}
}
