package files

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// Outputs are the files that a command is going to write. Each is tried and compared with all inputs and with one another before anything
// is read; it is written beside its place, and moved there by Commit, when everything went well. Abort, which may come from another
// goroutine, leaves nothing behind.
type Outputs struct {
	mu    sync.Mutex
	list  []*Output
	ended bool
}

// An Output is one file, or a folder of some.
type Output struct {
	flag, path string
	dir        bool
	target     string   // behind links
	temp       *os.File // nil for what is no regular file, which is written when everything else is
	folder     string   // the temporary one of a folder
	files      []string // in it
	direct     []byte
	write      *bufio.Writer
}

// Add checks an output: that its name has one of these endings (none: any), that it can be written where it is to be, and that it is
// neither an input nor another output. The flag is for messages.
func (o *Outputs) Add(flag, path string, endings ...string) (*Output, error) {
	if len(endings) > 0 && !isDevice(path) && !slices.Contains(endings, strings.ToLower(filepath.Ext(path))) {
		return nil, fmt.Errorf("%s %s: want a name that ends in %s", flag, path, strings.Join(endings, " or "))
	}
	out := &Output{flag: flag, path: path}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil, fmt.Errorf("%s %s is a folder, not a file", flag, path)
	}
	if err := o.place(out); err != nil {
		return nil, err
	}
	return out, nil
}

// AddDir does the same for a folder of files, which need not be there.
func (o *Outputs) AddDir(flag, path string) (*Output, error) {
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		return nil, fmt.Errorf("%s %s is a file: of many files it is a folder", flag, path)
	}
	out := &Output{flag: flag, path: path, dir: true}
	if err := o.place(out); err != nil {
		return nil, err
	}
	return out, nil
}

func isDevice(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir() && !info.Mode().IsRegular()
}

// place compares an output with the others, and creates its temporary file or folder.
func (o *Outputs) place(out *Output) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	target, err := resolve(out.path)
	if err != nil {
		return fmt.Errorf("%s %s: %w", out.flag, out.path, err)
	}
	out.target = target
	for _, other := range o.list {
		if samePlace(out.target, other.target) {
			return fmt.Errorf("%s and %s would both write %s", other.flag, out.flag, out.path)
		}
	}
	name := "." + filepath.Base(target) + ".part-*"
	folder := filepath.Dir(target)
	switch {
	case isDevice(target):
	case out.dir:
		if out.folder, err = os.MkdirTemp(folder, name); err == nil {
			err = os.Chmod(out.folder, 0o777&^umask())
		}
	default:
		out.temp, err = os.CreateTemp(folder, name)
		if err == nil {
			mode := os.FileMode(0o666) &^ umask()
			if info, err := os.Stat(target); err == nil {
				mode = info.Mode().Perm()
			}
			err = out.temp.Chmod(mode)
		}
		if err == nil {
			out.write = bufio.NewWriterSize(out.temp, 1<<16)
		}
	}
	o.list = append(o.list, out) // so that Abort takes it away, whatever went wrong
	if err != nil {
		return fmt.Errorf("%s %s cannot be written: %w", out.flag, out.path, unwrapPath(err, ""))
	}
	return nil
}

// resolve follows links, of files that are not there too.
func resolve(path string) (string, error) {
	for range 40 {
		info, err := os.Lstat(path)
		if err != nil || info.Mode()&os.ModeSymlink == 0 {
			folder, err := filepath.EvalSymlinks(filepath.Dir(path))
			if err != nil {
				return "", fmt.Errorf("there is no folder %s", filepath.Dir(path))
			}
			if folder, err = filepath.Abs(folder); err != nil {
				return "", err
			}
			return filepath.Join(folder, filepath.Base(path)), nil
		}
		next, err := os.Readlink(path)
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(next) {
			next = filepath.Join(filepath.Dir(path), next)
		}
		path = next
	}
	return "", errors.New("links that lead to one another")
}

// samePlace reports whether two resolved paths are one file, which need not be there.
func samePlace(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	if errX == nil && errY == nil {
		return os.SameFile(x, y)
	}
	x, errX = os.Stat(filepath.Dir(a))
	y, errY = os.Stat(filepath.Dir(b))
	if errX != nil || errY != nil || !os.SameFile(x, y) {
		return false
	}
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		return strings.EqualFold(filepath.Base(a), filepath.Base(b))
	}
	return filepath.Base(a) == filepath.Base(b)
}

