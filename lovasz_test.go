package lanewise

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
)

// Every option, alone and combined, against the oracle: every ISA, with one worker and with several.
func TestLovaszAgainstOracle(t *testing.T) {
	n := 1500
	if !*long {
		n = 300
	}
	cases := randomCases(1, n)
	rounded, exact := make([]oracleResult[float32], n), make([]oracleResult[float64], n)
	for i, c := range cases {
		rounded[i] = oracle[float32]{c.cfg}.run(c.logits, c.labels, c.images)
		c.cfg.Method = Exact
		exact[i] = oracle[float64]{c.cfg}.run(widen(c.logits), c.labels, c.images)
	}
	eachISA(t, func(t *testing.T) {
		for i, c := range cases {
			for _, workers := range []int{1, 3} {
				got, grad := c.backward(t, workers)
				if err := againstRounded(got, grad, rounded[i]); err != nil {
					t.Fatalf("case %d, %d workers, %+v, %d images, labels %v:\n%v", i, workers, c.cfg, c.images, c.labels, err)
				}
				if err := againstFloat64(c.cfg, got, exact[i]); err != nil {
					t.Fatalf("case %d, %d workers, %+v, %d images, labels %v:\n%v", i, workers, c.cfg, c.images, c.labels, err)
				}
				if d := sameResult(got, c.forward(t, workers)); d != "" {
					t.Fatalf("case %d, %+v: Backward and Forward: %s", i, c.cfg, d)
				}
			}
		}
	})
}

// Where two groups of tied pixels, blocks, ranges of keys or counters of 16 bits might meet: sizes and data that the random cases do not
// reach.
func TestLovaszSizes(t *testing.T) {
	constant := func(int, int) float32 { return 0.5 }
	two := func(i, k int) float32 { return float32((i*7 + k*k) % 3 % 2) }
	three := func(i, _ int) float32 { return float32(i%3) - 1 }
	rng := newRand(5)
	random := func(int, int) float32 { return float32(rng.NormFloat64()) }
	confident := func(i, k int) float32 {
		if i%13 > 0 && i%5%2 == k%2 {
			return random(i, k) + 12
		}
		return random(i, k)
	}
	type size struct {
		pixels, classes int
		x               func(i, k int) float32
	}
	many := 140_000
	if *long {
		many = 600_000
	}
	sizes := []size{{200000, 2, constant}, {many, 1, three}, {70000, 3, two}, {3, 9000, random}, {40, 300, confident}, {33, 65, two}}
	for _, p := range []int{1, 15, 16, 17, 63, 64, 65, 2047, 2048, 2049, 4097, 8191, 8192, 8193, 16400, 65535, 65536, 65537} {
		for _, x := range []func(int, int) float32{random, confident} {
			sizes = append(sizes, size{p, 1 + p%3, x})
		}
	}
	var cases []lossCase
	var want []oracleResult[float32]
	for i, s := range sizes {
		c := lossCase{cfg: LovaszConfig{Classes: s.classes, Activation: SoftmaxActivation}, images: 1}
		if s.classes == 1 {
			c.cfg.Activation = SigmoidActivation
		}
		for i := range s.pixels {
			c.labels = append(c.labels, int32(i%5%max(2, s.classes)))
			for k := range s.classes {
				c.logits = append(c.logits, s.x(i, k))
			}
		}
		for _, m := range []Method{Exact, Binned} {
			if s.classes == 9000 && !*long {
				continue
			}
			c.cfg.Method = m
			c.cfg.Layout = Layout(i % 2)
			if c.cfg.Layout == ClassMajor {
				c.logits = transposed(c.logits, 1, s.pixels, s.classes)
			}
			cases = append(cases, c)
			want = append(want, oracle[float32]{c.cfg}.run(c.logits, c.labels, 1))
			if c.cfg.Layout == ClassMajor {
				c.logits = transposed(c.logits, 1, s.classes, s.pixels)
			}
		}
	}
	eachISA(t, func(t *testing.T) {
		for i, c := range cases {
			for _, workers := range []int{1, 2} {
				got, grad := c.backward(t, workers)
				if err := againstRounded(got, grad, want[i]); err != nil {
					t.Errorf("%d pixels, %d workers, %+v: %v", len(c.labels), workers, c.cfg, err)
				}
			}
		}
	})
}

