package emit

import "slices"

// The instructions. Operands stand in Go's order, sources first and the destination last: VSUB(m, n, d) is d = n − m.

func registers(ops ...Operand) (all []register) {
	for _, o := range ops {
		switch o := o.(type) {
		case GP:
			all = append(all, o.r)
		case Mem:
			all = append(all, o.Base.r)
			if o.index != (GP{}) {
				all = append(all, o.index.r)
			}
		case Shifted:
			all = append(all, o.r)
		case Byte:
			all = append(all, o.r)
		case Vec:
			all = append(all, o.r)
		case Scalar:
			all = append(all, o.r)
		case Arranged:
			all = append(all, o.r)
		case list:
			all = append(all, o.r)
		case Element:
			all = append(all, o.r)
		case Pair:
			all = append(all, o.a.r, o.b.r)
		}
	}
	return all
}

// op adds an instruction that writes its last operand.
func (f *Func) op(mnemonic string, args ...Operand) *inst {
	last := len(args) - 1
	return f.add(&inst{mnemonic: mnemonic, args: args, in: registers(args[:last]...), out: registers(args[last])})
}

// update adds one that reads its last operand, too; effect one that writes no register.
func (f *Func) update(mnemonic string, args ...Operand) *inst {
	return f.add(&inst{mnemonic: mnemonic, args: args, in: registers(args...), out: registers(args[len(args)-1])})
}

func (f *Func) effect(mnemonic string, args ...Operand) *inst {
	return f.add(&inst{mnemonic: mnemonic, args: args, in: registers(args...)})
}

// Control.

func (f *Func) RET()      { f.add(&inst{mnemonic: "RET", ends: true}) }
func (f *Func) B(l Label) { f.add(&inst{mnemonic: "B", args: []Operand{l}, target: l, ends: true}) }

func (f *Func) branch(mnemonic string, l Label, args ...Operand) {
	f.add(&inst{mnemonic: mnemonic, args: append(args, l), in: registers(args...), target: l})
}

func (f *Func) BEQ(l Label)                      { f.branch("BEQ", l) }
func (f *Func) BNE(l Label)                      { f.branch("BNE", l) }
func (f *Func) BLT(l Label)                      { f.branch("BLT", l) }
func (f *Func) BLE(l Label)                      { f.branch("BLE", l) }
func (f *Func) BGT(l Label)                      { f.branch("BGT", l) }
func (f *Func) BGE(l Label)                      { f.branch("BGE", l) }
func (f *Func) CBZ(r GP, l Label)                { f.branch("CBZ", l, r) }
func (f *Func) CBNZ(r GP, l Label)               { f.branch("CBNZ", l, r) }
func (f *Func) TBZ(bit int, r GP, l Label)       { f.branch("TBZ", l, Imm(bit), r) }
func (f *Func) BVC(l Label)                      { f.branch("BVC", l) } // after FCMP: there was none
func (f *Func) FCMPS(b, a Vec)                   { f.effect("FCMPS", b.F(), a.F()) }
func (f *Func) FCMPD(b, a Vec)                   { f.effect("FCMPD", b.F(), a.F()) }
func (f *Func) CMP(b Operand, a GP)              { f.effect("CMP", b, a) } // then BLT goes where a < b
func (f *Func) CSEL(cond string, yes, no, to GP) { f.op("CSEL", Symbol(cond), yes, no, to) }

// General registers.

// MOVD moves between general registers, or from a constant, an argument, an address or memory to one, or from one to memory.
func (f *Func) MOVD(from, to Operand) { f.mov("MOVD", from, to) }

// MOVW does the same with 32 bits, whose sign it extends.
func (f *Func) MOVW(from, to Operand) { f.mov("MOVW", from, to) }

// MOVWU, MOVHU and MOVBU load 32, 16 and 8 bits.
func (f *Func) MOVWU(from Operand, to GP) { f.op("MOVWU", from, to).pure = true }
func (f *Func) MOVHU(from Operand, to GP) { f.op("MOVHU", from, to).pure = true }
func (f *Func) MOVBU(from Operand, to GP) { f.op("MOVBU", from, to).pure = true }

