package main

import (
	"archive/zip"
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/nlpodyssey/gopickle/pytorch"
	"github.com/nlpodyssey/gopickle/types"
)

// ptMagic is what files of torch.save begin with that are not in its zip format: a pickled number.
const ptMagic = "\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."

// isPT reports whether a file that is a zip archive, or begins with ptMagic, is torch.save's.
func (f *file) isPT() bool {
	if f.holds(ptMagic) {
		return true
	}
	archive, err := zip.NewReader(f.r, f.size)
	return err == nil && slices.ContainsFunc(archive.File, func(entry *zip.File) bool { return path.Base(entry.Name) == "data.pkl" })
}

// A tensor is one of a .pt file, with its elements.
type tensor struct {
	kind string // as numpy names it
	t    *pytorch.Tensor
}

// openPT finds a tensor in what torch.save wrote: a tensor, or a dict of some. The library reads by path, and everything at once.
func openPT(f *file, usual string) (_ *tensor, err error) {
	if f.path == "" {
		return nil, errors.New("a .pt file cannot be read from a pipe")
	}
	defer func() { // the library panics on what it does not implement, and on lengths that make no sense
		if r := recover(); r != nil {
			err = fmt.Errorf("not a .pt file of tensors: %v", r)
		}
	}()
	loaded, err := pytorch.Load(f.path)
	if err != nil {
		return nil, fmt.Errorf("not a .pt file of tensors (save tensors, or a dict of them, not a model): %w", err)
	}
	tensors := map[string]*pytorch.Tensor{}
	var names []string
	add := func(key, value any) {
		name, named := key.(string)
		if t, ok := value.(*pytorch.Tensor); ok && named {
			tensors[name] = t
			names = append(names, name)
		}
	}
	switch loaded := loaded.(type) {
	case *pytorch.Tensor:
		if f.entry != "" {
			return nil, errors.New("the .pt file holds one tensor, without a name")
		}
		return newTensor(loaded)
	case *types.Dict:
		for _, entry := range *loaded {
			add(entry.Key, entry.Value)
		}
	case *types.OrderedDict:
		for e := loaded.List.Front(); e != nil; e = e.Next() {
			entry := e.Value.(*types.OrderedDictEntry)
			add(entry.Key, entry.Value)
		}
	default:
		return nil, fmt.Errorf("the .pt file holds a %s: want a tensor, or a dict of tensors", strings.TrimPrefix(fmt.Sprintf("%T", loaded), "*types."))
	}
	name, err := f.choose(usual, names)
	if err != nil {
		return nil, err
	}
	t, err := newTensor(tensors[name])
	if err != nil {
		return nil, fmt.Errorf("tensor %s: %w", name, err)
	}
	return t, nil
}

// newTensor checks that the shape and the strides stay within the elements.
func newTensor(t *pytorch.Tensor) (*tensor, error) {
	var kind string
	var have int
	switch s := t.Source.(type) {
	case *pytorch.HalfStorage:
		kind, have = "float16", len(s.Data)
	case *pytorch.BFloat16Storage:
		kind, have = "bfloat16", len(s.Data)
	case *pytorch.FloatStorage:
		kind, have = "float32", len(s.Data)
	case *pytorch.DoubleStorage:
		kind, have = "float64", len(s.Data)
	case *pytorch.BoolStorage:
		kind, have = "bool", len(s.Data)
	case *pytorch.ByteStorage:
		kind, have = "uint8", len(s.Data)
	case *pytorch.CharStorage:
		kind, have = "int8", len(s.Data)
	case *pytorch.ShortStorage:
		kind, have = "int16", len(s.Data)
	case *pytorch.IntStorage:
		kind, have = "int32", len(s.Data)
	case *pytorch.LongStorage:
		kind, have = "int64", len(s.Data)
	default:
		return nil, fmt.Errorf("a tensor of %T cannot be read", t.Source)
	}
	last, count := t.StorageOffset, 1
	inside := len(t.Stride) == len(t.Size) && last >= 0
	for axis, d := range t.Size {
		if !inside {
			break
		}
		if d == 0 {
			return &tensor{kind, t}, nil
		}
		inside = d > 0 && t.Stride[axis] >= 0 && (d == 1 || t.Stride[axis] < have) && count <= math.MaxInt32/d
		if inside {
			last, count = last+(d-1)*t.Stride[axis], count*d
			inside = last < have
		}
	}
	if !inside || last >= have {
		return nil, fmt.Errorf("the shape %s with strides %s does not fit %d elements", axes(t.Size), axes(t.Stride), have)
	}
	return &tensor{kind, t}, nil
}

func (t *tensor) header() (string, []int) { return t.kind, t.t.Size }

func (t *tensor) floats() ([]float32, error) {
	same := func(x float32) (float32, error) { return x, nil }
	switch s := t.t.Source.(type) {
	case *pytorch.HalfStorage:
		return gather(t.t, s.Data, same)
	case *pytorch.BFloat16Storage:
		return gather(t.t, s.Data, same)
	case *pytorch.FloatStorage:
		return gather(t.t, s.Data, same)
	case *pytorch.DoubleStorage:
		return gather(t.t, s.Data, func(x float64) (float32, error) { return float32(x), nil })
	}
	return nil, errNotFloats(t.kind)
}

func (t *tensor) integers() ([]int32, error) {
	switch s := t.t.Source.(type) {
	case *pytorch.BoolStorage:
		return gather(t.t, s.Data, func(b bool) (int32, error) {
			if b {
				return 1, nil
			}
			return 0, nil
		})
	case *pytorch.ByteStorage:
		return gather(t.t, s.Data, narrow[uint8])
	case *pytorch.CharStorage:
		return gather(t.t, s.Data, narrow[int8])
	case *pytorch.ShortStorage:
		return gather(t.t, s.Data, narrow[int16])
	case *pytorch.IntStorage:
		return gather(t.t, s.Data, narrow[int32])
	case *pytorch.LongStorage:
		return gather(t.t, s.Data, narrow[int64])
	}
	return nil, errNotIntegers(t.kind)
}

func narrow[T uint8 | int8 | int16 | int32 | int64](v T) (int32, error) {
	if int64(int32(v)) != int64(v) {
		return 0, fmt.Errorf("label %d does not fit in int32", v)
	}
	return int32(v), nil
}

// gather reads the elements of a tensor in C order.
func gather[T float32 | int32, S any](t *pytorch.Tensor, src []S, convert func(S) (T, error)) ([]T, error) {
	dst := make([]T, product(t.Size))
	index := make([]int, len(t.Size))
	at := t.StorageOffset
	for i := range dst {
		var err error
		if dst[i], err = convert(src[at]); err != nil {
			return nil, err
		}
		for axis := len(index) - 1; axis >= 0; axis-- {
			at += t.Stride[axis]
			if index[axis]++; index[axis] < t.Size[axis] {
				break
			}
			at -= t.Stride[axis] * t.Size[axis]
			index[axis] = 0
		}
	}
	return dst, nil
}
