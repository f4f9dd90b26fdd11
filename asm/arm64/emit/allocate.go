package emit

import (
	"fmt"
	"slices"
)

// The general registers that functions may use: R16 and R17 belong to the linker, R18 to the operating system, R26 to R28 and above to Go.
var general = []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 19, 20, 21, 22, 23, 24, 25}

const vectorRegisters = 32

// A set is a set of small numbers.
type set []uint64

func newSet(n int) set       { return make(set, (n+63)/64) }
func (s set) has(i int) bool { return s[i/64]>>(i%64)&1 != 0 }
func (s set) add(i int)      { s[i/64] |= 1 << (i % 64) }
func (s set) remove(i int)   { s[i/64] &^= 1 << (i % 64) }
func (s set) meets(t set) bool {
	return slices.ContainsFunc(s.with(t), func(w uint64) bool { return w != 0 })
}

func (s set) with(t set) set {
	u := make(set, len(s))
	for i := range s {
		u[i] = s[i] & t[i]
	}
	return u
}

// finish checks the function, drops what nobody uses and gives every register its number.
func (f *Func) finish() (numbering, error) {
	if f.table != (GP{}) {
		f.Prologue(func() { f.MOVD(Symbol(fmt.Sprintf("$constants<>+%d(SB)", nearBytes)), f.table) })
	}
	for {
		live, err := f.liveness()
		if err != nil {
			return nil, err
		}
		n := len(f.insts)
		kept := f.insts[:0]
		for i, inst := range f.insts {
			if inst.pure && !slices.ContainsFunc(inst.out, func(r register) bool { return live[i+1].has(int(r)) }) {
				continue
			}
			kept = append(kept, inst)
		}
		f.insts = kept
		if len(kept) == n {
			return f.allocate(live)
		}
	}
}

// liveness returns the registers that are live before each instruction; one after the last stands for the end. Element i+1 is what is live
// after instruction i where that does not branch.
func (f *Func) liveness() ([]set, error) {
	at := map[Label]int{}
	used := map[Label]bool{}
	for i, inst := range f.insts {
		if inst.label != "" {
			if _, ok := at[inst.label]; ok {
				return nil, fmt.Errorf("%s: the label %s is there twice", f.name, inst.label)
			}
			at[inst.label] = i
		}
		used[inst.target] = true
	}
	f.insts = slices.DeleteFunc(f.insts, func(i *inst) bool { return i.label != "" && !used[i.label] })
	clear(at)
	for i, inst := range f.insts {
		if inst.label != "" {
			at[inst.label] = i
		}
	}
	if len(f.insts) == 0 || !f.insts[len(f.insts)-1].ends {
		return nil, fmt.Errorf("%s: control runs off the end", f.name)
	}
	live := make([]set, len(f.insts)+1)
	for i := range live {
		live[i] = newSet(len(f.vectors))
	}
	for changed := true; changed; {
		changed = false
		for i, inst := range slices.Backward(f.insts) {
			now := newSet(len(f.vectors))
			if !inst.ends {
				copy(now, live[i+1])
			}
			if inst.target != "" {
				j, ok := at[inst.target]
				if !ok {
					return nil, fmt.Errorf("%s: no label %s", f.name, inst.target)
				}
				for w := range now {
					now[w] |= live[j][w]
				}
			}
			for _, r := range inst.out {
				now.remove(int(r))
			}
			for _, r := range inst.in {
				now.add(int(r))
			}
			if !slices.Equal(now, live[i]) {
				live[i], changed = now, true
			}
		}
	}
	for r := range f.vectors {
		if _, given := f.pinned[register(r)]; live[0].has(r) && !(given && f.routine) {
			for i, inst := range f.insts {
				if slices.Contains(inst.in, register(r)) {
					return nil, fmt.Errorf("%s: instruction %d, %s, reads a register that may not have been written", f.name, i, inst.mnemonic)
				}
			}
		}
	}
	return live, nil
}

// allocate gives every register the first number that is free wherever it is in use: before the instructions that need it (even places) and
// after those that write it (odd ones). The two sides of a move share a number where they can, and the move goes.
func (f *Func) allocate(live []set) (numbering, error) {
	places := 2 * len(f.insts)
	use := make([]set, len(f.vectors))
	var order []register
	note := func(r register, place int) {
		if use[r] == nil {
			use[r] = newSet(places)
			order = append(order, r)
		}
		use[r].add(place)
	}
	hint := make([]register, len(f.vectors))
	for i, inst := range f.insts {
		for r := range f.vectors {
			if live[i].has(r) {
				note(register(r), 2*i)
			}
			if !inst.ends && live[i+1].has(r) {
				note(register(r), 2*i+1)
			}
		}
		for _, r := range inst.out {
			note(r, 2*i+1)
		}
		if inst.isMove() {
			from, to := inst.in[0], inst.out[0]
			hint[from], hint[to] = to, from
		}
	}
	numbers := make([]int, len(f.vectors))
	for i := range numbers {
		numbers[i] = -1
	}
	all := make([]int, vectorRegisters)
	for i := range all {
		all[i] = i
	}
	busy := map[bool]map[int]set{false: {}, true: {}}
	give := func(r register, n int) {
		numbers[r] = n
		taken := busy[f.vectors[r]]
		if taken[n] == nil {
			taken[n] = newSet(places)
		}
		for w := range taken[n] {
			taken[n][w] |= use[r][w]
		}
	}
	for _, r := range order {
		if n, ok := f.pinned[r]; ok {
			if t := busy[f.vectors[r]][n]; t != nil && use[r].meets(t) {
				return nil, fmt.Errorf("%s: two values in register %d", f.name, n)
			}
			give(r, n)
		}
	}
	for _, r := range order {
		if numbers[r] >= 0 {
			continue
		}
		file := general
		if f.vectors[r] {
			file = all
		}
		if h := hint[r]; h > 0 && numbers[h] >= 0 {
			file = append([]int{numbers[h]}, file...)
		}
		taken := busy[f.vectors[r]]
		i := slices.IndexFunc(file, func(n int) bool { return taken[n] == nil || !use[r].meets(taken[n]) })
		if i < 0 {
			return nil, fmt.Errorf("%s: no register is left", f.name)
		}
		give(r, file[i])
	}
	f.insts = slices.DeleteFunc(f.insts, func(i *inst) bool { return i.isMove() && numbers[i.in[0]] == numbers[i.out[0]] })
	return func(r register) int {
		if r <= 0 || numbers[r] < 0 {
			f.fail("a register without a number")
		}
		return numbers[r]
	}, nil
}

// isMove says whether an instruction does nothing but copy a register.
func (i *inst) isMove() bool {
	if len(i.args) != 2 || !i.pure {
		return false
	}
	switch i.args[0].(type) {
	case GP:
		return i.mnemonic == "MOVD" && len(i.in) == 1 && len(i.out) == 1
	case Arranged:
		return i.mnemonic == "VMOV" && len(i.in) == 1 && len(i.out) == 1
	}
	return false
}
