package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"golang.org/x/perf/benchfmt"
)

// results is everything that was measured. As JSON it is a line for each record.
type results struct {
	machine machine
	absent  []string // peers that were not found, and how to install them
	kernels []row
	losses  []lossRow // data sets
	wanted  []caseRow // configurations with a bound
	table   []caseRow // all configurations
	exact   []exactRow
}

// A record is one line of -json.
type record struct {
	Machine *machine  `json:"machine,omitempty"`
	Absent  string    `json:"absent,omitempty"`
	Kernel  *row      `json:"kernel,omitempty"`
	Loss    *lossRow  `json:"loss,omitempty"`
	Wanted  *caseRow  `json:"wanted,omitempty"`
	Case    *caseRow  `json:"case,omitempty"`
	Exact   *exactRow `json:"exact,omitempty"`
}

// An output shows results as they come.
type output interface {
	machine(m machine)
	absent(peer string)
	kernel(rows []row) // all lengths of a kernel and type
	loss(rows []lossRow)
	wanted(rows []caseRow) // of all ISAs
	table(rows []caseRow)  // of one activation, method and number of classes
	exact(rows []exactRow)
}

type jsonOutput struct{ w io.Writer }

func (o jsonOutput) write(r record) {
	if err := json.NewEncoder(o.w).Encode(r); err != nil {
		fatal(err)
	}
}

func (o jsonOutput) machine(m machine)  { o.write(record{Machine: &m}) }
func (o jsonOutput) absent(peer string) { o.write(record{Absent: peer}) }

func (o jsonOutput) kernel(rows []row) {
	writeEach(o, rows, func(r *row) record { return record{Kernel: r} })
}
func (o jsonOutput) loss(rows []lossRow) {
	writeEach(o, rows, func(r *lossRow) record { return record{Loss: r} })
}
func (o jsonOutput) wanted(rows []caseRow) {
	writeEach(o, rows, func(r *caseRow) record { return record{Wanted: r} })
}
func (o jsonOutput) table(rows []caseRow) {
	writeEach(o, rows, func(r *caseRow) record { return record{Case: r} })
}
func (o jsonOutput) exact(rows []exactRow) {
	writeEach(o, rows, func(r *exactRow) record { return record{Exact: r} })
}

// writeEach writes a record of each row.
func writeEach[T any](o jsonOutput, rows []T, of func(*T) record) {
	for i := range rows {
		o.write(of(&rows[i]))
	}
}

// readResults reads what jsonOutput wrote.
func readResults(r io.Reader) (results, error) {
	var all results
	for d := json.NewDecoder(r); ; {
		var rec record
		switch err := d.Decode(&rec); {
		case err == io.EOF:
			return all, nil
		case err != nil:
			return all, err
		case rec.Machine != nil:
			all.machine = *rec.Machine
		case rec.Kernel != nil:
			all.kernels = append(all.kernels, *rec.Kernel)
		case rec.Loss != nil:
			all.losses = append(all.losses, *rec.Loss)
		case rec.Wanted != nil:
			all.wanted = append(all.wanted, *rec.Wanted)
		case rec.Case != nil:
			all.table = append(all.table, *rec.Case)
		case rec.Exact != nil:
			all.exact = append(all.exact, *rec.Exact)
		case rec.Absent != "":
			all.absent = append(all.absent, rec.Absent)
		}
	}
}

// benchOutput writes what benchstat reads: every sample is a line.
type benchOutput struct {
	w      *benchfmt.Writer
	config []benchfmt.Config
}

func (o *benchOutput) machine(m machine) {
	for key, value := range map[string]string{"goos": m.OS, "goarch": m.Arch, "pkg": "github.com/lanewise/lanewise/bench", "cpu": m.CPU} {
		o.config = append(o.config, benchfmt.Config{Key: key, Value: []byte(value), File: true})
	}
	slices.SortFunc(o.config, func(a, b benchfmt.Config) int { return strings.Compare(a.Key, b.Key) })
}

func (o *benchOutput) absent(string) {}

func (o *benchOutput) kernel(rows []row) {
	for _, r := range rows {
		name := fmt.Sprintf("%s/type=%s/impl=%s/n=%d", strings.ReplaceAll(r.Kernel, "/", "×"), r.Type, word(r.ISA+r.Peer), r.N)
		for _, ns := range r.Samples {
			o.write(name, ns, benchfmt.Value{Value: float64(r.N) / ns * 1e9, Unit: "elements/s"})
		}
	}
}

func (o *benchOutput) loss(rows []lossRow) {
	for _, r := range rows {
		name := fmt.Sprintf("Lovasz/size=%dx%d/data=%s/impl=%s/layout=%s/workers=%d/", r.Pixels, r.Classes, r.Data, word(r.label()), r.Layout,
			r.Workers)
		for _, ns := range r.ForwardSamples {
			o.write(name+"pass=forward", ns)
		}
		for _, ns := range r.BackwardSamples {
			o.write(name+"pass=backward", ns)
		}
	}
}

