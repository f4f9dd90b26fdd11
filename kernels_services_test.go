package lanewise

import (
	"math"
	"slices"
	"testing"
)

// The kernels that services need beside softmax, dot and arg max, for the suite of kernels_test.go, and their reference.

func serviceKernelTests[T Float]() []kernelTest[T] {
	unary := func(s shape) lengths { return lengths{dst: s.size(), x: s.size()} }
	binary := func(s shape) lengths { return lengths{dst: s.size(), x: s.size(), y: s.size()} }
	perVector := func(s shape) lengths { return lengths{dst: s.vectors(), x: s.size()} }
	logSumExp := func(o *operands[T], s shape) {
		along(s, o.dst, func(x, _ []T) []T { return []T{refLogSumExp(x)} }, o.x, nil)
	}
	normalize := func(o *operands[T], s shape) {
		along(s, o.dst, func(x, _ []T) []T { return refNormalize(x) }, o.x, nil)
	}
	// topK is k for vectors of s: of all sizes.
	topK := func(s shape) int { return min(s.axis, []int{1, 10, 64, 65, 0, 200, s.axis, 2}[s.axis%8]) }
	logProbabilities := func(o *operands[T]) {
		for i, v := range o.x {
			if i%7 != 3 && v > 0 {
				o.x[i] = -v
			}
		}
	}
	// scaled are the tests of SoftmaxRowsScaled: y is the scale, and behind it the mask.
	scaled := func(name string, mask func(s shape) int) kernelTest[T] {
		return kernelTest[T]{
			name: name, family: rows, inPlace: "x", exact: firstNaNWins,
			lengths: func(s shape) lengths { return lengths{dst: s.size(), x: s.size(), y: 1 + mask(s)} },
			run: func(o *operands[T], s shape) {
				m := o.y[1:]
				if len(m) == 0 && s.size() != 0 {
					m = nil
				}
				SoftmaxRowsScaled(o.dst, o.x, m, s.axis, o.y[0])
			},
			want: func(o *operands[T], s shape) {
				scale, m := o.y[0], o.y[1:]
				if len(m) == 0 {
					along(s, o.dst, func(x, _ []T) []T { return refSoftmaxScaled(x, scale) }, o.x, nil)
					return
				}
				x := slices.Clone(o.x)
				for i := range x {
					x[i] = T(x[i]*scale) + m[i%len(m)]
				}
				along(s, o.dst, func(x, _ []T) []T { return refSoftmax(x) }, x, nil)
			},
		}
	}
	return []kernelTest[T]{{
		name: "SquaredDistance", family: vectors,
		lengths: func(s shape) lengths { return lengths{dst: 1, x: s.axis, y: s.axis} },
		run:     func(o *operands[T], s shape) { o.dst[0] = SquaredDistance(o.x, o.y) },
		want:    func(o *operands[T], s shape) { o.dst[0] = refSquaredDistance(o.x, o.y) },
	}, {
		name: "SquaredDistanceRows", family: rows,
		lengths: func(s shape) lengths { return lengths{dst: s.outer, x: s.size(), y: s.axis} },
		run:     func(o *operands[T], s shape) { SquaredDistanceRows(o.dst, o.x, o.y) },
		want: func(o *operands[T], s shape) {
			for r := range o.dst {
				o.dst[r] = refSquaredDistance(o.x[r*s.axis:(r+1)*s.axis], o.y)
			}
		},
	}, {
		name: "Norm", family: vectors,
		lengths: func(s shape) lengths { return lengths{dst: 1, x: s.axis} },
		run:     func(o *operands[T], s shape) { o.dst[0] = Norm(o.x) },
		want:    func(o *operands[T], s shape) { o.dst[0] = refNorm(o.x) },
	}, {
		name: "Normalize", family: vectors, lengths: unary, inPlace: "x",
		run:  func(o *operands[T], s shape) { Normalize(o.dst, o.x) },
		want: normalize,
	}, {
		name: "NormalizeRows", family: rows, lengths: unary, inPlace: "x",
		run:  func(o *operands[T], s shape) { NormalizeRows(o.dst, o.x, s.axis) },
		want: normalize,
	}, {
		name: "TopK", family: vectors, exact: true,
		lengths: func(s shape) lengths { return lengths{dst: topK(s), index: topK(s), x: s.axis} },
		run:     func(o *operands[T], s shape) { TopK(o.dst, o.index, o.x) },
		want: func(o *operands[T], s shape) {
			keys, perm := refSortDescending(o.x)
			copy(o.dst, keys)
			copy(o.index, perm)
		},
	}, {
		name: "TopKRows", family: rows, exact: true,
		lengths: func(s shape) lengths { return lengths{dst: s.outer * topK(s), index: s.outer * topK(s), x: s.size()} },
		run:     func(o *operands[T], s shape) { TopKRows(o.dst, o.index, o.x, s.axis) },
		want: func(o *operands[T], s shape) {
			for r, k := 0, topK(s); r < s.outer; r++ {
				keys, perm := refSortDescending(o.x[r*s.axis : (r+1)*s.axis])
				copy(o.dst[r*k:(r+1)*k], keys)
				copy(o.index[r*k:(r+1)*k], perm)
			}
		},
	}, {
		name: "SortAscending", family: vectors, inPlace: "x", exact: true,
		lengths: func(s shape) lengths { return lengths{dst: s.axis, index: s.axis, x: s.axis} },
		run: func(o *operands[T], s shape) {
			copy(o.dst, o.x)
			SortAscending(o.dst, o.index)
		},
		want: func(o *operands[T], s shape) {
			for i := range o.index {
				o.index[i] = int32(i)
			}
			slices.SortStableFunc(o.index, func(i, j int32) int {
				a, b := o.x[i], o.x[j]
				switch {
				case a < b || a == a && b != b:
					return -1
				case a > b || b == b && a != a:
					return 1
				}
				return 0
			})
			for i, from := range o.index {
				o.dst[i] = o.x[from]
			}
		},
	}, {
		name: "Sigmoid", family: vectors, lengths: unary, inPlace: "x",
		run: func(o *operands[T], s shape) { Sigmoid(o.dst, o.x) },
		want: func(o *operands[T], s shape) {
			for i, x := range o.x {
				o.dst[i] = refSigmoid(x)
			}
		},
	}, {
		name: "SigmoidGrad", family: vectors, lengths: binary, inPlace: "xy",
		run: func(o *operands[T], s shape) { SigmoidGrad(o.dst, o.x, o.y) },
		want: func(o *operands[T], s shape) {
			for i, y := range o.x {
				q := 1 - y
				p := T(y * q)
				o.dst[i] = p * o.y[i]
			}
		},
	}, {
		name: "SoftmaxScaled", family: vectors, inPlace: "x", exact: firstNaNWins,
		lengths: func(s shape) lengths { return lengths{dst: s.axis, x: s.axis, y: 1} },
		run:     func(o *operands[T], s shape) { SoftmaxScaled(o.dst, o.x, o.y[0]) },
		want:    func(o *operands[T], s shape) { copy(o.dst, refSoftmaxScaled(o.x, o.y[0])) },
	},
		scaled("SoftmaxRowsScaled", func(s shape) int { return 0 }),
		scaled("SoftmaxRowsScaledMaskRow", func(s shape) int { return s.axis }),
		scaled("SoftmaxRowsScaledMask", shape.size),
		{
			name: "LogSumExpRows", family: rows, lengths: perVector, want: logSumExp,
			run: func(o *operands[T], s shape) { LogSumExpRows(o.dst, o.x, s.axis) },
		}, {
			name: "LogSumExpAxis", family: axes, lengths: perVector, want: logSumExp,
			run: func(o *operands[T], s shape) { LogSumExpAxis(o.dst, o.x, s.outer, s.axis, s.inner) },
		}, {
			name: "LogSumExpPlanes", family: planes, lengths: perVector, want: logSumExp, // there is no such function
			run: func(o *operands[T], s shape) { LogSumExpAxis(o.dst, o.x, 1, s.axis, s.inner) },
		}, {
			name: "ArgMaxAxis", family: axes,
			lengths: func(s shape) lengths { return lengths{index: s.vectors(), x: s.size()} },
			run:     func(o *operands[T], s shape) { ArgMaxAxis(o.index, o.x, s.outer, s.axis, s.inner) },
			want: func(o *operands[T], s shape) {
				along(s, o.index, func(x, _ []T) []int32 { return []int32{refArgMax(x)} }, o.x, nil)
			},
		}, {
			name: "SoftmaxAxisGrad", family: axes, lengths: binary, inPlace: "xy",
			run:  func(o *operands[T], s shape) { SoftmaxAxisGrad(o.dst, o.x, o.y, s.outer, s.axis, s.inner) },
			want: func(o *operands[T], s shape) { along(s, o.dst, refSoftmaxGrad, o.x, o.y) },
		}, {
			name: "SoftmaxPlanesGrad", family: planes, lengths: binary, inPlace: "xy", // there is no such function
			run:  func(o *operands[T], s shape) { SoftmaxAxisGrad(o.dst, o.x, o.y, 1, s.axis, s.inner) },
			want: func(o *operands[T], s shape) { along(s, o.dst, refSoftmaxGrad, o.x, o.y) },
		}, {
			name: "LogSoftmaxAxisGrad", family: axes, lengths: binary, inPlace: "xy", prepare: logProbabilities,
			run:  func(o *operands[T], s shape) { LogSoftmaxAxisGrad(o.dst, o.x, o.y, s.outer, s.axis, s.inner) },
			want: func(o *operands[T], s shape) { along(s, o.dst, refLogSoftmaxGrad, o.x, o.y) },
		}, {
			name: "LogSoftmaxPlanesGrad", family: planes, lengths: binary, inPlace: "xy", prepare: logProbabilities, // there is no such function
			run:  func(o *operands[T], s shape) { LogSoftmaxAxisGrad(o.dst, o.x, o.y, 1, s.axis, s.inner) },
			want: func(o *operands[T], s shape) { along(s, o.dst, refLogSoftmaxGrad, o.x, o.y) },
		}, {
			name: "CumSumRows", family: rows, lengths: unary, inPlace: "x",
			run:  func(o *operands[T], s shape) { CumSumRows(o.dst, o.x, s.axis) },
			want: func(o *operands[T], s shape) { along(s, o.dst, func(x, _ []T) []T { return refCumSum(x) }, o.x, nil) },
		},
	}
}

