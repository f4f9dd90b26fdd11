// Package direct writes amd64 kernels instruction by instruction: those that live from what an instruction set has of its own (compress,
// expand, gather, masks), and are written once for each.
package direct

import (
	"github.com/lanewise/lanewise/asm/amd64"
	"github.com/lanewise/lanewise/asm/pipeline"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// A Code writes a function.
type Code struct{ *amd64.Code }

// Write is the function that f writes.
func Write(f func(Code)) pipeline.Code { return pipeline.AMD64(func(c *amd64.Code) { f(Code{c}) }) }

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
