package lanewise

import "math"

// The weights of a class are sparse: background whose error is smaller than all foreground's weighs nothing. So a class keeps only the
// pixels from a threshold on. split takes their keys out of the probabilities of the class, in the pixels' order. Exact finds the weight of
// each, and expand brings the weights back to the pixels, times what the gradient takes of them; Binned counts them with tally, and lookUp
// finds the weights of the pixels by their bins. Both see the same probabilities, so that no pixel's index is kept.
//
// In these probabilities a negative sign marks the pixels that are the class's own, its foreground; −0 counts as negative. A key is
// 2·(bits of the error) + (1 for foreground). The keys may be cut into parts, ranges of errors that follow each other from the largest down.

const (
	maxParts = 8  // of a class
	padding  = 68 // elements that kernels read or write behind the end, at most
)

// keyLists are the keys of a class while its weights are found, and what one worker needs for that.
type keyLists struct {
	ranges
	keys [maxParts][]uint32
	n    [maxParts]uint32
}

// ranges are the errors that the parts of a class have.
type ranges struct {
	parts uint32           // 1, 2, 4 or 8
	from  [maxParts]uint32 // the bits of the smallest error of each part
}

// expand writes to dst what its pixels' weights contribute to the gradient, and moves at on.
func (r *ranges) expand(isa ISA, dst, probs, weights []float32, at *[maxParts]uint32, factor float32) {
	switch r.parts {
	case 1:
		lossExpand1(isa, dst, probs, weights, at, &r.from, factor)
	case 2:
		lossExpand2(isa, dst, probs, weights, at, &r.from, factor)
	case 4:
		lossExpand4(isa, dst, probs, weights, at, &r.from, factor)
	case 8:
		lossExpand8(isa, dst, probs, weights, at, &r.from, factor)
	}
}

// restart begins with no keys, and one part that has the errors whose bits are at least from.
func (k *keyLists) restart(from uint32) {
	k.parts, k.from[0] = 1, from
	clear(k.n[:])
}

// reserve makes room for the keys of so many pixels, if the parts are not very unequal.
func (k *keyLists) reserve(pixels int) {
	for t := range k.parts {
		k.keys[t] = ensure(k.keys[t], 0, pixels/int(k.parts)+padding)
	}
}

// split appends the keys of more probabilities.
func (k *keyLists) split(isa ISA, probs []float32) {
	for t := range k.parts {
		n := int(k.n[t])
		k.keys[t] = ensure(k.keys[t], n, n+len(probs)+padding)
	}
	switch k.parts {
	case 1:
		lossSplit1(isa, &k.keys, &k.n, &k.from, probs)
	case 2:
		lossSplit2(isa, &k.keys, &k.n, &k.from, probs)
	case 4:
		lossSplit4(isa, &k.keys, &k.n, &k.from, probs)
	case 8:
		lossSplit8(isa, &k.keys, &k.n, &k.from, probs)
	}
}

// all returns the keys, of one part.
func (k *keyLists) all() []uint32 { return k.keys[0][:k.n[0]] }

// ensure returns s with at least n elements, of which it keeps the first keep.
func ensure(s []uint32, keep, n int) []uint32 {
	if n > len(s) {
		s = append(make([]uint32, 0, n+n/4), s[:keep]...)
		s = s[:cap(s)]
	}
	return s
}

// errorBits returns the bits of a pixel's error, and 1 if it is foreground.
func errorBits(p float32) (e, foreground uint32) {
	b := math.Float32bits(p)
	if foreground = b >> 31; foreground != 0 {
		b = math.Float32bits(1 + p)
	}
	return b, foreground
}
