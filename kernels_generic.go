package lanewise

import (
	"math"
	"unsafe"
)

// The kernels in plain Go. They are the definition: every other ISA gives their bits. Three rules keep these bits the same on every CPU
// and for every compiler flag:
//
//   - a product that is added to something is converted explicitly, T(x*y) + z, so that the compiler does not fuse the two, unless the
//     product is exact, where fusing changes nothing;
//   - sums run in a fixed number of lanes and are folded in a fixed tree;
//   - exp and log are written out here: math.Exp and math.Log differ between architectures.

// The canonical NaN, where a kernel promises one.
const (
	nan32 = 0x7fc00000
	nan64 = 0x7ff8000000000001
)

func nan[T Float]() T {
	if unsafe.Sizeof(T(0)) == 4 {
		return T(math.Float32frombits(nan32))
	}
	return T(math.Float64frombits(nan64))
}

func fillNaN[T Float](dst []T) {
	v := nan[T]()
	for i := range dst {
		dst[i] = v
	}
}

// exp

// exp writes exp(src − max) to dst. src − max is not positive, or NaN; a result below the smallest normal number is 0.
func exp[T Float](dst, src []T, max T) { expScaled(dst, src, max, 1) }

// expScaled is exp of (src − max)·scale.
func expScaled[T Float](dst, src []T, max, scale T) {
	switch dst := any(dst).(type) {
	case []float32:
		exp32(dst, any(src).([]float32), float32(max), float32(scale))
	case []float64:
		exp64(dst, any(src).([]float64), float64(max), float64(scale))
	}
}

const (
	expUnder32 = -0x1.5d589ep6        // below it exp is less than 2⁻¹²⁶
	expUnder64 = -0x1.6232bdd7abcd2p9 // below it exp is less than 2⁻¹⁰²²
	log2e32    = 0x1.715476p0         // log₂ e
	log2e64    = 0x1.71547652b82fep0
	ln2Hi32    = 0x1.62e4p-1 // ln 2 in two parts: n·ln2Hi is exact
	ln2Lo32    = 0x1.7f7dp-20
	ln2Hi64    = 0x1.62e42feep-1
	ln2Lo64    = 0x1.a39ef35793c76p-33
	toInt      = 0x1.8p52 // adding it rounds a float64 to an integer, which then stands in the low bits

	// exp r on |r| ≤ ½ ln 2, minimax in the relative error; the coefficients of r⁰ and r¹ are 1
	exp32c2, exp32c3, exp32c4, exp32c5, exp32c6 = 0x1.fffffcp-2, 0x1.55548cp-3, 0x1.555858p-5, 0x1.123dep-7, 0x1.6ac74ap-10

	exp64c2, exp64c3, exp64c4, exp64c5 = 0x1.0000000000009p-1, 0x1.5555555555558p-3, 0x1.55555555503cfp-5, 0x1.111111110f7fdp-7
	exp64c6, exp64c7, exp64c8, exp64c9 = 0x1.6c16c18606b59p-10, 0x1.a01a01b00f205p-13, 0x1.a01993a5e7f04p-16, 0x1.71ddf6ab977fbp-19
	exp64c10, exp64c11                 = 0x1.28b41da12708bp-22, 0x1.af633a92c2458p-26
)

// exp32 is exp for float32, at most 0.891 ulp off: x = n·ln 2 + r, exp x = 2ⁿ·exp r, and every step after the first is one that a float32
// fused multiply-add rounds likewise: float64 holds each product exactly, and no sum of this chain lies where a second rounding shows
// (proved by running all of them). The first three sums of the polynomial stay within one binade, where adding and subtracting 2^k
// rounds to float32: fewer conversions, which are slow.
func exp32(dst, src []float32, max, scale float32) {
	const (
		to5 = 0x1.8p22 // rounds [2⁻⁷, 2⁻⁶) to float32
		to4 = 0x1.8p24 // [2⁻⁵, 2⁻⁴)
		to3 = 0x1.8p26 // [2⁻³, 2⁻²)
	)
	dst = dst[:len(src)]
	for i, v := range src {
		v = float32((v - max) * scale)
		if v < expUnder32 {
			dst[i] = 0
			continue
		}
		x := float64(v)
		k := x*log2e32 + toInt
		n := k - toInt
		r := float64(float32(x - n*ln2Hi32 - n*ln2Lo32))
		p := exp32c6*r + (exp32c5 + to5) - to5
		p = p*r + (exp32c4 + to4) - to4
		p = p*r + (exp32c3 + to3) - to3
		p = float64(float32(p*r + exp32c2))
		p = float64(float32(p*r + 1))
		dst[i] = float32(p*r+1) * math.Float32frombits(uint32(math.Float64bits(k))<<23+0x3f800000)
	}
}

