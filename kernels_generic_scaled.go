package lanewise

// scaleAddGeneric writes src·factor + mask, each operation rounded.
func scaleAddGeneric[T Float](dst, src, mask []T, factor T) {
	dst, mask = dst[:len(src)], mask[:len(src)]
	for i, v := range src {
		dst[i] = T(v*factor) + mask[i]
	}
}

// softmaxRowsMaskedGeneric is softmaxRowsGeneric of src·scale + mask.
func softmaxRowsMaskedGeneric[T Float](dst, src, mask []T, cols int, scale T) {
	for ; len(src) > 0; dst, src, mask = dst[cols:], src[cols:], mask[cols:] {
		scaleAddGeneric(dst[:cols], src[:cols], mask[:cols], scale)
		softmaxRowsGeneric(dst[:cols], dst[:cols], cols)
	}
}
