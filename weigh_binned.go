package lanewise

import (
	"math"
	"math/bits"
)

// The binned weights. Errors that agree in their exponent and in the leading binBits bits of their mantissa count as ties, so that the
// state of a class is a table of integers: nothing is sorted, and tables from any number of machines add up. The loss is convex, and binned
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

// add adds the pixels of another one.
func (b *bin) add(other *bin) {
	for f := range 2 {
		b.count[f] += other.count[f]
		b.rest[f] += other.rest[f]
	}
}

// merge adds the counts of another state.
func (b bins) merge(other bins) {
	for i := range other {
		b[i].add(&other[i])
	}
}

// power2 returns 2ᵏ, where that is a normal number.
func power2(k int) float64 { return math.Float64frombits(uint64(1023+k) << 52) }

// A usedBin is a bin with pixels.
type usedBin struct {
	bin
	at int
}

// used appends the bins with pixels to a list, the highest one first.
func (b bins) used(list []usedBin) []usedBin {
	for i := len(b) - 1; i >= 0; i-- {
		if b[i].count[0]|b[i].count[1] != 0 {
			list = append(list, usedBin{b[i], i})
		}
	}
	return list
}

// weighBins returns the loss of a class with g foreground pixels, whose bins these are, the highest one first, and a bound of how far the
// loss of the exact errors lies above it. Unless table is empty it takes the weights of background, and of foreground where a bin has some,
// in turn from the bin lowest on.
//
// The exact weight of each pixel lies between those of the bin's first and last. Foreground's are 1/A and 1/B, of which its weight is the
// mean. Background's first one, (G − TP>)/(A(A + 1)), is farther from its weight than the last one. Of b background and f foreground pixels
// these distances add up to b·(f + (G − TP>)(b − 1)/(A + 1))/(A·B), and errors are no more than half of the bin's width off its middle.
func weighBins(list []usedBin, g int64, lowest int, table []float32) (loss, gap float64) {
	if g == 0 {
		return weighAbsent(list, lowest, table)
	}
	var certificate, rest float64
	left, a := float64(g), float64(g) // G − TP> and A: counts are exact
	for i := range list {
		b := &list[i]
		var start, unit float64
		if b.at > 0 {
			start, unit = binStart(b.at)
		} else { // these errors add nothing; the Jaccard loss's step over them is what they may weigh
			rest = left / a
		}
		background := float64(int64(b.count[0]))
		bb := a + background
		ab := float64(a * bb)
		mean, after, distances := left, left, float64(left*(background-1)) // distances lacks the factor b/(A + 1)/(A·B)
		if b.count[1] > 0 {
			foreground := float64(int64(b.count[1]))
			mean, after = left-float64(foreground/2), left-foreground
			distances += float64(foreground * (a + 1))
			loss += float64((a + bb) / (2 * ab) * b.sum(1, start, unit))
			if len(table) > 0 {
				table[2*(b.at-lowest)+1] = 0.5 * float32(a+bb) / (float32(a) * float32(bb))
			}
		}
		loss += float64(mean / ab * b.sum(0, start, unit))
		if len(table) > 0 {
			table[2*(b.at-lowest)] = float32(mean) / (float32(a) * float32(bb))
		}
		if b.at < binCount-1 { // the errors of that one are all 1
			certificate += float64(background * distances / (ab * (a + 1)) * unit)
		}
		left, a = after, bb
	}
	return loss, gapOf(loss, certificate*(1<<restBits)/2, rest)
}

// weighAbsent is weighBins for a class without foreground: the pixels of the highest bin share the weight 1.
func weighAbsent(list []usedBin, lowest int, table []float32) (loss, gap float64) {
	if len(list) == 0 {
		return 0, gapOf(0, 0, 0)
	}
	b := &list[0]
	share := 1 / float64(b.count[0])
	if len(table) > 0 {
		table[2*(b.at-lowest)] = 1 / float32(b.count[0])
	}
	if b.at == 0 {
		return 0, gapOf(0, 0, 1)
	}
	start, unit := binStart(b.at)
	loss = share * b.sum(0, start, unit)
	if b.at == binCount-1 {
		return loss, gapOf(loss, 0, 0)
	}
	return loss, gapOf(loss, unit*(1<<restBits)*(1-share), 0)
}

// binStart returns the smallest error of bin i > 0, and what its errors are multiples of: 2⁻²³ of their octave.
func binStart(i int) (start, unit float64) {
	const mantissa, bias = 52, 1023 - 127 // of float64, and by how much more than float32's
	b := uint64(firstBin+i+bias<<binBits) << (mantissa - binBits)
	return math.Float64frombits(b), math.Float64frombits(b>>mantissa<<mantissa - 23<<mantissa)
}

// sum returns the sum of the errors of background or of foreground in a bin. It is exact, up to 2²⁹ pixels.
func (b *bin) sum(f int, start, unit float64) float64 {
	return float64(float64(int64(b.count[f]))*start) + float64(float64(int64(b.rest[f]))*unit)
}

// gapOf is the smaller one of what the counts certify, where bin 0 has rest of the weights, and the bound that holds for all counts.
func gapOf(loss, certificate, rest float64) float64 {
	const least = 1.0 / (1 << octaves)
	return min(certificate+float64(least*rest), float64(loss/(1<<binBits))+least) + float64(loss*0x1p-40)
}

// A binSet says which bins there is something in.
type binSet [(binCount + 63) / 64]uint64

