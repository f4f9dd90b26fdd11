//go:build arm64 && !purego

package lanewise

import "golang.org/x/sys/cpu"

// detect returns the assembly implementations that this CPU can run, best first. NEON is part of every arm64 that Go runs on, unless GODEBUG
// takes it away.
func detect() []*implementation {
	if !cpu.ARM64.HasASIMD {
		return nil
	}
	return []*implementation{{isa: NEON, f32: neonKernels32(), f64: neonKernels64(), sparse: &sparseGeneric}}
}

func neonKernels32() kernels[float32] {
	return kernels[float32]{
		dot:                     dotF32NEON,
		sum:                     sumF32NEON,
		expSum:                  expSumF32NEON,
		sumExp:                  sumExpF32NEON,
		max:                     maxF32NEON,
		scale:                   scaleF32NEON,
		subtract:                subtractF32NEON,
		softmaxGrad:             softmaxGradF32NEON,
		logSoftmaxGrad:          logSoftmaxGradF32NEON,
		cumSum:                  cumSumF32NEON,
		argMax:                  argMaxF32NEON,
		classErrors:             classErrorsF32NEON,
		softmaxRows:             softmaxRowsF32NEON,
		logSoftmaxRows:          logSoftmaxRowsF32NEON,
		softmaxRowsGrad:         softmaxRowsGradF32NEON,
		logSoftmaxRowsGrad:      logSoftmaxRowsGradF32NEON,
		argMaxRows:              argMaxRowsF32NEON,
		transpose:               transposeF32NEON,
		softmaxPlanes:           softmaxPlanesF32NEON,
		logSoftmaxPlanes:        logSoftmaxPlanesF32NEON,
		softmaxPlanesGrad:       softmaxPlanesGradF32NEON,
		argMaxPlanes:            argMaxPlanesF32NEON,
		softmaxRowsToPlanes:     softmaxRowsToPlanesF32NEON,
		softmaxPlanesGradToRows: softmaxPlanesGradToRowsF32NEON,
	}
}

func neonKernels64() kernels[float64] {
	return kernels[float64]{
		dot:                     dotF64NEON,
		sum:                     sumF64NEON,
		expSum:                  expSumF64NEON,
		sumExp:                  sumExpF64NEON,
		max:                     maxF64NEON,
		scale:                   scaleF64NEON,
		subtract:                subtractF64NEON,
		softmaxGrad:             softmaxGradF64NEON,
		logSoftmaxGrad:          logSoftmaxGradF64NEON,
		cumSum:                  cumSumF64NEON,
		argMax:                  argMaxF64NEON,
		classErrors:             classErrorsF64NEON,
		softmaxRows:             softmaxRowsF64NEON,
		logSoftmaxRows:          logSoftmaxRowsF64NEON,
		softmaxRowsGrad:         softmaxRowsGradF64NEON,
		logSoftmaxRowsGrad:      logSoftmaxRowsGradF64NEON,
		argMaxRows:              argMaxRowsF64NEON,
		transpose:               transposeF64NEON,
		softmaxPlanes:           softmaxPlanesF64NEON,
		logSoftmaxPlanes:        logSoftmaxPlanesF64NEON,
		softmaxPlanesGrad:       softmaxPlanesGradF64NEON,
		argMaxPlanes:            argMaxPlanesF64NEON,
		softmaxRowsToPlanes:     softmaxRowsToPlanesF64NEON,
		softmaxPlanesGradToRows: softmaxPlanesGradToRowsF64NEON,
	}
}
