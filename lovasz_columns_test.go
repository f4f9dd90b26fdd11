package lanewise

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// columnISAs are the ISAs of this CPU that find the exact weights without a sort.
func columnISAs() []*implementation {
	return slices.DeleteFunc(slices.Clone(implementations), func(impl *implementation) bool { return impl.columns == nil })
}

// columnErrors are errors in [0, 1] of n pixels and their classes: 0 for foreground.
var columnErrors = []struct {
	name string
	fill func(rng *rand.Rand, errors []float32, target []int32)
}{
	{"uniform", func(rng *rand.Rand, errors []float32, target []int32) {
		for i := range errors {
			errors[i], target[i] = rng.Float32(), int32(rng.IntN(3))
		}
	}},
	{"random", func(rng *rand.Rand, errors []float32, target []int32) { // the softmax of random logits
		for i := range errors {
			sum := 0.0
			for range 18 {
				sum += math.Exp(rng.NormFloat64())
			}
			p := math.Exp(rng.NormFloat64())
			errors[i], target[i] = float32(p/(p+sum)), int32(rng.IntN(19))
			if target[i] == 0 {
				errors[i] = 1 - errors[i]
			}
		}
	}},
	{"confident", func(rng *rand.Rand, errors []float32, target []int32) { // 90 % of the pixels are right
		for i := range errors {
			target[i] = int32(rng.IntN(19))
			right, sum := int32(-1), 0.0
			if rng.IntN(10) > 0 {
				right = target[i]
			}
			p := 0.0
			for c := range int32(19) {
				x := rng.NormFloat64()
				if c == right {
					x += 12
				}
				x = math.Exp(x)
				sum += x
				if c == 0 {
					p = x
				}
			}
			errors[i] = float32(p / sum)
			if target[i] == 0 {
				errors[i] = 1 - errors[i]
			}
		}
	}},
	{"trained", func(rng *rand.Rand, errors []float32, target []int32) { // regions with soft borders, and blobs that are wrong
		margin, class, wrong := 0.0, int32(0), false
		for i := range errors {
			if i%53 == 0 {
				margin, class, wrong = 7+2*rng.NormFloat64(), int32(rng.IntN(4)), rng.IntN(30) == 0
			}
			m := margin + 0.7*rng.NormFloat64()
			if i%53 < 2 {
				m *= 1.3*rng.Float64() - 0.3
			}
			target[i] = class
			p := 1 / (1 + 18*math.Exp(-m))
			if (class == 0) == wrong {
				p = (1 - p) / 18 * math.Exp(rng.NormFloat64())
			}
			errors[i] = min(float32(p), 1)
			if class == 0 {
				errors[i] = 1 - errors[i]
			}
		}
	}},
	{"all equal", func(rng *rand.Rand, errors []float32, target []int32) {
		for i := range errors {
			errors[i], target[i] = 0.7, int32(rng.IntN(3))
		}
	}},
	{"all 0", func(rng *rand.Rand, errors []float32, target []int32) {
		for i := range errors {
			errors[i], target[i] = 0, int32(rng.IntN(3))
		}
	}},
	{"0 or 1", func(rng *rand.Rand, errors []float32, target []int32) {
		for i := range errors {
			errors[i], target[i] = float32(rng.IntN(2)), int32(rng.IntN(3))
		}
	}},
	{"two neighbours", func(rng *rand.Rand, errors []float32, target []int32) {
		for i := range errors {
			errors[i], target[i] = math.Float32frombits(0x3f000000+uint32(rng.IntN(2))), int32(rng.IntN(3))
		}
	}},
	{"geometric", func(rng *rand.Rand, errors []float32, target []int32) { // every value half as often as the one before
		for i := range errors {
			errors[i], target[i] = float32(math.Ldexp(1, -rng.IntN(2)*rng.IntN(30)-int(rng.ExpFloat64()/math.Ln2))), int32(rng.IntN(3))
		}
	}},
	{"exponents", func(rng *rand.Rand, errors []float32, target []int32) { // evenly over all floats, subnormal ones too
		for i := range errors {
			errors[i], target[i] = math.Float32frombits(rng.Uint32N(oneBits+1)), int32(rng.IntN(3))
		}
	}},
	{"ties", func(rng *rand.Rand, errors []float32, target []int32) {
		for i := range errors {
			errors[i], target[i] = float32(rng.IntN(300))/300, int32(rng.IntN(3))
		}
	}},
	{"spike", func(rng *rand.Rand, errors []float32, target []int32) { // most in one narrow range, the others anywhere
		for i := range errors {
			errors[i], target[i] = 0.25+rng.Float32()*0x1p-14, int32(rng.IntN(3))
			if rng.IntN(50) == 0 {
				errors[i] = math.Float32frombits(rng.Uint32N(oneBits + 1))
			}
		}
	}},
	{"unlike the sample", func(rng *rand.Rand, errors []float32, target []int32) { // the sample takes runs of 64
		for i := range errors {
			errors[i], target[i] = math.Float32frombits(0x3f000000|rng.Uint32N(1<<10)), int32(rng.IntN(3))
			if i/64%2 == 0 {
				errors[i] = rng.Float32()
			}
		}
	}},
	{"few foreground", func(rng *rand.Rand, errors []float32, target []int32) {
		for i := range errors {
			errors[i], target[i] = rng.Float32(), int32(rng.IntN(10000))
		}
	}},
	{"all foreground", func(rng *rand.Rand, errors []float32, target []int32) {
		for i := range errors {
			errors[i], target[i] = rng.Float32(), 0
		}
	}},
}

