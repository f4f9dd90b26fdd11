package lanewise

import (
	"math"
	"slices"
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
}

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
		l.workers = append(l.workers, new(worker))
	}
	for _, w := range l.workers {
		w.failed, w.err = math.MaxInt64, nil
	}
	for i := 1; i < min(len(l.workers), tasks); i++ {
		l.wait.Go(func() { l.work(l.workers[i], tasks, f) })
	}
	l.work(l.workers[0], tasks, f)
	l.wait.Wait()
	first := l.workers[0]
	for _, w := range l.workers {
		if w.failed < first.failed {
			first = w
		}
	}
	return first.err
}

func (l *Lovasz) work(w *worker, tasks int, f func(l *Lovasz, w *worker, task int)) {
	for {
		// Tasks are taken in order, so those before one that failed are done, or being done.
		task := l.next.Add(1) - 1
		if task >= int64(tasks) || task > l.failed.Load() {
			return
		}
		if f(l, w, int(task)); w.err != nil {
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