// Weights of errors that are unlike those of networks, and unlike what a sample of them, the range of their exponents or their order in
// memory promises.
func TestLovaszHardErrors(t *testing.T) {
	float := math.Float32frombits
	rng := newRand(6)
	kinds := []struct {
		name string
		p    func(i, n int) float32
	}{
		{"uniform", func(int, int) float32 { return rng.Float32() }},
		{"equal", func(int, int) float32 { return 0.75 }},
		{"0 and 1", func(i, _ int) float32 { return float32(i / 3 % 2) }},
		{"0, 1 and few others", func(i, _ int) float32 {
			if i%1000 == 17 {
				return rng.Float32()
			}
			return float32(i / 3 % 2)
		}},
		{"subnormal", func(int, int) float32 { return float(rng.Uint32N(1 << 20)) }},
		{"the last bits below 1", func(int, int) float32 { return float(0x3f800000 - rng.Uint32N(3000)) }},
		{"every exponent", func(int, int) float32 { return float(rng.Uint32N(0x3f800001)) }},
		{"a cluster", func(int, int) float32 { return 0.3 + float32(rng.IntN(1000))*0x1p-25 }},
		{"a cluster and the rest", func(i, _ int) float32 {
			if i%10 > 0 {
				return 0.3 + float32(rng.IntN(1000))*0x1p-25
			}
			return rng.Float32()
		}},
		{"one value and the rest", func(i, _ int) float32 {
			if i%10 > 0 {
				return 0.3
			}
			return rng.Float32()
		}},
		{"ascending", func(i, n int) float32 { return float32(i) / float32(n) }},
		{"descending", func(i, n int) float32 { return 1 - float32(i)/float32(n) }},
		{"uniform in runs, ties between them", func(i, n int) float32 {
			if i%(64*max(1, n/4096)) < 64 {
				return rng.Float32()
			}
			return 0.5 + float32(i%3)*0x1p-23
		}},
		{"ties in runs, uniform between them", func(i, n int) float32 {
			if i%(64*max(1, n/4096)) >= 64 {
				return rng.Float32()
			}
			return 0.5
		}},
		{"powers of 2 and their neighbours", func(int, int) float32 { return float((0x30000000 + rng.Uint32N(32)<<23) + rng.Uint32N(3) - 1) }},
		{"bins of every size", func(int, int) float32 {
			return float32(math.Exp(-12*rng.Float64()) * (1 - 0.999*rng.Float64()*rng.Float64()))
		}},
	}
	foregrounds := []func(i, n int) bool{
		func(i, n int) bool { return i == n/2 },
		func(i, _ int) bool { return i%97 == 3 },
		func(int, int) bool { return rng.IntN(2) == 0 },
		func(int, int) bool { return true },
		func(i, n int) bool { return i < n/2 },
		func(int, int) bool { return false },
	}
	sizes := []int{1000, fewestPixels - 1, fewestPixels, fewestPixels + 1, 40000, 170000, 700000}
	if !*long {
		sizes = sizes[:5]
	}
	for k, kind := range kinds {
		for s, n := range sizes {
			for f, foreground := range foregrounds {
				if n > 10000 && f != (k+s)%len(foregrounds) {
					continue
				}
				c := lossCase{cfg: LovaszConfig{Classes: 1, Activation: NoActivation, Average: AllClasses}, images: 1}
				e, fg := make([]float32, n), make([]bool, n)
				for i := range n {
					fg[i] = foreground(i, n)
					c.labels = append(c.labels, int32(b2i(fg[i])))
					e[i] = min(kind.p(i, n), 1)
					p := e[i]
					if fg[i] {
						p = 1 - p
						e[i] = 1 - p
					}
					c.logits = append(c.logits, p)
				}
				want := oracle[float32]{}.class(e, fg)
				for i, w := range want.w {
					if fg[i] {
						want.w[i] = -w
					}
				}
				onEveryISA(t, func(isa ISA) {
					got, grad := c.backward(t, 1)
					if d := sameGradient(grad, want.w); d != "" || !sameFloat(got.Loss, want.loss) {
						t.Errorf("%v, %s, foreground %d, %d pixels: loss %v, want %v; %s", isa, kind.name, f, n, got.Loss, want.loss, d)
					}
				})
			}
		}
	}
}

