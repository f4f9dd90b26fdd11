package main

import "math"

// The usual data sets of the loss: logits [classes, pixels] and labels.
//
//   - random: noise, as an untrained network gives it on random labels
//   - confident: the same with +12 on the label of nine pixels in ten
//   - trained: regions with soft borders, class frequencies that fall as 1/(1+k), and blobs of errors
var lossData = []string{"random", "confident", "trained"}

// hardData are there for those who count or sort by digits: one error for each class and kind of pixel, few of them, and errors of all
// magnitudes.
var hardData = []string{"equal", "ties", "geometric"}

// A xorshift is Marsaglia's generator, which every language can have in a line.
type xorshift uint64

func (r *xorshift) next() uint64 {
	*r ^= *r << 13
	*r ^= *r >> 7
	*r ^= *r << 17
	return uint64(*r)
}

// uniform is in (0, 1].
func (r *xorshift) uniform() float32 { return (float32(r.next()>>40) + 0.5) * 0x1p-24 }

func (r *xorshift) normal() float32 {
	return float32(math.Sqrt(-2*math.Log(float64(r.uniform()))) * math.Cos(2*math.Pi*float64(r.uniform())))
}

func hash(a, b int) uint32 {
	h := uint64(uint32(a))*0x9E3779B97F4A7C15 ^ uint64(uint32(b))*0xC2B2AE3D27D4EB4F
	h ^= h >> 29
	h *= 0xBF58476D1CE4E5B9
	h ^= h >> 32
	return uint32(h)
}

func makeLossData(data string, pixels, classes int) (logits []float32, labels []int32) {
	r := xorshift(88172645463325252)
	width := 256
	if pixels >= 1<<18 {
		width = 1024
	}
	logits, labels = alloc[float32](pixels*classes), alloc[int32](pixels)
	for i := range labels {
		for c := range classes {
			logits[c*pixels+i] = r.normal()
		}
		label, predicted, margin := int(r.next()%uint64(classes)), 0, float32(0)
		switch data {
		case "confident":
			if predicted = label; r.uniform() < 0.9 {
				margin = 12
			}
		case "trained":
			y, x := i/width, i%width
			h := hash(y/37, x/53)
			f := float32(h&0xffff) / 65536
			label = min(int(float32(classes)*f*f), classes-1)
			predicted = label
			margin = 9 + 2*(float32(h>>16&255)/128-1) + 0.7*r.normal()
			if min(y%37, x%53) < 2 {
				margin *= r.uniform()*1.3 - 0.3
			}
			if hash(y/12+7777, x/12+33)%100 < 3 {
				predicted = (label + 1 + int(hash(y/12, x/12))%(classes-1)) % classes
				margin = 4 + r.normal()
			}
		}
		labels[i] = int32(label)
		logits[predicted*pixels+i] += margin
	}
	for i := range logits {
		switch data {
		case "equal":
			logits[i] = 0
		case "ties":
			logits[i] = float32(3 * (r.next() & 1))
		case "geometric":
			logits[i] = -60 * r.uniform()
		}
	}
	return logits, labels
}

// transposed returns [cols, rows] of x [rows, cols].
func transposed(x []float32, rows, cols int) []float32 {
	y := alloc[float32](len(x))
	for i := range rows {
		for j := range cols {
			y[j*rows+i] = x[i*cols+j]
		}
	}
	return y
}
