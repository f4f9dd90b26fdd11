package arm64

import (
	"math"

	"github.com/lanewise/lanewise/asm/arm64/emit"
	"github.com/lanewise/lanewise/asm/machine"
)

// tileBlocks is how many blocks a tile has: ArgMax looks for the tile of the largest element, and then through that tile, while it is
// in L1.
const tileBlocks = 16

var negInf = math.Inf(-1)

func (m mach) ReturnIndex(i machine.Index) { m.MOVD(i.(emit.GP), m.Result()) }

func (m mach) StoreIndex(i machine.Index) {
	m.MOVW(i.(emit.GP), emit.At(m.out, 0))
	m.ADD(emit.Imm(4), m.out, m.out)
}

// compare sets the flags by lanes 0; after a NaN BVS goes.
func (m mach) compare(b, a V) {
	if m.typ == machine.F64 {
		m.FCMPD(m.r(b), m.r(a))
	} else {
		m.FCMPS(m.r(b), m.r(a))
	}
}

func (m mach) ArgMax(slice string) machine.Index {
	w := m.slices(slice)
	in := machine.In(slice, negInf)
	n, base := w.length(), w.pointer(slice)
	at, tile := m.copyGP(base), m.copyGP(base) // tile is where that of the largest element begins
	end := m.GP()
	m.LSL(log2(m.size()), n, end)
	m.ADD(base, end, end)
	best := m.New()
	m.fill(best, negInf)

	loop, number, larger, smaller, done := m.NewLabel("tile"), m.NewLabel("number"), m.NewLabel("larger"), m.NewLabel("smaller"),
		m.NewLabel("found")
	index := m.GP()
	m.Label(loop)
	left := m.GP()
	m.MOVD(emit.Imm(tileBlocks*m.typ.Lanes()), left)
	m.CMP(left, n)
	m.CSEL("LT", n, left, left)
	m.SUB(left, n, n)
	start, bytes := m.copyGP(at), m.GP()
	m.LSL(log2(m.size()), left, bytes)
	block := m.Block(negInf)
	m.each(left, []emit.GP{at}, func(j int, x []V) V {
		m.Max(block[j], block[j], x[0])
		return machine.None
	}, []machine.Buf{in}, false)
	m.ADD(bytes, start, at) // each may have left it in the slots
	top := m.New()
	m.Largest(top, block)
	m.compare(top, top)
	m.BVC(number)
	m.search(index, start, base, end, func(x V) V {
		number, nan := m.New(), m.Int(-1)
		m.VFCMEQ(m.a(x), m.a(x), m.a(number))
		m.VBIC(m.b(number), m.b(nan), m.b(number))
		return number
	})
	m.B(done)
	m.Label(number)
	m.compare(best, top)
	m.BGT(larger)
	m.B(smaller)
	m.Label(larger)
	m.VMOV(m.b(top), m.b(best))
	m.MOVD(start, tile)
	m.Label(smaller)
	m.CBNZ(n, loop)
	m.Spread(best)
	m.search(index, tile, base, end, func(x V) V {
		d := m.New()
		m.VFCMEQ(m.a(best), m.a(x), m.a(d))
		return d
	})
	m.Label(done)
	return index
}

// search sets index to that of the first element from p on, counted from base, for which hit gives all-ones. There is one before end.
func (m mach) search(index, p, base, end emit.GP, hit func(x V) V) {
	const four = 4 * registerBytes
	loop, single, found := m.NewLabel("search"), m.NewLabel("single"), m.NewLabel("hit")
	left, any := m.GP(), m.GP()
	m.Label(loop)
	m.SUB(p, end, left)
	m.CMP(emit.Imm(four), left)
	m.BLT(single)
	x := m.loadFour(p)
	for i := range x {
		x[i] = hit(x[i])
	}
	for n := 2; n > 0; n /= 2 {
		for i := range n {
			m.VORR(m.b(x[i+n]), m.b(x[i]), m.b(x[i]))
		}
	}
	m.VUMAXP(m.r(x[0]).S4(), m.r(x[0]).S4(), m.r(x[0]).S4())
	m.VMOVGP(m.r(x[0]).D(0), any)
	m.CBNZ(any, single)
	m.ADD(emit.Imm(four), p, p)
	m.B(loop)
	m.Label(single)
	one := m.New()
	m.scalarMove()(emit.At(p, 0), m.r(one))
	m.VMOVGP(m.lane(hit(one), 0), any)
	m.CBNZ(any, found)
	m.ADD(emit.Imm(m.size()), p, p)
	m.B(single)
	m.Label(found)
	m.SUB(base, p, index)
	m.LSR(log2(m.size()), index, index)
}
