package sort

import (
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// floats turn into keys, and these into the bins that divide them into parts, 8 at a time.
type floats struct {
	bytes int
	begin func()
	bins  func(from Mem) // leaves the bins in Y1, and the keys in Y4, of float64s also in Y5
	look  func()         // at the floats of bins, for what end returns
	end   func()
}

// The constants of float32s and float64s: the sign, all other bits, and the shift from an item's key to its bin.
var signs, others, toBin = Y12, Y13, X15

func (c code) float32s() floats {
	largest := Y14
	return floats{
		bytes: 4,
		begin: func() {
			c.VMOVD(c.Load(c.Param("shift"), c.GP32()), toBin)
			c.VPCMPEQD(others, others, others)
			c.VPSLLD(U8(31), others, signs)
			c.VPSRLD(U8(1), others, others)
			c.Zero256(largest)
		},
		bins: func(from Mem) { // also the floats in Y0, and −1 for −0 in Y2
			c.VMOVDQU(from, Y0)
			c.VPSRAD(U8(31), Y0, Y4)
			c.VPANDN(others, Y4, Y4)
			c.VPXOR(Y0, Y4, Y4)
			c.VPCMPEQD(signs, Y0, Y2)
			c.VPADDD(Y2, Y4, Y4)
			c.VPSRLD(toBin, Y4, Y1)
		},
		look: func() {
			c.VPAND(others, Y0, Y0)
			c.VPMAXUD(Y0, largest, largest)
		},
		end: func() {
			c.Broadcast256(0x7f800000, Y0) // +Inf
			c.VPCMPGTD(Y0, largest, Y0)
			nan := c.GP8()
			c.VPTEST(Y0, Y0)
			c.SETNE(nan)
			c.Store(nan, c.Return("nan"))
		},
	}
}

func (c code) float64s() floats {
	return floats{
		bytes: 8,
		begin: func() {
			shift := c.GP32()
			c.Load(c.Param("shift"), shift)
			c.ADDL(Imm(32), shift)
			c.VMOVD(shift, toBin)
			c.begin64()
		},
		bins: func(from Mem) {
			c.keys64(from)
			c.VPSRLQ(toBin, Y4, Y6)
			c.VPSRLQ(toBin, Y5, Y7)
			c.VSHUFPS(U8(0x88), Y7, Y6, Y1)
			c.VPERMQ(U8(0xd8), Y1, Y1)
		},
		look: func() {},
		end:  func() {},
	}
}

var up, inf = X9, Y14

// begin64 sets the constants of keys64.
func (c code) begin64() {
	c.VMOVD(c.Load(c.Param("up"), c.GP32()), up)
	c.VPCMPEQQ(others, others, others)
	c.VPSLLQ(U8(63), others, signs)
	c.VPSLLQ(U8(53), others, inf)
	c.VPSRLQ(U8(1), others, others)
	c.VPSRLQ(U8(1), inf, inf)
}

// keys64 turns 8 float64s into keys, in Y4 and Y5.
func (c code) keys64(from Mem) {
	for i, key := range []VecPhysical{Y4, Y5} {
		c.VMOVDQU(from.Offset(32*i), Y0)
		c.VPSRAD(U8(31), Y0, Y2)
		c.VPSHUFD(U8(0xf5), Y2, Y2)
		c.VPANDN(others, Y2, Y2)
		c.VPXOR(Y0, Y2, Y2)
		c.VPCMPEQQ(signs, Y0, Y3)
		c.VPADDQ(Y3, Y2, Y2)
		c.VPAND(others, Y0, Y3)
		c.VPCMPGTQ(inf, Y3, Y3) // NaNs
		c.VPANDN(Y2, Y3, Y2)
		c.VPSLLQ(up, Y2, key)
	}
}

func (c code) count256(f floats) {
	counts, keys, n := c.Base("counts"), c.Base("keys"), c.Length("keys")
	buffer, bin := c.AllocLocal(4*block), c.GP32()
	f.begin()
	c.Label("loop")
	c.SUBQ(Imm(block), n)
	c.JL(LabelRef("done"))
	for i := 0; i < block; i += 8 {
		c.Prefetch(ahead+f.bytes*i, keys)
		f.bins(at(keys, f.bytes*i))
		f.look()
		c.VMOVDQU(Y1, buffer.Offset(4*i))
	}
	for i := range block {
		c.MOVL(buffer.Offset(4*i), bin)
		c.INCL(indexed(counts, bin.As64(), 4))
	}
	c.ADDQ(U32(f.bytes*block), keys)
	c.JMP(LabelRef("loop"))
	c.Label("done")
	f.end()
	c.End()
}

func (c code) split32() {
	f := c.float32s()
	items, packed, item := c.Base("items"), c.AllocLocal(8*block), c.GP64()
	index, step := Y10, Y11
	f.begin()
	c.Scalar256("index", index)
	c.Iota256(step)
	c.VPADDD(step, index, index)
	c.VPADDD(index, index, index)
	c.Broadcast256(2*8, step)
	c.split256(f, c.Length("items"), mover{
		take: func(i int) {
			c.VPSUBD(Y2, index, Y2) // 2·index + (1 for −0)
			c.VPADDD(step, index, index)
			c.VPUNPCKLDQ(Y4, Y2, Y6)
			c.VPUNPCKHDQ(Y4, Y2, Y7)
			c.VPERM2I128(U8(0x20), Y7, Y6, Y8)
			c.VPERM2I128(U8(0x31), Y7, Y6, Y9)
			c.VMOVDQU(Y8, packed.Offset(8*i))
			c.VMOVDQU(Y9, packed.Offset(8*i+32))
		},
		prefetch: func(place Register) { c.PREFETCHT0(indexed(items, place, 8)) },
		move: func(_ Mem, i int, place Register) {
			c.MOVQ(packed.Offset(8*i), item)
			c.MOVQ(item, indexed(items, place, 8))
		},
		after: func() {},
	})
}

func (c code) split64() {
	f := c.float64s()
	values, perm, index, value, own := c.Base("values"), c.Base("perm"), c.GP64(), c.GP64(), c.GP32()
	c.Load(c.Param("index"), index.As32())
	f.begin()
	c.split256(f, c.Length("values"), mover{
		take: func(int) {},
		prefetch: func(place Register) {
			c.PREFETCHT0(indexed(values, place, 8))
			c.PREFETCHT0(indexed(perm, place, 4))
		},
		move: func(from Mem, i int, place Register) {
			c.MOVQ(from, value)
			c.MOVQ(value, indexed(values, place, 8))
			c.LEAL(at(index, i), own)
			c.MOVL(own, indexed(perm, place, 4))
		},
		after: func() { c.ADDQ(Imm(block), index) },
	})
}

// A mover moves what floats become to their places.
type mover struct {
	take     func(i int)                           // what bins left of 8 floats, the first of which is number i of the block
	prefetch func(place Register)                  // for writing
	move     func(from Mem, i int, place Register) // float i of the block
	after    func()                                // each block
}

// split256 moves floats to their places, of which there are so many: should the keys not be those that were counted, because another goroutine
// writes to them, the result is of no use, but no other memory is written to.
func (c code) split256(f floats, places GPVirtual, m mover) {
	keys, n, parts, next := c.Base("keys"), c.Length("keys"), c.Base("parts"), c.Pointer("next")
	buffer := c.AllocLocal(4 * block)
	c.DECQ(places)
	c.Label("loop")
	c.SUBQ(Imm(block), n)
	c.JL(LabelRef("done"))
	for i := 0; i < block; i += 8 {
		c.Prefetch(ahead+f.bytes*i, keys)
		f.bins(at(keys, f.bytes*i))
		m.take(i)
		c.Pick256(parts, Y1, Y5)
		c.VMOVDQU(Y5, buffer.Offset(4*i))
	}
	// The floats follow their places at a distance, so that no store waits for its address.
	part, place, after := c.GP32(), c.GP32(), c.GP32()
	for i := range block {
		c.MOVL(buffer.Offset(4*i), part)
		c.MOVL(indexed(next, part.As64(), 4), place)
		c.LEAL(at(place.As64(), 1), after)
		c.MOVL(after, indexed(next, part.As64(), 4))
		c.CMPL(place, places.As32())
		c.CMOVLHI(places.As32(), place)
		m.prefetch(place.As64())
		c.MOVL(place, buffer.Offset(4*i))
	}
	for i := range block {
		c.MOVL(buffer.Offset(4*i), place)
		m.move(at(keys, f.bytes*i), i, place.As64())
	}
	m.after()
	c.ADDQ(U32(f.bytes*block), keys)
	c.JMP(LabelRef("loop"))
	c.Label("done")
	c.End()
}

func (c code) pack64() {
	items, values, n := c.Base("items"), c.Base("values"), c.Length("values")
	index, step, mask := Y10, Y11, Y8
	low := c.GP32()
	c.Load(c.Param("low"), low)
	c.VMOVD(low, X0)
	c.VPCMPEQQ(mask, mask, mask)
	c.VPSLLQ(X0, mask, mask)
	c.begin64()
	c.Iota256(index)
	c.VPMOVZXDQ(index.AsX(), index)
	c.Broadcast256(4, step)
	c.VPMOVZXDQ(step.AsX(), step)
	c.Label("loop")
	c.SUBQ(Imm(8), n)
	c.JL(LabelRef("done"))
	c.keys64(at(values, 0))
	for i, y := range []VecPhysical{Y4, Y5} {
		c.VPAND(mask, y, y)
		c.VPOR(index, y, y)
		c.VPADDQ(step, index, index)
		c.VMOVDQU(y, at(items, 32*i))
	}
	c.ADDQ(Imm(64), values)
	c.ADDQ(Imm(64), items)
	c.JMP(LabelRef("loop"))
	c.Label("done")
	c.End()
}

// sums turns n counts into the sums of those before, and leaves the zero flag clear where one is larger than mostInBin.
func (c code) sums(counts, n Register) {
	p, left := c.GP64(), c.GP64()
	c.MOVQ(counts, p)
	c.MOVQ(n, left)
	last, largest, carry := Y10, Y11, Y12
	c.Broadcast256(0x0f0e0f0e, last)
	c.Zero256(largest)
	c.Zero256(carry)
	c.Label("sum")
	c.VMOVDQU(at(p, 0), Y0)
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
	c.VMOVDQU(Y0, at(p, 0))
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

// vectors256 compares items as signed integers: they are in vectors with the sign flipped.
func (c code) vectors256() vectors {
	sign := Y13
	return vectors{
		lanes: 4, registers: []VecPhysical{Y0, Y1, Y2, Y3, Y4},
		begin: func() {
			c.VPCMPEQQ(sign, sign, sign)
			c.VPSLLQ(U8(63), sign, sign)
		},
		first: func(from Mem, x VecPhysical) {
			c.VPERM2I128(U8(0x28), from, x, x)
			c.VPXOR(sign, x, x)
		},
		load: func(from Mem, x VecPhysical) { c.VPXOR(from, sign, x) },
		store: func(x VecPhysical, to Mem) {
			c.VPXOR(sign, x, x)
			c.VMOVDQU(x, to)
		},
		move: func(from, to VecPhysical) { c.VMOVDQA(from, to) },
		order: func(x VecPhysical) {
			c.VPSHUFD(U8(0x4e), x, Y8)
			c.VPCMPGTQ(Y8, x, Y9)
			c.VPSHUFD(U8(0x44), Y9, Y9)
			c.VBLENDVPD(Y9, Y8, x, x)
		},
		next: func(x, before, to VecPhysical) {
			c.VPBLENDD(U8(3), x, before, to)
			c.VPERMQ(U8(0x39), to, to)
		},
		inverted: func(from Mem) {
			c.VPXOR(from, sign, Y0)
			c.VPXOR(from.Offset(-8), sign, Y1)
			c.VPCMPGTQ(Y0, Y1, Y0)
			c.VPTEST(Y0, Y0)
		},
	}
}

func (c code) unpack256() {
	keys, perm, items, n := c.Base("keys"), c.Base("perm"), c.Base("items"), c.Length("items")
	c.VPCMPEQD(Y13, Y13, Y13)
	c.VPSRLD(U8(31), Y13, Y12)
	c.VPSRLD(U8(1), Y13, Y13)
	c.Label("loop")
	c.SUBQ(Imm(8), n)
	c.JL(LabelRef("done"))
	c.Prefetch(ahead, keys, perm)
	c.VMOVUPS(at(items, 0), Y0)
	c.VMOVUPS(at(items, 32), Y1)
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
	c.VMOVDQU(Y3, at(keys, 0))
	c.VMOVDQU(Y2, at(perm, 0))
	c.ADDQ(Imm(64), items)
	c.ADDQ(Imm(32), keys)
	c.ADDQ(Imm(32), perm)
	c.JMP(LabelRef("loop"))
	c.Label("done")
	c.End()
}