// MOVH moves 16 bits from or to memory, MOVB 8; loading them extends their sign.
func (f *Func) MOVH(from, to Operand) { f.mov("MOVH", from, to) }
func (f *Func) MOVB(from, to Operand) { f.mov("MOVB", from, to) }

func (f *Func) mov(mnemonic string, from, to Operand) {
	if _, ok := to.(GP); !ok {
		f.effect(mnemonic, from, to)
		return
	}
	_, register := from.(GP)
	f.op(mnemonic, from, to).pure = register || mnemonic == "MOVD"
}

func (f *Func) ADD(b Operand, a, d GP)  { f.op("ADD", b, a, d) }
func (f *Func) SUB(b Operand, a, d GP)  { f.op("SUB", b, a, d) }
func (f *Func) ADDS(b Operand, a, d GP) { f.op("ADDS", b, a, d) } // sets the flags
func (f *Func) SUBS(b Operand, a, d GP) { f.op("SUBS", b, a, d) } // sets the flags
func (f *Func) AND(b Operand, a, d GP)  { f.op("AND", b, a, d) }
func (f *Func) LSL(n Imm, a, d GP)      { f.op("LSL", n, a, d) }
func (f *Func) LSR(n Imm, a, d GP)      { f.op("LSR", n, a, d) }
func (f *Func) MUL(b, a, d GP)          { f.op("MUL", b, a, d) }
func (f *Func) UDIV(b, a, d GP)         { f.op("UDIV", b, a, d) } // a/b

// PRFM fetches a line that will be read.
func (f *Func) PRFM(m Mem) {
	if m.Disp < 0 {
		f.fail("PRFM at a negative offset")
	}
	f.effect("PRFM", m, Symbol("PLDL1KEEP"))
}

// Loads and stores.

// FMOVQ loads or stores 128 bits, FMOVD 64 and FMOVS 32: loading them clears the rest of the register.
func (f *Func) FMOVQ(from, to Operand) { f.fmov("FMOVQ", from, to) }
func (f *Func) FMOVD(from, to Operand) { f.fmov("FMOVD", from, to) }
func (f *Func) FMOVS(from, to Operand) { f.fmov("FMOVS", from, to) }

func (f *Func) fmov(mnemonic string, from, to Operand) {
	if v, ok := from.(Vec); ok {
		f.effect(mnemonic, v.F(), to)
		return
	}
	f.op(mnemonic, from, to.(Vec).F()).pure = true
}

// FLDPQ loads two registers that lie side by side, FSTPQ stores them.
func (f *Func) FLDPQ(m Mem, a, b Vec) { f.op("FLDPQ", m, Pair{a, b}).pure = true }
func (f *Func) FSTPQ(a, b Vec, m Mem) { f.effect("FSTPQ", Pair{a, b}, m) }

// VLD1 loads a lane, VST1 stores it; the memory has no offset.
func (f *Func) VLD1(m Mem, e Element) { f.noOffset(m); f.update("VLD1", m, e) }
func (f *Func) VST1(e Element, m Mem) { f.noOffset(m); f.effect("VST1", e, m) }

func (f *Func) noOffset(m Mem) {
	if m.Disp != 0 {
		f.fail("an offset where the instruction has none")
	}
}

// Vectors, as Go spells them.

func (f *Func) same(mnemonic string, legal []Arrangement, v ...Arranged) {
	for _, a := range v {
		if a.Arrangement != v[0].Arrangement || !slices.Contains(legal, a.Arrangement) {
			f.fail("%s of %v", mnemonic, v)
		}
	}
}

var (
	floats   = []Arrangement{S4, D2}
	integers = []Arrangement{H8, S4, D2}
	short    = []Arrangement{H8, S4}
	bytes    = []Arrangement{B16}
)

func (f *Func) three(mnemonic string, legal []Arrangement, m, n, d Arranged) {
	f.same(mnemonic, legal, m, n, d)
	f.op(mnemonic, m, n, d).pure = true
}

