package lanewise

import "math"

// A sortedWeigher sorts the keys.
type sortedWeigher struct {
	isa    ISA
	keys   *keyLists
	stats  stats
	sorter sorter
	unread []float32 // weights that nobody asked for
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
	if weights == nil {
		weights = resize(s.unread, len(items))
		s.unread = weights
	}
	tp, fp := int64(0), int64(0)
	for i := 0; i < len(items); {
		it := items[i]
		key := uint32(it >> 32)
		foreground := int64(it & 1)
		e := float64(math.Float32frombits(^key)) * scale
		if i++; i == len(items) || uint32(items[i]>>32) != key { // no other has this error: A and B differ by a background pixel only
			a := g + fp
			b := a + 1 - foreground
			n := 2*(g-tp) + (a+b-2*(g-tp))&-foreground
			w := weight32(n, a, b)
			weights[uint32(it)>>1] = w
			sum.add(1, e, w)
			tp, fp = tp+foreground, fp+1-foreground
			continue
		}
		ties := items[i-1:]
		for i < len(items) && uint32(items[i]>>32) == key {
			foreground += int64(items[i] & 1)
			i++
		}
		ties = ties[:len(ties)-(len(items)-i)]
		background := int64(len(ties)) - foreground
		a, b := g+fp, g+fp+background
		w := [2]float32{weight32(2*g-tp-(tp+foreground), a, b), weight32(a+b, a, b)} // of background and foreground
		for _, it := range ties {
			weights[uint32(it)>>1] = w[it&1]
		}
		sum.add(background, e, w[0])
		sum.add(foreground, e, w[1])
		tp, fp = tp+foreground, fp+background
	}
	return sum.value(scale), 0
}
