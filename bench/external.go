package main

import (
	"bufio"
	"embed"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

// Implementations that are not Go, not fit for this process, or that bring a tree of modules run in processes of their own, one for each
// peer, which stay for the whole run. Programs and scripts are in external/ and peers/; bench compiles and starts them. They read commands,
// a line each, and answer with a line:
//
//	case KERNEL TYPE N COLS      ok, or no if they do not have it
//	loss PIXELS CLASSES FOLDER   the same; FOLDER has logits.f32 [classes, pixels], pixelmajor.f32 and labels.i32
//	config IMAGES PIXELS CLASSES ACTIVATION EXTRAS FOLDER    the same, of a configuration in loss_table.go; labels are [images, pixels]
//	exact FOLDER                 says the Lovász loss and the cross-entropy, and writes the gradient of the first to grad.f32
//	run CALLS                    calls it so often, after some calls to wake up, and says how many ns that took
//	forward CALLS                likewise, of a loss without its gradient, and says the loss too
//
// So they are sampled in turn with all the others.

//go:embed external
var externalFiles embed.FS

// An external is a peer in a process of its own.
type external struct {
	name    string
	install string                                      // how to get it
	start   func(dir string) (cmd *exec.Cmd, err error) // dir has the files of external/, and is writable
	tree    bool                                        // whether it brings a tree of modules
	loss    bool                                        // whether it has the loss
}

var allExternals = []external{
	{name: "weaviate", install: goTree, start: startTree("weaviate"), tree: true},
	{name: "gorgonia", install: goTree, start: startTree("gorgonia"), tree: true},
	{name: "spago", install: goTree, start: startTree("spago"), tree: true},
	{name: "gomlx", install: goTree, start: startTree("gomlx"), tree: true},
	{name: "PyTorch", install: "apt-get install python3-torch", start: startTorch(""), loss: true},
	{name: "PyTorch avx512", install: "apt-get install python3-torch; a CPU with AVX-512", start: startTorch("avx512"), loss: true},
	{name: "oneDNN", install: "apt-get install g++ libdnnl-dev", start: compile("onednn.cc", "-ldnnl")},
	{name: "OpenBLAS", install: "apt-get install gcc libopenblas-dev", start: compile("openblas.c", "-lopenblas")},
	{name: "vqsort, keys alone", install: "apt-get install g++ libhwy-dev", start: compile("vqsort.cc", "-lhwy_contrib", "-lhwy")},
	{name: "archsimd", install: "Go with GOEXPERIMENT=simd, on amd64 with AVX-512", start: startArchsimd},
	{name: "dense sort, C", install: "apt-get install gcc", start: compile("densesort.c", "-lm"), loss: true},
}

const goTree = "Go, in a clone, with a module proxy"

// A process is a running external.
type process struct {
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
}

// externals is those that run.
type externals struct {
	dir     string
	running []*process
	absent  []string // what is missing, and how to install it
}

// startExternals starts those of the list that are found on this machine.
func startExternals(list []external) (*externals, error) {
	dir, err := os.MkdirTemp("", "lanewise-bench")
	if err != nil {
		return nil, err
	}
	e := &externals{dir: dir}
	if err := os.CopyFS(dir, externalFiles); err != nil {
		e.stop()
		return nil, err
	}
	// Starting means compiling, or importing PyTorch: side by side.
	started := make([]*process, len(list))
	failed := make([]error, len(list))
	var wait sync.WaitGroup
	for i, x := range list {
		wait.Go(func() { started[i], failed[i] = x.run(filepath.Join(dir, "external")) })
	}
	wait.Wait()
	for i, x := range list {
		if err := failed[i]; err != nil {
			e.absent = append(e.absent, fmt.Sprintf("%s (%s): %v", x.name, x.install, err))
		} else {
			e.running = append(e.running, started[i])
		}
	}
	return e, nil
}

func (x external) run(dir string) (*process, error) {
	cmd, err := x.start(dir)
	if err != nil {
		return nil, err
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{x.name, cmd, in, bufio.NewReader(out)}
	if answer, err := p.ask("hello"); err != nil || answer != "ok" {
		in.Close()
		cmd.Wait() // says how it ended: stderr says why
		return nil, fmt.Errorf("does not start: %s", lastLine(stderr.String()))
	}
	return p, nil
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}

func (p *process) ask(format string, args ...any) (string, error) {
	if _, err := fmt.Fprintf(p.in, format+"\n", args...); err != nil {
		return "", err
	}
	line, err := p.out.ReadString('\n')
	return strings.TrimSpace(line), err
}

func (e *externals) stop() {
	for _, p := range e.running {
		p.in.Close()
		p.cmd.Wait() // they end with their input
	}
	os.RemoveAll(e.dir)
}

// variants returns those that have this kernel.
func (e *externals) variants(kernel, typ string, n, cols int) []variant {
	if e == nil {
		return nil
	}
	kernel, _, _ = strings.Cut(kernel, "/")
	var variants []variant
	for _, p := range e.running {
		if p.has("case %s %s %d %d", kernel, typ, n, max(cols, 1)) {
			variants = append(variants, variant{p.name, p.sample("run")})
		}
	}
	return variants
}

// losses returns those that have the loss.
func (e *externals) losses(base lossRow, planes, pixelMajor []float32, labels []int32, want float64) []lossVariant {
	if e == nil {
		return nil
	}
	for name, data := range map[string][]byte{"logits.f32": bytesOf(planes), "pixelmajor.f32": bytesOf(pixelMajor),
		"labels.i32": bytesOf(labels)} {
		if err := os.WriteFile(filepath.Join(e.dir, name), data, 0o600); err != nil {
			fatal(err)
		}
	}
	var variants []lossVariant
	for _, p := range e.running {
		if p.has("loss %d %d %s", base.Pixels, base.Classes, e.dir) {
			r := base
			r.Peer = p.name
			r.LossError = math.Abs(p.loss()-want) / want
			variants = append(variants, lossVariant{r, variant{p.name, p.sample("forward")}, variant{p.name, p.sample("run")}})
		}
	}
	return variants
}

// torch returns the process that has configurations of the loss, or nil.
func (e *externals) torch() *process {
	if e == nil {
		return nil
	}
	for _, p := range e.running {
		if p.name == "PyTorch" {
			return p
		}
	}
	return nil
}

// prepare gives a peer the case.
func (e *externals) prepare(p *process, c lossCase, in input) bool {
	pixelMajor := in.logits
	if c.Layout == "class-major" {
		pixelMajor = nil
		size := c.Pixels * c.Classes
		for i := range c.Images {
			pixelMajor = append(pixelMajor, transposed(in.logits[i*size:(i+1)*size], c.Classes, c.Pixels)...)
		}
	}
	for name, data := range map[string][]byte{"pixelmajor.f32": bytesOf(pixelMajor), "labels.i32": bytesOf(in.labels)} {
		if err := os.WriteFile(filepath.Join(e.dir, name), data, 0o600); err != nil {
			fatal(err)
		}
	}
	return p.has("config %d %d %d %s %s %s", c.Images, c.Pixels, c.Classes, c.Activation, c.Extras, e.dir)
}

func (p *process) has(format string, args ...any) bool {
	answer, err := p.ask(format, args...)
	if err != nil {
		fatal(fmt.Errorf("%s: %w", p.name, err))
	}
	return answer == "ok"
}

func (p *process) sample(command string) func(calls int) time.Duration {
	return func(calls int) time.Duration {
		answer, err := p.ask("%s %d", command, calls)
		var ns float64
		if err == nil {
			_, err = fmt.Sscan(answer, &ns)
		}
		if err != nil {
			fatal(fmt.Errorf("%s: %q: %w", p.name, answer, err))
		}
		return time.Duration(ns)
	}
}

// loss returns what the peer computes.
func (p *process) loss() float64 {
	answer, err := p.ask("forward 1")
	var ns, loss float64
	if err == nil {
		_, err = fmt.Sscan(answer, &ns, &loss)
	}
	if err != nil {
		fatal(fmt.Errorf("%s: %q: %w", p.name, answer, err))
	}
	return loss
}

// environment is ours without the variables that slow others down, and with some more.
func environment(more ...string) []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "OPENBLAS_") && !strings.HasPrefix(v, "ATEN_") {
			env = append(env, v)
		}
	}
	return append(env, append([]string{"OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1"}, more...)...)
}

