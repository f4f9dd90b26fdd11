package amd64

import (
	"fmt"
	"slices"

	"github.com/lanewise/lanewise/asm/machine"
	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A walk says where the buffers of a loop are, and how many elements of them it has.
type walk struct {
	pointer func(name string) reg.GPVirtual // in a fresh register
	length  func() reg.GPVirtual            // likewise
}

// slices is the walk over whole arguments.
func (m mach) slices(bufs []machine.Buf) walk {
	if m.row != nil {
		return *m.row
	}
	n := m.Param(bufs[0].Name).Len()
	return walk{m.base, func() reg.GPVirtual { return m.Load(n, m.GP64()).(reg.GPVirtual) }}
}

// base returns where a slice begins.
func (m mach) base(name string) reg.GPVirtual {
	return m.Load(m.Param(name).Base(), m.GP64()).(reg.GPVirtual)
}

// A mask says which lanes of a partial register count. The zero mask is all of them.
type mask struct {
	k    Op            // an opmask, or a vector of all-ones and zeros
	half Op            // AVX2 and float64: the same for a register of int32
	left reg.GPVirtual // AVX2: how many elements there are
	from int           // from this one on, counted in elements
}

// on returns the mask for a buffer: scratch memory has room for all lanes.
func (k mask) on(b machine.Buf) mask {
	if scratch(b.Name) {
		return mask{}
	}
	return k
}

// elemSize returns the bytes of an element of a buffer.
func (m mach) elemSize(b machine.Buf) int {
	switch {
	case b.Half != 0:
		return 2
	case m.ints[b.Name]:
		return 4
	}
	return m.size()
}

// step is how far a register takes a buffer on, in bytes.
func (m mach) step(b machine.Buf) int { return m.lanes() * m.elemSize(b) }

// load reads a register from a buffer.
func (m mach) load(d V, mem Mem, k mask, b machine.Buf) {
	switch {
	case b.Half != 0:
		m.loadHalves(d, mem, k, b.Half)
	case m.ints[b.Name]:
		m.loadInts(d, mem, k)
	case k.k == nil:
		m.ps(m.VMOVUPS, m.VMOVUPD)(mem, m.r(d))
	case m.zmm() && m.bits(b.Fill) == 0:
		if m.typ == machine.F32 {
			m.VMOVUPS_Z(mem, k.k, m.r(d))
		} else {
			m.VMOVUPD_Z(mem, k.k, m.r(d))
		}
	case m.zmm():
		m.fill(d, b.Fill)
		m.ps(m.VMOVUPS, m.VMOVUPD)(mem, k.k, m.r(d))
	default:
		m.maskmov(mem, k.k, m.r(d))
		if m.bits(b.Fill) != 0 {
			t := m.New()
			m.VPANDN(m.splat(m.bits(b.Fill), m.size()), k.k, m.r(t))
			m.VPOR(m.r(t), m.r(d), m.r(d))
		}
	}
}

func (m mach) maskmov(src, k, dst Op) {
	if m.typ == machine.F32 {
		m.VMASKMOVPS(src, k, dst)
	} else {
		m.VMASKMOVPD(src, k, dst)
	}
}

// loadInts reads int32, as wide as the elements.
func (m mach) loadInts(d V, mem Mem, k mask) {
	f64 := m.typ == machine.F64
	switch {
	case k.k == nil && f64:
		m.VPMOVSXDQ(mem, m.r(d))
	case k.k == nil:
		m.VMOVUPS(mem, m.r(d))
	case m.zmm() && f64:
		m.VPMOVSXDQ_Z(mem, k.k, m.r(d))
	case m.zmm():
		m.VMOVDQU32_Z(mem, k.k, m.r(d))
	case f64:
		m.VPMASKMOVD(mem, k.half, m.x(d))
		m.VPMOVSXDQ(m.x(d), m.r(d))
	default:
		m.VPMASKMOVD(mem, k.k, m.r(d))
	}
}

// store writes a register to a buffer.
func (m mach) store(v V, mem Mem, k mask, b machine.Buf) {
	switch {
	case b.Half != 0:
		m.storeHalves(v, mem, k, b.Half)
	case m.ints[b.Name]:
		m.storeInts(v, mem, k)
	case k.k == nil:
		m.ps(m.VMOVUPS, m.VMOVUPD)(m.r(v), mem)
	case m.zmm():
		m.ps(m.VMOVUPS, m.VMOVUPD)(m.r(v), k.k, mem)
	default:
		m.maskmov(m.r(v), k.k, mem)
	}
}

// storeInts writes integers as wide as the elements as int32.
func (m mach) storeInts(v V, mem Mem, k mask) {
	f64 := m.typ == machine.F64
	switch {
	case m.zmm() && f64 && k.k == nil:
		m.VPMOVQD(m.r(v), mem)
	case m.zmm() && f64:
		m.VPMOVQD(m.r(v), k.k, mem)
	case m.zmm() && k.k != nil:
		m.VMOVDQU32(m.r(v), k.k, mem)
	case f64:
		t := m.New()
		m.VEXTRACTF128(U8(1), m.r(v), m.x(t))
		m.VSHUFPS(U8(0x88), m.x(t), m.x(v), m.x(t))
		if k.k == nil {
			m.VMOVUPS(m.x(t), mem)
		} else {
			m.VPMASKMOVD(m.x(t), k.half, mem)
		}
	case k.k == nil:
		m.VMOVUPS(m.r(v), mem)
	default:
		m.VPMASKMOVD(m.r(v), k.k, mem)
	}
}

// masks returns the masks of the registers of a block of which n elements count, in their order.
func (m mach) masks(n reg.GPVirtual, ints bool) func(j int) mask {
	if m.zmm() {
		m.MOVQ(n, reg.RCX)
		bits := m.GP64()
		m.MOVQ(I32(-1), bits)
		m.SHLQ(reg.CL, bits)
		m.NOTQ(bits)
		all := m.K()
		m.KMOVQ(bits, all)
		return func(j int) mask {
			if j == 0 {
				return mask{k: all}
			}
			m.KSHIFTRQ(U8(m.lanes()), all, all)
			return mask{k: all}
		}
	}
	count := m.Vec(m.isa.spec)
	m.VMOVQ(n, count.AsX())
	m.ps(m.VPBROADCASTD, m.VPBROADCASTQ)(count.AsX(), count)
	half := m.XMM()
	if ints && m.typ == machine.F64 {
		m.VPSHUFD(U8(0), count.AsX(), half)
	}
	return func(j int) mask {
		k := mask{k: m.Vec(m.isa.spec), left: n, from: j * m.lanes()}
		m.ps(m.VPCMPGTD, m.VPCMPGTQ)(m.iota(m.size()).Offset(j*m.isa.bytes), count, k.k)
		if ints && m.typ == machine.F64 {
			k.half = m.XMM()
			m.VPCMPGTD(m.iota(4).Offset(j*16), half, k.half)
		}
		return k
	}
}

func (m mach) hasInts(bufs []machine.Buf) bool {
	for _, b := range bufs {
		if m.ints[b.Name] {
			return true
		}
	}
	return false
}

// one runs body on a register of each buffer.
func (m mach) one(bufs []machine.Buf, mems []Mem, k mask, body func(x []V) V) {
	var x []V
	for i, b := range bufs {
		if b.Ahead && k.k == nil && mems[i].Disp%64 == 0 {
			m.PREFETCHT0(mems[i])
		}
		if b.IsOperand() && k.on(b).k == nil {
			x = append(x, m.value(mems[i]))
		} else if b.Read {
			v := m.New()
			m.load(v, mems[i], k.on(b), b)
			x = append(x, v)
		}
	}
	y := body(x)
	for i, b := range bufs {
		if b.Write {
			m.store(y, mems[i], k.on(b), b)
		}
	}
}

func (m mach) Each(body func(j int, x []V) V, bufs ...machine.Buf) {
	w := m.slices(bufs)
	m.walked = w
	n := w.length()
	p := make([]reg.GPVirtual, len(bufs))
	for i, b := range bufs {
		p[i] = w.pointer(b.Name)
	}
	m.each(n, p, body, bufs)
}

// short is up to how many instructions for a register their masks cost more than a second copy of them is worth.
const short = 12

// setsFlags are the vector instructions that do.
var setsFlags = []string{"VPTEST", "VTESTPS", "VTESTPD", "VCOMISS", "VCOMISD", "VUCOMISS", "VUCOMISD"}

// split runs body over the last block, of n elements: only the last register is masked. body is vector instructions that leave
// the flags alone.
func (m mach) split(n reg.GPVirtual, bufs []machine.Buf, at func(j int) []Mem, body func(j int, x []V) V, done string) {
	part := make([]string, m.regs())
	for j := range part {
		part[j] = m.label("part")
		if j < len(part)-1 { // a whole block is none of these
			m.SUBQ(I8(m.lanes()), n)
			m.JB(LabelRef(part[j]))
			before := len(m.fn.Nodes)
			m.one(bufs, at(j), mask{}, func(x []V) V { return body(j, x) })
			for _, n := range m.fn.Nodes[before:] {
				if i, ok := n.(*ir.Instruction); ok && (i.Opcode[0] != 'V' || slices.Contains(setsFlags, i.Opcode)) {
					panic(fmt.Sprintf("%s: %s may change the flags", m.fn.Name, i.Opcode))
				}
			}
			m.JE(LabelRef(done))
		}
	}
	for j, label := range slices.Backward(part) {
		m.Label(label)
		m.ANDQ(I8(m.lanes()-1), n)
		m.one(bufs, at(j), m.masks(n, m.hasInts(bufs))(0), func(x []V) V { return body(j, x) })
		if j > 0 {
			m.JMP(LabelRef(done))
		}
	}
}

// Map takes what is left after the blocks a register at a time, the last one in part.
func (m mach) Map(body func(x []V) V, bufs ...machine.Buf) {
	w := m.slices(bufs)
	n, p := w.length(), make([]reg.GPVirtual, len(bufs))
	for i, b := range bufs {
		p[i] = w.pointer(b.Name)
	}
	loop, tail, one, part, done := m.label("blocks"), m.label("tail"), m.label("one"), m.label("part"), m.label("end")
	m.Commentf("blocks of registers: %v", bufs)
	mems := make([]Mem, len(bufs))
	regs := m.regs()
	m.CMPQ(n, U32(regs*m.lanes()))
	m.JB(LabelRef(tail))
	m.Label(loop)
	for before, j := len(m.fn.Nodes), 0; j < regs; j++ {
		for i, b := range bufs {
			mems[i] = Mem{Base: p[i], Disp: j * m.step(b)}
		}
		m.one(bufs, mems, mask{}, body)
		if j == 0 && len(m.fn.Nodes)-before > short {
			regs = min(regs, 4)
		}
	}
	for i, b := range bufs {
		m.ADDQ(I32(regs*m.step(b)), p[i])
	}
	m.SUBQ(I32(regs*m.lanes()), n)
	m.CMPQ(n, U32(regs*m.lanes()))
	m.JAE(LabelRef(loop))
	m.Comment("the last ones, register by register")
	m.Label(tail)
	end := m.GP64() // of the register, counted in elements
	m.MOVQ(U32(m.lanes()), end)
	for i, b := range bufs {
		mems[i] = Mem{Base: p[i], Index: end, Scale: uint8(m.elemSize(b)), Disp: -m.step(b)}
	}
	m.CMPQ(n, end)
	m.JB(LabelRef(part))
	m.Label(one)
	m.one(bufs, mems, mask{}, body)
	m.ADDQ(I8(m.lanes()), end)
	m.CMPQ(end, n)
	m.JBE(LabelRef(one))
	m.Label(part)
	m.ANDQ(I8(m.lanes()-1), n)
	m.JE(LabelRef(done))
	m.one(bufs, mems, m.masks(n, m.hasInts(bufs))(0), body)
	m.Label(done)
}

// each is Each for n elements at pointers p; it changes them.
func (m mach) each(n reg.GPVirtual, p []reg.GPVirtual, body func(j int, x []V) V, bufs []machine.Buf) {
	mems := make([]Mem, len(bufs))
	at := func(disp int) []Mem {
		for i, b := range bufs {
			mems[i] = Mem{Base: p[i], Disp: disp * m.step(b)}
		}
		return mems
	}
	block := m.typ.Lanes()
	loop, tail, done := m.label("blocks"), m.label("tail"), m.label("end")
	m.Commentf("blocks of %d: %v", block, bufs)
	m.SUBQ(I32(block), n)
	m.JB(LabelRef(tail))
	m.Label(loop)
	before := len(m.fn.Nodes)
	for j := range m.regs() {
		m.one(bufs, at(j), mask{}, func(x []V) V { return body(j, x) })
	}
	length := (len(m.fn.Nodes) - before) / m.regs()
	for i, b := range bufs {
		m.ADDQ(I32(m.regs()*m.step(b)), p[i])
	}
	m.SUBQ(I32(block), n)
	m.JAE(LabelRef(loop))
	m.Comment("the last block, register by register")
	m.Label(tail)
	m.ADDQ(I32(block), n)
	m.JE(LabelRef(done))
	m.partial = true
	if length <= short {
		m.split(n, bufs, at, body, done)
	} else {
		masks := m.masks(n, m.hasInts(bufs))
		for j := range m.regs() {
			if j > 0 {
				m.CMPQ(n, U32(j*m.lanes()))
				m.JBE(LabelRef(done))
			}
			m.one(bufs, at(j), masks(j), func(x []V) V { return body(j, x) })
		}
	}
	m.partial = false
	m.Label(done)
}
