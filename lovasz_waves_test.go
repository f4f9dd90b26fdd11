package lanewise

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
)

// A waveCase is images that are many and small, so that a call takes them in waves. With masks it has these instead of labels.
type waveCase struct {
	lossCase
	masks []uint8
	void  []bool // images without a pixel that takes part; the others are a power of two, so that the mean of gradients rounds nothing
}

func newWaveCase(cfg LovaszConfig, masked bool, pixels, took, void int) *waveCase {
	rng := newRand(uint64(cfg.Classes))
	images := took + void
	c := &waveCase{lossCase: lossCase{cfg: cfg, images: images}, void: make([]bool, images)}
	c.void[0], c.void[images-1] = true, true // a wave's first, and the last one's last
	for n := 2; n < void; {
		if i := rng.IntN(images); !c.void[i] {
			c.void[i] = true
			n++
		}
	}
	c.logits = make([]float32, images*pixels*cfg.Classes)
	for i := range c.logits {
		c.logits[i] = float32(rng.NormFloat64() * 2)
	}
	if masked {
		c.masks = make([]uint8, len(c.logits))
		for i := range c.masks {
			at := i % (pixels * cfg.Classes)
			switch {
			case c.void[i/(pixels*cfg.Classes)] || at > 0 && rng.IntN(5) == 0:
				c.masks[i] = 255
			case at == 0 || rng.IntN(3) == 0:
				c.masks[i] = 1
			}
		}
		return c
	}
	c.labels = make([]int32, images*pixels)
	for i := range c.labels {
		c.labels[i] = rng.Int32N(int32(cfg.Classes))
		if c.void[i/pixels] || i%pixels > 0 && rng.IntN(5) == 0 {
			c.labels[i] = 255
		}
	}
	return c
}

// part returns some images.
func (c *waveCase) part(from, to int) *waveCase {
	of := func(n int) (int, int) { return from * n / c.images, to * n / c.images }
	p := &waveCase{lossCase: lossCase{cfg: c.cfg, images: to - from}, void: c.void[from:to]}
	i, j := of(len(c.logits))
	p.logits = c.logits[i:j]
	if c.masks != nil {
		p.masks = c.masks[i:j]
		return p
	}
	i, j = of(len(c.labels))
	p.labels = c.labels[i:j]
	return p
}

// run calls l, for the loss alone where grad is nil.
func (c *waveCase) run(l *Lovasz, grad, logits []float32) (LovaszResult, error) {
	switch {
	case c.masks != nil && grad != nil:
		return l.BackwardMasks(grad, logits, c.masks, c.images)
	case c.masks != nil:
		return l.ForwardMasks(logits, c.masks, c.images)
	case grad != nil:
		return l.Backward(grad, logits, c.labels, c.images)
	}
	return l.Forward(logits, c.labels, c.images)
}

// alone is what the images give one by one, and the mean of that.
func (c *waveCase) alone(t *testing.T) (mean LovaszResult, grad []float32) {
	cfg := c.cfg
	cfg.PerImage, cfg.Workers = false, 1
	l := mustLovasz(t, cfg)
	grad = make([]float32, len(c.logits))
	size := len(c.logits) / c.images
	sums, counts := make([]float64, cfg.Classes), make([]float64, cfg.Classes)
	var took float64
	for n := range c.images {
		one := c.part(n, n+1)
		res, err := one.run(l, grad[n*size:(n+1)*size], one.logits)
		if err != nil {
			t.Fatalf("image %d: %v", n, err)
		}
		for k, v := range res.PerClass {
			if v == v {
				sums[k] += v
				counts[k]++
			}
		}
		if c.void[n] {
			mean.PerImage = append(mean.PerImage, math.NaN())
			continue
		}
		mean.PerImage = append(mean.PerImage, res.Lovasz)
		mean.Lovasz, mean.CrossEntropy, mean.Gap = mean.Lovasz+res.Lovasz, mean.CrossEntropy+res.CrossEntropy, mean.Gap+res.Gap
		took++
	}
	for k := range sums {
		sums[k] /= counts[k]
	}
	mean.Lovasz, mean.CrossEntropy, mean.Gap, mean.PerClass = mean.Lovasz/took, mean.CrossEntropy/took, mean.Gap/took, sums
	mean.Loss = mean.Lovasz + cfg.CrossEntropy*mean.CrossEntropy
	for i := range grad {
		grad[i] /= float32(took)
	}
	return mean, grad
}

