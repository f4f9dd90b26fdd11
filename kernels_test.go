package lanewise

import (
	"bytes"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"
)

// eachISA runs f as a subtest for every ISA of this CPU, with that ISA in use.
func eachISA(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	before := ActiveISA()
	defer UseISA(before)
	for _, isa := range AvailableISAs() {
		t.Run(isa.String(), func(t *testing.T) {
			if err := UseISA(isa); err != nil {
				t.Fatal(err)
			}
			f(t)
		})
	}
}

// A shape is that of a row-major array [outer, axis, inner]. Kernels work along the axis: a vector is [1, n, 1], rows are [rows, cols, 1],
// planes [1, planes, n].
type shape struct{ outer, axis, inner int }

func (s shape) size() int      { return s.outer * s.axis * s.inner }
func (s shape) vectors() int   { return s.outer * s.inner }
func (s shape) String() string { return fmt.Sprintf("[%d][%d][%d]", s.outer, s.axis, s.inner) }

// A family is the shapes that a kernel takes.
type family int

const (
	vectors family = iota
	rows
	planes
	axes
	pieces // vectors that an entry of the tables takes whole
)

func (f family) takes(s shape) bool {
	if f == pieces && (s.axis < 1 || s.axis > piece) {
		return false
	}
	return (f == rows || f == axes || s.outer == 1) && (f == planes || f == axes || s.inner == 1)
}

// operands is what a kernel reads and writes; a kernel without one of them leaves it nil.
type operands[T Float] struct {
	dst    []T
	index  []int32
	x, y   []T
	labels []int32
	truth  []uint8
	class  int32
}

// lengths are those of the operands.
type lengths struct{ dst, index, x, y, labels, truth int }

// A kernelTest describes a kernel to all the tests of this package.
type kernelTest[T Float] struct {
	name    string
	family  family
	lengths func(s shape) lengths
	inPlace string // the sources that dst may be: letters of "xy"
	exact   bool   // NaN results have defined bits
	prepare func(o *operands[T])
	run     func(o *operands[T], s shape)
	want    func(o *operands[T], s shape) // the reference
}

