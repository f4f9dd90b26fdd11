package main

import (
	"cmp"
	"embed"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/lanewise/lanewise"
)

// The library in this clone against an older version in another folder: the program in versions/ is built with each, and the two processes
// are sampled in turn.

//go:embed versions
var versionsFiles embed.FS

const (
	slower      = 1.03 // times the old version's: more than chance does
	slowerTries = 3    // in processes of their own: a row is slower where it is each time
	mostGrowth  = 150_000
	dotSaves    = 1.0 // ns of Dot of 16
)

// versionsLoss are the losses of versions/, which stand beside the kernels there.
var versionsLoss = []kernel{
	{name: "Lovasz/19", least: 19, most: 1 << 22},
	{name: "Lovasz/2", least: 2, most: 1 << 22},
	{name: "LovaszPixelMajor/19", least: 19, most: 1 << 22},
	{name: "LovaszEntropy/19", least: 19, most: 1 << 22},
	{name: "LovaszBinned/19", least: 19, most: 1 << 22},
	{name: "LovaszSigmoid/19", least: 19, most: 1 << 22},
	{name: "LovaszSigmoid/1", most: 1 << 22},
	{name: "Hinge", most: 1 << 22},
}

// A version is a tree of the library.
type version struct {
	name    string
	tree    string
	program string       // of versions/
	sizes   map[bool]int // of a program with Dot, and of the same one without the library
}

// compareVersions prints what the new version of the library does otherwise than the old one, and returns how many numbers are short: the
// table that -run knows as Costs, and the kernels and losses of versions/.
func compareVersions(w io.Writer, oldTree string, s scope, pattern *regexp.Regexp) (short int, err error) {
	_, file, _, _ := runtime.Caller(0)
	dir, err := os.MkdirTemp("", "lanewise-versions")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	versions := []*version{{name: "old", tree: oldTree}, {name: "new", tree: filepath.Dir(filepath.Dir(file))}}
	for _, v := range versions {
		if err := v.build(filepath.Join(dir, v.name)); err != nil {
			return 0, fmt.Errorf("%s version: %w", v.name, err)
		}
	}
	isas := assemblyISAs()
	for _, isa := range isas {
		if !pattern.MatchString("Costs") {
			break
		}
		n, err := printCosts(w, versions, isa, s.kernels)
		if err != nil {
			return 0, err
		}
		short += n
	}
	n, err := printRatios(w, versions, isas, s, pattern)
	return short + n, err
}

// build builds the program, without the files that use what this version does not have, and the two whose sizes are compared.
func (v *version) build(dir string) error {
	tree, err := filepath.Abs(v.tree)
	if err != nil {
		return err
	}
	has, err := exported(tree)
	if err != nil {
		return err
	}
	if !has["Dot"] {
		return fmt.Errorf("%s holds no version of the library", v.tree)
	}
	if err := os.CopyFS(dir, versionsFiles); err != nil {
		return err
	}
	program := filepath.Join(dir, "versions")
	files, _ := filepath.Glob(filepath.Join(program, "*.go"))
	for _, file := range files {
		if fits, err := usesOnly(file, has); err != nil {
			return err
		} else if !fits {
			os.Remove(file)
		}
	}
	const dot = "package main\n\nimport %s\n\nfunc main() {\n\ta := make([]float32, 16)\n\tfmt.Println(%s(a, a))\n}\n"
	const plainDot = "\nfunc dot(a, b []float32) (s float32) {\n\tfor i, v := range a {\n\t\ts += v * b[i]\n\t}\n\treturn s\n}\n"
	for path, text := range map[string]string{
		"go.work":         fmt.Sprintf("go 1.26.0\n\nuse (\n\t./\n\t%s\n)\n", tree),
		"go.mod":          "module versions\n\ngo 1.26.0\n",
		"with/main.go":    fmt.Sprintf(dot, "(\n\t\"fmt\"\n\n\t\"github.com/lanewise/lanewise\"\n)", "lanewise.Dot"),
		"without/main.go": fmt.Sprintf(dot, `"fmt"`, "dot") + plainDot,
	} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "bin")+"/", "./...")
	build.Dir = dir
	build.Env = append(os.Environ(), "GOWORK="+filepath.Join(dir, "go.work"), "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("does not build: %w\n%s", err, out)
	}
	v.program = filepath.Join(dir, "bin", "versions")
	v.sizes = map[bool]int{}
	for with, name := range map[bool]string{true: "with", false: "without"} {
		info, err := os.Stat(filepath.Join(dir, "bin", name))
		if err != nil {
			return err
		}
		v.sizes[with] = int(info.Size())
	}
	return nil
}

