package main

import (
	"cmp"
	"math"
	"slices"

	"github.com/lanewise/lanewise"
	"github.com/viterin/vek"
	"github.com/viterin/vek/vek32"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/floats"
)

// vek's distance is the root of the squared one.
func squaredDistancePeers[T lanewise.Float](a, b []T) []peer {
	peers := []peer{{plain, func() { sinkFloat = float64(plainSquaredDistance(a, b)) }}}
	if is64[T]() {
		a, b := as[float64](a), as[float64](b)
		return append(peers,
			peer{gonum, func() { sinkFloat = floats.Distance(a, b, 2) }},
			peer{vekName, func() { sinkFloat = vek.Distance(a, b) }},
		)
	}
	x, y := as[float32](a), as[float32](b)
	return append(peers, peer{vekName, func() { sinkFloat = float64(vek32.Distance(x, y)) }})
}

func squaredDistanceRowsPeers[T lanewise.Float](dst, m, x []T) []peer {
	cols := len(x)
	rows := func(distance func(a, b []T) T) func() {
		return func() {
			for r := range dst {
				dst[r] = distance(m[r*cols:(r+1)*cols], x)
			}
		}
	}
	distance := any(vek32.Distance)
	if is64[T]() {
		distance = any(vek.Distance)
	}
	return []peer{{plain, rows(plainSquaredDistance[T])}, {vekName, rows(distance.(func(a, b []T) T))}}
}

func normPeers[T lanewise.Float](x []T) []peer {
	peers := []peer{{plain, func() { sinkFloat = math.Sqrt(float64(plainDot(x, x))) }}}
	if is64[T]() {
		x := as[float64](x)
		return append(peers,
			peer{gonum, func() { sinkFloat = floats.Norm(x, 2) }},
			peer{vekName, func() { sinkFloat = vek.Norm(x) }},
		)
	}
	x32 := as[float32](x)
	v := blas32.Vector{N: len(x), Data: x32, Inc: 1}
	return append(peers,
		peer{gonum, func() { sinkFloat = float64(blas32.Nrm2(v)) }},
		peer{vekName, func() { sinkFloat = float64(vek32.Norm(x32)) }},
	)
}

func normalizeRowsPeers[T lanewise.Float](dst, src []T, cols int) []peer {
	peers := []peer{{plain, func() {
		eachRow(len(src), cols, func(i, j int) {
			scale := T(1 / math.Sqrt(float64(plainDot(src[i:j], src[i:j]))))
			for k := i; k < j; k++ {
				dst[k] = src[k] * scale
			}
		})
	}}}
	if is64[T]() {
		d, s := as[float64](dst), as[float64](src)
		return append(peers, peer{vekName, func() {
			eachRow(len(s), cols, func(i, j int) { vek.DivNumber_Into(d[i:j], s[i:j], vek.Norm(s[i:j])) })
		}})
	}
	d, s := as[float32](dst), as[float32](src)
	return append(peers, peer{vekName, func() {
		eachRow(len(s), cols, func(i, j int) { vek32.DivNumber_Into(d[i:j], s[i:j], vek32.Norm(s[i:j])) })
	}})
}

// topKPeers are a heap, the sort of everything, and what no selection can do without: one look at every element.
func topKPeers[T lanewise.Float](values []T, indices []int32, src []T) []peer {
	perm, keys := alloc[int32](len(src)), alloc[T](len(src))
	return []peer{
		{plain, func() { plainTopK(values, indices, src) }},
		{"SortDescending", func() {
			copy(keys, src)
			lanewise.SortDescending(keys, perm)
		}},
		{"ArgMax", func() { sinkInt = lanewise.ArgMax(src) }},
	}
}

func plainSortAscending[T lanewise.Float](keys, src []T, perm []int32) {
	for i := range perm {
		perm[i] = int32(i)
	}
	slices.SortStableFunc(perm, func(i, j int32) int { return cmp.Compare(src[i], src[j]) })
	for i, from := range perm {
		keys[i] = src[from]
	}
}

