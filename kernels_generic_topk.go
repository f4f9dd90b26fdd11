package lanewise

// aboveGeneric returns the index of the first element that is larger than threshold or NaN; len(x) where there is none.
func aboveGeneric[T Float](x []T, threshold T) int {
	for i, v := range x {
		if !(v <= threshold) {
			return i
		}
	}
	return len(x)
}

func largestPlanesGeneric[T Float](dst, src []T, planes, n, stride int) {
	columnMax(dst[:n], src, planes, stride)
}
