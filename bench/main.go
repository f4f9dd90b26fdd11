// Bench measures Lanewise on this machine: its kernels against the limits of the machine and against other implementations, and the loss
// against sorting.
//
//	go run ./bench                       everything: takes a while
//	go run ./bench -quick                fewer lengths and samples: under 45 seconds
//	go run ./bench -run 'Dot/float32'    only the cases that match; kernels are kernel/type/n
//	go run ./bench -run '^Lovasz/'       the loss: configurations with a bound, exactness, data sets
//	go run ./bench -run '^LovaszAll/'    every pair of options of the loss; with -whole every configuration
//	go run ./bench -cputime              on a machine that is busy with other work too
//	go run ./bench -old ../before        against an older version of the library, in a clone or a worktree of its own
//	go run ./bench -benchfmt             for benchstat; -json for everything else
//
// README.md says what is measured, and how.
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/perf/benchfmt"
	"golang.org/x/term"
)

// A scope is how much is measured.
type scope struct {
	kernels   plan
	losses    plan
	sizes     []int // elements
	lossSizes []lossSize
	hardData  []string // of the first loss size
	wanted    plan     // of the configurations of the loss that have a bound
	table     plan     // of every one
	pixels    []int    // and its sizes
	classes   []int
	logits    int       // the most that a configuration has
	raised    []float64 // how nearly right a network is whose loss is held against float64
	whole     bool      // all configurations that match, rather than as many as have every pair of options
	largest   int       // bytes of the largest working set probed
}

var (
	full = scope{
		kernels:   plan{repeats: 15, sample: 100 * time.Microsecond, budget: 2 * time.Second},
		losses:    plan{repeats: 9, sample: 100 * time.Microsecond, budget: 10 * time.Second},
		sizes:     []int{16, 64, 256, 1024, 4096, 1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22, 1 << 24},
		lossSizes: []lossSize{{524288, 19}},
		hardData:  hardData,
		wanted:    plan{repeats: 15, sample: 2 * time.Millisecond, budget: 30 * time.Second},
		table:     plan{repeats: 5, sample: 100 * time.Microsecond, budget: time.Second},
		pixels:    []int{64, 256, 4096, 65536, 262144, 1 << 20, 1 << 22},
		classes:   []int{1, 2, 6, 19, 150, 1000},
		logits:    mostLogits,
		raised:    raised,
		largest:   512 << 20,
	}
	quick = scope{
		kernels:   plan{repeats: 5, sample: 50 * time.Microsecond, budget: 50 * time.Millisecond},
		losses:    plan{repeats: 3, sample: 50 * time.Microsecond, budget: 500 * time.Millisecond},
		sizes:     []int{64, 1024, 1 << 15, 1 << 20},
		wanted:    plan{repeats: 5, sample: time.Millisecond, budget: time.Second},
		lossSizes: []lossSize{{32768, 19}},
		logits:    mostLogits,
		raised:    raised,
		largest:   32 << 20,
	}
)

// mostLogits are 2²⁸ bytes.
const mostLogits = 1 << 26

var raised = []float64{0, 3, 6, 9, 12, 14, 17, 20}

