package lanewise_test

import (
	"fmt"
	"math"

	"github.com/lanewise/lanewise"
)

func ExampleSquaredDistance() {
	fmt.Println(lanewise.SquaredDistance([]float32{1, 2, 3}, []float32{4, 6, 3}))
	// Output: 25
}

// The nearest of three vectors.
func ExampleSquaredDistanceRows() {
	index := []float32{
		0, 0,
		3, 3,
		1, 2,
	}
	distance := make([]float32, 3)
	lanewise.SquaredDistanceRows(distance, index, []float32{1, 1})
	fmt.Println(distance)
	// Output: [2 8 1]
}

// Squares that no float32 holds.
func ExampleNorm() {
	fmt.Println(lanewise.Norm([]float32{3e30, 4e30}))
	// Output: 5e+30
}

// Cosines are dot products of normalised vectors.
func ExampleNormalizeRows() {
	index := []float32{
		3, 4,
		0, 2,
		-6, 8,
	}
	query := []float32{5, 0}
	lanewise.NormalizeRows(index, index, 2)
	lanewise.Normalize(query, query)
	cosine := make([]float32, 3)
	lanewise.DotRows(cosine, index, query)
	fmt.Printf("%.1f\n", cosine)
	// Output: [0.6 0.0 -0.6]
}

func ExampleTopK() {
	values, indices := make([]float32, 3), make([]int32, 3)
	lanewise.TopK(values, indices, []float32{3, 1, 4, 1, 5, 9, 2, 6, 5})
	fmt.Println(values, indices)
	// Output: [9 6 5] [5 7 4]
}

// The two best experts for each of three tokens.
func ExampleTopKRows() {
	scores := []float32{
		0.1, 0.7, 0.2, 0.4,
		0.9, 0.0, 0.3, 0.3,
		0.2, 0.5, 0.1, 0.6,
	}
	values, indices := make([]float32, 6), make([]int32, 6)
	lanewise.TopKRows(values, indices, scores, 4)
	fmt.Println(indices)
	// Output: [1 3 0 2 3 1]
}

func ExampleSortAscending() {
	keys := []float64{3, math.NaN(), 1, 2}
	perm := make([]int32, 4)
	lanewise.SortAscending(keys, perm)
	fmt.Println(keys, perm)
	// Output: [1 2 3 NaN] [2 3 0 1]
}

func ExampleSigmoid() {
	y := make([]float32, 3)
	lanewise.Sigmoid(y, []float32{-2, 0, 1000})
	fmt.Printf("%.4f\n", y)
	// Output: [0.1192 0.5000 1.0000]
}

// The gradient of a loss that depends on the probabilities as their sum does: p·(1 − p).
func ExampleSigmoidGrad() {
	p := make([]float64, 3)
	lanewise.Sigmoid(p, []float64{-2, 0, 2})
	dx := []float64{1, 1, 1}
	lanewise.SigmoidGrad(dx, p, dx)
	fmt.Printf("%.3f\n", dx)
	// Output: [0.105 0.250 0.105]
}

// The probabilities of the next word at a temperature of ½.
func ExampleSoftmaxScaled() {
	p := make([]float64, 3)
	lanewise.SoftmaxScaled(p, []float64{1, 2, 3}, 1/0.5)
	fmt.Printf("%.3f\n", p)
	// Output: [0.016 0.117 0.867]
}

// Causal attention of three tokens: none sees those after it.
func ExampleSoftmaxRowsScaled() {
	inf := math.Inf(1)
	scores := []float64{
		2, 9, 9,
		4, 2, 9,
		2, 2, 2,
	}
	mask := []float64{
		0, -inf, -inf,
		0, 0, -inf,
		0, 0, 0,
	}
	lanewise.SoftmaxRowsScaled(scores, scores, mask, 3, 0.5)
	for r := 0; r < 9; r += 3 {
		fmt.Printf("%.2f\n", scores[r:r+3])
	}
	// Output:
	// [1.00 0.00 0.00]
	// [0.73 0.27 0.00]
	// [0.33 0.33 0.33]
}

func ExampleLogSumExpRows() {
	l := make([]float64, 2)
	lanewise.LogSumExpRows(l, []float64{1, 2, 1000, 1000}, 2)
	fmt.Printf("%.4f\n", l)
	// Output: [2.3133 1000.6931]
}

// The class masks of a batch: two images, two classes, three pixels.
func ExampleArgMaxAxis() {
	logits := []float32{
		1, 0, 2,
		0, 1, -1,

		0, 0, 0,
		0, 3, 1,
	}
	mask := make([]int32, 2*3)
	lanewise.ArgMaxAxis(mask, logits, 2, 2, 3)
	fmt.Println(mask[:3], mask[3:])
	// Output: [0 1 0] [0 1 1]
}

func ExampleCumSumRows() {
	x := []float32{1, 2, 3, 10, 20, 30}
	lanewise.CumSumRows(x, x, 3)
	fmt.Println(x)
	// Output: [1 3 6 10 30 60]
}

