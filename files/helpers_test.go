package files

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// An array is what Open and then Floats or Integers give.
type array[T any] struct {
	dtype string
	shape []int
	data  []T
}

func read[T any](a *Array, err error, elements func(*Array) ([]T, error)) (*array[T], error) {
	if err != nil {
		return nil, err
	}
	defer a.Close()
	data, err := elements(a)
	if err != nil {
		return nil, err
	}
	return &array[T]{a.Dtype, a.Shape, data}, nil
}

func readLogits(path string) (*array[float32], error) {
	a, err := Open(path, Logits, Options{})
	return read(a, err, (*Array).Floats)
}

func readLabels(path string) (*array[int32], error) {
	a, err := Open(path, Labels, Options{})
	return read(a, err, (*Array).Integers)
}

// readBytes reads a whole file in both ways. Errors come without its name.
func readBytes(content []byte) (*array[float32], error, *array[int32], error) {
	open := func(role Role) (*Array, error) {
		return OpenReader(bytes.NewReader(content), int64(len(content)), "FILE", role, Options{})
	}
	bare := func(err error) error {
		if err == nil {
			return nil
		}
		return fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "FILE: "))
	}
	a, err := open(Logits)
	x, errX := read(a, err, (*Array).Floats)
	a, err = open(Labels)
	y, errY := read(a, err, (*Array).Integers)
	return x, bare(errX), y, bare(errY)
}

func writeFile(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func writeNPY(path string, shape []int, data []float32) error {
	var b bytes.Buffer
	if err := WriteNPY(&b, shape, data); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o666)
}

// wantError compares a message; "…" at its ends stands for anything.
func wantError(t *testing.T, what string, err error, want string) {
	t.Helper()
	got := fmt.Sprint(err)
	part := strings.Trim(want, "…")
	fits := got == want
	switch begin, end := strings.HasPrefix(want, "…"), strings.HasSuffix(want, "…"); {
	case begin && end:
		fits = strings.Contains(got, part)
	case begin:
		fits = strings.HasSuffix(got, part)
	case end:
		fits = strings.HasPrefix(got, part)
	}
	if err == nil || !fits {
		t.Errorf("%s: got  %s\nwant %s", what, got, want)
	}
}
