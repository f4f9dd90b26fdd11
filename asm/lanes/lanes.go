// Package lanes is the second vocabulary that kernels are described in, beside package machine: vectors of unsigned integers, masks and
// streams. A description calls the methods of a [Machine], which writes the code of one instruction set; there is no optimiser between
// them.
//
// Operations name their destination first, which may be one of the sources. Every one of them has defined bits, the same on every machine.
package lanes

import (
	"fmt"
	"go/token"
	"go/types"
	"iter"
)

// Turn is how many elements a turn of a loop takes. A machine needs 1 to 8 registers for them.
const Turn = 32

// A V is a register of integers of 16, 32 or 64 bits each. Where a turn of elements fits into less than a register, it is that long.
type V struct{ ID, Bits int }

// An M says yes or no for each lane of a V: a mask register, or lanes that are all ones or 0.
type M struct{ ID, Bits int }

// An S is a slice among the function's arguments, whose elements a loop goes through.
type S struct{ ID, Bits int }

// An R is a general register, an L the lanes of a turn that lie in memory.
type (
	R int
	L int
)

// A T is a stream: a slice of 32 bits to which lanes are appended, or from which they are taken.
type T int

// None is what a function of lanes returns that leaves nothing.
const None R = -1

// A Shift is by how many bits, and to which side.
type Shift int

