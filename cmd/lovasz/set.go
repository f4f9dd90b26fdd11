package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"time"

	"github.com/lanewise/lanewise"
	"github.com/lanewise/lanewise/files"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// A setLoss is the loss over images that come one by one.
type setLoss interface {
	add(logits []float32, labels []int32, s files.Shape) error
	result() (lanewise.LovaszResult, error)
	// backward, after result, replaces the logits that were added as the i-th by their share of the gradient.
	backward(i int, logits []float32, labels []int32, s files.Shape) error
}

// newSetLoss chooses by the flags.
func (o *options) newSetLoss(s files.Shape) (setLoss, error) {
	cfg, err := o.config(s)
	if err != nil {
		return nil, err
	}
	var loss setLoss
	switch {
	case o.PerImage && o.Counts != "":
		return nil, errors.New("-counts are of all pixels together, not -per-image")
	case o.PerImage:
		var l *lanewise.Lovasz
		l, err = lanewise.NewLovasz(cfg)
		loss = &perImage{l: l, o: o, perClass: make([]mean, s.Classes)}
	case o.Method == "binned" && o.CE > 0:
		return nil, errors.New("-ce has no counts: with many files it goes with -per-image or -method exact")
	case o.Method == "binned" || o.Predictions != "": // errors of 0 and 1 are bins of their own, so nothing is lost by counting
		var c *lanewise.LovaszCounts
		c, err = lanewise.NewLovaszCounts(cfg)
		loss = counted{c, o}
	default:
		cfg.Layout = lanewise.PixelMajor
		var l *lanewise.Lovasz
		l, err = lanewise.NewLovasz(cfg)
		loss = &together{l: l, o: o, s: s, backwards: o.Grad != "" || o.Heatmap != ""}
	}
	if err != nil {
		return nil, errors.New(asFlags.Replace(err.Error()))
	}
	return loss, nil
}

// counted is the binned loss of all pixels: nothing of an image stays.
type counted struct {
	*lanewise.LovaszCounts
	o *options
}

func (c counted) add(logits []float32, labels []int32, s files.Shape) error {
	if s.Masks {
		if at := checkMasks(labels, c.o.Void); at >= 0 {
			return &labelError{at}
		}
		return c.AddMasks(logits, masksOf(labels, c.o.Void), s.Images)
	}
	return c.Add(logits, labels, s.Images)
}

func (c counted) result() (lanewise.LovaszResult, error) { return c.Result(), nil }

func (c counted) backward(_ int, logits []float32, labels []int32, s files.Shape) error {
	if s.Masks {
		return c.BackwardMasks(logits, logits, masksOf(labels, c.o.Void), s.Images)
	}
	return c.Backward(logits, logits, labels, s.Images)
}

// perImage is the mean over the images, exact or binned.
type perImage struct {
	l                    *lanewise.Lovasz
	o                    *options
	each                 []float64
	took                 []bool // part in the mean
	lovasz, entropy, gap mean
	perClass             []mean
}

// A mean of what has been added so far; of nothing it is 0.
type mean struct {
	sum float64
	n   int
}

func (m *mean) add(x float64) { m.sum, m.n = m.sum+x, m.n+1 }

// addNumber leaves out what is not a number.
func (m *mean) addNumber(x float64) {
	if x == x {
		m.add(x)
	}
}

// orNaN is the mean, of nothing NaN.
func (m *mean) orNaN() float64 { return m.sum / float64(m.n) }

func (m *mean) value() float64 { return m.sum / float64(max(1, m.n)) }

func (p *perImage) add(logits []float32, labels []int32, s files.Shape) error {
	r, err := compute(p.l, p.o, nil, logits, labels, s)
	if err != nil {
		return err
	}
	took := !math.IsNaN(r.PerImage[0]) || r.CrossEntropy > 0
	p.each, p.took = append(p.each, r.PerImage[0]), append(p.took, took)
	if took {
		p.lovasz.add(r.Lovasz)
		p.entropy.add(r.CrossEntropy)
		p.gap.add(r.Gap)
	}
	for k, loss := range r.PerClass {
		if !math.IsNaN(loss) {
			p.perClass[k].add(loss)
		}
	}
	return nil
}

func (p *perImage) result() (lanewise.LovaszResult, error) {
	r := lanewise.LovaszResult{Lovasz: p.lovasz.value(), CrossEntropy: p.entropy.value(), Gap: p.gap.value(), PerImage: p.each}
	r.Loss = r.Lovasz + p.o.CE*r.CrossEntropy
	if p.o.Hinge {
		return r, nil
	}
	for _, m := range p.perClass {
		loss := math.NaN()
		if m.n > 0 {
			loss = m.value()
		}
		r.PerClass = append(r.PerClass, loss)
	}
	return r, nil
}

func (p *perImage) backward(i int, logits []float32, labels []int32, s files.Shape) error {
	if !p.took[i] {
		clear(logits)
		return nil
	}
	if _, err := compute(p.l, p.o, logits, logits, labels, s); err != nil {
		return err
	}
	scale := 1 / float32(p.lovasz.n)
	for j := range logits {
		logits[j] *= scale
	}
	return nil
}