// Numbers that float16 and bfloat16 hold in half the memory.
func ExampleToFloat16() {
	h, x := make([]uint16, 3), make([]float32, 3)
	lanewise.ToFloat16(h, []float32{1, 0.1, 1e6})
	lanewise.FromFloat16(x, h)
	fmt.Printf("%#04x %v\n", h, x)
	lanewise.ToBFloat16(h, []float32{1, 0.1, 1e6})
	lanewise.FromBFloat16(x, h)
	fmt.Printf("%#04x %v\n", h, x)
	// Output:
	// [0x3c00 0x2e66 0x7c00] [1 0.099975586 +Inf]
	// [0x3f80 0x3dcd 0x4974] [1 0.100097656 999424]
}

// An index in half the memory.
func ExampleDotRowsFloat16() {
	index := make([]uint16, 4)
	lanewise.ToFloat16(index, []float32{1, 2, 0.5, -1})
	dst := make([]float32, 2)
	lanewise.DotRowsFloat16(dst, index, []float32{3, 4})
	fmt.Println(dst)
	// Output: [11 -2.5]
}

// An index in half the memory, of numbers that float16 does not reach.
func ExampleDotRowsBFloat16() {
	index := make([]uint16, 4)
	lanewise.ToBFloat16(index, []float32{1 << 20, 2, 0.5, -1})
	dst := make([]float32, 2)
	lanewise.DotRowsBFloat16(dst, index, []float32{3, 4})
	fmt.Println(dst)
	// Output: [3.145736e+06 -2.5]
}

func ExampleDotInt8() {
	fmt.Println(lanewise.DotInt8([]int8{-128, 127, 3}, []int8{-128, 1, 2}))
	// Output: 16517
}

func ExampleNormalize() {
	v := []float64{3, 4}
	lanewise.Normalize(v, v)
	fmt.Printf("%.1f\n", v)
	// Output: [0.6 0.8]
}

func ExampleDotRowsInt8() {
	m := []int8{
		1, 2, 3,
		100, 100, 100,
	}
	products := make([]int32, 2)
	lanewise.DotRowsInt8(products, m, []int8{1, 0, -1})
	fmt.Println(products)
	// Output: [-2 0]
}

func ExampleFromFloat16() {
	x := make([]float32, 3)
	lanewise.FromFloat16(x, []uint16{0x3c00, 0xc500, 0x7bff}) // the last is the largest
	fmt.Println(x)
	// Output: [1 -5 65504]
}

// The nearest with 8 significant bits, and of two that are as near the even one.
func ExampleToBFloat16() {
	b := make([]uint16, 3)
	lanewise.ToBFloat16(b, []float32{1, 1 + 1.0/256, 1 + 3.0/256})
	fmt.Printf("%#04x\n", b)
	// Output: [0x3f80 0x3f80 0x3f82]
}

func ExampleFromBFloat16() {
	x := make([]float32, 2)
	lanewise.FromBFloat16(x, []uint16{0x3f80, 0xc0a0})
	fmt.Println(x)
	// Output: [1 -5]
}

// The normaliser of two classes for each of three pixels.
func ExampleLogSumExpAxis() {
	logits := []float64{
		0, 1, 5,
		0, 3, 5,
	}
	sums := make([]float64, 3)
	lanewise.LogSumExpAxis(sums, logits, 1, 2, 3)
	fmt.Printf("%.4f\n", sums)
	// Output: [0.6931 3.1269 5.6931]
}

// The log-probabilities of two classes for each of two pixels.
func ExampleLogSoftmaxAxis() {
	logits := []float64{
		0, 1,
		0, 3,
	}
	lanewise.LogSoftmaxAxis(logits, logits, 1, 2, 2)
	fmt.Printf("%.4f\n", logits)
	// Output: [-0.6931 -2.1269 -0.6931 -0.1269]
}

// The gradient of the cross-entropy of two pixels, whose classes are 0 and 1: p − 1 for a pixel's class, p for the other.
func ExampleLogSoftmaxAxisGrad() {
	y := []float64{
		math.Log(0.25), math.Log(0.5),
		math.Log(0.75), math.Log(0.5),
	}
	dy := []float64{
		-1, 0,
		0, -1,
	}
	lanewise.LogSoftmaxAxisGrad(dy, y, dy, 1, 2, 2)
	fmt.Printf("%.2f\n", dy)
	// Output: [-0.75 0.50 0.75 -0.50]
}

// Back through a softmax across two classes of two pixels.
func ExampleSoftmaxAxisGrad() {
	y := []float64{
		0.25, 0.5,
		0.75, 0.5,
	}
	dy := []float64{
		1, 0,
		0, 0,
	}
	lanewise.SoftmaxAxisGrad(dy, y, dy, 1, 2, 2)
	fmt.Println(dy)
	// Output: [0.1875 0 -0.1875 0]
}
