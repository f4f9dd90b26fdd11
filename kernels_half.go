package lanewise

// Half precision: values in 16 bits as Go has no type for, float16 as IEEE 754 defines it (1 bit of sign, 5 of exponent, 10 of mantissa)
// and bfloat16, the upper half of a float32.

// FromFloat16 writes the values of float16 to dst, exactly; subnormals too. A NaN becomes a quiet NaN. It panics where the lengths differ.
func FromFloat16(dst []float32, src []uint16) {
	checkHalf("FromFloat16", len(dst), len(src))
	isa := active
	for len(src) > 0 {
		n := min(len(src), longPiece)
		fromFloat16(isa, dst[:n], src[:n])
		dst, src = dst[n:], src[n:]
	}
}

// ToFloat16 rounds src to float16, to the nearest and ties to even: values from 65520 on become an infinity, those up to 2⁻²⁵ zero, and
// what is between 2⁻²⁵ and 2⁻¹⁴ subnormal. A NaN stays one, with its sign. It panics where the lengths differ.
func ToFloat16(dst []uint16, src []float32) {
	checkHalf("ToFloat16", len(dst), len(src))
	isa := active
	for len(src) > 0 {
		n := min(len(src), longPiece)
		toFloat16(isa, dst[:n], src[:n])
		dst, src = dst[n:], src[n:]
	}
}

// FromBFloat16 writes the values of bfloat16 to dst, exactly. It panics where the lengths differ.
func FromBFloat16(dst []float32, src []uint16) {
	checkHalf("FromBFloat16", len(dst), len(src))
	isa := active
	for len(src) > 0 {
		n := min(len(src), longPiece)
		fromBFloat16(isa, dst[:n], src[:n])
		dst, src = dst[n:], src[n:]
	}
}

// ToBFloat16 rounds src to bfloat16, to the nearest and ties to even; subnormals stay. A NaN stays one, with its sign. It panics where the
// lengths differ.
func ToBFloat16(dst []uint16, src []float32) {
	checkHalf("ToBFloat16", len(dst), len(src))
	isa := active
	for len(src) > 0 {
		n := min(len(src), longPiece)
		toBFloat16(isa, dst[:n], src[:n])
		dst, src = dst[n:], src[n:]
	}
}

// DotRowsFloat16 is DotRows with a matrix of float16: dst[r] is what Dot gives for the values of row r and x. It panics where
// len(m) ≠ len(dst)·len(x), or where dst overlaps x.
func DotRowsFloat16(dst []float32, m []uint16, x []float32) {
	checkHalfRows("DotRowsFloat16", dst, m, x)
	isa := active
	for r := range dst {
		dst[r] = dotFloat16(isa, m[r*len(x):(r+1)*len(x)], x)
	}
}

// DotRowsBFloat16 is DotRowsFloat16 with a matrix of bfloat16.
func DotRowsBFloat16(dst []float32, m []uint16, x []float32) {
	checkHalfRows("DotRowsBFloat16", dst, m, x)
	isa := active
	for r := range dst {
		dst[r] = dotBFloat16(isa, m[r*len(x):(r+1)*len(x)], x)
	}
}

// dotFloat16Pieces is dotFloat16 of more than a piece, dotBFloat16Pieces dotBFloat16.
func dotFloat16Pieces(isa ISA, h []uint16, x []float32) float32 {
	return dotHalfPieces(dotFloat16, isa, h, x)
}
func dotBFloat16Pieces(isa ISA, h []uint16, x []float32) float32 {
	return dotHalfPieces(dotBFloat16, isa, h, x)
}

func dotHalfPieces(dot func(ISA, []uint16, []float32) float32, isa ISA, h []uint16, x []float32) float32 {
	var total float64
	for len(h) > 0 {
		n := min(len(h), piece)
		total += float64(dot(isa, h[:n], x[:n]))
		h, x = h[n:], x[n:]
	}
	return float32(total)
}

func checkHalf(name string, dst, src int) {
	if dst != src {
		panicLengths(name, "len(dst)", dst, "len(src)", src)
	}
}

func checkHalfRows(name string, dst []float32, m []uint16, x []float32) {
	checkMatrix(name, len(dst), len(m), len(x))
	if overlap(dst, x) {
		panicOverlap(name)
	}
}
