// Command instructions says how many instructions a call of the loss and its gradient takes for each logit, by instruction set, counted by
// QEMU. From the folder bench:
//
//	go run ./instructions               # four minutes
//	go run ./instructions -functions 9  # and which functions most of them are in
//
// It needs qemu-aarch64-static and qemu-x86_64-static (Debian: qemu-user-static). QEMU writes a line for every block of instructions that
// runs, and before that what the block consists of. The first call is counted, with what it allocates. QEMU has no AVX-512.
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"debug/elf"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"log"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/lanewise/lanewise"
)

var (
	pixels    = flag.Int("pixels", 1<<16, "pixels")
	classes   = flag.Int("classes", 19, "classes")
	binned    = flag.Bool("binned", false, "Method: Binned")
	only      = flag.String("only", "", "these instruction sets: arm64/neon, arm64/generic, amd64/avx2, amd64/generic, with commas")
	functions = flag.Int("functions", 0, "print so many functions that most instructions are in")
	data      = flag.String("data", "", "run the loss on this file, as the emulated program does")
)

var targets = []struct{ arch, qemu, isa string }{
	{"arm64", "qemu-aarch64-static", "neon"}, {"arm64", "qemu-aarch64-static", "generic"},
	{"amd64", "qemu-x86_64-static", "avx2"}, {"amd64", "qemu-x86_64-static", "generic"},
}

func main() {
	log.SetFlags(0)
	flag.Parse()
	if *data != "" {
		run()
		return
	}
	dir, err := os.MkdirTemp("", "instructions")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "logits")
	if err := os.WriteFile(file, confident(), 0o666); err != nil {
		log.Fatal(err)
	}
	for _, on := range targets {
		if *only != "" && !slices.Contains(strings.Split(*only, ","), on.arch+"/"+on.isa) {
			continue
		}
		program := filepath.Join(dir, on.arch)
		build := exec.Command("go", "build", "-o", program, "./instructions")
		build.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+on.arch, "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			log.Fatalf("%v\n%s", err, out)
		}
		c := exec.Command(on.qemu, "-cpu", "max", "-d", "nochain,exec,in_asm", "-D", "/dev/stdout", program,
			"-data", file, "-pixels", strconv.Itoa(*pixels), "-classes", strconv.Itoa(*classes), "-binned="+strconv.FormatBool(*binned))
		c.Env = append(os.Environ(), "LANEWISE_ISA="+on.isa, "GOGC=off", "GOMAXPROCS=1")
		c.Stderr = os.Stderr
		trace, err := c.StdoutPipe()
		if err == nil {
			err = c.Start()
		}
		if err != nil {
			log.Fatal(err)
		}
		symbols := symbolsOf(program)
		n := count(trace, symbols)
		if err := c.Wait(); err != nil {
			log.Fatal(err)
		}
		report(on.arch+" "+on.isa, n, symbols)
	}
}

func report(target string, n map[uint64]int, symbols []elf.Symbol) {
	all, in := 0, map[string]int{}
	for pc, n := range n {
		i := sort.Search(len(symbols), func(i int) bool { return symbols[i].Value > pc })
		all += n
		in[symbols[max(i-1, 0)].Name] += n
	}
	each := func(n int) float64 { return float64(n) / float64(*pixels**classes) }
	fmt.Printf("%-14s %7.2f instructions for each logit\n", target, each(all))
	names := slices.SortedFunc(maps.Keys(in), func(a, b string) int { return in[b] - in[a] })
	for _, name := range names[:min(*functions, len(names))] {
		fmt.Printf("%22.2f %s\n", each(in[name]), name)
	}
}

// symbolsOf returns the functions of a program, in order.
func symbolsOf(program string) []elf.Symbol {
	f, err := elf.Open(program)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	symbols, err := f.Symbols()
	if err != nil {
		log.Fatal(err)
	}
	symbols = slices.DeleteFunc(symbols, func(s elf.Symbol) bool { return elf.ST_TYPE(s.Info) != elf.STT_FUNC })
	slices.SortFunc(symbols, func(a, b elf.Symbol) int { return cmp.Compare(a.Value, b.Value) })
	return symbols
}

// confident are logits with +12 at the label of nine pixels in ten, and after them the labels.
func confident() []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	labels := make([]int32, *pixels)
	logits := make([]float32, *pixels**classes)
	for i := range logits {
		logits[i] = float32(r.NormFloat64())
	}
	for i := range labels {
		labels[i] = int32(r.IntN(*classes))
		if r.Float32() < 0.9 {
			logits[int(labels[i])**pixels+i] += 12
		}
	}
	binary.Write(&b, binary.LittleEndian, logits)
	binary.Write(&b, binary.LittleEndian, labels)
	return b.Bytes()
}

// run computes the loss and its gradient.
func run() {
	text, err := os.ReadFile(*data)
	if err != nil {
		log.Fatal(err)
	}
	logits, labels := make([]float32, *pixels**classes), make([]int32, *pixels)
	at, err := binary.Decode(text, binary.LittleEndian, logits)
	if err == nil {
		_, err = binary.Decode(text[at:], binary.LittleEndian, labels)
	}
	if err != nil {
		log.Fatal(err)
	}
	cfg := lanewise.LovaszConfig{Classes: *classes, Layout: lanewise.ClassMajor, Workers: 1}
	if *binned {
		cfg.Method = lanewise.Binned
	}
	loss, err := lanewise.NewLovasz(cfg)
	if err != nil {
		log.Fatal(err)
	}
	grad := make([]float32, len(logits))
	mark()
	if _, err := loss.Backward(grad, logits, labels, 1); err != nil {
		log.Fatal(err)
	}
	mark()
}

// mark does nothing. It tells count that the call begins, and that it is over.
//
//go:noinline
func mark() {}

// count adds up the instructions that run between the two marks, by where their blocks begin.
func count(trace io.Reader, symbols []elf.Symbol) map[uint64]int {
	n := map[uint64]int{}
	sizes := map[uint64]int{} // of the blocks
	mark := symbols[slices.IndexFunc(symbols, func(s elf.Symbol) bool { return s.Name == "main.mark" })].Value
	marks, block := 0, uint64(0) // the one that is described
	lines := bufio.NewScanner(bufio.NewReaderSize(trace, 1<<20))
	for lines.Scan() {
		switch l := lines.Bytes(); {
		case bytes.HasPrefix(l, []byte("IN:")):
			block = 0
		case bytes.HasPrefix(l, []byte("0x")): // 0x00096e50:  f94003e0  ldr x0, [sp]
			if block == 0 {
				digits, _, _ := bytes.Cut(l[2:], []byte(":"))
				block = hex(digits)
				sizes[block] = 0
			}
			sizes[block]++
		case bytes.HasPrefix(l, []byte("Trace")): // Trace 0: 0x7f3794000200 [0000000001009331/0000000000096e50/00000001/00000200] _rt0_arm64
			_, l, _ = bytes.Cut(l, []byte("/"))
			digits, _, _ := bytes.Cut(l, []byte("/"))
			pc := hex(digits)
			if pc == mark {
				marks++
			}
			if marks == 1 {
				n[pc] += sizes[pc]
			}
		}
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
	if marks != 2 {
		log.Fatalf("%d marks in QEMU's trace, want 2", marks)
	}
	return n
}

func hex(digits []byte) (x uint64) {
	for _, c := range digits {
		x = x<<4 | uint64(c&0xf+c>>6*9)
	}
	return x
}