func refSquaredDistance[T Float](a, b []T) T {
	squares := make([]T, len(a))
	for i := range a {
		d := a[i] - b[i]
		squares[i] = d * d
	}
	return refSum(squares)
}

// refSoftmaxScaled is the softmax of scale·x by the differences from the element whose product is the largest.
func refSoftmaxScaled[T Float](x []T, scale T) []T {
	z := slices.Clone(x)
	switch {
	case scale == 0:
		for i := range z {
			z[i] *= scale
		}
		scale = 1
	case scale < 0:
		for i := range z {
			z[i] = -z[i]
		}
		scale = -scale
	}
	m := refMax(z)
	for i, v := range z {
		z[i] = (v - m) * scale
	}
	return refSoftmaxOf(z)
}

// refNormScaled returns the norm of x·2ᵏ, and k: over float64 a sum of squares that is not in [2⁻⁹⁰⁰, ∞) is that of the elements times
// 2^±600, in pieces of 512.
func refNormScaled[T Float](x []T) (norm float64, k int) {
	squares := func(x []T, k int) []float64 {
		s := make([]float64, len(x))
		for i, v := range x {
			d := float64(v)
			if k != 0 {
				d = math.Ldexp(d, k)
			}
			s[i] = d * d
		}
		return s
	}
	s := refSum(squares(x, 0))
	if !is64[T]() {
		switch {
		case s < 0x1p-200:
			k = 100
		case s > 0x1p200:
			k = -100
		}
		return math.Ldexp(math.Sqrt(s), k), k
	}
	switch {
	case s < 0x1p-900:
		k = 600
	case math.IsInf(s, 1):
		k = -600
	default:
		return math.Sqrt(s), 0
	}
	s = 0
	for piece := range slices.Chunk(squares(x, k), 512) {
		s += refPiece(piece)
	}
	return math.Sqrt(s), k
}

