package lanewise

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
)

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
		{"the first of −Inf at the label and NaN", entropy, both(label(2, 1), logit(2, 1, -inf), logit(4, 0, nan)), ErrNotFinite, 2, 1, ""},
		{"the first of NaN and −Inf at the label", entropy, both(label(4, 1), logit(4, 1, -inf), logit(2, 0, nan)), ErrNotFinite, 2, 0, ""},
		{"the first of two probabilities", probabilities, both(logit(3, 1, nan), logit(2, 2, 7)), ErrRange, 2, 2, ""},
	}
}

// Everything that can be wrong with a pixel: the first one is named, whatever the layout and the workers; the gradient holds what it held;
// the next call is right.
func TestLovaszPixelErrors(t *testing.T) {
	manyWorkers(t)
	for n, c := range badInputs() {
		t.Run(c.name, func(t *testing.T) {
			eachISA(t, func(t *testing.T) {
				for i := range 24 {
					if !*long && i%5 != n%5 { // each is in some input's turn
						continue
					}
					cfg := c.cfg
					cfg.Layout, cfg.Method, cfg.PerImage, cfg.Workers = Layout(i&1), Method(i>>1&1), i%3 == 0, []int{1, 2, 5}[i/4%3]
					C := cfg.Classes
					images := 1 + i/3%2
					stride := 1 // pixels from one that may be bad to the next
					if i >= 12 {
						stride = 1000 // several workers meet one
					}
					pixels := 6 * stride / images
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

// Every error names what is wrong and where.
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
	for name, grad := range map[string][]float32{"empty": {}, "short": make([]float32, 3), "long": make([]float32, 5),
		"overlaps": memory[8:12]} {
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
	manyWorkers(t)
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
