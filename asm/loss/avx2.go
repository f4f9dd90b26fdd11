package loss

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// A row of the scratch of rank256, which ranks 16 columns at a time, and what is in it.
const (
	halfRow   = rowBytes / 2 // values, units, larger, smaller of 16 columns
	halfBytes = (maxRows + 3) * halfRow
	perLane   = 2 * halfBytes // bases and twices of the lanes
	onesAt    = perLane + 256
)

// tables are the permutations that compress and expand 8 elements by a mask, as bytes.
type tables struct{ compress, expand Mem }

func (c code) tables256() (t tables) {
	var compress, expand [256]uint64
	for m := range 256 {
		n := 0
		for i := range 8 {
			expand[m] |= uint64(n) << (8 * i)
			if m>>i&1 != 0 {
				compress[m] |= uint64(i) << (8 * n)
				n++
			}
		}
	}
	table := func(name string, words [256]uint64) Mem {
		m := c.StaticGlobal(name)
		c.DataAttributes(attr.RODATA | attr.NOPTR)
		for i, w := range words {
			c.AddDatum(8*i, U64(w))
		}
		return m
	}
	return tables{table("compressBytes", compress), table("expandBytes", expand)}
}

// bounds256 loads what the keys of the parts are larger than, as signed integers. Keys and bounds are 2³¹ at most.
func (c code) bounds256(y []VecPhysical) {
	from := c.Pointer("from")
	c.VPCMPEQD(Y14, Y14, Y14)
	for t := range y {
		c.VPBROADCASTD(at(from, 4*t), y[t])
		c.VPADDD(Y14, y[t], y[t])
	}
}

// each256 calls f for every part: Y3 has the lanes of key that are in it, and the register mask their bits.
func (c code) each256(key VecPhysical, above []VecPhysical, masked bool, f func(part int, mask GPVirtual)) {
	before := []VecPhysical{Y4, Y5}
	for t := range above {
		now := before[t&1]
		c.VPCMPGTD(above[t], key, now)
		in := now
		if t > 0 {
			c.VPANDN(now, before[t&1^1], Y3)
			in = Y3
		}
		if masked {
			c.VPAND(Y15, in, Y3)
			in = Y3
		}
		if in != Y3 {
			c.VMOVDQA(in, Y3)
		}
		mask := c.GP32()
		c.VMOVMSKPS(Y3, mask)
		f(t, c.widen(mask))
	}
}

func (c code) widen(r GPVirtual) GPVirtual { return r.As64().(GPVirtual) }

func (c code) advance256(stream, mask GPVirtual) {
	c.POPCNTL(mask.As32(), mask.As32())
	c.LEAQ(indexed(stream, mask, 4), stream)
}

// permutation loads one of a table.
func (c code) permutation(table Mem, mask GPVirtual, y VecPhysical) {
	base := c.GP64()
	c.LEAQ(table, base)
	c.VPMOVZXBD(indexed(base, mask, 8), y)
}

// errors256 takes the sign from errors.
func (c code) errors256(signed, e VecPhysical) {
	c.VPSLLD(U8(1), signed, e)
	c.VPSRLD(U8(1), e, e)
}

func (c code) split256(parts int) {
	tables := c.tables256()
	s, keep := c.written(parts)
	above := []VecPhysical{Y6, Y7, Y8, Y9, Y10, Y11, Y12, Y13}[:parts]
	c.bounds256(above)
	p, n := c.Base("signed"), c.Length("signed")
	top := Y0
	c.VPBROADCASTD(at(c.Pointer("from"), 4*maxParts), top)
	c.Vectors256(n, func(masked bool) {
		c.Prefetch(ahead, p)
		c.Load256(at(p, 0), Y5, masked)
		c.errors256(Y5, Y1)
		c.VPMINUD(top, Y1, Y1)
		c.VPSRLD(U8(31), Y5, Y2)
		c.VPADDD(Y1, Y2, Y2)
		c.VPADDD(Y1, Y2, Y2)
		c.each256(Y1, above, masked, func(t int, mask GPVirtual) {
			c.Prefetch(near, s[t])
			c.permutation(tables.compress, mask, Y3)
			c.VPERMD(Y2, Y3, Y3)
			c.VMOVDQU(Y3, at(s[t], 0))
			c.advance256(s[t], mask)
		})
	}, p)
	keep()
	c.End()
}

