package main

import (
	"fmt"
	"os"
	"time"

	"github.com/lanewise/lanewise"
	"github.com/lanewise/lanewise/bench/internal/probe"
)

// A row is one variant of one case, as the table shows it and -json writes it.
type row struct {
	Kernel  string             `json:"kernel"`
	Type    string             `json:"type"`
	N       int                `json:"n"`
	Cols    int                `json:"cols,omitempty"`     // of a row, or planes
	ISA     string             `json:"isa,omitempty"`      // of Lanewise
	Peer    string             `json:"peer,omitempty"`     // or the other implementation
	Ns      float64            `json:"ns"`                 // of one call: the median
	Spread  float64            `json:"spread"`             // half the distance of the quartiles, relative to Ns
	GBs     float64            `json:"gbs,omitempty"`      // 10⁹ bytes that have to be moved, a second
	LimitNs float64            `json:"limit_ns,omitempty"` // the least time there is, by the probes of this ISA, or of the best one
	Limit   string             `json:"limit,omitempty"`    // what the limit is: the traffic, or arithmetic
	OfLimit float64            `json:"of_limit,omitempty"` // limit / time: 1 is the most there is
	Ratios  map[string]float64 `json:"ratios,omitempty"`   // each peer's time / this one's: above 1, Lanewise is faster
	Samples []float64          `json:"samples"`            // ns
}

// name is what -run is matched against, and what benchstat sees.
func (r row) name() string { return caseName(r.Kernel, r.Type, r.N) }

func caseName(kernel, typ string, n int) string { return fmt.Sprintf("%s/%s/%d", kernel, typ, n) }

// A typed is a kernel for one element type.
type typed struct {
	kernel kernel
	name   string // of the type
	bytes  int    // of an element
	make   func(n int) instance
}

// types are those that a kernel has: what is narrower than float32 stands with it.
func (k kernel) types() []typed {
	t := []typed{{k, "float32", 4, k.f32}, {k, "float64", 8, k.f64}}
	if k.f64 == nil {
		t = t[:1]
	}
	return t
}

// measureCase measures Lanewise on every ISA, the peers and the probes in turn.
func measureCase(t typed, in instance, others *externals, p plan) []row {
	var variants []variant
	isas := lanewise.AvailableISAs()
	for _, isa := range isas {
		sample := timed(in.call)
		variants = append(variants, variant{isa.String(), func(calls int) time.Duration {
			useISA(isa)
			return sample(calls)
		}})
	}
	for _, peer := range in.peers { // one that is ours has the best ISA
		sample := timed(peer.call)
		variants = append(variants, variant{peer.name, func(calls int) time.Duration {
			useISA(isas[0])
			return sample(calls)
		}})
	}
	variants = append(variants, others.variants(t.kernel.name, t.name, in.n, in.cols)...)
	ours, named := len(isas), len(variants)

	// after them two probes for every ISA that has some
	probes := map[*probe.Probe]int{}
	if in.limit.bytes > 0 {
		for _, isa := range isas {
			if pr := probe.For(isa.String()); probes[pr] == 0 {
				probes[pr] = len(variants)
				variants = append(variants, variant{"move", in.limit.move(pr)}, variant{"multiply-add", multiplyAdd(pr)})
			}
		}
	}

	times := measure(variants, p)
	useISA(isas[0])
	rows := make([]row, named)
	for i := range rows {
		r := row{Kernel: t.kernel.name, Type: t.name, N: in.n, Cols: in.cols, Ns: median(times[i]), Spread: spread(times[i]), Samples: times[i]}
		if i < ours {
			r.ISA = variants[i].name
			r.Ratios = map[string]float64{}
			for j := ours; j < named; j++ {
				r.Ratios[variants[j].name] = ratio(times[j], times[i])
			}
		} else {
			r.Peer = variants[i].name
		}
		if in.limit.bytes > 0 {
			pr := probe.For(r.ISA)
			at := probes[pr]
			limit, kind := in.limit.ns(times[at], times[at+1], pr.Lanes, t.bytes)
			r.GBs = float64(in.limit.bytes) / r.Ns
			r.LimitNs, r.Limit, r.OfLimit = median(limit), kind, ratio(limit, times[i])
		}
		rows[i] = r
	}
	return rows
}

// assemblyISAs are those of LANEWISE_ISA, or all but plain Go, which is the compiler's work.
func assemblyISAs() []lanewise.ISA {
	isas := lanewise.AvailableISAs()
	if os.Getenv("LANEWISE_ISA") != "" || len(isas) == 1 {
		return []lanewise.ISA{lanewise.ActiveISA()}
	}
	return isas[:len(isas)-1]
}

func useISA(isa lanewise.ISA) {
	if err := lanewise.UseISA(isa); err != nil {
		panic(err) // it was available
	}
}
