package lanewise

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

func TestMasksReport(t *testing.T) {
	logits, masks := []float32{2, -1.5, .5, 1, -.3, .2}, []uint8{1, 0, 1, 1, 0, 1}
	perClass := []float64{0.307433691, 0.359553712}
	want := []float64{-0.0174989309, 0, -0.0391672854, -0.0491529833, 0.0407430519, -0.0618791432}
	for _, layout := range []Layout{PixelMajor, ClassMajor} {
		l, err := NewLovasz(LovaszConfig{Classes: 2, Layout: layout, Activation: SigmoidActivation})
		if err != nil {
			t.Fatal(err)
		}
		x, m, grad := logits, masks, make([]float32, 6)
		at := func(i int) int { return i }
		if layout == ClassMajor {
			at = func(i int) int { return i%2*3 + i/2 }
			x, m = make([]float32, 6), make([]uint8, 6)
			for i := range x {
				x[at(i)], m[at(i)] = logits[i], masks[i]
			}
		}
		r, err := l.BackwardMasks(grad, x, m, 1)
		if err != nil || !within(r.Lovasz, 0.333493702, 1e-7, 0) || !within(r.PerClass[0], perClass[0], 1e-7, 0) ||
			!within(r.PerClass[1], perClass[1], 1e-7, 0) {
			t.Errorf("layout %d: %+v, %v", layout, r, err)
		}
		for i := range want {
			if !within(float64(grad[at(i)]), want[i], 1e-6, 1e-9) {
				t.Errorf("layout %d: gradient %d is %v, want %v", layout, i, grad[at(i)], want[i])
			}
		}
	}
}

// maskCase is masks and logits with everything that may be in them.
type maskCase struct {
	cfg            LovaszConfig
	images, pixels int
	logits         []float32
	masks          []uint8
}

func randomMasks(rng *rand.Rand) maskCase {
	c := maskCase{images: 1 + rng.IntN(3), pixels: rng.IntN(80)}
	c.cfg = LovaszConfig{Classes: 1 + rng.IntN(4), Layout: Layout(rng.IntN(2)), Activation: SigmoidActivation + Activation(rng.IntN(2)),
		Average: Average(rng.IntN(2)), Void: VoidPolicy(rng.IntN(2)), PerImage: rng.IntN(2) == 0, Method: Method(rng.IntN(2)), Workers: 1 +
			rng.IntN(3)}
	if rng.IntN(3) == 0 {
		for range c.cfg.Classes {
			c.cfg.Weights = append(c.cfg.Weights, 1+float32(rng.IntN(3)))
		}
	}
	if c.cfg.Activation == SigmoidActivation && rng.IntN(2) == 0 {
		c.cfg.CrossEntropy = 0.5
		if rng.IntN(2) == 0 {
			c.cfg.LabelSmoothing = 0.25
		}
	}
	for range c.images * c.pixels * c.cfg.Classes {
		x, m := float32(rng.NormFloat64()*3), uint8(rng.IntN(2))
		if c.cfg.Activation == NoActivation {
			x = rng.Float32()
		}
		if rng.IntN(5) == 0 {
			if m = 2 + uint8(rng.IntN(254)); c.cfg.Void == DropPixels {
				x = float32(math.NaN())
			}
		}
		c.logits, c.masks = append(c.logits, x), append(c.masks, m)
	}
	return c
}

func (c maskCase) index(image, pixel, class int) int {
	if c.cfg.Layout == ClassMajor {
		return (image*c.cfg.Classes+class)*c.pixels + pixel
	}
	return (image*c.pixels+pixel)*c.cfg.Classes + class
}

// TestMasksClassByClass: every class with its masks is a binary problem of its own.
func TestMasksClassByClass(t *testing.T) {
	rng := newRand(77)
	for i := range 300 {
		c := randomMasks(rng)
		l, err := NewLovasz(c.cfg)
		if err != nil {
			t.Fatal(err)
		}
		grad := make([]float32, len(c.logits))
		r, err := l.BackwardMasks(grad, c.logits, c.masks, c.images)
		if err != nil {
			t.Fatalf("case %d, %+v: %v", i, c.cfg, err)
		}
		if forward, err := l.ForwardMasks(c.logits, c.masks, c.images); err != nil || forward.Loss != r.Loss {
			t.Fatalf("case %d: ForwardMasks gives %v, %v, BackwardMasks %v", i, forward.Loss, err, r.Loss)
		}
		if err := c.checkMasks(t, l, r, grad); err != nil {
			t.Fatalf("case %d, %+v, %d images: %v", i, c.cfg, c.images, err)
		}
	}
}

