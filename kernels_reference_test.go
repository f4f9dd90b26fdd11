package lanewise

import (
	"cmp"
	"math"
	"slices"
	"unsafe"
)

// The reference: every kernel written for reading, one rounding a step, on plain slices. It shares no code with the kernels, and every
// ISA must give its bits.

// is64 says whether T is float64.
func is64[T Float]() bool { return unsafe.Sizeof(T(0)) == 8 }

// bitsOf returns the bits of x.
func bitsOf[T Float](x T) uint64 {
	if is64[T]() {
		return math.Float64bits(float64(x))
	}
	return uint64(*(*uint32)(unsafe.Pointer(&x))) // a conversion could quieten a NaN
}

// fromBits returns the T with the low bits of b.
func fromBits[T Float](b uint64) (x T) {
	if is64[T]() {
		return T(math.Float64frombits(b))
	}
	*(*uint32)(unsafe.Pointer(&x)) = uint32(b)
	return x
}

// canonicalNaN is the NaN of rows that are not numbers.
func canonicalNaN[T Float]() T {
	if is64[T]() {
		return fromBits[T](0x7ff8000000000001)
	}
	return fromBits[T](0x7fc00000)
}

// refFMA returns x·y + z rounded once.
func refFMA[T Float](x, y, z T) T {
	if is64[T]() {
		return T(math.FMA(float64(x), float64(y), float64(z)))
	}
	return T(refFMA32(float32(x), float32(y), float32(z)))
}

// refFMA32 rounds the exact sum to odd in float64, after which rounding to float32 gives what a single rounding would.
func refFMA32(x, y, z float32) float32 {
	p, c := float64(x)*float64(y), float64(z) // exact
	s := p + c
	if math.IsInf(s, 0) || math.IsNaN(s) {
		return float32(s)
	}
	t := s - p
	e := (p - (s - t)) + (c - t) // p + c = s + e
	if b := math.Float64bits(s); e != 0 && b&1 == 0 {
		if (e > 0) == (s > 0) {
			b++
		} else {
			b--
		}
		s = math.Float64frombits(b)
	}
	return float32(s)
}

type expDefinition struct {
	threshold, log2e, magic, hi, lo float64
	poly                            []float64 // the highest degree first
}

var (
	expDefinition32 = expDefinition{
		threshold: -0x1.5d589ep6, log2e: 0x1.715476p0, magic: 0x1.8p23, hi: 0x1.62e4p-1, lo: 0x1.7f7dp-20,
		poly: []float64{0x1.6ac74ap-10, 0x1.123dep-7, 0x1.555858p-5, 0x1.55548cp-3, 0x1.fffffcp-2, 1, 1},
	}
	expDefinition64 = expDefinition{
		threshold: -0x1.6232bdd7abcd2p9, log2e: 0x1.71547652b82fep0, magic: 0x1.8p52, hi: 0x1.62e42feep-1, lo: 0x1.a39ef35793c76p-33,
		poly: []float64{0x1.af633a92c2458p-26, 0x1.28b41da12708bp-22, 0x1.71ddf6ab977fbp-19, 0x1.a01993a5e7f04p-16, 0x1.a01a01b00f205p-13,
			0x1.6c16c18606b59p-10, 0x1.111111110f7fdp-7, 0x1.55555555503cfp-5, 0x1.5555555555558p-3, 0x1.0000000000009p-1, 1, 1},
	}
)

// refExp returns exp(x) for x ≤ 0, 0 where that is subnormal.
func refExp[T Float](x T) T {
	d := &expDefinition32
	if is64[T]() {
		d = &expDefinition64
	}
	if x != x {
		return x
	}
	if x < T(d.threshold) {
		return 0
	}
	n := refFMA(x, T(d.log2e), T(d.magic)) - T(d.magic)
	r := refFMA(-n, T(d.hi), x)
	r = refFMA(-n, T(d.lo), r)
	p := T(d.poly[0])
	for _, c := range d.poly[1:] {
		p = refFMA(p, r, T(c))
	}
	return T(math.Ldexp(float64(p), int(n)))
}

