package lanewise

import "math/bits"

// A sorter sorts items by their keys, the upper 32 bits, the smallest first. The lower 32 bits, where an item came from, ascend among items
// with the same key, before and after.
//
// The sort is a radix sort with digits of 8 bits, the lowest first. Where the items do not fit the cache, they are first divided into parts
// that do: runs of neighbours in a histogram of the upper 16 bits of the keys. What the keys of a part share is not sorted, so that most
// parts need two digits.
type sorter struct {
	items, spare []uint64
	parts        []sortPart
	coarse       *[1 << 16]uint32      // by the upper 16 bits of a key: how many items, then their part
	next         *[maxSortParts]uint32 // where the next item of a part goes
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
)

// resize returns the items to fill in, n of them.
func (s *sorter) resize(n int) []uint64 {
	if cap(s.items) < n {
		s.items, s.spare = make([]uint64, n), make([]uint64, n)
	}
	s.items, s.spare = s.items[:n], s.spare[:n]
	return s.items
}

// sort sorts the first n items and returns them.
func (s *sorter) sort(n int) []uint64 {
	s.split(n)
	for _, p := range s.parts {
		s.sortPart(s.items[p.start:p.end], s.spare, p.digits)
	}
	return s.items
}

// split divides the first n items into parts.
func (s *sorter) split(n int) {
	s.resize(n)
	if n < splitMin {
		s.onePart(n)
		return
	}
	coarse := s.clearCoarse()
	for _, it := range s.items {
		coarse[it>>48]++
	}
	s.plan(n)
	if len(s.parts) > 1 {
		splitItems(s.spare, s.items, coarse, s.next)
		s.items, s.spare = s.spare, s.items
	}
}

// onePart makes one part of n items.
func (s *sorter) onePart(n int) { s.parts = append(s.parts[:0], sortPart{0, n, 4}) }

func (s *sorter) clearCoarse() *[1 << 16]uint32 {
	if s.coarse == nil {
		s.coarse, s.next = new([1 << 16]uint32), new([maxSortParts]uint32)
	}
	clear(s.coarse[:])
	return s.coarse
}

// plan divides n items, counted in coarse, into parts. Two neighbours are together larger than the size wanted, so that there are fewer
// than maxSortParts.
func (s *sorter) plan(n int) {
	size := max(sortPartMin, n/(maxSortParts/2))
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
		p.digits = 2 + (bits.Len(uint(first^i))+7)/8
	}
	s.parts = append(s.parts, p)
}

// splitItems moves the items to their parts.
func splitItems(to, from []uint64, coarse *[1 << 16]uint32, next *[maxSortParts]uint32) {
	for _, it := range from {
		p := coarse[it>>48] % maxSortParts
		at := next[p]
		next[p] = at + 1
		to[at] = it
	}
}

// sortPart sorts items whose keys differ in that many digits.
func (s *sorter) sortPart(items, scratch []uint64, digits int) {
	if len(items) <= insertionMax {
		insertionSort(items)
		return
	}
	scratch = scratch[:len(items)]
	from, next, shift := s.lowDigits(items, scratch, digits)
	if &from[0] != &items[0] {
		scatter(items, from, next, shift)
	} else {
		scatter(scratch, from, next, shift)
		copy(items, scratch)
	}
}

// lowDigits sorts items by all their digits but the last. It returns them, in items or in scratch, and what moves them to where they belong:
// the last digit's next and its shift.
func (s *sorter) lowDigits(items, scratch []uint64, digits int) (sorted []uint64, next *[sortDigits]uint32, shift uint) {
	s.count(items, digits)
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

// count counts the digits of the items, from the lowest on.
func (s *sorter) count(items []uint64, digits int) {
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
		it := items[i]
		j := i
		for ; j > 0 && items[j-1] > it; j-- {
			items[j] = items[j-1]
		}
		items[j] = it
	}
}
