//go:build unix

package lanewise

import (
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A fence is a placer whose elements touch an unmapped page: they end before one, or begin after one.
type fence[E comparable] struct {
	guard  E
	before bool // elements begin after the unmapped page, instead of ending before the other
	whole  []E  // all that is between the pages
	from   int
	n      int
}

func newFence[E comparable](t *testing.T, bytes int, guard E) *fence[E] {
	page := os.Getpagesize()
	bytes = (bytes + page - 1) &^ (page - 1)
	memory, err := unix.Mmap(-1, 0, bytes+2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(memory) })
	for _, unmapped := range [][]byte{memory[:page], memory[page+bytes:]} {
		if err := unix.Mprotect(unmapped, unix.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	f := &fence[E]{guard: guard, whole: unsafe.Slice((*E)(unsafe.Pointer(&memory[page])), bytes/int(unsafe.Sizeof(guard)))}
	for i := range f.whole {
		f.whole[i] = guard
	}
	return f
}

func (f *fence[E]) place(n, _ int) []E {
	for i := range f.n { // what the last ones left
		f.whole[f.from+i] = f.guard
	}
	f.from, f.n = 0, n
	if !f.before {
		f.from = len(f.whole) - n
	}
	return f.whole[f.from : f.from+n : f.from+n]
}

// intact looks at the side that is mapped.
func (f *fence[E]) intact() bool {
	side := f.whole[max(0, f.from-guards):f.from]
	if f.before {
		side = f.whole[f.n:min(f.n+guards, len(f.whole))]
	}
	for _, v := range side {
		if v != f.guard {
			return false
		}
	}
	return true
}

// TestBounds runs every kernel with its slices against unmapped pages, on either side.
func TestBounds(t *testing.T) {
	t.Run("float32", testBounds[float32])
	t.Run("float64", testBounds[float64])
}

func testBounds[T Float](t *testing.T) {
	const largest = 20_000
	size := (largest + 8*200) * int(unsafe.Sizeof(T(0)))
	for _, before := range []bool{false, true} {
		floats := func() placer[T] {
			f := newFence(t, size, guard[T]())
			f.before = before
			return f
		}
		integers := func() placer[int32] {
			f := newFence[int32](t, size, guardIndex)
			f.before = before
			return f
		}
		truth := newFence[uint8](t, size, guardTruth)
		truth.before = before
		b := &bench[T]{floats(), floats(), floats(), integers(), integers(), truth}
		side := map[bool]string{false: "before", true: "after"}[before]
		for _, k := range kernelTests[T]() {
			t.Run(side+" a page/"+k.name, func(t *testing.T) {
				var cases []kernelCase[T]
				for i, s := range append(k.family.shapes(), shape{4096, 3, 1}) {
					if s.inner > 1 && s.axis > 20 && s.axis%7 != 0 {
						continue // planes end in the same ways however many they are
					}
					if n := k.lengths(s); max(n.x, n.dst, n.index, n.labels, n.truth) <= largest && k.family.takes(s) {
						cases = append(cases, k.newCase(s, fills[i%4], uint64(i)))
					}
				}
				eachISA(t, func(t *testing.T) {
					for i := range cases {
						for _, alias := range append(strings.Split(k.inPlace, ""), "") {
							if err := withFaults(func() error { return b.run(&k, &cases[i], 0, alias) }); err != nil {
								t.Fatalf("%v, in place of %q: %v", cases[i].shape, alias, err)
							}
						}
					}
				})
			})
		}
	}
}

// withFaults returns a memory fault in f as an error.
func withFaults(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("%v", fault)
		}
	}()
	return f()
}

// TestFence: the fences bite.
func TestFence(t *testing.T) {
	f := newFence(t, 1000, float32(1))
	for _, c := range []struct {
		before bool
		read   int
	}{{false, 1}, {true, -1}} {
		f.before = c.before
		x := f.place(10, 0)
		err := withFaults(func() error {
			beyond := unsafe.Add(unsafe.Pointer(&x[0]), 4*c.read)
			if c.read > 0 {
				beyond = unsafe.Add(unsafe.Pointer(&x[len(x)-1]), 4*c.read)
			}
			*(*float32)(beyond)++
			return nil
		})
		if err == nil {
			t.Errorf("element %d beyond the page could be read and written", c.read)
		}
	}
}

// TestTooManyIndices: what int32 cannot count panics. The slices are nothing but addresses.
func TestTooManyIndices(t *testing.T) {
	if unsafe.Sizeof(int(0)) == 4 {
		t.Skip("no slice is that long on a 32-bit machine")
	}
	n := math.MaxInt32
	n++
	memory, err := unix.Mmap(-1, 0, 3*4*n, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Skip("no address space: ", err)
	}
	defer unix.Munmap(memory)
	x := unsafe.Slice((*float32)(unsafe.Pointer(&memory[0])), n)
	indices := unsafe.Slice((*int32)(unsafe.Pointer(&memory[4*n])), n)
	values := unsafe.Slice((*float32)(unsafe.Pointer(&memory[8*n])), n)
	for name, f := range map[string]func(){
		"SortDescending: 2147483648 keys":   func() { SortDescending(x, indices) },
		"SortAscending: 2147483648 keys":    func() { SortAscending(x, indices) },
		"ArgMaxRows: cols = 2147483648":     func() { ArgMaxRows(indices[:1], x, n) },
		"ArgMaxPlanes: planes = 2147483648": func() { ArgMaxPlanes(indices[:1], x, n) },
		"ArgMaxAxis: axis = 2147483648":     func() { ArgMaxAxis(indices[:1], x, 1, n, 1) },
		"TopK: ":                            func() { TopK(values[:1], indices[:1], x) },
		"TopKRows: ":                        func() { TopKRows(values[:1], indices[:1], x, n) },
	} {
		func() {
			defer func() {
				if message := fmt.Sprint(recover()); !strings.HasPrefix(message, "lanewise: "+name) {
					t.Errorf("panic %q, want lanewise: %s", message, name)
				}
			}()
			f()
		}()
	}
}
