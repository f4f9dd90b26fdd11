package lanewise

import (
	"flag"
	"math"
	"math/big"
	"testing"
)

var exhaustive = flag.Bool("exhaustive", false, "measure exp at every float32 of [−104, 0] instead of a sample: some minutes an ISA")

// What the documentation states, and the code must keep.
const (
	expULP32, expULP64 = 0.9, 0.93
	logULP             = 0.81
)

// expOf returns exp of every x, by the kernel that has nothing else in it.
func expOf[T Float](dst, x []T) { expSum(active, dst, x, 0) }

// TestExp32 measures the error of exp in units of the last place of the exact result, and compares the ISAs' bits with the reference. With
// -exhaustive it does so at every float32 of [−104, 0].
func TestExp32(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		step := uint32(1009)
		if *exhaustive {
			step = 1
		} else if !*long {
			step = 40_009
		}
		const first = 1 << 31 // −0
		end := math.Float32bits(-104)
		x, y := make([]float32, 0, 8000), make([]float32, 8000)
		worst, worstX := 0., float32(0)
		flush := func() {
			y = y[:len(x)]
			if len(x) > 0 {
				expOf(y, x)
			}
			for i, v := range x {
				want := refExp(v)
				if bitsOf(y[i]) != bitsOf(want) {
					t.Fatalf("exp(%v) = %v, want %v", v, y[i], want)
				}
				exact := math.Exp(float64(v))
				if exact < 0x1p-126 {
					if y[i] != 0 {
						t.Fatalf("exp(%v) = %v, want 0", v, y[i])
					}
					continue
				}
				_, e := math.Frexp(exact)
				if ulps := math.Abs(float64(y[i])-exact) * math.Ldexp(1, 24-e); ulps > worst {
					worst, worstX = ulps, v
				}
			}
			x = x[:0]
		}
		add := func(v float32) {
			if x = append(x, v); len(x) == cap(x) {
				flush()
			}
		}
		for b := uint64(first); b <= uint64(end); b += uint64(step) {
			add(math.Float32frombits(uint32(b)))
		}
		for n := range 127 { // around the ends of the reduced range, and around the threshold
			edge := float32(-(float64(n) + 0.5) * math.Ln2)
			if n == 126 {
				edge = -0x1.5d589ep6
			}
			for range 100 {
				edge = math.Nextafter32(edge, 0)
			}
			for range 200 {
				add(edge)
				edge = math.Nextafter32(edge, -200)
			}
		}
		for _, v := range []float32{0, -0x1p-149, -104.5, -1e10, -math.MaxFloat32, float32(math.Inf(-1))} {
			add(v)
		}
		flush()
		t.Logf("at most %.4f ulp, at %v", worst, worstX)
		if worst > expULP32 {
			t.Errorf("exp(%v) is %.4f ulp off", worstX, worst)
		}
		x, y = []float32{float32(math.NaN())}, y[:1]
		if expOf(y, x); y[0] == y[0] {
			t.Errorf("exp(NaN) = %v", y[0])
		}
	})
}

// TestExp64 measures the error of float64's exp against big numbers, and compares the ISAs' bits with the reference.
func TestExp64(t *testing.T) {
	r := random(6)
	var x []float64
	count := 40_000
	if !*long {
		count = 2000
	}
	for i := range count {
		switch i % 4 {
		case 0: // all over
			x = append(x, -math.Abs(r.uniform(9)))
		case 1: // near the ends of the reduced range, where the error is largest
			x = append(x, -(float64(r.below(1022))+0.5)*math.Ln2+r.uniform(-6))
		case 2: // small
			x = append(x, -math.Abs(r.uniform(-r.below(60))))
		case 3: // near the threshold
			x = append(x, -0x1.6232bdd7abcd2p9+r.uniform(-r.below(43)))
		}
	}
	x = append(x, 0, math.Copysign(0, -1), -0x1.6232bdd7abcd2p9, math.Nextafter(-0x1.6232bdd7abcd2p9, -1000), -745, -1e300, math.Inf(-1),
		-0x1p-1074)
	exact := make([]*big.Float, len(x))
	for i, v := range x {
		if !math.IsInf(v, 0) && v > -1000 {
			exact[i] = bigExp(v)
		}
	}
	smallestNormal := big.NewFloat(0x1p-1022)
	eachISA(t, func(t *testing.T) {
		y := make([]float64, len(x))
		for i := 0; i < len(x); i += piece {
			end := min(i+piece, len(x))
			expOf(y[i:end], x[i:end])
		}
		worst, worstX := 0., 0.
		for i, v := range x {
			if want := refExp(v); bitsOf(y[i]) != bitsOf(want) {
				t.Fatalf("exp(%v) = %v, want %v", v, y[i], want)
			}
			if exact[i] == nil || exact[i].Cmp(smallestNormal) < 0 {
				if y[i] != 0 {
					t.Fatalf("exp(%v) = %v, want 0", v, y[i])
				}
				continue
			}
			if ulps := ulpsOff(y[i], exact[i]); ulps > worst {
				worst, worstX = ulps, v
			}
		}
		t.Logf("at most %.4f ulp, at %v", worst, worstX)
		if worst > expULP64 {
			t.Errorf("exp(%v) is %.4f ulp off", worstX, worst)
		}
	})
}

