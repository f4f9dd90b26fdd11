package amd64

import (
	"fmt"
	"strings"

	"github.com/lanewise/lanewise/asm/machine"
	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A routine is a function of the assembly's own, which several kernels call. It has no frame: what it is given comes in registers, vectors
// in the first ones and integers in intArgs, and the vectors that it returns are in the first ones. Whatever it writes is lost to its
// callers, whose values have to be elsewhere: allocate sees to that, by the outputs of the CALL.
type routine struct {
	clobbers []Op
	results  int
}

var intArgs = []reg.GPPhysical{reg.RDI, reg.RSI, reg.R8, reg.R9, reg.R10, reg.R11, reg.R12}

// A body writes a routine: ints and vectors are its own copies of what it is given.
type body func(m mach, ints []reg.GPVirtual, vectors []V) (results []V)

// routines are those of a file, and what goes into the file because of them.
type routines struct {
	known    map[string]routine
	sections []ir.Section
}

func isRoutine(fn *ir.Function) bool { return strings.HasSuffix(fn.Name, "<>") }

// vector returns a physical register.
func (m mach) vector(i int) reg.VecPhysical {
	return reg.FamilyOfKind(reg.KindVector).Lookup(reg.Index(i), m.isa.spec).(reg.VecPhysical)
}

// call calls the routine of this name, which is described once, by body.
func (m mach) call(name string, ints []reg.GPVirtual, vectors []V, body body) []V {
	name += [...]string{"F32", "F64"}[m.elem] + m.isa.Name + "<>"
	r, ok := m.local.known[name]
	if !ok {
		r = m.local.add(m, name, len(ints), len(vectors), body)
	}
	call := &ir.Instruction{Opcode: "CALL", Operands: []Op{LabelRef("·" + name + "(SB)")}, Outputs: r.clobbers}
	for i, g := range ints {
		m.MOVQ(g, intArgs[i])
		call.Inputs = append(call.Inputs, intArgs[i])
	}
	for i, v := range vectors {
		m.VMOVAPS(m.r(v), m.vector(i))
		call.Inputs = append(call.Inputs, m.vector(i))
	}
	m.Instruction(call)
	results := make([]V, r.results)
	for i := range results {
		results[i] = m.New()
		m.VMOVAPS(m.vector(i), m.r(results[i]))
	}
	return results
}

// add writes a routine.
func (l *routines) add(m mach, name string, ints, vectors int, body body) routine {
	var r routine
	file, err := compile(m.isa, m.elem, func(own machine.Machine) {
		m := own.(mach)
		m.Function(name)
		m.Attributes(attr.NOSPLIT)
		file, _ := m.Result()
		m.fn = file.Functions()[0]
		g, v := make([]reg.GPVirtual, ints), make([]V, vectors)
		for i := range g {
			g[i] = m.GP64()
			m.MOVQ(intArgs[i], g[i])
		}
		for i := range v {
			v[i] = m.New()
			m.VMOVAPS(m.vector(i), m.r(v[i]))
		}
		results := body(m, g, v)
		var out []Op
		for i, x := range results {
			m.VMOVAPS(m.r(x), m.vector(i))
			out = append(out, m.vector(i))
		}
		m.RET()
		m.last().Inputs = out
		r.results = len(results)
	}, l)
	if err != nil {
		panic(err)
	}
	fn := file.Functions()[0]
	if fn.LocalSize > 0 {
		panic(fmt.Sprintf("%s: a routine with a frame", name))
	}
	known := map[reg.ID]bool{}
	for _, i := range fn.Instructions() {
		for _, o := range i.OutputRegisters() {
			p, ok := o.(reg.Physical)
			if !ok || known[p.ID()] {
				continue
			}
			known[p.ID()] = true
			switch p := p.(type) {
			case reg.VecPhysical:
				r.clobbers = append(r.clobbers, m.vector(int(p.PhysicalIndex())))
			case reg.GPPhysical:
				r.clobbers = append(r.clobbers, p.As64())
			default:
				r.clobbers = append(r.clobbers, p)
			}
		}
	}
	l.known[name] = r
	l.sections = append(l.sections, file.Sections...)
	return r
}
