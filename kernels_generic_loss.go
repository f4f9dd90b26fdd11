package lanewise

import "math"

// The kernels of the loss in plain Go: their definition. What keys, parts and bins are is said in lovasz_sparse.go and lovasz_columns.go.

func lossSplit1Generic(keys *[maxParts][]uint32, n, from *[maxParts]uint32, probs []float32) {
	splitParts(1, keys, n, from, probs)
}

func lossSplit2Generic(keys *[maxParts][]uint32, n, from *[maxParts]uint32, probs []float32) {
	splitParts(2, keys, n, from, probs)
}

func lossSplit4Generic(keys *[maxParts][]uint32, n, from *[maxParts]uint32, probs []float32) {
	splitParts(4, keys, n, from, probs)
}

func lossSplit8Generic(keys *[maxParts][]uint32, n, from *[maxParts]uint32, probs []float32) {
	splitParts(8, keys, n, from, probs)
}

// splitParts appends the keys of the pixels to the n[t] keys of the first part t whose from[t] is no larger than the error's bits.
func splitParts(parts int, keys *[maxParts][]uint32, n, from *[maxParts]uint32, probs []float32) {
	for _, p := range probs {
		e, foreground := errorBits(p)
		for t, least := range from[:parts] {
			if e >= least {
				keys[t][n[t]] = e<<1 | foreground
				n[t]++
				break
			}
		}
	}
}

func lossExpand1Generic(dst, probs, weights []float32, at, from *[maxParts]uint32, factor float32) {
	expandParts(1, dst, probs, weights, at, from, factor)
}

func lossExpand2Generic(dst, probs, weights []float32, at, from *[maxParts]uint32, factor float32) {
	expandParts(2, dst, probs, weights, at, from, factor)
}

func lossExpand4Generic(dst, probs, weights []float32, at, from *[maxParts]uint32, factor float32) {
	expandParts(4, dst, probs, weights, at, from, factor)
}

func lossExpand8Generic(dst, probs, weights []float32, at, from *[maxParts]uint32, factor float32) {
	expandParts(8, dst, probs, weights, at, from, factor)
}

// expandParts writes factor times the weights of the pixels, negated for foreground: those of part t are in weights from at[t] on, in the
// order in which split took them; 0 where it took none.
func expandParts(parts int, dst, probs, weights []float32, at, from *[maxParts]uint32, factor float32) {
	for i, p := range probs {
		var w float32
		e, foreground := errorBits(p)
		for t, least := range from[:parts] {
			if e >= least {
				w = weights[at[t]]
				at[t]++
				break
			}
		}
		w *= factor
		dst[i] = math.Float32frombits(math.Float32bits(w) ^ foreground<<31)
	}
}

// lossCountGeneric counts the keys by bin, and writes how many were in its bin before.
func lossCountGeneric(counts, ranks, keys []uint32, shift, first uint32) {
	for i, k := range keys {
		bin := k>>(shift&31) - first
		ranks[i] = counts[bin]
		counts[bin]++
	}
}

// lossPlaceGeneric turns ranks into positions: a pixel of a column is that many rows of slots below the first one of its bin, a pixel of a
// list that many slots behind it. There it puts the bits of the key below its bin, plus 2.
func lossPlaceGeneric(slots []uint16, positions, keys, starts []uint32, shift, first uint32) {
	for i, k := range keys {
		start, rank := starts[k>>(shift&31)-first], positions[i]
		if start&listStart == 0 {
			rank *= columns
		}
		positions[i] = start&^listStart + rank
		slots[positions[i]] = uint16(k&(1<<(shift&31)-1) + 2)
	}
}

// lossRankGeneric compares the pixels of each column with each other. A column is a lane of the slots, which end with a 0; base is G + FP>
// and twice 2·(G − TP>) of the first lane, which has the largest keys.
func lossRankGeneric(weights []float32, slots []uint16, _ []uint64, base, twice uint32, more *[2][columns]uint32) (background, foreground uint32) {
	for lane := range columns {
		var pixels [2]uint32 // of the column, background and foreground
		for i := lane; i < len(slots); i += columns {
			x := slots[i]
			if x == 0 {
				continue
			}
			pixels[x&1]++
			var larger, least [2]uint32 // pixels with larger, and with larger or equal errors
			for j := lane; j < len(slots); j += columns {
				if y := slots[j]; y>>1 > x>>1 {
					larger[y&1]++
					least[y&1]++
				} else if y>>1 == x>>1 {
					least[y&1]++
				}
			}
			first := base + background + more[0][lane]
			a, b := int64(first+larger[0]), int64(first+least[0])
			n := a + b
			if x&1 == 0 {
				n = int64(twice-more[1][lane]) - int64(2*foreground+larger[1]+least[1])
			}
			weights[i] = weight32(n, a, b)
		}
		background, foreground = background+pixels[0], foreground+pixels[1]
	}
	clear(slots)
	return background, foreground
}

// lossGatherGeneric writes the weights at the positions, and returns Σ error·weight as unitSum adds it up.
func lossGatherGeneric(dst []float32, positions, keys []uint32, weights []float32) int64 {
	var sum unitSum
	for i, k := range keys {
		w := weights[positions[i]]
		dst[i] = w
		sum.add(1, math.Float32frombits(k>>1), w)
	}
	return int64(sum)
}

// lossTallyGeneric counts keys by their bins, those of background first, then those of foreground.
func lossTallyGeneric(packed []uint64, keys []uint32) {
	for _, k := range keys {
		packed[binOf(k>>1)+int(k&1)*binCount] += 1<<packedShift | uint64(k&(2<<restBits-1))
	}
}

// lossLookUpGeneric writes factor times the weights that the pixels have by their bins, negated for foreground: table has those of background
// and of foreground in turn, from the bin whose errors' bits begin with first on. Smaller errors have the weights of that one.
func lossLookUpGeneric(dst, probs, table []float32, first uint32, factor float32) {
	dst = dst[:len(probs)]
	for i, p := range probs {
		e, foreground := errorBits(p)
		bin := max(e>>restBits, first) - first
		w := table[2*bin+foreground] * factor
		dst[i] = math.Float32frombits(math.Float32bits(w) ^ foreground<<31)
	}
}
