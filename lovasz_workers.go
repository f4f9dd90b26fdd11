package lanewise

import (
	"math"
	"slices"
	"sync/atomic"
)

// A worker is the scratch of one goroutine.
type worker struct {
	dprobs   []float32          // [classes][size] the gradient by the probabilities
	grads    []float32          // [classes][size] by the logits
	exp      []float32          // [classes][size] exp(−|x|), of sigmoids
	max, sum []float32          // [size]
	picked   []int32            // [size] the pixels of a tile that take part
	counts   []int32            // [classes] a block's pixels
	cursors  [][maxParts]uint32 // [classes] how far a block's weights are read
	keys     keyLists
	exact    exactScratch
	binned   binnedScratch
	err      error // why its last task failed
	failed   int64 // and which one that was

	help   func()        // Lovasz.help with this worker: a go statement without arguments allocates nothing
	helper atomic.Uint32 // what the goroutine is doing that works with it; the first worker is the caller's
}

// What a helper is doing.
const (
	gone uint32 = iota
	working
	waiting
)

// linger is how often a helper looks for more work before it goes, and the caller for its helpers' end before it sleeps: some 10 µs. To be
// woken takes longer than that, and than the tasks of a small call.
const linger = 1 << 14

// tryBlocks calls f for every block, and returns the error of the first bad pixel.
func (l *Lovasz) tryBlocks(f func(l *Lovasz, w *worker, task int)) error {
	if err := l.try(len(l.blocks), f); err != nil {
		return err
	}
	return l.labelError
}

// each calls f for every task, on all workers.
func (l *Lovasz) each(tasks int, f func(l *Lovasz, w *worker, task int)) {
	l.try(tasks, f)
}

// try calls f for every task in order, on all workers, until one leaves an error in its worker; it returns the first task's.
func (l *Lovasz) try(tasks int, f func(l *Lovasz, w *worker, task int)) error {
	l.next.Store(0)
	l.failed.Store(math.MaxInt64)
	for len(l.workers) < min(l.maxWorkers, tasks) {
		w := new(worker)
		w.help = func() { l.help(w) }
		l.workers = append(l.workers, w)
	}
	for _, w := range l.workers {
		w.failed, w.err = math.MaxInt64, nil
	}
	l.tasks, l.task = tasks, f
	helpers := l.workers[1:max(1, min(len(l.workers), tasks))]
	l.busy.Store(int32(len(helpers)))
	l.wait.Add(len(helpers))
	for _, w := range helpers {
		if !w.helper.CompareAndSwap(waiting, working) {
			w.helper.Store(working)
			go w.help()
		}
	}
	l.work(l.workers[0])
	for i := 0; i < linger && l.busy.Load() > 0; i++ {
	}
	l.wait.Wait()
	first := l.workers[0]
	for _, w := range l.workers {
		if w.failed < first.failed {
			first = w
		}
	}
	return first.err
}

// help works with w, call of try after call, until none comes soon. It alone decides to go, so that no worker ever has two helpers.
func (l *Lovasz) help(w *worker) {
	for {
		l.work(w)
		w.helper.Store(waiting)
		l.busy.Add(-1)
		l.wait.Done()
		for i := 0; w.helper.Load() == waiting; i++ {
			if i == linger && w.helper.CompareAndSwap(waiting, gone) {
				return
			}
		}
	}
}

// work does tasks until there are no more, or one has failed.
func (l *Lovasz) work(w *worker) {
	for {
		// Tasks are taken in order, so those before one that failed are done, or being done.
		task := l.next.Add(1) - 1
		if task >= int64(l.tasks) || task > l.failed.Load() {
			return
		}
		if l.task(l, w, int(task)); w.err != nil {
			w.failed = task
			l.failed.Store(min(task, l.failed.Load()))
			return
		}
	}
}

func (w *worker) resize(classes, size int) {
	if w.grads == nil {
		w.dprobs, w.grads, w.exp = make([]float32, classes*size), make([]float32, classes*size), make([]float32, classes*size)
		w.max, w.sum, w.picked = make([]float32, size), make([]float32, size), make([]int32, size)
	}
}

// resize returns s with length n, and anything in it.
func resize[E any](s []E, n int) []E { return slices.Grow(s[:0], n)[:n] }
