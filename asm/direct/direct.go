// Package direct writes amd64 kernels instruction by instruction: those that live from what an instruction set has of its own (compress,
// expand, gather, masks), and are written once for each.
package direct

import (
	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
	. "github.com/mmcloughlin/avo/reg"
)

// A Code writes functions, whose names end in the ISA's.
type Code struct {
	*build.Context
	ISA string
}

// Write returns the assembly and the Go declarations of what avx2 and avx512 write.
func Write(avx2, avx512 func(Code)) (asm, stubs []byte, err error) {
	c := build.NewContext()
	c.ConstraintExpr("amd64,!purego")
	avx2(Code{c, "AVX2"})
	avx512(Code{c, "AVX512"})
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

// Begin starts a function.
func (c Code) Begin(name, signature, doc string) {
	name += c.ISA
	c.Function(name)
	c.Attributes(attr.NOSPLIT)
	c.Doc(name + " " + doc)
	c.Pragma("noescape")
	c.SignatureExpr(signature)
}

// End returns from it.
func (c Code) End() {
	c.VZEROUPPER()
	c.RET()
}

// Base is a slice argument's pointer.
func (c Code) Base(name string) GPVirtual {
	return c.Load(c.Param(name).Base(), c.GP64()).(GPVirtual)
}

// Length is a slice argument's length.
func (c Code) Length(name string) GPVirtual {
	return c.Load(c.Param(name).Len(), c.GP64()).(GPVirtual)
}

// Pointer is a pointer argument.
func (c Code) Pointer(name string) GPVirtual {
	return c.Load(c.Param(name), c.GP64()).(GPVirtual)
}

// Operand is where a scalar parameter lies.
func (c Code) Operand(name string) Mem {
	b, err := c.Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return b.Addr
}

// Prefetch asks for the lines so many bytes ahead.
func (c Code) Prefetch(bytes int, pointers ...Register) {
	for _, p := range pointers {
		c.PREFETCHT0(At(p, bytes))
	}
}

// At is the memory at base + disp.
func At(base Register, disp int) Mem { return Mem{Base: base, Disp: disp} }

// Indexed is the memory at base + index·scale.
func Indexed(base, index Register, scale uint8) Mem {
	return Mem{Base: base, Index: index, Scale: scale}
}
