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
	if first := fn.Instructions()[0]; len(first.LiveIn) > 1 {
		return fmt.Errorf("%s: registers are read before they are written: %v", fn.Name, first.LiveIn)
	}
	for i, inst := range fn.Instructions() {
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
			p := slices.IndexFunc(file, func(r reg.ID) bool {
				return until[r] <= v.first && !slices.ContainsFunc(busy[r], func(w *interval) bool { return v.first < w.end && w.first < v.end })
			})
			if p < 0 {
				return fmt.Errorf("%s: %w: none of kind %d at instruction %d", fn.Name, errRegisters, kind, v.first/2)
			}
			fn.Allocation[v.id] = file[p]
			until[file[p]] = v.end
		}
	}
	return nil
}
