package main

import (
	"cmp"
	"math"
	"slices"

	"github.com/lanewise/lanewise"
)

// A sortedLoss is the loss as everybody computes it, done well: per class a dense sort of the errors of all pixels (LSD radix, three passes
// of 11 bits over pairs of key and pixel), the weights along the sorted order, and the gradient through the softmax. Layout [classes,
// pixels].
type sortedLoss struct {
	pixels, classes int
	probs, weights  []float32 // [classes, pixels]
	a, b            []uint64
}

func newSortedLoss(pixels, classes int) *sortedLoss {
	n := pixels * classes
	return &sortedLoss{pixels, classes, alloc[float32](n), alloc[float32](n), alloc[uint64](pixels), alloc[uint64](pixels)}
}

// run returns the loss, the mean over the classes present, and writes the gradient unless it is nil.
func (s *sortedLoss) run(grad, logits []float32, labels []int32) float64 {
	lanewise.SoftmaxPlanes(s.probs, logits, s.classes)
	var sum float64
	present := 0
	for c := range s.classes {
		probs, weights := s.probs[c*s.pixels:(c+1)*s.pixels], s.weights[c*s.pixels:(c+1)*s.pixels]
		if loss, ok := s.class(weights, probs, labels, int32(c)); ok {
			sum += loss
			present++
		}
	}
	if grad != nil {
		s.gradient(grad, 1/float32(max(present, 1)))
	}
	return sum / float64(max(present, 1))
}

func (s *sortedLoss) class(weights, probs []float32, labels []int32, c int32) (loss float64, present bool) {
	var h radixCounts
	a, b := s.a[:len(probs)], s.b[:len(probs)]
	foreground := 0
	for i, p := range probs {
		var fg uint32
		if labels[i] == c {
			p, fg = 1-p, 1
			foreground++
		}
		k := ^(math.Float32bits(p)<<1 | fg) // descending; the sign of an error is 0, and makes room for the label
		a[i] = uint64(k)<<32 | uint64(uint32(i))
		h.count(k)
	}
	if foreground == 0 {
		clear(weights)
		return 0, false
	}
	h.sort(b, a)
	g, tp, fp := float64(foreground), 0.0, 0.0
	for _, v := range b {
		k := ^uint32(v >> 32)
		var w float64
		if k&1 == 1 {
			w = 1 / (g + fp)
			weights[uint32(v)] = float32(-w)
			tp++
		} else {
			w = (g - tp) / ((g + fp) * (g + fp + 1))
			weights[uint32(v)] = float32(w)
			fp++
		}
		loss += float64(math.Float32frombits(k>>1)) * w
	}
	return loss, true
}

// radixCounts is how often each digit occurs among the keys: 11, 11 and 10 bits.
type radixCounts struct {
	h0, h1 [2048]uint32
	h2     [1024]uint32
}

func (h *radixCounts) count(k uint32) {
	h.h0[k&2047]++
	h.h1[k>>11&2047]++
	h.h2[k>>22]++
}

// sort puts the pairs of a, whose keys are in the upper halves and have been counted, in order into b, and destroys a.
func (h *radixCounts) sort(b, a []uint64) {
	offsets(h.h0[:])
	offsets(h.h1[:])
	offsets(h.h2[:])
	for _, v := range a {
		d := v >> 32 & 2047
		b[h.h0[d]] = v
		h.h0[d]++
	}
	for _, v := range b {
		d := v >> 43 & 2047
		a[h.h1[d]] = v
		h.h1[d]++
	}
	for _, v := range a {
		d := v >> 54
		b[h.h2[d]] = v
		h.h2[d]++
	}
}

// offsets turns counts into where each begins.
func offsets(counts []uint32) {
	var sum uint32
	for i, c := range counts {
		counts[i] = sum
		sum += c
	}
}

// gradient is p·(w − Σ p·w) per pixel, block by block so that a block stays in the cache.
func (s *sortedLoss) gradient(grad []float32, scale float32) {
	const block = 1024
	var dots [block]float32
	for i := 0; i < s.pixels; i += block {
		n := min(block, s.pixels-i)
		d := dots[:n]
		clear(d)
		for c := range s.classes {
			p, w := s.probs[c*s.pixels+i:][:n], s.weights[c*s.pixels+i:][:n]
			for j := range d {
				d[j] += p[j] * w[j]
			}
		}
		for c := range s.classes {
			p, w, g := s.probs[c*s.pixels+i:][:n], s.weights[c*s.pixels+i:][:n], grad[c*s.pixels+i:][:n]
			for j := range d {
				g[j] = p[j] * (w[j] - d[j]) * scale
			}
		}
	}
}

