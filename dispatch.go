package lanewise

import (
	"errors"
	"fmt"
	"os"
	"unsafe"
)

// An ISA is an instruction set that the kernels are written for.
type ISA uint8

const (
	Generic ISA = iota // plain Go: the definition of every kernel, and the path of every other CPU
	AVX2               // amd64 with AVX2 and FMA
	AVX512             // amd64 with AVX2, FMA and AVX-512 F, BW, CD, DQ and VL
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
var ErrISA = errors.New("instruction set not available")

// An implementation is the kernels of one ISA.
type implementation struct {
	isa ISA
	f32 kernels[float32]
	f64 kernels[float64]

	sparse  *sparseKernels // of the loss
	columns *columnKernels // of the exact loss; nil where it sorts
	sort    *sortKernels   // nil where plain Go sorts
}

// implementations are those that this CPU can run, best first.
var implementations = append(detect(), &implementation{isa: Generic, f32: genericKernels32, f64: genericKernels64, sparse: &sparseGeneric})

// active is the implementation that every kernel call goes through.
var active = implementations[0]

// table returns the active kernels for T.
func table[T Float]() *kernels[T] {
	if unsafe.Sizeof(T(0)) == 4 {
		return (*kernels[T])(unsafe.Pointer(&active.f32))
	}
	return (*kernels[T])(unsafe.Pointer(&active.f64))
}

// ActiveISA returns the ISA whose kernels are in use: the best one that the CPU has, unless the environment variable LANEWISE_ISA or
// UseISA picked another.
func ActiveISA() ISA { return active.isa }

// AvailableISAs returns the ISAs that this CPU can run, best first; the last one is always Generic.
func AvailableISAs() []ISA {
	isas := make([]ISA, len(implementations))
	for i, impl := range implementations {
		isas[i] = impl.isa
	}
	return isas
}

// UseISA makes all kernels use isa. It is meant for tests and benchmarks (results are the same bits on every ISA): call it while no kernel
// runs. The error is ErrISA where the CPU lacks isa.
func UseISA(isa ISA) error {
	for _, impl := range implementations {
		if impl.isa == isa {
			active = impl
			return nil
		}
	}
	return fmt.Errorf("lanewise: %w: %v (available: %v)", ErrISA, isa, AvailableISAs())
}

func init() { useEnvironment(os.Getenv("LANEWISE_ISA")) }

// useEnvironment follows LANEWISE_ISA. A value that cannot be followed must not stop a service: it is reported once.
func useEnvironment(name string) {
	if name == "" {
		return
	}
	for _, impl := range implementations {
		if impl.isa.String() == name {
			active = impl
			return
		}
	}
	fmt.Fprintf(os.Stderr, "lanewise: LANEWISE_ISA=%s is not one of %v, using %v\n", name, AvailableISAs(), active.isa)
}
