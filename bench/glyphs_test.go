package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"testing"
)

// TestGlyphsCopy compares the copy of glyphs.go, which is less than a module for both would be.
func TestGlyphsCopy(t *testing.T) {
	const name = "../examples/landcover/glyphs.go"
	theirs, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("not in a clone")
	}
	ours, err2 := os.ReadFile("glyphs.go")
	if err != nil || err2 != nil || !bytes.Equal(ours, theirs) {
		t.Errorf("glyphs.go and %s differ (%v, %v)", name, err, err2)
	}
}
