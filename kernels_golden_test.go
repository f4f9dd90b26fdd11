package lanewise

import (
	_ "embed"
	"encoding/binary"
	"flag"
	"fmt"
	"hash/fnv"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/golden.txt anew")

// The bits of every kernel and of the loss, hashed a line for each: CI compares them on platforms that differ in their compilers, word
// sizes and byte orders.
//
//go:embed testdata/golden.txt
var goldenLines string

// TestGolden compares results with the committed ones, which every platform and every ISA has to give.
func TestGolden(t *testing.T) {
	if *update {
		if err := os.WriteFile("testdata/golden.txt", []byte(strings.Join(golden(t), "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want := strings.Split(strings.TrimSuffix(goldenLines, "\n"), "\n")
	eachISA(t, func(t *testing.T) {
		got := golden(t)
		for _, line := range got {
			if !slices.Contains(want, line) {
				t.Errorf("not in the file: %s", line)
			}
		}
		for _, line := range want {
			if !slices.Contains(got, line) {
				t.Errorf("only in the file: %s", line)
			}
		}
	})
}

// golden returns the lines of the golden file.
func golden(t *testing.T) []string {
	lines := goldenKernels[float32]()
	lines = append(lines, goldenKernels[float64]()...)
	return append(lines, goldenLoss(t)...)
}

// goldenKernels has a line for every kernel and shape, over all kinds of values.
func goldenKernels[T Float]() (lines []string) {
	shapes := []shape{{1, 1, 1}, {1, 50, 1}, {1, 300, 1}, {1, 9000, 1}, {33, 3, 1}, {20, 19, 1}, {5, 70, 1}, {2, 300, 1}, {1, 2, 100},
		{1, 19, 40}, {1, 70, 17}, {3, 5, 7}}
	for _, k := range kernelTests[T]() {
		for i, s := range shapes {
			if !k.family.takes(s) {
				continue
			}
			h := fnv.New64a()
			for _, kind := range fills {
				o := k.operands(s, kind, uint64(i))
				k.run(&o, s)
				h.Write(resultBytes(o.dst, o.index, k.exact))
			}
			lines = append(lines, fmt.Sprintf("%s %T %v %016x", k.name, T(0), s, h.Sum64()))
		}
	}
	return lines
}

// resultBytes returns the bits of what a kernel wrote. A NaN without defined bits counts as the canonical one.
func resultBytes[T Float](dst []T, index []int32, exact bool) (b []byte) {
	for _, v := range dst {
		if v != v && !exact {
			v = canonicalNaN[T]()
		}
		b = binary.LittleEndian.AppendUint64(b, bitsOf(v))
	}
	for _, v := range index {
		b = binary.LittleEndian.AppendUint32(b, uint32(v))
	}
	return b
}

// goldenLoss runs the loss in every layout, activation and method, forward and backward.
func goldenLoss(t *testing.T) (lines []string) {
	const images, pixels, classes = 2, 700, 5
	configs := []LovaszConfig{
		{},
		{Layout: ClassMajor},
		{Activation: SigmoidActivation},
		{Activation: NoActivation},
		{Average: AllClasses, VoidLabels: []int32{255}, CrossEntropy: 0.5, Weights: []float32{1, 2, 0.5, 0.1, 3}},
		{Layout: ClassMajor, PerImage: true, VoidLabels: []int32{255, 2}, Void: AsBackground, CrossEntropy: 2},
		{Activation: SigmoidActivation, Layout: ClassMajor, SkipClasses: []int{1}, VoidLabels: []int32{255}, CrossEntropy: 1},
	}
	for i, cfg := range configs {
		cfg.Classes, cfg.Workers = classes, 1
		r := random(1000 + i)
		logits, labels := make([]float32, images*pixels*classes), make([]int32, images*pixels)
		for j := range logits {
			logits[j] = float32(r.uniform(4))
			if cfg.Activation == NoActivation {
				logits[j] = float32(math.Abs(r.uniform(0)))
			}
		}
		for j := range labels {
			if labels[j] = int32(r.below(classes)); cfg.VoidLabels != nil && r.below(9) == 0 {
				labels[j] = 255
			}
			if at := (j*classes + int(labels[j])) % len(logits); cfg.Activation != NoActivation && r.below(2) == 0 {
				logits[at] += 8
			}
		}
		for _, cfg.Method = range []Method{Exact, Binned} {
			l, err := NewLovasz(cfg)
			if err != nil {
				t.Fatal(err)
			}
			grad := make([]float32, len(logits))
			result, err := l.Backward(grad, logits, labels, images)
			if err != nil {
				t.Fatal(err)
			}
			numbers := append([]float64{result.Loss, result.Lovasz, result.CrossEntropy, result.Gap}, result.PerClass...)
			lines = append(lines, goldenLine("loss", i, cfg.Method, numbers, grad, result.Loss))
			if result, err = l.Forward(logits, labels, images); err != nil {
				t.Fatal(err)
			}
			numbers = append([]float64{result.Loss, result.Lovasz, result.CrossEntropy, result.Gap}, result.PerImage...)
			lines = append(lines, goldenLine("forward", i, cfg.Method, numbers, nil, result.Loss))
		}
	}

	r := random(2000)
	scores, labels, grad := make([]float32, 999), make([]int32, 999), make([]float32, 999)
	for i := range scores {
		scores[i], labels[i] = float32(r.uniform(2)), int32(r.below(2))
	}
	l, err := NewLovasz(LovaszConfig{Classes: 1, Activation: NoActivation, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	result, err := l.Hinge(grad, scores, labels, 1)
	if err != nil {
		t.Fatal(err)
	}
	return append(lines, goldenLine("hinge", 0, Exact, []float64{result.Loss}, grad, result.Loss))
}

// goldenLine hashes the result of the loss, and the gradient, and shows the loss itself.
func goldenLine(name string, config int, method Method, numbers []float64, grad []float32, loss float64) string {
	h := fnv.New64a()
	h.Write(resultBytes(numbers, nil, false))
	h.Write(resultBytes(grad, nil, false))
	return fmt.Sprintf("%s %d method %d %016x %.17g", name, config, method, h.Sum64(), loss)
}
