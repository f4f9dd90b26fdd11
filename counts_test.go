package lanewise

import (
	"bytes"
	"encoding"
	"encoding/hex"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
)

var (
	_ encoding.BinaryMarshaler   = (*LovaszCounts)(nil)
	_ encoding.BinaryUnmarshaler = (*LovaszCounts)(nil)
	_ encoding.BinaryAppender    = (*LovaszCounts)(nil)
)

// countable returns the case as LovaszCounts takes it: binned, one loss for all images, without cross-entropy.
func (c lossCase) countable() lossCase {
	c = c.withoutEntropy()
	c.cfg.Method, c.cfg.PerImage = Binned, false
	return c
}

// withoutEntropy returns the case without its cross-entropy.
func (c lossCase) withoutEntropy() lossCase {
	c.cfg.CrossEntropy, c.cfg.CrossEntropyWeights, c.cfg.LabelSmoothing = 0, nil, 0
	return c
}

func mustCounts(t testing.TB, cfg LovaszConfig) *LovaszCounts {
	t.Helper()
	c, err := NewLovaszCounts(cfg)
	if err != nil {
		t.Fatalf("%+v: %v", cfg, err)
	}
	return c
}

func mustAdd(t testing.TB, counts *LovaszCounts, c lossCase) {
	t.Helper()
	if err := counts.Add(c.logits, c.labels, c.images); err != nil {
		t.Fatalf("%+v: %v", c.cfg, err)
	}
}

