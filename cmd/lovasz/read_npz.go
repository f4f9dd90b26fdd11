package main

import (
	"archive/zip"
	"errors"
	"fmt"
	"strings"
)

// openNPZ finds an array in a .npz file.
func openNPZ(f *file, usual string) (*npyArray, error) {
	archive, err := zip.NewReader(f.r, f.size)
	if err != nil {
		return nil, fmt.Errorf("not a valid .npz file: %w", err)
	}
	var names []string
	arrays := map[string]*zip.File{}
	for _, entry := range archive.File {
		if name, ok := strings.CutSuffix(entry.Name, ".npy"); ok {
			names = append(names, name)
			arrays[name] = entry
		}
	}
	if len(names) == 0 {
		return nil, errors.New("the .npz file holds no array")
	}
	list := strings.Join(names, ", ")
	name := strings.TrimSuffix(f.entry, ".npy")
	switch {
	case name != "":
		if arrays[name] == nil {
			return nil, fmt.Errorf("no array %q among %s", name, list)
		}
	case arrays[usual] != nil:
		name = usual
	case len(names) == 1:
		name = names[0]
	default:
		return nil, fmt.Errorf("holds %s: name one, as in FILE.npz:%s", list, names[0])
	}
	entry := arrays[name]
	size := entry.UncompressedSize64
	if size/maxRatio > uint64(f.size) {
		return nil, fmt.Errorf("array %s claims %d bytes, more than the file can hold", name, size)
	}
	content, err := entry.Open()
	if err != nil {
		return nil, fmt.Errorf("array %s: %w", name, err)
	}
	a, err := openNPY(content, int64(size)) // nothing to close: it reads from f
	if err != nil {
		return nil, fmt.Errorf("array %s: %w", name, err)
	}
	return a, nil
}

// maxRatio is the most that deflate can expand: a file cannot hold more than this many times its size.
const maxRatio = 1032