// startTorch takes the first Python that has PyTorch.
func startTorch(capability string) func(dir string) (*exec.Cmd, error) {
	return func(dir string) (*exec.Cmd, error) {
		if capability == "avx512" && !hasAVX512() {
			return nil, fmt.Errorf("not on this CPU")
		}
		for _, python := range []string{"python3", "/usr/bin/python3"} {
			if exec.Command(python, "-c", "import importlib.util; exit(not importlib.util.find_spec('torch'))").Run() != nil {
				continue
			}
			cmd := exec.Command(python, filepath.Join(dir, "torch_peer.py"))
			cmd.Env = environment()
			if capability != "" {
				cmd.Env = append(cmd.Env, "ATEN_CPU_CAPABILITY="+capability)
			}
			return cmd, nil
		}
		return nil, fmt.Errorf("no Python with PyTorch")
	}
}

// compile compiles a C or C++ program, for this CPU.
func compile(source string, libraries ...string) func(dir string) (*exec.Cmd, error) {
	return func(dir string) (*exec.Cmd, error) {
		compiler, binary := "cc", filepath.Join(dir, strings.TrimSuffix(source, filepath.Ext(source)))
		if filepath.Ext(source) == ".cc" {
			compiler = "c++"
		}
		compile := exec.Command(compiler, append([]string{"-O3", "-march=native", "-o", binary, source}, libraries...)...)
		compile.Dir = dir
		if out, err := compile.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("does not compile: %w: %s", err, firstLine(string(out)))
		}
		cmd := exec.Command(binary)
		cmd.Env = environment(openblasCore()...)
		return cmd, nil
	}
}