func stateOf(t testing.TB, c encoding.BinaryMarshaler) []byte {
	t.Helper()
	b, err := c.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// parts cuts a PixelMajor case at random places.
func (c lossCase) parts(rng *rand.Rand, n int) []lossCase {
	C, pixels := c.cfg.Classes, len(c.labels)
	cuts := []int{0, pixels}
	for range n - 1 {
		cuts = append(cuts, rng.IntN(pixels+1))
	}
	slices.Sort(cuts)
	var parts []lossCase
	for i := range n {
		p := c
		p.images = 1
		p.labels, p.logits = c.labels[cuts[i]:cuts[i+1]], c.logits[cuts[i]*C:cuts[i+1]*C]
		parts = append(parts, p)
	}
	return parts
}

// Any split, merged in any order and through bytes, gives the bits of one Forward over everything, and its gradient part by part.
func TestLovaszCountsSplitAndMerge(t *testing.T) {
	manyWorkers(t)
	rng := newRand(20)
	some := 50
	if *long {
		some = 150
	}
	cases := randomCases(21, some)
	for kind := range sceneNames {
		cases = append(cases, sceneCase(rng, kind, 5000, 3))
	}
	for i := range cases {
		cases[i] = cases[i].countable().pixelMajor()
	}
	eachISA(t, func(t *testing.T) {
		for i, c := range cases {
			want, wantGrad := c.backward(t, 1)
			var states []*LovaszCounts
			parts := c.parts(rng, 1+rng.IntN(5))
			for j, p := range parts {
				p.cfg.Workers = j % 3
				s := mustCounts(t, p.cfg)
				for _, q := range p.parts(rng, 1+j%2) { // some in two Adds
					mustAdd(t, s, q)
				}
				if rng.IntN(2) == 0 {
					var back LovaszCounts
					if err := back.UnmarshalBinary(stateOf(t, s)); err != nil {
						t.Fatalf("case %d, %+v: %v", i, c.cfg, err)
					}
					s = &back
				}
				states = append(states, s)
			}
			for len(states) > 1 {
				a := rng.IntN(len(states))
				s := states[a]
				states = slices.Delete(states, a, a+1)
				if err := states[rng.IntN(len(states))].Merge(s); err != nil {
					t.Fatalf("case %d, %+v: %v", i, c.cfg, err)
				}
			}
			s := states[0]
			if d := sameResult(s.Result(), want); d != "" {
				t.Fatalf("case %d, %+v: merged and at once: %s", i, c.cfg, d)
			}
			var gradient []float32
			for _, p := range parts {
				g := filled(len(p.logits), 7)
				if err := s.Backward(g, p.logits, p.labels, 1); err != nil {
					t.Fatalf("case %d, %+v: %v", i, c.cfg, err)
				}
				gradient = append(gradient, g...)
			}
			if d := sameGradient(gradient, wantGrad); d != "" {
				t.Fatalf("case %d, %+v: the parts' gradients and the whole's: %s", i, c.cfg, d)
			}
			whole := mustCounts(t, c.cfg)
			mustAdd(t, whole, c)
			if !bytes.Equal(stateOf(t, s), stateOf(t, whole)) {
				t.Fatalf("case %d, %+v: the bytes depend on the split", i, c.cfg)
			}
		}
	})
}

// The layout and the number of images leave no trace in the counts.
func TestLovaszCountsLayouts(t *testing.T) {
	manyWorkers(t)
	for i, c := range randomCases(22, 60) {
		c = c.countable().pixelMajor()
		want, wantGrad := c.backward(t, 1)
		planes, pixels := c, len(c.labels)/c.images
		planes.cfg.Layout, planes.cfg.Workers = ClassMajor, 2
		planes.logits = transposed(c.logits, c.images, pixels, c.cfg.Classes)
		s := mustCounts(t, planes.cfg)
		mustAdd(t, s, planes)
		if d := sameResult(s.Result(), want); d != "" {
			t.Fatalf("case %d, %+v: %s", i, c.cfg, d)
		}
		grad := slices.Clone(planes.logits)
		if err := s.Backward(grad, grad, planes.labels, planes.images); err != nil { // in place
			t.Fatal(err)
		}
		if d := sameGradient(transposed(grad, c.images, c.cfg.Classes, pixels), wantGrad); d != "" {
			t.Fatalf("case %d, %+v: %s", i, c.cfg, d)
		}
		rows := mustCounts(t, c.cfg)
		if err := rows.Merge(s); err != nil { // layouts and workers may differ
			t.Fatalf("case %d, %+v: %v", i, c.cfg, err)
		}
		if d := sameResult(rows.Result(), want); d != "" {
			t.Fatalf("case %d, %+v, merged: %s", i, c.cfg, d)
		}
	}
}

func TestLovaszCountsConfig(t *testing.T) {
	for name, cfg := range map[string]LovaszConfig{
		"per image":     {Classes: 3, PerImage: true},
		"cross-entropy": {Classes: 3, CrossEntropy: 1},
	} {
		if s, err := NewLovaszCounts(cfg); s != nil || !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v, %v; want ErrConfig", name, s, err)
		}
	}
	base := LovaszConfig{Classes: 3, OnlyClasses: []int{0, 2}, SkipClasses: []int{1, 0}, VoidLabels: []int32{255, -1},
		Weights: []float32{1, 2, 3}}
	c := lossCase{base, reportA, []int32{0, 1, 2, 0}, 1}
	same := map[string]func(cfg *LovaszConfig){
		"method":               func(cfg *LovaszConfig) { cfg.Method = Binned },
		"workers":              func(cfg *LovaszConfig) { cfg.Workers = 3 },
		"layout":               func(cfg *LovaszConfig) { cfg.Layout = ClassMajor },
		"order of OnlyClasses": func(cfg *LovaszConfig) { cfg.OnlyClasses = []int{2, 0} },
		"order of SkipClasses": func(cfg *LovaszConfig) { cfg.SkipClasses = []int{0, 1} },
		"order of VoidLabels":  func(cfg *LovaszConfig) { cfg.VoidLabels = []int32{-1, 255} },
		"repeated VoidLabels":  func(cfg *LovaszConfig) { cfg.VoidLabels = []int32{-1, 255, -1} },
	}
	different := map[string]func(cfg *LovaszConfig){
		"classes": func(cfg *LovaszConfig) {
			cfg.Classes, cfg.Weights = 4, []float32{1, 2, 3, 4}
		},
		"activation":        func(cfg *LovaszConfig) { cfg.Activation = SigmoidActivation },
		"average":           func(cfg *LovaszConfig) { cfg.Average = AllClasses },
		"OnlyClasses":       func(cfg *LovaszConfig) { cfg.OnlyClasses = []int{0, 1} },
		"fewer OnlyClasses": func(cfg *LovaszConfig) { cfg.OnlyClasses = []int{2} },
		"no OnlyClasses":    func(cfg *LovaszConfig) { cfg.OnlyClasses = nil },
		"SkipClasses":       func(cfg *LovaszConfig) { cfg.SkipClasses = []int{0} },
		"VoidLabels":        func(cfg *LovaszConfig) { cfg.VoidLabels = []int32{255} },
		"void":              func(cfg *LovaszConfig) { cfg.Void = AsBackground },
		"weights":           func(cfg *LovaszConfig) { cfg.Weights = []float32{1, 2, 4} },
		"order of weights":  func(cfg *LovaszConfig) { cfg.Weights = []float32{2, 1, 3} },
		"no weights":        func(cfg *LovaszConfig) { cfg.Weights = nil },
	}
	merge := func(edit func(cfg *LovaszConfig)) (merge, unmarshal error, changed bool) {
		a, cfg := mustCounts(t, base), base
		mustAdd(t, a, c)
		before := stateOf(t, a)
		edit(&cfg)
		b := mustCounts(t, cfg)
		unmarshal = a.UnmarshalBinary(stateOf(t, b))
		if unmarshal == nil { // it took over the empty state
			a = mustCounts(t, base)
			mustAdd(t, a, c)
		}
		merge = a.Merge(b)
		return merge, unmarshal, !bytes.Equal(before, stateOf(t, a))
	}
	for name, edit := range same {
		if m, u, changed := merge(edit); m != nil || u != nil || changed {
			t.Errorf("%s: merge %v, unmarshal %v, changed %v; want none of these", name, m, u, changed)
		}
	}
	for name, edit := range different {
		if m, u, changed := merge(edit); !errors.Is(m, ErrConfig) || !errors.Is(u, ErrConfig) || changed {
			t.Errorf("%s: merge %v, unmarshal %v, changed %v; want ErrConfig", name, m, u, changed)
		}
	}
}

