package main

import (
	"math/rand/v2"
	"sync"
	"unsafe"

	"github.com/lanewise/lanewise"
)

// alloc returns n elements that begin at a cache line, and not near the place in a page of the slices before: loads that look like an
// earlier store (the same 12 bits of the address) wait for it.
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

// normal returns n values of a normal distribution.
func normal[T lanewise.Float](n int) []T {
	values := normals()
	x := alloc[T](n)
	for i, j := 0, rand.IntN(len(values)); i < n; i++ {
		x[i] = T(values[j])
		if j++; j == len(values) {
			j = 0
		}
	}
	return x
}

// normals is enough values that no branch predictor learns them.
var normals = sync.OnceValue(func() []float64 {
	r := rand.New(rand.NewPCG(1, 2))
	x := make([]float64, 1<<20+7)
	for i := range x {
		x[i] = r.NormFloat64()
	}
	return x
})

// logits returns n values as a network gives them.
func logits[T lanewise.Float](n int) []T {
	x := normal[T](n)
	for i := range x {
		x[i] *= 3
	}
	return x
}

// labels returns n labels below classes.
func labels(n, classes int) []int32 {
	r := rand.New(rand.NewPCG(3, 4))
	x := alloc[int32](n)
	for i := range x {
		x[i] = r.Int32N(int32(classes))
	}
	return x
}

// bytesOf is the memory of x.
func bytesOf[T any](x []T) []byte {
	if len(x) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x))), len(x)*int(unsafe.Sizeof(x[0])))
}
