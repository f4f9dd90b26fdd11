package lanewise

import (
	"bytes"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

// The rules of the public kernels that a comparison with the reference does not show: special cases with known answers, error bounds,
// panics, aliasing, allocation.

// eachType runs a test for both element types, on every ISA.
func eachType(t *testing.T, f32, f64 func(t *testing.T)) {
	t.Run("float32", func(t *testing.T) { eachISA(t, f32) })
	t.Run("float64", func(t *testing.T) { eachISA(t, f64) })
}

// near says whether got is want to a relative tolerance; NaN is NaN.
func near[T Float](got T, want, tolerance float64) bool {
	g := float64(got)
	return g == want || math.IsNaN(g) && math.IsNaN(want) || math.Abs(g-want) <= tolerance*math.Abs(want)
}

func checkNear[T Float](t *testing.T, what string, got []T, want []float64, tolerance float64) {
	t.Helper()
	for i, w := range want {
		if !near(got[i], w, tolerance) {
			t.Errorf("%s: [%d] = %v, want %v", what, i, got[i], w)
		}
	}
}

// TestSpecialRows: a row with NaN, +Inf or nothing but −Inf is NaN throughout, and its neighbours do not notice.
func TestSpecialRows(t *testing.T) { eachType(t, testSpecialRows[float32], testSpecialRows[float64]) }

func testSpecialRows[T Float](t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	softmax123 := []float64{.0900306, .2447285, .6652410, 0}
	for _, bad := range [][]float64{{-inf, -inf, -inf, -inf}, {1, 2, nan, 4}, {1, inf, 0, 0}, {inf, inf, inf, inf}, {-inf, inf, -inf, 0}} {
		var src []T
		for _, row := range [][]float64{{1, 2, 3, -inf}, bad, {1, 2, 3, -inf}} {
			for _, v := range row {
				src = append(src, T(v))
			}
		}
		planes := make([]T, 12)
		for i := range src {
			planes[i%4*3+i/4] = src[i]
		}
		want := slices.Concat(softmax123, []float64{nan, nan, nan, nan}, softmax123)
		dst := make([]T, 12)
		SoftmaxRows(dst, src, 4)
		checkNear(t, fmt.Sprint("SoftmaxRows of ", bad), dst, want, 1e-6)
		SoftmaxPlanes(dst, planes, 4)
		for i := range want {
			if !near(dst[i%4*3+i/4], want[i], 1e-6) {
				t.Errorf("SoftmaxPlanes of %v: row %d, column %d is %v, want %v", bad, i/4, i%4, dst[i%4*3+i/4], want[i])
			}
		}
		LogSoftmaxRows(dst, src, 4)
		for i, w := range want {
			if !near(dst[i], math.Log(w), 1e-6) {
				t.Errorf("LogSoftmaxRows of %v: [%d] = %v, want %v", bad, i, dst[i], math.Log(w))
			}
		}
		Softmax(dst[:4], src[4:8])
		for i, v := range dst[:4] {
			if bitsOf(v) != bitsOf(canonicalNaN[T]()) {
				t.Errorf("Softmax of %v: [%d] has the bits %#x, want the NaN %#x", bad, i, bitsOf(v), bitsOf(canonicalNaN[T]()))
			}
		}
	}
}

func TestLogSumExp(t *testing.T) { eachType(t, testLogSumExp[float32], testLogSumExp[float64]) }

func testLogSumExp[T Float](t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	repeat := func(v float64, n int) []float64 { return slices.Repeat([]float64{v}, n) }
	for _, c := range []struct {
		x    []float64
		want float64
	}{
		{nil, -inf}, {repeat(-inf, 1), -inf}, {repeat(-inf, 2), -inf}, {repeat(-inf, 5), -inf}, {repeat(-inf, 17), -inf}, {repeat(-inf, 20000), -inf},
		{[]float64{1, 2}, 2.3132616875182228}, {[]float64{-inf, 3}, 3}, {[]float64{1, inf, -inf}, inf}, {[]float64{inf, inf}, inf},
		{[]float64{inf, nan}, nan}, {[]float64{-inf, nan, inf}, nan}, {repeat(1000, 1000), 1000 + math.Log(1000)}, {repeat(-1000, 20000), -1000 + math.Log(20000)},
		{[]float64{math.Copysign(0, -1)}, 0},
	} {
		x := make([]T, len(c.x))
		for i, v := range c.x {
			x[i] = T(v)
		}
		if got := LogSumExp(x); !near(got, c.want, 1e-7) {
			t.Errorf("LogSumExp of %d values %v… = %v, want %v", len(x), x[:min(3, len(x))], got, c.want)
		}
	}
}

// TestSoftmaxCases are inputs that others got wrong.
func TestSoftmaxCases(t *testing.T) {
	eachType(t, testSoftmaxCases[float32], testSoftmaxCases[float64])
}

func testSoftmaxCases[T Float](t *testing.T) {
	for _, v := range []T{1, 1e4, 1e8, 1e20} { // the largest value is subtracted before anything is rounded
		y := make([]T, 2)
		LogSoftmaxRows(y, []T{v, v}, 2)
		checkNear(t, fmt.Sprint("log-softmax of two ", v), y, []float64{-math.Ln2, -math.Ln2}, 1e-7)
	}
	for n := 1; n <= 70; n++ { // no lane starts with a largest value of its own
		x, y := slices.Repeat([]T{-1e4}, n), make([]T, n)
		Softmax(y, x)
		if i := slices.IndexFunc(y, func(v T) bool { return v != 1/T(n) }); i >= 0 {
			t.Errorf("softmax of %d times −1e4: [%d] = %v", n, i, y[i])
		}
	}
	convert := func(x ...float64) (y []T) {
		for _, v := range x {
			y = append(y, T(v))
		}
		return y
	}
	y := make([]T, 10)
	LogSoftmaxRows(y[:2], convert(-200, -201), 2)
	checkNear(t, "log-softmax of −200 −201", y[:2], []float64{-0.31326168751822286, -1.3132616875182228}, 1e-7)
	// no lane behind the end has a share in the sum
	LogSoftmaxRows(y, convert(-.2, 3, 1.2, -1.1, 0, .2, -3, -1.2, 1.1, 0), 10)
	checkNear(t, "log-softmax of 10", y[:4], []float64{-3.638294, -.4382942, -2.238294, -4.538294}, 1e-6)
	Softmax(y[:6], convert(9.34623, 8.43469, 7.19462, 6.59385, 5.89481, 5.67304))
	checkNear(t, "softmax of 6", y[:6], []float64{.6101008, .2452025, .07095275, .03890972, .01934056, .01549371}, 1e-6)
	var sum float64
	for _, v := range y[:6] {
		sum += float64(v)
	}
	if math.Abs(sum-1) > 0x1p-22 {
		t.Errorf("softmax of 6 adds up to %v", sum)
	}
	if !is64[T]() { // what would be subnormal is 0
		Softmax(y[:5], convert(0, -87.3, -87.4, -95, -104))
		checkNear(t, "softmax at the edge", y[:5], []float64{1, 1.21924e-38, 0, 0, 0}, 1e-5)
	} else {
		Softmax(y[:4], convert(0, -708.3, -708.5, -745))
		checkNear(t, "softmax at the edge", y[:4], []float64{1, math.Exp(-708.3), 0, 0}, 1e-15)
	}
}

// TestSoftmaxAccuracy compares with exp and log in float64 (big numbers for float64 are in TestExp64): the error is that of x − max, times
// x, and a few roundings.
func TestSoftmaxAccuracy(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		r := random(1)
		for _, n := range []int{1, 2, 19, 64, 1000, 20000} {
			x, y, logY := make([]float32, n), make([]float32, n), make([]float32, n)
			fill(x, "logits", n, &r)
			Softmax(y, x)
			LogSoftmaxRows(logY, x, n)
			m := float64(slices.Max(x))
			var sum float64
			for _, v := range x {
				sum += math.Exp(float64(v) - m)
			}
			for i, v := range x {
				d := float64(v) - m
				if tolerance := (math.Abs(d) + 10) * 0x1p-24; !near(y[i], math.Exp(d)/sum, tolerance) {
					t.Fatalf("softmax of %d: [%d] = %v, want %v ± %v", n, i, y[i], math.Exp(d)/sum, tolerance)
				}
				want := d - math.Log(sum)
				if tolerance := (math.Abs(d) + math.Abs(want) + 10) * 0x1p-24; math.Abs(float64(logY[i])-want) > tolerance {
					t.Fatalf("log-softmax of %d: [%d] = %v, want %v ± %v", n, i, logY[i], want, tolerance)
				}
			}
		}
	})
}

