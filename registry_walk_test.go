//go:build unix

package lanewise

import (
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/lanewise/lanewise/internal/vectorstate"
	"golang.org/x/sys/unix"
)

// The suite that walks the registry: every function of assembly is reached, and is compared with its definition.

// A trial says what arguments a kernel is to be tried with. Where nothing else is said a slice has n elements of any value, a float is any
// number, and a labels' class any of the labels.
type trial struct {
	// shape returns for each n the integers among the arguments, by name, and the lengths of slices that are not n. A slice of length −1 is
	// nil. Kernels with integers other than class have to have it.
	shape func(n int, element string) map[string]int
	// prepare changes arguments that are filled in. What it returns, if anything, says for which elements of which slice anything goes; it is
	// asked when the definition has run.
	prepare func(a arguments, n int, r *random) (anything func(name string, i int) bool)
	// zeros are results and slices whose zeros have no sign.
	zeros []string
	sizes []int // nil: 1 … 300, and some large ones
}

// A span is memory that an argument refers to.
type span struct {
	name   string
	size   int // of an element
	n      int
	data   unsafe.Pointer
	set    func(data unsafe.Pointer, n, room int) // of a slice; an array has its own size
	beyond beyond
	float  bool
	array  bool
}

func (s *span) bytes() []byte { return unsafe.Slice((*byte)(s.data), s.n*s.size) }

// all is bytes, and what lies beyond.
func (s *span) all() []byte { return unsafe.Slice((*byte)(s.data), s.room()*s.size) }
func (s *span) room() int   { return s.n + max(s.beyond.read, s.beyond.write) }

func sliceSpan[E any](name string, p *[]E) span {
	return span{name: name, size: int(unsafe.Sizeof(*new(E))), n: len(*p), data: unsafe.Pointer(unsafe.SliceData(*p)),
		set: func(data unsafe.Pointer, n, room int) { *p = unsafe.Slice((*E)(data), room)[:n] }}
}

func arraySpan[A any](name string, p **A, size int) span {
	return span{name: name, size: size, n: int(unsafe.Sizeof(**p)) / size, data: unsafe.Pointer(*p), array: true,
		set: func(data unsafe.Pointer, _, _ int) { *p = (*A)(data) }}
}

// spanOf returns what p, which points to an argument, refers to, and whether it refers to anything. It knows the types of all arguments.
func (e *entry) spanOf(name string, p any) (s span, refers bool) {
	switch p := p.(type) {
	case *[]float32:
		s = sliceSpan(name, p)
		s.float = true
	case *[]float64:
		s = sliceSpan(name, p)
		s.float = true
	case *[]uint8:
		s = sliceSpan(name, p)
	case *[]int8:
		s = sliceSpan(name, p)
	case *[]uint16:
		s = sliceSpan(name, p)
	case *[]int32:
		s = sliceSpan(name, p)
	case *[]uint32:
		s = sliceSpan(name, p)
	case *[]uint64:
		s = sliceSpan(name, p)
	case **[8]uint32:
		s = arraySpan(name, p, 4)
	case **[9]uint32:
		s = arraySpan(name, p, 4)
	case **[maxSortParts]uint32:
		s = arraySpan(name, p, 4)
	case **[2][columns]uint32:
		s = arraySpan(name, p, 4)
	case **[maxParts][]uint32:
		s = arraySpan(name, p, 8)
	case *float32, *float64, *int, *int32, *uint16, *uint32, *int64, *bool:
		return s, false
	default:
		panic(fmt.Sprintf("%v: the suite knows no %T", e, p))
	}
	s.beyond = e.beyond[name]
	return s, true
}

// spans returns those of the arguments, without nil slices.
func (e *entry) spans(a arguments) []span {
	var spans []span
	add := func(name string, p any) {
		if s, refers := e.spanOf(name, p); refers && s.data != nil {
			spans = append(spans, s)
		}
	}
	a.each(func(name string, p any) {
		lists, ok := p.(**[maxParts][]uint32)
		if !ok {
			add(name, p)
		} else if *lists != nil {
			own := **lists // the array itself is not looked at, its slices are
			*lists = &own
			for i := range own {
				if s := sliceSpan(fmt.Sprint(name, i), &own[i]); s.data != nil {
					s.beyond = e.beyond[name]
					spans = append(spans, s)
				}
			}
		}
	})
	return spans
}

