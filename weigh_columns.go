package lanewise

import (
	"math"
	"math/bits"
	"unsafe"
)

// The exact weights without a sort, which is what plain Go has instead. They need counts, not an order:
//
//   - a sample of the errors divides the keys into parts that are small enough for the cache, and each part into bins of about as many
//     pixels, so that the bins are small;
//   - bins are columns of slots, 32 of them side by side: counting gives every pixel its place in its column;
//   - the pixels of a column are compared with each other, all 32 columns at once, which gives the counts of larger and larger or equal
//     errors, and from them the weights;
//   - the pixels fetch their weights from the slots, in the pixels' order. No pixel's index travels.
//
// The bins' sizes depend on the sample, the weights do not. Where ties make a bin too long for a column, it is a list: the pixels of each
// of its values are counted.

const (
	columns      = 32      // bins side by side: a group
	maxRows      = 96      // of a column; counts of a column's pixels fit 7 bits
	occupancy    = 20      // pixels of a bin, where the errors are evenly spread
	crowd        = 60      // pixels of a bin, where they are not: more than maxRows would be a list
	partSize     = 150_000 // pixels of a part: its slots, and then its weights, stay in L2
	onePart      = partSize
	minShift     = 8       // bits of a key below its bin
	maxShift     = 13      // the lower bits, the foreground bit and 2 make 15 bits
	keyPiece     = 1 << 15 // pixels, or keys of a sort, that a kernel gets at a time
	fewestPixels = 1 << 13 // pixels for which columns pay
	mostPixels   = 1 << 29 // pixels whose counts, twice, fit int32
	listStart    = 1 << 31 // marks the start of a list

	rankScratch = 8 * maxRows * columns // bytes that rank needs
)

// A columnWeigher is what one worker needs. All slots are 0 between calls.
type columnWeigher struct {
	isa       ISA
	keys      *keyLists
	alone     [1]*keyLists
	stats     stats
	coarse    []uint32         // how many keys the sample has, by their upper 16 bits
	shifts    [maxParts]uint32 // how wide the bins of each part are: so many bits of a key lie below
	counts    []uint32         // by bin; then where the bins begin
	groups    []columnGroup
	lists     []columnList
	positions []uint32
	slots     []uint16
	weights   []float32
	rows      []uint64
	values    *listValues
}

// A columnGroup is 32 bins side by side that are not all empty.
type columnGroup struct {
	start uint32 // its first slot
	rows  uint32
	lists int // where its lists begin
	bin   uint32
}

// A columnList is a bin that is too long for a column.
type columnList struct {
	lane, start, n uint32
}

func (s *columnWeigher) begin(st stats, plane []float32) {
	s.stats = st
	s.keys.restart(st)
	s.plan(plane)
	s.keys.reserve(len(plane))
}

func (s *columnWeigher) add(piece []float32, marks []uint32) { s.keys.split(s.isa, piece, marks) }

func (s *columnWeigher) weigh(weights []float32, found *spread) (loss, gap float64) {
	if found != nil {
		*found = s.keys.found()
	}
	var sum unitSum
	var tp, fp uint32
	s.alone[0] = s.keys
	for t := range int(s.keys.parts) {
		p := s.keyPart(t, s.alone[:])
		if weights != nil {
			p.weights, weights = weights[:p.n], weights[p.n:]
		}
		sum += s.part(p, &tp, &fp)
	}
	return sum.value(s.stats.scale()), 0
}

// A keyPart is one part of the keys of a class, from one list or several: those of neighbouring pixels.
type keyPart struct {
	stats
	t                 int
	lists             []*keyLists
	n                 int    // keys in all of them
	smallest, largest uint32 // the bits of errors
	shift             uint32
	weights           []float32 // where they go, nil where only the loss is wanted
}

func (s *columnWeigher) keyPart(t int, lists []*keyLists) keyPart {
	p := keyPart{stats: s.stats, t: t, lists: lists, smallest: s.keys.from[t], largest: s.stats.top, shift: s.shifts[t]}
	if t > 0 {
		p.largest = s.keys.from[t-1] - 1
	}
	for _, l := range lists {
		p.n += int(l.n[t])
	}
	return p
}

// plan divides the keys of a class into parts of about the same size, and says how wide the bins of each are.
func (s *columnWeigher) plan(plane []float32) {
	const neighbours = 64
	keys, smallest := s.keys, s.stats.from
	stride := max(1, len(plane)/4096) * neighbours
	if s.coarse == nil {
		s.coarse = make([]uint32, 1<<15)
	}
	coarse := s.coarse[smallest>>16 : s.stats.top>>16+1]
	sampled := 0
	for i := 0; i+neighbours <= len(plane); i += stride {
		for _, v := range plane[i:][:neighbours] {
			if e, _ := errorBits(v); e >= smallest {
				coarse[min(e, s.stats.top)>>16-smallest>>16]++
				sampled++
			}
		}
	}
	scale := float64(stride) / neighbours // pixels for every sampled one
	keys.parts = 1
	for len(plane) > onePart && keys.parts < maxParts && float64(sampled)*scale > 1.1*float64(partSize*int(keys.parts)) {
		keys.parts *= 2
	}
	parts := int(keys.parts)
	top, seen := len(coarse), 0
	end := s.stats.top
	for t := range parts {
		at := top
		for at > 0 && (t == parts-1 || seen*parts < sampled*(t+1)) {
			at--
			seen += int(coarse[at])
		}
		keys.from[t] = smallest
		if t < parts-1 && at > 0 {
			keys.from[t] = (smallest>>16 + uint32(at)) << 16
		}
		s.shifts[t] = binShift(coarse[at:top], scale, int(end-keys.from[t]))
		top, end = at, keys.from[t]
	}
	clear(coarse)
}