// TestGradientAccuracy compares the gradients with exact ones, of the y and dy that they are given: within the bounds that docs/kernels.md
// states, of which they come near.
func TestGradientAccuracy(t *testing.T) {
	eachType(t, testGradientAccuracy[float32], testGradientAccuracy[float64])
}

func testGradientAccuracy[T Float](t *testing.T) {
	rounding, least := 0x1p-24, 0x1p-126
	if is64[T]() {
		rounding, least = 0x1p-53, 0x1p-1022
	}
	worst := map[string]float64{} // as a part of the bound
	check := func(kernel string, i int, got T, exact *big.Float, bound float64) {
		t.Helper()
		off, _ := exact.Sub(exact, big.NewFloat(float64(got))).Float64()
		off = math.Abs(off) / bound
		if worst[kernel] = max(worst[kernel], off); !(off <= 1) {
			t.Fatalf("%s: [%d] = %v is off by %.3g of the bound", kernel, i, got, off)
		}
	}
	float := func(v T) *big.Float { return new(big.Float).SetPrec(bigPrecision).SetFloat64(float64(v)) }
	times := func(a, b *big.Float) *big.Float { return new(big.Float).SetPrec(bigPrecision).Mul(a, b) }
	minus := func(a, b *big.Float) *big.Float { return new(big.Float).SetPrec(bigPrecision).Sub(a, b) }
	r := random(11)
	for _, n := range []int{1, 2, 19, 64, 1000, 9000} {
		for trial := range 8 {
			if n > 1000 && trial%4 != 3 {
				continue // exact numbers take their time
			}
			x, y, logY, dy := make([]T, n), make([]T, n), make([]T, n), make([]T, n)
			for i := range x {
				x[i], dy[i] = T(r.uniform(2*(trial%4))), T(r.uniform(1))
				if trial >= 4 { // terms of one size and sign: roundings add up
					dy[i] = 0.1
				}
				if trial == 7 {
					x[i] = 0.3
				}
			}
			switch trial {
			case 0: // as a cross-entropy has it
				clear(dy)
				dy[r.below(n)] = -1
			case 1: // next to no sum
				x[0], dy[0] = 25, 0
			}
			Softmax(y, x)
			LogSoftmaxRows(logY, x, n)
			dot, dotSize, sum, sumSize := float(0), 0., float(0), 0.
			for i := range y {
				dot.Add(dot, times(float(y[i]), float(dy[i])))
				sum.Add(sum, float(dy[i]))
				dotSize += math.Abs(float64(y[i]) * float64(dy[i]))
				sumSize += math.Abs(float64(dy[i]))
			}
			dx, logDx, sigmoidDx := make([]T, n), make([]T, n), make([]T, n)
			SoftmaxRowsGrad(dx, y, dy, n)
			LogSoftmaxRowsGrad(logDx, logY, dy, n)
			SigmoidGrad(sigmoidDx, y, dy)
			for i, v := range y {
				bound := float64(v) * (138*dotSize + 2*math.Abs(float64(dy[i]))) * rounding
				check("SoftmaxRowsGrad", i, dx[i], times(float(v), minus(float(dy[i]), dot)), bound+least)
				p := bigExp(float64(min(logY[i], 0)))
				exact := minus(float(dy[i]), times(p, sum))
				size, _ := exact.Float64()
				probability, _ := p.Float64()
				check("LogSoftmaxRowsGrad", i, logDx[i], exact, (138*probability*sumSize+math.Abs(size))*rounding+least*(1+sumSize))
				exact = times(times(float(v), minus(float(1), float(v))), float(dy[i]))
				size, _ = exact.Float64()
				check("SigmoidGrad", i, sigmoidDx[i], exact, 3*math.Abs(size)*rounding+least)
			}

			// The same bits along an axis, beside other columns.
			if n > 1000 {
				continue
			}
			column := func(x []T) []T {
				wide := make([]T, 3*n)
				fill(wide, "logits", n, &r)
				for i, v := range x {
					wide[3*i+1] = v
				}
				return wide
			}
			dys, out := column(dy), make([]T, 3*n)
			SoftmaxAxisGrad(out, column(y), dys, 1, n, 3)
			for i, v := range dx {
				if bitsOf(out[3*i+1]) != bitsOf(v) {
					t.Fatalf("SoftmaxAxisGrad of %d: [%d] = %v, by rows %v", n, i, out[3*i+1], v)
				}
			}
			LogSoftmaxAxisGrad(out, column(logY), dys, 1, n, 3)
			for i, v := range logDx {
				if bitsOf(out[3*i+1]) != bitsOf(v) {
					t.Fatalf("LogSoftmaxAxisGrad of %d: [%d] = %v, by rows %v", n, i, out[3*i+1], v)
				}
			}
		}
	}

	// The weights of a foreground pixel, 1/union, and of a background one, left/(union·(union + 1)), with small and with the largest counts.
	for range 200 {
		n := 1 + r.below(300)
		foreground, dst := make([]uint8, n), make([]T, n)
		for i := range foreground {
			foreground[i] = uint8(b2i(r.below(3) == 0))
		}
		foreground[r.below(n)] = 1
		left := n - bytes.Count(foreground, []byte{0})
		union := left
		if r.below(2) == 0 {
			LovaszGrad(dst, foreground)
		} else {
			left, union = math.MaxInt32-n-r.below(1<<30), math.MaxInt32-n
			lovaszWeights(active, dst, foreground, left, union)
		}
		for i, f := range foreground {
			exact := float(1)
			if f != 0 {
				exact.Quo(exact, float(T(1)).SetInt64(int64(union)))
				left--
			} else {
				exact.SetInt64(int64(left))
				exact.Quo(exact, new(big.Float).SetInt64(int64(union)*int64(union+1)))
				union++
			}
			size, _ := exact.Float64()
			bound := 1.0001 * size * rounding
			if is64[T]() {
				bound = 2 * size * rounding
			}
			check("LovaszGrad", i, dst[i], exact, bound+least)
		}
	}
	for _, kernel := range []string{"SoftmaxRowsGrad", "LogSoftmaxRowsGrad", "SigmoidGrad", "LovaszGrad"} {
		t.Logf("%s comes to %.3f of its bound", kernel, worst[kernel])
		if worst[kernel] < 0.5 {
			t.Errorf("%s comes to %.3f of its bound, want at least 0.5: the bound says little", kernel, worst[kernel])
		}
	}
}

// TestSameBitsAlongEveryAxis: rows, planes and the middle axis are one computation.
func TestSameBitsAlongEveryAxis(t *testing.T) {
	eachType(t, testSameBitsAlongEveryAxis[float32], testSameBitsAlongEveryAxis[float64])
}

func testSameBitsAlongEveryAxis[T Float](t *testing.T) {
	r := random(2)
	for _, s := range []shape{{1, 1, 7}, {1, 2, 33}, {1, 19, 1000}, {1, 21, 65}, {1, 64, 70}, {1, 100, 100}, {1, 9000, 3}} {
		src, dst := make([]T, s.size()), make([]T, s.size())
		fill(src, "special", s.axis, &r)
		transpose := func(dst, src []T, rows, cols int) {
			for i := range rows {
				for j := range cols {
					dst[j*rows+i] = src[i*cols+j]
				}
			}
		}
		rows, rowsDst, back := make([]T, s.size()), make([]T, s.size()), make([]T, s.size())
		transpose(rows, src, s.axis, s.inner)
		check := func(name string, planes, rowsOf func(dst, src []T)) {
			t.Helper()
			planes(dst, src)
			rowsOf(rowsDst, rows)
			transpose(back, rowsDst, s.inner, s.axis)
			if i, ok := firstDifference(dst, back, firstNaNWins); !ok {
				t.Errorf("%s of %v: [%d] = %v, by rows %v", name, s, i, dst[i], back[i])
			}
		}
		softmaxRows := func(dst, src []T) { SoftmaxRows(dst, src, s.axis) }
		check("SoftmaxPlanes", func(dst, src []T) { SoftmaxPlanes(dst, src, s.axis) }, softmaxRows)
		check("SoftmaxAxis", func(dst, src []T) { SoftmaxAxis(dst, src, 1, s.axis, s.inner) }, softmaxRows)
		check("LogSoftmaxAxis", func(dst, src []T) { LogSoftmaxAxis(dst, src, 1, s.axis, s.inner) },
			func(dst, src []T) { LogSoftmaxRows(dst, src, s.axis) })
		one := make([]T, s.axis)
		for i := range s.inner {
			Softmax(one, rows[i*s.axis:(i+1)*s.axis])
			SoftmaxRows(rowsDst, rows, s.axis)
			if j, ok := firstDifference(one, rowsDst[i*s.axis:(i+1)*s.axis], firstNaNWins); !ok {
				t.Fatalf("Softmax of row %d of %v: [%d] differs from SoftmaxRows", i, s, j)
			}
		}
	}
}