func kernelTests[T Float]() []kernelTest[T] {
	unary := func(s shape) lengths { return lengths{dst: s.size(), x: s.size()} }
	binary := func(s shape) lengths { return lengths{dst: s.size(), x: s.size(), y: s.size()} }
	indices := func(s shape) lengths { return lengths{index: s.vectors(), x: s.size()} }
	softmax := func(o *operands[T], s shape) {
		along(s, o.dst, func(x, _ []T) []T { return refSoftmax(x) }, o.x, nil)
	}
	logSoftmax := func(o *operands[T], s shape) {
		along(s, o.dst, func(x, _ []T) []T { return refLogSoftmax(x) }, o.x, nil)
	}
	argMax := func(o *operands[T], s shape) {
		along(s, o.index, func(x, _ []T) []int32 { return []int32{refArgMax(x)} }, o.x, nil)
	}
	return append(serviceKernelTests[T](), []kernelTest[T]{{
		name: "Dot", family: vectors,
		lengths: func(s shape) lengths { return lengths{dst: 1, x: s.axis, y: s.axis} },
		run:     func(o *operands[T], s shape) { o.dst[0] = Dot(o.x, o.y) },
		want:    func(o *operands[T], s shape) { o.dst[0] = refDot(o.x, o.y) },
	}, {
		name: "DotRows", family: rows,
		lengths: func(s shape) lengths { return lengths{dst: s.outer, x: s.size(), y: s.axis} },
		run:     func(o *operands[T], s shape) { DotRows(o.dst, o.x, o.y) },
		want: func(o *operands[T], s shape) {
			for r := range o.dst {
				o.dst[r] = refDot(o.x[r*s.axis:(r+1)*s.axis], o.y)
			}
		},
	}, {
		name: "CumSum", family: vectors, lengths: unary, inPlace: "x",
		run:  func(o *operands[T], s shape) { CumSum(o.dst, o.x) },
		want: func(o *operands[T], s shape) { copy(o.dst, refCumSum(o.x)) },
	}, {
		name: "Softmax", family: vectors, lengths: unary, inPlace: "x", exact: firstNaNWins,
		run:  func(o *operands[T], s shape) { Softmax(o.dst, o.x) },
		want: softmax,
	}, {
		name: "SoftmaxRows", family: rows, lengths: unary, inPlace: "x", exact: firstNaNWins,
		run:  func(o *operands[T], s shape) { SoftmaxRows(o.dst, o.x, s.axis) },
		want: softmax,
	}, {
		name: "SoftmaxPlanes", family: planes, lengths: unary, inPlace: "x", exact: firstNaNWins,
		run:  func(o *operands[T], s shape) { SoftmaxPlanes(o.dst, o.x, s.axis) },
		want: softmax,
	}, {
		name: "SoftmaxAxis", family: axes, lengths: unary, inPlace: "x", exact: firstNaNWins,
		run:  func(o *operands[T], s shape) { SoftmaxAxis(o.dst, o.x, s.outer, s.axis, s.inner) },
		want: softmax,
	}, {
		name: "LogSoftmaxRows", family: rows, lengths: unary, inPlace: "x", exact: firstNaNWins,
		run:  func(o *operands[T], s shape) { LogSoftmaxRows(o.dst, o.x, s.axis) },
		want: logSoftmax,
	}, {
		name: "LogSoftmaxAxis", family: axes, lengths: unary, inPlace: "x", exact: firstNaNWins,
		run:  func(o *operands[T], s shape) { LogSoftmaxAxis(o.dst, o.x, s.outer, s.axis, s.inner) },
		want: logSoftmax,
	}, {
		name: "LogSoftmaxPlanes", family: planes, lengths: unary, inPlace: "x", exact: firstNaNWins, // there is no such function
		run:  func(o *operands[T], s shape) { LogSoftmaxAxis(o.dst, o.x, 1, s.axis, s.inner) },
		want: logSoftmax,
	}, {
		name: "LogSumExp", family: vectors,
		lengths: func(s shape) lengths { return lengths{dst: 1, x: s.axis} },
		run:     func(o *operands[T], s shape) { o.dst[0] = LogSumExp(o.x) },
		want:    func(o *operands[T], s shape) { o.dst[0] = refLogSumExp(o.x) },
	}, {
		name: "SoftmaxRowsGrad", family: rows, lengths: binary, inPlace: "xy",
		run:  func(o *operands[T], s shape) { SoftmaxRowsGrad(o.dst, o.x, o.y, s.axis) },
		want: func(o *operands[T], s shape) { along(s, o.dst, refSoftmaxGrad, o.x, o.y) },
	}, {
		name: "LogSoftmaxRowsGrad", family: rows, lengths: binary, inPlace: "xy",
		prepare: func(o *operands[T]) { // log-probabilities, but for a few
			for i, v := range o.x {
				if i%7 != 3 && v > 0 {
					o.x[i] = -v
				}
			}
		},
		run:  func(o *operands[T], s shape) { LogSoftmaxRowsGrad(o.dst, o.x, o.y, s.axis) },
		want: func(o *operands[T], s shape) { along(s, o.dst, refLogSoftmaxGrad, o.x, o.y) },
	}, {
		name: "ArgMax", family: vectors,
		lengths: func(s shape) lengths { return lengths{index: 1, x: s.axis} },
		run:     func(o *operands[T], s shape) { o.index[0] = int32(ArgMax(o.x)) },
		want:    argMax,
	}, {
		name: "ArgMaxRows", family: rows, lengths: indices,
		run:  func(o *operands[T], s shape) { ArgMaxRows(o.index, o.x, s.axis) },
		want: argMax,
	}, {
		name: "ArgMaxPlanes", family: planes, lengths: indices,
		run:  func(o *operands[T], s shape) { ArgMaxPlanes(o.index, o.x, s.axis) },
		want: argMax,
	}, {
		name: "ClassErrors", family: vectors, inPlace: "x",
		lengths: func(s shape) lengths { return lengths{dst: s.axis, x: s.axis, labels: s.axis} },
		run:     func(o *operands[T], s shape) { ClassErrors(o.dst, o.x, o.labels, o.class) },
		want:    func(o *operands[T], s shape) { copy(o.dst, refClassErrors(o.x, o.labels, o.class)) },
	}, {
		name: "SortDescending", family: vectors, inPlace: "x", exact: true,
		lengths: func(s shape) lengths { return lengths{dst: s.axis, index: s.axis, x: s.axis} },
		run: func(o *operands[T], s shape) {
			copy(o.dst, o.x)
			SortDescending(o.dst, o.index)
		},
		want: func(o *operands[T], s shape) {
			keys, perm := refSortDescending(o.x)
			copy(o.dst, keys)
			copy(o.index, perm)
		},
	}, {
		name: "LovaszGrad", family: vectors,
		lengths: func(s shape) lengths { return lengths{dst: s.axis, truth: s.axis} },
		run:     func(o *operands[T], s shape) { LovaszGrad(o.dst, o.truth) },
		want:    func(o *operands[T], s shape) { copy(o.dst, refLovaszGrad[T](o.truth)) },
	}, {
		// The entries of the tables that public kernels reach only with long inputs, or not at all.
		name: "sum", family: pieces,
		lengths: func(s shape) lengths { return lengths{dst: 1, x: s.axis} },
		run:     func(o *operands[T], s shape) { o.dst[0] = sum(active, o.x) },
		want:    func(o *operands[T], s shape) { o.dst[0] = refSum(o.x) },
	}, {
		name: "expSum", family: pieces, inPlace: "x",
		lengths: func(s shape) lengths { return lengths{dst: 1 + s.axis, x: 1 + s.axis} }, // the sum, and before x something to match
		run: func(o *operands[T], s shape) {
			o.dst[0] = expSum(active, o.dst[1:], o.x[1:], refMax(o.x[1:]))
		},
		want: func(o *operands[T], s shape) {
			_, exps, sum := refExpSum(o.x[1:])
			o.dst[0] = sum
			copy(o.dst[1:], exps)
		},
	}, {
		name: "sumExp", family: pieces,
		lengths: func(s shape) lengths { return lengths{dst: 1, x: s.axis} },
		run:     func(o *operands[T], s shape) { o.dst[0] = sumExp(active, o.x, refMax(o.x)) },
		want:    func(o *operands[T], s shape) { _, _, o.dst[0] = refExpSum(o.x) },
	}, {
		name: "max", family: pieces,
		lengths: func(s shape) lengths { return lengths{dst: 1, x: s.axis} },
		prepare: func(o *operands[T]) { // with a NaN the largest is anything
			for i, v := range o.x {
				if v != v {
					o.x[i] = T(math.Inf(-1))
				}
			}
		},
		run:  func(o *operands[T], s shape) { o.dst[0] = largest(active, o.x) + 0 }, // nor has a zero a sign
		want: func(o *operands[T], s shape) { o.dst[0] = refMax(o.x) + 0 },
	}, {
		name: "scale", family: pieces, inPlace: "x",
		lengths: func(s shape) lengths { return lengths{dst: s.axis, x: s.axis, y: 1} },
		run:     func(o *operands[T], s shape) { scale(active, o.dst, o.x, o.y[0]) },
		want: func(o *operands[T], s shape) {
			for i, v := range o.x {
				o.dst[i] = v * o.y[0]
			}
		},
	}, {
		name: "subtract", family: pieces, inPlace: "x",
		lengths: func(s shape) lengths { return lengths{dst: s.axis, x: s.axis, y: 2} },
		run:     func(o *operands[T], s shape) { subtract(active, o.dst, o.x, o.y[0], o.y[1]) },
		want: func(o *operands[T], s shape) {
			for i, v := range o.x {
				v -= o.y[0]
				o.dst[i] = v - o.y[1]
			}
		},
	}, {
		name: "softmaxGrad", family: pieces, inPlace: "xy", lengths: binary,
		run: func(o *operands[T], s shape) { softmaxGrad(active, o.dst, o.x, o.y, o.y[0]) },
		want: func(o *operands[T], s shape) {
			for i, y := range o.x {
				d := o.y[i] - o.y[0]
				o.dst[i] = y * d
			}
		},
	}, {
		name: "logSoftmaxGrad", family: pieces, inPlace: "xy", lengths: binary,
		run: func(o *operands[T], s shape) { logSoftmaxGrad(active, o.dst, o.x, o.y, o.y[0]) },
		want: func(o *operands[T], s shape) {
			for i, y := range o.x {
				if y > 0 {
					y = 0
				}
				p := T(refExp(y) * o.y[0])
				o.dst[i] = o.y[i] - p
			}
		},
	}, {
		name: "transpose", family: planes, exact: true,
		lengths: func(s shape) lengths {
			if s.inner == 0 {
				return lengths{}
			}
			return lengths{dst: (s.inner-1)*(s.axis+3) + s.axis, x: (s.axis-1)*(s.inner+5) + s.inner}
		},
		run: func(o *operands[T], s shape) {
			if s.inner > 0 {
				transpose(active, o.dst, o.x, s.axis, s.inner, s.axis+3, s.inner+5)
			}
		},
		want: func(o *operands[T], s shape) {
			for r := range s.axis {
				for c := range s.inner {
					o.dst[c*(s.axis+3)+r] = o.x[r*(s.inner+5)+c]
				}
			}
		},
	},
	}...)
}