// exported returns what the package in dir exports.
func exported(dir string) (map[string]bool, error) {
	has := map[string]bool{}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				has[d.Name.Name] = has[d.Name.Name] || d.Recv == nil
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						has[spec.Name.Name] = true
					case *ast.ValueSpec:
						for _, name := range spec.Names {
							has[name.Name] = true
						}
					}
				}
			}
		}
	}
	return has, err
}

// usesOnly says whether a file needs nothing of the library but this.
func usesOnly(file string, has map[string]bool) (bool, error) {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		return false, err
	}
	fits := true
	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == "lanewise" && !has[s.Sel.Name] {
				fits = false
			}
		}
		return true
	})
	return fits, nil
}

// start starts the program of each version on one ISA.
func startVersions(versions []*version, isa lanewise.ISA) (*externals, error) {
	e := &externals{}
	for _, v := range versions {
		p, err := external{name: v.name, start: func(string) (*exec.Cmd, error) {
			cmd := exec.Command(v.program)
			cmd.Env = append(os.Environ(), "LANEWISE_ISA="+isa.String(), "GOMAXPROCS=1")
			return cmd, nil
		}}.run("")
		if err != nil {
			e.stop()
			return nil, err
		}
		e.running = append(e.running, p)
	}
	return e, nil
}

