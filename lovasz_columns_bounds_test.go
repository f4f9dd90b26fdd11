//go:build unix

package lanewise

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/lanewise/lanewise/internal/vectorstate"
)

// TestColumnBounds runs the columns on probabilities and gradients that touch unmapped pages, on either side.
func TestColumnBounds(t *testing.T) {
	t.Run("lookUp", lookUpBounds)
	t.Run("tally", tallyBounds)
	probs, dst := newFence[float32](t, 1<<13, -7), newFence[float32](t, 1<<13, -7)
	for _, impl := range columnISAs() {
		for _, before := range []bool{false, true} {
			probs.before, dst.before = before, before
			t.Run(fmt.Sprintf("%v/before=%v", impl.isa, before), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(5, 6))
				var c columnCase
				for n := 1; n < 300; n++ {
					errors, target := make([]float32, n), make([]int32, n)
					columnErrors[n%len(columnErrors)].fill(rng, errors, target)
					target[rng.IntN(n)] = 0
					p, d := probs.place(n, 0), dst.place(n, 0)
					copy(p, signedProbs(errors, target))
					g := int64(0)
					from := uint32(math.MaxUint32)
					for _, v := range p {
						if e, foreground := errorBits(v); foreground != 0 {
							g++
							from = min(from, e)
						}
					}
					c.run(impl, p, g, from, 1, d)
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
	for _, impl := range implementations {
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
			lookUpGeneric(want, p, table, first, factor)
			leavesClean(t, impl, "lookUp", func() { impl.sparse.lookUp(d, p, table, first, factor) })
			if !slices.Equal(d, want) || !tables.intact() || !probs.intact() || !dst.intact() {
				t.Fatalf("%v, %d pixels: %v, want %v", impl.isa, n, d, want)
			}
		}
	}
}

// tallyBounds compares the counts of the bins with those of plain Go, of keys that touch unmapped pages.
func tallyBounds(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	tables, keys := newFence[uint64](t, 16*binCount, 7), newFence[uint32](t, 1<<13, 7)
	for _, impl := range implementations {
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
			tallyGeneric(want, k)
			leavesClean(t, impl, "tally", func() { impl.sparse.tally(got, k) })
			if !slices.Equal(got, want) || !tables.intact() || !keys.intact() {
				t.Fatalf("%v, %d keys: other counts", impl.isa, n)
			}
		}
	}
}

// TestColumnVectorState: no kernel returns with dirty upper halves of vector registers.
func TestColumnVectorState(t *testing.T) {
	if !vectorstate.Supported() {
		t.Skip("this CPU, or this build, does not tell")
	}
	for _, impl := range columnISAs() {
		k, s := *impl.columns, *impl.sparse
		clean := func(name string, f func()) { leavesClean(t, impl, name, f) }
		for i := range s.split {
			s.split[i] = func(keys *[maxParts][]uint32, n, from *[maxParts]uint32, probs []float32) {
				clean("split", func() { impl.sparse.split[i](keys, n, from, probs) })
			}
			s.expand[i] = func(dst, probs, weights []float32, at, from *[maxParts]uint32, factor float32) {
				clean("expand", func() { impl.sparse.expand[i](dst, probs, weights, at, from, factor) })
			}
		}
		k.count = func(counts, ranks, keys []uint32, shift, first uint32) {
			clean("count", func() { impl.columns.count(counts, ranks, keys, shift, first) })
		}
		k.place = func(slots []uint16, positions, keys, starts []uint32, shift, first uint32) {
			clean("place", func() { impl.columns.place(slots, positions, keys, starts, shift, first) })
		}
		k.rank = func(w []float32, slots []uint16, scratch []uint64, base, twice uint32, more *[2][columns]uint32) (bg, fg uint32) {
			clean("rank", func() { bg, fg = impl.columns.rank(w, slots, scratch, base, twice, more) })
			return bg, fg
		}
		k.gather = func(dst []float32, positions, keys []uint32, w []float32) (sum int64) {
			clean("gather", func() { sum = impl.columns.gather(dst, positions, keys, w) })
			return sum
		}
		var c columnCase
		for _, n := range []int{100, 120_000, 300_000, 600_000, 1 << 20} { // of one to eight parts
			errors, target := make([]float32, n), make([]int32, n)
			columnErrors[0].fill(rand.New(rand.NewPCG(7, 8)), errors, target)
			checkColumns(t, &c, &implementation{isa: impl.isa, sparse: &s, columns: &k}, signedProbs(errors, target))
		}
	}
}
