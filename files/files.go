// Package files reads the outputs of segmentation networks and their labels as people have them: NumPy's .npy and .npz, .safetensors,
// PyTorch's .pt, PNG masks, labels in NIfTI, SemanticKITTI's .label and raw float32. It finds which files belong together (Pair), what
// their shapes mean (Fit) and what labels stand for (LabelMap), and it writes files so that none is lost (Outputs).
//
// Files are not trusted. A size that one claims is believed only as far as the file has bytes for it, no code in it is run, checksums are
// compared, and an array's elements are not read, nor decompressed, before somebody has looked at its shape.
package files

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

// Role says what a file is read for: what it may be, and which of several arrays it means.
type Role int

const (
	Logits Role = iota // floats
	Labels             // class ids, or masks
)

func (r Role) String() string {
	if r == Logits {
		return "logits"
	}
	return "labels"
}

// usual are the names of arrays that are taken where a file holds several and none is named, the first that is there.
func (r Role) usual() []string {
	if r == Logits {
		return append([]string{"logits"}, probabilityNames...)
	}
	return []string{"labels", "label", "masks", "mask"}
}

// An array of one of these names holds probabilities: nnU-Net's, in its second and first version.
var probabilityNames = []string{"probabilities", "softmax", "probs", "probability"}

// An Array is one in a file. Its header has been read, and its size compared with the file's; its elements are read by Floats, Integers or
// Masks, once.
type Array struct {
	Path          string // as it was given
	Dtype         string // as NumPy names it; of a PNG paletted, gray8, gray16, rgb …; NIfTI
	Shape         []int
	Probabilities bool // the array's name says so
	Colours       bool // the elements are colours, 0xRRGGBB: they are labels only behind a LabelMap of colours

	elements
	file *os.File // nil if it is closed, or in memory
}

// elements is what the formats have in common.
type elements interface {
	floats() ([]float32, error)
	integers() ([]int32, error)
}

// Floats returns the elements as float32, in C order. Integers, and float64 that would become infinite, are an error.
func (a *Array) Floats() ([]float32, error) {
	data, err := a.elements.floats()
	return data, a.wrap(err)
}

// Integers returns the elements as int32, in C order. Floats, and integers that do not fit, are an error: cut off they would be other
// classes.
func (a *Array) Integers() ([]int32, error) {
	data, err := a.elements.integers()
	return data, a.wrap(err)
}

// Close closes the file.
func (a *Array) Close() error {
	if a == nil || a.file == nil {
		return nil
	}
	f := a.file
	a.file = nil
	return f.Close()
}

func (a *Array) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", a.Path, err)
}

// Options say how files are read.
type Options struct {
	Shape []int // of raw float32, which says nothing about itself; one axis may be -1: as many as there are
}

// Open finds an array in a file: FILE, or FILE.npz:name (.safetensors, .pt too, there with dots between nested names). The file may be a
// pipe. The array is to be closed.
func Open(path string, role Role, o Options) (*Array, error) {
	name, entry := SplitEntry(path)
	if err := refuseZarr(name, role); err != nil {
		return nil, err
	}
	opened, err := os.Open(name)
	if err != nil {
		return nil, unwrapPath(err, name)
	}
	info, err := opened.Stat()
	if err != nil {
		opened.Close()
		return nil, err
	}
	s := &source{name: name, entry: entry, role: role, options: o}
	if info.Mode().IsRegular() {
		s.r, s.size = opened, info.Size()
	} else {
		all, err := readPipe(opened)
		opened.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, unwrapPath(err, ""))
		}
		s.r, s.size, opened = bytes.NewReader(all), int64(len(all)), nil
	}
	a, err := s.array()
	if err != nil {
		if opened != nil {
			opened.Close()
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	a.Path, a.file = path, opened
	return a, nil
}

// OpenReader does the same for what is not a file of this machine; the name is for messages, and its ending counts.
func OpenReader(r io.ReaderAt, size int64, path string, role Role, o Options) (*Array, error) {
	name, entry := SplitEntry(path)
	s := &source{r: r, size: size, name: name, entry: entry, role: role, options: o}
	a, err := s.array()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	a.Path = path
	return a, nil
}

func readPipe(f *os.File) ([]byte, error) {
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, errors.New("is a directory; a set of files is compared with another one")
	}
	return io.ReadAll(f)
}

// unwrapPath says what the system does, with the path in front, and not twice.
func unwrapPath(err error, path string) error {
	var at *os.PathError
	if !errors.As(err, &at) {
		return err
	}
	if path == "" {
		return at.Err
	}
	if errors.Is(err, os.ErrNotExist) && strings.ContainsAny(path, "*?") {
		return fmt.Errorf("%s: no file fits this pattern", path)
	} else if errors.Is(err, os.ErrNotExist) && IsPattern(path) {
		return fmt.Errorf("%s: no such file, and none fits it as a pattern", path)
	}
	return fmt.Errorf("%s: %w", path, at.Err)
}

