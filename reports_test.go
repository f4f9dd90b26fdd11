package lanewise

import (
	"errors"
	"math"
	"runtime"
	"slices"
	"testing"
)

// What users of other implementations of the loss ran into, and the right answer: values are float64 ones of the seed algorithm.

var (
	reportA = []float32{2, 0, -1, 0, 1, 0, 1, 1, 3, 0.5, -0.5, 0} // [4, 3]
	reportB = []float32{1, 0, 0, 1, 2, -1}                        // [3, 2]
)

func TestReportedLosses(t *testing.T) {
	inf := float32(math.Inf(1))
	void := []int32{255}
	junk := slices.Clone(reportA)
	copy(junk[3:], []float32{1e30, -1e30, 1e30})
	copy(junk[9:], []float32{-inf, 0, 0})
	nan := float32(math.NaN())
	junkNaN := slices.Clone(reportA)
	copy(junkNaN[3:], []float32{nan, nan, nan})
	copy(junkNaN[9:], []float32{nan, inf, -inf})
	planes := []float32{1, 2, 0, 0, 3, 1, 2, 0, 4}
	for _, c := range []struct {
		name     string
		cfg      LovaszConfig
		logits   []float32
		labels   []int32
		loss     float64
		perClass []float64
		grad     []float64
	}{
		{"nothing but void pixels", LovaszConfig{Classes: 3, VoidLabels: void}, reportA, []int32{255, 255, 255, 255}, 0,
			[]float64{math.NaN(), math.NaN(), math.NaN()}, make([]float64, 12)},
		{"nothing but void pixels, all classes", LovaszConfig{Classes: 3, VoidLabels: void, Average: AllClasses}, reportA,
			[]int32{255, 255, 255, 255}, 0,
			[]float64{math.NaN(), math.NaN(), math.NaN()}, make([]float64, 12)},
		{"void dropped", LovaszConfig{Classes: 3, VoidLabels: void}, reportA, []int32{0, 255, 0, 255}, 0.524849143, nil, nil},
		{"void as background", LovaszConfig{Classes: 3, VoidLabels: void, Void: AsBackground}, reportA, []int32{0, 255, 0, 255}, 0.587873022, nil, nil},
		{"void logits large or −Inf", LovaszConfig{Classes: 3, VoidLabels: void}, junk, []int32{0, 255, 0, 255}, 0.524849143, nil, nil},
		{"void logits NaN", LovaszConfig{Classes: 3, VoidLabels: void}, junkNaN, []int32{0, 255, 0, 255}, 0.524849143, nil, nil},
		{"a class that is void", LovaszConfig{Classes: 3, VoidLabels: []int32{0}}, reportA, []int32{0, 1, 2, 0}, 0.318448537, nil, nil},
		{"a class that is void, all classes", LovaszConfig{Classes: 3, VoidLabels: []int32{0}, Average: AllClasses}, reportA, []int32{0, 1, 2, 0}, 0.28294621, nil, nil},
		{"absent class asked for", LovaszConfig{Classes: 2, OnlyClasses: []int{1}}, reportB, []int32{0, 0, 0}, 0.731058579, nil, []float64{0, 0, -0.1966119, 0.1966119, 0, 0}},
		{"absent class", LovaszConfig{Classes: 2}, reportB, []int32{0, 0, 0}, 0.349141958, nil, nil},
		{"absent class, all classes", LovaszConfig{Classes: 2, Average: AllClasses}, reportB, []int32{0, 0, 0}, 0.540100268, nil, nil},
		{"rows", LovaszConfig{Classes: 3}, planes, []int32{0, 1, 2}, 0.433060436, nil, nil},
		{"planes", LovaszConfig{Classes: 3, Layout: ClassMajor}, planes, []int32{0, 1, 2}, 0.471462573, nil, nil},
		{"class ids", LovaszConfig{Classes: 3}, reportA, []int32{2, 2, 0, 1}, 0.860064495, []float64{0.89349302, 0.81367628, 0.87302419}, nil},
		{"equal weights", LovaszConfig{Classes: 3, Weights: []float32{2, 2, 2}}, reportA, []int32{2, 2, 0, 1}, 0.860064495, nil, nil},
		{"weights", LovaszConfig{Classes: 3, Weights: []float32{1, 0, 3}}, reportA, []int32{2, 2, 0, 1}, 0.878141396, []float64{0.89349302, 0.81367628, 0.87302419}, nil},
		{"probabilities", LovaszConfig{Classes: 2, Activation: NoActivation}, []float32{.2, .8, .7, .3, .9, .1}, []int32{1, 0, 1}, 0.583333333, nil, nil},
		{"a mask", LovaszConfig{Classes: 1, Activation: SigmoidActivation}, []float32{2, -1, .5}, []int32{1, 0, 1}, 0.273328212, nil, []float64{-0.0349978618, 0.0327686555, -0.117501856}},
		{"first half", LovaszConfig{Classes: 3}, reportA[:6], []int32{2, 2}, 0.873024188, nil, nil},
		{"second half", LovaszConfig{Classes: 3}, reportA[6:], []int32{0, 1}, 0.853584649, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if want := (oracle[float64]{c.cfg}).run(widen(c.logits), c.labels, 1); !within(want.Loss, c.loss, 1e-8, 0) {
				t.Errorf("the oracle gives %.10g, want %.10g", want.Loss, c.loss)
			}
			eachISA(t, func(t *testing.T) {
				for _, workers := range []int{1, 3} {
					got, grad := lossCase{c.cfg, c.logits, c.labels, 1}.backward(t, workers)
					if !within(got.Loss, c.loss, 2e-7, 0) || got.Lovasz != got.Loss {
						t.Errorf("loss %.10g, want %.10g", got.Loss, c.loss)
					}
					if c.perClass != nil && !slices.EqualFunc(got.PerClass, c.perClass, func(a, b float64) bool { return within(a, b, 2e-7, 0) }) {
						t.Errorf("per class %v, want %v", got.PerClass, c.perClass)
					}
					if c.grad != nil && !slices.EqualFunc(widen(grad), c.grad, func(a, b float64) bool { return within(a, b, 0, 1e-7) }) {
						t.Errorf("gradient %v, want %v", grad, c.grad)
					}
				}
			})
		})
	}
}

