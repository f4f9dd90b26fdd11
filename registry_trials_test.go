//go:build unix

package lanewise

import (
	"math"
	"math/bits"
	"slices"
)

// trials are for the kernels whose arguments have a structure. Those that are not here take slices of one length.
var trials = map[string]trial{
	"dot":     {sizes: upTo(0, 300, 1000, 8191, 8192)},
	"cumSum":  {prepare: firstSums},
	"largest": {zeros: []string{"result"}},
	"expSum":  {prepare: largestFirst}, "expSumScaled": {prepare: largestFirst}, "sumExp": {prepare: largestFirst},
	"argMaxRows":  rowsOf("dst"),
	"softmaxRows": rowsOf(), "logSoftmaxRows": rowsOf(), "softmaxRowsGrad": rowsOf(), "logSoftmaxRowsGrad": rowsOf(),

	"softmaxPlanes": {shape: planesShape, sizes: upTo(1, 300, 1000)}, "logSoftmaxPlanes": {shape: planesShape, sizes: upTo(1, 300, 1000)},
	"argMaxPlanes": {shape: columnsShape, sizes: upTo(1, 300, 1000)},

	"softmaxRowsScaled": {shape: rowsOf().shape, prepare: scalePositive}, "softmaxRowsMasked": {shape: maskedShape, prepare: scaleAny},
	"logSumExpRows": rowsOf("dst"), "logSumExpPlanes": {shape: columnsShape, sizes: upTo(1, 300, 1000)},
	"softmaxGradPlanes": {shape: gradShape, sizes: upTo(1, 300, 1000)}, "logSoftmaxGradPlanes": {shape: gradShape, sizes: upTo(1, 300, 1000)},
	"above": {prepare: thresholdInside}, "largestPlanes": {shape: columnsShape, zeros: []string{"dst"}, sizes: upTo(1, 300, 1000)},

	"transpose": {shape: func(n int, element string) map[string]int {
		rows, cols := 1+n%67, 1+n/3
		return map[string]int{"rows": rows, "cols": cols, "dstStride": rows + 3, "srcStride": cols + 5,
			"dst": (cols-1)*(rows+3) + rows, "src": (rows-1)*(cols+5) + cols}
	}, sizes: upTo(1, 300, 1000)},

	"lossTargets": {shape: func(n int, element string) map[string]int {
		return map[string]int{"of": 200 + n, "last": 199 + n}
	}, prepare: func(a arguments, n int, r *random) func(string, int) bool {
		for i := range a.(*lossTargetsArgs).labels {
			label := &a.(*lossTargetsArgs).labels[i]
			switch *label = int32(r.below(300)) + firstLabel - 20; r.below(8) {
			case 0:
				*label = []int32{math.MinInt32, math.MaxInt32, math.MaxInt32 + firstLabel, firstLabel - 1, firstLabel}[r.below(5)]
			case 1:
				*label = int32(199+n) + firstLabel + int32(r.below(3)) - 1
			}
		}
		return nil
	}, sizes: upTo(0, 300, 1000)},
	"lossCountTargets": {prepare: func(a arguments, n int, r *random) func(string, int) bool {
		for i := range a.(*lossCountTargetsArgs).targets {
			a.(*lossCountTargetsArgs).targets[i] = int32(r.below(8)) - 5
		}
		return nil
	}, sizes: upTo(0, 300, 1000)},
	"lossPick": {prepare: func(a arguments, n int, r *random) func(string, int) bool {
		x := a.(*lossPickArgs)
		taken := pickedOf(x.targets, r)
		return func(name string, i int) bool { return name == "dst" && i >= taken }
	}, sizes: upTo(0, 300, 1000)},
	"lossUnpick": {prepare: func(a arguments, n int, r *random) func(string, int) bool {
		pickedOf(a.(*lossUnpickArgs).targets, r)
		return nil
	}, sizes: upTo(0, 300, 1000)},
	"lossSoftmax": {shape: func(n int, element string) map[string]int {
		planes, dst, src := 1+n*5%70, n+3, n+1
		s := map[string]int{"planes": planes, "n": n, "dstStride": dst, "srcStride": src, "dst": (planes-1)*dst + n, "src": (planes-1)*src + n}
		return withRest(s, n)
	}, zeros: []string{"max"}, sizes: upTo(1, 300, 1000)},
	"lossSoftmaxRows": {shape: func(n int, element string) map[string]int {
		cols, dst := 1+n%64, n+3
		return withRest(map[string]int{"cols": cols, "n": n, "dstStride": dst, "dst": (cols-1)*dst + n, "src": n * cols}, n)
	}, zeros: []string{"max"}, sizes: upTo(1, 300, 1000)},
	"lossSoftmaxGrad": {shape: lossGradShape, prepare: func(a arguments, n int, r *random) func(string, int) bool {
		x := a.(*lossSoftmaxGradArgs)
		softmaxErrorsOf(x.s, x.own, x.comp, r)
		return nil
	}, sizes: upTo(1, 300, 1000)},
	"lossSoftmaxGradRows": {shape: lossGradRowsShape, prepare: func(a arguments, n int, r *random) func(string, int) bool {
		x := a.(*lossSoftmaxGradRowsArgs)
		softmaxErrorsOf(x.s, x.own, x.comp, r)
		return nil
	}, sizes: upTo(1, 300, 1000)},
	"lossEntropyGrad": {shape: lossGradShape, prepare: func(a arguments, n int, r *random) func(string, int) bool {
		x := a.(*lossEntropyGradArgs)
		softmaxErrorsOf(x.s, x.own, x.comp, r)
		return nil
	}, sizes: upTo(1, 300, 1000)},
	"lossEntropyGradRows": {shape: lossGradRowsShape, prepare: func(a arguments, n int, r *random) func(string, int) bool {
		x := a.(*lossEntropyGradRowsArgs)
		softmaxErrorsOf(x.s, x.own, x.comp, r)
		return nil
	}, sizes: upTo(1, 300, 1000)},
	"lossLog1p": {prepare: func(a arguments, n int, r *random) func(string, int) bool {
		for i, v := range a.(*lossLog1pArgs).src {
			a.(*lossLog1pArgs).src[i] = max(v, -v)
		}
		return nil
	}},
	"lovaszWeights": {shape: func(n int, element string) map[string]int {
		return map[string]int{"left": 2 * n, "union": 3*n + 1} // at most as many foreground pixels are to come
	}},

	"lossSplit1": splitInput(1), "lossSplit2": splitInput(2), "lossSplit4": splitInput(4), "lossSplit8": splitInput(8),
	"lossExpand1": expandInput(1), "lossExpand2": expandInput(2), "lossExpand4": expandInput(4), "lossExpand8": expandInput(8),
	"lossCount": {shape: func(n int, element string) map[string]int {
		return map[string]int{"shift": 9, "first": 77, "counts": 1 + n%100}
	}, prepare: func(a arguments, n int, r *random) func(string, int) bool {
		x := a.(*lossCountArgs)
		x.keys = keysIn(x.keys[:cap(x.keys)], len(x.counts), x.shift, x.first, r)[:n]
		return nil
	}},
	"lossPlace": {shape: func(n int, element string) map[string]int {
		return map[string]int{"shift": 9, "first": 77, "starts": 64, "slots": 64 * 40 * columns}
	}, prepare: func(a arguments, n int, r *random) func(string, int) bool {
		x := a.(*lossPlaceArgs)
		x.keys = keysIn(x.keys[:cap(x.keys)], len(x.starts), x.shift, x.first, r)[:n]
		counts := make([]uint32, len(x.starts))
		for i := range x.starts {
			x.starts[i] = uint32(i/columns*40*columns + i%columns)
		}
		for i, k := range x.keys[:n] { // of bins with more than 40 pixels the others go elsewhere
			bin := k>>x.shift - x.first
			x.positions[i] = counts[bin] % 40
			counts[bin]++
		}
		for i := range x.positions[n:cap(x.positions)] {
			x.positions[:cap(x.positions)][n+i] = 0
		}
		return nil
	}, sizes: upTo(1, 300, 1023, 1024, 1025, 2000)},
	"lossRank": {shape: func(n int, element string) map[string]int {
		return map[string]int{"slots": (1 + n%maxRows) * columns, "weights": (1 + n%maxRows) * columns, "scratch": rankScratch / 8, "base": 1000 +
			n, "twice": 40_000 - n}
	}, prepare: func(a arguments, n int, r *random) func(string, int) bool {
		x := a.(*lossRankArgs)
		rows := len(x.slots) / columns
		values := 1 + r.below(1<<r.below(13)) // few make ties
		for lane := range columns {
			pixels := r.below(rows + 1)
			for row := range rows {
				if v := &x.slots[row*columns+lane]; row < pixels {
					*v = uint16(2 + 2*r.below(values) + r.below(2))
				} else {
					*v = 0
				}
			}
			x.more[0][lane], x.more[1][lane] = uint32(r.below(3)*lane), uint32(2*r.below(3)*lane)
		}
		slots := slices.Clone(x.slots)
		return func(name string, i int) bool { return name == "scratch" || name == "weights" && slots[i] == 0 }
	}, sizes: upTo(0, maxRows-1)},
	"lossGather": {prepare: func(a arguments, n int, r *random) func(string, int) bool {
		x := a.(*lossGatherArgs)
		x.scale = power2(-r.below(5))
		for i := range x.weights {
			x.weights[i] = float32(r.below(1<<24)) * 0x1p-24
		}
		for i := range x.keys {
			x.keys[i], x.positions[i] = uint32(r.below(2*oneBits+2)), uint32(r.below(n))
		}
		return nil
	}},
	"lossTally": {shape: func(n int, element string) map[string]int { return map[string]int{"packed": 2 * binCount} },
		prepare: func(a arguments, n int, r *random) func(string, int) bool {
			x := a.(*lossTallyArgs)
			for i := range x.packed {
				x.packed[i] >>= 4
			}
			anyKeys(x.keys, r)
			return nil
		}, sizes: upTo(0, 300)},
	"lossLookUp": {shape: func(n int, element string) map[string]int {
		lowest := n * 31 % binCount
		return map[string]int{"table": 2 * (binCount - lowest), "first": firstBin + lowest}
	}, prepare: func(a arguments, n int, r *random) func(string, int) bool {
		x := a.(*lossLookUpArgs)
		signedErrors(x.signed, r)
		for i := 3; i < n; i += 16 {
			x.signed[i] = []float32{0, 1, -1, float32(math.Copysign(0, -1))}[r.below(4)]
		}
		return nil
	}, sizes: upTo(0, 300)},

	"sortCount32": {shape: func(n int, element string) map[string]int {
		shift := 16 + n%9
		return map[string]int{"shift": shift, "counts": 1 << (32 - shift)}
	}, prepare: func(a arguments, n int, r *random) func(string, int) bool {
		anyBits32(a.(*sortCount32Args).keys, n%3 == 0, r)
		return nil
	}, sizes: sortSizes},
	"sortCount64": {shape: func(n int, element string) map[string]int {
		shift := 16 + n%9
		return map[string]int{"shift": shift, "counts": 1 << (32 - shift), "up": n * 5 % 64}
	}, prepare: func(a arguments, n int, r *random) func(string, int) bool {
		anyBits64(a.(*sortCount64Args).keys, r)
		return nil
	}, sizes: sortSizes},
	"sortSplit32": {shape: func(n int, element string) map[string]int {
		shift := 16 + n%9
		return map[string]int{"shift": shift, "parts": 1 << (32 - shift), "next": 1 + n*7%40, "index": 1000}
	}, prepare: func(a arguments, n int, r *random) func(string, int) bool {
		x := a.(*sortSplit32Args)
		anyBits32(x.keys, false, r)
		counts := make([]uint32, len(x.parts))
		sortCount32Generic(counts, x.keys, x.shift)
		partsOf(counts, x.parts, x.next, n)
		return nil
	}, sizes: sortSizes},
	"sortSplit64": {shape: func(n int, element string) map[string]int {
		shift := 16 + n%9
		return map[string]int{"shift": shift, "parts": 1 << (32 - shift), "next": 1 + n*7%40, "index": 1000, "up": n * 5 % 64}
	}, prepare: func(a arguments, n int, r *random) func(string, int) bool {
		x := a.(*sortSplit64Args)
		anyBits64(x.keys, r)
		counts := make([]uint32, len(x.parts))
		sortCount64Generic(counts, x.keys, x.up, x.shift)
		partsOf(counts, x.parts, x.next, n)
		return nil
	}, sizes: sortSizes},
	"sortItems64": {shape: func(n int, element string) map[string]int {
		return map[string]int{"up": n % 64, "low": n % 33}
	}, prepare: func(a arguments, n int, r *random) func(string, int) bool {
		anyBits64(a.(*sortItems64Args).keys, r)
		return nil
	}, sizes: sortSizes},
	"sortUnpack": {prepare: func(a arguments, n int, r *random) func(string, int) bool {
		keys := make([]uint32, n)
		anyBits32(keys, false, r)
		for i, b := range keys {
			key, zero := key32(b)
			a.(*sortUnpackArgs).items[i] = uint64(key)<<32 | uint64(r.below(1<<31-1))<<1 | uint64(zero)
		}
		return nil
	}, sizes: sortSizes},
	"sortBounds": {prepare: func(a arguments, n int, r *random) func(string, int) bool {
		nearItems(a.(*sortBoundsArgs).items, r)
		return nil
	}},
	"sortCount": {shape: func(n int, element string) map[string]int {
		return map[string]int{"counts": 256, "least": 0, "shift": 0}
	}, prepare: func(a arguments, n int, r *random) func(string, int) bool {
		x := a.(*sortCountArgs)
		x.least, x.shift = nearItems(x.items, r)
		return nil
	}, sizes: sortSizes},
	"sortPlace": {shape: func(n int, element string) map[string]int {
		return map[string]int{"next": 256, "least": 0, "shift": 0}
	}, prepare: func(a arguments, n int, r *random) func(string, int) bool {
		x := a.(*sortPlaceArgs)
		x.least, x.shift = nearItems(x.items, r)
		clear(x.next)
		sortCountGeneric(x.next, x.items, x.least, x.shift)
		sortSumsGeneric(x.next)
		return nil
	}, sizes: sortSizes},
	"sortSums": {sizes: append(multiples(sortTurn), 0), prepare: func(a arguments, n int, r *random) func(string, int) bool {
		counts := a.(*sortSumsArgs).counts
		for i := range counts {
			counts[i] = uint16(r.below(1 << r.below(17)))
		}
		return nil
	}},
	"sortNeighbours": {sizes: multiples(sortTurn), prepare: func(a arguments, n int, r *random) func(string, int) bool {
		x := a.(*sortNeighboursArgs)
		least, shift := nearItems(x.items, r)
		if r.below(2) == 0 { // by bins, as the sort has them
			items, next := slices.Clone(x.items), make([]uint16, 256)
			sortCountGeneric(next, items, least, shift)
			sortSumsGeneric(next)
			sortPlaceGeneric(x.items, items, next, least, shift)
		}
		return nil
	}},
	"sortBelow": {sizes: append(multiples(sortTurn), 0), prepare: func(a arguments, n int, r *random) func(string, int) bool {
		x := a.(*sortBelowArgs)
		copy(x.items, x.limits)
		if n%(2*sortTurn) == 0 { // at the limits, but for one perhaps
			if i := r.below(2*n + 1); i < n {
				x.items[i]--
			}
			return nil
		}
		for i, limit := range x.limits {
			if room := -limit; room > 0 {
				x.items[i] += r.next() % room
			}
			if r.below(100) == 0 {
				x.items[i] = limit - uint64(r.below(2))
			}
		}
		return nil
	}},
}