// eachWaveCase calls f for cases of two to four waves.
func eachWaveCase(t *testing.T, f func(t *testing.T, c *waveCase)) {
	for _, size := range []struct{ classes, pixels, took, void int }{
		{40, 7, 256, 5},  // waves of 204 images
		{1000, 3, 16, 5}, // of 8
		{9000, 2, 2, 2},  // of one
	} {
		for i := range 2 * 2 * 2 * 3 {
			if !*long && (i^i>>1^i>>2)&1 == 1 { // each option with each value of one other, if not of two
				continue
			}
			masked := i>>3 == 2
			cfg := LovaszConfig{Classes: size.classes, PerImage: true, Layout: Layout(i & 1), Method: Method(i >> 1 & 1),
				CrossEntropy: float64(i>>2&1) / 2,
				Activation:   min(Activation(i>>3), SigmoidActivation), VoidLabels: []int32{255}, Void: VoidPolicy(i & 1)}
			name := fmt.Sprintf("%d classes, %v, %v, %v, λ %v, masks %t", cfg.Classes, cfg.Activation, cfg.Layout, cfg.Method, cfg.CrossEntropy,
				masked)
			t.Run(name, func(t *testing.T) { f(t, newWaveCase(cfg, masked, size.pixels, size.took, size.void)) })
		}
	}
}

// Several waves give the bits of every image by itself.
func TestLovaszWaves(t *testing.T) {
	manyWorkers(t)
	eachWaveCase(t, func(t *testing.T, c *waveCase) {
		want, wantGrad := c.alone(t)
		for workers := 1; workers <= 2; workers++ {
			cfg := c.cfg
			cfg.Workers = workers
			l := mustLovasz(t, cfg)
			res, err := c.run(l, nil, c.logits)
			if d := sameResult(res, want); err != nil || d != "" {
				t.Errorf("%d workers: forward: %v %s wanted", workers, err, d)
			}
			if len(l.call.units)*2 >= c.images {
				t.Fatalf("the last wave has %d of %d images: not what is to be tested", len(l.call.units), c.images)
			}
			logits, grad := c.logits, filled(len(c.logits), 7)
			if workers == 2 { // in place
				logits = slices.Clone(c.logits)
				grad = logits
			}
			res, err = c.run(l, grad, logits)
			if d := sameResult(res, want) + sameGradient(grad, wantGrad); err != nil || d != "" {
				t.Errorf("%d workers: %v %s wanted", workers, err, d)
			}
		}
	})
}

// A bad value in the last wave is named before anything is written, and the next call knows nothing of it.
func TestLovaszWavesErrors(t *testing.T) {
	manyWorkers(t)
	eachWaveCase(t, func(t *testing.T, c *waveCase) {
		if c.cfg.Method == Binned {
			return // the errors come before it
		}
		c.cfg.Workers = 2
		l := mustLovasz(t, c.cfg)
		grad := filled(len(c.logits), 7)
		pixels := len(c.logits) / c.cfg.Classes / c.images
		pixel, logit := (c.images-2)*pixels, (c.images-2)*pixels*c.cfg.Classes // the first one of the last image that is not void
		for c.void[pixel/pixels] {
			pixel, logit = pixel-pixels, logit-pixels*c.cfg.Classes
		}
		check := func(what string, want error, class int) {
			t.Helper()
			_, err := c.run(l, grad, c.logits)
			var at *PixelError
			if !errors.Is(err, want) || !errors.As(err, &at) || at.Pixel != pixel || at.Class != class {
				t.Errorf("%s: %v, want one at pixel %d, class %d", what, err, pixel, class)
			}
			if slices.ContainsFunc(grad, func(v float32) bool { return v != 7 }) {
				t.Errorf("%s: the gradient was written", what)
			}
		}
		good := c.logits[logit]
		c.logits[logit] = float32(math.NaN())
		check("a NaN", ErrNotFinite, 0)
		c.logits[logit] = good
		if c.masks == nil {
			label := c.labels[pixel]
			c.labels[pixel] = int32(c.cfg.Classes)
			check("a label", ErrLabel, -1)
			c.labels[pixel] = label
		}
		want, err := c.run(mustLovasz(t, c.cfg), slices.Clone(grad), c.logits)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.run(l, grad, c.logits); err != nil || sameResult(got, want) != "" {
			t.Errorf("afterwards: %v %s", err, sameResult(got, want))
		}
	})
}