// The gradient against the slope of the float64 loss, which shares no step with it.
func TestLovaszGradientIsTheSlope(t *testing.T) {
	cases := smoothCases(60)
	slopes := make([][]float64, len(cases))
	for i, c := range cases {
		slopes[i] = slope(c)
	}
	eachISA(t, func(t *testing.T) {
		for i, c := range cases {
			_, grad := c.backward(t, 1)
			if d := relativeNorm(widen(grad), slopes[i]); d > 1e-5 {
				t.Errorf("case %d, %+v: gradient is %.2g off the central differences", i, c.cfg, d)
			}
		}
	})
}

// Neither the layout, nor the number of workers, nor the ISA, nor a gradient that overwrites the logits changes a bit.
func TestLovaszSameBits(t *testing.T) {
	manyWorkers(t)
	type result struct {
		res  LovaszResult
		grad []float32
	}
	some := 70
	if *long {
		some = 200
	}
	cases := append(randomCases(2, some), sceneCase(newRand(3), sceneTrained, 20000, 5))
	want := make([]result, len(cases))
	for i, c := range cases {
		c = c.pixelMajor()
		cases[i] = c
		res, grad := c.backward(t, 1)
		want[i] = result{res.Clone(), grad}
	}
	eachISA(t, func(t *testing.T) {
		for i, c := range cases {
			check := func(what string, res LovaszResult, grad []float32) {
				t.Helper()
				if d := sameResult(res, want[i].res) + sameGradient(grad, want[i].grad); d != "" {
					t.Fatalf("case %d, %+v, %s: %s", i, c.cfg, what, d)
				}
			}
			for _, workers := range []int{0, 1, 2, 3, 8} {
				res, grad := c.backward(t, workers)
				check(fmt.Sprintf("%d workers", workers), res, grad)

				planes, pixels := c, len(c.labels)/c.images
				planes.cfg.Layout = ClassMajor
				planes.logits = transposed(c.logits, c.images, pixels, c.cfg.Classes)
				res, grad = planes.backward(t, workers)
				check(fmt.Sprintf("class-major, %d workers", workers), res, transposed(grad, c.images, c.cfg.Classes, pixels))

				planes.cfg.Workers = workers
				res, err := mustLovasz(t, planes.cfg).Backward(planes.logits, planes.logits, c.labels, c.images)
				if err != nil {
					t.Fatal(err)
				}
				check("class-major in place", res, transposed(planes.logits, c.images, c.cfg.Classes, pixels))
			}
			c.logits = slices.Clone(c.logits)
			res, err := mustLovasz(t, c.cfg).Backward(c.logits, c.logits, c.labels, c.images)
			if err != nil {
				t.Fatal(err)
			}
			check("in place", res, c.logits)
		}
	})
}

// The pixels' order decides nothing but the order in which the cross-entropy is summed.
func TestLovaszPixelOrder(t *testing.T) {
	rng := newRand(4)
	for i, c := range randomCases(3, 200) {
		c = c.pixelMajor()
		c.cfg.PerImage, c.images = false, 1
		n, C := len(c.labels), c.cfg.Classes
		want, grad := c.backward(t, 1)
		want = want.Clone()
		shuffled, wantGrad := c, make([]float32, len(grad))
		shuffled.labels, shuffled.logits = make([]int32, n), make([]float32, n*C)
		for to, from := range rng.Perm(n) {
			shuffled.labels[to] = c.labels[from]
			copy(shuffled.logits[to*C:(to+1)*C], c.logits[from*C:])
			copy(wantGrad[to*C:(to+1)*C], grad[from*C:])
		}
		got, grad := shuffled.backward(t, 2)
		if !within(got.CrossEntropy, want.CrossEntropy, 1e-14, 0) {
			t.Fatalf("case %d: cross-entropy %v and %v", i, got.CrossEntropy, want.CrossEntropy)
		}
		got.CrossEntropy, got.Loss = want.CrossEntropy, want.Loss
		if d := sameResult(got, want) + sameGradient(grad, wantGrad); d != "" {
			t.Fatalf("case %d, %+v: %s", i, c.cfg, d)
		}
	}
}