// The reference, in one call, takes label 255 for background.
func TestLovaszSoftmaxIsTheReference(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		for _, c := range []struct {
			labels []int32
			want   float64
		}{
			{[]int32{2, 2, 0, 1}, 0.860064495},
			{[]int32{0, 255, 0, 255}, 0.587873022},
			{[]int32{255, 255, 255, 255}, 0},
		} {
			if got, err := LovaszSoftmax(reportA, c.labels, 3); err != nil || !within(got, c.want, 2e-7, 0) {
				t.Errorf("labels %v: %v, %v; want %v", c.labels, got, err, c.want)
			}
		}
	})
	if got, err := LovaszSoftmax(nil, nil, 3); got != 0 || err != nil {
		t.Errorf("no pixel: %v, %v", got, err)
	}
	if _, err := LovaszSoftmax(reportA, []int32{0, 1, 3, 0}, 3); !errors.Is(err, ErrLabel) {
		t.Errorf("label 3 of 3 classes: %v", err)
	}
	if _, err := LovaszSoftmax(reportA, []int32{0, 1, 2}, 3); !errors.Is(err, ErrShape) {
		t.Errorf("3 labels for 4 pixels: %v", err)
	}
	if _, err := LovaszSoftmax(reportA, []int32{0, 1, 2, 0}, 0); !errors.Is(err, ErrConfig) {
		t.Errorf("0 classes: %v", err)
	}
}

