// Package sort writes the kernels of SortDescending on AVX2 and AVX-512.
package sort

import (
	"github.com/lanewise/lanewise/asm/direct"
	"github.com/lanewise/lanewise/asm/pipeline"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// What the kernels and the sort have to agree on.
const (
	block     = 32   // keys that split takes at a time
	mostInBin = 48   // items of a bin
	ahead     = 2048 // bytes to prefetch ahead in what comes from memory
)

// All are the kernels of the sort.
var All = []pipeline.Kernel{
	{Name: "sortCount32", Signature: "func(counts []uint32, keys []uint32, shift uint32) (nan bool)",
		Doc: "counts the items that float32s become, by the bits of their keys above shift, and reports whether there is a NaN. It takes a multiple of 32.",
		On:  pipeline.On{AVX2: write(func(c code) { c.count256(c.float32s()) }), AVX512: pipeline.Of("AVX2"), NEON: pipeline.Definition}},
	{Name: "sortCount64", Signature: "func(counts []uint32, keys []uint64, shift, up uint32)",
		Doc: "counts float64s by the bits of their keys, shifted left by up, above shift + 32. NaNs have the key 0. It takes a multiple of 32.",
		On:  pipeline.On{AVX2: write(func(c code) { c.count256(c.float64s()) }), AVX512: pipeline.Of("AVX2"), NEON: pipeline.Definition}},
	{Name: "sortSplit32", Signature: "func(items []uint64, keys []uint32, index uint32, parts []uint32, next *[1024]uint32, shift uint32)",
		Doc: "moves the items that float32s become, the first of which has the index, to their parts: parts by the bits of their keys above shift. It takes a multiple of 32, none of them a NaN.",
		On:  pipeline.On{AVX2: write(code.split32), AVX512: pipeline.Of("AVX2"), NEON: pipeline.Definition}},
	{Name: "sortSplit64", Signature: "func(values []uint64, perm []int32, keys []uint64, index uint32, parts []uint32, next *[1024]uint32, shift, up uint32)",
		Doc: "moves float64s, the first of which has the index, to their parts in values, and their indices to the same places in perm: parts by the bits that sortCount64 counts. It takes a multiple of 32.",
		On:  pipeline.On{AVX2: write(code.split64), AVX512: pipeline.Of("AVX2"), NEON: pipeline.Definition}},
	{Name: "sortPack64", Signature: "func(items, values []uint64, up, low uint32)",
		Doc: "turns float64s into items: their keys, shifted left by up, and in the lowest bits, low of them, where each is. It takes a multiple of 8.",
		On:  pipeline.On{AVX2: write(code.pack64), AVX512: pipeline.Of("AVX2"), NEON: pipeline.Definition}},
	{Name: "sortByBins", Signature: "func(sorted, items []uint64, counts []uint16) (ok bool)",
		Doc:    "sorts 8 to 65535 items, by as many bins as there are counts at most, a power of two from 32 on, which divide the range of their keys evenly. It writes up to 24 items more to sorted. It returns false, and has not sorted, where a bin has more than 48 items, unless all keys are the same and the items in order.",
		On:     pipeline.On{AVX2: write(func(c code) { c.part(c.vectors256()) }), AVX512: write(func(c code) { c.part(c.vectors512()) }), NEON: pipeline.Definition},
		Beyond: map[string]pipeline.Beyond{"sorted": {Write: 24}}},
	{Name: "sortUnpack", Signature: "func(keys []uint32, perm []int32, items []uint64)",
		Doc: "turns items into keys and the indices where they came from. It takes a multiple of 8 items.",
		On:  pipeline.On{AVX2: write(code.unpack256), AVX512: pipeline.Of("AVX2"), NEON: pipeline.Definition}},
}

type code struct{ direct.Code }

func write(f func(code)) pipeline.Code { return direct.Write(func(c direct.Code) { f(code{c}) }) }

var at, indexed = direct.At, direct.Indexed

// vectors are how a part's items are compared, lanes of them at a time.
type vectors struct {
	lanes     int
	registers []VecPhysical // for neighbours: the others are for the functions
	begin     func()
	load      func(from Mem, x VecPhysical)
	first     func(from Mem, x VecPhysical) // loads the first items, but two, behind two that are 0
	store     func(x VecPhysical, to Mem)   // x is lost
	move      func(from, to VecPhysical)
	order     func(x VecPhysical)             // puts the smaller of each pair first
	next      func(x, before, to VecPhysical) // takes the items of before but its first one, and the first of x
	inverted  func(from Mem)                  // leaves the zero flag clear where an item is smaller than the one before it
}

// part writes the sort of a part. The bins' counts become where each bin begins, the items go to their bins, and neighbours that are not in
// order change places, three times over: by then most bins are sorted. The few items that are still out of order are inserted.
func (c code) part(v vectors) {
	sorted, items, n := c.Base("sorted"), c.Base("items"), c.Length("items")
	counts, bins := c.Base("counts"), c.Length("counts")
	width := c.GP32()
	c.bounds(items, n, width)
	c.JZ(LabelRef("same"))

	// The shift from a key to its bin, and a multiple of 32 bins.
	p, left, zero := c.GP64(), c.GP64(), c.GP32()
	c.BSRQ(bins, bins)
	c.BSRL(width, ECX)
	c.INCL(ECX)
	c.XORL(zero, zero)
	c.SUBL(bins.As32(), ECX)
	c.CMOVLLT(zero, ECX)
	c.VMOVD(ECX, X15)
	c.SHRL(CL, width)
	c.LEAL(at(width.As64(), 32), bins.As32())
	c.ANDQ(I8(-32), bins)

	// Clear the counts.
	c.MOVQ(counts, p)
	c.MOVQ(bins, left)
	c.Zero256(Y0)
	c.Label("clear")
	c.VMOVDQU(Y0, at(p, 0))
	c.VMOVDQU(Y0, at(p, 32))
	c.ADDQ(Imm(64), p)
	c.SUBQ(Imm(32), left)
	c.JNZ(LabelRef("clear"))

	buffer := c.AllocLocal(4 * block)
	c.bins("count", items, n, buffer, func(bin GPVirtual, _ Mem) {
		c.INCW(indexed(counts, bin.As64(), 2))
	})
	c.sums(counts, bins)
	c.JNZ(LabelRef("skewed"))
	place, after, item := c.GP32(), c.GP32(), c.GP64()
	c.bins("place", items, n, buffer, func(bin GPVirtual, from Mem) {
		c.MOVWLZX(indexed(counts, bin.As64(), 2), place)
		c.LEAL(at(place.As64(), 1), after)
		c.MOVW(after.As16(), indexed(counts, bin.As64(), 2))
		c.MOVQ(from, item)
		c.MOVQ(item, indexed(sorted, place.As64(), 8))
	})
	end := c.GP64()
	c.LEAQ(indexed(sorted, n, 8), end)
	c.VPCMPEQD(Y0, Y0, Y0)
	for i := range 6 {
		c.VMOVDQU(Y0, at(end, 32*i))
	}
	c.neighbours(sorted, end, v)

	// Insert what is still out of order.
	c.LEAQ(at(sorted, 8), p)
	c.JMP(LabelRef("check"))
	c.Label("next")
	v.inverted(at(p, 0))
	c.JNZ(LabelRef("find"))
	c.ADDQ(Imm(uint64(8*v.lanes)), p)
	c.Label("check")
	c.CMPQ(p, end)
	c.JB(LabelRef("next"))
	c.Label("sorted")
	c.VZEROUPPER()
	ok := c.GP8()
	c.MOVB(U8(1), ok)
	c.Store(ok, c.Return("ok"))
	c.RET()

	before, q := c.GP64(), c.GP64()
	c.Label("find")
	c.MOVQ(at(p, 0), item)
	c.CMPQ(item, at(p, -8))
	c.JB(LabelRef("insert"))
	c.ADDQ(Imm(8), p)
	c.JMP(LabelRef("find"))
	c.Label("insert")
	c.MOVQ(p, q)
	c.Label("shift")
	c.MOVQ(at(q, -8), before)
	c.MOVQ(before, at(q, 0))
	c.SUBQ(Imm(8), q)
	c.CMPQ(q, sorted)
	c.JEQ(LabelRef("there"))
	c.CMPQ(item, at(q, -8))
	c.JB(LabelRef("shift"))
	c.Label("there")
	c.MOVQ(item, at(q, 0))
	c.ADDQ(Imm(8), p)
	c.CMPQ(p, end)
	c.JAE(LabelRef("check"))
	c.MOVQ(at(p, 0), item)
	c.CMPQ(item, at(p, -8))
	c.JB(LabelRef("insert"))
	c.JMP(LabelRef("check"))

	// All keys are the same: the items are in order, unless they have more bits of a key.
	c.Label("same")
	c.XORL(before.As32(), before.As32())
	c.Label("copy")
	c.MOVQ(at(items, 0), item)
	c.CMPQ(item, before)
	c.JB(LabelRef("skewed"))
	c.MOVQ(item, before)
	c.MOVQ(item, at(sorted, 0))
	c.ADDQ(Imm(8), items)
	c.ADDQ(Imm(8), sorted)
	c.DECQ(n)
	c.JNZ(LabelRef("copy"))
	c.JMP(LabelRef("sorted"))

	c.Label("skewed")
	c.VZEROUPPER()
	c.XORB(ok, ok)
	c.Store(ok, c.Return("ok"))
	c.RET()
}

// neighbours orders pairs of neighbours three times over: those that begin at even items, at odd ones, and at even ones again, all in one
// pass. The pairs of a round are an item further back than those of the round before, so that both of each are through that one.
func (c code) neighbours(sorted, end Register, v vectors) {
	x, even, odd, evenBefore, oddBefore := v.registers[0], v.registers[1], v.registers[2], v.registers[3], v.registers[4]
	bytes := 8 * v.lanes
	to := c.GP64()
	c.MOVQ(sorted, to)
	v.begin()
	v.first(at(to, 0), evenBefore)
	v.order(evenBefore)
	v.load(at(to, bytes-16), even)
	v.order(even)
	v.next(even, evenBefore, oddBefore)
	v.order(oddBefore)
	v.move(even, evenBefore)
	c.Label("neighbours")
	v.load(at(to, 2*bytes-16), even)
	v.order(even)
	v.next(even, evenBefore, odd)
	v.order(odd)
	v.next(odd, oddBefore, x)
	v.order(x)
	v.store(x, at(to, 0))
	v.move(even, evenBefore)
	v.move(odd, oddBefore)
	c.ADDQ(Imm(uint64(bytes)), to)
	c.CMPQ(to, end)
	c.JB(LabelRef("neighbours"))
}

// bounds sets Y14 to the first key, and width to how far the last one is from it; the zero flag tells whether that is 0.
func (c code) bounds(items, n Register, width GPVirtual) {
	least, largest := Y14, Y13
	keys := func(p Register, i int) {
		c.VMOVUPS(at(p, i), Y0)
		c.VSHUFPS(U8(0xdd), at(p, i+32), Y0, Y0)
		c.VPMINUD(Y0, least, least)
		c.VPMAXUD(Y0, largest, largest)
	}
	p, last := c.GP64(), c.GP64()
	c.MOVQ(items, p)
	c.LEAQ(at(items, -64), last)
	c.LEAQ(indexed(last, n, 8), last)
	c.VPCMPEQD(least, least, least)
	c.Zero256(largest)
	c.JMP(LabelRef("boundsCheck"))
	c.Label("bounds")
	c.Prefetch(ahead, p)
	keys(p, 0)
	c.ADDQ(Imm(64), p)
	c.Label("boundsCheck")
	c.CMPQ(p, last)
	c.JB(LabelRef("bounds"))
	keys(last, 0)
	for _, f := range []struct {
		y      VecPhysical
		better func(ops ...Op)
	}{{least, c.VPMINUD}, {largest, c.VPMAXUD}} {
		c.VEXTRACTI128(U8(1), f.y, X0)
		f.better(X0, f.y.AsX(), f.y.AsX())
		c.VPSHUFD(U8(0x4e), f.y.AsX(), X0)
		f.better(X0, f.y.AsX(), f.y.AsX())
		c.VPSHUFD(U8(0xb1), f.y.AsX(), X0)
		f.better(X0, f.y.AsX(), f.y.AsX())
	}
	c.VPBROADCASTD(X14, least)
	first := c.GP32()
	c.VMOVD(X14, first)
	c.VMOVD(X13, width)
	c.SUBL(first, width)
}

// bins calls each for every item, with its bin and where it lies. The bins of a block are written to the buffer before each is called: it
// then does not wait for them. Y14 is the first key, X15 and CL the shift.
func (c code) bins(name string, items, n Register, buffer Mem, each func(bin GPVirtual, item Mem)) {
	label := func(s string) string { return name + s }
	p, left, bin := c.GP64(), c.GP64(), c.GP32()
	c.MOVQ(items, p)
	c.MOVQ(n, left)
	c.Label(label("Loop"))
	c.CMPQ(left, Imm(block))
	c.JLT(LabelRef(label("Tail")))
	for i := 0; i < block; i += 8 {
		c.VMOVUPS(at(p, 8*i), Y0)
		c.VSHUFPS(U8(0xdd), at(p, 8*i+32), Y0, Y0) // the keys of 0, 1, 4, 5, 2, 3, 6, 7
		c.VPSUBD(Y14, Y0, Y0)
		c.VPSRLD(X15, Y0, Y0)
		c.VMOVDQU(Y0, buffer.Offset(4*i))
	}
	for i := range block {
		c.MOVL(buffer.Offset(4*i), bin)
		each(bin, at(p, 8*(i-i%8+[]int{0, 1, 4, 5, 2, 3, 6, 7}[i%8])))
	}
	c.ADDQ(U32(8*block), p)
	c.SUBQ(Imm(block), left)
	c.JMP(LabelRef(label("Loop")))
	c.Label(label("Tail"))
	c.TESTQ(left, left)
	c.JZ(LabelRef(label("Done")))
	first := c.GP32()
	c.VMOVD(X14, first)
	c.Label(label("Rest"))
	c.MOVL(at(p, 4), bin)
	c.SUBL(first, bin)
	c.SHRL(CL, bin)
	each(bin, at(p, 0))
	c.ADDQ(Imm(8), p)
	c.DECQ(left)
	c.JNZ(LabelRef(label("Rest")))
	c.Label(label("Done"))
}
