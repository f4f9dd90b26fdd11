package lanewise

import "math"

// The exact weights. A pixel's weight depends on how many foreground and background pixels of its class have larger, and larger or equal,
// errors. With G foreground pixels in all, FP> and FP≥ background and TP> and TP≥ foreground among those, A = G + FP> and B = G + FP≥,
//
//	foreground weighs (1/A + 1/B) / 2
//	background weighs (G − (TP> + TP≥)/2) / (A·B)
//
// Without ties these are the differences of the Jaccard loss along the sorted errors, without their cancellation. Pixels with equal errors
// share the mean of "foreground first" and "background first", so that the order of the pixels does not matter. In a class without
// foreground the pixels with the largest error share the weight 1.

// An exactScratch is what one worker needs.
type exactScratch struct {
	sorter    sorter
	columns   columnScratch
	inColumns bool // rather than by sorting
}

// restart begins with the errors of a class that may weigh: those whose bits are at least from.
func (s *exactScratch) restart(keys *keyLists, probs []float32, from uint32, g int64) {
	keys.restart(from)
	s.inColumns = hasColumns(active) && g > 0 && fewestPixels <= len(probs) && len(probs) < mostPixels
	if s.inColumns {
		s.columns.plan(keys, probs, from)
	}
}

// weigh finds the weights of the keys, which go to dst unless that is nil, and returns Σ error·weight.
func (s *exactScratch) weigh(keys *keyLists, g int64, dst []float32) float64 {
	if s.inColumns {
		return s.columns.weigh(active, keys, g, dst).value()
	}
	return sortedWeights(&s.sorter, keys.all(), g, dst)
}

// sortedWeights is weigh by sorting. It returns nothing of use where an error is above 1.
func sortedWeights(s *sorter, keys []uint32, g int64, dst []float32) float64 {
	items := s.resize(len(keys))
	for i, k := range keys {
		items[i] = uint64(^(k>>1))<<32 | uint64(i)<<1 | uint64(k&1)
	}
	items = s.sort(len(items))
	var loss unitSum
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
		var weights [2]float32 // of background and foreground
		if a, b := g+fp, g+fp+ties-foreground; g == 0 {
			weights[0] = 1 / float32(ties) // the Jaccard loss jumps to 1 at the largest error
		} else {
			weights[0], weights[1] = weight32(2*g-tp-(tp+foreground), a, b), weight32(a+b, a, b)
		}
		if dst != nil {
			for _, it := range items[:ties] {
				dst[uint32(it)>>1] = weights[it&1]
			}
		}
		e := math.Float32frombits(^key)
		loss.add(ties-foreground, e, weights[0])
		loss.add(foreground, e, weights[1])
		tp, fp = tp+foreground, fp+ties-foreground
		items = items[ties:]
	}
	return loss.value()
}

// weight32 is n/(2AB) in float32: n is A + B, or 2G − TP> − TP≥.
func weight32(n, a, b int64) float32 {
	return 0.5 * float32(n) / (float32(a) * float32(b))
}

// A unitSum adds up products of numbers in [0, 1] as integers: each is rounded to a multiple of 2⁻⁵², so that their sum does not depend on
// the order.
type unitSum int64

const one64 = 0x3ff0000000000000

// add adds n times e·w.
func (s *unitSum) add(n int64, e, w float32) {
	*s += unitSum(n * int64(math.Float64bits(1+float64(e)*float64(w))-one64))
}

func (s unitSum) value() float64 { return float64(s) * 0x1p-52 }
