package lanewise

import (
	"errors"
	"math"
	"testing"
)

// The numbers are torch.nn.CrossEntropyLoss's.
func TestCrossEntropyOptions(t *testing.T) {
	labels := []int32{2, 2, 0, 1}
	for _, c := range []struct {
		weights   []float32
		smoothing float64
		want      float64
		grad      []float64 // at pixel 0
	}{
		{nil, 0, 2.160276293, nil},
		{nil, 0.1, 2.089442959, nil},
		{[]float32{1, 2, 3}, 0, 2.195995145, nil},
		{[]float32{1, 2, 3}, 0.1, 2.111012783, []float64{.268185711, .029388824, -.297574534}},
	} {
		for _, layout := range []Layout{PixelMajor, ClassMajor} {
			x := reportA
			if layout == ClassMajor {
				x = make([]float32, len(reportA))
				transposeGeneric(x, reportA, 4, 3, 4, 3)
			}
			cfg := LovaszConfig{Classes: 3, Layout: layout, CrossEntropy: 1, CrossEntropyWeights: c.weights, LabelSmoothing: c.smoothing}
			r, both := mustBackward(t, cfg, x, labels)
			if !within(r.CrossEntropy, c.want, 5e-8, 0) {
				t.Errorf("weights %v, smoothing %v: %.10g, want %.10g", c.weights, c.smoothing, r.CrossEntropy, c.want)
			}
			cfg.CrossEntropy, cfg.CrossEntropyWeights, cfg.LabelSmoothing = 0, nil, 0
			_, alone := mustBackward(t, cfg, x, labels)
			for k, want := range c.grad {
				i := k
				if layout == ClassMajor {
					i = 4 * k
				}
				if got := float64(both[i]) - float64(alone[i]); !within(got, want, 0, 1e-7) {
					t.Errorf("gradient %d is %v, want %v", k, got, want)
				}
			}
		}
	}
}

// TestCrossEntropyGradient: weights and smoothing by the oracle, and its gradient by differences.
func TestCrossEntropyGradient(t *testing.T) {
	rng := newRand(41)
	for i := range 60 {
		cfg := LovaszConfig{Classes: 2 + rng.IntN(5), Layout: Layout(rng.IntN(2)), Activation: Activation(rng.IntN(2)), CrossEntropy: 0.5 +
			rng.Float64(),
			VoidLabels: []int32{255}, Void: VoidPolicy(rng.IntN(2)), PerImage: rng.IntN(2) == 0, LabelSmoothing: float64(rng.IntN(3)) / 4}
		if i%3 > 0 {
			for range cfg.Classes {
				cfg.CrossEntropyWeights = append(cfg.CrossEntropyWeights, float32(rng.IntN(4)))
			}
			cfg.CrossEntropyWeights[0]++
		}
		images, pixels := 1+rng.IntN(3), 1+rng.IntN(50)
		logits, labels := make([]float32, images*pixels*cfg.Classes), make([]int32, images*pixels)
		for j := range logits {
			logits[j] = float32(rng.NormFloat64() * 3)
		}
		for j := range labels {
			if labels[j] = int32(rng.IntN(cfg.Classes)); rng.IntN(6) == 0 {
				labels[j] = 255
			}
		}
		c := lossCase{cfg, logits, labels, images}
		got, grad := c.backward(t, 1)
		if err := againstRounded(got, grad, oracle[float32]{cfg}.run(logits, labels, images)); err != nil {
			t.Fatalf("%+v: %v", cfg, err)
		}
		want := oracle[float64]{cfg}.run(widen(logits), labels, images)
		for range 10 {
			j := rng.IntN(len(logits))
			x := widen(logits)
			step := func(d float64) float64 {
				x[j] = float64(logits[j]) + d
				return oracle[float64]{cfg}.run(x, labels, images).CrossEntropy
			}
			slope := (step(1e-4) - step(-1e-4)) / 2e-4
			cfg := cfg
			cfg.CrossEntropy, cfg.CrossEntropyWeights, cfg.LabelSmoothing = 0, nil, 0
			alone := oracle[float64]{cfg}.run(widen(logits), labels, images)
			if g := want.grad[j] - alone.grad[j]; cfg.PerImage == false && !within(g, c.cfg.CrossEntropy*slope, 1e-5, 1e-8) {
				t.Fatalf("%+v: gradient %d is %v, by differences %v", c.cfg, j, g, c.cfg.CrossEntropy*slope)
			}
		}
	}
}

func TestCrossEntropyOptionErrors(t *testing.T) {
	for _, cfg := range []LovaszConfig{
		{Classes: 2, LabelSmoothing: 0.1},
		{Classes: 2, CrossEntropyWeights: []float32{1, 1}},
		{Classes: 2, CrossEntropy: 1, LabelSmoothing: 1},
		{Classes: 2, CrossEntropy: 1, LabelSmoothing: -0.1},
		{Classes: 2, CrossEntropy: 1, LabelSmoothing: math.NaN()},
		{Classes: 2, CrossEntropy: 1, CrossEntropyWeights: []float32{1}},
		{Classes: 2, CrossEntropy: 1, CrossEntropyWeights: []float32{0, 0}},
		{Classes: 2, CrossEntropy: 1, CrossEntropyWeights: []float32{1, -1}},
	} {
		if _, err := NewLovasz(cfg); !errors.Is(err, ErrConfig) {
			t.Errorf("%+v: %v, want ErrConfig", cfg, err)
		}
	}
	l, _ := NewLovasz(LovaszConfig{Classes: 3, CrossEntropy: 1, LabelSmoothing: 0.1})
	if _, err := l.Forward([]float32{1, 2, float32(math.Inf(-1))}, []int32{0}, 1); !errors.Is(err, ErrNotFinite) {
		t.Errorf("a −Inf logit with smoothing: %v, want ErrNotFinite", err)
	}
}

// Logits as far apart as they can be have a finite cross-entropy.
func TestCrossEntropyOfExtremes(t *testing.T) {
	r, grad := mustBackward(t, LovaszConfig{Classes: 2, CrossEntropy: 1}, []float32{-math.MaxFloat32, math.MaxFloat32}, []int32{0})
	if r.CrossEntropy != 2*math.MaxFloat32 || grad[0] > 0 {
		t.Errorf("%+v, gradient %v", r, grad)
	}
}
