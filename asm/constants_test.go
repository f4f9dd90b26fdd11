package main

import (
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/asm/lanes"
	"github.com/lanewise/lanewise/asm/library"
	"github.com/lanewise/lanewise/asm/machine"
)

// TestConstants: what the library and the kernels have to agree on is the same at the root and in package kernels, whose constants neither
// can take from the other.
func TestConstants(t *testing.T) {
	root, kernels := constants(t, ".."), constants(t, "kernels")
	for _, name := range []string{"maxParts", "oneBits", "one64", "restBits", "firstBin", "binCount", "packedShift", "dropped", "firstLabel"} {
		if got, want := kernels(name), root(name); got != want {
			t.Errorf("kernels have %s = %d, the library %d", name, got, want)
		}
	}
	if got := root("columns"); got != lanes.Turn {
		t.Errorf("there are %d columns, a turn is %d", got, lanes.Turn)
	}
	if got := root("sortTurn"); got != lanes.Turn {
		t.Errorf("sortTurn is %d, a turn %d", got, lanes.Turn)
	}
	if got := root("maxLanes"); got != int64(machine.F32.Lanes()) {
		t.Errorf("maxLanes is %d, a sum of float32 has %d", got, machine.F32.Lanes())
	}
	beyond := 0
	for _, k := range library.Kernels() {
		for _, b := range k.Beyond {
			beyond = max(beyond, b.Read, b.Write)
		}
	}
	if got := root("padding"); got != int64(beyond) {
		t.Errorf("padding is %d, kernels read or write up to %d elements beyond", got, beyond)
	}
}

// constants returns the integer constants of a directory's package. Nothing that it imports is looked at.
func constants(t *testing.T, dir string) func(name string) int64 {
	t.Helper()
	fset := token.NewFileSet()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, path := range paths {
		// the generated files have none
		if base := filepath.Base(path); strings.HasSuffix(base, "_test.go") || strings.HasPrefix(base, "dispatch_") {
			continue
		}
		f, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	config := types.Config{IgnoreFuncBodies: true, Error: func(error) {}} // of imports
	pkg, _ := config.Check(dir, fset, files, nil)
	return func(name string) int64 {
		t.Helper()
		c, ok := pkg.Scope().Lookup(name).(*types.Const)
		if !ok || c.Val().Kind() != constant.Int {
			t.Fatalf("%s has no integer constant %s", dir, name)
		}
		v, exact := constant.Int64Val(c.Val())
		if !exact {
			t.Fatalf("%s: %s is too large", dir, name)
		}
		return v
	}
}