// fillArgument gives an argument its value.
func (e *entry) fillArgument(name string, p any, n int, shape map[string]int, r *random) {
	length := n
	if l, ok := shape[name]; ok {
		length = l
	}
	if length < 0 {
		return
	}
	room := length + max(e.beyond[name].read, e.beyond[name].write)
	integer := func() int {
		v, ok := shape[name]
		if !ok {
			panic(fmt.Sprintf("%v: no trial says what %s is", e, name))
		}
		return v
	}
	switch p := p.(type) {
	case *[]float32:
		*p = floats[float32](length, room, r)
	case *[]float64:
		*p = floats[float64](length, room, r)
	case *[]int32:
		*p = make([]int32, room)
		for i := range *p {
			(*p)[i] = int32(r.below(5))
		}
		*p = (*p)[:length]
	case **[maxParts][]uint32:
		*p = new([maxParts][]uint32)
	case *float32:
		*p = float32(r.uniform(3))
	case *float64:
		*p = r.uniform(3)
	case *int:
		*p = integer()
	case *uint32:
		*p = uint32(integer())
	case *int32:
		*p = int32(r.below(5))
	default: // any integers, but zeros in arrays
		s, refers := e.spanOf(name, p)
		switch {
		case !refers:
		case s.array:
			s.set(unsafe.Pointer(unsafe.SliceData(make([]uint64, (s.n*s.size+7)/8))), s.n, s.n)
		default:
			words := make([]uint64, (room*s.size+7)/8+1)
			for i := range words {
				words[i] = r.next()
			}
			s.set(unsafe.Pointer(unsafe.SliceData(words)), length, room)
		}
	}
}

func floats[T Float](n, room int, r *random) []T {
	s := make([]T, room)
	fill(s, fills[r.below(3)], 1, r)
	return s[:n]
}

// arguments makes arguments of size n.
func (e *entry) arguments(in *trial, n int, r *random) (a arguments, anything func(name string, i int) bool) {
	a = e.new()
	var shape map[string]int
	if in.shape != nil {
		shape = in.shape(n, e.element)
	}
	a.each(func(name string, p any) {
		if !slices.Contains(e.results, name) {
			e.fillArgument(name, p, n, shape, r)
		}
	})
	if in.prepare != nil {
		anything = in.prepare(a, n, r)
	}
	return a, anything
}

// sideOf is where an argument lies in its memory.
type sideOf int

const (
	beforePage sideOf = iota // it ends where an unmapped page begins
	afterPage                // it begins where an unmapped page ends
	between                  // it lies between canaries
)

// put copies a span, and what lies beyond, to memory of its own. It begins offset elements into a line, if that matters.
func (f *fence[E]) put(s *span, side sideOf, offset int) {
	for i := range f.n {
		f.whole[f.from+i] = f.guard
	}
	f.n = s.room() * s.size
	switch side {
	case beforePage:
		f.from = len(f.whole) - f.n
	case afterPage:
		f.from = 0
	case between:
		f.from = 1024 + offset*s.size%64
	}
	data := unsafe.Pointer(unsafe.SliceData(f.whole[f.from:]))
	copy(unsafe.Slice((*byte)(data), f.n), s.all())
	s.data = data
	s.set(data, s.n, s.n)
}

// canaries looks at both sides.
func (f *fence[E]) canaries() bool {
	for _, side := range [][]E{f.whole[max(0, f.from-256):f.from], f.whole[f.from+f.n : min(f.from+f.n+256, len(f.whole))]} {
		for _, v := range side {
			if v != f.guard {
				return false
			}
		}
	}
	return true
}

