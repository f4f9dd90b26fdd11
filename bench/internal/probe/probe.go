// Package probe measures what the machine can do, at the width of its vectors: reading, copying and multiply-adding with nothing else.
// Compiled Go does not reach these rates, so the loops are assembly where there is some for the CPU.
package probe

import "fmt"

// Block is the granularity of the probes: lengths are multiples of so many bytes.
const Block = 512

// A Probe is the loops of one instruction set. The slices have the same length, a multiple of Block; passes is how many times the loop
// goes over all of it, so that small working sets are not a measurement of the call.
type Probe struct {
	ISA   string
	Lanes int // float32 values of a vector

	read, read2, copy, merge func(dst, a, b *byte, n, passes int)
	multiplyAdd              func(n int)
}

// Read loads all of a.
func (p *Probe) Read(a []byte, passes int) { run(p.read, nil, a, nil, passes) }

// Read2 loads all of a and b side by side.
func (p *Probe) Read2(a, b []byte, passes int) { run(p.read2, nil, a, b, passes) }

// Copy loads a and stores it to dst.
func (p *Probe) Copy(dst, a []byte, passes int) { run(p.copy, dst, a, nil, passes) }

// Merge loads a and b side by side and stores their exclusive or to dst: the traffic of a function of two slices.
func (p *Probe) Merge(dst, a, b []byte, passes int) { run(p.merge, dst, a, b, passes) }

func run(loop func(dst, a, b *byte, n, passes int), dst, a, b []byte, passes int) {
	if len(a) == 0 || len(a)%Block != 0 || dst != nil && len(dst) != len(a) || b != nil && len(b) != len(a) {
		panic(fmt.Sprintf("probe: lengths %d, %d, %d: want one multiple of %d", len(dst), len(a), len(b), Block))
	}
	loop(first(dst), first(a), first(b), len(a), passes)
}

func first(x []byte) *byte {
	if len(x) == 0 {
		return nil
	}
	return &x[0]
}

// Chains is how many multiply-adds are under way at once: the latency of one times the units that do them, and some.
const Chains = 16

// MultiplyAdd does n rounds of 16 independent vector multiply-adds and returns how many float32 values that multiplied and added.
func (p *Probe) MultiplyAdd(n int) int {
	p.multiplyAdd(n)
	return n * Chains * p.Lanes
}

var all = append(detect(), &generic)

// All returns the probes that this CPU can run, best first; the last is plain Go.
func All() []*Probe { return all }

// For returns the probe of the instruction set of this name (those of lanewise.ISA), or the best one there is.
func For(isa string) *Probe {
	for _, p := range all {
		if p.ISA == isa && isa != generic.ISA {
			return p
		}
	}
	return all[0]
}