// TestSumBounds: long sums do not drift, within the bounds that the documentation states.
func TestSumBounds(t *testing.T) { eachISA(t, testSumBounds) }

func testSumBounds(t *testing.T) {
	for _, c := range []struct {
		value float32
		n     int
		want  float32
	}{{0.1, 1_000_000, 100_000}, {1.23456, 62500, 77160}} {
		x := slices.Repeat([]float32{c.value}, c.n)
		dst := make([]float32, c.n)
		CumSum(dst, x)
		if got := dst[c.n-1]; got != c.want {
			t.Errorf("CumSum of %d times %v ends at %v, want %v", c.n, c.value, got, c.want)
		}
		if got := Dot(x, slices.Repeat([]float32{1}, c.n)); !near(got, float64(c.want), 136*0x1p-24) {
			t.Errorf("Dot of %d times %v with ones = %v, want %v", c.n, c.value, got, c.want)
		}
	}

	r := random(3)
	n := 1 << 20
	if !*long {
		n = 1 << 17
	}
	x, y, dst := make([]float32, n), make([]float32, n), make([]float32, n)
	for i := range x {
		x[i], y[i] = float32(math.Abs(r.uniform(r.below(12)))), float32(r.uniform(3))
	}
	CumSum(dst, x)
	var sum float64
	worst, worstFar, last := 0.0, 0.0, float32(0)
	for i, v := range x {
		sum += float64(v)
		e := math.Abs(float64(dst[i])-sum) / sum
		worst = max(worst, e)
		if i >= 1<<14 {
			worstFar = max(worstFar, e)
		}
		if dst[i] < last {
			t.Fatalf("CumSum steps down at %d, from %v to %v", i, last, dst[i])
		}
		last = dst[i]
	}
	if worst > 1.5e-7 || worstFar > 6.2e-8 {
		t.Errorf("CumSum: relative error %.3g, from 2¹⁴ on %.3g", worst, worstFar)
	}
	for _, k := range []int{1, 63, 1000, 8192, 8193, 100_000, n} {
		var want, size float64
		for i := range k {
			p := float64(x[i]) * float64(y[i])
			want += p
			size += math.Abs(p)
		}
		if got := Dot(x[:k], y[:k]); math.Abs(float64(got)-want) > 136*0x1p-24*size {
			t.Errorf("Dot of %d = %v, want %v within %v", k, got, want, 136*0x1p-24*size)
		}
	}

	x64, y64 := make([]float64, 20_000), make([]float64, 20_000)
	var exact, size big.Float
	exact.SetPrec(2000)
	for i := range x64 {
		x64[i], y64[i] = r.uniform(r.below(40)), r.uniform(r.below(40))
		p := new(big.Float).SetPrec(2000).Mul(big.NewFloat(x64[i]), big.NewFloat(y64[i]))
		exact.Add(&exact, p)
		size.Add(&size, p.Abs(p))
	}
	got := Dot(x64, y64)
	e, _ := new(big.Float).Sub(&exact, big.NewFloat(got)).Float64()
	if s, _ := size.Float64(); math.Abs(e) > 136*0x1p-53*s {
		t.Errorf("float64 Dot is off by %v, of at most %v", e, 136*0x1p-53*s)
	}
}

// TestCumSumBlocks: what a block's sums do that running sums would not is part of the definition.
func TestCumSumBlocks(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		x := []float32{-3e38, -3e37, 3e38, 3e38}
		dst := make([]float32, 4)
		CumSum(dst, x)
		if !math.IsInf(float64(dst[3]), 1) {
			t.Errorf("CumSum of %v = %v", x, dst)
		}
		zeros := slices.Repeat([]float32{float32(math.Copysign(0, -1))}, 100)
		CumSum(zeros, zeros)
		for i, v := range zeros {
			if bitsOf(v) != 1<<31 {
				t.Fatalf("CumSum of −0 is %v at %d", v, i)
			}
		}
	})
}

func TestArgMax(t *testing.T) { eachType(t, testArgMax[float32], testArgMax[float64]) }

func testArgMax[T Float](t *testing.T) {
	nan, inf := T(math.NaN()), T(math.Inf(1))
	zero := T(math.Copysign(0, -1))
	for _, c := range []struct {
		x    []T
		want int
	}{
		{nil, -1}, {[]T{5}, 0}, {[]T{-inf}, 0}, {[]T{-inf, -inf}, 0}, {[]T{1, 3, 2, 3}, 1}, {[]T{zero, 0}, 0}, {[]T{0, zero}, 0}, {[]T{-1, zero, 0}, 1},
		{[]T{1, nan, inf, nan}, 1}, {[]T{nan}, 0}, {[]T{inf, -inf, inf}, 0}, {[]T{-5, -4, -6}, 1},
	} {
		if got := ArgMax(c.x); got != c.want {
			t.Errorf("ArgMax(%v) = %d, want %d", c.x, got, c.want)
		}
	}
	// the largest value, a second one, and a NaN, wherever they are
	for _, n := range []int{1, 17, 64, 257, 1000, 70_000, 200_000} {
		x := slices.Repeat([]T{-2}, n)
		for _, i := range []int{0, 1, n / 3, n / 2, n - 2, n - 1} {
			if i < 0 || i >= n {
				continue
			}
			x[i] = -1
			if got := ArgMax(x); got != i {
				t.Errorf("ArgMax with the largest of %d at %d = %d", n, i, got)
			}
			x[n-1] = max(x[n-1], -1)
			if got := ArgMax(x); got != i {
				t.Errorf("ArgMax with the largest of %d at %d and at the end = %d", n, i, got)
			}
			x[n-1] = nan
			if got := ArgMax(x); got != n-1 {
				t.Errorf("ArgMax with NaN at the end of %d = %d", n, got)
			}
			x[i], x[n-1] = -2, -2
		}
	}
}

func TestSortDescending(t *testing.T) {
	eachType(t, testSortDescending[float32], testSortDescending[float64])
}

func testSortDescending[T Float](t *testing.T) {
	zero, nan := T(math.Copysign(0, -1)), T(math.NaN())
	negativeNaN := fromBits[T](bitsOf(nan) ^ bitsOf(zero))
	for _, c := range []struct {
		keys []T
		perm []int32
	}{
		{[]T{0, zero, 0}, []int32{0, 1, 2}}, // in order, and each keeps its sign
		{[]T{1, negativeNaN, nan, 2}, []int32{1, 2, 3, 0}},
		{[]T{3, 1, 4, 1, 5, 9, 2, 6, 5}, []int32{5, 7, 4, 8, 2, 0, 6, 1, 3}},
		{[]T{}, []int32{}},
	} {
		keys, perm := slices.Clone(c.keys), make([]int32, len(c.keys))
		SortDescending(keys, perm)
		if !slices.Equal(perm, c.perm) {
			t.Errorf("perm of %v is %v, want %v", c.keys, perm, c.perm)
		}
		for i, p := range perm {
			if bitsOf(keys[i]) != bitsOf(c.keys[p]) {
				t.Errorf("keys of %v are %v: [%d] is not what was at %d", c.keys, keys, i, p)
			}
		}
	}

	sizes := []int{2, 63, 64, 65, 4096, 1 << 17}
	if !*long {
		sizes = sizes[:5]
	}
	for _, n := range sizes {
		r := random(n)
		for name, key := range map[string]func(i int) T{
			"equal":      func(i int) T { return 3 },
			"descending": func(i int) T { return T(n - i) },
			"ascending":  func(i int) T { return T(i) },
			"few":        func(i int) T { return T(r.below(5)) - 2 },
			"pairs":      func(i int) T { return T(i / 2) },
			"organ pipe": func(i int) T { return T(min(i, n-i)) },
			"tiny steps": func(i int) T { return fromBits[T](bitsOf(T(1)) + uint64(r.below(300))) },
			"bits":       func(i int) T { return fromBits[T](r.next()) },
			"one high byte": func(i int) T {
				return fromBits[T](bitsOf(T(-1)) ^ uint64(r.below(2))<<30 ^ uint64(r.below(256))<<8)
			},
		} {
			src := make([]T, n)
			for i := range src {
				src[i] = key(i)
			}
			keys, perm := slices.Clone(src), make([]int32, n)
			SortDescending(keys, perm)
			wantKeys, wantPerm := refSortDescending(src)
			if i, ok := firstDifference(keys, wantKeys, true); !ok {
				t.Errorf("%d %s: keys[%d] = %v, want %v", n, name, i, keys[i], wantKeys[i])
			}
			if !slices.Equal(perm, wantPerm) {
				t.Errorf("%d %s: the permutation is wrong", n, name)
			}
		}
	}
}

