package main

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/lanewise/lanewise"
)

// The table of the loss: every configuration with its gradient, beside a dense sort and PyTorch. Some rows have a time they are wanted to
// stay below; nine pixels in ten are confident in all of them.

// A lossCase is a configuration of the loss, and what it is given.
type lossCase struct {
	Activation string `json:"activation"` // softmax, sigmoid or hinge, which has one class
	Layout     string `json:"layout"`
	Extras     string `json:"extras"` // none, void (one pixel in ten), entropy, void+entropy, weights (of classes, in both losses), smoothing
	Images     int    `json:"images"` // more than one: PerImage
	Pixels     int    `json:"pixels"` // of an image
	Classes    int    `json:"classes"`
	Method     string `json:"method"`
	Workers    int    `json:"workers"`
}

// name is what -run is matched against.
func (c lossCase) name() string {
	name := fmt.Sprintf("Lovasz/%s/%s/%s/%s/%s", c.Activation, c.Layout, c.Extras, c.size(), c.Method)
	if c.Workers > 1 {
		name += fmt.Sprintf("/workers=%d", c.Workers)
	}
	return name
}

func (c lossCase) size() string {
	size := fmt.Sprintf("%dx%d", c.Pixels, c.Classes)
	if c.Images > 1 {
		size = fmt.Sprintf("%dx%s", c.Images, size)
	}
	return size
}

// title is the case in words.
func (c lossCase) title() string {
	size := fmt.Sprintf("%d × %d", c.Pixels, c.Classes)
	if c.Images > 1 {
		size = fmt.Sprintf("%d images of %s", c.Images, size)
	}
	title := c.Activation + ", " + size
	if c.Method != "exact" {
		title += ", " + c.Method
	}
	if c.Layout == "pixel-major" {
		title += ", " + c.Layout
	}
	if c.Extras != "none" {
		title += ", " + c.Extras
	}
	if c.Workers > 1 {
		title += fmt.Sprintf(", %d workers", c.Workers)
	}
	return title
}

func (c lossCase) logits() int { return c.Images * c.Pixels * c.Classes }

func (c lossCase) with(change func(c *lossCase)) lossCase {
	change(&c)
	return c
}

// A wantedCase is a case that is wanted to take at most so many times as long, per logit, as another one does, or as the dense sort per
// pair.
type wantedCase struct {
	lossCase
	most float64
	of   lossCase // its zero value is the dense sort
}

const denseSort = "dense sort"

func (w wantedCase) reference() string {
	if w.of == (lossCase{}) {
		return denseSort
	}
	return w.of.name()
}

// wantedCases are the rows with a bound: what people train with, and what is hard because it is small.
func wantedCases() []wantedCase {
	plain := lossCase{"softmax", "class-major", "none", 1, 262144, 19, "exact", 1}
	size := func(pixels, classes int) lossCase {
		return plain.with(func(c *lossCase) { c.Pixels, c.Classes = pixels, classes })
	}
	extras := func(extras string) lossCase { return plain.with(func(c *lossCase) { c.Extras = extras }) }
	activation := func(c lossCase, activation string) lossCase {
		c.Activation = activation
		return c
	}
	images := func(c lossCase, images int) lossCase {
		c.Images = images
		return c
	}
	binned := func(c lossCase) lossCase {
		c.Method = "binned"
		return c
	}
	sort := lossCase{}
	rows := []wantedCase{
		{plain, 0.5, sort},
		{extras("void"), 1.12, plain},
		{extras("entropy"), 1.12, plain},
		{extras("void+entropy").with(func(c *lossCase) { c.Layout = "pixel-major" }), 1.25, plain},
		{activation(plain, "sigmoid"), 1.5, plain},
		{activation(size(1<<20, 1), "sigmoid"), 1, sort},
		{activation(size(1<<20, 1), "hinge"), 0.9, sort},
		{images(activation(size(65536, 1), "hinge"), 16), 0.9, sort},
		{images(size(4096, 2), 64), 1.1, sort},
		{size(65536, 2), 1, sort},
		{size(4096, 2), 1.1, sort},
		{size(256, 2), 1.2, sort},
		{size(64, 2), 1.5, sort},
		{binned(size(64, 2)), 2, size(64, 2)},
		{binned(size(4096, 19)), 1.3, plain},
	}
	if runtime.NumCPU() > 1 {
		const mostOfTwo = 1 / 1.8
		for _, c := range []lossCase{
			plain, extras("void+entropy").with(func(c *lossCase) { c.Layout = "pixel-major" }), binned(plain), activation(plain, "sigmoid"),
			activation(size(1<<20, 1), "sigmoid"), activation(size(1<<20, 1), "hinge"), images(size(4096, 2), 64), size(1<<17, 2),
		} {
			rows = append(rows, wantedCase{c.with(func(c *lossCase) { c.Workers = 2 }), mostOfTwo, c})
		}
	}
	return rows
}

