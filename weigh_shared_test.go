package lanewise

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"
)

// sharedCase has classes of several parts.
func sharedCase(classes int, method Method) lossCase {
	rng, pixels := newRand(uint64(classes)), 200_000
	if classes == 1 {
		pixels = 400_000
	}
	cfg := LovaszConfig{Classes: classes, Activation: SigmoidActivation, VoidLabels: []int32{255}, Method: method}
	c := lossCase{cfg, make([]float32, pixels*classes), make([]int32, pixels), 1}
	for i := range c.logits {
		c.logits[i] = float32(rng.NormFloat64())
	}
	for i := range c.labels {
		if c.labels[i] = int32(rng.IntN(max(classes, 2))); rng.IntN(100) == 0 {
			c.labels[i] = 255
		}
	}
	c.logits[0], c.labels[0] = -9, 0
	return c
}

// TestWorkersShareClasses has classes of several parts, more and fewer than workers, which have to give the bits of one worker; and not
// only of the last call: scratch that is used again must not show.
func TestWorkersShareClasses(t *testing.T) {
	manyWorkers(t)
	eachISA(t, func(t *testing.T) {
		for i := range 6 {
			classes, method := 1+i%3, Method(i/3)
			if active == Generic && method == Exact {
				continue // sorts: there are no parts
			}
			c := sharedCase(classes, method)
			want, wantGrad := c.backward(t, 1)
			want = want.Clone()
			for _, workers := range []int{2, 7} {
				cfg := c.cfg
				cfg.Workers = workers
				l := mustLovasz(t, cfg)
				grad := make([]float32, len(c.logits))
				for round := range 2 {
					what := fmt.Sprintf("%v, %d classes, %d workers, round %d", method, classes, workers, round)
					got, err := l.Backward(grad, c.logits, c.labels, 1)
					if err != nil {
						t.Fatal(what, err)
					}
					if d := sameResult(got, want) + sameGradient(grad, wantGrad); d != "" {
						t.Fatalf("%s: %s", what, d)
					}
					if got, err = l.Forward(c.logits, c.labels, 1); err != nil || sameResult(got, want) != "" {
						t.Fatalf("%s: forward: %v %s", what, err, sameResult(got, want))
					}
				}
				if s := l.call.shared; classes == 1 && (l.call.ranges < 2 || s[0].columns == nil && s[0].binned == nil) {
					t.Fatalf("%d workers: nothing was shared", workers)
				}
			}
		}
	})
}

// TestWorkersAtOnce: how many workers a call has is asked when it begins.
func TestWorkersAtOnce(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	logits := make([]float32, 2*fewestLogits)
	for _, c := range []struct{ workers, procs, logits, want int }{
		{0, 3, 2 * fewestLogits, 3}, {0, 1, 2 * fewestLogits, 1}, {2, 3, 2 * fewestLogits, 2}, {7, 3, 2 * fewestLogits, 3}, {1, 3, 2 * fewestLogits, 1},
		{0, 3, fewestLogits - 2, 1},
	} {
		runtime.GOMAXPROCS(1)
		l := mustLovasz(t, LovaszConfig{Classes: 2, Workers: c.workers})
		runtime.GOMAXPROCS(c.procs)
		if _, err := l.Forward(logits[:c.logits], make([]int32, c.logits/2), 1); err != nil || l.call.most != c.want {
			t.Errorf("%+v: %d workers, %v", c, l.call.most, err)
		}
	}
}

// TestWorkersShareCounts is TestWorkersShareClasses for counts, of which some are there already, and for a class that is not counted.
func TestWorkersShareCounts(t *testing.T) {
	manyWorkers(t)
	eachISA(t, func(t *testing.T) {
		for classes := 1; classes <= 3; classes++ {
			c := sharedCase(classes, Binned)
			if classes == 3 {
				c.cfg.SkipClasses = []int{2}
			}
			var want []byte
			var wantGrad []float32
			for _, workers := range []int{1, 2, 7} {
				c.cfg.Workers = workers
				s, grad := mustCounts(t, c.cfg), make([]float32, len(c.logits))
				for range 2 {
					mustAdd(t, s, c)
				}
				if err := s.Backward(grad, c.logits, c.labels, 1); err != nil {
					t.Fatal(err)
				}
				if workers == 1 {
					want, wantGrad = stateOf(t, s), grad
					continue
				}
				if classes == 1 && s.call.ranges < 2 {
					t.Fatalf("%d classes, %d workers: nothing was shared", classes, workers)
				}
				if d := sameGradient(grad, wantGrad); d != "" || !bytes.Equal(stateOf(t, s), want) {
					t.Fatalf("%d classes, %d workers: another state, or %s", classes, workers, d)
				}
			}
		}
	})
}

// TestShares: the workers' shares follow each other, and do not overflow an int of 32 bits.
func TestShares(t *testing.T) {
	for _, c := range []struct{ sharers, tasks int }{{1, 1}, {2, 3}, {7, 100}, {64, 1 << 30}, {50_000, 100_000}} {
		m, end := team{sharers: c.sharers}, int64(0)
		for i := range c.sharers {
			from := m.shareFrom(i, c.tasks)
			if size := m.shareFrom(i+1, c.tasks) - from; from != end || size < int64(c.tasks/c.sharers) || size > int64(c.tasks/c.sharers+1) {
				t.Fatalf("%d of %d tasks from %d on, for worker %d of %d, want them from %d on", size, c.tasks, from, i, c.sharers, end)
			}
			end = m.shareFrom(i+1, c.tasks)
		}
		if end != int64(c.tasks) {
			t.Errorf("%d workers have %d tasks, want %d", c.sharers, end, c.tasks)
		}
	}
}