func main() {
	isQuick := flag.Bool("quick", false, "fewer lengths and samples: under 45 seconds")
	whole := flag.Bool("whole", false, "every configuration of LovaszAll/… that matches, instead of as many as have every pair of options")
	run := flag.String("run", "", "only cases whose name matches this regular `expression`: kernel/type/n, Lovasz/…, LovaszAll/…; "+
		"README.md lists them")
	sizes := flag.String("sizes", "", "these lengths, a comma-separated `list`, instead of 16 to 2²⁴")
	asJSON := flag.Bool("json", false, "print JSON, a line for every measurement")
	asBench := flag.Bool("benchfmt", false, "print what benchstat reads")
	goOnly := flag.Bool("go", false, "leave out the peers in processes of their own (they are looked for on this machine)")
	cpuTime := flag.Bool("cputime", false, "count processor time instead of the wall's, on a machine that is busy with other work too; "+
		"with workers it is the time of all")
	old := flag.String("old", "", "compare with the version of the library in this `folder`, a clone or a worktree of it, and with nothing "+
		"else")
	from := flag.String("from", "", "measure nothing: show the results in this `file`, which -json wrote")
	readme := flag.String("readme", "", "write a summary between the bench markers of this Markdown `file`")
	tables := flag.String("tables", "", "write all results between the bench markers of this Markdown `file`")
	plots := flag.String("plots", "", "write plots to this `folder`")
	flag.Parse()
	pattern, err := regexp.Compile(*run)
	if err != nil {
		fatal(fmt.Errorf("-run: %w", err))
	}
	if *cpuTime {
		if processClock == nil {
			fatal(fmt.Errorf("-cputime: not on %s", runtime.GOOS))
		}
		clock = processClock
		os.Setenv(clockVariable, "process") // for the peers in processes of their own
	}
	var out output = textOutput{os.Stdout}
	switch {
	case *asJSON:
		out = jsonOutput{os.Stdout}
	case *asBench:
		out = &benchOutput{w: benchfmt.NewWriter(os.Stdout)}
	}

	s := full
	if *isQuick {
		s = quick
	}
	s.whole = *whole
	if *sizes != "" {
		if s.sizes, err = parseSizes(*sizes); err != nil {
			fatal(fmt.Errorf("-sizes: %w", err))
		}
	}
	if *old != "" {
		if _, err := compareVersions(os.Stdout, *old, s, pattern); err != nil {
			fatal(err)
		}
		return
	}
	var all results
	if *from != "" {
		all, err = load(*from, out)
	} else {
		all, err = measureAll(s, pattern, !*goOnly, out)
	}
	if err == nil && *plots != "" {
		err = writePlots(*plots, all)
	}
	if err == nil && *readme != "" {
		err = updateReadme(*readme, *plots, all, writeSummary)
	}
	if err == nil && *tables != "" {
		err = updateReadme(*tables, *plots, all, writeSection)
	}
	if err != nil {
		fatal(err)
	}
}

func parseSizes(list string) ([]int, error) {
	var sizes []int
	for _, field := range strings.Split(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(field))
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is no length", field)
		}
		sizes = append(sizes, n)
	}
	return sizes, nil
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(1)
}

