package lanewise

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"unsafe"
)

// An ISA is an instruction set that the kernels are written for.
type ISA uint8

const (
	Generic ISA = iota // plain Go: the definition of every kernel, and the path of every other CPU
	AVX2               // amd64 with AVX2, FMA and F16C
	AVX512             // amd64 with AVX2, FMA, F16C and AVX-512 F, BW, CD, DQ and VL
	NEON               // arm64
)

var isaNames = [...]string{Generic: "generic", AVX2: "avx2", AVX512: "avx512", NEON: "neon"}

// String returns the name that LANEWISE_ISA knows the ISA by.
func (isa ISA) String() string {
	if int(isa) < len(isaNames) {
		return isaNames[isa]
	}
	return fmt.Sprintf("ISA(%d)", uint8(isa))
}

// ErrISA is what UseISA returns for an ISA that this CPU, or this build, lacks.
var ErrISA = errors.New("lanewise: instruction set not available")

// available are the ISAs that this CPU can run, best first.
var available = append(detect(), Generic)

// active is the ISA whose kernels are in use. Public functions read it once, and hand it to the kernels, which are named after what they
// compute: the functions of dispatch_*.go call the assembly of the ISA, or the definition where it has none.
var active = available[0]

// ActiveISA returns the ISA whose kernels are in use: the best one that the CPU has, unless the environment variable LANEWISE_ISA or
// UseISA picked another.
func ActiveISA() ISA { return active }

// AvailableISAs returns the ISAs that this CPU can run, best first; the last one is always Generic.
func AvailableISAs() []ISA { return slices.Clone(available) }

// UseISA makes all kernels use isa. It is meant for tests and benchmarks (results are the same bits on every ISA): call it while no kernel
// runs. The error is ErrISA where the CPU lacks isa.
func UseISA(isa ISA) error {
	if !slices.Contains(available, isa) {
		return fmt.Errorf("%w: %v, want one of %v", ErrISA, isa, available)
	}
	active = isa
	return nil
}

func init() { useEnvironment(os.Getenv("LANEWISE_ISA")) }

// useEnvironment follows LANEWISE_ISA. A value that cannot be followed must not stop a service: it is reported once.
func useEnvironment(name string) {
	if name == "" {
		return
	}
	for _, isa := range available {
		if isa.String() == name {
			active = isa
			return
		}
	}
	fmt.Fprintf(os.Stderr, "lanewise: LANEWISE_ISA=%s is not one of %v, using %v\n", name, available, active)
}

// is32 says whether T is float32. Where the compiler knows T the other case is no code.
func is32[T Float]() bool { return unsafe.Sizeof(T(0)) == 4 }

// as is x, whose elements are F.
func as[F, T Float](x []T) []F { return *(*[]F)(unsafe.Pointer(&x)) }
