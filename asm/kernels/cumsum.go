package kernels

import "github.com/lanewise/lanewise/asm/machine"

func cumSum(m machine.Machine) {
	m.Func("cumSum", "func(dst, src []T, carry float64) float64", "writes prefix sums that go on from carry, and returns the next carry.")
	m.Scan("dst", "src", "carry")
	m.End()
}