// TestSortDescendingSkewed sorts what histograms do not divide evenly, with lengths around those from which the sort goes another way.
func TestSortDescendingSkewed(t *testing.T) {
	t.Run("float32", testSortDescendingSkewed[float32])
	t.Run("float64", testSortDescendingSkewed[float64])
}

func testSortDescendingSkewed[T Float](t *testing.T) {
	zero, nan := T(math.Copysign(0, -1)), T(math.NaN())
	sizes := []int{1, insertionMax - 1, insertionMax, insertionMax + 1, 2 * mostInBin, binnedSplitMin - 1, binnedSplitMin, 5000, splitMin - 1,
		splitMin, splitMin + 4099, maxSortParts / 2 * sortPartMin * 5 / 4}
	if !*long {
		sizes = sizes[:10]
	}
	for _, n := range sizes {
		r := random(n)
		normal := func() T { return T(r.uniform(0) + r.uniform(0) + r.uniform(0)) }
		for name, key := range map[string]func(i int) T{
			"normal":        func(i int) T { return normal() },
			"in order":      func(i int) T { return T(-i) },
			"in order, but": func(i int) T { return T(b2i(i == n-1) - i/3) },
			"two values":    func(i int) T { return T(r.below(2)) + 0.3 },
			"one other":     func(i int) T { return T(b2i(i == n/2)) },
			"geometric":     func(i int) T { return T(math.Exp(-20 * r.uniform(0))) },
			"octave": func(i int) T {
				if i%2 == 0 {
					return 1 + T(math.Abs(r.uniform(-1)))
				}
				return T(math.Ldexp(r.uniform(0), r.below(100)-50))
			},
			"softmax": func(i int) T {
				p := T(1 / (1 + math.Exp(3*r.uniform(0)+4)))
				if r.below(19) == 0 {
					return 1 - p
				}
				return p
			},
			"integers":   func(i int) T { return T(r.below(n)) },
			"rounded":    func(i int) T { return T(math.Round(r.uniform(0)*100)) / 100 },
			"clustered":  func(i int) T { return 1 + T(r.below(10))*1e-7 + T(r.below(1000))*1e-12 },
			"clusters":   func(i int) T { return fromBits[T](bitsOf(T(1+r.below(3))) + r.next()&0xffff) },
			"zeros":      func(i int) T { return []T{0, zero, normal()}[r.below(3)] },
			"negative":   func(i int) T { return []T{zero, -T(math.Abs(r.uniform(0)))}[r.below(2)] },
			"NaNs":       func(i int) T { return []T{nan, -nan, fromBits[T](bitsOf(nan) + uint64(i%999)), normal()}[r.below(4)] },
			"only NaNs":  func(i int) T { return []T{nan, fromBits[T](bitsOf(nan) ^ bitsOf(zero) + uint64(i%999))}[r.below(2)] },
			"infinities": func(i int) T { return []T{T(math.Inf(1)), T(math.Inf(-1)), 0, 1, zero}[r.below(5)] },
		} {
			src := make([]T, n)
			for i := range src {
				src[i] = key(i)
			}
			keys, perm := slices.Clone(src), make([]int32, n)
			SortDescending(keys, perm)
			checkSorted(t, fmt.Sprint(n, " ", name), src, keys, perm)
			if n <= 5000 {
				if _, want := refSortDescending(src); !slices.Equal(perm, want) {
					t.Errorf("%d %s: the permutation is wrong", n, name)
				}
			}
		}
	}
}

// checkSorted checks that keys are src in stable descending order and perm is where they came from. There is only one such order.
func checkSorted[T Float](t *testing.T, what string, src, keys []T, perm []int32) {
	t.Helper()
	seen := make([]bool, len(src))
	for i, p := range perm {
		if seen[p] || bitsOf(keys[i]) != bitsOf(src[p]) {
			t.Errorf("%s: [%d] came from %d, which is wrong", what, i, p)
			return
		}
		seen[p] = true
		if i == 0 {
			continue
		}
		before, key := keys[i-1], keys[i]
		if equal := before == key || before != before && key != key; equal && p > perm[i-1] || !equal && (before > key || before != before) {
			continue
		}
		t.Errorf("%s: [%d] = %v, from %d, comes behind %v, from %d", what, i, key, p, before, perm[i-1])
		return
	}
}

// TestLovaszGrad compares with the algorithm as it was published: differences of the Jaccard loss, in float64.
func TestLovaszGrad(t *testing.T) { eachType(t, testLovaszGrad[float32], testLovaszGrad[float64]) }

func testLovaszGrad[T Float](t *testing.T) {
	dst := make([]T, 3)
	LovaszGrad(dst, []uint8{255, 0, 255}) // anything but 0 is foreground
	checkNear(t, "LovaszGrad of 255 0 255", dst, []float64{1. / 2, 1. / 6, 1. / 3}, 1e-7)
	LovaszGrad(dst, []uint8{0, 0, 0})
	checkNear(t, "LovaszGrad without foreground", dst, []float64{1, 0, 0}, 0)

	r := random(4)
	for n := 1; n < 300; n++ {
		truth, dst := make([]uint8, n), make([]T, n)
		total := 0.
		for i := range truth {
			truth[i] = uint8(b2i(r.below(n) < 40))
			total += float64(truth[i])
		}
		LovaszGrad(dst, truth)
		intersection, union, last := total, total, 0.
		for i, v := range truth {
			intersection -= float64(v)
			union += 1 - float64(v)
			jaccard := 1 - intersection/union
			if union == 0 {
				jaccard = 1
			}
			if math.Abs(float64(dst[i])-(jaccard-last)) > 1e-7 {
				t.Fatalf("LovaszGrad of %d: [%d] = %v, want %v", n, i, dst[i], jaccard-last)
			}
			last = jaccard
		}
	}
}

// TestLovaszGradCounts: counts do not end at 2²⁴, where float32 does.
// TestLovaszWeights: the kernel gives the definition's bits at every length, also where the counts are as large as they get.
func TestLovaszWeights(t *testing.T) {
	eachType(t, testLovaszWeights[float32], testLovaszWeights[float64])
}

func testLovaszWeights[T Float](t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	for n := 1; n <= 100; n++ {
		foreground := make([]uint8, n)
		g := 0
		for i := range foreground {
			if rng.IntN(3) == 0 {
				foreground[i] = uint8(1 + rng.IntN(255))
				g++
			}
		}
		for _, counts := range [][2]int{{g, g + 1}, {g, g + 1000}, {math.MaxInt32 - n, math.MaxInt32 - n}, {g + 1<<30, math.MaxInt32 - n}} {
			want, got := make([]T, n+1), make([]T, n+1)
			want[n], got[n] = -1, -1
			left := lovaszWeightsGeneric(want[:n], foreground, counts[0], counts[1])
			if after := lovaszWeights(active, got[:n], foreground, counts[0], counts[1]); after != left {
				t.Fatalf("n = %d, %v: %d foreground are left, want %d", n, counts, after, left)
			}
			for i := range want {
				if got[i] != want[i] {
					t.Fatalf("n = %d, %v: weight %d is %v, want %v", n, counts, i, got[i], want[i])
				}
			}
		}
	}
}

func TestLovaszGradCounts(t *testing.T) {
	if !*long {
		t.Skip("16 million weights")
	}
	n := 1<<24 + 64
	dst := make([]float32, n)
	LovaszGrad(dst, slices.Repeat([]uint8{1}, n))
	var sum float64
	for i, v := range dst {
		if v != float32(1/float64(n)) {
			t.Fatalf("weight %d is %v", i, v)
		}
		sum += float64(v)
	}
	if math.Abs(sum-1) > 1e-6 {
		t.Errorf("the weights add up to %v", sum)
	}
}

