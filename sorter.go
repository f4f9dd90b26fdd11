package lanewise

import "math/bits"

// A sorter sorts items by their keys, the upper 32 bits, the smallest first. The lowest bits say where an item came from; they ascend among
// items with the same key, before and after. Where these are fewer than 32, more of a key may lie between: bins sort by that too, digits do
// not.
//
// Items that are many are first divided into parts that fit the cache: runs of neighbours in a histogram of the upper bits of the keys. The
// kernels then sort a part by bins, of which there are so many that most have one item or none. Without them, or where keys are so close
// together that they share bins, a part is sorted by radix, with digits of 8 bits, the lowest first. What all keys of a part share is not
// sorted, so that most parts need two digits.
type sorter struct {
	isa          ISA
	items, spare []uint64
	parts        []sortPart
	coarse       []uint32              // by the upper bits of a key: how many items, then their part
	next         []uint32              // where the next item of a part goes
	shift        uint                  // of a key: the bits below those that divide into parts
	least        int                   // items of a part, where they are many keys
	counts       []uint16              // of a part, by bin
	packed       []uint64              // the items of a part of float64s
	indices      []int32               // and where its keys were
	digits       [4][sortDigits]uint32 // how many items have a digit, then where the next of them goes
}

// A sortPart is a range of items with smaller keys than those behind it. Its keys differ in their lowest digits only.
type sortPart struct {
	start, end, digits int
}

const (
	insertionMax = 40      // items that are sorted by insertion
	splitMin     = 1 << 18 // items for which parts pay
	sortPartMin  = 2048    // items of a part, where they are many keys
	maxSortParts = 1024
	sortDigits   = 1 << 8

	binnedSplitMin = 768       // splitMin with bins
	binnedPartMin  = 128       // sortPartMin with bins
	maxBinned      = 1<<16 - 1 // items that are sorted by bins
	maxBins        = 1 << 16
	mostInBin      = 48 // items of a bin
	sortTurn       = 32 // sortSums, sortNeighbours and sortBelow take a multiple of this
	sortSlack      = 33 // items behind those of a part that make them such a multiple, and one more
)

// resize returns the items to fill in, n of them.
func (s *sorter) resize(n int) []uint64 {
	s.isa = active
	if cap(s.items) < n+sortSlack {
		s.items, s.spare = make([]uint64, n+sortSlack), make([]uint64, n+sortSlack)
		s.counts = make([]uint16, min(4*n+sortTurn, maxBins))
	}
	s.items, s.spare = s.items[:n], s.spare[:n]
	return s.items
}

// sort sorts the first n items and returns them.
func (s *sorter) sort(n int) []uint64 {
	s.split(n)
	for _, p := range s.parts {
		s.sortPart(p)
	}
	return s.items
}

// split divides the first n items into parts.
func (s *sorter) split(n int) {
	s.resize(n)
	if !s.divides(n) {
		return
	}
	for _, it := range s.items {
		s.coarse[upper(it, s.shift)]++
	}
	s.plan(n)
	if len(s.parts) > 1 {
		splitItems(s.spare, s.items, s.coarse, s.next, s.shift)
		s.items, s.spare = s.spare, s.items
	}
}

// inBins reports whether parts are sorted by bins. In plain Go digits are faster.
func (s *sorter) inBins() bool { return s.isa != Generic }

// divides reports whether n items are worth dividing, and clears the histogram for that. Otherwise they are one part.
func (s *sorter) divides(n int) bool {
	least := splitMin
	s.shift, s.least = 16, sortPartMin
	if s.inBins() {
		least = binnedSplitMin
		s.shift, s.least = uint(32-min(max(bits.Len(uint(n))-3, 8), 16)), binnedPartMin
	}
	if n < least {
		s.parts = append(s.parts[:0], sortPart{0, n, 4})
		return false
	}
	s.coarse = resize(s.coarse, 1<<(32-s.shift))
	clear(s.coarse)
	s.next = resize(s.next, maxSortParts)
	return true
}

// plan divides n items, counted in coarse, into parts. Two neighbours are together larger than the size wanted, so that there are fewer
// than maxSortParts.
func (s *sorter) plan(n int) {
	size := max(s.least, n/(maxSortParts/2))
	s.parts = s.parts[:0]
	var p sortPart
	first := 0 // of the part
	for i, c := range s.coarse {
		if c == 0 {
			continue
		}
		if p.end > p.start && p.end-p.start+int(c) > size {
			s.parts = append(s.parts, p)
			p.start = p.end
		}
		if p.start == p.end {
			first = i
			s.next[len(s.parts)] = uint32(p.start)
		}
		s.coarse[i] = uint32(len(s.parts))
		p.end += int(c)
		p.digits = (int(s.shift) + bits.Len(uint(first^i)) + 7) / 8
	}
	s.parts = append(s.parts, p)
}

// splitItems moves the items to their parts.
func splitItems(to, from []uint64, coarse, next []uint32, shift uint) {
	for _, it := range from {
		part := coarse[upper(it, shift)]
		to[next[part]] = it
		next[part]++
	}
}

// upper returns the bits of an item's key above shift.
func upper(it uint64, shift uint) uint64 { return it >> 32 >> (shift & 31) }

// sortPart sorts the items of a part.
func (s *sorter) sortPart(p sortPart) {
	items := s.items[p.start:p.end]
	if sorted := s.byBins(items); sorted != nil {
		copy(items, sorted)
	} else {
		s.byRadix(items, p.digits)
	}
}

// byRadix sorts the items of a part without bins, whose keys differ in that many digits.
func (s *sorter) byRadix(items []uint64, digits int) {
	if len(items) <= insertionMax {
		insertionSort(items)
	} else {
		s.radix(items, s.spare, digits)
	}
}

