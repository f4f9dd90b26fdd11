package probe

func detect() []*Probe {
	return []*Probe{{"neon", 4, readNEON, read2NEON, copyNEON, mergeNEON, multiplyAddNEON}}
}

//go:noescape
func readNEON(dst, a, b *byte, n, passes int)

//go:noescape
func read2NEON(dst, a, b *byte, n, passes int)

//go:noescape
func copyNEON(dst, a, b *byte, n, passes int)

//go:noescape
func mergeNEON(dst, a, b *byte, n, passes int)

//go:noescape
func multiplyAddNEON(n int)