// shapes are those that the suite tries: all small lengths, for tails, and some around the pieces in which sums and calls are cut.
func (f family) shapes() []shape {
	all := [...]func() []shape{vectors: vectorShapes, pieces: vectorShapes, rows: rowShapes, planes: planeShapes, axes: axisShapes}[f]()
	return slices.DeleteFunc(all, func(s shape) bool { return !f.takes(s) })
}

func vectorShapes() []shape {
	var s []shape
	for n := range 301 {
		if *long || n <= 72 || n%64 <= 1 || n%64 == 63 || n == 300 {
			s = append(s, shape{1, n, 1})
		}
	}
	large := []int{1000, 4096, 8191, 8192, 8193, 8192 + 77, 2*8192 - 1, 2 * 8192, 2*8192 + 1, 3*8192 + 4096 + 15, 65535, 65536, 65537, 65536 +
		8192 + 65, 2*65536 + 1, 1 << 20}
	if !*long {
		large = []int{1000, 8191, 8193, 2*8192 + 77, 65537}
	}
	for _, n := range large {
		s = append(s, shape{1, n, 1})
	}
	return s
}

// everyOther chooses half of the pairs of a length and a number of rows or planes, where both are odd or even in all four ways; of short
// ones all.
func everyOther(n, i int) bool { return n <= 16 || (n/2+i)%2 == 0 }

