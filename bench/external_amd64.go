package main

import "github.com/klauspost/cpuid/v2"

func hasAVX512() bool {
	return cpuid.CPU.Supports(cpuid.AVX512F, cpuid.AVX512DQ, cpuid.AVX512BW, cpuid.AVX512VL)
}

// openblasCore names the kernels that OpenBLAS should take: old releases do not know new CPUs, and fall back to those of 2004.
func openblasCore() []string {
	switch {
	case hasAVX512():
		return []string{"OPENBLAS_CORETYPE=SkylakeX"}
	case cpuid.CPU.Supports(cpuid.AVX2, cpuid.FMA3) && cpuid.CPU.VendorID == cpuid.Intel:
		return []string{"OPENBLAS_CORETYPE=Haswell"}
	}
	return nil
}
