package lanewise

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
)

// Release gives the scratch back, and what comes afterwards has the same bits.
func TestRelease(t *testing.T) {
	for _, cfg := range []LovaszConfig{
		{Workers: 1},
		{Method: Binned, Workers: 2},
		{Activation: SigmoidActivation, CrossEntropy: 1, PerImage: true, Layout: ClassMajor, Workers: 2},
	} {
		cfg.Classes = 8
		c := sceneCase(newRand(3), sceneTrained, 40000, 8)
		c.cfg, c.images = cfg, 2
		mask := make([]int32, len(c.labels))
		mask[3] = 1
		grad, hingeGrad := make([]float32, len(c.logits)), make([]float32, len(mask))
		l := mustLovasz(t, cfg)
		l.Release() // of nothing
		run := func() (res, hinge LovaszResult, gradients []float32) {
			t.Helper()
			r, err := l.Backward(grad, c.logits, c.labels, c.images)
			if err != nil {
				t.Fatal(err)
			}
			res = r.Clone()
			if r, err = l.Hinge(hingeGrad, c.logits[:len(mask)], mask, c.images); err != nil {
				t.Fatal(err)
			}
			return res, r.Clone(), slices.Concat(grad, hingeGrad)
		}
		want, wantHinge, wantGrad := run()
		held := heap()
		l.Release()
		dropped := held - heap()
		t.Logf("%+v: %.1f MB", cfg, float64(dropped)/1e6)
		if least := int64(8 * len(c.logits)); dropped < least {
			t.Errorf("%+v: Release drops %d bytes, want %d at least", cfg, dropped, least)
		}
		got, gotHinge, gotGrad := run()
		if d := sameResult(got, want) + sameResult(gotHinge, wantHinge) + sameGradient(gotGrad, wantGrad); d != "" {
			t.Errorf("%+v, after Release: %s wanted", cfg, d)
		}
		if n := len(l.call.workers); n > max(1, cfg.Workers) {
			t.Errorf("%+v: %d workers after Release", cfg, n)
		}
		l.Release()
		l.Release()
		if got, gotHinge, gotGrad = run(); sameResult(got, want)+sameResult(gotHinge, wantHinge)+sameGradient(gotGrad, wantGrad) != "" {
			t.Errorf("%+v: another answer after two Releases", cfg)
		}
		runtime.KeepAlive(l)
	}
	new(Lovasz).Release() // it has no configuration, and no scratch either
}

// The slices of a result are the next call's, those of its clone are not.
func TestClone(t *testing.T) {
	cfg := LovaszConfig{Classes: 4, PerImage: true, CrossEntropy: 1, Workers: 1}
	first, second := sceneCase(newRand(1), sceneTrained, 600, 4), sceneCase(newRand(2), sceneUntrained, 600, 4)
	l := mustLovasz(t, cfg)
	res, err := l.Forward(first.logits, first.labels, 2)
	if err != nil {
		t.Fatal(err)
	}
	clone, text := res.Clone(), fmt.Sprint(res)
	if fmt.Sprint(clone) != text || len(clone.PerClass) != 4 || len(clone.PerImage) != 2 {
		t.Errorf("the clone of %v is %v", text, clone)
	}
	for _, next := range []func(){
		func() { _, err = l.Forward(second.logits, second.labels, 2) },
		func() { _, err = l.Hinge(nil, second.logits, make([]int32, len(second.logits)), 2) },
		func() { _, err = l.Forward(nil, second.labels, 2); err = nil },
		l.Release,
	} {
		if next(); err != nil || fmt.Sprint(clone) != text {
			t.Fatalf("after a call (%v) the clone is %v, want %v", err, clone, text)
		}
	}
	clone.PerClass[0], clone.PerImage[0] = -1, -1
	other, err := l.Forward(first.logits, first.labels, 2)
	if err != nil || fmt.Sprint(other) != text {
		t.Errorf("after its clone was changed a Lovasz returns %v (%v), want %v", other, err, text)
	}
	kept := other.Clone().Clone()
	other.PerClass[0] = -1
	if fmt.Sprint(kept) != text {
		t.Errorf("the clone of a clone is %v, want %v", kept, text)
	}
	if none := (LovaszResult{}).Clone(); none.PerClass != nil || none.PerImage != nil {
		t.Errorf("the clone of nothing is %+v, want nil slices", none)
	}
	counts := mustCounts(t, LovaszConfig{Classes: 4})
	mustAdd(t, counts, first)
	clone = counts.Result().Clone()
	text = fmt.Sprint(clone)
	mustAdd(t, counts, second)
	if counts.Result(); fmt.Sprint(clone) != text {
		t.Errorf("after another Result the clone is %v, want %v", clone, text)
	}
}
