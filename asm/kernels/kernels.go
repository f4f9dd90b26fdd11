// Package kernels describes the kernels, each once for every instruction set and both element types. The descriptions follow
// kernels_generic.go, which is the definition, step by step.
package kernels

import (
	"math"

	"github.com/lanewise/lanewise/asm/machine"
)

type V = machine.V

var inf = math.Inf(1)

var All = []func(machine.Machine){
	dot, sum, expSum, sumExp,
	largest, scale, subtract, softmaxGrad, logSoftmaxGrad, cumSum, argMax, classErrors, transpose,
	softmaxRows, logSoftmaxRows, softmaxRowsGrad, logSoftmaxRowsGrad, argMaxRows,
	softmaxPlanes, logSoftmaxPlanes, softmaxPlanesGrad, argMaxPlanes,
	softmaxRowsToPlanes, softmaxPlanesGradToRows,
}