// allCases is every combination that has at most so many logits; skipped are the sizes that have more.
func allCases(pixels, classes []int, mostLogits int) (cases []lossCase, skipped []string) {
	for _, p := range pixels {
		for _, c := range classes {
			if p*c > mostLogits {
				skipped = append(skipped, fmt.Sprintf("%dx%d", p, c))
				continue
			}
			for _, activation := range []string{"softmax", "sigmoid", "hinge"} {
				if c == 1 && activation == "softmax" || c > 1 && activation == "hinge" {
					continue
				}
				for _, layout := range []string{"class-major", "pixel-major"} {
					for _, extras := range []string{"none", "void", "entropy", "void+entropy", "weights", "smoothing"} {
						for _, method := range []string{"exact", "binned"} {
							one := lossCase{activation, layout, extras, 1, p, c, method, 1}
							if c == 1 && layout == "pixel-major" || activation == "hinge" && (extras != "none" && extras != "void" || method == "binned") {
								continue // the same, or there is none
							}
							cases = append(cases, one)
						}
					}
				}
			}
		}
	}
	return cases, skipped
}

// options are the choices that a case is made of.
func (c lossCase) options() []any {
	return []any{c.Activation, c.Layout, c.Extras, c.Images, c.Pixels, c.Classes, c.Method, c.Workers}
}

// A pair is two choices, of the options first and second.
type pair struct {
	first, second int
	a, b          any
}

func (c lossCase) pairs() (p []pair) {
	options := c.options()
	for i, a := range options {
		for j := range i {
			p = append(p, pair{i, j, a, options[j]})
		}
	}
	return p
}

// covering returns few of the cases that have all pairs of choices that there are in all of them: each time the one with the most new ones.
func covering(cases []lossCase) (few []lossCase) {
	seen := map[pair]bool{}
	unseen := func(c lossCase) (n int) {
		for _, p := range c.pairs() {
			if !seen[p] {
				n++
			}
		}
		return n
	}
	chosen := make([]bool, len(cases))
	for {
		best, most := 0, 0
		for i, c := range cases {
			if n := unseen(c); n > most {
				best, most = i, n
			}
		}
		if most == 0 {
			break
		}
		chosen[best] = true
		for _, p := range cases[best].pairs() {
			seen[p] = true
		}
	}
	for i, c := range cases {
		if chosen[i] {
			few = append(few, c) // in their order: neighbours share their input
		}
	}
	return few
}

// A caseRow is a case on one ISA.
type caseRow struct {
	lossCase
	ISA      string  `json:"isa"`
	Forward  float64 `json:"forward"`         // ns per logit
	Backward float64 `json:"backward"`        // the loss and its gradient
	Spread   float64 `json:"spread"`          // of Backward
	Sorts    float64 `json:"sorts,omitempty"` // Backward in times of the dense sort per pair
	PyTorch  float64 `json:"pytorch,omitempty"`

	Most float64 `json:"most,omitempty"` // wanted: at most so many times Of
	Of   string  `json:"of,omitempty"`
	Is   float64 `json:"is,omitempty"`

	Samples []float64 `json:"samples,omitempty"` // of Backward, ns
}

