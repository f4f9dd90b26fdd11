package lanewise

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A lossCase is a configuration and a valid input for it.
type lossCase struct {
	cfg    LovaszConfig
	logits []float32
	labels []int32
	images int
}

// caseReader turns bytes into choices, and goes on with pseudo-random ones when they are used up.
type caseReader struct {
	data []byte
	rng  *rand.Rand
}

func (r *caseReader) byte() byte {
	if len(r.data) == 0 {
		return byte(r.rng.Uint32())
	}
	b := r.data[0]
	r.data = r.data[1:]
	return b
}

// newRand returns a generator; the same one for the same seed.
func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

// n returns one of 0 … n−1, for n up to 65536.
func (r *caseReader) n(n int) int {
	if n <= 256 {
		return int(r.byte()) % n
	}
	return (int(r.byte()) | int(r.byte())<<8) % n
}

// ids returns some of 0 … n−1, in any order.
func (r *caseReader) ids(n int) []int {
	ids := []int{}
	for k := range n {
		if r.n(2) == 0 {
			ids = slices.Insert(ids, r.n(len(ids)+1), k)
		}
	}
	return ids
}

const valueKinds = 9

// value returns a logit; kinds differ in how large, how close and how often equal the values are.
func (r *caseReader) value(kind int) float32 {
	switch kind {
	case 0: // many ties, and zeros of both signs
		return []float32{0, float32(math.Copysign(0, -1)), 1, -1, 2}[r.n(5)]
	case 1:
		return float32(r.n(65536)-32768) / 8192
	case 2: // errors down to the last bits of float32, and ties at 0 and 1
		return float32(r.n(256)-128) / 4
	case 3:
		return []float32{1e30, -1e30, 90, -90, 104, -87.4, 0, 1e-30}[r.n(8)]
	case 4: // as if training had just begun
		return float32(r.n(65536)-32768) * 0x1p-22
	case 5: // any bits
		x := math.Float32frombits(uint32(r.n(65536)) | uint32(r.n(65536))<<16)
		if !(x > -1e30 && x < 1e30) { // the cross-entropy of larger ones is not finite
			return 0
		}
		return x
	case 6:
		return 0.5
	case 7:
		return float32(r.n(3)) * 4
	default: // close together, so that ties are bins rather than values
		return 1 + float32(r.n(64))*0x1p-15
	}
}

// probability returns what NoActivation accepts.
func (r *caseReader) probability(kind int) float32 {
	switch kind {
	case 0:
		return float32(r.n(5)) / 4
	case 1:
		return float32(r.n(65536)) / 65535
	case 2:
		return []float32{-0x1p-20, 1 + 0x1p-20, float32(math.Copysign(0, -1)), 1, 0.5}[r.n(5)]
	case 3: // around the smallest bin, and the smallest floats
		return []float32{0x1p-32, 0x1p-32 - 0x1p-56, 0x1p-33, 0x1p-149, 0x1p-126, 0x1p-31, 1 - 0x1p-24, 0}[r.n(8)]
	case 4:
		return float32(math.Ldexp(1+float64(r.n(65536))/65536, -1-r.n(36)))
	case 6:
		return 0.5
	default:
		return 0.25 + float32(r.n(64))*0x1p-15
	}
}

// decodeCase makes a case of any bytes.
func decodeCase(data []byte) lossCase {
	seed := uint64(len(data))
	for _, b := range data {
		seed = seed*0x100000001b3 ^ uint64(b)
	}
	r := &caseReader{data, newRand(seed)}
	C := 1 + r.n(8)
	cfg := LovaszConfig{Classes: C, Activation: Activation(r.n(3)), Layout: Layout(r.n(2)), Average: Average(r.n(2)), Void: VoidPolicy(r.n(2)), Method: Method(r.n(2)), PerImage: r.n(3) == 0}
	if C == 1 && cfg.Activation == SoftmaxActivation {
		cfg.Activation = SigmoidActivation
	}
	switch r.n(8) {
	case 0:
		if ids := r.ids(C); len(ids) > 0 {
			cfg.OnlyClasses = ids
		}
	case 1:
		cfg.SkipClasses = r.ids(C)
	case 2:
		cfg.OnlyClasses, cfg.SkipClasses = []int{r.n(C)}, []int{r.n(C)}
	}
	which := r.n(6)
	cfg.VoidLabels = [][]int32{nil, {255}, {-1, 255}, {int32(r.n(C))}, {255, 0}, {math.MaxInt32, math.MinInt32, 1}}[which]
	if r.n(3) == 0 {
		sum := float32(0)
		for range C {
			w := []float32{0, 1, 2, 0.3, 1e-3}[r.n(5)]
			cfg.Weights = append(cfg.Weights, w)
			sum += w
		}
		if sum == 0 {
			cfg.Weights[r.n(C)] = 2
		}
	}
	if r.n(3) == 0 && cfg.Activation != NoActivation {
		cfg.CrossEntropy = []float64{1, 0.25, 3}[r.n(3)]
	}
	c := lossCase{cfg: cfg, images: 1 + r.n(4)}
	pixels := r.n(300/c.images + 1)
	labelled, voids := C, r.n(4) // with fewer labelled classes the others are absent
	if C == 1 {
		labelled = 2
	}
	first := r.n(labelled)
	common := r.n(3)
	for range pixels * c.images {
		k := first + r.n(labelled-first)
		if common == 0 && r.n(16) > 0 {
			k = first
		}
		label := int32(k)
		if len(cfg.VoidLabels) > 0 && (voids == 3 || voids > 0 && r.n(4) < voids) {
			label = cfg.VoidLabels[r.n(len(cfg.VoidLabels))]
		}
		c.labels = append(c.labels, label)
	}
	kind := r.n(valueKinds)
	o := oracle[float32]{cfg}
	c.logits = make([]float32, len(c.labels)*C)
	infinite := r.n(4) == 0 && cfg.CrossEntropy == 0
	confident := r.n(3) == 0
	for at, label := range c.labels {
		finite := r.n(C)
		for k := range C {
			var x float32
			switch {
			case cfg.Void == DropPixels && slices.Contains(cfg.VoidLabels, label) && r.n(2) == 0:
				x = []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), 1e30}[r.n(4)] // nobody looks
			case cfg.Activation == NoActivation:
				x = r.probability(kind)
			case infinite && k != finite && r.n(8) == 0:
				x = float32(math.Inf(-1))
			case infinite && cfg.Activation == SigmoidActivation && r.n(8) == 0:
				x = float32(math.Inf(1))
			default:
				x = r.value(kind)
				if confident && o.foreground(oraclePixel[float32]{label: label}, k) {
					x += 12
				}
			}
			c.logits[o.index(at, k, pixels)] = x
		}
	}
	return c
}

