package lanewise

import "math"

// The cross-entropy that a call adds, by the conventions of torch.nn.CrossEntropyLoss: with weights w, smoothing ε and C classes, that of a
// pixel with the label y is
//
//	(1 − ε)·w[y]·(−log p[y]) + ε/C·Σ w[c]·(−log p[c])
//
// and the mean is their sum over Σ w[y]. −log p[y] is log(1 + rest) + (m − x[y]), m being the largest logit and rest the sum of the
// exponentials without its. Of sigmoids every class has a binary cross-entropy, max(z, 0) + log(1 + exp(−|z|)) − z·ε/2, where z is the
// logit, negated for foreground, and the mean over pixels and classes is weighted by the class.

// softmaxEntropy writes the cross-entropies of a tile's pixels. It returns the first pixel whose is not finite, or how many pixels there
// are.
func (c *call) softmaxEntropy(w *worker, t *tile) int {
	logs, tops, picked := w.rest[:t.keptN], w.max[:t.keptN], t.picked[:t.keptN]
	lossLog1p(c.isa, logs, logs)
	logits, entropy := c.logits[c.logit(t.pixel, &t.block, 0):], c.entropy[t.entropy:]
	pixelStep, classStep := c.steps()
	weights, smoothing, n := c.entropyWeights, c.cfg.LabelSmoothing, 0
	for i, own := range t.target[:t.keptN] {
		if own == voidBackground {
			continue
		}
		at := int(picked[i]) * pixelStep
		h := float64(logs[i]) + (float64(tops[i]) - float64(logits[at+int(own)*classStep]))
		if weights != nil {
			h *= float64(weights[own])
		}
		if smoothing > 0 {
			var sum float64
			for k := range c.width {
				term := float64(logs[i]) + (float64(tops[i]) - float64(logits[at+k*classStep]))
				sum += float64(float64(c.entropyWeight(k)) * term)
			}
			h = float64((1-smoothing)*h) + float64(smoothing/float64(c.width)*sum)
		}
		if h-h != 0 {
			return i
		}
		entropy[n] = h
		n++
	}
	t.entropy += n
	return t.keptN
}

// sigmoidEntropy writes the cross-entropies of a tile's pixels, which are those of its classes together.
func (c *call) sigmoidEntropy(w *worker, t *tile, src []float32, srcStride int) {
	logs, sums := w.rest[:t.keptN], w.sums[:t.keptN]
	clear(sums)
	for k := range c.width {
		x := src[k*srcStride:][:t.keptN]
		for i, v := range x {
			logs[i] = -float32(math.Abs(float64(v)))
		}
		expSum(c.isa, logs, logs, 0)
		lossLog1p(c.isa, logs, logs)
		weight, smoothing := float64(c.entropyWeight(t.class+k)), c.cfg.LabelSmoothing/2
		for i, v := range x {
			z := float64(v)
			if t.target[i] == int32(k) {
				z = -z
			}
			h := max(z, 0) + float64(logs[i]) - float64(z*smoothing)
			sums[i] += float64(weight * h)
		}
	}
	for i, h := range sums {
		if t.target[i] != voidBackground {
			c.entropy[t.entropy] = h
			t.entropy++
		}
	}
}

// entropyWeight is the weight of a class in the cross-entropy.
func (p *plan) entropyWeight(class int) float32 {
	if p.entropyWeights == nil {
		return 1
	}
	return p.entropyWeights[class]
}

// entropyFactors returns what the signed errors of a tile's pixels are multiplied by in the gradient of a softmax's cross-entropy: that is of
// every class weight·(p − y), and p − y is the signed error. It is nil where there is none.
func (c *call) entropyFactors(w *worker, t *tile) []float32 {
	if !c.hasEntropy(t) {
		return nil
	}
	base, of, factors := float32((1-c.cfg.LabelSmoothing)*c.entropyFactor(t)), w.factors, w.max[:t.keptN]
	for k := range c.width {
		of[kinds+k] = base * c.entropyWeight(k)
	}
	for i, own := range t.target {
		factors[i] = of[kinds+own] // void has 0
	}
	return factors
}

// hasEntropy says whether a tile's pixels are in a mean of cross-entropies.
func (c *call) hasEntropy(t *tile) bool { return c.lambda != 0 && c.unitOf(t.group).terms != 0 }

// entropyFactor is what all cross-entropies of a tile's pixels are multiplied by in the loss, but for their weights.
func (c *call) entropyFactor(t *tile) float64 {
	return c.lambda / c.unitOf(t.group).terms / float64(c.took)
}

// addSigmoidEntropyGradient adds the gradient of the cross-entropy of sigmoids, which is that of a softmax with a factor for every class.
func (c *call) addSigmoidEntropyGradient(w *worker, t *tile, dst []float32, stride int) {
	if !c.hasEntropy(t) {
		return
	}
	n, s, sStride, factors := t.keptN, c.planesOf(t), c.groups[t.group].stride, w.max[:t.keptN]
	for k := range c.width {
		base := float32(c.entropyFactor(t)) * c.entropyWeight(t.class+k)
		for i, own := range t.target {
			factors[i] = 0
			if own != voidBackground {
				factors[i] = base
			}
		}
		lossAddProduct(c.isa, dst[k*stride:][:n], s[k*sStride:][:n], factors)
	}
	if c.cfg.LabelSmoothing > 0 {
		c.addSmoothingGradient(t, dst, stride)
	}
}

// addSmoothingGradient adds what the labels' smoothing adds to the gradient.
func (c *call) addSmoothingGradient(t *tile, dst []float32, stride int) {
	if !c.hasEntropy(t) {
		return
	}
	s, sStride, factor := c.planesOf(t), c.groups[t.group].stride, c.entropyFactor(t)
	smooth := float32(c.cfg.LabelSmoothing / float64(c.width) * factor)
	half := float32(c.cfg.LabelSmoothing / 2)
	for k := range c.width {
		weight := c.entropyWeight(t.class + k)
		s, d := s[k*sStride:][:t.keptN], dst[k*stride:][:t.keptN]
		for i, own := range t.target {
			switch {
			case own == voidBackground:
			case c.activation == SoftmaxActivation:
				p := s[i]
				if int(own) == k {
					p = c.own[t.kept+i]
				}
				d[i] += float32(smooth * (float32(c.entropySum*p) - weight))
			case int(own) == k:
				d[i] += float32(float32(factor) * weight * half)
			default:
				d[i] -= float32(float32(factor) * weight * half)
			}
		}
	}
}
