// Command asm writes the assembly of package lanewise, and the Go functions that call it, to a directory. Instead, asm features prints what
// each ISA asks the CPU for.
package main

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/lanewise/lanewise/asm/library"
	"github.com/lanewise/lanewise/asm/pipeline"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: asm directory, or asm features")
	}
	if os.Args[1] == "features" {
		fmt.Print(pipeline.Features())
		return
	}
	files, err := pipeline.Generate(library.Kernels())
	if err != nil {
		log.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(os.Args[1], name), text, 0o666); err != nil {
			log.Fatal(err)
		}
	}
}