func TestLovaszCountsZeroValue(t *testing.T) {
	var zero LovaszCounts
	zero.Reset()
	if r := zero.Result(); r.Loss != 0 || r.Lovasz != 0 || r.Gap != 0 || r.CrossEntropy != 0 || r.PerImage != nil {
		t.Errorf("result %+v", r)
	}
	full := mustCounts(t, LovaszConfig{Classes: 3})
	mustAdd(t, full, lossCase{logits: reportA, labels: []int32{0, 1, 2, 0}, images: 1})
	before := stateOf(t, full)
	_, marshal := zero.MarshalBinary()
	appended, appendErr := zero.AppendBinary([]byte("abc"))
	for name, err := range map[string]error{
		"Add":           zero.Add(reportA, []int32{0, 1, 2, 0}, 1),
		"Add nothing":   zero.Add(nil, nil, 1),
		"Backward":      zero.Backward(make([]float32, 12), reportA, []int32{0, 1, 2, 0}, 1),
		"Merge":         zero.Merge(full),
		"Merge zero":    zero.Merge(new(LovaszCounts)),
		"Merge nil":     full.Merge(nil),
		"Merge of it":   full.Merge(&zero),
		"MarshalBinary": marshal,
		"AppendBinary":  appendErr,
	} {
		if !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v, want ErrConfig", name, err)
		}
	}
	if string(appended) != "abc" && appended != nil {
		t.Errorf("AppendBinary returned %q", appended)
	}
	if !bytes.Equal(before, stateOf(t, full)) {
		t.Error("merging a zero value changed something")
	}
	if err := zero.UnmarshalBinary(before); err != nil {
		t.Fatal(err)
	}
	if d := sameResult(zero.Result(), full.Result()); d != "" {
		t.Error(d)
	}
	mustAdd(t, &zero, lossCase{logits: reportA, labels: []int32{0, 1, 2, 0}, images: 1})
}

