package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/lanewise/lanewise/asm/library"
	"github.com/lanewise/lanewise/asm/pipeline"
)

// TestGenerated: go generate at the root would change nothing.
func TestGenerated(t *testing.T) {
	files, err := pipeline.Generate(library.Kernels())
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("nothing is generated")
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Error(err)
		} else if !bytes.Equal(got, want) {
			t.Errorf("%s is not what asm generates: run go generate at the root", name)
		}
	}
}
