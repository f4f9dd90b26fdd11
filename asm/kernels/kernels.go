// Package kernels describes the kernels, each once for every instruction set and both element types. The descriptions follow
// kernels_generic*.go, which are the definitions, step by step.
package kernels

import (
	"math"

	"github.com/lanewise/lanewise/asm/machine"
	"github.com/lanewise/lanewise/asm/pipeline"
)

type V = machine.V

var inf = math.Inf(1)

// manyPlanes are not worth assembly.
var manyPlanes = []pipeline.Apart{{If: "planes > piece"}}

// All are the kernels. Slices fit each other and are not empty. To add one:
//
//   - define it in plain Go, as its name + "Generic" in a kernels_generic*.go at the root, with the signature that stands here;
//   - describe it here, as a func(machine.Machine) that writes the code for every ISA;
//   - add it to this list (package library has all lists);
//   - run go generate at the root, and TestBudgets of asm with -update.
//
// The function to call is then name(isa, …), which calls the assembly, or the definition where there is none.
var All = []pipeline.Kernel{
	{Name: "dot", Signature: "func(a, b []T) T", On: pipeline.Everywhere(dot),
		Doc:   "returns Σ aᵢ·bᵢ.",
		Apart: []pipeline.Apart{{If: "len(a) != len(b) || len(a) > piece", Call: "dotPieces"}}},
	{Name: "sum", Signature: "func(x []T) T", On: pipeline.Everywhere(sum),
		Doc:   "returns Σ xᵢ.",
		Apart: []pipeline.Apart{{If: "len(x) > piece", Call: "sumPieces"}}},
	{Name: "expSum", Signature: "func(dst, src []T, max T) T", On: pipeline.Everywhere(expSum),
		Doc: "writes exp(src − max) and returns its sum, of at most piece elements."},
	{Name: "expSumScaled", Signature: "func(dst, src []T, max, scale T) T", On: pipeline.Everywhere(expSumScaled),
		Doc: "writes exp((src − max)·scale), scale positive, and returns its sum, of at most piece elements."},
	{Name: "sumExp", Signature: "func(src []T, max T) T", On: pipeline.Everywhere(sumExp),
		Doc:   "returns Σ exp(src − max).",
		Apart: []pipeline.Apart{{If: "len(src) > piece", Call: "sumExpPieces"}}},
	{Name: "largest", Signature: "func(x []T) T", On: pipeline.Everywhere(largest),
		Doc:   "returns the largest element; anything where there is a NaN.",
		Apart: []pipeline.Apart{{If: "len(x) > longPiece", Call: "largestPieces"}}},
	{Name: "scale", Signature: "func(dst, src []T, factor T)", On: pipeline.Everywhere(scale),
		Doc: "writes src · factor."},
	{Name: "negate", Signature: "func(dst, src []T)", On: pipeline.Everywhere(negate),
		Doc: "writes src with the other sign, NaNs too; all other bits stay."},
	{Name: "subtract", Signature: "func(dst, src []T, max, log T)", On: pipeline.Everywhere(subtract),
		Doc: "writes (src − max) − log."},
	{Name: "softmaxGrad", Signature: "func(dx, y, dy []T, dot T)", On: pipeline.Everywhere(softmaxGrad),
		Doc: "writes y·(dy − dot)."},
	{Name: "logSoftmaxGrad", Signature: "func(dx, y, dy []T, sum T)", On: pipeline.Everywhere(logSoftmaxGrad),
		Doc: "writes dy − exp(min(y, 0))·sum."},
	{Name: "cumSum", Signature: "func(dst, src []T, carry float64) float64", On: pipeline.Everywhere(cumSum),
		Doc: "writes prefix sums that go on from carry, and returns the next carry. Only the last call has a length that is no multiple of 16.",
		Apart: []pipeline.Apart{{If: "len(src) > longPiece || !unary(dst, src)", Call: "cumSumPieces"}, {If: "len(src) < 4", Call: "cumSumFew"},
			{If: "len(src) < 8 && firstCall(carry)", Call: "cumSumShort"}}},
	{Name: "argMax", Signature: "func(x []T) int", On: pipeline.Everywhere(argMax),
		Doc:   "returns the index of the first NaN, or of the first of the largest; −1 for nothing.",
		Apart: []pipeline.Apart{{If: "len(x) == 0 || len(x) > longPiece", Call: "argMaxPieces"}}},
	{Name: "classErrors", Signature: "func(dst, probs []T, labels []int32, class int32)", On: pipeline.Everywhere(classErrors),
		Doc:   "writes |1{label = class} − p|.",
		Apart: []pipeline.Apart{{If: "len(dst) > longPiece || len(labels) != len(dst) || !unary(dst, probs)", Call: "classErrorsPieces"}}},
	{Name: "lovaszWeights", Signature: "func(dst []T, foreground []uint8, left, union int) int", On: pipeline.Everywhere(lovaszWeights),
		Doc: "writes the weights of sorted pixels, where left foreground is to come of a union so far, and returns how much is left then."},
	{Name: "transpose", Signature: "func(dst, src []T, rows, cols, dstStride, srcStride int)", On: pipeline.Everywhere(transpose),
		Doc: "writes dst[c·dstStride + r] = src[r·srcStride + c] for r < rows and c < cols."},

	// whole rows of at most piece columns
	{Name: "softmaxRows", Signature: "func(dst, src []T, cols int)", On: pipeline.Everywhere(softmaxRows),
		Doc: "writes the softmax of every row."},
	{Name: "logSoftmaxRows", Signature: "func(dst, src []T, cols int)", On: pipeline.Everywhere(logSoftmaxRows),
		Doc: "writes the log-softmax of every row."},
	{Name: "softmaxRowsGrad", Signature: "func(dx, y, dy []T, cols int)", On: pipeline.Everywhere(softmaxRowsGrad),
		Doc: "writes y·(dy − Σ y·dy) for every row."},
	{Name: "logSoftmaxRowsGrad", Signature: "func(dx, y, dy []T, cols int)", On: pipeline.Everywhere(logSoftmaxRowsGrad),
		Doc: "writes dy − exp(min(y, 0))·Σ dy for every row."},
	{Name: "argMaxRows", Signature: "func(dst []int32, src []T, cols int)", On: pipeline.Everywhere(argMaxRows),
		Doc: "writes argMax of every row."},

	// columns 0 … n−1; plane k begins at element k·stride of its slice
	{Name: "softmaxPlanes", Signature: "func(dst, src []T, planes, n, dstStride, srcStride int)", On: pipeline.Everywhere(softmaxPlanes),
		Doc:   "writes the softmax down every column.",
		Apart: manyPlanes},
	{Name: "logSoftmaxPlanes", Signature: "func(dst, src []T, planes, n, dstStride, srcStride int)", On: pipeline.Everywhere(logSoftmaxPlanes),
		Doc:   "writes the log-softmax down every column.",
		Apart: manyPlanes},
	{Name: "argMaxPlanes", Signature: "func(dst []int32, src []T, planes, n, stride int)", On: pipeline.Everywhere(argMaxPlanes),
		Doc:   "writes argMax down every column.",
		Apart: manyPlanes},

	// distances and norms
	{Name: "squaredDistance", Signature: "func(a, b []T) T", On: pipeline.Everywhere(squaredDistance),
		Doc:   "returns Σ (aᵢ − bᵢ)².",
		Apart: []pipeline.Apart{{If: "len(a) != len(b) || len(a) > piece", Call: "squaredDistancePieces"}}},
	{Name: "sumSquares", Signature: "func(x []T) float64", On: pipeline.Everywhere(sumSquares),
		Doc:   "returns Σ xᵢ², in float64.",
		Apart: []pipeline.Apart{{If: "len(x) == 0 || len(x) > piece", Call: "sumSquaresPieces"}}},

	// elementwise
	{Name: "sigmoid", Signature: "func(dst, src []T)", On: pipeline.Everywhere(sigmoid),
		Doc: "writes 1/(1 + exp(−src))."},
	{Name: "sigmoidGrad", Signature: "func(dx, y, dy []T)", On: pipeline.Everywhere(sigmoidGrad),
		Doc: "writes y·(1 − y)·dy."},
	{Name: "softmaxRowsScaled", Signature: "func(dst, src []T, cols int, scale T)", On: pipeline.Everywhere(softmaxRowsScaled),
		Doc: "writes the softmax of every row of src·scale, scale positive."},
	{Name: "softmaxRowsMasked", Signature: "func(dst, src, mask []T, cols int, scale T)", On: pipeline.Everywhere(softmaxRowsMasked),
		Doc: "writes the softmax of every row of src·scale + mask."},
	{Name: "scaleAdd", Signature: "func(dst, src, mask []T, factor T)", On: pipeline.Everywhere(scaleAdd),
		Doc: "writes src·factor + mask."},

	// rows and columns, as above
	{Name: "logSumExpRows", Signature: "func(dst, src []T, cols int)", On: pipeline.Everywhere(logSumExpRows),
		Doc: "writes max + log Σ exp(x − max) of every row of at most piece columns, or NaN where the sum is one."},
	{Name: "logSumExpPlanes", Signature: "func(dst, src []T, planes, n, stride int)", On: pipeline.Everywhere(logSumExpPlanes),
		Doc:   "is logSumExpRows down every column.",
		Apart: manyPlanes},
	{Name: "softmaxGradPlanes", Signature: "func(dx, y, dy []T, planes, n, stride int)", On: pipeline.Everywhere(softmaxGradPlanes),
		Doc:   "writes y·(dy − Σ y·dy) down every column.",
		Apart: manyPlanes},
	{Name: "logSoftmaxGradPlanes", Signature: "func(dx, y, dy []T, planes, n, stride int)", On: pipeline.Everywhere(logSoftmaxGradPlanes),
		Doc:   "writes dy − exp(min(y, 0))·Σ dy down every column.",
		Apart: manyPlanes},

	// selection
	{Name: "above", Signature: "func(x []T, threshold T) int", On: pipeline.Everywhere(above),
		Doc: "returns the index of the first element that is larger than threshold, which is no NaN, or NaN; len(x) where there is none."},
	{Name: "largestPlanes", Signature: "func(dst, src []T, planes, n, stride int)", On: pipeline.Everywhere(largestPlanes),
		Doc: "writes the largest element of every column; anything where there is a NaN."},

	// elements of 16 and 8 bits
	{Name: "fromFloat16", Signature: "func(dst []float32, src []uint16)", On: pipeline.Everywhere(widenHalves(machine.Float16)),
		Doc: "writes the values of float16."},
	{Name: "fromBFloat16", Signature: "func(dst []float32, src []uint16)", On: pipeline.Everywhere(widenHalves(machine.BFloat16)),
		Doc: "writes the values of bfloat16."},
	{Name: "toFloat16", Signature: "func(dst []uint16, src []float32)", On: pipeline.Everywhere(roundToHalves(machine.Float16)),
		Doc: "rounds to float16."},
	{Name: "toBFloat16", Signature: "func(dst []uint16, src []float32)", On: pipeline.Everywhere(roundToHalves(machine.BFloat16)),
		Doc: "rounds to bfloat16."},
	{Name: "dotFloat16", Signature: "func(h []uint16, x []float32) float32", On: pipeline.Everywhere(dotHalves(machine.Float16)),
		Doc:   "returns Σ hᵢ·xᵢ.",
		Apart: []pipeline.Apart{{If: "len(h) > piece", Call: "dotFloat16Pieces"}}},
	{Name: "dotBFloat16", Signature: "func(h []uint16, x []float32) float32", On: pipeline.Everywhere(dotHalves(machine.BFloat16)),
		Doc:   "returns Σ hᵢ·xᵢ.",
		Apart: []pipeline.Apart{{If: "len(h) > piece", Call: "dotBFloat16Pieces"}}},
	{Name: "dotInt8", Signature: "func(a, b []int8) int32", On: pipeline.Everywhere(dotInt8),
		Doc: "returns Σ aᵢ·bᵢ."},
}
