package arm64

import (
	"strings"

	"github.com/lanewise/lanewise/asm/arm64/emit"
	"github.com/lanewise/lanewise/asm/machine"
)

// Features are those that functions may use, and those that the library asks the CPU for. NEON is part of every arm64 that Go runs on,
// unless GODEBUG takes it away.
var Features = []machine.Feature{{Field: "HasASIMD", Setting: "asimd"}}

// A File collects functions.
type File struct{ *emit.File }

// NewFile returns an empty File.
func NewFile() *File { return &File{emit.NewFile("arm64 && !purego")} }

// Add writes a function.
func (f *File) Add(t machine.Type, fn machine.Function, write func(*Code)) {
	write(&Code{f.Func(fn.Name, fn.Signature, strings.Join(machine.Comment(fn.Name, fn.Doc), "\n")), f.File, t, fn.Int32s(), fn.Signature})
}

// A Code is a function that has begun: emit's Func writes its instructions.
type Code struct {
	*emit.Func
	file *emit.File
	typ  machine.Type
	ints map[string]bool // parameters that are []int32

	signature string
}

// Describe writes all of the function as a description says.
func (c *Code) Describe(describe func(machine.Machine)) {
	m := newMachine(c)
	describe(m)
	m.RET()
	m.prologue()
}

func newMachine(c *Code) mach {
	return mach{&function{Func: c.Func, file: c.file, elem: c.typ, ints: c.ints, locals: map[string]emit.Symbol{}, slots: c.GP()}, c.typ}
}
