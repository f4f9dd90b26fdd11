package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"codeberg.org/sbinet/npyio/npy"
	"codeberg.org/sbinet/npyio/npz"
	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/fileio"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/lanewise/lanewise"
	lanewisebeam "github.com/lanewise/lanewise/beam"
)

func init() {
	register.DoFn1x2[fileio.FileMetadata, string, string](&nameFn{})
	register.DoFn4x1[string, func(*string) bool, func(*string) bool, func(pair), error](&pairFn{})
	register.DoFn3x1[context.Context, pair, func(string, lanewisebeam.Counts), error](&countFn{})
	register.Function2x1(pairOfOne)
	register.Iter1[string]()
	register.Emitter1[pair]()
	register.Emitter2[string, lanewisebeam.Counts]()
}

// A pair is the files of the same images.
type pair struct{ Name, Logits, Labels string }

// countImages returns what is counted in the files that the flags name, by folder: a PCollection<KV<string, Counts>>.
func countImages(s beam.Scope, o *options) beam.PCollection {
	s = s.Scope("read")
	match := func(pattern string) beam.PCollection {
		files := fileio.MatchFiles(s, pattern, fileio.MatchEmptyDisallow())
		return beam.ParDo(s, &nameFn{prefix(pattern)}, files)
	}
	var pairs beam.PCollection
	if o.pairs != "" {
		pairs = beam.ParDo(s, pairOfOne, match(o.pairs))
	} else {
		pairs = beam.ParDo(s, &pairFn{}, beam.CoGroupByKey(s, match(o.logits), match(o.masks)))
	}
	// Names travel to the workers, counts from there; images, which are larger than both, do not.
	return beam.ParDo(s, &countFn{Loss: o.loss}, beam.Reshuffle(s, pairs))
}

// prefix is what a pattern and all files that match it begin with: the folders before the first wildcard, all of it without one.
func prefix(pattern string) string {
	wildcard := strings.IndexAny(pattern, "*?[")
	if wildcard < 0 {
		return pattern
	}
	return pattern[:strings.LastIndex(pattern[:wildcard], "/")+1]
}

// A nameFn puts before every file the name by which it is matched: its path behind the prefix, without the extension.
type nameFn struct{ Prefix string }

func (fn *nameFn) ProcessElement(file fileio.FileMetadata) (string, string) {
	name := strings.TrimPrefix(file.Path, fn.Prefix)
	return strings.TrimSuffix(name, path.Ext(name)), file.Path
}

// A pairFn finds what belongs together.
type pairFn struct{}

func (*pairFn) ProcessElement(name string, logits, labels func(*string) bool, emit func(pair)) error {
	x, y := all(logits), all(labels)
	switch {
	case len(y) == 0:
		return fmt.Errorf("%s has no mask of its name", x[0])
	case len(x) == 0:
		return fmt.Errorf("%s has no logits of its name", y[0])
	case len(x) > 1:
		return fmt.Errorf("%s and %s have one name", x[0], x[1])
	case len(y) > 1:
		return fmt.Errorf("%s and %s have one name", y[0], y[1])
	}
	emit(pair{name, x[0], y[0]})
	return nil
}

func all(files func(*string) bool) (list []string) {
	for file := ""; files(&file); {
		list = append(list, file)
	}
	slices.Sort(list)
	return list
}

func pairOfOne(name, file string) pair { return pair{name, file, file} }

// A countFn reads files, counts the images in them, and gives the counts with the folder.
type countFn struct {
	Loss lanewise.LovaszConfig

	evaluate *lanewisebeam.EvaluateFn
}

