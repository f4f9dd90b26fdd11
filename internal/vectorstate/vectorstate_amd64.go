//go:build !purego

package vectorstate

import "golang.org/x/sys/cpu"

// supported says whether XGETBV takes ECX = 1. CPUID is slow in virtual machines.
var supported = cpu.X86.HasAVX && hasXGETBV1()

// hasXGETBV1 returns bit 2 of CPUID(0xd, 1).EAX.
func hasXGETBV1() bool

// inUse returns XINUSE, the bits of the state components that are not in their initial state.
func inUse() uint64

func soil()
func clean()
