package lanewise

import (
	"math"
	"slices"
)

// tile cuts a tile off what is left of a block.
func (l *Lovasz) tile(w *worker, rest *block) tile {
	w.resize(l.cfg.Classes, l.size)
	t := tile{block: *rest}
	t.pixels = min(l.size, rest.pixels)
	if rest.keptN == rest.pixels {
		t.picked = l.everyPixel[:t.pixels]
	} else {
		t.picked = w.picked[:0]
		for i, label := range l.in.labels[t.pixel:][:t.pixels] {
			if l.targets.target(label) != dropped {
				t.picked = append(t.picked, int32(i))
			}
		}
	}
	t.keptN = len(t.picked)
	rest.pixel, rest.pixels = rest.pixel+t.pixels, rest.pixels-t.pixels
	rest.kept, rest.keptN = rest.kept+t.keptN, rest.keptN-t.keptN
	return t
}

// targetOf returns the targets of the pixels of a tile that take part.
func (l *Lovasz) targetOf(t *tile) []int32 { return l.target[t.kept:][:t.keptN] }

// probabilities finds the signed probabilities of a block's pixels, the foreground that is nearest to being right, and the cross-entropies.
func (l *Lovasz) probabilities(w *worker, task int) {
	entropy := l.blocks[task].entropy
	for rest := l.blocks[task]; rest.pixels > 0; {
		t := l.tile(w, &rest)
		if w.err = l.activate(w, &t); w.err != nil {
			return
		}
		if l.cfg.CrossEntropy > 0 {
			entropy = l.tileEntropy(w, &t, entropy)
		}
		l.mark(&t)
	}
}

// mark negates the probabilities that the tile's pixels have in their own classes, and tells these of their foreground.
func (l *Lovasz) mark(t *tile) {
	probs, stride, classes := l.planesOf(t), l.groups[t.group].stride, l.classes[t.group*l.cfg.Classes:][:l.cfg.Classes]
	for i, c := range l.targetOf(t) {
		if c >= 0 {
			p := &probs[int(c)*stride+i]
			*p = -*p
			if e := oneBits - math.Float32bits(1+*p); e > classes[c].nearest.Load() {
				classes[c].see(e)
			}
		}
	}
}

// see makes the class's nearest foreground this near, if it is not nearer.
func (c *class) see(near uint32) {
	for nearest := c.nearest.Load(); near > nearest; nearest = c.nearest.Load() {
		c.nearest.CompareAndSwap(nearest, near)
	}
}

// smallest is the bits of the smallest error of foreground.
func (c *class) smallest() uint32 { return oneBits - c.nearest.Load() }

// planesOf returns the planes of a tile's pixels in l.probs; they are the group's stride apart.
func (l *Lovasz) planesOf(t *tile) []float32 {
	group := &l.groups[t.group]
	return l.probs[group.planes+t.kept-group.kept:]
}

// plane returns one plane of the pixels of a block.
func (l *Lovasz) plane(b *block, c int) []float32 {
	group := &l.groups[b.group]
	return l.probs[group.planes+c*group.stride+b.kept-group.kept:][:b.keptN]
}

// turns says whether kernels take the tile's pixels as rows of logits and turn these to planes themselves, and where no cross-entropy is
// to be added, gradients back.
func (l *Lovasz) turns(t *tile) bool {
	return l.cfg.Layout == PixelMajor && t.keptN == t.pixels && l.cfg.Activation == SoftmaxActivation && l.cfg.Classes <= maxLanes
}