func (o *benchOutput) wanted(rows []caseRow) { o.table(rows) }

func (o *benchOutput) table(rows []caseRow) {
	for _, r := range rows {
		for _, ns := range r.Samples {
			o.write(word(r.name())+"/impl="+r.ISA, ns)
		}
	}
}

func (o *benchOutput) exact([]exactRow) {}

func (o *benchOutput) write(name string, ns float64, more ...benchfmt.Value) {
	values := append([]benchfmt.Value{{Value: ns * 1e-9, Unit: "sec/op", OrigValue: ns, OrigUnit: "ns/op"}}, more...)
	err := o.w.Write(&benchfmt.Result{Config: o.config, Name: benchfmt.Name(name), Iters: 1, Values: values})
	if err != nil {
		fatal(err)
	}
}

// word makes a name fit for a benchmark's.
func word(s string) string { return strings.NewReplacer(" ", "-", ",", "").Replace(s) }

// textOutput prints tables.
type textOutput struct{ w io.Writer }

func (o textOutput) machine(m machine) {
	m.print(o.w)
	fmt.Fprint(o.w, `In the tables: ± is half the distance of the quartiles; GB/s counts the bytes that the function has to move; "of limit" is the least time
that the probes of the same instruction set allow, for moving those bytes or for the arithmetic, over the time taken; the columns of peers
say how many times as long they take: below 1 they win.

`)
}

func (o textOutput) absent(peer string) { fmt.Fprintf(o.w, "not measured: %s\n\n", peer) }