// A binary mask and one score per pixel.
func TestReportedHinge(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		l := mustLovasz(t, LovaszConfig{Classes: 1, Activation: NoActivation})
		grad := []float32{7, 7, 7}
		got, err := l.Hinge(grad, []float32{.5, -1, 2}, []int32{1, 0, 0}, 1)
		if err != nil || got.Loss != 1.75 || !slices.Equal(grad, []float32{-.5, 0, .5}) {
			t.Errorf("loss %v, gradient %v, %v; want 1.75 and -.5 0 .5", got.Loss, grad, err)
		}
		if _, err := l.Hinge(nil, make([]float32, 6), []int32{1, 0, 0}, 1); !errors.Is(err, ErrShape) {
			t.Errorf("6 scores for 3 labels: %v", err)
		}
		for _, label := range []int32{255, -1} {
			_, err := l.Hinge(grad, []float32{.5, -1, 2}, []int32{1, 0, label}, 1)
			wantPixelError(t, err, ErrLabel, 2, -1)
		}
		weights := make([]float64, 3)
		LovaszGrad(weights, []uint8{255, 0, 255})
		if !slices.Equal(weights, []float64{1. / 2, 1. / 6, 1. / 3}) {
			t.Errorf("LovaszGrad of 255 0 255: %v", weights)
		}
	})
}

// wantPixelError checks that an error is a *PixelError of that kind and place.
func wantPixelError(t *testing.T, err, is error, pixel, class int) {
	t.Helper()
	var pe *PixelError
	if !errors.As(err, &pe) || !errors.Is(err, is) || pe.Pixel != pixel || pe.Class != class {
		t.Errorf("error %v (%+v), want %v at pixel %d, class %d", err, pe, is, pixel, class)
	}
}

// A label that is the number of classes: named, nothing written, and the next call is right.
func TestReportedLabelIsClasses(t *testing.T) {
	const C, pixels = 19, 10
	l := mustLovasz(t, LovaszConfig{Classes: C})
	logits, labels := make([]float32, pixels*C), make([]int32, pixels)
	for i := range logits {
		logits[i] = float32(i * i % 17)
	}
	want, err := l.Forward(logits, labels, 1)
	if err != nil {
		t.Fatal(err)
	}
	want = want.Clone()
	grad := filled(len(logits), 7)
	labels[7] = C
	_, err = l.Backward(grad, logits, labels, 1)
	wantPixelError(t, err, ErrLabel, 7, -1)
	const text = "lanewise: label 19 at pixel 7 is outside [0, 19) and not in VoidLabels"
	if err.Error() != text {
		t.Errorf("the error is %q, want %q", err, text)
	}
	for i, g := range grad {
		if g != 7 {
			t.Fatalf("grad[%d] is %v, was 7", i, g)
		}
	}
	labels[7] = 0
	if got, err := l.Backward(grad, logits, labels, 1); err != nil || sameResult(got, want) != "" {
		t.Errorf("after an error: %+v, %v; want %+v", got, err, want)
	}
}

func TestReportedProbabilities(t *testing.T) {
	l := mustLovasz(t, LovaszConfig{Classes: 2, Activation: NoActivation})
	p := []float32{.2, .8, 3.2, .3, .9, .1}
	_, err := l.Forward(p, []int32{1, 0, 1}, 1)
	wantPixelError(t, err, ErrRange, 1, 0)
	for _, v := range []float32{1.0000001, -1e-8, 1 + 0x1p-20, -0x1p-20} { // all within 10⁻⁶
		p[2] = v
		if _, err := l.Forward(p, []int32{1, 0, 1}, 1); err != nil {
			t.Errorf("probability %v: %v", v, err)
		}
	}
	for _, v := range []float32{1 + 0x1p-19, -0x1p-19, float32(math.Inf(1)), float32(math.Inf(-1))} {
		p[2] = v
		_, err := l.Forward(p, []int32{1, 0, 1}, 1)
		if v-v == 0 || errors.Is(err, ErrRange) {
			wantPixelError(t, err, ErrRange, 1, 0)
		} else {
			wantPixelError(t, err, ErrNotFinite, 1, 0)
		}
	}
	p[2] = float32(math.NaN())
	_, err = l.Forward(p, []int32{1, 0, 1}, 1)
	wantPixelError(t, err, ErrNotFinite, 1, 0)
}

