package files

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"slices"
	"strconv"
)

// legacyMagic is what files of torch.save begin with that are not in its zip format: a pickled number.
const legacyMagic = "\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."

// maxPickle bounds the bytes of a pickle: tensors' elements are not in it.
const maxPickle = 16 << 20

// storageDtypes are the types of elements that can be read.
var storageDtypes = map[string]dtype{
	"HalfStorage": {kind: 'f', size: 2}, "BFloat16Storage": {kind: 'f', size: 2, brain: true}, "FloatStorage": {kind: 'f', size: 4},
	"DoubleStorage": {kind: 'f', size: 8}, "BoolStorage": {kind: 'b', size: 1}, "ByteStorage": {kind: 'u', size: 1},
	"CharStorage":  {kind: 'i', size: 1},
	"ShortStorage": {kind: 'i', size: 2}, "IntStorage": {kind: 'i', size: 4}, "LongStorage": {kind: 'i', size: 8},
	"uint16": {kind: 'u', size: 2}, "uint32": {kind: 'u', size: 4}, "uint64": {kind: 'u', size: 8},
}

func errPT(err error) error {
	return fmt.Errorf("not a .pt file of tensors (save tensors, or a dict of them, not a model): %w", err)
}

// openPT finds a tensor in the zip format of torch.save: a pickle, and an entry for each storage beside it.
func (s *source) openPT(archive *zip.Reader, pickle *zip.File) (*Array, error) {
	r, size, err := s.openEntry(pickle)
	if err != nil {
		return nil, errPT(err)
	}
	if size > maxPickle {
		return nil, errPT(fmt.Errorf("its pickle takes %d bytes, more than %d", size, maxPickle))
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, errPT(err)
	}
	root, _, err := unpickle(data)
	if err != nil {
		return nil, errPT(err)
	}
	t, name, err := s.findTensor(root)
	if err != nil {
		return nil, err
	}
	big := false
	for _, entry := range archive.File {
		if entry.Name == path.Join(path.Dir(pickle.Name), "byteorder") {
			if r, size, err := s.openEntry(entry); err == nil && size < 16 {
				order, err := io.ReadAll(r)
				big = err == nil && string(order) == "big"
			}
		}
	}
	want := path.Join(path.Dir(pickle.Name), "data", t.storage.key)
	for _, entry := range archive.File {
		if entry.Name == want {
			r, size, err := s.openEntry(entry)
			if err != nil {
				return nil, fmt.Errorf("tensor %s: %w", name, err)
			}
			return s.openTensor(t, name, r, size, big)
		}
	}
	return nil, fmt.Errorf("tensor %s: the file does not hold its elements", name)
}

// openLegacyPT finds a tensor in the older format: five pickles, the last of which is a list of storages, whose bytes follow in this order.
func (s *source) openLegacyPT() (*Array, error) {
	begin := make([]byte, min(s.size, maxPickle))
	if _, err := s.r.ReadAt(begin, 0); err != nil && err != io.EOF {
		return nil, errPT(err)
	}
	var parts []any
	at := 0
	for range 5 {
		v, n, err := unpickle(begin[at:])
		if err != nil {
			return nil, errPT(err)
		}
		parts = append(parts, v)
		at += n
	}
	keys, ok := parts[4].(*pickleList)
	if !ok {
		return nil, errPT(errPickle)
	}
	t, name, err := s.findTensor(parts[3])
	if err != nil {
		return nil, err
	}
	// How many elements a storage has stands before them. How large each is only the references to the storage say.
	kinds := map[string]string{}
	eachStorage(parts[3], func(ref *storageRef) { kinds[ref.key] = ref.kind })
	var found *Array
	offset := int64(at)
	for _, item := range keys.items {
		key, _ := item.(string)
		d := storageDtypes[kinds[key]]
		if d.size == 0 {
			if key == t.storage.key {
				return nil, fmt.Errorf("tensor %s: a %s cannot be read", name, t.storage.kind)
			}
			return nil, errPT(fmt.Errorf("the size of a %s is not known", kinds[key]))
		}
		var count [8]byte
		if _, err := s.r.ReadAt(count[:], offset); err != nil {
			return nil, truncated(err)
		}
		n := binary.LittleEndian.Uint64(count[:])
		offset += 8
		if n > uint64(s.size-offset)/uint64(d.size) {
			return nil, errors.New("the file is truncated: a storage claims more elements than follow")
		}
		bytes := int64(n) * int64(d.size)
		if key == t.storage.key {
			if found, err = s.openTensor(t, name, io.NewSectionReader(s.r, offset, bytes), bytes, false); err != nil {
				return nil, err
			}
		}
		offset += bytes
	}
	switch {
	case found == nil:
		return nil, fmt.Errorf("tensor %s: the file does not hold its elements", name)
	case offset != s.size:
		return nil, fmt.Errorf("behind the tensors there is more, %s", plural(int(s.size-offset), "byte"))
	}
	return found, nil
}