func rowShapes() []shape {
	s := []shape{{0, 1, 1}, {0, 70, 1}}
	for cols := 1; cols <= 70; cols++ {
		for i, n := range []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 31, 33, 64, 65} { // rows are transposed by 8 or 16
			if *long && everyOther(cols, i) || n%8 == cols%8 || n == 17 {
				s = append(s, shape{n, cols, 1})
			}
		}
	}
	large := []shape{{3, 200, 1}, {17, 200, 1}, {2, 1000, 1}, {9, 1000, 1}, {3, 8191, 1}, {3, 8192, 1}, {3, 8193, 1}, {2, 9000, 1},
		{2, 16385, 1}, {9, 8192, 1}, {2, 65535, 1}, {2, 65536, 1}, {2, 65537, 1}, {1, 1 << 20, 1}}
	// more than goes into one call
	large = append(large, shape{65535, 1, 1}, shape{65537, 1, 1}, shape{1 << 20, 1, 1}, shape{32769, 2, 1}, shape{2*21845 + 5, 3, 1},
		shape{3449*2 + 3, 19, 1}, shape{1030, 64, 1}, shape{937, 70, 1}, shape{66, 1000, 1})
	if !*long {
		large = []shape{{3, 200, 1}, {9, 1000, 1}, {2, 8193, 1}, {21845 + 5, 3, 1}, {3460, 19, 1}}
	}
	return append(s, large...)
}

func planeShapes() []shape {
	s := []shape{{1, 1, 0}, {1, 70, 0}}
	for n := 1; n <= 70; n++ {
		for i, inner := range []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 130} {
			if *long && everyOther(n, i) || inner%8 == n%8 || inner == 17 {
				s = append(s, shape{1, n, inner})
			}
		}
	}
	large := []shape{{1, 200, 33}, {1, 1000, 5}, {1, 1000, 70}, {1, 9000, 1}, {1, 9000, 17}, {1, 8193, 3}, {1, 8191, 3}, {1, 16400, 2},
		{1, 65535, 1}, {1, 65536, 3}, {1, 65537, 1}, {1, 65537, 65}, {1, 1 << 20, 2}, {1, 1, 1 << 20}, {1, 1, 65537}, {1, 2, 32800},
		{1, 3, 21911}, {1, 19, 7013}, {1, 64, 1100}, {1, 200, 513}, {1, 1000, 133}}
	if !*long {
		large = []shape{{1, 200, 33}, {1, 1000, 5}, {1, 8193, 17}, {1, 65537, 2}, {1, 19, 3530}}
	}
	return append(s, large...)
}