// byBins returns the items of a part, sorted by bins, in s.spare; nil where that is not possible or does not pay. The bins, two to four an
// item, divide the range of the keys evenly, so that most have one item or none, and neighbours that change places three times over sort
// nearly all others. The few items that are still out of order are inserted.
func (s *sorter) byBins(items []uint64) []uint64 {
	n := len(items)
	if !s.inBins() || n <= insertionMax || n > maxBinned {
		return nil
	}
	sorted := s.spare[:n]
	least, largest := sortBounds(s.isa, items)
	if least == largest { // in order, unless there are more bits of a key
		before := uint64(0)
		for i, it := range items {
			if it < before {
				return nil
			}
			before, sorted[i] = it, it
		}
		return sorted
	}
	var g gap
	if least>>31 != largest>>31 {
		g = closeGap(items)
		largest -= uint32(g.width >> 32)
	}
	shift := max(bits.Len32(largest-least)-min(bits.Len(uint(2*n)), 16), 0)
	counts := s.counts[:((largest-least)>>(shift&31)+sortTurn)&^(sortTurn-1)]
	clear(counts)
	sortCount(s.isa, counts, items, least, uint32(shift))
	if sortSums(s.isa, counts) > mostInBin {
		g.open(items)
		return nil
	}
	sortPlace(s.isa, sorted, items, counts, least, uint32(shift))
	turns := (n + sortTurn - 1) &^ (sortTurn - 1)
	padded := s.spare[:turns+1]
	for i := n; i < len(padded); i++ {
		padded[i] = 1<<64 - 1
	}
	sortNeighbours(s.isa, padded[:turns])
	for i := 0; i < turns; i += sortTurn {
		i += sortBelow(s.isa, padded[i+1:], padded[i:turns])
		for j := i + 1; j < min(i+1+sortTurn, n); j++ {
			insertItem(sorted, j)
		}
	}
	g.open(sorted)
	return sorted
}

// A gap is what is free between the keys of the two signs of floats, or between those without and with the highest bit of a part of them.
// Most bins would be of the numbers close to 0, which few arrays have.
type gap struct {
	below uint64 // the largest item below
	width uint64
}

// closeGap moves the items above the gap down.
func closeGap(items []uint64) gap {
	below, above := uint64(0), uint64(1<<64-1)
	for _, it := range items {
		high := uint64(int64(it) >> 63)
		below, above = max(below, it&^high), min(above, it|^high)
	}
	g := gap{below, (above>>32 - below>>32 - 1) << 32}
	for i, it := range items {
		items[i] = it - g.width&uint64(int64(it)>>63)
	}
	return g
}

// open moves them up again.
func (g gap) open(items []uint64) {
	if g.width == 0 {
		return
	}
	for i, it := range items {
		if it > g.below {
			it += g.width
		}
		items[i] = it
	}
}

// insertItem moves an item to where it belongs among those before it, which are in order.
func insertItem(items []uint64, i int) {
	it := items[i]
	for ; i > 0 && items[i-1] > it; i-- {
		items[i] = items[i-1]
	}
	items[i] = it
}

// radix sorts items whose keys differ in that many digits.
func (s *sorter) radix(items, scratch []uint64, digits int) {
	scratch = scratch[:len(items)]
	from, next, shift := s.lowDigits(items, scratch, digits)
	if &from[0] != &items[0] {
		scatter(items, from, next, shift)
	} else {
		scatter(scratch, from, next, shift)
		copy(items, scratch)
	}
}

// lowDigits sorts items by all their digits but the last. It returns them, in items or in scratch, and what moves them to where they
// belong: the last digit's next and its shift.
func (s *sorter) lowDigits(items, scratch []uint64, digits int) (sorted []uint64, next *[sortDigits]uint32, shift uint) {
	s.countDigits(items, digits)
	scratch = scratch[:len(items)]
	shift = 32
	for d := range digits - 1 {
		next := &s.digits[d]
		if next[uint8(items[0]>>(shift&63))] != uint32(len(items)) { // not all the same
			starts(next)
			scatter(scratch, items, next, shift)
			items, scratch = scratch, items
		}
		shift += 8
	}
	next = &s.digits[digits-1]
	starts(next)
	return items, next, shift
}

// countDigits counts the digits of the items, from the lowest on.
func (s *sorter) countDigits(items []uint64, digits int) {
	c := &s.digits
	clear(c[:digits])
	switch digits {
	case 2:
		for _, it := range items {
			c[0][uint8(it>>32)]++
			c[1][uint8(it>>40)]++
		}
	case 3:
		for _, it := range items {
			c[0][uint8(it>>32)]++
			c[1][uint8(it>>40)]++
			c[2][uint8(it>>48)]++
		}
	case 4:
		for _, it := range items {
			c[0][uint8(it>>32)]++
			c[1][uint8(it>>40)]++
			c[2][uint8(it>>48)]++
			c[3][uint8(it>>56)]++
		}
	}
}

// starts turns counts into where the first item of each digit goes.
func starts(counts *[sortDigits]uint32) {
	n := uint32(0)
	for i, c := range counts {
		counts[i] = n
		n += c
	}
}

// scatter moves items, each to the next place of its digit.
func scatter(to, from []uint64, next *[sortDigits]uint32, shift uint) {
	for _, it := range from {
		d := uint8(it >> (shift & 63))
		at := next[d]
		next[d] = at + 1
		to[at] = it
	}
}

func insertionSort(items []uint64) {
	for i := 1; i < len(items); i++ {
		insertItem(items, i)
	}
}