// TestEmpty: an empty input is a no-op.
func TestEmpty(t *testing.T) { eachType(t, testEmpty[float32], testEmpty[float64]) }

func testEmpty[T Float](t *testing.T) {
	if got := Dot[T](nil, nil); bitsOf(got) != 0 {
		t.Errorf("Dot of nothing is %v", got)
	}
	m := make([]T, 3)
	DotRows(nil, nil, m)
	DotRows[T](nil, nil, nil)
	CumSum[T](nil, nil)
	Softmax(m[:0], m[1:1])
	SoftmaxRows[T](nil, nil, 3)
	SoftmaxPlanes[T](nil, nil, 3)
	SoftmaxAxis[T](nil, nil, 0, 3, 4)
	SoftmaxAxis[T](nil, nil, 4, 3, 0)
	SoftmaxAxis[T](nil, nil, 0, 3, 0)
	LogSoftmaxRows[T](nil, nil, 3)
	LogSoftmaxAxis[T](nil, nil, 0, 3, 4)
	LogSoftmaxAxis[T](nil, nil, 4, 3, 0)
	SoftmaxRowsGrad[T](nil, nil, nil, 3)
	LogSoftmaxRowsGrad[T](nil, nil, nil, 3)
	ArgMaxRows[T](nil, nil, 3)
	ArgMaxPlanes[T](nil, nil, 3)
	ClassErrors[T](nil, nil, nil, 3)
	SortDescending[T](nil, nil)
	LovaszGrad[T](nil, nil)
	if SquaredDistance[T](nil, nil) != 0 || Norm[T](nil) != 0 {
		t.Error("the distance or the norm of nothing is not 0")
	}
	SquaredDistanceRows(nil, nil, m)
	Normalize[T](nil, nil)
	NormalizeRows[T](nil, nil, 3)
	TopK[T](nil, nil, nil)
	TopK(nil, nil, m)
	TopKRows[T](nil, nil, nil, 3)
	TopKRows(nil, nil, m, 3)
	SortAscending[T](nil, nil)
	Sigmoid[T](nil, nil)
	SigmoidGrad[T](nil, nil, nil)
	SoftmaxScaled[T](nil, nil, 2)
	SoftmaxRowsScaled[T](nil, nil, nil, 3, 2)
	SoftmaxRowsScaled(nil, nil, m, 3, 2)
	LogSumExpRows[T](nil, nil, 3)
	LogSumExpAxis[T](nil, nil, 0, 3, 4)
	LogSumExpAxis[T](nil, nil, 4, 3, 0)
	ArgMaxAxis[T](nil, nil, 4, 3, 0)
	SoftmaxAxisGrad[T](nil, nil, nil, 4, 3, 0)
	LogSoftmaxAxisGrad[T](nil, nil, nil, 0, 3, 4)
	CumSumRows[T](nil, nil, 3)
	m[0], m[1], m[2] = 1, 2, 3
	DotRows(m, nil, nil)
	if m[0] != 0 || m[1] != 0 || m[2] != 0 {
		t.Errorf("DotRows with an empty x left %v", m)
	}
}

// TestPanics: what does not fit panics before anything is written, and names the function and the lengths.
func TestPanics(t *testing.T) { eachType(t, testPanics[float32], testPanics[float64]) }