// activate writes the probabilities of the tile's pixels that take part to l.probs, and where they come from a softmax the largest logit
// and Σ exp(x − max) to w.max and w.sum, from a sigmoid exp(−|x|) to w.exp. The error is that of the first bad pixel.
func (l *Lovasz) activate(w *worker, t *tile) error {
	classes, n, stride := l.cfg.Classes, t.keptN, l.groups[t.group].stride
	probs := l.planesOf(t)
	src, srcStride := l.in.logits[l.logit(t.pixel, &t.block, 0):], l.in.pixels
	turns := l.turns(t)
	if !turns && (l.cfg.Layout == PixelMajor || n < t.pixels) {
		src, srcStride = w.dprobs, l.size
		l.gather(src, srcStride, t)
	}
	bad := -1
	switch l.cfg.Activation {
	case SoftmaxActivation:
		if turns {
			softmaxRowsToPlanes(active, probs, src, w.max, w.sum, classes, n, stride)
		} else {
			columnSoftmax(active, probs, src, w.max, w.sum, classes, n, stride, srcStride)
		}
		if sums := w.sum[:n]; n > 0 && math.IsNaN(float64(sum(active, sums))) {
			bad = slices.IndexFunc(sums, func(s float32) bool { return s != s })
		}
		if l.cfg.CrossEntropy > 0 {
			if i := l.firstMinusInf(t); i >= 0 && (bad < 0 || i < bad) {
				bad = i
			}
		}
	case SigmoidActivation:
		bad = sigmoidPlanes(probs, w.exp, src, classes, n, stride, l.size, srcStride, l.cfg.CrossEntropy > 0)
	case NoActivation:
		bad = clampPlanes(probs, src, classes, n, stride, srcStride)
	}
	if bad < 0 {
		return nil
	}
	return l.pixelError(&t.block, t.pixel+int(t.picked[bad]), l.target[t.kept+bad])
}

// sigmoidPlanes writes the sigmoid of src to probs, and exp(−|x|), which it is made of, to exps. It returns the first column with a NaN (if
// finite is asked for: with an infinity, too), or −1. src may be probs.
func sigmoidPlanes(probs, exps, src []float32, planes, n, stride, expStride, srcStride int, finite bool) int {
	bad := n
	for k := range planes {
		x, p, e := src[k*srcStride:][:n], probs[k*stride:][:n], exps[k*expStride:][:n]
		for i, v := range x {
			if !(v-v == 0) && (finite || v != v) {
				bad = min(bad, i)
			}
			e[i] = -float32(math.Abs(float64(v)))
		}
		exp(e, e, 0)
		for i, v := range x {
			if v >= 0 {
				p[i] = 1 / (1 + e[i])
			} else {
				p[i] = e[i] / (1 + e[i])
			}
		}
	}
	if bad == n {
		return -1
	}
	return bad
}

// clampPlanes writes probabilities clamped to [0, 1] to probs. It returns the first column with one that is none, or −1. src may be probs.
func clampPlanes(probs, src []float32, planes, n, stride, srcStride int) int {
	bad := n
	for k := range planes {
		p := probs[k*stride:][:n]
		for i, v := range src[k*srcStride:][:n] {
			if !probable(v) {
				bad = min(bad, i)
			}
			p[i] = min(max(v, 0), 1)
		}
	}
	if bad == n {
		return -1
	}
	return bad
}

// probable says whether p is in [0, 1], or off by no more than what rounding does.
func probable(p float32) bool { return float64(p) >= -1e-6 && float64(p) <= 1+1e-6 }

// firstMinusInf returns which pixel of the tile is the first to have a logit of −Inf at its own label, or −1.
func (l *Lovasz) firstMinusInf(t *tile) int {
	for i, c := range l.targetOf(t) {
		if c >= 0 && math.IsInf(float64(l.in.logits[l.logit(t.pixel+int(t.picked[i]), &t.block, int(c))]), -1) {
			return i
		}
	}
	return -1
}

// logit returns where a logit stands.
func (l *Lovasz) logit(pixel int, b *block, class int) int {
	if l.cfg.Layout == ClassMajor {
		return b.image*l.in.pixels*l.cfg.Classes + class*l.in.pixels + pixel - b.image*l.in.pixels
	}
	return pixel*l.cfg.Classes + class
}

