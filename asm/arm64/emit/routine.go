package emit

import "slices"

// A Routine is a function of the assembly's own, which several functions call: without arguments in memory. It gets what it is given in the
// first registers of each file, and leaves vectors in the first ones. Whatever it writes is lost to its callers, whose values are kept in
// other registers: the CALL writes all of these.
type Routine struct {
	name           string
	results        int
	ints, vectors  int
	general, lanes []int // the registers that it writes
}

// pin returns a register whose number is given.
func (f *Func) pin(vector bool, number int) register {
	r := f.newRegister(vector)
	if f.pinned == nil {
		f.pinned = map[register]int{}
	}
	f.pinned[r] = number
	return r
}

// Routine returns the routine of this name, which write describes when it is first asked for.
func (f *File) Routine(name string, ints, vectors int, write func(fn *Func, ints []GP, vectors []Vec) []Vec) *Routine {
	if r := f.routines[name]; r != nil {
		return r
	}
	fn, err := newFunc(name+"<>", "func()", "")
	if err != nil {
		panic(err)
	}
	fn.file, fn.routine = f, true
	g, v := make([]GP, ints), make([]Vec, vectors)
	fn.insts = fn.record(func() {
		for i := range g {
			g[i] = fn.GP()
			fn.MOVD(GP{fn.pin(false, i)}, g[i])
		}
		for i := range v {
			v[i] = fn.Vec()
			fn.VMOV(Vec{fn.pin(true, i)}.B16(), v[i].B16())
		}
	})
	results := write(fn, g, v)
	out := make([]register, len(results))
	for i, x := range results {
		out[i] = fn.pin(true, i)
		fn.VMOV(x.B16(), Vec{out[i]}.B16())
	}
	fn.RET()
	fn.insts[len(fn.insts)-1].in = out
	if fn.numbers, err = fn.finish(); err != nil {
		panic(err)
	}
	r := &Routine{name: fn.name, results: len(results), ints: ints, vectors: vectors}
	for _, i := range fn.insts {
		for _, o := range i.out {
			file := &r.general
			if fn.vectors[o] {
				file = &r.lanes
			}
			if n := fn.numbers(o); !slices.Contains(*file, n) {
				*file = append(*file, n)
			}
		}
	}
	f.funcs = append(f.funcs, fn)
	if f.routines == nil {
		f.routines = map[string]*Routine{}
	}
	f.routines[name] = r
	return r
}

// CALL calls a routine and returns its results.
func (f *Func) CALL(r *Routine, ints []GP, vectors []Vec) []Vec {
	if len(ints) != r.ints || len(vectors) != r.vectors {
		f.fail("%d and %d arguments for %s", len(ints), len(vectors), r.name)
	}
	i := &inst{mnemonic: "CALL", args: []Operand{Symbol("·" + r.name + "(SB)")}}
	for n, g := range ints {
		p := GP{f.pin(false, n)}
		f.MOVD(g, p)
		i.in = append(i.in, p.r)
	}
	for n, v := range vectors {
		p := Vec{f.pin(true, n)}
		f.VMOV(v.B16(), p.B16())
		i.in = append(i.in, p.r)
	}
	for _, n := range r.general {
		i.out = append(i.out, f.pin(false, n))
	}
	results := make([]Vec, r.results)
	for _, n := range r.lanes {
		p := f.pin(true, n)
		i.out = append(i.out, p)
		if n < len(results) {
			results[n] = Vec{p}
		}
	}
	f.add(i)
	for n, p := range results {
		if p == (Vec{}) { // an argument that was not touched
			p = Vec{f.pin(true, n)}
			i.out = append(i.out, p.r)
		}
		results[n] = f.Vec()
		f.VMOV(p.B16(), results[n].B16())
	}
	return results
}