// binShift returns how many bits of a key lie below its bin so that most pixels of a part are in bins of about the size wanted, and few in
// bins too long for a column, given the sample of its coarse bins. The bins together are not many more than the pixels.
func binShift(coarse []uint32, scale float64, width int) uint32 {
	var sizes [64]int // the sampled pixels by the size of their coarse bin, in half octaves
	total := 0
	for _, n := range coarse {
		if n > 0 {
			log := bits.Len32(n) - 1
			sizes[2*log+int(n<<1>>log&1)] += int(n)
			total += int(n)
		}
	}
	if total == 0 {
		return maxShift
	}
	size := func(tenths int) float64 { // that the coarse bins of so many tenths of the pixels do not exceed
		q, seen := 0, sizes[0]
		for 10*seen < tenths*total {
			q++
			seen += sizes[q]
		}
		return math.Exp2(float64(q)/2+0.25) * scale
	}
	wider := math.Round(min(math.Log2(occupancy/size(3)), math.Log2(crowd/size(8))))
	shift := min(max(16+int(wider), minShift), maxShift)
	for shift < maxShift && float64(width>>shift) > float64(total)*scale {
		shift++
	}
	return uint32(shift)
}

// part weighs the keys of a part, which may be another weigher's. tp and fp are the foreground and background pixels with larger keys.
func (s *columnWeigher) part(p keyPart, tp, fp *uint32) unitSum {
	if p.n == 0 {
		return 0
	}
	shift := p.shift
	g, scale := uint32(p.foreground), p.scale()
	first := p.smallest >> shift &^ (columns - 1)
	bins := int(p.largest>>shift|(columns-1)) + 1 - int(first)
	s.positions = ensure(s.positions, 0, p.n+len(p.lists)*padding)
	s.counts = ensure(s.counts, 0, bins)
	counts := s.counts[:bins]
	clear(counts)
	p.each(s.positions, func(keys, positions []uint32, _, n int) {
		lossCount(s.isa, counts, positions, keys[:n], shift+1, first)
	})
	slots := s.layOut(counts, first)
	if len(s.slots) < slots {
		s.slots, s.weights = make([]uint16, slots+slots/4), make([]float32, slots+slots/4)
	}
	p.pad(s.positions)
	p.each(s.positions, func(keys, positions []uint32, _, n int) {
		lossPlace(s.isa, s.slots, positions, keys[:n], counts, shift+1, first)
	})
	s.rank(g, tp, fp)
	var sum int64
	p.each(s.positions, func(keys, positions []uint32, at, n int) {
		dst := unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(positions))), n)
		if p.weights != nil {
			dst = p.weights[at:][:n]
		}
		sum += lossGather(s.isa, dst, positions, keys[:n], s.weights, scale)
	})
	return unitSum(sum)
}

// each calls f for n keys at a time, which are the part's from at on, and their positions. Those of a list have padding behind them.
func (p *keyPart) each(positions []uint32, f func(keys, positions []uint32, at, n int)) {
	at := 0
	for _, l := range p.lists {
		keys, n := l.keys[p.t], int(l.n[p.t])
		for i := 0; i < n; i += keyPiece {
			f(keys[i:], positions[i:], at+i, min(keyPiece, n-i))
		}
		at += n
		positions = positions[n+padding:]
	}
}

// pad makes the keys and positions valid that kernels read behind the last ones of a list.
func (p *keyPart) pad(positions []uint32) {
	for _, l := range p.lists {
		keys, n := l.keys[p.t], int(l.n[p.t])
		if n > 0 {
			for i := range padding {
				keys[n+i], positions[n+i] = keys[0], 0
			}
		}
		positions = positions[n+padding:]
	}
}

// layOut finds the groups, the bin with the largest keys first, and replaces the counts by where the bins begin. It returns how many slots
// there are.
func (s *columnWeigher) layOut(counts []uint32, first uint32) int {
	s.groups, s.lists = s.groups[:0], s.lists[:0]
	slots := uint32(0)
	for i := len(counts) - columns; i >= 0; i -= columns {
		group := (*[columns]uint32)(counts[i:])
		var most, total uint32
		for _, n := range group {
			most = max(most, n)
			total += n
		}
		if most == 0 {
			continue
		}
		// Where one bin is much longer than the others its column would cost more than it holds.
		limit := min(maxRows, total/(columns/2)+12)
		rows, lists := most, len(s.lists)
		if most > limit {
			rows = 0
			for lane := range uint32(columns) {
				if n := group[columns-1-lane]; n > limit {
					s.lists = append(s.lists, columnList{lane: lane, n: n})
				} else {
					rows = max(rows, n)
				}
			}
		}
		for lane := range uint32(columns) {
			group[columns-1-lane] = slots + lane
		}
		s.groups = append(s.groups, columnGroup{start: slots, rows: rows, lists: lists, bin: uint32(i)})
		slots += rows * columns
	}
	// Lists come behind all columns.
	next := len(s.lists)
	for i := len(s.groups) - 1; i >= 0; i-- {
		group := &s.groups[i]
		for j := group.lists; j < next; j++ {
			l := &s.lists[j]
			l.start = slots
			counts[group.bin+columns-1-l.lane] = slots | listStart
			slots += l.n
		}
		next = group.lists
	}
	return int(slots)
}