// short says whether a bound is not kept.
func (r caseRow) short() bool { return r.Most > 0 && !(r.Is <= r.Most) }

// group is what the tables of sizes have in common.
func (r caseRow) group() string {
	return fmt.Sprintf("%s %d %s", r.Activation, r.Classes, r.Method)
}

// sortTable orders rows as they are shown.
func sortTable(rows []caseRow) {
	slices.SortStableFunc(rows, func(a, b caseRow) int {
		return cmp.Or(-strings.Compare(a.Activation, b.Activation), cmp.Compare(a.Classes, b.Classes), -strings.Compare(a.Method, b.Method))
	})
}

// An input is what a case is given.
type input struct {
	logits []float32
	labels []int32
}

// inputs are those of one size, since many cases have them.
type inputs struct {
	size   string
	inputs map[string]input
}

// of returns the case's input, of which others may have the logits.
func (in *inputs) of(c lossCase) input {
	if in.inputs == nil || in.size != c.size() {
		in.size, in.inputs = c.size(), map[string]input{}
	}
	kind := c.Layout + " " + c.Activation
	if c.Classes > 1 {
		kind = c.Layout
	}
	x, ok := in.inputs[kind]
	if !ok {
		x = makeInput(c)
		in.inputs[kind] = x
	}
	if strings.Contains(c.Extras, "void") {
		x.labels = slices.Clone(x.labels)
		for i := range x.labels {
			if uint32(i)*0x9e3779b1>>16%10 == 0 {
				x.labels[i] = void
			}
		}
	}
	return x
}

const void = 255

// makeInput returns normal logits; in nine pixels of ten the label's is raised by 12, and one class alone goes 6 in its label's direction
// (the hinge's score 2).
func makeInput(c lossCase) input {
	pixels := c.Images * c.Pixels
	values := normals()
	r := rand.New(rand.NewPCG(5, 6))
	x := input{alloc[float32](c.logits()), alloc[int32](pixels)}
	for i := range x.labels {
		label := r.IntN(max(c.Classes, 2))
		x.labels[i] = int32(label)
		confident := r.IntN(10) > 0
		first, step := i*c.Classes, 1
		if c.Layout == "class-major" {
			first, step = i/c.Pixels*c.Pixels*c.Classes+i%c.Pixels, c.Pixels
		}
		for k := range c.Classes {
			v := float32(values[(i*c.Classes+k)%len(values)])
			switch {
			case !confident:
			case c.Activation == "hinge":
				v += float32(4*label - 2)
			case c.Classes == 1:
				v += float32(12*label - 6)
			case k == label:
				v += 12
			}
			x.logits[first+k*step] = v
		}
	}
	return x
}

// classWeights are those of the extra "weights".
func classWeights(classes int) []float32 {
	w := make([]float32, classes)
	for i := range w {
		w[i] = 1 + float32(i%3)/2
	}
	return w
}

// config is the case's configuration; entropy asks for the cross-entropy too.
func (c lossCase) config() lanewise.LovaszConfig {
	cfg := lanewise.LovaszConfig{Classes: c.Classes, Workers: c.Workers, PerImage: c.Images > 1}
	if c.Activation != "softmax" {
		cfg.Activation = lanewise.SigmoidActivation
	}
	if c.Layout == "class-major" {
		cfg.Layout = lanewise.ClassMajor
	}
	if c.Method == "binned" {
		cfg.Method = lanewise.Binned
	}
	if strings.Contains(c.Extras, "void") {
		cfg.VoidLabels = []int32{void}
	}
	switch {
	case strings.Contains(c.Extras, "entropy"):
		cfg.CrossEntropy = 1
	case c.Extras == "weights":
		cfg.CrossEntropy, cfg.CrossEntropyWeights, cfg.Weights = 1, classWeights(c.Classes), classWeights(c.Classes)
	case c.Extras == "smoothing":
		cfg.CrossEntropy, cfg.LabelSmoothing = 1, 0.1
	}
	return cfg
}