// checkMasks compares with a Lovasz of one class for each class.
func (c maskCase) checkMasks(t *testing.T, l *Lovasz, r LovaszResult, grad []float32) error {
	cfg := c.cfg
	cfg.Classes, cfg.Layout, cfg.Weights, cfg.CrossEntropy, cfg.LabelSmoothing, cfg.VoidLabels = 1, PixelMajor, nil, 0, 0, []int32{255}
	perImage := make([][]float64, c.cfg.Classes) // losses
	var weights []float64                        // by image: Σ of the classes that take part
	units := 1
	if cfg.PerImage {
		units = c.images
	}
	weights = make([]float64, units)
	classGrad := make([][]float32, c.cfg.Classes)
	for k := range c.cfg.Classes {
		var x []float32
		var labels []int32
		for image := range c.images {
			for p := range c.pixels {
				at := c.index(image, p, k)
				label := int32(c.masks[at])
				if label > 1 {
					label = 255
				}
				x, labels = append(x, c.logits[at]), append(labels, label)
			}
		}
		one, err := NewLovasz(cfg)
		if err != nil {
			return err
		}
		classGrad[k] = make([]float32, len(x))
		want, err := one.Backward(classGrad[k], x, labels, c.images)
		if err != nil {
			return err
		}
		if !within(r.PerClass[k], want.PerClass[0], 1e-15, 0) {
			return fmt.Errorf("class %d: %v, alone %v", k, r.PerClass[k], want.PerClass[0])
		}
		perImage[k] = []float64{want.PerClass[0]}
		if cfg.PerImage {
			perImage[k] = append([]float64(nil), want.PerImage...)
		}
		for u, loss := range perImage[k] {
			if loss == loss {
				weights[u] += l.plan.weights[k]
			}
		}
	}
	took := 0
	var sum float64
	for u := range units {
		if weights[u] == 0 {
			continue
		}
		took++
		for k := range c.cfg.Classes {
			if loss := perImage[k][u]; loss == loss {
				sum += l.plan.weights[k] * loss / weights[u]
			}
		}
	}
	if c.cfg.CrossEntropy > 0 {
		return nil // by the oracle's means, below
	}
	if took > 0 {
		sum /= float64(took)
	}
	if !within(r.Lovasz, sum, 1e-14, 0) {
		return fmt.Errorf("the loss is %v, want %v", r.Lovasz, sum)
	}
	for k := range c.cfg.Classes {
		alone := 0
		for _, loss := range perImage[k] {
			if loss == loss {
				alone++
			}
		}
		for image := range c.images {
			u := 0
			if cfg.PerImage {
				u = image
			}
			for p := range c.pixels {
				got, want := float64(grad[c.index(image, p, k)]), 0.0
				if weights[u] > 0 {
					want = float64(classGrad[k][image*c.pixels+p]) * float64(alone) * l.plan.weights[k] / weights[u] / float64(took)
				}
				if !within(got, want, 1e-6, 1e-12) {
					return fmt.Errorf("gradient of image %d, pixel %d, class %d: %v, want %v", image, p, k, got, want)
				}
			}
		}
	}
	return nil
}

// TestMasksEntropy has the cross-entropy by its definition.
func TestMasksEntropy(t *testing.T) {
	rng := newRand(78)
	for range 200 {
		c := randomMasks(rng)
		c.cfg.PerImage, c.cfg.LabelSmoothing = false, 0
		if c.cfg.CrossEntropy == 0 {
			continue
		}
		l, err := NewLovasz(c.cfg)
		if err != nil {
			t.Fatal(err)
		}
		r, err := l.ForwardMasks(c.logits, c.masks, c.images)
		if err != nil {
			t.Fatal(err)
		}
		var sum, n float64
		for i, m := range c.masks {
			x := float64(c.logits[i])
			switch m {
			case 0:
				sum, n = sum+max(x, 0)+math.Log1p(math.Exp(-math.Abs(x))), n+1
			case 1:
				sum, n = sum+max(-x, 0)+math.Log1p(math.Exp(-math.Abs(x))), n+1
			}
		}
		if n > 0 {
			sum /= n
		}
		if !within(r.CrossEntropy, sum, 1e-6, 0) {
			t.Fatalf("%+v: %v, want %v", c.cfg, r.CrossEntropy, sum)
		}
	}
}

