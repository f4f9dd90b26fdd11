// Command neonmca says what the inner loops of the NEON kernels cost on three CPUs, as llvm-mca models them, beside those of clang -O3
// -ffast-math on the plain loops of c/loops.c; those that sort, count and weigh without that. From the folder bench:
//
//	go run ./neonmca
//	go run ./neonmca -keys    # the latter alone, without clang
//
// It needs llvm-objdump, llvm-mca and clang (Debian: llvm-19 clang-19, or newer: 16 is the first to know neoverse-v2). The models know
// nothing of caches: all is in L1.
package main

import (
	"bytes"
	_ "embed"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"text/tabwriter"
)

//go:embed c/loops.c
var plain []byte

var cpus = []string{"neoverse-n1", "neoverse-v2", "apple-m1"}

// kernels are the functions that are compared. The inner loop is the one that takes most elements a turn.
var kernels = []string{
	"dot", "sum", "largest", "expSum", "sumExp", "scale", "subtract", "softmaxGrad", "logSoftmaxGrad", "cumSum", "classErrors",
	"softmaxPlanes", "argMaxPlanes",
}

// routines have the loops of the kernels that call them.
var routines = map[string]string{"expSum": "rowExp", "sumExp": "rowSumExp"}

// keyKernels go through keys, pixels or items, so many a turn. That of rank is its last one, which makes weights of
// counts.
var keyKernels = []struct {
	name     string
	elements int
}{
	{"lossSplit1", 16}, {"lossSplit2", 16}, {"lossSplit4", 16}, {"lossSplit8", 16},
	{"lossExpand1", 16}, {"lossExpand2", 16}, {"lossExpand4", 16}, {"lossExpand8", 16},
	{"lossCount", 32}, {"lossPlace", 32}, {"lossRank", 32}, {"lossGather", 16}, {"lossTally", 32}, {"lossLookUp", 16},
	{"sortCount32", 32}, {"sortSplit32", 32}, {"sortCount64", 32}, {"sortSplit64", 32}, {"sortUnpack", 32}, {"sortItems64", 32},
	{"sortCount", 32}, {"sortPlace", 32}, {"sortNeighbours", 4},
}

// elements of a turn of our loops, in float32: a block, or what kernels with loops of their own take.
var elements = map[string]int{"cumSum": 16, "softmaxPlanes": 32, "argMaxPlanes": 32}

