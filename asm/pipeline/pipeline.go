// Package pipeline turns kernels into the files that go generate writes: every function of assembly, whatever described it, is compiled,
// given its registers, checked and printed here, and every kernel gets the Go function that calls it and a place in the tests' registry.
package pipeline

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lanewise/lanewise/asm/amd64"
	"github.com/lanewise/lanewise/asm/arm64"
	"github.com/lanewise/lanewise/asm/lanes"
	"github.com/lanewise/lanewise/asm/machine"
)

// A Kernel is a function that the library has in assembly. Its definition, in kernels_generic*.go, is called Name + "Generic"; the function
// to call is Name, and takes the ISA before what the definition takes.
type Kernel struct {
	Name      string
	Signature string // a Go function type, whose parameters have names; T is float32 and float64, and then there are functions for both
	Doc       string // what it does, to follow the name
	On        On
	Beyond    map[string]Beyond // by parameter
	Apart     []Apart
}

// Apart says what does not go to assembly: where If holds, a Go condition on the arguments, another function of the library gets them, with
// the ISA before them, or without a Call the definition. An exported function that has nothing else to look at is one call then, which is
// inlined into its callers.
type Apart struct{ If, Call string }

// Beyond is how many elements behind its end a function may read, which have to be there, and write, where anything may stand afterwards.
type Beyond struct{ Read, Write int }

// On says what each ISA has. All of them have to be named.
type On struct{ AVX2, AVX512, NEON Code }

// Everywhere is one description for all ISAs.
func Everywhere(describe func(machine.Machine)) On {
	c := Code{
		amd64: func(c *amd64.Code) {
			m := c.Machine()
			describe(m)
			c.End()
		},
		arm64: func(c *arm64.Code) { c.Describe(describe) },
	}
	return On{c, c, c}
}

// Lanes is one description in lanes for all ISAs.
func Lanes(describe func(lanes.Machine)) On {
	c := Code{
		amd64: func(c *amd64.Code) {
			describe(c.Lanes())
			c.End()
		},
		arm64: func(c *arm64.Code) {
			describe(c.Lanes())
			c.RET()
		},
	}
	return On{c, c, c}
}

// LanesOf256 is Lanes, but for AVX-512, which uses the function of AVX2: where scalars load the lanes that vectors have just stored, it is
// the faster one on the CPUs that it was measured on.
func LanesOf256(describe func(lanes.Machine)) On {
	on := Lanes(describe)
	on.AVX512 = Of("AVX2")
	return on
}

// A Code is what one ISA has of a kernel.
type Code struct {
	amd64 func(*amd64.Code)
	arm64 func(*arm64.Code)
	of    string // the ISA whose function serves, Generic for the definition
}

// Of says that an ISA has no function of its own, and uses another's: AVX-512 that of AVX2, say. Generic is the definition.
func Of(isa string) Code { return Code{of: isa} }

// An isa is an ISA as dispatch knows it.
type isa struct {
	name, arch string
	features   []machine.Feature
	code       func(On) Code
}

// isas are all of them, the better ones first.
var isas = []isa{
	{"AVX512", "amd64", amd64.AVX512.Features, func(on On) Code { return on.AVX512 }},
	{"AVX2", "amd64", amd64.AVX2.Features, func(on On) Code { return on.AVX2 }},
	{"NEON", "arm64", arm64.Features, func(on On) Code { return on.NEON }},
}

// of returns the ISAs of an architecture.
func of(arch string) []isa {
	return slices.DeleteFunc(slices.Clone(isas), func(i isa) bool { return i.arch != arch })
}

// Features returns a line for each ISA: its name, and what it asks the CPU for, by the names that GODEBUG and Linux know.
func Features() string {
	var s strings.Builder
	for _, isa := range isas {
		s.WriteString(strings.ToLower(isa.name) + ":")
		for _, f := range isa.features {
			s.WriteString(" " + f.Setting)
		}
		s.WriteString("\n")
	}
	return s.String()
}

// types are the element types of a kernel.
func (k *Kernel) types() []machine.Type {
	if k.typed() {
		return []machine.Type{machine.F32, machine.F64}
	}
	return []machine.Type{machine.F32}
}

// function returns a kernel's function of assembly, and whether the ISA has one of its own.
func (k *Kernel) function(isa isa, t machine.Type) (machine.Function, Code, bool) {
	c := isa.code(k.On)
	return machine.Function{Name: k.Name + k.suffix(t) + isa.name, Signature: k.signature(t), Doc: k.Doc}, c, c.of == ""
}

// serving returns the ISA whose function serves an ISA, Generic for the definition.
func (k *Kernel) serving(i isa) (string, error) {
	c := i.code(k.On)
	if c.of == "" {
		return i.name, nil
	}
	if c.of != "Generic" && !slices.ContainsFunc(of(i.arch), func(j isa) bool { return j.name == c.of && j.code(k.On).of == "" }) {
		return "", fmt.Errorf("%s: %s has no function that %s could use", k.Name, c.of, i.name)
	}
	return c.of, nil
}

// Generate returns the generated files by their names.
func Generate(kernels []Kernel) (map[string][]byte, error) {
	names := map[string]bool{}
	for i := range kernels {
		k := &kernels[i]
		if names[k.Name] {
			return nil, fmt.Errorf("there are two kernels %s", k.Name)
		}
		names[k.Name] = true
		if err := k.check(); err != nil {
			return nil, err
		}
	}
	files := map[string][]byte{}
	x86, arm := amd64.NewFile(), arm64.NewFile()
	add := map[string]func(isa isa, t machine.Type, f machine.Function, c Code) error{
		"amd64": func(isa isa, t machine.Type, f machine.Function, c Code) error {
			if c.amd64 == nil {
				return fmt.Errorf("%s says nothing of %s", f.Name, isa.name)
			}
			return x86.Add(map[string]*amd64.ISA{"AVX2": amd64.AVX2, "AVX512": amd64.AVX512}[isa.name], t, f, c.amd64)
		},
		"arm64": func(isa isa, t machine.Type, f machine.Function, c Code) error {
			if c.arm64 == nil {
				return fmt.Errorf("%s says nothing of %s", f.Name, isa.name)
			}
			arm.Add(t, f, c.arm64)
			return nil
		},
	}
	for _, isa := range slices.Backward(isas) {
		for i := range kernels {
			for _, t := range kernels[i].types() {
				if f, c, own := kernels[i].function(isa, t); own {
					if err := add[isa.arch](isa, t, f, c); err != nil {
						return nil, err
					}
				}
			}
		}
	}
	var err error
	if files["kernels_amd64.s"], files["kernels_amd64.go"], err = x86.Generate(); err != nil {
		return nil, err
	}
	if files["kernels_arm64.s"], files["kernels_arm64.go"], err = arm.Generate(); err != nil {
		return nil, err
	}
	for _, arch := range []string{"amd64", "arm64", "other"} {
		if files["dispatch_"+arch+".go"], err = dispatch(arch, kernels); err != nil {
			return nil, err
		}
	}
	files["registry_test.go"], err = registry(kernels)
	return files, err
}

func (k *Kernel) check() error {
	if !strings.HasPrefix(k.Signature, "func(") || k.Doc == "" {
		return fmt.Errorf("%s: no signature or no doc", k.Name)
	}
	p, err := k.parse()
	if err != nil {
		return err
	}
	for name := range k.Beyond {
		if !slices.ContainsFunc(p.params, func(q param) bool { return q.name == name }) {
			return fmt.Errorf("%s has no parameter %s to read or write beyond", k.Name, name)
		}
	}
	return nil
}