// The softmax of one class is 1 for ever.
func TestReportedOneClass(t *testing.T) {
	if _, err := NewLovasz(LovaszConfig{Classes: 1}); !errors.Is(err, ErrConfig) {
		t.Errorf("softmax of one class: %v", err)
	}
}

// The mean over shards is not the loss: their merged counts are.
func TestReportedShards(t *testing.T) {
	cfg, labels := LovaszConfig{Classes: 3}, []int32{2, 2, 0, 1}
	state := func(logits []float32, labels []int32) *LovaszCounts {
		c, err := NewLovaszCounts(cfg)
		if err == nil {
			err = c.Add(logits, labels, 1)
		}
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	one, two := state(reportA[:6], labels[:2]), state(reportA[6:], labels[2:])
	reverse := state(reportA[6:], labels[2:])
	if err := errors.Join(reverse.Merge(one), one.Merge(two)); err != nil {
		t.Fatal(err)
	}
	got := one.Result().Clone()
	const whole = 0.860064495
	if got.Lovasz > whole+1e-7 || got.Lovasz+got.Gap < whole-1e-7 || got.Gap > whole/500 {
		t.Errorf("[%v, +%v], want %v", got.Lovasz, got.Gap, whole)
	}
	if d := sameResult(got, reverse.Result()); d != "" {
		t.Errorf("merged the other way round: %s", d)
	}
}

// Counters that stop at 2²⁴.
func TestReportedManyForeground(t *testing.T) {
	const n = 1<<24 + 64
	foreground := make([]uint8, n)
	for i := range foreground {
		foreground[i] = 1
	}
	weights := make([]float32, n)
	LovaszGrad(weights, foreground)
	var sum float64
	for _, w := range weights {
		sum += float64(w)
	}
	if w := float32(1.0 / n); slices.ContainsFunc(weights, func(v float32) bool { return v != w }) || math.Abs(sum-1) > 1e-6 {
		t.Errorf("weights from %v on, sum %v; want %v, 1", weights[0], sum, w)
	}
}

// heap returns how many bytes are in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A bad request must not kill the service, nor be answered by NaN.
func TestReportedRequests(t *testing.T) {
	inf := float32(math.Inf(-1))
	finite := make([]float32, 12)
	for _, c := range []struct {
		name   string
		logits []float32
		labels []int32
		images int
		want   error
	}{
		{"no image", finite, make([]int32, 4), 0, ErrShape},
		{"negative images", finite, make([]int32, 4), -1, ErrShape},
		{"least images", finite, make([]int32, 4), math.MinInt, ErrShape},
		{"more images than pixels", finite, make([]int32, 4), 5, ErrShape},
		{"more images than fit", finite, make([]int32, 4), math.MaxInt, ErrShape},
		{"images that do not divide", finite, make([]int32, 4), 3, ErrShape},
		{"short logits", finite[:11], make([]int32, 4), 1, ErrShape},
		{"nil logits", nil, make([]int32, 4), 1, ErrShape},
		{"nil labels", finite, nil, 1, ErrShape},
		{"nothing", nil, nil, 1, nil},
		{"nothing, in images", nil, nil, 3, nil},
		{"all −Inf", []float32{0, 0, 0, inf, inf, inf, 0, 0, 0, 0, 0, 0}, make([]int32, 4), 2, ErrNotFinite},
		{"some −Inf", []float32{0, 0, 0, inf, 0, inf, 0, 0, 0, 0, 0, 0}, make([]int32, 4), 2, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, cfg := range []LovaszConfig{{Classes: 3}, {Classes: 3, Method: Binned}, {Classes: 3, PerImage: true, Average: AllClasses},
				{Classes: 3, Layout: ClassMajor, Workers: 2}} {
				if cfg.Layout == ClassMajor && len(c.logits) == 12 && c.images == 2 {
					c.logits = transposed(c.logits, 2, 2, 3)
				}
				l := mustLovasz(t, cfg)
				grad := filled(len(c.logits), 7)
				for name, call := range map[string]func() (LovaszResult, error){
					"Forward":  func() (LovaszResult, error) { return l.Forward(c.logits, c.labels, c.images) },
					"Backward": func() (LovaszResult, error) { return l.Backward(grad, c.logits, c.labels, c.images) },
				} {
					res, err := call()
					if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
						t.Errorf("%s, %+v: %v, want %v", name, cfg, err, c.want)
					}
					if res.Loss != res.Loss || res.Lovasz != res.Lovasz {
						t.Errorf("%s, %+v: loss %v", name, cfg, res)
					}
					if c.want != nil && slices.ContainsFunc(grad, func(v float32) bool { return v != 7 }) {
						t.Errorf("%s, %+v: wrote %v", name, cfg, grad)
					}
				}
			}
		})
	}
}

