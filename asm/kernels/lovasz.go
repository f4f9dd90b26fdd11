package kernels

import "github.com/lanewise/lanewise/asm/machine"

func lovaszWeights(m machine.Machine) {
	m.ReturnIndex(m.LovaszGrad("dst", "foreground", "left", "union"))
}