// count256 is AVX-512's count too: scalar loads do not wait for as long for stores of 32 bytes.
func (c code) count256() {
	c.Scalar256("first", Y1)
	c.VMOVD(c.Load(c.Param("shift"), c.GP32()), X2)
	counts, ranks, keys, n := c.Base("counts"), c.Base("ranks"), c.Base("keys"), c.Length("keys")
	bin, rank := c.GP32(), c.GP32()
	steps := Y4
	c.Iota256(steps)
	one := func(i int) {
		c.MOVL(at(ranks, 4*i), bin)
		c.MOVL(indexed(counts, bin.As64(), 4), rank)
		c.INCL(indexed(counts, bin.As64(), 4))
		c.MOVL(rank, at(ranks, 4*i))
	}
	bins := func() {
		c.Prefetch(near, keys, ranks)
		c.VMOVDQU(at(keys, 0), Y0)
		c.VPSRLD(X2, Y0, Y0)
		c.VPSUBD(Y1, Y0, Y0)
		c.VMOVDQU(Y0, at(ranks, 0))
	}
	c.Label("loop")
	c.CMPQ(n, Imm(8))
	c.JLT(LabelRef("tail"))
	bins()
	// Where all are in one bin, each increment would wait for the one before.
	c.MOVL(at(ranks, 0), bin)
	c.CMPL(at(ranks, 4*7), bin)
	c.JEQ(LabelRef("alike"))
	c.Label("each")
	for i := range 8 {
		one(i)
	}
	c.Label("next")
	c.ADDQ(Imm(32), keys)
	c.ADDQ(Imm(32), ranks)
	c.SUBQ(Imm(8), n)
	c.JMP(LabelRef("loop"))
	c.Label("tail")
	c.TESTQ(n, n)
	c.JZ(LabelRef("done"))
	bins()
	c.Label("rest")
	one(0)
	c.ADDQ(Imm(4), ranks)
	c.DECQ(n)
	c.JNZ(LabelRef("rest"))
	c.JMP(LabelRef("done"))
	c.Label("alike")
	c.VPBROADCASTD(X0, Y3)
	c.VPCMPEQD(Y0, Y3, Y3)
	c.VMOVMSKPS(Y3, rank)
	c.CMPL(rank, U32(0xff))
	c.JNE(LabelRef("each"))
	c.LEAQ(indexed(counts, bin.As64(), 4), bin.As64())
	c.VPBROADCASTD(at(bin.As64(), 0), Y3)
	c.VPADDD(steps, Y3, Y3)
	c.VMOVDQU(Y3, at(ranks, 0))
	c.ADDL(Imm(8), at(bin.As64(), 0))
	c.JMP(LabelRef("next"))
	c.Label("done")
	c.End()
}

func (c code) place256() {
	starts := c.Base("starts")
	first, five, plain := Y8, Y11, Y12
	c.Scalar256("first", first)
	low := c.lowBits()
	c.VPCMPEQD(plain, plain, plain)
	c.VPSRLD(U8(1), plain, plain)
	c.Broadcast256(5, five)
	c.placing(8, low, func(keys, positions Mem) {
		c.VMOVDQU(keys, Y0)
		c.VPSRLD(X13, Y0, Y1)
		c.VPSUBD(first, Y1, Y1)
		c.Pick256(starts, Y1, Y2)
		c.VPSRAD(U8(31), Y2, Y3) // a list, not a column
		c.VPANDN(five, Y3, Y3)
		c.VMOVDQU(positions, Y4)
		c.VPSLLVD(Y3, Y4, Y4)
		c.VPAND(plain, Y2, Y2)
		c.VPADDD(Y2, Y4, Y4)
		c.VMOVDQU(Y4, positions)
	})
}