// exp64 is exp for float64, at most 0.925 ulp off. math.FMA is one instruction where the CPU has it, and slow (600 ns an element) on wasm,
// 386, arm and mips.
func exp64(dst, src []float64, max, scale float64) {
	dst = dst[:len(src)]
	for i, x := range src {
		x = float64((x - max) * scale)
		if x < expUnder64 {
			dst[i] = 0
			continue
		}
		k := math.FMA(x, log2e64, toInt)
		n := k - toInt
		r := math.FMA(n, -ln2Lo64, math.FMA(n, -ln2Hi64, x))
		p := math.FMA(exp64c11, r, exp64c10)
		p = math.FMA(p, r, exp64c9)
		p = math.FMA(p, r, exp64c8)
		p = math.FMA(p, r, exp64c7)
		p = math.FMA(p, r, exp64c6)
		p = math.FMA(p, r, exp64c5)
		p = math.FMA(p, r, exp64c4)
		p = math.FMA(p, r, exp64c3)
		p = math.FMA(p, r, exp64c2)
		p = math.FMA(p, r, 1)
		p = math.FMA(p, r, 1)
		dst[i] = p * math.Float64frombits(math.Float64bits(k)<<52+0x3ff0000000000000)
	}
}

// log returns the logarithm of a normal x > 0, at most 0.80 ulp off, by the arrangement of FreeBSD's e_log.c: x = 2ᵏ·m with m in
// [√½, √2), s = (m−1)/(m+1), log m = 2s + s·R(s²).
func log(x float64) float64 {
	const (
		sqrtHalf = 0x3fe6a09e667f3bcd
		ln2Hi    = 0x1.62e42feep-1
		ln2Lo    = 0x1.a39ef35793c76p-33
		l1       = 0x1.5555555555593p-1
		l2       = 0x1.999999997fa04p-2
		l3       = 0x1.2492494229359p-2
		l4       = 0x1.c71c51d8e78afp-3
		l5       = 0x1.7466496cb03dep-3
		l6       = 0x1.39a09d078c69fp-3
		l7       = 0x1.2f112df3e5244p-3
	)
	bits := math.Float64bits(x)
	exponent := int64(bits-sqrtHalf) >> 52
	k := float64(exponent)
	f := math.Float64frombits(bits-uint64(exponent)<<52) - 1
	s := f / (2 + f)
	z := float64(s * s)
	w := float64(z * z)
	r := float64(w*(l2+float64(w*(l4+float64(w*l6))))) + float64(z*(l1+float64(w*(l3+float64(w*(l5+float64(w*l7)))))))
	h := float64(float64(0.5*f) * f)
	return float64(k*ln2Hi) - ((h - (float64(s*(h+r)) + float64(k*ln2Lo))) - f)
}

// sums

// A sum runs in 256 bytes of lanes, element i in lane i mod 64 (32 for float64). Each quarter of the lanes, a group, is folded by halves,
// and the four results are added in pairs.
const maxLanes = 64

func laneCount[T Float]() int { return 256 / int(unsafe.Sizeof(T(0))) }

// fold returns the sum of the lanes, of which only the first used are not 0. Adding 0 in the end stands for lanes that start from +0: a
// sum of nothing but −0 is +0.
func fold[T Float](lanes *[maxLanes]T, used int) T {
	group := laneCount[T]() / 4
	var t [4]T
	for g := 0; g*group < used && g < len(t); g++ {
		t[g] = foldGroup(lanes[g*group : (g+1)*group])
	}
	return (t[0] + t[1]) + (t[2] + t[3]) + 0
}