// startTree starts a peer of the module in peers/, which is built once for all of them.
func startTree(name string) func(dir string) (*exec.Cmd, error) {
	return func(dir string) (*exec.Cmd, error) {
		binary := filepath.Join(dir, "peers.exe")
		if err := buildTrees(binary); err != nil {
			return nil, err
		}
		cmd := exec.Command(binary, name)
		cmd.Env = environment("GOMAXPROCS=1")
		return cmd, nil
	}
}

var building sync.Mutex

// buildTrees builds the module in peers/, beside this file, if it is not built yet.
func buildTrees(binary string) error {
	building.Lock()
	defer building.Unlock()
	if _, err := os.Stat(binary); err == nil {
		return nil
	}
	_, file, _, _ := runtime.Caller(0)
	source := filepath.Join(filepath.Dir(file), "peers")
	if _, err := os.Stat(source); err != nil {
		return fmt.Errorf("bench/peers is not here")
	}
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Dir = source
	build.Env = append(os.Environ(), "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("does not build: %w %s", err, lastLine(string(out)))
	}
	return nil
}

// startArchsimd builds a program with the compiler's own SIMD, which is an experiment.
func startArchsimd(dir string) (*exec.Cmd, error) {
	if !hasAVX512() {
		return nil, fmt.Errorf("not on this CPU")
	}
	binary := filepath.Join(dir, "archsimd", "archsimd")
	build := exec.Command("go", "build", "-o", binary, "main.go")
	build.Dir = filepath.Dir(binary)
	build.Env = append(os.Environ(), "GOEXPERIMENT=simd", "GOWORK=off", "GOFLAGS=", "GO111MODULE=off")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("does not build: %w %s", err, lastLine(string(out)))
	}
	cmd := exec.Command(binary)
	cmd.Env = environment()
	return cmd, nil
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}
