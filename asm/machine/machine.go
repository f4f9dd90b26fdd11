// Package machine is the vocabulary that the kernels are described in. A description calls the methods of a [Machine], which writes the
// code of one instruction set: AVX2 and AVX-512 are in package amd64, NEON in package arm64. There is no optimiser between them, so that
// what is read in a description is what runs.
//
// Operations name their destination first, which may be one of the sources. Every one of them has defined bits, the same on every machine,
// but for the payloads of NaN.
package machine

// A Type is the type of a vector's elements.
type Type uint8

const (
	F32 Type = iota
	F64
)

// Size returns the bytes of an element.
func (t Type) Size() int { return 4 << t }

// Lanes returns the lanes of a sum: 64 for float32, 32 for float64. They fill a block, the registers that one turn of Each takes.
func (t Type) Lanes() int { return BlockBytes / t.Size() }

// BlockBytes is the size of a block: 4 registers of AVX-512, 8 of AVX2 or 16 of NEON.
const BlockBytes = 256

// A V is a vector: a register, or a constant that stands in for one as a source.
type V int

// A Buf is memory that a loop reads or writes: a slice among the function's arguments, by its name, or Scratch.
type Buf struct {
	Name        string
	Read, Write bool
	Fill        float64 // what is read past the end
	Ahead       bool    // only fetched into the caches, for the next block of columns
	Fixed       bool    // one element for each column, whatever the plane
	Half        Half    // of a slice of uint16
	operand     bool
}

// In is a buffer that is read; fill is what stands past its end.
func In(name string, fill float64) Buf { return Buf{Name: name, Read: true, Fill: fill} }

// Operand is In with 0 past the end for a body that uses x only once, as the last source: it may be memory.
func Operand(name string) Buf { return Buf{Name: name, Read: true, operand: true} }

// A Half is a format of 16 bits that memory may have where registers have float32.
type Half uint8

const (
	Float16 Half = iota + 1
	BFloat16
)

// As is b with elements of 16 bits, which are widened when they are read and rounded to nearest even when they are written.
func (b Buf) As(h Half) Buf { b.Half = h; return b }

// IsOperand says whether b came from Operand.
func (b Buf) IsOperand() bool { return b.operand }

// String says what is done with a buffer, for comments in the code.
func (b Buf) String() string {
	switch {
	case b.Ahead:
		return "fetch " + b.Name
	case b.Write:
		return "write " + b.Name
	}
	return "read " + b.Name
}

// Out is a buffer that takes a body's result.
func Out(name string) Buf { return Buf{Name: name, Write: true} }

// Column is In with one element for each column, the same for every plane.
func Column(name string) Buf { return Buf{Name: name, Read: true, Fixed: true} }

// Ahead is a slice whose next elements are wanted soon.
func Ahead(name string) Buf { return Buf{Name: name, Ahead: true} }

// Scratch and Scratch2 are memory of the machine's own: a block of columns of as many planes as a sum has lanes.
const (
	Scratch  = "scratch"
	Scratch2 = "scratch2"
)

// An Index is a number of an element, no vector.
type Index any

// None is what a body returns that writes nothing.
const None V = -1

