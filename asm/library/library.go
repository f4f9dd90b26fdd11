// Package library has the list of what go generate writes.
package library

import (
	"slices"

	"github.com/lanewise/lanewise/asm/kernels"
	"github.com/lanewise/lanewise/asm/pipeline"
)

// Kernels returns the kernels of the library, in the order of the generated files. A kernel goes to the list of the package that describes
// it, and a new list to these.
func Kernels() []pipeline.Kernel {
	return slices.Concat(kernels.All, kernels.Loss, kernels.Weigh, kernels.Sort)
}