func axisShapes() []shape {
	var s []shape
	for _, outer := range []int{0, 1, 2, 3} {
		for _, axis := range []int{1, 2, 3, 5, 16, 19, 64, 70} {
			for _, inner := range []int{0, 1, 2, 3, 7, 8, 16, 17, 33, 65} {
				s = append(s, shape{outer, axis, inner})
			}
		}
	}
	if !*long {
		return append(s, shape{2, 8193, 3})
	}
	return append(s, shape{2, 9000, 5}, shape{2, 9000, 1}, shape{3, 19, 3530}, shape{70, 19, 64},
		shape{65537, 1, 2}, shape{2, 65537, 2}, shape{2, 65537, 1}, shape{2, 1, 65537}, shape{1 << 20, 1, 1}, shape{1, 1 << 20, 2},
		shape{1, 1, 1 << 20})
}

// random is splitmix64: the same numbers on every platform.
type random uint64

func (r *random) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (r *random) below(n int) int { return int(r.next() % uint64(n)) }

// uniform returns a number of (−2ᵉ, 2ᵉ), computed without rounding.
func (r *random) uniform(e int) float64 { return math.Ldexp(float64(int64(r.next())>>11), e-52) }

// fills are the kinds of values that the suite tries: plain numbers, then others.
var fills = []string{"logits", "wide", "ties", "edges", "special", "bits"}

// fill writes values of the given kind. Special values turn up in about a third of the vectors of length axis, so that the others show that
// nothing spreads.
func fill[T Float](dst []T, kind string, axis int, r *random) {
	largest, least, threshold := math.MaxFloat32, 0x1p-149, 87.33654
	if is64[T]() {
		largest, least, threshold = math.MaxFloat64, 0x1p-1074, 708.39641
	}
	special := []float64{math.Inf(-1), math.Inf(1), math.NaN(), largest, -largest}
	small := []float64{0, math.Copysign(0, -1), least, -least, 12345 * least, threshold, -threshold, math.Inf(-1)}
	for i := range dst {
		switch kind {
		case "logits":
			dst[i] = T(r.uniform(4))
		case "wide":
			dst[i] = T(r.uniform(r.below(22) - 11))
		case "ties":
			dst[i] = []T{1, -1, 2, 0, T(math.Copysign(0, -1))}[r.below(5)]
		case "edges": // exp near the end of the normal numbers, and −Inf
			switch r.below(8) {
			case 0:
				dst[i] = 0
			case 1:
				dst[i] = T(math.Inf(-1))
			default:
				dst[i] = T(r.uniform(1) - threshold)
			}
		case "special":
			dst[i] = T(r.uniform(r.below(14) - 7))
			if r.below(3*axis+1) == 0 {
				dst[i] = T(special[r.below(len(special))])
			} else if r.below(8) == 0 {
				dst[i] = T(small[r.below(len(small))])
			}
			if dst[i] != dst[i] { // with and without the sign, and with any payload
				nan := bitsOf(canonicalNaN[T]()) | uint64(r.below(1000)) | bitsOf(T(math.Copysign(0, -1)))*uint64(r.below(2))
				dst[i] = fromBits[T](nan)
			}
		case "bits":
			dst[i] = fromBits[T](r.next())
		default:
			panic(kind)
		}
	}
}

// A kernelCase is an input of a kernel and what comes of it.
type kernelCase[T Float] struct {
	shape shape
	fill  string
	in    operands[T]
	want  operands[T] // dst and index; where the kernel writes nothing they hold the guard values
}

// Guard values stand around the operands, and in what a kernel is to write.
const guardIndex, guardTruth = -0x35014542, 0xa5

func guard[T Float]() T { return T(-0x1.23456p-7) }

// newCase makes an input of shape s and the reference's result for it.
func (k *kernelTest[T]) newCase(s shape, kind string, seed uint64) kernelCase[T] {
	return k.solve(s, kind, k.operands(s, kind, seed))
}