func refNorm[T Float](x []T) T {
	norm, k := refNormScaled(x)
	return T(math.Ldexp(norm, -k))
}

func refNormalize[T Float](x []T) []T {
	norm, k := refNormScaled(x)
	y := slices.Clone(x)
	for i := range y {
		if k != 0 {
			y[i] *= T(math.Ldexp(1, k))
		}
		if norm != 0 {
			y[i] *= T(1 / norm)
		}
	}
	return y
}

func refSigmoid[T Float](x T) T {
	if x >= 0 {
		return 1 / (1 + refExp(-x))
	}
	e := refExp(x)
	return e / (1 + e)
}

// TestNorm: nothing overflows or underflows where the norm does not.
func TestNorm(t *testing.T) { eachType(t, testNorm[float32], testNorm[float64]) }

func testNorm[T Float](t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	largest, least := math.MaxFloat64, 0x1p-1074
	if !is64[T]() {
		largest, least = math.MaxFloat32, 0x1p-149
	}
	for _, c := range []struct {
		x    []float64
		want float64
	}{
		{nil, 0}, {[]float64{0, 0}, 0}, {[]float64{-3, 4}, 5}, {[]float64{largest}, largest}, {[]float64{-least}, least},
		{[]float64{3 * least, 4 * least}, 5 * least}, {[]float64{largest / 2, largest / 2}, largest / math.Sqrt2},
		{[]float64{largest, largest}, inf}, {[]float64{-inf, 1}, inf}, {[]float64{inf, nan}, nan}, {[]float64{nan, 0}, nan},
		{[]float64{3e-30, 4e-30}, 5e-30}, {[]float64{3e30, 4e30, least}, 5e30}, {slices.Repeat([]float64{least}, 10_000), 100 * least},
		{slices.Repeat([]float64{largest / 1024}, 1<<18), largest / 2},
	} {
		x, y := make([]T, len(c.x)), make([]T, len(c.x))
		for i, v := range c.x {
			x[i] = T(v)
		}
		got := Norm(x)
		if !near(got, c.want, 2e-7) || math.IsInf(c.want, 0) != math.IsInf(float64(got), 0) {
			t.Errorf("Norm of %d values %v… = %v, want %v", len(x), x[:min(3, len(x))], got, c.want)
		}
		Normalize(y, x)
		var sum float64
		for i, v := range y {
			sum += float64(v) * float64(v)
			if math.Signbit(float64(v)) != math.Signbit(float64(x[i])) && v == v {
				t.Fatalf("Normalize of %v…: [%d] = %v", x[:min(3, len(x))], i, v)
			}
		}
		switch want := math.Sqrt(sum); {
		case c.want == 0 && sum != 0, c.want != 0 && !math.IsInf(c.want, 0) && c.want == c.want && math.Abs(want-1) > 1e-6,
			c.want != c.want && want == want:
			t.Errorf("Normalize of %d values %v… has the norm %v", len(x), x[:min(3, len(x))], want)
		}
	}
	y := make([]T, 3)
	Normalize(y, []T{T(-inf), 5, T(math.Copysign(0, -1))})
	if y[0] == y[0] || bitsOf(y[1]) != 0 || bitsOf(y[2]) != bitsOf(T(math.Copysign(0, -1))) {
		t.Errorf("Normalize of −Inf 5 −0 = %v", y)
	}
	Normalize(y, []T{0, T(math.Copysign(0, -1)), 0})
	if bitsOf(y[0]) != 0 || bitsOf(y[1]) != bitsOf(T(math.Copysign(0, -1))) {
		t.Errorf("Normalize of 0 −0 0 = %v", y)
	}
}

