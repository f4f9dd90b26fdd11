package lanewise

import (
	"bytes"
	"errors"
	"testing"
)

// FuzzLovasz compares the loss of any configuration and input with the oracle.
func FuzzLovasz(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		c := decodeCase(data)
		rounded := oracle[float32]{c.cfg}.run(c.logits, c.labels, c.images)
		exact := c.cfg
		exact.Method = Exact
		exact64 := oracle[float64]{exact}.run(widen(c.logits), c.labels, c.images)
		onEveryISA(t, func(isa ISA) {
			got, grad := c.backward(t, 1+len(data)%3)
			err := errors.Join(againstRounded(got, grad, rounded), againstFloat64(c.cfg, got, exact64))
			if err != nil {
				t.Errorf("%v, %+v, %d images, labels %v, logits %v: %v", isa, c.cfg, c.images, c.labels, c.logits, err)
			}
			if d := sameResult(got, c.forward(t, 1)); d != "" {
				t.Errorf("%v, %+v: Backward and Forward: %s", isa, c.cfg, d)
			}
		})
	})
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