func sigmoidPeers[T lanewise.Float](dst, src []T) []peer {
	return []peer{{plain, func() {
		for i, v := range src {
			dst[i] = T(1 / (1 + math.Exp(-float64(v))))
		}
	}}}
}

func fromFloat16Peers(dst []float32, src []uint16) []peer {
	return []peer{{plain, func() {
		for i, h := range src {
			dst[i] = plainFloat16(h)
		}
	}}}
}

func toFloat16Peers(dst []uint16, src []float32) []peer {
	return []peer{{plain, func() {
		for i, v := range src {
			dst[i] = plainToFloat16(v)
		}
	}}}
}

func plainSquaredDistance[T lanewise.Float](a, b []T) T {
	var s T
	b = b[:len(a)]
	for i, v := range a {
		d := v - b[i]
		s += d * d
	}
	return s
}

func plainDotInt8(a, b []int8) (s int32) {
	b = b[:len(a)]
	for i, v := range a {
		s += int32(v) * int32(b[i])
	}
	return s
}

// plainTopK keeps the largest so far in a heap, the least of them on top, and sorts them in the end.
func plainTopK[T lanewise.Float](values []T, indices []int32, src []T) {
	k := len(values)
	less := func(i, j int) bool {
		return values[i] < values[j] || values[i] == values[j] && indices[i] > indices[j]
	}
	down := func(i int) {
		for {
			child := 2*i + 1
			if child >= k {
				return
			}
			if child+1 < k && less(child+1, child) {
				child++
			}
			if !less(child, i) {
				return
			}
			values[i], values[child] = values[child], values[i]
			indices[i], indices[child] = indices[child], indices[i]
			i = child
		}
	}
	copy(values, src)
	for i := range indices {
		indices[i] = int32(i)
	}
	for i := k/2 - 1; i >= 0; i-- {
		down(i)
	}
	for i := k; i < len(src); i++ {
		if v := src[i]; v > values[0] {
			values[0], indices[0] = v, int32(i)
			down(0)
		}
	}
	slices.SortFunc(indices, func(i, j int32) int {
		switch {
		case src[i] > src[j] || src[i] == src[j] && i < j:
			return -1
		case i == j:
			return 0
		}
		return 1
	})
	for i, from := range indices {
		values[i] = src[from]
	}
}

// plainFloat16 takes a float16 apart, as it is written everywhere.
func plainFloat16(h uint16) float32 {
	sign, exponent, mantissa := uint32(h>>15)<<31, uint32(h>>10&31), uint32(h&1023)
	switch {
	case exponent == 31:
		return math.Float32frombits(sign | 0x7f800000 | mantissa<<13)
	case exponent == 0:
		x := float32(mantissa) * 0x1p-24
		if sign != 0 {
			return -x
		}
		return x
	}
	return math.Float32frombits(sign | (exponent+112)<<23 | mantissa<<13)
}

func plainToFloat16(x float32) uint16 {
	b := math.Float32bits(x)
	sign, exponent, mantissa := uint16(b>>16&0x8000), int(b>>23&255)-112, b&0x7fffff
	switch {
	case exponent == 255-112 && mantissa != 0:
		return sign | 0x7e00
	case exponent >= 31:
		return sign | 0x7c00
	case exponent <= 0:
		if exponent < -10 {
			return sign
		}
		mantissa |= 0x800000
		shift := uint(14 - exponent)
		h := mantissa >> shift
		if rest := mantissa & (1<<shift - 1); rest > 1<<(shift-1) || rest == 1<<(shift-1) && h&1 != 0 {
			h++
		}
		return sign | uint16(h)
	}
	h := uint32(exponent)<<10 | mantissa>>13
	if rest := mantissa & 0x1fff; rest > 0x1000 || rest == 0x1000 && h&1 != 0 {
		h++
	}
	return sign | uint16(h)
}

func plainToBFloat16(dst []uint16, src []float32) {
	dst = dst[:len(src)]
	for i, x := range src {
		b := math.Float32bits(x)
		if x != x {
			dst[i] = uint16(b>>16) | 0x40
			continue
		}
		dst[i] = uint16((b + 0x7fff + b>>16&1) >> 16)
	}
}