// gather copies the logits of the picked pixels of a tile to planes.
func (l *Lovasz) gather(planes []float32, stride int, t *tile) {
	if l.cfg.Layout == ClassMajor {
		for c := range l.cfg.Classes {
			x := l.in.logits[l.logit(t.pixel, &t.block, c):]
			plane := planes[c*stride:][:len(t.picked)]
			for i, p := range t.picked {
				plane[i] = x[p]
			}
		}
		return
	}
	if len(t.picked) == t.pixels {
		transpose(active, planes, l.in.logits[l.logit(t.pixel, &t.block, 0):], t.pixels, l.cfg.Classes, stride, l.cfg.Classes)
		return
	}
	for i, p := range t.picked {
		for c, x := range l.in.logits[l.logit(t.pixel+int(p), &t.block, 0):][:l.cfg.Classes] {
			planes[c*stride+i] = x
		}
	}
}

// pixelError says what is wrong with the logits of a pixel.
func (l *Lovasz) pixelError(b *block, pixel int, target int32) error {
	for c := range l.cfg.Classes {
		x := float64(l.in.logits[l.logit(pixel, b, c)])
		switch {
		case l.cfg.Activation == NoActivation:
			if x != x {
				return pixelErrorf(ErrNotFinite, pixel, c, "probability of pixel %d, class %d is NaN", pixel, c)
			}
			if !probable(float32(x)) {
				return pixelErrorf(ErrRange, pixel, c, "probability of pixel %d, class %d is %v, outside [0, 1]", pixel, c, float32(x))
			}
		case x != x:
			return pixelErrorf(ErrNotFinite, pixel, c, "logit of pixel %d, class %d is NaN", pixel, c)
		case math.IsInf(x, 1) && (l.cfg.Activation == SoftmaxActivation || l.cfg.CrossEntropy > 0):
			return pixelErrorf(ErrNotFinite, pixel, c, "logit of pixel %d, class %d is +Inf", pixel, c)
		case math.IsInf(x, -1) && l.cfg.CrossEntropy > 0 && (int32(c) == target || l.cfg.Activation == SigmoidActivation):
			return pixelErrorf(ErrNotFinite, pixel, c, "logit of pixel %d, class %d is -Inf: its cross-entropy is infinite", pixel, c)
		}
	}
	return pixelErrorf(ErrNotFinite, pixel, 0, "logits of pixel %d are all -Inf, from class 0 on", pixel)
}

// tileEntropy writes the cross-entropies of a tile's pixels to l.entropy from at on, and returns where the next tile's go.
func (l *Lovasz) tileEntropy(w *worker, t *tile, at int) int {
	for i, own := range l.targetOf(t) {
		if own == voidBackground {
			continue
		}
		pixel := t.pixel + int(t.picked[i])
		var h float64
		if l.cfg.Activation == SoftmaxActivation {
			x := l.in.logits[l.logit(pixel, &t.block, int(own))]
			h = float64(float32(log(float64(w.sum[i]))) - (x - w.max[i]))
		} else {
			for c := range l.cfg.Classes {
				x := float64(l.in.logits[l.logit(pixel, &t.block, c)])
				if int32(c) == own {
					h += max(-x, 0)
				} else {
					h += max(x, 0)
				}
				h += log(1 + float64(w.exp[c*l.size+i]))
			}
		}
		l.entropy[at] = h
		at++
	}
	return at
}

// gradient writes the gradient of a block's pixels.
func (l *Lovasz) gradient(w *worker, task int) {
	if l.cfg.Method == Exact {
		w.cursors = append(w.cursors[:0], l.cursors[task*l.cfg.Classes:][:l.cfg.Classes]...)
	}
	for rest := l.blocks[task]; rest.pixels > 0; {
		t := l.tile(w, &rest)
		l.probGradients(w, &t)
		grad, group := l.in.grad[l.logit(t.pixel, &t.block, 0):], &l.groups[t.group]
		switch {
		case l.turns(&t) && l.cfg.CrossEntropy == 0:
			softmaxPlanesGradToRows(active, grad, l.planesOf(&t), w.dprobs, l.cfg.Classes, t.pixels, group.stride, l.size)
		case l.cfg.Layout == ClassMajor && t.keptN == t.pixels:
			l.logitGradients(w, &t, grad, l.in.pixels)
		default:
			l.logitGradients(w, &t, w.grads, l.size)
			l.scatter(w, &t)
		}
	}
}

