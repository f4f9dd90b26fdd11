package lanewise

// A sharedClass is one that the workers weigh together: what is left where each of them has weighed as many classes, which is all there is of
// binary segmentation. First they divide the keys, each those of a range of blocks, then they weigh the parts.
type sharedClass struct {
	task    int
	weigher *columnWeigher // that knows the parts; nil: the class is weighed
	lists   []*keyLists    // of the ranges
}

// rangeBlocks is how many blocks a range has at the least.
const rangeBlocks = 4

// weighAll finds the weights of all classes.
func (c *call) weighAll() {
	whole := len(c.classes)
	if c.parts > 1 {
		whole -= whole % c.maxWorkers
	}
	c.each(whole, (*call).weigh)
	shared := len(c.classes) - whole
	if shared == 0 {
		return
	}
	most := 0
	for i := range c.groups {
		most = max(most, c.groups[i].blocks)
	}
	c.ranges = max(1, min(c.maxWorkers/shared, most/rangeBlocks))
	c.hire(shared * c.ranges)
	c.shared = resize(c.shared, shared)
	for i := range c.shared {
		s := &c.shared[i]
		s.task, s.lists = whole+i, s.lists[:0]
		for _, w := range c.workers[i*c.ranges:][:c.ranges] {
			s.lists = append(s.lists, &w.keys)
		}
	}
	c.each(shared, (*call).beginShared)
	c.each(shared*c.ranges, (*call).divideShared)
	c.sums = resize(c.sums, shared*maxParts)
	c.each(shared*maxParts, (*call).weighShared)
	for i := range c.shared {
		c.finishShared(i)
	}
}

// beginShared plans how the keys of a class are divided. A class of one part is weighed at once.
func (c *call) beginShared(_ *worker, i int) {
	s := &c.shared[i]
	weigher := c.begin(c.workers[i*c.ranges], s.task)
	s.weigher, _ = weigher.(*columnWeigher)
	switch {
	case weigher == nil:
	case s.weigher == nil || s.weigher.keys.parts == 1:
		s.weigher = nil
		c.finish(s.task, weigher)
	default:
		for _, l := range s.lists[1:] {
			l.restart(s.weigher.stats)
			l.ranges = s.lists[0].ranges
		}
	}
}

// blocksOf returns the blocks of a range, as numbers in the group.
func (c *call) blocksOf(s *sharedClass, r int) (from, to int) {
	blocks := c.groups[s.task/c.width].blocks
	return r * blocks / c.ranges, (r + 1) * blocks / c.ranges
}

// divideShared divides the keys of a range.
func (c *call) divideShared(_ *worker, task int) {
	s, r := &c.shared[task/c.ranges], task%c.ranges
	if s.weigher == nil {
		return
	}
	from, to := c.blocksOf(s, r)
	l := s.lists[r]
	l.reserve((to - from) * blockSize)
	c.show(s.task, from, to, func(piece []float32, marks []uint32) { l.splitAndCount(c.isa, piece, marks) })
}

// weighShared weighs a part.
func (c *call) weighShared(w *worker, task int) {
	s, t := &c.shared[task/maxParts], task%maxParts
	c.sums[task] = 0
	if s.weigher == nil || t >= int(s.weigher.keys.parts) {
		return
	}
	var n, foreground uint32 // of the parts before
	for _, l := range s.lists {
		for before := range t {
			n += l.n[before]
			foreground += l.foreground[before]
		}
	}
	p := s.weigher.keyPart(t, s.lists)
	if c.grad != nil {
		p.weights = c.weightsOf(s.task/c.width, s.task%c.width)[n:][:p.n]
	}
	w.columns.isa = c.isa
	tp, fp := foreground, n-foreground
	c.sums[task] = w.columns.part(p, &tp, &fp)
}

// finishShared adds up the losses of the parts, and tells the blocks where their weights are: part after part, and of each range after range.
func (c *call) finishShared(i int) {
	s := &c.shared[i]
	if s.weigher == nil {
		return
	}
	var sum unitSum
	for _, part := range c.sums[i*maxParts:][:maxParts] {
		sum += part
	}
	c.classes[s.task].loss = sum.value(s.weigher.stats.scale())
	if c.grad == nil {
		return
	}
	c.found[s.task] = spread{ranges: s.weigher.keys.ranges, kind: byRank}
	at, begin := uint32(0), [maxParts]uint32{}
	for t := range s.weigher.keys.parts {
		begin[t] = at
		for _, l := range s.lists {
			at += l.n[t]
		}
	}
	for r, l := range s.lists {
		from, to := c.blocksOf(s, r)
		c.moveMarks(s.task, from, to, &begin)
		for t, n := range l.n {
			begin[t] += n
		}
	}
}