func TestLovaszCountsReset(t *testing.T) {
	c := sceneCase(newRand(23), sceneTrained, 2000, 4).countable()
	s := mustCounts(t, c.cfg)
	empty := stateOf(t, s)
	if r := s.Result(); r.Loss != 0 || r.Gap != 0 || len(r.PerClass) != 4 || r.PerClass[0] == r.PerClass[0] {
		t.Errorf("without a pixel: %+v", r)
	}
	mustAdd(t, s, c)
	full := stateOf(t, s)
	want := s.Result().Clone()
	s.Reset()
	if !bytes.Equal(empty, stateOf(t, s)) {
		t.Error("after Reset the state is not that of a new one")
	}
	mustAdd(t, s, c)
	if d := sameResult(s.Result(), want); d != "" || !bytes.Equal(full, stateOf(t, s)) {
		t.Errorf("after Reset and the same pixels: %s", d)
	}
}

// An Add that fails adds nothing, whatever stood before the bad pixel.
func TestLovaszCountsErrors(t *testing.T) {
	manyWorkers(t)
	for _, workers := range []int{1, 3} {
		c := sceneCase(newRand(24), sceneTrained, 9000, 3).countable()
		c.cfg.Workers = workers
		s := mustCounts(t, c.cfg)
		mustAdd(t, s, c)
		before := stateOf(t, s)
		labels, logits := slices.Clone(c.labels), slices.Clone(c.logits)
		labels[8000] = 3
		wantPixelError(t, s.Add(logits, labels, 1), ErrLabel, 8000, -1)
		logits[7000*3+1] = float32(math.NaN())
		wantPixelError(t, s.Add(logits, labels, 1), ErrNotFinite, 7000, 1)
		for _, images := range []int{0, -1, 7} {
			if err := s.Add(c.logits, c.labels, images); !errors.Is(err, ErrShape) {
				t.Errorf("%d images: %v", images, err)
			}
		}
		if err := s.Add(c.logits[1:], c.labels, 1); !errors.Is(err, ErrShape) {
			t.Errorf("a logit short: %v", err)
		}
		grad := filled(len(logits), 7)
		wantPixelError(t, s.Backward(grad, logits, labels, 1), ErrNotFinite, 7000, 1)
		for name, g := range map[string][]float32{"nil": nil, "short": grad[1:]} {
			if err := s.Backward(g, c.logits, c.labels, 1); !errors.Is(err, ErrShape) {
				t.Errorf("gradient %s: %v", name, err)
			}
		}
		if !slices.Equal(grad, filled(len(grad), 7)) {
			t.Error("a failed Backward wrote")
		}
		if !bytes.Equal(before, stateOf(t, s)) {
			t.Error("a failed Add changed the counts")
		}
	}
}

// Backward does not count its pixels, and Result does not disturb what follows.
func TestLovaszCountsReadOnly(t *testing.T) {
	c := sceneCase(newRand(25), sceneConfident, 3000, 3).countable()
	s := mustCounts(t, c.cfg)
	parts := c.parts(newRand(26), 2)
	mustAdd(t, s, parts[0])
	s.Result()
	mustAdd(t, s, parts[1])
	before := stateOf(t, s)
	grad := make([]float32, len(c.logits))
	if err := s.Backward(grad, c.logits, c.labels, 1); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, stateOf(t, s)) {
		t.Error("Backward changed the counts")
	}
	want, wantGrad := c.backward(t, 1)
	if d := sameResult(s.Result(), want) + sameGradient(grad, wantGrad); d != "" {
		t.Error(d)
	}
}

// Counts far beyond 32 bits: doubling all of them 30 times scales every weight by a power of two, so that not a bit of the loss changes.
func TestLovaszCountsLarge(t *testing.T) {
	c := sceneCase(newRand(27), sceneTrained, 3000, 3).countable()
	c.cfg.Average = AllClasses
	s := mustCounts(t, c.cfg)
	mustAdd(t, s, c)
	want := s.Result().Clone()
	for range 30 {
		twin := mustCounts(t, c.cfg)
		if err := twin.UnmarshalBinary(stateOf(t, s)); err != nil {
			t.Fatal(err)
		}
		if err := s.Merge(twin); err != nil {
			t.Fatal(err)
		}
	}
	got := s.Result()
	if !sameFloat(got.Loss, want.Loss) || !slices.EqualFunc(got.PerClass, want.PerClass, sameFloat) || got.Gap < 0 ||
		got.Gap > 0x1p-8*got.Loss {
		t.Errorf("3·2³⁰ thousand pixels: %+v, one of each %+v", got, want)
	}
}