// probGradients writes the gradient by the probabilities of the tile's pixels that take part to w.dprobs.
func (l *Lovasz) probGradients(w *worker, t *tile) {
	if l.cfg.Activation == SigmoidActivation {
		l.activate(w, t) // for exp(−|x|), before the logits may be overwritten
		l.mark(t)
	}
	for c := range l.cfg.Classes {
		l.probGradient(w, w.dprobs[c*l.size:][:t.keptN], t, c)
	}
}

// logitGradients writes the gradient by the logits of the tile's pixels that take part, plane by plane.
func (l *Lovasz) logitGradients(w *worker, t *tile, dst []float32, stride int) {
	group := &l.groups[t.group]
	classes, n := l.cfg.Classes, t.keptN
	switch l.cfg.Activation {
	case SoftmaxActivation:
		columnSoftmaxGrad(active, dst, l.planesOf(t), w.dprobs, classes, n, stride, group.stride, l.size)
	case SigmoidActivation:
		for c := range classes {
			v, e, grad := w.dprobs[c*l.size:][:n], w.exp[c*l.size:][:n], dst[c*stride:][:n]
			for i, e := range e {
				grad[i] = (1 / (1 + e)) * (e / (1 + e)) * v[i]
			}
		}
	case NoActivation:
		for c := range classes {
			copy(dst[c*stride:][:n], w.dprobs[c*l.size:])
		}
	}
	if l.cfg.CrossEntropy == 0 {
		return
	}
	share := float32(l.cfg.CrossEntropy / l.entropyTerms(group) / float64(l.images))
	for c := range classes {
		p, grad := l.plane(&t.block, c), dst[c*stride:][:n]
		for i, own := range l.targetOf(t) {
			if own == voidBackground {
				continue
			}
			d := p[i]
			if own == int32(c) {
				d = -d - 1
			}
			grad[i] += float32(share * d)
		}
	}
}

// probGradient writes to dst the gradient by the probabilities that a tile's pixels have in a class.
func (l *Lovasz) probGradient(w *worker, dst []float32, t *tile, c int) {
	group, class := &l.groups[t.group], &l.classes[t.group*l.cfg.Classes+c]
	probs, weights := l.plane(&t.block, c), l.sparseOf(t.group, c)
	switch {
	case !class.takesPart || group.weight == 0:
		clear(dst)
	case l.cfg.Method == Exact:
		class.ranges.expand(active, dst, probs, weights, &w.cursors[c], l.share(t.group, c))
	case class.table.byPixel:
		copy(dst, weights[t.kept-group.kept:])
	default:
		class.table.lookUp(dst, probs, weights, l.share(t.group, c))
	}
}

// share is what a class's loss counts in the mean.
func (l *Lovasz) share(g, c int) float32 {
	return float32(l.weights[c] / l.groups[g].weight / float64(l.images))
}

// scatter writes w.grads to the gradient, and 0 for the pixels that take no part.
func (l *Lovasz) scatter(w *worker, t *tile) {
	size, classes := l.size, l.cfg.Classes
	if l.cfg.Layout == ClassMajor {
		for c := range classes {
			grad := l.in.grad[l.logit(t.pixel, &t.block, c):][:t.pixels]
			clear(grad)
			for i, p := range t.picked {
				grad[p] = w.grads[c*size+i]
			}
		}
		return
	}
	grad := l.in.grad[l.logit(t.pixel, &t.block, 0):][:t.pixels*classes]
	if len(t.picked) == t.pixels {
		transpose(active, grad, w.grads, classes, t.pixels, classes, size)
		return
	}
	clear(grad)
	for i, p := range t.picked {
		row := grad[int(p)*classes:][:classes]
		for c := range row {
			row[c] = w.grads[c*size+i]
		}
	}
}
