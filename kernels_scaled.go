package lanewise

import (
	"fmt"
	"math"
	"unsafe"
)

// SoftmaxScaled is the softmax of src·scale: scale is 1 over the temperature, or attention's 1/√d. Every product is rounded to T, and what
// holds for Softmax of these products holds here.
func SoftmaxScaled[T Float](dst, src []T, scale T) {
	checkUnary("SoftmaxScaled", dst, src)
	if len(src) > 0 {
		scaledRows(active, dst, src, nil, len(src), scale)
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
	scaledRows(active, dst, src, mask, cols, scale)
}

func scaledRows[T Float](isa ISA, dst, src, mask []T, cols int, scale T) {
	switch {
	case cols > piece || !(scale > 0 && scale <= maxOf[T]()): // the kernels do not take them
		scaledPasses(isa, dst, src, mask, cols, scale)
	case mask == nil || len(mask) == len(src):
		scaledWhole(isa, dst, src, mask, cols, scale)
	case cols > repeated/2:
		for ; len(src) > 0; dst, src = dst[cols:], src[cols:] {
			scaledWhole(isa, dst[:cols], src[:cols], mask, cols, scale)
		}
	default:
		scaledRepeated(isa, dst, src, mask, cols, scale)
	}
}

// scaledWhole has no mask, or one of the length of src.
func scaledWhole[T Float](isa ISA, dst, src, mask []T, cols int, scale T) {
	for len(src) > 0 {
		n := rowsPiece(cols, len(src))
		if mask == nil {
			softmaxRowsScaled(isa, dst[:n], src[:n], cols, scale)
		} else {
			softmaxRowsMasked(isa, dst[:n], src[:n], mask[:n], cols, scale)
			mask = mask[n:]
		}
		dst, src = dst[n:], src[n:]
	}
}

// repeated is how many elements of a mask of one row stand side by side, for many rows at once.
const repeated = 2048

func scaledRepeated[T Float](isa ISA, dst, src, mask []T, cols int, scale T) {
	var rows [repeated]T
	step := min(repeated/cols*cols, len(src))
	for i := 0; i < step; i += cols {
		copy(rows[i:], mask)
	}
	for len(src) > 0 {
		n := min(step, len(src))
		scaledWhole(isa, dst[:n], src[:n], rows[:n], cols, scale)
		dst, src = dst[n:], src[n:]
	}
}

// maxOf returns the largest finite number.
func maxOf[T Float]() T {
	if unsafe.Sizeof(T(0)) == 4 {
		return math.MaxFloat32
	}
	largest := math.MaxFloat64
	return T(largest)
}

// scaledPasses writes src·scale + mask to dst first.
func scaledPasses[T Float](isa ISA, dst, src, mask []T, cols int, scale T) {
	for i := 0; i < len(src); i += cols {
		for j := 0; j < cols; j += longPiece {
			from, end := i+j, min(i+j+longPiece, i+cols)
			switch {
			case mask == nil:
				scaleAll(isa, dst[from:end], src[from:end], scale)
			case len(mask) == cols:
				scaleAdd(isa, dst[from:end], src[from:end], mask[j:j+end-from], scale)
			default:
				scaleAdd(isa, dst[from:end], src[from:end], mask[from:end], scale)
			}
		}
	}
	softmaxOfRows(isa, dst, dst, cols)
}
