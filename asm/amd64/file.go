package amd64

import (
	"errors"
	"fmt"
	"slices"

	"github.com/lanewise/lanewise/asm/machine"
	"github.com/mmcloughlin/avo/buildtags"
	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
	"github.com/mmcloughlin/avo/reg"
)

// A File collects functions for both widths.
type File struct {
	ir    ir.File
	known map[string]bool // its globals
}

// NewFile returns an empty File.
func NewFile() *File {
	f := &File{known: map[string]bool{}}
	f.ir.Includes = []string{"textflag.h"}
	f.ir.Constraints = buildtags.And(buildtags.Term("amd64"), buildtags.Not("purego")).ToConstraints()
	return f
}

// Add writes the function that a kernel describes.
func (f *File) Add(isa *ISA, t machine.Type, kernel func(machine.Machine)) error {
	file, err := compile(isa, t, kernel)
	if err != nil {
		return err
	}
	for _, s := range file.Sections {
		switch s := s.(type) {
		case *ir.Global:
			if f.known[s.Symbol.Name] {
				continue
			}
			f.known[s.Symbol.Name] = true
		case *ir.Function:
			if err := check(s, isa); err != nil {
				return err
			}
		}
		f.ir.AddSection(s)
	}
	return nil
}

// compile keeps as many constants in registers as there are registers for.
func compile(isa *ISA, t machine.Type, kernel func(machine.Machine)) (*ir.File, error) {
	kept := 0
	if isa == AVX2 {
		kept = 12
	}
	for ; ; kept-- {
		m := newMachine(isa, t, kept)
		kernel(m)
		file, err := m.Result()
		if err != nil {
			return nil, err
		}
		err = pass.Concat(
			pass.Verify,
			pass.FunctionPass(pass.PruneJumpToFollowingLabel),
			pass.FunctionPass(pass.PruneDanglingLabels),
			pass.FunctionPass(pass.LabelTarget),
			pass.FunctionPass(pass.CFG),
			pass.InstructionPass(pass.ZeroExtend32BitOutputs),
			pass.FunctionPass(pass.Liveness),
			pass.FunctionPass(func(fn *ir.Function) error { return allocate(fn, isa) }),
			pass.FunctionPass(pass.BindRegisters),
			pass.FunctionPass(pass.VerifyAllocation),
			pass.FunctionPass(pass.PruneSelfMoves),
			pass.FunctionPass(pass.RequiredISAExtensions),
		).Execute(file)
		if errors.Is(err, errRegisters) && kept > 0 {
			continue
		}
		return file, err
	}
}

// check makes sure of what nobody would see: that the function needs no more than dispatch asks the CPU for, that it leaves the upper
// halves of the registers clean, and that no register or instruction slipped in that is encoded otherwise than the rest.
func check(fn *ir.Function, isa *ISA) error {
	var before *ir.Instruction
	for _, i := range fn.Instructions() {
		vector := false
		for _, r := range i.Registers() {
			p, ok := r.(reg.VecPhysical)
			vector = vector || ok
			if ok && isa == AVX2 && p.ID() >= reg.X16.ID() {
				return fmt.Errorf("%s: %s has a register that AVX2 lacks", fn.Name, i.Opcode)
			}
		}
		if vector && i.Opcode[0] != 'V' && i.Opcode[0] != 'K' {
			return fmt.Errorf("%s: %s is legacy SSE", fn.Name, i.Opcode)
		}
		if i.Opcode == "RET" && (before == nil || before.Opcode != "VZEROUPPER") {
			return fmt.Errorf("%s: RET without VZEROUPPER", fn.Name)
		}
		before = i
	}
	for _, need := range fn.ISA {
		if !slices.Contains(isa.Features, need) {
			return fmt.Errorf("%s needs %s, which %s does not promise", fn.Name, need, isa.Name)
		}
	}
	return nil
}

// Generate returns the assembly and the Go declarations.
func (f *File) Generate() (asm, stubs []byte, err error) {
	cfg := printer.Config{Name: "go generate", Pkg: "lanewise"}
	if asm, err = printer.NewGoAsm(cfg).Print(&f.ir); err != nil {
		return nil, nil, err
	}
	stubs, err = printer.NewStubs(cfg).Print(&f.ir)
	return asm, stubs, err
}
