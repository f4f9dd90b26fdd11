package main

import (
	"cmp"
	"math"
	"slices"

	"github.com/lanewise/lanewise"
)

// A sortedLoss is the loss as everybody computes it, done well: per class a dense sort of the errors of all pixels (LSD radix, three passes
// of 11 bits over pairs of key and pixel), the weights along the sorted order, and the gradient through the softmax. Layout [classes, pixels].
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
	var h0, h1 [2048]uint32
	var h2 [1024]uint32
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
		h0[k&2047]++
		h1[k>>11&2047]++
		h2[k>>22]++
	}
	if foreground == 0 {
		clear(weights)
		return 0, false
	}
	offsets(h0[:])
	offsets(h1[:])
	offsets(h2[:])
	for _, v := range a {
		d := v >> 32 & 2047
		b[h0[d]] = v
		h0[d]++
	}
	for _, v := range b {
		d := v >> 43 & 2047
		a[h1[d]] = v
		h1[d]++
	}
	for _, v := range a {
		d := v >> 54
		b[h2[d]] = v
		h2[d]++
	}
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

// loss64 is the loss and its gradient in float64 throughout, by definition: sort, cumulative sums, differences of Jaccard losses.
func loss64(logits []float32, labels []int32, pixels, classes int) (loss float64, grad []float64) {
	probs := make([]float64, len(logits))
	for i := range pixels {
		m, s := math.Inf(-1), 0.0
		for j := i; j < len(logits); j += pixels {
			m = max(m, float64(logits[j]))
		}
		for j := i; j < len(logits); j += pixels {
			probs[j] = math.Exp(float64(logits[j]) - m)
			s += probs[j]
		}
		for j := i; j < len(logits); j += pixels {
			probs[j] /= s
		}
	}
	type pixelError struct {
		e     float64
		pixel int
	}
	errors := make([]pixelError, pixels)
	weights := make([]float64, len(logits))
	present := 0
	for c := range classes {
		p, w := probs[c*pixels:(c+1)*pixels], weights[c*pixels:(c+1)*pixels]
		total := 0
		for i, label := range labels {
			e := p[i]
			if int(label) == c {
				e = 1 - e
				total++
			}
			errors[i] = pixelError{e, i}
		}
		if total == 0 {
			continue
		}
		present++
		slices.SortFunc(errors, func(x, y pixelError) int { return cmp.Compare(y.e, x.e) })
		tp, fp, last := 0, 0, 0.0
		for _, x := range errors {
			sign := 1.0
			if int(labels[x.pixel]) == c {
				tp++
				sign = -1
			} else {
				fp++
			}
			jaccard := 1 - float64(total-tp)/float64(total+fp)
			loss += x.e * (jaccard - last)
			w[x.pixel] = sign * (jaccard - last)
			last = jaccard
		}
	}
	if present == 0 {
		return 0, weights
	}
	for i := range pixels {
		var dot float64
		for j := i; j < len(logits); j += pixels {
			dot += probs[j] * weights[j]
		}
		for j := i; j < len(logits); j += pixels {
			weights[j] = probs[j] * (weights[j] - dot) / float64(present)
		}
	}
	return loss / float64(present), weights
}