// Dropping void pixels is deleting them.
func TestLovaszDroppedIsDeleted(t *testing.T) {
	cases := randomCases(5, 400)
	eachISA(t, func(t *testing.T) {
		deletedSome := 0
		for i, c := range cases {
			c = c.pixelMajor()
			if c.cfg.Void = DropPixels; c.cfg.PerImage {
				c.cfg.PerImage = false // with PerImage images would differ in size
			}
			c.images = 1
			C := c.cfg.Classes
			kept := c
			kept.labels, kept.logits = nil, nil
			for at, label := range c.labels {
				if !slices.Contains(c.cfg.VoidLabels, label) {
					kept.labels = append(kept.labels, label)
					kept.logits = append(kept.logits, c.logits[at*C:(at+1)*C]...)
				}
			}
			if len(kept.labels) < len(c.labels) && len(kept.labels) > 0 {
				deletedSome++
			}
			want, wantGrad := kept.backward(t, 1)
			got, grad := c.backward(t, 1+i%3)
			var keptGrad []float32
			for at, label := range c.labels {
				if g := grad[at*C : (at+1)*C]; !slices.Contains(c.cfg.VoidLabels, label) {
					keptGrad = append(keptGrad, g...)
				} else if d := sameGradient(g, make([]float32, C)); d != "" {
					t.Fatalf("case %d, %+v: dropped pixel %d: %s", i, c.cfg, at, d)
				}
			}
			if d := sameResult(got, want) + sameGradient(keptGrad, wantGrad); d != "" {
				t.Fatalf("case %d, %+v: %s", i, c.cfg, d)
			}
		}
		if deletedSome < 50 {
			t.Errorf("only %d cases had pixels to delete and to keep", deletedSome)
		}
	})
}

// Equal weights are no weights.
func TestLovaszWeightsAreNormalised(t *testing.T) {
	for i, c := range randomCases(6, 100) {
		c.cfg.Weights = nil
		want, wantGrad := c.backward(t, 1)
		want = want.Clone()
		c.cfg.Weights = filled(c.cfg.Classes, 2)
		got, grad := c.backward(t, 1)
		if !within(got.Loss, want.Loss, 1e-15, 0) || !within(got.Gap, want.Gap, 1e-14, 0) || !slices.EqualFunc(got.PerClass, want.PerClass,
			sameFloat) {
			t.Fatalf("case %d, %+v: %+v, without weights %+v", i, c.cfg, got, want)
		}
		if d := sameGradient(grad, wantGrad); d != "" {
			t.Fatalf("case %d, %+v: %s", i, c.cfg, d)
		}
	}
}

// PerImage is the mean of single calls.
func TestLovaszPerImage(t *testing.T) {
	for i, c := range randomCases(7, 300) {
		c.cfg.PerImage = true
		got, grad := c.backward(t, 1+i%3)
		pixels, size := len(c.labels)/c.images, len(c.logits)/c.images
		if len(got.PerImage) != c.images {
			t.Fatalf("case %d: PerImage has %d values for %d images", i, len(got.PerImage), c.images)
		}
		var lovasz, entropy, gap float64
		var took int
		mean := make([]float64, len(grad))
		for n := range c.images {
			one := c
			one.cfg.PerImage, one.images = false, 1
			one.labels, one.logits = c.labels[n*pixels:(n+1)*pixels], c.logits[n*size:(n+1)*size]
			res, g := one.backward(t, 1)
			if got.PerImage[n] != got.PerImage[n] {
				if res.Loss != 0 || slices.ContainsFunc(g, func(v float32) bool { return v != 0 }) {
					t.Fatalf("case %d, %+v: image %d has a loss of %v, but took no part", i, c.cfg, n, res.Loss)
				}
				continue
			}
			if !sameFloat(got.PerImage[n], res.Lovasz) {
				t.Fatalf("case %d, %+v: image %d: %v, alone %v", i, c.cfg, n, got.PerImage[n], res.Lovasz)
			}
			took++
			lovasz, entropy, gap = lovasz+res.Lovasz, entropy+res.CrossEntropy, gap+res.Gap
			for j, v := range g {
				mean[n*size+j] = float64(v)
			}
		}
		k := float64(max(1, took))
		for j := range mean {
			mean[j] /= k
		}
		if !within(got.Lovasz, lovasz/k, 1e-14, 0) || !within(got.CrossEntropy, entropy/k, 1e-14, 0) || !within(got.Gap, gap/k, 1e-14, 0) {
			t.Fatalf("case %d, %+v: %+v, want Lovasz %v, CrossEntropy %v, Gap %v", i, c.cfg, got, lovasz/k, entropy/k, gap/k)
		}
		for j := range mean {
			if !within(float64(grad[j]), mean[j], 1e-6, 3e-7) {
				t.Fatalf("case %d, %+v: gradient[%d] is %v, the mean of the images' %v", i, c.cfg, j, grad[j], mean[j])
				break
			}
		}
	}
}

