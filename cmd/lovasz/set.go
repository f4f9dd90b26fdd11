package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lanewise/lanewise"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// A pair is the files of one image; its name is that of the first, without the extension.
type pair struct{ name, logits, labels string }

// isSet reports whether a path stands for many files: a directory, or a pattern.
func isSet(path string) bool {
	info, err := os.Stat(path)
	if err == nil {
		return info.IsDir()
	}
	return errors.Is(err, os.ErrNotExist) && strings.ContainsAny(path, "*?[")
}

// findPairs matches the files of two sets by name, in the order of the names.
func findPairs(logits, labels string) ([]pair, error) {
	if !isSet(labels) {
		return nil, fmt.Errorf("%s are many files, one image each: -labels is a directory or a pattern too", logits)
	}
	x, err := findFiles(logits)
	if err != nil {
		return nil, err
	}
	y, err := findFiles(labels)
	if err != nil {
		return nil, err
	}
	var pairs []pair
	for _, name := range slices.Sorted(maps.Keys(x)) {
		if y[name] == "" {
			return nil, fmt.Errorf("%s: no labels of its name in %s", x[name], labels)
		}
		file := filepath.Base(x[name])
		pairs = append(pairs, pair{strings.TrimSuffix(file, filepath.Ext(file)), x[name], y[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(y)) {
		if x[name] == "" {
			return nil, fmt.Errorf("%s: nothing of its name in %s", y[name], logits)
		}
	}
	return pairs, nil
}

// findFiles returns the files of a directory or a pattern by name: what the wildcards stand for, without the extension.
func findFiles(path string) (map[string]string, error) {
	pattern := path
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		pattern = filepath.Join(escape(path), "[^.]*")
	}
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	folder, last := filepath.Split(pattern)
	suffix := last[strings.LastIndexAny(last, "*?]")+1:]
	prefix := ""
	if !strings.ContainsAny(folder, "*?[") {
		prefix = last[:max(0, strings.IndexAny(last, "*?["))]
	}
	files := map[string]string{}
	for _, file := range paths {
		if info, err := os.Stat(file); err != nil || info.IsDir() {
			continue
		}
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), prefix), suffix)
		if !strings.Contains(suffix, ".") {
			name = strings.TrimSuffix(name, filepath.Ext(name))
		}
		if files[name] != "" {
			return nil, fmt.Errorf("%s and %s have one name, %s", files[name], file, name)
		}
		files[name] = file
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: no such file", path)
	}
	return files, nil
}

