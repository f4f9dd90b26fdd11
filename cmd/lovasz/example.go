package main

import (
	"embed"
	"strings"
)

// The example: what examples/landcover -save writes. go:embed ends at the module, so it is copied.
//
//go:embed example
var exampleFiles embed.FS

var exampleNames = strings.Split(strings.TrimSpace(string(exampleFile("classes.txt"))), "\n")

const exampleNotice = `No files given: this is the embedded example, real pixels of a Landsat scene
(Statlog, UCI Machine Learning Repository) and what the network of
examples/landcover makes of them. With files of your own:
  lovasz -logits logits.npy -labels labels.npy        (lovasz -h: all flags)

`

func exampleFile(name string) []byte {
	content, err := exampleFiles.ReadFile("example/" + name)
	if err != nil {
		panic(err) // a file that the build left out
	}
	return content
}
