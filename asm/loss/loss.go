// Package loss writes the kernels of the loss that count and place errors: code that lives from what its instruction set has of its own
// (compress, expand, gather, masks), and is written twice for that. NEON has the definitions.
package loss

import (
	"github.com/lanewise/lanewise/asm/direct"
	"github.com/lanewise/lanewise/asm/pipeline"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// What the kernels and the loss have to agree on.
const (
	maxParts  = 8
	rowBytes  = 4 * 64 // of the scratch of a row in rank: values, units, larger, smaller
	sliceSize = 24     // of a Go slice
	fgUnit    = 256    // what a foreground pixel adds to a lane's count; background adds 1
	maxRows   = 96
	ahead     = 4096               // bytes to prefetch ahead in planes, which come from memory; the hardware alone is slow to fetch them
	near      = 1024               // likewise in what is from L3
	soon      = 64                 // pixels ahead whose slots to prefetch
	oneBits   = 0x3f800000         // Float32bits(1)
	restBits  = 14                 // of an error, below its bin
	firstBin  = 48639              // the bits above these, of the errors of bin 0
	binCount  = 32<<9 + 2          // bins
	packed    = 39                 // where the count in a tally begins
	one64     = 0x3ff0000000000000 // Float64bits(1)
)

// All are the kernels of the loss.
var All = []pipeline.Kernel{
	{Name: "lossSplit1", Signature: "func(keys *[8][]uint32, n *[8]uint32, from *[9]uint32, signed []float32)",
		Doc: "appends the keys of the pixels, 2·(bits of the error) + (1 for foreground), to the n[t] keys of the first part t whose from[t] is no larger than the bits. Errors are negative for foreground, and count as from[8] where they are larger. It writes up to 16 keys more.",
		On:  pipeline.On{AVX2: write(func(c code) { c.split256(1) }), AVX512: write(func(c code) { c.split512(1) }), NEON: pipeline.Definition}},
	{Name: "lossSplit2", Signature: "func(keys *[8][]uint32, n *[8]uint32, from *[9]uint32, signed []float32)",
		Doc: "appends the keys of the pixels, 2·(bits of the error) + (1 for foreground), to the n[t] keys of the first part t whose from[t] is no larger than the bits. Errors are negative for foreground, and count as from[8] where they are larger. It writes up to 16 keys more.",
		On:  pipeline.On{AVX2: write(func(c code) { c.split256(2) }), AVX512: write(func(c code) { c.split512(2) }), NEON: pipeline.Definition}},
	{Name: "lossSplit4", Signature: "func(keys *[8][]uint32, n *[8]uint32, from *[9]uint32, signed []float32)",
		Doc: "appends the keys of the pixels, 2·(bits of the error) + (1 for foreground), to the n[t] keys of the first part t whose from[t] is no larger than the bits. Errors are negative for foreground, and count as from[8] where they are larger. It writes up to 16 keys more.",
		On:  pipeline.On{AVX2: write(func(c code) { c.split256(4) }), AVX512: write(func(c code) { c.split512(4) }), NEON: pipeline.Definition}},
	{Name: "lossSplit8", Signature: "func(keys *[8][]uint32, n *[8]uint32, from *[9]uint32, signed []float32)",
		Doc: "appends the keys of the pixels, 2·(bits of the error) + (1 for foreground), to the n[t] keys of the first part t whose from[t] is no larger than the bits. Errors are negative for foreground, and count as from[8] where they are larger. It writes up to 16 keys more.",
		On:  pipeline.On{AVX2: write(func(c code) { c.split256(8) }), AVX512: write(func(c code) { c.split512(8) }), NEON: pipeline.Definition}},
	{Name: "lossCount", Signature: "func(counts, ranks, keys []uint32, shift, first uint32)",
		Doc:    "counts the keys by bin, (key >> shift) - first, and writes how many were in its bin before to ranks, of which it writes up to 15 more than there are keys. It reads as many more keys.",
		On:     pipeline.On{AVX2: write(code.count256), AVX512: pipeline.Of("AVX2"), NEON: pipeline.Definition},
		Beyond: map[string]pipeline.Beyond{"ranks": {Write: 15}, "keys": {Read: 15}}},
	{Name: "lossPlace", Signature: "func(slots []uint16, positions, keys, starts []uint32, shift, first uint32)",
		Doc:    "finds the slot of every key from its bin's start and its rank, which its position replaces, and stores the lower shift bits of the key, plus 2, there. The 16 keys and ranks behind the last ones have to be valid, and it reads 68 positions more.",
		On:     pipeline.On{AVX2: write(code.place256), AVX512: write(code.place512), NEON: pipeline.Definition},
		Beyond: map[string]pipeline.Beyond{"positions": {Read: 68, Write: 16}, "keys": {Read: 16}}},
	{Name: "lossRank", Signature: "func(weights []float32, slots []uint16, scratch []uint64, base, twice uint32, more *[2][32]uint32) (background, foreground uint32)",
		Doc: "replaces the rows of 32 slots by zeros and writes the weights of their pixels. Lane by lane come the bins with smaller keys; base is G + FP> and twice 2·(G - TP>) before the first; more[0] is to be added, and more[1] to be subtracted, per lane. " +
			"It returns how many pixels there were.",
		On: pipeline.On{AVX2: write(code.rank256), AVX512: write(code.rank512), NEON: pipeline.Definition}},
	{Name: "lossGather", Signature: "func(dst []float32, positions, keys []uint32, weights []float32, scale float64) (sum int64)",
		Doc: "writes the weights at the positions of the keys, and returns Σ bits(1 + error·scale·weight) - bits(1).",
		On:  pipeline.On{AVX2: write(code.gather256), AVX512: write(code.gather512), NEON: pipeline.Definition}},
	{Name: "lossTally", Signature: "func(packed []uint64, keys []uint32)",
		Doc: "counts the keys by their bins, those of background first, then those of foreground: it adds 1<<39 + the key without its bin.",
		On:  pipeline.On{AVX2: write(code.tally256), AVX512: pipeline.Of("AVX2"), NEON: pipeline.Definition}},
	{Name: "lossLookUp", Signature: "func(dst, signed, table []float32, first uint32, factor float32)",
		Doc: "writes factor times the weights that the pixels have by their bins, negated for foreground: table has those of background and of foreground in turn, from the bin whose errors' bits begin with first on. Smaller errors have the weights of that one.",
		On:  pipeline.On{AVX2: write(code.lookUp256), AVX512: write(code.lookUp512), NEON: pipeline.Definition}},
	{Name: "lossExpand1", Signature: "func(dst, signed, weights []float32, at *[8]uint32, from *[9]uint32, factor float32)",
		Doc:    "writes factor times the weights of the pixels, negated for foreground: those of part t are in weights from at[t] on, in the order in which split took them; 0 where it took none. It reads up to 16 weights more.",
		On:     pipeline.On{AVX2: write(func(c code) { c.expand256(1) }), AVX512: write(func(c code) { c.expand512(1) }), NEON: pipeline.Definition},
		Beyond: map[string]pipeline.Beyond{"weights": {Read: 16}}},
	{Name: "lossExpand2", Signature: "func(dst, signed, weights []float32, at *[8]uint32, from *[9]uint32, factor float32)",
		Doc:    "writes factor times the weights of the pixels, negated for foreground: those of part t are in weights from at[t] on, in the order in which split took them; 0 where it took none. It reads up to 16 weights more.",
		On:     pipeline.On{AVX2: write(func(c code) { c.expand256(2) }), AVX512: write(func(c code) { c.expand512(2) }), NEON: pipeline.Definition},
		Beyond: map[string]pipeline.Beyond{"weights": {Read: 16}}},
	{Name: "lossExpand4", Signature: "func(dst, signed, weights []float32, at *[8]uint32, from *[9]uint32, factor float32)",
		Doc:    "writes factor times the weights of the pixels, negated for foreground: those of part t are in weights from at[t] on, in the order in which split took them; 0 where it took none. It reads up to 16 weights more.",
		On:     pipeline.On{AVX2: write(func(c code) { c.expand256(4) }), AVX512: write(func(c code) { c.expand512(4) }), NEON: pipeline.Definition},
		Beyond: map[string]pipeline.Beyond{"weights": {Read: 16}}},
	{Name: "lossExpand8", Signature: "func(dst, signed, weights []float32, at *[8]uint32, from *[9]uint32, factor float32)",
		Doc:    "writes factor times the weights of the pixels, negated for foreground: those of part t are in weights from at[t] on, in the order in which split took them; 0 where it took none. It reads up to 16 weights more.",
		On:     pipeline.On{AVX2: write(func(c code) { c.expand256(8) }), AVX512: write(func(c code) { c.expand512(8) }), NEON: pipeline.Definition},
		Beyond: map[string]pipeline.Beyond{"weights": {Read: 16}}},
}

type code struct{ direct.Code }

func write(f func(code)) pipeline.Code { return direct.Write(func(c direct.Code) { f(code{c}) }) }

var at, indexed = direct.At, direct.Indexed

// written are the places where the keys of the parts go on; keep stores how far they got.
func (c code) written(parts int) (s []GPVirtual, keep func()) {
	return c.streams(parts, "n", func(t int, p GPVirtual) { c.MOVQ(at(c.Pointer("keys"), sliceSize*t), p) })
}

// read are the places where the weights of the parts go on; keep stores how far they got.
func (c code) read(parts int) (s []GPVirtual, keep func()) {
	return c.streams(parts, "at", func(_ int, p GPVirtual) { c.Load(c.Param("weights").Base(), p) })
}

// streams are pointers into arrays, one for each part; the parameter called indices says at which element.
func (c code) streams(parts int, indices string, base func(t int, p GPVirtual)) (s []GPVirtual, keep func()) {
	from := c.Pointer(indices)
	s = make([]GPVirtual, parts)
	for t := range s {
		s[t] = c.GP64()
		i := c.GP64()
		base(t, s[t])
		c.MOVL(at(from, 4*t), i.As32())
		c.LEAQ(indexed(s[t], i, 4), s[t])
	}
	return s, func() {
		to := c.Pointer(indices)
		for t := range s {
			p := c.GP64()
			base(t, p)
			c.SUBQ(p, s[t])
			c.SHRQ(U8(2), s[t])
			c.MOVL(s[t].As32(), at(to, 4*t))
		}
	}
}

// lowBits masks the bits of a key below its bin; X13 is how many.
func (c code) lowBits() GPVirtual {
	low := c.GP32()
	c.Load(c.Param("shift"), ECX)
	c.VMOVD(ECX, X13)
	c.MOVL(U32(1), low)
	c.SHLL(CL, low)
	c.DECL(low)
	return low
}

// placing is the rest of place: find turns the ranks of the keys of so many lanes to positions; low masks the lower bits of a key.
func (c code) placing(lanes int, low GPVirtual, find func(keys, positions Mem)) {
	slots, positions, keys, n := c.Base("slots"), c.Base("positions"), c.Base("keys"), c.Length("keys")
	// The stores follow the positions at a distance, so that no store waits for its address.
	const block = 1024
	c.Label("block")
	c.TESTQ(n, n)
	c.JZ(LabelRef("done"))
	m, left, i := c.GP64(), c.GP64(), c.GP64()
	c.MOVQ(U32(block), m)
	c.CMPQ(n, m)
	c.CMOVQLT(n, m)
	c.MOVQ(m, left)
	c.SUBQ(m, n)
	c.XORL(i.As32(), i.As32())
	c.Label("positions")
	find(indexed(keys, i, 4), indexed(positions, i, 4))
	c.ADDQ(U32(lanes), i)
	c.CMPQ(i, m)
	c.JLT(LabelRef("positions"))
	store := func(i int) {
		p, v := c.GP32(), c.GP32()
		c.MOVL(at(positions, 4*(i+soon)), p)
		c.PREFETCHT0(indexed(slots, p.As64(), 2))
		c.MOVL(at(positions, 4*i), p)
		c.MOVL(at(keys, 4*i), v)
		c.ANDL(low, v)
		c.ADDL(Imm(2), v)
		c.MOVW(v.As16(), indexed(slots, p.As64(), 2))
	}
	c.Label("stores")
	c.CMPQ(left, Imm(4))
	c.JLT(LabelRef("rest"))
	for i := range 4 {
		store(i)
	}
	c.ADDQ(Imm(16), positions)
	c.ADDQ(Imm(16), keys)
	c.SUBQ(Imm(4), left)
	c.JMP(LabelRef("stores"))
	c.Label("rest")
	c.TESTQ(left, left)
	c.JZ(LabelRef("block"))
	store(0)
	c.ADDQ(Imm(4), positions)
	c.ADDQ(Imm(4), keys)
	c.DECQ(left)
	c.JMP(LabelRef("rest"))
	c.Label("done")
	c.End()
}
