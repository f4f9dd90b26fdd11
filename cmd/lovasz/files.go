package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// An array is what a file holds, in C order.
type array[T float32 | int32] struct {
	path  string
	dtype string // of the file, as numpy names it
	shape []int
	data  []T
}

// readLogits reads a .npy file, or an array of a .npz, .safetensors or .pt file.
func readLogits(path string) (*array[float32], error) {
	if err := refuseZarr(path, "logits"); err != nil {
		return nil, err
	}
	return read(path, decodeLogits)
}

// readLabels reads the same, or a PNG mask, or stacks all the files that a pattern matches.
func readLabels(path string) (*array[int32], error) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) && strings.ContainsAny(path, "*?[") {
		return readStack(path)
	}
	if err := refuseZarr(path, "labels"); err != nil {
		return nil, err
	}
	return read(path, decodeLabels)
}

func decodeLogits(f *file) (*array[float32], error) {
	a, err := f.array("logits")
	if err != nil {
		return nil, err
	}
	data, err := a.floats()
	dtype, shape := a.header()
	return &array[float32]{dtype: dtype, shape: shape, data: data}, err
}

func decodeLabels(f *file) (*array[int32], error) {
	if f.holds(pngMagic) {
		return readPNG(io.NewSectionReader(f.r, 0, f.size), f.size)
	}
	a, err := f.array("labels")
	if err != nil {
		return nil, err
	}
	data, err := a.integers()
	dtype, shape := a.header()
	return &array[int32]{dtype: dtype, shape: shape, data: data}, err
}

// stored is an array that has been found in a file; its elements are read next.
type stored interface {
	header() (dtype string, shape []int)
	floats() ([]float32, error)
	integers() ([]int32, error)
}

func errNotFloats(dtype string) error {
	return fmt.Errorf("logits are %s: want float16, float32 or float64", dtype)
}

func errNotIntegers(dtype string) error {
	return fmt.Errorf("labels are %s: want integers, the class ids", dtype)
}

// readStack reads the files that a pattern matches into one array with a new first axis.
func readStack(pattern string) (*array[int32], error) {
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", pattern, err)
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("%s: no such file", pattern)
	}
	var stack *array[int32]
	for _, path := range paths {
		a, err := readLabels(path)
		switch {
		case err != nil:
			return nil, err
		case stack == nil:
			stack = &array[int32]{path: pattern, dtype: a.dtype, shape: a.shape, data: a.data}
			continue
		case !slices.Equal(a.shape, stack.shape):
			return nil, fmt.Errorf("%s: shape %s, while %s has %s", path, axes(a.shape), paths[0], axes(stack.shape))
		case a.dtype != stack.dtype:
			return nil, fmt.Errorf("%s: %s, while %s is %s", path, a.dtype, paths[0], stack.dtype)
		}
		stack.data = append(stack.data, a.data...)
	}
	stack.shape = append([]int{len(paths)}, stack.shape...)
	return stack, nil
}

// A file is an open file whose size is known, so that a header can be checked against it before memory is taken.
type file struct {
	r     io.ReaderAt
	size  int64
	path  string // "" for one that is in memory
	entry string // of a file that holds several arrays, where the path names one
}

const (
	npyMagic = "\x93NUMPY"
	zipMagic = "PK"
	pngMagic = "\x89PNG"
)

// read opens the file, which may be a pipe, and puts its path before every error.
func read[T float32 | int32](path string, decode func(*file) (*array[T], error)) (*array[T], error) {
	var f file
	name, entry := splitEntry(path)
	f.entry = entry
	opened, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	info, err := opened.Stat()
	switch {
	case err != nil:
		return nil, err
	case info.Mode().IsRegular():
		f.r, f.size, f.path = opened, info.Size(), name
	default:
		all, err := io.ReadAll(opened)
		if err != nil {
			return nil, err
		}
		f.r, f.size = bytes.NewReader(all), int64(len(all))
	}
	a, err := decode(&f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	a.path = path
	return a, nil
}

// holds reports whether the file begins with magic.
func (f *file) holds(magic string) bool {
	begin := make([]byte, len(magic))
	_, err := f.r.ReadAt(begin, 0)
	return (err == nil || err == io.EOF) && string(begin) == magic
}

// array returns the array of a .npy file; of a file that may hold several the one that the path names, else the one called usual, else the
// only one.
func (f *file) array(usual string) (stored, error) {
	if err := f.refuse(usual); err != nil {
		return nil, err
	}
	switch {
	case f.size == 0:
		return nil, errors.New("the file is empty")
	case (f.holds(zipMagic) || f.holds(ptMagic)) && f.isPT():
		return openPT(f, usual)
	case f.holds(zipMagic):
		return openNPZ(f, usual)
	case f.isSafetensors():
		return openSafetensors(f, usual)
	case f.entry != "":
		return nil, errors.New("not a .npz file")
	case f.holds(npyMagic):
		return openNPY(io.NewSectionReader(f.r, 0, f.size), f.size)
	case f.holds(pngMagic):
		return nil, errors.New("a PNG file cannot hold logits: want .npy or .npz")
	case usual == "labels":
		return nil, errors.New("not a .npy, .npz or PNG file")
	}
	return nil, errors.New("not a .npy or .npz file")
}

// choose returns the name of the array to read, of those that a file holds.
func (f *file) choose(usual string, names []string) (string, error) {
	switch {
	case len(names) == 0:
		return "", errors.New("the file holds no tensor")
	case f.entry != "" && !slices.Contains(names, f.entry):
		return "", fmt.Errorf("no tensor %q among %s", f.entry, strings.Join(names, ", "))
	case f.entry != "":
		return f.entry, nil
	case slices.Contains(names, usual):
		return usual, nil
	case len(names) == 1:
		return names[0], nil
	}
	return "", fmt.Errorf("holds %s: name one, as in FILE%s:%s", strings.Join(names, ", "), filepath.Ext(f.path), names[0])
}

// splitEntry divides FILE.npz:name into file and name. The other formats of several arrays have names in the same way.
func splitEntry(path string) (file, name string) {
	for _, extension := range []string{".npz", ".safetensors", ".pt", ".pth"} {
		if i := strings.LastIndex(path, extension+":"); i >= 0 {
			i += len(extension)
			return path[:i], path[i+1:]
		}
	}
	return path, ""
}

// sameFile reports whether two paths (.npz:name too) lead to one file.
func sameFile(a, b string) bool {
	b, _ = splitEntry(b)
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}
