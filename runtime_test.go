package lanewise

import (
	"context"
	"fmt"
	"io"
	"math"
	"runtime"
	"runtime/metrics"
	"runtime/pprof"
	"runtime/trace"
	"sync"
	"testing"
	"time"

	"github.com/lanewise/lanewise/internal/vectorstate"
)

// TestVectorState: no kernel returns with dirty upper halves of vector registers, whichever way out it takes.
func TestVectorState(t *testing.T) {
	if !vectorstate.Supported() {
		t.Skip("this CPU, or this build, does not tell")
	}
	eachISA(t, func(t *testing.T) {
		runSmall[float32](t)
		runSmall[float64](t)
	})
}

// leavesClean runs a kernel and looks at the vector registers afterwards, where the CPU tells.
func leavesClean(t *testing.T, isa ISA, name string, kernel func()) {
	t.Helper()
	vectorstate.Clean()
	kernel()
	if vectorstate.Supported() && vectorstate.Dirty() {
		t.Errorf("%v: %s leaves dirty vector registers", isa, name)
	}
}

// runSmall runs every kernel at every small shape.
func runSmall[T Float](t *testing.T) {
	for _, k := range kernelTests[T]() {
		for i, s := range k.family.shapes() {
			if s.size() <= 2000 || s.vectors() == 1 && s.size() <= 20_000 {
				o := k.operands(s, fills[i%len(fills)], uint64(i))
				leavesClean(t, active, k.name, func() { k.run(&o, s) })
			}
		}
	}
}

// TestUnderRuntime runs all kernels on four goroutines while the CPU profiler samples them, the tracer writes, stacks move and the
// collector runs, and checks their results.
func TestUnderRuntime(t *testing.T) {
	duration := time.Second
	if !*long {
		duration = 200 * time.Millisecond
	}
	// either may be in use by the test's own flags
	if err := pprof.StartCPUProfile(io.Discard); err == nil {
		defer pprof.StopCPUProfile()
	}
	if err := trace.Start(io.Discard); err == nil {
		defer trace.Stop()
	}
	eachISA(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), duration)
		defer cancel()
		var workers sync.WaitGroup
		for i := range 4 {
			workers.Go(func() {
				var err error
				if i%2 == 0 {
					err = runAll[float32](ctx, uint64(i))
				} else {
					err = runAll[float64](ctx, uint64(i))
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		for ctx.Err() == nil {
			runtime.GC()
		}
		workers.Wait()
	})
}

// runAll runs every kernel again and again until the context ends, at least once.
func runAll[T Float](ctx context.Context, seed uint64) error {
	type job struct {
		kernel *kernelTest[T]
		kernelCase[T]
	}
	var jobs []job
	for _, k := range kernelTests[T]() {
		for i, s := range []shape{{1, 1, 1}, {1, 77, 1}, {1, 9000, 1}, {20, 19, 1}, {3, 300, 1}, {1, 19, 200}, {2, 5, 33}} {
			if k.family.takes(s) {
				jobs = append(jobs, job{&k, k.newCase(s, fills[i%len(fills)], seed+uint64(i))})
			}
		}
	}
	b := newBench[T]()
	for round := 0; round == 0 || ctx.Err() == nil; round++ {
		for i := range jobs {
			j := &jobs[i]
			if err := onFreshStack(func() error { return b.run(j.kernel, &j.kernelCase, round%16, "") }); err != nil {
				return fmt.Errorf("%s of %v: %w", j.kernel.name, j.shape, err)
			}
		}
	}
	return nil
}

// onFreshStack calls f on a new goroutine, whose small stack has to grow.
func onFreshStack(f func() error) (err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		err = f()
	}()
	<-done
	return err
}

// BenchmarkCollectorBesideCumSum reports for how long at most the collector stopped the world, or waited to do so, while CumSum ran over
// 2²⁷ elements.
func BenchmarkCollectorBesideCumSum(b *testing.B) {
	x := make([]float32, 1<<27)
	pauses := func() *metrics.Float64Histogram {
		s := []metrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}}
		metrics.Read(s)
		return s[0].Value.Float64Histogram()
	}
	before := pauses()
	for b.Loop() {
		done := make(chan struct{})
		go func() {
			CumSum(x, x)
			close(done)
		}()
		for running := true; running; {
			runtime.GC()
			select {
			case <-done:
				running = false
			default:
			}
		}
	}
	after, longest := pauses(), 0.
	for i, n := range after.Counts {
		if n > before.Counts[i] {
			longest = after.Buckets[i+1]
			if math.IsInf(longest, 1) {
				longest = after.Buckets[i]
			}
		}
	}
	b.ReportMetric(longest*1e3, "ms-longest-stop")
}