// eachStorage visits the storages that a value refers to.
func eachStorage(v any, visit func(*storageRef)) {
	visits := 0
	var walk func(v any, depth int)
	walk = func(v any, depth int) {
		if visits++; visits > maxPickled || depth > 100 {
			return // values that hold one another
		}
		switch v := v.(type) {
		case *pickleTensor:
			visit(v.storage)
		case *storageRef:
			visit(v)
		case pickleTuple:
			for _, item := range v {
				if walk(item, depth+1); visits > maxPickled {
					return
				}
			}
		case *pickleList:
			for _, item := range v.items {
				if walk(item, depth+1); visits > maxPickled {
					return
				}
			}
		case *pickleDict:
			for _, item := range v.values {
				if walk(item, depth+1); visits > maxPickled {
					return
				}
			}
		}
	}
	walk(v, 0)
}

// findTensor chooses a tensor of what was pickled: a tensor, or a dict of some, which may hold further dicts and lists.
func (s *source) findTensor(root any) (t *pickleTensor, name string, err error) {
	if t, ok := root.(*pickleTensor); ok {
		if s.entry != "" {
			return nil, "", errors.New("the .pt file holds one tensor, without a name")
		}
		return t, "", nil
	}
	tensors := map[string]*pickleTensor{}
	var names []string
	const most, deepest = 1 << 20, 20
	var walk func(prefix string, v any, depth int)
	visits := 0
	add := func(prefix, key string, v any, depth int) {
		if visits++; visits > most {
			return // values that hold one another
		}
		if prefix != "" {
			key = prefix + "." + key
		}
		if t, ok := v.(*pickleTensor); ok && tensors[key] == nil && len(names) < 100_000 {
			tensors[key] = t
			names = append(names, key)
		} else if depth < deepest {
			walk(key, v, depth+1)
		}
	}
	walk = func(prefix string, v any, depth int) {
		if visits > most {
			return
		}
		switch v := v.(type) {
		case *pickleDict:
			for i, key := range v.keys[:min(len(v.keys), max(0, most-visits))] {
				switch key := key.(type) {
				case string:
					add(prefix, key, v.values[i], depth)
				case int64:
					add(prefix, strconv.FormatInt(key, 10), v.values[i], depth)
				}
			}
		case *pickleList:
			for i, item := range v.items[:min(len(v.items), max(0, most-visits))] {
				add(prefix, strconv.Itoa(i), item, depth)
			}
		case pickleTuple:
			for i, item := range v[:min(len(v), max(0, most-visits))] {
				add(prefix, strconv.Itoa(i), item, depth)
			}
		}
	}
	walk("", root, 0)
	if len(names) == 0 {
		return nil, "", fmt.Errorf("the .pt file holds a %s: want a tensor, or a dict of tensors (torch.save of a model's output, or of its "+
			"state_dict, not of the model)", kindOf(root))
	}
	if name, err = s.choose(names, "tensor"); err != nil {
		return nil, "", err
	}
	return tensors[name], name, nil
}

func kindOf(v any) string {
	switch v := v.(type) {
	case *opaque:
		return v.class
	case *pickleDict:
		return "dict without tensors"
	case *pickleList, pickleTuple:
		return "list without tensors"
	}
	return fmt.Sprintf("%T", v)
}

