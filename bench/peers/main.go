// Peers has the implementations in Go that bring a tree of modules with them. It is a program and a module of its own, outside the
// workspace, so that nobody downloads these trees who does not compare with them; bench builds it where it finds Go and the module proxy.
//
//	peers NAME    talks as this one on standard input and output: ../external.go says how
package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"time"
	"unsafe"
)

// A float is an element of the kernels.
type float interface{ float32 | float64 }

// A peer returns the function to time, and where it puts its result; nil where the peer does not have the kernel.
type peer struct {
	f32 func(kernel string, n, cols int) *instance[float32]
	f64 func(kernel string, n, cols int) *instance[float64]
}

// An instance is a kernel on data of its own.
type instance[T float] struct {
	src  [][]T // its inputs
	call func()
	dst  func() []T // the result of the last call
}

var peers = map[string]peer{
	"weaviate": {weaviate, none[float64]},
	"gorgonia": {gorgonia[float32], gorgonia[float64]},
	"spago":    {spago[float32], spago[float64]},
	"gomlx":    {gomlx[float32], gomlx[float64]},
}

func none[T float](string, int, int) *instance[T] { return nil }

// mostSlow is the longest input of those that take a hundred times as long as others, and would only make everybody wait.
const mostSlow = 1 << 16

// alloc returns n elements that begin at a cache line, and not near the place in a page of the slices before.
func alloc[T float](n int) []T {
	const line, page = 64, 4096
	size := int(unsafe.Sizeof(*new(T)))
	buf := make([]T, n+2*page/size)
	skew = (skew + 21*line) % page
	address := uintptr(unsafe.Pointer(unsafe.SliceData(buf)))
	skip := (int(-address&(page-1)) + skew) / size
	return buf[skip : skip+n : skip+n]
}

var skew int

// normal returns n values of a normal distribution.
func normal[T float](n int, scale float64) []T {
	x := alloc[T](n)
	for i := range x {
		x[i] = T(rand.NormFloat64() * scale)
	}
	return x
}

// setup returns the function to time, or nil.
func (p peer) setup(kernel, typ string, n, cols int) func() {
	switch typ {
	case "float32":
		if in := p.f32(kernel, n, cols); in != nil {
			return in.call
		}
	case "float64":
		if in := p.f64(kernel, n, cols); in != nil {
			return in.call
		}
	}
	return nil
}

var epoch = time.Now()

func clock() time.Duration {
	if os.Getenv("LANEWISE_BENCH_CLOCK") != "" && processClock != nil {
		return processClock()
	}
	return time.Since(epoch)
}

func main() {
	if len(os.Args) != 2 || peers[os.Args[1]].f32 == nil {
		fmt.Fprintln(os.Stderr, "usage: peers weaviate|gorgonia|spago|gomlx")
		os.Exit(2)
	}
	talk(peers[os.Args[1]])
}

func talk(p peer) {
	var call func()
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var kernel, typ string
		var n, cols int
		if _, err := fmt.Sscanf(in.Text(), "case %s %s %d %d", &kernel, &typ, &n, &cols); err == nil {
			if call = p.setup(kernel, typ, n, cols); call == nil {
				fmt.Println("no")
			} else {
				fmt.Println("ok")
			}
		} else if _, err := fmt.Sscanf(in.Text(), "run %d", &n); err == nil {
			for range n / 8 { // wakes up
				call()
			}
			start := clock()
			for range n {
				call()
			}
			fmt.Println((clock() - start).Nanoseconds())
		} else if in.Text() == "hello" {
			fmt.Println("ok")
		} else {
			fmt.Println("no")
		}
	}
}