// refLog returns log(x) for normal x > 0, by fdlibm's arrangement.
func refLog(x float64) float64 {
	bits := [...]uint64{0x3FE5555555555593, 0x3FD999999997FA04, 0x3FD2492494229359, 0x3FCC71C51D8E78AF, 0x3FC7466496CB03DE,
		0x3FC39A09D078C69F, 0x3FC2F112DF3E5244, 0x3FE62E42FEE00000, 0x3DEA39EF35793C76}
	var l [1 + len(bits)]float64
	for i, b := range bits {
		l[i+1] = math.Float64frombits(b)
	}
	hi, lo := l[8], l[9]
	mul := func(a, b float64) float64 { return float64(a * b) }

	m, k := math.Frexp(x) // [½, 1)
	if m < math.Sqrt2/2 {
		m, k = 2*m, k-1
	}
	f := m - 1
	s := f / (2 + f)
	z := mul(s, s)
	w := mul(z, z)
	odd := l[5] + mul(w, l[7])
	odd = l[3] + mul(w, odd)
	odd = l[1] + mul(w, odd)
	even := l[4] + mul(w, l[6])
	even = l[2] + mul(w, even)
	r := mul(z, odd) + mul(w, even)
	h := mul(mul(0.5, f), f)
	corrected := mul(s, h+r) + mul(float64(k), lo)
	return mul(float64(k), hi) - ((h - corrected) - f)
}

// refSum adds up x in lanes: 64 for float32, 32 for float64, over pieces of 8192 elements.
func refSum[T Float](x []T) T {
	if len(x) <= 8192 {
		return refPiece(x)
	}
	var sum float64
	for piece := range slices.Chunk(x, 8192) {
		sum += float64(refPiece(piece))
	}
	return T(sum)
}

func refPiece[T Float](x []T) T {
	lanes, width := make([]T, 64), 16
	if is64[T]() {
		lanes, width = make([]T, 32), 8
	}
	for i, v := range x {
		lanes[i%len(lanes)] += v
	}
	var t [4]T
	for g := range t {
		group := lanes[g*width:][:width]
		for half := width / 2; half > 0; half /= 2 {
			for i := range half {
				group[i] += group[i+half]
			}
		}
		t[g] = group[0]
	}
	return (t[0] + t[1]) + (t[2] + t[3])
}

func refDot[T Float](a, b []T) T {
	products := make([]T, len(a))
	for i := range a {
		products[i] = T(a[i] * b[i])
	}
	return refSum(products)
}

// refMax returns the largest value; NaN is passed over, since the sum shows it.
func refMax[T Float](x []T) T {
	m := T(math.Inf(-1))
	for _, v := range x {
		if v > m {
			m = v
		}
	}
	return m
}

// refExpSum returns x − max, the exp of that, and its sum.
func refExpSum[T Float](x []T) (shifted, exps []T, sum T) {
	m := refMax(x)
	shifted = make([]T, len(x))
	for i, v := range x {
		shifted[i] = v - m
	}
	exps, sum = refExpSumOf(shifted)
	return shifted, exps, sum
}

func refExpSumOf[T Float](x []T) (exps []T, sum T) {
	exps = make([]T, len(x))
	for i, v := range x {
		exps[i] = refExp(v)
	}
	return exps, refSum(exps)
}

func refSoftmax[T Float](x []T) []T {
	shifted, _, _ := refExpSum(x)
	return refSoftmaxOf(shifted)
}

// refSoftmaxOf is the softmax of x, whose largest element is 0.
func refSoftmaxOf[T Float](x []T) []T {
	y, sum := refExpSumOf(x)
	scale := 1 / sum
	for i := range y {
		y[i] *= scale
		if sum != sum {
			y[i] = canonicalNaN[T]()
		}
	}
	return y
}

func refLogSoftmax[T Float](x []T) []T {
	y, _, sum := refExpSum(x)
	for i := range y {
		if sum != sum {
			y[i] = canonicalNaN[T]()
		} else {
			y[i] -= T(refLog(float64(sum)))
		}
	}
	return y
}

func refLogSumExp[T Float](x []T) T {
	_, _, sum := refExpSum(x)
	m := refMax(x)
	switch {
	case slices.ContainsFunc(x, func(v T) bool { return v != v }):
		return canonicalNaN[T]()
	case math.IsInf(float64(m), 0):
		return m
	default:
		return T(float64(m) + refLog(float64(sum)))
	}
}

