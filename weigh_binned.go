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

// bins are the state of one class.
type bins []bin

// pixels returns how many there are, and how many of them are foreground, G.
func (b bins) pixels() (all, foreground int64) {
	for i := range b {
		all += int64(b[i].count[0] + b[i].count[1])
		foreground += int64(b[i].count[1])
	}
	return all, foreground
}

// clear empties the bins from lowest on, and makes them first where there are none.
func (b *bins) clear(lowest int) {
	if *b == nil {
		*b = make(bins, binCount)
	}
	clear((*b)[lowest:])
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

// errorSums are Σ e over the background and the foreground of bin i, whose mantissas are added up in units of 2⁻²³.
func (b bins) errorSums(i int) (background, foreground float64) {
	octave, step := (i-1)>>binBits, (i-1)&(1<<binBits-1)
	first, unit := uint64(1<<binBits+step)<<restBits, power2(octave-octaves-23)
	return mantissas(b[i].count[0], first, b[i].rest[0]) * unit, mantissas(b[i].count[1], first, b[i].rest[1]) * unit
}

// mantissas returns n·first + rest.
func mantissas(n, first, rest uint64) float64 {
	hi, lo := bits.Mul64(n, first)
	lo, carry := bits.Add64(lo, rest, 0)
	if hi += carry; hi > 0 { // more than 2⁴⁰ pixels in one bin
		return float64(lo) + float64(hi)*0x1p64
	}
	return float64(lo)
}

// power2 returns 2ᵏ, where that is a normal number.
func power2(k int) float64 { return math.Float64frombits(uint64(1023+k) << 52) }

// weigh returns the loss of a class with g foreground pixels, and a bound of how far the loss of the exact errors lies above it; and unless
// table, of zeros, is empty it fills in the weights of background and foreground of the bins from lowest on. Those below are not looked at.
func (b bins) weigh(g int64, lowest int, table []float32) (loss, gap float64) {
	if g == 0 {
		return b.weighAbsent(lowest, table)
	}
	var certificate, rest float64
	tp, fp := int64(0), int64(0)
	for i := len(b) - 1; i >= lowest; i-- {
		bg, fg := int64(b[i].count[0]), int64(b[i].count[1])
		if bg|fg == 0 {
			continue
		}
		if len(table) > 0 {
			w, n := (*[2]float32)(table[2*(i-lowest):]), g+fp+bg
			w[0], w[1] = weight32(2*g-tp-(tp+fg), g+fp, n), weight32(g+fp+n, g+fp, n)
		}
		left, background, foreground := float64(g-tp), float64(bg), float64(fg)
		a, bb := float64(g+fp), float64(g+fp+bg)
		if i == 0 { // these errors add nothing; the Jaccard loss's step over them is what they may weigh
			rest = left / a
			break
		}
		ab := float64(a * bb)
		wf, wb := (a+bb)/(2*ab), (left-float64(foreground/2))/ab
		e0, e1 := b.errorSums(i)
		loss += float64(wf * e1)
		loss += float64(wb * e0)
		// The exact weight of each pixel lies between those of the bin's first and last: foreground's 1/A and 1/B, and background's first
		// and last. d adds up how far they may be from wf and wb.
		first, last := left/(a*(a+1)), (left-foreground)/(bb*max(bb-1, 1)) // without background there is no last one
		d := float64(foreground * background / (2 * ab))                   // 1/A − 1/B is background/(A·B)
		d += float64(background * max(math.Abs(first-wb), math.Abs(last-wb)))
		certificate += float64(binWidth(i) / 2 * d)
		tp, fp = tp+fg, fp+bg
	}
	return loss, gapOf(loss, certificate, rest)
}

// weighAbsent is weigh for a class without foreground: the pixels of the highest bin share the weight 1.
func (b bins) weighAbsent(lowest int, table []float32) (loss, gap float64) {
	i := len(b) - 1
	for i > lowest && b[i].count[0] == 0 {
		i--
	}
	n := b[i].count[0]
	if n == 0 {
		return 0, gapOf(0, 0, 0)
	}
	if len(table) > 0 {
		table[2*(i-lowest)] = 1 / float32(n)
	}
	if i == 0 {
		return 0, gapOf(0, 0, 1)
	}
	share := 1 / float64(n)
	sum, _ := b.errorSums(i)
	loss = share * sum
	return loss, gapOf(loss, binWidth(i)*(1-share), 0)
}

// gapOf is the smaller one of what the counts certify, where bin 0 has rest of the weights, and the bound that holds for all counts.
func gapOf(loss, certificate, rest float64) float64 {
	const least = 1.0 / (1 << octaves)
	return min(certificate+float64(least*rest), float64(loss/(1<<binBits))+least) + float64(loss*0x1p-40)
}

// binWidth is how far the errors of bin i > 0 may lie apart; those of the last one are all 1.
func binWidth(i int) float64 {
	if i == binCount-1 {
		return 0
	}
	return power2((i-1)>>binBits - octaves - binBits)
}

// A binnedWeigher counts the keys by bins.
type binnedWeigher struct {
	isa     ISA
	keys    *keyLists
	stats   stats
	plane   []float32
	lowest  int // bin
	bins    bins
	packed  *[2 * binCount]uint64 // the bins' background, then their foreground: pixels<<packedShift + Σ of the keys without their bin
	counted int                   // pixels in packed, which is all 0 without any
	table   []float32
}

const (
	packedShift = 39
	packedMost  = 1 << (packedShift - restBits - 1) // pixels that sum and count have room for
)

// use makes it part of a call.
func (s *binnedWeigher) use(c *call, w *worker) { s.keys, s.isa = &w.keys, c.isa }

func (s *binnedWeigher) begin(st stats, plane []float32) {
	s.stats, s.plane, s.lowest = st, plane, binOf(st.from)
	s.stats.from = binFloor(s.lowest)
	s.bins.clear(s.lowest)
}

func (s *binnedWeigher) add(piece []float32, _ []uint32) { s.count(s.bins, s.lowest, piece) }

func (s *binnedWeigher) weigh(weights []float32, found *spread) (loss, gap float64) {
	s.flush(s.bins, s.lowest)
	return s.weighBins(s.bins, weights, found)
}

// weighBins finds the weights of bins from s.lowest on.
func (s *binnedWeigher) weighBins(b bins, weights []float32, found *spread) (loss, gap float64) {
	if found == nil {
		return b.weigh(s.stats.foreground, s.lowest, nil)
	}
	lowest := max(s.lowest-1, 0) // a bin with the weight 0, which lookUp gives to all smaller errors
	*found = spread{kind: byBin, lowest: int32(lowest)}
	size := 2 * (binCount - lowest)
	table := weights
	if size > len(s.plane) {
		found.kind = byPixel
		s.table = resize(s.table, size)
		table = s.table
	}
	table = table[:size]
	clear(table)
	loss, gap = b.weigh(s.stats.foreground, s.lowest, table[2*(s.lowest-lowest):])
	if found.kind == byPixel {
		lossLookUp(s.isa, weights[:len(s.plane)], s.plane, table, uint32(firstBin+lowest), 1)
	}
	return loss, gap
}

// count counts errors by their bins, from the bin lowest on. flush adds them to the bins.
func (s *binnedWeigher) count(b bins, lowest int, signed []float32) {
	s.keys.restart(stats{from: binFloor(lowest), top: oneBits})
	s.keys.split(s.isa, signed, nil)
	keys := s.keys.all()
	if s.packed == nil {
		s.packed = new([2 * binCount]uint64)
	}
	if s.counted+len(keys) > packedMost {
		s.flush(b, lowest)
	}
	s.counted += len(keys)
	lossTally(s.isa, s.packed[:], keys)
}

// binOf returns the bin of an error in [0, 1] that has these bits.
func binOf(e uint32) int { return max(0, int(e>>restBits)-firstBin) }

// binFloor returns the bits of the smallest error in a bin.
func binFloor(bin int) uint32 {
	if bin == 0 {
		return 0
	}
	return uint32(firstBin+bin) << restBits
}

func (s *binnedWeigher) flush(b bins, lowest int) {
	if s.counted == 0 {
		return
	}
	s.counted = 0
	for f := range 2 {
		packed := s.packed[f*binCount+lowest:][:binCount-lowest]
		for i, p := range packed {
			n, sum := p>>packedShift, p&(1<<packedShift-1)
			b[lowest+i].count[f] += n
			b[lowest+i].rest[f] += (sum - n*uint64(f)) / 2 // a key is 2·(bits of the error) + (1 for foreground)
		}
		clear(packed)
	}
}
