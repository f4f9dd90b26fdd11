package lanewise

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// panicOf returns what f panics with, or nil.
func panicOf(f func()) (value any) {
	defer func() { value = recover() }()
	f()
	return nil
}

// wantUsedTwice asks for the panic of a value that another goroutine is in.
func wantUsedTwice(t *testing.T, name, kind string, value any) {
	t.Helper()
	if text, ok := value.(string); !ok || !strings.HasPrefix(text, "lanewise: a "+kind+" is used by two goroutines") {
		t.Errorf("%s panics with %v, want the text of a %s that two goroutines use", name, value, kind)
	}
}

// Every method panics while another goroutine is in one, touches nothing, and works when that has left.
func TestUsedTwice(t *testing.T) {
	logits, labels, masks, grad := []float32{1, 2, 3, 4}, []int32{0, 1}, []uint8{0, 1, 1, 0}, make([]float32, 4)
	l := mustLovasz(t, LovaszConfig{Classes: 2, Activation: SigmoidActivation})
	counts, others := mustCounts(t, l.plan.cfg), mustCounts(t, l.plan.cfg)
	countsBytes := stateOf(t, counts)
	confusion, other := NewConfusion(2), NewConfusion(2)
	confusionBytes := stateOf(t, confusion)
	countsText, err := counts.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	confusionText, err := confusion.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	type methods map[string]func() error
	for _, c := range []struct {
		kind             string
		use              *inUse
		changes, reading methods
	}{
		{"Lovasz", &l.inUse, methods{
			"Forward":       func() error { _, err := l.Forward(logits, labels, 1); return err },
			"Backward":      func() error { _, err := l.Backward(grad, logits, labels, 1); return err },
			"ForwardMasks":  func() error { _, err := l.ForwardMasks(logits, masks, 1); return err },
			"BackwardMasks": func() error { _, err := l.BackwardMasks(grad, logits, masks, 1); return err },
			"Hinge":         func() error { _, err := l.Hinge(grad[:2], logits[:2], labels, 1); return err },
			"Release":       func() error { l.Release(); return nil },
		}, nil},
		{"LovaszCounts", &counts.inUse, methods{
			"Add":             func() error { return counts.Add(logits, labels, 1) },
			"AddMasks":        func() error { return counts.AddMasks(logits, masks, 1) },
			"Backward":        func() error { return counts.Backward(grad, logits, labels, 1) },
			"BackwardMasks":   func() error { return counts.BackwardMasks(grad, logits, masks, 1) },
			"Merge":           func() error { return counts.Merge(others) },
			"Merge of it":     func() error { return others.Merge(counts) },
			"Result":          func() error { counts.Result(); return nil },
			"Reset":           func() error { counts.Reset(); return nil },
			"AppendBinary":    func() error { _, err := counts.AppendBinary(nil); return err },
			"MarshalBinary":   func() error { _, err := counts.MarshalBinary(); return err },
			"UnmarshalBinary": func() error { return counts.UnmarshalBinary(countsBytes) },
			"MarshalText":     func() error { _, err := counts.MarshalText(); return err },
			"UnmarshalText":   func() error { return counts.UnmarshalText(countsText) },
		}, nil},
		{"Confusion", &confusion.inUse, methods{
			"Add":             func() error { return confusion.Add(labels, labels) },
			"Merge":           func() error { return confusion.Merge(other) },
			"UnmarshalBinary": func() error { return confusion.UnmarshalBinary(confusionBytes) },
			"UnmarshalText":   func() error { return confusion.UnmarshalText(confusionText) },
		}, methods{
			"Merge of it":          func() error { return other.Merge(confusion) },
			"At":                   func() error { confusion.At(0, 1); return nil },
			"IoU":                  func() error { confusion.IoU(); return nil },
			"Dice":                 func() error { confusion.Dice(); return nil },
			"Precision":            func() error { confusion.Precision(); return nil },
			"Recall":               func() error { confusion.Recall(); return nil },
			"MeanIoU":              func() error { confusion.MeanIoU(1); return nil },
			"Accuracy":             func() error { confusion.Accuracy(); return nil },
			"FrequencyWeightedIoU": func() error { confusion.FrequencyWeightedIoU(); return nil },
			"AppendBinary":         func() error { _, err := confusion.AppendBinary(nil); return err },
			"MarshalBinary":        func() error { _, err := confusion.MarshalBinary(); return err },
			"MarshalText":          func() error { _, err := confusion.MarshalText(); return err },
		}},
	} {
		succeeds := func(name string, f func() error) {
			t.Helper()
			if value := panicOf(func() { err = f() }); value != nil || err != nil {
				t.Errorf("%s.%s: %v, panic %v", c.kind, name, err, value)
			}
		}
		for name, f := range c.changes {
			c.use.enter(c.kind)
			wantUsedTwice(t, c.kind+"."+name, c.kind, panicOf(func() { _ = f() }))
			c.use.leave()
			succeeds(name, f)
			c.use.enterReading(c.kind)
			wantUsedTwice(t, c.kind+"."+name, c.kind, panicOf(func() { _ = f() }))
			c.use.leaveReading()
			succeeds(name, f)
		}
		for name, f := range c.reading {
			c.use.enter(c.kind)
			wantUsedTwice(t, c.kind+"."+name, c.kind, panicOf(func() { _ = f() }))
			c.use.leave()
			c.use.enterReading(c.kind)
			succeeds(name, f)
			c.use.leaveReading()
			succeeds(name, f)
		}
	}
	for name, f := range map[string]func(){"At": func() { confusion.At(2, 0) }, "MeanIoU": func() { confusion.MeanIoU(2) }} {
		if panicOf(f) == nil {
			t.Errorf("Confusion.%s of a class that there is not: no panic", name)
		}
		if err := confusion.Add([]int32{9}, []int32{0}); err == nil {
			t.Error("a prediction outside the classes: no error")
		}
		if err := confusion.Add(labels, labels); err != nil {
			t.Errorf("after a panic of Confusion.%s: %v", name, err)
		}
	}
}

