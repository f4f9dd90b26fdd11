// Package emit writes Go assembly for arm64. Whoever knows avo knows it: methods of [Func] are named after the instructions, and take their
// operands in Go's order; registers are virtual, and get their numbers when the file is generated; arguments go by their names.
//
//	fn := file.Func("scale", "func(x []float64, by float64)", "scale multiplies x by a number.")
//	p, n, v, by := fn.GP(), fn.GP(), fn.Vec(), fn.Vec()
//	fn.MOVD(fn.Base("x"), p)
//	fn.MOVD(fn.Len("x"), n)
//	fn.FMOVD(fn.Param("by"), by)
//	fn.VDUP(by.D(0), by.D2())
//	fn.Label("loop")
//	fn.FMOVQ(emit.At(p, 0), v)
//	fn.VFMUL(by.D2(), v.D2(), v.D2())
//	fn.FMOVQ(v, emit.At(p, 0))
//	…
//
// Go's assembler lacks most vector instructions on floating point. Those are written as WORDs, each with its disassembly beside it; their
// methods are named as Go would name them.
package emit

import (
	"fmt"
	"go/token"
	"go/types"
	"regexp"
	"slices"
	"strings"
)

// A Func is a function being written.
type Func struct {
	name, doc, source string
	file              *File
	table             GP // points into the constants
	params            map[string]param
	argBytes          int
	locals            int    // bytes of the frame
	vectors           []bool // by register: whether it is one of the vector file
	insts             []*inst
	labels            map[string]int
	pinned            map[register]int // registers whose numbers are given
	routine           bool
	numbers           numbering // of a routine
}

// An inst is an instruction, a label or a comment.
type inst struct {
	label    Label
	comment  string
	mnemonic string
	args     []Operand // in Go's order: the destination last
	in, out  []register
	target   Label // of a branch
	ends     bool  // what follows is not reached from here
	pure     bool  // may go where its result is not used
	word     func(number numbering) uint32
}

type param struct {
	offset int
	typ    types.Type
}

var sizes = types.SizesFor("gc", "arm64")

func newFunc(name, signature, doc string) (*Func, error) {
	f := &Func{name: name, doc: doc, source: signature, params: map[string]param{}, labels: map[string]int{}, vectors: make([]bool, 1)}
	t, err := types.Eval(token.NewFileSet(), nil, token.NoPos, signature)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	s, ok := t.Type.(*types.Signature)
	if !ok {
		return nil, fmt.Errorf("%s: %s is no signature", name, signature)
	}
	// ABI0: the parameters lie in memory as the fields of a struct would, the results after them, both aligned to a word
	offset := 0
	align := func(n int) { offset = (offset + n - 1) &^ (n - 1) }
	for v := range s.Params().Variables() {
		align(int(sizes.Alignof(v.Type())))
		f.params[v.Name()] = param{offset, v.Type()}
		offset += int(sizes.Sizeof(v.Type()))
	}
	if s.Results().Len() > 0 {
		align(8)
	}
	for v := range s.Results().Variables() {
		align(int(sizes.Alignof(v.Type())))
		name := v.Name()
		if name == "" {
			name = "ret"
		}
		f.params[name] = param{offset, v.Type()}
		offset += int(sizes.Sizeof(v.Type()))
	}
	f.argBytes = offset
	return f, nil
}

func (f *Func) fail(format string, a ...any) { panic(f.name + ": " + fmt.Sprintf(format, a...)) }

func (f *Func) param(name string) param {
	p, ok := f.params[name]
	if !ok {
		f.fail("no parameter %s", name)
	}
	return p
}

// HasParam says whether there is a parameter of this name.
func (f *Func) HasParam(name string) bool { _, ok := f.params[name]; return ok }

// ParamType returns the type of a parameter, as Go spells it.
func (f *Func) ParamType(name string) string { return f.param(name).typ.String() }

// Param returns where a parameter lies that is no slice; Result where the result goes.
func (f *Func) Param(name string) Symbol {
	p := f.param(name)
	if _, ok := p.typ.(*types.Basic); !ok {
		f.fail("%s is a %v", name, p.typ)
	}
	return Symbol(fmt.Sprintf("%s+%d(FP)", name, p.offset))
}

func (f *Func) Result() Symbol { return f.Param("ret") }

// Base returns where a slice's pointer lies, or a pointer.
func (f *Func) Base(name string) Symbol {
	if p := f.param(name); isPointer(p.typ) {
		return Symbol(fmt.Sprintf("%s+%d(FP)", name, p.offset))
	}
	return f.slice(name, "base", 0)
}

// Len returns where a slice's length lies, or for a pointer where n does.
func (f *Func) Len(name string) Symbol {
	if isPointer(f.param(name).typ) {
		return f.Param("n")
	}
	return f.slice(name, "len", 8)
}

func isPointer(t types.Type) bool {
	_, ok := t.(*types.Pointer)
	return ok
}

