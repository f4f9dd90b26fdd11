// Package lanewise has numeric kernels for Go, and the Lovász-Softmax segmentation loss that is composed from them.
//
// # The loss
//
// Lovász-Softmax (Berman, Rannen Triki and Blaschko, CVPR 2018) optimises intersection over union directly. For logits of P pixels and C
// classes, and the label of every pixel:
//
//	p = softmax over the classes of a pixel
//	for every class c that is present:
//	    e = |1{label = c} − p[c]|                     the error of every pixel
//	    sort the errors, the largest first
//	    w = the Lovász extension's weights             how much the Jaccard loss 1 − IoU grows
//	                                                   with each pixel of that order
//	    loss[c] = Σ e·w
//	loss = the mean of loss[c]
//
// The gradient with respect to the errors is w, and goes back to the logits through the softmax.
//
// LovaszSoftmax is all of that in one call. A Lovasz computes loss and gradient again and again without allocating, with class weights,
// void labels, a cross-entropy term, sigmoids instead of the softmax, both memory layouts, the loss per image, and workers. A LovaszCounts
// is the same loss over pixels on many machines, as integers that add up. A Confusion counts what was predicted.
//
// # The kernels
//
// Softmax and its relatives, Sigmoid, Dot, distances and norms, CumSum, ArgMax, TopK and sorts work on slices of float32 or float64, some
// on float16, bfloat16 and int8 too. A destination may be the source itself unless its function says otherwise; other overlaps, and lengths
// that do not fit, panic before anything is written. No kernel allocates or starts a goroutine (sorts, TopK, and softmaxes and
// log-sum-exps along more than 8192 planes take scratch from a pool).
//
// # The same bits everywhere
//
// Every kernel has one definition, down to the rounding of each step and the order of each sum, and every implementation gives its bits: a
// result depends on the input alone, not on the CPU, the alignment, the layout or the number of workers. exp is at most 0.9 ulp (float64:
// 0.93) off, and gives 0 where the result would be subnormal; sums have error bounds that do not grow with the length.
//
// ISA says which instruction sets there are; the best one that the CPU has is picked at start. The environment variable LANEWISE_ISA
// (generic, avx2, avx512, neon) picks another, and the build tag purego leaves all assembly out. float64 exponentials in plain Go need a
// fused multiply-add, which is slow where the CPU has none (wasm, 386, arm, mips).
package lanewise
