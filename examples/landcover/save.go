package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"codeberg.org/sbinet/npyio"
)

// saveExample writes what cmd/lovasz reads to folder: logits.npy [pixels, classes] float32, labels.npy [pixels] int32, and classes.txt, a
// name per line.
func saveExample(folder string, logits []float32, labels []int32) error {
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return err
	}
	if err := saveArray(filepath.Join(folder, "logits.npy"), slices.Collect(slices.Chunk(logits, classes))); err != nil {
		return err
	}
	if err := saveArray(filepath.Join(folder, "labels.npy"), labels); err != nil {
		return err
	}
	names := strings.Join(classNames, "\n") + "\n"
	return os.WriteFile(filepath.Join(folder, "classes.txt"), []byte(names), 0o666)
}

func saveArray(name string, array any) error {
	var file bytes.Buffer
	if err := npyio.Write(&file, array); err != nil {
		return err
	}
	return os.WriteFile(name, file.Bytes(), 0o666)
}
