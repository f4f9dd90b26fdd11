package direct

import (
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Vectors512 emits body for every 16 of n elements, and once more for the rest with the mask K7; it moves the pointers on.
func (c Code) Vectors512(n Register, body func(masked bool), pointers ...Register) {
	c.Label("loop")
	c.CMPQ(n, Imm(16))
	c.JLT(LabelRef("tail"))
	body(false)
	for _, p := range pointers {
		c.ADDQ(Imm(64), p)
	}
	c.SUBQ(Imm(16), n)
	c.JMP(LabelRef("loop"))
	c.Label("tail")
	c.TESTQ(n, n)
	c.JZ(LabelRef("done"))
	mask := c.GP32()
	c.MOVQ(n, RCX)
	c.MOVL(U32(1), mask)
	c.SHLL(CL, mask)
	c.DECL(mask)
	c.KMOVW(mask, K7)
	body(true)
	c.Label("done")
}

// Load512 loads 16 elements, 0 where masked off.
func (c Code) Load512(m Mem, z VecPhysical, masked bool) {
	if masked {
		c.VMOVDQU32_Z(m, K7, z)
	} else {
		c.VMOVDQU32(m, z)
	}
}

// Store512 stores 16 elements, none where masked off.
func (c Code) Store512(z VecPhysical, m Mem, masked bool) {
	if masked {
		c.VMOVDQU32(z, K7, m)
	} else {
		c.VMOVDQU32(z, m)
	}
}

// Pick512 fetches elements of a table by their indices; K1 is lost.
func (c Code) Pick512(table Register, index, z VecPhysical) {
	c.KXNORW(K1, K1, K1)
	c.VPGATHERDD(Mem{Base: table, Index: index, Scale: 4}, K1, z)
}

// Zero512 sets all bits to 0.
func (c Code) Zero512(z VecPhysical) { c.VPXORD(z, z, z) }

// Scalar512 sets all 32-bit lanes to an argument.
func (c Code) Scalar512(name string, z VecPhysical) {
	c.VPBROADCASTD(c.Load(c.Param(name), c.GP32()), z)
}

// Broadcast512 sets all 32-bit lanes.
func (c Code) Broadcast512(x uint32, z VecPhysical) {
	r := c.GP32()
	c.MOVL(U32(x), r)
	c.VPBROADCASTD(r, z)
}