func (f *Func) threeUpdate(mnemonic string, legal []Arrangement, m, n, d Arranged) {
	f.same(mnemonic, legal, m, n, d)
	f.update(mnemonic, m, n, d)
}

func (f *Func) VADD(m, n, d Arranged)      { f.three("VADD", integers, m, n, d) }
func (f *Func) VSUB(m, n, d Arranged)      { f.three("VSUB", integers, m, n, d) }
func (f *Func) VCMEQ(m, n, d Arranged)     { f.three("VCMEQ", floats, m, n, d) }
func (f *Func) VZIP1(m, n, d Arranged)     { f.three("VZIP1", floats, m, n, d) }
func (f *Func) VZIP2(m, n, d Arranged)     { f.three("VZIP2", floats, m, n, d) }
func (f *Func) VUZP1(m, n, d Arranged)     { f.three("VUZP1", floats, m, n, d) }
func (f *Func) VUZP2(m, n, d Arranged)     { f.three("VUZP2", floats, m, n, d) }
func (f *Func) VTRN1(m, n, d Arranged)     { f.three("VTRN1", floats, m, n, d) }
func (f *Func) VTRN2(m, n, d Arranged)     { f.three("VTRN2", floats, m, n, d) }
func (f *Func) VAND(m, n, d Arranged)      { f.three("VAND", bytes, m, n, d) }
func (f *Func) VORR(m, n, d Arranged)      { f.three("VORR", bytes, m, n, d) }
func (f *Func) VEOR(m, n, d Arranged)      { f.three("VEOR", bytes, m, n, d) }
func (f *Func) VFMLA(m, n, d Arranged)     { f.threeUpdate("VFMLA", floats, m, n, d) } // d += n·m, one rounding
func (f *Func) VBIT(m, n, d Arranged)      { f.threeUpdate("VBIT", bytes, m, n, d) }   // d = n where m
func (f *Func) VBIF(m, n, d Arranged)      { f.threeUpdate("VBIF", bytes, m, n, d) }   // d = n where not m
func (f *Func) VMOV(n, d Arranged)         { f.same("VMOV", bytes, n, d); f.op("VMOV", n, d).pure = true }
func (f *Func) VDUP(n Element, d Arranged) { f.op("VDUP", n, d).pure = true }

// VDUPGP sets all lanes to a general register.
func (f *Func) VDUPGP(n GP, d Arranged) { f.op("VDUP", n, d).pure = true }

// VINS sets a lane to another one.
func (f *Func) VINS(n, d Element) { f.update("VMOV", n, d) }

// VMOVGP moves a lane to a general register.
func (f *Func) VMOVGP(n Element, d GP) { f.op("VMOV", n, d).pure = false }

// VADDV adds up all lanes, to lane 0.
func (f *Func) VADDV(n Arranged, d Vec) { f.op("VADDV", n, d).pure = true }

// VTBL moves the bytes of n that those of m count; 0 where they count further.
func (f *Func) VTBL(m, n, d Arranged) {
	f.same("VTBL", bytes, m, n, d)
	f.op("VTBL", m, list{n}, d).pure = true
}

// VMOVI sets all bytes.
func (f *Func) VMOVI(i Imm, d Arranged) { f.same("VMOVI", bytes, d); f.op("VMOVI", i, d).pure = true }

// VEXT takes the bytes from i on of n, then those of m.
func (f *Func) VEXT(i Imm, m, n, d Arranged) {
	f.same("VEXT", bytes, m, n, d)
	f.op("VEXT", i, m, n, d).pure = true
}

func (f *Func) VSHL(i Imm, n, d Arranged)  { f.shift("VSHL", i, n, d) }
func (f *Func) VUSHR(i Imm, n, d Arranged) { f.shift("VUSHR", i, n, d) }

func (f *Func) shift(mnemonic string, i Imm, n, d Arranged) {
	f.same(mnemonic, integers, n, d)
	f.op(mnemonic, i, n, d).pure = true
}

