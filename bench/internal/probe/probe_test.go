package probe

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// The copies copy, and nothing reads or writes beyond the slices that a caller could see.
func TestCopyAndMerge(t *testing.T) {
	r := rand.NewChaCha8([32]byte{1})
	for _, p := range All() {
		for _, n := range []int{Block, 2 * Block, 33 * Block} {
			a, b := make([]byte, n), make([]byte, n)
			r.Read(a)
			r.Read(b)
			guarded := bytes.Repeat([]byte{0xa5}, n+2*Block)
			dst := guarded[Block : Block+n : Block+n]
			p.Copy(dst, a, 2)
			if !bytes.Equal(dst, a) {
				t.Errorf("%s: Copy of %d bytes differs from its source", p.ISA, n)
			}
			p.Merge(dst, a, b, 2)
			for i := range dst {
				if dst[i] != a[i]^b[i] {
					t.Fatalf("%s: Merge of %d bytes: byte %d is %#x, want %#x", p.ISA, n, i, dst[i], a[i]^b[i])
				}
			}
			p.Read(a, 2)
			p.Read2(a, b, 2)
			for _, guard := range [][]byte{guarded[:Block], guarded[Block+n:]} {
				if !bytes.Equal(guard, bytes.Repeat([]byte{0xa5}, Block)) {
					t.Errorf("%s: written beyond %d bytes", p.ISA, n)
				}
			}
		}
		if got := p.MultiplyAdd(10); got != 10*Chains*p.Lanes {
			t.Errorf("%s: MultiplyAdd(10) = %d", p.ISA, got)
		}
	}
}

func TestLengths(t *testing.T) {
	for _, n := range []int{0, 1, Block - 1, Block + 1} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Read of %d bytes does not panic", n)
				}
			}()
			All()[0].Read(make([]byte, n), 1)
		}()
	}
}

func BenchmarkRead(b *testing.B) {
	x := make([]byte, 16<<10)
	for _, p := range All() {
		b.Run(p.ISA, func(b *testing.B) {
			b.SetBytes(int64(len(x)))
			p.Read(x, b.N)
		})
	}
}