// The exact loss lies in [Lovasz, Lovasz+Gap] of the binned one, class by class, and Gap is no larger than the bound known beforehand.
func TestLovaszGap(t *testing.T) {
	smaller := 0
	for i, c := range randomCases(8, 600) {
		if c.cfg.PerImage = false; len(c.labels) == 0 {
			continue
		}
		c = c.withoutEntropy()
		for k := range c.cfg.Classes {
			c.cfg.OnlyClasses, c.cfg.SkipClasses, c.cfg.Weights = []int{k}, nil, nil
			c.cfg.Method = Binned
			binned := c.forward(t, 1)
			c.cfg.Method = Exact
			exact := exactLoss(c)
			if !(exact >= binned.Lovasz*(1-1e-14) && exact <= binned.Lovasz+binned.Gap) {
				t.Fatalf("case %d, %+v: exact %v is not in [%v, %v + %v]", i, c.cfg, exact, binned.Lovasz, binned.Lovasz, binned.Gap)
			}
			if bound := 0x1p-9*binned.Lovasz + 0x1p-32 + 0x1p-39*binned.Lovasz; binned.Gap > bound {
				t.Fatalf("case %d: gap %v, bound %v", i, binned.Gap, bound)
			} else if binned.Gap < bound/4 && binned.Lovasz > 0 {
				smaller++
			}
			if got := c.forward(t, 1); got.Gap != 0 || !within(got.Lovasz, exact, 1e-7, float64(len(c.labels))*0x1p-53) {
				t.Fatalf("case %d, %+v: Exact gives %v with the gap %v, the loss of its errors is %v", i, c.cfg, got.Lovasz, got.Gap, exact)
			}
		}
	}
	if smaller < 100 {
		t.Errorf("the certificate was sharper than the bound in %d cases only", smaller)
	}
}

// exactLoss is the loss of the float32 errors in float64.
func exactLoss(c lossCase) float64 {
	o := oracle[float32]{c.cfg}
	g := o.group(c.logits, c.labels, nil, len(c.labels)/c.images, 0, len(c.labels))
	k := c.cfg.OnlyClasses[0]
	var e []float64
	var fg []bool
	for _, px := range g.px {
		e, fg = append(e, float64(px.e[k])), append(fg, o.foreground(px, k))
	}
	if len(e) == 0 {
		return 0
	}
	return oracle[float64]{LovaszConfig{}}.class(e, fg).loss
}

func TestHingeAgainstOracle(t *testing.T) {
	rng := newRand(9)
	eachISA(t, func(t *testing.T) {
		for i := range 500 {
			data := make([]byte, 40)
			for j := range data {
				data[j] = byte(rng.Uint32())
			}
			c := randomHinge(data)
			want := oracle[float32]{c.cfg}.hinge(c.logits, c.labels, c.images)
			got, grad := c.hinge(t, 1+i%3)
			if err := againstHinge(got, grad, want); err != nil {
				t.Fatalf("case %d, %+v, %d images, scores %v, labels %v: %v", i, c.cfg, c.images, c.logits, c.labels, err)
			}
			l := mustLovasz(t, c.cfg)
			forward, err := l.Hinge(nil, c.logits, c.labels, c.images)
			if d := sameResult(forward, got); err != nil || d != "" {
				t.Fatalf("case %d, %+v: without a gradient: %v %s", i, c.cfg, err, d)
			}
			if _, err := l.Hinge(c.logits, c.logits, c.labels, c.images); err != nil {
				t.Fatal(err)
			}
			if d := sameGradient(c.logits, grad); d != "" {
				t.Fatalf("case %d, %+v: in place: %s", i, c.cfg, d)
			}
		}
	})
}