func (c code) rank256() {
	slots, scratch, weights, n := c.Base("slots"), c.Base("scratch"), c.Base("weights"), c.Length("slots")
	rows, end, left := c.GP64(), c.GP64(), c.GP64()
	zero, one, sums := Y0, Y1, []VecPhysical{Y2, Y3}
	c.Zero256(zero)
	c.VPCMPEQW(one, one, one)
	c.VPSRLW(U8(15), one, one)
	c.VMOVDQU(one, at(scratch, onesAt))

	// Load the values, clear the slots, and tell background from foreground.
	for h, sum := range sums {
		c.Zero256(sum)
		c.LEAQ(at(scratch, h*halfBytes), end)
		c.MOVQ(n, left)
		load := fmt.Sprintf("load%d", h)
		c.Label(load)
		c.VMOVDQU(at(slots, 32*h), Y4)
		c.VMOVDQU(zero, at(slots, 32*h))
		c.VPAND(one, Y4, Y5)
		c.VPSLLW(U8(8), Y5, Y6)
		c.VPSUBW(Y5, Y6, Y6)
		c.VPADDW(one, Y6, Y6)
		c.VPCMPEQW(zero, Y4, Y5)
		c.VPANDN(Y6, Y5, Y6)
		c.VPADDW(Y6, sum, sum)
		c.VMOVDQU(Y4, at(end, 0))
		c.VMOVDQU(Y6, at(end, 32))
		c.VMOVDQU(zero, at(end, 64))
		c.VMOVDQU(zero, at(end, 96))
		c.ADDQ(Imm(64), slots)
		c.ADDQ(U32(halfRow), end)
		c.SUBQ(Imm(32), left)
		c.JNZ(LabelRef(load))
		for j := range 4 {
			c.VMOVDQU(zero, at(end, 32*j))
		}
		if h == 0 {
			c.ADDQ(n, n) // back to the first row
			c.SUBQ(n, slots)
			c.SHRQ(U8(1), n)
		}
	}

	// How many pixels are in the lanes before: background in the lower half of each 32 bits, foreground in the upper.
	carry, own := Y8, Y5
	c.Zero256(carry)
	c.Broadcast256(255, Y9)
	c.Broadcast256(0xffff, Y10)
	c.Scalar256("base", Y11)
	c.Scalar256("twice", Y12)
	c.Broadcast256(7, Y13)
	more := c.Pointer("more")
	for i := range 4 {
		z := Y4
		if i%2 == 0 {
			c.VPMOVZXWD(sums[i/2].AsX(), z)
		} else {
			c.VEXTRACTI128(U8(1), sums[i/2], z.AsX())
			c.VPMOVZXWD(z.AsX(), z)
		}
		c.VPAND(Y9, z, own)
		c.VPSRLD(U8(8), z, z)
		c.VPSLLD(U8(16), z, z)
		c.VPOR(z, own, own)
		c.VPSLLDQ(U8(4), own, z)
		c.VPADDD(own, z, z)
		c.VPSLLDQ(U8(8), z, Y6)
		c.VPADDD(Y6, z, z)
		c.VPSHUFD(U8(0xff), z, Y6)
		c.VPERM2I128(U8(0x08), Y6, Y6, Y6)
		c.VPADDD(Y6, z, z)
		c.VPADDD(carry, z, z)
		c.VPERMD(z, Y13, carry)
		c.VPSUBD(own, z, z)
		c.VPAND(Y10, z, Y6)
		c.VPADDD(Y11, Y6, Y6)
		c.VPADDD(at(more, 32*i), Y6, Y6)
		c.VMOVDQU(Y6, at(scratch, perLane+64*i))
		c.VPSRLD(U8(16), z, z)
		c.VPADDD(z, z, z)
		c.VPSUBD(z, Y12, z)
		c.VPSUBD(at(more, 128+32*i), z, z)
		c.VMOVDQU(z, at(scratch, perLane+64*i+32))
	}
	r, half := c.GP32(), c.GP32()
	c.VMOVD(carry.AsX(), r)
	c.MOVWLZX(r.As16(), half)
	c.Store(half, c.Return("background"))
	c.SHRL(U8(16), r)
	c.Store(r, c.Return("foreground"))
	c.VMOVDQU(sums[0], at(scratch, onesAt+32))
	c.VMOVDQU(sums[1], at(scratch, onesAt+64))

	// Compare every row with every other, two rows with all behind them at a time.
	v, t, a := []VecPhysical{Y0, Y1}, []VecPhysical{Y2, Y3}, []VecPhysical{Y4, Y5}
	gt, lt := []VecPhysical{Y6, Y7}, []VecPhysical{Y8, Y9}
	ones := at(scratch, onesAt)
	pair := func(xi, ti VecPhysical, ai Op, gi, li VecPhysical, j int) {
		c.VPCMPGTW(t[j], xi, Y14)
		c.VPAND(ai, Y14, Y15)
		c.VPADDW(Y15, gt[j], gt[j])
		c.VPAND(a[j], Y14, Y14)
		c.VPADDW(Y14, li, li)
		c.VPCMPGTW(ti, v[j], Y14)
		c.VPAND(ai, Y14, Y15)
		c.VPADDW(Y15, lt[j], lt[j])
		c.VPAND(a[j], Y14, Y14)
		c.VPADDW(Y14, gi, gi)
	}
	row := c.GP64()
	for h := range 2 {
		label := func(name string) string { return fmt.Sprintf("%s%d", name, h) }
		out := c.GP64()
		c.LEAQ(at(weights, 64*h), out)
		c.LEAQ(at(scratch, h*halfBytes), rows)
		c.MOVQ(n, end)
		c.SHLQ(U8(2), end) // halfRow bytes for 32 slots
		c.ADDQ(rows, end)
		c.Label(label("rows"))
		for k := range 2 {
			c.VMOVDQU(at(rows, halfRow*k), v[k])
			c.VMOVDQU(at(rows, halfRow*k+32), a[k])
			c.VMOVDQU(at(rows, halfRow*k+64), gt[k])
			c.VMOVDQU(at(rows, halfRow*k+96), lt[k])
			c.VPOR(ones, v[k], t[k])
		}
		pair(v[1], t[1], a[1], gt[1], lt[1], 0)
		c.LEAQ(at(rows, 2*halfRow), row)
		c.JMP(LabelRef(label("check")))
		c.Label(label("pairs"))
		c.VMOVDQU(at(row, 0), Y10)
		c.VPOR(ones, Y10, Y11)
		c.VMOVDQU(at(row, 64), Y12)
		c.VMOVDQU(at(row, 96), Y13)
		for j := range 2 {
			pair(Y10, Y11, at(row, 32), Y12, Y13, j)
		}
		c.VMOVDQU(Y12, at(row, 64))
		c.VMOVDQU(Y13, at(row, 96))
		c.ADDQ(U32(halfRow), row)
		c.Label(label("check"))
		c.CMPQ(row, end)
		c.JB(LabelRef(label("pairs")))

		m8, halfs := Y10, Y11
		c.Broadcast256(255, m8)
		c.Broadcast256(0x3f000000, halfs)
		for k := range 2 {
			c.VMOVDQU(at(scratch, onesAt+32+32*h), Y12)
			c.VPSUBW(lt[k], Y12, lt[k]) // larger or equal
			for u := range 2 {
				g, e, f := Y12, Y13, Y14
				ga, ea := Y2, Y3
				bases, twices := at(scratch, perLane+64*(2*h+u)), at(scratch, perLane+64*(2*h+u)+32)
				extend := func(from, to VecPhysical) {
					if u == 1 {
						c.VEXTRACTI128(U8(1), from, to.AsX())
						from = to
					}
					c.VPMOVZXWD(from.AsX(), to)
				}
				extend(gt[k], g)
				extend(lt[k], e)
				extend(v[k], f)
				c.VPSLLD(U8(31), f, f) // foreground
				c.VPAND(m8, g, ga)
				c.VPAND(m8, e, ea)
				c.VPADDD(bases, ga, ga) // A
				c.VPADDD(bases, ea, ea) // B
				c.VPSRLD(U8(8), g, g)
				c.VPSRLD(U8(8), e, e)
				c.VPADDD(g, e, e)
				c.VMOVDQU(twices, g)
				c.VPSUBD(e, g, g)
				c.VPADDD(ga, ea, e)
				c.VBLENDVPS(f, e, g, g)
				c.VCVTDQ2PS(ga, ga)
				c.VCVTDQ2PS(ea, ea)
				c.VCVTDQ2PS(g, g)
				c.VMULPS(halfs, g, g)
				c.VMULPS(ga, ea, ea)
				c.VDIVPS(ea, g, g)
				c.VMOVUPS(g, at(out, 32*u))
			}
			c.ADDQ(U32(128), out)
			c.ADDQ(U32(halfRow), rows)
			c.CMPQ(rows, end)
			c.JAE(LabelRef(label("done")))
		}
		c.JMP(LabelRef(label("rows")))
		c.Label(label("done"))
	}
	c.End()
}

