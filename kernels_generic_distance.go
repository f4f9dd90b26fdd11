package lanewise

// Distances and norms in plain Go.

// squaredDistanceGeneric returns Σ (aᵢ − bᵢ)², rounding every difference and every square.
func squaredDistanceGeneric[T Float](a, b []T) T {
	b = b[:len(a)]
	var lanes [maxLanes]T
	var e [4 * maxLanes]T
	used := len(a)
	for len(a) > 0 {
		n := min(len(a), len(e))
		for i, v := range a[:n] {
			d := v - b[i]
			e[i] = T(d * d)
		}
		addLanes(&lanes, e[:n])
		a, b = a[n:], b[n:]
	}
	return fold(&lanes, used)
}

// sumSquaresGeneric returns Σ xᵢ² in the lanes of float64, also where x is float32: the squares are exact then, and neither overflow nor
// underflow.
func sumSquaresGeneric[T Float](x []T) float64 {
	var lanes [maxLanes]float64
	var e [4 * maxLanes]float64
	used := len(x)
	for len(x) > 0 {
		n := min(len(x), len(e))
		for i, v := range x[:n] {
			e[i] = float64(float64(v) * float64(v))
		}
		addLanes(&lanes, e[:n])
		x = x[n:]
	}
	return fold(&lanes, used)
}