// measureAll measures what matches, one core against one core but where workers say otherwise.
func measureAll(s scope, pattern *regexp.Regexp, withExternals bool, out output) (results, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var all results
	type dataCase struct {
		size lossSize
		data string
	}
	var lossCases []dataCase
	for i, size := range s.lossSizes {
		data := lossData
		if i == 0 {
			data = slices.Concat(data, s.hardData)
		}
		for _, data := range data {
			if pattern.MatchString(lossName(size.pixels, size.classes, data)) {
				lossCases = append(lossCases, dataCase{size, data})
			}
		}
	}
	tableCases, skipped := allCases(s.pixels, s.classes, s.logits)
	tableCases = slices.DeleteFunc(tableCases, func(c lossCase) bool { return !pattern.MatchString(c.tableName()) })
	if !s.whole {
		tableCases = covering(tableCases)
	}
	if len(tableCases) == 0 {
		skipped = nil
	}
	var kernelCases []typed
	lengths := map[string][]int{}
	steps := len(lossCases) + len(tableCases)
	for _, k := range kernels {
		for _, t := range k.types() {
			fits := lengthsOf(t, s.sizes, pattern)
			if len(fits) > 0 {
				kernelCases = append(kernelCases, t)
				lengths[t.kernel.name+t.name] = fits
				steps += len(fits)
			}
		}
	}

	if len(kernelCases) == 0 {
		s.largest = 0 // nobody asks for the limits
	}
	var others *externals
	var err error
	if withExternals {
		list := slices.Clone(allExternals)
		if len(kernelCases) == 0 {
			list = slices.DeleteFunc(list, func(x external) bool { return !x.loss })
		}
		if others, err = startExternals(list); err != nil {
			return all, err
		}
		defer others.stop()
		all.absent = others.absent
	}

	bar := newProgress(steps)
	defer bar.Finish()
	all.machine = thisMachine(s.kernels, s.largest)
	bar.Clear()
	out.machine(all.machine)
	for _, peer := range all.absent {
		out.absent(peer)
	}
	for _, t := range kernelCases {
		var rows []row
		for _, n := range lengths[t.kernel.name+t.name] {
			bar.Describe(caseName(t.kernel.name, t.name, n))
			rows = append(rows, measureCase(t, t.make(n), others, s.kernels)...)
			bar.Add(1)
		}
		bar.Clear()
		out.kernel(rows)
		all.kernels = append(all.kernels, rows...)
	}
	bar.Describe("configurations of the loss")
	if all.wanted, err = measureWanted(pattern, s.logits, others, s.wanted); err != nil {
		return all, err
	}
	bar.Clear()
	out.wanted(all.wanted)
	exact := exactRows(pattern, s.raised)
	for i := range exact {
		bar.Describe(exact[i].name())
		if err := exact[i].measure(others); err != nil {
			return all, fmt.Errorf("%s: %w", exact[i].name(), err)
		}
	}
	all.exact = exact
	bar.Clear()
	out.exact(all.exact)
	for _, c := range lossCases {
		bar.Describe(lossName(c.size.pixels, c.size.classes, c.data))
		rows, err := measureLoss(c.size, c.data, others, s.losses)
		if err != nil {
			return all, err
		}
		bar.Add(1)
		bar.Clear()
		out.loss(rows)
		all.losses = append(all.losses, rows...)
	}
	in := new(inputs)
	for _, c := range tableCases {
		bar.Describe(c.tableName())
		row, err := measureTable(c, in, others, s.table)
		if err != nil {
			return all, err
		}
		bar.Add(1)
		all.table = append(all.table, row)
	}
	bar.Clear()
	sortTable(all.table)
	for rows := range groups(all.table, caseRow.group) {
		out.table(rows)
	}
	if len(skipped) > 0 {
		all.absent = append(all.absent, fmt.Sprintf("the loss of %s, whose logits take more than %s", strings.Join(skipped, ", "),
			byteSize(4*s.logits)))
		out.absent(all.absent[len(all.absent)-1])
	}
	return all, nil
}

// lengthsOf returns the lengths that the kernel is measured at: those that round to one number of rows count once.
func lengthsOf(t typed, sizes []int, pattern *regexp.Regexp) []int {
	var fits []int
	for _, n := range sizes {
		if (t.kernel.most == 0 || n <= t.kernel.most) && n >= t.kernel.least && pattern.MatchString(caseName(t.kernel.name, t.name, n)) {
			fits = append(fits, n)
		}
	}
	return fits
}

// newProgress is a bar on the terminal, or nothing where stderr is none.
func newProgress(steps int) *progressbar.ProgressBar {
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		return progressbar.DefaultSilent(int64(steps))
	}
	return progressbar.NewOptions(steps, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionClearOnFinish(),
		progressbar.OptionShowCount(),
		progressbar.OptionSetWidth(20), progressbar.OptionSetPredictTime(true), progressbar.OptionSetDescription("the machine's limits"))
}

// load shows the results of an earlier run.
func load(path string, out output) (results, error) {
	f, err := os.Open(path)
	if err != nil {
		return results{}, err
	}
	defer f.Close()
	all, err := readResults(f)
	if err != nil {
		return all, fmt.Errorf("%s: %w", path, err)
	}
	out.machine(all.machine)
	for _, peer := range all.absent {
		out.absent(peer)
	}
	for rows := range groups(all.kernels, func(r row) string { return r.Kernel + r.Type }) {
		out.kernel(rows)
	}
	out.wanted(all.wanted)
	out.exact(all.exact)
	for rows := range groups(all.losses, lossRow.name) {
		out.loss(rows)
	}
	for rows := range groups(all.table, caseRow.group) {
		out.table(rows)
	}
	return all, nil
}