func (c code) gather256() {
	dst, positions, keys, weights, n := c.Base("dst"), c.Base("positions"), c.Base("keys"), c.Base("weights"), c.Length("keys")
	one, sum, scale, lanes := Y5, Y0, Y7, c.GP64()
	c.VBROADCASTSD(c.Operand("scale"), scale)
	r := c.GP64()
	c.MOVQ(U64(one64), r)
	c.VMOVQ(r, one.AsX())
	c.VPBROADCASTQ(one.AsX(), one)
	c.LEAQ(at(n, 7), lanes)
	c.ANDQ(I8(-8), lanes)
	c.Zero256(sum)
	c.Vectors256(n, func(masked bool) {
		c.Prefetch(near, dst, keys)
		c.Load256(at(positions, 0), Y6, masked)
		c.Load256(at(keys, 0), Y1, masked) // 0 adds nothing
		c.Pick256(weights, Y6, Y2)
		c.Store256(Y2, at(dst, 0), masked)
		c.VPSRLD(U8(1), Y1, Y1)
		c.VCVTPS2PD(X1, Y3)
		c.VCVTPS2PD(X2, Y4)
		c.VMULPD(scale, Y3, Y3)
		c.VFMADD213PD(one, Y3, Y4)
		c.VPADDQ(Y4, sum, sum)
		c.VEXTRACTF128(U8(1), Y1, X1)
		c.VEXTRACTF128(U8(1), Y2, X2)
		c.VCVTPS2PD(X1, Y1)
		c.VCVTPS2PD(X2, Y2)
		c.VMULPD(scale, Y1, Y1)
		c.VFMADD213PD(one, Y1, Y2)
		c.VPADDQ(Y2, sum, sum)
	}, dst, positions, keys)
	c.VEXTRACTI128(U8(1), sum, X1)
	c.VPADDQ(X1, X0, X0)
	c.VPSRLDQ(U8(8), X0, X1)
	c.VPADDQ(X1, X0, X0)
	c.MOVQ(U64(one64), r)
	c.IMULQ(r, lanes) // what the lanes had too much
	c.VMOVQ(X0, r)
	c.SUBQ(lanes, r)
	c.Store(r, c.Return("sum"))
	c.End()
}

