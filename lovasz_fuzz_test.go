package lanewise

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

// FuzzLovasz compares the loss of any configuration and input with the oracle, and between instruction sets, layouts and workers.
func FuzzLovasz(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		checkAnyCase(t, &waveCase{lossCase: decodeCase(data)}, 1+len(data)%3)
	})
}

// FuzzMasks is FuzzLovasz with masks.
func FuzzMasks(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		checkAnyCase(t, decodeMasks(data), 1+len(data)%3)
	})
}

// checkAnyCase does what FuzzLovasz says.
func checkAnyCase(t *testing.T, c *waveCase, workers int) {
	exact := c.cfg
	exact.Method = Exact
	var rounded oracleResult[float32]
	var exact64 oracleResult[float64]
	if c.masks != nil {
		rounded, exact64 = oracle[float32]{c.cfg}.runMasks(c.logits, c.masks, c.images), oracle[float64]{exact}.runMasks(widen(c.logits), c.masks,
			c.images)
	} else {
		rounded, exact64 = oracle[float32]{c.cfg}.run(c.logits, c.labels, c.images), oracle[float64]{exact}.run(widen(c.logits), c.labels,
			c.images)
	}
	call := func(c *waveCase, workers int, grad []float32) LovaszResult {
		cfg := c.cfg
		cfg.Workers = workers
		r, err := c.run(mustLovasz(t, cfg), grad, c.logits)
		if err != nil {
			t.Fatalf("%+v, %d images, masks %v, labels %v, logits %v: %v", cfg, c.images, c.masks, c.labels, c.logits, err)
		}
		return r
	}
	other := c.otherLayout()
	var first *LovaszResult
	onEveryISA(t, func(isa ISA) {
		grad, otherGrad := filled(len(c.logits), 7), filled(len(c.logits), 7)
		got := call(c, workers, grad).Clone()
		if first == nil {
			first = &got
		}
		err := errors.Join(againstRounded(got, grad, rounded), againstFloat64(c.cfg, got, exact64))
		for what, r := range map[string]LovaszResult{"Forward": call(c, 1, nil), "the other layout": call(other, 4-workers, otherGrad),
			"another ISA": *first} {
			if d := sameResult(got, r); d != "" {
				err = errors.Join(err, fmt.Errorf("%s: %s", what, d))
			}
		}
		if d := sameGradient(grad, otherLayout(other, otherGrad)); d != "" {
			err = errors.Join(err, errors.New("the other layout: "+d))
		}
		if err != nil {
			t.Errorf("%v, %d workers, %+v, %d images, masks %v, labels %v, logits %v: %v", isa, workers, c.cfg, c.images, c.masks, c.labels,
				c.logits, err)
		}
	})
}

// otherLayout returns the case in the layout that it does not have.
func (c *waveCase) otherLayout() *waveCase {
	other := *c
	other.cfg.Layout = ClassMajor - c.cfg.Layout
	other.logits = otherLayout(c, c.logits)
	if c.masks != nil {
		other.masks = otherLayout(c, c.masks)
	}
	return &other
}

// otherLayout returns x, which has the case's layout, in the other one.
func otherLayout[E any](c *waveCase, x []E) []E {
	rows, cols := len(c.labels)/c.images, c.cfg.Classes
	if c.cfg.Layout == ClassMajor {
		rows, cols = cols, rows
	}
	return transposed(x, c.images, rows, cols)
}

// FuzzHinge compares the hinge with the oracle.
func FuzzHinge(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		c := randomHinge(data)
		want := oracle[float32]{c.cfg}.hinge(c.logits, c.labels, c.images)
		onEveryISA(t, func(isa ISA) {
			got, grad := c.hinge(t, 1+len(data)%3)
			if err := againstHinge(got, grad, want); err != nil {
				t.Errorf("%v, %+v, %d images, labels %v, scores %v: %v", isa, c.cfg, c.images, c.labels, c.logits, err)
			}
		})
	})
}

// FuzzLovaszCountsUnmarshal reads any bytes, as they are and with the checksum made right.
func FuzzLovaszCountsUnmarshal(f *testing.F) {
	f.Add([]byte(nil))
	for _, c := range randomCases(40, 20) {
		c = c.countable()
		if len(c.labels) > 20 {
			continue
		}
		s := mustCounts(f, c.cfg)
		f.Add(stateOf(f, s))
		mustAdd(f, s, c)
		f.Add(stateOf(f, s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		checkState(t, data)
		if checkState(t, signed(data)) != nil {
			return
		}
		// a state that was read has room for more, and merges with its like
		var s, twin LovaszCounts
		if err := errors.Join(s.UnmarshalBinary(signed(data)), twin.UnmarshalBinary(signed(data))); err != nil {
			t.Fatal(err)
		}
		before := stateOf(t, &s)
		if err := s.Merge(&twin); err != nil && !bytes.Equal(before, stateOf(t, &s)) {
			t.Errorf("a failed Merge (%v) changed the state", err)
		}
		s.Result()
	})
}

// FuzzConfusionUnmarshal reads any bytes, as they are and with the checksum made right.
func FuzzConfusionUnmarshal(f *testing.F) {
	f.Add([]byte(nil))
	for classes := range 4 {
		c := NewConfusion(classes + 1)
		f.Add(stateOf(f, c))
		if err := c.Add([]int32{0, 0, int32(classes)}, []int32{0, int32(classes), int32(classes)}); err != nil {
			f.Fatal(err)
		}
		f.Add(stateOf(f, c))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		checkConfusion(t, data)
		checkConfusion(t, signed(data))
	})
}
