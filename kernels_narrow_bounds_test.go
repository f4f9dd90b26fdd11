//go:build unix

package lanewise

import "testing"

// TestNarrowBounds runs the kernels for 16 and 8 bits with their slices against unmapped pages, on either side.
func TestNarrowBounds(t *testing.T) {
	const size = 1 << 18
	for _, before := range []bool{false, true} {
		floats := func() placer[float32] {
			f := newFence(t, size, guard[float32]())
			f.before = before
			return f
		}
		bytes := func() placer[int8] {
			f := newFence[int8](t, size, 0x5a)
			f.before = before
			return f
		}
		halves, sums := newFence[uint16](t, size, 0xa5a5), newFence[int32](t, size, guardIndex)
		halves.before, sums.before = before, before
		b := &narrowBench{floats(), floats(), halves, sums, bytes(), bytes()}
		side := map[bool]string{false: "before", true: "after"}[before]
		for _, k := range narrowTests() {
			t.Run(side+" a page/"+k.name, func(t *testing.T) {
				eachISA(t, func(t *testing.T) {
					testNarrow(t, &k, func(s shape, in, want *narrowOperands, i int) error {
						if s.size() > 40_000 {
							return nil
						}
						return withFaults(func() error { return b.run(&k, s, in, want, 0) })
					})
				})
			})
		}
	}
}