// Of the configuration the hinge heeds VoidLabels, Void, PerImage and Workers.
func TestHingeIgnores(t *testing.T) {
	scores, labels := []float32{0.5, -1, 2, 0.25}, []int32{1, 0, 0, 255}
	want, err := mustLovasz(t, LovaszConfig{Classes: 1, Activation: NoActivation, VoidLabels: []int32{255}}).Hinge(nil, scores, labels, 1)
	if err != nil || want.Loss == 0 {
		t.Fatal(want, err)
	}
	for _, cfg := range []LovaszConfig{
		{Classes: 5},
		{Classes: 2, Layout: ClassMajor, Activation: SigmoidActivation, Average: AllClasses, CrossEntropy: 3},
		{Classes: 3, Weights: []float32{0, 0, 1}, SkipClasses: []int{1}, OnlyClasses: []int{0}, Method: Binned},
	} {
		cfg.VoidLabels = []int32{255}
		got, err := mustLovasz(t, cfg).Hinge(nil, scores, labels, 1)
		if d := sameResult(got, want); err != nil || d != "" {
			t.Errorf("%+v: %v %s", cfg, err, d)
		}
	}
	none := []int32{0, 0, 0, 255}
	for _, average := range []Average{PresentClasses, AllClasses} {
		cfg := LovaszConfig{Classes: 1, Activation: NoActivation, Average: average, VoidLabels: []int32{255}}
		grad := make([]float32, 4)
		got, err := mustLovasz(t, cfg).Hinge(grad, scores, none, 1)
		if err != nil || got.Loss != 3 || !slices.Equal(grad, []float32{0, 0, 1, 0}) {
			t.Errorf("average %d, no foreground: loss %v, gradient %v, %v; want the largest error, 3", average, got.Loss, grad, err)
		}
	}
}

// What the project promises: the loss within 2e-6 and the gradient within 1e-5 of the float64 reference, and with Binned within 5e-4.
func TestLovaszAccuracy(t *testing.T) {
	pixels, classes := 1<<20, 5
	if !*long {
		pixels = 1 << 15
	}
	for kind, name := range sceneNames {
		c := sceneCase(newRand(uint64(kind)), kind, pixels, classes)
		want := oracle[float64]{c.cfg}.run(widen(c.logits), c.labels, 1)
		eachISA(t, func(t *testing.T) {
			got, grad := c.backward(t, 2)
			off := relativeNorm(widen(grad), want.grad)
			t.Logf("%s: loss %.9f, %.1e off; gradient %.1e off", name, got.Loss, math.Abs(got.Loss/want.Loss-1), off)
			if !within(got.Loss, want.Loss, 2e-6, 0) {
				t.Errorf("%s: loss %v, in float64 %v", name, got.Loss, want.Loss)
			}
			if off > 1e-5 {
				t.Errorf("%s: gradient is %.2g off", name, off)
			}
			binned := c
			binned.cfg.Method = Binned
			got, grad = binned.backward(t, 2)
			off = relativeNorm(widen(grad), want.grad)
			t.Logf("%s, binned: loss %.9f, %.1e off; gap %.1e; gradient %.1e off", name, got.Loss, math.Abs(got.Loss/want.Loss-1), got.Gap, off)
			if !within(got.Loss, want.Loss, 2e-6, got.Gap) {
				t.Errorf("%s, binned: loss %v with the gap %v, in float64 %v", name, got.Loss, got.Gap, want.Loss)
			}
			if off > 5e-4 {
				t.Errorf("%s, binned: gradient is %.2g off", name, off)
			}
		})
	}
}

