package lanewise

import (
	"fmt"
	"testing"
)

// TestWorkersShareClasses has classes of several parts, more and fewer than workers, which have to give the bits of one worker; and not
// only of the last call: scratch that is used again must not show.
func TestWorkersShareClasses(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		if active == Generic {
			t.Skip("sorts: there are no parts")
		}
		for _, classes := range []int{1, 2, 3} {
			rng, pixels := newRand(uint64(classes)), 200_000
			if classes == 1 {
				pixels = 400_000
			}
			c := lossCase{LovaszConfig{Classes: classes, Activation: SigmoidActivation, VoidLabels: []int32{255}}, make([]float32, pixels*classes), make([]int32, pixels), 1}
			for i := range c.logits {
				c.logits[i] = float32(rng.NormFloat64())
			}
			for i := range c.labels {
				if c.labels[i] = int32(rng.IntN(max(classes, 2))); rng.IntN(100) == 0 {
					c.labels[i] = 255
				}
			}
			c.logits[0], c.labels[0] = -9, 0
			want, wantGrad := c.backward(t, 1)
			want = want.Clone()
			for _, workers := range []int{2, 7} {
				cfg := c.cfg
				cfg.Workers = workers
				l := mustLovasz(t, cfg)
				grad := make([]float32, len(c.logits))
				for round := range 2 {
					what := fmt.Sprintf("%d classes, %d workers, round %d", classes, workers, round)
					got, err := l.Backward(grad, c.logits, c.labels, 1)
					if err != nil {
						t.Fatal(what, err)
					}
					if d := sameResult(got, want) + sameGradient(grad, wantGrad); d != "" {
						t.Fatalf("%s: %s", what, d)
					}
					if got, err = l.Forward(c.logits, c.labels, 1); err != nil || sameResult(got, want) != "" {
						t.Fatalf("%s: forward: %v %s", what, err, sameResult(got, want))
					}
				}
				if classes == 1 && l.call.shared[0].weigher == nil {
					t.Fatalf("%d workers: nothing was shared", workers)
				}
			}
		}
	})
}