// Vectors that Go's assembler has no name for: these are written as WORDs. Their names are ARM's with Go's V before them.

// wide is the bit of an arrangement of float64 among those of S4 and D2.
const wide = 1 << 22

// word adds a WORD: code, and the numbers of d, n and m where the instruction has them.
func (f *Func) word(mnemonic string, code uint32, args ...Operand) *inst {
	i := f.op(mnemonic, args...)
	i.pure = true
	var fields []register
	for _, a := range slices.Backward(args) {
		fields = append(fields, registers(a)...)
	}
	i.word = func(number numbering) uint32 {
		w := code
		for j, r := range fields {
			w |= uint32(number(r)) << []int{0, 5, 16}[j]
		}
		return w
	}
	return i
}

// VFMLAElement is VFMLA with one lane of m.
func (f *Func) VFMLAElement(m Element, n, d Arranged) {
	f.same("fmla", floats, n, d)
	code := uint32(0x4f801000) | uint32(m.index&1)<<21 | uint32(m.index>>1)<<11
	if m.size == 'D' {
		code = 0x4fc01000 | uint32(m.index)<<11
	}
	if (m.size == 'D') != (d.Arrangement == D2) {
		f.fail("fmla of %v with an element of another size", d.Arrangement)
	}
	i := f.word("fmla", code, m, n, d)
	i.in, i.pure = append(i.in, d.r), false
}

func (f *Func) sized(mnemonic string, code uint32, args ...Arranged) {
	f.same(mnemonic, floats, args...)
	if args[0].Arrangement == D2 {
		code |= wide
	}
	f.word(mnemonic, code, operands(args)...)
}

func operands(args []Arranged) (ops []Operand) {
	for _, a := range args {
		ops = append(ops, a)
	}
	return ops
}

func (f *Func) VFADD(m, n, d Arranged)  { f.sized("fadd", 0x4e20d400, m, n, d) }
func (f *Func) VFSUB(m, n, d Arranged)  { f.sized("fsub", 0x4ea0d400, m, n, d) }
func (f *Func) VFMUL(m, n, d Arranged)  { f.sized("fmul", 0x6e20dc00, m, n, d) }
func (f *Func) VFDIV(m, n, d Arranged)  { f.sized("fdiv", 0x6e20fc00, m, n, d) }
func (f *Func) VFMAX(m, n, d Arranged)  { f.sized("fmax", 0x4e20f400, m, n, d) }  // NaN where one is
func (f *Func) VFMIN(m, n, d Arranged)  { f.sized("fmin", 0x4ea0f400, m, n, d) }  // likewise
func (f *Func) VFADDP(m, n, d Arranged) { f.sized("faddp", 0x6e20d400, m, n, d) } // sums of neighbours, n's before m's
func (f *Func) VFMAXP(m, n, d Arranged) { f.sized("fmaxp", 0x6e20f400, m, n, d) }
func (f *Func) VFCMEQ(m, n, d Arranged) { f.sized("fcmeq", 0x4e20e400, m, n, d) }
func (f *Func) VFCMGE(m, n, d Arranged) { f.sized("fcmge", 0x6e20e400, m, n, d) } // n ≥ m
func (f *Func) VFCMGT(m, n, d Arranged) { f.sized("fcmgt", 0x6ea0e400, m, n, d) } // n > m
func (f *Func) VFABS(n, d Arranged)     { f.sized("fabs", 0x4ea0f800, n, d) }

// VCMLT is all ones where the integers of n are negative.
func (f *Func) VCMLT(n, d Arranged) {
	f.same("cmlt", floats, n, d)
	code := uint32(0x4ea0a800)
	if d.Arrangement == D2 {
		code |= wide
	}
	f.word("cmlt", code, Imm(0), n, d)
}

// VBIC is n where m is not.
func (f *Func) VBIC(m, n, d Arranged) {
	f.same("bic", bytes, m, n, d)
	f.word("bic", 0x4e601c00, m, n, d)
}

