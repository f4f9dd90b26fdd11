package kernels

import "github.com/lanewise/lanewise/asm/machine"

func transpose(m machine.Machine) {
	m.Transpose("dst", "src")
}