// A Machine writes functions for one instruction set.
type Machine interface {
	Slice(name string) S                   // an argument that is a slice, or points to an array
	Narrow(s S, bits, i int) S             // s as slices of fewer bits, whose turns lie one behind the other: the one with number i
	Arg(name string, bits int) V           // an argument in all lanes
	Element(array string, i int) V         // element i, of 32 bits, of the array that an argument points to, in all lanes
	ShiftLeft(arg string) Shift            // by an argument
	ShiftRight(arg string, more int) Shift // by an argument and some more
	ReturnAny(result string, m M)          // whether m is yes anywhere
	ReturnLeast(result string, v V)        // the smallest lane
	ReturnLargest(result string, v V)      // the largest lane
	ReturnSum(result string, v V)          // the sum of all lanes
	ReturnFirst(result string, v V)        // the first lane

	// Values.
	New(bits int) V
	Const(bits int, x uint64) V   // in all lanes
	Block(bits int, x uint64) []V // as many as a turn has
	Set(d, x V)
	Park(v V) V // the same, which from now on is only read

	// Integers, modulo two to the number of their bits.
	Add(d, a, b V)
	Sub(d, a, b V)
	And(d, a, b V)
	AndNot(d, a, b V) // a, but where b has a bit
	Or(d, a, b V)
	Xor(d, a, b V)
	Shift(d, a V, s Shift)
	ShiftLeftBy(d, a V, n int)
	ShiftRightBy(d, a V, n int)
	Sign(d, a V) // all ones where the highest bit is 1, else 0
	Min(d, a, b V)
	Max(d, a, b V)

	// Masks.
	Equal(a, b V) M
	Above(a, b V) M     // a > b, with signs
	Below(a, b V) M     // a < b, of 64 bits
	Increment(d V, m M) // d + 1 where m is
	Decrement(d V, m M) // d − 1 where m is
	ZeroWhere(d V, m M)
	AddWhere(d, x V, m M) // d + x where m is
	SetWhere(d, x V, m M) // x where m is
	Without(a, b M) M     // a, but where b is

	// Floats of 32 bits, and of 64.
	ToFloats(d, a V) // of integers below half of their range
	MulFloats(d, a, b V)
	DivFloats(d, a, b V)
	NegateBy(d, s V)          // −d where the sign of s is 1
	ToDoubles(low, high, a V) // of floats of 32 bits: the first half of the lanes, the second one
	MulDoubles(d, a, b V)
	MulAddDoubles(d, a, b, c V) // a·b + c, rounded once; d is another register

	// Streams. Every one begins where a counter among those in an array says, and Leave sets the counters to where they are: next[t] counts
	// the elements of slice t of an array of slices, or of the one slice. Up to a register behind the end of a stream has to be there.
	Streams(slices, next string, n int) []T
	Append(t T, x V, m M) // stores the lanes of x where m is, one behind the other
	Take(d V, t T, m M)   // sets the lanes of d where m is to the next ones
	Leave(t []T)

	// Vectors of 64 bits, two of them for one of 32: the lanes of a before those of b.
	Zip(a, b, low, high V) // puts halves together
	Low(d, a, b V)         // takes them apart
	High(d, a, b V)

	Widen(d, a V, half int) // lanes of 16 bits to 32: the first half of them, or the second one
	Gather(d V, s S, i V)   // the elements of s, of 32 bits, that i counts; d is another register

	// Prefix sets d to the sums of the lanes of x before each, with what is in all lanes of carry, to which it adds the sum of all.
	Prefix(d, x, carry V)

	// Pairs of neighbours, of 64 bits: the first ones in one register, the second ones in another. A machine may keep them in registers with
	// some bits turned; only these operations know of it.
	Least(d V)             // no item is smaller
	LoadPairs(a, b V, s S) // the first ones of s
	Order(a, b V)          // the smaller one to a, the larger one to b
	Next(d, a, b V)        // the lanes of a but its first, then the first of b
	Before(d, a, b V)      // the last lane of a, then the lanes of b but its last
	// Pairs runs body for all of s, of whole turns and not empty, a register of pairs at a time. Body is given what sets registers to the
	// pairs after these, or to largest ones behind the last, and what stores those for these.
	Pairs(s S, body func(after func(a, b V), store func(a, b V)))

	// Pairwise runs body for every two turns of slices, as many as slice n has, the one before as a: for each of their registers those of
	// read, which stay, and then those of sums.
	Pairwise(bits int, body func(a, b []V), n S, read, sums []S)

	// Each runs body over the elements of slices of one length, for each register of a turn with lanes of so many bits: j is its number. What
	// is not a whole turn at the end, is done as the last turn, together with what has been done before it; all elements, where they are
	// fewer than a turn, are done elsewhere, with copies of the first one behind them. So a body must not mind elements that it sees more
	// often than once, and must not write to what it reads.
	Each(bits int, body func(j int), s ...S)
	// Once is Each, but body sees each element once, the rest among lanes that streams do not see and that are 0 where they are loaded. A turn
	// is as long as the machine likes.
	Once(bits int, body func(j int), s ...S)
	// Whole is Each for whole turns. Body sees each element once.
	Whole(bits int, body func(j int), s ...S)
	// Padded is Whole for any length: what is behind the end, in the last turn, has to be there, and is only hidden from Lanes.
	Padded(bits int, body func(j int), s ...S)
	// Until is Whole, up to the first turn that has a lane where a body's mask is. It returns how many elements there are before, or all.
	Until(result string, bits int, body func(j int) M, s ...S)
	Load(d V, s S, i int) // register i of the turn's elements
	Store(s S, i int, x V)
	Position(d V, i int) // of its elements in the slices
	Ahead(s S, i int)    // fetches what is some turns ahead of register i

	// Scalars, within Each. Spill puts lanes into memory, of one register or of two with 64 bits for one with 32. Lanes runs f for every lane
	// of a turn, with those of x, once all of its registers are there, and leaves what f returns; after that what the next Lanes says. They
	// see each element once.
	Spill(v ...V) L
	Lanes(f func(x []R) R, x ...L) L
	LanesUnlessAlike(alike func(x R), f func(x []R) R, x L) L // Lanes, but for a turn whose lanes are all the same alike, once
	Own(s S) R                                                // the lane's element of a slice that Each goes through
	PutOwn(s S, x R)                                          // sets it
	Index(arg string) R                                       // its number, counted from an argument
	Last(s S) R                                               // the number of the last element, outside of Each
	AtMost(x, limit R)                                        // makes x the smaller one
	Get(s S, i R) R                                           // element i of any slice
	Put(s S, i, x R)                                          // sets it
	AddTo(s S, i, x R)                                        // adds to it
	Increment1(s S, i R)                                      // adds 1 to it
	Advance(s S, i R, n int) R                                // adds n, and returns what it was
	PutSteps(s S, x R)                                        // sets the turn's elements of a slice that Each goes through to x, x + 1, …
	Fetch(s S, i R)                                           // fetches the line that it is in
}

// IsSlice says whether a parameter of a function is a slice.
func IsSlice(signature, name string) bool {
	for v := range parameters(signature) {
		if _, ok := v.Type().(*types.Slice); ok && v.Name() == name {
			return true
		}
	}
	return false
}

// ElementBits returns the bits of the elements of a slice among the parameters of a function, or of an array that one points to.
func ElementBits(signature, slice string) int {
	for v := range parameters(signature) {
		if v.Name() != slice {
			continue
		}
		switch t := v.Type().(type) {
		case *types.Slice:
			return 8 * int(types.SizesFor("gc", "amd64").Sizeof(t.Elem()))
		case *types.Pointer:
			elem := t.Elem()
			for a, ok := elem.(*types.Array); ok; a, ok = elem.(*types.Array) {
				elem = a.Elem()
			}
			return 8 * int(types.SizesFor("gc", "amd64").Sizeof(elem))
		}
	}
	panic(fmt.Sprintf("%s has no slice %s", signature, slice))
}

func parameters(signature string) iter.Seq[*types.Var] {
	t, err := types.Eval(token.NewFileSet(), nil, token.NoPos, signature)
	if err != nil {
		panic(fmt.Sprintf("%s: %v", signature, err))
	}
	return t.Type.(*types.Signature).Params().Variables()
}