func refSoftmaxGrad[T Float](y, dy []T) []T {
	sum := refDot(y, dy)
	dx := make([]T, len(y))
	for i := range dx {
		d := dy[i] - sum
		dx[i] = y[i] * d
	}
	return dx
}

func refLogSoftmaxGrad[T Float](y, dy []T) []T {
	sum := refSum(dy)
	dx := make([]T, len(y))
	for i, v := range y {
		if v > 0 {
			v = 0
		}
		p := T(refExp(v) * sum)
		dx[i] = dy[i] - p
	}
	return dx
}

// refCumSum scans blocks of 16 float32 (8 float64) by Sklansky's steps and carries from block to block in float64.
func refCumSum[T Float](x []T) []T {
	size := 16
	if is64[T]() {
		size = 8
	}
	var y []T
	carry := math.Copysign(0, -1)
	for block := range slices.Chunk(slices.Clone(x), size) {
		for step := 1; step < len(block); step *= 2 {
			for i := range block {
				if i&step != 0 {
					block[i] += block[i&^(step-1)-1]
				}
			}
		}
		for _, s := range block {
			y = append(y, T(carry+float64(s)))
		}
		carry += float64(block[len(block)-1])
	}
	return y
}

func refArgMax[T Float](x []T) int32 {
	best := -1
	for i, v := range x {
		if v != v {
			return int32(i)
		}
		if best < 0 || v > x[best] {
			best = i
		}
	}
	return int32(best)
}

func refClassErrors[T Float](probs []T, labels []int32, class int32) []T {
	e := make([]T, len(probs))
	for i, p := range probs {
		if labels[i] == class {
			p = 1 - p
		}
		e[i] = fromBits[T](bitsOf(p) &^ bitsOf(T(math.Copysign(0, -1))))
	}
	return e
}

// refSortDescending returns the sorted keys and where they came from.
func refSortDescending[T Float](x []T) (keys []T, perm []int32) {
	for i := range x {
		perm = append(perm, int32(i))
	}
	slices.SortStableFunc(perm, func(i, j int32) int {
		a, b := x[i], x[j]
		if a != a || b != b {
			return cmp.Compare(b2i(b != b), b2i(a != a))
		}
		return cmp.Compare(b, a) // −0 and +0 are equal
	})
	for _, i := range perm {
		keys = append(keys, x[i])
	}
	return keys, perm
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// refLovaszGrad follows the algorithm on paper, with fractions for the differences of the Jaccard loss: after f foreground and b
// background pixels it is 1 − (G − f)/(G + b).
func refLovaszGrad[T Float](truth []uint8) []T {
	g := make([]T, len(truth))
	var foreground, f, b int64
	for _, v := range truth {
		foreground += int64(b2i(v != 0))
	}
	if foreground == 0 {
		if len(g) > 0 {
			g[0] = 1
		}
		return g
	}
	for i, v := range truth {
		if v != 0 {
			g[i] = T(1 / float64(foreground+b)) // (G − f)/(G + b) − (G − f − 1)/(G + b)
			f++
		} else {
			g[i] = T(float64(foreground-f) / float64((foreground+b)*(foreground+b+1)))
			b++
		}
	}
	return g
}

// along applies f to every vector along the middle axis of x [s.outer, s.axis, s.inner] and writes what it gives to dst.
func along[T, U any](s shape, dst []U, f func(x, y []T) []U, x, y []T) {
	at := func(src []T, from int) []T {
		if src == nil {
			return nil
		}
		v := make([]T, s.axis)
		for k := range v {
			v[k] = src[from+k*s.inner]
		}
		return v
	}
	for o := range s.outer {
		for i := range s.inner {
			from := o*s.axis*s.inner + i
			v := f(at(x, from), at(y, from))
			if len(v) == 1 && s.axis != 1 { // a result per vector
				dst[o*s.inner+i] = v[0]
				continue
			}
			for k := range v {
				dst[from+k*s.inner] = v[k]
			}
		}
	}
}
