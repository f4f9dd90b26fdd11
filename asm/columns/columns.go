// Package columns writes the kernels of the exact weights: code that lives from what its instruction set has of its own (compress, expand,
// gather, masks), and is written twice for that.
package columns

import (
	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
	. "github.com/mmcloughlin/avo/reg"
)

// What the kernels and lovasz_columns.go have to agree on.
const (
	maxParts  = 8
	rowBytes  = 4 * 64 // of the scratch of a row in rank: values, units, larger, smaller
	sliceSize = 24     // of a Go slice
	fgUnit    = 256    // what a foreground pixel adds to a lane's count; background adds 1
	maxRows   = 96
	ahead     = 4096               // bytes to prefetch ahead: planes come from memory, and the hardware alone is slow to fetch them
	one64     = 0x3ff0000000000000 // Float64bits(1)
)

// The declarations of the kernels.
const (
	extremesSignature = "func(errors []float32, target []int32, class int32) (smallest, largest uint32)"
	extremesDoc       = "returns the bits of the smallest foreground error, or 1<<32 - 1, and of the largest error."
	splitSignature    = "func(keys *[8][]uint32, n *[8]int, from *[8]uint32, errors []float32, target []int32, class int32)"
	splitDoc          = "appends the keys of the pixels, 2·(bits of the error) + (1 for foreground), to the n[t] keys of the first part t whose from[t] is no larger than the bits. It writes up to 16 keys more."
	countSignature    = "func(counts, ranks, keys []uint32, shift, first uint32)"
	countDoc          = "counts the keys by bin, (key >> shift) - first, and writes how many were in its bin before to ranks, of which it writes up to 15 more than there are keys. It reads as many more keys."
	placeSignature    = "func(slots []uint16, positions, keys, starts []uint32, shift, first uint32)"
	placeDoc          = "finds the slot of every key from its bin's start and its rank, which its position replaces, and stores the lower shift bits of the key, plus 2, there, and in place of the key too. The 16 keys and ranks behind the last ones have to be valid."
	rankSignature     = "func(weights []float32, slots []uint16, scratch []uint64, base, twice uint32, more *[2][32]uint32) (background, foreground uint32)"
	rankDoc           = "replaces the rows of 32 slots by zeros and writes the weights of their pixels. Lane by lane come the bins with smaller keys; base is G + FP> and twice 2·(G - TP>) before the first; more[0] is to be added, and more[1] to be subtracted, per lane. " +
		"It returns how many pixels there were."
	gatherSignature = "func(keys, positions []uint32, weights []float32)"
	gatherDoc       = "replaces the keys by the bits of the weights at their positions. The 16 positions behind the last one have to be valid, and it writes up to 15 more keys."
	expandSignature = "func(keys *[8][]uint32, n *[8]int, from *[8]uint32, errors []float32) (sum int64)"
	expandDoc       = "replaces the errors by their weights, whose bits are what keys[t] holds from n[t] on, in the order in which split took them, and 0 where it took none. It returns Σ bits(1 + error·weight) - bits(1), and reads up to 16 keys more."
)

// code writes one function.
type code struct {
	*build.Context
	suffix string
}

// Generate returns the assembly and the Go declarations.
func Generate() (asm, stubs []byte, err error) {
	c := build.NewContext()
	c.ConstraintExpr("amd64,!purego")
	avx2(code{c, "AVX2"})
	avx512(code{c, "AVX512"})
	file, err := c.Result()
	if err != nil {
		return nil, nil, err
	}
	if err := pass.Compile.Execute(file); err != nil {
		return nil, nil, err
	}
	cfg := printer.Config{Name: "asm (go generate)", Pkg: "lanewise"}
	if asm, err = printer.NewGoAsm(cfg).Print(file); err != nil {
		return nil, nil, err
	}
	stubs, err = printer.NewStubs(cfg).Print(file)
	return asm, stubs, err
}

// begin starts a function.
func (c code) begin(name, signature, doc string) {
	name += c.suffix
	c.Function(name)
	c.Attributes(attr.NOSPLIT)
	c.Doc(name + " " + doc)
	c.Pragma("noescape")
	c.SignatureExpr(signature)
}

func (c code) end() {
	c.VZEROUPPER()
	c.RET()
}

func (c code) base(name string) GPVirtual {
	return c.Load(c.Param(name).Base(), c.GP64()).(GPVirtual)
}

func (c code) length(name string) GPVirtual {
	return c.Load(c.Param(name).Len(), c.GP64()).(GPVirtual)
}

func (c code) pointer(name string) GPVirtual {
	return c.Load(c.Param(name), c.GP64()).(GPVirtual)
}

func at(base Register, disp int) Mem { return Mem{Base: base, Disp: disp} }

func indexed(base, index Register, scale uint8) Mem {
	return Mem{Base: base, Index: index, Scale: scale}
}

// streams are the places of the parts' keys that are written or read next.
func (c code) streams(parts int) []GPVirtual {
	keys, n := c.pointer("keys"), c.pointer("n")
	s := make([]GPVirtual, parts)
	for t := range s {
		s[t] = c.GP64()
		i := c.GP64()
		c.MOVQ(at(keys, sliceSize*t), s[t])
		c.MOVQ(at(n, 8*t), i)
		c.LEAQ(indexed(s[t], i, 4), s[t])
	}
	return s
}

// keep stores how far the streams got.
func (c code) keep(s []GPVirtual) {
	keys, n := c.pointer("keys"), c.pointer("n")
	for t := range s {
		c.SUBQ(at(keys, sliceSize*t), s[t])
		c.SHRQ(U8(2), s[t])
		c.MOVQ(s[t], at(n, 8*t))
	}
}

// prefetch asks for the lines ahead.
func (c code) prefetch(pointers ...Register) {
	for _, p := range pointers {
		c.PREFETCHT0(at(p, ahead))
	}
}

// placing is the rest of place: find turns the keys and ranks of so many lanes to values and positions.
func (c code) placing(lanes int, find func(keys, positions Mem)) {
	slots, positions, keys, n := c.base("slots"), c.base("positions"), c.base("keys"), c.length("keys")
	// The stores follow the positions at a distance, so that no store waits for its address.
	const block = 256
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
		c.MOVL(at(positions, 4*i), p)
		c.MOVL(at(keys, 4*i), v)
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
	c.end()
}