var noMore [2][columns]uint32

// rank finds the weights of all slots.
func (s *columnWeigher) rank(g uint32, tp, fp *uint32) {
	if s.rows == nil {
		s.rows = make([]uint64, rankScratch/8)
	}
	for i := range s.groups {
		group := &s.groups[i]
		end := len(s.lists)
		if i+1 < len(s.groups) {
			end = s.groups[i+1].lists
		}
		slots, weights := s.slots[group.start:][:group.rows*columns], s.weights[group.start:]
		more := &noMore
		var listed [2]uint32 // pixels in lists, background and foreground
		if lists := s.lists[group.lists:end]; len(lists) > 0 {
			more, listed = s.rankLists(lists, slots, g, *tp, *fp)
		}
		if group.rows > 0 {
			bg, fg := lossRank(s.isa, weights, slots, s.rows, g+*fp, 2*(g-*tp), more)
			*tp, *fp = *tp+fg, *fp+bg
		}
		*tp, *fp = *tp+listed[1], *fp+listed[0]
	}
}

// listValues are the pixels of a list by their value: the lower bits of a key, and whether it is foreground.
type listValues struct {
	pixels  [2]valueCounts // every other pixel each: where all have one value, no increment waits for the one before
	weights [1 << maxShift][2]float32
	more    [2][columns]uint32
}

type valueCounts struct {
	counts [1 << maxShift][2]uint32
	used   [1 << maxShift / 64]uint64 // which values there are
}

func (v *valueCounts) add(x uint16) {
	value := x/2 - 1
	v.counts[value][x&1]++
	v.used[value/64] |= 1 << (value % 64)
}

// take removes the pixels of a value.
func (v *valueCounts) take(value int) (n [2]uint32) {
	n, v.counts[value] = v.counts[value], [2]uint32{}
	return n
}

// rankLists finds the weights of the lists of a group, whose columns are slots. It returns what the lists add to the lanes, and how many
// pixels there are in all lists, background and foreground.
func (s *columnWeigher) rankLists(lists []columnList, slots []uint16, g, tp, fp uint32) (more *[2][columns]uint32, listed [2]uint32) {
	if s.values == nil {
		s.values = new(listValues)
	}
	v := s.values
	lane := uint32(0)
	for _, l := range lists {
		for ; lane < l.lane; lane++ {
			v.more[0][lane], v.more[1][lane] = listed[0], 2*listed[1]
			for i := lane; i < uint32(len(slots)) && slots[i] != 0; i += columns {
				tp += uint32(slots[i] & 1)
				fp += uint32(slots[i]&1 ^ 1)
			}
		}
		pixels := v.rank(s.slots[l.start:][:l.n], s.weights[l.start:][:l.n], g, tp, fp)
		listed[0], listed[1] = listed[0]+pixels[0], listed[1]+pixels[1]
		tp, fp = tp+pixels[1], fp+pixels[0]
	}
	for ; lane < columns; lane++ {
		v.more[0][lane], v.more[1][lane] = listed[0], 2*listed[1]
	}
	return &v.more, listed
}

// rank finds the weights of one list, and how many background and foreground pixels it has; it clears the slots.
func (v *listValues) rank(slots []uint16, weights []float32, g, tp, fp uint32) (pixels [2]uint32) {
	even, odd := &v.pixels[0], &v.pixels[1]
	for i, x := range slots {
		if i%2 == 0 {
			even.add(x)
		} else {
			odd.add(x)
		}
	}
	for i := len(even.used) - 1; i >= 0; i-- {
		used := even.used[i] | odd.used[i]
		even.used[i], odd.used[i] = 0, 0
		for used != 0 {
			top := bits.Len64(used) - 1
			used &^= 1 << top
			value := i*64 + top
			n, more := even.take(value), odd.take(value)
			n[0], n[1] = n[0]+more[0], n[1]+more[1]
			a, b := int64(g+fp), int64(g+fp+n[0])
			v.weights[value] = [2]float32{weight32(2*int64(g)-2*int64(tp)-int64(n[1]), a, b), weight32(a+b, a, b)}
			tp, fp = tp+n[1], fp+n[0]
			pixels[0], pixels[1] = pixels[0]+n[0], pixels[1]+n[1]
		}
	}
	for i, x := range slots {
		weights[i] = v.weights[x/2-1][x&1]
		slots[i] = 0
	}
	return pixels
}