// tally256 is AVX-512's too, as count256 is.
func (c code) tally256() {
	tallies, keys, n := c.Base("packed"), c.Base("keys"), c.Length("keys")
	first, bins := Y8, Y9
	c.Broadcast256(firstBin, first)
	c.Broadcast256(binCount, bins)
	unit := c.GP64()
	c.MOVQ(U64(1<<packed), unit)
	bin, two, rest := c.GP64(), c.GP64(), c.GP64()
	add := func(bin GPVirtual, i int) {
		c.MOVL(at(keys, 4*i), rest.As32())
		c.ANDL(U32(1<<(restBits+1)-1), rest.As32())
		c.ADDQ(unit, rest)
		c.ADDQ(rest, indexed(tallies, bin, 8))
	}
	// The bins of a block are written down before any is counted: the additions then do not wait for them.
	const block = 32
	buffer := c.AllocLocal(4 * block)
	c.Label("loop")
	c.CMPQ(n, Imm(block))
	c.JLT(LabelRef("tail"))
	for i := 0; i < block; i += 8 {
		c.Prefetch(near+4*i, keys)
		c.VMOVDQU(at(keys, 4*i), Y0)
		c.VPSRLD(U8(restBits+1), Y0, Y1)
		c.VPMAXUD(first, Y1, Y1)
		c.VPSUBD(first, Y1, Y1)
		c.VPSLLD(U8(31), Y0, Y0)
		c.VPSRAD(U8(31), Y0, Y0)
		c.VPAND(bins, Y0, Y0)
		c.VPADDD(Y0, Y1, Y1)
		c.VMOVDQU(Y1, buffer.Offset(4*i))
	}
	for i := range block {
		c.MOVL(buffer.Offset(4*i), bin.As32())
		add(bin, i)
	}
	c.ADDQ(U32(4*block), keys)
	c.SUBQ(Imm(block), n)
	c.JMP(LabelRef("loop"))
	c.Label("tail")
	c.TESTQ(n, n)
	c.JZ(LabelRef("done"))
	c.Label("rest")
	c.MOVL(at(keys, 0), bin.As32())
	c.MOVL(bin.As32(), two.As32())
	c.ANDL(Imm(1), two.As32())
	c.IMUL3Q(U32(binCount), two, two)
	c.SHRL(U8(restBits+1), bin.As32())
	c.XORL(rest.As32(), rest.As32())
	c.SUBL(U32(firstBin), bin.As32())
	c.CMOVLCS(rest.As32(), bin.As32())
	c.ADDQ(two, bin)
	add(bin, 0)
	c.ADDQ(Imm(4), keys)
	c.DECQ(n)
	c.JNZ(LabelRef("rest"))
	c.Label("done")
	c.End()
}

