package main

// weaviate has the dot product and the squared distance of its distancer, in assembly.
func weaviate(kernel string, n, cols int) *instance[float32] {
	if weaviateDot == nil {
		return nil
	}
	f := weaviateDot
	switch kernel {
	case "SquaredDistance", "SquaredDistanceRows":
		f = weaviateL2
	}
	switch kernel {
	case "Dot", "SquaredDistance":
		a, b, dst := normal[float32](n, 1), normal[float32](n, 1), alloc[float32](1)
		return &instance[float32]{
			src:  [][]float32{a, b},
			call: func() { dst[0] = f(a, b) },
			dst:  func() []float32 { return dst },
		}
	case "DotRows", "SquaredDistanceRows":
		m, x, dst := normal[float32](n, 1), normal[float32](cols, 1), alloc[float32](n/cols)
		return &instance[float32]{
			src: [][]float32{m, x},
			call: func() {
				for r := range dst {
					dst[r] = f(m[r*cols:(r+1)*cols], x)
				}
			},
			dst: func() []float32 { return dst },
		}
	}
	return nil
}
