package lanewise

import "math"

// The kernels of the loss in plain Go: their definition, as kernels_generic.go is of the others.
//
// Planes hold errors, negative for foreground: in a class's plane the sign says whether a pixel is the class's own, and the rest is its
// error. −0 is foreground. Where kernels produce or read keys, a key is 2·(bits of the error) + (1 for foreground).

// lossTargetsGeneric writes what labels stand for: of has that of firstLabel and the following ones, and at last, its end, that of all
// others.
func lossTargetsGeneric(targets, labels, of []int32, last uint32) {
	for i, label := range labels {
		targets[i] = of[min(uint32(label-firstLabel), last)]
	}
}

// lossCountTargetsGeneric returns how many targets are −1, −2, −3, −4 and 1.
func lossCountTargetsGeneric(targets []int32) (minus1, minus2, minus3, minus4, one uint32) {
	for _, t := range targets {
		switch t {
		case -1:
			minus1++
		case -2:
			minus2++
		case -3:
			minus3++
		case -4:
			minus4++
		case 1:
			one++
		}
	}
	return minus1, minus2, minus3, minus4, one
}

// lossPickGeneric appends the elements of src that are not dropped, as targets says, to the n[0] elements of dst.
func lossPickGeneric(dst, src []uint32, n *[maxParts]uint32, targets []int32) {
	for i, x := range src {
		if targets[i] != dropped {
			dst[n[0]] = x
			n[0]++
		}
	}
}

// lossUnpickGeneric writes elements of src, from n[0] on and one after the other, to where they were picked from, else 0.
func lossUnpickGeneric(dst, src []float32, n *[maxParts]uint32, targets []int32) {
	for i, target := range targets {
		dst[i] = 0
		if target != dropped {
			dst[i] = src[n[0]]
			n[0]++
		}
	}
}

// lossSoftmaxGeneric writes the softmax of every column to dst: the exponentials that are 1 are counted, the others added up, so that rest,
// the sum without the largest, loses nothing where the largest dwarfs it. comp is the complement of the largest probability. max and rest
// may be nil.
func lossSoftmaxGeneric(dst, src, max, rest, comp []float32, planes, n, dstStride, srcStride int) {
	for i := 0; i < n; i += maxColumns {
		var others columnSums[float32]
		var ms, e, ones [maxColumns]float32
		m := ms[:min(maxColumns, n-i)]
		columnMax(m, src[i:], planes, srcStride)
		for k := range planes {
			e := e[:len(m)]
			for j, v := range src[k*srcStride+i:][:len(m)] {
				e[j] = v - m[j]
			}
			exp(e, e, 0)
			copy(dst[k*dstStride+i:], e)
			for j, v := range e {
				if v == 1 {
					ones[j]++
					e[j] = 0
				}
			}
			others.add(k, e)
		}
		r := others.sums(planes, len(m))
		inverse := ones[:len(m)]
		for j := range r {
			r[j] = (ones[j] - 1) + r[j]
			inverse[j] = 1 / (r[j] + 1)
			comp[i+j] = r[j] * inverse[j]
		}
		if max != nil {
			copy(max[i:], m)
		}
		if rest != nil {
			copy(rest[i:], r)
		}
		for k := range planes {
			for j, v := range inverse {
				dst[k*dstStride+i+j] *= v
			}
		}
	}
}

// lossSoftmaxRowsGeneric is lossSoftmax of rows, of which there are n.
func lossSoftmaxRowsGeneric(dst, src, max, rest, comp []float32, cols, n, dstStride int) {
	transposeGeneric(dst, src, n, cols, dstStride, cols)
	lossSoftmaxGeneric(dst, dst, max, rest, comp, cols, n, dstStride, dstStride)
}

// lossSoftmaxGradGeneric writes the gradient by the logits, given the gradient dy by the probabilities: p·(dy − Σ p·dy) down every column.
// A column's own class has an error in s and its probability in own. For the one probability above ½, dy − Σ p·dy is dy·comp less the sum
// over the others, comp being their sum.
func lossSoftmaxGradGeneric(dx, s, dy, own, comp []float32, planes, n, dxStride, sStride, dyStride int) {
	for i := 0; i < n; i += maxColumns {
		var others columnSums[float32]
		var terms, larges [maxColumns]float32
		large := larges[:min(maxColumns, n-i)]
		own, comp := own[i:][:len(large)], comp[i:][:len(large)]
		for k := range planes {
			a, b, t := s[k*sStride+i:][:len(large)], dy[k*dyStride+i:][:len(large)], terms[:len(large)]
			for j, v := range a {
				if math.Signbit(float64(v)) {
					v = own[j]
				}
				t[j] = float32(v * b[j]) // rounded, also where the sum below could be fused with it
				if v > 0.5 {
					large[j] += t[j]
					t[j] -= t[j]
				}
			}
			others.add(k, t)
		}
		sums := others.sums(planes, len(large))
		for j := range large {
			large[j] += sums[j]
		}
		for k := range planes {
			a, b, d := s[k*sStride+i:][:len(large)], dy[k*dyStride+i:][:len(large)], dx[k*dxStride+i:][:len(large)]
			for j, p := range a {
				if math.Signbit(float64(p)) {
					p = own[j]
				}
				if p > 0.5 {
					d[j] = p * (float32(b[j]*comp[j]) - sums[j])
				} else {
					d[j] = p * (b[j] - large[j])
				}
			}
		}
	}
}

