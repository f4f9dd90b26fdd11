package amd64

import (
	"fmt"

	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
	"github.com/mmcloughlin/avo/reg"
)

// Generate returns the assembly and the Go declarations.
func (f *File) Generate() (asm, stubs []byte, err error) {
	file, err := f.c.Result()
	if err != nil {
		return nil, nil, err
	}
	for _, p := range []pass.Interface{
		pass.Func(pass.Verify.Execute),
		pass.FunctionPass(pass.PruneJumpToFollowingLabel),
		pass.FunctionPass(pass.PruneDanglingLabels),
		pass.FunctionPass(pass.LabelTarget),
		pass.FunctionPass(pass.CFG),
		pass.InstructionPass(pass.ZeroExtend32BitOutputs),
		pass.FunctionPass(pass.Liveness),
		pass.FunctionPass(func(fn *ir.Function) error { return allocate(fn, f.isas[fn.Name]) }),
		pass.FunctionPass(pass.BindRegisters),
		pass.FunctionPass(pass.VerifyAllocation),
		pass.Func(pass.IncludeTextFlagHeader),
		pass.FunctionPass(pass.PruneSelfMoves),
		pass.FunctionPass(pass.RequiredISAExtensions),
	} {
		if err := p.Execute(file); err != nil {
			return nil, nil, err
		}
	}
	for _, fn := range file.Functions() {
		isa := f.isas[fn.Name]
		for _, i := range fn.Instructions() {
			for _, r := range i.Registers() {
				if p, ok := r.(reg.VecPhysical); ok && isa == AVX2 && p.ID() >= reg.X16.ID() {
					return nil, nil, fmt.Errorf("%s: %s has the register %v", fn.Name, i.Opcode, p)
				}
			}
		}
	}
	cfg := printer.Config{Name: "asm (go generate)", Pkg: "lanewise"}
	if asm, err = printer.NewGoAsm(cfg).Print(file); err != nil {
		return nil, nil, err
	}
	stubs, err = printer.NewStubs(cfg).Print(file)
	return asm, stubs, err
}
