// Command instructions says how many instructions a call of the loss and its gradient takes for each logit, by instruction set, counted by
// QEMU. From the folder bench:
//
//	go run ./instructions
//
// It needs qemu-aarch64-static and qemu-x86_64-static (Debian: qemu-user-static). QEMU writes a line for every block of instructions that
// runs, and before that what the block consists of; what the second call adds is counted. QEMU has no AVX-512.
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/lanewise/lanewise"
)

var (
	pixels  = flag.Int("pixels", 1<<16, "pixels")
	classes = flag.Int("classes", 19, "classes")
	binned  = flag.Bool("binned", false, "Method: Binned")
	data    = flag.String("data", "", "run the loss on this file, as the emulated program does")
	calls   = flag.Int("calls", 1, "so many times")
)

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
	for _, on := range []struct{ arch, qemu, isa string }{
		{"arm64", "qemu-aarch64-static", "neon"}, {"arm64", "qemu-aarch64-static", "generic"},
		{"amd64", "qemu-x86_64-static", "avx2"}, {"amd64", "qemu-x86_64-static", "generic"},
	} {
		program := filepath.Join(dir, on.arch)
		build := exec.Command("go", "build", "-o", program, "./instructions")
		build.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+on.arch, "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			log.Fatalf("%v\n%s", err, out)
		}
		var n [2]int
		for i := range n {
			trace := filepath.Join(dir, "trace")
			os.Remove(trace)
			if out, err := exec.Command("mkfifo", trace).CombinedOutput(); err != nil {
				log.Fatalf("mkfifo: %v\n%s", err, out)
			}
			c := exec.Command(on.qemu, "-cpu", "max", "-d", "nochain,exec,in_asm", "-D", trace, program,
				"-data", file, "-calls", strconv.Itoa(i+1), "-pixels", strconv.Itoa(*pixels), "-classes", strconv.Itoa(*classes), "-binned="+strconv.FormatBool(*binned))
			c.Env = append(os.Environ(), "LANEWISE_ISA="+on.isa, "GOGC=off", "GOMAXPROCS=1")
			c.Stdout, c.Stderr = os.Stderr, os.Stderr
			if err := c.Start(); err != nil {
				log.Fatal(err)
			}
			n[i] = count(trace)
			if err := c.Wait(); err != nil {
				log.Fatal(err)
			}
		}
		fmt.Printf("%s %-8s %6.1f instructions for each logit\n", on.arch, on.isa, float64(n[1]-n[0])/float64(*pixels**classes))
	}
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
	for range *calls {
		if _, err := loss.Backward(grad, logits, labels, 1); err != nil {
			log.Fatal(err)
		}
	}
}

// count adds up the instructions that ran.
func count(trace string) (n int) {
	f, err := os.Open(trace)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	sizes := map[uint64]int{} // of the blocks, by where they begin
	var block uint64
	lines := bufio.NewScanner(bufio.NewReaderSize(f, 1<<20))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		switch l := lines.Bytes(); {
		case bytes.HasPrefix(l, []byte("IN:")):
			block = 0
		case bytes.HasPrefix(l, []byte("0x")): // 0x00096e50:  f94003e0  ldr x0, [sp]
			at, _, _ := bytes.Cut(l[2:], []byte(":"))
			pc, err := strconv.ParseUint(string(at), 16, 64)
			if err != nil {
				log.Fatal(err)
			}
			if block == 0 {
				block = pc
				sizes[block] = 0
			}
			sizes[block]++
		case bytes.HasPrefix(l, []byte("Trace")): // Trace 0: 0x7f3794000200 [0000000001009331/0000000000096e50/00000001/00000200] _rt0_arm64
			_, l, _ = bytes.Cut(l, []byte("/"))
			at, _, _ := bytes.Cut(l, []byte("/"))
			pc := uint64(0)
			for _, c := range at {
				pc = pc<<4 | uint64(c&0xf+c>>6*9)
			}
			n += sizes[pc]
		}
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
	return n
}