// lossSoftmaxGradRowsGeneric is lossSoftmaxGrad, which it writes as n rows.
func lossSoftmaxGradRowsGeneric(dx, s, dy, own, comp []float32, cols, n, sStride, dyStride int) {
	var planes [maxLanes * maxColumns]float32
	for i := 0; i < n; i += maxColumns {
		m := min(maxColumns, n-i)
		lossSoftmaxGradGeneric(planes[:], s[i:], dy[i:], own[i:], comp[i:], cols, m, maxColumns, sStride, dyStride)
		transposeGeneric(dx[i*cols:], planes[:], cols, m, cols, maxColumns)
	}
}

// lossEntropyGradGeneric is lossSoftmaxGrad, and adds s·a to every plane; a is one plane.
func lossEntropyGradGeneric(dx, s, dy, own, comp, a []float32, planes, n, dxStride, sStride, dyStride int) {
	lossSoftmaxGradGeneric(dx, s, dy, own, comp, planes, n, dxStride, sStride, dyStride)
	for k := range planes {
		lossAddProductGeneric(dx[k*dxStride:][:n], s[k*sStride:], a)
	}
}

// lossEntropyGradRowsGeneric is lossEntropyGrad, which it writes as n rows.
func lossEntropyGradRowsGeneric(dx, s, dy, own, comp, a []float32, cols, n, sStride, dyStride int) {
	var planes [maxLanes * maxColumns]float32
	for i := 0; i < n; i += maxColumns {
		m := min(maxColumns, n-i)
		lossEntropyGradGeneric(planes[:], s[i:], dy[i:], own[i:], comp[i:], a[i:], cols, m, maxColumns, sStride, dyStride)
		transposeGeneric(dx[i*cols:], planes[:], cols, m, cols, maxColumns)
	}
}

// expMinusAbs writes exp(−|x|) to e.
func expMinusAbs[T Float](e, x []T) {
	for i := range e {
		e[i] = -T(math.Abs(float64(x[i])))
	}
	exp(e, e, 0)
}

// towards returns −1 for foreground, of which target is class, and 1 for background.
func towards(target, class int32) float32 {
	if target == class {
		return -1
	}
	return 1
}

// lossSigmoidGeneric writes the errors of the sigmoids of src, negative where target is class: that of foreground is the sigmoid of −x.
func lossSigmoidGeneric(dst, src []float32, target []int32, class int32) {
	var z [maxLanes]float32
	for len(src) > 0 {
		n := min(len(src), len(z))
		for i := range n {
			z[i] = src[i] * towards(target[i], class)
		}
		sigmoidGeneric(z[:n], z[:n])
		for i := range n {
			dst[i] = z[i] * towards(target[i], class)
		}
		dst, src, target = dst[n:], src[n:], target[n:]
	}
}

// lossHingeGeneric writes the hinge errors of src, max(0, 1 + x), for foreground 1 − x, negative where target is class.
func lossHingeGeneric(dst, src []float32, target []int32, class int32) {
	for i, x := range src {
		e := float32(x*towards(target[i], class)) + 1
		if math.Signbit(float64(e)) {
			e = 0
		}
		dst[i] = e * towards(target[i], class)
	}
}

// lossClampGeneric writes the errors of the probabilities src, clamped to [0, 1] and negative where target is class. It returns by how
// much they were clamped together, a sum in lanes.
func lossClampGeneric(dst, src []float32, target []int32, class int32) float32 {
	var lanes [maxLanes]float32
	for i, p := range src {
		e := p
		if target[i] == class {
			e = 1 - p
		}
		t := max(e, 0)
		if t > 1 {
			t = 1
		}
		lanes[i%maxLanes] += max(t-e, e-t)
		dst[i] = float32(t+0) * towards(target[i], class)
	}
	return fold(&lanes, len(src))
}

