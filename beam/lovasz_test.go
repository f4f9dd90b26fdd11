package lanewisebeam

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/lanewise/lanewise"
)

func TestMain(m *testing.M) { os.Exit(ptest.MainRet(m)) }

// Results of the pipelines under test; the runner is in this process.
var collected struct {
	sync.Mutex
	results map[string]Result
}

func collect(key string, r Result) {
	collected.Lock()
	defer collected.Unlock()
	if _, twice := collected.results[key]; twice {
		panic("two results for the key " + key)
	}
	collected.results[key] = r
}

func collectAll(r Result) { collect("", r) }

func init() {
	register.Function2x0(collect)
	register.Function1x0(collectAll)
	register.Function1x2(byRegion)
}

// byRegion keys an image by the first part of its name.
func byRegion(im Image) (string, Image) {
	region, _, _ := strings.Cut(im.Name, "/")
	return region, im
}

// evaluate runs Evaluate, or per region EvaluatePerKey, on prism.
func evaluate(t *testing.T, cfg lanewise.LovaszConfig, perKey bool, images []Image) map[string]Result {
	t.Helper()
	collected.results = map[string]Result{}
	ptest.BuildAndRun(t, func(s beam.Scope) {
		in := beam.Reshuffle(s, beam.CreateList(s, images))
		if perKey {
			beam.ParDo0(s, collect, EvaluatePerKey(s, cfg, beam.ParDo(s, byRegion, in)))
		} else {
			beam.ParDo0(s, collectAll, Evaluate(s, cfg, in))
		}
	})
	return collected.results
}

// pixels returns logits [pixels, classes] and labels, a tenth of them 255; class 1 has none.
func pixels(n, classes int, seed uint64) (logits []float32, labels []int32) {
	r := rand.New(rand.NewPCG(seed, 8))
	for range n {
		label := int32(r.IntN(classes))
		if label == 1 {
			label = 0
		}
		for k := range classes {
			x := r.NormFloat64()
			if int32(k) == label {
				x += 1.5
			}
			logits = append(logits, float32(x))
		}
		if r.IntN(10) == 0 {
			label = 255
		}
		labels = append(labels, label)
	}
	return logits, labels
}

