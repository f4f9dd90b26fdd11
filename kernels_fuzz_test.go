package lanewise

import (
	"encoding/binary"
	"math"
	"testing"
)

// Every fuzz target runs its kernel on all ISAs and compares them with the reference, bit by bit. The input's bytes are the elements' bits,
// repeated as often as the length asks for.

func FuzzDot(f *testing.F)                { fuzzKernel(f, "Dot") }
func FuzzDotRows(f *testing.F)            { fuzzKernel(f, "DotRows") }
func FuzzCumSum(f *testing.F)             { fuzzKernel(f, "CumSum") }
func FuzzSoftmax(f *testing.F)            { fuzzKernel(f, "Softmax") }
func FuzzSoftmaxRows(f *testing.F)        { fuzzKernel(f, "SoftmaxRows") }
func FuzzSoftmaxPlanes(f *testing.F)      { fuzzKernel(f, "SoftmaxPlanes") }
func FuzzSoftmaxAxis(f *testing.F)        { fuzzKernel(f, "SoftmaxAxis") }
func FuzzLogSoftmaxRows(f *testing.F)     { fuzzKernel(f, "LogSoftmaxRows") }
func FuzzLogSoftmaxAxis(f *testing.F)     { fuzzKernel(f, "LogSoftmaxAxis") }
func FuzzLogSumExp(f *testing.F)          { fuzzKernel(f, "LogSumExp") }
func FuzzSoftmaxRowsGrad(f *testing.F)    { fuzzKernel(f, "SoftmaxRowsGrad") }
func FuzzLogSoftmaxRowsGrad(f *testing.F) { fuzzKernel(f, "LogSoftmaxRowsGrad") }
func FuzzArgMax(f *testing.F)             { fuzzKernel(f, "ArgMax") }
func FuzzArgMaxRows(f *testing.F)         { fuzzKernel(f, "ArgMaxRows") }
func FuzzArgMaxPlanes(f *testing.F)       { fuzzKernel(f, "ArgMaxPlanes") }
func FuzzClassErrors(f *testing.F)        { fuzzKernel(f, "ClassErrors") }
func FuzzSortDescending(f *testing.F)     { fuzzKernel(f, "SortDescending") }
func FuzzLovaszGrad(f *testing.F)         { fuzzKernel(f, "LovaszGrad") }

// What services need.
func FuzzSquaredDistance(f *testing.F)          { fuzzKernel(f, "SquaredDistance") }
func FuzzSquaredDistanceRows(f *testing.F)      { fuzzKernel(f, "SquaredDistanceRows") }
func FuzzNorm(f *testing.F)                     { fuzzKernel(f, "Norm") }
func FuzzNormalize(f *testing.F)                { fuzzKernel(f, "Normalize") }
func FuzzNormalizeRows(f *testing.F)            { fuzzKernel(f, "NormalizeRows") }
func FuzzTopK(f *testing.F)                     { fuzzKernel(f, "TopK") }
func FuzzTopKRows(f *testing.F)                 { fuzzKernel(f, "TopKRows") }
func FuzzSortAscending(f *testing.F)            { fuzzKernel(f, "SortAscending") }
func FuzzSigmoid(f *testing.F)                  { fuzzKernel(f, "Sigmoid") }
func FuzzSigmoidGrad(f *testing.F)              { fuzzKernel(f, "SigmoidGrad") }
func FuzzSoftmaxScaled(f *testing.F)            { fuzzKernel(f, "SoftmaxScaled") }
func FuzzSoftmaxRowsScaled(f *testing.F)        { fuzzKernel(f, "SoftmaxRowsScaled") }
func FuzzSoftmaxRowsScaledMaskRow(f *testing.F) { fuzzKernel(f, "SoftmaxRowsScaledMaskRow") }
func FuzzSoftmaxRowsScaledMask(f *testing.F)    { fuzzKernel(f, "SoftmaxRowsScaledMask") }
func FuzzLogSumExpRows(f *testing.F)            { fuzzKernel(f, "LogSumExpRows") }
func FuzzLogSumExpAxis(f *testing.F)            { fuzzKernel(f, "LogSumExpAxis") }
func FuzzArgMaxAxis(f *testing.F)               { fuzzKernel(f, "ArgMaxAxis") }
func FuzzSoftmaxAxisGrad(f *testing.F)          { fuzzKernel(f, "SoftmaxAxisGrad") }
func FuzzLogSoftmaxAxisGrad(f *testing.F)       { fuzzKernel(f, "LogSoftmaxAxisGrad") }
func FuzzCumSumRows(f *testing.F)               { fuzzKernel(f, "CumSumRows") }