// TestMasksAgainstOracle has every option, alone and combined.
func TestMasksAgainstOracle(t *testing.T) {
	n := 1500
	if !*long {
		n = 300
	}
	rng := newRand(80)
	for range n {
		data := make([]byte, 40)
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		checkAnyCase(t, decodeMasks(data), 1+rng.IntN(3))
	}
}

func TestMasksErrors(t *testing.T) {
	soft, _ := NewLovasz(LovaszConfig{Classes: 2})
	if _, err := soft.ForwardMasks(make([]float32, 4), make([]uint8, 4), 1); !errors.Is(err, ErrConfig) {
		t.Errorf("softmax: %v, want ErrConfig", err)
	}
	l, _ := NewLovasz(LovaszConfig{Classes: 2, Activation: SigmoidActivation})
	for _, c := range []struct{ logits, masks, images int }{{4, 6, 1}, {4, 2, 1}, {5, 5, 1}, {4, 4, 0}, {4, 4, -1}, {4, 4, 3}, {0, 4, 1},
		{4, 0, 1}} {
		if _, err := l.ForwardMasks(make([]float32, c.logits), make([]uint8, c.masks), c.images); !errors.Is(err, ErrShape) {
			t.Errorf("%+v: %v, want ErrShape", c, err)
		}
	}
	if _, err := l.BackwardMasks(make([]float32, 3), make([]float32, 4), make([]uint8, 4), 1); !errors.Is(err, ErrShape) {
		t.Errorf("short gradient: %v, want ErrShape", err)
	}
	if r, err := l.ForwardMasks(nil, nil, 1); err != nil || r.Loss != 0 || len(r.PerClass) != 2 || r.PerClass[0] == r.PerClass[0] {
		t.Errorf("nothing: %+v, %v", r, err)
	}
	nan := float32(math.NaN())
	for _, layout := range []Layout{PixelMajor, ClassMajor} {
		l, _ := NewLovasz(LovaszConfig{Classes: 2, Layout: layout, Activation: SigmoidActivation})
		grad := []float32{7, 7, 7, 7, 7, 7}
		_, err := l.BackwardMasks(grad, []float32{0, nan, 0, nan, nan, 0}, []uint8{1, 9, 0, 0, 1, 0}, 1)
		var px *PixelError
		want := [2]int{1, 1}
		if layout == ClassMajor {
			want = [2]int{0, 1}
		}
		if !errors.As(err, &px) || px.Pixel != want[0] || px.Class != want[1] || !errors.Is(err, ErrNotFinite) || grad[0] != 7 {
			t.Errorf("layout %d: %v, want pixel and class %v", layout, err, want)
		}
	}
}

// TestCountsMasks: counts of masks are the binned loss of all of them, and their gradient is its.
func TestCountsMasks(t *testing.T) {
	rng := newRand(79)
	for range 100 {
		c := randomMasks(rng)
		c.cfg.PerImage, c.cfg.CrossEntropy, c.cfg.LabelSmoothing, c.cfg.Method = false, 0, 0, Binned
		l, err := NewLovasz(c.cfg)
		if err != nil {
			t.Fatal(err)
		}
		want := make([]float32, len(c.logits))
		r, err := l.BackwardMasks(want, c.logits, c.masks, c.images)
		if err != nil {
			t.Fatal(err)
		}
		s := mustCounts(t, c.cfg)
		size := c.pixels * c.cfg.Classes
		for image := range c.images {
			if err := s.AddMasks(c.logits[image*size:][:size], c.masks[image*size:][:size], 1); err != nil {
				t.Fatal(err)
			}
		}
		if d := sameResult(s.Result(), r); d != "" {
			t.Fatalf("%+v: %s", c.cfg, d)
		}
		if err := checkState(t, stateOf(t, s)); err != nil {
			t.Fatal(err)
		}
		got := make([]float32, len(want))
		for image := range c.images {
			if err := s.BackwardMasks(got[image*size:][:size], c.logits[image*size:][:size], c.masks[image*size:][:size], 1); err != nil {
				t.Fatal(err)
			}
		}
		if d := sameGradient(got, want); d != "" {
			t.Fatalf("%+v: %s", c.cfg, d)
		}
	}
}