func foldGroup[T Float](x []T) T {
	if len(x) == 16 {
		for i, v := range x[8:16] {
			x[i] += v
		}
	}
	y := (*[8]T)(x)
	return fold8(y[0], y[1], y[2], y[3], y[4], y[5], y[6], y[7])
}

func fold8[T Float](a, b, c, d, e, f, g, h T) T { return ((a + e) + (c + g)) + ((b + f) + (d + h)) }

// laneTile is how many elements go through all lanes before the next ones: eight lanes at a time stay in registers, and the tile in L1.
const laneTile = 2048

func dotGeneric[T Float](a, b []T) T {
	b = b[:len(a)]
	used, count := len(a), laneCount[T]()
	if used <= count {
		return dotShort(a, b)
	}
	var lanes [maxLanes]T
	for len(a) >= count {
		n := min(len(a), laneTile) / count * count
		x, y := a[:n], b[:n]
		for l := 0; l < count; l += 8 {
			s := (*[8]T)(lanes[l:])
			s0, s1, s2, s3, s4, s5, s6, s7 := s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]
			for i := l; i+8 <= len(x) && i+8 <= len(y); i += count {
				p, q := (*[8]T)(x[i:]), (*[8]T)(y[i:])
				s0 += T(p[0] * q[0])
				s1 += T(p[1] * q[1])
				s2 += T(p[2] * q[2])
				s3 += T(p[3] * q[3])
				s4 += T(p[4] * q[4])
				s5 += T(p[5] * q[5])
				s6 += T(p[6] * q[6])
				s7 += T(p[7] * q[7])
			}
			s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7] = s0, s1, s2, s3, s4, s5, s6, s7
		}
		a, b = a[n:], b[n:]
	}
	for i, v := range a {
		lanes[i] += T(v * b[i])
	}
	return fold(&lanes, used)
}

// dotShort is dot where no lane gets a second product: group by group.
func dotShort[T Float](a, b []T) T {
	var t [4]T
	group := laneCount[T]() / 4
	g := 0
	for ; len(a) >= group; g++ {
		x, y := (*[8]T)(a), (*[8]T)(b)
		if group == 8 {
			t[g] = fold8(T(x[0]*y[0]), T(x[1]*y[1]), T(x[2]*y[2]), T(x[3]*y[3]), T(x[4]*y[4]), T(x[5]*y[5]), T(x[6]*y[6]), T(x[7]*y[7]))
		} else {
			p, q := (*[8]T)(a[8:]), (*[8]T)(b[8:])
			t[g] = fold8(T(x[0]*y[0])+T(p[0]*q[0]), T(x[1]*y[1])+T(p[1]*q[1]), T(x[2]*y[2])+T(p[2]*q[2]), T(x[3]*y[3])+T(p[3]*q[3]),
				T(x[4]*y[4])+T(p[4]*q[4]), T(x[5]*y[5])+T(p[5]*q[5]), T(x[6]*y[6])+T(p[6]*q[6]), T(x[7]*y[7])+T(p[7]*q[7]))
		}
		a, b = a[group:], b[group:]
	}
	if len(a) > 0 {
		var x [maxLanes / 4]T
		for i, v := range a {
			x[i] = v * b[i]
		}
		t[g] = foldGroup(x[:group])
	}
	return (t[0] + t[1]) + (t[2] + t[3]) + 0
}

func sumGeneric[T Float](x []T) T {
	var lanes [maxLanes]T
	addLanes(&lanes, x)
	return fold(&lanes, len(x))
}

// addLanes adds x to the lanes, its first element to lane 0.
func addLanes[T Float](lanes *[maxLanes]T, x []T) {
	count := laneCount[T]()
	for len(x) >= count {
		n := min(len(x), laneTile) / count * count
		y := x[:n]
		for l := 0; l < count; l += 8 {
			s := (*[8]T)(lanes[l:])
			s0, s1, s2, s3, s4, s5, s6, s7 := s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]
			for i := l; i+8 <= len(y); i += count {
				p := (*[8]T)(y[i:])
				s0 += p[0]
				s1 += p[1]
				s2 += p[2]
				s3 += p[3]
				s4 += p[4]
				s5 += p[5]
				s6 += p[6]
				s7 += p[7]
			}
			s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7] = s0, s1, s2, s3, s4, s5, s6, s7
		}
		x = x[n:]
	}
	for i, v := range x {
		lanes[i] += v
	}
}

