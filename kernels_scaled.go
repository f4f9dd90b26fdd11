package lanewise

import "fmt"

// SoftmaxScaled is the softmax of src·scale: scale is 1 over the temperature, or attention's 1/√d. It is SoftmaxRowsScaled of one row,
// without a mask.
func SoftmaxScaled[T Float](dst, src []T, scale T) {
	checkUnary("SoftmaxScaled", dst, src)
	if len(src) > 0 {
		scaledRows(active, dst, src, len(src), scale)
	}
}

// SoftmaxRowsScaled is the softmax of scale·src + mask for every row of the row-major matrix src [len(src)/cols, cols]: attention's weights
// from its scores. mask is nil, one row of cols elements that is added to every row, or as long as src; −Inf in it leaves an element out.
//
// Without a mask (x − max)·scale is rounded twice, where max is the element with the largest product. Products that are too large for T are
// no matter then, and with a scale of 1 these are the bits of SoftmaxRows. With a mask the product and the sum are rounded, and what holds
// for SoftmaxRows of these sums holds here: a row of nothing but −Inf, as where all is masked, becomes NaN throughout. 0·Inf is NaN, and a
// scale that is not finite makes all NaN.
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
	if mask == nil {
		scaledRows(active, dst, src, cols, scale)
	} else {
		maskedRows(active, dst, src, mask, cols, scale)
	}
}

// scaledRows makes the scale positive for the kernel.
func scaledRows[T Float](isa ISA, dst, src []T, cols int, scale T) {
	switch {
	case scale < 0:
		negateAll(isa, dst, src)
		src, scale = dst, -scale
	case scale == 0:
		scaleAll(isa, dst, src, scale)
		src, scale = dst, 1
	}
	softmaxOfRows(isa, dst, src, cols, scale)
}

func maskedRows[T Float](isa ISA, dst, src, mask []T, cols int, scale T) {
	switch {
	case cols > piece:
		maskedPasses(isa, dst, src, mask, cols, scale)
	case len(mask) == len(src):
		maskedWhole(isa, dst, src, mask, cols, scale)
	case cols > repeated/2:
		for ; len(src) > 0; dst, src = dst[cols:], src[cols:] {
			softmaxRowsMasked(isa, dst[:cols], src[:cols], mask, cols, scale)
		}
	default:
		maskedRepeated(isa, dst, src, mask, cols, scale)
	}
}

// maskedWhole has a mask of the length of src.
func maskedWhole[T Float](isa ISA, dst, src, mask []T, cols int, scale T) {
	for len(src) > 0 {
		n := rowsPiece(cols, len(src))
		softmaxRowsMasked(isa, dst[:n], src[:n], mask[:n], cols, scale)
		dst, src, mask = dst[n:], src[n:], mask[n:]
	}
}

// repeated is how many elements of a mask of one row stand side by side, for many rows at once.
const repeated = 2048

func maskedRepeated[T Float](isa ISA, dst, src, mask []T, cols int, scale T) {
	var rows [repeated]T
	step := min(repeated/cols*cols, len(src))
	for i := 0; i < step; i += cols {
		copy(rows[i:], mask)
	}
	for len(src) > 0 {
		n := min(step, len(src))
		softmaxRowsMasked(isa, dst[:n], src[:n], rows[:n], cols, scale)
		dst, src = dst[n:], src[n:]
	}
}

// maskedPasses writes src·scale + mask to dst first.
func maskedPasses[T Float](isa ISA, dst, src, mask []T, cols int, scale T) {
	for i := 0; i < len(src); i += cols {
		for j := 0; j < cols; j += longPiece {
			from, end := i+j, min(i+j+longPiece, i+cols)
			m := mask[j:]
			if len(mask) == len(src) {
				m = mask[from:]
			}
			scaleAdd(isa, dst[from:end], src[from:end], m[:end-from], scale)
		}
	}
	softmaxOfRows(isa, dst, dst, cols, 1)
}
