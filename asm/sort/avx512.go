package sort

import (
	. "github.com/lanewise/lanewise/asm/direct"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// The other kernels of AVX-512 are those of AVX2.
func avx512(c code) {
	c.sort(8, c.sum256, c.neighbours512, c.inverted512)
}

// neighbours512 is neighbours.
func (c code) neighbours512(sorted, n Register) {
	odd := c.GP32()
	c.MOVL(U32(0xaa), odd)
	c.KMOVW(odd, K1)
	round := func(x VecPhysical) {
		c.VPSHUFD(U8(0x4e), x, Z8)
		c.VPMINUQ(x, Z8, Z9)
		c.VPMAXUQ(x, Z8, K1, Z9)
		c.VMOVDQA64(Z9, x)
	}
	shift := func(x, before, to VecPhysical) { c.VALIGNQ(U8(1), before, x, to) }
	v, p, s, s0, q := Z0, Z1, Z2, Z3, Z4
	to, end := c.GP64(), c.GP64()
	c.MOVQ(sorted, to)
	c.LEAQ(Indexed(sorted, n, 8), end)
	c.Zero512(p)
	c.VMOVDQU64(At(to, 0), v)
	c.VALIGNQ(U8(6), p, v, p)
	round(p)
	c.VMOVDQU64(At(to, 48), v)
	round(v)
	shift(v, p, s0)
	round(s0)
	c.VMOVDQA64(v, p)
	c.Label("rounds")
	c.VMOVDQU64(At(to, 14*8), v)
	round(v)
	shift(v, p, s)
	round(s)
	shift(s, s0, q)
	round(q)
	c.VMOVDQU64(q, At(to, 0))
	c.VMOVDQA64(v, p)
	c.VMOVDQA64(s, s0)
	c.ADDQ(Imm(64), to)
	c.CMPQ(to, end)
	c.JB(LabelRef("rounds"))
}

// inverted512 is inverted.
func (c code) inverted512(sorted Mem) {
	c.VMOVDQU64(sorted, Z0)
	c.VPCMPUQ(U8(1), sorted.Offset(-8), Z0, K2)
	c.KTESTW(K2, K2)
}
