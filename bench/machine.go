package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"text/tabwriter"
	"time"

	"github.com/klauspost/cpuid/v2"
	"github.com/lanewise/lanewise"
	"github.com/lanewise/lanewise/bench/internal/probe"
)

// A machine is what the numbers were measured on.
type machine struct {
	CPU    string   `json:"cpu"`
	OS     string   `json:"os"`
	Arch   string   `json:"arch"`
	Go     string   `json:"go"`
	Date   string   `json:"date"`
	Clock  string   `json:"clock"` // wall, or process: processor time
	ISAs   []string `json:"isas"`
	L1     int      `json:"l1"` // bytes; ≤ 0: unknown
	L2     int      `json:"l2"`
	L3     int      `json:"l3"`
	Limits []rate   `json:"limits"`
}

// A rate is what a probe reached.
type rate struct {
	ISA         string      `json:"isa"`
	MultiplyAdd float64     `json:"multiply_add"` // 10⁹ float32 multiply-adds a second
	Bandwidths  []bandwidth `json:"bandwidths"`
}

// A bandwidth is of one working set, in 10⁹ bytes a second.
type bandwidth struct {
	Bytes int     `json:"bytes"` // read and written by one pass
	Read  float64 `json:"read"`
	Read2 float64 `json:"read2"`
	Copy  float64 `json:"copy"`  // bytes read and bytes written
	Merge float64 `json:"merge"` // likewise
}

// thisMachine describes it, and measures its limits.
func thisMachine(p plan, largest int) machine {
	cpu := cpuid.CPU
	m := machine{
		CPU: cpu.BrandName, OS: runtime.GOOS, Arch: runtime.GOARCH, Go: runtime.Version(), Date: time.Now().Format(time.DateOnly),
		Clock: "wall", L1: cpu.Cache.L1D, L2: cpu.Cache.L2, L3: cpu.Cache.L3,
	}
	if os.Getenv(clockVariable) != "" {
		m.Clock = "process"
	}
	for _, isa := range lanewise.AvailableISAs() {
		m.ISAs = append(m.ISAs, isa.String())
	}
	for _, pr := range probe.All() {
		if pr.Lanes == 1 && len(probe.All()) > 1 {
			continue // plain Go is not a limit where there is better
		}
		m.Limits = append(m.Limits, measureRate(pr, p, largest))
	}
	return m
}

func measureRate(pr *probe.Probe, p plan, largest int) rate {
	r := rate{ISA: pr.ISA}
	ns := median(measure([]variant{{"", multiplyAdd(pr)}}, p)[0])
	r.MultiplyAdd = float64(multiplyAddRounds*probe.Chains*pr.Lanes) / ns
	for size := 24 << 10; size <= largest; size *= 16 {
		n := size / 3 / probe.Block * probe.Block
		x, y, z := normal[float32](n*3/2/4), normal[float32](n*3/2/4), normal[float32](n*3/2/4)
		fit := func(parts int) int { return size / parts / probe.Block * probe.Block }
		all := bytesOf(normal[float32](size / 4))[:fit(1)]
		a, b, c := bytesOf(x), bytesOf(y), bytesOf(z)
		limits := []limit{
			{a: all},
			{a: a[:fit(2)], b: b[:fit(2)]},
			{dst: a[:fit(2)], a: b[:fit(2)]},
			{dst: a[:fit(3)], a: b[:fit(3)], b: c[:fit(3)]},
		}
		var variants []variant
		for _, l := range limits {
			variants = append(variants, variant{"", l.move(pr)})
		}
		var gbs [4]float64
		for i, times := range measure(variants, p) {
			l := limits[i]
			gbs[i] = float64(len(l.dst)+len(l.a)+len(l.b)) / median(times)
		}
		r.Bandwidths = append(r.Bandwidths, bandwidth{size, gbs[0], gbs[1], gbs[2], gbs[3]})
	}
	return r
}

func (m machine) print(w io.Writer) {
	fmt.Fprintf(w, "%s, %s/%s, %s, %s, by the %s's clock\n", m.CPU, m.OS, m.Arch, m.Go, m.Date, m.Clock)
	fmt.Fprintf(w, "Lanewise has here: %v\n\n", m.ISAs)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(tw, "limits\tworking set\tfits\tread GB/s\tread two\tcopy\tread two, write one\t10⁹ multiply-adds/s\t\n")
	for _, r := range m.Limits {
		for i, b := range r.Bandwidths {
			isa, rate := "", ""
			if i == 0 {
				isa, rate = r.ISA, digits(r.MultiplyAdd)
			}
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", isa, byteSize(b.Bytes), m.fits(b.Bytes), digits(b.Read), digits(b.Read2),
				digits(b.Copy), digits(b.Merge), rate)
		}
	}
	tw.Flush()
	fmt.Fprintln(w)
}

// fits names the cache that holds so many bytes.
func (m machine) fits(bytes int) string {
	switch {
	case bytes <= m.L1:
		return "L1"
	case bytes <= m.L2:
		return "L2"
	case bytes <= m.L3:
		return "L3"
	case m.L1 > 0:
		return "memory"
	}
	return ""
}

func byteSize(n int) string {
	switch {
	case n == 0:
		return "–"
	case n >= 1<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d B", n)
}