// sortSizes are those of the kernels that take nothing as well.
var sortSizes = upTo(0, 300, 1000, 4099, 8192)

func upTo(from, to int, others ...int) []int {
	for n := from; n <= to; n++ {
		others = append(others, n)
	}
	return others
}

// multiples are sizes that are multiples of a number.
func multiples(of int) (sizes []int) {
	for n := of; n <= 60*of; n += of {
		sizes = append(sizes, n)
	}
	return sizes
}

// largestFirst makes max the largest of src.
func largestFirst(a arguments, n int, r *random) func(string, int) bool {
	switch x := a.(type) {
	case *expSumArgs[float32]:
		x.max = slices.Max(x.src)
	case *expSumArgs[float64]:
		x.max = slices.Max(x.src)
	case *expSumScaledArgs[float32]:
		x.max, x.scale = slices.Max(x.src), scales(r)
	case *expSumScaledArgs[float64]:
		x.max, x.scale = slices.Max(x.src), float64(scales(r))
	case *sumExpArgs[float32]:
		x.max = slices.Max(x.src)
	case *sumExpArgs[float64]:
		x.max = slices.Max(x.src)
	}
	return nil
}

// firstSums makes some calls a first one, which nothing comes before, and some of these sums of nothing but −0.
func firstSums(a arguments, n int, r *random) func(string, int) bool {
	zero := math.Copysign(0, -1)
	if n%2 == 0 || n == 5 || n == 7 {
		switch x := a.(type) {
		case *cumSumArgs[float32]:
			if x.carry = zero; n%5 == 1 || n == 2 {
				fillWith(x.src, float32(zero))
			}
		case *cumSumArgs[float64]:
			if x.carry = zero; n%5 == 1 || n == 2 {
				fillWith(x.src, zero)
			}
		}
	}
	return nil
}

