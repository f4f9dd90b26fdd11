// Package vectorstate tells whether code left the upper halves of the vector registers dirty, which makes every legacy SSE instruction
// that follows slow. Tests and benchmarks use it.
package vectorstate

// Supported says whether the CPU can tell.
func Supported() bool { return supported }

// Dirty says whether the upper half of a YMM register (bits 128 … 255) or of a ZMM register below 16 (bits 256 … 511) is in use.
func Dirty() bool { return supported && inUse()&(1<<2|1<<6) != 0 }

// Soil writes to the upper halves. It does nothing where Supported is false.
func Soil() {
	if supported {
		soil()
	}
}

// Clean clears the upper halves. It does nothing where Supported is false.
func Clean() {
	if supported {
		clean()
	}
}
