package main

import (
	"math"
	"math/rand/v2"
	"slices"

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
			dst:   dst,
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
			dst:   dst,
			call:  func() { lanewise.NormalizeRows(dst, src, cols) },
			peers: normalizeRowsPeers(dst, src, cols),
			limit: copies(dst, src).of(3, n),
		}
	}
}

func normalize[T lanewise.Float](n int) instance {
	dst, src := alloc[T](n), normal[T](n)
	return instance{
		n:     n,
		dst:   dst,
		call:  func() { lanewise.Normalize(dst, src) },
		peers: normalizeRowsPeers(dst, src, n), // one row
		limit: copies(dst, src).of(3, n),
	}
}

// sortAscending sorts in place: every call copies the keys first, as the peers do.
func sortAscending[T lanewise.Float](n int) instance {
	src, keys, perm := normal[T](n), alloc[T](n), alloc[int32](n)
	return instance{
		n:   n,
		dst: keys,
		call: func() {
			copy(keys, src)
			lanewise.SortAscending(keys, perm)
		},
		peers: []peer{
			{"slices.SortStableFunc", func() { plainSortAscending(keys, src, perm) }},
			{"slices.Sort, keys alone", func() {
				copy(keys, src)
				slices.Sort(keys)
			}},
			{"SortDescending", func() {
				copy(keys, src)
				lanewise.SortDescending(keys, perm)
			}},
		},
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

func topKRows[T lanewise.Float](k, cols int) func(n int) instance {
	return func(n int) instance {
		n, rows := inRows(n, cols)
		src, values, indices := normal[T](n), alloc[T](rows*k), alloc[int32](rows*k)
		return instance{
			n: n, cols: cols,
			dst:  values,
			call: func() { lanewise.TopKRows(values, indices, src, cols) },
			peers: []peer{{plain, func() {
				for r := range rows {
					plainTopK(values[r*k:(r+1)*k], indices[r*k:(r+1)*k], src[r*cols:(r+1)*cols])
				}
			}}},
			limit: reads(src).of(1, n),
		}
	}
}

func sigmoid[T lanewise.Float](n int) instance {
	dst, src := alloc[T](n), logits[T](n)
	return instance{
		n:     n,
		dst:   dst,
		call:  func() { lanewise.Sigmoid(dst, src) },
		peers: sigmoidPeers(dst, src),
		limit: copies(dst, src).of(expOperations[T]()+4, n),
	}
}

func sigmoidGrad[T lanewise.Float](n int) instance {
	dx, y, dy := alloc[T](n), logits[T](n), normal[T](n)
	lanewise.Sigmoid(y, y)
	return instance{
		n:    n,
		dst:  dx,
		call: func() { lanewise.SigmoidGrad(dx, y, dy) },
		peers: []peer{{plain, func() {
			for i, v := range y {
				dx[i] = dy[i] * v * (1 - v)
			}
		}}},
		limit: merges(dx, y, dy).of(3, n),
	}
}

func softmaxScaled[T lanewise.Float](n int) instance {
	dst, src := alloc[T](n), logits[T](n)
	return instance{
		n:    n,
		dst:  dst,
		call: func() { lanewise.SoftmaxScaled(dst, src, 0.125) },
		peers: []peer{
			{plain, func() {
				for i, v := range src {
					dst[i] = v * 0.125
				}
				plainSoftmax(dst, dst)
			}},
			{"Softmax", func() { lanewise.Softmax(dst, src) }},
		},
		limit: copies(dst, src).of(softmaxOperations[T]()+1, n),
	}
}

// softmaxRowsScaled has a mask for every row, and SoftmaxRows, which has none, for a peer.
func softmaxRowsScaled[T lanewise.Float](cols int) func(n int) instance {
	return func(n int) instance {
		n, _ = inRows(n, cols)
		dst, src, mask := alloc[T](n), logits[T](n), normal[T](n)
		return instance{
			n: n, cols: cols,
			dst:  dst,
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
			dst:  dst,
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
		dst:   dst,
		call:  func() { lanewise.FromFloat16(dst, src) },
		peers: fromFloat16Peers(dst, src),
		limit: copies(dst, src),
	}
}

func fromBFloat16(n int) instance {
	dst, src := alloc[float32](n), alloc[uint16](n)
	lanewise.ToBFloat16(src, normal[float32](n))
	return instance{
		n:    n,
		dst:  dst,
		call: func() { lanewise.FromBFloat16(dst, src) },
		peers: []peer{{plain, func() {
			for i, h := range src {
				dst[i] = math.Float32frombits(uint32(h) << 16)
			}
		}}},
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
	return dotRowsHalf(cols, lanewise.ToFloat16, lanewise.DotRowsFloat16, plainFloat16)
}

func dotRowsBFloat16(cols int) func(n int) instance {
	return dotRowsHalf(cols, lanewise.ToBFloat16, lanewise.DotRowsBFloat16,
		func(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) })
}

// dotRowsHalf has a plain loop for a peer, and the rows in float32, which are twice as many bytes.
func dotRowsHalf(cols int, narrow func(dst []uint16, src []float32), call func(dst []float32, m []uint16, x []float32),
	widen func(h uint16) float32) func(n int) instance {
	return func(n int) instance {
		n, rows := inRows(n, cols)
		dst, m, x, wide := alloc[float32](rows), alloc[uint16](n), normal[float32](cols), normal[float32](n)
		narrow(m, wide)
		return instance{
			n: n, cols: cols,
			dst:  dst,
			call: func() { call(dst, m, x) },
			peers: []peer{
				{plain, func() {
					for r := range dst {
						var s float32
						for i, h := range m[r*cols : (r+1)*cols] {
							s += widen(h) * x[i]
						}
						dst[r] = s
					}
				}},
				{"DotRows", func() { lanewise.DotRows(dst, wide, x) }},
			},
			limit: reads(m).of(2, n),
		}
	}
}

// int8s returns n numbers from the whole range.
func int8s(n int) []int8 {
	x := alloc[int8](n)
	for i := range x {
		x[i] = int8(rand.Uint32())
	}
	return x
}

func dotInt8(n int) instance {
	a, b := int8s(n), int8s(n)
	return instance{
		n:     n,
		call:  func() { sinkInt = int(lanewise.DotInt8(a, b)) },
		peers: []peer{{plain, func() { sinkInt = int(plainDotInt8(a, b)) }}},
		limit: reads2(a, b),
	}
}

func dotRowsInt8(cols int) func(n int) instance {
	return func(n int) instance {
		n, rows := inRows(n, cols)
		dst, m, x := alloc[int32](rows), int8s(n), int8s(cols)
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
