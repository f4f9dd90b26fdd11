package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanewise/lanewise"
	"golang.org/x/perf/benchfmt"
)

// BenchmarkKernels has every kernel as an ordinary Go benchmark: kernel/type/isa/n.
func BenchmarkKernels(b *testing.B) {
	defer useISA(lanewise.ActiveISA())
	for _, k := range kernels {
		for _, t := range k.types() {
			for _, n := range []int{16, 64, 1024, 1 << 15, 1 << 20} {
				if n < k.least {
					continue
				}
				for _, isa := range lanewise.AvailableISAs() {
					b.Run(fmt.Sprintf("%s/%s/%s/n=%d", k.name, t.name, isa, n), func(b *testing.B) {
						in := t.make(n)
						useISA(isa)
						b.SetBytes(int64(in.limit.bytes))
						for b.Loop() {
							in.call()
						}
					})
				}
			}
		}
	}
}

// BenchmarkLoss has the loss with its gradient: method/isa/data.
func BenchmarkLoss(b *testing.B) {
	defer useISA(lanewise.ActiveISA())
	const pixels, classes = 1 << 16, 19
	grad := alloc[float32](pixels * classes)
	for _, data := range lossData {
		logits, labels := makeLossData(data, pixels, classes)
		for name, method := range map[string]lanewise.Method{"exact": lanewise.Exact, "binned": lanewise.Binned} {
			for _, isa := range lanewise.AvailableISAs() {
				b.Run(fmt.Sprintf("%s/%s/%s", name, isa, data), func(b *testing.B) {
					loss, err := lanewise.NewLovasz(lanewise.LovaszConfig{Classes: classes, Layout: lanewise.ClassMajor, Method: method, Workers: 1})
					if err != nil {
						b.Fatal(err)
					}
					useISA(isa)
					b.SetBytes(pixels * classes * 4)
					for b.Loop() {
						if _, err := loss.Backward(grad, logits, labels, 1); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}

func TestStatistics(t *testing.T) {
	for _, c := range []struct {
		x              []float64
		median, spread float64
	}{
		{[]float64{7}, 7, 0},
		{[]float64{3, 1, 2}, 2, 0.25},
		{[]float64{4, 1, 3, 2}, 2.5, 0.3},
		{[]float64{100, 1, 1, 1, 1}, 1, 0}, // an outlier does not show
	} {
		if got := median(c.x); got != c.median {
			t.Errorf("median(%v) = %v, want %v", c.x, got, c.median)
		}
		if got := spread(c.x); math.Abs(got-c.spread) > 1e-15 {
			t.Errorf("spread(%v) = %v, want %v", c.x, got, c.spread)
		}
	}
	if got := median(nil); !math.IsNaN(got) {
		t.Errorf("median of nothing is %v", got)
	}
	// Both slowed down threefold in the second repeat: the ratio is 2 all the same.
	if got := ratio([]float64{2, 6, 2}, []float64{1, 3, 1}); got != 2 {
		t.Errorf("ratio = %v, want 2", got)
	}
	if got := ratio([]float64{2, 6}, []float64{1, 3, 1}); got != 2 {
		t.Errorf("ratio over the repeats that both have = %v, want 2", got)
	}
}

func TestLimit(t *testing.T) {
	x, y := make([]float32, 1<<16), make([]float32, 1<<16)
	l := merges(x, y, make([]int32, 1<<16))
	if want := 3 << 18; l.bytes != want || len(l.dst)+len(l.a)+len(l.b) != want {
		t.Errorf("three slices of 2¹⁸ bytes: bytes = %d, probed %d, want %d", l.bytes, len(l.dst)+len(l.a)+len(l.b), want)
	}
	// Half as many bytes as are probed take half the probe's time.
	small := reads(x[:leastProbe/8])
	if len(small.a) != leastProbe {
		t.Errorf("a working set of %d bytes is probed by %d, want %d", small.bytes, len(small.a), leastProbe)
	}
	ns, kind := small.ns([]float64{100}, []float64{1}, 16, 4)
	if ns[0] != 50 || kind != "read" {
		t.Errorf("limit %v %s, want 50 read", ns, kind)
	}
	// 1024 multiply-adds of 16 lanes in 1 ns; float64 has half the lanes.
	computing := small.of(64, 1<<14)
	if ns, kind := computing.ns([]float64{100}, []float64{1}, 16, 4); ns[0] != 64 || kind != "arithmetic" {
		t.Errorf("limit of float32 %v %s, want 64 arithmetic", ns, kind)
	}
	if ns, _ := computing.ns([]float64{100}, []float64{1}, 16, 8); ns[0] != 128 {
		t.Errorf("limit of float64 %v, want 128", ns)
	}
	// Slices of different lengths are probed by equal ones, and the limit counts their own bytes.
	mixed := merges(make([]float64, 1<<12), make([]float64, 1<<12), make([]int32, 1<<12))
	if mixed.bytes != 20<<12 || len(mixed.b) != 8<<12 {
		t.Errorf("bytes = %d, len(b) = %d, want %d, %d", mixed.bytes, len(mixed.b), 20<<12, 8<<12)
	}
}

func TestMeasureTakesTurns(t *testing.T) {
	var order []string
	v := func(name string) variant {
		return variant{name, func(calls int) time.Duration {
			order = append(order, fmt.Sprint(name, calls))
			return time.Duration(calls) * time.Microsecond
		}}
	}
	times := measure([]variant{v("a"), v("b")}, plan{repeats: 3, sample: 4 * time.Microsecond, budget: time.Second})
	if want := [][]float64{{1000, 1000, 1000}, {1000, 1000, 1000}}; !reflect.DeepEqual(times, want) {
		t.Errorf("ns per call %v, want %v", times, want)
	}
	if got, want := strings.Join(order, " "), "a1 a1 a5 a5 b1 b1 b5 b5 a5 b5 b5 a5 a5 b5"; got != want {
		t.Errorf("sampled %s, want %s", got, want)
	}
}

// Every peer computes what Lanewise does: numbers of other functions would compare nothing.
func TestPeersAgree(t *testing.T) {
	src, dst, want := logits[float32](19*8), alloc[float32](19*8), alloc[float32](19*8)
	lanewise.SoftmaxRows(want, src, 19)
	for _, p := range softmaxPeers(dst, src, 19) {
		clear(dst)
		p.call()
		checkClose(t, "SoftmaxRows "+p.name, dst, want)
	}
	lanewise.SoftmaxPlanes(want, src, 19)
	for _, p := range softmaxPlanesPeers(dst, src, 19, 8) {
		clear(dst)
		p.call()
		checkClose(t, "SoftmaxPlanes "+p.name, dst, want)
	}
	lanewise.CumSum(want, src)
	for _, p := range cumSumPeers(dst, src) {
		clear(dst)
		p.call()
		checkClose(t, "CumSum "+p.name, dst, want)
	}
	x := src[:19]
	lanewise.DotRows(want[:8], src, x)
	for _, p := range dotRowsPeers(dst[:8], src, x) {
		clear(dst)
		p.call()
		checkClose(t, "DotRows "+p.name, dst[:8], want[:8])
	}
	for _, p := range dotPeers(src, src) {
		p.call()
		if w := float64(lanewise.Dot(src, src)); math.Abs(sinkFloat-w) > 1e-4*w {
			t.Errorf("Dot %s: %v, want %v", p.name, sinkFloat, w)
		}
	}
	for _, p := range argMaxPeers(src) {
		p.call()
		if w := lanewise.ArgMax(src); sinkInt != w {
			t.Errorf("ArgMax %s: %d, want %d", p.name, sinkInt, w)
		}
	}
	y, dy := want, logits[float32](len(want))
	lanewise.LogSoftmaxRows(y, src, 19)
	for _, p := range logSoftmaxPeers(dst, src, 19) {
		clear(dst)
		p.call()
		checkClose(t, "LogSoftmaxRows "+p.name, dst, y)
	}
	dx := alloc[float32](len(want))
	lanewise.LogSoftmaxRowsGrad(dx, y, dy, 19)
	for _, p := range logSoftmaxGradPeers(dst, y, dy, 19) {
		clear(dst)
		p.call()
		checkClose(t, "LogSoftmaxRowsGrad "+p.name, dst, dx)
	}
	lanewise.SoftmaxRows(y, src, 19)
	lanewise.SoftmaxRowsGrad(dx, y, dy, 19)
	for _, p := range softmaxGradPeers(dst, y, dy, 19) {
		clear(dst)
		p.call()
		checkClose(t, "SoftmaxRowsGrad "+p.name, dst, dx)
	}
	classes := labels(len(src), 19)
	lanewise.ClassErrors(dx, y, classes, 7)
	for _, p := range classErrorsPeers(dst, y, classes, 7) {
		clear(dst)
		p.call()
		checkClose(t, "ClassErrors "+p.name, dst, dx)
	}
	for _, p := range logSumExpPeers(src) {
		p.call()
		if w := float64(lanewise.LogSumExp(src)); math.Abs(sinkFloat-w) > 1e-4 {
			t.Errorf("LogSumExp %s: %v, want %v", p.name, sinkFloat, w)
		}
	}
	where, got := make([]int32, 8), make([]int32, 8)
	lanewise.ArgMaxRows(where, src, 19)
	for _, p := range argMaxRowsPeers(got, src, 19) {
		clear(got)
		if p.call(); !reflect.DeepEqual(got, where) {
			t.Errorf("ArgMaxRows %s: %v, want %v", p.name, got, where)
		}
	}
	lanewise.ArgMaxPlanes(where, src, 19)
	for _, p := range argMaxPlanesPeers(got, src, 19) {
		clear(got)
		if p.call(); !reflect.DeepEqual(got, where) {
			t.Errorf("ArgMaxPlanes %s: %v, want %v", p.name, got, where)
		}
	}
	perm := make([]int32, len(src))
	copy(want, src)
	lanewise.SortDescending(want, perm)
	sorted := sortPeers(dst, src, make([]int32, len(src)))[0]
	sorted.call()
	checkClose(t, "SortDescending "+sorted.name, dst, want)

	foreground := []uint8{1, 0, 1, 1, 0, 0}
	lanewise.LovaszGrad(want[:6], foreground)
	for _, p := range lovaszGradPeers(dst[:6], foreground) {
		p.call()
		checkClose(t, "LovaszGrad "+p.name, dst[:6], want[:6])
	}
}

// Peers of the kernels that write: what the kernel left is what they have to leave.
func TestServicePeersAgree(t *testing.T) {
	const n = 38 * 30
	agree := func(name string, in instance, dst []float32) {
		t.Helper()
		in.call()
		want := slices.Clone(dst)
		for _, p := range in.peers {
			if !slices.Contains([]string{plain, gonum, vekName, "slices.SortStableFunc"}, p.name) {
				continue // a kernel of ours that is asked something else
			}
			clear(dst)
			p.call()
			checkClose(t, name+" "+p.name, dst, want)
		}
	}
	for name, f := range map[string]func(n int) instance{
		"SoftmaxAxis": softmaxAxis[float32](19), "LogSoftmaxAxis": logSoftmaxAxis[float32](19), "SoftmaxAxisGrad": softmaxAxisGrad[float32](19),
		"LogSoftmaxAxisGrad": logSoftmaxAxisGrad[float32](19), "LogSumExpAxis": logSumExpAxis[float32](19), "CumSumRows": cumSumRows[float32](19),
		"Normalize": normalize[float32], "NormalizeRows": normalizeRows[float32](38),
		"Sigmoid": sigmoid[float32], "SortAscending": sortAscending[float32], "TopKRows": topKRows[float32](10, 38),
		"SoftmaxRowsScaled": softmaxRowsScaled[float32](38), "LogSumExpRows": logSumExpRows[float32](19), "SigmoidGrad": sigmoidGrad[float32],
		"SoftmaxScaled": softmaxScaled[float32],
		"FromBFloat16":  fromBFloat16, "FromFloat16": fromFloat16, "DotRowsFloat16": dotRowsFloat16(38), "DotRowsBFloat16": dotRowsBFloat16(38),
	} {
		in := f(n)
		dst, ok := in.dst.([]float32)
		if !ok {
			t.Fatalf("%s does not say where it writes", name)
		}
		agree(name, in, dst)
	}
}

func checkClose(t *testing.T, name string, got, want []float32) {
	t.Helper()
	for i, w := range want {
		if math.Abs(float64(got[i]-w)) > 1e-4*max(1, math.Abs(float64(w))) {
			t.Errorf("%s: element %d is %v, want %v", name, i, got[i], w)
			return
		}
	}
}

// The two references of the loss agree with each other and with Lanewise.
func TestLossReferences(t *testing.T) {
	const pixels, classes = 3000, 5
	for _, data := range lossData {
		logits, labels := makeLossData(data, pixels, classes)
		want := newLoss64("softmax", input{logits, labels}, pixels, classes)
		wantLoss, wantGrad := want.loss, want.grad
		grad := make([]float32, len(logits))
		if got := newSortedLoss(pixels, classes).run(grad, logits, labels); math.Abs(got-wantLoss) > 1e-6*wantLoss {
			t.Errorf("%s: dense sort %v, want %v", data, got, wantLoss)
		}
		if e := gradError(grad, wantGrad, nil); e > 1e-3 {
			t.Errorf("%s: gradient of the dense sort is off by %v", data, e)
		}
		// One pixel's logit, by the definition of a derivative.
		const h = 1e-2
		for _, i := range []int{0, pixels + 1, 4*pixels + 17} {
			moved := func(by float32) float64 {
				x := append([]float32(nil), logits...)
				x[i] += by
				return newLoss64("softmax", input{x, labels}, pixels, classes).loss
			}
			if slope := (moved(h) - moved(-h)) / (2 * h); math.Abs(slope-wantGrad[i]) > 1e-6+0.05*math.Abs(slope) {
				t.Errorf("%s: gradient %d is %v, the loss rises by %v", data, i, wantGrad[i], slope)
			}
		}
		if e := gradError(transposed(grad, classes, pixels), wantGrad, func(i int) int { return i%classes*pixels + i/classes }); e > 1e-3 {
			t.Errorf("%s: the transposed gradient is off by %v", data, e)
		}
	}
}

// tiny is a scope that measures nothing well, but everything.
var tiny = scope{
	kernels:   plan{repeats: 3, sample: time.Microsecond},
	losses:    plan{repeats: 3, sample: time.Microsecond},
	sizes:     []int{16, 4096},
	lossSizes: []lossSize{{600, 3}},
	hardData:  hardData,
	wanted:    plan{repeats: 3, sample: time.Microsecond},
	table:     plan{repeats: 3, sample: time.Microsecond},
	pixels:    []int{64, 1 << 12},
	classes:   []int{1, 3, 1000},
	logits:    1 << 14,
	raised:    []float64{0, 12},
	whole:     true,
	largest:   256 << 10,
}

func TestRun(t *testing.T) {
	var text, asJSON bytes.Buffer
	all, err := measureAll(tiny, regexp.MustCompile(""), false, textOutput{&text})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range kernels {
		for _, typ := range k.types() {
			if !strings.Contains(text.String(), k.name+" "+typ.name) {
				t.Errorf("no table of %s %s", k.name, typ.name)
			}
		}
	}
	for _, r := range all.kernels {
		if !(r.Ns > 0) || len(r.Samples) != 3 || r.LimitNs < 0 {
			t.Errorf("%s %s%s: %v ns of %v, limit %v", r.name(), r.ISA, r.Peer, r.Ns, r.Samples, r.LimitNs)
		}
	}
	if len(all.losses) < 6*6 {
		t.Errorf("%d rows of losses", len(all.losses))
	}
	for _, r := range all.losses {
		if !(r.Backward > 0) || !(r.Copies > 0) || r.Peer == "" && (r.Memory == 0 || r.LossError > 3e-3 || r.GradError > 3e-3) {
			t.Errorf("%s %s: %+v", r.name(), r.label(), r)
		}
	}

	wanted := map[string]bool{}
	for _, r := range all.wanted {
		wanted[r.name()] = r.Most > 0
		if !(r.Backward > 0) || !(r.Forward > 0) || !(r.Sorts > 0) || r.Most > 0 && !(r.Is > 0) {
			t.Errorf("%s: %+v", r.name(), r)
		}
	}
	// Binned 64 × 2 is compared with the exact one, which has a bound too.
	if !wanted["Lovasz/softmax/class-major/none/64x2/binned"] || !wanted["Lovasz/softmax/class-major/none/64x2/exact"] || len(all.wanted) > 8 {
		t.Errorf("configurations with a bound: %v", wanted)
	}
	// One class: 6 extras of sigmoid by 2 methods, 2 of hinge; 3 classes: 2 activations, 2 layouts, 6 extras, 2 methods. 1000 are too many.
	if want := 2 * (6*2 + 2 + 2*2*6*2); len(all.table) != want {
		t.Errorf("%d configurations, want %d", len(all.table), want)
	}
	if absent := strings.Join(all.absent, "; "); !strings.Contains(absent, "64x1000, 4096x1000") {
		t.Errorf("what is too large is not named: %s", absent)
	}
	if len(all.exact) != 2*3*2 {
		t.Errorf("%d rows of exactness, want 12", len(all.exact))
	}
	for _, r := range all.exact {
		if r.short() || r.Ours == (offs{}) {
			t.Errorf("%s: %+v", r.name(), r.Ours)
		}
	}
	for _, want := range []string{"sigmoid, one class, binned", "pixel-major, void+entropy", "softmax/raised=12/wrong=10%"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in the text", want)
		}
	}

	// What -json writes, -from reads.
	for _, k := range all.kernels {
		jsonOutput{&asJSON}.kernel([]row{k})
	}
	jsonOutput{&asJSON}.machine(all.machine)
	jsonOutput{&asJSON}.loss(all.losses)
	jsonOutput{&asJSON}.wanted(all.wanted)
	jsonOutput{&asJSON}.table(all.table)
	jsonOutput{&asJSON}.exact(all.exact)
	again, err := readResults(&asJSON)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := mustJSON(t, all.kernels, all.losses, all.machine, all.wanted, all.table, all.exact),
		mustJSON(t, again.kernels, again.losses, again.machine, again.wanted, again.table, again.exact); a != b {
		t.Errorf("read back:\n%s\nwant:\n%s", b, a)
	}

	// What -benchfmt writes, benchstat's parser reads.
	var bench bytes.Buffer
	o := &benchOutput{w: benchfmt.NewWriter(&bench)}
	o.machine(all.machine)
	o.kernel(all.kernels)
	o.loss(all.losses)
	parsed := 0
	for r := benchfmt.NewReader(&bench, "bench"); r.Scan(); parsed++ {
		if e, ok := r.Result().(*benchfmt.SyntaxError); ok {
			t.Fatal(e)
		}
	}
	if want := len(all.kernels) * 3; parsed < want {
		t.Errorf("%d lines, want at least %d", parsed, want)
	}
}

func mustJSON(t *testing.T, values ...any) string {
	t.Helper()
	b, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The peers of other languages that this machine has, through their pipes.
func TestExternals(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles C and C++")
	}
	e, err := startExternals(slices.DeleteFunc(slices.Clone(allExternals), func(x external) bool { return x.tree })) // their own test has the trees
	if err != nil {
		t.Fatal(err)
	}
	defer e.stop()
	for _, absent := range e.absent {
		t.Log("absent:", absent)
	}
	kernels := map[string]string{"PyTorch": "CumSum", "PyTorch avx512": "CumSum", "oneDNN": "SoftmaxRows", "OpenBLAS": "Dot",
		"vqsort, keys alone": "SortDescending", "archsimd": "Dot"}
	logits, labels := makeLossData("random", 600, 3)
	losses := map[string]bool{}
	want := newLoss64("softmax", input{logits, labels}, 600, 3).loss
	for _, v := range e.losses(lossRow{Pixels: 600, Classes: 3}, logits, transposed(logits, 3, 600), labels, want) {
		losses[v.row.Peer] = v.forward.sample(1) > 0 && v.backward.sample(1) > 0
		if v.row.LossError > 1e-5 {
			t.Errorf("%s: the loss is off by %v", v.row.Peer, v.row.LossError)
		}
	}
	testTorch(t, e)
	for _, p := range e.running {
		kernel, ok := kernels[p.name]
		if !ok {
			if !losses[p.name] {
				t.Errorf("%s has neither kernel nor loss", p.name)
			}
			continue
		}
		if !p.has("case %s float32 1024 16", kernel) {
			t.Errorf("%s does not have %s", p.name, kernel)
		} else if d := p.sample("run")(3); d <= 0 {
			t.Errorf("%s took %v for %s", p.name, d, kernel)
		}
		if p.has("case NoSuchKernel float32 1024 16") {
			t.Errorf("%s has a kernel that does not exist", p.name)
		}
	}
}

// TestVersions compares the library with itself, and knows the kernels that another version has not.
func TestVersions(t *testing.T) {
	if testing.Short() {
		t.Skip("builds programs")
	}
	var text strings.Builder
	if _, err := compareVersions(&text, "..", tiny,
		regexp.MustCompile("^(Costs|CumSum/float32/16$|DotInt8|LogSumExp/float64|LovaszBinned)")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a program with Dot", "SoftmaxRows of an array on the stack, allocations  0  +0  +0", "CumSum float32  ",
		"LogSumExp float64  ", "LovaszBinned/19 float32  "} {
		if !regexp.MustCompile(want).MatchString(text.String()) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
	if _, err := compareVersions(&text, t.TempDir(), tiny, regexp.MustCompile("")); err == nil {
		t.Error("no error for a folder without the library")
	}

	has, err := exported("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		missing string
		fits    bool
	}{{"SoftmaxRows", false}, {"SquaredDistance", true}} {
		has[c.missing] = false
		if fits, err := usesOnly("versions/kernels.go", has); err != nil || fits != c.fits {
			t.Errorf("kernels.go without %s: %v, %v", c.missing, fits, err)
		}
		has[c.missing] = true
	}
}

// testTorch: PyTorch's loss is ours in every configuration, and is exact where nothing is nearly right.
func testTorch(t *testing.T, e *externals) {
	torch := e.torch()
	if torch == nil {
		return
	}
	cases, _ := allCases([]int{300}, []int{1, 3}, 1<<20)
	cases = append(cases, lossCase{"softmax", "class-major", "entropy", 4, 100, 3, "exact", 1},
		lossCase{"hinge", "class-major", "none", 4, 100, 1, "exact", 1})
	in := new(inputs)
	for _, c := range cases {
		if c.Method != "exact" {
			continue
		}
		x := in.of(c)
		ours, err := newRunningCase(c, x, make([]float32, c.logits()), lanewise.ActiveISA())
		if err != nil {
			t.Fatal(err)
		}
		if !e.prepare(torch, c, x) {
			t.Errorf("%s: PyTorch does not have it", c.name())
		} else if theirs := torch.loss(); math.Abs(theirs-ours.result) > 1e-5*theirs {
			t.Errorf("%s: PyTorch's loss is %v, ours %v", c.name(), theirs, ours.result)
		}
	}
	r := exactRow{Activation: "softmax"}
	if err := r.measure(e); err != nil || r.PyTorch == nil || !r.PyTorch.within(offs{1e-3, 1e-2, 1e-5}) {
		t.Errorf("%+v off by %+v, %v", r, r.PyTorch, err)
	}
}

func TestCovering(t *testing.T) {
	cases, _ := allCases(full.pixels, full.classes, full.logits)
	few := covering(cases)
	pairs := map[pair]bool{}
	for _, c := range few {
		for _, p := range c.pairs() {
			pairs[p] = true
		}
	}
	for _, c := range cases {
		for _, p := range c.pairs() {
			if !pairs[p] {
				t.Fatalf("%v with %v, as in %s, is missing", p.a, p.b, c.name())
			}
		}
	}
	if len(few) > 100 {
		t.Errorf("%d of %d cases", len(few), len(cases))
	}
}

func TestReadme(t *testing.T) {
	const before, after = "# Title\n" + beginMarker, endMarker + "\nrest\n"
	if got, err := between(before+"\nold\n"+after, "new\n"); err != nil || got != before+"\nnew\n"+after {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"", beginMarker, endMarker, endMarker + beginMarker} {
		if _, err := between(bad, "new"); err == nil {
			t.Errorf("no error for %q", bad)
		}
	}

	all := results{
		machine: machine{CPU: "A CPU", Clock: "wall", Date: "2001-02-03", ISAs: []string{"avx512", "generic"}},
		absent:  []string{"PyTorch (how to install it): why"},
		kernels: []row{
			{Kernel: "SoftmaxRows/19", Type: "float32", N: 1007, Cols: 19, ISA: "avx512", Ns: 1007, LimitNs: 503.5, OfLimit: 0.5, Ratios: map[string]float64{"fast": 0.5, "slow": 3}},
			{Kernel: "SoftmaxRows/19", Type: "float32", N: 1007, Cols: 19, ISA: "generic", Ns: 2014, LimitNs: 503.5, OfLimit: 0.25, Ratios: map[string]float64{"fast": 0.25, "slow": 1.5}},
			{Kernel: "SoftmaxRows/19", Type: "float32", N: 1007, Cols: 19, Peer: "fast", Ns: 503.5},
			{Kernel: "SoftmaxRows/19", Type: "float32", N: 1007, Cols: 19, Peer: "slow", Ns: 3021},
		},
		losses: []lossRow{
			{Pixels: 10, Classes: 2, Data: "random", Method: "exact", ISA: "avx512", Layout: "class-major", Workers: 1, Forward: 1, Backward: 2, Sorts: 7, Memory: 100, GradError: 1e-7},
			{Pixels: 10, Classes: 2, Data: "trained", Method: "exact", ISA: "avx512", Layout: "class-major", Workers: 1, Forward: 3, Backward: 4, Sorts: 5, Memory: 120, Counts: 3 << 10, GradError: 2e-7},
		},
		wanted: []caseRow{
			{lossCase: lossCase{"softmax", "class-major", "none", 1, 64, 2, "exact", 1}, ISA: "avx512", Backward: 5, Sorts: 0.5, PyTorch: 200, Most: 0.4, Of: denseSort, Is: 0.5},
			{lossCase: lossCase{"softmax", "class-major", "void", 1, 64, 2, "exact", 1}, ISA: "avx512", Backward: 6, Sorts: 0.6, Most: 1.3, Of: "Lovasz/softmax/class-major/none/64x2/exact", Is: 1.2},
		},
		table: []caseRow{{lossCase: lossCase{"sigmoid", "pixel-major", "void", 1, 64, 1, "exact", 1}, ISA: "avx512", Backward: 5}},
		exact: []exactRow{{Activation: "softmax", Raised: 14, Wrong: 0.01, Loss: 0.5, Ours: offs{1e-8, 1e-7, 1e-9},
			PyTorch: &offs{1e-5, 1e-4, 1e-6}}},
	}
	folder := t.TempDir()
	readme, plots := filepath.Join(folder, "README.md"), filepath.Join(folder, "bench", "plots")
	if err := os.WriteFile(readme, []byte(before+after), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writePlots(plots, all); err != nil {
		t.Fatal(err)
	}
	if err := updateReadme(readme, plots, all, writeSummary); err != nil {
		t.Fatal(err)
	}
	summary, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Measured on an A CPU", "(bench/plots/loss.svg)",
		"| `SoftmaxRows`, 19 columns | 1.00 | 2.00 | 0.500 fast |",
	} {
		if !strings.Contains(string(summary), want) {
			t.Errorf("no %q in\n%s", want, summary)
		}
	}
	if err := updateReadme(readme, plots, all, writeSection); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Measured on an A CPU", "on 2001-02-03", "how to install it",
		"| [`SoftmaxRows`, 19 columns](bench/plots/SoftmaxRowsx19-float32.svg) | 1007 | 1.00 (50 %) | 2.00 (25 %) | **fast 0.500 ×**, slow 3.00 × |",
		"| softmax, 64 × 2 | **5.00 (0.500)** | 200 | ≤ 0.400 × dense sort |",
		"| softmax, 64 × 2, void | 6.00 (1.20) | – | ≤ 1.30 × softmax, 64 × 2 |",
		"takes 10.0 ns a pair",
		"| sigmoid, one class, exact | 64 |\n| --- | --- |\n| pixel-major, void | 5.00 |",
		"| softmax | 1 % | 14 | 0.5 | 1e-08 | 1e-07 | 1e-09 | 1e-05 | 1e-04 | 1e-06 |",
		"| exact avx512 | class-major | 1 | 1.00 / 2.00 (7.00 ×) | 3.00 / 4.00 (5.00 ×) | 6.00 | 3 KiB | – | 2e-07 |",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	svg, err := os.ReadFile(filepath.Join(plots, "SoftmaxRowsx19-float32.svg"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<svg", "SoftmaxRows/19, float32: A CPU", "Lanewise avx512", "limit", "fast"} {
		if !bytes.Contains(svg, []byte(want)) {
			t.Errorf("no %q in the plot", want)
		}
	}
	if bytes.Contains(svg, []byte("<text")) || bytes.Count(svg, []byte("<path")) < 100 {
		t.Errorf("%s… is no plot with outlines for text", svg[:min(len(svg), 300)])
	}
}