// Integers. Those of 16 and 32 bits have their size in the two bits from 22 on, too.
func (f *Func) unsigned(mnemonic string, code uint32, m, n, d Arranged) {
	f.same(mnemonic, short, m, n, d)
	f.word(mnemonic, code|map[Arrangement]uint32{H8: 1 << 22, S4: 2 << 22}[d.Arrangement], m, n, d)
}

// VUMAXP takes the larger one of neighbours, unsigned; VUMINP the smaller one.
func (f *Func) VUMAXP(m, n, d Arranged) { f.unsigned("umaxp", 0x6e20a400, m, n, d) }
func (f *Func) VUMINP(m, n, d Arranged) { f.unsigned("uminp", 0x6e20ac00, m, n, d) }
func (f *Func) VUMAX(m, n, d Arranged)  { f.unsigned("umax", 0x6e206400, m, n, d) }
func (f *Func) VUMIN(m, n, d Arranged)  { f.unsigned("umin", 0x6e206c00, m, n, d) }

// VCMGT is all ones where n > m, with signs.
func (f *Func) VCMGT(m, n, d Arranged) {
	f.same("cmgt", integers, m, n, d)
	f.word("cmgt", 0x4e203400|map[Arrangement]uint32{H8: 1 << 22, S4: 2 << 22, D2: 3 << 22}[d.Arrangement], m, n, d)
}

// VMLS subtracts n·m from d.
func (f *Func) VMLS(m, n, d Arranged) {
	f.same("mls", short, m, n, d)
	i := f.word("mls", 0x6e209400|map[Arrangement]uint32{H8: 1 << 22, S4: 2 << 22}[d.Arrangement], m, n, d)
	i.in, i.pure = append(i.in, d.r), false
}

func (f *Func) VCMHI(m, n, d Arranged) { f.sized("cmhi", 0x6ea03400, m, n, d) } // likewise, unsigned
func (f *Func) VUSHL(m, n, d Arranged) { f.sized("ushl", 0x6ea04400, m, n, d) } // n shifted left by m, or right by −m

// VFCVTL widens the lower half of n to float64, VFCVTL2 the upper one; VFCVTN narrows to the lower half of d, VFCVTN2 to the upper one.
func (f *Func) VFCVTL(n, d Arranged) {
	f.shape("fcvtl", n, S2, d, D2)
	f.word("fcvtl", 0x0e617800, n, d)
}

func (f *Func) VFCVTL2(n, d Arranged) {
	f.shape("fcvtl2", n, S4, d, D2)
	f.word("fcvtl2", 0x4e617800, n, d)
}

func (f *Func) VFCVTN(n, d Arranged) {
	f.shape("fcvtn", n, D2, d, S2)
	f.word("fcvtn", 0x0e616800, n, d)
}

func (f *Func) VFCVTN2(n, d Arranged) {
	f.shape("fcvtn2", n, D2, d, S4)
	i := f.word("fcvtn2", 0x4e616800, n, d)
	i.in, i.pure = append(i.in, d.r), false
}

// VSXTL extends the sign of the lower integers of n, VSXTL2 of the upper ones.
func (f *Func) VSXTL(n, d Arranged) {
	f.shape("sxtl", n, S2, d, D2)
	f.word("sxtl", 0x0f20a400, n, d)
}

func (f *Func) VSXTL2(n, d Arranged) {
	f.shape("sxtl2", n, S4, d, D2)
	f.word("sxtl2", 0x4f20a400, n, d)
}

// VSXTLB and VSXTLH do it with bytes and half words, the lower eight and four; VSXTLH2 with the upper four.
func (f *Func) VSXTLB(n, d Arranged) {
	f.shape("sxtl", n, B8, d, H8)
	f.word("sxtl", 0x0f08a400, n, d)
}

func (f *Func) VSXTLH(n, d Arranged) {
	f.shape("sxtl", n, H4, d, S4)
	f.word("sxtl", 0x0f10a400, n, d)
}

func (f *Func) VSXTLH2(n, d Arranged) {
	f.shape("sxtl2", n, H8, d, S4)
	f.word("sxtl2", 0x4f10a400, n, d)
}

