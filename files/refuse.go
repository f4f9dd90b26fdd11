package files

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Formats that are not read, by what they begin with, and how Python makes a .npy file of them.
var refused = []struct{ magic, name, convert string }{
	{"II*\x00", "TIFF", "tifffile.imread('FILE')"},
	{"MM\x00*", "TIFF", "tifffile.imread('FILE')"},
	{"II+\x00", "TIFF", "tifffile.imread('FILE')"},
	{"MM\x00+", "TIFF", "tifffile.imread('FILE')"},
	{"\x89HDF\r\n\x1a\n", "HDF5", "h5py.File('FILE')['DATASET'][:]"},
	{"\xff\xd8\xff", "JPEG (which changes class ids)", "PIL.Image.open('FILE')"},
	{gzipMagic, "gzip (.nii.gz)", "nibabel.load('FILE').get_fdata().T"},
}

// refuse says how to convert a file that is not read.
func (s *source) refuse() error {
	if s.isNIfTI() {
		return refusal("NIfTI", "nibabel.load('FILE').get_fdata().T", filepath.Base(s.name), s.role)
	}
	for _, format := range refused {
		if s.holds(format.magic) {
			return refusal(format.name, format.convert, filepath.Base(s.name), s.role)
		}
	}
	return nil
}

// refuseZarr does the same for a zarr store, which is a directory.
func refuseZarr(dir string, role Role) error {
	info, err := os.Stat(dir)
	if err != nil || !info.IsDir() {
		return nil
	}
	if !strings.HasSuffix(filepath.Clean(dir), ".zarr") && !slices.ContainsFunc([]string{".zarray", ".zgroup", "zarr.json"},
		func(name string) bool {
			_, err := os.Stat(filepath.Join(dir, name))
			return err == nil
		}) {
		return nil
	}
	return fmt.Errorf("%s: %w", dir, refusal("zarr", "zarr.open('FILE')[:]", filepath.Base(dir), role))
}

func refusal(format, convert, name string, role Role) error {
	return fmt.Errorf("%s is not read: convert it in Python with numpy.save('%s.npy', %s)", format, role,
		strings.Replace(convert, "FILE", name, 1))
}
