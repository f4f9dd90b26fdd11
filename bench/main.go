// Bench measures the kernels of Lanewise against the limits of this machine, and against other implementations.
//
//	go run ./bench                       everything: some minutes
//	go run ./bench -quick                less of it, under 45 seconds
//	go run ./bench -run 'Dot/float32'    cases whose kernel/type/n matches
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"time"

	"github.com/lanewise/lanewise"
	"github.com/lanewise/lanewise/bench/internal/probe"
)

func main() {
	quick := flag.Bool("quick", false, "fewer lengths and samples: under 45 seconds")
	run := flag.String("run", "", "only cases whose kernel/type/n matches this regular `expression`")
	asJSON := flag.Bool("json", false, "print JSON, one line for every measurement")
	flag.Parse()
	if err := bench(*quick, *run, *asJSON); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

var (
	fullPlan   = plan{repeats: 15, sample: 100 * time.Microsecond, budget: 3 * time.Second}
	quickPlan  = plan{repeats: 5, sample: 50 * time.Microsecond, budget: 200 * time.Millisecond}
	fullSizes  = []int{16, 64, 256, 1024, 4096, 1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22, 1 << 24}
	quickSizes = []int{64, 1024, 1 << 15, 1 << 20}
)

func bench(quick bool, run string, asJSON bool) error {
	pattern, err := regexp.Compile(run)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	p, sizes := fullPlan, fullSizes
	if quick {
		p, sizes = quickPlan, quickSizes
	}
	runtime.LockOSThread()
	runtime.GOMAXPROCS(1) // one core against one core
	for _, k := range kernels {
		for _, t := range []struct {
			name string
			size int
			make func(n int) instance
		}{{"float32", 4, k.f32}, {"float64", 8, k.f64}} {
			var rows []row
			for _, n := range sizes {
				if k.most != 0 && n > k.most || !pattern.MatchString(fmt.Sprintf("%s/%s/%d", k.name, t.name, n)) {
					continue
				}
				rows = append(rows, measureCase(k.name, t.name, t.size, t.make(n), p)...)
			}
			if !asJSON {
				printTable(os.Stdout, rows)
				continue
			}
			for _, r := range rows {
				if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// measureCase measures Lanewise on every ISA, the peers and the probes in turn.
func measureCase(kernelName, typeName string, size int, in instance, p plan) []row {
	var variants []variant
	isas := lanewise.AvailableISAs()
	for _, isa := range isas {
		sample := timed(in.call)
		variants = append(variants, variant{isa.String(), func(calls int) time.Duration {
			useISA(isa)
			return sample(calls)
		}})
	}
	useISA(isas[0])
	for _, peer := range in.peers {
		variants = append(variants, variant{peer.name, timed(peer.call)})
	}
	named := len(variants) // after them: two probes for every ISA that has one
	type probes struct{ move, compute int }
	at := map[*probe.Probe]probes{}
	if in.limit.bytes > 0 {
		for _, isa := range isas {
			pr := probe.For(isa.String())
			if _, ok := at[pr]; !ok {
				at[pr] = probes{len(variants), len(variants) + 1}
				variants = append(variants, variant{"move", in.limit.move(pr)}, variant{"multiply-add", multiplyAdd(pr)})
			}
		}
	}
	times := measure(variants, p)
	limitOf := func(isa string) (ns []float64, kind string) {
		pr := probe.For(isa)
		i := at[pr]
		kind = in.limit.kind
		move := make([]float64, len(times[i.move]))
		compute := make([]float64, len(move))
		ns = make([]float64, len(move))
		for r := range move {
			move[r] = in.limit.moveNs(times[i.move][r])
			compute[r] = in.limit.computeNs(times[i.compute][r], pr.Lanes, size)
		}
		if median(compute) > median(move) {
			move, kind = compute, "arithmetic"
		}
		copy(ns, move)
		return ns, kind
	}
	rows := make([]row, named)
	for i := range rows {
		r := row{Kernel: kernelName, Type: typeName, N: in.n, Cols: in.cols, Ns: median(times[i]), Spread: spread(times[i]), Samples: times[i]}
		isa := ""
		if i < len(isas) {
			isa = isas[i].String()
			r.ISA = isa
			r.Ratios = map[string]float64{}
			for j, peer := range in.peers {
				r.Ratios[peer.name] = ratio(times[len(isas)+j], times[i])
			}
		} else {
			r.Peer = variants[i].name
		}
		if in.limit.bytes > 0 {
			r.GBs = float64(in.limit.bytes) / r.Ns
			limit, kind := limitOf(isa)
			r.LimitNs, r.Limit, r.OfLimit = median(limit), kind, ratio(limit, times[i])
		}
		rows[i] = r
	}
	return rows
}

func useISA(isa lanewise.ISA) {
	if err := lanewise.UseISA(isa); err != nil {
		panic(err) // it was available
	}
}
