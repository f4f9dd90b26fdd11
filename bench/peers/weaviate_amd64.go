package main

import (
	"github.com/weaviate/weaviate/adapters/repos/db/vector/hnsw/distancer/asm"
	"golang.org/x/sys/cpu"
)

// weaviateDot and weaviateL2 are the assembly that weaviate's distancer picks, by its rule.
var weaviateDot, weaviateL2 = func() (dot, l2 func(a, b []float32) float32) {
	switch {
	case cpu.X86.HasAMXBF16 && cpu.X86.HasAVX512:
		return asm.DotAVX512, asm.L2AVX512
	case cpu.X86.HasAVX2:
		return asm.DotAVX256, asm.L2AVX256
	}
	return nil, nil
}()