// TestNormAccuracy: within the bounds that the documentation states.
func TestNormAccuracy(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		r := random(6)
		for _, n := range []int{1, 2, 3, 64, 768, 1000, 20_000} {
			x := make([]float32, n)
			fill(x, "wide", n, &r)
			var sum float64
			for _, v := range x {
				sum += float64(v) * float64(v)
			}
			want := math.Sqrt(sum)
			got := float64(Norm(x))
			if ulp := math.Ldexp(1, math.Ilogb(want)-23); math.Abs(got-want) > 0.51*ulp {
				t.Errorf("Norm of %d = %v, want %v within 0.51 ulp", n, got, want)
			}
		}
	})
}

// TestSigmoidAccuracy compares with float64: within 2.5 ulp.
func TestSigmoidAccuracy(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		n := 1 << 22
		if !*long {
			n = 1 << 18
		}
		r := random(7)
		x, y := make([]float32, n), make([]float32, n)
		for i := range x {
			x[i] = float32(r.uniform(r.below(12) - 4))
			if i%2 == 0 {
				x[i] = float32(r.uniform(7))
			}
		}
		Sigmoid(y, x)
		worst, at := 0., 0
		for i, v := range x {
			want := 1 / (1 + math.Exp(-float64(v)))
			if v < -0x1.5d589ep6 {
				want = 0
			}
			ulp := math.Ldexp(1, max(-126, math.Ilogb(want))-23)
			if e := math.Abs(float64(y[i])-want) / ulp; e > worst {
				worst, at = e, i
			}
		}
		t.Logf("%.3f ulp at %v", worst, x[at])
		if worst > 2.5 || worst == 0 {
			t.Errorf("Sigmoid(%v) = %v is %v ulp off", x[at], y[at], worst)
		}
	})
}

