package probe

import (
	"runtime"
	"unsafe"
)

var generic = Probe{ISA: "generic", Lanes: 1, read: readGeneric, read2: read2Generic, copy: copyGeneric, merge: mergeGeneric,
	multiplyAdd: multiplyAddGeneric}

type block [Block / 8]uint64

func blocks(p *byte, n int) []block { return unsafe.Slice((*block)(unsafe.Pointer(p)), n/Block) }

func (b *block) or() uint64 {
	var s, t uint64
	for i := 0; i < len(b); i += 8 {
		s |= b[i] | b[i+1] | b[i+2] | b[i+3]
		t |= b[i+4] | b[i+5] | b[i+6] | b[i+7]
	}
	return s | t
}

func readGeneric(_, a, _ *byte, n, passes int) {
	x := blocks(a, n)
	for ; passes > 0; passes-- {
		var s uint64
		for i := range x {
			s |= x[i].or()
		}
		runtime.KeepAlive(s) // lest the compiler drop the loads
	}
}

func read2Generic(_, a, b *byte, n, passes int) {
	x, y := blocks(a, n), blocks(b, n)
	for ; passes > 0; passes-- {
		var s uint64
		for i := range x {
			s |= x[i].or() | y[i].or()
		}
		runtime.KeepAlive(s) // lest the compiler drop the loads
	}
}

func copyGeneric(dst, a, _ *byte, n, passes int) {
	for ; passes > 0; passes-- {
		copy(unsafe.Slice(dst, n), unsafe.Slice(a, n))
	}
}

func mergeGeneric(dst, a, b *byte, n, passes int) {
	z, x, y := blocks(dst, n), blocks(a, n), blocks(b, n)
	for ; passes > 0; passes-- {
		for i := range x {
			for j := range z[i] {
				z[i][j] = x[i][j] ^ y[i][j]
			}
		}
	}
}

func multiplyAddGeneric(n int) {
	var a, b, c, d, e, f, g, h float32
	const x, y = 0.5, 1
	for ; n > 0; n-- {
		for range Chains / 8 {
			a, b, c, d = a*x+y, b*x+y, c*x+y, d*x+y
			e, f, g, h = e*x+y, f*x+y, g*x+y, h*x+y
		}
	}
	runtime.KeepAlive(a + b + c + d + e + f + g + h)
}
