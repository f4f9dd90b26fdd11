package lanewise

import "math"

// The weights of a class's errors. A pixel's weight depends on how many foreground and background pixels of its class have larger, and
// larger or equal, errors. With G foreground pixels in all, FP> and FP≥ background and TP> and TP≥ foreground among those, A = G + FP> and
// B = G + FP≥,
//
//	foreground weighs (1/A + 1/B) / 2
//	background weighs (G − (TP> + TP≥)/2) / (A·B)
//
// Without ties these are the differences of the Jaccard loss along the sorted errors, without their cancellation. Pixels with equal errors
// share the mean of "foreground first" and "background first", so that the order of the pixels does not matter. In a class without
// foreground the pixels with the largest error share the weight 1.
//
// The weights are sparse: background whose error is smaller than all foreground's weighs nothing. So a class keeps only the pixels from a
// threshold on, as keys in the pixels' order, and which these are is seen from the errors again when the weights go back to the pixels: no
// pixel's index is kept.

// A weigher finds the weights of one class: begin, add for pieces of its errors in order, weigh.
type weigher interface {
	begin(s stats, plane []float32)
	add(piece []float32, marks []uint32)                        // marks, unless nil, takes where the weights of the piece begin in each part
	weigh(weights []float32, found *spread) (loss, gap float64) // weights and found, which says how they lie, are nil for the loss alone
}

// stats is what is known of a class before its errors are weighed.
type stats struct {
	foreground int64  // G
	from, top  uint32 // the bits of the smallest error that may weigh, and of the largest possible one
}

// scale is the power of two that takes the largest error to 1, or to where a smaller one would take it above: it takes the products of
// errors and weights to where a unitSum adds them up.
func (s stats) scale() float64 {
	if s.top == 0 {
		return 1
	}
	return power2(126 - int((s.top-1)>>23))
}

// weigher returns what finds the weights of a class best.
func (w *worker) weigher(c *call, s stats, plane []float32) weigher {
	switch {
	case c.cfg.Method == Binned && c.activation != hingeActivation:
		w.binned.use(c, w)
		return &w.binned
	case c.isa != Generic && s.foreground > 0 && fewestPixels <= len(plane) && len(plane) < mostPixels:
		w.columns.keys, w.columns.isa = &w.keys, c.isa
		return &w.columns
	}
	w.sorted.keys, w.sorted.isa = &w.keys, c.isa
	return &w.sorted
}

// weight32 is n/(2AB) in float32: n is A + B, or 2G − TP> − TP≥.
func weight32(n, a, b int64) float32 {
	return 0.5 * float32(n) / (float32(a) * float32(b))
}

// A unitSum adds up numbers in [0, 1] as integers: each is rounded to a multiple of 2⁻⁵², so that their sum does not depend on the order.
type unitSum int64

const one64 = 0x3ff0000000000000

// add adds n times e·w.
func (s *unitSum) add(n int64, e float64, w float32) {
	*s += unitSum(n * int64(math.Float64bits(1+float64(e*float64(w)))-one64))
}

// value returns the sum of what scale was applied to.
func (s unitSum) value(scale float64) float64 { return float64(s) * 0x1p-52 / scale }

const (
	maxParts = 8  // of a class's keys
	padding  = 31 // elements that kernels read or write behind the end, at most
)

// ranges are the errors that the parts of a class have: they follow each other from the largest down.
type ranges struct {
	parts uint32               // 1, 2, 4 or 8
	from  [maxParts + 1]uint32 // the bits of the smallest error of each part; at the end of the largest error
}

// keyLists are the keys of a class while its weights are found, and what one worker needs for that.
type keyLists struct {
	ranges
	keys       [maxParts][]uint32
	n          [maxParts]uint32
	foreground [maxParts]uint32 // of these, where it is counted
}

// restart begins with no keys, and one part that has the errors from s.from on.
func (k *keyLists) restart(s stats) {
	k.parts, k.from[0], k.from[maxParts] = 1, s.from, s.top
	clear(k.n[:])
	clear(k.foreground[:])
}

// reserve makes room for the keys of so many pixels, if the parts are not very unequal.
func (k *keyLists) reserve(pixels int) {
	for t := range k.parts {
		k.keys[t] = ensure(k.keys[t], 0, pixels/int(k.parts)+padding)
	}
}

// split appends the keys of more errors; marks takes where they begin.
func (k *keyLists) split(isa ISA, signed []float32, marks []uint32) {
	if marks != nil {
		copy(marks[:k.parts], k.n[:])
	}
	for t := range k.parts {
		n := int(k.n[t])
		k.keys[t] = ensure(k.keys[t], n, n+len(signed)+padding)
	}
	switch k.parts {
	case 1:
		lossSplit1(isa, &k.keys, &k.n, &k.from, signed)
	case 2:
		lossSplit2(isa, &k.keys, &k.n, &k.from, signed)
	case 4:
		lossSplit4(isa, &k.keys, &k.n, &k.from, signed)
	case 8:
		lossSplit8(isa, &k.keys, &k.n, &k.from, signed)
	}
}

// splitAndCount is split that counts the foreground.
func (k *keyLists) splitAndCount(isa ISA, signed []float32, marks []uint32) {
	before := k.n
	k.split(isa, signed, marks)
	for t := range k.parts {
		n := uint32(0)
		for _, key := range k.keys[t][before[t]:k.n[t]] {
			n += key & 1
		}
		k.foreground[t] += n
	}
}

// all returns the keys, of one part.
func (k *keyLists) all() []uint32 { return k.keys[0][:k.n[0]] }

// found says how the weights of all keys lie: part after part.
func (k *keyLists) found() spread {
	s := spread{ranges: k.ranges, kind: byRank}
	begin := uint32(0)
	for t := range k.parts {
		s.begin[t] = begin
		begin += k.n[t]
	}
	return s
}

// ensure returns s with at least n elements, of which it keeps the first keep.
func ensure(s []uint32, keep, n int) []uint32 {
	if n > len(s) {
		s = append(make([]uint32, 0, n+n/4), s[:keep]...)
		s = s[:cap(s)]
	}
	return s
}

// A spread says how weights lie in a class's plane of them, for the gradient to fetch.
type spread struct {
	ranges
	begin  [maxParts]uint32 // of each part's weights
	kind   spreadKind
	lowest int32 // bin, of byBin
}

type spreadKind uint8

const (
	byRank  spreadKind = iota // those of the keys, in their order
	byBin                     // those of the bins from lowest on, background and foreground in turn
	byPixel                   // one for every pixel
)

// spread writes factor times the weights of pixels, the first of which is at in the plane, to dst, negated for foreground; marks are where
// those of the keys begin, and move on.
func (s *spread) spread(isa ISA, dst, signed, weights []float32, at int, marks *[maxParts]uint32, factor float32) {
	signed = signed[:len(dst)]
	switch s.kind {
	case byRank:
		switch s.parts {
		case 1:
			lossExpand1(isa, dst, signed, weights, marks, &s.from, factor)
		case 2:
			lossExpand2(isa, dst, signed, weights, marks, &s.from, factor)
		case 4:
			lossExpand4(isa, dst, signed, weights, marks, &s.from, factor)
		case 8:
			lossExpand8(isa, dst, signed, weights, marks, &s.from, factor)
		}
	case byBin:
		lossLookUp(isa, dst, signed, weights[:2*(binCount-int(s.lowest))], uint32(firstBin+s.lowest), factor)
	default:
		scale(isa, dst, weights[at:][:len(dst)], factor)
	}
}
