package lanewise

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// columnISAs are the ISAs of this CPU that find the exact weights without a sort.
func columnISAs() []ISA {
	return slices.DeleteFunc(slices.Clone(available), func(isa ISA) bool { return isa == Generic })
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

// signedBy returns the errors of these pixels, negative for foreground, which is target 0.
func signedBy(errors []float32, target []int32) []float32 {
	signed := slices.Clone(errors)
	for i := range signed {
		if target[i] == 0 {
			signed[i] = -signed[i]
		}
	}
	return signed
}

// A columnCase finds the weights of one class in columns and by sorting. Its slices are used again.
type columnCase struct {
	keys, plain keyLists
	columns     columnWeigher
	sorted      sortedWeigher
	weights     []float32
}

// run returns the weights of the pixels times factor, and the loss, by a weigher; the pixels come in pieces.
func (c *columnCase) run(w weigher, isa ISA, signed []float32, s stats, factor float32, dst []float32) float64 {
	w.begin(s, signed)
	ends := [2]int{min(len(signed)/3*2+1, len(signed)), len(signed)}
	var marks [2][maxParts]uint32
	at := 0
	for i, end := range ends {
		w.add(signed[at:end], marks[i][:])
		at = end
	}
	c.weights = resize(c.weights, len(signed)+padding)
	var found spread
	loss, _ := w.weigh(c.weights, &found)
	at = 0
	for i, end := range ends {
		for t := range found.parts {
			marks[i][t] += found.begin[t]
		}
		found.spread(isa, dst[at:end], signed[at:end], c.weights, at, &marks[i], factor)
		at = end
	}
	return loss
}

func (c *columnCase) inColumns(isa ISA) weigher {
	c.columns.isa, c.columns.keys = isa, &c.keys
	return &c.columns
}

func (c *columnCase) bySorting() weigher {
	c.sorted.isa, c.sorted.keys = Generic, &c.plain
	return &c.sorted
}

// statsOf returns what a call knows of a class.
func statsOf(signed []float32) stats {
	s := stats{from: math.MaxUint32, top: oneBits}
	for _, v := range signed {
		e, foreground := errorBits(v)
		if foreground != 0 {
			s.foreground++
			s.from = min(s.from, e)
		}
		s.top = max(s.top, e)
	}
	return s
}

// checkColumns compares an ISA's weights and loss with those of the sort.
func checkColumns(t *testing.T, c *columnCase, isa ISA, signed []float32) {
	t.Helper()
	st := statsOf(signed)
	if st.foreground == 0 {
		return
	}
	const factor = 0.7
	got, want := make([]float32, len(signed)), make([]float32, len(signed))
	loss, wantLoss := c.run(c.inColumns(isa), isa, signed, st, factor, got), c.run(c.bySorting(), Generic, signed, st, factor, want)
	for i := range got {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("pixel %d of %d, error %v (%d foreground): %v, want %v", i, len(got), signed[i], st.foreground, got[i], want[i])
		}
	}
	if loss != wantLoss {
		t.Fatalf("loss %v, want %v", loss, wantLoss)
	}
	if forward, _ := c.columns.weigh(nil, nil); forward != wantLoss {
		t.Fatalf("loss without the weights %v, want %v", forward, wantLoss)
	}
	for i, x := range c.columns.slots {
		if x != 0 {
			t.Fatalf("slot %d of %d is %d afterwards", i, len(c.columns.slots), x)
		}
	}
}

func TestColumnWeights(t *testing.T) {
	for _, isa := range columnISAs() {
		var c columnCase
		for _, data := range columnErrors {
			t.Run(fmt.Sprintf("%v/%s", isa, data.name), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(1, 2))
				sizes, step := []int{4096, 65536, 160_001}, 67
				if *long {
					sizes, step = append(sizes, 100_001, 524288), 17
				}
				for n := range 300 {
					sizes = append(sizes, n)
				}
				for n := 300; n < 2000; n += 1 + rng.IntN(step) {
					sizes = append(sizes, n)
				}
				for _, n := range sizes {
					errors, target := make([]float32, n), make([]int32, n)
					data.fill(rng, errors, target)
					checkColumns(t, &c, isa, signedBy(errors, target))
				}
			})
		}
	}
}

// TestColumnForeground has every number of foreground pixels from 0 on.
func TestColumnForeground(t *testing.T) {
	for _, isa := range columnISAs() {
		var c columnCase
		rng := rand.New(rand.NewPCG(3, 4))
		errors, target := make([]float32, 777), make([]int32, 777)
		for i := range errors {
			errors[i], target[i] = float32(rng.IntN(1000))/999, 1
		}
		for i := range rng.Perm(len(errors)) {
			checkColumns(t, &c, isa, signedBy(errors, target))
			target[i] = 0
		}
		checkColumns(t, &c, isa, signedBy(errors, target))
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
		for _, isa := range columnISAs() {
			checkColumns(t, new(columnCase), isa, signedBy(errors, target))
		}
	})
}

// BenchmarkExactWeights gives ns per pixel, in columns and by sorting.
func BenchmarkExactWeights(b *testing.B) {
	const pixels = 524288
	for _, data := range columnErrors {
		errors, target := make([]float32, pixels), make([]int32, pixels)
		data.fill(rand.New(rand.NewPCG(1, 2)), errors, target)
		signed, dst := signedBy(errors, target), make([]float32, pixels)
		st := statsOf(signed)
		var c columnCase
		report := func(name string, f func()) {
			b.Run(data.name+"/"+name, func(b *testing.B) {
				for b.Loop() {
					f()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/pixels, "ns/pixel")
			})
		}
		for _, isa := range columnISAs() {
			report(isa.String(), func() { c.run(c.inColumns(isa), isa, signed, st, 1, dst) })
		}
		report("sorted", func() { c.run(c.bySorting(), Generic, signed, st, 1, dst) })
	}
}
