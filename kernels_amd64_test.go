//go:build amd64 && !purego

package lanewise

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"unsafe"
)

// TestTables compares every entry of every assembly table with the generic one, which is the definition: bit by bit, at every length of a
// tail and in shapes that take every path through tiles and blocks.
func TestTables(t *testing.T) {
	for _, impl := range implementations {
		if impl.isa == Generic {
			continue
		}
		t.Run(impl.isa.String()+"/float32", func(t *testing.T) { testTable(t, &impl.f32, &genericKernels32) })
		t.Run(impl.isa.String()+"/float64", func(t *testing.T) { testTable(t, &impl.f64, &genericKernels64) })
	}
}

// TestTablesComplete: no entry of an assembly table is the generic function.
func TestTablesComplete(t *testing.T) {
	for _, impl := range implementations {
		if impl.isa == Generic {
			continue
		}
		for _, pair := range [][2]any{{impl.f32, genericKernels32}, {impl.f64, genericKernels64}} {
			got, generic := reflect.ValueOf(pair[0]), reflect.ValueOf(pair[1])
			for i := range got.NumField() {
				if got.Field(i).Pointer() == generic.Field(i).Pointer() {
					t.Errorf("%v: %s is generic", impl.isa, got.Type().Field(i).Name)
				}
			}
		}
	}
}

// bitsEqual: the same bits, or NaN in both where any NaN will do.
func bitsEqual[T Float](a, b T, anyNaN bool) bool {
	if anyNaN && a != a && b != b {
		return true
	}
	if unsafe.Sizeof(a) == 4 {
		return math.Float32bits(float32(a)) == math.Float32bits(float32(b))
	}
	return math.Float64bits(float64(a)) == math.Float64bits(float64(b))
}

const canary = 77

// guarded is memory between guards.
func guarded[T Float](n int) (all, x []T) {
	all = make([]T, n+32)
	for i := range all {
		all[i] = canary
	}
	return all, all[16 : 16+n : 16+n]
}