// kernel prints a line for each n and ISA.
func (o textOutput) kernel(rows []row) {
	if len(rows) == 0 {
		return
	}
	peers := peersOf(rows)
	fmt.Fprintf(o.w, "%s %s\n", rows[0].Kernel, rows[0].Type)
	tw := tabwriter.NewWriter(o.w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(tw, "n\tISA\tns\t±\tns/element\tGB/s\tof limit\t\t%s\t\n", strings.Join(peers, "\t"))
	last := -1
	for _, r := range rows {
		if r.Peer != "" {
			continue
		}
		n := ""
		if r.N != last {
			n, last = fmt.Sprint(r.N), r.N
		}
		limit := "–"
		if r.LimitNs > 0 {
			limit = percent(r.OfLimit)
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s", n, r.ISA, digits(r.Ns), percent(r.Spread), digits(r.Ns/float64(r.N)), digits(r.GBs),
			limit, r.Limit)
		for _, p := range peers {
			fmt.Fprintf(tw, "\t%s", times(r.Ratios[p]))
		}
		fmt.Fprint(tw, "\t\n")
	}
	tw.Flush()
	fmt.Fprintln(o.w)
}

// peersOf lists the peers of the rows in the order of their appearance.
func peersOf(rows []row) []string {
	var peers []string
	for _, r := range rows {
		if r.Peer != "" && !slices.Contains(peers, r.Peer) {
			peers = append(peers, r.Peer)
		}
	}
	return peers
}

func (o textOutput) loss(rows []lossRow) {
	if len(rows) == 0 {
		return
	}
	r := rows[0]
	fmt.Fprintf(o.w, "Lovász-Softmax, %d pixels × %d classes, %s; ns per logit\n", r.Pixels, r.Classes, r.Data)
	tw := tabwriter.NewWriter(o.w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(tw, "\tlayout\tworkers\tforward\tforward+backward\t±\tvs dense sort\tcopies\tmemory\tbytes/logit\tcounts\tloss "+
		"error\tgradient error\t\n")
	for _, r := range rows {
		perLogit := float64(r.Memory) / float64(r.Pixels*r.Classes)
		fmt.Fprintf(tw, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", r.label(), r.Layout, r.Workers, digits(r.Forward),
			digits(r.Backward), percent(r.Spread),
			times(r.Sorts), digits(r.Copies), byteSize(r.Memory), digits(perLogit), byteSize(r.Counts), scientific(r.LossError),
			scientific(r.GradError))
	}
	tw.Flush()
	fmt.Fprintln(o.w)
}

// wanted prints the rows with a bound, and which are short.
func (o textOutput) wanted(rows []caseRow) {
	if len(rows) == 0 {
		return
	}
	sort := rows[0].Backward / rows[0].Sorts
	fmt.Fprintf(o.w, "Configurations of the loss, ns per logit, nine pixels in ten confident; a dense sort takes %s ns a pair\n", digits(sort))
	tw := tabwriter.NewWriter(o.w, 0, 0, 2, ' ', 0)
	fmt.Fprint(tw, "configuration\tISA\tforward\tforward+backward\t±\tsorts\tPyTorch\tis\twanted\tof\t\n")
	var short []string
	for _, r := range rows {
		is, most, mark := "", "", ""
		if r.Most > 0 {
			is, most = digits(r.Is), "≤ "+digits(r.Most)
		}
		if r.short() {
			mark = "short"
			short = append(short, fmt.Sprintf("%s %s: %s, wanted ≤ %s", strings.TrimPrefix(r.name(), "Lovasz/"), r.ISA, digits(r.Is),
				digits(r.Most)))
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
			strings.TrimPrefix(r.name(), "Lovasz/"), r.ISA, digits(r.Forward), digits(r.Backward),
			percent(r.Spread), digits(r.Sorts), digits(r.PyTorch), is, most, strings.TrimPrefix(r.Of, "Lovasz/"), mark)
	}
	tw.Flush()
	o.summary(short, len(rows))
}

func (o textOutput) summary(short []string, rows int) {
	if len(short) == 0 {
		fmt.Fprintf(o.w, "Nothing is short.\n\n")
		return
	}
	fmt.Fprintf(o.w, "%d of %d rows are short:\n  %s\n\n", len(short), rows, strings.Join(short, "\n  "))
}

// table prints the sizes beside each other.
func (o textOutput) table(rows []caseRow) {
	if len(rows) == 0 {
		return
	}
	g := gridOf(rows)
	fmt.Fprintf(o.w, "%s, forward and backward, ns per logit on %s\n", g.title, rows[0].ISA)
	tw := tabwriter.NewWriter(o.w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(tw, "pixels\t%s\t\n", strings.Join(g.pixels, "\t"))
	for _, line := range g.lines {
		fmt.Fprintf(tw, "%s\t%s\t\n", line.name, strings.Join(line.cells, "\t"))
	}
	tw.Flush()
	fmt.Fprintln(o.w)
}

// A grid is cases of one activation, method and number of classes: a column for each size.
type grid struct {
	title  string
	pixels []string
	lines  []gridLine
}

type gridLine struct {
	name  string
	cells []string
}

func gridOf(rows []caseRow) grid {
	r := rows[0]
	g := grid{title: fmt.Sprintf("%s, %d classes, %s", r.Activation, r.Classes, r.Method)}
	if r.Classes == 1 {
		g.title = fmt.Sprintf("%s, one class, %s", r.Activation, r.Method)
	}
	cells := map[string]map[string]string{}
	put := func(line string, pixels int, x float64) {
		if cells[line] == nil {
			cells[line] = map[string]string{}
			g.lines = append(g.lines, gridLine{name: line})
		}
		cells[line][fmt.Sprint(pixels)] = digits(x)
	}
	for _, r := range rows {
		if p := fmt.Sprint(r.Pixels); !slices.Contains(g.pixels, p) {
			g.pixels = append(g.pixels, p)
		}
		put(strings.TrimSuffix(r.Layout+", "+r.Extras, ", none"), r.Pixels, r.Backward)
	}
	for _, r := range rows {
		if r.PyTorch > 0 {
			put("PyTorch", r.Pixels, r.PyTorch)
		}
	}
	for i := range g.lines {
		for _, p := range g.pixels {
			cell := cells[g.lines[i].name][p]
			if cell == "" {
				cell = "–"
			}
			g.lines[i].cells = append(g.lines[i].cells, cell)
		}
	}
	return g
}

// exact prints how far the loss is from float64's.
func (o textOutput) exact(rows []exactRow) {
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(o.w, "How far from float64: loss, norm of the gradient and cross-entropy of %d pixels × %d classes; wanted ≤ %s, %s, %s\n",
		exactPixels, exactClasses,
		scientific(mostOff.Loss), scientific(mostOff.Gradient), scientific(mostOff.Entropy))
	tw := tabwriter.NewWriter(o.w, 0, 0, 2, ' ', 0)
	fmt.Fprint(tw, "\tloss\toff by\tgradient\tcross-entropy\tPyTorch, float32\t\t\t\n")
	var short []string
	for _, r := range rows {
		name := strings.TrimPrefix(r.name(), "Lovasz/")
		mark, torch := "", "–\t–\t–"
		if r.short() {
			mark = "short"
			short = append(short, name)
		}
		if p := r.PyTorch; p != nil {
			torch = scientific(p.Loss) + "\t" + scientific(p.Gradient) + "\t" + scientific(p.Entropy)
		}
		fmt.Fprintf(tw, "%s\t%.2g\t%s\t%s\t%s\t%s\t%s\n",
			name, r.Loss, scientific(r.Ours.Loss), scientific(r.Ours.Gradient), scientific(r.Ours.Entropy), torch, mark)
	}
	tw.Flush()
	o.summary(short, len(rows))
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
	return fmt.Sprintf("%.0f %%", 100*x)
}

func times(x float64) string {
	if x == 0 || math.IsNaN(x) {
		return "–"
	}
	return digits(x) + " ×"
}

func scientific(x float64) string {
	if x == 0 {
		return "–"
	}
	return fmt.Sprintf("%.0e", x)
}
