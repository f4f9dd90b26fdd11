package main

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/files"
)

// npyFile writes a .npy file of version 1 around any header text and payload.
func npyFile(header string, payload []byte) []byte {
	b := append([]byte("\x93NUMPY"), 1, 0)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(header)))
	return append(append(b, header...), payload...)
}

func dict(descr, fortran, shape string) string {
	return fmt.Sprintf("{'descr': %s, 'fortran_order': %s, 'shape': %s, }\n", descr, fortran, shape)
}

func writeFile(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func writeNPY(path string, shape []int, data []float32) error {
	var b bytes.Buffer
	if err := files.WriteNPY(&b, shape, data); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o666)
}

func readLogits(path string) (*array[float32], error) {
	a, err := files.Open(path, files.Logits, files.Options{})
	if err != nil {
		return nil, err
	}
	defer a.Close()
	data, err := a.Floats()
	return &array[float32]{path, a.Dtype, a.Shape, data}, err
}

// wantError compares a message; "…" at its ends stands for anything.
func wantError(t *testing.T, what string, err error, want string) {
	t.Helper()
	got := fmt.Sprint(err)
	part := strings.Trim(want, "…")
	fits := got == want
	switch begin, end := strings.HasPrefix(want, "…"), strings.HasSuffix(want, "…"); {
	case begin && end:
		fits = strings.Contains(got, part)
	case begin:
		fits = strings.HasSuffix(got, part)
	case end:
		fits = strings.HasPrefix(got, part)
	}
	if err == nil || !fits {
		t.Errorf("%s: got  %s\nwant %s", what, got, want)
	}
}

// zipOf writes a zip file of entries and their names.
func zipOf(t *testing.T, entries ...any) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(entries); i += 2 {
		f, err := w.Create(entries[i].(string))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(entries[i+1].([]byte)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