// A state merged into itself counts everything twice.
func TestLovaszCountsMergeItself(t *testing.T) {
	c := sceneCase(newRand(31), sceneConfident, 500, 3).countable()
	s, twice := mustCounts(t, c.cfg), mustCounts(t, c.cfg)
	mustAdd(t, s, c)
	mustAdd(t, twice, c)
	mustAdd(t, twice, c)
	if err := s.Merge(s); err != nil || !bytes.Equal(stateOf(t, s), stateOf(t, twice)) {
		t.Errorf("merged into itself (%v) it is not what the pixels twice are", err)
	}
}

// Doubling one pixel for ever: there comes an error, or the loss of one pixel.
func TestLovaszCountsOverflow(t *testing.T) {
	cfg := LovaszConfig{Classes: 1, Activation: NoActivation}
	s := mustCounts(t, cfg)
	mustAdd(t, s, lossCase{cfg, []float32{0.3}, []int32{1}, 1})
	want := s.Result().Loss
	for i := range 70 {
		before := stateOf(t, s)
		twin := mustCounts(t, cfg)
		if err := twin.UnmarshalBinary(before); err != nil {
			t.Fatal(err)
		}
		if err := s.Merge(twin); err != nil {
			if i < 40 || !bytes.Equal(before, stateOf(t, s)) {
				t.Errorf("2^%d pixels: %v", i+1, err)
			}
			return
		}
		if got := s.Result(); got.Loss != want || got.Gap < 0 || got.Gap > 0x1p-8 {
			t.Fatalf("2^%d pixels: %+v, of one %v", i+1, got, want)
		}
	}
}

func TestLovaszCountsBytes(t *testing.T) {
	c := sceneCase(newRand(28), sceneTrained, 40, 3).countable()
	c.cfg.VoidLabels, c.cfg.Weights, c.cfg.SkipClasses = []int32{255}, []float32{1, 2, 0.5}, []int{1}
	s := mustCounts(t, c.cfg)
	mustAdd(t, s, c)
	state := stateOf(t, s)
	if len(state) > 5000 {
		t.Errorf("%d bytes for 40 pixels of 3 classes: not sparse", len(state))
	}
	appended, err := s.AppendBinary([]byte("abc"))
	if err != nil || string(appended) != "abc"+string(state) {
		t.Errorf("AppendBinary and MarshalBinary differ (%v)", err)
	}
	kept := slices.Clone(state)
	s.Reset()
	if !bytes.Equal(kept, state) {
		t.Error("the bytes are not the caller's own")
	}
	if err := s.UnmarshalBinary(state); err != nil {
		t.Fatal(err)
	}
	want := s.Result().Clone()
	clear(state) // nor does it keep those it was given
	if d := sameResult(s.Result(), want); d != "" {
		t.Error(d)
	}
	state = kept

	rejects := func(what string, b []byte) {
		t.Helper()
		var fresh LovaszCounts
		for _, dst := range []*LovaszCounts{s, &fresh} {
			if err := dst.UnmarshalBinary(b); !errors.Is(err, ErrFormat) {
				t.Errorf("%s: %v, want ErrFormat", what, err)
			}
		}
		if !bytes.Equal(stateOf(t, s), state) {
			t.Fatalf("%s: changed the state", what)
		}
		if err := fresh.Add(nil, nil, 1); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: configured a zero value (%v)", what, err)
		}
	}
	for n := range state {
		rejects("truncated", state[:n:n])
	}
	rejects("a byte more", append(slices.Clone(state), 0))
	rejects("a byte more, signed", signed(append(slices.Clone(state), 0)))
	rejects("a byte less, signed", signed(state[:len(state)-1]))
	rejects("twice", append(slices.Clone(state), state...))
	rejects("nothing", nil)
	confusion := NewConfusion(3)
	rejects("a Confusion", stateOf(t, confusion))
	rejects("text", bytes.Repeat([]byte("label,prediction\n"), 40))
	rejects("zeros", make([]byte, 4096))
	rejects("ones", bytes.Repeat([]byte{0xff}, 4096))
}

