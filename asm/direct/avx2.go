package direct

import (
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Vectors256 emits body for every 8 of n elements, and once more for the rest, with the mask Y15; it moves the pointers on.
func (c Code) Vectors256(n Register, body func(masked bool), pointers ...Register) {
	c.Label("loop")
	c.CMPQ(n, Imm(8))
	c.JLT(LabelRef("tail"))
	body(false)
	for _, p := range pointers {
		c.ADDQ(Imm(32), p)
	}
	c.SUBQ(Imm(8), n)
	c.JMP(LabelRef("loop"))
	c.Label("tail")
	c.TESTQ(n, n)
	c.JZ(LabelRef("done"))
	c.Iota256(Y14)
	c.VMOVQ(n, X15)
	c.VPBROADCASTD(X15, Y15)
	c.VPCMPGTD(Y14, Y15, Y15)
	body(true)
	c.Label("done")
}

// Iota256 sets the lanes to 0 … 7.
func (c Code) Iota256(y VecPhysical) {
	bytes := c.GP64()
	c.MOVQ(U64(0x0706050403020100), bytes)
	c.VMOVQ(bytes, y.AsX())
	c.VPMOVZXBD(y.AsX(), y)
}

// Load256 loads 8 elements, 0 where masked off.
func (c Code) Load256(m Mem, y VecPhysical, masked bool) {
	if masked {
		c.VMASKMOVPS(m, Y15, y)
	} else {
		c.VMOVDQU(m, y)
	}
}

// Store256 stores 8 elements, none where masked off.
func (c Code) Store256(y VecPhysical, m Mem, masked bool) {
	if masked {
		c.VPMASKMOVD(y, Y15, m)
	} else {
		c.VMOVDQU(y, m)
	}
}

// Pick256 fetches elements of a table by their indices, not in Y4: qemu 7 takes index register 4 for none. Y3 is lost.
func (c Code) Pick256(table Register, index, y VecPhysical) {
	c.VPCMPEQD(Y3, Y3, Y3)
	c.VPGATHERDD(Y3, Mem{Base: table, Index: index, Scale: 4}, y)
}

// Zero256 sets all bits to 0.
func (c Code) Zero256(y VecPhysical) { c.VPXOR(y, y, y) }

// Broadcast256 sets all 32-bit lanes.
func (c Code) Broadcast256(x uint32, y VecPhysical) {
	r := c.GP32()
	c.MOVL(U32(x), r)
	c.VMOVD(r, y.AsX())
	c.VPBROADCASTD(y.AsX(), y)
}

// Scalar256 sets all 32-bit lanes to an argument.
func (c Code) Scalar256(name string, y VecPhysical) {
	c.VMOVD(c.Load(c.Param(name), c.GP32()), y.AsX())
	c.VPBROADCASTD(y.AsX(), y)
}