// randomCases returns n cases of pseudo-random bytes.
func randomCases(seed uint64, n int) []lossCase {
	rng := newRand(seed)
	cases := make([]lossCase, n)
	for i := range cases {
		data := make([]byte, 40)
		for j := range data {
			data[j] = byte(rng.Uint32())
		}
		cases[i] = decodeCase(data)
	}
	return cases
}

// smoothCases returns cases whose loss is differentiable: no two errors of a class are close.
func smoothCases(n int) (cases []lossCase) {
	for i := 0; len(cases) < n; i++ {
		c := decodeCase([]byte{byte(i), byte(i / 8)})
		c.cfg.Method = Exact
		c.images = 1 + i%3
		pixels := 4
		rng := newRand(uint64(i))
		C := c.cfg.Classes
		c.labels, c.logits = nil, nil
		for range pixels * c.images {
			label := rng.Int32N(int32(max(2, C)))
			if len(c.cfg.VoidLabels) > 0 && rng.IntN(4) == 0 {
				label = c.cfg.VoidLabels[0]
			}
			c.labels = append(c.labels, label)
		}
		for range pixels * c.images * C {
			x := float32(rng.NormFloat64())
			if c.cfg.Activation == NoActivation {
				x = 0.1 + 0.8*rng.Float32()
			}
			c.logits = append(c.logits, x)
		}
		if smooth(c) {
			cases = append(cases, c)
		}
	}
	return cases
}

func smooth(c lossCase) bool {
	g := oracle[float64]{c.cfg}.group(widen(c.logits), c.labels, len(c.labels)/c.images, 0, len(c.labels))
	for k := range c.cfg.Classes {
		var e []float64
		for _, px := range g.px {
			p := px.p[k]
			if (oracle[float64]{c.cfg}).foreground(px, k) {
				p = 1 - p
			}
			e = append(e, p)
		}
		slices.Sort(e)
		for i := 1; i < len(e); i++ {
			if e[i]-e[i-1] < 1e-4 {
				return false
			}
		}
	}
	return true
}

// mustLovasz returns a Lovasz for a configuration that is right.
func mustLovasz(t testing.TB, cfg LovaszConfig) *Lovasz {
	t.Helper()
	l, err := NewLovasz(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// clone copies what the next call would overwrite.
func (r LovaszResult) clone() LovaszResult {
	r.PerClass, r.PerImage = slices.Clone(r.PerClass), slices.Clone(r.PerImage)
	return r
}

// backward runs a case with so many workers.
func (c lossCase) backward(t testing.TB, workers int) (LovaszResult, []float32) {
	t.Helper()
	c.cfg.Workers = workers
	grad := filled(len(c.logits), 7)
	res, err := mustLovasz(t, c.cfg).Backward(grad, c.logits, c.labels, c.images)
	if err != nil {
		t.Fatalf("%+v: %v", c.cfg, err)
	}
	return res, grad
}

func (c lossCase) forward(t testing.TB, workers int) LovaszResult {
	t.Helper()
	c.cfg.Workers = workers
	res, err := mustLovasz(t, c.cfg).Forward(c.logits, c.labels, c.images)
	if err != nil {
		t.Fatalf("%+v: %v", c.cfg, err)
	}
	return res
}

// filled returns n times v.
func filled(n int, v float32) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = v
	}
	return x
}

func sameFloat(a, b float64) bool {
	return math.Float64bits(a) == math.Float64bits(b) || a != a && b != b
}

