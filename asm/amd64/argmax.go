package amd64

import (
	"math"

	"github.com/lanewise/lanewise/asm/machine"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// tileBlocks is how many blocks a tile has: ArgMax looks for the tile of the largest element, and then through that tile, while it is
// in L1.
const tileBlocks = 32

func (m mach) ReturnIndex(i machine.Index) {
	m.Context.Store(i.(reg.GPVirtual), m.Context.ReturnIndex(0))
}

func (m mach) StoreIndex(i machine.Index) {
	m.MOVL(i.(reg.GPVirtual).As32(), Mem{Base: m.out})
	m.ADDQ(U8(4), m.out)
}

func (m mach) compare(predicate Op, d, a, b Op) { m.ps(m.VCMPPS, m.VCMPPD)(predicate, b, a, d) }

// bitmask returns the lanes in which a predicate holds as bits.
func (m mach) bitmask(predicate Op, a, b V) reg.GPVirtual {
	bits := m.GP64()
	if m.zmm() {
		k := m.K()
		m.compare(predicate, k, m.r(a), m.r(b))
		m.KMOVW(k, bits.As32())
		return bits
	}
	t := m.New()
	m.compare(predicate, m.r(t), m.r(a), m.r(b))
	if m.typ == machine.F32 {
		m.VMOVMSKPS(m.r(t), bits.As32())
	} else {
		m.VMOVMSKPD(m.r(t), bits.As32())
	}
	return bits
}

func (m mach) ArgMax(slice string) machine.Index {
	w := m.slices([]machine.Buf{{Name: slice}})
	in := machine.In(slice, negInf)
	n, base := w.length(), w.pointer(slice)
	at := m.GP64()
	m.MOVQ(base, at)
	tile := m.GP64() // where the tile of the largest element begins
	m.MOVQ(base, tile)
	best := m.New()
	m.fill(best, negInf)
	end := m.GP64()
	m.LEAQ(Mem{Base: base, Index: n, Scale: uint8(m.size())}, end)

	loop, found, hasNaN := m.label("tile"), m.label("found"), m.label("nan")
	m.Label(loop)
	left := m.GP64()
	m.MOVQ(U32(tileBlocks*m.typ.Lanes()), left)
	m.CMPQ(n, left)
	m.CMOVQCS(n, left)
	m.SUBQ(left, n)
	start := m.GP64()
	m.MOVQ(at, start)
	top := m.Block(negInf)
	nan := m.newNaNs()
	var before V
	m.each(left, []reg.GPVirtual{at}, func(j int, x []V) V {
		m.Max(top[j], top[j], x[0])
		switch {
		case m.partial:
			nan.note(j/2%2, x[0], x[0])
		case j%2 == 0:
			before = x[0]
		default:
			nan.note(j/2%2, before, x[0])
		}
		return machine.None
	}, []machine.Buf{in})
	nan.jump(hasNaN)
	smaller := m.label("smaller")
	m.vertical(m.Max, top)
	larger := m.bitmask(greater, top[0], best)
	m.TESTL(larger.As32(), larger.As32())
	m.JE(LabelRef(smaller))
	m.horizontal(m.Max, top[0])
	m.Set(best, top[0])
	m.MOVQ(start, tile)
	m.Label(smaller)
	m.TESTQ(n, n)
	m.JNE(LabelRef(loop))

	i := m.GP64()
	done := m.label("found")
	m.Label(found)
	m.search(i, tile, base, end, equal, best, in, done)
	m.Label(hasNaN)
	m.MOVQ(start, tile)
	m.search(i, tile, base, end, unordered, best, in, done)
	m.Label(done)
	return i
}

// search sets i to the index of the first element from at on that compares with best, which is no NaN. There is one. Then it jumps to done.
func (m mach) search(i, at, base, end reg.GPVirtual, predicate Op, best V, in machine.Buf, done string) {
	blocks, loop, last, found := m.label("blocks"), m.label("search"), m.label("last"), m.label("hit")
	m.Label(blocks)
	ahead := m.GP64()
	m.LEAQ(Mem{Base: at, Disp: machine.BlockBytes}, ahead)
	m.CMPQ(ahead, end)
	m.JA(LabelRef(loop))
	m.anyHit(predicate, best, at, loop)
	m.MOVQ(ahead, at)
	m.JMP(LabelRef(blocks))

	hits := m.GP64()
	compare := func(k mask) {
		x := m.New()
		m.load(x, Mem{Base: at}, k, in)
		m.MOVQ(m.bitmask(predicate, x, best), hits)
	}
	m.Label(loop)
	left := m.GP64()
	m.MOVQ(end, left)
	m.SUBQ(at, left)
	m.CMPQ(left, U32(m.isa.bytes))
	m.JB(LabelRef(last))
	compare(mask{})
	m.TESTL(hits.As32(), hits.As32())
	m.JNE(LabelRef(found))
	m.ADDQ(U32(m.isa.bytes), at)
	m.JMP(LabelRef(loop))
	m.Label(last)
	m.SHRQ(U8(m.logSize()), left)
	compare(m.masks(left, false)(0))
	m.Label(found)
	m.BSFL(hits.As32(), hits.As32())
	m.MOVQ(at, i)
	m.SUBQ(base, i)
	m.SHRQ(U8(m.logSize()), i)
	m.ADDQ(hits, i)
	m.JMP(LabelRef(done))
}

// anyHit jumps if an element of the block at p compares with best.
func (m mach) anyHit(predicate Op, best V, p reg.GPVirtual, label string) {
	hit := make([]Op, m.regs())
	for j := range hit {
		if m.zmm() {
			hit[j] = m.K()
		} else {
			hit[j] = m.r(m.New())
		}
		m.compare(predicate, hit[j], m.r(best), Mem{Base: p, Disp: j * m.isa.bytes})
		switch {
		case j == 0:
		case m.zmm() && j == len(hit)-1:
			m.KORTESTW(hit[0], hit[j])
		case m.zmm():
			m.KORW(hit[0], hit[j], hit[0])
		default:
			m.logic("OR", hit[0], hit[0], hit[j])
		}
	}
	if !m.zmm() {
		m.VPTEST(hit[0], hit[0])
	}
	m.JNE(LabelRef(label))
}

// nans notes whether there was a NaN, in two chains.
type nans struct {
	mach
	numbers [2]Op // AVX-512: lanes without one so far
	seen    [2]V  // AVX2: lanes with one
}

func (m mach) newNaNs() nans {
	n := nans{mach: m}
	for i := range 2 {
		if m.zmm() {
			n.numbers[i] = m.opmask(1<<m.lanes() - 1)
		} else {
			n.seen[i] = m.New()
			m.zero(n.seen[i])
		}
	}
	return n
}

func (n nans) note(chain int, a, b V) {
	if k := n.numbers[chain]; k != nil {
		n.ps(n.VCMPPS, n.VCMPPD)(ordered, n.r(b), n.r(a), k, k)
		return
	}
	t := n.New()
	n.compare(unordered, n.r(t), n.r(a), n.r(b))
	n.logic("OR", n.r(n.seen[chain]), n.r(n.seen[chain]), n.r(t))
}

// jump jumps if there was one.
func (n nans) jump(label string) {
	if !n.zmm() {
		n.logic("OR", n.r(n.seen[0]), n.r(n.seen[0]), n.r(n.seen[1]))
		n.VPTEST(n.r(n.seen[0]), n.r(n.seen[0]))
		n.JNE(LabelRef(label))
		return
	}
	n.KANDW(n.numbers[0], n.numbers[1], n.numbers[0])
	bits := n.GP64()
	n.KMOVW(n.numbers[0], bits.As32())
	n.CMPL(bits.As32(), U32(1<<n.lanes()-1))
	n.JNE(LabelRef(label))
}

var negInf = math.Inf(-1)

func (m mach) Int(x int64) V {
	v := m.constBits(uint64(x) & (1<<(8*m.size()-1)<<1 - 1))
	if m.size() == 8 {
		v = m.constBits(uint64(x))
	}
	r := m.New()
	m.Set(r, v)
	return r
}

func (m mach) AddInt(d, a, b V) { m.ps(m.VPADDD, m.VPADDQ)(m.op(b), m.op(a), m.op(d)) }

func (m mach) TakeLarger(best, index, x, at V) {
	cmp := m.ps(m.VCMPPS, m.VCMPPD)
	if m.zmm() {
		k := m.K()
		cmp(notLessEq, m.r(best), m.r(x), k)
		cmp(ordered, m.r(best), m.r(best), k, k)
		m.ps(m.VMOVUPS, m.VMOVUPD)(m.r(x), k, m.r(best))
		m.ps(m.VMOVDQU32, m.VMOVDQU64)(m.r(at), k, m.r(index))
		return
	}
	k, t := m.New(), m.New()
	cmp(notLessEq, m.r(best), m.r(x), m.r(k))
	cmp(ordered, m.r(best), m.r(best), m.r(t))
	m.logic("AND", m.r(k), m.r(k), m.r(t))
	if m.typ == machine.F32 {
		m.VBLENDVPS(m.r(k), m.r(x), m.r(best), m.r(best))
		m.VBLENDVPS(m.r(k), m.r(at), m.r(index), m.r(index))
	} else {
		m.VBLENDVPD(m.r(k), m.r(x), m.r(best), m.r(best))
		m.VBLENDVPD(m.r(k), m.r(at), m.r(index), m.r(index))
	}
}
