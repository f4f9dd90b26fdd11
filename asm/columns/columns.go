// Package columns writes the kernels of the exact weights: code that lives from what its instruction set has of its own (compress, expand,
// gather, masks), and is written twice for that.
package columns

import (
	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
	"github.com/mmcloughlin/avo/reg"
)

// What the kernels and lovasz_columns.go have to agree on.
const (
	maxParts  = 8
	rowBytes  = 4 * 64             // of the scratch of a row in rank: values, units, larger, smaller
	sliceSize = 24                 // of a Go slice
	fgUnit    = 256                // what a foreground pixel adds to a lane's count; background adds 1
	one64     = 0x3ff0000000000000 // Float64bits(1)
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

func (c code) base(name string) reg.GPVirtual {
	return c.Load(c.Param(name).Base(), c.GP64()).(reg.GPVirtual)
}

func (c code) length(name string) reg.GPVirtual {
	return c.Load(c.Param(name).Len(), c.GP64()).(reg.GPVirtual)
}

func (c code) pointer(name string) reg.GPVirtual {
	return c.Load(c.Param(name), c.GP64()).(reg.GPVirtual)
}

func at(base reg.Register, disp int) operand.Mem { return operand.Mem{Base: base, Disp: disp} }

func indexed(base, index reg.Register, scale uint8) operand.Mem {
	return operand.Mem{Base: base, Index: index, Scale: scale}
}