// differ returns the first element that two spans do not share, or −1. All NaNs are one, and zeros without sign if zeros.
func differ(got, want *span, zeros bool, anything func(name string, i int) bool) int {
	a, b := got.bytes(), want.bytes()
	if string(a) == string(b) {
		return -1
	}
	for i := range got.n {
		x, y := a[i*got.size:][:got.size], b[i*got.size:][:got.size]
		if string(x) == string(y) || anything != nil && anything(got.name, i) {
			continue
		}
		if got.float {
			v, w := floatOf(x), floatOf(y)
			if v != v && w != w || zeros && v == w {
				continue
			}
		}
		return i
	}
	return -1
}

func floatOf(b []byte) float64 {
	if len(b) == 4 {
		return float64(*(*float32)(unsafe.Pointer(&b[0])))
	}
	return *(*float64)(unsafe.Pointer(&b[0]))
}

// sameScalar compares what is no memory.
func sameScalar(p, q any, zeros bool) bool {
	same := func(v, w float64, bits bool) bool { return bits || v != v && w != w || zeros && v == w }
	switch p := p.(type) {
	case *float32:
		q := *q.(*float32)
		return same(float64(*p), float64(q), math.Float32bits(*p) == math.Float32bits(q))
	case *float64:
		q := *q.(*float64)
		return same(*p, q, math.Float64bits(*p) == math.Float64bits(q))
	case *int:
		return *p == *q.(*int)
	case *int32:
		return *p == *q.(*int32)
	case *uint16:
		return *p == *q.(*uint16)
	case *uint32:
		return *p == *q.(*uint32)
	case *int64:
		return *p == *q.(*int64)
	case *bool:
		return *p == *q.(*bool)
	}
	return true
}

// compare holds what the kernel made of its arguments against what the definition made of the same.
func (e *entry) compare(in *trial, got, want arguments, a, b, before []span, anything func(string, int) bool) error {
	pointers := map[string]any{}
	want.each(func(name string, p any) { pointers[name] = p })
	var err error
	got.each(func(name string, p any) {
		if err == nil && !sameScalar(p, pointers[name], slices.Contains(in.zeros, name)) {
			err = fmt.Errorf("%s differs", name)
		}
	})
	if err != nil {
		return err
	}
	for i := range a {
		if at := differ(&a[i], &b[i], slices.Contains(in.zeros, a[i].name), anything); at >= 0 {
			size := a[i].size
			return fmt.Errorf("%s[%d] of %d is %x, the definition says %x", a[i].name, at, a[i].n, a[i].bytes()[at*size:][:size],
				b[i].bytes()[at*size:][:size])
		}
		if kept := (a[i].n + a[i].beyond.write) * a[i].size; kept < len(a[i].all()) &&
			string(a[i].all()[kept:]) != string(before[i].all()[kept:]) {
			return fmt.Errorf("wrote further beyond %s than it says", a[i].name)
		}
	}
	return nil
}

// TestRegistry compares every function with its definition: bits, every tail, every alignment, at unmapped pages, between canaries, with
// what it may read and write beyond and no more.
func TestRegistry(t *testing.T) {
	fences := make([]*fence[byte], 16)
	for i := range fences {
		fences[i] = newFence[byte](t, 4<<20, 0xa5)
	}
	if len(registry) == 0 {
		t.Fatal("the registry is empty")
	}
	known := map[string]bool{}
	for i := range registry {
		e := &registry[i]
		known[e.name] = true
		t.Run(e.String(), func(t *testing.T) {
			in := trials[e.name]
			compared := map[ISA]int{}
			reported := map[ISA]bool{}
			for _, n := range e.sizes(&in) {
				r := random(n)
				want, anything := e.arguments(&in, n, &r)
				original := want.clone()
				before := e.copies(original)
				spans := e.spans(want)
				want.define()
				for _, isa := range available[:len(available)-1] {
					for side := range 3 {
						for offset := 0; offset < e.alignments(sideOf(side), n); offset++ {
							got := original.clone()
							placed := e.spans(got)
							for i := range placed {
								fences[i].put(&placed[i], sideOf(side), n*7+offset+i*5)
							}
							vectorstate.Clean()
							err := withFaults(func() error { got.call(isa); return nil })
							if vectorstate.Supported() && vectorstate.Dirty() {
								err = fmt.Errorf("dirty vector registers")
							}
							if err == nil {
								err = e.compare(&in, got, want, placed, spans, before, anything)
							}
							for i := range placed {
								if err == nil && !fences[i].canaries() {
									err = fmt.Errorf("wrote beside %s", placed[i].name)
								}
							}
							if err != nil && !reported[isa] {
								reported[isa] = true
								t.Errorf("%v, size %d, side %d, offset %d: %v", isa, n, side, offset, err)
							}
							for _, s := range placed {
								if s.n > 0 {
									compared[isa]++
									break
								}
							}
						}
					}
				}
			}
			for _, isa := range available[:len(available)-1] {
				if compared[isa] < 100 {
					t.Errorf("%v: compared with the definition %d times only", isa, compared[isa])
				}
			}
		})
	}
	for name := range trials {
		if !known[name] {
			t.Errorf("there is a trial for %s, and no such kernel", name)
		}
	}
}

