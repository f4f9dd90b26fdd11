package lanewise

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// raisedCase is pixels whose own logit is raised by so much; where wrong, another one's.
func raisedCase(rng *rand.Rand, pixels, classes int, raised float32, wrong float64) (logits []float32, labels []int32) {
	logits, labels = make([]float32, pixels*classes), make([]int32, pixels)
	for i := range logits {
		logits[i] = float32(rng.NormFloat64())
	}
	for i := range labels {
		labels[i] = int32(rng.IntN(classes))
		k := int(labels[i])
		if rng.Float64() < wrong {
			k = (k + 1) % classes
		}
		logits[i*classes+k] += raised
	}
	return logits, labels
}

// TestExactness: loss, gradient and cross-entropy are as near to float64 where a network is nearly right as where it knows nothing.
func TestExactness(t *testing.T) {
	// With fewer pixels, two that change their order because their errors are rounded are too much of the gradient.
	const pixels, classes = 32768, 6
	for _, activation := range []Activation{SoftmaxActivation, SigmoidActivation} {
		for _, wrong := range []float64{0, 0.01, 0.1} {
			for _, raised := range []float32{0, 3, 6, 9, 12, 14, 17, 20} {
				if !*long && raised != 0 && raised != 12 && (raised < 20 || activation == SigmoidActivation) {
					continue
				}
				if wrong == 0.01 && raised > 14 || wrong == 0.1 && raised > 12 {
					continue
				}
				rng := rand.New(rand.NewPCG(uint64(raised), 5))
				logits, labels := raisedCase(rng, pixels, classes, raised, wrong)
				if activation == SigmoidActivation && wrong == 0 { // right about the others, too
					for i := range logits {
						if math.Abs(float64(logits[i])) < 6 && raised > 6 {
							logits[i] -= raised
						}
					}
				}
				cfg := LovaszConfig{Classes: classes, Activation: activation}
				want := oracle[float64]{cfg}.run(widen(logits), labels, 1)
				cfg.CrossEntropy = 1
				withEntropy := want
				if *long {
					withEntropy = oracle[float64]{cfg}.run(widen(logits), labels, 1)
				}
				for _, layout := range []Layout{PixelMajor, ClassMajor} {
					name := fmt.Sprintf("activation %d, layout %d, raised by %v, %v wrong", activation, layout, raised, wrong)
					x := logits
					if layout == ClassMajor {
						x = make([]float32, len(logits))
						transposeGeneric(x, logits, pixels, classes, pixels, classes)
					}
					cfg := LovaszConfig{Classes: classes, Activation: activation, Layout: layout}
					got, grad := mustBackward(t, cfg, x, labels)
					checkExactness(t, name, layout, got.Lovasz, want.Lovasz, grad, want.grad, pixels, classes)
					if !*long {
						continue
					}
					cfg.CrossEntropy = 1
					got, grad = mustBackward(t, cfg, x, labels)
					if off := math.Abs(got.CrossEntropy-withEntropy.CrossEntropy) / withEntropy.CrossEntropy; !(off <= 1e-6) {
						t.Errorf("%s: the cross-entropy is %.2g off", name, off)
					}
					checkExactness(t, name+", with cross-entropy", layout, got.Lovasz, withEntropy.Lovasz, grad, withEntropy.grad, pixels, classes)
				}
			}
		}
	}
}

func mustBackward(t *testing.T, cfg LovaszConfig, logits []float32, labels []int32) (LovaszResult, []float32) {
	t.Helper()
	l, err := NewLovasz(cfg)
	if err != nil {
		t.Fatal(err)
	}
	grad := make([]float32, len(logits))
	r, err := l.Backward(grad, logits, labels, 1)
	if err != nil {
		t.Fatal(err)
	}
	return r, grad
}

func checkExactness(t *testing.T, name string, layout Layout, loss, wantLoss float64, grad []float32, want []float64, pixels, classes int) {
	t.Helper()
	if off := math.Abs(loss-wantLoss) / wantLoss; !(off <= 1e-6) {
		t.Errorf("%s: the loss is %.2g off", name, off)
	}
	var difference, norm float64
	for i := range pixels {
		for k := range classes {
			g := grad[i*classes+k]
			if layout == ClassMajor {
				g = grad[k*pixels+i]
			}
			w := want[i*classes+k]
			difference += (float64(g) - w) * (float64(g) - w)
			norm += w * w
		}
	}
	if off := math.Sqrt(difference / norm); !(off <= 1e-5) {
		t.Errorf("%s: the gradient is %.2g off", name, off)
	}
}