// A runningCase is a case that can be called.
type runningCase struct {
	lossCase
	in                input
	loss              *lanewise.Lovasz
	grad              []float32
	forward, backward variant
	result            float64 // of the last call
}

func newRunningCase(c lossCase, in input, grad []float32, isa lanewise.ISA) (*runningCase, error) {
	loss, err := lanewise.NewLovasz(c.config())
	if err != nil {
		return nil, err
	}
	r := &runningCase{lossCase: c, in: in, loss: loss, grad: grad[:c.logits()]}
	if err := r.call(r.grad); err != nil {
		return nil, err
	}
	on := func(grad []float32) variant {
		return variant{c.name(), func(calls int) time.Duration {
			useISA(isa)
			if runtime.GOMAXPROCS(0) != c.Workers {
				runtime.GOMAXPROCS(c.Workers)
			}
			for range calls / 8 {
				r.call(grad) // others were here in between, in the caches too
			}
			start := clock()
			for range calls {
				r.call(grad) // it did not fail before
			}
			return clock() - start
		}}
	}
	r.forward, r.backward = on(nil), on(r.grad)
	return r, nil
}

// call calls the loss, without a gradient where grad is nil.
func (r *runningCase) call(grad []float32) error {
	var result lanewise.LovaszResult
	var err error
	switch {
	case r.Activation == "hinge":
		result, err = r.loss.Hinge(grad, r.in.logits, r.in.labels, r.Images)
	case grad == nil:
		result, err = r.loss.Forward(r.in.logits, r.in.labels, r.Images)
	default:
		result, err = r.loss.Backward(grad, r.in.logits, r.in.labels, r.Images)
	}
	r.result = result.Loss
	return err
}

// sortedPairs is the yardstick of the table: a dense LSD radix sort of so many (key, index) pairs, in three passes.
const sortedPairs = 1 << 20

func pairSort() variant {
	keys, a, b := alloc[uint32](sortedPairs), alloc[uint64](sortedPairs), alloc[uint64](sortedPairs)
	r := rand.New(rand.NewPCG(7, 8))
	for i := range keys {
		keys[i] = r.Uint32()
	}
	return variant{denseSort, timed(func() {
		var h radixCounts
		for i, k := range keys {
			a[i] = uint64(k)<<32 | uint64(uint32(i))
			h.count(k)
		}
		h.sort(b, a)
	})}
}

// measureCases measures cases in turn, and with them the dense sort unless that is the zero variant. Those that are wanted to be fast come
// with what they are compared with.
func measureCases(cases []wantedCase, sort variant, in *inputs, isa lanewise.ISA, p plan) ([]caseRow, error) {
	largest := 0
	for _, c := range cases {
		largest = max(largest, c.logits())
	}
	grad := alloc[float32](largest) // one at a time
	var variants []variant
	var running []*runningCase
	for _, c := range cases {
		useISA(isa)
		runtime.GOMAXPROCS(c.Workers)
		r, err := newRunningCase(c.lossCase, in.of(c.lossCase), grad, isa)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name(), err)
		}
		running = append(running, r)
		variants = append(variants, r.backward, r.forward)
	}
	if sort.sample != nil {
		variants = append(variants, sort)
	}
	times := measure(variants, p)
	runtime.GOMAXPROCS(1)
	perLogit := map[string][]float64{}
	for i, r := range running {
		perLogit[r.name()] = scaled(times[2*i], r.logits())
	}
	if sort.sample != nil {
		perLogit[denseSort] = scaled(times[len(times)-1], sortedPairs)
	}
	rows := make([]caseRow, len(cases))
	for i, c := range cases {
		own := perLogit[c.name()]
		rows[i] = caseRow{
			lossCase: c.lossCase, ISA: isa.String(), Backward: median(own), Spread: spread(own), Samples: times[2*i],
			Forward: median(times[2*i+1]) / float64(c.logits()),
		}
		if sort.sample != nil {
			rows[i].Sorts = ratio(own, perLogit[denseSort])
		}
		if of := perLogit[c.reference()]; c.most > 0 && of != nil {
			rows[i].Most, rows[i].Of, rows[i].Is = c.most, c.reference(), ratio(own, of)
		}
	}
	return rows, nil
}

