package main

import (
	"math"
	"runtime"
	"slices"
	"time"

	"github.com/lanewise/lanewise/bench/internal/probe"
)

// A variant is one way to do the work of a case: Lanewise on one ISA, a peer, or a probe of the machine.
type variant struct {
	name   string
	sample func(calls int) time.Duration // the time that so many calls take
}

// timed is a sample of a Go function.
func timed(call func()) func(calls int) time.Duration {
	return func(calls int) time.Duration {
		start := clock()
		for range calls {
			call()
		}
		return clock() - start
	}
}

// A plan says how long to measure.
type plan struct {
	repeats int           // samples of every variant
	sample  time.Duration // the least that one sample takes
	budget  time.Duration // of one case: when it is used up, minRepeats samples are enough
}

const minRepeats = 3

// measure returns ns per call, [variant][repeat]. All variants are sampled in turn, again and again, so that what the machine does in the
// meantime (its clock, its other guests) happens to all of them, and the ratios within one repeat mean something.
func measure(variants []variant, p plan) [][]float64 {
	runtime.GC()
	times := make([][]float64, len(variants))
	calls := make([]int, len(variants))
	for i, v := range variants {
		calls[i] = calibrate(v, p.sample)
	}
	start := time.Now()
	for r := range p.repeats {
		if r >= minRepeats && time.Since(start) > p.budget {
			break
		}
		for i := range variants {
			if r%2 == 1 {
				i = len(variants) - 1 - i // back again, so that nobody always follows the same one
			}
			probe.ZeroUpper()
			times[i] = append(times[i], float64(variants[i].sample(calls[i]))/float64(calls[i]))
		}
	}
	return times
}

// coldStart is more than what makes a first call slow.
const coldStart = 20 * time.Millisecond

// calibrate returns how many calls a sample needs, and warms up.
func calibrate(v variant, sample time.Duration) int {
	probe.ZeroUpper()
	for calls := 1; ; {
		t := v.sample(calls)
		if t < coldStart {
			t = min(t, v.sample(calls)) // the first one may have waited for pages and caches, or for its turn
		}
		if t >= sample || calls >= 1<<24 {
			return calls
		}
		// Grow by steps, and end up a little above.
		calls = int(min(math.Ceil(1.1*float64(calls)*float64(sample)/float64(max(t, 1))), 16*float64(calls)))
	}
}

// median returns the middle of x, or the mean of the two in the middle.
func median(x []float64) float64 { return quantile(x, 0.5) }

// spread is half the distance between the quartiles of x, relative to its median.
func spread(x []float64) float64 {
	if m := median(x); m != 0 {
		return (quantile(x, 0.75) - quantile(x, 0.25)) / 2 / m
	}
	return math.NaN()
}

// quantile interpolates linearly between the values of x.
func quantile(x []float64, q float64) float64 {
	if len(x) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(x))
	at := q * float64(len(s)-1)
	i := int(at)
	if i == len(s)-1 {
		return s[i]
	}
	return s[i] + (at-float64(i))*(s[i+1]-s[i])
}

// ratio returns the median of x[r]/y[r]: repeats are compared one by one, since each happened at one time.
func ratio(x, y []float64) float64 {
	r := make([]float64, min(len(x), len(y)))
	for i := range r {
		r[i] = x[i] / y[i]
	}
	return median(r)
}
