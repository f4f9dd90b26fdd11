package loss

import (
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Predicates of integer comparisons.
const (
	greaterEqual = U8(5)
	greater      = U8(6)
)

// thresholds loads where the parts begin.
func (c code) thresholds(z []VecPhysical) {
	from := c.Pointer("from")
	for t := range z {
		c.VPBROADCASTD(at(from, 4*t), z[t])
	}
}

// each calls f for every part: K1 has the lanes of key that are in it.
func (c code) each(key VecPhysical, from []VecPhysical, f func(part int)) {
	before := []Register{K3, K4}
	for t := range from {
		now := before[t&1]
		c.VPCMPUD(greaterEqual, from[t], key, now)
		if t == 0 {
			c.KMOVW(now, K1)
		} else {
			c.KANDNW(now, before[t&1^1], K1)
		}
		f(t)
	}
}

func (c code) advance(stream GPVirtual) {
	n := c.GP32()
	c.KMOVW(K1, n)
	c.POPCNTL(n, n)
	c.LEAQ(indexed(stream, n.As64(), 4), stream)
}

func (c code) split512(parts int) {
	s, keep := c.written(parts)
	from := []VecPhysical{Z8, Z9, Z10, Z11, Z12, Z13, Z14, Z15}[:parts]
	c.thresholds(from)
	p, n := c.Base("signed"), c.Length("signed")
	magnitude, top := Z0, Z1
	c.Broadcast512(1<<31-1, magnitude)
	c.VPBROADCASTD(at(c.Pointer("from"), 4*maxParts), top)
	c.Vectors512(n, func(masked bool) {
		c.Prefetch(ahead, p)
		c.Load512(at(p, 0), Z4, masked)
		c.VPANDD(magnitude, Z4, Z2)
		c.VPMINUD(top, Z2, Z2)
		c.VPSRLD(U8(31), Z4, Z3)
		c.VPADDD(Z2, Z3, Z3)
		c.VPADDD(Z2, Z3, Z3)
		c.each(Z2, from, func(t int) {
			if masked {
				c.KANDW(K7, K1, K1)
			}
			c.Prefetch(near, s[t])
			c.VPCOMPRESSD_Z(Z3, K1, Z5)
			c.VMOVDQU32(Z5, at(s[t], 0))
			c.advance(s[t])
		})
	}, p)
	keep()
	c.End()
}

func (c code) place512() {
	starts := c.Base("starts")
	first, five, plain := Z8, Z11, Z12
	c.Scalar512("first", first)
	low := c.lowBits()
	c.Broadcast512(5, five)
	c.Broadcast512(1<<31-1, plain)
	c.placing(16, low, func(keys, positions Mem) {
		c.VMOVDQU32(keys, Z0)
		c.VPSRLD(X13, Z0, Z1)
		c.VPSUBD(first, Z1, Z1)
		c.Pick512(starts, Z1, Z2)
		c.VPSRAD(U8(31), Z2, Z3) // a list, not a column
		c.VPANDND(five, Z3, Z3)
		c.VMOVDQU32(positions, Z4)
		c.VPSLLVD(Z3, Z4, Z4)
		c.VPANDD(plain, Z2, Z2)
		c.VPADDD(Z2, Z4, Z4)
		c.VMOVDQU32(Z4, positions)
	})
}

func (c code) rank512() {
	slots, rows, weights := c.Base("slots"), c.Base("scratch"), c.Base("weights")
	n := c.Length("slots")
	end := c.GP64()

	one, fg, sum := Z31, Z1, Z25
	// Load the values, clear the slots, and tell background from foreground.
	r := c.GP32()
	c.MOVL(U32(1), r)
	c.VPBROADCASTW(r, one)
	c.MOVL(U32(fgUnit), r)
	c.VPBROADCASTW(r, fg)
	c.Zero512(Z0)
	c.Zero512(sum)
	c.MOVQ(rows, end)
	c.Label("load")
	c.VMOVDQU64(at(slots, 0), Z2)
	c.VMOVDQU64(Z0, at(slots, 0))
	c.VPTESTMW(Z2, Z2, K1)
	c.VPTESTMW(one, Z2, K2)
	c.VMOVDQU16_Z(one, K1, Z3)
	c.VMOVDQU16(fg, K2, Z3)
	c.VPADDW(Z3, sum, sum)
	c.VMOVDQU64(Z2, at(end, 0))
	c.VMOVDQU64(Z3, at(end, 64))
	c.VMOVDQU64(Z0, at(end, 128))
	c.VMOVDQU64(Z0, at(end, 192))
	c.ADDQ(Imm(64), slots)
	c.ADDQ(U32(rowBytes), end)
	c.SUBQ(Imm(32), n)
	c.JNZ(LabelRef("load"))
	for i := range 3 {
		for j := range 4 {
			c.VMOVDQU64(Z0, at(end, rowBytes*i+64*j))
		}
	}

	// How many pixels are in the lanes before: background in the lower half of each 32 bits, foreground in the upper.
	low, high := Z2, Z3
	c.Broadcast512(255, Z4)
	c.VPMOVZXWD(sum.AsY(), low)
	c.VEXTRACTI64X4(U8(1), sum, Y3)
	c.VPMOVZXWD(Y3, high)
	for _, z := range []VecPhysical{low, high} {
		c.VPANDD(Z4, z, Z5)
		c.VPSRLD(U8(8), z, z)
		c.VPSLLD(U8(16), z, z)
		c.VPORD(Z5, z, z)
	}
	lowOwn, highOwn := Z6, Z7
	c.VMOVDQA64(low, lowOwn)
	c.VMOVDQA64(high, highOwn)
	for _, shift := range []U8{15, 14, 12, 8} {
		for _, z := range []VecPhysical{low, high} {
			c.VALIGND(shift, Z0, z, Z5)
			c.VPADDD(Z5, z, z)
		}
	}
	c.Broadcast512(15, Z5)
	c.VPERMD(low, Z5, Z5)
	c.VPADDD(Z5, high, high)
	c.VEXTRACTI32X4(U8(3), high, X5)
	c.VPEXTRD(U8(3), X5, r)
	half := c.GP32()
	c.MOVWLZX(r.As16(), half)
	c.Store(half, c.Return("background"))
	c.SHRL(U8(16), r)
	c.Store(r, c.Return("foreground"))
	c.VPSUBD(lowOwn, low, low)
	c.VPSUBD(highOwn, high, high)
	more := c.Pointer("more")
	bases, twices := []VecPhysical{Z26, Z27}, []VecPhysical{Z28, Z29}
	c.Broadcast512(0xffff, Z4)
	c.Scalar512("base", Z5)
	c.Scalar512("twice", Z6)
	for h, z := range []VecPhysical{low, high} {
		c.VPANDD(Z4, z, bases[h])
		c.VPADDD(Z5, bases[h], bases[h])
		c.VPADDD(at(more, 64*h), bases[h], bases[h])
		c.VPSRLD(U8(16), z, z)
		c.VPADDD(z, z, z)
		c.VPSUBD(z, Z6, twices[h])
		c.VPSUBD(at(more, 128+64*h), twices[h], twices[h])
	}
	halfs := Z30
	c.Broadcast512(0x3f000000, halfs)

	// Compare every row with every other, four rows with all behind them at a time.
	v := []VecPhysical{Z0, Z1, Z2, Z3}
	t := []VecPhysical{Z4, Z5, Z6, Z7}
	a := []VecPhysical{Z8, Z9, Z10, Z11}
	gt := []VecPhysical{Z12, Z13, Z14, Z15}
	lt := []VecPhysical{Z16, Z17, Z18, Z19}
	masks := 0
	pair := func(xi, ti, ai, gi, li, xj, tj, aj, gj, lj VecPhysical) {
		m := []Register{K1, K2, K3, K4, K5, K6}
		k1, k2 := m[masks%6], m[(masks+1)%6]
		masks += 2
		c.VPCMPUW(greater, tj, xi, k1)
		c.VPCMPUW(greater, ti, xj, k2)
		c.VPADDW(ai, gj, k1, gj)
		c.VPADDW(aj, li, k1, li)
		c.VPADDW(aj, gi, k2, gi)
		c.VPADDW(ai, lj, k2, lj)
	}
	c.Label("rows")
	for k := range 4 {
		c.VMOVDQU64(at(rows, rowBytes*k), v[k])
		c.VMOVDQU64(at(rows, rowBytes*k+64), a[k])
		c.VMOVDQU64(at(rows, rowBytes*k+128), gt[k])
		c.VMOVDQU64(at(rows, rowBytes*k+192), lt[k])
		c.VPORD(one, v[k], t[k])
	}
	for i := range 4 {
		for j := range i {
			pair(v[i], t[i], a[i], gt[i], lt[i], v[j], t[j], a[j], gt[j], lt[j])
		}
	}
	row := c.GP64()
	c.LEAQ(at(rows, 4*rowBytes), row)
	c.JMP(LabelRef("pairsCheck"))
	c.Label("pairs")
	c.VMOVDQU64(at(row, 0), Z20)
	c.VPORD(one, Z20, Z21)
	c.VMOVDQU64(at(row, 64), Z22)
	c.VMOVDQU64(at(row, 128), Z23)
	c.VMOVDQU64(at(row, 192), Z24)
	for j := range 4 {
		pair(Z20, Z21, Z22, Z23, Z24, v[j], t[j], a[j], gt[j], lt[j])
	}
	c.VMOVDQU64(Z23, at(row, 128))
	c.VMOVDQU64(Z24, at(row, 192))
	c.ADDQ(U32(rowBytes), row)
	c.Label("pairsCheck")
	c.CMPQ(row, end)
	c.JB(LabelRef("pairs"))

	// The weights of the four rows.
	m8 := Z20
	c.Broadcast512(255, m8)
	for k := range 4 {
		c.VPTESTMW(one, v[k], K1)
		c.VPSUBW(lt[k], sum, lt[k]) // larger or equal
		for h := range 2 {
			g, e, ga, ea, n := Z21, Z22, Z23, Z24, Z4
			if h == 0 {
				c.VPMOVZXWD(gt[k].AsY(), g)
				c.VPMOVZXWD(lt[k].AsY(), e)
			} else {
				c.VEXTRACTI64X4(U8(1), gt[k], g.AsY())
				c.VEXTRACTI64X4(U8(1), lt[k], e.AsY())
				c.VPMOVZXWD(g.AsY(), g)
				c.VPMOVZXWD(e.AsY(), e)
				c.KSHIFTRD(U8(16), K1, K1)
			}
			c.VPANDD(m8, g, ga)
			c.VPANDD(m8, e, ea)
			c.VPADDD(bases[h], ga, ga) // A
			c.VPADDD(bases[h], ea, ea) // B
			c.VPSRLD(U8(8), g, g)
			c.VPSRLD(U8(8), e, e)
			c.VPADDD(g, e, e)
			c.VPSUBD(e, twices[h], n)
			c.VPADDD(ga, ea, K1, n)
			c.VCVTDQ2PS(ga, ga)
			c.VCVTDQ2PS(ea, ea)
			c.VCVTDQ2PS(n, n)
			c.VMULPS(halfs, n, n)
			c.VMULPS(ga, ea, ea)
			c.VDIVPS(ea, n, n)
			c.VMOVUPS(n, at(weights, 64*h))
		}
		c.ADDQ(Imm(128), weights)
		c.ADDQ(U32(rowBytes), rows)
		c.CMPQ(rows, end)
		c.JAE(LabelRef("done"))
	}
	c.JMP(LabelRef("rows"))
	c.Label("done")
	c.End()
}

func (c code) gather512() {
	dst, positions, keys, weights, n := c.Base("dst"), c.Base("positions"), c.Base("keys"), c.Base("weights"), c.Length("keys")
	one, sum0, sum1, scale := Z16, Z17, Z18, Z19
	c.VBROADCASTSD(c.Operand("scale"), scale)
	r := c.GP64()
	c.MOVQ(U64(one64), r)
	c.VPBROADCASTQ(r, one)
	c.Zero512(sum0)
	c.Zero512(sum1)
	c.Vectors512(n, func(masked bool) {
		c.Prefetch(near, dst, keys)
		c.Load512(at(positions, 0), Z2, masked)
		c.Load512(at(keys, 0), Z0, masked) // 0 adds nothing
		c.Pick512(weights, Z2, Z1)
		c.Store512(Z1, at(dst, 0), masked)
		c.VPSRLD(U8(1), Z0, Z0)
		c.VEXTRACTF64X4(U8(1), Z0, Y3)
		c.VEXTRACTF64X4(U8(1), Z1, Y4)
		c.VCVTPS2PD(Y0, Z0)
		c.VCVTPS2PD(Y1, Z1)
		c.VCVTPS2PD(Y3, Z3)
		c.VCVTPS2PD(Y4, Z4)
		c.VMULPD(scale, Z0, Z0)
		c.VMULPD(scale, Z3, Z3)
		c.VFMADD213PD(one, Z1, Z0)
		c.VFMADD213PD(one, Z4, Z3)
		c.VPSUBQ(one, Z0, Z0)
		c.VPSUBQ(one, Z3, Z3)
		c.VPADDQ(Z0, sum0, sum0)
		c.VPADDQ(Z3, sum1, sum1)
	}, dst, positions, keys)
	c.VPADDQ(sum1, sum0, sum0)
	c.VEXTRACTI64X4(U8(1), sum0, Y0)
	c.VPADDQ(Y0, Y17, Y0)
	c.VEXTRACTI128(U8(1), Y0, X1)
	c.VPADDQ(X1, X0, X0)
	c.VPSRLDQ(U8(8), X0, X1)
	c.VPADDQ(X1, X0, X0)
	c.VMOVQ(X0, r)
	c.Store(r, c.Return("sum"))
	c.End()
}

func (c code) lookUp512() {
	dst, p, table, n := c.Base("dst"), c.Base("signed"), c.Base("table"), c.Length("signed")
	first, magnitude, top, sign, factor := Z8, Z9, Z16, Z17, Z18
	c.Scalar512("first", first)
	c.Broadcast512(1<<31-1, magnitude)
	c.Broadcast512(oneBits, top)
	c.Broadcast512(1<<31, sign)
	c.VBROADCASTSS(c.Operand("factor"), factor)
	c.Vectors512(n, func(masked bool) {
		c.Prefetch(ahead, p)
		c.Load512(at(p, 0), Z4, masked)
		c.VPANDD(magnitude, Z4, Z0)
		c.VPMINUD(top, Z0, Z0)
		c.VPSRLD(U8(restBits), Z0, Z0)
		c.VPMAXUD(first, Z0, Z0)
		c.VPSUBD(first, Z0, Z0)
		c.VPADDD(Z0, Z0, Z0)
		c.VPSRLD(U8(31), Z4, Z1)
		c.VPADDD(Z1, Z0, Z0) // 1 more where it is foreground
		c.Pick512(table, Z0, Z1)
		c.VMULPS(factor, Z1, Z1)
		c.negate(Z4, sign, Z1)
		c.Store512(Z1, at(dst, 0), masked)
	}, dst, p)
	c.End()
}

// negate negates w where p is foreground's.
func (c code) negate(p, sign, w VecPhysical) { c.VPTERNLOGD(U8(0x78), p, sign, w) }

func (c code) expand512(parts int) {
	s, keep := c.read(parts)
	from := []VecPhysical{Z8, Z9, Z10, Z11, Z12, Z13, Z14, Z15}[:parts]
	c.thresholds(from)
	dst, p, n := c.Base("dst"), c.Base("signed"), c.Length("signed")
	magnitude, sign, factor := Z16, Z17, Z18
	c.Broadcast512(1<<31-1, magnitude)
	c.Broadcast512(1<<31, sign)
	c.VBROADCASTSS(c.Operand("factor"), factor)
	c.Vectors512(n, func(masked bool) {
		c.Prefetch(ahead, p)
		c.Load512(at(p, 0), Z4, masked)
		c.VPANDD(magnitude, Z4, Z0)
		c.Zero512(Z1)
		c.each(Z0, from, func(t int) {
			if masked {
				c.KANDW(K7, K1, K1)
			}
			c.Prefetch(near, s[t])
			c.VMOVDQU32(at(s[t], 0), Z2)
			c.VPEXPANDD(Z2, K1, Z1)
			c.advance(s[t])
		})
		c.VMULPS(factor, Z1, Z1)
		c.negate(Z4, sign, Z1)
		c.Store512(Z1, at(dst, 0), masked)
	}, dst, p)
	keep()
	c.End()
}
