package lanewise

import (
	"errors"
	"math"
)

var genericKernels32 kernels[float32]
var genericKernels64 kernels[float64]

func log(x float64) float64                           { return math.Log(x) }
func fillNaN[T Float](dst []T)                        {}
func expNonPositive[T Float](x T) T                   { panic(errors.ErrUnsupported) }
func lovaszGrad[T Float](dst []T, foreground []uint8) {}

// SortDescending sorts.
func SortDescending[T Float](keys []T, perm []int32) {}