// A source is a file whose size is known, so that what it claims can be checked before memory is taken.
type source struct {
	r           io.ReaderAt
	size        int64
	name, entry string // the entry is "" unless the path names one
	role        Role
	options     Options
}

const (
	npyMagic = "\x93NUMPY"
	zipMagic = "PK"
	pngMagic = "\x89PNG"
)

// holds reports whether the file begins with magic.
func (s *source) holds(magic string) bool {
	begin := make([]byte, len(magic))
	_, err := s.r.ReadAt(begin, 0)
	return (err == nil || err == io.EOF) && string(begin) == magic
}

// array opens the file, and compares the kind of numbers with what is wanted.
func (s *source) array() (*Array, error) {
	a, err := s.open()
	if err != nil {
		return nil, err
	}
	switch floats := strings.Contains(a.Dtype, "float"); {
	case s.role == Logits && !floats:
		return nil, errNotFloats(a.Dtype)
	case s.role == Labels && floats:
		return nil, errNotIntegers(a.Dtype)
	}
	return a, nil
}

// open finds out what the file is, by its first bytes; only raw files and .label have none of their own.
func (s *source) open() (*Array, error) {
	if s.role == Labels && s.entry == "" && (s.holds(gzipMagic) || s.isNIfTI()) {
		return s.openNIfTI()
	}
	if err := s.refuse(); err != nil {
		return nil, err
	}
	extension := strings.ToLower(filepath.Ext(s.name))
	switch {
	case s.size == 0:
		return nil, errors.New("the file is empty")
	case s.holds(legacyMagic):
		return s.openLegacyPT()
	case s.holds(zipMagic):
		return s.openZip()
	case s.isSafetensors():
		return s.openSafetensors()
	case s.entry != "":
		return nil, fmt.Errorf("not a .npz, .safetensors or .pt file, so it holds no %q", s.entry)
	case s.holds(npyMagic):
		return openNPY(io.NewSectionReader(s.r, 0, s.size), s.size)
	case s.holds(pngMagic) && s.role == Labels:
		return s.openPNG()
	case s.holds(pngMagic):
		return nil, errors.New("a PNG file cannot hold logits: want .npy, .npz, .safetensors or .pt (class ids that were predicted are " +
			"-predictions)")
	case s.role == Labels && extension == ".label":
		return s.openLabel()
	case s.role == Logits && s.options.Shape != nil:
		return s.openRaw()
	case s.role == Labels:
		return nil, errors.New("not a .npy, .npz, .safetensors, .pt, .label, NIfTI or PNG file")
	}
	return nil, errors.New("not a .npy, .npz, .safetensors or .pt file (raw float32 is read with -shape, as in -shape -1,20)")
}

// choose returns the name of the array to read, of those that a file holds.
func (s *source) choose(names []string, kind string) (string, error) {
	switch {
	case len(names) == 0:
		return "", fmt.Errorf("the file holds no %s", kind)
	case s.entry != "" && slices.Contains(names, s.entry):
		return s.entry, nil
	case s.entry != "":
		return "", fmt.Errorf("no %s %q among %s", kind, s.entry, shorten(names))
	case len(names) == 1:
		return names[0], nil
	}
	for _, usual := range s.role.usual() {
		if slices.Contains(names, usual) {
			return usual, nil
		}
	}
	return "", fmt.Errorf("holds %s: name one, as in FILE%s:%s", shorten(names), filepath.Ext(s.name), names[0])
}

// shorten joins names, of very many the first.
func shorten(names []string) string {
	const most = 20
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(", … (%d in all)", len(names))
	}
	return strings.Join(names, ", ")
}

// SplitEntry divides FILE.npz:name into file and name; the other formats of several arrays have names in the same way.
func SplitEntry(path string) (file, name string) {
	for _, extension := range []string{".npz", ".safetensors", ".pt", ".pth"} {
		if i := strings.LastIndex(path, extension+":"); i >= 0 {
			i += len(extension)
			return path[:i], path[i+1:]
		}
	}
	return path, ""
}

func isProbabilities(name string) bool {
	return slices.Contains(probabilityNames, name[strings.LastIndexByte(name, '.')+1:])
}

func errNotFloats(dtype string) error {
	return fmt.Errorf("logits are %s: want float16, float32 or float64 (class ids that were predicted are -predictions)", dtype)
}

func errNotIntegers(dtype string) error {
	return fmt.Errorf("labels are %s: want integers, the class ids", dtype)
}

func truncated(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errors.New("the file is truncated")
	}
	return err
}