// TestLog measures the logarithm that the kernels use, and compares its bits with the reference.
func TestLog(t *testing.T) {
	r := random(7)
	worst, worstX := 0., 0.
	check := func(x float64) {
		y := log(x)
		if want := refLog(x); bitsOf(y) != bitsOf(want) {
			t.Fatalf("log(%v) = %v, want %v", x, y, want)
		}
		if x == 1 {
			if bitsOf(y) != 0 {
				t.Errorf("log(1) = %v", y)
			}
			return
		}
		// one step of Newton's method from y: log x = y + log(x·exp(−y)), of which the square is below the precision
		d := new(big.Float).SetPrec(bigPrecision).Mul(big.NewFloat(x), bigExp(-y))
		d.Sub(d, big.NewFloat(1))
		exact := new(big.Float).SetPrec(bigPrecision).Add(big.NewFloat(y), d)
		if ulps := ulpsOff(y, exact); ulps > worst {
			worst, worstX = ulps, x
		}
	}
	count := 60_000
	if !*long {
		count = 1000
	}
	for i := range count {
		switch i % 3 {
		case 0:
			check(1 + math.Abs(r.uniform(r.below(40)-20)))
		case 1:
			check(1 + math.Abs(r.uniform(0)))
		case 2: // around the ends of the reduced range
			check(math.Ldexp(math.Sqrt2*(1+r.uniform(-5)), r.below(31)))
		}
	}
	for _, x := range []float64{1, 2, 3, 0.03876046633991314, 1.6285091944505809, math.Sqrt2, math.Nextafter(math.Sqrt2, 2),
		math.Nextafter(1, 2), 1 << 31, 1e300} {
		check(x)
	}
	t.Logf("at most %.4f ulp, at %v", worst, worstX)
	if worst > logULP {
		t.Errorf("log(%v) is %.4f ulp off", worstX, worst)
	}
}

// TestReferenceFMA holds the reference's float32 multiply-add against big numbers.
func TestReferenceFMA(t *testing.T) {
	r := random(8)
	float := func(e int) float32 {
		x := float32(r.uniform(e))
		if r.below(2) == 0 { // few bits: ties
			x = math.Float32frombits(math.Float32bits(x) &^ (1<<(8+r.below(12)) - 1))
		}
		return x
	}
	for range 200_000 {
		x, y, z := float(r.below(4)), float(r.below(4)), float(-24+r.below(40)-16)
		switch r.below(4) {
		case 0: // z half way between two results
			p := float64(x) * float64(y)
			z = float32(p) * 0x1p-24 * float32(r.below(5)-2)
		case 1: // subnormal results
			x, z = x*0x1p-70, float(-126-r.below(24))
			y *= 0x1p-70
		}
		exact := new(big.Float).SetPrec(600).Mul(big.NewFloat(float64(x)), big.NewFloat(float64(y)))
		want, _ := exact.Add(exact, big.NewFloat(float64(z))).Float32()
		if got := refFMA32(x, y, z); got != want {
			t.Fatalf("%v·%v + %v = %v, want %v", x, y, z, got, want)
		}
	}
}

const bigPrecision = 160

var bigLn2, _ = new(big.Float).SetPrec(bigPrecision +
	20).SetString("0.69314718055994530941723212145817656807550013436025525412068000949339362196969471560586")

// bigExp returns exp(x) to about 120 bits.
func bigExp(x float64) *big.Float {
	number := func(v float64) *big.Float { return new(big.Float).SetPrec(bigPrecision).SetFloat64(v) }
	n := math.Round(x / math.Ln2)
	r := number(x)
	r.Sub(r, number(n).Mul(number(n), bigLn2))
	const halvings = 8
	r.SetMantExp(r, -halvings)
	y, term := number(1), number(1)
	for i := 1; i < 16; i++ {
		term.Mul(term, r)
		term.Quo(term, number(float64(i)))
		y.Add(y, term)
	}
	for range halvings {
		y.Mul(y, y)
	}
	return y.SetMantExp(y, int(n))
}

// ulpsOff returns |y − exact| in units of the last place of exact.
func ulpsOff(y float64, exact *big.Float) float64 {
	d := new(big.Float).Sub(exact, big.NewFloat(y))
	ulps, _ := d.SetMantExp(d, 53-exact.MantExp(nil)).Float64()
	return math.Abs(ulps)
}
