package kernels

import "github.com/lanewise/lanewise/asm/machine"

func transpose(m machine.Machine) {
	m.Func("transpose", "func(dst, src []T, rows, cols, dstStride, srcStride int)", "writes dst[c·dstStride + r] = src[r·srcStride + c].")
	m.Transpose("dst", "src")
	m.End()
}
