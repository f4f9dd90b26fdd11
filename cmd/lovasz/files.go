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

// readLogits reads a .npy file, or an array of a .npz file.
func readLogits(path string) (*array[float32], error) { return read(path, decodeLogits) }

// readLabels reads a .npy file, an array of a .npz file or a PNG mask, or stacks all the files that a pattern matches.
func readLabels(path string) (*array[int32], error) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) && strings.ContainsAny(path, "*?[") {
		return readStack(path)
	}
	return read(path, decodeLabels)
}

func decodeLogits(f *file) (*array[float32], error) {
	a, err := f.array("logits")
	if err != nil {
		return nil, err
	}
	data, err := a.floats()
	return &array[float32]{dtype: a.dtype.String(), shape: a.shape, data: data}, err
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
	return &array[int32]{dtype: a.dtype.String(), shape: a.shape, data: data}, err
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
	entry string // of a .npz file, where the path names one
}

const (
	npyMagic = "\x93NUMPY"
	zipMagic = "PK"
	pngMagic = "\x89PNG"
)

// read opens the file, which may be a pipe, and puts its path before every error.
func read[T float32 | int32](path string, decode func(*file) (*array[T], error)) (*array[T], error) {
	var f file
	name := path
	if i := strings.LastIndex(path, ".npz:"); i >= 0 {
		name, f.entry = path[:i+len(".npz")], path[i+len(".npz:"):]
	}
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
		f.r, f.size = opened, info.Size()
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

// array returns the array of a .npy file, or of a .npz file the one that the path names, else the one called usual, else the only one.
func (f *file) array(usual string) (*npyArray, error) {
	switch {
	case f.size == 0:
		return nil, errors.New("the file is empty")
	case f.holds(zipMagic):
		return openNPZ(f, usual)
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

// sameFile reports whether two paths (.npz:name too) lead to one file.
func sameFile(a, b string) bool {
	if i := strings.LastIndex(b, ".npz:"); i >= 0 {
		b = b[:i+len(".npz")]
	}
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}