// The configuration is copied: what the caller does with its slices later changes nothing.
func TestLovaszKeepsItsConfig(t *testing.T) {
	cfg := LovaszConfig{Classes: 3, OnlyClasses: []int{0, 1}, SkipClasses: []int{1}, VoidLabels: []int32{255}, Weights: []float32{1, 2, 3}}
	l := mustLovasz(t, cfg)
	counts, err := NewLovaszCounts(cfg)
	if err != nil {
		t.Fatal(err)
	}
	labels := []int32{0, 255, 2, 1}
	want, err := l.Forward(reportA, labels, 1)
	if err != nil {
		t.Fatal(err)
	}
	want = want.Clone()
	state := stateOf(t, counts)
	cfg.OnlyClasses[0], cfg.SkipClasses[0], cfg.VoidLabels[0], cfg.Weights[0] = 2, 0, 7, 100
	if !bytes.Equal(stateOf(t, counts), state) {
		t.Error("counts: the configuration that they carry changed")
	}
	if got, err := l.Forward(reportA, labels, 1); err != nil || sameResult(got, want) != "" {
		t.Errorf("%+v, %v; before the slices changed %+v", got, err, want)
	}
	if err := counts.Add(reportA, labels, 1); err != nil {
		t.Error(err)
	}
	if got := counts.Result(); !within(got.Loss, want.Loss, 1e-2, 0) {
		t.Errorf("counts: %v; want about %v", got.Loss, want.Loss)
	}
}

// After the first call nothing is allocated.
func TestLovaszAllocatesNothing(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		for i := range 2 * 2 * 2 * 2 * 3 {
			cfg := LovaszConfig{Classes: 5, Layout: Layout(i & 1), Method: Method(i >> 1 & 1), PerImage: i>>2&1 == 1, Activation: Activation(i >> 4),
				VoidLabels: []int32{255}, Workers: 1}
			if i>>3&1 == 1 {
				if cfg.Activation == NoActivation {
					continue
				}
				cfg.CrossEntropy = 1
			}
			c := sceneCase(newRand(1), sceneTrained, 6000, 5)
			if c.labels[7] = 255; cfg.Activation == NoActivation {
				SoftmaxRows(c.logits, c.logits, 5)
			}
			l := mustLovasz(t, cfg)
			grad := make([]float32, len(c.logits))
			var err error
			count := func(what string, f func()) {
				t.Helper()
				if n := testing.AllocsPerRun(5, f); n != 0 || err != nil {
					t.Errorf("%+v: %s allocates %v times (%v)", cfg, what, n, err)
				}
			}
			count("Forward", func() { _, err = l.Forward(c.logits, c.labels, 2) })
			count("Backward", func() { _, err = l.Backward(grad, c.logits, c.labels, 2) })
			count("Backward of less", func() { _, err = l.Backward(grad[:5000], c.logits[:5000], c.labels[:1000], 2) })
			if i < 16 {
				mask := make([]int32, len(c.labels))
				mask[3] = 1
				count("Hinge", func() { _, err = l.Hinge(grad[:len(mask)], c.logits[:len(mask)], mask, 2) })
			}
		}
	})
}

// Lovasz values share nothing that one could spoil for another.
func TestLovaszConcurrently(t *testing.T) {
	manyWorkers(t)
	cases := append(randomCases(11, 30), sceneCase(newRand(1), sceneTrained, 9000, 4))
	var group sync.WaitGroup
	for i, c := range cases {
		want, wantGrad := c.backward(t, 1)
		for range 2 {
			group.Go(func() {
				cfg := c.cfg
				cfg.Workers = 1 + i%3
				l, err := NewLovasz(cfg)
				if err != nil {
					t.Error(err)
					return
				}
				grad := make([]float32, len(c.logits))
				for range 3 {
					got, err := l.Backward(grad, c.logits, c.labels, c.images)
					if d := sameResult(got, want) + sameGradient(grad, wantGrad); err != nil || d != "" {
						t.Errorf("case %d, %+v: %v %s", i, cfg, err, d)
					}
				}
			})
		}
	}
	group.Wait()
}

// One Lovasz for inputs of every size, in any order: nothing of an earlier call shows in a later one.
func TestLovaszIsReused(t *testing.T) {
	for _, cfg := range []LovaszConfig{{Classes: 4, VoidLabels: []int32{255}}, {Classes: 4, Method: Binned},
		{Classes: 4, Activation: SigmoidActivation, CrossEntropy: 1, PerImage: true, Workers: 2}} {
		l := mustLovasz(t, cfg)
		rng := newRand(12)
		for range 60 {
			c := sceneCase(rng, rng.IntN(4), rng.IntN(3000)/6*6, 4)
			c.cfg = cfg
			c.images = 1 + rng.IntN(3)
			want, wantGrad := c.backward(t, 1)
			grad := make([]float32, len(c.logits))
			got, err := l.Backward(grad, c.logits, c.labels, c.images)
			if d := sameResult(got, want) + sameGradient(grad, wantGrad); err != nil || d != "" {
				t.Fatalf("%+v: %v %s", cfg, err, d)
			}
		}
	}
}

