package lanewise

import (
	"math"
	"math/bits"
)

// What a label stands for, where it is not a class.
const (
	background     int32 = -1 - iota // of the one class of a binary mask
	voidBackground                   // void, and background for every class
	dropped                          // void, takes no part
	unknown                          // an error
)

// A labelMap says what labels stand for.
type labelMap struct {
	classes int
	of      []int32         // the labels from 0 on
	other   map[int32]int32 // void labels that are not in of
}

func newLabelMap(cfg LovaszConfig, classes int) labelMap {
	m := labelMap{classes: classes, of: make([]int32, max(classes, 256)), other: map[int32]int32{}}
	for i := range m.of {
		switch {
		case classes == 1 && i < 2:
			m.of[i] = [2]int32{background, 0}[i]
		case i < classes:
			m.of[i] = int32(i)
		default:
			m.of[i] = unknown
		}
	}
	void := dropped
	if cfg.Void == AsBackground {
		void = voidBackground
	}
	for _, label := range cfg.VoidLabels {
		if label >= 0 && int(label) < len(m.of) {
			m.of[label] = void
		} else {
			m.other[label] = void
		}
	}
	return m
}

func (m *labelMap) target(label int32) int32 {
	if uint(label) < uint(len(m.of)) {
		return m.of[label]
	}
	if void, ok := m.other[label]; ok {
		return void
	}
	return unknown
}

func (m *labelMap) errorAt(pixel int, label int32) error {
	if m.classes == 1 {
		return pixelErrorf(ErrLabel, pixel, -1, "label %d at pixel %d is neither 0 nor 1, and not in VoidLabels", label, pixel)
	}
	return pixelErrorf(ErrLabel, pixel, -1, "label %d at pixel %d is outside [0, %d) and not in VoidLabels", label, pixel, m.classes)
}

// maxEmptyImages is how many images a call may have that has no pixels: a bad number must not cost memory or time.
const maxEmptyImages = 1 << 16

// divide checks the shapes and the labels, and cuts the pixels into groups and blocks.
func (l *Lovasz) divide(in input, labels *labelMap) error {
	if in.images < 1 {
		return errorf(ErrShape, "images is %d, want at least 1", in.images)
	}
	if in.images > max(len(in.labels), maxEmptyImages) {
		return errorf(ErrShape, "%d images of %d labels", in.images, len(in.labels))
	}
	if len(in.labels)%in.images != 0 {
		return errorf(ErrShape, "%d labels do not divide into %d images", len(in.labels), in.images)
	}
	in.pixels = len(in.labels) / in.images
	if hi, want := bits.Mul64(uint64(len(in.labels)), uint64(labels.classes)); hi != 0 || want != uint64(len(in.logits)) {
		if in.hinge {
			return errorf(ErrShape, "scores hold %d values, want %d images × %d pixels", len(in.logits), in.images, in.pixels)
		}
		return errorf(ErrShape, "logits hold %d values, want %d images × %d pixels × %d classes", len(in.logits), in.images, in.pixels, labels.classes)
	}
	if len(in.labels) > math.MaxInt32 {
		return errorf(ErrShape, "%d pixels in one call, want at most 2³¹ − 1", len(in.labels))
	}
	if !l.cfg.PerImage && (l.cfg.Layout == PixelMajor || in.hinge) {
		in.images, in.pixels = 1, len(in.labels) // their pixels follow each other
	}
	in.targets = labels
	l.in = in
	l.blocks, l.target, l.images = l.blocks[:0], resize(l.target, len(in.labels)), 0
	groups := 1
	if l.cfg.PerImage {
		groups = in.images
	}
	l.groups = resize(l.groups, groups)
	l.classes = resize(l.classes, groups*labels.classes)
	clear(l.groups)
	clear(l.classes)
	for image := range in.images {
		g := 0
		if l.cfg.PerImage {
			g = image
		}
		for i := 0; i < in.pixels; i += blockSize {
			l.blocks = append(l.blocks, block{pixel: image*in.pixels + i, pixels: min(blockSize, in.pixels-i), image: image, group: g})
		}
	}
	l.labelError = l.try(len(l.blocks), (*Lovasz).readLabels)
	l.keep()
	return nil
}

// readLabels writes the targets of a block's pixels that take part to where the block begins in l.target, and counts them.
func (l *Lovasz) readLabels(w *worker, task int) {
	b, labels := &l.blocks[task], l.in.targets
	w.counts = resize(w.counts, labels.classes)
	counts, target := w.counts, l.target[b.pixel:][:b.pixels]
	clear(counts)
	kept := 0
	for i, label := range l.in.labels[b.pixel:][:b.pixels] {
		t := labels.target(label)
		switch {
		case t >= 0:
			counts[t]++
		case t == dropped:
			continue
		case t == voidBackground:
			b.entropyN--
		case t == unknown:
			w.err = labels.errorAt(b.pixel+i, label)
			b.pixels = i
		}
		if w.err != nil {
			break
		}
		target[kept] = t
		kept++
	}
	b.keptN = kept
	b.entropyN += kept
	classes := l.classes[b.group*labels.classes:]
	for c, n := range counts {
		if n > 0 {
			classes[c].foreground.Add(int64(n))
		}
	}
}

// keep lays the targets of all blocks side by side, and tells the groups what is theirs. After a bad label only the pixels before it
// are left: one of them may have a bad logit, which is then to be named.
func (l *Lovasz) keep() {
	kept, entropy := 0, 0
	for i := range l.blocks {
		b := &l.blocks[i]
		if l.labelError != nil && b.pixel > l.labelError.(*PixelError).Pixel {
			l.blocks = l.blocks[:i]
			break
		}
		g := &l.groups[b.group]
		if g.blocks == 0 {
			g.firstBlock, g.kept = i, kept
		}
		g.blocks++
		if kept < b.pixel {
			copy(l.target[kept:], l.target[b.pixel:][:b.keptN])
		}
		b.kept, b.entropy = kept, entropy
		g.keptN += b.keptN
		g.entropyN += b.entropyN
		kept += b.keptN
		entropy += b.entropyN
	}
	l.target = l.target[:kept]
}
