//go:build unix

package lanewise

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestColumnBounds runs the columns on probabilities and gradients that touch unmapped pages, on either side.
func TestColumnBounds(t *testing.T) {
	t.Run("lookUp", lookUpBounds)
	t.Run("tally", tallyBounds)
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

// lookUpBounds compares the weights of the bins with those of plain Go, on probabilities and weights that touch unmapped pages.
func lookUpBounds(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	tables := newFence[float32](t, 8*binCount, -7)
	probs, dst := newFence[float32](t, 1<<13, 7), newFence[float32](t, 1<<13, -7)
	for _, isa := range available {
		for n := range 300 {
			tables.before, probs.before, dst.before = n%2 == 0, n%2 == 0, n%2 == 0
			lowest := rng.IntN(binCount)
			table, p, d := tables.place(2*(binCount-lowest), 0), probs.place(n, 0), dst.place(n, 0)
			for i := range table {
				table[i] = rng.Float32()
			}
			want := make([]float32, n)
			for i := range p {
				p[i] = float32(math.Copysign(math.Exp2(float64(-rng.IntN(40)))*rng.Float64(), rng.Float64()-0.5))
				if i%16 == 3 {
					p[i] = []float32{0, 1, -1, float32(math.Copysign(0, -1))}[rng.IntN(4)]
				}
			}
			first, factor := uint32(firstBin+lowest), rng.Float32()
			lossLookUpGeneric(want, p, table, first, factor)
			leavesClean(t, isa, "lookUp", func() { lossLookUp(isa, d, p, table, first, factor) })
			if !slices.Equal(d, want) || !tables.intact() || !probs.intact() || !dst.intact() {
				t.Fatalf("%v, %d pixels: %v, want %v", isa, n, d, want)
			}
		}
	}
}

// tallyBounds compares the counts of the bins with those of plain Go, of keys that touch unmapped pages.
func tallyBounds(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	tables, keys := newFence[uint64](t, 16*binCount, 7), newFence[uint32](t, 1<<13, 7)
	for _, isa := range available {
		for n := range 300 {
			tables.before, keys.before = n%2 == 0, n%2 == 0
			got, k := tables.place(2*binCount, 0), keys.place(n, 0)
			for i := range k {
				switch rng.IntN(8) {
				case 0:
					k[i] = rng.Uint32N(2) // an error of 0
				case 1:
					k[i] = 2*oneBits + rng.Uint32N(2)
				default:
					k[i] = (oneBits - rng.Uint32N(40<<23)) * 2
					k[i] += rng.Uint32N(2)
				}
			}
			for i := range got {
				got[i] = rng.Uint64N(1 << 60)
			}
			want := slices.Clone(got)
			lossTallyGeneric(want, k)
			leavesClean(t, isa, "tally", func() { lossTally(isa, got, k) })
			if !slices.Equal(got, want) || !tables.intact() || !keys.intact() {
				t.Fatalf("%v, %d keys: other counts", isa, n)
			}
		}
	}
}