func expSumGeneric[T Float](dst, src []T, max T) T { return expSumScaledGeneric(dst, src, max, 1) }

func expSumScaledGeneric[T Float](dst, src []T, max, scale T) T {
	expScaled(dst, src, max, scale)
	return sumGeneric(dst)
}

func sumExpGeneric[T Float](src []T, max T) T {
	var lanes [maxLanes]T
	var e [4 * maxLanes]T
	used := len(src)
	for len(src) > 0 {
		n := min(len(src), len(e))
		exp(e[:n], src[:n], max)
		addLanes(&lanes, e[:n])
		src = src[n:]
	}
	return fold(&lanes, used)
}

// elementwise, and scans

func largestGeneric[T Float](x []T) T {
	m := T(math.Inf(-1))
	for _, v := range x {
		if v > m {
			m = v
		}
	}
	return m
}

func scaleGeneric[T Float](dst, src []T, factor T) {
	dst = dst[:len(src)]
	for i, v := range src {
		dst[i] = v * factor
	}
}

func subtractGeneric[T Float](dst, src []T, max, log T) {
	dst = dst[:len(src)]
	for i, v := range src {
		dst[i] = (v - max) - log
	}
}

func softmaxGradGeneric[T Float](dx, y, dy []T, dot T) {
	dx, dy = dx[:len(y)], dy[:len(y)]
	for i, v := range y {
		dx[i] = v * (dy[i] - dot)
	}
}

func logSoftmaxGradGeneric[T Float](dx, y, dy []T, sum T) {
	var e [maxLanes]T
	for len(y) > 0 {
		n := min(len(y), len(e))
		for i, v := range y[:n] {
			if v > 0 {
				v = 0
			}
			e[i] = v
		}
		exp(e[:n], e[:n], 0)
		for i, v := range e[:n] {
			dx[i] = dy[i] - T(v*sum)
		}
		dx, y, dy = dx[n:], y[n:], dy[n:]
	}
}

// cumSumGeneric scans blocks of 64 bytes by Sklansky's network in T, and carries from block to block in float64.
func cumSumGeneric[T Float](dst, src []T, carry float64) float64 {
	block := laneCount[T]() / 4
	for len(src) >= block {
		carry = scanBlock(dst[:block], src[:block], carry)
		dst, src = dst[block:], src[block:]
	}
	if len(src) > 0 {
		var tail [maxLanes / 4]T
		copy(tail[:], src)
		carry = scanBlock(tail[:block], tail[:block], carry)
		copy(dst, tail[:len(src)])
	}
	return carry
}

// scanBlock scans eights: two of them make a block of float32, one a block of float64.
func scanBlock[T Float](dst, src []T, carry float64) float64 {
	var before T
	before = -before // the eights before this one in the block; adding −0 changes nothing
	for len(src) >= 8 && len(dst) >= 8 {
		x, y := (*[8]T)(src), (*[8]T)(dst)
		a0, a1, a2, a3 := scan4(x[0], x[1], x[2], x[3])
		b0, b1, b2, b3 := scan4(x[4], x[5], x[6], x[7])
		b0, b1, b2, b3 = b0+a3, b1+a3, b2+a3, b3+a3
		a0, a1, a2, a3 = a0+before, a1+before, a2+before, a3+before
		b0, b1, b2, b3 = b0+before, b1+before, b2+before, b3+before
		y[0], y[1], y[2], y[3] = T(carry+float64(a0)), T(carry+float64(a1)), T(carry+float64(a2)), T(carry+float64(a3))
		y[4], y[5], y[6], y[7] = T(carry+float64(b0)), T(carry+float64(b1)), T(carry+float64(b2)), T(carry+float64(b3))
		before = b3
		src, dst = src[8:], dst[8:]
	}
	return carry + float64(before)
}

func scan4[T Float](a, b, c, d T) (T, T, T, T) {
	ab := a + b
	return a, ab, c + ab, (d + c) + ab
}