func TestLovaszCountsSize(t *testing.T) {
	for kind, most := range map[int]int{sceneRandom: 235_000, sceneConfident: 508_000, sceneTrained: 545_000} {
		c := sceneCase(newRand(31), kind, 1<<16, 19)
		s := mustCounts(t, c.cfg)
		mustAdd(t, s, c)
		if n := len(stateOf(t, s)); n > most {
			t.Errorf("scene %d: %d bytes for 65536 pixels of 19 classes, want at most %d", kind, n, most)
		}
	}
}

// A state that no pixels have is an error, and so are other bytes for one that they have.
func TestLovaszCountsImpossible(t *testing.T) {
	cfg := LovaszConfig{Classes: 1, Activation: NoActivation}
	state := func(change func(s *LovaszCounts)) []byte {
		s := mustCounts(t, cfg)
		mustAdd(t, s, lossCase{cfg, []float32{1, 0.25}, []int32{0, 0}, 1})
		change(s)
		return stateOf(t, s)
	}
	right := state(func(*LovaszCounts) {})
	if err := checkState(t, right); err != nil {
		t.Fatal(err)
	}
	quarter := binOf(math.Float32bits(0.25))
	soft := mustCounts(t, LovaszConfig{Classes: 2}) // masks, which drop pixels of one class, are for others
	mustAdd(t, soft, lossCase{soft.plan.cfg, []float32{1, 0.25, 3, 4}, []int32{0, 1}, 1})
	soft.kept++
	fewer := stateOf(t, soft)
	padded := slices.Concat(right[:4], []byte{right[4] | 0x80, 0}, right[5:])
	for what, b := range map[string][]byte{
		"an error above 1":            state(func(s *LovaszCounts) { s.state[0].bins[binCount-1].rest[0]++ }),
		"a rest that a pixel has not": state(func(s *LovaszCounts) { s.state[0].bins[quarter].rest[0] = 1 << restBits }),
		"more pixels than counted":    state(func(s *LovaszCounts) { s.state[0].bins[quarter].count[1]++ }),
		"fewer pixels than counted":   fewer,
		"a longer number than needed": signed(padded),
	} {
		if err := checkState(t, b); err == nil {
			t.Errorf("%s was read", what)
		}
	}
}

// Bytes outlive a process, and travel: those of version 2 stay readable, on machines of either byte order.
func TestLovaszCountsStoredBytes(t *testing.T) {
	const stored = "4c574c02030000000001020201fe03030000803f00000000000000400300a05a5e1500e4afca08c04e00c0405d8a0880820180b2f6" +
		"400d405aaa3202b01300506daf0a009809b9a609ce"
	cfg := LovaszConfig{Classes: 3, VoidLabels: []int32{255, -1}, Weights: []float32{1, 0, 2}, SkipClasses: []int{1}}
	s := mustCounts(t, cfg)
	mustAdd(t, s, lossCase{cfg, reportA, []int32{0, 1, 2, 255}, 1})
	if got := hex.EncodeToString(stateOf(t, s)); got != stored {
		t.Errorf("the state is %s, was %s", got, stored)
	}
	b, err := hex.DecodeString(stored)
	if err != nil {
		t.Fatal(err)
	}
	var back LovaszCounts
	if err := back.UnmarshalBinary(b); err != nil {
		t.Fatal(err)
	}
	if d := sameResult(back.Result(), s.Result()); d != "" {
		t.Error(d)
	}
}

