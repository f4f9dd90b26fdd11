package main

import (
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/lanewise/lanewise"
)

// A lossRow is one way to compute the loss of one data set.
type lossRow struct {
	Pixels  int    `json:"pixels"`
	Classes int    `json:"classes"`
	Data    string `json:"data"`
	Peer    string `json:"peer,omitempty"` // what is not Lanewise's loss has a name, and no method
	ISA     string `json:"isa,omitempty"`
	Method  string `json:"method,omitempty"`
	Layout  string `json:"layout"`
	Workers int    `json:"workers"`

	Forward  float64 `json:"forward"`  // ns per logit; 0: not measured
	Backward float64 `json:"backward"` // loss and gradient, ns per logit
	Spread   float64 `json:"spread"`   // of Backward
	Sorts    float64 `json:"sorts"`    // the time of the dense sort / this one's
	Copies   float64 `json:"copies"`   // this time / that of a copy of the logits

	Memory    int     `json:"memory,omitempty"`     // bytes that the first call allocates: at least the peak
	Counts    int     `json:"counts,omitempty"`     // bytes of the same pixels as LovaszCounts
	LossError float64 `json:"loss_error,omitempty"` // relative, against float64
	GradError float64 `json:"grad_error,omitempty"` // norm of the difference / norm

	ForwardSamples  []float64 `json:"forward_samples,omitempty"` // ns of one call
	BackwardSamples []float64 `json:"backward_samples,omitempty"`
}

func (r lossRow) name() string {
	return lossName(r.Pixels, r.Classes, r.Data)
}

func lossName(pixels, classes int, data string) string {
	return fmt.Sprintf("Lovasz/%dx%d/%s", pixels, classes, data)
}

// label names the row within its case.
func (r lossRow) label() string {
	if r.Peer != "" {
		return r.Peer
	}
	return r.Method + " " + r.ISA
}

type lossSize struct{ pixels, classes int }

// A lossVariant is a way to compute the loss; backward nil stands for a copy.
type lossVariant struct {
	row      lossRow
	forward  variant
	backward variant
}

// measureLoss measures the loss in all its forms beside the yardsticks: a dense sort, and copying the logits.
func measureLoss(size lossSize, data string, others *externals, p plan) ([]lossRow, error) {
	pixels, classes := size.pixels, size.classes
	planes, labels := makeLossData(data, pixels, classes)
	pixelMajor := transposed(planes, classes, pixels)
	grad := alloc[float32](len(planes))
	base := lossRow{Pixels: pixels, Classes: classes, Data: data, Layout: "class-major", Workers: 1}

	yardstick := newSortedLoss(pixels, classes)
	want := newLoss64("softmax", input{planes, labels}, pixels, classes)
	wantLoss, wantGrad := want.loss, want.grad
	if data == "equal" || data == "ties" {
		wantGrad = nil // any order of equal errors has a gradient of its own
	}
	sorted := base
	sorted.Peer = "dense sort, Go"
	sorted.LossError = math.Abs(yardstick.run(grad, planes, labels)-wantLoss) / wantLoss
	sorted.GradError = gradError(grad, wantGrad, nil)
	copied := base
	copied.Peer = "copy"
	variants := []lossVariant{
		{row: copied, backward: variant{"", timed(func() { copy(grad, planes) })}},
		{
			sorted,
			variant{"", timed(func() { sinkFloat = yardstick.run(nil, planes, labels) })},
			variant{"", timed(func() { sinkFloat = yardstick.run(grad, planes, labels) })},
		},
	}
	isas := lanewise.AvailableISAs()
	for _, method := range []lanewise.Method{lanewise.Exact, lanewise.Binned} {
		for _, isa := range isas {
			best := isa == isas[0]
			for _, layout := range []lanewise.Layout{lanewise.ClassMajor, lanewise.PixelMajor} {
				for workers := 1; workers <= min(2, runtime.NumCPU()); workers++ {
					if !best && (layout == lanewise.PixelMajor || workers > 1) || layout == lanewise.PixelMajor && workers > 1 {
						continue // the rest tells nothing new
					}
					cfg := lanewise.LovaszConfig{Classes: classes, Layout: layout, Method: method, Workers: workers}
					logits := planes
					if layout == lanewise.PixelMajor {
						logits = pixelMajor
					}
					v, err := lanewiseLoss(base, isa, cfg, grad, logits, labels, wantLoss, wantGrad)
					if err != nil {
						return nil, err
					}
					variants = append(variants, v)
				}
			}
		}
	}
	variants = append(variants, others.losses(base, planes, pixelMajor, labels, wantLoss)...)

	// The yardsticks and every form once with and once without the gradient.
	var all []variant
	for _, v := range variants {
		all = append(all, v.backward)
		if v.forward.sample != nil {
			all = append(all, v.forward)
		}
	}
	times := measure(all, p)
	useISA(isas[0])
	runtime.GOMAXPROCS(1)
	logits := float64(len(planes))
	copyTimes, sortTimes := times[0], times[1]
	rows := make([]lossRow, len(variants))
	for i, v := range variants {
		r := v.row
		r.BackwardSamples, times = times[0], times[1:]
		r.Backward, r.Spread = median(r.BackwardSamples)/logits, spread(r.BackwardSamples)
		r.Sorts, r.Copies = ratio(sortTimes, r.BackwardSamples), ratio(r.BackwardSamples, copyTimes)
		if v.forward.sample != nil {
			r.ForwardSamples, times = times[0], times[1:]
			r.Forward = median(r.ForwardSamples) / logits
		}
		rows[i] = r
	}
	return rows, nil
}

