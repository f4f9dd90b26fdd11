package files

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// maxSafetensorsHeader bounds the JSON of a header, as the format itself does.
const maxSafetensorsHeader = 100_000_000

// safetensorsDtypes are those of the format that can be read, little-endian all.
var safetensorsDtypes = map[string]dtype{
	"BOOL": {kind: 'b', size: 1}, "U8": {kind: 'u', size: 1}, "I8": {kind: 'i', size: 1}, "I16": {kind: 'i', size: 2},
	"U16": {kind: 'u', size: 2},
	"I32": {kind: 'i', size: 4}, "U32": {kind: 'u', size: 4}, "I64": {kind: 'i', size: 8}, "U64": {kind: 'u', size: 8},
	"F16":  {kind: 'f', size: 2},
	"BF16": {kind: 'f', size: 2, brain: true}, "F32": {kind: 'f', size: 4}, "F64": {kind: 'f', size: 8},
}

// isSafetensors reports whether the file begins like one: the length of a JSON object, and its brace.
func (s *source) isSafetensors() bool {
	begin := make([]byte, 9)
	if _, err := s.r.ReadAt(begin, 0); err != nil {
		return false
	}
	length := binary.LittleEndian.Uint64(begin)
	return begin[8] == '{' && length > 0 && length <= maxSafetensorsHeader
}

// openSafetensors finds a tensor. Those that nobody asks for may be of any dtype.
func (s *source) openSafetensors() (*Array, error) {
	var begin [8]byte
	if _, err := s.r.ReadAt(begin[:], 0); err != nil {
		return nil, truncated(err)
	}
	length := binary.LittleEndian.Uint64(begin[:])
	if length > uint64(s.size-8) {
		return nil, errors.New("the file is truncated within its header")
	}
	header := make([]byte, length)
	if _, err := s.r.ReadAt(header, 8); err != nil {
		return nil, truncated(err)
	}
	type tensor struct {
		Dtype   string   `json:"dtype"`
		Shape   []int    `json:"shape"`
		Offsets []uint64 `json:"data_offsets"`
	}
	bad := func(err error) error { return fmt.Errorf("not a valid .safetensors header: %w", err) }
	d := json.NewDecoder(bytes.NewReader(header))
	if _, err := d.Token(); err != nil {
		return nil, bad(err)
	}
	tensors := map[string]json.RawMessage{}
	var names []string
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, bad(err)
		}
		name := key.(string) // of an object's key
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, bad(err)
		}
		if name == "__metadata__" {
			continue
		}
		if tensors[name] != nil {
			return nil, bad(fmt.Errorf("two tensors %q", name))
		}
		tensors[name] = raw
		names = append(names, name)
	}
	if _, err := d.Token(); err != nil {
		return nil, bad(err)
	}
	slices.Sort(names)
	name, err := s.choose(names, "tensor")
	if err != nil {
		return nil, err
	}
	var t tensor
	if err := json.Unmarshal(tensors[name], &t); err != nil {
		return nil, fmt.Errorf("tensor %s: %w", name, err)
	}
	dtype := safetensorsDtypes[t.Dtype]
	if dtype.size == 0 {
		return nil, fmt.Errorf("tensor %s: dtype %s cannot be read: want F16, BF16, F32 or F64, integers or BOOL", name, t.Dtype)
	}
	start := 8 + int64(length)
	if len(t.Offsets) != 2 || t.Offsets[0] > t.Offsets[1] || t.Offsets[1] > uint64(s.size-start) {
		return nil, errors.New("the file is truncated: tensor " + name + " ends behind it")
	}
	from, to := int64(t.Offsets[0]), int64(t.Offsets[1])
	a, err := newDense(dtype, t.Shape, to-from)
	if err != nil {
		return nil, fmt.Errorf("tensor %s: %w", name, err)
	}
	a.payload = io.NewSectionReader(s.r, start+from, to-from)
	return &Array{Dtype: dtype.String(), Shape: t.Shape, Probabilities: isProbabilities(name), elements: a}, nil
}