// sameResult says where two results differ in a bit, or nothing.
func sameResult(a, b LovaszResult) string {
	for _, v := range []struct {
		name string
		a, b []float64
	}{
		{"Loss", []float64{a.Loss}, []float64{b.Loss}},
		{"Lovasz", []float64{a.Lovasz}, []float64{b.Lovasz}},
		{"CrossEntropy", []float64{a.CrossEntropy}, []float64{b.CrossEntropy}},
		{"Gap", []float64{a.Gap}, []float64{b.Gap}},
		{"PerClass", a.PerClass, b.PerClass},
		{"PerImage", a.PerImage, b.PerImage},
	} {
		if !slices.EqualFunc(v.a, v.b, sameFloat) {
			return fmt.Sprintf("%s: %v and %v", v.name, v.a, v.b)
		}
	}
	return ""
}

// sameGradient says where two gradients differ in a bit, or nothing.
func sameGradient(a, b []float32) string {
	if len(a) != len(b) {
		return fmt.Sprintf("%d and %d values", len(a), len(b))
	}
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			return fmt.Sprintf("grad[%d]: %g and %g", i, a[i], b[i])
		}
	}
	return ""
}

func within(a, b, relative, absolute float64) bool {
	return a == b || a != a && b != b || math.Abs(a-b) <= relative*math.Abs(b)+absolute
}

// againstRounded compares with the oracle that rounds as the package does: the bits of the classes' losses and of the gradient; sums of a
// few float64, whose order NUMERICS.md leaves open, within some roundings.
func againstRounded(got LovaszResult, grad []float32, want oracleResult[float32]) error {
	for k := range want.PerClass {
		if !within(got.PerClass[k], want.PerClass[k], 1e-15, 0) || want.PerImage == nil && !sameFloat(got.PerClass[k], want.PerClass[k]) {
			return fmt.Errorf("PerClass[%d] = %v, want %v", k, got.PerClass[k], want.PerClass[k])
		}
	}
	if (got.PerImage == nil) != (want.PerImage == nil) || !slices.EqualFunc(got.PerImage, want.PerImage, func(a, b float64) bool { return within(a, b, 1e-14, 0) }) {
		return fmt.Errorf("PerImage %v, want %v", got.PerImage, want.PerImage)
	}
	if !within(got.Lovasz, want.Lovasz, 1e-14, 0) || !within(got.Loss, want.Loss, 1e-14, 0) || !within(got.CrossEntropy, want.CrossEntropy, 1e-14, 0) {
		return fmt.Errorf("loss %v = %v + λ·%v, want %v = %v + λ·%v", got.Loss, got.Lovasz, got.CrossEntropy, want.Loss, want.Lovasz, want.CrossEntropy)
	}
	if !within(got.Gap, want.Gap, 1e-11, 0) {
		return fmt.Errorf("gap %v, want %v", got.Gap, want.Gap)
	}
	if grad != nil {
		if d := sameGradient(grad, want.grad); d != "" {
			return errors.New(d + ", the second wanted")
		}
	}
	return nil
}

// againstFloat64 compares the losses with the float64 oracle of the exact method.
func againstFloat64(cfg LovaszConfig, got LovaszResult, want oracleResult[float64]) error {
	const slack = 4e-7 // of float32 errors: Σ w is 1, so the loss moves no more than they do
	for k := range want.PerClass {
		lo, hi := want.PerClass[k], want.PerClass[k]
		if cfg.Method == Binned { // L' ≤ L ≤ (1 + 2⁻⁹)L' + 2⁻³²
			lo = (lo - 0x1p-32) / (1 + 0x1p-9)
		}
		g := got.PerClass[k]
		if !(g != g && lo != lo) && !(g >= lo*(1-2e-6)-slack && g <= hi*(1+2e-6)+slack) {
			return fmt.Errorf("PerClass[%d] = %v, in float64 %v", k, g, want.PerClass[k])
		}
	}
	if !within(got.CrossEntropy, want.CrossEntropy, 2e-6, 1e-6) {
		return fmt.Errorf("cross-entropy %v, in float64 %v", got.CrossEntropy, want.CrossEntropy)
	}
	return nil
}