func testTable[T Float](t *testing.T, k, want *kernels[T]) {
	r := rand.New(rand.NewPCG(1, 2))
	special := []T{0, T(math.Copysign(0, -1)), T(math.Inf(1)), T(math.Inf(-1)), T(math.NaN()), -T(math.NaN()), 1, -1, 1e-30, -1e-30, 88, -88, 710, 3e38}
	fill := func(n, kind int) []T {
		x := make([]T, n)
		for i := range x {
			x[i] = T(r.NormFloat64() * []float64{1, 4, 30, 0.001}[r.IntN(4)])
			if kind == 1 && r.IntN(8) == 0 || kind == 2 && r.IntN(60) == 0 {
				x[i] = special[r.IntN(len(special))]
			}
			if kind == 3 {
				x[i] = T(math.Copysign(0, -1))
			}
			if kind == 4 {
				x[i] = T(r.IntN(3))
			}
			if kind == 5 {
				x[i] = T(math.Inf(-1))
			}
		}
		return x
	}
	same := func(name string, got, want []T, anyNaN bool) {
		t.Helper()
		for i := range want {
			if !bitsEqual(got[i], want[i], anyNaN) {
				t.Fatalf("%s: [%d] is %v (%x), want %v (%x)", name, i, got[i], math.Float32bits(float32(got[i])), want[i], math.Float32bits(float32(want[i])))
			}
		}
	}
	one := func(name string, got, want T) { t.Helper(); same(name, []T{got}, []T{want}, true) }
	// into runs f apart from its sources and in place of each
	into := func(name string, anyNaN bool, f, g func(dst []T, src ...[]T), src ...[]T) {
		t.Helper()
		w := make([]T, len(src[0]))
		g(w, src...)
		all, dst := guarded[T](len(w))
		f(dst, src...)
		same(name, dst, w, anyNaN)
		for i, v := range all {
			if (i < 16 || i >= 16+len(w)) && v != canary {
				t.Fatalf("%s: wrote at %d, beside %d elements", name, i-16, len(w))
			}
		}
		for i := range src {
			own := append([][]T(nil), src...)
			own[i] = append([]T(nil), src[i]...)
			f(own[i], own...)
			same(fmt.Sprint(name, " in place of ", i), own[i], w, anyNaN)
		}
	}
	lengths := []int{}
	for n := 1; n <= 300; n++ {
		lengths = append(lengths, n)
	}
	lengths = append(lengths, 1000, 4096, 8191, 8192)
	for _, n := range lengths {
		for kind := range 6 {
			x, y := fill(n, kind), fill(n, kind)
			id := fmt.Sprintf("%d elements of kind %d", n, kind)
			m := want.max(x)
			factor := T(0.3)
			one("dot "+id, k.dot(x, y), want.dot(x, y))
			one("sum "+id, k.sum(x), want.sum(x))
			if g := k.max(x); g != m && want.sum(x) == want.sum(x) {
				t.Fatalf("max %s: %v, want %v", id, g, m)
			}
			one("sumExp "+id, k.sumExp(x, m), want.sumExp(x, m))
			var s, ws T
			into("expSum "+id, true, func(d []T, s0 ...[]T) { s = k.expSum(d, s0[0], m) }, func(d []T, s0 ...[]T) { ws = want.expSum(d, s0[0], m) }, x)
			one("expSum's sum "+id, s, ws)
			into("scale "+id, true, func(d []T, s ...[]T) { k.scale(d, s[0], factor) }, func(d []T, s ...[]T) { want.scale(d, s[0], factor) }, x)
			into("subtract "+id, true, func(d []T, s ...[]T) { k.subtract(d, s[0], 1, 2) }, func(d []T, s ...[]T) { want.subtract(d, s[0], 1, 2) }, x)
			into("softmaxGrad "+id, true, func(d []T, s ...[]T) { k.softmaxGrad(d, s[0], s[1], factor) }, func(d []T, s ...[]T) { want.softmaxGrad(d, s[0], s[1], factor) }, x, y)
			into("logSoftmaxGrad "+id, true, func(d []T, s ...[]T) { k.logSoftmaxGrad(d, s[0], s[1], factor) }, func(d []T, s ...[]T) { want.logSoftmaxGrad(d, s[0], s[1], factor) }, x, y)
			for _, carry := range []float64{math.Copysign(0, -1), 1.5, 1e20} {
				var c, wc float64
				into("cumSum "+id, true, func(d []T, s ...[]T) { c = k.cumSum(d, s[0], carry) }, func(d []T, s ...[]T) { wc = want.cumSum(d, s[0], carry) }, x)
				if !bitsEqual(c, wc, true) {
					t.Fatalf("cumSum %s: carry %v, want %v", id, c, wc)
				}
			}
			if g, w := k.argMax(x), want.argMax(x); g != w {
				t.Fatalf("argMax %s: %d (%v), want %d (%v)", id, g, x[g], w, x[w])
			}
			labels := make([]int32, n)
			for i := range labels {
				labels[i] = int32(r.IntN(3)) - 1
			}
			for class := int32(-1); class < 2; class++ {
				into("classGrad "+id, true, func(d []T, s ...[]T) { k.classGrad(d, s[0], labels, class, factor) }, func(d []T, s ...[]T) { want.classGrad(d, s[0], labels, class, factor) }, x)
				into("classErrors "+id, true, func(d []T, s ...[]T) { k.classErrors(d, s[0], labels, class) }, func(d []T, s ...[]T) { want.classErrors(d, s[0], labels, class) }, x)
			}
		}
	}
	for _, cols := range []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 16, 17, 19, 21, 24, 31, 32, 33, 40, 47, 48, 49, 63, 64, 65, 100, 150, 257, 1000} {
		for _, rows := range []int{1, 2, 3, 4, 5, 7, 8, 9, 13, 15, 16, 17, 31, 33, 63, 64, 65, 127, 130, 200} {
			if rows*cols > 40000 {
				continue
			}
			for kind := range 6 {
				id := fmt.Sprintf("[%d][%d] of kind %d", rows, cols, kind)
				x, y := fill(rows*cols, kind), fill(rows*cols, kind)
				into("softmaxRows "+id, false, func(d []T, s ...[]T) { k.softmaxRows(d, s[0], cols) }, func(d []T, s ...[]T) { want.softmaxRows(d, s[0], cols) }, x)
				into("logSoftmaxRows "+id, false, func(d []T, s ...[]T) { k.logSoftmaxRows(d, s[0], cols) }, func(d []T, s ...[]T) { want.logSoftmaxRows(d, s[0], cols) }, x)
				into("softmaxRowsGrad "+id, true, func(d []T, s ...[]T) { k.softmaxRowsGrad(d, s[0], s[1], cols) }, func(d []T, s ...[]T) { want.softmaxRowsGrad(d, s[0], s[1], cols) }, x, y)
				into("logSoftmaxRowsGrad "+id, true, func(d []T, s ...[]T) { k.logSoftmaxRowsGrad(d, s[0], s[1], cols) }, func(d []T, s ...[]T) { want.logSoftmaxRowsGrad(d, s[0], s[1], cols) }, x, y)
				for _, gap := range []int{0, 3} {
					all, d := guarded[T]((cols-1)*(rows+gap) + rows)
					wall, wd := guarded[T](len(d))
					src := fill((rows-1)*(cols+gap)+cols, kind)
					k.transpose(d, src, rows, cols, rows+gap, cols+gap)
					want.transpose(wd, src, rows, cols, rows+gap, cols+gap)
					same("transpose "+id, all, wall, false)
				}
				g, w := make([]int32, rows+1), make([]int32, rows+1)
				k.argMaxRows(g[:rows], x, cols)
				want.argMaxRows(w[:rows], x, cols)
				for i := range w {
					if g[i] != w[i] {
						t.Fatalf("argMaxRows %s: row %d: %d, want %d", id, i, g[i], w[i])
					}
				}
			}
		}
	}
	for _, planes := range []int{1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 19, 21, 31, 32, 33, 48, 50, 63, 64, 65, 80, 127, 128, 129, 130, 150, 200, 257, 300, 520, 1030} {
		for _, n := range []int{1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 67, 100, 129, 200} {
			if planes*n > 20000 {
				continue
			}
			for kind := range 6 {
				stride := n + kind%3*5
				id := fmt.Sprintf("[%d][%d] of kind %d, stride %d", planes, n, kind, stride)
				size := (planes-1)*stride + n
				x, y := fill(size, kind), fill(size, kind)
				ms, wm := make([]T, n+1), make([]T, n+1)
				ss, ws := make([]T, n+1), make([]T, n+1)
				gap := func(f func(d []T, s ...[]T)) func(d []T, s ...[]T) { // what lies between the columns is not the kernel's
					return func(d []T, s ...[]T) {
						f(d, s...)
						for i := range d {
							if i%stride >= n {
								if in := &d[0] == &s[0][0] || len(s) > 1 && &d[0] == &s[1][0]; !in && d[i] != canary && d[i] != 0 {
									t.Fatalf("%s: wrote between the columns", id)
								}
								d[i] = 0
							}
						}
					}
				}
				into("softmaxPlanes "+id, false, gap(func(d []T, s ...[]T) { k.softmaxPlanes(d, s[0], nil, nil, planes, n, stride, stride) }), gap(func(d []T, s ...[]T) { want.softmaxPlanes(d, s[0], nil, nil, planes, n, stride, stride) }), x)
				into("softmaxPlanes and sums "+id, false, gap(func(d []T, s ...[]T) { k.softmaxPlanes(d, s[0], ms[:n], ss[:n], planes, n, stride, stride) }), gap(func(d []T, s ...[]T) { want.softmaxPlanes(d, s[0], wm[:n], ws[:n], planes, n, stride, stride) }), x)
				same("sums "+id, ss, ws, true)
				for i := range ws {
					if ws[i] == ws[i] && ms[i] != wm[i] {
						t.Fatalf("max %s: column %d: %v, want %v", id, i, ms[i], wm[i])
					}
				}
				into("logSoftmaxPlanes "+id, false, gap(func(d []T, s ...[]T) { k.logSoftmaxPlanes(d, s[0], planes, n, stride, stride) }), gap(func(d []T, s ...[]T) { want.logSoftmaxPlanes(d, s[0], planes, n, stride, stride) }), x)
				into("softmaxPlanesGrad "+id, true, gap(func(d []T, s ...[]T) { k.softmaxPlanesGrad(d, s[0], s[1], planes, n, stride, stride) }), gap(func(d []T, s ...[]T) { want.softmaxPlanesGrad(d, s[0], s[1], planes, n, stride, stride) }), x, y)
				g, w := make([]int32, n+1), make([]int32, n+1)
				k.argMaxPlanes(g[:n], x, planes, n, stride)
				want.argMaxPlanes(w[:n], x, planes, n, stride)
				for i := range w {
					if g[i] != w[i] {
						t.Fatalf("argMaxPlanes %s: column %d: %d, want %d", id, i, g[i], w[i])
					}
				}
			}
		}
	}
}
