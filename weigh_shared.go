package lanewise

// A sharedClass is one that the workers weigh together: what is left where each of them has weighed as many classes, which is all there is
// of binary segmentation. First they take the errors, each those of a range of blocks: with Binned they count them, else they divide the
// keys. Then the counts are added up, or the parts weighed.
type sharedClass struct {
	task    int
	workers []*worker      // whose scratch each range has
	binned  *binnedWeigher // of the first one, if it is that which weighs; else nil, as is columns:
	columns *columnWeigher // that knows the parts
	lists   []*keyLists    // of the ranges
}

// rangeBlocks is how many blocks a range has at the least.
const rangeBlocks = 4

// shareOut says how many classes the workers weigh one by one; the others are to be shared.
func (c *call) shareOut() (whole int) {
	whole = len(c.classes)
	if c.parts > 1 {
		whole -= whole % c.most
	}
	c.shared = resize(c.shared, len(c.classes)-whole)
	if len(c.shared) == 0 {
		return whole
	}
	most := 0
	for i := range c.groups {
		most = max(most, c.groups[i].blocks)
	}
	c.ranges = max(1, min(c.most/len(c.shared), most/rangeBlocks))
	c.hire(len(c.shared) * c.ranges)
	for i := range c.shared {
		s := &c.shared[i]
		s.task, s.workers, s.lists = whole+i, c.workers[i*c.ranges:][:c.ranges], s.lists[:0]
		for _, w := range s.workers {
			s.lists = append(s.lists, &w.keys)
		}
	}
	return whole
}

// weighAll finds the weights of all classes.
func (c *call) weighAll() {
	c.each(c.shareOut(), (*call).weigh)
	shared := len(c.shared)
	c.each(shared, (*call).beginShared)
	c.each(shared*c.ranges, (*call).takeShared)
	c.sums = resize(c.sums, shared*maxParts)
	c.each(shared*maxParts, (*call).weighShared)
	for i := range c.shared {
		c.finishShared(i)
	}
}

// beginShared makes the weighers ready for the errors of a class. A class of one part is weighed at once.
func (c *call) beginShared(_ *worker, i int) {
	s := &c.shared[i]
	s.binned, s.columns = nil, nil
	switch weigher := c.begin(s.workers[0], s.task).(type) {
	case nil:
	case *binnedWeigher:
		s.binned = weigher
		for _, w := range s.workers[1:] {
			w.binned.use(c, w)
			w.binned.begin(weigher.stats, weigher.plane)
		}
	case *columnWeigher:
		if weigher.keys.parts == 1 {
			c.finish(s.task, weigher)
			return
		}
		s.columns = weigher
		for _, l := range s.lists[1:] {
			l.restart(weigher.stats)
			l.ranges = s.lists[0].ranges
		}
	default:
		c.finish(s.task, weigher)
	}
}

// blocksOf returns the blocks of a range, as numbers in the group.
func (c *call) blocksOf(s *sharedClass, r int) (from, to int) {
	blocks := c.groups[s.task/c.width].blocks
	return r * blocks / c.ranges, (r + 1) * blocks / c.ranges
}

// takeShared takes the errors of a range.
func (c *call) takeShared(_ *worker, task int) {
	s, r := &c.shared[task/c.ranges], task%c.ranges
	from, to := c.blocksOf(s, r)
	switch l := s.lists[r]; {
	case s.binned != nil:
		c.show(s.task, from, to, s.workers[r].binned.add)
	case s.columns != nil:
		l.reserve((to - from) * blockSize)
		c.show(s.task, from, to, func(piece []float32, marks []uint32) { l.splitAndCount(c.isa, piece, marks) })
	}
}

// weighShared weighs a part; with Binned there is one.
func (c *call) weighShared(w *worker, task int) {
	s, t := &c.shared[task/maxParts], task%maxParts
	c.sums[task] = 0
	if s.binned != nil && t == 0 {
		for _, w := range s.workers[1:] {
			s.binned.merge(&w.binned)
		}
		c.weighed(s.task, s.binned)
	}
	if s.columns == nil || t >= int(s.columns.keys.parts) {
		return
	}
	var n, foreground uint32 // of the parts before
	for _, l := range s.lists {
		for before := range t {
			n += l.n[before]
			foreground += l.foreground[before]
		}
	}
	p := s.columns.keyPart(t, s.lists)
	if c.grad != nil {
		p.weights = c.weightsOf(s.task/c.width, s.task%c.width)[n:][:p.n]
	}
	w.columns.isa = c.isa
	tp, fp := foreground, n-foreground
	c.sums[task] = w.columns.part(p, &tp, &fp)
}

// finishShared adds up the losses of the parts, and tells the blocks where their weights are: part after part, and of each range after
// range.
func (c *call) finishShared(i int) {
	s := &c.shared[i]
	if s.columns == nil {
		return
	}
	var sum unitSum
	for _, part := range c.sums[i*maxParts:][:maxParts] {
		sum += part
	}
	c.classes[s.task].loss = sum.value(s.columns.stats.scale())
	if c.grad == nil {
		return
	}
	c.found[s.task] = spread{ranges: s.columns.keys.ranges, kind: byRank}
	at, begin := uint32(0), [maxParts]uint32{}
	for t := range s.columns.keys.parts {
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