// What a Lovasz holds after its first call. (TestLovaszAllocatesNothing shows that the next ones need no more.)
func TestReportedMemory(t *testing.T) {
	const pixels, classes, limit = 120000, 20, 41e6
	for _, method := range []Method{Exact, Binned} {
		for kind, name := range sceneNames {
			for _, layout := range []Layout{PixelMajor, ClassMajor} {
				c := sceneCase(newRand(uint64(kind)), kind, pixels, classes)
				c.cfg.Method, c.cfg.Layout, c.cfg.Workers = method, layout, 1
				grad := make([]float32, len(c.logits))
				before := heap()
				l := mustLovasz(t, c.cfg)
				if _, err := l.Backward(grad, c.logits, c.labels, 1); err != nil {
					t.Fatal(err)
				}
				extra := heap() - before
				runtime.KeepAlive(l)
				runtime.KeepAlive(c)
				runtime.KeepAlive(grad)
				t.Logf("method %d, layout %d, %s: %.1f MB", method, layout, name, float64(extra)/1e6)
				if extra > limit {
					t.Errorf("method %d, layout %d, %s: %.1f MB, want at most 41", method, layout, name, float64(extra)/1e6)
				}
			}
		}
	}
}

// Images that are many: what is kept for each of them and each class is to be little beside the logits.
func TestReportedImages(t *testing.T) {
	for i, c := range []struct {
		images, pixels, classes int
		limit                   float64 // bytes that Forward and Backward allocate together
	}{
		{1 << 16, 0, 1000, 4e6}, // the loss of every image
		{1 << 16, 0, 1 << 20, 64e6},
		{3000, 1, 1000, 36e6}, // the logits take 12 MB; the race detector doubles what is allocated
	} {
		logits, labels := make([]float32, c.images*c.pixels*c.classes), make([]int32, c.images*c.pixels)
		for i := range labels {
			labels[i] = int32(i % c.classes)
		}
		grad := make([]float32, len(logits))
		for j, cfg := range []LovaszConfig{{Method: Exact}, {Method: Binned}, {Layout: ClassMajor, Average: AllClasses},
			{Activation: SigmoidActivation, CrossEntropy: 1}} {
			if !*long && i == 1 && j%2 == 1 {
				continue
			}
			cfg.Classes, cfg.PerImage, cfg.Workers = c.classes, true, 1
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			l := mustLovasz(t, cfg)
			res, err := l.Forward(logits, labels, c.images)
			if err != nil || len(res.PerImage) != c.images || len(res.PerClass) != c.classes || c.pixels == 0 && res.Loss != 0 || c.pixels > 0 &&
				!(res.Loss > 0) {
				t.Errorf("%d images of %d pixels, %v, %v, %v: loss %v of %d images, %v", c.images, c.pixels, cfg.Activation, cfg.Layout, cfg.Method,
					res.Loss, len(res.PerImage), err)
			}
			if _, err := l.Backward(grad, logits, labels, c.images); err != nil {
				t.Error(err)
			}
			runtime.ReadMemStats(&after)
			took := float64(after.TotalAlloc - before.TotalAlloc)
			t.Logf("%d images of %d pixels, %v, %v, %v: %.1f MB", c.images, c.pixels, cfg.Activation, cfg.Layout, cfg.Method, took/1e6)
			if took > c.limit {
				t.Errorf("that is more than %.0f MB", c.limit/1e6)
			}
		}
	}
}