func argMaxGeneric[T Float](x []T) int {
	best := 0
	for i, v := range x {
		if !(v <= x[best]) { // larger, or one of the two is NaN
			if v != v {
				return i
			}
			best = i
		}
	}
	return best
}

func classErrorsGeneric[T Float](dst, probs []T, labels []int32, class int32) {
	dst, labels = dst[:len(probs)], labels[:len(probs)]
	for i, p := range probs {
		if labels[i] == class {
			p = 1 - p
		}
		dst[i] = T(math.Abs(float64(p)))
	}
}

// rows

func transposeGeneric[T Float](dst, src []T, rows, cols, dstStride, srcStride int) {
	const side = 16 // of a tile: a cache line of float32
	for r0 := 0; r0 < rows; r0 += side {
		n := min(side, rows-r0)
		for c := range cols {
			y := dst[c*dstStride+r0:][:n]
			x := src[r0*srcStride+c:]
			for i := range y {
				y[i] = x[i*srcStride]
			}
		}
	}
}

func softmaxRowsGeneric[T Float](dst, src []T, cols int) { softmaxRowsScaledGeneric(dst, src, cols, 1) }

// softmaxRowsScaledGeneric has a scale that is positive: the largest product is that of the largest element.
func softmaxRowsScaledGeneric[T Float](dst, src []T, cols int, scale T) {
	for ; len(src) > 0; dst, src = dst[cols:], src[cols:] {
		y := dst[:cols]
		sum := expSumScaledGeneric(y, src[:cols], largestGeneric(src[:cols]), scale)
		if sum != sum {
			fillNaN(y)
			continue
		}
		scaleGeneric(y, y, 1/sum)
	}
}

func logSoftmaxRowsGeneric[T Float](dst, src []T, cols int) {
	for ; len(src) > 0; dst, src = dst[cols:], src[cols:] {
		x := src[:cols]
		m := largestGeneric(x)
		sum := sumExpGeneric(x, m)
		if sum != sum {
			fillNaN(dst[:cols])
			continue
		}
		subtractGeneric(dst[:cols], x, m, T(log(float64(sum))))
	}
}

func softmaxRowsGradGeneric[T Float](dx, y, dy []T, cols int) {
	for ; len(y) > 0; dx, y, dy = dx[cols:], y[cols:], dy[cols:] {
		softmaxGradGeneric(dx[:cols], y[:cols], dy[:cols], dotGeneric(y[:cols], dy[:cols]))
	}
}

func logSoftmaxRowsGradGeneric[T Float](dx, y, dy []T, cols int) {
	for ; len(y) > 0; dx, y, dy = dx[cols:], y[cols:], dy[cols:] {
		logSoftmaxGradGeneric(dx[:cols], y[:cols], dy[:cols], sumGeneric(dy[:cols]))
	}
}

func argMaxRowsGeneric[T Float](dst []int32, src []T, cols int) {
	for i := range dst {
		dst[i] = int32(argMaxGeneric(src[i*cols : (i+1)*cols]))
	}
}

// planes, some columns at a time

const maxColumns = 32

// columnSums are sums down the planes, one a column, in the order in which sumPieces adds up a row.
type columnSums[T Float] struct {
	lanes [maxLanes][maxColumns]T
	total [maxColumns]float64 // of the pieces before this one
}

// add adds x, the terms of plane k, which come in order.
func (c *columnSums[T]) add(k int, x []T) {
	if k > 0 && k%piece == 0 {
		c.endPiece(piece, len(x))
	}
	lane := c.lanes[k%laneCount[T]()][:len(x)]
	for i, v := range x {
		lane[i] += v
	}
}

func (c *columnSums[T]) endPiece(terms, columns int) {
	for i, s := range c.fold(terms, columns) {
		c.total[i] += float64(s)
	}
	c.lanes = [maxLanes][maxColumns]T{}
}

// sums returns the sums of all planes that were added.
func (c *columnSums[T]) sums(planes, columns int) []T {
	if planes <= piece {
		return c.fold(planes, columns)
	}
	c.endPiece((planes-1)%piece+1, columns)
	s := c.lanes[0][:columns]
	for i := range s {
		s[i] = T(c.total[i])
	}
	return s
}