// More pixels than float32 has integers, and than 16 bits count, in one bin.
func TestLovaszManyPixels(t *testing.T) {
	if !*long {
		t.Skip("16 million pixels")
	}
	const n = 1<<24 + 64
	logits, labels := make([]float32, n), make([]int32, n)
	for i := range logits {
		logits[i] = float32(i&7) / 8 // eight values, each of 2 million pixels
		labels[i] = int32(i >> 2 & 1)
	}
	for i := range 64 {
		logits[i] = float32(i) / 64
		labels[i] = int32(i & 1)
	}
	e, foreground := make([]float32, n), make([]bool, n)
	for i, p := range logits {
		if e[i] = p; labels[i] == 1 {
			e[i], foreground[i] = 1-p, true
		}
	}
	for _, method := range []Method{Exact, Binned} {
		cfg := LovaszConfig{Classes: 1, Activation: NoActivation, Method: method}
		want := oracle[float32]{cfg}.class(e, foreground)
		got, grad := lossCase{cfg, logits, labels, 1}.backward(t, 2)
		if !sameFloat(got.Loss, want.loss) || !within(got.Gap, want.gap, 1e-11, 0) {
			t.Errorf("method %d: loss %v, gap %v; want %v, %v", method, got.Loss, got.Gap, want.loss, want.gap)
		}
		for i, w := range want.w {
			if foreground[i] {
				want.w[i] = -w
			}
		}
		if d := sameGradient(grad, want.w); d != "" {
			t.Errorf("method %d: %s, the second wanted", method, d)
		}
	}
}

// A binSet has the bins from one to another, and no others.
func TestBinSet(t *testing.T) {
	for lowest := range 200 {
		for _, highest := range []int{lowest, lowest + 1, lowest + 62, lowest + 63, lowest + 64, lowest + 200, binCount - 1} {
			var filled, added binSet
			filled.fill(lowest, highest)
			for i := lowest; i <= highest; i++ {
				added.add(i)
			}
			if filled != added || filled.len() != highest-lowest+1 {
				t.Errorf("from %d to %d there are %d bins", lowest, highest, filled.len())
			}
		}
	}
}

// TestBinnedManyPixels: no count and no sum of a bin overflows before it is added to the state, however many pixels it has, and whoever
// counts them.
func TestBinnedManyPixels(t *testing.T) {
	const pixels = 1<<25 + 54321
	e := math.Float32bits(0.7) | (1<<restBits - 1) // the last one of its bin
	onEveryISA(t, func(isa ISA) {
		for f := range uint32(2) {
			signed := slices.Repeat([]float32{negateWhere(math.Float32frombits(e), f)}, blockSize)
			var workers [2]worker
			for i := range workers {
				w := &workers[i]
				w.binned.use(&call{isa: isa}, w)
				w.binned.start(stats{top: oneBits, foreground: int64(f) * pixels}, pixels)
			}
			for left := pixels; left > 0; left -= len(signed) {
				workers[left/len(signed)%2].binned.count(signed[:min(left, len(signed))])
			}
			s, other := &workers[0].binned, &workers[1].binned
			if other.bins == nil {
				t.Fatal("packed never was full")
			}
			s.merge(other)
			got, want := s.bins[binOf(e)], bin{}
			want.count[f], want.rest[f] = pixels, pixels*(1<<restBits-1)
			if got != want {
				t.Errorf("%v, %d pixels: %+v, want %+v", isa, pixels, got, want)
			}
			loss, gap := s.weigh(nil, nil)
			if l, g := weighBins([]usedBin{{want, binOf(e)}}, int64(f)*pixels, 0, nil); loss != l || gap != g {
				t.Errorf("%v: loss %v and gap %v, want %v and %v", isa, loss, gap, l, g)
			}
			if left := append(s.bins.used(nil), other.bins.used(nil)...); len(left) > 0 {
				t.Errorf("%v: %v is left for the next class", isa, left)
			}
		}
	})
}
