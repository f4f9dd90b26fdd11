package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestUnplugged: in a copy of the library whose dispatch calls a definition in the place of an ISA's function, which gives the same bits,
// the suite fails.
func TestUnplugged(t *testing.T) {
	if testing.Short() || runtime.GOARCH != "amd64" {
		t.Skip("builds the tests of a copy, for amd64")
	}
	root, dir := os.DirFS(".."), t.TempDir()
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if top, _, _ := strings.Cut(path, "/"); top != "." && top != "internal" && top != "testdata" {
				return fs.SkipDir
			}
			return os.MkdirAll(filepath.Join(dir, path), 0o777)
		}
		text, err := fs.ReadFile(root, path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, path), text, 0o666)
	})
	if err != nil {
		t.Fatal(err)
	}
	dispatch := filepath.Join(dir, "dispatch_amd64.go")
	text, err := os.ReadFile(dispatch)
	if err != nil {
		t.Fatal(err)
	}
	mutated := string(text)
	for from, to := range map[string]string{
		"return T(dotF32AVX2(as[float32](a), as[float32](b)))":              "return dotGeneric(a, b)",
		"scaleF64AVX2(as[float64](dst), as[float64](src), float64(factor))": "scaleGeneric(dst, src, factor)",
		"lossTallyAVX2(packed, keys)":                                       "lossTallyGeneric(packed, keys)",
	} {
		if !strings.Contains(mutated, from) {
			t.Errorf("there is no %s to mutate", from)
		}
		mutated = strings.ReplaceAll(mutated, from, to)
	}
	if err := os.WriteFile(dispatch, []byte(mutated), 0o666); err != nil {
		t.Fatal(err)
	}
	c := exec.Command("go", "test", "-count=1", "-run", "^TestReached$", ".")
	c.Dir = dir
	c.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-buildvcs=false")
	out, err := c.CombinedOutput()
	if err == nil {
		t.Errorf("the suite passes:\n%s", out)
	}
	for _, name := range []string{"dotF32", "scaleF64", "lossTally"} {
		if !strings.Contains(string(out), name+" on avx2") {
			t.Errorf("%s is not missed:\n%s", name, out)
		}
	}
}