// printCosts prints what a program pays for the library, and what a short call does.
func printCosts(w io.Writer, versions []*version, isa lanewise.ISA, p plan) (short int, err error) {
	e, err := startVersions(versions, isa)
	if err != nil {
		return 0, err
	}
	defer e.stop()
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(what string, is func(i int) string, wanted string, ok bool) {
		mark := ""
		if !ok {
			mark = "short"
			short++
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", what, is(0), is(1), wanted, mark)
	}
	fmt.Fprintf(tw, "%s\told\tnew\twanted\t\n", isa)
	growth := func(i int) int { return versions[i].sizes[true] - versions[i].sizes[false] }
	line("a program with Dot, kB more than without", func(i int) string { return fmt.Sprintf("%.0f", float64(growth(i))/1000) },
		fmt.Sprintf("≤ %d", mostGrowth/1000), growth(1) <= mostGrowth)
	dots := make([]slowRow, slowerTries) // which pages a process gets matters as much as the version
	for i := range dots {
		dots[i].isa = isa
		if _, err := dots[i].try(versions, typed{kernel: kernel{name: "Dot"}, name: "float32"}, 16, p); err != nil {
			return 0, err
		}
	}
	slices.SortFunc(dots, func(a, b slowRow) int { return cmp.Compare(a.old-a.new, b.old-b.new) })
	dot := dots[len(dots)/2]
	line("Dot of 16, ns", func(i int) string { return fmt.Sprintf("%.2f", []float64{dot.old, dot.new}[i]) },
		fmt.Sprintf("≥ %g less", dotSaves), dot.old-dot.new >= dotSaves)
	allocations := make([]map[string]string, len(versions))
	var names []string
	for i, p := range e.running {
		answer, err := p.ask("allocations")
		if err != nil {
			return 0, err
		}
		allocations[i] = map[string]string{}
		for _, field := range strings.Fields(answer) {
			name, count, _ := strings.Cut(field, "=")
			allocations[i][name] = count
			if i == 1 {
				names = append(names, name)
			}
		}
	}
	for _, name := range names {
		line(name+" of an array on the stack, allocations", func(i int) string { return allocations[i][name] }, "0", allocations[1][name] == "0")
	}
	tw.Flush()
	fmt.Fprintln(w)
	return short, nil
}

// A slowRow is a case whose new version takes longer.
type slowRow struct {
	name     string
	isa      lanewise.ISA
	old, new float64 // ns
	ratios   []float64
}

// printRatios prints the time of the new version in that of the old one, for each kernel and length.
func printRatios(w io.Writer, versions []*version, isas []lanewise.ISA, s scope, pattern *regexp.Regexp) (short int, err error) {
	var slow []slowRow
	var missing []string
	compared := 0
	for _, k := range slices.Concat(kernels, versionsLoss) {
		for _, t := range k.types() {
			sizes := lengthsOf(t, s.sizes, pattern)
			if len(sizes) == 0 {
				continue
			}
			tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight|tabwriter.DiscardEmptyColumns)
			fmt.Fprintf(tw, "%s %s\t", k.name, t.name)
			for _, n := range sizes {
				fmt.Fprintf(tw, "%d\t", n)
			}
			fmt.Fprintln(tw)
			has := true
			for _, isa := range isas {
				fmt.Fprintf(tw, "%s\t", isa)
				for _, n := range sizes {
					row := slowRow{name: caseName(k.name, t.name, n), isa: isa}
					for range slowerTries {
						if has, err = row.try(versions, t, n, s.kernels); err != nil || !has || row.ratios[len(row.ratios)-1] <= slower {
							break
						}
					}
					if err != nil {
						return 0, err
					}
					if !has {
						break
					}
					compared++
					mark := ""
					if slices.Min(row.ratios) > slower {
						slow, mark = append(slow, row), " !"
					}
					fmt.Fprintf(tw, "%.2f%s\t", slices.Min(row.ratios), mark)
				}
				fmt.Fprintln(tw)
			}
			if !has {
				missing = append(missing, k.name)
				continue
			}
			tw.Flush()
			fmt.Fprintln(w)
		}
	}
	if len(missing) > 0 {
		fmt.Fprintf(w, "Not in both versions: %s.\n", strings.Join(slices.Compact(missing), ", "))
	}
	if len(slow) == 0 {
		fmt.Fprintf(w, "None of %d rows is more than %.0f %% slower than before.\n", compared, 100*(slower-1))
		return 0, nil
	}
	fmt.Fprintf(w, "%d of %d rows are more than %.0f %% slower than before, in each of %d pairs of processes:\n", len(slow), compared,
		100*(slower-1), slowerTries)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range slow {
		fmt.Fprintf(tw, "%s\t%s\t%s ns, was %s\t", r.name, r.isa, digits(r.new), digits(r.old))
		for _, x := range r.ratios {
			fmt.Fprintf(tw, "%.3f ", x)
		}
		fmt.Fprintln(tw)
	}
	tw.Flush()
	return len(slow), nil
}

// try measures the case once more, in processes of its own: which pages the inputs lie on matters too.
func (r *slowRow) try(versions []*version, t typed, n int, p plan) (has bool, err error) {
	e, err := startVersions(versions, r.isa)
	if err != nil {
		return false, err
	}
	defer e.stop()
	cols := 0
	if _, after, ok := strings.Cut(t.kernel.name, "/"); ok {
		fmt.Sscan(after, &cols)
	}
	variants := e.variants(t.kernel.name, t.name, n, cols)
	if len(variants) < len(versions) {
		return false, nil
	}
	times := measure(variants, plan{repeats: p.repeats, sample: max(p.sample, 200*time.Microsecond), budget: p.budget})
	x := ratio(times[1], times[0])
	if len(r.ratios) == 0 || x < slices.Min(r.ratios) {
		r.old, r.new = median(times[0]), median(times[1])
	}
	r.ratios = append(r.ratios, x)
	return true, nil
}