// TestSoftmaxScaledAccuracy: the error grows with the difference from the largest logit, and not with the logits.
func TestSoftmaxScaledAccuracy(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		r := random(7)
		for _, c := range []struct {
			offset float64
			spread int // a power of two
			scale  float32
		}{{0, 3, 0.125}, {0, 6, 0.3}, {1000, 6, -0.3}, {1e6, 6, 0.3}, {1e20, 50, -1e-14}, {0, 100, 1e-29}, {0, -100, 1e30}, {1e38, 124, 1e-36},
			{1e30, 100, 1e30}} {
			for range 100 {
				x := make([]float32, 1+r.below(200))
				y, z := make([]float32, len(x)), make([]float64, len(x))
				for i := range x {
					x[i] = float32(c.offset + r.uniform(c.spread))
					z[i] = float64(x[i]) * float64(c.scale)
				}
				SoftmaxScaled(y, x, c.scale)
				m, sum := slices.Max(z), 0.
				for i := range z {
					z[i] -= m
					sum += math.Exp(z[i])
				}
				for i, d := range z {
					want := math.Exp(d) / sum
					if e := math.Abs(float64(y[i]) - want); !(e <= want*(2*math.Abs(d)+10)*0x1p-24+0x1p-126) {
						t.Fatalf("%+v: element %d of %d, %v from the largest, is %v, want %v", c, i, len(x), d, y[i], want)
					}
				}
			}
		}
	})
}

func TestSigmoidCases(t *testing.T) {
	eachType(t, testSigmoidCases[float32], testSigmoidCases[float64])
}

func testSigmoidCases[T Float](t *testing.T) {
	inf := math.Inf(1)
	x := []T{0, T(math.Copysign(0, -1)), T(inf), T(-inf), 1000, -1000, T(math.NaN()), 2, -2}
	y := make([]T, len(x))
	Sigmoid(y, x)
	checkNear(t, "Sigmoid", y, []float64{0.5, 0.5, 1, 0, 1, 0, math.NaN(), 0.8807970779778823, 0.11920292202211755}, 1e-7)
	SigmoidGrad(y[:4], []T{0, 1, 0.5, 0.25}, []T{3, 3, 2, 8})
	checkNear(t, "SigmoidGrad", y[:4], []float64{0, 0, 0.5, 1.5}, 0)
}

// TestTopKOrder: values that come in an order that makes every one of them a candidate, and ties.
func TestTopKOrder(t *testing.T) { eachType(t, testTopKOrder[float32], testTopKOrder[float64]) }

func testTopKOrder[T Float](t *testing.T) {
	n := 20_000
	r := random(8)
	for name, key := range map[string]func(i int) T{
		"ascending":  func(i int) T { return T(i) },
		"descending": func(i int) T { return T(-i) },
		"saw":        func(i int) T { return T(i%100) + T(i/1000) },
		"equal":      func(i int) T { return 3 },
		"few":        func(i int) T { return T(r.below(3)) },
		"zeros":      func(i int) T { return T(math.Copysign(0, float64(r.below(2))-0.5)) },
		"NaNs":       func(i int) T { return []T{T(math.NaN()), -T(math.NaN()), 1, T(math.Inf(1))}[r.below(4)] },
		"late NaNs":  func(i int) T { return []T{T(i), T(math.NaN())}[b2i(i > n-50)] },
		"infinities": func(i int) T { return T(math.Inf(r.below(2) - 1)) },
		"normal":     func(i int) T { return T(r.uniform(3)) },
		"few finite": func(i int) T { return []T{T(math.Inf(-1)), T(-r.below(9))}[b2i(i%700 == 11)] },
		"few NaNs":   func(i int) T { return []T{T(r.uniform(3)), T(math.NaN())}[b2i(i%300 == 7)] },
		"least":      func(i int) T { return []T{-largestFinite[T](), T(math.Inf(-1))}[r.below(2)] },
	} {
		src := make([]T, n)
		for i := range src {
			src[i] = key(i)
		}
		keys, perm := refSortDescending(src)
		for _, k := range []int{0, 1, 2, 10, 32, 33, 64, 65, 66, 1000, 9000, n - 1, n} {
			values, indices := make([]T, k), make([]int32, k)
			TopK(values, indices, src)
			if i, ok := firstDifference(values, keys[:k], true); !ok || !slices.Equal(indices, perm[:k]) {
				t.Errorf("the %d largest of %d %s are wrong: at first values[%d]", k, n, name, i)
			}
		}
	}
}

func largestFinite[T Float]() T {
	if is64[T]() {
		largest := math.MaxFloat64
		return T(largest)
	}
	return math.MaxFloat32
}
