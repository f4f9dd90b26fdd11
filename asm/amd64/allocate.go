package amd64

import (
	"errors"
	"fmt"
	"slices"

	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/reg"
)

var errRegisters = errors.New("out of registers")

// allocate gives every virtual register a physical one: from the beginning of the code to its end, each gets the first that is free from
// where it is first in use to where it is last. avo's own allocator knows no limit of 16 vector registers.
func allocate(fn *ir.Function, isa *ISA) error {
	type interval struct {
		id         reg.ID
		first, end int // in [first, end) it holds something
	}
	busy := map[reg.ID][]*interval{}
	all := map[reg.Kind]map[reg.ID]*interval{}
	note := func(id reg.ID, first, end int) {
		k := id.Kind()
		if k == reg.KindPseudo {
			return
		}
		if id.IsPhysical() {
			busy[id] = append(busy[id], &interval{id, first, end})
			return
		}
		if all[k] == nil {
			all[k] = map[reg.ID]*interval{}
		}
		v := all[k][id]
		if v == nil {
			all[k][id] = &interval{id, first, end}
			return
		}
		v.first, v.end = min(v.first, first), max(v.end, end)
	}
	for id := range fn.Instructions()[0].LiveIn {
		if id.IsVirtual() {
			return fmt.Errorf("%s: registers are read before they are written: %v", fn.Name, id)
		}
	}
	hints := map[reg.ID]reg.ID{} // where a value comes from or goes to, about a call
	for i, inst := range fn.Instructions() {
		if from, to, ok := move(inst); ok && from.IsPhysical() && to.IsVirtual() {
			hints[to] = from
		} else if ok && from.IsVirtual() && to.IsPhysical() {
			hints[from] = to
		}
		for id := range inst.LiveIn {
			note(id, 2*i, 2*i+1)
		}
		for id := range inst.LiveOut {
			note(id, 2*i+1, 2*i+2)
		}
		for _, r := range inst.OutputRegisters() {
			note(r.ID(), 2*i+1, 2*i+2)
		}
	}
	fn.Allocation = reg.NewEmptyAllocation()
	for kind, intervals := range all {
		var file []reg.ID // the physical registers, in the order in which they are taken
		for _, r := range reg.FamilyOfKind(kind).Registers() {
			vector := kind == reg.KindVector && isa == AVX2 && r.ID() >= reg.X16.ID()
			if r.Info()&(reg.Restricted|reg.BasePointer) == 0 && !vector && !slices.Contains(file, r.ID()) {
				file = append(file, r.ID())
			}
		}
		var order []*interval
		for _, v := range intervals {
			order = append(order, v)
		}
		slices.SortFunc(order, func(a, b *interval) int {
			if a.first != b.first {
				return a.first - b.first
			}
			return int(a.id) - int(b.id)
		})
		until := map[reg.ID]int{} // where a register is free again
		for _, v := range order {
			free := func(r reg.ID) bool {
				taken := func(w *interval) bool { return v.first < w.end && w.first < v.end }
				return until[r] <= v.first && !slices.ContainsFunc(busy[r], taken)
			}
			r, ok := hints[v.id]
			if !ok || !slices.Contains(file, r) || !free(r) {
				p := slices.IndexFunc(file, free)
				if p < 0 {
					return fmt.Errorf("%s: %w: none of kind %d at instruction %d", fn.Name, errRegisters, kind, v.first/2)
				}
				r = file[p]
			}
			fn.Allocation[v.id] = r
			until[r] = v.end
		}
	}
	return nil
}

// move returns the registers of a move from one to another.
func move(i *ir.Instruction) (from, to reg.ID, ok bool) {
	if !slices.Contains([]string{"MOVQ", "VMOVAPS", "VMOVDQA", "VMOVDQA64"}, i.Opcode) || len(i.Operands) != 2 {
		return 0, 0, false
	}
	a, isA := i.Operands[0].(reg.Register)
	b, isB := i.Operands[1].(reg.Register)
	if !isA || !isB || a.Kind() != b.Kind() {
		return 0, 0, false
	}
	return a.ID(), b.ID(), true
}

// pruneMoves drops the moves from a register to itself.
func pruneMoves(fn *ir.Function) error {
	fn.Nodes = slices.DeleteFunc(fn.Nodes, func(n ir.Node) bool {
		i, ok := n.(*ir.Instruction)
		if !ok {
			return false
		}
		from, to, ok := move(i)
		return ok && from == to
	})
	return nil
}
