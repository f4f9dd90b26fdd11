package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
)

// A row is one variant of one case, as the table shows it and -json writes it.
type row struct {
	Kernel  string             `json:"kernel"`
	Type    string             `json:"type"`
	N       int                `json:"n"`
	Cols    int                `json:"cols,omitempty"` // of a row, or planes
	ISA     string             `json:"isa,omitempty"`  // of Lanewise
	Peer    string             `json:"peer,omitempty"` // or the other implementation
	Ns      float64            `json:"ns"`             // of one call: the median
	Spread  float64            `json:"spread"`         // half the distance of the quartiles, relative to Ns
	GBs     float64            `json:"gbs,omitempty"`  // 10⁹ bytes that have to be moved, a second
	LimitNs float64            `json:"limit_ns,omitempty"`
	Limit   string             `json:"limit,omitempty"`    // what the limit is: the traffic, or arithmetic
	OfLimit float64            `json:"of_limit,omitempty"` // limit / time: 1 is the most there is
	Ratios  map[string]float64 `json:"ratios,omitempty"`   // each peer's time / this one's: above 1, Lanewise is faster
	Samples []float64          `json:"samples"`            // ns
}

// printTable prints the rows of one kernel and type: a line for each n and ISA.
func printTable(w io.Writer, rows []row) {
	if len(rows) == 0 {
		return
	}
	var peers []string // in the order of appearance
	for _, r := range rows {
		if r.Peer != "" && !contains(peers, r.Peer) {
			peers = append(peers, r.Peer)
		}
	}
	fmt.Fprintf(w, "%s %s", rows[0].Kernel, rows[0].Type)
	if len(peers) > 0 {
		fmt.Fprintf(w, "   (×: the time of the peer, in ours; below 1 we lose)")
	}
	fmt.Fprintln(w)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(tw, "n\tISA\tns\t±\tns/element\tGB/s\tof limit\t%s\t\n", strings.Join(peers, "\t"))
	last := -1
	for _, r := range rows {
		if r.Peer != "" {
			continue
		}
		n := ""
		if r.N != last {
			n, last = fmt.Sprint(r.N), r.N
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s", n, r.ISA, digits(r.Ns), percent(r.Spread), digits(r.Ns/float64(r.N)), digits(r.GBs), limitText(r))
		for _, p := range peers {
			fmt.Fprintf(tw, "\t%s", times(r.Ratios[p]))
		}
		fmt.Fprint(tw, "\t\n")
	}
	tw.Flush()
	fmt.Fprintln(w)
}

func limitText(r row) string {
	if r.LimitNs == 0 {
		return "–"
	}
	return percent(r.OfLimit) + " " + r.Limit
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

// digits prints three digits, as a table wants them.
func digits(x float64) string {
	switch {
	case math.IsNaN(x) || x == 0:
		return "–"
	case x >= 99.95:
		return fmt.Sprintf("%.0f", x)
	case x >= 9.995:
		return fmt.Sprintf("%.1f", x)
	case x >= 0.9995:
		return fmt.Sprintf("%.2f", x)
	}
	return fmt.Sprintf("%.3f", x)
}

func percent(x float64) string {
	if math.IsNaN(x) {
		return "–"
	}
	return fmt.Sprintf("%.0f%%", 100*x)
}

func times(x float64) string {
	if x == 0 || math.IsNaN(x) {
		return "–"
	}
	return digits(x) + "×"
}