// operands makes an input of shape s.
func (k *kernelTest[T]) operands(s shape, kind string, seed uint64) operands[T] {
	n := k.lengths(s)
	r := random(seed)
	o := operands[T]{
		dst: make([]T, n.dst), index: make([]int32, n.index),
		x: make([]T, n.x), y: make([]T, n.y), labels: make([]int32, n.labels), truth: make([]uint8, n.truth),
	}
	fill(o.x, kind, max(1, s.axis), &r)
	fill(o.y, kind, max(1, s.axis), &r)
	classes := []int32{0, 1, 255, -1, math.MinInt32, math.MaxInt32}
	o.class = classes[r.below(len(classes))]
	for i := range o.labels {
		if o.labels[i] = o.class; r.below(3) > 0 {
			o.labels[i] = classes[r.below(len(classes))]
		}
	}
	rare := 1 + r.below(5)
	for i := range o.truth {
		if r.below(rare) == 0 {
			o.truth[i] = uint8(r.next())
		}
	}
	if k.prepare != nil {
		k.prepare(&o)
	}
	return o
}

// solve adds the reference's result to an input.
func (k *kernelTest[T]) solve(s shape, kind string, in operands[T]) kernelCase[T] {
	n := k.lengths(s)
	want := in
	want.dst, want.index = make([]T, n.dst), make([]int32, n.index)
	for i := range want.dst {
		want.dst[i] = guard[T]()
	}
	for i := range want.index {
		want.index[i] = guardIndex
	}
	k.want(&want, s)
	return kernelCase[T]{s, kind, in, want}
}

// A buffer is a placer on the heap.
type buffer[E comparable] struct {
	guard E
	whole []E
	body  []E
}

const guards = 80 // elements on either side

func (b *buffer[E]) place(n, offset int) []E {
	size := n + offset + 2*guards + 64
	if cap(b.whole) < size {
		b.whole = make([]E, size+size/2)
	}
	b.whole = b.whole[:size]
	for i := range b.whole {
		b.whole[i] = b.guard
	}
	element := unsafe.Sizeof(b.guard)
	begin := guards + offset
	for uintptr(unsafe.Pointer(&b.whole[begin-offset]))%64 != 0 && element > 1 {
		begin++
	}
	b.body = b.whole[begin : begin+n : begin+n]
	return b.body
}

func (b *buffer[E]) intact() bool {
	begin := (uintptr(unsafe.Pointer(unsafe.SliceData(b.body))) - uintptr(unsafe.Pointer(&b.whole[0]))) / unsafe.Sizeof(b.guard)
	for i, v := range b.whole {
		if v != b.guard && (i < int(begin) || i >= int(begin)+len(b.body)) {
			return false
		}
	}
	return true
}

// A placer places the elements of an operand in memory of its own, between guard values.
type placer[E any] interface {
	place(n, offset int) []E // offset is that of the first element in its 64-byte line
	intact() bool            // whether all the guard values are still there
}

// A bench has a place for every operand.
type bench[T Float] struct {
	dst, x, y     placer[T]
	index, labels placer[int32]
	truth         placer[uint8]
}

func newBench[T Float]() *bench[T] {
	floats := func() placer[T] { return &buffer[T]{guard: guard[T]()} }
	return &bench[T]{floats(), floats(), floats(), &buffer[int32]{guard: guardIndex}, &buffer[int32]{guard: guardIndex},
		&buffer[uint8]{guard: guardTruth}}
}

// run runs a case once. Operands begin at different places of a line, all derived from offset; alias names the source that dst is to be,
// if any.
func (b *bench[T]) run(k *kernelTest[T], c *kernelCase[T], offset int, alias string) error {
	n := k.lengths(c.shape)
	o := operands[T]{
		dst: b.dst.place(n.dst, offset), index: b.index.place(n.index, offset),
		x: b.x.place(n.x, offset*5%16), y: b.y.place(n.y, (offset*3+7)%16),
		labels: b.labels.place(n.labels, (offset*7+3)%16), truth: b.truth.place(n.truth, offset*11%64),
		class: c.in.class,
	}
	copy(o.x, c.in.x)
	copy(o.y, c.in.y)
	copy(o.labels, c.in.labels)
	copy(o.truth, c.in.truth)
	want := c.want.dst
	switch alias {
	case "x":
		o.dst, want = o.x, inPlace(want, o.x)
	case "y":
		o.dst, want = o.y, inPlace(want, o.y)
	}
	soilStack()
	k.run(&o, c.shape)

	if i, ok := firstDifference(o.dst, want, k.exact); !ok {
		return fmt.Errorf("dst[%d] = %v (%#x), want %v (%#x)", i, o.dst[i], bitsOf(o.dst[i]), want[i], bitsOf(want[i]))
	}
	for i, v := range c.want.index {
		if o.index[i] != v {
			return fmt.Errorf("index[%d] = %d, want %d", i, o.index[i], v)
		}
	}
	for _, source := range []struct {
		name      string
		got, want []T
	}{{"x", o.x, c.in.x}, {"y", o.y, c.in.y}} {
		if i, ok := firstDifference(source.got, source.want, true); !ok && source.name != alias {
			return fmt.Errorf("wrote to the source %s[%d]", source.name, i)
		}
	}
	if !slices.Equal(o.labels, c.in.labels) || !slices.Equal(o.truth, c.in.truth) {
		return fmt.Errorf("wrote to labels")
	}
	if !b.dst.intact() || !b.x.intact() || !b.y.intact() || !b.index.intact() || !b.labels.intact() || !b.truth.intact() {
		return fmt.Errorf("wrote outside of the slices")
	}
	return nil
}

