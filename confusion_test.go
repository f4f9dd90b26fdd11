package lanewise

import (
	"bytes"
	"encoding"
	"encoding/hex"
	"errors"
	"math"
	"runtime"
	"slices"
	"testing"
)

var (
	_ encoding.BinaryMarshaler   = (*Confusion)(nil)
	_ encoding.BinaryUnmarshaler = (*Confusion)(nil)
	_ encoding.BinaryAppender    = (*Confusion)(nil)
)

// confusionOf counts predictions, which must be right.
func confusionOf(t testing.TB, classes int, predicted, labels []int32) *Confusion {
	t.Helper()
	c := NewConfusion(classes)
	if err := c.Add(predicted, labels); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestConfusion(t *testing.T) {
	// class 0: 2 of 3 right, predicted 3 times; class 1: 1 of 2 right, predicted twice; class 2: never seen; class 3: only predicted
	c := confusionOf(t, 4, []int32{0, 0, 1, 1, 0, 3}, []int32{0, 0, 0, 1, 1, 255})
	if err := c.Add([]int32{3}, []int32{1}); err != nil {
		t.Fatal(err)
	}
	want := [4][4]int64{{2, 1, 0, 0}, {1, 1, 0, 1}, {}, {}}
	for label := range 4 {
		for predicted := range 4 {
			if n := c.At(label, predicted); n != want[label][predicted] {
				t.Errorf("label %d predicted as %d: %d times, want %d", label, predicted, n, want[label][predicted])
			}
		}
	}
	iou := []float64{2. / 4, 1. / 4, math.NaN(), 0}
	if got := c.IoU(); !slices.EqualFunc(got, iou, sameFloat) {
		t.Errorf("IoU %v, want %v", got, iou)
	}
	if got := c.MeanIoU(); got != 0.25 {
		t.Errorf("mean IoU %v, want 0.25", got)
	}
	perfect := confusionOf(t, 2, []int32{0, 1, 1}, []int32{0, 1, 1})
	if got := perfect.MeanIoU(); got != 1 {
		t.Errorf("mean IoU of a perfect prediction: %v", got)
	}
	one := confusionOf(t, 1, []int32{0, 0}, []int32{0, 7})
	if one.At(0, 0) != 1 || one.MeanIoU() != 1 {
		t.Errorf("one class: %d, %v", one.At(0, 0), one.MeanIoU())
	}
}

func TestConfusionAgainstCounting(t *testing.T) {
	rng := newRand(30)
	for range 50 {
		classes, n := 1+rng.IntN(9), rng.IntN(500)
		predicted, labels := make([]int32, n), make([]int32, n)
		for i := range n {
			predicted[i] = rng.Int32N(int32(classes))
			labels[i] = []int32{rng.Int32N(int32(classes)), predicted[i], -1, 255, math.MaxInt32, math.MinInt32, int32(classes)}[rng.IntN(7)]
		}
		half := rng.IntN(n + 1)
		c := confusionOf(t, classes, predicted[:half], labels[:half])
		if err := c.Merge(confusionOf(t, classes, predicted[half:], labels[half:])); err != nil {
			t.Fatal(err)
		}
		var sum, counted float64
		for k := range int32(classes) {
			var both, either float64
			for j := range int32(classes) {
				var pairs int64
				for i := range n {
					if labels[i] == k && predicted[i] == j {
						pairs++
					}
				}
				if got := c.At(int(k), int(j)); got != pairs {
					t.Fatalf("label %d predicted as %d: %d times, want %d", k, j, got, pairs)
				}
			}
			for i := range n {
				if labels[i] < 0 || labels[i] >= int32(classes) {
					continue
				}
				both += float64(b2i(labels[i] == k && predicted[i] == k))
				either += float64(b2i(labels[i] == k || predicted[i] == k))
			}
			if got := c.IoU()[k]; !within(got, both/either, 1e-15, 0) {
				t.Fatalf("class %d: IoU %v, want %v", k, got, both/either)
			}
			if either > 0 {
				sum, counted = sum+both/either, counted+1
			}
		}
		if got := c.MeanIoU(); counted > 0 && !within(got, sum/counted, 1e-14, 0) {
			t.Fatalf("mean IoU %v, want %v", got, sum/counted)
		}
	}
}

// What scikit-learn and torchmetrics have for these counts, by hand.
func TestConfusionMeasures(t *testing.T) {
	c := confusionOf(t, 4, []int32{0, 0, 1, 1, 0, 3, 3}, []int32{0, 0, 0, 1, 1, 1, 255})
	for _, test := range []struct {
		name      string
		got, want []float64
	}{
		{"Dice", c.Dice(), []float64{4. / 6, 2. / 5, math.NaN(), 0}},
		{"Precision", c.Precision(), []float64{2. / 3, 1. / 2, math.NaN(), 0}},
		{"Recall", c.Recall(), []float64{2. / 3, 1. / 3, math.NaN(), math.NaN()}},
		{"Accuracy", []float64{c.Accuracy()}, []float64{3. / 6}},
		{"FrequencyWeightedIoU", []float64{c.FrequencyWeightedIoU()}, []float64{(3*(2./4) + 3*(1./4)) / 6}},
		{"MeanIoU", []float64{c.MeanIoU(), c.MeanIoU(0, 1), c.MeanIoU(1, 2), c.MeanIoU(2), c.MeanIoU(3, 0)}, []float64{.25, .375, .25, math.NaN(), .25}},
	} {
		if !slices.EqualFunc(test.got, test.want, func(a, b float64) bool { return sameFloat(a, b) || math.Abs(a-b) < 1e-15 }) {
			t.Errorf("%s: got %v, want %v", test.name, test.got, test.want)
		}
	}
	// Class 0 is void: what was predicted as it still counts against the others, and its own IoU is in no mean.
	void := confusionOf(t, 3, []int32{0, 0, 1, 2}, []int32{-1, 1, 1, 2})
	if got := void.MeanIoU(1, 2); got != .75 {
		t.Errorf("mean IoU without class 0: %v, want 0.75", got)
	}
	empty := NewConfusion(2)
	for i, v := range append([]float64{empty.Accuracy(), empty.FrequencyWeightedIoU(), empty.MeanIoU()},
		slices.Concat(empty.Dice(), empty.Precision(), empty.Recall())...) {
		if !math.IsNaN(v) {
			t.Errorf("measure %d of nothing is %v", i, v)
		}
	}
	for _, k := range []int{-1, 4} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("MeanIoU(%d) did not panic", k)
				}
			}()
			c.MeanIoU(0, k)
		}()
	}
}