func (f *Func) slice(name, part string, offset int) Symbol {
	p := f.param(name)
	if _, ok := p.typ.(*types.Slice); !ok {
		f.fail("%s is a %v", name, p.typ)
	}
	return Symbol(fmt.Sprintf("%s_%s+%d(FP)", name, part, p.offset+offset))
}

// Local takes n bytes of the stack, a multiple of 16, and returns their address. The function checks then for room, as Go functions do, if
// they are many.
func (f *Func) Local(name string, n int) Symbol {
	if n%16 != 0 {
		f.fail("a local of %d bytes", n)
	}
	f.locals += n
	return Symbol(fmt.Sprintf("$%s-%d(SP)", name, f.locals))
}

// GP returns a new general register, Vec a new vector.
func (f *Func) GP() GP   { return GP{f.newRegister(false)} }
func (f *Func) Vec() Vec { return Vec{f.newRegister(true)} }

func (f *Func) newRegister(vector bool) register {
	f.vectors = append(f.vectors, vector)
	return register(len(f.vectors) - 1)
}

// NewLabel returns a label that nothing else has.
func (f *Func) NewLabel(name string) Label {
	f.labels[name]++
	return Label(fmt.Sprintf("%s%d", name, f.labels[name]))
}

// Label places a label here.
func (f *Func) Label(l Label) {
	f.insts = append(f.insts, &inst{label: l})
}

// Commentf says what follows.
func (f *Func) Commentf(format string, a ...any) {
	f.insts = append(f.insts, &inst{comment: fmt.Sprintf(format, a...)})
}

func (f *Func) add(i *inst) *inst {
	keep := i.in[:0]
	for _, r := range i.in {
		if r != zero {
			keep = append(keep, r)
		}
	}
	i.in = keep
	for _, r := range append(slices.Clone(i.in), i.out...) {
		if r <= 0 || int(r) >= len(f.vectors) {
			f.fail("%s has an operand that is no register of this function", i.mnemonic)
		}
	}
	f.insts = append(f.insts, i)
	return i
}

// Prologue puts code at the beginning of the function.
func (f *Func) Prologue(code func()) { f.insts = append(f.record(code), f.insts...) }

// record returns the instructions that code writes, instead of adding them.
func (f *Func) record(code func()) []*inst {
	before := f.insts
	f.insts = nil
	code()
	written := f.insts
	f.insts = before
	return written
}

// Measure returns how many instructions code writes, and drops them.
func (f *Func) Measure(code func()) int { return len(f.record(code)) }

// Interleave writes the instructions of several pieces of code by turns, so that a CPU finds more that is independent in what it looks
// ahead. Where they have to stay one after the other, because one writes a register that another one uses, they do. They must not depend on
// each other through memory.
func (f *Func) Interleave(pieces ...func()) {
	var code [][]*inst
	longest, together := 0, true
	for _, piece := range pieces {
		c := f.record(piece)
		for _, other := range code {
			together = together && !dependent(other, c)
		}
		code = append(code, c)
		longest = max(longest, len(c))
	}
	if !together {
		f.insts = append(f.insts, slices.Concat(code...)...)
		return
	}
	for i := range longest {
		for _, c := range code {
			f.insts = append(f.insts, c[min(i, len(c)):min(i+1, len(c))]...)
		}
	}
}

// dependent says whether there is a branch, or a register that one piece writes and the other one has to do with.
func dependent(a, b []*inst) bool {
	written := func(code, others []*inst) bool {
		return slices.ContainsFunc(code, func(i *inst) bool {
			return slices.ContainsFunc(i.out, func(r register) bool {
				return slices.ContainsFunc(others, func(o *inst) bool { return slices.Contains(o.in, r) || slices.Contains(o.out, r) })
			})
		})
	}
	branches := func(i *inst) bool { return i.label != "" || i.target != "" || i.ends }
	return slices.ContainsFunc(a, branches) || slices.ContainsFunc(b, branches) || written(a, b) || written(b, a)
}

// A File is a file of functions and constants.
type File struct {
	constraint string
	funcs      []*Func
	constants  []*constant
	tables     []table
	routines   map[string]*Routine
}

// A constant is 128 bits of the table of a file.
type constant struct {
	lo, hi uint64
	uses   int
	offset int // from where the register points
}

// A table is memory that is not among the constants.
type table struct {
	name  string
	words []uint64
}

// NewFile returns an empty file with a build constraint.
func NewFile(constraint string) *File { return &File{constraint: constraint} }

// Func begins a function.
func (f *File) Func(name, signature, doc string) *Func {
	fn, err := newFunc(name, signature, doc)
	if err != nil {
		panic(err)
	}
	fn.file = f
	f.funcs = append(f.funcs, fn)
	return fn
}

// Constant returns memory that holds 128 bits. A register points into the table of constants from the function's beginning on.
func (f *Func) Constant(lo, hi uint64) Mem {
	if f.table == (GP{}) {
		f.table = f.GP()
	}
	i := slices.IndexFunc(f.file.constants, func(c *constant) bool { return c.lo == lo && c.hi == hi })
	if i < 0 {
		i = len(f.file.constants)
		f.file.constants = append(f.file.constants, &constant{lo: lo, hi: hi})
	}
	return Mem{Base: f.table, constant: f.file.constants[i]}
}

