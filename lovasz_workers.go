package lanewise

import (
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// A team is the goroutines of a call. Each has a share of neighbouring tasks, and then helps with the others': where tasks are blocks of
// pixels, what one step leaves of them is in the cache of the core that does the next one.
type team struct {
	maxWorkers int
	most       int       // of them that this call has
	workers    []*worker // as many as there was work for
	task       func(c *call, w *worker, task int)
	sharers    int          // the workers that share the tasks, the first ones
	failed     atomic.Int64 // the first task known to have failed
	busy       atomic.Int32 // helpers that are not done
	wait       sync.WaitGroup
}

// A worker is the scratch of one goroutine.
type worker struct {
	dprobs, grads  []float32 // [width][size] the gradient by the probabilities; the logits, and the gradient by them
	max, rest      []float32 // [size]
	own, comp      []float32
	sums           []float64
	picked, target []int32            // the pixels of a tile that take part, and what they are
	counts         []targetCount      // [kinds+width] a block's pixels
	factors        []float32          // likewise, of targets in the gradient of the cross-entropy
	marks          [][maxParts]uint32 // [width] how far a block's weights are read
	keys           keyLists
	columns        columnWeigher
	sorted         sortedWeigher
	binned         binnedWeigher
	number         int          // which of the team's workers it is
	next           atomic.Int64 // the next task to take of its share
	end            int64        // of its share
	err            error        // why its last task failed
	failed         int64        // and which one that was

	help   func()        // team.help with this worker: a go statement without arguments allocates nothing
	helper atomic.Uint32 // what the goroutine is doing that works with it; the first worker is the caller's
}

// What a helper is doing.
const (
	gone uint32 = iota
	working
	waiting
)

// linger is how often a helper looks for more work before it goes, and the caller for its helpers' end before it sleeps: some 100 µs. To be
// woken takes as long, and a call has up to six steps with something between them that one does alone.
const linger = 1 << 17

// fewestLogits is how many a call has that is divided.
const fewestLogits = 1 << 14

// choose says how many workers a call of so many logits has. More than can run at a time would linger where others have work.
func (t *team) choose(logits int) {
	t.most = 1
	if logits >= fewestLogits && t.maxWorkers > 1 {
		t.most = min(t.maxWorkers, runtime.GOMAXPROCS(0))
	}
}

// each calls f for every task, on all workers.
func (c *call) each(tasks int, f func(c *call, w *worker, task int)) { c.try(tasks, f) }

// try calls f for every task in order, on all workers, until one leaves an error in its worker; it returns the first task's.
func (c *call) try(tasks int, f func(c *call, w *worker, task int)) error {
	c.hire(1)
	if c.most == 1 || tasks < 2 {
		w := c.workers[0]
		w.err = nil
		for i := 0; i < tasks && w.err == nil; i++ {
			f(c, w, i)
		}
		return w.err
	}
	c.failed.Store(math.MaxInt64)
	c.hire(min(c.most, tasks))
	c.sharers, c.task = min(c.most, tasks), f
	for i, w := range c.workers[:c.sharers] {
		w.failed, w.err = math.MaxInt64, nil
		w.next.Store(c.shareFrom(i, tasks))
		w.end = c.shareFrom(i+1, tasks)
	}
	helpers := c.workers[1:c.sharers]
	c.busy.Store(int32(len(helpers)))
	c.wait.Add(len(helpers))
	for _, w := range helpers {
		if !w.helper.CompareAndSwap(waiting, working) {
			w.helper.Store(working)
			go w.help()
		}
	}
	c.work(c.workers[0])
	for i := 0; i < linger && c.busy.Load() > 0; i++ {
		lingers(i)
	}
	c.wait.Wait()
	first := c.workers[0]
	for _, w := range c.workers[:c.sharers] {
		if w.failed < first.failed {
			first = w
		}
	}
	return first.err
}

// shareFrom returns the first task of a worker's share.
func (t *team) shareFrom(worker, tasks int) int64 {
	return int64(worker) * int64(tasks) / int64(t.sharers)
}

// lingers lets others run now and then, who may be the workers that are waited for.
func lingers(i int) {
	if i%4096 == 4095 {
		runtime.Gosched()
	}
}

// hire makes that there are n workers.
func (c *call) hire(n int) {
	for len(c.workers) < n {
		w := &worker{number: len(c.workers)}
		w.help = func() { c.help(w) }
		c.workers = append(c.workers, w)
	}
}

// help works with w, call of try after call, until none comes soon. It alone decides to go, so that no worker ever has two helpers.
func (c *call) help(w *worker) {
	for {
		c.work(w)
		w.helper.Store(waiting)
		c.busy.Add(-1)
		c.wait.Done()
		for i := 0; w.helper.Load() == waiting; i++ {
			if i == linger && w.helper.CompareAndSwap(waiting, gone) {
				return
			}
			lingers(i)
		}
	}
}

// work does tasks until there are no more, or one has failed.
func (c *call) work(w *worker) {
	for i := range c.sharers {
		share := c.workers[(w.number+i)%c.sharers]
		for {
			// The tasks of a share are taken in order, so those before one that failed are done, or being done; and those of shares before
			// are, since nobody leaves his own before.
			task := share.next.Add(1) - 1
			if task >= share.end || task > c.failed.Load() {
				break
			}
			if c.task(c, w, int(task)); w.err != nil {
				w.failed = task
				c.failed.Store(min(task, c.failed.Load()))
				return
			}
		}
	}
}

// resize makes room for tiles of so many pixels and classes.
func (w *worker) resize(width, size int) {
	if width*size > len(w.dprobs) || kinds+width > len(w.counts) {
		w.dprobs, w.grads = make([]float32, width*size), make([]float32, width*size+padding)
		w.counts, w.factors = make([]targetCount, kinds+width), make([]float32, kinds+width)
	}
	if size > len(w.max) {
		w.max, w.rest, w.own, w.comp = make([]float32, size), make([]float32, size), make([]float32, size), make([]float32, size)
		w.sums, w.picked, w.target = make([]float64, size), make([]int32, size+padding), make([]int32, size+padding)
	}
}

// resize returns s with length n, and anything in it.
func resize[E any](s []E, n int) []E { return slices.Grow(s[:0], n)[:n] }