func main() {
	log.SetFlags(0)
	verbose := flag.Bool("v", false, "print the loops too")
	only := flag.String("only", "", "kernels, with commas")
	keys := flag.Bool("keys", false, "only the kernels that go through keys")
	flag.Parse()
	dir, err := os.MkdirTemp("", "neonmca")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	binary := filepath.Join(dir, "lanewise.test")
	build := exec.Command("go", "test", "-c", "-o", binary, "github.com/lanewise/lanewise")
	build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	output(build)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Printf("%s\ncycles an element in L1\n\n", version("llvm-mca"))
	fmt.Fprintf(w, "keys\tinstructions\t%s\t\n", strings.Join(cpus, "\t bound by\t")+"\t bound by")
	for _, k := range keyKernels {
		if *only != "" && !strings.Contains(","+*only+",", ","+k.name+",") {
			continue
		}
		l := longestLoop(disassemble(binary, "github.com/lanewise/lanewise."+k.name+"NEON.abi0"))
		fmt.Fprintf(w, "%s\t%.1f\t", k.name, float64(len(l))/float64(k.elements))
		for _, cpu := range cpus {
			a := analyse(cpu, l)
			fmt.Fprintf(w, "%.2f\t %s\t", a.cycles/float64(k.elements), a.bound)
		}
		fmt.Fprintln(w)
	}
	w.Flush()
	if *keys {
		return
	}
	source := filepath.Join(dir, "loops.c")
	if err := os.WriteFile(source, plain, 0o666); err != nil {
		log.Fatal(err)
	}

	fmt.Printf("\n%s; n is what a turn of the loop takes\n\n", version("clang"))
	for _, t := range []string{"F32", "F64"} {
		fmt.Fprintf(w, "%s\t", t)
		for _, cpu := range cpus {
			fmt.Fprintf(w, "%s\tclang\tn\tratio\t bound by\t", cpu)
		}
		fmt.Fprintln(w)
		for _, k := range kernels {
			if *only != "" && !strings.Contains(","+*only+",", ","+k+",") {
				continue
			}
			name := k + t
			symbol := name + "NEON.abi0"
			if routine, ok := routines[k]; ok {
				symbol = routine + t + "NEON"
			}
			ours := innerLoop(disassemble(binary, "github.com/lanewise/lanewise."+symbol))
			n := elements[k]
			if n == 0 {
				n = 64
			}
			if t == "F64" {
				n /= 2
			}
			fmt.Fprintf(w, "%s\t", k)
			for _, cpu := range cpus {
				object := filepath.Join(dir, cpu+t+".o")
				if _, err := os.Stat(object); err != nil {
					single := map[string]string{"F32": "SINGLE", "F64": "DOUBLE"}[t]
					output(exec.Command(tool("clang"), "--target=aarch64-linux-gnu", "-O3", "-ffast-math", "-mcpu="+cpu, "-D"+single,
						"-c", source, "-o", object))
				}
				theirs := innerLoop(disassemble(object, name))
				a, b := analyse(cpu, ours), analyse(cpu, theirs)
				x, y := a.cycles/float64(n), b.cycles/float64(theirs.elements())
				fmt.Fprintf(w, "%.3f\t%.3f\t%d\t%.2f\t %s\t", x, y, theirs.elements(), x/y, a.bound)
				if *verbose {
					log.Printf("%s %s\nours, %v\n%s\nclang, %v\n%s\n", cpu, name, a, ours.text(), b, theirs.text())
				}
			}
			fmt.Fprintln(w)
		}
		fmt.Fprintln(w)
	}
	w.Flush()
}

// tool returns a program of LLVM, the newest there is.
func tool(name string) string {
	for _, suffix := range []string{"-22", "-21", "-20", "-19", ""} {
		if path, err := exec.LookPath(name + suffix); err == nil {
			return path
		}
	}
	log.Fatalf("no %s: apt-get install llvm-19 clang-19", name)
	return ""
}

func version(name string) string {
	out := output(exec.Command(tool(name), "--version"))
	return name + " " + regexp.MustCompile(`version ([\d.]+)`).FindStringSubmatch(out)[1]
}

func output(c *exec.Cmd) string {
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		log.Fatalf("%v: %v\n%s", c, err, &stderr)
	}
	return string(out)
}

// An instruction is one line of a disassembly.
type instruction struct {
	address uint64
	text    string
	target  uint64 // of a branch, or 0
}

type loop []instruction

func (l loop) text() string {
	var lines []string
	for _, i := range l {
		lines = append(lines, "\t"+i.text)
	}
	return strings.Join(lines, "\n")
}

var (
	line   = regexp.MustCompile(`^\s*([0-9a-f]+):\s+(.*?)\s*(//.*)?$`)
	branch = regexp.MustCompile(`^(b|b\.\w+|cbn?z|tbn?z)\s.*?(0x[0-9a-f]+) <`)
	steps  = regexp.MustCompile(`^(?:sub|add)s?\s+(x\d+), (x\d+), #(0x[0-9a-f]+)`)
	vector = regexp.MustCompile(`\b[vqds]\d+\b`)
)