func fillWith[T Float](x []T, v T) {
	for i := range x {
		x[i] = v
	}
}

// scalePositive makes a scale what its kernel takes: positive, or NaN.
func scalePositive(a arguments, n int, r *random) func(string, int) bool {
	switch x := a.(type) {
	case *softmaxRowsScaledArgs[float32]:
		x.scale = scales(r)
	case *softmaxRowsScaledArgs[float64]:
		x.scale = float64(scales(r))
	}
	return nil
}

func scales(r *random) float32 {
	return []float32{1, 0.125, 3, 0x1p-140, 1e38, float32(math.Inf(1)), float32(math.NaN())}[r.below(7)]
}

// scaleAny makes a scale of either sign, or 0.
func scaleAny(a arguments, n int, r *random) func(string, int) bool {
	scale := scales(r) * float32(r.below(3)-1)
	switch x := a.(type) {
	case *softmaxRowsMaskedArgs[float32]:
		x.scale = scale
	case *softmaxRowsMaskedArgs[float64]:
		x.scale = float64(scale)
	}
	return nil
}

// thresholdInside has a threshold that is one of the elements, often one that few are above.
func thresholdInside(a arguments, n int, r *random) func(string, int) bool {
	switch x := a.(type) {
	case *aboveArgs[float32]:
		x.threshold = thresholdOf(x.x, r)
	case *aboveArgs[float64]:
		x.threshold = thresholdOf(x.x, r)
	}
	return nil
}

