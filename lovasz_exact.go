package lanewise

import "math"

// The exact weights. A pixel's weight depends on how many foreground and background pixels of its class have larger, and larger or equal,
// errors. With G foreground pixels in all, FP> and FP≥ background and TP> and TP≥ foreground among those, A = G + FP> and B = G + FP≥,
//
//	foreground weighs (1/A + 1/B) / 2
//	background weighs (G − (TP> + TP≥)/2) / (A·B)
//
// Without ties these are the differences of the Jaccard loss along the sorted errors, without their cancellation. Pixels with equal errors
// share the mean of "foreground first" and "background first", so that the order of the pixels does not matter.

// An exactScratch is what one worker needs.
type exactScratch struct {
	sorter  sorter[uint32]
	columns columnScratch
}

// exactWeights replaces the errors of a class by their weights, and returns Σ error·weight where the errors are in [0, 1].
func exactWeights(s *exactScratch, errors []float32, target []int32, class int32, g int64) float64 {
	if g == 0 {
		return absentWeights(errors)
	}
	if k := active.columns; k != nil && fewestPixels <= len(errors) && len(errors) < mostPixels {
		if smallest, largest := extremes(errors, target, class); largest <= oneBits {
			loss := s.columns.weigh(k, errors, target, class, g, smallest, largest)
			return loss.value()
		}
	}
	return sortedWeights(&s.sorter, errors, target, class, g)
}

// extremes returns the bits of the smallest foreground error, or 1<<32 − 1, and of the largest error.
func extremes(errors []float32, target []int32, class int32) (smallest, largest uint32) {
	smallest = math.MaxUint32
	if k := active.columns; k != nil {
		for i := 0; i < len(errors); i += chunk {
			lo, hi := k.extremes(errors[i:min(i+chunk, len(errors))], target[i:], class)
			smallest, largest = min(smallest, lo), max(largest, hi)
		}
		return smallest, largest
	}
	for i, e := range errors {
		b := math.Float32bits(e)
		largest = max(largest, b)
		if target[i] == class {
			smallest = min(smallest, b)
		}
	}
	return smallest, largest
}

// sortedWeights is exactWeights by sorting, for g > 0.
func sortedWeights(s *sorter[uint32], errors []float32, target []int32, class int32, g int64) float64 {
	// Behind the last foreground pixel, TP = G: background with a smaller error than all foreground weighs nothing.
	smallest := float32(math.Inf(1))
	for i, t := range target {
		if t == class && errors[i] < smallest {
			smallest = errors[i]
		}
	}
	items := s.resize(len(errors))
	n := 0
	for i, e := range errors {
		errors[i] = 0
		if e < smallest {
			continue
		}
		pixel := uint32(i) << 1
		if target[i] == class {
			pixel |= 1
		}
		items[n] = sortItem[uint32]{^math.Float32bits(e), pixel}
		n++
	}
	s.resize(n)
	items = s.sort()
	var loss unitSum
	tp, fp := int64(0), int64(0)
	for len(items) > 0 {
		key := items[0].key
		var ties, foreground int64
		for _, it := range items {
			if it.key != key {
				break
			}
			ties++
			foreground += int64(it.value & 1)
		}
		a, b := g+fp, g+fp+ties-foreground
		weights := [2]float32{
			0: weight32(2*g-tp-(tp+foreground), a, b),
			1: weight32(a+b, a, b),
		}
		for _, it := range items[:ties] {
			errors[it.value>>1] = weights[it.value&1]
		}
		e := math.Float32frombits(^key)
		loss.add(ties-foreground, e, weights[0])
		loss.add(foreground, e, weights[1])
		tp, fp = tp+foreground, b-g
		items = items[ties:]
	}
	return loss.value()
}

// weight32 is n/(2AB) in float32: n is A + B, or 2G − TP> − TP≥.
func weight32(n, a, b int64) float32 {
	return 0.5 * float32(n) / (float32(a) * float32(b))
}

// absentWeights is exactWeights for a class without foreground: the Jaccard loss jumps to 1 at the largest error, and the pixels that have
// it share the weight.
func absentWeights(errors []float32) float64 {
	largest, count := float32(0), int64(0)
	for _, e := range errors {
		if e > largest {
			largest, count = e, 0
		}
		if e == largest {
			count++
		}
	}
	w := 1 / float32(count)
	for i, e := range errors {
		errors[i] = 0
		if e == largest {
			errors[i] = w
		}
	}
	var loss unitSum
	loss.add(count, largest, w)
	return loss.value()
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
