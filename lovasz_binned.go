package lanewise

import (
	"math"
	"math/bits"
)

// The binned weights. Errors that agree in their exponent and in the leading binBits bits of their mantissa count as ties, so that the state
// of a class is a table of integers: nothing is sorted, and tables from any number of machines add up. The loss is convex, and binned
// weights are means of the vertices of the same polytope that the exact loss L is the maximum over; so the binned loss L′ is a lower bound,
//
//	L′ ≤ L ≤ (1 + 2⁻⁹)·L′ + 2⁻³²
//
// and the counts alone give a sharper one (gap).
const (
	binBits  = 9
	octaves  = 32           // errors below 2⁻³² are all in bin 0, and add nothing
	restBits = 23 - binBits // of the mantissa, within a bin
	firstBin = (127-octaves)<<binBits - 1
	binCount = octaves<<binBits + 2 // the last one holds the errors that are 1
)

// A bin counts the pixels of a class whose errors fall into it, and adds up the rest of the mantissas: index 0 is background, 1 foreground.
type bin struct {
	count, rest [2]uint64
}

func (b *bin) pixels() uint64 { return b.count[0] + b.count[1] }

// bins are the state of one class.
type bins []bin

// foreground is G, the number of foreground pixels.
func (b bins) foreground() int64 {
	var g uint64
	for i := range b {
		g += b[i].count[1]
	}
	return int64(g)
}

// clear empties the bins, and makes them first where there are none.
func (b *bins) clear() {
	if *b == nil {
		*b = make(bins, binCount)
	}
	clear(*b)
}

// merge adds the counts of another state.
func (b bins) merge(other bins) {
	for i := range other {
		for f := range 2 {
			b[i].count[f] += other[i].count[f]
			b[i].rest[f] += other[i].rest[f]
		}
	}
}

// errorSum is Σ e over the pixels of bin i, foreground or not.
func (b bins) errorSum(i, f int) float64 {
	octave, step := (i-1)>>binBits, (i-1)&(1<<binBits-1)
	hi, lo := bits.Mul64(b[i].count[f], uint64(1<<binBits+step)<<restBits)
	lo, carry := bits.Add64(lo, b[i].rest[f], 0)
	mantissas := float64(lo)
	if hi += carry; hi > 0 { // more than 2⁴⁰ pixels in one bin
		mantissas += float64(hi) * 0x1p64
	}
	return mantissas * power2(octave-octaves-23)
}

// power2 returns 2ᵏ, where that is a normal number.
func power2(k int) float64 { return math.Float64frombits(uint64(1023+k) << 52) }

// loss returns the loss of a class with g foreground pixels, and a bound of how far the loss of the exact errors lies above it.
func (b bins) loss(g int64) (loss, gap float64) {
	var certificate, rest float64
	tp, fp := int64(0), int64(0)
	for i := len(b) - 1; i >= 0; i-- {
		bg, fg := int64(b[i].count[0]), int64(b[i].count[1])
		if bg+fg == 0 {
			continue
		}
		if g == 0 { // the highest bin shares the weight 1
			if i == 0 {
				rest = 1
			} else {
				loss = float64(1/float64(bg)) * b.errorSum(i, 0)
				certificate = binWidth(i) * (1 - 1/float64(bg))
			}
			break
		}
		a, bb := g+fp, g+fp+bg
		if i == 0 { // these errors add nothing; the Jaccard loss's step over them is what they may weigh
			rest = float64(g-tp) / float64(a)
			break
		}
		ab := float64(a) * float64(bb)
		// d adds up how far the weights are off: the exact one of each pixel lies between those of the bin's first and last.
		var d float64
		if fg > 0 {
			wf := float64(a+bb) / (2 * ab)
			loss += float64(wf * b.errorSum(i, 1))
			d = float64(fg) * (1/float64(a) - 1/float64(bb)) / 2
		}
		if bg > 0 {
			wb := float64(2*g-tp-(tp+fg)) / 2 / ab
			loss += float64(wb * b.errorSum(i, 0))
			first := float64(g-tp) / (float64(a) * float64(a+1))
			last := float64(g-tp-fg) / (float64(bb) * float64(bb-1))
			d += float64(float64(bg) * max(math.Abs(first-wb), math.Abs(last-wb)))
		}
		certificate += float64(binWidth(i) / 2 * d)
		tp, fp = tp+fg, fp+bg
	}
	const least = 1.0 / (1 << octaves)
	gap = min(certificate+float64(least*rest), float64(loss/(1<<binBits))+least) + float64(loss*0x1p-40)
	return loss, gap
}

