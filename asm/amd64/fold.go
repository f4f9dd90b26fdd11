package amd64

import (
	"github.com/lanewise/lanewise/asm/machine"
	. "github.com/mmcloughlin/avo/operand"
)

// Folding by halves, lane i with lane i + n/2, and so on. Two registers are folded at once where there are two: the halves to be added are
// first brought together, so that the result has one register's half in its lower lanes and the other's in its upper ones.

// An op is Add or Max.
type op func(d, a, b V)

// halves sets lo to a's lower halves beside b's, and hi to the upper ones. width is what is halved, in bytes: the register, then its
// halves, then 128-bit lanes, then their halves. b may be a.
func (m mach) halves(lo, hi V, width int, a, b V) {
	shuffle := func(z, y func(...Op), zlo, zhi, ylo, yhi uint8) {
		g, l, h := y, ylo, yhi
		if m.zmm() {
			g, l, h = z, zlo, zhi
		}
		g(U8(l), m.r(b), m.r(a), m.r(lo))
		g(U8(h), m.r(b), m.r(a), m.r(hi))
	}
	switch width {
	case 64: // two lanes of 128 bits of each
		shuffle(m.VSHUFF64X2, nil, 0x44, 0xee, 0, 0)
	case 32: // one of each two
		permute := func(o ...Op) { m.VPERM2F128(o[0], o[1], o[2], o[3]) }
		if m.isa == avx512y { // there are registers that VPERM2F128 cannot name
			shuffle(nil, m.VSHUFF64X2, 0, 0, 0, 3)
		} else {
			shuffle(m.VSHUFF64X2, permute, 0x88, 0xdd, 0x20, 0x31)
		}
	case 16:
		if m.typ == machine.F64 {
			m.VUNPCKLPD(m.r(b), m.r(a), m.r(lo))
			m.VUNPCKHPD(m.r(b), m.r(a), m.r(hi))
		} else {
			shuffle(m.VSHUFPS, m.VSHUFPS, 0x44, 0xee, 0x44, 0xee)
		}
	case 8:
		shuffle(m.VSHUFPS, m.VSHUFPS, 0x88, 0xdd, 0x88, 0xdd)
	}
}

// halve replaces a by the fold of a's halves beside that of b's.
func (m mach) halve(f op, width int, a, b V) {
	lo, hi := m.New(), m.New()
	m.halves(lo, hi, width, a, b)
	f(a, lo, hi)
}

// lanesAfter follows the lanes of halve: src holds, for each lane, whose half or quarter it is.
func (m mach) lanesAfter(width int, a, b []int) []int {
	per := 16 / m.size() // lanes of 128 bits
	out := make([]int, len(a))
	lanes128 := len(a) / per
	switch width {
	case 64, 32:
		n := lanes128 / 2
		step := 1
		if width == 32 && lanes128 == 4 {
			step = 2
		}
		for i := range n {
			copy(out[i*per:], a[i*step*per:(i*step+1)*per])
			copy(out[(n+i)*per:], b[i*step*per:(i*step+1)*per])
		}
	default:
		n, step := per/2, 1
		if width == 8 {
			step = 2
		}
		for l := 0; l < len(a); l += per {
			for i := range n {
				out[l+i] = a[l+i*step]
				out[l+n+i] = b[l+i*step]
			}
		}
	}
	return out
}

// foldAll folds every register of v, of which there is a power of two no larger than the lanes of one, into v[0].
func (m mach) foldAll(f op, v []V) {
	for width := m.isa.bytes; width > m.size(); width /= 2 {
		if len(v) == 1 {
			m.within(f, v[0], width/2/m.size())
			continue
		}
		n := len(v) / 2
		for i := range n {
			m.halve(f, width, v[i], v[i+n])
		}
		v = v[:n]
	}
}

// folded returns in which lane foldAll leaves the result of each of n registers; the first of several.
func (m mach) folded(n int) []int {
	owner := make([][]int, n) // of each lane
	for i := range owner {
		owner[i] = make([]int, m.lanes())
		for l := range owner[i] {
			owner[i][l] = i
		}
	}
	for width := m.isa.bytes; len(owner) > 1; width /= 2 {
		half := len(owner) / 2
		for i := range half {
			owner[i] = m.lanesAfter(width, owner[i], owner[i+half])
		}
		owner = owner[:half]
	}
	where := make([]int, n)
	for l := m.lanes() - 1; l >= 0; l-- {
		where[owner[0][l]] = l
	}
	return where
}

