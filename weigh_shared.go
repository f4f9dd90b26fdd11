package lanewise

// A share is a class whose parts the workers weigh together: what is left where each of them has weighed as many classes, which is all there
// is of binary segmentation.
type share struct {
	task       int
	weigher    *columnWeigher // which has its keys; nil: it is weighed
	parts      [maxParts]keyPart
	foreground [maxParts]uint32
	sums       [maxParts]unitSum
}

// weighAll finds the weights of all classes.
func (c *call) weighAll() {
	whole := len(c.classes)
	if c.parts > 1 {
		whole -= whole % c.maxWorkers
	}
	c.each(whole, (*call).weigh)
	c.shares = resize(c.shares, len(c.classes)-whole)
	if len(c.shares) == 0 {
		return
	}
	c.hire(len(c.shares))
	for i := range c.shares {
		c.shares[i] = share{task: whole + i}
	}
	c.each(len(c.shares), (*call).divideShare)
	c.each(len(c.shares)*maxParts, (*call).countShare)
	c.each(len(c.shares)*maxParts, (*call).weighShare)
	for i := range c.shares {
		s := &c.shares[i]
		if s.weigher == nil {
			continue
		}
		var sum unitSum
		for _, part := range s.sums {
			sum += part
		}
		c.classes[s.task].loss = sum.value(s.weigher.stats.scale())
		if c.grad != nil {
			c.found[s.task] = s.weigher.keys.found()
			c.begin(s.task)
		}
	}
}

// divideShare divides the keys of a class, which one worker keeps for it, into parts. A class of one part is weighed at once.
func (c *call) divideShare(_ *worker, i int) {
	s := &c.shares[i]
	weigher := c.show(c.workers[i], s.task)
	columns, ok := weigher.(*columnWeigher)
	if !ok || columns.keys.parts == 1 {
		if weigher != nil {
			c.finish(s.task, weigher)
		}
		return
	}
	s.weigher = columns
	var weights []float32
	if c.grad != nil {
		weights = c.weightsOf(s.task/c.width, s.task%c.width)
	}
	for t := range int(columns.keys.parts) {
		s.parts[t] = columns.keyPart(t, weights)
	}
}

// countShare counts the foreground of a part: it tells where the next one begins.
func (c *call) countShare(_ *worker, task int) {
	s, t := &c.shares[task/maxParts], task%maxParts
	p := &s.parts[t]
	n := uint32(0)
	for _, key := range p.keys[:p.n] {
		n += key & 1
	}
	s.foreground[t] = n
}

// weighShare weighs a part.
func (c *call) weighShare(w *worker, task int) {
	s, t := &c.shares[task/maxParts], task%maxParts
	var tp, fp uint32
	for before := range t {
		tp += s.foreground[before]
		fp += uint32(s.parts[before].n) - s.foreground[before]
	}
	w.columns.isa = c.isa
	s.sums[t] = w.columns.part(s.parts[t], &tp, &fp)
}
