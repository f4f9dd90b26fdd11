// Command asm writes the assembly kernels of package lanewise.
package main

import (
	"log"
	"os"
	"path/filepath"

	"github.com/lanewise/lanewise/asm/amd64"
	"github.com/lanewise/lanewise/asm/arm64"
	"github.com/lanewise/lanewise/asm/kernels"
	"github.com/lanewise/lanewise/asm/loss"
	"github.com/lanewise/lanewise/asm/machine"
	"github.com/lanewise/lanewise/asm/sort"
)

// generate returns the generated files by their names.
func generate() (map[string][]byte, error) {
	f := amd64.NewFile()
	for _, isa := range []*amd64.ISA{amd64.AVX2, amd64.AVX512} {
		for _, t := range []machine.Type{machine.F32, machine.F64} {
			for _, kernel := range kernels.All {
				if err := f.Add(isa, t, kernel); err != nil {
					return nil, err
				}
			}
		}
	}
	files := map[string][]byte{}
	var err error
	if files["kernels_amd64.s"], files["kernels_amd64.go"], err = f.Generate(); err != nil {
		return nil, err
	}
	if files["loss_amd64.s"], files["loss_amd64.go"], err = loss.Generate(); err != nil {
		return nil, err
	}
	if files["sort_amd64.s"], files["sort_amd64.go"], err = sort.Generate(); err != nil {
		return nil, err
	}
	neon := arm64.NewFile()
	for _, t := range []machine.Type{machine.F32, machine.F64} {
		for _, kernel := range kernels.All {
			kernel(neon.Machine(t))
		}
	}
	if files["kernels_arm64.s"], files["kernels_arm64.go"], err = neon.Generate(); err != nil {
		return nil, err
	}
	return files, nil
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: asm directory")
	}
	files, err := generate()
	if err != nil {
		log.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(os.Args[1], name), text, 0o666); err != nil {
			log.Fatal(err)
		}
	}
}
