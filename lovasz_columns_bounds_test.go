//go:build unix

package lanewise

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestColumnBounds runs the columns on probabilities and gradients that touch unmapped pages, on either side.
func TestColumnBounds(t *testing.T) {
	probs, dst := newFence[float32](t, 1<<13, -7), newFence[float32](t, 1<<13, -7)
	for _, isa := range columnISAs() {
		for _, before := range []bool{false, true} {
			probs.before, dst.before = before, before
			t.Run(fmt.Sprintf("%v/before=%v", isa, before), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(5, 6))
				var c columnCase
				for n := 1; n < 300; n++ {
					errors, target := make([]float32, n), make([]int32, n)
					columnErrors[n%len(columnErrors)].fill(rng, errors, target)
					target[rng.IntN(n)] = 0
					p, d := probs.place(n, 0), dst.place(n, 0)
					copy(p, signedBy(errors, target))
					c.run(c.inColumns(isa), isa, p, statsOf(p), 1, d)
					if !probs.intact() || !dst.intact() {
						t.Fatalf("%d pixels: wrote beside them", n)
					}
				}
			})
		}
	}
}
