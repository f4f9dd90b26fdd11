package lanewise_test

import (
	"fmt"
	"github.com/lanewise/lanewise"
	"math"
)

func ExampleDot() {
	fmt.Println(lanewise.Dot([]float32{1, 2, 3}, []float32{4, 5, 6}))
	// Output: 32
}

// The similarity of a query to every vector of an index.
func ExampleDotRows() {
	index := []float32{ // three vectors
		1, 0, 0, 0,
		0.5, 0.5, 0.5, 0.5,
		0, 0, -1, 0,
	}
	query := []float32{0.5, 0.5, 0.5, 0.5}
	similarity := make([]float32, 3)
	lanewise.DotRows(similarity, index, query)
	fmt.Println(similarity)
	// Output: [0.5 1 -0.5]
}

func ExampleCumSum() {
	x := []float64{1, 2, 3, 4}
	lanewise.CumSum(x, x) // in place
	fmt.Println(x)
	// Output: [1 3 6 10]
}

func ExampleSoftmax() {
	p := make([]float64, 4)
	lanewise.Softmax(p, []float64{1, 2, 3, math.Inf(-1)})
	fmt.Printf("%.4f\n", p)
	// Output: [0.0900 0.2447 0.6652 0.0000]
}

func ExampleSoftmaxRows() {
	logits := []float32{
		2, 0, -1,
		0, 1, 0,
	}
	p := make([]float32, len(logits))
	lanewise.SoftmaxRows(p, logits, 3)
	fmt.Printf("%.3f\n%.3f\n", p[:3], p[3:])
	// Output:
	// [0.844 0.114 0.042]
	// [0.212 0.576 0.212]
}

// Two classes, three pixels, as a segmentation network gives them: a plane of pixels per class.
func ExampleSoftmaxPlanes() {
	logits := []float32{
		1, 0, 2, // class 0
		0, 1, -1, // class 1
	}
	lanewise.SoftmaxPlanes(logits, logits, 2)
	fmt.Printf("%.3f\n%.3f\n", logits[:3], logits[3:])
	// Output:
	// [0.731 0.269 0.953]
	// [0.269 0.731 0.047]
}

// A batch of two images with two classes and three pixels each.
func ExampleSoftmaxAxis() {
	logits := []float32{
		1, 0, 2,
		0, 1, -1,

		0, 0, 0,
		0, 3, 0,
	}
	lanewise.SoftmaxAxis(logits, logits, 2, 2, 3)
	fmt.Printf("%.2f\n%.2f\n", logits[:6], logits[6:])
	// Output:
	// [0.73 0.27 0.95 0.27 0.73 0.05]
	// [0.50 0.05 0.50 0.50 0.95 0.50]
}

func ExampleLogSoftmaxRows() {
	y := make([]float32, 2)
	lanewise.LogSoftmaxRows(y, []float32{1e20, 1e20}, 2) // no overflow, no cancellation
	fmt.Printf("%.4f\n", y)
	// Output: [-0.6931 -0.6931]
}

func ExampleLogSumExp() {
	fmt.Printf("%.4f\n", lanewise.LogSumExp([]float64{1000, 1000}))
	// Output: 1000.6931
}

// The gradient of a loss that depends on the softmax of a row, here its first probability.
func ExampleSoftmaxRowsGrad() {
	y := make([]float32, 3)
	lanewise.SoftmaxRows(y, []float32{2, 0, -1}, 3)
	dx := make([]float32, 3)
	lanewise.SoftmaxRowsGrad(dx, y, []float32{1, 0, 0}, 3)
	fmt.Printf("%.3f\n", dx)
	// Output: [0.132 -0.096 -0.035]
}

// The gradient of the cross-entropy with the first class: p − 1 for it, p for the others.
func ExampleLogSoftmaxRowsGrad() {
	y := make([]float32, 3)
	lanewise.LogSoftmaxRows(y, []float32{2, 0, -1}, 3)
	dx := make([]float32, 3)
	lanewise.LogSoftmaxRowsGrad(dx, y, []float32{-1, 0, 0}, 3)
	fmt.Printf("%.3f\n", dx)
	// Output: [-0.156 0.114 0.042]
}

func ExampleArgMax() {
	fmt.Println(lanewise.ArgMax([]float32{1, 5, 2, 5}))
	fmt.Println(lanewise.ArgMax([]float32{1, float32(math.NaN()), 2}))
	// Output:
	// 1
	// 1
}

func ExampleArgMaxRows() {
	classes := make([]int32, 2)
	lanewise.ArgMaxRows(classes, []float32{
		2, 0, -1,
		0, 1, 0,
	}, 3)
	fmt.Println(classes)
	// Output: [0 1]
}

func ExampleArgMaxPlanes() {
	mask := make([]int32, 3)
	lanewise.ArgMaxPlanes(mask, []float32{
		1, 0, 2, // class 0
		0, 1, -1, // class 1
	}, 2)
	fmt.Println(mask)
	// Output: [0 1 0]
}

func ExampleClassErrors() {
	probabilities := []float32{0.75, 0.25, 0.5}
	labels := []int32{1, 1, 0}
	errors := make([]float32, 3)
	lanewise.ClassErrors(errors, probabilities, labels, 1)
	fmt.Println(errors)
	// Output: [0.25 0.75 0.5]
}

func ExampleSortDescending() {
	errors := []float32{0.1, 0.9, 0.4, 0.9}
	perm := make([]int32, len(errors))
	lanewise.SortDescending(errors, perm)
	fmt.Println(errors, perm)
	// Output: [0.9 0.9 0.4 0.1] [1 3 2 0]
}

// The algorithm of the Lovász losses by hand: sort the errors, weigh them, and take the dot product.
func ExampleLovaszGrad() {
	errors := []float64{0.1, 0.75, 0.5}
	labels := []uint8{0, 1, 1}

	perm := make([]int32, len(errors))
	lanewise.SortDescending(errors, perm)
	sorted := make([]uint8, len(labels))
	for i, p := range perm {
		sorted[i] = labels[p]
	}
	weights := make([]float64, len(errors))
	lanewise.LovaszGrad(weights, sorted)
	fmt.Println(weights, lanewise.Dot(errors, weights))
	// Output: [0.5 0.5 0] 0.625
}

// Every ISA gives the same bits.
func ExampleUseISA() {
	defer lanewise.UseISA(lanewise.ActiveISA())
	x := []float32{0.1, 0.2, 0.3}
	results := make(map[float32][]lanewise.ISA)
	for _, isa := range lanewise.AvailableISAs() {
		if err := lanewise.UseISA(isa); err != nil {
			panic(err)
		}
		y := lanewise.LogSumExp(x)
		results[y] = append(results[y], isa)
	}
	fmt.Println(len(results), "result")
	// Output: 1 result
}
