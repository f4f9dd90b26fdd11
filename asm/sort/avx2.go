package sort

import (
	. "github.com/lanewise/lanewise/asm/direct"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func avx2(c code) {
	c.count256()
	c.split256()
	c.sort(4, c.sum256, c.neighbours256, c.inverted256)
	c.unpack256()
}

// keys256 loads 8 keys and turns their bits, Y0, into keys that are smaller the larger the floats are; zero is -1 where the float is -0.
// Y13 has all bits but the sign, Y12 the sign.
func (c code) keys256(m Mem, key, zero VecPhysical) {
	c.VMOVDQU(m, Y0)
	c.VPSRAD(U8(31), Y0, key)
	c.VPANDN(Y13, key, key)
	c.VPXOR(Y0, key, key)
	c.VPCMPEQD(Y12, Y0, zero)
	c.VPADDD(zero, key, key)
}

func (c code) keyConstants256() {
	c.VPCMPEQD(Y13, Y13, Y13)
	c.VPSLLD(U8(31), Y13, Y12)
	c.VPSRLD(U8(1), Y13, Y13)
}

func (c code) count256() {
	c.Begin("sortCount", countSignature, countDoc)
	counts, keys, n := c.Pointer("counts"), c.Base("keys"), c.Length("keys")
	c.VMOVD(c.Load(c.Param("shift"), c.GP32()), X15)
	c.keyConstants256()
	largest, buffer, key := Y10, c.AllocLocal(4*block), c.GP32()
	c.Zero256(largest)
	c.Label("loop")
	c.SUBQ(Imm(block), n)
	c.JL(LabelRef("done"))
	for i := 0; i < block; i += 8 {
		if i%16 == 0 {
			c.Prefetch(ahead+4*i, keys)
		}
		c.keys256(At(keys, 4*i), Y1, Y2)
		c.VPAND(Y13, Y0, Y0)
		c.VPMAXUD(Y0, largest, largest)
		c.VPSRLD(X15, Y1, Y1)
		c.VMOVDQU(Y1, buffer.Offset(4*i))
	}
	for i := range block {
		c.MOVL(buffer.Offset(4*i), key)
		c.INCL(Indexed(counts, key.As64(), 4))
	}
	c.ADDQ(U32(4*block), keys)
	c.JMP(LabelRef("loop"))
	c.Label("done")
	c.Broadcast256(0x7f800000, Y0) // +Inf
	c.VPCMPGTD(Y0, largest, Y0)
	nan := c.GP8()
	c.VPTEST(Y0, Y0)
	c.SETNE(nan)
	c.Store(nan, c.Return("nan"))
	c.End()
}

func (c code) split256() {
	c.Begin("sortSplit", splitSignature, splitDoc)
	items, keys, n, parts, next := c.Base("items"), c.Base("keys"), c.Length("keys"), c.Pointer("parts"), c.Pointer("next")
	places, packed := c.AllocLocal(4*block), c.AllocLocal(8*block)
	c.VMOVD(c.Load(c.Param("shift"), c.GP32()), X15)
	c.keyConstants256()
	index, step := Y10, Y11
	c.Scalar256("index", index)
	c.Iota256(step)
	c.VPADDD(step, index, index)
	c.VPADDD(index, index, index)
	c.Broadcast256(2*8, step)
	c.Label("loop")
	c.SUBQ(Imm(block), n)
	c.JL(LabelRef("done"))
	for i := 0; i < block; i += 8 {
		if i%16 == 0 {
			c.Prefetch(ahead+4*i, keys)
		}
		c.keys256(At(keys, 4*i), Y1, Y2)
		c.VPSUBD(Y2, index, Y2)
		c.VPSRLD(X15, Y1, Y0)
		c.Pick256(parts, Y0, Y5)
		c.VMOVDQU(Y5, places.Offset(4*i))
		c.VPUNPCKLDQ(Y1, Y2, Y6)
		c.VPUNPCKHDQ(Y1, Y2, Y7)
		c.VPERM2I128(U8(0x20), Y7, Y6, Y8)
		c.VPERM2I128(U8(0x31), Y7, Y6, Y9)
		c.VMOVDQU(Y8, packed.Offset(8*i))
		c.VMOVDQU(Y9, packed.Offset(8*i+32))
		c.VPADDD(step, index, index)
	}
	// The items follow their places at a distance, so that no store waits for its address.
	part, place, after, item := c.GP32(), c.GP32(), c.GP32(), c.GP64()
	for i := range block {
		c.MOVL(places.Offset(4*i), part)
		c.MOVL(Indexed(next, part.As64(), 4), place)
		c.PREFETCHT0(Indexed(items, place.As64(), 8))
		c.LEAL(At(place.As64(), 1), after)
		c.MOVL(after, Indexed(next, part.As64(), 4))
		c.MOVL(place, places.Offset(4*i))
	}
	for i := range block {
		c.MOVL(places.Offset(4*i), place)
		c.MOVQ(packed.Offset(8*i), item)
		c.MOVQ(item, Indexed(items, place.As64(), 8))
	}
	c.ADDQ(U32(4*block), keys)
	c.JMP(LabelRef("loop"))
	c.Label("done")
	c.End()
}

// sum256 is sum.
func (c code) sum256(counts, n Register) {
	p, left := c.GP64(), c.GP64()
	c.MOVQ(counts, p)
	c.MOVQ(n, left)
	last, largest, carry := Y10, Y11, Y12
	c.Broadcast256(0x0f0e0f0e, last)
	c.Zero256(largest)
	c.Zero256(carry)
	c.Label("sum")
	c.VMOVDQU(At(p, 0), Y0)
	c.VPMAXUW(Y0, largest, largest)
	c.VPSUBW(Y0, carry, Y3)
	c.VPSLLDQ(U8(2), Y0, Y1)
	c.VPADDW(Y1, Y0, Y0)
	c.VPSLLDQ(U8(4), Y0, Y1)
	c.VPADDW(Y1, Y0, Y0)
	c.VPSLLDQ(U8(8), Y0, Y1)
	c.VPADDW(Y1, Y0, Y0)
	c.VPSHUFB(last, Y0, Y1)            // the sum of each half
	c.VPERM2I128(U8(0x08), Y1, Y1, Y2) // the lower one's for the upper half
	c.VPADDW(Y2, Y0, Y0)
	c.VPADDW(Y3, Y0, Y0)
	c.VMOVDQU(Y0, At(p, 0))
	c.VPADDW(Y2, Y1, Y1)
	c.VPERMQ(U8(0xee), Y1, Y1)
	c.VPADDW(Y1, carry, carry)
	c.ADDQ(Imm(32), p)
	c.SUBQ(Imm(16), left)
	c.JNZ(LabelRef("sum"))
	c.Broadcast256(mostInBin<<16|mostInBin, Y0)
	c.VPMAXUW(Y0, largest, largest)
	c.VPXOR(Y0, largest, largest)
	c.VPTEST(largest, largest)
}

// neighbours256 is neighbours.
func (c code) neighbours256(sorted, n Register) {
	sign := Y13
	c.VPCMPEQQ(sign, sign, sign)
	c.VPSLLQ(U8(63), sign, sign) // items are compared as signed integers
	round := func(x VecPhysical) {
		c.VPSHUFD(U8(0x4e), x, Y8)
		c.VPCMPGTQ(Y8, x, Y9)
		c.VPSHUFD(U8(0x44), Y9, Y9)
		c.VBLENDVPD(Y9, Y8, x, x)
	}
	shift := func(x, before, to VecPhysical) { // by one
		c.VPBLENDD(U8(3), x, before, to)
		c.VPERMQ(U8(0x39), to, to)
	}
	v, p, s, s0, q := Y0, Y1, Y2, Y3, Y4
	to, end := c.GP64(), c.GP64()
	c.MOVQ(sorted, to)
	c.LEAQ(Indexed(sorted, n, 8), end)
	c.VPERM2I128(U8(0x28), At(to, 0), p, p) // 0, 0 and the first two
	c.VPXOR(sign, p, p)
	round(p)
	c.VPXOR(At(to, 16), sign, v)
	round(v)
	shift(v, p, s0)
	round(s0)
	c.VMOVDQA(v, p)
	c.Label("rounds")
	c.VPXOR(At(to, 48), sign, v)
	round(v)
	shift(v, p, s)
	round(s)
	shift(s, s0, q)
	round(q)
	c.VPXOR(sign, q, q)
	c.VMOVDQU(q, At(to, 0))
	c.VMOVDQA(v, p)
	c.VMOVDQA(s, s0)
	c.ADDQ(Imm(32), to)
	c.CMPQ(to, end)
	c.JB(LabelRef("rounds"))
}

// inverted256 is inverted. Y13 is the sign.
func (c code) inverted256(sorted Mem) {
	c.VPXOR(sorted, Y13, Y0)
	c.VPXOR(sorted.Offset(-8), Y13, Y1)
	c.VPCMPGTQ(Y0, Y1, Y0)
	c.VPTEST(Y0, Y0)
}

func (c code) unpack256() {
	c.Begin("sortUnpack", unpackSignature, unpackDoc)
	keys, perm, items, n := c.Base("keys"), c.Base("perm"), c.Base("items"), c.Length("items")
	c.VPCMPEQD(Y13, Y13, Y13)
	c.VPSRLD(U8(31), Y13, Y12)
	c.VPSRLD(U8(1), Y13, Y13)
	c.Label("loop")
	c.SUBQ(Imm(8), n)
	c.JL(LabelRef("done"))
	c.Prefetch(ahead, keys, perm)
	c.VMOVUPS(At(items, 0), Y0)
	c.VMOVUPS(At(items, 32), Y1)
	c.VSHUFPS(U8(0x88), Y1, Y0, Y2)
	c.VSHUFPS(U8(0xdd), Y1, Y0, Y3)
	c.VPERMQ(U8(0xd8), Y2, Y2) // indices and the bit of zeros
	c.VPERMQ(U8(0xd8), Y3, Y3) // keys
	c.VPAND(Y12, Y2, Y4)
	c.VPADDD(Y4, Y3, Y3)
	c.VPSRAD(U8(31), Y3, Y4)
	c.VPANDN(Y13, Y4, Y4)
	c.VPXOR(Y4, Y3, Y3)
	c.VPSRLD(U8(1), Y2, Y2)
	c.VMOVDQU(Y3, At(keys, 0))
	c.VMOVDQU(Y2, At(perm, 0))
	c.ADDQ(Imm(64), items)
	c.ADDQ(Imm(32), keys)
	c.ADDQ(Imm(32), perm)
	c.JMP(LabelRef("loop"))
	c.Label("done")
	c.End()
}