// lossSigmoidGradGeneric writes the gradient by the logits x, given the one by the probabilities: p·(1 − p)·dy, of which p is 1/(1 + e) and
// 1 − p is e·p, e = exp(−|x|).
func lossSigmoidGradGeneric(dx, x, dy []float32) {
	var e [maxLanes]float32
	for len(x) > 0 {
		n := min(len(x), len(e))
		expMinusAbs(e[:n], x)
		for i, e := range e[:n] {
			p := 1 / (1 + e)
			dx[i] = p * float32(e*p) * dy[i]
		}
		dx, x, dy = dx[n:], x[n:], dy[n:]
	}
}

// lossNearestGeneric returns the largest element with a negative sign: minus the smallest error of foreground. −Inf without one.
func lossNearestGeneric(x []float32) float32 {
	m := float32(math.Inf(-1))
	for _, v := range x {
		if math.Signbit(float64(v)) && v > m {
			m = v
		}
	}
	return m
}

// lossLargestGeneric returns the largest absolute value.
func lossLargestGeneric(x []float32) float32 {
	var m float32
	for _, v := range x {
		m = max(m, float32(math.Abs(float64(v))))
	}
	return m
}

// lossAddProductGeneric adds s·a to dst.
func lossAddProductGeneric(dst, s, a []float32) {
	for i := range dst {
		dst[i] += float32(s[i] * a[i])
	}
}

// lossLog1pGeneric writes log(1 + x), for x ≥ 0, in float64 and then rounded: the logarithm of the rounded sum, and what that has lost of
// x.
func lossLog1pGeneric(dst, src []float32) {
	for i, x := range src {
		u := float64(x)
		w := u + 1
		dst[i] = float32(log(w) + (u-(w-1))/w)
	}
}

// lossSplitParts appends the keys of the pixels to the n[t] keys of the first part t whose from[t] is no larger than the error's bits.
// Errors above from[maxParts] count as that.
func lossSplitParts(parts int, keys *[maxParts][]uint32, n *[maxParts]uint32, from *[maxParts + 1]uint32, signed []float32) {
	for _, s := range signed {
		e, foreground := errorBits(s)
		e = min(e, from[maxParts])
		for t := range parts {
			if e >= from[t] {
				keys[t][n[t]] = e<<1 | foreground
				n[t]++
				break
			}
		}
	}
}

func lossSplit1Generic(keys *[maxParts][]uint32, n *[maxParts]uint32, from *[maxParts + 1]uint32, signed []float32) {
	to := keys[0][n[0]:]
	i := 0
	for _, s := range signed {
		e, foreground := errorBits(s)
		if e = min(e, from[maxParts]); e >= from[0] {
			to[i] = e<<1 | foreground
			i++
		}
	}
	n[0] += uint32(i)
}

func lossSplit2Generic(keys *[maxParts][]uint32, n *[maxParts]uint32, from *[maxParts + 1]uint32, signed []float32) {
	lossSplitParts(2, keys, n, from, signed)
}

func lossSplit4Generic(keys *[maxParts][]uint32, n *[maxParts]uint32, from *[maxParts + 1]uint32, signed []float32) {
	lossSplitParts(4, keys, n, from, signed)
}

func lossSplit8Generic(keys *[maxParts][]uint32, n *[maxParts]uint32, from *[maxParts + 1]uint32, signed []float32) {
	lossSplitParts(8, keys, n, from, signed)
}

// lossExpandParts writes factor times the weights of the pixels, negated for foreground: those of part t are in weights from at[t] on, in
// the order in which split took them; 0 where it took none.
func lossExpandParts(parts int, dst, signed, weights []float32, at *[maxParts]uint32, from *[maxParts + 1]uint32, factor float32) {
	for i, s := range signed {
		var w float32
		e, foreground := errorBits(s)
		for t := range parts {
			if e >= from[t] {
				w = weights[at[t]]
				at[t]++
				break
			}
		}
		dst[i] = negateWhere(w*factor, foreground)
	}
}

// negateWhere returns w, negated where foreground is 1.
func negateWhere(w float32, foreground uint32) float32 {
	return math.Float32frombits(math.Float32bits(w) ^ foreground<<31)
}

func lossExpand1Generic(dst, signed, weights []float32, at *[maxParts]uint32, from *[maxParts + 1]uint32, factor float32) {
	weights = weights[at[0]:]
	taken := 0
	for i, s := range signed {
		var w float32
		e, foreground := errorBits(s)
		if e >= from[0] {
			w = weights[taken]
			taken++
		}
		dst[i] = negateWhere(w*factor, foreground)
	}
	at[0] += uint32(taken)
}

