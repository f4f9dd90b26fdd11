//go:build goexperiment.simd && amd64

// Archsimd has Dot and Softmax in Go with simd/archsimd, on AVX-512, and talks with bench over its pipe. It is a process of its own since
// the experiment is a matter of the whole build, and since its code leaves the
// upper halves of vector registers dirty wherever it does not clear them.
package main

import (
	"bufio"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"simd/archsimd"
	"syscall"
	"time"
	"unsafe"
)

var sink float64

func dot32(a, b []float32) float32 {
	var s0, s1, s2, s3 archsimd.Float32x16
	b = b[:len(a)]
	i := 0
	for ; i+64 <= len(a); i += 64 {
		s0 = load32(a, i).MulAdd(load32(b, i), s0)
		s1 = load32(a, i+16).MulAdd(load32(b, i+16), s1)
		s2 = load32(a, i+32).MulAdd(load32(b, i+32), s2)
		s3 = load32(a, i+48).MulAdd(load32(b, i+48), s3)
	}
	sum := sum32(s0.Add(s1).Add(s2.Add(s3)))
	for ; i < len(a); i++ {
		sum += a[i] * b[i]
	}
	return sum
}

func dot64(a, b []float64) float64 {
	var s0, s1, s2, s3 archsimd.Float64x8
	b = b[:len(a)]
	i := 0
	for ; i+32 <= len(a); i += 32 {
		s0 = load64(a, i).MulAdd(load64(b, i), s0)
		s1 = load64(a, i+8).MulAdd(load64(b, i+8), s1)
		s2 = load64(a, i+16).MulAdd(load64(b, i+16), s2)
		s3 = load64(a, i+24).MulAdd(load64(b, i+24), s3)
	}
	var lanes [8]float64
	s0.Add(s1).Add(s2.Add(s3)).Store(&lanes)
	archsimd.ClearAVXUpperBits()
	var sum float64
	for _, v := range lanes {
		sum += v
	}
	for ; i < len(a); i++ {
		sum += a[i] * b[i]
	}
	return sum
}

func softmax32(dst, src []float32) {
	dst = dst[:len(src)]
	m := float32(math.Inf(-1))
	i := 0
	if len(src) >= 16 {
		most := load32(src, 0)
		for i = 16; i+16 <= len(src); i += 16 {
			most = most.Max(load32(src, i))
		}
		var lanes [16]float32
		most.Store(&lanes)
		archsimd.ClearAVXUpperBits()
		for _, v := range lanes {
			m = max(m, v)
		}
	}
	for ; i < len(src); i++ {
		m = max(m, src[i])
	}
	var total archsimd.Float32x16
	subtract := archsimd.BroadcastFloat32x16(m)
	for i = 0; i+16 <= len(src); i += 16 {
		e := exp32(load32(src, i).Sub(subtract))
		e.Store((*[16]float32)(unsafe.Pointer(&dst[i])))
		total = total.Add(e)
	}
	sum := sum32(total)
	for ; i < len(src); i++ {
		dst[i] = float32(math.Exp(float64(src[i] - m)))
		sum += dst[i]
	}
	factor := archsimd.BroadcastFloat32x16(1 / sum)
	for i = 0; i+16 <= len(dst); i += 16 {
		load32(dst, i).Mul(factor).Store((*[16]float32)(unsafe.Pointer(&dst[i])))
	}
	archsimd.ClearAVXUpperBits()
	for ; i < len(dst); i++ {
		dst[i] /= sum
	}
}

// exp32 is exp for x ≤ 0, to about 1 ulp.
func exp32(x archsimd.Float32x16) archsimd.Float32x16 {
	c := archsimd.BroadcastFloat32x16
	magic := c(0x1.8p23)
	n := x.MulAdd(c(0x1.715476p0), magic).Sub(magic)
	r := n.MulAdd(c(-0x1.62e4p-1), x)
	r = n.MulAdd(c(-0x1.7f7dp-20), r)
	p := c(0x1.6ac74ap-10)
	p = p.MulAdd(r, c(0x1.123dep-7))
	p = p.MulAdd(r, c(0x1.555858p-5))
	p = p.MulAdd(r, c(0x1.55548cp-3))
	p = p.MulAdd(r, c(0x1.fffffcp-2))
	p = p.MulAdd(r, c(1))
	p = p.MulAdd(r, c(1))
	return p.Scale(n)
}

func load32(x []float32, i int) archsimd.Float32x16 {
	return archsimd.LoadFloat32x16((*[16]float32)(unsafe.Pointer(&x[i])))
}

func load64(x []float64, i int) archsimd.Float64x8 {
	return archsimd.LoadFloat64x8((*[8]float64)(unsafe.Pointer(&x[i])))
}

func sum32(v archsimd.Float32x16) float32 {
	var lanes [16]float32
	v.Store(&lanes)
	archsimd.ClearAVXUpperBits() // what follows is legacy SSE
	var sum float32
	for _, x := range lanes {
		sum += x
	}
	return sum
}

func normal[T float32 | float64](n int, scale float64) []T {
	x := make([]T, n)
	for i := range x {
		x[i] = T(rand.NormFloat64() * scale)
	}
	return x
}

// setup returns the function to time, or nil.
func setup(kernel, typ string, n, cols int) func() {
	switch {
	case kernel == "Dot" && typ == "float32":
		a, b := normal[float32](n, 1), normal[float32](n, 1)
		return func() { sink = float64(dot32(a, b)) }
	case kernel == "Dot" && typ == "float64":
		a, b := normal[float64](n, 1), normal[float64](n, 1)
		return func() { sink = dot64(a, b) }
	case (kernel == "Softmax" || kernel == "SoftmaxRows") && typ == "float32":
		if kernel == "Softmax" {
			cols = n
		}
		dst, src := make([]float32, n), normal[float32](n, 3)
		return func() {
			for i := 0; i < n; i += cols {
				softmax32(dst[i:i+cols], src[i:i+cols])
			}
		}
	}
	return nil
}

var epoch = time.Now()

func clock() time.Duration {
	var u syscall.Rusage
	if os.Getenv("LANEWISE_BENCH_CLOCK") != "" && syscall.Getrusage(syscall.RUSAGE_SELF, &u) == nil {
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return time.Since(epoch)
}

func main() {
	if !archsimd.X86.AVX512() {
		fmt.Fprintln(os.Stderr, "needs AVX-512")
		os.Exit(1)
	}
	var call func()
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var kernel, typ string
		var n, cols int
		if _, err := fmt.Sscanf(in.Text(), "case %s %s %d %d", &kernel, &typ, &n, &cols); err == nil {
			if call = setup(kernel, typ, n, cols); call == nil {
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