// A loss64 is the loss of class-major logits in float64 throughout, by definition: sort, cumulative sums, differences of Jaccard losses.
// Errors and probabilities are kept apart, since one is the rounded complement of the other.
type loss64 struct {
	loss, entropy float64
	grad          []float64 // of the loss
}

func newLoss64(activation string, x input, pixels, classes int) *loss64 {
	n := pixels * classes
	l := &loss64{grad: make([]float64, n)}
	errors, slopes := make([]float64, n), make([]float64, n) // slopes: d loss / d probability, weights with their sign
	probs, rest := make([]float64, n), make([]float64, n)    // rest is 1 − probability, without cancellation
	exps := make([]float64, classes)
	for i := range pixels {
		label, top, sum := int(x.labels[i]), 0, 0.0
		for k := range classes {
			if x.logits[k*pixels+i] > x.logits[top*pixels+i] {
				top = k
			}
		}
		for k := range classes {
			exps[k] = math.Exp(float64(x.logits[k*pixels+i]) - float64(x.logits[top*pixels+i]))
			sum += exps[k]
		}
		for k := range classes {
			at := k*pixels + i
			z := float64(x.logits[at])
			switch {
			case activation == "sigmoid":
				probs[at], rest[at] = 1/(1+math.Exp(-z)), 1/(1+math.Exp(z))
				if k != label {
					z = -z
				}
				l.entropy += math.Log1p(math.Exp(-z)) / float64(n)
			case k == top:
				for j, e := range exps {
					if j != k {
						rest[at] += e / sum
					}
				}
				probs[at] = 1 / sum
			default:
				probs[at] = exps[k] / sum
				rest[at] = 1 - probs[at]
			}
			errors[at] = probs[at]
			if k == label {
				errors[at] = rest[at]
				if activation != "sigmoid" {
					l.entropy -= math.Log1p(-rest[at]) / float64(pixels)
				}
			}
		}
	}
	present := 0
	order := make([]int, pixels)
	for k := range classes {
		total := 0
		for i := range order {
			order[i] = i
			if int(x.labels[i]) == k {
				total++
			}
		}
		if total == 0 {
			continue
		}
		present++
		e := errors[k*pixels:][:pixels]
		slices.SortFunc(order, func(i, j int) int { return cmp.Compare(e[j], e[i]) })
		tp, fp := 0, 0
		for _, i := range order {
			// the difference of the Jaccard losses, in one fraction: their difference would be rounding where it is small
			g, u := float64(total), float64(total+fp)
			if int(x.labels[i]) == k {
				slopes[k*pixels+i] = -1 / u
				tp++
			} else {
				slopes[k*pixels+i] = (g - float64(tp)) / (u * (u + 1))
				fp++
			}
			l.loss += e[i] * math.Abs(slopes[k*pixels+i])
		}
	}
	for i := range pixels {
		var dot float64
		for at := i; at < n; at += pixels {
			dot += probs[at] * slopes[at]
		}
		for k := range classes {
			at := k*pixels + i
			switch {
			case activation == "sigmoid":
				l.grad[at] = slopes[at] * probs[at] * rest[at]
			case probs[at] > 0.5: // v − Σ p·v, without their cancellation
				g := slopes[at] * rest[at]
				for j := i; j < n; j += pixels {
					if j != at {
						g -= probs[j] * slopes[j]
					}
				}
				l.grad[at] = probs[at] * g
			default:
				l.grad[at] = probs[at] * (slopes[at] - dot)
			}
		}
	}
	for i := range l.grad {
		l.grad[i] /= float64(max(present, 1))
	}
	l.loss /= float64(max(present, 1))
	return l
}

// offs says how far others are off; order says where in class-major the i-th of their gradient is.
func (l *loss64) offs(loss, entropy float64, grad []float32, order func(i int) int) offs {
	return offs{math.Abs(loss-l.loss) / l.loss, gradError(grad, l.grad, order), math.Abs(entropy-l.entropy) / l.entropy}
}