func thresholdOf[T Float](x []T, r *random) T {
	t := x[0]
	for range 1 + r.below(2*len(x)) {
		if v := x[r.below(len(x))]; !(v <= t) {
			t = v
		}
	}
	if t != t {
		t = 0
		for i := range x[:r.below(len(x)+1)] { // the first ones are below
			x[i] = -1
		}
	}
	return t
}

// maskedShape is that of rowsOf with a mask for each row.
func maskedShape(n int, element string) map[string]int {
	s := rowsOf().shape(n, element)
	s["mask"] = s["src"]
	return s
}

// gradShape has planes of one stride.
func gradShape(n int, element string) map[string]int {
	planes := 1 + n*5%70
	size := (planes-1)*(n+3) + n
	return map[string]int{"planes": planes, "n": n, "stride": n + 3, "dx": size, "y": size, "dy": size}
}

// rowsOf has some rows of n elements, and one element for each row in the slices named.
func rowsOf(one ...string) trial {
	return trial{shape: func(n int, element string) map[string]int {
		rows := 1 + n*7%17
		s := map[string]int{"cols": n}
		for _, name := range []string{"dst", "src", "dx", "y", "dy"} {
			s[name] = rows * n
		}
		for _, name := range one {
			s[name] = rows
		}
		return s
	}}
}