// Whatever becomes of a byte, there is an error or a state that works; and what it takes to say so is bounded.
func TestLovaszCountsCorrupted(t *testing.T) {
	// bins side by side, too
	c := lossCase{
		cfg:    LovaszConfig{Classes: 2, Activation: NoActivation, VoidLabels: []int32{255}, OnlyClasses: []int{1}},
		logits: []float32{0.5, 0.5, 0.5, 0.5 + 0x1p-10, 0.1, 0.9, 0.4, 0.6, 0.5, 0.5, 1, 0},
		labels: []int32{0, 0, 1, 1, 1, 0},
		images: 1,
	}
	s := mustCounts(t, c.cfg)
	mustAdd(t, s, c)
	state := stateOf(t, s)
	var before, after runtime.MemStats
	failed := 0
	for i := range state {
		for bit := range 8 {
			b := slices.Clone(state)
			b[i] ^= 1 << bit
			if err := checkState(t, b); err == nil {
				t.Errorf("byte %d, bit %d flipped, and nobody noticed", i, bit)
			}
			runtime.ReadMemStats(&before)
			err := checkState(t, signed(b)) // by someone who can sum
			runtime.ReadMemStats(&after)
			if err != nil {
				failed++
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
				t.Errorf("byte %d, bit %d flipped: %d MB allocated for %d bytes (%v)", i, bit, n>>20, len(b), err)
			}
		}
	}
	if failed < 4*len(state) {
		t.Errorf("of %d flipped bits under a right checksum only %d were noticed", 8*len(state), failed)
	}
}

// signed returns b with the checksum that both encodings end in made right.
func signed(b []byte) []byte {
	if len(b) < 4 {
		return b
	}
	return appendChecksum(slices.Clone(b[:len(b)-4]), 0)
}

// checkState unmarshals b into a zero LovaszCounts. Without an error everything has to work on it.
func checkState(t testing.TB, b []byte) error {
	t.Helper()
	var s LovaszCounts
	if err := s.UnmarshalBinary(b); err != nil {
		if !errors.Is(err, ErrFormat) {
			t.Errorf("%v is not ErrFormat", err)
		}
		if _, err := s.MarshalBinary(); !errors.Is(err, ErrConfig) {
			t.Errorf("after bad bytes the zero value answers %v", err)
		}
		return err
	}
	for k, c := range s.state {
		b := c.bins
		var pixels uint64
		for i := range b {
			pixels += b[i].count[0] + b[i].count[1]
			for f, n := range b[i].count {
				if b[i].rest[f] > n*(1<<14-1) {
					t.Errorf("class %d, bin %d: a rest of %d of %d pixels", k, i, b[i].rest[f], n)
				}
				if i == binCount-1 && b[i].rest[f] > 0 {
					t.Errorf("class %d: errors above 1", k)
				}
			}
		}
		if exact := s.plan.cfg.Activation == SoftmaxActivation; s.plan.averaged[k] && (pixels > s.kept || exact && pixels < s.kept) {
			t.Errorf("class %d has %d pixels of %d", k, pixels, s.kept)
		}
	}
	if again := stateOf(t, &s); !bytes.Equal(again, b) {
		t.Errorf("the bytes %x are read, and written as %x", b, again)
	}
	var twin LovaszCounts
	if err := twin.UnmarshalBinary(b); err != nil {
		t.Fatalf("the second time: %v", err)
	}
	r := s.Result().Clone()
	if d := sameResult(r, twin.Result()); d != "" {
		t.Error(d)
	}
	if r.Loss != r.Loss || r.Loss < 0 || r.Loss > 1.0001 || r.Gap != r.Gap || r.Gap < 0 {
		t.Errorf("loss %v, gap %v", r.Loss, r.Gap)
	}
	return nil
}

// A few bytes that claim to be counts of very many classes do not allocate the memory for them, unless the receiver asked for as many.
func TestLovaszCountsManyClasses(t *testing.T) {
	if !*long {
		t.Skip("takes over a gigabyte")
	}
	cfg := LovaszConfig{Classes: 3000, Activation: SigmoidActivation}
	c, err := NewLovaszCounts(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Add(make([]float32, cfg.Classes), []int32{7}, 1); err != nil {
		t.Fatal(err)
	}
	data, err := c.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var unknown LovaszCounts
	if err := unknown.UnmarshalBinary(data); !errors.Is(err, ErrFormat) {
		t.Errorf("%d bytes of %d classes into a zero LovaszCounts: %v, want ErrFormat", len(data), cfg.Classes, err)
	}
	want := c.Result().Loss
	c.Reset()
	if err := c.UnmarshalBinary(data); err != nil || c.Result().Loss != want {
		t.Errorf("into one of its configuration: %v, loss %v, want %v", err, c.Result().Loss, want)
	}
}
