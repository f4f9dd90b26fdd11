package sort

import (
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func (c code) vectors512() vectors {
	return vectors{
		lanes: 8, registers: []VecPhysical{Z0, Z1, Z2, Z3, Z4},
		begin: func() {
			seconds := c.GP32() // of the pairs
			c.MOVL(U32(0xaa), seconds)
			c.KMOVW(seconds, K1)
		},
		first: func(from Mem, x VecPhysical) {
			c.Zero512(x)
			c.VMOVDQU64(from, Z8)
			c.VALIGNQ(U8(6), x, Z8, x)
		},
		load:  func(from Mem, x VecPhysical) { c.VMOVDQU64(from, x) },
		store: func(x VecPhysical, to Mem) { c.VMOVDQU64(x, to) },
		move:  func(from, to VecPhysical) { c.VMOVDQA64(from, to) },
		order: func(x VecPhysical) {
			c.VPSHUFD(U8(0x4e), x, Z8)
			c.VPMINUQ(x, Z8, Z9)
			c.VPMAXUQ(x, Z8, K1, Z9)
			c.VMOVDQA64(Z9, x)
		},
		next: func(x, before, to VecPhysical) { c.VALIGNQ(U8(1), before, x, to) },
		inverted: func(from Mem) {
			c.VMOVDQU64(from, Z0)
			c.VPCMPUQ(U8(1), from.Offset(-8), Z0, K2)
			c.KTESTW(K2, K2)
		},
	}
}