func testPanics[T Float](t *testing.T) {
	const huge = math.MaxInt/2 + 1 // times 2, or 4, it wraps round to a negative number, or 0
	x := make([]T, 12)
	labels := make([]int32, 12)
	truth := make([]uint8, 12)
	for _, c := range []struct {
		call func(d []T, p []int32)
		want string // a regular expression
	}{
		{func(d []T, p []int32) { Dot(d[:5], x[:4]) }, `Dot: .*\b5\b.*\b4\b`},
		{func(d []T, p []int32) { DotRows(d[:2], x[:7], x[:3]) }, `DotRows: .*\b7\b.*\b2\b.*\b3\b`},
		{func(d []T, p []int32) { DotRows(d[:3], x[:6], x[:3]) }, `DotRows: .*\b6\b.*\b3\b.*\b3\b`},
		{func(d []T, p []int32) { DotRows(d[:2], x[:5], nil) }, `DotRows: .*\b5\b.*\b2\b.*\b0\b`},
		{func(d []T, p []int32) { DotRows(d[:2], d[1:7], x[:3]) }, `DotRows: .*overlap`},
		{func(d []T, p []int32) { DotRows(d[:2], x[:6], d[1:4]) }, `DotRows: .*overlap`},
		{func(d []T, p []int32) { DotRows(d[:3], x[:9], d[:3]) }, `DotRows: .*overlap`},
		{func(d []T, p []int32) { CumSum(d[:5], x[:4]) }, `CumSum: .*\b5\b.*\b4\b`},
		{func(d []T, p []int32) { CumSum(d[:4], x[:5]) }, `CumSum: .*\b4\b.*\b5\b`},
		{func(d []T, p []int32) { CumSum(d[:4], nil) }, `CumSum: .*\b4\b.*\b0\b`},
		{func(d []T, p []int32) { CumSum(d[1:6], d[:5]) }, `CumSum: .*overlap`},
		{func(d []T, p []int32) { CumSum(d[:5], d[1:6]) }, `CumSum: .*overlap`},
		{func(d []T, p []int32) { CumSum(d[:5], d[4:9]) }, `CumSum: .*overlap`},
		{func(d []T, p []int32) { Softmax(d[:5], x[:4]) }, `Softmax: .*\b5\b.*\b4\b`},
		{func(d []T, p []int32) { Softmax(d[:5], d[1:6]) }, `Softmax: .*overlap`},
		{func(d []T, p []int32) { SoftmaxRows(d[:6], x[:9], 3) }, `SoftmaxRows: .*\b6\b.*\b9\b`},
		{func(d []T, p []int32) { SoftmaxRows(d[:6], d[3:9], 3) }, `SoftmaxRows: .*overlap`},
		{func(d []T, p []int32) { SoftmaxRows(d[:10], x[:10], 0) }, `SoftmaxRows: .*\bcols\b.*\b0\b.*\b10\b`},
		{func(d []T, p []int32) { SoftmaxRows(d[:10], x[:10], -1) }, `SoftmaxRows: .*\bcols\b.*-1\b.*\b10\b`},
		{func(d []T, p []int32) { SoftmaxRows(d[:10], x[:10], 3) }, `SoftmaxRows: .*\bcols\b.*\b3\b.*\b10\b`},
		{func(d []T, p []int32) { SoftmaxRows[T](nil, nil, 0) }, `SoftmaxRows: .*\bcols\b.*\b0\b`},
		{func(d []T, p []int32) { SoftmaxPlanes(d[:6], x[:9], 3) }, `SoftmaxPlanes: .*\b6\b.*\b9\b`},
		{func(d []T, p []int32) { SoftmaxPlanes(d[:6], d[3:9], 3) }, `SoftmaxPlanes: .*overlap`},
		{func(d []T, p []int32) { SoftmaxPlanes(d[:10], x[:10], 0) }, `SoftmaxPlanes: .*\bplanes\b.*\b0\b.*\b10\b`},
		{func(d []T, p []int32) { SoftmaxPlanes(d[:10], x[:10], -1) }, `SoftmaxPlanes: .*\bplanes\b.*-1\b.*\b10\b`},
		{func(d []T, p []int32) { SoftmaxPlanes(d[:10], x[:10], 4) }, `SoftmaxPlanes: .*\bplanes\b.*\b4\b.*\b10\b`},
		{func(d []T, p []int32) { SoftmaxPlanes[T](nil, nil, -3) }, `SoftmaxPlanes: .*\bplanes\b.*-3\b`},
		{func(d []T, p []int32) { SoftmaxAxis(d[:8], x[:12], 2, 3, 2) }, `SoftmaxAxis: .*\b8\b.*\b12\b`},
		{func(d []T, p []int32) { SoftmaxAxis(d[:6], d[3:9], 1, 3, 2) }, `SoftmaxAxis: .*overlap`},
		{func(d []T, p []int32) { SoftmaxAxis(d, x, 2, 5, 2) }, `SoftmaxAxis: .*\b12\b.*\b2\b.*\b5\b.*\b2\b`},
		{func(d []T, p []int32) { SoftmaxAxis(d, x, 2, 0, 2) }, `SoftmaxAxis: .*\b12\b.*\b2\b.*\b0\b.*\b2\b`},
		{func(d []T, p []int32) { SoftmaxAxis(d, x, -2, 3, -2) }, `SoftmaxAxis: .*-2\b.*\b3\b.*-2\b`},
		{func(d []T, p []int32) { SoftmaxAxis(d, x, -2, -3, 2) }, `SoftmaxAxis: .*-2\b.*-3\b.*\b2\b`},
		{func(d []T, p []int32) { SoftmaxAxis[T](nil, nil, 0, 0, 5) }, `SoftmaxAxis: .*\b0\b.*\b0\b.*\b5\b`},
		{func(d []T, p []int32) { SoftmaxAxis[T](nil, nil, 0, 3, -1) }, `SoftmaxAxis: .*\b0\b.*\b3\b.*-1\b`},
		{func(d []T, p []int32) { SoftmaxAxis[T](nil, nil, 2, huge, 2) }, `SoftmaxAxis: .*\b2\b.*\b2\b`},
		{func(d []T, p []int32) { SoftmaxAxis[T](nil, nil, huge, 2, 1) }, `SoftmaxAxis: .*\b2\b.*\b1\b`},
		{func(d []T, p []int32) { LogSoftmaxRows(d[:6], x[:9], 3) }, `LogSoftmaxRows: .*\b6\b.*\b9\b`},
		{func(d []T, p []int32) { LogSoftmaxRows(d[:6], d[3:9], 3) }, `LogSoftmaxRows: .*overlap`},
		{func(d []T, p []int32) { LogSoftmaxRows(d[:10], x[:10], 0) }, `LogSoftmaxRows: .*\bcols\b.*\b0\b.*\b10\b`},
		{func(d []T, p []int32) { LogSoftmaxRows(d[:10], x[:10], 7) }, `LogSoftmaxRows: .*\bcols\b.*\b7\b.*\b10\b`},
		{func(d []T, p []int32) { LogSoftmaxRows[T](nil, nil, -1) }, `LogSoftmaxRows: .*\bcols\b.*-1\b`},
		{func(d []T, p []int32) { LogSoftmaxAxis(d[:8], x[:12], 2, 3, 2) }, `LogSoftmaxAxis: .*\b8\b.*\b12\b`},
		{func(d []T, p []int32) { LogSoftmaxAxis(d[:6], d[3:9], 1, 3, 2) }, `LogSoftmaxAxis: .*overlap`},
		{func(d []T, p []int32) { LogSoftmaxAxis(d, x, 2, 5, 2) }, `LogSoftmaxAxis: .*\b12\b.*\b2\b.*\b5\b.*\b2\b`},
		{func(d []T, p []int32) { LogSoftmaxAxis[T](nil, nil, 2, -1, 0) }, `LogSoftmaxAxis: .*\b2\b.*-1\b.*\b0\b`},
		{func(d []T, p []int32) { LogSoftmaxAxis[T](nil, nil, huge, 2, 1) }, `LogSoftmaxAxis: .*\b2\b.*\b1\b`},
		{func(d []T, p []int32) { SoftmaxRowsGrad(d[:6], x[:9], x[:9], 3) }, `SoftmaxRowsGrad: .*\b6\b.*\b9\b`},
		{func(d []T, p []int32) { SoftmaxRowsGrad(d[:6], x[:6], x[:9], 3) }, `SoftmaxRowsGrad: .*\b6\b.*\b9\b`},
		{func(d []T, p []int32) { SoftmaxRowsGrad(d[:6], x[:6], x[:6], 0) }, `SoftmaxRowsGrad: .*\bcols\b.*\b0\b.*\b6\b`},
		{func(d []T, p []int32) { SoftmaxRowsGrad(d[:6], x[:6], x[:6], 4) }, `SoftmaxRowsGrad: .*\bcols\b.*\b4\b.*\b6\b`},
		{func(d []T, p []int32) { SoftmaxRowsGrad(d[:6], d[1:7], x[:6], 3) }, `SoftmaxRowsGrad: .*overlap`},
		{func(d []T, p []int32) { SoftmaxRowsGrad(d[:6], x[:6], d[1:7], 3) }, `SoftmaxRowsGrad: .*overlap`},
		{func(d []T, p []int32) { SoftmaxRowsGrad(d[:6], d[:6], d[3:9], 3) }, `SoftmaxRowsGrad: .*overlap`},
		{func(d []T, p []int32) { SoftmaxRowsGrad[T](nil, nil, nil, 0) }, `SoftmaxRowsGrad: .*\bcols\b.*\b0\b`},
		{func(d []T, p []int32) { LogSoftmaxRowsGrad(d[:6], x[:9], x[:9], 3) }, `LogSoftmaxRowsGrad: .*\b6\b.*\b9\b`},
		{func(d []T, p []int32) { LogSoftmaxRowsGrad(d[:6], x[:6], x[:9], 3) }, `LogSoftmaxRowsGrad: .*\b6\b.*\b9\b`},
		{func(d []T, p []int32) { LogSoftmaxRowsGrad(d[:6], x[:6], x[:6], -2) }, `LogSoftmaxRowsGrad: .*\bcols\b.*-2\b.*\b6\b`},
		{func(d []T, p []int32) { LogSoftmaxRowsGrad(d[:6], d[1:7], x[:6], 3) }, `LogSoftmaxRowsGrad: .*overlap`},
		{func(d []T, p []int32) { LogSoftmaxRowsGrad(d[:6], x[:6], d[5:11], 3) }, `LogSoftmaxRowsGrad: .*overlap`},
		{func(d []T, p []int32) { ArgMaxRows(p[:4], x[:9], 3) }, `ArgMaxRows: .*\b9\b.*\b4\b.*\b3\b`},
		{func(d []T, p []int32) { ArgMaxRows(p[:3], x[:10], 3) }, `ArgMaxRows: .*\b10\b.*\b3\b.*\b3\b`},
		{func(d []T, p []int32) { ArgMaxRows(p[:3], x[:9], 0) }, `ArgMaxRows: .*\b9\b.*\b3\b.*\b0\b`},
		{func(d []T, p []int32) { ArgMaxRows[T](nil, nil, 0) }, `ArgMaxRows: .*\b0\b`},
		{func(d []T, p []int32) { ArgMaxRows[T](p[:3], nil, 3) }, `ArgMaxRows: .*\b0\b.*\b3\b.*\b3\b`},
		{func(d []T, p []int32) { ArgMaxPlanes(p[:4], x[:9], 3) }, `ArgMaxPlanes: .*\b9\b.*\b4\b.*\b3\b`},
		{func(d []T, p []int32) { ArgMaxPlanes(p[:3], x[:9], -3) }, `ArgMaxPlanes: .*\b9\b.*\b3\b.*-3\b`},
		{func(d []T, p []int32) { ArgMaxPlanes[T](nil, nil, 0) }, `ArgMaxPlanes: .*\b0\b`},
		{func(d []T, p []int32) { ClassErrors(d[:5], x[:4], labels[:4], 1) }, `ClassErrors: .*\b5\b.*\b4\b`},
		{func(d []T, p []int32) { ClassErrors(d[:4], x[:4], labels[:5], 1) }, `ClassErrors: .*\b4\b.*\b5\b`},
		{func(d []T, p []int32) { ClassErrors(d[:4], x[:4], nil, 1) }, `ClassErrors: .*\b4\b.*\b0\b`},
		{func(d []T, p []int32) { ClassErrors(d[:4], d[1:5], labels[:4], 1) }, `ClassErrors: .*overlap`},
		{func(d []T, p []int32) { SortDescending(d[:5], p[:4]) }, `SortDescending: .*\b5\b.*\b4\b`},
		{func(d []T, p []int32) { SortDescending(d[:5], nil) }, `SortDescending: .*\b5\b.*\b0\b`},
		{func(d []T, p []int32) { SquaredDistance(d[:5], x[:4]) }, `SquaredDistance: .*\b5\b.*\b4\b`},
		{func(d []T, p []int32) { SquaredDistanceRows(d[:2], x[:7], x[:3]) }, `SquaredDistanceRows: .*\b7\b.*\b2\b.*\b3\b`},
		{func(d []T, p []int32) { SquaredDistanceRows(d[:2], x[:5], nil) }, `SquaredDistanceRows: .*\b5\b.*\b2\b.*\b0\b`},
		{func(d []T, p []int32) { SquaredDistanceRows(d[:2], d[1:7], x[:3]) }, `SquaredDistanceRows: .*overlap`},
		{func(d []T, p []int32) { SquaredDistanceRows(d[:3], x[:9], d[:3]) }, `SquaredDistanceRows: .*overlap`},
		{func(d []T, p []int32) { Normalize(d[:5], x[:4]) }, `Normalize: .*\b5\b.*\b4\b`},
		{func(d []T, p []int32) { Normalize(d[:5], d[1:6]) }, `Normalize: .*overlap`},
		{func(d []T, p []int32) { NormalizeRows(d[:6], x[:9], 3) }, `NormalizeRows: .*\b6\b.*\b9\b`},
		{func(d []T, p []int32) { NormalizeRows(d[:6], d[3:9], 3) }, `NormalizeRows: .*overlap`},
		{func(d []T, p []int32) { NormalizeRows(d[:10], x[:10], 0) }, `NormalizeRows: .*\bcols\b.*\b0\b.*\b10\b`},
		{func(d []T, p []int32) { NormalizeRows(d[:10], x[:10], 3) }, `NormalizeRows: .*\bcols\b.*\b3\b.*\b10\b`},
		{func(d []T, p []int32) { TopK(d[:5], p[:4], x) }, `TopK: .*\b5\b.*\b4\b`},
		{func(d []T, p []int32) { TopK(d[:5], p[:5], x[:4]) }, `TopK: .*\b5\b.*\b4\b`},
		{func(d []T, p []int32) { TopK(d[:5], p[:5], d[4:]) }, `TopK: .*overlap`},
		{func(d []T, p []int32) { TopK(d, p, d) }, `TopK: .*overlap`},
		{func(d []T, p []int32) { TopKRows(d[:4], p[:2], x, 6) }, `TopKRows: .*\b4\b.*\b2\b`},
		{func(d []T, p []int32) { TopKRows(d[:4], p[:4], x, 0) }, `TopKRows: .*\bcols\b.*\b0\b`},
		{func(d []T, p []int32) { TopKRows(d[:4], p[:4], x, 5) }, `TopKRows: .*\bcols\b.*\b5\b.*\b12\b`},
		{func(d []T, p []int32) { TopKRows(d[:5], p[:5], x, 6) }, `TopKRows: .*\b5\b.*\b6\b.*\b2\b`},
		{func(d []T, p []int32) { TopKRows(d[:9], p[:9], x[:6], 2) }, `TopKRows: .*\b9\b.*\b2\b.*\b3\b`},
		{func(d []T, p []int32) { TopKRows(d[:2], p[:2], nil, 2) }, `TopKRows: .*\b2\b.*\b2\b.*\b0\b`},
		{func(d []T, p []int32) { TopKRows(d[:2], p[:2], d[1:5], 2) }, `TopKRows: .*overlap`},
		{func(d []T, p []int32) { SortAscending(d[:5], p[:4]) }, `SortAscending: .*\b5\b.*\b4\b`},
		{func(d []T, p []int32) { Sigmoid(d[:5], x[:4]) }, `Sigmoid: .*\b5\b.*\b4\b`},
		{func(d []T, p []int32) { Sigmoid(d[:5], d[1:6]) }, `Sigmoid: .*overlap`},
		{func(d []T, p []int32) { SigmoidGrad(d[:5], x[:4], x[:5]) }, `SigmoidGrad: .*\b5\b.*\b4\b`},
		{func(d []T, p []int32) { SigmoidGrad(d[:5], x[:5], x[:4]) }, `SigmoidGrad: .*\b5\b.*\b4\b`},
		{func(d []T, p []int32) { SigmoidGrad(d[:5], x[:5], d[1:6]) }, `SigmoidGrad: .*overlap`},
		{func(d []T, p []int32) { SoftmaxScaled(d[:5], x[:4], 1) }, `SoftmaxScaled: .*\b5\b.*\b4\b`},
		{func(d []T, p []int32) { SoftmaxScaled(d[:5], d[1:6], 1) }, `SoftmaxScaled: .*overlap`},
		{func(d []T, p []int32) { SoftmaxRowsScaled(d[:6], x[:9], nil, 3, 1) }, `SoftmaxRowsScaled: .*\b6\b.*\b9\b`},
		{func(d []T, p []int32) { SoftmaxRowsScaled(d[:6], d[1:7], nil, 3, 1) }, `SoftmaxRowsScaled: .*overlap`},
		{func(d []T, p []int32) { SoftmaxRowsScaled(d[:6], x[:6], d[1:7], 3, 1) }, `SoftmaxRowsScaled: .*overlap`},
		{func(d []T, p []int32) { SoftmaxRowsScaled(d[:6], x[:6], d[:3], 3, 1) }, `SoftmaxRowsScaled: .*overlap`},
		{func(d []T, p []int32) { SoftmaxRowsScaled(d[:6], x[:6], x[:4], 3, 1) }, `SoftmaxRowsScaled: .*\b4\b.*\b3\b.*\b6\b`},
		{func(d []T, p []int32) { SoftmaxRowsScaled(d[:6], x[:6], []T{}, 3, 1) }, `SoftmaxRowsScaled: .*\b0\b.*\b3\b.*\b6\b`},
		{func(d []T, p []int32) { SoftmaxRowsScaled(d[:6], x[:6], nil, 4, 1) }, `SoftmaxRowsScaled: .*\bcols\b.*\b4\b.*\b6\b`},
		{func(d []T, p []int32) { LogSumExpRows(d[:4], x[:9], 3) }, `LogSumExpRows: .*\b9\b.*\b4\b.*\b3\b`},
		{func(d []T, p []int32) { LogSumExpRows(d[:3], x[:9], 0) }, `LogSumExpRows: .*\b9\b.*\b3\b.*\b0\b`},
		{func(d []T, p []int32) { LogSumExpRows(d[:3], d[2:11], 3) }, `LogSumExpRows: .*overlap`},
		{func(d []T, p []int32) { LogSumExpAxis(d[:4], x, 2, 5, 2) }, `LogSumExpAxis: .*\b12\b.*\b2\b.*\b5\b.*\b2\b`},
		{func(d []T, p []int32) { LogSumExpAxis(d[:5], x, 2, 3, 2) }, `LogSumExpAxis: .*\b5\b.*\b2\b.*\b2\b`},
		{func(d []T, p []int32) { LogSumExpAxis(d[:2], d, 1, 6, 2) }, `LogSumExpAxis: .*overlap`},
		{func(d []T, p []int32) { ArgMaxAxis(p[:4], x, 2, 5, 2) }, `ArgMaxAxis: .*\b12\b.*\b2\b.*\b5\b.*\b2\b`},
		{func(d []T, p []int32) { ArgMaxAxis(p[:5], x, 2, 3, 2) }, `ArgMaxAxis: .*\b5\b.*\b2\b.*\b2\b`},
		{func(d []T, p []int32) { SoftmaxAxisGrad(d[:6], x[:9], x[:9], 1, 3, 3) }, `SoftmaxAxisGrad: .*\b6\b.*\b9\b`},
		{func(d []T, p []int32) { SoftmaxAxisGrad(d[:9], x[:9], x[:6], 1, 3, 3) }, `SoftmaxAxisGrad: .*\b9\b.*\b6\b`},
		{func(d []T, p []int32) { SoftmaxAxisGrad(d[:9], x[:9], x[:9], 1, 3, 2) }, `SoftmaxAxisGrad: .*\b9\b.*\b1\b.*\b3\b.*\b2\b`},
		{func(d []T, p []int32) { SoftmaxAxisGrad(d[:9], x[:9], d[1:10], 1, 3, 3) }, `SoftmaxAxisGrad: .*overlap`},
		{func(d []T, p []int32) { LogSoftmaxAxisGrad(d[:6], x[:9], x[:9], 1, 3, 3) }, `LogSoftmaxAxisGrad: .*\b6\b.*\b9\b`},
		{func(d []T, p []int32) { LogSoftmaxAxisGrad(d[:9], x[:9], x[:9], 1, 0, 9) }, `LogSoftmaxAxisGrad: .*\b9\b.*\b1\b.*\b0\b.*\b9\b`},
		{func(d []T, p []int32) { LogSoftmaxAxisGrad(d[:9], d[1:10], x[:9], 1, 3, 3) }, `LogSoftmaxAxisGrad: .*overlap`},
		{func(d []T, p []int32) { CumSumRows(d[:6], x[:9], 3) }, `CumSumRows: .*\b6\b.*\b9\b`},
		{func(d []T, p []int32) { CumSumRows(d[:6], x[:6], 4) }, `CumSumRows: .*\bcols\b.*\b4\b.*\b6\b`},
		{func(d []T, p []int32) { CumSumRows(d[:6], d[3:9], 3) }, `CumSumRows: .*overlap`},
		{func(d []T, p []int32) { LovaszGrad(d[:5], truth[:4]) }, `LovaszGrad: .*\b5\b.*\b4\b`},
	} {
		d, p := make([]T, 12), make([]int32, 12)
		for i := range d {
			d[i], p[i] = T(7-i), 7
		}
		message := func() (message any) {
			defer func() { message = recover() }()
			c.call(d, p)
			return nil
		}()
		text := fmt.Sprint(message)
		if _, ok := message.(error); ok || !regexp.MustCompile(`^lanewise: `+c.want).MatchString(text) {
			t.Errorf("panic %q, want lanewise: %s", text, c.want)
		}
		for i := range d {
			if d[i] != T(7-i) || p[i] != 7 {
				t.Errorf("%s: wrote before it panicked: %v %v", text, d, p)
				break
			}
		}
	}
}