func (fn *countFn) ProcessElement(ctx context.Context, p pair, emit func(folder string, c lanewisebeam.Counts)) error {
	if fn.evaluate == nil {
		fn.evaluate = lanewisebeam.NewEvaluateFn(fn.Loss)
	}
	logits, err := read(ctx, p.Logits, "logits", floats)
	if err != nil {
		return err
	}
	labels, err := read(ctx, p.Labels, "labels", integers)
	if err != nil {
		return err
	}
	images, err := fit(fn.Loss, logits.shape, labels.shape)
	if err != nil {
		return fmt.Errorf("%s: %w", p.Logits, err)
	}
	counts, err := fn.evaluate.CreateAccumulator()
	if err != nil {
		return err
	}
	pixels := len(labels.data) / max(1, images)
	for i := range images {
		im := lanewisebeam.Image{
			Name:   p.Logits,
			Logits: logits.data[i*pixels*fn.Loss.Classes : (i+1)*pixels*fn.Loss.Classes],
			Labels: labels.data[i*pixels : (i+1)*pixels],
		}
		if images > 1 {
			im.Name = fmt.Sprintf("%s[%d]", p.Logits, i)
		}
		if counts, err = fn.evaluate.AddInput(counts, im); err != nil {
			return err
		}
	}
	emit(strings.TrimPrefix(path.Dir("/"+p.Name), "/"), counts)
	return nil
}

// fit compares the shapes, and returns how many images they hold: where planes are behind one another, each is one by itself.
func fit(loss lanewise.LovaszConfig, logits, labels []int) (images int, err error) {
	images, axis := 1, len(logits)-1 // of the classes
	if loss.Layout == lanewise.ClassMajor {
		axis = 0
		if len(logits) > 3 { // [N, C, H, W]
			images, axis = logits[0], 1
		}
	}
	switch {
	case loss.Classes == 1 && slices.Equal(logits, labels):
		return 1, nil // one score per pixel needs no axis
	case len(logits) == 0 || logits[axis] != loss.Classes:
		return 0, fmt.Errorf("logits %v do not have %d classes along axis %d", logits, loss.Classes, max(0, axis))
	case !slices.Equal(slices.Delete(slices.Clone(logits), axis, axis+1), labels):
		return 0, fmt.Errorf("logits %v do not fit the labels %v", logits, labels)
	}
	return images, nil
}

// An array is what a file holds, in C order.
type array[T any] struct {
	shape []int
	data  []T
}

// read reads a .npy file, or the array of that name, or the only one, of a .npz file.
func read[T any](ctx context.Context, file, name string, decode func(dtype string, raw []byte) ([]T, error)) (array[T], error) {
	content, err := readAll(ctx, file)
	if err != nil {
		return array[T]{}, err
	}
	a, err := readArray(content, name, decode)
	if err != nil {
		return array[T]{}, fmt.Errorf("%s: %w", file, err)
	}
	return a, nil
}

func readAll(ctx context.Context, file string) ([]byte, error) {
	fs, err := filesystem.New(ctx, file)
	if err != nil {
		return nil, err
	}
	defer fs.Close()
	size, err := fs.Size(ctx, file)
	if err != nil {
		return nil, err
	}
	r, err := fs.OpenRead(ctx, file)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var content bytes.Buffer // as large as the file from the start: filesystem.Read takes several times the memory
	content.Grow(int(size) + bytes.MinRead)
	_, err = content.ReadFrom(r)
	return content.Bytes(), err
}

func readArray[T any](content []byte, name string, decode func(dtype string, raw []byte) ([]T, error)) (a array[T], err error) {
	var r io.Reader = bytes.NewReader(content)
	if bytes.HasPrefix(content, []byte("PK")) {
		archive, err := npz.NewReader(bytes.NewReader(content), int64(len(content)))
		if err != nil {
			return a, err
		}
		entry := name + ".npy"
		if keys := archive.Keys(); len(keys) == 1 {
			entry = keys[0]
		}
		if r, err = archive.Open(entry); err != nil {
			return a, err
		}
	}
	header, err := npy.NewReader(r)
	if err != nil {
		return a, err
	}
	// The rest is read here: npyio takes a file that is cut off for one that ends in zeros.
	raw, err := io.ReadAll(r)
	if err != nil {
		return a, err
	}
	if header.Header.Descr.Fortran {
		return a, errors.New("the array is in Fortran order: save numpy.ascontiguousarray of it")
	}
	a.shape = header.Header.Descr.Shape
	if a.data, err = decode(strings.Trim(header.Header.Descr.Type, "'"), raw); err != nil {
		return a, err
	}
	if want := product(a.shape); len(a.data) != want {
		return a, fmt.Errorf("the file holds %d values, want %d for the shape %v", len(a.data), want, a.shape)
	}
	return a, nil
}