// escape makes a pattern of a path that matches it alone.
func escape(path string) string {
	if filepath.Separator == '\\' {
		return path // there Glob knows no escapes
	}
	return strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`, `\`, `\\`).Replace(path)
}

// A setLoss is the loss over images that come one by one.
type setLoss interface {
	add(logits []float32, labels []int32, images int) error
	result() (lanewise.LovaszResult, error)
	// backward, after result, replaces the logits that were added as the i-th by their share of the gradient.
	backward(i int, logits []float32, labels []int32, images int) error
}

// newSetLoss chooses by the flags.
func (o *options) newSetLoss(s shape) (setLoss, error) {
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
		loss = &perImage{l: l, hinge: o.Hinge, lambda: o.CE, perClass: make([]mean, s.classes)}
	case o.Method == "binned" && o.CE > 0:
		return nil, errors.New("-ce has no counts: with many files it goes with -per-image or -method exact")
	case o.Method == "binned" || o.Predictions != "": // errors of 0 and 1 are bins of their own, so nothing is lost by counting
		var c *lanewise.LovaszCounts
		c, err = lanewise.NewLovaszCounts(cfg)
		loss = counted{c}
	default:
		cfg.Layout = lanewise.PixelMajor
		var l *lanewise.Lovasz
		l, err = lanewise.NewLovasz(cfg)
		loss = &together{l: l, hinge: o.Hinge, s: s, backwards: o.Grad != "" || o.Heatmap != ""}
	}
	if err != nil {
		return nil, errors.New(asFlags.Replace(err.Error()))
	}
	return loss, nil
}

// counted is the binned loss of all pixels: nothing of an image stays.
type counted struct{ *lanewise.LovaszCounts }

func (c counted) add(logits []float32, labels []int32, images int) error {
	return c.Add(logits, labels, images)
}

func (c counted) result() (lanewise.LovaszResult, error) { return c.Result(), nil }

func (c counted) backward(_ int, logits []float32, labels []int32, images int) error {
	return c.Backward(logits, logits, labels, images)
}

// perImage is the mean over the images, exact or binned.
type perImage struct {
	l                    *lanewise.Lovasz
	hinge                bool
	lambda               float64
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

func (m *mean) value() float64 { return m.sum / float64(max(1, m.n)) }

func (p *perImage) add(logits []float32, labels []int32, images int) error {
	r, err := compute(p.l, p.hinge, nil, logits, labels, images)
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
	r.Loss = r.Lovasz + p.lambda*r.CrossEntropy
	if p.hinge {
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

func (p *perImage) backward(i int, logits []float32, labels []int32, images int) error {
	if !p.took[i] {
		clear(logits)
		return nil
	}
	if _, err := compute(p.l, p.hinge, logits, logits, labels, images); err != nil {
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
	hinge     bool
	s         shape
	backwards bool
	logits    []float32 // [all pixels, classes]; behind result the gradient, if it is wanted
	labels    []int32
	ends      []int // where the pixels of each file end
}

func (t *together) add(logits []float32, labels []int32, images int) error {
	from := len(t.logits)
	t.logits = slices.Grow(t.logits, len(logits))[:from+len(logits)]
	t.move(t.logits[from:], logits, images, func(row, own *float32) { *row = *own })
	t.labels = append(t.labels, labels...)
	t.ends = append(t.ends, len(t.labels))
	return nil
}

// move pairs the elements of rows with those of logits in their own layout.
func (t *together) move(rows, logits []float32, images int, pair func(row, own *float32)) {
	pixels := len(logits) / (images * t.s.classes)
	for image := range images {
		first := image * pixels * t.s.classes
		for p := range pixels {
			for k := range t.s.classes {
				own := first + p*t.s.classes + k
				if t.s.layout == lanewise.ClassMajor {
					own = first + k*pixels + p
				}
				pair(&rows[first+p*t.s.classes+k], &logits[own])
			}
		}
	}
}

func (t *together) result() (lanewise.LovaszResult, error) {
	var grad []float32
	if t.backwards {
		grad = t.logits
	}
	r, err := compute(t.l, t.hinge, grad, t.logits, t.labels, 1)
	var at *lanewise.PixelError
	if errors.As(err, &at) { // of which file: its pixels alone give its own error
		for i, end := range t.ends {
			if at.Pixel < end {
				from := 0
				if i > 0 {
					from = t.ends[i-1]
				}
				labels := t.labels[from:end]
				_, err = compute(t.l, t.hinge, nil, t.logits[from*t.s.classes:end*t.s.classes], labels, 1)
				return r, &fileError{i, err, labels}
			}
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

func (t *together) backward(i int, logits []float32, _ []int32, images int) error {
	to := t.ends[i] * t.s.classes
	t.move(t.logits[to-len(logits):to], logits, images, func(row, own *float32) { *own = *row })
	return nil
}

// memory is about what together takes for so many images like this one, in bytes: the logits, what a Lovasz keeps, and the gradient's place.
func (s shape) memory(images, workers int) float64 {
	pixels := float64(s.images) * float64(s.pixels)
	return float64(images) * pixels * (12*float64(s.classes) + 8 + 16*float64(workers))
}

// evaluateSet computes what the flags ask for of many files, and reads them one by one; a second time for what needs the gradient.
func evaluateSet(o *options, pairs []pair, progress *progress) (*report, error) {
	var r *report
	var first shape
	var loss setLoss
	var counts *tally
	for i, p := range pairs {
		x, y, s, err := o.load(p)
		switch {
		case err != nil:
			return nil, err
		case i == 0:
			first = s
			if loss, err = o.newSetLoss(s); err != nil {
				return nil, err
			}
			counts = newTally(s.classes)
			r = o.newReport(x, y, s)
			if t, ok := loss.(*together); ok && len(pairs) > 1 {
				progress.note("the exact loss of all pixels together ranks every error among those of all images, so it keeps them all: about %s for %d images "+
					"like the first (-per-image and -method binned: %s)", size(t.s.memory(len(pairs), r.Workers)), len(pairs), size(3*s.memory(1, r.Workers)))
				t.logits = make([]float32, 0, len(pairs)*len(x.data)) // growing would take twice the memory
				t.labels = make([]int32, 0, len(pairs)*len(y.data))
			}
			progress.begin(len(pairs), "loss")
		case s.classes != first.classes || s.layout != first.layout:
			return nil, fmt.Errorf("%s holds %v, %s %v", p.logits, s, pairs[0].logits, first)
		}
		if s.images > 1 && o.set() {
			return nil, fmt.Errorf("%s holds %d images: of many files each is one", p.logits, s.images)
		}
		if err := counts.add(o, x.data, y.data, s); err != nil {
			return nil, p.explain(err, y.data, s.classes)
		}
		start := time.Now()
		err = loss.add(x.data, y.data, s.images)
		r.Seconds += time.Since(start).Seconds()
		if err != nil {
			return nil, p.explain(err, y.data, s.classes)
		}
		progress.step()
	}
	start := time.Now()
	result, err := loss.result()
	r.Seconds += time.Since(start).Seconds()
	if err != nil {
		var of *fileError
		if errors.As(err, &of) {
			return nil, pairs[of.i].explain(of.error, of.labels, first.classes)
		}
		return nil, err
	}
	r.setLoss(o, result)
	r.setTally(o, counts)
	if o.set() {
		r.Files = len(pairs)
		r.Logits.Path, r.Labels.Path = o.source(), o.Labels
	}
	if r.PerImage != nil {
		for _, p := range pairs {
			r.ImageNames = append(r.ImageNames, p.name)
		}
	}
	if o.Counts != "" {
		if err := writeCounts(o.Counts, r, loss.(counted).LovaszCounts, counts); err != nil {
			return nil, err
		}
	}
	if o.Heatmap != "" {
		if err := o.heatmapOf(pairs, loss, r); err != nil {
			return nil, err
		}
	}
	return r, o.gradients(pairs, loss, progress)
}

// heatmapOf reads the image that is drawn again.
func (o *options) heatmapOf(pairs []pair, loss setLoss, r *report) error {
	i, image := o.HeatmapImage, 0
	if !o.set() { // one file, which may hold several
		i, image = 0, o.HeatmapImage
	}
	if i < 0 || i >= len(pairs) {
		return fmt.Errorf("-heatmap-image %d: there are %s, from 0", o.HeatmapImage, plural(len(pairs), "image"))
	}
	x, y, s, err := o.load(pairs[i])
	if err != nil {
		return err
	}
	h, err := o.newHeatmap(x, y, s, image)
	if err != nil {
		return err
	}
	if err := loss.backward(i, x.data, y.data, s.images); err != nil {
		return pairs[i].explain(err, y.data, s.classes)
	}
	return h.save(o.Heatmap, r, x.data)
}

// gradients writes a file for every pair.
func (o *options) gradients(pairs []pair, loss setLoss, progress *progress) error {
	if o.Grad == "" {
		return nil
	}
	target := func(pair) string { return o.Grad }
	if o.set() {
		if err := os.MkdirAll(o.Grad, 0o777); err != nil {
			return err
		}
		target = func(p pair) string { return filepath.Join(o.Grad, p.name+".npy") }
	}
	for _, p := range pairs {
		if sameFile(target(p), p.logits) || sameFile(target(p), p.labels) {
			return fmt.Errorf("-grad would overwrite %s", target(p))
		}
	}
	progress.begin(len(pairs), "gradient")
	for i, p := range pairs {
		x, y, s, err := o.load(p)
		if err != nil {
			return err
		}
		if err := loss.backward(i, x.data, y.data, s.images); err != nil {
			return p.explain(err, y.data, s.classes)
		}
		if err := writeNPY(target(p), x.shape, x.data); err != nil {
			return err
		}
		progress.step()
	}
	return nil
}

// explain says which file an error is about, too.
func (p pair) explain(err error, labels []int32, classes int) error {
	path := p.logits
	if errors.Is(err, lanewise.ErrLabel) {
		path = p.labels
	}
	err = explain(err, labels, classes)
	if path == "" {
		return err
	}
	return fmt.Errorf("%s: %s", path, strings.TrimPrefix(err.Error(), "lanewise: "))
}

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
	fmt.Fprintf(p.w, "lovasz: "+format+"\n", args...)
}

func (p *progress) begin(files int, what string) {
	p.bar = nil
	if p.show && files > 1 {
		p.bar = progressbar.NewOptions(files, progressbar.OptionSetWriter(p.w), progressbar.OptionSetDescription(what), progressbar.OptionShowCount(),
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