// A Machine writes functions for one instruction set and one element type.
type Machine interface {
	Type() Type
	Double() Machine // the same machine for float64 vectors, of half as many lanes as float32 has

	Arg(name string) V // a scalar argument, in all lanes
	Return(v V)        // lane 0 of v, where the description ends

	// Values. Constants that one loop uses together are asked for together, those that are worth a register most first.
	Const(x float64) V
	Consts(x ...float64) []V
	New() V
	Set(d, x V)

	// Arithmetic, each operation rounded once.
	Add(d, a, b V)
	Sub(d, a, b V)
	Mul(d, a, b V) // a NaN in a goes before one in b, as in Add
	Div(d, a, b V)
	MulAdd(d, a, b V)    // d + a·b
	Poly(d, x V, c ...V) // the polynomial with coefficients c, highest first, by MulAdd
	Max(d, a, b V)       // anything where there is a NaN
	MinZero(d, a V)      // 0 where a is positive; a NaN stays
	Abs(d, a V)
	BySign(d, s, a, b V) // a where s has the sign bit, else b
	NegAbs(d, a V)
	Canonical(d V) // every NaN becomes the canonical one

	// Powers of two, and the way to float64 and back.
	Ldexp(d, k, n, x, low V) // d·2ⁿ, 0 where x < low; k is 1.5·2²³ (1.5·2⁵²) + n, and the result is normal
	Frexp(k, m, x V)         // x = m·2ᵏ, m in [√½, √2); float64 and x normal only
	Widen(x V) []V
	Narrow(d V, x []V)

	Equal(d, a, b, x V) // x where a and b have the same bits, else 0: labels, which are integers as wide as the elements, or floats

	// Block returns a block of registers with x in every lane.
	Block(x float64) []V
	// Sums returns a block of zeros for Add to add to and Sum to fold, beside a body that needs the registers: it may be memory.
	Sums() []V
	// Sum folds the lanes of the block that the last Each added to, in the order of docs/numerics.md. Lane 0 of the result holds the sum.
	Sum(d V, block []V)
	// Spread sets all lanes to lane 0.
	Spread(d V)
	// Largest folds a block with Max, into all lanes.
	Largest(d V, block []V)

	// Each runs body over the elements of the buffers, a block at a time and its registers in order: j is the register's place in the block.
	// The last, partial block ends with a partial register; registers with nothing in them are left out.
	Each(body func(j int, x []V) V, bufs ...Buf)

	// Map is Each for a body that does the same to every register.
	Map(body func(x []V) V, bufs ...Buf)

	// Share is body, written once for all kernels that share something under this name: a routine, which they call. It walks slices of one
	// length, or rows of them, if there are any, and gets vectors and returns some.
	Share(name string, slices []string, in []V, body func(m Machine, in []V) []V) []V

	// Rows runs over the rows of cols elements of the slices among the arguments. Rows longer than Lanes go through long one by one: there
	// Each walks a row. Shorter ones go through short, many at a time and as columns: the slices in are transposed into Scratch and
	// Scratch2 before, and Scratch to out, unless that is empty, afterwards. There columns are rows, and planes the elements of each.
	Rows(long func(), short func(c Columns), in []string, out string)

	// Planes runs over blocks of a few registers of columns: through few where there are no more planes than Lanes, so that Scratch can
	// hold a block of all of them, unless few is nil; otherwise through many.
	Planes(few, many func(c Columns))

	// Turn is Planes where the slices in and out are n rows of cols elements, at most Lanes: as in Rows, they are transposed.
	Turn(body func(c Columns), in []string, out string)

	// Scan writes the prefix sums of src, which go on from carry, to dst and returns the next carry.
	Scan(dst, src, carry string)

	// LovaszGrad is the kernel lovaszWeights, and returns what that does.
	LovaszGrad(dst, foreground, left, union string) Index

	// Transpose is the kernel of that name.
	Transpose(dst, src string)

	// ArgMax returns the index of the first NaN, or of the first of the largest elements, in the slice or the row that Each would walk.
	ArgMax(slice string) Index
	ReturnIndex(i Index)
	// FirstAbove returns the index of the first element of a slice that is larger than t or NaN, the length where there is none. t is no NaN.
	FirstAbove(slice string, t V) Index
	// StoreIndex writes i to the element of the slice dst for the row that Rows is at.
	StoreIndex(i Index)
	// StoreRow writes lane 0 of v there.
	StoreRow(v V)

	// DotInt8 returns Σ aᵢ·bᵢ of two slices of int8 as an int32.
	DotInt8(a, b string)

	// Int is a vector of integers, as wide as the elements.
	Int(x int64) V
	AddInt(d, a, b V)
	// TakeLarger sets best to x and index to at where x is larger than best, or is NaN while best is not.
	TakeLarger(best, index, x, at V)
}

// Columns are a few registers side by side, of every plane.
type Columns interface {
	// Block returns a register for each of the columns' registers, x in every lane.
	Block(x float64) []V
	// Each runs body for every plane and each of its registers: j is the register's place.
	Each(body func(j int, x []V) V, bufs ...Buf)
	// Sum is Each, and returns the sums of what body makes of the planes, in the order of docs/numerics.md, as then leaves them. It uses
	// Scratch for the lanes.
	Sum(body func(j int, x []V) V, then func(sum V), bufs ...Buf) []V
	// Fold returns the sums of no more than Lanes planes of a scratch buffer, or of the products of those of two, as then leaves them.
	Fold(then func(sum V), bufs ...Buf) []V
	// Store writes v to a slice with one element for each column, unless the slice is nil.
	Store(slice string, v []V)
	// Stored returns what Store wrote from v[j].
	Stored(slice string, j int) V
}
