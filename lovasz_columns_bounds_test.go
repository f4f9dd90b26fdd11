//go:build unix

package lanewise

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/lanewise/lanewise/internal/vectorstate"
)

// TestColumnBounds runs the columns on errors and targets that touch unmapped pages, on either side.
func TestColumnBounds(t *testing.T) {
	errors, target := newFence[float32](t, 1<<13, -7), newFence[int32](t, 1<<13, -7)
	for _, impl := range columnISAs() {
		for _, before := range []bool{false, true} {
			errors.before, target.before = before, before
			t.Run(fmt.Sprintf("%v/before=%v", impl.isa, before), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(5, 6))
				var s columnScratch
				for n := 1; n < 300; n++ {
					e, c := errors.place(n, 0), target.place(n, 0)
					columnErrors[n%len(columnErrors)].fill(rng, e, c)
					c[rng.IntN(n)] = 0
					g := int64(0)
					for _, v := range c {
						if v == 0 {
							g++
						}
					}
					smallest, largest := impl.columns.extremes(e, c, 0)
					s.weigh(impl.columns, e, c, 0, g, smallest, largest)
					if !errors.intact() || !target.intact() {
						t.Fatalf("%d pixels: wrote beside them", n)
					}
				}
			})
		}
	}
}

// TestColumnVectorState: no kernel returns with dirty upper halves of vector registers.
func TestColumnVectorState(t *testing.T) {
	if !vectorstate.Supported() {
		t.Skip("this CPU, or this build, does not tell")
	}
	for _, impl := range columnISAs() {
		k := *impl.columns
		clean := func(name string, f func()) {
			vectorstate.Clean()
			f()
			if vectorstate.Dirty() {
				t.Errorf("%v: %s leaves dirty vector registers", impl.isa, name)
			}
		}
		k.extremes = func(e []float32, t []int32, c int32) (lo, hi uint32) {
			clean("extremes", func() { lo, hi = impl.columns.extremes(e, t, c) })
			return lo, hi
		}
		for i := range k.split {
			k.split[i] = func(keys *[maxParts][]uint32, n *[maxParts]int, from *[maxParts]uint32, e []float32, t []int32, c int32) {
				clean("split", func() { impl.columns.split[i](keys, n, from, e, t, c) })
			}
			k.expand[i] = func(keys *[maxParts][]uint32, n *[maxParts]int, from *[maxParts]uint32, e []float32) (sum int64) {
				clean("expand", func() { sum = impl.columns.expand[i](keys, n, from, e) })
				return sum
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
		k.gather = func(keys, positions []uint32, w []float32) {
			clean("gather", func() { impl.columns.gather(keys, positions, w) })
		}
		var s columnScratch
		var sorter sorter[uint32]
		for _, n := range []int{100, 120_000, 300_000, 600_000, 1 << 20} { // of one to eight parts
			errors, target := make([]float32, n), make([]int32, n)
			columnErrors[0].fill(rand.New(rand.NewPCG(7, 8)), errors, target)
			checkColumns(t, &s, &sorter, &k, errors, target)
		}
	}
}
