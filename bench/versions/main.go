// Versions is the program that bench -old builds against two versions of the library, to compare them: every kernel without peers or
// limits. ../versions.go leaves out the files that use what a version does not have.
//
// It reads commands, a line each, and answers with a line, as the peers in ../external.go do:
//
//	case KERNEL TYPE N COLS    ok, or no if it does not have that
//	run CALLS                  calls it so often, after some calls to wake up, and says how many ns that took
//	allocations                how many each kernel makes on arrays of its caller's stack
package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/lanewise/lanewise"
)

// A kernel returns the function to time, for n elements in rows of cols; cols is 0 where there are no rows.
type kernel struct{ f32, f64 func(n, cols int) func() }

var kernels = map[string]kernel{}

// onStack are kernels on arrays of the stack. What is never called through a variable can stay there, so that these are called by name.
var onStack = map[string]func(){}

// What functions return goes here, lest the compiler drop their calls.
var (
	sinkFloat float64
	sinkInt   int
)

func main() {
	_, _ = sinkFloat, sinkInt // nobody reads them otherwise
	call := func() {}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var name, typ string
		var n, cols int
		answer := "no"
		if _, err := fmt.Sscanf(in.Text(), "case %s %s %d %d", &name, &typ, &n, &cols); err == nil {
			f := kernels[name].f32
			if typ == "float64" {
				f = kernels[name].f64
			}
			if f != nil {
				call, answer = f(n, cols), "ok"
			}
		} else if _, err := fmt.Sscanf(in.Text(), "run %d", &n); err == nil {
			answer = fmt.Sprint(sample(call, n).Nanoseconds())
		} else if in.Text() == "allocations" {
			answer = allocations()
		} else if in.Text() == "hello" {
			answer = "ok"
		}
		fmt.Println(answer)
	}
}

func sample(call func(), calls int) time.Duration {
	for range calls / 8 { // wakes up
		call()
	}
	start := time.Now()
	for range calls {
		call()
	}
	return time.Since(start)
}

func allocations() string {
	var counts []string
	for name, f := range onStack {
		counts = append(counts, fmt.Sprintf("%s=%g", name, testing.AllocsPerRun(100, f)))
	}
	slices.Sort(counts)
	return strings.Join(counts, " ")
}

// inRows rounds n to whole rows.
func inRows(n, cols int) (elements, rows int) {
	rows = max(1, n/cols)
	return rows * cols, rows
}

// alloc returns n elements that begin at a cache line, and not near the place in a page of the slices before.
func alloc[T any](n int) []T {
	const line, page = 64, 4096
	size := int(unsafe.Sizeof(*new(T)))
	buf := make([]T, n+2*page/size)
	skew = (skew + 21*line) % page
	address := uintptr(unsafe.Pointer(unsafe.SliceData(buf)))
	skip := (int(-address&(page-1)) + skew) / size
	return buf[skip : skip+n : skip+n]
}

var skew int

// normal returns n values of a normal distribution, the same ones in every process.
func normal[T lanewise.Float](n int, scale float64) []T {
	x := alloc[T](n)
	for i := range x {
		x[i] = T(normals[i%len(normals)] * scale)
	}
	return x
}

// normals is enough values that no branch predictor learns them.
var normals = func() []float64 {
	r := rand.New(rand.NewPCG(1, 2))
	x := make([]float64, 1<<20+7)
	for i := range x {
		x[i] = r.NormFloat64()
	}
	return x
}()

// labels returns n labels below classes.
func labels(n, classes int) []int32 {
	r := rand.New(rand.NewPCG(3, 4))
	x := alloc[int32](n)
	for i := range x {
		x[i] = r.Int32N(int32(classes))
	}
	return x
}
