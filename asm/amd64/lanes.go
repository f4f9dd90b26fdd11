package amd64

import (
	"fmt"
	"slices"

	"github.com/lanewise/lanewise/asm/lanes"
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// laner is a lanes.Machine.
type laner struct {
	*build.Context
	mach      mach // for labels and tables
	isa       *ISA
	signature string
	vectors   []Op // registers, or constants in memory
	consts    int
	streams   []stream
	live      lanes.M // the lanes of a register that there are, if partial
	partial   bool
	masks     []reg.Register
	shifts    []reg.VecVirtual
	slices    []*slice
	at, n     reg.GPVirtual // of a loop: the first element of a turn, how many there are

	scalars  []reg.GPVirtual
	room     []Mem         // for each L of a turn
	bits     []int         // of its lanes
	calls    int           // of Spill and Lanes by this run of a body
	register int           // of a turn, that it is at
	later    []stage       // what Lanes left for the end of a turn
	lane     int           // which f of Lanes is at
	offset   reg.GPVirtual // and where that begins, in elements from at, unless it is nil
}

// A stage is what Lanes left: for a lane, and unless that is nil for a turn of lanes that are alike, or it goes to each.
type stage struct {
	lane  func()
	alike func(each string)
}

// A slice is an argument that is one.
type slice struct {
	name          string
	size          int // of an element
	disp          int // of the first turn, if it is one of several
	base          reg.GPVirtual
	loaded, saved bool // by the body of a loop
}

// A stream is a pointer, and where it begins.
type stream struct {
	slices, next string
	number       int
	at           reg.GPVirtual
}

// Lanes returns the lanes.Machine that writes the function.
func (c *Code) Lanes() lanes.Machine {
	return &laner{Context: c.Context, mach: newMachine(c), isa: c.ISA, signature: c.signature}
}

func (l *laner) Slice(name string) lanes.S {
	bits := lanes.ElementBits(l.signature, name)
	s := &slice{name: name, size: bits / 8}
	if lanes.IsSlice(l.signature, name) {
		s.base = l.Context.Load(l.Param(name).Base(), l.GP64()).(reg.GPVirtual)
	} else {
		s.base = l.pointer(name)
	}
	l.slices = append(l.slices, s)
	return lanes.S{ID: len(l.slices) - 1, Bits: bits}
}

func (l *laner) Narrow(s lanes.S, bits, i int) lanes.S {
	n := *l.slices[s.ID]
	n.disp = i * lanes.Turn * bits / 8
	l.slices = append(l.slices, &n)
	return lanes.S{ID: len(l.slices) - 1, Bits: bits}
}

func (l *laner) length(s lanes.S) reg.GPVirtual {
	return l.Context.Load(l.Param(l.slices[s.ID].name).Len(), l.GP64()).(reg.GPVirtual)
}

// lanes is how many lanes of so many bits a register has.
func (l *laner) lanes(bits int) int { return 8 * l.isa.bytes / bits }

func (l *laner) bytes(bits int) int { return l.lanes(bits) * bits / 8 }

// wide says whether v is a ZMM.
func (l *laner) wide(v lanes.V) bool { return l.bytes(v.Bits) == 64 }

func (l *laner) New(bits int) lanes.V {
	spec := reg.Spec(reg.S256)
	if l.bytes(bits) == 64 {
		spec = reg.S512
	}
	l.vectors = append(l.vectors, l.Vec(spec))
	return lanes.V{ID: len(l.vectors) - 1, Bits: bits}
}

func (l *laner) op(v lanes.V) Op            { return l.vectors[v.ID] }
func (l *laner) r(v lanes.V) reg.VecVirtual { return l.vectors[v.ID].(reg.VecVirtual) }
func (l *laner) x(v lanes.V) reg.Register   { return l.r(v).AsX() }
func (l *laner) y(v lanes.V) reg.Register   { return l.r(v).AsY() }

// sized returns the instruction for the lanes of a vector.
func sized(v lanes.V, w, d, q func(...Op)) func(...Op) {
	f := map[int]func(...Op){16: w, 32: d, 64: q}[v.Bits]
	if f == nil {
		panic(fmt.Sprintf("no instruction for %d bits", v.Bits))
	}
	return f
}

// three writes an instruction with the sources in Intel's order.
func (l *laner) three(f func(...Op), d, a, b lanes.V) {
	if m, ok := l.op(a).(Mem); ok { // only the second one may be in memory
		t := l.New(a.Bits)
		l.load(m, t)
		a = t
	}
	f(l.op(b), l.r(a), l.r(d))
}

func (l *laner) splat(v lanes.V, x uint64) Mem {
	if v.Bits == 16 {
		return l.mach.splat(x<<16|x, 4)
	}
	return l.mach.splat(x, v.Bits/8)
}

func (l *laner) Const(bits int, x uint64) lanes.V {
	v := l.New(bits)
	if x == 0 {
		l.zero(v)
		return v
	}
	if l.consts++; l.isa == AVX2 && l.consts > l.mach.kept {
		l.vectors[v.ID] = l.splat(v, x)
		return v
	}
	l.load(l.splat(v, x), v)
	return v
}

func (l *laner) Block(bits int, x uint64) []lanes.V {
	v := make([]lanes.V, lanes.Turn/l.lanes(bits))
	for i := range v {
		v[i] = l.Const(bits, x)
	}
	return v
}

func (l *laner) Park(v lanes.V) lanes.V {
	if l.isa != AVX2 {
		return v
	}
	slot := l.AllocLocal(l.bytes(v.Bits))
	l.store(v, slot)
	l.vectors = append(l.vectors, slot)
	return lanes.V{ID: len(l.vectors) - 1, Bits: v.Bits}
}

func (l *laner) zero(v lanes.V) {
	if l.wide(v) {
		l.VPXORD(l.r(v), l.r(v), l.r(v))

	} else {
		l.VPXOR(l.r(v), l.r(v), l.r(v))
	}
}

func (l *laner) load(m Mem, v lanes.V) {
	if l.wide(v) {
		l.VMOVDQU64(m, l.r(v))
	} else {
		l.VMOVDQU(m, l.r(v))
	}
}

func (l *laner) store(v lanes.V, m Mem) {
	if l.wide(v) {
		l.VMOVDQU64(l.r(v), m)
	} else {
		l.VMOVDQU(l.r(v), m)
	}
}

func (l *laner) Set(d, x lanes.V) {
	if l.wide(d) {
		l.VMOVDQA64(l.r(x), l.r(d))
	} else {
		l.VMOVDQA(l.r(x), l.r(d))
	}
}

// Arguments and results.

func (l *laner) Arg(name string, bits int) lanes.V {
	v := l.New(bits)
	sized(v, nil, l.VBROADCASTSS, l.VBROADCASTSD)(l.param(name), l.r(v))
	return v
}

// param is where a parameter lies.
func (l *laner) param(name string) Mem {
	b, err := l.Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return b.Addr
}

func (l *laner) Element(array string, i int) lanes.V {
	v := l.New(32)
	l.VPBROADCASTD(Mem{Base: l.pointer(array), Disp: 4 * i}, l.r(v))
	return v
}

func (l *laner) pointer(name string) reg.GPVirtual {
	return l.Context.Load(l.Param(name), l.GP64()).(reg.GPVirtual)
}

func (l *laner) shift(count reg.GPVirtual) lanes.Shift {
	x := l.XMM()
	l.VMOVD(count, x)
	l.shifts = append(l.shifts, x)
	return lanes.Shift(len(l.shifts)) // to the left, and minus that to the right
}

func (l *laner) ShiftLeft(arg string) lanes.Shift {
	return l.shift(l.Context.Load(l.Param(arg), l.GP32()).(reg.GPVirtual))
}

func (l *laner) ShiftRight(arg string, more int) lanes.Shift {
	count := l.Context.Load(l.Param(arg), l.GP32()).(reg.GPVirtual)
	if more > 0 {
		l.ADDL(Imm(uint64(more)), count)
	}
	return -l.shift(count)
}

func (l *laner) ReturnAny(result string, m lanes.M) {
	any := l.GP8()
	l.test(m)
	l.SETNE(any)
	l.Context.Store(any, l.Return(result))
}

// test leaves the zero flag clear where m is anywhere.
func (l *laner) test(m lanes.M) {
	k := l.masks[m.ID]
	if l.isa == AVX2 {
		l.VPTEST(k, k)
	} else {
		l.KORTESTW(k, k)
	}
}

func (l *laner) ReturnLeast(result string, v lanes.V) {
	l.fold(result, v, sized(v, l.VPMINUW, l.VPMINUD, nil))
}

func (l *laner) ReturnLargest(result string, v lanes.V) {
	l.fold(result, v, sized(v, l.VPMAXUW, l.VPMAXUD, nil))
}

func (l *laner) ReturnSum(result string, v lanes.V) {
	l.fold(result, v, sized(v, l.VPADDW, l.VPADDD, l.VPADDQ))
}

func (l *laner) ReturnFirst(result string, v lanes.V) { l.lane0(result, v.Bits, l.x(v)) }

// fold returns what f makes of all lanes, which it leaves in lane 0.
func (l *laner) fold(result string, v lanes.V, f func(...Op)) {
	d := l.XMM()
	l.VMOVDQA(l.x(v), d)
	t := l.New(v.Bits)
	if l.wide(v) {
		l.VEXTRACTI64X4(U8(1), l.r(v), l.y(t))
		f(l.y(t), l.y(v), l.y(v))
		l.VMOVDQA(l.x(v), d)
	}
	l.VEXTRACTI128(U8(1), l.y(v), l.x(t))
	f(l.x(t), d, d)
	for bytes := 8; bytes >= v.Bits/8; bytes /= 2 {
		l.VPSRLDQ(U8(bytes), d, l.x(t))
		f(l.x(t), d, d)
	}
	l.lane0(result, v.Bits, d)
}

func (l *laner) lane0(result string, bits int, x reg.Register) {
	lane := l.GP64()
	if bits == 64 {
		l.VMOVQ(x, lane)
	} else {
		l.VMOVD(x, lane.As32())
	}
	l.Context.Store(map[int]reg.Register{16: lane.As16(), 32: lane.As32(), 64: lane}[bits], l.Return(result))
}

// Integers.

func (l *laner) Add(d, a, b lanes.V) { l.three(sized(d, l.VPADDW, l.VPADDD, l.VPADDQ), d, a, b) }
func (l *laner) Sub(d, a, b lanes.V) { l.three(sized(d, l.VPSUBW, l.VPSUBD, l.VPSUBQ), d, a, b) }
func (l *laner) Min(d, a, b lanes.V) { l.three(sized(d, l.VPMINUW, l.VPMINUD, nil), d, a, b) }
func (l *laner) Max(d, a, b lanes.V) { l.three(sized(d, l.VPMAXUW, l.VPMAXUD, nil), d, a, b) }
func (l *laner) And(d, a, b lanes.V) { l.logic(l.VPAND, l.VPANDQ, d, a, b) }
func (l *laner) Or(d, a, b lanes.V)  { l.logic(l.VPOR, l.VPORQ, d, a, b) }
func (l *laner) Xor(d, a, b lanes.V) { l.logic(l.VPXOR, l.VPXORQ, d, a, b) }

func (l *laner) AndNot(d, a, b lanes.V) { l.logic(l.VPANDN, l.VPANDNQ, d, b, a) }

func (l *laner) logic(y func(b, a, d Op), z func(...Op), d, a, b lanes.V) {
	if l.wide(d) {
		l.three(z, d, a, b)
	} else {
		y(l.op(b), l.r(a), l.r(d))
	}
}

func (l *laner) Shift(d, a lanes.V, s lanes.Shift) {
	f := sized(d, nil, l.VPSLLD, l.VPSLLQ)
	if s < 0 {
		f, s = sized(d, nil, l.VPSRLD, l.VPSRLQ), -s
	}
	f(l.shifts[s-1], l.r(a), l.r(d))
}

func (l *laner) ShiftLeftBy(d, a lanes.V, n int) {
	sized(d, l.VPSLLW, l.VPSLLD, l.VPSLLQ)(U8(n), l.r(a), l.r(d))
}

func (l *laner) ShiftRightBy(d, a lanes.V, n int) {
	sized(d, l.VPSRLW, l.VPSRLD, l.VPSRLQ)(U8(n), l.r(a), l.r(d))
}

func (l *laner) Sign(d, a lanes.V) {
	switch {
	case d.Bits == 32:
		l.VPSRAD(U8(31), l.r(a), l.r(d))
	case l.wide(d):
		l.VPSRAQ(U8(63), l.r(a), l.r(d))
	default:
		l.VPSRAD(U8(31), l.r(a), l.r(d))
		l.VPSHUFD(U8(0xf5), l.r(d), l.r(d)) // the upper halves
	}
}

// Masks.

func (l *laner) mask(bits int) lanes.M {
	var k reg.Register = l.K()
	if l.isa == AVX2 {
		k = l.YMM()
	}
	l.masks = append(l.masks, k)
	return lanes.M{ID: len(l.masks) - 1, Bits: bits}
}

func (l *laner) compare(f func(...Op), a, b lanes.V) lanes.M {
	m := l.mask(a.Bits)
	f(l.op(b), l.r(a), l.masks[m.ID])
	return m
}

func (l *laner) Equal(a, b lanes.V) lanes.M {
	return l.compare(sized(a, nil, l.VPCMPEQD, l.VPCMPEQQ), a, b)
}

func (l *laner) Above(a, b lanes.V) lanes.M {
	return l.compare(sized(a, l.VPCMPGTW, l.VPCMPGTD, l.VPCMPGTQ), a, b)
}

func (l *laner) Below(a, b lanes.V) lanes.M {
	if l.wide(a) {
		m := l.mask(a.Bits)
		l.VPCMPUQ(U8(1), l.r(b), l.r(a), l.masks[m.ID])
		return m
	}
	x, y, sign := l.New(64), l.New(64), l.splat(a, 1<<63)
	l.VPXOR(sign, l.r(a), l.r(x))
	l.VPXOR(sign, l.r(b), l.r(y))
	return l.Above(y, x)
}

func (l *laner) Increment(d lanes.V, m lanes.M) {
	if l.isa == AVX2 {
		sized(d, nil, l.VPSUBD, l.VPSUBQ)(l.masks[m.ID], l.r(d), l.r(d))
	} else {
		sized(d, nil, l.VPADDD, l.VPADDQ)(l.splat(d, 1), l.r(d), l.masks[m.ID], l.r(d))
	}
}

func (l *laner) Decrement(d lanes.V, m lanes.M) {
	if l.isa == AVX2 {
		sized(d, nil, l.VPADDD, l.VPADDQ)(l.masks[m.ID], l.r(d), l.r(d))
	} else {
		sized(d, nil, l.VPSUBD, l.VPSUBQ)(l.splat(d, 1), l.r(d), l.masks[m.ID], l.r(d))
	}
}

func (l *laner) ZeroWhere(d lanes.V, m lanes.M) {
	if l.isa == AVX2 {
		l.VPANDN(l.r(d), l.masks[m.ID], l.r(d))
	} else {
		sized(d, nil, l.VPXORD, l.VPXORQ)(l.r(d), l.r(d), l.masks[m.ID], l.r(d))
	}
}

func (l *laner) AddWhere(d, x lanes.V, m lanes.M) {
	add := sized(d, l.VPADDW, l.VPADDD, nil)
	if l.isa == AVX2 {
		t := l.YMM()
		l.VPAND(l.op(x), l.masks[m.ID], t)
		add(t, l.r(d), l.r(d))
	} else {
		add(l.r(x), l.r(d), l.masks[m.ID], l.r(d))
	}
}

func (l *laner) SetWhere(d, x lanes.V, m lanes.M) {
	f := sized(d, nil, l.VMOVDQA32, nil)
	if l.isa == AVX2 {
		l.VBLENDVPS(l.masks[m.ID], l.r(x), l.r(d), l.r(d))
	} else {
		f(l.r(x), l.masks[m.ID], l.r(d))
	}
}

func (l *laner) Without(a, b lanes.M) lanes.M {
	m := l.mask(a.Bits)
	if l.isa == AVX2 {
		l.VPANDN(l.masks[a.ID], l.masks[b.ID], l.masks[m.ID])
	} else {
		l.KANDNW(l.masks[a.ID], l.masks[b.ID], l.masks[m.ID])
	}
	return m
}

// alive returns the lanes of m that there are.
func (l *laner) alive(m lanes.M) reg.Register {
	if !l.partial {
		return l.masks[m.ID]
	}
	in := l.mask(m.Bits)
	if l.isa == AVX2 {
		l.VPAND(l.masks[l.live.ID], l.masks[m.ID], l.masks[in.ID])
	} else {
		l.KANDW(l.masks[l.live.ID], l.masks[m.ID], l.masks[in.ID])
	}
	return l.masks[in.ID]
}

// Floats.

func (l *laner) ToFloats(d, a lanes.V)      { l.VCVTDQ2PS(l.r(a), l.r(d)) }
func (l *laner) MulFloats(d, a, b lanes.V)  { l.three(l.VMULPS, d, a, b) }
func (l *laner) DivFloats(d, a, b lanes.V)  { l.three(l.VDIVPS, d, a, b) }
func (l *laner) MulDoubles(d, a, b lanes.V) { l.three(l.VMULPD, d, a, b) }

func (l *laner) MulAddDoubles(d, a, b, c lanes.V) {
	l.Set(d, a)
	l.VFMADD213PD(l.op(c), l.r(b), l.r(d))
}

func (l *laner) ToDoubles(low, high, a lanes.V) {
	if l.wide(a) {
		half := l.YMM()
		l.VEXTRACTF64X4(U8(1), l.r(a), half)
		l.VCVTPS2PD(half, l.r(high))
		l.VCVTPS2PD(l.y(a), l.r(low))
		return
	}
	half := l.XMM()
	l.VEXTRACTF128(U8(1), l.r(a), half)
	l.VCVTPS2PD(half, l.r(high))
	l.VCVTPS2PD(l.x(a), l.r(low))
}

func (l *laner) NegateBy(d, s lanes.V) {
	sign := l.splat(d, 1<<31)
	if l.wide(d) {
		l.VPTERNLOGD(U8(0x78), sign, l.r(s), l.r(d)) // d xor (s and sign)
		return
	}
	t := l.YMM()
	l.VPAND(sign, l.r(s), t)
	l.VPXOR(t, l.r(d), l.r(d))
}

// Streams.

const (
	sliceBytes = 24   // of a Go slice
	near       = 1024 // how far ahead of a stream memory is fetched, in bytes
)

func (l *laner) Streams(slices, next string, n int) []lanes.T {
	t := make([]lanes.T, n)
	from := l.pointer(next)
	for i := range t {
		s := stream{slices, next, i, l.GP64()}
		first := l.GP64()
		l.first(s, s.at)
		l.MOVL(Mem{Base: from, Disp: 4 * i}, first.As32())
		l.LEAQ(Mem{Base: s.at, Index: first, Scale: 4}, s.at)
		l.streams = append(l.streams, s)
		t[i] = lanes.T(len(l.streams) - 1)
	}
	return t
}

// first sets p to the beginning of a stream's slice.
func (l *laner) first(s stream, p reg.GPVirtual) {
	if lanes.IsSlice(l.signature, s.slices) {
		l.Context.Load(l.Param(s.slices).Base(), p)
	} else {
		l.MOVQ(Mem{Base: l.pointer(s.slices), Disp: sliceBytes * s.number}, p)
	}
}

func (l *laner) Leave(t []lanes.T) {
	to := l.pointer(l.streams[t[0]].next)
	for _, t := range t {
		s, p := l.streams[t], l.GP64()
		l.first(s, p)
		l.SUBQ(p, s.at)
		l.SHRQ(U8(2), s.at)
		l.MOVL(s.at.As32(), Mem{Base: to, Disp: 4 * s.number})
	}
}

func (l *laner) Append(t lanes.T, x lanes.V, m lanes.M) {
	s, in := l.streams[t], l.alive(m)
	l.PREFETCHT0(Mem{Base: s.at, Disp: near})
	if l.isa == AVX2 {
		mask, moved := l.bits8(in), l.YMM()
		l.permutation("compress", mask, moved)
		l.VPERMD(l.r(x), moved, moved)
		l.VMOVDQU(moved, Mem{Base: s.at})
		l.advance(s, mask)
		return
	}
	moved := l.ZMM()
	l.VPXORD(moved, moved, moved) // Zen 4 and 5 wait for what it was
	l.VPCOMPRESSD_Z(l.r(x), in, moved)
	l.VMOVDQU32(moved, Mem{Base: s.at})
	l.advance(s, l.bits16(in))
}

func (l *laner) Take(d lanes.V, t lanes.T, m lanes.M) {
	s, in := l.streams[t], l.alive(m)
	l.PREFETCHT0(Mem{Base: s.at, Disp: near})
	if l.isa == AVX2 {
		mask, moved := l.bits8(in), l.YMM()
		l.permutation("expand", mask, moved)
		l.VPERMD(Mem{Base: s.at}, moved, moved)
		l.VBLENDVPS(in, moved, l.r(d), l.r(d))
		l.advance(s, mask)
		return
	}
	next := l.ZMM()
	l.VMOVDQU32(Mem{Base: s.at}, next)
	l.VPEXPANDD(next, in, l.r(d))
	l.advance(s, l.bits16(in))
}

// bits8 returns a bit for each of 8 lanes, bits16 for each of 16.
func (l *laner) bits8(m reg.Register) reg.GPVirtual {
	mask := l.GP64()
	l.VMOVMSKPS(m, mask.As32())
	return mask
}

func (l *laner) bits16(m reg.Register) reg.GPVirtual {
	mask := l.GP64()
	l.KMOVW(m, mask.As32())
	return mask
}

// advance moves a stream on by as many elements as a mask has bits.
func (l *laner) advance(s stream, mask reg.GPVirtual) {
	l.POPCNTL(mask.As32(), mask.As32())
	l.LEAQ(Mem{Base: s.at, Index: mask, Scale: 4}, s.at)
}

// permutation loads the one that compresses or expands 8 lanes by a mask, out of a table of their bytes.
func (l *laner) permutation(which string, mask reg.GPVirtual, y reg.VecVirtual) {
	base := l.GP64()
	l.LEAQ(l.mach.table(which+"Bytes", func() {
		for m := range 256 {
			var compress, expand uint64
			n := 0
			for i := range 8 {
				expand |= uint64(n) << (8 * i)
				if m>>i&1 != 0 {
					compress |= uint64(i) << (8 * n)
					n++
				}
			}
			l.mach.datum(8*m, map[string]uint64{"compress": compress, "expand": expand}[which], 8)
		}
	}), base)
	l.VPMOVZXBD(Mem{Base: base, Index: mask, Scale: 8}, y)
}

// Halves.

// permuted sets d to lanes of a and b, by their numbers in these, one after the other.
func (l *laner) permuted(d, a, b lanes.V, number func(i int) int) {
	name := "lanes"
	n := l.lanes(d.Bits)
	for i := range n {
		name += fmt.Sprintf("%x", number(i)/16) + fmt.Sprintf("%x", number(i)%16)
	}
	l.load(l.mach.table(name, func() {
		for i := range n {
			l.mach.datum(i*d.Bits/8, uint64(number(i)), d.Bits/8)
		}
	}), d)
	sized(d, nil, l.VPERMI2D, l.VPERMI2Q)(l.r(b), l.r(a), l.r(d))
}

func (l *laner) Zip(a, b, low, high lanes.V) {
	if l.wide(low) {
		l.permuted(lanes.V{ID: a.ID, Bits: 32}, low, high, func(i int) int { return i/2 + i%2*16 })
		l.permuted(lanes.V{ID: b.ID, Bits: 32}, low, high, func(i int) int { return 8 + i/2 + i%2*16 })
		return
	}
	s, t := l.YMM(), l.YMM()
	l.VPUNPCKLDQ(l.r(high), l.r(low), s)
	l.VPUNPCKHDQ(l.r(high), l.r(low), t)
	l.VPERM2I128(U8(0x20), t, s, l.r(a))
	l.VPERM2I128(U8(0x31), t, s, l.r(b))
}

func (l *laner) Low(d, a, b lanes.V)  { l.half(0, d, a, b) }
func (l *laner) High(d, a, b lanes.V) { l.half(1, d, a, b) }

func (l *laner) half(which int, d, a, b lanes.V) {
	if l.wide(d) {
		l.permuted(d, a, b, func(i int) int { return 2*i + which })
		return
	}
	l.VSHUFPS(U8([]int{0x88, 0xdd}[which]), l.r(b), l.r(a), l.r(d))
	l.VPERMQ(U8(0xd8), l.r(d), l.r(d))
}

func (l *laner) Widen(d, a lanes.V, half int) {
	var from reg.Register
	switch upper := half == 1; {
	case upper && l.wide(d):
		from = l.YMM()
		l.VEXTRACTI64X4(U8(1), l.r(a), from)
	case upper:
		from = l.XMM()
		l.VEXTRACTI128(U8(1), l.r(a), from)
	case l.wide(d):
		from = l.r(a).AsY()
	default:
		from = l.r(a).AsX()
	}
	l.VPMOVZXWD(from, l.r(d))
}

// Gather loads lane by lane on AVX2, where eight loads take half the time of an instruction that gathers: many CPUs hide since Downfall what
// such an instruction has loaded, until all of it is there. With 16 lanes both are equally fast.
func (l *laner) Gather(d lanes.V, s lanes.S, i lanes.V) {
	m := Mem{Base: l.slices[s.ID].base, Scale: 4}
	if l.isa != AVX2 {
		all := l.K()
		l.zero(d) // it does not wait for what d was
		l.KXNORW(all, all, all)
		l.VPGATHERDD(m.Idx(l.r(i), 4), all, l.r(d))
		return
	}
	at := l.AllocLocal(l.bytes(32))
	l.store(i, at)
	for j := range l.lanes(32) {
		index, lane := l.GP64(), l.YMM()
		l.MOVL(at.Offset(4*j), index.As32())
		if j == 0 {
			l.VPBROADCASTD(m.Idx(index, 4), l.r(d))
			continue
		}
		l.VPBROADCASTD(m.Idx(index, 4), lane)
		l.VPBLENDD(U8(1<<j), lane, l.r(d), l.r(d))
	}
}

func (l *laner) Prefix(d, x, carry lanes.V) {
	if !l.wide(x) {
		l.prefix(l.r(d).AsY(), l.r(x).AsY(), l.r(carry).AsY())
		return
	}
	low, high := l.YMM(), l.YMM()
	l.VEXTRACTI64X4(U8(1), l.r(x), high)
	l.prefix(low.AsY(), l.r(x).AsY(), l.r(carry).AsY())
	l.prefix(high.AsY(), high.AsY(), l.r(carry).AsY())
	l.VINSERTI64X4(U8(1), high, low.AsZ(), l.r(d))
	l.mach.last().Inputs = []Op{high, low} // what is above is replaced
	l.VPBROADCASTW(l.x(carry), l.r(carry))
}

// prefix adds what is 1, 2 and 4 lanes before within 128 bits, then the lower half's sum to the upper half.
func (l *laner) prefix(d, x, carry reg.Register) {
	rest, t, last := l.YMM(), l.YMM(), l.mach.splat(0x0f0e0f0e, 4)
	l.VPSUBW(x, carry, rest)
	sum := x
	for _, bytes := range []int{2, 4, 8} {
		l.VPSLLDQ(U8(bytes), sum, t)
		l.VPADDW(t, sum, d)
		sum = d
	}
	halves, lower := l.YMM(), l.YMM()
	l.VPSHUFB(last, sum, halves)
	l.VPERM2I128(U8(0x08), halves, halves, lower)
	l.VPADDW(lower, sum, sum)
	l.VPADDW(rest, sum, sum)
	l.VPADDW(lower, halves, halves)
	l.VPERMQ(U8(0xee), halves, halves)
	l.VPADDW(halves, carry, carry)
}

// Pairs. AVX2 compares signed integers: the signs are flipped in its registers.

func (l *laner) Least(d lanes.V) {
	if l.wide(d) {
		l.zero(d)
	} else {
		l.load(l.splat(d, 1<<63), d)
	}
}

func (l *laner) largest(d lanes.V) {
	if l.wide(d) {
		l.load(l.splat(d, 1<<64-1), d)
	} else {
		l.load(l.splat(d, 1<<63-1), d)
	}
}

func (l *laner) LoadPairs(a, b lanes.V, s lanes.S) { l.loadPairs(a, b, Mem{Base: l.slices[s.ID].base}) }

func (l *laner) loadPairs(a, b lanes.V, m Mem) {
	if l.wide(a) {
		x, y := l.New(64), l.New(64)
		l.load(m, x)
		l.load(m.Offset(64), y)
		l.permuted(a, x, y, func(i int) int { return 2 * i })
		l.permuted(b, x, y, func(i int) int { return 2*i + 1 })
		return
	}
	x, y := l.New(64), l.New(64)
	for i, v := range []lanes.V{x, y} {
		l.VMOVDQU(m.Offset(16*i), l.x(v))
		l.VINSERTI128(U8(1), m.Offset(32+16*i), l.r(v), l.r(v))
		l.mach.last().Inputs = []Op{m.Offset(32 + 16*i), l.x(v)} // what is above is replaced
	}
	sign := l.splat(a, 1<<63)
	l.VPXOR(sign, l.r(x), l.r(x))
	l.VPXOR(sign, l.r(y), l.r(y))
	l.VPUNPCKLQDQ(l.r(y), l.r(x), l.r(a))
	l.VPUNPCKHQDQ(l.r(y), l.r(x), l.r(b))
}

func (l *laner) storePairs(a, b lanes.V, m Mem) {
	x, y := l.New(64), l.New(64)
	if l.wide(a) {
		l.permuted(x, a, b, func(i int) int { return i/2 + i%2*8 })
		l.permuted(y, a, b, func(i int) int { return 4 + i/2 + i%2*8 })
		l.store(x, m)
		l.store(y, m.Offset(64))
		return
	}
	l.VPUNPCKLQDQ(l.r(b), l.r(a), l.r(x))
	l.VPUNPCKHQDQ(l.r(b), l.r(a), l.r(y))
	sign := l.splat(a, 1<<63)
	l.VPXOR(sign, l.r(x), l.r(x))
	l.VPXOR(sign, l.r(y), l.r(y))
	l.VMOVDQU(l.x(x), m)
	l.VMOVDQU(l.x(y), m.Offset(16))
	l.VEXTRACTI128(U8(1), l.r(x), m.Offset(32))
	l.VEXTRACTI128(U8(1), l.r(y), m.Offset(48))
}

func (l *laner) Order(a, b lanes.V) {
	t := l.New(64)
	if l.wide(a) {
		l.VPMINUQ(l.r(b), l.r(a), l.r(t))
		l.VPMAXUQ(l.r(b), l.r(a), l.r(b))
	} else {
		larger := l.YMM()
		l.VPCMPGTQ(l.r(b), l.r(a), larger)
		l.VBLENDVPD(larger, l.r(b), l.r(a), l.r(t))
		l.VBLENDVPD(larger, l.r(a), l.r(b), l.r(b))
	}
	l.Set(a, t)
}

func (l *laner) Next(d, a, b lanes.V) {
	if l.wide(d) {
		l.VALIGNQ(U8(1), l.r(a), l.r(b), l.r(d))
		return
	}
	l.VPBLENDD(U8(0x03), l.r(b), l.r(a), l.r(d))
	l.VPERMQ(U8(0x39), l.r(d), l.r(d))
}

func (l *laner) Before(d, a, b lanes.V) {
	if l.wide(d) {
		l.VALIGNQ(U8(7), l.r(a), l.r(b), l.r(d))
		return
	}
	l.VPBLENDD(U8(0xc0), l.r(a), l.r(b), l.r(d))
	l.VPERMQ(U8(0x93), l.r(d), l.r(d))
}

func (l *laner) Pairs(s lanes.S, body func(after, store func(a, b lanes.V))) {
	step := 2 * l.bytes(64)
	p, last := l.GP64(), l.length(s)
	l.MOVQ(l.slices[s.ID].base, p)
	l.LEAQ(Mem{Base: p, Index: last, Scale: 8, Disp: -step}, last)
	loop, end := l.mach.label("pairs"), l.mach.label("last")
	l.CMPQ(p, last)
	l.JEQ(LabelRef(end))
	store := func(a, b lanes.V) { l.storePairs(a, b, Mem{Base: p}) }
	l.Label(loop)
	body(func(a, b lanes.V) { l.loadPairs(a, b, Mem{Base: p, Disp: step}) }, store)
	l.ADDQ(Imm(uint64(step)), p)
	l.CMPQ(p, last)
	l.JB(LabelRef(loop))
	l.Label(end)
	body(func(a, b lanes.V) {
		l.largest(a)
		l.largest(b)
	}, store)
}

// Loops.

func (l *laner) mem(s lanes.S, i int, v lanes.V) Mem {
	a := l.slices[s.ID]
	if v.Bits != s.Bits {
		panic(fmt.Sprintf("%d bits of %s, whose elements have %d", v.Bits, a.name, s.Bits))
	}
	m := Mem{Base: a.base, Disp: a.disp + i*l.bytes(v.Bits)}
	if l.at != nil {
		m.Index, m.Scale = l.at, uint8(a.size)
	}
	return m
}

func (l *laner) Load(d lanes.V, s lanes.S, i int) {
	l.slices[s.ID].loaded = true
	switch m := l.mem(s, i, d); {
	case !l.partial:
		l.load(m, d)
	case l.isa == AVX2:
		l.VPMASKMOVD(m, l.masks[l.live.ID], l.r(d))
	default:
		l.VMOVDQU32_Z(m, l.masks[l.live.ID], l.r(d))
	}
}

func (l *laner) Store(s lanes.S, i int, x lanes.V) {
	l.slices[s.ID].saved = true
	switch m := l.mem(s, i, x); {
	case !l.partial:
		l.store(x, m)
	case l.isa == AVX2:
		l.VPMASKMOVD(l.r(x), l.masks[l.live.ID], m)
	default:
		l.VMOVDQU32(l.r(x), l.masks[l.live.ID], m)
	}
}

func (l *laner) Position(d lanes.V, i int) {
	first := l.mach.iota(d.Bits / 8).Offset(i * l.bytes(d.Bits))
	if d.Bits == 32 {
		l.VMOVD(l.at.As32(), l.x(d))
		l.VPBROADCASTD(l.x(d), l.r(d))
		l.VPADDD(first, l.r(d), l.r(d))
	} else {
		l.VMOVQ(l.at, l.x(d))
		l.VPBROADCASTQ(l.x(d), l.r(d))
		l.VPADDQ(first, l.r(d), l.r(d))
	}
}

// start sets the registers of a loop.
func (l *laner) start(s []lanes.S) {
	l.n, l.at = l.length(s[0]), l.GP64()
	l.XORL(l.at.As32(), l.at.As32())
}

// turn runs body for the registers of a turn.
func (l *laner) turn(bits int, body func(j int)) {
	l.later, l.bits = nil, l.bits[:0]
	for j := range lanes.Turn / l.lanes(bits) {
		l.register, l.calls = j, 0
		body(j)
	}
}

// finish does what Lanes left: for a whole turn, or from the lane from on to the one before to.
func (l *laner) finish(from, to reg.GPVirtual) {
	for _, f := range l.later {
		if from == nil {
			each, done := l.mach.label("each"), l.mach.label("done")
			if f.alike != nil {
				f.alike(each)
				l.JMP(LabelRef(done))
				l.Label(each)
			}
			for l.lane = range lanes.Turn {
				f.lane()
			}
			if f.alike != nil {
				l.Label(done)
			}
			continue
		}
		loop := l.mach.label("lanes")
		l.lane, l.offset = 0, l.GP64()
		l.MOVQ(from, l.offset)
		l.Label(loop)
		f.lane()
		l.INCQ(l.offset)
		l.CMPQ(l.offset, to)
		l.JLT(LabelRef(loop))
		l.offset = nil
	}
}

func (l *laner) Each(bits int, body func(j int), s ...lanes.S) {
	l.start(s)
	last, from, to := l.GP64(), l.GP64(), l.GP64()
	turns, part, few, all, end := l.mach.label("turns"), l.mach.label("part"), l.mach.label("few"), l.mach.label("all"), l.mach.label("end")
	l.CMPQ(l.n, Imm(lanes.Turn))
	l.JLT(LabelRef(few))
	l.LEAQ(Mem{Base: l.n, Disp: -lanes.Turn}, last)
	l.Label(turns)
	l.turn(bits, body)
	l.finish(nil, nil)
	l.ADDQ(Imm(lanes.Turn), l.at)
	l.CMPQ(l.at, last)
	l.JLE(LabelRef(turns))
	l.CMPQ(l.at, l.n)
	l.JEQ(LabelRef(end))
	l.MOVQ(l.at, from)
	l.SUBQ(last, from)
	l.MOVQ(last, l.at)
	l.MOVQ(U32(lanes.Turn), to)
	l.Label(part)
	l.turn(bits, body)
	l.finish(from, to)
	l.JMP(LabelRef(all))

	l.Label(few)
	l.TESTQ(l.n, l.n)
	l.JEQ(LabelRef(end))
	slots := make([]Mem, len(s))
	for i, s := range s {
		a := l.slices[s.ID]
		slots[i] = l.AllocLocal(lanes.Turn * a.size)
		if a.loaded {
			l.copyIn(a, slots[i])
		}
		l.LEAQ(slots[i], a.base)
	}
	l.XORL(from.As32(), from.As32())
	l.MOVQ(l.n, to)
	l.JMP(LabelRef(part))

	l.Label(all)
	l.Context.Load(l.Param(l.slices[s[0].ID].name).Len(), l.n)
	l.CMPQ(l.n, Imm(lanes.Turn))
	l.JGE(LabelRef(end))
	for i, s := range s {
		if a := l.slices[s.ID]; a.saved {
			l.copyOut(a, slots[i])
		}
	}
	l.Label(end)
}

// copyIn copies the elements of a slice, fewer than a turn, to a slot, and the first one to the rest of it.
func (l *laner) copyIn(a *slice, slot Mem) {
	i, from, zero := l.GP64(), l.GP64(), l.GP64()
	loop := l.mach.label("in")
	l.XORL(i.As32(), i.As32())
	l.XORL(zero.As32(), zero.As32())
	l.Label(loop)
	l.MOVQ(i, from)
	l.CMPQ(i, l.n)
	l.CMOVQGE(zero, from)
	l.move(a.size, Mem{Base: a.base, Index: from, Scale: uint8(a.size)}, slot.Idx(i, uint8(a.size)))
	l.INCQ(i)
	l.CMPQ(i, Imm(lanes.Turn))
	l.JLT(LabelRef(loop))
}

// copyOut copies them to the slice.
func (l *laner) copyOut(a *slice, slot Mem) {
	i, to := l.GP64(), l.Context.Load(l.Param(a.name).Base(), l.GP64())
	loop := l.mach.label("out")
	l.XORL(i.As32(), i.As32())
	l.Label(loop)
	l.move(a.size, slot.Idx(i, uint8(a.size)), Mem{Base: to, Index: i, Scale: uint8(a.size)})
	l.INCQ(i)
	l.CMPQ(i, l.n)
	l.JLT(LabelRef(loop))
}

func (l *laner) move(size int, from, to Mem) {
	t := l.GP64()
	l.get(8*size, from, t)
	l.put(8*size, t, to)
}

func (l *laner) get(bits int, from Mem, to reg.GPVirtual) {
	switch bits {
	case 16:
		l.MOVWLZX(from, to.As32())
	case 32:
		l.MOVL(from, to.As32())
	case 64:
		l.MOVQ(from, to)
	}
}

func (l *laner) put(bits int, from reg.GPVirtual, to Mem) {
	switch bits {
	case 16:
		l.MOVW(from.As16(), to)
	case 32:
		l.MOVL(from.As32(), to)
	case 64:
		l.MOVQ(from, to)
	}
}

// Once takes a register at a time, and does the rest with a mask.
func (l *laner) Once(bits int, body func(j int), s ...lanes.S) {
	l.start(s)
	step := l.lanes(bits)
	turns, check, end := l.mach.label("turns"), l.mach.label("check"), l.mach.label("end")
	l.SUBQ(Imm(uint64(step)), l.n) // where the last whole register begins
	l.JMP(LabelRef(check))
	l.Label(turns)
	body(0)
	l.ADDQ(Imm(uint64(step)), l.at)
	l.Label(check)
	l.CMPQ(l.at, l.n)
	l.JLE(LabelRef(turns))
	l.ADDQ(Imm(uint64(step)), l.n)
	l.SUBQ(l.at, l.n)
	l.JEQ(LabelRef(end))
	left := l.New(bits)
	l.VMOVD(l.n.As32(), l.x(left))
	l.VPBROADCASTD(l.x(left), l.r(left))
	l.live, l.partial = l.mask(bits), true
	sized(left, nil, l.VPCMPGTD, nil)(l.mach.iota(bits/8), l.r(left), l.masks[l.live.ID])
	body(0)
	l.partial = false
	l.Label(end)
}

func (l *laner) Whole(bits int, body func(j int), s ...lanes.S) {
	l.start(s)
	turns, check := l.mach.label("turns"), l.mach.label("check")
	l.JMP(LabelRef(check))
	l.Label(turns)
	l.turn(bits, body)
	l.finish(nil, nil)
	l.ADDQ(Imm(lanes.Turn), l.at)
	l.Label(check)
	l.CMPQ(l.at, l.n)
	l.JLT(LabelRef(turns))
	l.at = nil
}

func (l *laner) Padded(bits int, body func(j int), s ...lanes.S) {
	l.start(s)
	turns, check, last, end := l.mach.label("turns"), l.mach.label("check"), l.mach.label("last"), l.mach.label("end")
	from, to := l.GP64(), l.GP64()
	l.JMP(LabelRef(check))
	l.Label(turns)
	l.turn(bits, body)
	l.MOVQ(l.n, to)
	l.SUBQ(l.at, to)
	l.CMPQ(to, Imm(lanes.Turn))
	l.JLT(LabelRef(last))
	l.finish(nil, nil)
	l.ADDQ(Imm(lanes.Turn), l.at)
	l.Label(check)
	l.CMPQ(l.at, l.n)
	l.JLT(LabelRef(turns))
	l.JMP(LabelRef(end))
	l.Label(last)
	l.XORL(from.As32(), from.As32())
	l.finish(from, to)
	l.Label(end)
	l.at = nil
}

// Pairwise keeps as many turns in registers as there is room for, and takes those behind them one after the other.
func (l *laner) Pairwise(bits int, body func(a, b []lanes.V), n lanes.S, read, sums []lanes.S) {
	most := 4
	if l.isa == AVX2 {
		most = 2
	}
	first := l.slices[read[0].ID]
	stride := first.size * lanes.Turn
	for j := range lanes.Turn / l.lanes(bits) {
		row, other, last, end := l.GP64(), l.GP64(), l.GP64(), l.length(n)
		l.IMUL3Q(U8(first.size), end, end)
		l.ADDQ(first.base, end)
		l.MOVQ(first.base, row)
		load := func(p reg.GPVirtual, turn int) (v []lanes.V) {
			for _, s := range slices.Concat(read, sums) {
				x := l.New(bits)
				l.load(Mem{Base: p, Disp: turn*stride + l.slices[s.ID].disp + j*l.bytes(bits)}, x)
				v = append(v, x)
			}
			return v
		}
		store := func(p reg.GPVirtual, turn int, v []lanes.V) {
			for i, s := range sums {
				l.store(v[len(read)+i], Mem{Base: p, Disp: turn*stride + l.slices[s.ID].disp + j*l.bytes(bits)})
			}
		}
		for _, block := range []int{most, 1} {
			rows, rowsCheck, others, othersCheck := l.mach.label("rows"), l.mach.label("rowsCheck"), l.mach.label("others"),
				l.mach.label("othersCheck")
			l.LEAQ(Mem{Base: end, Disp: -block * stride}, last)
			l.JMP(LabelRef(rowsCheck))
			l.Label(rows)
			a := make([][]lanes.V, block)
			for i := range a {
				a[i] = load(row, i)
			}
			for i := range a {
				for k := range i {
					body(a[k], a[i])
				}
			}
			l.LEAQ(Mem{Base: row, Disp: block * stride}, other)
			l.JMP(LabelRef(othersCheck))
			l.Label(others)
			b := load(other, 0)
			for i := range a {
				body(a[i], b)
			}
			store(other, 0, b)
			l.ADDQ(U32(stride), other)
			l.Label(othersCheck)
			l.CMPQ(other, end)
			l.JB(LabelRef(others))
			for i := range a {
				store(row, i, a[i])
			}
			l.ADDQ(U32(block*stride), row)
			l.Label(rowsCheck)
			l.CMPQ(row, last)
			l.JBE(LabelRef(rows))
		}
	}
}

func (l *laner) Until(result string, bits int, body func(j int) lanes.M, s ...lanes.S) {
	l.start(s)
	turns, check, found := l.mach.label("turns"), l.mach.label("check"), l.mach.label("found")
	l.JMP(LabelRef(check))
	l.Label(turns)
	var any lanes.M
	for j := range lanes.Turn / l.lanes(bits) {
		m := body(j)
		switch a, b := l.masks[any.ID], l.masks[m.ID]; {
		case j == 0:
			any = m
		case l.isa == AVX2:
			l.VPOR(b, a, a)
		default:
			l.KORW(b, a, a)
		}
	}
	l.test(any)
	l.JNE(LabelRef(found))
	l.ADDQ(Imm(lanes.Turn), l.at)
	l.Label(check)
	l.CMPQ(l.at, l.n)
	l.JLT(LabelRef(turns))
	l.Label(found)
	l.Context.Store(l.at, l.Return(result))
}

// Scalars.

func (l *laner) scalar(r reg.GPVirtual) lanes.R {
	l.scalars = append(l.scalars, r)
	return lanes.R(len(l.scalars) - 1)
}

// memory returns the lanes that the body asks for in this call.
func (l *laner) memory(bits int) lanes.L {
	if l.register == 0 {
		l.bits = append(l.bits, bits)
	}
	l.calls++
	return lanes.L(l.calls - 1)
}

// lanesOf returns where they are.
func (l *laner) lanesOf(x lanes.L) Mem {
	for len(l.room) <= int(x) {
		l.room = append(l.room, Mem{})
	}
	if l.room[x].Base == nil {
		l.room[x] = l.AllocLocal(lanes.Turn * l.bits[x] / 8)
	}
	return l.room[x]
}

func (l *laner) Spill(v ...lanes.V) lanes.L {
	to := l.memory(v[0].Bits)
	for i, x := range v {
		l.store(x, l.lanesOf(to).Offset((l.register*len(v)+i)*l.bytes(x.Bits)))
	}
	return to
}

func (l *laner) LanesUnlessAlike(alike func(x lanes.R), f func(x []lanes.R) lanes.R, x lanes.L) lanes.L {
	to := l.Lanes(f, x)
	if l.register == 0 {
		l.later[len(l.later)-1].alike = func(each string) {
			l.unlessAlike(x, each)
			first := l.GP64()
			l.get(32, l.lanesOf(x), first)
			alike(l.scalar(first))
		}
	}
	return to
}

func (l *laner) Lanes(f func(x []lanes.R) lanes.R, x ...lanes.L) lanes.L {
	to := l.memory(32)
	if l.register > 0 {
		return to
	}
	l.later = append(l.later, stage{lane: func() {
		var in []lanes.R
		for _, x := range x {
			r := l.GP64()
			l.get(l.bits[x], l.laneAt(l.lanesOf(x), l.bits[x]/8), r)
			in = append(in, l.scalar(r))
		}
		if y := f(in); y != lanes.None {
			l.put(32, l.scalars[y], l.laneAt(l.lanesOf(to), 4))
		}
	}})
	return to
}

// unlessAlike goes to each where lanes of 32 bits are not all the same. Mostly the first one and the last one differ.
func (l *laner) unlessAlike(x lanes.L, each string) {
	m, first, same := l.lanesOf(x), l.GP32(), l.New(32)
	l.MOVL(m, first)
	l.CMPL(first, m.Offset(4*(lanes.Turn-1)))
	l.JNE(LabelRef(each))
	l.VPBROADCASTD(m, l.r(same))
	var all lanes.M
	for i := range lanes.Turn / l.lanes(32) {
		t := l.New(32)
		l.load(m.Offset(i*l.bytes(32)), t)
		switch m := l.Equal(same, t); {
		case i == 0:
			all = m
		case l.isa == AVX2:
			l.VPAND(l.masks[m.ID], l.masks[all.ID], l.masks[all.ID])
		default:
			l.KANDW(l.masks[m.ID], l.masks[all.ID], l.masks[all.ID])
		}
	}
	var mask reg.GPVirtual
	if l.isa == AVX2 {
		mask = l.bits8(l.masks[all.ID])
	} else {
		mask = l.bits16(l.masks[all.ID])
	}
	l.CMPL(mask.As32(), U32(1<<l.lanes(32)-1))
	l.JNE(LabelRef(each))
}

func (l *laner) PutSteps(s lanes.S, x lanes.R) {
	l.slices[s.ID].saved = true
	first, t := l.New(32), l.New(32)
	l.VMOVD(l.scalars[x].As32(), l.x(first))
	l.VPBROADCASTD(l.x(first), l.r(first))
	for i := range lanes.Turn / l.lanes(32) {
		l.VPADDD(l.mach.iota(4).Offset(i*l.bytes(32)), l.r(first), l.r(t))
		l.store(t, l.mem(s, i, t))
	}
}

// laneAt returns where the lane is among those that begin at m.
func (l *laner) laneAt(m Mem, size int) Mem {
	if l.offset != nil {
		return m.Idx(l.offset, uint8(size))
	}
	return m.Offset(l.lane * size)
}

func (l *laner) Own(s lanes.S) lanes.R {
	a, r := l.slices[s.ID], l.GP64()
	a.loaded = true
	l.get(s.Bits, l.own(a), r)
	return l.scalar(r)
}

// own is the lane's element of a slice.
func (l *laner) own(a *slice) Mem {
	m := Mem{Base: a.base, Index: l.at, Scale: uint8(a.size), Disp: l.lane * a.size}
	if l.offset != nil {
		i := l.GP64()
		l.LEAQ(Mem{Base: l.at, Index: l.offset, Scale: 1}, i)
		m.Index = i
	}
	return m
}

func (l *laner) PutOwn(s lanes.S, x lanes.R) {
	a := l.slices[s.ID]
	a.saved = true
	l.put(s.Bits, l.scalars[x], l.own(a))
}

func (l *laner) Index(arg string) lanes.R {
	r := l.GP64()
	m := Mem{Base: l.at, Disp: l.lane}
	if l.offset != nil {
		m.Index, m.Scale = l.offset, 1
	}
	l.LEAL(m, r.As32())
	l.ADDL(l.param(arg), r.As32())
	return l.scalar(r)
}

func (l *laner) Last(s lanes.S) lanes.R {
	n := l.length(s)
	l.DECQ(n)
	return l.scalar(n)
}

func (l *laner) AtMost(x, limit lanes.R) {
	l.CMPL(l.scalars[x].As32(), l.scalars[limit].As32())
	l.CMOVLHI(l.scalars[limit].As32(), l.scalars[x].As32())
}

func (l *laner) element(s lanes.S, i lanes.R) Mem {
	return Mem{Base: l.slices[s.ID].base, Index: l.scalars[i], Scale: uint8(s.Bits / 8)}
}

func (l *laner) Get(s lanes.S, i lanes.R) lanes.R {
	r := l.GP64()
	l.get(s.Bits, l.element(s, i), r)
	return l.scalar(r)
}

func (l *laner) Put(s lanes.S, i, x lanes.R) { l.put(s.Bits, l.scalars[x], l.element(s, i)) }

func (l *laner) AddTo(s lanes.S, i, x lanes.R) {
	switch s.Bits {
	case 32:
		l.ADDL(l.scalars[x].As32(), l.element(s, i))
	case 64:
		l.ADDQ(l.scalars[x], l.element(s, i))
	}
}

func (l *laner) Increment1(s lanes.S, i lanes.R) {
	m := l.element(s, i)
	switch s.Bits {
	case 16:
		l.INCW(m)
	case 32:
		l.INCL(m)
	}
}

func (l *laner) Advance(s lanes.S, i lanes.R, n int) lanes.R {
	r, next := l.GP64(), l.GP64()
	m := l.element(s, i)
	l.get(s.Bits, m, r)
	l.LEAL(Mem{Base: r, Disp: n}, next.As32())
	l.put(s.Bits, next, m)
	return l.scalar(r)
}

func (l *laner) Fetch(s lanes.S, i lanes.R) { l.PREFETCHT0(l.element(s, i)) }

// ahead is how far ahead of a loop memory is fetched, in bytes.
const ahead = 2048

func (l *laner) Ahead(s lanes.S, i int) {
	if at := i * l.bytes(s.Bits); at%64 == 0 {
		a := l.slices[s.ID]
		l.PREFETCHT0(Mem{Base: a.base, Index: l.at, Scale: uint8(a.size), Disp: at + ahead})
	}
}
