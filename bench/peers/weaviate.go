package main

// weaviate has the dot product of its distancer, in assembly.
func weaviate(kernel string, n, cols int) *instance[float32] {
	if weaviateDot == nil {
		return nil
	}
	switch kernel {
	case "Dot":
		a, b, dst := normal[float32](n, 1), normal[float32](n, 1), alloc[float32](1)
		return &instance[float32]{
			src:  [][]float32{a, b},
			call: func() { dst[0] = weaviateDot(a, b) },
			dst:  func() []float32 { return dst },
		}
	case "DotRows":
		m, x, dst := normal[float32](n, 1), normal[float32](cols, 1), alloc[float32](n/cols)
		return &instance[float32]{
			src: [][]float32{m, x},
			call: func() {
				for r := range dst {
					dst[r] = weaviateDot(m[r*cols:(r+1)*cols], x)
				}
			},
			dst: func() []float32 { return dst },
		}
	}
	return nil
}
