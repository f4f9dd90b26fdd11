package arm64

// Sum folds the groups, a quarter of a block each: lane i with lane i + n/2, and so on. Then it adds the four in pairs.
func (m mach) Sum(d V, block []V) {
	m.loadSums()
	per := len(block) / 4
	groups := make([]V, 4)
	for g := range groups {
		b := block[g*per : (g+1)*per]
		for n := per / 2; n > 0; n /= 2 {
			for i := range n {
				m.Add(b[i], b[i], b[i+n])
			}
		}
		groups[g] = b[0]
	}
	// pairs of neighbours are what is left in the end, for all groups at once
	if m.lanes() == 4 {
		for i := range 2 { // first the halves of two groups side by side
			lo, hi := m.New(), m.New()
			m.VZIP1(m.r(groups[2*i+1]).D2(), m.r(groups[2*i]).D2(), m.r(lo).D2())
			m.VZIP2(m.r(groups[2*i+1]).D2(), m.r(groups[2*i]).D2(), m.r(hi).D2())
			m.Add(lo, lo, hi)
			groups[i] = lo
		}
		m.VFADDP(m.a(groups[1]), m.a(groups[0]), m.a(d)) // T0, T1, T2, T3
		m.VFADDP(m.a(d), m.a(d), m.a(d))
		m.VFADDP(m.a(d), m.a(d), m.a(d))
		return
	}
	m.VFADDP(m.a(groups[1]), m.a(groups[0]), m.a(groups[0])) // T0, T1
	m.VFADDP(m.a(groups[3]), m.a(groups[2]), m.a(groups[2])) // T2, T3
	m.VFADDP(m.a(groups[2]), m.a(groups[0]), m.a(d))
	m.VFADDP(m.a(d), m.a(d), m.a(d))
}

// Largest folds a block with Max.
func (m mach) Largest(d V, block []V) {
	for n := len(block) / 2; n > 0; n /= 2 {
		for i := range n {
			m.Max(block[i], block[i], block[i+n])
		}
	}
	v := block[0]
	for range log2(m.lanes()) {
		m.VFMAXP(m.a(v), m.a(v), m.a(v))
	}
	m.Set(d, v)
}