// fold is fold of every column's lanes.
func (c *columnSums[T]) fold(terms, columns int) []T {
	group := laneCount[T]() / 4
	used := min(terms, 4*group)
	for g := 0; g < used; g += group {
		for h := group / 2; h > 0; h /= 2 {
			for l := g; l < min(g+h, used-h); l++ { // lanes from used on are 0
				lo, hi := c.lanes[l][:columns], c.lanes[l+h][:columns]
				for i := range lo {
					lo[i] += hi[i]
				}
			}
		}
	}
	t0, t1, t2, t3 := c.lanes[0][:columns], c.lanes[group][:columns], c.lanes[2*group][:columns], c.lanes[3*group][:columns]
	for i := range t0 {
		t0[i] = (t0[i] + t1[i]) + (t2[i] + t3[i]) + 0
	}
	return t0
}

// columnMax writes the largest value of each column of src to max; anything where there is a NaN.
func columnMax[T Float](max, src []T, planes, stride int) {
	copy(max, src)
	for k := 1; k < planes; k++ {
		for i, v := range src[k*stride:][:len(max)] {
			if v > max[i] {
				max[i] = v
			}
		}
	}
}

func softmaxPlanesGeneric[T Float](dst, src []T, planes, n, dstStride, srcStride int) {
	for i := 0; i < n; i += maxColumns {
		var sums columnSums[T]
		var ms, e [maxColumns]T
		m := ms[:min(maxColumns, n-i)]
		columnMax(m, src[i:], planes, srcStride)
		for k := range planes {
			e := e[:len(m)]
			for j, v := range src[k*srcStride+i:][:len(m)] {
				e[j] = v - m[j]
			}
			exp(e, e, 0)
			sums.add(k, e)
			copy(dst[k*dstStride+i:], e)
		}
		s := sums.sums(planes, len(m))
		for j, v := range s {
			s[j] = 1 / v
		}
		for k := range planes {
			y := dst[k*dstStride+i:][:len(m)]
			for j, v := range s {
				y[j] *= v
				if v != v {
					y[j] = nan[T]()
				}
			}
		}
	}
}

func logSoftmaxPlanesGeneric[T Float](dst, src []T, planes, n, dstStride, srcStride int) {
	for i := 0; i < n; i += maxColumns {
		var sums columnSums[T]
		var ms, e [maxColumns]T
		m := ms[:min(maxColumns, n-i)]
		columnMax(m, src[i:], planes, srcStride)
		for k := range planes {
			e := e[:len(m)]
			for j, v := range src[k*srcStride+i:][:len(m)] {
				e[j] = v - m[j]
			}
			exp(e, e, 0)
			sums.add(k, e)
		}
		logs := sums.sums(planes, len(m))
		for j, s := range logs {
			if s == s {
				logs[j] = T(log(float64(s)))
			}
		}
		for k := range planes {
			x, y := src[k*srcStride+i:][:len(m)], dst[k*dstStride+i:][:len(m)]
			for j, l := range logs {
				v := (x[j] - m[j]) - l
				if l != l {
					v = nan[T]()
				}
				y[j] = v
			}
		}
	}
}

func argMaxPlanesGeneric[T Float](dst []int32, src []T, planes, n, stride int) {
	for i := range dst[:n] {
		dst[i] = 0
	}
	for k := 1; k < planes; k++ {
		for i, v := range src[k*stride:][:n] {
			if best := src[int(dst[i])*stride+i]; !(v <= best) && best == best {
				dst[i] = int32(k)
			}
		}
	}
}

// lovaszWeightsGeneric: foreground with FP background pixels before it weighs 1/(G + FP), background with TP foreground and FP background
// pixels before it (G − TP)/((G + FP)(G + FP + 1)): the differences of the Jaccard loss without their cancellation. left is G − TP and
// union G + FP of the first pixel.
func lovaszWeightsGeneric[T Float](dst []T, foreground []uint8, left, union int) int {
	dst = dst[:len(foreground)]
	for i, f := range foreground {
		if f != 0 {
			dst[i] = T(1 / float64(union))
			left--
		} else {
			dst[i] = T(float64(left) / (float64(union) * float64(union+1)))
			union++
		}
	}
	return left
}