// lanewiseLoss prepares the loss, and finds out what it needs and how exact it is.
func lanewiseLoss(base lossRow, isa lanewise.ISA, cfg lanewise.LovaszConfig, grad, logits []float32, labels []int32, wantLoss float64,
	wantGrad []float64) (lossVariant, error) {
	r := base
	r.ISA, r.Method, r.Workers = isa.String(), "exact", cfg.Workers
	var order func(i int) int
	if cfg.Layout == lanewise.PixelMajor {
		r.Layout = "pixel-major"
		order = func(i int) int { return i%r.Classes*r.Pixels + i/r.Classes }
	}
	ready := func() {
		useISA(isa)
		if runtime.GOMAXPROCS(0) != cfg.Workers {
			runtime.GOMAXPROCS(cfg.Workers)
		}
	}
	ready()
	var loss *lanewise.Lovasz
	var result lanewise.LovaszResult
	var err error
	r.Memory = allocated(func() {
		if loss, err = lanewise.NewLovasz(cfg); err == nil {
			result, err = loss.Backward(grad, logits, labels, 1)
		}
	})
	if err != nil {
		return lossVariant{}, fmt.Errorf("%s, %s: %w", r.name(), r.label(), err)
	}
	r.LossError = math.Abs(result.Loss-wantLoss) / wantLoss
	r.GradError = gradError(grad, wantGrad, order)
	if cfg.Method == lanewise.Binned {
		r.Method = "binned"
		if r.Counts, err = countsSize(cfg, logits, labels); err != nil {
			return lossVariant{}, fmt.Errorf("%s, %s: %w", r.name(), r.label(), err)
		}
	}

	forward := timed(func() { result, err = loss.Forward(logits, labels, 1) })
	backward := timed(func() { result, err = loss.Backward(grad, logits, labels, 1) })
	prepared := func(sample func(int) time.Duration) variant {
		return variant{r.label(), func(calls int) time.Duration {
			ready()
			return sample(calls)
		}}
	}
	return lossVariant{r, prepared(forward), prepared(backward)}, nil
}

// countsSize is how many bytes the state of the binned loss takes where it leaves the process.
func countsSize(cfg lanewise.LovaszConfig, logits []float32, labels []int32) (int, error) {
	counts, err := lanewise.NewLovaszCounts(cfg)
	if err != nil {
		return 0, err
	}
	if err := counts.Add(logits, labels, 1); err != nil {
		return 0, err
	}
	b, err := counts.MarshalBinary()
	return len(b), err
}

// allocated returns how many bytes f allocates, while nothing is collected: at least the most that it needs at once.
func allocated(f func()) int {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

// gradError is the norm of got − want, relative to that of want; order says where in want the i-th of got is, nil: in the same place. Where
// nothing is wanted, it is 0.
func gradError(got []float32, want []float64, order func(i int) int) float64 {
	var difference, norm float64
	if want == nil {
		return 0
	}
	for i, g := range got {
		j := i
		if order != nil {
			j = order(i)
		}
		d := float64(g) - want[j]
		difference += d * d
		norm += want[j] * want[j]
	}
	return math.Sqrt(difference / norm)
}
