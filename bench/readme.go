package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	beginMarker = "<!-- bench:begin -->"
	endMarker   = "<!-- bench:end -->"
)

// updateReadme writes a part of the results between the markers of a Markdown file: what write makes of them, and of the way to the plots.
func updateReadme(readme, plots string, all results, write func(w io.Writer, plots string, all results)) error {
	old, err := os.ReadFile(readme)
	if err != nil {
		return err
	}
	link := ""
	if plots != "" {
		if link, err = filepath.Rel(filepath.Dir(readme), plots); err != nil {
			return err
		}
		link = filepath.ToSlash(link)
	}
	var section bytes.Buffer
	write(&section, link, all)
	text, err := between(string(old), section.String())
	if err != nil {
		return fmt.Errorf("%s: %w", readme, err)
	}
	return os.WriteFile(readme, []byte(text), 0o644)
}

// between replaces what is between the markers.
func between(text, section string) (string, error) {
	begin := strings.Index(text, beginMarker)
	end := strings.Index(text, endMarker)
	if begin < 0 || end < begin {
		return "", fmt.Errorf("no %s with %s after it", beginMarker, endMarker)
	}
	return text[:begin+len(beginMarker)] + "\n" + section + text[end:], nil
}

// readmeSizes are the lengths that the tables show: one in L1, one beyond L2. The plots have all.
var readmeSizes = []int{1024, 1 << 20}

// summaryKernels are those of the README's table.
var summaryKernels = []string{"Dot", "DotRows/768", "CumSum", "Softmax", "SoftmaxRows/19", "SoftmaxPlanes/19", "LogSumExp",
	"SoftmaxRowsGrad/19", "ArgMaxRows/19", "SortDescending"}

// writeSummary is what the README has: the chart of the loss, and a line for each of a few kernels.
func writeSummary(w io.Writer, plots string, all results) {
	m := all.machine
	fmt.Fprintf(w, "Measured on an %s (%s/%s, %s) on %s with one core; `bench/update.sh` renews this.\nThe columns are instruction sets of "+
		"this one CPU; the library picks the best one, unless `LANEWISE_ISA` names another.\n", m.CPU, m.OS, m.Arch, m.Go, m.Date)
	if len(all.wanted) > 0 && plots != "" {
		first := all.wanted[0]
		fmt.Fprintf(w, "\n![The loss with its gradient: ns per logit](%s/%s)\n\n", plots, lossPlot)
		fmt.Fprintf(w, "The loss with its gradient in ns per logit, pixels × classes of which nine pixels in ten are confident, on %s with "+
			"one worker. Shorter is\nfaster; the scale is logarithmic. A dense radix sort takes %s ns for each (key, index) pair, and a loss "+
			"that sorts needs one for every logit.\n", first.ISA, digits(first.Backward/first.Sorts))
	}
	fmt.Fprintf(w, "\nKernels over float32, in ns per element at 1,024 elements, which are in the L1 cache, and at 2²⁰, which are not:\n\n")
	fmt.Fprintf(w, "| kernel | %s | the fastest other |\n|%s\n", strings.Join(m.ISAs, " | "), strings.Repeat(" --- |", len(m.ISAs)+2))
	for _, kernel := range summaryKernels {
		cells := make([][]string, len(m.ISAs)+1)
		for _, n := range readmeSizes {
			fastest := map[string]row{}
			best := row{}
			for _, r := range all.kernels {
				if r.Kernel != kernel || r.Type != "float32" || nominal(r) != n {
					continue
				}
				if r.ISA != "" {
					fastest[r.ISA] = r
				} else if !strings.Contains(r.Peer, "keys alone") && (best.Peer == "" || r.Ns < best.Ns) {
					best = r
				}
			}
			if len(fastest) == 0 {
				continue
			}
			for i, isa := range m.ISAs {
				cells[i] = append(cells[i], digits(fastest[isa].Ns/float64(fastest[isa].N)))
			}
			if best.Peer != "" {
				cells[len(m.ISAs)] = append(cells[len(m.ISAs)], digits(best.Ns/float64(best.N))+" "+best.Peer)
			}
		}
		if cells[0] == nil {
			continue
		}
		fmt.Fprintf(w, "| %s |", kernelTitle(kernel))
		for _, c := range cells {
			fmt.Fprintf(w, " %s |", strings.Join(c, " / "))
		}
		fmt.Fprintln(w)
	}
}

// kernelTitle is the name of a case in a table.
func kernelTitle(kernel string) string {
	base, cols, ok := strings.Cut(kernel, "/")
	switch {
	case !ok:
		return "`" + base + "`"
	case strings.HasSuffix(base, "Planes"):
		return "`" + base + "`, " + cols + " planes"
	}
	return "`" + base + "`, " + cols + " columns"
}

