package amd64

import (
	"slices"
	"strings"

	"github.com/lanewise/lanewise/asm/machine"
	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A routine is a function of the assembly's own, which several kernels call. What it is given comes in registers, vectors in the first ones
// and integers in intArgs, and the vectors that it returns are in the first ones. Whatever it writes is lost to its callers, whose values
// have to be elsewhere: allocate sees to that, by the outputs of the CALL.
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

func (m mach) Share(name string, names []string, in []V, body func(m machine.Machine, in []V) []V) []V {
	var ints []reg.GPVirtual
	if len(names) > 0 {
		w := m.slices([]machine.Buf{{Name: names[0]}})
		for _, slice := range names {
			ints = append(ints, w.pointer(slice))
		}
		ints = append(ints, w.length())
	}
	return m.call(name, ints, in, func(m mach, ints []reg.GPVirtual, in []V) []V {
		fresh := func(g reg.GPVirtual) reg.GPVirtual {
			h := m.GP64()
			m.MOVQ(g, h)
			return h
		}
		m.row = &walk{
			func(slice string) reg.GPVirtual { return fresh(ints[slices.Index(names, slice)]) },
			func() reg.GPVirtual { return fresh(ints[len(names)]) },
		}
		return body(m, in)
	})
}

// add writes a routine.
func (l *routines) add(m mach, name string, ints, vectors int, body body) routine {
	var r routine
	fn := machine.Function{Name: name, Signature: "func()", Doc: "is a routine."}
	file, err := compile(m.isa, m.elem, fn, l, func(c *Code) {
		m := newMachine(c)
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
	})
	if err != nil {
		panic(err)
	}
	known := map[reg.ID]bool{}
	for _, i := range file.Functions()[0].Instructions() {
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