// together is the exact loss of all pixels: it keeps them all, as rows, so that images of any layout and size are one.
type together struct {
	l         *lanewise.Lovasz
	o         *options
	s         files.Shape
	backwards bool
	logits    []float32 // [all pixels, classes]; behind result the gradient, if it is wanted
	labels    []int32   // with masks [all pixels, classes]
	ends      []int     // where the pixels of each file end
}

func (t *together) add(logits []float32, labels []int32, s files.Shape) error {
	from := len(t.logits)
	t.logits = slices.Grow(t.logits, len(logits))[:from+len(logits)]
	move(t.s, t.logits[from:], logits, s.Images, func(row, own *float32) { *row = *own })
	if s.Masks {
		t.labels = slices.Grow(t.labels, len(labels))[:from+len(labels)]
		move(t.s, t.labels[from:], labels, s.Images, func(row, own *int32) { *row = *own })
	} else {
		t.labels = append(t.labels, labels...)
	}
	t.ends = append(t.ends, len(t.logits)/s.Classes)
	return nil
}

// move pairs the elements of rows with those of an array in its own layout.
func move[T any](s files.Shape, rows, array []T, images int, pair func(row, own *T)) {
	pixels := len(array) / (images * s.Classes)
	for image := range images {
		first := image * pixels * s.Classes
		for p := range pixels {
			for k := range s.Classes {
				own := first + p*s.Classes + k
				if s.Layout == lanewise.ClassMajor {
					own = first + k*pixels + p
				}
				pair(&rows[first+p*s.Classes+k], &array[own])
			}
		}
	}
}

func (t *together) result() (lanewise.LovaszResult, error) {
	var grad []float32
	if t.backwards {
		grad = t.logits
	}
	all := t.s
	all.Images, all.Pixels, all.Layout = 1, len(t.logits)/t.s.Classes, lanewise.PixelMajor
	r, err := compute(t.l, t.o, grad, t.logits, t.labels, all)
	var at *lanewise.PixelError
	var mask *labelError
	pixel := -1
	if errors.As(err, &at) {
		pixel = at.Pixel
	} else if errors.As(err, &mask) {
		pixel = mask.at / t.s.Classes
	}
	for i, end := range t.ends {
		if pixel >= 0 && pixel < end { // its pixels alone give its own error
			from := 0
			if i > 0 {
				from = t.ends[i-1]
			}
			one, perPixel := all, 1
			one.Pixels = end - from
			if t.s.Masks {
				perPixel = t.s.Classes
			}
			labels := t.labels[from*perPixel : end*perPixel]
			_, err = compute(t.l, t.o, nil, t.logits[from*t.s.Classes:end*t.s.Classes], labels, one)
			return r, &fileError{i, err, labels}
		}
	}
	return r, err
}

// A fileError is one of the i-th file, found when all were read.
type fileError struct {
	i int
	error
	labels []int32
}

func (t *together) backward(i int, logits []float32, _ []int32, s files.Shape) error {
	to := t.ends[i] * t.s.Classes
	move(t.s, t.logits[to-len(logits):to], logits, s.Images, func(row, own *float32) { *own = *row })
	return nil
}

// muchMemory is how many bytes are worth a note, as machines have today.
var muchMemory = 500e6

// memory is about what together takes for so many images like this one, in bytes: the logits, what a Lovasz keeps, and the gradient's
// place.
func memory(s files.Shape, images, workers int) float64 {
	pixels := float64(s.Images) * float64(s.Pixels)
	return float64(images) * pixels * (12*float64(s.Classes) + 8 + 16*float64(workers))
}

