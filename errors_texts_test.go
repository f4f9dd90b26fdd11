package lanewise

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// A user's test can stand in for the package: it builds the errors that it wants handled.
func TestPixelErrorBuilt(t *testing.T) {
	for _, c := range []struct {
		err  *PixelError
		text string
	}{
		{&PixelError{Pixel: 3, Class: 1, Err: ErrNotFinite}, "lanewise: pixel 3, class 1: not finite"},
		{&PixelError{Pixel: 3, Class: -1, Err: ErrLabel}, "lanewise: pixel 3: label outside the classes"},
		{&PixelError{Pixel: 3, Class: -1}, "lanewise: pixel 3"},
	} {
		if c.err.Error() != c.text {
			t.Errorf("%q, want %q", c.err, c.text)
		}
		var at *PixelError
		if wrapped := fmt.Errorf("batch 7: %w", c.err); !errors.As(wrapped, &at) || at.Pixel != 3 || c.err.Err != nil &&
			!errors.Is(wrapped, c.err.Err) {
			t.Errorf("%v is not found behind %v", c.err, wrapped)
		}
	}
}

// Every sentinel says whose it is, and what wraps one says so once.
func TestSentinelTexts(t *testing.T) {
	for _, err := range []error{ErrShape, ErrLabel, ErrNotFinite, ErrRange, ErrConfig, ErrFormat, ErrISA, UseISA(99)} {
		if text := err.Error(); !strings.HasPrefix(text, "lanewise: ") || strings.Count(text, "lanewise") != 1 {
			t.Errorf("%q", text)
		}
	}
}

// Counts of another configuration say which field it is.
func TestMergeNamesField(t *testing.T) {
	counts := func(change func(cfg *LovaszConfig)) *LovaszCounts {
		cfg := LovaszConfig{Classes: 3, VoidLabels: []int32{255}, Weights: []float32{1, 2, 3}}
		change(&cfg)
		return mustCounts(t, cfg)
	}
	for _, c := range []struct {
		change func(cfg *LovaszConfig)
		text   string
	}{
		{func(cfg *LovaszConfig) { cfg.Classes, cfg.Weights = 4, []float32{1, 2, 3, 4} }, "Classes of the LovaszCounts to merge is 4, want 3"},
		{func(cfg *LovaszConfig) { cfg.Average = AllClasses }, "Average of the LovaszCounts to merge is AllClasses, want PresentClasses"},
		{func(cfg *LovaszConfig) { cfg.VoidLabels = nil }, "VoidLabels of the LovaszCounts to merge is [], want [255]"},
		{func(cfg *LovaszConfig) { cfg.Weights = []float32{1, 2, 4} }, "Weights of the LovaszCounts to merge is [1 2 4], want [1 2 3]"},
		{func(cfg *LovaszConfig) { cfg.Activation = SigmoidActivation }, "Activation of the LovaszCounts to merge is SigmoidActivation, want SoftmaxActivation"},
	} {
		err := counts(func(*LovaszConfig) {}).Merge(counts(c.change))
		if !errors.Is(err, ErrConfig) || err.Error() != "lanewise: "+c.text {
			t.Errorf("%v, want %s", err, c.text)
		}
	}
	if err := counts(func(*LovaszConfig) {}).Merge(counts(func(cfg *LovaszConfig) { cfg.Workers, cfg.Layout = 3, ClassMajor })); err != nil {
		t.Error(err)
	}
}