// VCMEQB, VADDB and VSUBB are on bytes; VSUBB(m, n, d) is d = n − m.
func (f *Func) VCMEQB(m, n, d Arranged) { f.three("VCMEQ", bytes, m, n, d) }
func (f *Func) VADDB(m, n, d Arranged)  { f.three("VADD", bytes, m, n, d) }
func (f *Func) VSUBB(m, n, d Arranged)  { f.three("VSUB", bytes, m, n, d) }

// VSCVTF makes floats of integers.
func (f *Func) VSCVTF(n, d Arranged) { f.sized("scvtf", 0x4e21d800, n, d) }

// FCVTZSD makes an integer of float64, towards 0.
func (f *Func) FCVTZSD(n Vec, d GP) { f.op("FCVTZSD", n.F(), d) }

// VXTN narrows integers to the lower half of d.
func (f *Func) VXTN(n, d Arranged) {
	f.shape("xtn", n, D2, d, S2)
	f.word("xtn", 0x0ea12800, n, d)
}

func (f *Func) shape(mnemonic string, n Arranged, from Arrangement, d Arranged, to Arrangement) {
	if n.Arrangement != from || d.Arrangement != to {
		f.fail("%s of %v to %v", mnemonic, n.Arrangement, d.Arrangement)
	}
}

// Halves. VFCVTLH widens the lower four float16 of n to float32, VFCVTLH2 the upper ones; VFCVTNH narrows to the lower half of d, VFCVTNH2
// to the upper one.
func (f *Func) VFCVTLH(n, d Arranged)  { f.halves("fcvtl", 0x0e217800, n, H4, d, S4) }
func (f *Func) VFCVTLH2(n, d Arranged) { f.halves("fcvtl2", 0x4e217800, n, H8, d, S4) }
func (f *Func) VFCVTNH(n, d Arranged)  { f.halves("fcvtn", 0x0e216800, n, S4, d, H4) }
func (f *Func) VFCVTNH2(n, d Arranged) {
	i := f.halves("fcvtn2", 0x4e216800, n, S4, d, H8)
	i.in, i.pure = append(i.in, d.r), false
}

// VUXTL widens the lower four integers of 16 bits, VUXTL2 the upper ones; VXTNH narrows integers of 32 bits to the lower half of d, VXTNH2
// to the upper one.
func (f *Func) VUXTL(n, d Arranged)  { f.halves("uxtl", 0x2f10a400, n, H4, d, S4) }
func (f *Func) VUXTL2(n, d Arranged) { f.halves("uxtl2", 0x6f10a400, n, H8, d, S4) }
func (f *Func) VXTNH(n, d Arranged)  { f.halves("xtn", 0x0e612800, n, S4, d, H4) }
func (f *Func) VXTNH2(n, d Arranged) {
	i := f.halves("xtn2", 0x4e612800, n, S4, d, H8)
	i.in, i.pure = append(i.in, d.r), false
}

func (f *Func) halves(mnemonic string, code uint32, n Arranged, from Arrangement, d Arranged, to Arrangement) *inst {
	f.shape(mnemonic, n, from, d, to)
	return f.word(mnemonic, code, n, d)
}

// Bytes. VSMULL multiplies the lower eight of n and m, VSMULL2 the upper ones; VSADALP adds neighbours of n to d.
func (f *Func) VSMULL(m, n, d Arranged) {
	f.shape("smull", n, B8, d, H8)
	f.word("smull", 0x0e20c000, m, n, d)
}

func (f *Func) VSMULL2(m, n, d Arranged) {
	f.shape("smull2", n, B16, d, H8)
	f.word("smull2", 0x4e20c000, m, n, d)
}

func (f *Func) VSADALP(n, d Arranged) {
	f.shape("sadalp", n, H8, d, S4)
	i := f.word("sadalp", 0x4e606800, n, d)
	i.in, i.pure = append(i.in, d.r), false
}

// VADDP adds neighbours, those of n before those of m.
func (f *Func) VADDP(m, n, d Arranged) { f.three("VADDP", floats, m, n, d) }
