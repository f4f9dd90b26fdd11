package main

import (
	"time"

	"github.com/lanewise/lanewise/bench/internal/probe"
)

// A limit is what no implementation of a kernel can pass: the kernel has to move its bytes and to do its operations, and the machine's
// rates for both are measured beside it.
type limit struct {
	kind       string // what is moved, for the table
	bytes      int    // that one call must move
	operations int    // multiplications, additions, comparisons, … of one call; 0 if they do not matter
	dst, a, b  []byte // what the probe moves: the kernel's own slices, where they are large enough
}

// leastProbe is the size below which a working set is probed by a larger one: fewer bytes measure the loop, not the cache.
const leastProbe = 16 << 10

func reads[T any](a []T) limit {
	return newLimit("read", nil, bytesOf(a), nil)
}

func reads2[T any](a, b []T) limit {
	return newLimit("read two", nil, bytesOf(a), bytesOf(b))
}

func copies[T, U any](dst []T, a []U) limit {
	return newLimit("copy", bytesOf(dst), bytesOf(a), nil)
}

func merges[T, U any](dst, a []T, b []U) limit {
	return newLimit("read two, write one", bytesOf(dst), bytesOf(a), bytesOf(b))
}

func newLimit(kind string, dst, a, b []byte) limit {
	l := limit{kind: kind, bytes: len(dst) + len(a) + len(b)}
	n := max(len(dst), len(a), len(b), leastProbe) / probe.Block * probe.Block
	view := func(x []byte) []byte {
		if x == nil {
			return nil
		}
		if len(x) < n {
			x = alloc[byte](n)
			copy(x, bytesOf(normal[float32](n/4)))
		}
		return x[:n]
	}
	l.dst, l.a, l.b = view(dst), view(a), view(b)
	return l
}

func (l limit) of(operationsPerElement float64, n int) limit {
	l.operations = int(operationsPerElement * float64(n))
	return l
}

// move is the probe for the limit's traffic; one call moves all of it once.
func (l limit) move(p *probe.Probe) func(calls int) time.Duration {
	return func(calls int) time.Duration {
		start := clock()
		switch {
		case l.dst != nil && l.b != nil:
			p.Merge(l.dst, l.a, l.b, calls)
		case l.dst != nil:
			p.Copy(l.dst, l.a, calls)
		case l.b != nil:
			p.Read2(l.a, l.b, calls)
		default:
			p.Read(l.a, calls)
		}
		return clock() - start
	}
}

const multiplyAddRounds = 64

// multiplyAdd is the probe for arithmetic.
func multiplyAdd(p *probe.Probe) func(calls int) time.Duration {
	return func(calls int) time.Duration {
		start := clock()
		p.MultiplyAdd(calls * multiplyAddRounds)
		return clock() - start
	}
}

// ns returns the least times of one call on elements of so many bytes, from the times of one call of move and of multiplyAdd, and says what
// takes it. A multiply-add occupies a unit as long as a multiplication, an addition or a comparison does.
func (l limit) ns(move, multiplyAdd []float64, lanes32, elementBytes int) (least []float64, kind string) {
	moved := float64(l.bytes) / float64(len(l.dst)+len(l.a)+len(l.b))
	perRound := float64(multiplyAddRounds * probe.Chains * lanes32 * 4 / elementBytes)
	moving, computing := make([]float64, len(move)), make([]float64, len(move))
	for i := range move {
		moving[i] = moved * move[i]
		computing[i] = float64(l.operations) / perRound * multiplyAdd[i]
	}
	if median(computing) > median(moving) {
		return computing, "arithmetic"
	}
	return moving, l.kind
}
