package kernels

import "github.com/lanewise/lanewise/asm/machine"

func cumSum(m machine.Machine) {
	m.Scan("dst", "src", "carry")
}
