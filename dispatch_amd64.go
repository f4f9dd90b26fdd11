//go:build amd64 && !purego

package lanewise

import "golang.org/x/sys/cpu"

// detect returns the assembly implementations that this CPU can run, best first. What it asks for is what the generator in asm/ allows the
// functions of a table to use. Each feature is asked for by itself: the operating system, a virtual machine or GODEBUG may take one away.
func detect() []*implementation {
	x := &cpu.X86
	var found []*implementation
	if !x.HasAVX2 || !x.HasFMA || !x.HasPOPCNT {
		return nil
	}
	if x.HasAVX512F && x.HasAVX512BW && x.HasAVX512CD && x.HasAVX512DQ && x.HasAVX512VL {
		found = append(found, &implementation{isa: AVX512, f32: avx512Kernels32(), f64: avx512Kernels64(), sparse: &sparseAVX512, columns: &columnsAVX512, sort: &sortAVX512})
	}
	return append(found, &implementation{isa: AVX2, f32: avx2Kernels32(), f64: avx2Kernels64(), sparse: &sparseAVX2, columns: &columnsAVX2, sort: &sortAVX2})
}

func avx2Kernels32() kernels[float32] {
	return kernels[float32]{
		dot:                     dotF32AVX2,
		sum:                     sumF32AVX2,
		expSum:                  expSumF32AVX2,
		sumExp:                  sumExpF32AVX2,
		max:                     maxF32AVX2,
		scale:                   scaleF32AVX2,
		subtract:                subtractF32AVX2,
		softmaxGrad:             softmaxGradF32AVX2,
		logSoftmaxGrad:          logSoftmaxGradF32AVX2,
		cumSum:                  cumSumF32AVX2,
		argMax:                  argMaxF32AVX2,
		classErrors:             classErrorsF32AVX2,
		softmaxRows:             softmaxRowsF32AVX2,
		logSoftmaxRows:          logSoftmaxRowsF32AVX2,
		softmaxRowsGrad:         softmaxRowsGradF32AVX2,
		logSoftmaxRowsGrad:      logSoftmaxRowsGradF32AVX2,
		argMaxRows:              argMaxRowsF32AVX2,
		transpose:               transposeF32AVX2,
		softmaxPlanes:           softmaxPlanesF32AVX2,
		logSoftmaxPlanes:        logSoftmaxPlanesF32AVX2,
		softmaxPlanesGrad:       softmaxPlanesGradF32AVX2,
		argMaxPlanes:            argMaxPlanesF32AVX2,
		softmaxRowsToPlanes:     softmaxRowsToPlanesF32AVX2,
		softmaxPlanesGradToRows: softmaxPlanesGradToRowsF32AVX2,
	}
}

func avx2Kernels64() kernels[float64] {
	return kernels[float64]{
		dot:                     dotF64AVX2,
		sum:                     sumF64AVX2,
		expSum:                  expSumF64AVX2,
		sumExp:                  sumExpF64AVX2,
		max:                     maxF64AVX2,
		scale:                   scaleF64AVX2,
		subtract:                subtractF64AVX2,
		softmaxGrad:             softmaxGradF64AVX2,
		logSoftmaxGrad:          logSoftmaxGradF64AVX2,
		cumSum:                  cumSumF64AVX2,
		argMax:                  argMaxF64AVX2,
		classErrors:             classErrorsF64AVX2,
		softmaxRows:             softmaxRowsF64AVX2,
		logSoftmaxRows:          logSoftmaxRowsF64AVX2,
		softmaxRowsGrad:         softmaxRowsGradF64AVX2,
		logSoftmaxRowsGrad:      logSoftmaxRowsGradF64AVX2,
		argMaxRows:              argMaxRowsF64AVX2,
		transpose:               transposeF64AVX2,
		softmaxPlanes:           softmaxPlanesF64AVX2,
		logSoftmaxPlanes:        logSoftmaxPlanesF64AVX2,
		softmaxPlanesGrad:       softmaxPlanesGradF64AVX2,
		argMaxPlanes:            argMaxPlanesF64AVX2,
		softmaxRowsToPlanes:     softmaxRowsToPlanesF64AVX2,
		softmaxPlanesGradToRows: softmaxPlanesGradToRowsF64AVX2,
	}
}

func avx512Kernels32() kernels[float32] {
	return kernels[float32]{
		dot:                     dotF32AVX512,
		sum:                     sumF32AVX512,
		expSum:                  expSumF32AVX512,
		sumExp:                  sumExpF32AVX512,
		max:                     maxF32AVX512,
		scale:                   scaleF32AVX512,
		subtract:                subtractF32AVX512,
		softmaxGrad:             softmaxGradF32AVX512,
		logSoftmaxGrad:          logSoftmaxGradF32AVX512,
		cumSum:                  cumSumF32AVX512,
		argMax:                  argMaxF32AVX512,
		classErrors:             classErrorsF32AVX512,
		softmaxRows:             softmaxRowsF32AVX512,
		logSoftmaxRows:          logSoftmaxRowsF32AVX512,
		softmaxRowsGrad:         softmaxRowsGradF32AVX512,
		logSoftmaxRowsGrad:      logSoftmaxRowsGradF32AVX512,
		argMaxRows:              argMaxRowsF32AVX512,
		transpose:               transposeF32AVX512,
		softmaxPlanes:           softmaxPlanesF32AVX512,
		logSoftmaxPlanes:        logSoftmaxPlanesF32AVX512,
		softmaxPlanesGrad:       softmaxPlanesGradF32AVX512,
		argMaxPlanes:            argMaxPlanesF32AVX512,
		softmaxRowsToPlanes:     softmaxRowsToPlanesF32AVX512,
		softmaxPlanesGradToRows: softmaxPlanesGradToRowsF32AVX512,
	}
}

func avx512Kernels64() kernels[float64] {
	return kernels[float64]{
		dot:                     dotF64AVX512,
		sum:                     sumF64AVX512,
		expSum:                  expSumF64AVX512,
		sumExp:                  sumExpF64AVX512,
		max:                     maxF64AVX512,
		scale:                   scaleF64AVX512,
		subtract:                subtractF64AVX512,
		softmaxGrad:             softmaxGradF64AVX512,
		logSoftmaxGrad:          logSoftmaxGradF64AVX512,
		cumSum:                  cumSumF64AVX512,
		argMax:                  argMaxF64AVX512,
		classErrors:             classErrorsF64AVX512,
		softmaxRows:             softmaxRowsF64AVX512,
		logSoftmaxRows:          logSoftmaxRowsF64AVX512,
		softmaxRowsGrad:         softmaxRowsGradF64AVX512,
		logSoftmaxRowsGrad:      logSoftmaxRowsGradF64AVX512,
		argMaxRows:              argMaxRowsF64AVX512,
		transpose:               transposeF64AVX512,
		softmaxPlanes:           softmaxPlanesF64AVX512,
		logSoftmaxPlanes:        logSoftmaxPlanesF64AVX512,
		softmaxPlanesGrad:       softmaxPlanesGradF64AVX512,
		argMaxPlanes:            argMaxPlanesF64AVX512,
		softmaxRowsToPlanes:     softmaxRowsToPlanesF64AVX512,
		softmaxPlanesGradToRows: softmaxPlanesGradToRowsF64AVX512,
	}
}