// evaluateSet computes what the flags ask for of many files, and reads them one by one; a second time for what needs the gradient.
func evaluateSet(l *loader, pairs []pair, out *outputs, progress *progress) (*report, error) {
	o := l.o
	var r *report
	var first files.Shape
	var loss setLoss
	var counts *tally
	for i, p := range pairs {
		x, y, s, err := l.load(p)
		switch {
		case err != nil:
			return nil, err
		case i == 0:
			first = s
			if loss, err = o.newSetLoss(s); err != nil {
				return nil, err
			}
			counts = newTally(o, s)
			r = o.newReport(x, y, s)
			if t, ok := loss.(*together); ok && len(pairs) > 1 {
				whole := 0. // what the labels take that are in one array
				if l.all != nil {
					whole = 4 * float64(len(l.all.data))
				}
				if need := memory(t.s, len(pairs), r.Workers) + whole; need >= muchMemory {
					progress.note("the exact loss of all pixels together ranks every error among those of all images, so it keeps them all: "+
						"about %s for %d images like the first (-per-image and -method binned: %s)",
						size(need), len(pairs), size(3*memory(s, 1, r.Workers)+whole))
				}
				t.logits = make([]float32, 0, len(pairs)*len(x.data)) // growing would take twice the memory
				t.labels = make([]int32, 0, len(pairs)*len(y.data))
			}
			progress.begin(len(pairs), "loss")
		case s.Classes != first.Classes || s.Layout != first.Layout || s.Masks != first.Masks:
			return nil, fmt.Errorf("%s holds %v, %s %v", p.Logits, s, pairs[0].Logits, first)
		}
		if s.Images > 1 && o.set() {
			return nil, fmt.Errorf("%s holds %d images: of many files each is one", p.Logits, s.Images)
		}
		if err := counts.add(o, x.data, y.data, s); err != nil {
			return nil, l.explain(err, i, pairs, y, s)
		}
		start := time.Now()
		err = loss.add(x.data, y.data, s)
		r.Seconds += time.Since(start).Seconds()
		if err != nil {
			return nil, l.explain(err, i, pairs, y, s)
		}
		progress.step()
	}
	start := time.Now()
	result, err := loss.result()
	r.Seconds += time.Since(start).Seconds()
	if err != nil {
		var of *fileError
		if errors.As(err, &of) {
			return nil, l.explain(of.error, of.i, pairs, &array[int32]{data: of.labels}, first)
		}
		return nil, err
	}
	r.setLoss(o, result)
	r.setTally(counts)
	if o.set() {
		r.Files = len(pairs)
		r.Logits.Path, r.Labels.Path = o.source(), o.Labels
		if l.whole != nil {
			r.Labels.Shape, r.oneLabels = l.whole.info.shape, true
		}
		for _, p := range pairs {
			r.ImageNames = append(r.ImageNames, p.Name)
		}
		r.firstPair, r.lastPair = pairs[0].String(), pairs[len(pairs)-1].String()
	}
	r.tally = counts
	if out.counts != nil {
		if err := writeCounts(out.counts, r, loss.(counted).LovaszCounts, counts); err != nil {
			return nil, err
		}
	}
	if out.heatmap != nil {
		if err := l.heatmapOf(pairs, loss, r, out); err != nil {
			return nil, err
		}
	}
	return r, l.gradients(pairs, loss, out, progress)
}

// heatmapOf reads the image that is drawn again.
func (l *loader) heatmapOf(pairs []pair, loss setLoss, r *report, out *outputs) error {
	o := l.o
	i, image := o.HeatmapImage, 0
	if !o.set() { // one file, which may hold several
		i, image = 0, o.HeatmapImage
	}
	if i >= len(pairs) {
		return fmt.Errorf("-heatmap-image %d: there are %s, from 0", o.HeatmapImage, plural(len(pairs), "image"))
	}
	x, y, s, err := l.load(pairs[i])
	if err != nil {
		return err
	}
	h, err := o.newHeatmap(x, y, s, image)
	if err != nil {
		return err
	}
	if err := loss.backward(i, x.data, y.data, s); err != nil {
		return l.explain(err, i, pairs, y, s)
	}
	return h.save(out.heatmap, r, x.data)
}

// gradients writes a file for every pair.
func (l *loader) gradients(pairs []pair, loss setLoss, out *outputs, progress *progress) error {
	if out.grad == nil {
		return nil
	}
	progress.begin(len(pairs), "gradient")
	for i, p := range pairs {
		x, y, s, err := l.load(p)
		if err != nil {
			return err
		}
		if err := loss.backward(i, x.data, y.data, s); err != nil {
			return l.explain(err, i, pairs, y, s)
		}
		write := func(w io.Writer) error { return files.WriteNPY(w, x.shape, x.data) }
		if l.o.set() {
			err = out.grad.File(p.Name+".npy", write)
		} else {
			err = write(out.grad)
		}
		if err != nil {
			return err
		}
		progress.step()
	}
	return nil
}

// labels shows where the labels of a pair are.
func (p pair) labels() string {
	if p.of > 0 {
		return fmt.Sprintf("%s [%d]", p.Labels, p.at)
	}
	return p.Labels
}

// String shows a pair.
func (p pair) String() string { return p.Logits + " – " + p.labels() }

// size writes a number of bytes.
func size(bytes float64) string {
	units := []string{"kB", "MB", "GB", "TB"}
	for bytes /= 1000; bytes >= 999.5 && len(units) > 1; bytes /= 1000 {
		units = units[1:]
	}
	return fmt.Sprintf("%.3g %s", bytes, units[0])
}

// progress shows how far many files are, where somebody looks.
type progress struct {
	w       io.Writer
	show    bool
	bar     *progressbar.ProgressBar
	stepped func() // for tests
}

func newProgress(w io.Writer) *progress {
	f, ok := w.(*os.File)
	return &progress{w: w, show: ok && term.IsTerminal(int(f.Fd()))}
}

func (p *progress) note(format string, args ...any) {
	fmt.Fprintln(p.w, "lovasz: "+printable(fmt.Sprintf(format, args...)))
}

func (p *progress) begin(files int, what string) {
	p.bar = nil
	if p.show && files > 1 {
		p.bar = progressbar.NewOptions(files, progressbar.OptionSetWriter(p.w), progressbar.OptionSetDescription(what),
			progressbar.OptionShowCount(),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	}
}

func (p *progress) step() {
	if p.bar != nil {
		p.bar.Add(1)
	}
	if p.stepped != nil {
		p.stepped()
	}
}