func disassemble(file, symbol string) []instruction {
	out := output(exec.Command(tool("llvm-objdump"), "-d", "--no-show-raw-insn", "--disassemble-symbols="+symbol, file))
	var code []instruction
	for l := range strings.Lines(out) {
		m := line.FindStringSubmatch(strings.TrimRight(l, "\n"))
		if m == nil {
			continue
		}
		address, _ := strconv.ParseUint(m[1], 16, 64)
		i := instruction{address: address, text: m[2]}
		if b := branch.FindStringSubmatch(m[2]); b != nil {
			i.target, _ = strconv.ParseUint(b[2], 0, 64)
		}
		code = append(code, i)
	}
	if len(code) == 0 {
		log.Fatalf("no code of %s in %s", symbol, file)
	}
	return code
}

// innerLoop returns the loop without one inside it that has most vector instructions, longestLoop the one that has most instructions.
func innerLoop(code []instruction) loop {
	return bestLoop(code, func(l loop) int { return len(vector.FindAllString(l.text(), -1)) })
}

func longestLoop(code []instruction) loop { return bestLoop(code, func(l loop) int { return len(l) }) }

func bestLoop(code []instruction, size func(loop) int) loop {
	var best loop
	most := 0
	for i, last := range code {
		if last.target == 0 || last.target > last.address {
			continue
		}
		first := 0
		for code[first].address < last.target {
			first++
		}
		inner := true
		for _, c := range code[first:i] {
			if c.target != 0 && c.target <= c.address {
				inner = false
			}
		}
		if n := size(code[first : i+1]); inner && n > most {
			best, most = loop(code[first:i+1]), n
		}
	}
	if best == nil {
		log.Fatal("no loop in\n" + loop(code).text())
	}
	return best
}

// elements returns what the counter of clang's loop goes up or down by; pointers go by more.
func (l loop) elements() int {
	n := 1 << 20
	for _, i := range l {
		if m := steps.FindStringSubmatch(i.text); m != nil && m[1] == m[2] {
			by, _ := strconv.ParseInt(m[3], 0, 64)
			n = min(n, int(by))
		}
	}
	return n
}

type analysis struct {
	cycles float64 // a turn
	bound  string
}

// analyse runs llvm-mca. The bound is the port with the largest pressure, or dispatch, if that takes nine tenths of the cycles; else
// latency.
func analyse(cpu string, l loop) analysis {
	var code []string
	for _, i := range l {
		t := i.text
		if i.target != 0 {
			t = regexp.MustCompile(`0x[0-9a-f]+ <.*`).ReplaceAllString(t, "0")
		}
		code = append(code, t)
	}
	const turns = 200
	c := exec.Command(tool("llvm-mca"), "-mtriple=aarch64", "-mcpu="+cpu, "-iterations="+strconv.Itoa(turns), "-instruction-info=false")
	c.Stdin = strings.NewReader(strings.Join(code, "\n"))
	out := output(c)
	number := func(name string) float64 {
		m := regexp.MustCompile(name + `:\s+([\d.]+)`).FindStringSubmatch(out)
		if m == nil {
			log.Fatalf("llvm-mca printed no %s:\n%s", name, out)
		}
		x, _ := strconv.ParseFloat(m[1], 64)
		return x
	}
	a := analysis{cycles: number("Total Cycles") / turns, bound: "latency"}
	port, pressure := "dispatch", number("Total uOps")/turns/number("Dispatch Width")
	names := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\[([\d.]+)\]\s+- (\S+)$`).FindAllStringSubmatch(out, -1) {
		names[m[1]] = m[2]
	}
	if _, table, ok := strings.Cut(out, "Resource pressure per iteration:\n"); ok {
		rows := strings.SplitN(table, "\n", 3)
		heads, cells := strings.Fields(rows[0]), strings.Fields(rows[1])
		for i := range cells {
			x, err := strconv.ParseFloat(cells[i], 64)
			if err == nil && i < len(heads) && x > pressure {
				port, pressure = names[strings.Trim(heads[i], "[]")], x
			}
		}
	}
	if pressure >= 0.9*a.cycles {
		a.bound = port
	}
	return a
}
