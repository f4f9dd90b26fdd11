package emit

import (
	"fmt"
	"math/bits"
)

// A register is one of a file, virtual until the function is printed. The zero value is no register.
type register int

// A GP is a general register of 64 bits, R0, R1, …
type GP struct{ r register }

// ZR is the zero register.
var ZR = GP{zero}

const zero register = -1

// A Vec is a vector register of 128 bits, V0, V1, …; as a scalar Go calls it F0, F1, …
type Vec struct{ r register }

// An Arrangement says how many lanes of which size an instruction sees in a register.
type Arrangement uint8

const (
	B16 Arrangement = iota
	B8
	H8
	H4
	S4
	S2
	D2
)

var arrangements = [...]struct{ plan9, arm string }{
	B16: {"B16", "16b"}, B8: {"B8", "8b"}, H8: {"H8", "8h"}, H4: {"H4", "4h"}, S4: {"S4", "4s"}, S2: {"S2", "2s"}, D2: {"D2", "2d"},
}

func (a Arrangement) String() string { return arrangements[a].plan9 }

// An Arranged is a vector register and the lanes that an instruction sees in it.
type Arranged struct {
	Vec
	Arrangement
}

func (v Vec) B16() Arranged { return Arranged{v, B16} }
func (v Vec) B8() Arranged  { return Arranged{v, B8} }
func (v Vec) S4() Arranged  { return Arranged{v, S4} }
func (v Vec) S2() Arranged  { return Arranged{v, S2} }
func (v Vec) D2() Arranged  { return Arranged{v, D2} }
func (v Vec) H8() Arranged  { return Arranged{v, H8} }
func (v Vec) H4() Arranged  { return Arranged{v, H4} }

// As returns v in any arrangement.
func (v Vec) As(a Arrangement) Arranged { return Arranged{v, a} }

// A list is a register where Go's assembler takes several.
type list struct{ Arranged }

// An Element is one lane of a vector register.
type Element struct {
	Vec
	size  byte // 'H', 'S' or 'D'
	index int
}

func (v Vec) H(i int) Element { return Element{v, 'H', i} }
func (v Vec) S(i int) Element { return Element{v, 'S', i} }
func (v Vec) D(i int) Element { return Element{v, 'D', i} }

// A Scalar is lane 0 of a vector register, or all of it, where Go calls it F.
type Scalar struct{ Vec }

// F returns v as the FMOV instructions name it.
func (v Vec) F() Scalar { return Scalar{v} }

// A Pair is the two registers of FLDPQ and FSTPQ.
type Pair struct{ a, b Vec }

// Mem is memory at a register and an offset, or one that counts elements, whose size is a power of two.
type Mem struct {
	Base     GP
	Disp     int
	index    GP
	shift    int
	constant *constant // then the offset is the constant's
}

// At returns the memory at r.
func At(r GP, disp int) Mem { return Mem{Base: r, Disp: disp} }

// Indexed returns the memory of element i, of so many bytes each, from r on.
func Indexed(r, i GP, size int) Mem {
	return Mem{Base: r, index: i, shift: bits.TrailingZeros(uint(size))}
}

// A Shifted is a register, shifted left, or to the right by minus By.
type Shifted struct {
	GP
	By int
}

// A Byte is the lowest byte of a register.
type Byte struct{ GP }

// An Imm is a constant.
type Imm int64

// A Label is a place in a function.
type Label string

// A Symbol is a name with an offset: an argument, a result, a local or a global.
type Symbol string

// An Operand prints itself, as Go and as ARM spell it, once every register has its number.
type Operand interface {
	plan9(number numbering) string
	arm(number numbering) string
}

type numbering func(register) int

func (g GP) plan9(n numbering) string {
	if g == ZR {
		return "ZR"
	}
	return fmt.Sprintf("R%d", n(g.r))
}

func (m Mem) plan9(n numbering) string {
	if m.constant != nil {
		m.Disp = m.constant.offset
	}
	if m.index != (GP{}) {
		return fmt.Sprintf("(%s)(%s<<%d)", m.Base.plan9(n), m.index.plan9(n), m.shift)
	}
	if m.Disp == 0 {
		return "(" + m.Base.plan9(n) + ")"
	}
	return fmt.Sprintf("%d(%s)", m.Disp, m.Base.plan9(n))
}

func (s Shifted) plan9(n numbering) string {
	if s.By < 0 {
		return fmt.Sprintf("%s>>%d", s.GP.plan9(n), -s.By)
	}
	return fmt.Sprintf("%s<<%d", s.GP.plan9(n), s.By)
}
func (b Byte) plan9(n numbering) string     { return b.GP.plan9(n) + ".UXTB" }
func (v Vec) plan9(n numbering) string      { return fmt.Sprintf("V%d", n(v.r)) }
func (v Scalar) plan9(n numbering) string   { return fmt.Sprintf("F%d", n(v.r)) }
func (v Arranged) plan9(n numbering) string { return fmt.Sprintf("V%d.%v", n(v.r), v.Arrangement) }
func (l list) plan9(n numbering) string     { return "[" + l.Arranged.plan9(n) + "]" }
func (e Element) plan9(n numbering) string  { return fmt.Sprintf("V%d.%c[%d]", n(e.r), e.size, e.index) }
func (p Pair) plan9(n numbering) string     { return fmt.Sprintf("(F%d, F%d)", n(p.a.r), n(p.b.r)) }
func (i Imm) plan9(numbering) string        { return fmt.Sprintf("$%d", int64(i)) }
func (l Label) plan9(numbering) string      { return string(l) }
func (s Symbol) plan9(numbering) string     { return string(s) }

// Only what a WORD can hold has a spelling in ARM's syntax.
func (v Arranged) arm(n numbering) string {
	return fmt.Sprintf("v%d.%s", n(v.r), arrangements[v.Arrangement].arm)
}

func (e Element) arm(n numbering) string {
	return fmt.Sprintf("v%d.%c[%d]", n(e.r), e.size|0x20, e.index)
}

func (i Imm) arm(numbering) string    { return fmt.Sprintf("#%d", int64(i)) }
func (g GP) arm(numbering) string     { panic("no WORD") }
func (m Mem) arm(numbering) string    { panic("no WORD") }
func (v Vec) arm(numbering) string    { panic("no WORD") }
func (v Scalar) arm(numbering) string { panic("no WORD") }
func (p Pair) arm(numbering) string   { panic("no WORD") }
func (l Label) arm(numbering) string  { panic("no WORD") }
func (s Symbol) arm(numbering) string { panic("no WORD") }