func (c code) lookUp256() {
	dst, p, table, n := c.Base("dst"), c.Base("signed"), c.Base("table"), c.Length("signed")
	first, top, factor := Y8, Y9, Y10
	c.Scalar256("first", first)
	c.Broadcast256(oneBits, top)
	c.VBROADCASTSS(c.Operand("factor"), factor)
	c.Vectors256(n, func(masked bool) {
		c.Prefetch(ahead, p)
		c.Load256(at(p, 0), Y0, masked)
		c.errors256(Y0, Y1)
		c.VPMINUD(top, Y1, Y1)
		c.VPSRLD(U8(restBits), Y1, Y1)
		c.VPMAXUD(first, Y1, Y1)
		c.VPSUBD(first, Y1, Y1)
		c.VPADDD(Y1, Y1, Y1)
		c.VPSRLD(U8(31), Y0, Y2)
		c.VPADDD(Y2, Y1, Y1) // 1 more where it is foreground
		c.Pick256(table, Y1, Y5)
		c.VMULPS(factor, Y5, Y5)
		c.negate256(Y0, Y5)
		c.Store256(Y5, at(dst, 0), masked)
	}, dst, p)
	c.End()
}

// negate256 negates w where p is foreground's; p is lost.
func (c code) negate256(p, w VecPhysical) {
	c.VPSRLD(U8(31), p, p)
	c.VPSLLD(U8(31), p, p)
	c.VPXOR(p, w, w)
}

func (c code) expand256(parts int) {
	tables := c.tables256()
	s, keep := c.read(parts)
	above := []VecPhysical{Y6, Y7, Y8, Y9, Y10, Y11, Y12, Y13}[:parts]
	c.bounds256(above)
	dst, p, n := c.Base("dst"), c.Base("signed"), c.Length("signed")
	w := Y2
	c.Vectors256(n, func(masked bool) {
		c.Prefetch(ahead, p)
		c.Load256(at(p, 0), Y0, masked)
		c.errors256(Y0, Y1)
		c.Zero256(w)
		c.each256(Y1, above, masked, func(t int, mask GPVirtual) {
			c.Prefetch(near, s[t])
			c.permutation(tables.expand, mask, Y14)
			c.VPERMD(at(s[t], 0), Y14, Y14)
			c.VPAND(Y3, Y14, Y14)
			c.VPOR(Y14, w, w)
			c.advance256(s[t], mask)
		})
		c.VBROADCASTSS(c.Operand("factor"), Y14)
		c.VMULPS(Y14, w, w)
		c.negate256(Y0, w)
		c.Store256(w, at(dst, 0), masked)
	}, dst, p)
	keep()
	c.End()
}