// Every option, alone and combined, against the oracle: every ISA, with one worker and with several.
func TestLovaszAgainstOracle(t *testing.T) {
	n := 1500
	if testing.Short() {
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

// Where two groups of tied pixels, blocks, ranges of keys or counters of 16 bits might meet: sizes and data that the random cases do not reach.
func TestLovaszSizes(t *testing.T) {
	constant := func(int, int) float32 { return 0.5 }
	two := func(i, k int) float32 { return float32((i*7 + k*k) % 3 % 2) }
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
	sizes := []size{{200000, 2, constant}, {400000, 1, two}, {70000, 3, two}, {3, 9000, random}, {40, 300, confident}, {33, 65, two}}
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
			if s.classes == 9000 && testing.Short() {
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

// transposed returns [images, rows, cols] as [images, cols, rows].
func transposed(x []float32, images, rows, cols int) []float32 {
	out := make([]float32, len(x))
	for n := range images {
		for r := range rows {
			for c := range cols {
				out[(n*cols+c)*rows+r] = x[(n*rows+r)*cols+c]
			}
		}
	}
	return out
}

// pixelMajor returns the case in that layout.
func (c lossCase) pixelMajor() lossCase {
	if c.cfg.Layout == ClassMajor {
		c.logits = transposed(c.logits, c.images, c.cfg.Classes, len(c.labels)/c.images)
		c.cfg.Layout = PixelMajor
	}
	return c
}

// Neither the layout, nor the number of workers, nor the ISA, nor a gradient that overwrites the logits changes a bit.
func TestLovaszSameBits(t *testing.T) {
	type result struct {
		res  LovaszResult
		grad []float32
	}
	cases := append(randomCases(2, 200), sceneCase(newRand(3), sceneTrained, 20000, 5))
	want := make([]result, len(cases))
	for i, c := range cases {
		c = c.pixelMajor()
		cases[i] = c
		res, grad := c.backward(t, 1)
		want[i] = result{res.clone(), grad}
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
		want = want.clone()
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
		want = want.clone()
		c.cfg.Weights = filled(c.cfg.Classes, 2)
		got, grad := c.backward(t, 1)
		if !within(got.Loss, want.Loss, 1e-15, 0) || !within(got.Gap, want.Gap, 1e-14, 0) || !slices.EqualFunc(got.PerClass, want.PerClass, sameFloat) {
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
		c.cfg.CrossEntropy = 0
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
			if got := c.forward(t, 1); got.Gap != 0 || !within(got.Lovasz, exact, 1e-7, 0) {
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
	g := o.group(c.logits, c.labels, len(c.labels)/c.images, 0, len(c.labels))
	k := c.cfg.OnlyClasses[0]
	var e []float64
	var fg []bool
	for _, px := range g.px {
		p, f := px.p[k], o.foreground(px, k)
		if f {
			p = 1 - p
		}
		e, fg = append(e, float64(min(max(p, 0), 1))), append(fg, f)
	}
	if len(e) == 0 {
		return 0
	}
	return oracle[float64]{LovaszConfig{}}.class(e, fg).loss
}

// randomHinge returns scores that are often equal, often exactly on the margin, and sometimes large.
func randomHinge(data []byte) lossCase {
	c := decodeCase(data)
	seed := uint64(c.images)
	for _, b := range data {
		seed = seed*31 + uint64(b)
	}
	r := &caseReader{data, newRand(seed)}
	c.cfg = LovaszConfig{Classes: 1, Activation: NoActivation, VoidLabels: c.cfg.VoidLabels, Void: c.cfg.Void, PerImage: c.cfg.PerImage}
	kind := r.n(valueKinds)
	c.logits = nil
	for i, label := range c.labels {
		if label < 0 || label > 1 {
			c.labels[i] &= 1
		}
		if len(c.cfg.VoidLabels) > 0 && r.n(4) == 0 {
			c.labels[i] = c.cfg.VoidLabels[0]
		}
		x := r.value(kind)
		if slices.Contains(c.cfg.VoidLabels, c.labels[i]) && c.cfg.Void == DropPixels && r.n(2) == 0 {
			x = float32(math.NaN())
		}
		c.logits = append(c.logits, x)
	}
	return c
}

func (c lossCase) hinge(t testing.TB, workers int) (LovaszResult, []float32) {
	t.Helper()
	c.cfg.Workers = workers
	grad := filled(len(c.logits), 7)
	res, err := mustLovasz(t, c.cfg).Hinge(grad, c.logits, c.labels, c.images)
	if err != nil {
		t.Fatalf("%+v: %v", c.cfg, err)
	}
	return res, grad
}

func againstHinge(got LovaszResult, grad []float32, want oracleResult[float32]) error {
	if got.PerClass != nil || got.Gap != 0 || got.CrossEntropy != 0 {
		return fmt.Errorf("PerClass %v, Gap %v, CrossEntropy %v", got.PerClass, got.Gap, got.CrossEntropy)
	}
	return againstRounded(got, grad, want)
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

const (
	sceneRandom = iota
	sceneConfident
	sceneTrained
	sceneUntrained
)

var sceneNames = []string{"random", "confident", "trained", "untrained"}

// scene returns logits and labels as networks have them: of no idea, of a good idea with 90 % of the pixels right, on rectangular regions with
// soft borders and blobs of errors and classes of very different frequency, and of a fresh network.
func sceneCase(rng *rand.Rand, kind, pixels, classes int) lossCase {
	c := lossCase{cfg: LovaszConfig{Classes: classes}, logits: make([]float32, pixels*classes), labels: make([]int32, pixels), images: 1}
	hash := func(a, b int) int {
		h := uint64(a)*0x9E3779B97F4A7C15 ^ uint64(b)*0xC2B2AE3D27D4EB4F
		h ^= h >> 29
		h *= 0xBF58476D1CE4E5B9
		return int((h ^ h>>32) & 0x7fffffff)
	}
	const width = 256
	for i := range pixels {
		x := c.logits[i*classes : (i+1)*classes]
		for k := range x {
			x[k] = float32(rng.NormFloat64())
		}
		c.labels[i] = rng.Int32N(int32(classes))
		switch kind {
		case sceneConfident:
			if rng.Float32() < 0.9 {
				x[c.labels[i]] += 12
			}
		case sceneUntrained:
			for k := range x {
				x[k] *= 0.01
			}
		case sceneTrained:
			row, col := i/width, i%width
			h := hash(row/37, col/53)
			f := float64(h&0xffff) / 65536
			k := int(float64(classes) * f * f)
			c.labels[i] = int32(k)
			margin := 9 + 2*(float64(h>>16&255)/128-1) + 0.7*rng.NormFloat64()
			if min(row%37, col%53) < 2 {
				margin *= rng.Float64()*1.3 - 0.3
			}
			if hash(row/12+7777, col/12+33)%100 < 3 {
				k = (k + 1 + hash(row/12, col/12)%(classes-1)) % classes
				margin = 4 + rng.NormFloat64()
			}
			x[k] += float32(margin)
		}
	}
	return c
}

// What the project promises: the loss within 2e-6 and the gradient within 1e-5 of the float64 reference, and with Binned within 5e-4.
func TestLovaszAccuracy(t *testing.T) {
	pixels, classes := 1<<20, 5
	if testing.Short() {
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

func TestNewLovaszErrors(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		name string
		cfg  LovaszConfig
	}{
		{"no classes", LovaszConfig{}},
		{"negative classes", LovaszConfig{Classes: -1}},
		{"least classes", LovaszConfig{Classes: math.MinInt}},
		{"one class with softmax", LovaszConfig{Classes: 1}},
		{"layout", LovaszConfig{Classes: 3, Layout: 2}},
		{"activation", LovaszConfig{Classes: 3, Activation: 3}},
		{"average", LovaszConfig{Classes: 3, Average: 2}},
		{"void", LovaszConfig{Classes: 3, Void: 2}},
		{"method", LovaszConfig{Classes: 3, Method: 2}},
		{"largest method", LovaszConfig{Classes: 3, Method: 255}},
		{"empty OnlyClasses", LovaszConfig{Classes: 3, OnlyClasses: []int{}}},
		{"repeated OnlyClasses", LovaszConfig{Classes: 3, OnlyClasses: []int{2, 0, 2}}},
		{"unknown OnlyClasses", LovaszConfig{Classes: 3, OnlyClasses: []int{3}}},
		{"negative OnlyClasses", LovaszConfig{Classes: 3, OnlyClasses: []int{0, -1}}},
		{"repeated SkipClasses", LovaszConfig{Classes: 3, SkipClasses: []int{1, 1}}},
		{"unknown SkipClasses", LovaszConfig{Classes: 3, SkipClasses: []int{0, 3}}},
		{"negative SkipClasses", LovaszConfig{Classes: 3, SkipClasses: []int{-1}}},
		{"class 1 of a mask", LovaszConfig{Classes: 1, Activation: SigmoidActivation, OnlyClasses: []int{1}}},
		{"few weights", LovaszConfig{Classes: 3, Weights: []float32{1, 2}}},
		{"many weights", LovaszConfig{Classes: 3, Weights: []float32{1, 2, 3, 4}}},
		{"empty weights", LovaszConfig{Classes: 3, Weights: []float32{}}},
		{"negative weight", LovaszConfig{Classes: 3, Weights: []float32{1, -2, 3}}},
		{"NaN weight", LovaszConfig{Classes: 3, Weights: []float32{1, float32(nan), 3}}},
		{"infinite weight", LovaszConfig{Classes: 3, Weights: []float32{1, float32(inf), 3}}},
		{"weights of 0", LovaszConfig{Classes: 3, Weights: []float32{0, 0, 0}}},
		{"NaN λ", LovaszConfig{Classes: 3, CrossEntropy: nan}},
		{"negative λ", LovaszConfig{Classes: 3, CrossEntropy: -1}},
		{"λ of probabilities", LovaszConfig{Classes: 3, Activation: NoActivation, CrossEntropy: 1}},
		{"negative workers", LovaszConfig{Classes: 3, Workers: -1}},
	} {
		l, err := NewLovasz(c.cfg)
		if l != nil || !errors.Is(err, ErrConfig) || !strings.HasPrefix(err.Error(), "lanewise: ") {
			t.Errorf("%s: %v, %v; want ErrConfig", c.name, l, err)
		}
		if c.cfg.CrossEntropy = 0; c.name == "NaN λ" || c.name == "negative λ" || c.name == "λ of probabilities" {
			continue
		}
		if s, err := NewLovaszCounts(c.cfg); s != nil || !errors.Is(err, ErrConfig) {
			t.Errorf("%s: NewLovaszCounts: %v, %v; want ErrConfig", c.name, s, err)
		}
	}
	for _, cfg := range []LovaszConfig{
		{Classes: 2},
		{Classes: 1, Activation: SigmoidActivation, OnlyClasses: []int{0}, SkipClasses: []int{0}},
		{Classes: 1, Activation: NoActivation, VoidLabels: []int32{0, 1, -5}},
		{Classes: 3, SkipClasses: []int{2, 0, 1}, OnlyClasses: []int{1, 0}, Weights: []float32{0, 0, math.SmallestNonzeroFloat32}, Workers: 1000},
		{Classes: 3, SkipClasses: []int{}, VoidLabels: []int32{}, Weights: []float32{math.MaxFloat32, math.MaxFloat32, 1}},
	} {
		if _, err := NewLovasz(cfg); err != nil {
			t.Errorf("%+v: %v", cfg, err)
		}
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
	want = want.clone()
	cfg.OnlyClasses[0], cfg.SkipClasses[0], cfg.VoidLabels[0], cfg.Weights[0] = 2, 0, 7, 100
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

// badInput is an input with something wrong at one pixel.
type badInput struct {
	name         string
	cfg          LovaszConfig
	spoil        func(logits []float32, labels []int32) // of [6, C], PixelMajor
	is           error
	pixel, class int
	text         string
}

func badInputs() []badInput {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	logit := func(pixel, class int, v float32) func([]float32, []int32) {
		return func(logits []float32, labels []int32) { logits[pixel*len(logits)/len(labels)+class] = v }
	}
	label := func(pixel int, v int32) func([]float32, []int32) {
		return func(_ []float32, labels []int32) { labels[pixel] = v }
	}
	row := func(pixel int, v ...float32) func([]float32, []int32) {
		return func(logits []float32, labels []int32) { copy(logits[pixel*len(v):], v) }
	}
	both := func(f ...func([]float32, []int32)) func([]float32, []int32) {
		return func(logits []float32, labels []int32) {
			for _, g := range f {
				g(logits, labels)
			}
		}
	}
	softmax := LovaszConfig{Classes: 3, VoidLabels: []int32{255}}
	entropy := LovaszConfig{Classes: 3, VoidLabels: []int32{255}, CrossEntropy: 1}
	sigmoid := LovaszConfig{Classes: 3, Activation: SigmoidActivation, VoidLabels: []int32{255}}
	binary := LovaszConfig{Classes: 3, Activation: SigmoidActivation, VoidLabels: []int32{255}, CrossEntropy: 1}
	background := LovaszConfig{Classes: 3, VoidLabels: []int32{255}, Void: AsBackground}
	mask := LovaszConfig{Classes: 1, Activation: SigmoidActivation, VoidLabels: []int32{255}}
	probabilities := LovaszConfig{Classes: 3, Activation: NoActivation, VoidLabels: []int32{255}}
	return []badInput{
		{"NaN", softmax, logit(3, 2, nan), ErrNotFinite, 3, 2, "lanewise: logit of pixel 3, class 2 is NaN"},
		{"+Inf", softmax, logit(5, 0, inf), ErrNotFinite, 5, 0, ""},
		{"all −Inf", softmax, row(4, -inf, -inf, -inf), ErrNotFinite, 4, 0, ""},
		{"NaN after −Inf", softmax, row(0, -inf, nan, 1), ErrNotFinite, 0, 1, ""},
		{"NaN as background", background, both(label(2, 255), logit(2, 1, nan)), ErrNotFinite, 2, 1, ""},
		{"all −Inf as background", background, both(label(2, 255), row(2, -inf, -inf, -inf)), ErrNotFinite, 2, 0, ""},
		{"label too large", softmax, label(4, 3), ErrLabel, 4, -1, "lanewise: label 3 at pixel 4 is outside [0, 3) and not in VoidLabels"},
		{"negative label", softmax, label(0, -1), ErrLabel, 0, -1, "lanewise: label -1 at pixel 0 is outside [0, 3) and not in VoidLabels"},
		{"largest label", softmax, label(5, math.MaxInt32), ErrLabel, 5, -1, ""},
		{"least label", softmax, label(5, math.MinInt32), ErrLabel, 5, -1, ""},
		{"label 256", softmax, label(5, 256), ErrLabel, 5, -1, ""},
		{"mask label", mask, label(3, 2), ErrLabel, 3, -1, ""},
		{"mask NaN", mask, logit(3, 0, nan), ErrNotFinite, 3, 0, ""},
		{"sigmoid NaN", sigmoid, logit(1, 1, nan), ErrNotFinite, 1, 1, ""},
		{"−Inf at the label with cross-entropy", entropy, both(label(2, 1), logit(2, 1, -inf)), ErrNotFinite, 2, 1, ""},
		{"sigmoid −Inf with cross-entropy", binary, both(label(2, 1), logit(2, 0, -inf)), ErrNotFinite, 2, 0, ""},
		{"sigmoid +Inf with cross-entropy", binary, both(label(2, 1), logit(2, 1, inf)), ErrNotFinite, 2, 1, ""},
		{"probability", probabilities, logit(2, 2, 1.5), ErrRange, 2, 2, ""},
		{"negative probability", probabilities, logit(2, 2, -0.01), ErrRange, 2, 2, ""},
		{"probability NaN", probabilities, logit(2, 2, nan), ErrNotFinite, 2, 2, ""},
		{"the first of two logits", softmax, both(logit(4, 0, nan), logit(1, 2, inf)), ErrNotFinite, 1, 2, ""},
		{"the first of a label and a logit", softmax, both(logit(4, 0, nan), label(1, 9)), ErrLabel, 1, -1, ""},
		{"the first of a logit and a label", softmax, both(logit(1, 0, nan), label(4, 9)), ErrNotFinite, 1, 0, ""},
		{"the first of two probabilities", probabilities, both(logit(3, 1, nan), logit(2, 2, 7)), ErrRange, 2, 2, ""},
	}
}

// Everything that can be wrong with a pixel: the first one is named, whatever the layout and the workers; the gradient holds what it held;
// the next call is right.
func TestLovaszPixelErrors(t *testing.T) {
	for _, c := range badInputs() {
		t.Run(c.name, func(t *testing.T) {
			eachISA(t, func(t *testing.T) {
				for i := range 12 {
					cfg := c.cfg
					cfg.Layout, cfg.Method, cfg.PerImage, cfg.Workers = Layout(i&1), Method(i>>1&1), i%3 == 0, []int{1, 2, 5}[i>>2]
					C := cfg.Classes
					// the bad pixels stand far apart, so that several workers meet one
					const images, stride = 2, 1000
					const pixels = 6 * stride / images
					logits, labels := make([]float32, 6*stride*C), make([]int32, 6*stride)
					for j := range logits {
						logits[j] = float32(j*j%8) / 8
					}
					goodLogits := slices.Clone(logits)
					goodLabels := slices.Clone(labels)
					spoiled, spoiledLabels := slices.Clone(logits[:6*C]), slices.Clone(labels[:6])
					c.spoil(spoiled, spoiledLabels)
					for p := range 6 {
						copy(logits[p*stride*C:], spoiled[p*C:(p+1)*C])
						labels[p*stride] = spoiledLabels[p]
					}
					if cfg.Layout == ClassMajor {
						logits = transposed(logits, images, pixels, C)
						goodLogits = transposed(goodLogits, images, pixels, C)
					}
					l := mustLovasz(t, cfg)
					grad := filled(len(logits), 7)
					res, err := l.Backward(grad, logits, labels, images)
					wantPixelError(t, err, c.is, c.pixel*stride, c.class)
					if res.Loss != res.Loss || !slices.Equal(grad, filled(len(grad), 7)) {
						t.Errorf("%+v: loss %v, or the gradient was written to", cfg, res.Loss)
					}
					_, err = l.Forward(logits, labels, images)
					wantPixelError(t, err, c.is, c.pixel*stride, c.class)
					// in place, the logits must survive
					before := slices.Clone(logits)
					_, err = l.Backward(logits, logits, labels, images)
					wantPixelError(t, err, c.is, c.pixel*stride, c.class)
					if d := sameGradient(logits, before); d != "" {
						t.Errorf("%+v: in place: %s", cfg, d)
					}
					got, err := l.Backward(grad, goodLogits, goodLabels, images)
					if err != nil {
						t.Fatal(err)
					}
					want, wantGrad := lossCase{cfg, goodLogits, goodLabels, images}.backward(t, 1)
					if d := sameResult(got, want) + sameGradient(grad, wantGrad); d != "" {
						t.Errorf("%+v: the call after an error: %s", cfg, d)
					}
					if !cfg.PerImage && cfg.CrossEntropy == 0 {
						counts, err := NewLovaszCounts(cfg)
						if err != nil {
							t.Fatal(err)
						}
						wantPixelError(t, counts.Add(logits, labels, images), c.is, c.pixel*stride, c.class)
						wantPixelError(t, counts.Backward(grad, logits, labels, images), c.is, c.pixel*stride, c.class)
					}
				}
			})
		})
	}
}

// The texts of API.md.
func TestLovaszErrorTexts(t *testing.T) {
	for _, c := range badInputs() {
		if c.text == "" {
			continue
		}
		logits, labels := make([]float32, 6*c.cfg.Classes), make([]int32, 6)
		c.spoil(logits, labels)
		if _, err := mustLovasz(t, c.cfg).Forward(logits, labels, 1); err == nil || err.Error() != c.text {
			t.Errorf("error %q, want %q", err, c.text)
		}
	}
	_, err := mustLovasz(t, LovaszConfig{Classes: 21}).Forward(make([]float32, 100), make([]int32, 20), 2)
	if text := "lanewise: logits hold 100 values, want 2 images × 10 pixels × 21 classes"; err == nil || err.Error() != text {
		t.Errorf("error %q, want %q", err, text)
	}
}

func TestLovaszGradShape(t *testing.T) {
	l := mustLovasz(t, LovaszConfig{Classes: 3})
	memory := filled(24, 7)
	logits, labels := memory[6:18], make([]int32, 4)
	for name, grad := range map[string][]float32{
		"nil":               nil,
		"empty":             {},
		"short":             make([]float32, 11),
		"long":              make([]float32, 13),
		"overlaps by one":   memory[7:19],
		"overlaps the end":  memory[:12],
		"overlaps one more": memory[6:19],
	} {
		if _, err := l.Backward(grad, logits, labels, 1); !errors.Is(err, ErrShape) {
			t.Errorf("gradient %s: %v, want ErrShape", name, err)
		}
	}
	scores, mask := memory[6:10], []int32{0, 1, 0, 1}
	for name, grad := range map[string][]float32{"empty": {}, "short": make([]float32, 3), "long": make([]float32, 5), "overlaps": memory[8:12]} {
		if _, err := l.Hinge(grad, scores, mask, 1); !errors.Is(err, ErrShape) {
			t.Errorf("Hinge's gradient %s: %v, want ErrShape", name, err)
		}
	}
	if !slices.Equal(memory, filled(24, 7)) {
		t.Errorf("something was written: %v", memory)
	}
	// neighbours are no overlap
	if _, err := l.Backward(memory[:12], memory[12:], labels, 1); err != nil {
		t.Error(err)
	}
}

func TestHingeErrors(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, workers := range []int{1, 3} {
		for _, void := range []VoidPolicy{DropPixels, AsBackground} {
			l := mustLovasz(t, LovaszConfig{Classes: 1, Activation: NoActivation, VoidLabels: []int32{255}, Void: void, Workers: workers})
			grad := filled(4, 7)
			scores, mask := []float32{1, 2, 3, 4}, []int32{0, 1, 255, 1}
			for _, v := range []float32{nan, inf, -inf} {
				scores[3], scores[1] = v, v
				_, err := l.Hinge(grad, scores, mask, 1)
				wantPixelError(t, err, ErrNotFinite, 1, 0)
				scores[3], scores[1] = 4, 2
			}
			scores[2] = nan
			_, err := l.Hinge(grad, scores, mask, 1)
			if void == AsBackground {
				wantPixelError(t, err, ErrNotFinite, 2, 0)
			} else if err != nil || grad[2] != 0 {
				t.Errorf("NaN in a dropped pixel: %v, gradient %v", err, grad)
			}
			scores[2] = 3
			copy(grad, []float32{7, 7, 7, 7})
			for _, label := range []int32{2, -1, 256} {
				mask[3] = label
				_, err := l.Hinge(grad, scores, mask, 1)
				wantPixelError(t, err, ErrLabel, 3, -1)
				mask[3] = 1
			}
			for _, images := range []int{0, -1, 3, 5, math.MinInt} {
				if _, err := l.Hinge(grad, scores, mask, images); !errors.Is(err, ErrShape) {
					t.Errorf("%d images: %v", images, err)
				}
			}
			if !slices.Equal(grad, []float32{7, 7, 7, 7}) {
				t.Errorf("an error left the gradient %v", grad)
			}
			if got, err := l.Hinge(nil, nil, nil, 1); err != nil || got.Loss != 0 {
				t.Errorf("no pixel: %v, %v", got, err)
			}
		}
	}
}

// After the first call nothing is allocated.
func TestLovaszAllocatesNothing(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		for i := range 2 * 2 * 2 * 2 * 3 {
			cfg := LovaszConfig{Classes: 5, Layout: Layout(i & 1), Method: Method(i >> 1 & 1), PerImage: i>>2&1 == 1, Activation: Activation(i >> 4), VoidLabels: []int32{255}, Workers: 1}
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
	cases := append(randomCases(11, 30), sceneCase(newRand(1), sceneTrained, 9000, 4))
	var group sync.WaitGroup
	for i, c := range cases {
		want, wantGrad := c.backward(t, 1)
		for range 2 {
			group.Go(func() {
				c.cfg.Workers = 1 + i%3
				l, err := NewLovasz(c.cfg)
				if err != nil {
					t.Error(err)
					return
				}
				grad := make([]float32, len(c.logits))
				for range 3 {
					got, err := l.Backward(grad, c.logits, c.labels, c.images)
					if d := sameResult(got, want) + sameGradient(grad, wantGrad); err != nil || d != "" {
						t.Errorf("case %d, %+v: %v %s", i, c.cfg, err, d)
					}
				}
			})
		}
	}
	group.Wait()
}

// One Lovasz for inputs of every size, in any order: nothing of an earlier call shows in a later one.
func TestLovaszIsReused(t *testing.T) {
	for _, cfg := range []LovaszConfig{{Classes: 4, VoidLabels: []int32{255}}, {Classes: 4, Method: Binned}, {Classes: 4, Activation: SigmoidActivation, CrossEntropy: 1, PerImage: true, Workers: 2}} {
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
	if testing.Short() {
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

// Numbers that are right by the letter, but must not cost what they say.
func TestLovaszExtremes(t *testing.T) {
	cfg := LovaszConfig{Classes: 2, Workers: math.MaxInt}
	want := mustLovasz(t, LovaszConfig{Classes: 2})
	r, err := want.Forward([]float32{1, 2}, []int32{0}, 1)
	if err != nil {
		t.Fatal(err)
	}
	got, err := mustLovasz(t, cfg).Forward([]float32{1, 2}, []int32{0}, 1)
	if d := sameResult(got, r); err != nil || d != "" {
		t.Errorf("as many workers as there are numbers: %v %s", err, d)
	}
	for _, perImage := range []bool{false, true} {
		l := mustLovasz(t, LovaszConfig{Classes: 2, PerImage: perImage})
		if got, err := l.Forward(nil, nil, math.MaxInt); got.Loss != 0 || err != nil && !errors.Is(err, ErrShape) {
			t.Errorf("no pixel in as many images: %v, %v", got.Loss, err)
		}
		if got, err := l.Hinge(nil, nil, nil, math.MaxInt); got.Loss != 0 || err != nil && !errors.Is(err, ErrShape) {
			t.Errorf("hinge: no pixel in as many images: %v, %v", got.Loss, err)
		}
	}
}