// More pixels than an int64 counts are refused, whole: no count, and no sum of counts, turns negative.
func TestConfusionOverflow(t *testing.T) {
	for _, labels := range [][]int32{{1, 1, 1}, {0, 1, 1}} {
		c := confusionOf(t, 2, []int32{1, 1, 0}, labels)
		merges := 0
		for ; merges < 70; merges++ {
			before := stateOf(t, c)
			if err := c.Merge(c); err != nil {
				if !errors.Is(err, ErrShape) || !bytes.Equal(before, stateOf(t, c)) {
					t.Errorf("%v, or the counts have changed", err)
				}
				break
			}
		}
		if merges != 61 { // 3·2⁶¹ < 2⁶³ < 3·2⁶²
			t.Errorf("%d merges went well", merges)
		}
		for k, iou := range c.IoU() {
			if iou < 0 || iou > 1 || c.At(k, k) < 0 {
				t.Errorf("class %d: %d, IoU %v", k, c.At(k, k), iou)
			}
		}
		if a, w := c.Accuracy(), c.FrequencyWeightedIoU(); a <= 0 || a > 1 || w <= 0 || w > 1 {
			t.Errorf("accuracy %v, weighted IoU %v", a, w)
		}
	}
	full := &Confusion{classes: 1, counts: []int64{math.MaxInt64 - 1}, total: math.MaxInt64 - 1}
	if err := full.Add([]int32{0, 0}, []int32{0, 7}); err != nil {
		t.Errorf("the last pixel: %v", err)
	}
	if err := full.Add([]int32{0, 0}, []int32{7, 0}); !errors.Is(err, ErrShape) || full.At(0, 0) != math.MaxInt64 {
		t.Errorf("one more: %v, %d", err, full.At(0, 0))
	}
	var back Confusion
	if err := back.UnmarshalBinary(stateOf(t, full)); err != nil || back.At(0, 0) != math.MaxInt64 {
		t.Errorf("%v, %d", err, back.At(0, 0))
	}
	over := &Confusion{classes: 2, counts: []int64{math.MaxInt64, 0, 1, 0}}
	if err := new(Confusion).UnmarshalBinary(stateOf(t, over)); !errors.Is(err, ErrFormat) {
		t.Errorf("2⁶³ pixels in bytes: %v", err)
	}
}

func TestConfusionErrors(t *testing.T) {
	for _, classes := range []int{0, -1, math.MinInt} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("NewConfusion(%d) did not panic", classes)
				}
			}()
			NewConfusion(classes)
		}()
	}
	c := confusionOf(t, 3, []int32{0, 1}, []int32{0, 2})
	before := stateOf(t, c)
	for name, err := range map[string]error{
		"a label less":  c.Add([]int32{0, 1, 2}, []int32{0, 1}),
		"a label more":  c.Add([]int32{0, 1}, []int32{0, 1, 2}),
		"no prediction": c.Add(nil, []int32{0}),
	} {
		if !errors.Is(err, ErrShape) {
			t.Errorf("%s: %v, want ErrShape", name, err)
		}
	}
	for _, p := range []int32{3, -1, math.MaxInt32, math.MinInt32} {
		wantPixelError(t, c.Add([]int32{0, 1, p, p}, []int32{0, 1, 2, 0}), ErrLabel, 2, -1)
	}
	if err := c.Merge(NewConfusion(4)); !errors.Is(err, ErrConfig) {
		t.Errorf("merging 4 classes into 3: %v, want ErrConfig", err)
	}
	if err := c.UnmarshalBinary(stateOf(t, NewConfusion(4))); !errors.Is(err, ErrConfig) {
		t.Errorf("unmarshalling 4 classes into 3: %v, want ErrConfig", err)
	}
	if err := c.Add(nil, nil); err != nil {
		t.Errorf("nothing: %v", err)
	}
	if !bytes.Equal(before, stateOf(t, c)) {
		t.Error("an error changed the counts")
	}
}

