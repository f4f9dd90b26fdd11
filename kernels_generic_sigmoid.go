package lanewise

// sigmoidGeneric writes 1/(1 + exp(−x)), from the exponential that does not overflow: with e = exp(−|x|) it is 1/(1 + e) where x is
// positive, and e/(1 + e) where it is negative.
func sigmoidGeneric[T Float](dst, src []T) {
	var e, n [maxLanes]T
	for len(src) > 0 {
		m := min(len(src), len(e))
		for i, v := range src[:m] {
			n[i] = v
			if v > 0 {
				n[i] = -v
			}
		}
		exp(e[:m], n[:m], 0)
		for i, v := range e[:m] {
			top := v
			if src[i] > 0 {
				top = 1
			}
			dst[i] = top / (1 + v)
		}
		dst, src = dst[m:], src[m:]
	}
}

func sigmoidGradGeneric[T Float](dx, y, dy []T) {
	dx, dy = dx[:len(y)], dy[:len(y)]
	for i, v := range y {
		dx[i] = T(v*(1-v)) * dy[i]
	}
}