// sizes are those of the trial. Up to two blocks that is all of them; beyond, a size about which a block ends does for the others.
func (e *entry) sizes(in *trial) []int {
	sizes := in.sizes
	if sizes == nil {
		sizes = upTo(1, 300, 1000, 4099, 8192)
	}
	if *long {
		return sizes
	}
	return slices.DeleteFunc(slices.Clone(sizes), func(n int) bool { return n > 136 && n < 300 && (n+1)%64 > 2 })
}

// alignments is how many places in a line the arguments are put at.
func (e *entry) alignments(side sideOf, n int) int {
	switch {
	case side != between:
		return 1
	case n == 1 || n == 67 || n == 129 || n == 1000:
		return 64
	}
	return 1
}

// copies returns the spans of arguments, and puts copies of their memory, and of what lies beyond, in its place.
func (e *entry) copies(a arguments) []span {
	spans := e.spans(a)
	for i := range spans {
		s := &spans[i]
		words := make([]uint64, (s.room()*s.size+7)/8+1)
		data := unsafe.Pointer(unsafe.SliceData(words))
		copy(unsafe.Slice((*byte)(data), s.room()*s.size), s.all())
		s.data = data
		s.set(data, s.n, s.n)
	}
	return spans
}

// TestReached: a kernel runs the function that the registry names. All its memory is unmapped, and the function that finds that out is the
// one. A definition in the place of assembly, which gives the same bits, is found in this way.
func TestReached(t *testing.T) {
	memory, err := unix.Mmap(-1, 0, 1<<20, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(memory)
	for _, isa := range available[:len(available)-1] {
		reached := 0
		for i := range registry {
			e := &registry[i]
			want, ok := e.serves[isa]
			if !ok {
				t.Errorf("%v: nothing serves %v", e, isa)
			}
			a := e.new()
			a.each(func(name string, p any) {
				if p, ok := p.(*int); ok {
					*p = 8
				}
				if s, refers := e.spanOf(name, p); refers {
					s.set(unsafe.Pointer(&memory[len(memory)/2]), 64, 64)
				}
			})
			got := faulting(func() { a.call(isa) })
			if strings.HasSuffix(want, "Generic") {
				for _, isa := range isaNames {
					if slices.ContainsFunc(got, func(f string) bool { return strings.HasSuffix(f, strings.ToUpper(isa)) }) {
						t.Errorf("%v on %v runs %s, the registry says %s", e, isa, got, want)
					}
				}
			} else if !slices.Contains(got, want) {
				t.Errorf("%v on %v runs %s, the registry says %s", e, isa, got, want)
			} else {
				reached++
			}
		}
		if reached == 0 {
			t.Errorf("%v has no function", isa)
		}
	}
}

// faulting returns the functions of this package that f is in when it touches memory that is not there: that of a kernel, and its routines.
func faulting(f func()) (names []string) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		runtime.GC() // which scans the frames of what has faulted
		if recover() == nil {
			return
		}
		pcs := make([]uintptr, 32)
		frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
		fault := false
		for more := true; more; {
			var frame runtime.Frame
			frame, more = frames.Next()
			if _, name, ok := strings.Cut(frame.Function, "lanewise."); ok && fault {
				names = append(names, name)
			}
			fault = fault || frame.Function == "runtime.sigpanic"
		}
	}()
	f()
	return nil
}