// Protect refuses an output that is one of these inputs, or, of a folder of outputs, in which a file of these names would be. FILE.npz:name
// is FILE.npz.
func (o *Outputs) Protect(inputs ...string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, input := range inputs {
		name, _ := SplitEntry(input)
		info, err := os.Stat(name)
		if err != nil {
			continue
		}
		for _, out := range o.list {
			if isDevice(out.target) {
				continue
			}
			if there, err := os.Stat(out.target); err == nil && os.SameFile(there, info) {
				return fmt.Errorf("%s would overwrite %s", out.flag, name)
			}
		}
	}
	return nil
}

// ProtectIn refuses a folder of outputs in which one of these files would overwrite one of the inputs, or another output.
func (o *Outputs) ProtectIn(out *Output, names, inputs []string) error {
	var here []os.FileInfo // of inputs in whatever folder
	for _, input := range inputs {
		name, _ := SplitEntry(input)
		if info, err := os.Stat(name); err == nil {
			here = append(here, info)
		}
	}
	byIdentity := map[string][]os.FileInfo{} // os.FileInfo has no key but its size and time
	key := func(info os.FileInfo) string { return fmt.Sprint(info.Size(), info.ModTime().UnixNano()) }
	for _, info := range here {
		byIdentity[key(info)] = append(byIdentity[key(info)], info)
	}
	for _, name := range names {
		target := filepath.Join(out.target, filepath.FromSlash(name))
		if info, err := os.Stat(target); err == nil {
			if slices.ContainsFunc(byIdentity[key(info)], func(input os.FileInfo) bool { return os.SameFile(info, input) }) {
				return fmt.Errorf("%s would overwrite %s", out.flag, filepath.Join(out.path, filepath.FromSlash(name)))
			}
		}
		for _, other := range o.list {
			if other != out && samePlace(target, other.target) {
				return fmt.Errorf("%s and %s would both write %s", other.flag, out.flag, other.path)
			}
		}
	}
	return nil
}

// Write appends to the file.
func (out *Output) Write(p []byte) (int, error) {
	if out.write == nil {
		out.direct = append(out.direct, p...)
		return len(p), nil
	}
	n, err := out.write.Write(p)
	return n, out.failed(err)
}

func (out *Output) failed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s cannot be written: %w", out.flag, out.path, unwrapPath(err, ""))
}

// File writes a file of a folder; its name has slashes.
func (out *Output) File(name string, write func(io.Writer) error) (err error) {
	name = filepath.FromSlash(name)
	if !filepath.IsLocal(name) {
		return out.failed(fmt.Errorf("%s is not a name within it", name))
	}
	path := filepath.Join(out.folder, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return out.failed(err)
	}
	f, err := os.Create(path)
	if err != nil {
		return out.failed(err)
	}
	defer func() {
		if closed := f.Close(); err == nil {
			err = out.failed(closed)
		}
	}()
	out.files = append(out.files, name)
	w := bufio.NewWriterSize(f, 1<<16)
	if err := write(w); err != nil {
		return out.failed(err)
	}
	return out.failed(w.Flush())
}

// Commit moves every file to its place.
func (o *Outputs) Commit() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		return errors.New("interrupted")
	}
	for _, out := range o.list { // what can fail for want of space comes first
		if out.temp == nil {
			continue
		}
		err := out.write.Flush()
		if closed := out.temp.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return out.failed(err)
		}
	}
	for _, out := range o.list {
		if err := out.move(); err != nil {
			return out.failed(err)
		}
	}
	o.ended = true
	return nil
}

func (out *Output) move() error {
	switch {
	case out.temp != nil:
		if err := os.Rename(out.temp.Name(), out.target); err != nil {
			return err
		}
		out.temp = nil
	case out.dir:
		if err := os.Rename(out.folder, out.target); err != nil { // the folder is there already
			for _, name := range out.files {
				to := filepath.Join(out.target, name)
				if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
					return err
				}
				if err := os.Rename(filepath.Join(out.folder, name), to); err != nil {
					return err
				}
			}
			os.RemoveAll(out.folder)
		}
		out.folder = ""
	default:
		f, err := os.OpenFile(out.target, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.Write(out.direct)
		if closed := f.Close(); err == nil {
			err = closed
		}
		return err
	}
	return nil
}

// Abort takes away what Commit has not moved.
func (o *Outputs) Abort() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	for _, out := range o.list {
		if out.temp != nil {
			out.temp.Close()
			os.Remove(out.temp.Name())
			out.temp = nil
		}
		if out.folder != "" {
			os.RemoveAll(out.folder)
			out.folder = ""
		}
	}
}