// Table returns the address of words that a file has once by this name.
func (f *Func) Table(name string, words []uint64) Symbol {
	if !slices.ContainsFunc(f.file.tables, func(t table) bool { return t.name == name }) {
		f.file.tables = append(f.file.tables, table{name, words})
	}
	return Symbol("$" + name + "<>(SB)")
}

// nearBytes is how many bytes of the table lie before where the register points: some CPUs load what is at a negative offset, which has
// an instruction of its own, with one micro-operation less.
const nearBytes = 256

// placeConstants gives the constants that are used most the places at negative offsets.
func (f *File) placeConstants() {
	for _, fn := range f.funcs {
		for _, i := range fn.insts {
			for _, a := range i.args {
				if m, ok := a.(Mem); ok && m.constant != nil {
					m.constant.uses++
				}
			}
		}
	}
	slices.SortStableFunc(f.constants, func(a, b *constant) int { return b.uses - a.uses })
	for i, c := range f.constants {
		c.offset = 16*i - nearBytes
	}
}

const header = "// Code generated by asm (go generate). DO NOT EDIT.\n\n"

// Generate returns the assembly and the Go declarations.
func (f *File) Generate() (asm, stubs []byte, err error) {
	var s, g strings.Builder
	fmt.Fprintf(&s, "%s//go:build %s\n\n#include \"funcdata.h\"\n#include \"textflag.h\"\n", header, f.constraint)
	fmt.Fprintf(&g, "%s//go:build %s\n\npackage lanewise\n", header, f.constraint)
	numbers := make([]numbering, len(f.funcs))
	for i, fn := range f.funcs {
		if numbers[i] = fn.numbers; fn.routine {
			continue
		}
		if numbers[i], err = fn.finish(); err != nil {
			return nil, nil, err
		}
	}
	f.placeConstants()
	for i, fn := range f.funcs {
		n := numbers[i]
		flags := "NOSPLIT"
		if fn.locals > 256 && !fn.routine { // what a routine is given would not survive the check
			flags = "0"
		}
		signature := strings.TrimPrefix(fn.source, "func")
		// NO_LOCAL_POINTERS: a routine may fault, and the collector run before somebody above recovers; what its caller's frame points to is that
		// one's caller's
		fmt.Fprintf(&s, "\n// func %s%s\nTEXT ·%s(SB), %s, $%d-%d\n\tNO_LOCAL_POINTERS\n", fn.name, signature, fn.name, flags, fn.locals, fn.argBytes)
		for _, i := range fn.insts {
			s.WriteString(i.print(n) + "\n")
		}
		if fn.routine {
			continue
		}
		fmt.Fprintf(&g, "\n// %s\n//\n//go:noescape\nfunc %s%s\n", strings.ReplaceAll(fn.doc, "\n", "\n// "), fn.name, signature)
	}
	if len(f.constants) > 0 {
		s.WriteString("\n")
		for i, c := range f.constants {
			for half, bits := range []uint64{c.lo, c.hi} {
				fmt.Fprintf(&s, "DATA constants<>+%d(SB)/8, $0x%016x\n", 16*i+8*half, bits)
			}
		}
		fmt.Fprintf(&s, "GLOBL constants<>(SB), RODATA|NOPTR, $%d\n", max(nearBytes, 16*len(f.constants)))
	}
	for _, t := range f.tables {
		s.WriteString("\n")
		for i, w := range t.words {
			fmt.Fprintf(&s, "DATA %s<>+%d(SB)/8, $0x%016x\n", t.name, 8*i, w)
		}
		fmt.Fprintf(&s, "GLOBL %s<>(SB), RODATA|NOPTR, $%d\n", t.name, 8*len(t.words))
	}
	if r := reserved.FindString(s.String()); r != "" {
		return nil, nil, fmt.Errorf("the code has the register %s", r)
	}
	return []byte(s.String()), []byte(g.String()), nil
}

// reserved are the registers that functions leave alone.
var reserved = regexp.MustCompile(`\b(R1[6-8]|R2[6-9]|R3\d|g)\b`)

func (i *inst) print(n numbering) string {
	if i.label != "" {
		return string(i.label) + ":"
	}
	if i.comment != "" {
		return "\n\t// " + i.comment
	}
	if i.word != nil {
		var args []string // ARM has the destination first
		for _, a := range slices.Backward(i.args) {
			args = append(args, a.arm(n))
		}
		return fmt.Sprintf("\tWORD  $0x%08x // %s %s", i.word(n), i.mnemonic, strings.Join(args, ", "))
	}
	var args []string
	for _, a := range i.args {
		args = append(args, a.plan9(n))
	}
	return strings.TrimRight(fmt.Sprintf("\t%-5s %s", i.mnemonic, strings.Join(args, ", ")), " ")
}
