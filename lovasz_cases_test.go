package lanewise

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
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
	cfg := LovaszConfig{Classes: C, Activation: Activation(r.n(3)), Layout: Layout(r.n(2)), Average: Average(r.n(2)), Void: VoidPolicy(r.n(2)),
		Method: Method(r.n(2)), PerImage: r.n(3) == 0}
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
		cfg.Weights = r.weights(C)
	}
	if r.n(3) == 0 && cfg.Activation != NoActivation {
		cfg.CrossEntropy = []float64{1, 0.25, 3}[r.n(3)]
	}
	c := lossCase{cfg: cfg, images: 1 + r.n(4)}
	pixels := r.n(300/c.images + 1)
	labelled, voids := C, r.n(5) // voids: none, a quarter, half, all, those of the first image
	if C == 1 {
		labelled = 2
	}
	first := r.n(labelled) // the labels below it are absent
	common := r.n(3)
	for at := range pixels * c.images {
		k := first + r.n(labelled-first)
		if common == 0 && r.n(16) > 0 {
			k = first
		}
		label := int32(k)
		if len(cfg.VoidLabels) > 0 && (voids == 3 || voids == 4 && at < pixels || voids < 3 && r.n(4) < voids) {
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
	if cfg.CrossEntropy > 0 {
		if r.n(2) == 0 {
			c.cfg.CrossEntropyWeights = r.weights(C)
		}
		c.cfg.LabelSmoothing = []float64{0, 0, 0.1, 0.5, 0.999}[r.n(5)]
	}
	return c
}

// weights returns weights of so many classes, some of them 0.
func (r *caseReader) weights(n int) []float32 {
	w, sum := make([]float32, n), float32(0)
	for k := range w {
		w[k] = []float32{0, 1, 2, 0.3, 1e-3}[r.n(5)]
		sum += w[k]
	}
	if sum == 0 {
		w[r.n(n)] = 2
	}
	return w
}

// decodeMasks makes a case with masks of any bytes.
func decodeMasks(data []byte) *waveCase {
	c := &waveCase{lossCase: decodeCase(data)}
	r := &caseReader{nil, newRand(uint64(len(c.labels))<<32 | uint64(len(data)))}
	for _, b := range data {
		r.rng = newRand(r.rng.Uint64() ^ uint64(b))
	}
	cfg := &c.cfg
	if cfg.Activation == SoftmaxActivation {
		cfg.Activation = SigmoidActivation
	}
	foreground, void := r.n(4), r.n(4) // none, some, half, nearly all; none, some, half, whole images
	pixels := len(c.labels) / c.images
	c.masks = make([]uint8, len(c.logits))
	o := oracle[float32]{*cfg}
	for at := range c.labels {
		voidImage := void == 3 && pixels > 0 && at/pixels%2 == 0
		for k := range cfg.Classes {
			i := o.index(at, k, pixels)
			if r.n(8) < []int{0, 1, 4, 7}[foreground] {
				c.masks[i] = 1
			}
			if voidImage || r.n(8) < []int{0, 1, 4, 1}[void] {
				c.masks[i] = byte(2 + r.n(254))
			}
			bad := c.logits[i] != c.logits[i] || c.logits[i]-c.logits[i] != 0 && (cfg.CrossEntropy > 0 || cfg.Activation == NoActivation)
			if bad = bad || cfg.Activation == NoActivation && !probable(c.logits[i]); !bad {
				continue
			}
			if cfg.Void == DropPixels {
				c.masks[i] = 255 // nobody looks
			} else {
				c.logits[i] = 0.5
			}
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
	g := oracle[float64]{c.cfg}.group(widen(c.logits), c.labels, nil, len(c.labels)/c.images, 0, len(c.labels))
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

// manyWorkers lets eight workers run at a time: a call has no more than that.
func manyWorkers(t testing.TB) {
	before := runtime.GOMAXPROCS(8)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
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

// onEveryISA runs f on every ISA of this CPU. It is what eachISA is, where there are no subtests.
func onEveryISA(t *testing.T, f func(isa ISA)) {
	before := ActiveISA()
	defer UseISA(before)
	for _, isa := range AvailableISAs() {
		if err := UseISA(isa); err != nil {
			t.Fatal(err)
		}
		f(isa)
	}
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
// few float64, whose order docs/numerics.md leaves open, within some roundings.
func againstRounded(got LovaszResult, grad []float32, want oracleResult[float32]) error {
	for k := range want.PerClass {
		if !within(got.PerClass[k], want.PerClass[k], 1e-15, 0) || want.PerImage == nil && !sameFloat(got.PerClass[k], want.PerClass[k]) {
			return fmt.Errorf("PerClass[%d] = %v, want %v", k, got.PerClass[k], want.PerClass[k])
		}
	}
	if (got.PerImage == nil) != (want.PerImage == nil) || !slices.EqualFunc(got.PerImage, want.PerImage,
		func(a, b float64) bool { return within(a, b, 1e-14, 0) }) {
		return fmt.Errorf("PerImage %v, want %v", got.PerImage, want.PerImage)
	}
	if !within(got.Lovasz, want.Lovasz, 1e-14, 0) || !within(got.Loss, want.Loss, 1e-14, 0) ||
		!within(got.CrossEntropy, want.CrossEntropy, 1e-14, 0) {
		return fmt.Errorf("loss %v = %v + λ·%v, want %v = %v + λ·%v", got.Loss, got.Lovasz, got.CrossEntropy, want.Loss, want.Lovasz,
			want.CrossEntropy)
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

// transposed returns [images, rows, cols] as [images, cols, rows].
func transposed[E any](x []E, images, rows, cols int) []E {
	out := make([]E, len(x))
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

const (
	sceneRandom = iota
	sceneConfident
	sceneTrained
	sceneUntrained
)

var sceneNames = []string{"random", "confident", "trained", "untrained"}

// scene returns logits and labels as networks have them: of no idea, of a good idea with 90 % of the pixels right, on rectangular regions
// with soft borders and blobs of errors and classes of very different frequency, and of a fresh network.
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
