package probe

import "golang.org/x/sys/cpu"

func detect() []*Probe {
	var all []*Probe
	if cpu.X86.HasAVX512F {
		all = append(all, &Probe{"avx512", 16, readAVX512, read2AVX512, copyAVX512, mergeAVX512, multiplyAddAVX512})
	}
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		all = append(all, &Probe{"avx2", 8, readAVX2, read2AVX2, copyAVX2, mergeAVX2, multiplyAddAVX2})
	}
	return all
}

//go:noescape
func readAVX512(dst, a, b *byte, n, passes int)

//go:noescape
func read2AVX512(dst, a, b *byte, n, passes int)

//go:noescape
func copyAVX512(dst, a, b *byte, n, passes int)

//go:noescape
func mergeAVX512(dst, a, b *byte, n, passes int)

//go:noescape
func multiplyAddAVX512(n int)

//go:noescape
func readAVX2(dst, a, b *byte, n, passes int)

//go:noescape
func read2AVX2(dst, a, b *byte, n, passes int)

//go:noescape
func copyAVX2(dst, a, b *byte, n, passes int)

//go:noescape
func mergeAVX2(dst, a, b *byte, n, passes int)

//go:noescape
func multiplyAddAVX2(n int)

//go:noescape
func zeroUpperAVX()

// ZeroUpper clears the upper halves of the vector registers. Code that leaves them dirty makes every later legacy SSE instruction slow,
// and with it whatever is measured next.
func ZeroUpper() {
	if cpu.X86.HasAVX {
		zeroUpperAVX()
	}
}
