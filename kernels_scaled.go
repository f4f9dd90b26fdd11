package lanewise

import "fmt"

// SoftmaxScaled is the softmax of src·scale: scale is 1 over the temperature, or attention's 1/√d. Every product is rounded to T, and what
// holds for Softmax of these products holds here.
func SoftmaxScaled[T Float](dst, src []T, scale T) {
	checkUnary("SoftmaxScaled", dst, src)
	if len(src) > 0 {
		scaledRows(dst, src, nil, len(src), scale)
	}
}

// SoftmaxRowsScaled is the softmax of scale·src + mask for every row of the row-major matrix src [len(src)/cols, cols]: attention's weights
// from its scores. mask is nil, one row of cols elements that is added to every row, or as long as src; −Inf in it leaves an element out.
// The product and the sum are rounded to T, and what holds for SoftmaxRows of these sums holds here: a row of nothing but −Inf, as where all
// is masked, becomes NaN throughout, and 0·Inf is NaN.
//
// dst has the length of src, and is src or mask itself or does not overlap them; mask may overlap src. It panics where cols is not positive
// or does not divide the length, or where mask has another length.
func SoftmaxRowsScaled[T Float](dst, src, mask []T, cols int, scale T) {
	checkUnary("SoftmaxRowsScaled", dst, src)
	checkDivides("SoftmaxRowsScaled", "cols", cols, len(src))
	if mask != nil && len(mask) != cols && len(mask) != len(src) {
		panic(fmt.Sprintf("lanewise: SoftmaxRowsScaled: len(mask) = %d, want %d, one row, or len(src) = %d", len(mask), cols, len(src)))
	}
	if overlap(dst, mask) && !(len(dst) == len(mask) && &dst[0] == &mask[0]) {
		panicOverlap("SoftmaxRowsScaled")
	}
	scaledRows(dst, src, mask, cols, scale)
}

func scaledRows[T Float](dst, src, mask []T, cols int, scale T) {
	oneMask := len(mask) == cols
	for step := max(1, piece/cols) * cols; len(src) > 0; { // so much stays in L1
		n := min(step, len(src))
		for i, m := 0, 0; i < n; i += m {
			m = min(n-i, stretch)
			switch {
			case mask == nil:
				scaleAll(dst[i:i+m], src[i:i+m], scale)
			case oneMask:
				j := i % cols
				m = min(m, cols-j)
				scaleAdd(active, dst[i:i+m], src[i:i+m], mask[j:j+m], scale)
			default:
				scaleAdd(active, dst[i:i+m], src[i:i+m], mask[i:i+m], scale)
			}
		}
		if mask != nil && !oneMask {
			mask = mask[n:]
		}
		SoftmaxRows(dst[:n], dst[:n], cols)
		dst, src = dst[n:], src[n:]
	}
}
