package lanewise

// Sigmoid writes 1/(1 + exp(−xᵢ)) to dst, which has the length of src and is src itself or does not overlap it. A NaN stays one.
//
// It is computed from e = exp(−|x|), as 1/(1 + e) or e/(1 + e), so that nothing overflows, and results near 0 are as exact as those near 1:
// within 2.5 ulp. Where exp(−|x|) would be subnormal, below −87.34 (float64: −708.4), it is 0.
func Sigmoid[T Float](dst, src []T) {
	checkUnary("Sigmoid", dst, src)
	isa := active
	for len(src) > 0 {
		n := min(len(src), longPiece)
		sigmoid(isa, dst[:n], src[:n])
		dst, src = dst[n:], src[n:]
	}
}

// SigmoidGrad is the vector-Jacobian product of Sigmoid: dx = y·(1 − y)·dy, where y is the sigmoid and dy the gradient with respect to it.
// The products are rounded from the left to the right. dx has their length and may be y or dy; it panics where lengths differ or dx
// overlaps otherwise.
func SigmoidGrad[T Float](dx, y, dy []T) {
	checkUnary("SigmoidGrad", dx, y)
	checkUnary("SigmoidGrad", dx, dy)
	isa := active
	for len(y) > 0 {
		n := min(len(y), longPiece)
		sigmoidGrad(isa, dx[:n], y[:n], dy[:n])
		dx, y, dy = dx[n:], y[n:], dy[n:]
	}
}
