package main

import (
	"slices"

	"github.com/lanewise/lanewise"
)

const plain = "plain Go"

// eachRow calls f with every row's range.
func eachRow(n, cols int, f func(from, to int)) {
	for i := 0; i < n; i += cols {
		f(i, i+cols)
	}
}

func dotPeers[T lanewise.Float](a, b []T) []peer {
	return []peer{{plain, func() { sinkFloat = float64(plainDot(a, b)) }}}
}

func dotRowsPeers[T lanewise.Float](dst, m, x []T) []peer {
	return []peer{{plain, func() {
		for r := range dst {
			dst[r] = plainDot(m[r*len(x):(r+1)*len(x)], x)
		}
	}}}
}

func cumSumPeers[T lanewise.Float](dst, src []T) []peer {
	return []peer{{plain, func() { plainCumSum(dst, src) }}}
}

func softmaxPeers[T lanewise.Float](dst, src []T, cols int) []peer {
	return []peer{{plain, func() {
		eachRow(len(src), cols, func(i, j int) { plainSoftmax(dst[i:j], src[i:j]) })
	}}}
}

func softmaxPlanesPeers[T lanewise.Float](dst, src []T, planes, n int) []peer {
	return []peer{{plain, func() { plainSoftmaxPlanes(dst, src, planes, n) }}}
}

func logSoftmaxPeers[T lanewise.Float](dst, src []T, cols int) []peer {
	return []peer{{plain, func() {
		eachRow(len(src), cols, func(i, j int) { plainLogSoftmax(dst[i:j], src[i:j]) })
	}}}
}

func logSumExpPeers[T lanewise.Float](x []T) []peer {
	return []peer{{plain, func() { sinkFloat = float64(plainLogSumExp(x)) }}}
}

func softmaxGradPeers[T lanewise.Float](dx, y, dy []T, cols int) []peer {
	return []peer{{plain, func() {
		eachRow(len(y), cols, func(i, j int) { plainSoftmaxGrad(dx[i:j], y[i:j], dy[i:j]) })
	}}}
}

func logSoftmaxGradPeers[T lanewise.Float](dx, y, dy []T, cols int) []peer {
	return []peer{{plain, func() {
		eachRow(len(y), cols, func(i, j int) { plainLogSoftmaxGrad(dx[i:j], y[i:j], dy[i:j]) })
	}}}
}

func classErrorsPeers[T lanewise.Float](dst, probs []T, labels []int32, class int32) []peer {
	return []peer{{plain, func() { plainClassErrors(dst, probs, labels, class) }}}
}

func argMaxPeers[T lanewise.Float](x []T) []peer {
	return []peer{{plain, func() { sinkInt = plainArgMax(x) }}}
}

func argMaxRowsPeers[T lanewise.Float](dst []int32, src []T, cols int) []peer {
	return []peer{{plain, func() {
		for r := range dst {
			dst[r] = int32(plainArgMax(src[r*cols : (r+1)*cols]))
		}
	}}}
}

func argMaxPlanesPeers[T lanewise.Float](dst []int32, src []T, planes int) []peer {
	return []peer{{plain, func() { plainArgMaxPlanes(dst, src, planes) }}}
}

func sortPeers[T lanewise.Float](keys, src []T, perm []int32) []peer {
	return []peer{
		{"slices.SortStableFunc", func() { plainSort(keys, src, perm, slices.SortStableFunc[[]int32]) }},
		{"slices.Sort, keys alone", func() {
			copy(keys, src)
			slices.Sort(keys)
		}},
	}
}

func lovaszGradPeers[T lanewise.Float](dst []T, foreground []uint8) []peer {
	return []peer{{plain, func() { plainLovaszGrad(dst, foreground) }}}
}