func lossExpand2Generic(dst, signed, weights []float32, at *[maxParts]uint32, from *[maxParts + 1]uint32, factor float32) {
	lossExpandParts(2, dst, signed, weights, at, from, factor)
}

func lossExpand4Generic(dst, signed, weights []float32, at *[maxParts]uint32, from *[maxParts + 1]uint32, factor float32) {
	lossExpandParts(4, dst, signed, weights, at, from, factor)
}

func lossExpand8Generic(dst, signed, weights []float32, at *[maxParts]uint32, from *[maxParts + 1]uint32, factor float32) {
	lossExpandParts(8, dst, signed, weights, at, from, factor)
}

// lossCountGeneric counts keys by their bins, key>>shift − first, and writes how many were in its bin before each.
func lossCountGeneric(counts, ranks, keys []uint32, shift, first uint32) {
	for i, k := range keys {
		bin := k>>shift - first
		ranks[i] = counts[bin]
		counts[bin]++
	}
}

// lossPlaceGeneric replaces the rank of every key in its bin by its slot, from where the bin starts: in a column, the next ones of which
// are 32 slots on, or in a list. The slot gets the lower shift bits of the key, plus 2.
func lossPlaceGeneric(slots []uint16, positions, keys, starts []uint32, shift, first uint32) {
	for i, k := range keys {
		start := starts[k>>shift-first]
		if start&listStart != 0 {
			positions[i] += start &^ listStart
		} else {
			positions[i] = positions[i]*columns + start
		}
		slots[positions[i]] = uint16(k&(1<<shift-1) + 2)
	}
}

// lossRankGeneric finds the weights of the pixels in 32 columns of slots, of which the first ones have larger keys than the others, and
// clears the slots. Before all of them A is base and 2·(G − TP>) is twice; for a lane more[0] is to be added to these counts, and more[1]
// to be subtracted. Slots without a pixel get anything. It returns how many pixels there were of background and foreground.
func lossRankGeneric(weights []float32, slots []uint16, scratch []uint64, base, twice uint32, more *[2][columns]uint32) (background,
	foreground uint32) {
	for lane := range uint32(columns) {
		var n [2]uint32
		for i := int(lane); i < len(slots); i += columns {
			if slots[i] == 0 {
				continue
			}
			a, b := base+background+more[0][lane], base+background+more[0][lane]
			left := twice - 2*foreground - more[1][lane]
			for j := int(lane); j < len(slots); j += columns {
				larger, equal := slots[j]>>1 > slots[i]>>1, slots[j]>>1 == slots[i]>>1
				switch {
				case slots[j] == 0:
				case slots[j]&1 == 0 && larger:
					a++
					b++
				case slots[j]&1 == 0 && equal:
					b++
				case larger:
					left -= 2
				case equal && slots[j]&1 == 1:
					left--
				}
			}
			if slots[i]&1 == 1 {
				left = a + b
			}
			weights[i] = weight32(int64(left), int64(a), int64(b))
			n[slots[i]&1]++
		}
		background, foreground = background+n[0], foreground+n[1]
	}
	clear(slots)
	return background, foreground
}

// lossGatherGeneric writes the weights at the positions of the keys, and returns Σ error·scale·weight, rounded each to 2⁻⁵².
func lossGatherGeneric(dst []float32, positions, keys []uint32, weights []float32, scale float64) (sum int64) {
	var s unitSum
	for i, k := range keys {
		dst[i] = weights[positions[i]]
		s.add(1, float64(math.Float32frombits(k>>1))*scale, dst[i])
	}
	return int64(s)
}

// lossTallyGeneric counts keys by their bins, those of background first, then those of foreground.
func lossTallyGeneric(packed []uint64, keys []uint32) {
	for _, k := range keys {
		packed[binOf(k>>1)+int(k&1)*binCount] += 1<<packedShift | uint64(k&(2<<restBits-1))
	}
}

// lossLookUpGeneric writes factor times the weights that the pixels have by their bins, negated for foreground: table has those of
// background and of foreground in turn, from the bin whose errors' bits begin with first on. Smaller errors have the weights of that one.
func lossLookUpGeneric(dst, signed, table []float32, first uint32, factor float32) {
	dst = dst[:len(signed)]
	for i, s := range signed {
		e, foreground := errorBits(s)
		bin := max(min(e, oneBits)>>restBits, first) - first
		dst[i] = negateWhere(table[2*bin+foreground]*factor, foreground)
	}
}