// Eight goroutines share what is one's: a call succeeds, with the right answer, or panics at its caller, who can try again.
func TestReportedSharing(t *testing.T) {
	c := sceneCase(newRand(38), sceneTrained, 6000, 4)
	want, wantGrad := c.backward(t, 1)
	binned := c
	binned.cfg.Method = Binned
	alone := mustCounts(t, binned.cfg)
	mustAdd(t, alone, binned)
	for _, workers := range []int{1, 0} {
		cfg := c.cfg
		cfg.Workers = workers
		l, counts, confusion := mustLovasz(t, cfg), mustCounts(t, cfg), NewConfusion(4)
		for _, shared := range []struct {
			kind string
			call func(grad []float32) error
			done func(succeeded int) error
		}{
			{"Lovasz", func(grad []float32) error {
				got, err := l.Backward(grad, c.logits, c.labels, 1)
				if d := sameGradient(grad, wantGrad); err != nil || got.Loss != want.Loss || d != "" {
					return fmt.Errorf("loss %v, want %v; %s wanted; %v", got.Loss, want.Loss, d, err)
				}
				return nil
			}, func(int) error {
				got, err := l.Forward(c.logits, c.labels, 1)
				if d := sameResult(got, want); err != nil || d != "" {
					return fmt.Errorf("%v %s wanted", err, d)
				}
				return nil
			}},
			{"LovaszCounts", func([]float32) error { return counts.Add(c.logits, c.labels, 1) }, func(succeeded int) error {
				all := mustCounts(t, cfg)
				for range succeeded {
					if err := all.Merge(alone); err != nil {
						return err
					}
				}
				if d := sameResult(counts.Result(), all.Result()); d != "" {
					return fmt.Errorf("%s wanted", d)
				}
				return nil
			}},
			{"Confusion", func([]float32) error { return confusion.Add(c.labels, c.labels) }, func(succeeded int) error {
				if confusion.total != int64(succeeded*len(c.labels)) || confusion.Accuracy() != 1 {
					return fmt.Errorf("%d pixels with accuracy %v, want %d × %d", confusion.total, confusion.Accuracy(), succeeded, len(c.labels))
				}
				return nil
			}},
		} {
			var group sync.WaitGroup
			var mutex sync.Mutex
			succeeded, panicked := 0, 0
			for range 8 {
				group.Go(func() {
					grad := make([]float32, len(c.logits))
					for own := 0; own < 3; {
						var err error
						value := panicOf(func() { err = shared.call(grad) })
						if value != nil {
							time.Sleep(50 * time.Microsecond)
						}
						mutex.Lock()
						switch {
						case value != nil:
							panicked++
							wantUsedTwice(t, "a call", shared.kind, value)
						case err != nil:
							t.Errorf("%s, %d workers: %v", shared.kind, workers, err)
							own++
						default:
							own++
							succeeded++
						}
						mutex.Unlock()
					}
				})
			}
			group.Wait()
			t.Logf("%s, %d workers: %d calls, %d panics", shared.kind, workers, succeeded, panicked)
			if err := shared.done(succeeded); succeeded != 8*3 || err != nil {
				t.Errorf("%s, %d workers, after %d calls: %v", shared.kind, workers, succeeded, err)
			}
		}
	}
}
