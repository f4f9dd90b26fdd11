package amd64

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lanewise/lanewise/asm/machine"
	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/buildtags"
	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
	"github.com/mmcloughlin/avo/reg"
)

// A File collects functions for both widths.
type File struct {
	ir    ir.File
	known map[string]bool // its globals
	local *routines
}

// NewFile returns an empty File.
func NewFile() *File {
	f := &File{known: map[string]bool{}, local: &routines{known: map[string]routine{}}}
	f.ir.Includes = []string{"textflag.h", "funcdata.h"}
	f.ir.Constraints = buildtags.And(buildtags.Term("amd64"), buildtags.Not("purego")).ToConstraints()
	return f
}

// Add compiles and checks a function.
func (f *File) Add(isa *ISA, t machine.Type, fn machine.Function, write func(*Code)) error {
	file, err := compile(isa, t, fn, f.local, write)
	if err != nil {
		return err
	}
	sections := append(file.Sections, f.local.sections...)
	f.local.sections = nil
	for _, s := range sections {
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
			s.Nodes = slices.Insert(s.Nodes, 0, ir.Node(noLocalPointers))
		}
		f.ir.AddSection(s)
	}
	return nil
}

// noLocalPointers lets the collector go past the frame of a function. It gets there where a routine faults and a deferred call of somebody
// above takes its time to recover: without this the process ends there, by "missing stackmap". What the frame points to is the caller's.
var noLocalPointers = &ir.Instruction{Opcode: "NO_LOCAL_POINTERS"}

// A Code is a function that has begun: avo's Context writes its instructions. Labels and registers may be virtual or not; what they come to
// is checked.
type Code struct {
	*build.Context
	ISA   *ISA
	typ   machine.Type
	kept  int             // how many of a Machine's Consts AVX2 keeps in registers
	ints  map[string]bool // parameters that are []int32
	fn    *ir.Function
	local *routines

	signature string
}

func begin(isa *ISA, t machine.Type, kept int, fn machine.Function, local *routines) *Code {
	c := &Code{Context: build.NewContext(), ISA: isa, typ: t, kept: kept, ints: fn.Int32s(), local: local, signature: fn.Signature}
	c.Function(fn.Name)
	c.Attributes(attr.NOSPLIT)
	c.Doc(machine.Comment(fn.Name, fn.Doc)...)
	c.Pragma("noescape")
	c.SignatureExpr(fn.Signature)
	file, _ := c.Result()
	c.fn = file.Functions()[0]
	return c
}

// End returns from the function.
func (c *Code) End() {
	c.VZEROUPPER()
	c.RET()
}

// compile keeps as many constants in registers as there are registers for.
func compile(isa *ISA, t machine.Type, fn machine.Function, local *routines, write func(*Code)) (*ir.File, error) {
	kept := 0
	if isa == AVX2 {
		kept = 12
	}
	for ; ; kept-- {
		c := begin(isa, t, kept, fn, local)
		write(c)
		file, err := c.Result()
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
			pass.InstructionPass(independent),
			pass.FunctionPass(pass.Liveness),
			pass.FunctionPass(func(fn *ir.Function) error { return allocate(fn, isa) }),
			pass.FunctionPass(pass.BindRegisters),
			pass.FunctionPass(pass.VerifyAllocation),
			pass.FunctionPass(pass.PruneSelfMoves),
			pass.FunctionPass(pruneMoves),
			pass.FunctionPass(pass.RequiredISAExtensions),
		).Execute(file)
		if errors.Is(err, errRegisters) && kept > 0 {
			continue
		}
		return file, err
	}
}

// independent tells avo of more instructions that read nothing where their sources are the same register.
func independent(i *ir.Instruction) error {
	switch i.Opcode {
	case "VPXORD", "VPXORQ", "VPCMPEQB", "VPCMPEQW", "VPCMPEQD", "VPCMPEQQ", "KXNORB", "KXNORW", "KXNORD", "KXNORQ":
		i.CancellingInputs = true
	}
	return nil
}

// check makes sure of what nobody would see: that the function needs no more than dispatch asks the CPU for, that it leaves the upper
// halves of the registers clean, that no register or instruction slipped in that is encoded otherwise than the rest, and that nothing waits
// for a register that it does not read.
func check(fn *ir.Function, isa *ISA) error {
	clean := false             // since a VZEROUPPER no vector was touched, and nothing jumps here
	var before *ir.Instruction // unless something jumps here
	for _, n := range fn.Nodes {
		i, ok := n.(*ir.Instruction)
		if !ok {
			if _, label := n.(ir.Label); label {
				clean, before = false, nil
			}
			continue
		}
		if waits(i) && (before == nil || !zeroes(before, i.Operands[len(i.Operands)-1])) {
			return fmt.Errorf("%s: %s without VPXORD of its destination right before", fn.Name, i.OpcodeWithSuffixes())
		}
		before = i
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
		if i.Opcode == "RET" && !clean && !isRoutine(fn) {
			return fmt.Errorf("%s: RET without VZEROUPPER", fn.Name)
		}
		clean = i.Opcode == "VZEROUPPER" || clean && !vector && i.Opcode != "CALL"
	}
	for _, need := range fn.ISA {
		if !isa.has(need) {
			return fmt.Errorf("%s needs %s, which %s does not promise", fn.Name, need, isa.Name)
		}
	}
	return nil
}

// waits says whether an instruction compresses or expands with zeros into a register: Zen 4 and 5 wait for what that was (LLVM 206849).
func waits(i *ir.Instruction) bool {
	name := strings.TrimPrefix(strings.TrimPrefix(i.Opcode, "V"), "P")
	return (strings.HasPrefix(name, "COMPRESS") || strings.HasPrefix(name, "EXPAND")) && slices.Contains(i.Suffixes, "Z")
}

// zeroes says whether an instruction sets a register to 0 without reading anything.
func zeroes(i *ir.Instruction, r operand.Op) bool {
	return i.Opcode == "VPXORD" && !slices.ContainsFunc(i.Operands, func(o operand.Op) bool { return o != r })
}

// Generate returns the assembly and the Go declarations.
func (f *File) Generate() (asm, stubs []byte, err error) {
	cfg := printer.Config{Name: "asm (go generate)", Pkg: "lanewise"}
	if asm, err = printer.NewGoAsm(cfg).Print(&f.ir); err != nil {
		return nil, nil, err
	}
	public := f.ir
	public.Sections = slices.DeleteFunc(slices.Clone(f.ir.Sections), func(s ir.Section) bool {
		fn, ok := s.(*ir.Function)
		return ok && isRoutine(fn)
	})
	stubs, err = printer.NewStubs(cfg).Print(&public)
	return asm, stubs, err
}
