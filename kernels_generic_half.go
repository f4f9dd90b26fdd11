package lanewise

import "math"

// Half precision in plain Go. Narrowing rounds to the nearest, ties to even; a NaN becomes a quiet NaN with the sign and the upper bits
// that it had.

func fromFloat16Generic(dst []float32, src []uint16) {
	dst = dst[:len(src)]
	for i, h := range src {
		dst[i] = float16(h)
	}
}

// float16 returns the value of a float16. Its bits in their place in a float32 are its value times 2⁻¹¹², subnormals too.
func float16(h uint16) float32 {
	b := uint32(h&0x7fff) << 13
	switch {
	case b > 0x7c00<<13:
		b |= 0x7fc00000
	case b == 0x7c00<<13:
		b = 0x7f800000
	default:
		b = math.Float32bits(math.Float32frombits(b) * 0x1p112)
	}
	return math.Float32frombits(b | uint32(h&0x8000)<<16)
}

func toFloat16Generic(dst []uint16, src []float32) {
	dst = dst[:len(src)]
	for i, x := range src {
		b := math.Float32bits(x)
		sign := uint16(b >> 16 & 0x8000)
		b &= 0x7fffffff
		switch {
		case b > 0x7f800000: // NaN
			dst[i] = sign | 0x7e00 | uint16(b>>13&0x3ff)
		case b >= 0x477ff000: // 65520, half-way from the largest number to the next power of two
			dst[i] = sign | 0x7c00
		case b >= 0x38800000: // 2⁻¹⁴, the least normal number
			dst[i] = sign | uint16((b+0xfff+b>>13&1-112<<23)>>13)
		default: // ½ has the ulp of the subnormals, 2⁻²⁴
			dst[i] = sign | uint16(math.Float32bits(math.Float32frombits(b)+0.5)-0x3f000000)
		}
	}
}

func fromBFloat16Generic(dst []float32, src []uint16) {
	dst = dst[:len(src)]
	for i, h := range src {
		dst[i] = math.Float32frombits(uint32(h) << 16)
	}
}

func toBFloat16Generic(dst []uint16, src []float32) {
	dst = dst[:len(src)]
	for i, x := range src {
		b := math.Float32bits(x)
		if b&0x7fffffff > 0x7f800000 {
			dst[i] = uint16(b>>16) | 0x40
		} else {
			dst[i] = uint16((b + 0x7fff + b>>16&1) >> 16)
		}
	}
}

// dotFloat16Generic is dotGeneric with h widened.
func dotFloat16Generic(h []uint16, x []float32) float32 { return dotWidened(h, x, false) }

// dotBFloat16Generic is dotGeneric with h widened.
func dotBFloat16Generic(h []uint16, x []float32) float32 { return dotWidened(h, x, true) }

func dotWidened(h []uint16, x []float32, brain bool) float32 {
	x = x[:len(h)]
	var lanes [maxLanes]float32
	var e [4 * maxLanes]float32
	used := len(h)
	for len(h) > 0 {
		n := min(len(h), len(e))
		if brain {
			fromBFloat16Generic(e[:n], h[:n])
		} else {
			fromFloat16Generic(e[:n], h[:n])
		}
		for i, v := range e[:n] {
			e[i] = float32(v * x[i])
		}
		addLanes(&lanes, e[:n])
		h, x = h[n:], x[n:]
	}
	return fold(&lanes, used)
}