// planesShape has planes that are n elements and a gap apart.
func planesShape(n int, element string) map[string]int {
	planes := 1 + n*5%70
	return map[string]int{"planes": planes, "n": n, "dstStride": n + 3, "srcStride": n + 5, "dst": (planes-1)*(n+3) + n,
		"src": (planes-1)*(n+5) + n}
}

// withRest adds what lossSoftmax writes beside the planes; every other time there is no place for some of it.
func withRest(s map[string]int, n int) map[string]int {
	if s["max"], s["rest"], s["comp"] = n, n, n; n%2 == 1 {
		s["max"], s["rest"] = -1, -1
	}
	return s
}

// lossGradShape has planes that are n elements and a gap apart.
func lossGradShape(n int, element string) map[string]int {
	planes := 1 + n*5%70
	return map[string]int{"planes": planes, "n": n, "dxStride": n + 3, "sStride": n + 5, "dyStride": n + 1,
		"dx": (planes-1)*(n+3) + n, "s": (planes-1)*(n+5) + n, "dy": (planes-1)*(n+1) + n}
}

// lossGradRowsShape is the same for kernels that write rows.
func lossGradRowsShape(n int, element string) map[string]int {
	cols := 1 + n%64
	return map[string]int{"cols": cols, "n": n, "sStride": n + 5, "dyStride": n + 1, "dx": n * cols, "s": (cols-1)*(n+5) + n,
		"dy": (cols-1)*(n+1) + n}
}