// A strided is a tensor of a .pt file.
type strided struct {
	dtype   dtype
	shape   []int
	strides []int
	offset  int
	count   int
	stored  int // elements of the storage
	dense   bool
	r       io.Reader
}

// openTensor checks that the shape and the strides stay within the storage, and that this has the bytes.
func (s *source) openTensor(t *pickleTensor, name string, r io.Reader, size int64, big bool) (*Array, error) {
	fail := func(format string, args ...any) (*Array, error) {
		if name != "" {
			format = "tensor " + name + ": " + format
		}
		return nil, fmt.Errorf(format, args...)
	}
	d := storageDtypes[t.storage.kind]
	if d.size == 0 {
		return fail("elements of a %s cannot be read: want floats, integers or bool", t.storage.kind)
	}
	d.big = big
	if t.storage.count < 0 || t.storage.count > size/int64(d.size) {
		return fail("the file is truncated: %d elements are claimed, and there are %d bytes of %v", t.storage.count, size, d)
	}
	a := &strided{dtype: d, stored: int(size / int64(d.size)), count: 1, r: r, dense: true}
	fits := len(t.size) == len(t.strides) && t.offset >= 0 && t.offset <= int64(a.stored)
	last := t.offset
	for axis := len(t.size) - 1; axis >= 0 && fits; axis-- {
		n, stride := t.size[axis], t.strides[axis]
		if n == 0 {
			a.count, last = 0, 0
		}
		if fits = n >= 0 && n <= math.MaxInt32 && stride >= 0; !fits {
			break
		}
		if n != 1 && stride != int64(a.count) {
			a.dense = false
		}
		if a.count > 0 && n > 0 {
			// An element that several indices share would be memory that the file has no bytes for.
			if fits = int64(a.count) <= int64(a.stored)/n && (n == 1 || stride <= int64(a.stored)); fits {
				a.count *= int(n)
				last += (n - 1) * stride
			}
		}
		a.shape, a.strides = append(a.shape, int(n)), append(a.strides, int(stride))
	}
	if !fits || a.count > 0 && last >= int64(a.stored) {
		return fail("the shape %v with strides %v at %d does not fit %d elements (save tensor.contiguous())", t.size, t.strides, t.offset,
			a.stored)
	}
	slices.Reverse(a.shape)
	slices.Reverse(a.strides)
	if a.shape == nil {
		a.shape = []int{}
	}
	a.offset = int(t.offset)
	return &Array{Dtype: d.String(), Shape: a.shape, Probabilities: name != "" && isProbabilities(name), elements: a}, nil
}

func (t *strided) floats() ([]float32, error) {
	if t.dtype.kind != 'f' {
		return nil, errNotFloats(t.dtype.String())
	}
	return readStrided(t, t.dtype.size == 4, t.dtype.float)
}

func (t *strided) integers() ([]int32, error) {
	if t.dtype.kind == 'f' {
		return nil, errNotIntegers(t.dtype.String())
	}
	return readStrided(t, t.dtype.kind == 'i' && t.dtype.size == 4, t.dtype.integer)
}

// readStrided reads the elements of a tensor in C order. What lies around them is read too: behind it is the checksum.
func readStrided[T float32 | int32](t *strided, straight bool, convert func(raw []byte, i int) (T, error)) ([]T, error) {
	if t.dense {
		if _, err := io.CopyN(io.Discard, t.r, int64(t.offset)*int64(t.dtype.size)); err != nil {
			return nil, truncated(err)
		}
		return readDense(&dense{dtype: t.dtype, shape: t.shape, count: t.count, payload: t.r, drain: true}, straight, convert)
	}
	var storage bytes.Buffer
	if _, err := storage.ReadFrom(t.r); err != nil {
		return nil, truncated(err)
	}
	raw := storage.Bytes()
	if len(raw)/t.dtype.size < t.stored {
		return nil, errors.New("the file is truncated")
	}
	dst := make([]T, t.count)
	var failed error
	walk(t.shape, t.strides, t.offset, t.count, func(i, at int) {
		var err error
		if dst[i], err = convert(raw, at); err != nil && failed == nil {
			failed = err
		}
	})
	return dst, failed
}