// Sum folds the groups, a quarter of a block each, and adds the four in pairs. Groups that got nothing are left out, where that is the last
// three or two: they are +0, and the others are not −0, since they began at +0.
func (m mach) Sum(d V, block []V) {
	for i, v := range block {
		if _, ok := m.op(v).(Mem); ok {
			block[i] = m.New()
			m.Set(block[i], v)
		}
	}
	n, per, done := m.walked.length(), len(block)/4, m.label("sum")
	y, groups := m.narrow(), make([]V, 4)
	groups[0] = m.value(m.y(d))
	m.group(groups[0], block[:per])
	m.last().Outputs = []Op{m.r(d)} // what is above becomes 0
	for some := 1; some < 4; some *= 2 {
		more := m.label("groups")
		m.CMPQ(n, U32(some*m.typ.Lanes()/4))
		m.JA(LabelRef(more))
		y.foldAcross(y.Add, groups[:some])
		m.JMP(LabelRef(done))
		m.Label(more)
		for g := some; g < 2*some; g++ {
			groups[g] = y.New()
			m.group(groups[g], block[g*per:(g+1)*per])
		}
	}
	y.foldAcross(y.Add, groups)
	m.Label(done)
}

// group folds the registers of a group into 256 bits.
func (m mach) group(d V, v []V) {
	y := m.narrow()
	lower, upper := v[0], V(0)
	if m.zmm() {
		lower, upper = m.value(m.y(v[0])), y.New()
		m.VEXTRACTF64X4(U8(1), m.r(v[0]), m.y(upper))
	} else {
		upper = v[1]
	}
	y.Add(d, lower, upper)
}

// foldAcross folds one, two or four registers, and then their results, the first two and the last two together, into all lanes of v[0].
func (m mach) foldAcross(f op, v []V) {
	m.foldAll(f, v)
	a, where := v[0], m.folded(len(v))
	// bring the results together: each pair differs in where they stand
	for with := 1; with < len(v); with *= 2 {
		m.within(f, a, where[0]^where[with])
	}
}

// within folds lane i of v with lane i^by, into both.
func (m mach) within(f op, v V, by int) {
	t := m.New()
	m.exchange(t, v, by)
	f(v, v, t)
}

// exchange sets lane i of d to lane i^by of a.
func (m mach) exchange(d, a V, by int) {
	switch by *= m.size(); {
	case by == 32:
		m.VSHUFF64X2(U8(0x4e), m.r(a), m.r(a), m.r(d))
	case by == 16 && m.zmm():
		m.VSHUFF64X2(U8(0xb1), m.r(a), m.r(a), m.r(d))
	case by == 16 && m.isa == avx512y:
		m.VSHUFF64X2(U8(1), m.r(a), m.r(a), m.r(d))
	case by == 16:
		m.VPERM2F128(U8(0x01), m.r(a), m.r(a), m.r(d))
	case by == 8:
		m.VPERMILPS(U8(0x4e), m.r(a), m.r(d))
	case by == 4:
		m.VPERMILPS(U8(0xb1), m.r(a), m.r(d))
	default:
		panic("exchange")
	}
}

// Spread sets all lanes of d to lane 0.
func (m mach) Spread(d V) { m.ps(m.VBROADCASTSS, m.VBROADCASTSD)(m.x(d), m.r(d)) }

// Largest folds a block with Max.
func (m mach) Largest(d V, block []V) {
	m.vertical(m.Max, block)
	m.horizontal(m.Max, block[0])
	m.Set(d, block[0])
}

// vertical folds the registers of a block into the first.
func (m mach) vertical(f op, block []V) {
	for n := len(block) / 2; n > 0; n /= 2 {
		for i := range n {
			f(block[i], block[i], block[i+n])
		}
	}
}

// horizontal folds the lanes of v; all of them hold the result.
func (m mach) horizontal(f op, v V) {
	for by := m.lanes() / 2; by > 0; by /= 2 {
		m.within(f, v, by)
	}
}