// softmaxErrorsOf fills in errors, and probabilities.
func softmaxErrorsOf(s, own, comp []float32, r *random) {
	signedErrors(s, r)
	for _, p := range [][]float32{own, comp} {
		signedErrors(p, r)
		for i, v := range p {
			p[i] = max(v, -v)
		}
	}
}

func columnsShape(n int, element string) map[string]int {
	planes := 1 + n*5%70
	return map[string]int{"planes": planes, "n": n, "stride": n + 3, "dst": n, "src": (planes-1)*(n+3) + n}
}

// pickedOf fills targets, and returns how many are not dropped.
func pickedOf(targets []int32, r *random) (picked int) {
	most := []int{2, 8, 40}[r.below(3)]
	for i := range targets {
		if targets[i] = int32(r.below(most)) - 3; targets[i] != dropped {
			picked++
		}
	}
	return picked
}

// signedErrors fills signed with errors as the loss has them: negative for foreground.
func signedErrors(signed []float32, r *random) {
	for i := range signed {
		p := float32(r.below(1<<24+1)) * 0x1p-24
		if r.below(3) == 0 {
			p *= float32(1) / float32(uint(1)<<r.below(40))
		}
		if signed[i] = p; r.below(2) == 0 {
			signed[i] = -p
		}
	}
}

// anyKeys fills keys of errors in [0, 1].
func anyKeys(keys []uint32, r *random) {
	for i := range keys {
		switch r.below(8) {
		case 0:
			keys[i] = uint32(r.below(2))
		case 1:
			keys[i] = uint32(2*oneBits + r.below(2))
		default:
			keys[i] = uint32(2*(oneBits-r.below(40<<23)) + r.below(2))
		}
	}
}

// keysIn fills keys in so many bins.
func keysIn(keys []uint32, bins int, shift, first uint32, r *random) []uint32 {
	for i := range keys {
		keys[i] = (first+uint32(r.below(bins)))<<shift | uint32(r.below(1<<shift))
	}
	return keys
}

// thresholds are where parts begin.
func thresholds(parts int, from []uint32, r *random) {
	for t := range parts {
		from[t] = uint32(oneBits - (t+1)*r.below(3<<23))
	}
	from[maxParts] = oneBits - uint32(r.below(3)*r.below(1<<20))
	slices.SortFunc(from[:parts], func(a, b uint32) int { return int(b) - int(a) })
}

