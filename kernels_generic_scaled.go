package lanewise

// scaleAddGeneric writes src·factor + mask, each operation rounded.
func scaleAddGeneric[T Float](dst, src, mask []T, factor T) {
	dst, mask = dst[:len(src)], mask[:len(src)]
	for i, v := range src {
		dst[i] = T(v*factor) + mask[i]
	}
}