// writeSection is all results.
func writeSection(w io.Writer, plots string, all results) {
	m := all.machine
	fmt.Fprintf(w, "Measured on an %s (%s/%s, %s) on %s, one core, by `go run ./bench`; `bench/update.sh` renews this section.\n\n", m.CPU,
		m.OS, m.Arch, m.Go, m.Date)
	if m.Clock != "wall" {
		fmt.Fprintf(w, "The machine was busy with other work too: the times are the processor's.\n")
	}
	fmt.Fprintf(w, "ns per float32 element, and in brackets the share of this machine's limit, measured beside it: moving the bytes that "+
		"must be moved, or\n")
	fmt.Fprintf(w, "doing the arithmetic that must be done. The last column says how many times as long as %s others take, **bold** where "+
		"they are faster.\n\n", m.ISAs[0])
	fmt.Fprintf(w, "| kernel | n | %s | others |\n|%s\n", strings.Join(m.ISAs, " | "), strings.Repeat(" --- |", len(m.ISAs)+3))
	for rows := range groups(all.kernels, func(r row) string { return r.Kernel + r.Type }) {
		if rows[0].Type != "float32" {
			continue
		}
		name := kernelTitle(rows[0].Kernel)
		if plots != "" {
			name = fmt.Sprintf("[%s](%s/%s)", name, plots, plotName(rows[0]))
		}
		for rows := range groups(rows, func(r row) string { return fmt.Sprint(r.N) }) {
			if !slices.Contains(readmeSizes, nominal(rows[0])) {
				continue
			}
			fmt.Fprintf(w, "| %s | %d |", name, rows[0].N)
			name = ""
			var best row
			for _, r := range rows {
				if r.ISA == "" {
					continue
				}
				if best.ISA == "" {
					best = r
				}
				fmt.Fprintf(w, " %s", digits(r.Ns/float64(r.N)))
				if r.LimitNs > 0 {
					fmt.Fprintf(w, " (%s)", percent(r.OfLimit))
				}
				fmt.Fprint(w, " |")
			}
			var others []string
			for _, peer := range peersOf(rows) {
				text := peer + " " + times(best.Ratios[peer])
				if best.Ratios[peer] < 1 {
					text = "**" + text + "**"
				}
				others = append(others, text)
			}
			fmt.Fprintf(w, " %s |\n", strings.Join(others, ", "))
		}
	}

	if len(all.losses) > 0 {
		writeLosses(w, all.losses)
	}
	if len(all.wanted) > 0 {
		writeWanted(w, all.wanted)
	}
	if len(all.exact) > 0 {
		writeExact(w, all.exact)
	}
	if len(all.table) > 0 {
		fmt.Fprintf(w, "\nEvery configuration with its gradient on %s, in ns per logit; the columns are numbers of pixels.\n", all.table[0].ISA)
	}
	for rows := range groups(all.table, caseRow.group) {
		g := gridOf(rows)
		fmt.Fprintf(w, "\n| %s | %s |\n|%s\n", g.title, strings.Join(g.pixels, " | "), strings.Repeat(" --- |", 1+len(g.pixels)))
		for _, line := range g.lines {
			fmt.Fprintf(w, "| %s | %s |\n", line.name, strings.Join(line.cells, " | "))
		}
	}
	if len(all.absent) > 0 {
		fmt.Fprintf(w, "\nNot measured here: %s.\n", strings.Join(all.absent, "; "))
	}
}

// writeWanted has a line for each configuration with a bound, and its ISAs beside each other.
func writeWanted(w io.Writer, rows []caseRow) {
	var isas []string
	var cases []lossCase
	cells := map[lossCase]map[string]caseRow{}
	for _, r := range rows {
		if !slices.Contains(isas, r.ISA) {
			isas = append(isas, r.ISA)
		}
		if cells[r.lossCase] == nil {
			cases = append(cases, r.lossCase)
			cells[r.lossCase] = map[string]caseRow{}
		}
		cells[r.lossCase][r.ISA] = r
	}
	fmt.Fprintf(w, "\nConfigurations of the loss with its gradient, nine pixels in ten confident, in ns per logit, and in brackets how "+
		"many times as long as what\nthe last column names, per logit or pair. Bounds that are not kept are **bold**. A dense radix sort of "+
		"2²⁰ (key, index) pairs takes %s ns a pair.\n\n",
		digits(rows[0].Backward/rows[0].Sorts))
	fmt.Fprintf(w, "| pixels × classes | %s | PyTorch | wanted |\n|%s\n", strings.Join(isas, " | "), strings.Repeat(" --- |", len(isas)+3))
	for _, c := range cases {
		var any caseRow
		fmt.Fprintf(w, "| %s |", c.title())
		for _, isa := range isas {
			r, ok := cells[c][isa]
			if !ok {
				fmt.Fprint(w, " – |")
				continue
			}
			any = r
			text := digits(r.Backward)
			if r.Most > 0 {
				text += " (" + digits(r.Is) + ")"
			}
			if r.short() {
				text = "**" + text + "**"
			}
			fmt.Fprintf(w, " %s |", text)
		}
		wanted := "–"
		if any.Most > 0 {
			of := denseSort
			for _, c := range cases {
				if c.name() == any.Of {
					of = c.title()
				}
			}
			wanted = fmt.Sprintf("≤ %s × %s", digits(any.Most), of)
		}
		fmt.Fprintf(w, " %s | %s |\n", digits(any.PyTorch), wanted)
	}
}