func splitInput(parts int) trial {
	return trial{prepare: func(a arguments, n int, r *random) func(string, int) bool {
		var keys *[maxParts][]uint32
		var written *[maxParts]uint32
		var from *[maxParts + 1]uint32
		switch x := a.(type) {
		case *lossSplit1Args:
			keys, written, from = x.keys, x.n, x.from
			signedErrors(x.signed, r)
		case *lossSplit2Args:
			keys, written, from = x.keys, x.n, x.from
			signedErrors(x.signed, r)
		case *lossSplit4Args:
			keys, written, from = x.keys, x.n, x.from
			signedErrors(x.signed, r)
		case *lossSplit8Args:
			keys, written, from = x.keys, x.n, x.from
			signedErrors(x.signed, r)
		}
		thresholds(parts, from[:], r)
		for t := range parts {
			written[t] = uint32(r.below(5))
			keys[t] = slices.Repeat([]uint32{7}, int(written[t])+n+16)
		}
		return func(name string, i int) bool {
			var t int
			if len(name) == len("keys0") && name[:4] == "keys" {
				t = int(name[4] - '0')
				return i >= int(written[t]) && i < int(written[t])+16
			}
			return false
		}
	}, sizes: upTo(1, 300, 1000)}
}

func expandInput(parts int) trial {
	return trial{prepare: func(a arguments, n int, r *random) func(string, int) bool {
		var at *[maxParts]uint32
		var from *[maxParts + 1]uint32
		switch x := a.(type) {
		case *lossExpand1Args:
			at, from = x.at, x.from
			signedErrors(x.signed, r)
		case *lossExpand2Args:
			at, from = x.at, x.from
			signedErrors(x.signed, r)
		case *lossExpand4Args:
			at, from = x.at, x.from
			signedErrors(x.signed, r)
		case *lossExpand8Args:
			at, from = x.at, x.from
			signedErrors(x.signed, r)
		}
		thresholds(parts, from[:], r)
		for t := range parts {
			at[t] = uint32(t * n)
		}
		return nil
	}, shape: func(n int, element string) map[string]int { return map[string]int{"weights": parts * n} }, sizes: upTo(1, 300, 1000)}
}

// partsOf turns counts of items into parts, and where each begins; for some n as if others had been counted, with places beyond the end.
func partsOf(counts, parts, next []uint32, n int) {
	clear(next)
	for i, c := range counts {
		parts[i] = uint32(i % len(next))
		next[parts[i]] += c
	}
	at := uint32(0)
	for i, c := range next {
		next[i] = at
		at += c
	}
	if n%4 == 1 {
		for i := range next {
			next[i] = uint32(max(n-3, 0))
		}
	}
}

// anyBits32 fills keys with the bits of float32: many zeros, some that are nearly equal, and NaNs if nan.
func anyBits32(keys []uint32, nan bool, r *random) {
	for i := range keys {
		b := uint32(r.next())
		switch {
		case b%8 == 0:
			b = []uint32{0, 1 << 31, 1, 1<<31 + 1, 0xff << 23, 0x1ff << 23}[r.below(6)] // ±0, the smallest, ±Inf
		case b%8 == 1:
			b = math.Float32bits(1) + uint32(r.below(3))
		case isNaN32(b) && !nan:
			b &^= 1 << 30
		}
		keys[i] = b
	}
}

// anyBits64 fills keys with the bits of float64, NaNs among them.
func anyBits64(keys []uint64, r *random) {
	for i := range keys {
		b := r.next()
		switch b % 8 {
		case 0:
			b = []uint64{0, 1 << 63, 1, 1<<63 + 1, 0x7ff << 52, 0xfff << 52, 0x7ff<<52 + 1, 1<<64 - 1}[r.below(8)]
		case 1:
			b = math.Float64bits(1) + uint64(r.below(3))
		}
		keys[i] = b
	}
}

// nearItems fills items whose keys are at most some distance apart, many of them equal, and returns the least key, and the shift of bins.
func nearItems(items []uint64, r *random) (least, shift uint32) {
	first, width := uint32(r.next()), uint32(1)<<r.below(32)
	for i := range items {
		items[i] = uint64(first+uint32(r.next())&(width-1))<<32 | r.next()>>32
		if i > 0 && r.below(4) == 0 {
			items[i] = items[r.below(i)]>>32<<32 | uint64(i)
		}
	}
	least, largest := sortBoundsGeneric(items)
	return least, uint32(max(bits.Len32(largest-least)-8, 0))
}
