package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"

	"github.com/nlpodyssey/safetensors"
)

// maxSafetensorsHeader bounds the JSON of a header, as the format itself does.
const maxSafetensorsHeader = 100_000_000

// dtypes are those of the format that can be read, little-endian all.
var dtypes = map[safetensors.DType]dtype{
	safetensors.BOOL: {kind: 'b', size: 1}, safetensors.U8: {kind: 'u', size: 1}, safetensors.I8: {kind: 'i', size: 1},
	safetensors.I16: {kind: 'i', size: 2}, safetensors.U16: {kind: 'u', size: 2}, safetensors.I32: {kind: 'i', size: 4},
	safetensors.U32: {kind: 'u', size: 4}, safetensors.I64: {kind: 'i', size: 8}, safetensors.U64: {kind: 'u', size: 8},
	safetensors.F16: {kind: 'f', size: 2}, safetensors.BF16: {kind: 'f', size: 2, brain: true}, safetensors.F32: {kind: 'f', size: 4},
	safetensors.F64: {kind: 'f', size: 8},
}

// isSafetensors reports whether the file begins like one: the length of a JSON object, and its brace.
func (f *file) isSafetensors() bool {
	begin := make([]byte, 9)
	if _, err := f.r.ReadAt(begin, 0); err != nil {
		return false
	}
	length := binary.LittleEndian.Uint64(begin)
	return begin[8] == '{' && length > 0 && length <= maxSafetensorsHeader && int64(length) <= f.size-8
}

// openSafetensors finds a tensor. The library's Deserialize wants the whole file in memory, so its header alone is parsed, and checked here.
func openSafetensors(f *file, usual string) (*npyArray, error) {
	var begin [8]byte
	if _, err := f.r.ReadAt(begin[:], 0); err != nil {
		return nil, truncated(err)
	}
	header := make([]byte, binary.LittleEndian.Uint64(begin[:]))
	if _, err := f.r.ReadAt(header, 8); err != nil {
		return nil, truncated(err)
	}
	var metadata safetensors.Metadata
	if err := json.Unmarshal(header, &metadata); err != nil {
		return nil, fmt.Errorf("not a valid .safetensors header: %w", err)
	}
	tensors := metadata.Tensors()
	name, err := f.choose(usual, slices.Sorted(maps.Keys(tensors)))
	if err != nil {
		return nil, err
	}
	info := tensors[name]
	a := &npyArray{dtype: dtypes[info.DType]}
	if a.dtype.size == 0 {
		return nil, fmt.Errorf("tensor %s: dtype %v cannot be read", name, info.DType)
	}
	for _, d := range info.Shape {
		if d > math.MaxInt {
			return nil, fmt.Errorf("tensor %s: a shape of %v", name, info.Shape)
		}
		a.shape = append(a.shape, int(d))
	}
	from, to := info.DataOffsets[0], info.DataOffsets[1]
	start := 8 + int64(len(header))
	if from > to || to > uint64(f.size-start) {
		return nil, errors.New("the file is truncated: tensor " + name + " ends behind it")
	}
	a.payload = io.NewSectionReader(f.r, start+int64(from), int64(to-from))
	if err := a.checkSize(int64(to - from)); err != nil {
		return nil, fmt.Errorf("tensor %s: %w", name, err)
	}
	return a, nil
}
