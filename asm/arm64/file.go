package arm64

import (
	"github.com/lanewise/lanewise/asm/arm64/emit"
	"github.com/lanewise/lanewise/asm/machine"
)

// A File collects functions.
type File struct{ *emit.File }

// NewFile returns an empty File.
func NewFile() *File { return &File{emit.NewFile("arm64 && !purego")} }

// Machine returns the machine for one element type.
func (f *File) Machine(t machine.Type) machine.Machine {
	return mach{&function{file: f.File, elem: t}, t}
}