// checkColumns compares an ISA's weights and loss with those of the sort.
func checkColumns(t *testing.T, s *columnScratch, sorter *sorter[uint32], k *columnKernels, errors []float32, target []int32) {
	t.Helper()
	g := int64(0)
	smallest, largest := k.extremes(errors, target, 0)
	wantSmallest, wantLargest := uint32(math.MaxUint32), uint32(0)
	for i, e := range errors {
		if target[i] == 0 {
			g++
			wantSmallest = min(wantSmallest, math.Float32bits(e))
		}
		wantLargest = max(wantLargest, math.Float32bits(e))
	}
	if smallest != wantSmallest || largest != wantLargest {
		t.Fatalf("extremes are %#x and %#x, want %#x and %#x", smallest, largest, wantSmallest, wantLargest)
	}
	if g == 0 {
		return
	}
	got, want := slices.Clone(errors), slices.Clone(errors)
	sum := s.weigh(k, got, target, 0, g, smallest, largest)
	loss, wantLoss := sum.value(), sortedWeights(sorter, want, target, 0, g)
	for i := range got {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("pixel %d of %d, error %v (class %d, %d foreground): weight %v, want %v", i, len(got), errors[i], target[i], g, got[i], want[i])
		}
	}
	if loss != wantLoss {
		t.Fatalf("loss %v, want %v", loss, wantLoss)
	}
	for i, x := range s.slots {
		if x != 0 {
			t.Fatalf("slot %d of %d is %d afterwards", i, len(s.slots), x)
		}
	}
}

func TestColumnWeights(t *testing.T) {
	for _, impl := range columnISAs() {
		var s columnScratch
		var sorter sorter[uint32]
		for _, data := range columnErrors {
			t.Run(fmt.Sprintf("%v/%s", impl.isa, data.name), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(1, 2))
				sizes := []int{4096, 65536, 100_001, 524288}
				for n := range 300 {
					sizes = append(sizes, n)
				}
				for n := 300; n < 2000; n += 1 + rng.IntN(17) {
					sizes = append(sizes, n)
				}
				for _, n := range sizes {
					errors, target := make([]float32, n), make([]int32, n)
					data.fill(rng, errors, target)
					checkColumns(t, &s, &sorter, impl.columns, errors, target)
				}
			})
		}
	}
}

// TestColumnForeground has every number of foreground pixels from 0 on.
func TestColumnForeground(t *testing.T) {
	for _, impl := range columnISAs() {
		var s columnScratch
		var sorter sorter[uint32]
		rng := rand.New(rand.NewPCG(3, 4))
		errors, target := make([]float32, 777), make([]int32, 777)
		for i := range errors {
			errors[i], target[i] = float32(rng.IntN(1000))/999, 1
		}
		for i := range rng.Perm(len(errors)) {
			checkColumns(t, &s, &sorter, impl.columns, errors, target)
			target[i] = 0
		}
		checkColumns(t, &s, &sorter, impl.columns, errors, target)
	}
}

func FuzzColumnWeights(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9}, uint8(0), uint16(3))
	f.Add([]byte{0x3f, 0x80, 0, 0, 0x3f, 0, 0, 1}, uint8(3), uint16(500))
	f.Fuzz(func(t *testing.T, raw []byte, zeros uint8, copies uint16) {
		if len(raw) > 1<<12 {
			return
		}
		var errors []float32
		var target []int32
		for range copies%64 + 1 {
			for i := 0; i+4 <= len(raw); i += 4 {
				b := uint32(raw[i])<<24 | uint32(raw[i+1])<<16 | uint32(raw[i+2])<<8 | uint32(raw[i+3])
				b &^= 1<<(zeros%31) - 1
				errors = append(errors, math.Float32frombits(b%(oneBits+1)))
				target = append(target, int32(b>>30)+int32(len(errors))%3)
			}
		}
		for _, impl := range columnISAs() {
			checkColumns(t, new(columnScratch), new(sorter[uint32]), impl.columns, errors, target)
		}
	})
}

// BenchmarkExactWeights gives ns per error, of the columns and of the sort.
func BenchmarkExactWeights(b *testing.B) {
	const pixels = 524288
	for _, data := range columnErrors {
		errors, target := make([]float32, pixels), make([]int32, pixels)
		data.fill(rand.New(rand.NewPCG(1, 2)), errors, target)
		g := int64(0)
		for _, c := range target {
			if c == 0 {
				g++
			}
		}
		work := make([]float32, pixels)
		for _, impl := range implementations {
			b.Run(fmt.Sprintf("%s/%v", data.name, impl.isa), func(b *testing.B) {
				defer UseISA(ActiveISA())
				UseISA(impl.isa)
				var s exactScratch
				for b.Loop() {
					copy(work, errors)
					exactWeights(&s, work, target, 0, g)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/pixels, "ns/error")
			})
		}
	}
}
