package lanewise

import (
	"math"
	"unsafe"
)

// Hinge returns the binary Lovász hinge (Yu and Blaschko, 2015) of one score per pixel, without a sigmoid: scores [images, pixels], labels
// [images, pixels] 0 or 1, or void. The error of a pixel is max(0, 1 − s) for foreground and max(0, 1 + s) for background; where there is
// no foreground the largest error has the weight 1. The gradient goes to grad unless that is nil; it has the length of scores and may be
// the same slice; an error that is 0 has gradient 0.
//
// It is always exact. Of the configuration only VoidLabels, Void (AsBackground makes void pixels 0), PerImage and Workers matter. PerClass
// is nil, and Gap 0. A score that is not finite is ErrNotFinite; the other errors are those of Forward.
func (l *Lovasz) Hinge(grad, scores []float32, labels []int32, images int) (LovaszResult, error) {
	defer l.end()
	if grad != nil {
		if err := checkGradient(grad, scores, "scores"); err != nil {
			return LovaszResult{}, err
		}
	}
	if err := l.divide(input{grad: grad, logits: scores, labels: labels, images: images, hinge: true}, &l.binary); err != nil {
		return LovaszResult{}, err
	}
	l.probs = resize(l.probs, len(l.target)) // for the errors, then their weights
	if err := l.tryBlocks((*Lovasz).hingeErrors); err != nil {
		return LovaszResult{}, err
	}
	l.each(len(l.groups), (*Lovasz).hingeWeights)
	for g := range l.groups {
		if group := &l.groups[g]; group.keptN > 0 {
			group.takesPart = true
			l.images++
		}
	}
	r := l.meanOfGroups()
	r.Loss = r.Lovasz
	if grad != nil {
		l.each(len(l.blocks), (*Lovasz).hingeGradient)
	}
	return r, nil
}

func hingeError(score float32, target int32) float32 {
	if target == 0 {
		score = -score
	}
	return max(0, 1+score)
}

func (l *Lovasz) hingeErrors(w *worker, task int) {
	b := &l.blocks[task]
	errors := l.probs[b.kept:][:0]
	for i, s := range l.in.logits[b.pixel:][:b.pixels] {
		t := l.binary.target(l.in.labels[b.pixel+i])
		if t == dropped {
			continue
		}
		if s-s != 0 {
			pixel := b.pixel + i
			w.err = pixelErrorf(ErrNotFinite, pixel, 0, "score of pixel %d is %v", pixel, s)
			return
		}
		errors = append(errors, hingeError(s, t))
	}
}

// hingeWeights replaces the errors of one group by their weights, and adds up its loss: in float64 and in the pixels' order, since the
// errors are not bounded.
func (l *Lovasz) hingeWeights(w *worker, task int) {
	group, foreground := &l.groups[task], l.classes[task].foreground.Load()
	errors, target := l.probs[group.kept:][:group.keptN], l.target[group.kept:][:group.keptN]
	smallest, largest := uint32(math.MaxUint32), uint32(0) // of foreground, and of all
	for i, e := range errors {
		b := math.Float32bits(e)
		largest = max(largest, b)
		if target[i] == 0 {
			smallest = min(smallest, b)
		}
	}
	from := min(smallest, largest)
	keys := ensure(w.keys.keys[0], 0, len(errors))
	w.keys.keys[0] = keys
	n := 0
	for i, e := range errors {
		if b := math.Float32bits(e); b >= from {
			keys[n] = b << 1
			if target[i] == 0 {
				keys[n]++
			}
			n++
		}
	}
	weights := unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(keys))), n)
	sortedWeights(&w.exact.sorter, keys[:n], foreground, weights)
	n = 0
	for i, e := range errors {
		var weight float32
		if math.Float32bits(e) >= from {
			weight = weights[n]
			n++
		}
		group.lovasz += float64(float64(e) * float64(weight))
		errors[i] = weight
	}
}

func (l *Lovasz) hingeGradient(w *worker, task int) {
	b := &l.blocks[task]
	at := b.kept
	share := float32(1 / float64(l.images))
	grad := l.in.grad[b.pixel:][:b.pixels]
	for i, s := range l.in.logits[b.pixel:][:b.pixels] {
		t := l.binary.target(l.in.labels[b.pixel+i])
		if t == dropped {
			grad[i] = 0
			continue
		}
		v := l.probs[at] * share
		at++
		if hingeError(s, t) == 0 {
			v = 0
		} else if t == 0 {
			v = -v
		}
		grad[i] = v
	}
}