// add adds a bin.
func (s *binSet) add(bin int) { s[bin>>6] |= 1 << (bin & 63) }

// len returns how many bins there are.
func (s *binSet) len() (n int) {
	for _, word := range s {
		n += bits.OnesCount64(word)
	}
	return n
}

// fill adds the bins from lowest to highest.
func (s *binSet) fill(lowest, highest int) {
	const all = ^uint64(0)
	from, to := all<<(lowest&63), all>>(63-highest&63)
	first, last := lowest>>6, highest>>6
	if first == last {
		s[first] |= from & to
		return
	}
	s[first] |= from
	for i := first + 1; i < last; i++ {
		s[i] = all
	}
	s[last] |= to
}

// A binnedWeigher counts the keys by bins.
type binnedWeigher struct {
	isa     ISA
	keys    *keyLists
	stats   stats
	plane   []float32
	lowest  int                   // bin
	marked  binSet                // the bins that have pixels, or may have some
	dense   bool                  // all bins are marked that there can be
	packed  *[2 * binCount]uint64 // the bins' background, then their foreground: pixels<<packedShift + Σ of the keys without their bin
	counted int                   // pixels in packed, which is all 0 without any
	bins    bins                  // where they are added to when packed is full; nil: nowhere yet
	scratch bins                  // has 0 everywhere between classes
	used    []usedBin
	table   []float32
}

const (
	packedShift = 39
	packedMost  = 1 << (packedShift - restBits - 1) // pixels that sum and count have room for
)

// use makes it part of a call.
func (s *binnedWeigher) use(c *call, w *worker) { s.keys, s.isa = &w.keys, c.isa }

func (s *binnedWeigher) begin(st stats, plane []float32) {
	s.plane, s.bins = plane, nil
	s.start(st, len(plane))
}

// start makes ready to count so many pixels. Where there are few beside the bins, these are marked one by one.
func (s *binnedWeigher) start(st stats, pixels int) {
	s.lowest = binOf(st.from)
	s.stats = stats{st.foreground, binFloor(s.lowest), st.top}
	highest := binOf(st.top)
	if s.packed == nil {
		s.packed = new([2 * binCount]uint64)
	}
	s.marked = binSet{}
	if s.dense = pixels > highest-s.lowest; s.dense {
		s.marked.fill(s.lowest, highest)
	}
}

func (s *binnedWeigher) add(piece []float32, _ []uint32) { s.count(piece) }

func (s *binnedWeigher) weigh(weights []float32, found *spread) (loss, gap float64) {
	if s.bins == nil {
		s.list()
	} else {
		s.flush()
		s.used = s.bins.used(s.used[:0])
		clear(s.bins)
	}
	if found == nil {
		return weighBins(s.used, s.stats.foreground, s.lowest, nil)
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
	table[0], table[1] = 0, 0 // the other bins that are looked up have pixels
	loss, gap = weighBins(s.used, s.stats.foreground, lowest, table)
	if found.kind == byPixel {
		lossLookUp(s.isa, weights[:len(s.plane)], s.plane, table, uint32(firstBin+lowest), 1)
	}
	return loss, gap
}

// merge adds what another one has counted of the class, and leaves that with nothing.
func (s *binnedWeigher) merge(other *binnedWeigher) {
	s.flush()
	other.moveTo(s.bins)
}

// moveTo adds what is counted to bins.
func (s *binnedWeigher) moveTo(to bins) {
	if s.bins == nil {
		s.bins = to
		s.flush()
		return
	}
	s.flush()
	to.merge(s.bins)
	clear(s.bins)
}

// count counts errors by their bins.
func (s *binnedWeigher) count(signed []float32) {
	if s.counted+len(signed) > packedMost {
		s.flush()
	}
	s.keys.restart(s.stats)
	s.keys.split(s.isa, signed, nil)
	keys := s.keys.all()
	s.counted += len(keys)
	lossTally(s.isa, s.packed[:], keys)
	if !s.dense {
		for _, k := range keys {
			s.marked.add(binOf(k >> 1))
		}
	}
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

// list makes used what is counted, and counts anew.
func (s *binnedWeigher) list() {
	s.counted = 0
	s.used = resize(s.used, s.marked.len())
	used, n := s.used, 0
	background, foreground := s.packed[:binCount], s.packed[binCount:]
	for word := len(s.marked) - 1; word >= 0; word-- {
		for set := s.marked[word]; set != 0; {
			i := bits.Len64(set) - 1
			set &^= 1 << i
			i += word << 6
			bg, fg := background[i], foreground[i]
			if bg|fg == 0 {
				continue
			}
			background[i], foreground[i] = 0, 0
			const sum = 1<<packedShift - 1
			b := &used[n] // field by field: a copy of the whole would wait for what was just written
			n++
			b.at = i
			b.count[0], b.count[1] = bg>>packedShift, fg>>packedShift
			b.rest[0], b.rest[1] = bg&sum/2, (fg&sum-fg>>packedShift)/2 // a key is 2·(bits of the error) + (1 for foreground)
		}
	}
	s.used = used[:n]
}

// flush adds what is counted to the bins.
func (s *binnedWeigher) flush() {
	if s.bins == nil {
		if s.scratch == nil {
			s.scratch = make(bins, binCount)
		}
		s.bins = s.scratch
	}
	s.list()
	for i := range s.used {
		s.bins[s.used[i].at].add(&s.used[i].bin)
	}
}