// binWidth is how far the errors of bin i > 0 may lie apart; those of the last one are all 1.
func binWidth(i int) float64 {
	if i == binCount-1 {
		return 0
	}
	return power2((i-1)>>binBits - octaves - binBits)
}

// A binnedScratch is what one worker needs.
type binnedScratch struct {
	bins    bins
	packed  *[2 * binCount]uint64 // of the bins' background, then of their foreground: pixels<<packedShift + Σ of the keys below the bin; all 0 between classes
	counted int                   // pixels in packed
	table   []float32
}

const (
	packedShift = 39
	packedMost  = 1 << (packedShift - restBits - 1) // pixels that sum and count have room for
)

// binOf returns the bin of an error in [0, 1] that has these bits.
func binOf(e uint32) int { return max(0, int(e>>restBits)-firstBin) }

// binFloor returns the bits of the smallest error in the bin of the one with these bits.
func binFloor(e uint32) uint32 {
	if binOf(e) == 0 {
		return 0
	}
	return e &^ (1<<restBits - 1)
}

// count counts errors by their keys, of at most packedMost pixels; flush adds them to the bins.
func (s *binnedScratch) count(b bins, keys []uint32) {
	if s.packed == nil {
		s.packed = new([2 * binCount]uint64)
	}
	if s.counted+len(keys) > packedMost {
		s.flush(b)
	}
	s.counted += len(keys)
	active.sparse.tally(s.packed[:], keys)
}

func (s *binnedScratch) flush(b bins) {
	if s.counted == 0 {
		return
	}
	s.counted = 0
	for f := range 2 {
		for i, p := range s.packed[f*binCount:][:binCount] {
			if p != 0 {
				n, sum := p>>packedShift, p&(1<<packedShift-1)
				b[i].count[f] += n
				b[i].rest[f] += (sum - n*uint64(f)) / 2 // a key is 2·(bits of the error) + (1 for foreground)
			}
		}
	}
	clear(s.packed[:])
}

// weights fills in the weights of background and foreground of the bins from lowest on, for a class with g foreground pixels. Those below
// are empty.
func (b bins) weights(table []float32, lowest int, g int64) {
	clear(table)
	tp, fp := int64(0), int64(0)
	for i := len(b) - 1; i >= lowest; i-- {
		bg, fg := int64(b[i].count[0]), int64(b[i].count[1])
		if bg+fg == 0 {
			continue
		}
		w := (*[2]float32)(table[2*(i-lowest):])
		if g == 0 {
			w[0] = 1 / float32(bg)
			break
		}
		a, bb := g+fp, g+fp+bg
		w[0] = weight32(2*g-tp-(tp+fg), a, bb)
		if fg > 0 {
			w[1] = weight32(a+bb, a, bb)
		}
		tp, fp = tp+fg, fp+bg
	}
}

// countErrors adds the errors of one class of one group whose bits are at least from to its bins.
func (l *Lovasz) countErrors(w *worker, b bins, g, c int, from uint32) {
	group := &l.groups[g]
	for i := range group.blocks {
		w.keys.restart(from)
		w.keys.split(active.sparse, l.plane(&l.blocks[group.firstBlock+i], c))
		w.binned.count(b, w.keys.all())
	}
	w.binned.flush(b)
}

// A binTable says where the gradient finds the weights of a class of a group: by bin, in the beginning of its plane of sparse, or where
// that is too short for the bins, by pixel.
type binTable struct {
	lowest  int // bin
	byPixel bool
}

func (t *binTable) size() int { return 2 * (binCount - t.lowest) }

// keepWeights keeps the weights of one class of one group, of which no bin is filled below the one of the error with the bits from.
func (l *Lovasz) keepWeights(w *worker, b bins, g, c int, from uint32) {
	group, class, plane := &l.groups[g], &l.classes[g*l.cfg.Classes+c], l.sparseOf(g, c)
	t := &class.table
	t.lowest = max(binOf(from)-1, 0) // what lies below the bin of from weighs what this one weighs: nothing
	t.byPixel = t.size() > group.stride
	table := plane
	if t.byPixel {
		w.binned.table = resize(w.binned.table, t.size())
		table = w.binned.table
	}
	b.weights(table[:t.size()], t.lowest, class.foreground.Load())
	if t.byPixel {
		t.lookUp(plane[:group.keptN], l.probs[group.planes+c*group.stride:][:group.keptN], table, l.share(g, c))
	}
}

// lookUp writes to dst what the weights in table contribute to the gradient.
func (t *binTable) lookUp(dst, probs, table []float32, factor float32) {
	active.sparse.lookUp(dst, probs, table[:t.size()], uint32(firstBin+t.lowest), factor)
}
