package lanewise

// The log-sum-exp of rows and columns, and the gradients down columns, in plain Go.

// logSumExpRowsGeneric writes NaN where the sum is one: where there is a NaN or an infinity, or nothing but −Inf.
func logSumExpRowsGeneric[T Float](dst, src []T, cols int) {
	for i := range dst {
		x := src[i*cols : (i+1)*cols]
		m := largestGeneric(x)
		dst[i] = addLog(m, sumExpGeneric(x, m))
	}
}

// addLog returns m + log s, or NaN where s is.
func addLog[T Float](m, s T) T {
	if s != s {
		return nan[T]()
	}
	return T(float64(m) + log(float64(s)))
}

// logSumExpPlanesGeneric is logSumExpRowsGeneric down every column.
func logSumExpPlanesGeneric[T Float](dst, src []T, planes, n, stride int) {
	for i := 0; i < n; i += maxColumns {
		var ms [maxColumns]T
		m := ms[:min(maxColumns, n-i)]
		columnMax(m, src[i:], planes, stride)
		s := columnSumExp(src[i:], m, planes, stride)
		for j := range m {
			dst[i+j] = addLog(m[j], s[j])
		}
	}
}

// columnSumExp returns the sums of exp(x − max) down the columns, at most maxColumns of them.
func columnSumExp[T Float](src, max []T, planes, stride int) (s [maxColumns]T) {
	var sums columnSums[T]
	var es [maxColumns]T
	e := es[:len(max)]
	for k := range planes {
		for j, v := range src[k*stride:][:len(max)] {
			e[j] = v - max[j]
		}
		exp(e, e, 0)
		sums.add(k, e)
	}
	copy(s[:], sums.sums(planes, len(max)))
	return s
}

// softmaxGradPlanesGeneric is softmaxRowsGradGeneric down every column.
func softmaxGradPlanesGeneric[T Float](dx, y, dy []T, planes, n, stride int) {
	for i := 0; i < n; i += maxColumns {
		var dots columnSums[T]
		var ps [maxColumns]T
		p := ps[:min(maxColumns, n-i)]
		for k := range planes {
			a, b := y[k*stride+i:][:len(p)], dy[k*stride+i:][:len(p)]
			for j, v := range a {
				p[j] = v * b[j]
			}
			dots.add(k, p)
		}
		dot := dots.sums(planes, len(p))
		for k := range planes {
			a, b, d := y[k*stride+i:][:len(p)], dy[k*stride+i:][:len(p)], dx[k*stride+i:][:len(p)]
			for j, v := range a {
				d[j] = v * (b[j] - dot[j])
			}
		}
	}
}

// logSoftmaxGradPlanesGeneric is logSoftmaxRowsGradGeneric down every column.
func logSoftmaxGradPlanesGeneric[T Float](dx, y, dy []T, planes, n, stride int) {
	for i := 0; i < n; i += maxColumns {
		var sums columnSums[T]
		m := min(maxColumns, n-i)
		for k := range planes {
			sums.add(k, dy[k*stride+i:][:m])
		}
		sum := sums.sums(planes, m)
		var es [maxColumns]T
		e := es[:m]
		for k := range planes {
			for j, v := range y[k*stride+i:][:m] {
				if v > 0 {
					v = 0
				}
				e[j] = v
			}
			exp(e, e, 0)
			d, b := dx[k*stride+i:][:m], dy[k*stride+i:][:m]
			for j, v := range e {
				d[j] = b[j] - T(v*sum[j])
			}
		}
	}
}
