package lanewise

import "math"

// A sortedWeigher sorts the keys.
type sortedWeigher struct {
	isa    ISA
	keys   *keyLists
	stats  stats
	sorter sorter
}

func (s *sortedWeigher) begin(st stats, plane []float32) {
	s.stats = st
	s.keys.restart(st)
	s.keys.reserve(len(plane))
}

func (s *sortedWeigher) add(piece []float32, marks []uint32) { s.keys.split(s.isa, piece, marks) }

func (s *sortedWeigher) weigh(weights []float32, found *spread) (loss, gap float64) {
	if found != nil {
		*found = s.keys.found()
	}
	keys, g, scale := s.keys.all(), s.stats.foreground, s.stats.scale()
	var sum unitSum
	if g == 0 { // the largest errors, which are all there is, share the weight 1: to there the Jaccard loss jumps
		w := 1 / float32(len(keys))
		if weights != nil {
			for i := range keys {
				weights[i] = w
			}
		}
		if len(keys) > 0 {
			sum.add(int64(len(keys)), float64(math.Float32frombits(keys[0]>>1))*scale, w)
		}
		return sum.value(scale), 0
	}
	items := s.sorter.resize(len(keys))
	for i, k := range keys {
		items[i] = uint64(^(k>>1))<<32 | uint64(i)<<1 | uint64(k&1)
	}
	items = s.sorter.sort(len(items))
	tp, fp := int64(0), int64(0)
	for len(items) > 0 {
		key := uint32(items[0] >> 32)
		var ties, foreground int64
		for _, it := range items {
			if uint32(it>>32) != key {
				break
			}
			ties++
			foreground += int64(it & 1)
		}
		a, b := g+fp, g+fp+ties-foreground
		w := [2]float32{weight32(2*g-tp-(tp+foreground), a, b), weight32(a+b, a, b)} // of background and foreground
		if weights != nil {
			for _, it := range items[:ties] {
				weights[uint32(it)>>1] = w[it&1]
			}
		}
		e := float64(math.Float32frombits(^key)) * scale
		sum.add(ties-foreground, e, w[0])
		sum.add(foreground, e, w[1])
		tp, fp = tp+foreground, fp+ties-foreground
		items = items[ties:]
	}
	return sum.value(scale), 0
}