// What the loss calls.
func FuzzTranspose(f *testing.F) { fuzzKernel(f, "transpose") }

func fuzzKernel(f *testing.F, name string) {
	r := random(len(name))
	for i, kind := range fills { // bytes of both types, lengths around those of registers, blocks and pieces
		x32, x64 := make([]float32, 41), make([]float64, 23)
		fill(x32, kind, 20, &r)
		fill(x64, kind, 20, &r)
		var b32, b64 []byte
		for _, v := range x32 {
			b32 = binary.LittleEndian.AppendUint32(b32, math.Float32bits(v))
		}
		for _, v := range x64 {
			b64 = binary.LittleEndian.AppendUint64(b64, math.Float64bits(v))
		}
		f.Add(b32, uint16(7+i*61), uint16(3+i*16), uint8(i))
		f.Add(b64, uint16(5+i*37), uint16(2+i*5), uint8(200+i))
	}
	f.Add([]byte{}, uint16(0), uint16(1), uint8(0))
	f.Add([]byte{0, 0, 0x80, 0xff}, uint16(64), uint16(64), uint8(3)) // −Inf
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 0xbf}, uint16(8200), uint16(8193), uint8(4))

	k32, b32 := kernelNamed[float32](name), newBench[float32]()
	k64, b64 := kernelNamed[float64](name), newBench[float64]()
	f.Fuzz(func(t *testing.T, data []byte, n, axis uint16, offset uint8) {
		fuzzCase(t, k32, b32, data, n, axis, offset)
		fuzzCase(t, k64, b64, data, n, axis, offset)
	})
}

func kernelNamed[T Float](name string) *kernelTest[T] {
	for _, k := range kernelTests[T]() {
		if k.name == name {
			return &k
		}
	}
	panic("no kernel " + name)
}

// fuzzCase runs a kernel on about n elements, axis of them to a vector, apart and in place.
func fuzzCase[T Float](t *testing.T, k *kernelTest[T], b *bench[T], data []byte, n, axis uint16, offset uint8) {
	const largest = 20_000
	length, cols := int(n)%largest, max(1, int(axis)%largest)
	var s shape
	switch k.family {
	case vectors:
		s = shape{1, length, 1}
	case rows:
		s = shape{length / cols, cols, 1}
	case planes:
		s = shape{1, cols, length / cols}
	case axes:
		inner := 1 + int(offset)%7
		s = shape{length / cols / inner, cols, inner}
	}
	at := 0
	next := func(size int) (v uint64) { // the next element's bits
		for i := range size {
			if len(data) > 0 {
				v |= uint64(data[at%len(data)]) << (8 * i)
				at++
			}
		}
		return v
	}
	in := k.operands(s, "ties", 0)
	size := 4
	if is64[T]() {
		size = 8
	}
	for i := range in.x {
		in.x[i] = fromBits[T](next(size))
	}
	at += size // y begins elsewhere
	for i := range in.y {
		in.y[i] = fromBits[T](next(size))
	}
	for i := range in.labels {
		in.labels[i] = int32(next(1)) & 3
	}
	in.class = int32(offset) & 3
	for i := range in.truth {
		in.truth[i] = uint8(next(1)) & (offset | 1)
	}
	c := k.solve(s, "the fuzzer", in)
	aliases := []string{""}
	for _, source := range k.inPlace {
		aliases = append(aliases, string(source))
	}
	before := ActiveISA()
	defer UseISA(before)
	for _, isa := range AvailableISAs() {
		UseISA(isa)
		for _, alias := range aliases {
			if err := b.run(k, &c, int(offset)%16, alias); err != nil {
				t.Errorf("%v, %T %v, offset %d, in place of %q: %v", isa, T(0), s, offset%16, alias, err)
			}
		}
	}
}
