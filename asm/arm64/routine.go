package arm64

import (
	"slices"

	"github.com/lanewise/lanewise/asm/arm64/emit"
	"github.com/lanewise/lanewise/asm/machine"
)

// call calls the routine of this name, which is described once, by body: ints and vectors are its own copies of what it is given.
func (m mach) call(name string, ints []emit.GP, vectors []V, body func(m mach, ints []emit.GP, vectors []V) (results []V)) []V {
	name += [...]string{"F32", "F64"}[m.elem] + "NEON"
	r := m.file.Routine(name, len(ints), len(vectors), func(fn *emit.Func, ints []emit.GP, vectors []emit.Vec) []emit.Vec {
		m := newMachine(&Code{Func: fn, file: m.file, typ: m.elem})
		in := make([]V, len(vectors))
		for i, v := range vectors {
			in[i] = m.value(v)
		}
		var results []emit.Vec
		for _, v := range body(m, ints, in) {
			results = append(results, m.r(v))
		}
		m.prologue()
		return results
	})
	in := make([]emit.Vec, len(vectors))
	for i, v := range vectors {
		in[i] = m.r(v)
	}
	var results []V
	for _, v := range m.CALL(r, ints, in) {
		results = append(results, m.value(v))
	}
	return results
}

func (m mach) Share(name string, names []string, in []V, body func(m machine.Machine, in []V) []V) []V {
	var ints []emit.GP
	if len(names) > 0 {
		w := m.slices(names[0])
		for _, name := range names {
			ints = append(ints, w.pointer(name))
		}
		ints = append(ints, w.length())
	}
	return m.call(name, ints, in, func(m mach, ints []emit.GP, in []V) []V {
		m.row = &walk{
			func(name string) emit.GP { return m.copyGP(ints[slices.Index(names, name)]) },
			func() emit.GP { return m.copyGP(ints[len(names)]) },
		}
		return body(m, in)
	})
}
