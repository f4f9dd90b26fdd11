package kernels

import "github.com/lanewise/lanewise/asm/machine"

func above(m machine.Machine) { m.ReturnIndex(m.FirstAbove("x", m.Arg("threshold"))) }

func dotInt8(m machine.Machine) { m.DotInt8("a", "b") }
