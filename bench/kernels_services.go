package main

import (
	"math/rand/v2"

	"github.com/lanewise/lanewise"
)

// The kernels that services have beside softmax, dot and arg max.

func squaredDistance[T lanewise.Float](n int) instance {
	a, b := normal[T](n), normal[T](n)
	return instance{
		n:     n,
		call:  func() { sinkFloat = float64(lanewise.SquaredDistance(a, b)) },
		peers: squaredDistancePeers(a, b),
		limit: reads2(a, b).of(3, n),
	}
}

func squaredDistanceRows[T lanewise.Float](cols int) func(n int) instance {
	return func(n int) instance {
		n, rows := inRows(n, cols)
		dst, m, x := alloc[T](rows), normal[T](n), normal[T](cols)
		return instance{
			n: n, cols: cols,
			call:  func() { lanewise.SquaredDistanceRows(dst, m, x) },
			peers: squaredDistanceRowsPeers(dst, m, x),
			limit: reads(m).of(3, n),
		}
	}
}

func norm[T lanewise.Float](n int) instance {
	x := normal[T](n)
	return instance{
		n:     n,
		call:  func() { sinkFloat = float64(lanewise.Norm(x)) },
		peers: normPeers(x),
		limit: reads(x).of(2, n),
	}
}

func normalizeRows[T lanewise.Float](cols int) func(n int) instance {
	return func(n int) instance {
		n, _ = inRows(n, cols)
		dst, src := alloc[T](n), normal[T](n)
		return instance{
			n: n, cols: cols,
			call:  func() { lanewise.NormalizeRows(dst, src, cols) },
			peers: normalizeRowsPeers(dst, src, cols),
			limit: copies(dst, src).of(3, n),
		}
	}
}

func topK[T lanewise.Float](k int) func(n int) instance {
	return func(n int) instance {
		n = max(n, k)
		src, values, indices := normal[T](n), alloc[T](k), alloc[int32](k)
		return instance{
			n:     n,
			call:  func() { lanewise.TopK(values, indices, src) },
			peers: topKPeers(values, indices, src),
			limit: reads(src).of(1, n),
		}
	}
}

func sigmoid[T lanewise.Float](n int) instance {
	dst, src := alloc[T](n), logits[T](n)
	return instance{
		n:     n,
		call:  func() { lanewise.Sigmoid(dst, src) },
		peers: sigmoidPeers(dst, src),
		limit: copies(dst, src).of(expOperations[T]()+4, n),
	}
}

// softmaxRowsScaled has a mask for every row, and SoftmaxRows, which has none, for a peer.
func softmaxRowsScaled[T lanewise.Float](cols int) func(n int) instance {
	return func(n int) instance {
		n, _ = inRows(n, cols)
		dst, src, mask := alloc[T](n), logits[T](n), normal[T](n)
		return instance{
			n: n, cols: cols,
			call: func() { lanewise.SoftmaxRowsScaled(dst, src, mask, cols, 0.125) },
			peers: []peer{
				{plain, func() {
					eachRow(n, cols, func(i, j int) {
						for k := i; k < j; k++ {
							dst[k] = src[k]*0.125 + mask[k]
						}
						plainSoftmax(dst[i:j], dst[i:j])
					})
				}},
				{"without mask", func() { lanewise.SoftmaxRowsScaled(dst, src, nil, cols, 0.125) }},
				{"SoftmaxRows", func() { lanewise.SoftmaxRows(dst, src, cols) }},
			},
			limit: merges(dst, src, mask).of(softmaxOperations[T]()+2, n),
		}
	}
}

func logSumExpRows[T lanewise.Float](cols int) func(n int) instance {
	return func(n int) instance {
		n, rows := inRows(n, cols)
		dst, src := alloc[T](rows), logits[T](n)
		return instance{
			n: n, cols: cols,
			call: func() { lanewise.LogSumExpRows(dst, src, cols) },
			peers: []peer{{plain, func() {
				for r := range dst {
					dst[r] = plainLogSumExp(src[r*cols : (r+1)*cols])
				}
			}}},
			limit: reads(src).of(expOperations[T]()+3, n),
		}
	}
}

// halves returns n float16 of a normal distribution.
func halves(n int) []uint16 {
	h := alloc[uint16](n)
	lanewise.ToFloat16(h, normal[float32](n))
	return h
}

func fromFloat16(n int) instance {
	dst, src := alloc[float32](n), halves(n)
	return instance{
		n:     n,
		call:  func() { lanewise.FromFloat16(dst, src) },
		peers: fromFloat16Peers(dst, src),
		limit: copies(dst, src),
	}
}

func toFloat16(n int) instance {
	dst, src := alloc[uint16](n), normal[float32](n)
	return instance{
		n:     n,
		call:  func() { lanewise.ToFloat16(dst, src) },
		peers: toFloat16Peers(dst, src),
		limit: copies(dst, src),
	}
}

func toBFloat16(n int) instance {
	dst, src := alloc[uint16](n), normal[float32](n)
	return instance{
		n:     n,
		call:  func() { lanewise.ToBFloat16(dst, src) },
		peers: []peer{{plain, func() { plainToBFloat16(dst, src) }}},
		limit: copies(dst, src),
	}
}

func dotRowsFloat16(cols int) func(n int) instance {
	return func(n int) instance {
		n, rows := inRows(n, cols)
		dst, m, x := alloc[float32](rows), halves(n), normal[float32](cols)
		wide := normal[float32](n)
		return instance{
			n: n, cols: cols,
			call:  func() { lanewise.DotRowsFloat16(dst, m, x) },
			peers: []peer{{"DotRows", func() { lanewise.DotRows(dst, wide, x) }}},
			limit: reads(m).of(2, n),
		}
	}
}

func dotRowsInt8(cols int) func(n int) instance {
	return func(n int) instance {
		n, rows := inRows(n, cols)
		dst, m, x := alloc[int32](rows), alloc[int8](n), alloc[int8](cols)
		for i := range m {
			m[i] = int8(rand.Uint32())
		}
		for i := range x {
			x[i] = int8(rand.Uint32())
		}
		return instance{
			n: n, cols: cols,
			call: func() { lanewise.DotRowsInt8(dst, m, x) },
			peers: []peer{{plain, func() {
				for r := range dst {
					dst[r] = plainDotInt8(m[r*cols:(r+1)*cols], x)
				}
			}}},
			limit: reads(m),
		}
	}
}