// TestAliasing: beyond what TestKernels does in place, slices may touch, and sources may overlap each other.
func TestAliasing(t *testing.T) { eachType(t, testAliasing[float32], testAliasing[float64]) }

func testAliasing[T Float](t *testing.T) {
	r := random(5)
	for _, n := range []int{1, 3, 64, 100} {
		both, apart := make([]T, 2*n), make([]T, n)
		for i, f := range []func(dst, src []T){
			CumSum[T], Softmax[T],
			func(dst, src []T) { SoftmaxRows(dst, src, n) }, func(dst, src []T) { SoftmaxPlanes(dst, src, n) },
			func(dst, src []T) { LogSoftmaxRows(dst, src, 1) }, func(dst, src []T) { LogSoftmaxAxis(dst, src, 1, n, 1) },
			func(dst, src []T) { SoftmaxAxis(dst, src, n, 1, 1) },
			func(dst, src []T) { ClassErrors(dst, src, make([]int32, n), 0) },
			func(dst, src []T) { DotRows(dst, src, []T{3}) },
			func(dst, src []T) { SoftmaxRowsGrad(dst, src, src, n) },
		} {
			fill(both, "logits", n, &r)
			f(apart, slices.Clone(both[n:]))
			f(both[:n], both[n:])
			if i2, ok := firstDifference(both[:n], apart, true); !ok {
				t.Errorf("function %d, adjacent halves of %d: [%d] = %v, apart %v", i, 2*n, i2, both[i2], apart[i2])
			}
		}
		fill(both, "logits", n, &r)
		x := slices.Clone(both)
		if got, want := Dot(x[:n], x[n/2:n/2+n]), refDot(x[:n], slices.Clone(x[n/2:n/2+n])); bitsOf(got) != bitsOf(want) {
			t.Errorf("Dot of overlapping vectors = %v, want %v", got, want)
		}
		dx := make([]T, n)
		SoftmaxRowsGrad(dx, x[:n], x[n/2:n/2+n], n)
		if i, ok := firstDifference(dx, refSoftmaxGrad(x[:n], x[n/2:n/2+n]), false); !ok {
			t.Errorf("SoftmaxRowsGrad of overlapping sources: [%d] = %v", i, dx[i])
		}
		for name, grad := range map[string]struct{ f, want func(y []T) []T }{
			"SoftmaxRowsGrad":    {func(y []T) []T { SoftmaxRowsGrad(y, y, y, n); return y }, func(y []T) []T { return refSoftmaxGrad(y, y) }},
			"LogSoftmaxRowsGrad": {func(y []T) []T { LogSoftmaxRowsGrad(y, y, y, n); return y }, func(y []T) []T { return refLogSoftmaxGrad(y, y) }},
		} {
			want := grad.want(x[:n])
			got := grad.f(slices.Clone(x[:n]))
			if i, ok := firstDifference(got, want, false); !ok {
				t.Errorf("%s with everything in one slice: [%d] = %v, want %v", name, i, got[i], want[i])
			}
		}
	}
}

