package lanewise

import (
	"math"
	"math/bits"
)

// The weights of a class are sparse: background whose error is smaller than all foreground's weighs nothing. So a class keeps only the
// pixels from a threshold on. split takes their keys out of the probabilities of the class, in the pixels' order. Exact finds the weight of
// each, and expand brings the weights back to the pixels, times what the gradient takes of them; Binned counts them with tally, and lookUp
// finds the weights of the pixels by their bins. Both see the same probabilities, so that no pixel's index is kept.
//
// In these probabilities a negative sign marks the pixels that are the class's own, its foreground; −0 counts as negative. A key is
// 2·(bits of the error) + (1 for foreground). The keys may be cut into parts, ranges of errors that follow each other from the largest down.

// sparseKernels are split and expand for 1, 2, 4 and 8 parts, and what Binned counts and finds weights with. What they do is said at
// sparseGeneric.
type sparseKernels struct {
	split  [4]func(keys *[maxParts][]uint32, n, from *[maxParts]uint32, probs []float32)
	expand [4]func(dst, probs, weights []float32, at, from *[maxParts]uint32, factor float32)
	tally  func(packed []uint64, keys []uint32)
	lookUp func(dst, probs, table []float32, first uint32, factor float32)
}

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
func (r *ranges) expand(k *sparseKernels, dst, probs, weights []float32, at *[maxParts]uint32, factor float32) {
	k.expand[log2(r.parts)](dst, probs, weights, at, &r.from, factor)
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
func (k *keyLists) split(s *sparseKernels, probs []float32) {
	for t := range k.parts {
		n := int(k.n[t])
		k.keys[t] = ensure(k.keys[t], n, n+len(probs)+padding)
	}
	s.split[log2(k.parts)](&k.keys, &k.n, &k.from, probs)
}

// all returns the keys, of one part.
func (k *keyLists) all() []uint32 { return k.keys[0][:k.n[0]] }

func log2(parts uint32) int { return bits.Len32(parts) - 1 }

// ensure returns s with at least n elements, of which it keeps the first keep.
func ensure(s []uint32, keep, n int) []uint32 {
	if n > len(s) {
		s = append(make([]uint32, 0, n+n/4), s[:keep]...)
		s = s[:cap(s)]
	}
	return s
}

// sparseGeneric has one part only: in plain Go the weights are sorted.
var sparseGeneric = sparseKernels{
	split:  [4]func(_ *[maxParts][]uint32, _, _ *[maxParts]uint32, _ []float32){splitGeneric},
	expand: [4]func(_, _, _ []float32, _, _ *[maxParts]uint32, _ float32){expandGeneric},
	tally:  tallyGeneric,
	lookUp: lookUpGeneric,
}

// errorBits returns the bits of a pixel's error, and 1 if it is foreground.
func errorBits(p float32) (e, foreground uint32) {
	b := math.Float32bits(p)
	if foreground = b >> 31; foreground != 0 {
		b = math.Float32bits(1 + p)
	}
	return b, foreground
}

// splitGeneric appends the keys of the pixels to the n[t] keys of the first part t whose from[t] is no larger than the error's bits.
func splitGeneric(keys *[maxParts][]uint32, n, from *[maxParts]uint32, probs []float32) {
	to := keys[0][n[0]:]
	i := 0
	for _, p := range probs {
		if e, foreground := errorBits(p); e >= from[0] {
			to[i] = e<<1 | foreground
			i++
		}
	}
	n[0] += uint32(i)
}

// expandGeneric writes factor times the weights of the pixels, negated for foreground: those of part t are in weights from at[t] on, in
// the order in which split took them; 0 where it took none.
func expandGeneric(dst, probs, weights []float32, at, from *[maxParts]uint32, factor float32) {
	weights = weights[at[0]:]
	taken := 0
	for i, p := range probs {
		var w float32
		e, foreground := errorBits(p)
		if e >= from[0] {
			w = weights[taken]
			taken++
		}
		w *= factor
		dst[i] = math.Float32frombits(math.Float32bits(w) ^ foreground<<31)
	}
	at[0] += uint32(taken)
}

// tallyGeneric counts keys by their bins, those of background first, then those of foreground.
func tallyGeneric(packed []uint64, keys []uint32) {
	for _, k := range keys {
		packed[binOf(k>>1)+int(k&1)*binCount] += 1<<packedShift | uint64(k&(2<<restBits-1))
	}
}

// lookUpGeneric writes factor times the weights that the pixels have by their bins, negated for foreground: table has those of background
// and of foreground in turn, from the bin whose errors' bits begin with first on. Smaller errors have the weights of that one.
func lookUpGeneric(dst, probs, table []float32, first uint32, factor float32) {
	dst = dst[:len(probs)]
	for i, p := range probs {
		e, foreground := errorBits(p)
		bin := max(e>>restBits, first) - first
		w := table[2*bin+foreground] * factor
		dst[i] = math.Float32frombits(math.Float32bits(w) ^ foreground<<31)
	}
}