// writeExact has a line for each data set.
func writeExact(w io.Writer, rows []exactRow) {
	fmt.Fprintf(w, "\nHow far loss, gradient (the norm of the difference) and cross-entropy are from float64's, and PyTorch's float32: %d "+
		"pixels of %d classes,\nthe own logit raised by so much, some of the pixels surely wrong, the worse of both layouts. Wanted are %s, "+
		"%s and %s.\n\n", exactPixels, exactClasses,
		scientific(mostOff.Loss), scientific(mostOff.Gradient), scientific(mostOff.Entropy))
	fmt.Fprintf(w, "| | wrong | raised by | the loss | off by | gradient | cross-entropy | PyTorch: off by | gradient | cross-entropy |\n|%s\n", strings.Repeat(" --- |", 10))
	for _, r := range rows {
		fmt.Fprintf(w, "| %s | %g %% | %g | %.2g | %s | %s | %s |", r.Activation, 100*r.Wrong, r.Raised, r.Loss, scientific(r.Ours.Loss),
			scientific(r.Ours.Gradient), scientific(r.Ours.Entropy))
		if p := r.PyTorch; p != nil {
			fmt.Fprintf(w, " %s | %s | %s |\n", scientific(p.Loss), scientific(p.Gradient), scientific(p.Entropy))
		} else {
			fmt.Fprint(w, " – | – | – |\n")
		}
	}
}

// writeLosses has a line for each form of the loss, and a column for each usual data set, of the first size.
func writeLosses(w io.Writer, rows []lossRow) {
	first := rows[0]
	type form struct {
		label, layout string
		workers       int
	}
	var forms []form
	cells := map[form]map[string]lossRow{}
	var data []string
	for _, r := range rows {
		if r.Pixels != first.Pixels || r.Classes != first.Classes || !slices.Contains(lossData, r.Data) {
			continue
		}
		f := form{r.label(), r.Layout, r.Workers}
		if cells[f] == nil {
			forms = append(forms, f)
			cells[f] = map[string]lossRow{}
		}
		cells[f][r.Data] = r
		if !slices.Contains(data, r.Data) {
			data = append(data, r.Data)
		}
	}
	fmt.Fprintf(w, "\nThe loss of %d pixels × %d classes, in ns per logit: forward / forward and backward (how many times as fast as a "+
		"dense radix sort in Go).\n", first.Pixels, first.Classes)
	fmt.Fprintf(w, "Memory, bytes and errors are the worst of the data sets; the errors are against float64, of the loss relative, of the "+
		"gradient the norm of the difference.\n\n")
	fmt.Fprintf(w, "| | layout | workers | %s | memory, B/logit | `LovaszCounts` in bytes | loss error | gradient error |\n|%s\n",
		strings.Join(data, " | "), strings.Repeat(" --- |", 7+len(data)))
	for _, f := range forms {
		fmt.Fprintf(w, "| %s | %s | %d |", f.label, f.layout, f.workers)
		var memory, lossError, gradError float64
		var counts int
		for _, d := range data {
			r, ok := cells[f][d]
			if !ok {
				fmt.Fprint(w, " – |")
				continue
			}
			fmt.Fprintf(w, " %s / %s (%s) |", digits(r.Forward), digits(r.Backward), times(r.Sorts))
			memory = max(memory, float64(r.Memory)/float64(r.Pixels*r.Classes))
			counts = max(counts, r.Counts)
			lossError, gradError = max(lossError, r.LossError), max(gradError, r.GradError)
		}
		fmt.Fprintf(w, " %s | %s | %s | %s |\n", digits(memory), byteSize(counts), scientific(lossError), scientific(gradError))
	}
}

// nominal is the length that was asked for, where it was rounded to rows.
func nominal(r row) int {
	for _, n := range full.sizes {
		if r.N <= n && n-r.N < max(r.Cols, 1) {
			return n
		}
	}
	return r.N
}