// scaled is the times of one element.
func scaled(x []float64, elements int) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = v / float64(elements)
	}
	return y
}

// measureWanted measures the rows with a bound that match, in turn with what they are compared with, on every ISA but plain Go.
func measureWanted(pattern *regexp.Regexp, mostLogits int, others *externals, p plan) ([]caseRow, error) {
	var cases []wantedCase
	for _, c := range wantedCases() {
		if pattern.MatchString(c.name()) && max(c.logits(), c.of.logits()) <= mostLogits {
			cases = append(cases, c)
		}
	}
	for _, c := range cases {
		known := slices.ContainsFunc(cases, func(x wantedCase) bool { return x.name() == c.reference() })
		if c.reference() != denseSort && !known {
			cases = append(cases, wantedCase{lossCase: c.of})
		}
	}
	if len(cases) == 0 {
		return nil, nil
	}
	in := new(inputs)
	isas := assemblyISAs()
	var all []caseRow
	for _, isa := range isas {
		rows, err := measureCases(cases, pairSort(), in, isa, p)
		if err != nil {
			return nil, err
		}
		all = append(all, rows...)
	}
	useISA(isas[0])
	for _, c := range cases {
		ns, err := torchTime(c.lossCase, in, others, p)
		if err != nil {
			return nil, err
		}
		for i := range all {
			if all[i].lossCase == c.lossCase {
				all[i].PyTorch = ns
			}
		}
	}
	return all, nil
}

const (
	torchLogit   = 250 * time.Nanosecond // what PyTorch takes at most for one, on any machine worth measuring
	torchRepeats = 5
)

// torchTime returns what PyTorch takes for a logit, or 0 where it would take longer than the plan allows, or has another result to compute.
// A loss that is not ours is an error: the time of another function would compare nothing. float32 is 0.5 % off where 2²⁰ differences are
// added up.
func torchTime(c lossCase, in *inputs, others *externals, p plan) (float64, error) {
	torch := others.torch()
	if torch == nil || c.Method != "exact" || c.Workers > 1 || time.Duration(c.logits())*torchLogit > p.budget {
		return 0, nil
	}
	x := in.of(c)
	if !others.prepare(torch, c, x) {
		return 0, nil
	}
	ours, err := newRunningCase(c, x, alloc[float32](c.logits()), lanewise.ActiveISA())
	if err != nil {
		return 0, err
	}
	if theirs := torch.loss(); !(math.Abs(theirs-ours.result) <= 0.02*math.Abs(theirs)) {
		return 0, fmt.Errorf("%s: the loss is %v, and PyTorch's %v", c.name(), ours.result, theirs)
	}
	sample := torch.sample("run")
	var times []float64
	for start := time.Now(); len(times) < torchRepeats && (len(times) == 0 || time.Since(start) < p.budget/4); {
		times = append(times, float64(sample(1)))
	}
	return slices.Min(times) / float64(c.logits()), nil
}

// tableName is what -run is matched against for a case of the table.
func (c lossCase) tableName() string { return strings.Replace(c.name(), "Lovasz/", "LovaszAll/", 1) }

// measureTable measures a case by itself, on the best ISA.
func measureTable(c lossCase, in *inputs, others *externals, p plan) (caseRow, error) {
	rows, err := measureCases([]wantedCase{{lossCase: c}}, variant{}, in, lanewise.ActiveISA(), p)
	if err != nil {
		return caseRow{}, err
	}
	if c.Extras == "none" && c.Layout == "class-major" {
		rows[0].PyTorch, err = torchTime(c, in, others, p)
	}
	return rows[0], err
}