func TestConfusionZeroValue(t *testing.T) {
	var zero Confusion
	full := confusionOf(t, 2, []int32{0, 1}, []int32{0, 0})
	_, marshal := zero.MarshalBinary()
	for name, err := range map[string]error{
		"Add":           zero.Add([]int32{0}, []int32{0}),
		"Merge":         zero.Merge(full),
		"Merge of it":   full.Merge(&zero),
		"Merge nil":     full.Merge(nil),
		"MarshalBinary": marshal,
	} {
		if !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v, want ErrConfig", name, err)
		}
	}
	if got := zero.IoU(); len(got) != 0 {
		t.Errorf("IoU %v", got)
	}
	if err := zero.UnmarshalBinary(stateOf(t, full)); err != nil {
		t.Fatal(err)
	}
	if zero.At(0, 1) != 1 || zero.MeanIoU() != full.MeanIoU() {
		t.Errorf("%d, %v", zero.At(0, 1), zero.MeanIoU())
	}
}

func TestConfusionBytes(t *testing.T) {
	c := confusionOf(t, 3, []int32{0, 1, 2, 0, 1}, []int32{0, 1, 1, 2, 255})
	state := stateOf(t, c)
	appended, err := c.AppendBinary([]byte("abc"))
	if err != nil || string(appended) != "abc"+string(state) {
		t.Errorf("AppendBinary and MarshalBinary differ (%v)", err)
	}
	rejects := func(what string, b []byte) {
		t.Helper()
		var fresh Confusion
		for _, dst := range []*Confusion{c, &fresh} {
			if err := dst.UnmarshalBinary(b); !errors.Is(err, ErrFormat) {
				t.Errorf("%s: %v, want ErrFormat", what, err)
			}
		}
		if !bytes.Equal(stateOf(t, c), state) {
			t.Fatalf("%s: changed the state", what)
		}
	}
	for n := range state {
		rejects("truncated", state[:n:n])
	}
	rejects("a byte more", append(slices.Clone(state), 0))
	rejects("a byte more, signed", signed(append(slices.Clone(state), 0)))
	rejects("a byte less, signed", signed(state[:len(state)-1]))
	rejects("a LovaszCounts", stateOf(t, mustCounts(t, LovaszConfig{Classes: 3})))
	rejects("zeros", make([]byte, 4096))
	rejects("ones", bytes.Repeat([]byte{0xff}, 4096))

	var before, after runtime.MemStats
	for i := range state {
		for bit := range 8 {
			b := slices.Clone(state)
			b[i] ^= 1 << bit
			if checkConfusion(t, b) == nil {
				t.Errorf("byte %d, bit %d flipped, and nobody noticed", i, bit)
			}
			runtime.ReadMemStats(&before)
			checkConfusion(t, signed(b))
			runtime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
				t.Errorf("byte %d, bit %d flipped: %d MB allocated", i, bit, n>>20)
			}
		}
	}
}

// Those of version 1 stay readable, on machines of either byte order.
func TestConfusionStoredBytes(t *testing.T) {
	const stored = "4c5743010301000000010100000084037ab1"
	c := confusionOf(t, 3, []int32{0, 1, 2, 0}, []int32{0, 1, 1, 255})
	if got := hex.EncodeToString(stateOf(t, c)); got != stored {
		t.Errorf("the state is %s, was %s", got, stored)
	}
}

// checkConfusion unmarshals b. Without an error everything has to work on it.
func checkConfusion(t testing.TB, b []byte) error {
	t.Helper()
	var c Confusion
	if err := c.UnmarshalBinary(b); err != nil {
		if !errors.Is(err, ErrFormat) {
			t.Errorf("%v is not ErrFormat", err)
		}
		return err
	}
	var twin Confusion
	if err := twin.UnmarshalBinary(stateOf(t, &c)); err != nil || !bytes.Equal(stateOf(t, &c), stateOf(t, &twin)) {
		t.Errorf("its own bytes: %v", err)
	}
	iou := c.IoU()
	if len(iou) == 0 {
		t.Error("no classes")
	}
	for k, v := range iou {
		if v < 0 || v > 1 {
			t.Errorf("class %d: IoU %v", k, v)
		}
		if c.At(k, k) < 0 {
			t.Errorf("class %d: %d pixels", k, c.At(k, k))
		}
	}
	if m := c.MeanIoU(); m < 0 || m > 1 {
		t.Errorf("mean IoU %v", m)
	}
	return nil
}