// split cuts pixels into so many images of different sizes, in the layout of cfg.
func split(cfg lanewise.LovaszConfig, logits []float32, labels []int32, images int, seed uint64) []Image {
	r := rand.New(rand.NewPCG(seed, 9))
	cuts := []int{0, len(labels)}
	for range images - 1 {
		cuts = append(cuts, r.IntN(len(labels)+1))
	}
	slices.Sort(cuts)
	var list []Image
	for i := range images {
		from, to := cuts[i], cuts[i+1]
		im := Image{Name: fmt.Sprintf("image %d", i), Labels: labels[from:to], Logits: logits[from*cfg.Classes : to*cfg.Classes]}
		if cfg.Layout == lanewise.ClassMajor {
			rows := im.Logits
			im.Logits = make([]float32, len(rows))
			for p := range to - from {
				for k := range cfg.Classes {
					im.Logits[k*(to-from)+p] = rows[p*cfg.Classes+k]
				}
			}
		}
		list = append(list, im)
	}
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// want is the Result by one Forward over all pixels, and by counting what is predicted.
func want(t *testing.T, cfg lanewise.LovaszConfig, logits []float32, labels []int32) Result {
	t.Helper()
	cfg.Method, cfg.Layout = lanewise.Binned, lanewise.PixelMajor
	l, err := lanewise.NewLovasz(cfg)
	if err != nil {
		t.Fatal(err)
	}
	forward, err := l.Forward(logits, labels, 1)
	if err != nil {
		t.Fatal(err)
	}
	r := Result{Loss: forward.Loss, Gap: forward.Gap, PerClass: forward.PerClass}
	n := max(2, cfg.Classes)
	both, either, pixels := make([]int64, n), make([]int64, n), make([]int64, n)
	for i, label := range labels {
		if label == 255 {
			continue
		}
		best := 0
		for k := range cfg.Classes {
			if logits[i*cfg.Classes+k] > logits[i*cfg.Classes+best] {
				best = k
			}
		}
		if cfg.Classes == 1 && logits[i] > 0 {
			best = 1
		}
		pixels[label]++
		either[label]++
		if int(label) == best {
			both[best]++
		} else {
			either[best]++
		}
	}
	sum, seen := 0., 0.
	for k := range n {
		iou := float64(both[k]) / float64(either[k])
		r.IoU = append(r.IoU, iou)
		if either[k] > 0 && (cfg.OnlyClasses == nil || slices.Contains(cfg.OnlyClasses, k)) && !slices.Contains(cfg.SkipClasses, k) {
			sum += iou
			seen++
		}
	}
	r.MeanIoU, r.Pixels = sum/seen, pixels
	if cfg.Classes == 1 {
		r.IoU, r.Pixels, r.MeanIoU = r.IoU[1:], r.Pixels[1:], r.IoU[1]
	}
	return r
}

// check compares bit by bit.
func check(t *testing.T, what string, got, want Result) {
	t.Helper()
	same := func(a, b float64) bool { return a == b || a != a && b != b }
	if !same(got.Loss, want.Loss) || !same(got.Gap, want.Gap) || !slices.EqualFunc(got.PerClass, want.PerClass, same) ||
		!slices.EqualFunc(got.IoU, want.IoU, same) || !same(got.MeanIoU, want.MeanIoU) || !slices.Equal(got.Pixels, want.Pixels) {
		t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

var configs = []lanewise.LovaszConfig{
	{Classes: 5, VoidLabels: []int32{255}},
	{Classes: 5, VoidLabels: []int32{255}, Layout: lanewise.ClassMajor, Void: lanewise.AsBackground, Average: lanewise.AllClasses, Workers: 1},
	{Classes: 4, VoidLabels: []int32{255}, Activation: lanewise.SigmoidActivation, SkipClasses: []int{2}, Weights: []float32{1, 2, 3, .5}},
	{Classes: 1, VoidLabels: []int32{255}, Activation: lanewise.SigmoidActivation},
}

// maskPixels is pixels, with labels 0 and 1 where there is one class.
func maskPixels(cfg lanewise.LovaszConfig, n int, seed uint64) ([]float32, []int32) {
	logits, labels := pixels(n, cfg.Classes, seed)
	if cfg.Classes == 1 {
		for i := range labels {
			if labels[i] == 0 && logits[i] > float32(i%3) {
				labels[i] = 1
			}
		}
	}
	return logits, labels
}

func TestEvaluate(t *testing.T) {
	for _, cfg := range configs {
		logits, labels := maskPixels(cfg, 3000, 1)
		want := want(t, cfg, logits, labels)
		if want.Loss <= 0 || want.Gap <= 0 {
			t.Fatalf("the case has no loss: %+v", want)
		}
		for _, images := range []int{1, 7, 40} {
			got := evaluate(t, cfg, false, split(cfg, logits, labels, images, uint64(images)))
			check(t, fmt.Sprintf("%d classes, %d images", cfg.Classes, images), got[""], want)
		}
	}
}

func TestEvaluatePerKey(t *testing.T) {
	cfg := configs[1]
	var images []Image
	wanted := map[string]Result{}
	for i, region := range []string{"north", "south", "west"} {
		logits, labels := pixels(500*(i+1), cfg.Classes, uint64(i))
		for _, im := range split(cfg, logits, labels, 5, uint64(i)) {
			im.Name = region + "/" + im.Name
			images = append(images, im)
		}
		wanted[region] = want(t, cfg, logits, labels)
	}
	got := evaluate(t, cfg, true, images)
	if len(got) != len(wanted) {
		t.Errorf("%d regions, want %d", len(got), len(wanted))
	}
	for region := range wanted {
		check(t, region, got[region], wanted[region])
	}
}

// The CombineFns by themselves give the states, and no image at all gives no result.
func TestCombine(t *testing.T) {
	cfg := configs[0]
	logits, labels := pixels(1000, cfg.Classes, 3)
	images := split(cfg, logits, labels, 6, 3)
	lovasz, err := lanewise.NewLovaszCounts(cfg)
	if err == nil {
		err = lovasz.Add(logits, labels, 1)
	}
	if err != nil {
		t.Fatal(err)
	}
	states.Lock()
	states.list = nil
	states.Unlock()
	ptest.BuildAndRun(t, func(s beam.Scope) {
		in := beam.CreateList(s, images)
		beam.ParDo0(s, collectLovasz, beam.Combine(s, &LovaszFn{Config: cfg}, in))
		beam.ParDo0(s, collectConfusion, beam.Combine(s, &ConfusionFn{Config: cfg}, in))
	})
	if len(states.list) != 2 {
		t.Fatalf("%d states, want 2", len(states.list))
	}
	for _, state := range states.list {
		switch state := state.(type) {
		case *lanewise.LovaszCounts:
			got, _ := state.MarshalBinary()
			if want, _ := lovasz.MarshalBinary(); !bytes.Equal(got, want) {
				t.Errorf("the state is not that of one Add: %+v, want %+v", state.Result(), lovasz.Result())
			}
		case *lanewise.Confusion:
			if got, want := state.IoU(), want(t, cfg, logits, labels).IoU; !slices.Equal(got, want) {
				t.Errorf("IoU %v, want %v", got, want)
			}
		}
	}
	if got := evaluate(t, cfg, false, []Image{}); len(got) != 0 {
		t.Errorf("no image: %v", got)
	}
}

var states struct {
	sync.Mutex
	list []any
}

func collectLovasz(c *lanewise.LovaszCounts) { keep(c) }
func collectConfusion(c *lanewise.Confusion) { keep(c) }

func keep(state any) {
	states.Lock()
	defer states.Unlock()
	states.list = append(states.list, state)
}

func init() {
	register.Function1x0(collectLovasz)
	register.Function1x0(collectConfusion)
}

// Counts that a step made of its images are combined again, and stay what they were.
func TestMerge(t *testing.T) {
	cfg := configs[1]
	logits, labels := pixels(1200, cfg.Classes, 5)
	fn := NewEvaluateFn(cfg)
	var list []Counts
	for _, im := range split(cfg, logits, labels, 4, 5) {
		c, err := fn.CreateAccumulator()
		if err != nil {
			t.Fatal(err)
		}
		if c, err = fn.AddInput(c, im); err != nil {
			t.Fatal(err)
		}
		list = append(list, c)
	}
	before := fn.ExtractOutput(list[0])
	collected.results = map[string]Result{}
	ptest.BuildAndRun(t, func(s beam.Scope) {
		beam.ParDo0(s, collectAll, beam.Combine(s, &MergeFn{cfg}, beam.CreateList(s, list)))
	})
	want := want(t, cfg, logits, labels)
	check(t, "combined", collected.results[""], want)

	merge := &MergeFn{cfg}
	var sums [2]Counts
	for i := range sums {
		var err error
		if sums[i], err = merge.CreateAccumulator(); err != nil {
			t.Fatal(err)
		}
		for _, c := range list[2*i : 2*i+2] {
			if sums[i], err = merge.AddInput(sums[i], c); err != nil {
				t.Fatal(err)
			}
		}
	}
	sum, err := merge.MergeAccumulators(travel(t, sums[0]), travel(t, sums[1]))
	if err != nil {
		t.Fatal(err)
	}
	check(t, "merged", merge.ExtractOutput(sum), want)
	check(t, "an input", fn.ExtractOutput(list[0]), before)
}

// What runs on many machines: one bundle of images each, its accumulator through the coder, and merges in any order. Prism has one bundle
// and never merges, so the steps are taken here, with the coder that Beam finds for the accumulator's type.
func TestMergeThroughCoder(t *testing.T) {
	for _, cfg := range configs {
		logits, labels := maskPixels(cfg, 2000, 2)
		images := split(cfg, logits, labels, 12, 2)
		want := want(t, cfg, logits, labels)
		for seed := range uint64(4) {
			r := rand.New(rand.NewPCG(seed, 10))
			fn := NewEvaluateFn(cfg)
			var bundles []Counts
			for range 5 {
				c, err := fn.CreateAccumulator()
				if err != nil {
					t.Fatal(err)
				}
				bundles = append(bundles, c)
			}
			for _, im := range images {
				i := r.IntN(len(bundles))
				bundles[i] = travel(t, bundles[i]) // a runner may add to what it decoded
				var err error
				if bundles[i], err = fn.AddInput(bundles[i], im); err != nil {
					t.Fatal(err)
				}
			}
			for len(bundles) > 1 {
				r.Shuffle(len(bundles), func(i, j int) { bundles[i], bundles[j] = bundles[j], bundles[i] })
				merged, err := NewEvaluateFn(cfg).MergeAccumulators(travel(t, bundles[0]), travel(t, bundles[1]))
				if err != nil {
					t.Fatal(err)
				}
				bundles = append(bundles[2:], merged)
			}
			check(t, fmt.Sprintf("%d classes, order %d", cfg.Classes, seed), fn.ExtractOutput(travel(t, bundles[0])), want)
		}
	}
}

// travel encodes and decodes a value as Beam does.
func travel[T any](t *testing.T, v T) T {
	t.Helper()
	var b bytes.Buffer
	if err := beam.NewElementEncoder(reflect.TypeFor[T]()).Encode(v, &b); err != nil {
		t.Fatal(err)
	}
	back, err := beam.NewElementDecoder(reflect.TypeFor[T]()).Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	return back.(T)
}

// The single CombineFns through their coders.
func TestMergeOfEach(t *testing.T) {
	cfg := configs[1]
	logits, labels := pixels(900, cfg.Classes, 4)
	images := split(cfg, logits, labels, 2, 4)
	lovasz, confusion := &LovaszFn{Config: cfg}, &ConfusionFn{Config: cfg}
	var a []*lanewise.LovaszCounts
	var b []*lanewise.Confusion
	for _, im := range images {
		x, err := lovasz.CreateAccumulator()
		if err != nil {
			t.Fatal(err)
		}
		if x, err = lovasz.AddInput(x, im); err != nil {
			t.Fatal(err)
		}
		y, err := confusion.AddInput(confusion.CreateAccumulator(), im)
		if err != nil {
			t.Fatal(err)
		}
		a, b = append(a, travel(t, x)), append(b, travel(t, y))
	}
	x, err := lovasz.MergeAccumulators(a[1], a[0])
	if err != nil {
		t.Fatal(err)
	}
	y, err := confusion.MergeAccumulators(b[1], b[0])
	if err != nil {
		t.Fatal(err)
	}
	want := want(t, cfg, logits, labels)
	if got := lovasz.ExtractOutput(x).Result(); got.Loss != want.Loss || got.Gap != want.Gap {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := confusion.ExtractOutput(y).MeanIoU(); got != want.MeanIoU {
		t.Errorf("mean IoU %v, want %v", got, want.MeanIoU)
	}
	other, err := lanewise.NewLovaszCounts(configs[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lovasz.MergeAccumulators(x, other); err == nil {
		t.Error("counts of another configuration were merged")
	}
	if _, err := confusion.MergeAccumulators(y, lanewise.NewConfusion(2)); err == nil {
		t.Error("counts of other classes were merged")
	}
}

func TestImageCoder(t *testing.T) {
	for _, im := range []Image{
		{},
		{Name: "a", Logits: []float32{1, -2, float32(math.Inf(-1)), math.Float32frombits(0x7fc12345)}, Labels: []int32{-1, math.MaxInt32}},
		{Logits: make([]float32, 300), Labels: make([]int32, 100)},
	} {
		back := travel(t, im)
		same := func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }
		if back.Name != im.Name || !slices.EqualFunc(back.Logits, im.Logits, same) || !slices.Equal(back.Labels, im.Labels) {
			t.Errorf("got %+v, want %+v", back, im)
		}
	}
	// Cut off in its name and labels; the number of logits is what is left.
	b, err := encodeImage(Image{Name: "name", Labels: []int32{1, 2}})
	if err != nil {
		t.Fatal(err)
	}
	for n := range b {
		if im, err := decodeImage(b[:n]); err == nil {
			t.Errorf("%d of %d bytes: %+v", n, len(b), im)
		}
	}
	c, err := NewEvaluateFn(configs[0]).CreateAccumulator()
	if err != nil {
		t.Fatal(err)
	}
	if b, err = encodeCounts(c); err != nil {
		t.Fatal(err)
	}
	for n := range b {
		if _, err := decodeCounts(b[:n]); err == nil {
			t.Errorf("%d of %d bytes are counts", n, len(b))
		}
	}
}

// Errors fail the pipeline, and name image and pixel.
func TestErrors(t *testing.T) {
	for _, test := range []struct {
		im   Image
		want string
	}{
		{Image{"a.npy", []float32{1, 2, 3, 4}, []int32{0, 2}}, "a.npy: lanewise: label 2 at pixel 1"},
		{Image{"a.npy", []float32{1, 2, 3}, []int32{0, 1}}, "a.npy: lanewise: logits hold 3 values"},
		{Image{"a.npy", []float32{1, float32(math.NaN()), 3, 4}, []int32{0, 1}}, "a.npy: lanewise: logit of pixel 0, class 1 is NaN"},
		{Image{"", []float32{1, 2, 3}, []int32{0, 1}}, "logits hold 3 values"},
	} {
		p, s, in := ptest.CreateList([]Image{test.im})
		beam.ParDo0(s, collectAll, Evaluate(s, lanewise.LovaszConfig{Classes: 2}, in))
		if err := ptest.Run(p); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
	fn := &ConfusionFn{Config: lanewise.LovaszConfig{Classes: 2}}
	if _, err := fn.AddInput(fn.CreateAccumulator(), Image{"b.npy", []float32{1, 2, 3}, []int32{0, 1}}); err == nil ||
		!strings.Contains(err.Error(), "b.npy: logits hold 3 values") {
		t.Errorf("got %v", err)
	}
	defer func() {
		if err, ok := recover().(error); !ok || !strings.Contains(err.Error(), "PerImage") {
			t.Errorf("a bad configuration: %v", err)
		}
	}()
	_, s := beam.NewPipelineWithRoot()
	Evaluate(s, lanewise.LovaszConfig{Classes: 2, PerImage: true}, beam.CreateList(s, []Image{{}}))
}
