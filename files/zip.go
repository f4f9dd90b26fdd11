package files

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
)

// maxRatio is the most that deflate can expand: an entry cannot hold more than this many times its bytes.
const maxRatio = 1032

// openZip finds an array in a .npz or a .pt file.
func (s *source) openZip() (*Array, error) {
	archive, err := zip.NewReader(s.r, s.size)
	if err != nil {
		return nil, fmt.Errorf("not a valid zip file (.npz, .pt), or one that is cut off: %w", err)
	}
	entries := map[string]*zip.File{}
	var names []string
	for _, entry := range archive.File {
		if path.Base(entry.Name) == "data.pkl" {
			return s.openPT(archive, entry)
		}
		if name, ok := strings.CutSuffix(entry.Name, ".npy"); ok && entries[name] == nil {
			names = append(names, name)
			entries[name] = entry
		}
	}
	s.entry = strings.TrimSuffix(s.entry, ".npy")
	name, err := s.choose(names, "array")
	if err != nil {
		return nil, err
	}
	r, size, err := s.openEntry(entries[name])
	if err == nil {
		var a *Array
		if a, err = openNPY(r, size); err == nil {
			a.Probabilities = isProbabilities(name)
			return a, nil
		}
	}
	return nil, fmt.Errorf("array %s: %w", name, err)
}

// openEntry opens an entry of a zip; there is nothing to close. Its claimed size is compared with its bytes. At the end of the reader its
// checksum is.
func (s *source) openEntry(entry *zip.File) (io.Reader, int64, error) {
	size, stored := entry.UncompressedSize64, entry.CompressedSize64
	if stored > uint64(s.size) || size/maxRatio > stored || entry.Method == zip.Store && size != stored {
		return nil, 0, fmt.Errorf("it claims %d bytes, more than the file can hold", size)
	}
	if entry.Flags&1 != 0 {
		return nil, 0, errors.New("it is encrypted")
	}
	r, err := entry.Open()
	if err != nil {
		return nil, 0, err
	}
	return checked{r}, int64(size), nil
}

// checked says in words what archive/zip finds at the end of an entry.
type checked struct{ r io.Reader }

func (c checked) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if errors.Is(err, zip.ErrChecksum) {
		err = errors.New("the checksum does not fit: the file is damaged")
	}
	return n, err
}