// soilStack fills the stack that a kernel's frame is going to be in with NaN.
//
//go:noinline
func soilStack() byte {
	frame := allOnes
	return frame[len(frame)/2]
}

var allOnes = [24 << 10]byte(bytes.Repeat([]byte{0xff}, 24<<10))

// inPlace is what becomes of src where a kernel overwrites it: want, or what was there where the kernel leaves dst alone.
func inPlace[T Float](want, src []T) []T {
	if !slices.Contains(want, guard[T]()) {
		return want
	}
	want = slices.Clone(want)
	for i, v := range want {
		if v == guard[T]() {
			want[i] = src[i]
		}
	}
	return want
}

// firstNaNWins says that the product of two NaNs is the first one, as on every amd64 CPU: that is how assembly makes NaNs canonical. qemu
// takes the one with the larger bits, as the x87 did, and there any NaN has to do.
var firstNaNWins = runtime.GOARCH != "amd64" ||
	math.Float32bits(product(math.Float32frombits(0x7fc00001), math.Float32frombits(0x7fc00002))) !=
		math.Float32bits(product(math.Float32frombits(0x7fc00002), math.Float32frombits(0x7fc00001)))

//go:noinline
func product(a, b float32) float32 { return a * b }

// firstDifference compares bits; unless exact, any NaN equals any other.
func firstDifference[T Float](got, want []T, exact bool) (int, bool) {
	for i, v := range got {
		if w := want[i]; bitsOf(v) != bitsOf(w) && (exact || v == v || w == w) {
			return i, false
		}
	}
	return 0, true
}

// TestKernels holds every kernel on every ISA against the reference, bit by bit: all lengths, alignments and kinds of values, apart and in
// place.
func TestKernels(t *testing.T) {
	t.Run("float32", testKernels[float32])
	t.Run("float64", testKernels[float64])
}

func testKernels[T Float](t *testing.T) {
	for _, k := range kernelTests[T]() {
		t.Run(k.name, func(t *testing.T) {
			var cases []kernelCase[T]
			for i, s := range k.family.shapes() {
				kinds := fills
				if s.axis > 300 || s.size() > 30_000 || !*long { // one of plain numbers, and one of the others
					kinds = []string{fills[i%2], fills[2+i%4]}
					if s.size() > 1000 && !*long { // or one of these
						kinds = kinds[i/2%2:][:1]
					}
				} else if s.outer > 1 || s.inner > 1 {
					kinds = []string{fills[i%2], fills[2+i%4], fills[2+(i+1)%4]}
				}
				for j, kind := range kinds {
					cases = append(cases, k.newCase(s, kind, uint64(1000*i+j)))
				}
			}
			order := make([]int, len(cases)) // short after long: what a kernel does not write itself is not 0
			r := random(len(cases))
			for i := range order {
				j := r.below(i + 1)
				order[i], order[j] = order[j], i
			}
			eachISA(t, func(t *testing.T) {
				b := newBench[T]()
				for _, i := range order {
					c := &cases[i]
					step := 2
					if n := c.shape; n.outer > 1 || n.inner > 1 || n.axis > 300 || !*long {
						step = 11
					}
					for offset := i % step; offset < 16; offset += step {
						aliases := strings.Split(k.inPlace, "")
						for _, alias := range append(aliases, "") {
							if err := b.run(&k, c, offset, alias); err != nil {
								t.Fatalf("%v of %s, offset %d, in place of %q: %v", c.shape, c.fill, offset, alias, err)
							}
						}
					}
				}
			})
		})
	}
}