// TestAllocations: no kernel allocates. (Sorts, and softmaxes along many planes, take their scratch from a pool.)
func TestAllocations(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	eachType(t, testAllocations[float32], testAllocations[float64])
}

// pooled are the kernels that take scratch from a pool.
var pooled = map[string]bool{"SortDescending": true, "SortAscending": true, "TopK": true, "TopKRows": true}

func testAllocations[T Float](t *testing.T) {
	shapes := []shape{{1, 1, 1}, {1, 1000, 1}, {1, 20_000, 1}, {30, 19, 1}, {2, 9000, 1}, {1, 19, 100}, {1, 9000, 3}, {3, 5, 7}}
	for _, k := range kernelTests[T]() {
		for _, s := range shapes {
			if !k.family.takes(s) {
				continue
			}
			o := k.operands(s, "logits", 1)
			allocs := testing.AllocsPerRun(5, func() { k.run(&o, s) })
			pooled := pooled[k.name] || s.axis > piece
			for range 20 { // under the race detector a pool forgets some of what it is given
				if pooled && allocs != 0 {
					allocs = testing.AllocsPerRun(1, func() { k.run(&o, s) })
				}
			}
			if allocs != 0 {
				t.Errorf("%s of %v allocates %v times", k.name, s, allocs)
			}
		}
	}
}

// TestStack: kernels leave arrays on the stack of their callers.
func TestStack(t *testing.T) { eachType(t, testStack[float32], testStack[float64]) }

func testStack[T Float](t *testing.T) {
	for name, f := range map[string]func(){
		"Dot":                func() { a, b := [100]T{}, [100]T{}; _ = Dot(a[:], b[:]) },
		"DotRows":            func() { m, x, y := [100]T{}, [50]T{}, [2]T{}; DotRows(y[:], m[:], x[:]) },
		"Softmax":            func() { v := [19]T{}; Softmax(v[:], v[:]) },
		"SoftmaxRows":        func() { v := [38]T{}; SoftmaxRows(v[:], v[:], 19) },
		"SoftmaxPlanes":      func() { v := [38]T{}; SoftmaxPlanes(v[:], v[:], 19) },
		"SoftmaxAxis":        func() { v := [38]T{}; SoftmaxAxis(v[:], v[:], 1, 19, 2) },
		"LogSoftmaxRows":     func() { v := [38]T{}; LogSoftmaxRows(v[:], v[:], 19) },
		"LogSoftmaxAxis":     func() { v := [38]T{}; LogSoftmaxAxis(v[:], v[:], 1, 19, 2) },
		"LogSumExp":          func() { v := [19]T{}; _ = LogSumExp(v[:]) },
		"SoftmaxRowsGrad":    func() { x, y, z := [38]T{}, [38]T{}, [38]T{}; SoftmaxRowsGrad(x[:], y[:], z[:], 19) },
		"LogSoftmaxRowsGrad": func() { x, y, z := [38]T{}, [38]T{}, [38]T{}; LogSoftmaxRowsGrad(x[:], y[:], z[:], 19) },
		"CumSum":             func() { v := [100]T{}; CumSum(v[:], v[:]) },
		"ArgMax":             func() { v := [100]T{}; _ = ArgMax(v[:]) },
		"ArgMaxRows":         func() { v, i := [38]T{}, [2]int32{}; ArgMaxRows(i[:], v[:], 19) },
		"ArgMaxPlanes":       func() { v, i := [38]T{}, [2]int32{}; ArgMaxPlanes(i[:], v[:], 19) },
		"ClassErrors":        func() { v, l := [38]T{}, [38]int32{}; ClassErrors(v[:], v[:], l[:], 1) },
		"LovaszGrad":         func() { v, f := [38]T{}, [38]uint8{}; LovaszGrad(v[:], f[:]) },
	} {
		if allocs := testing.AllocsPerRun(5, f); allocs != 0 {
			t.Errorf("%s of arrays on the stack allocates %v times", name, allocs)
		}
	}
}

// TestRequiredISAs fails where an ISA that LANEWISE_REQUIRE_ISA names (a list with commas) is not there.
func TestRequiredISAs(t *testing.T) {
	for _, name := range strings.Split(os.Getenv("LANEWISE_REQUIRE_ISA"), ",") {
		if name != "" && !slices.ContainsFunc(AvailableISAs(), func(isa ISA) bool { return isa.String() == name }) {
			t.Errorf("%s is required and not available; available are %v", name, AvailableISAs())
		}
	}
}
