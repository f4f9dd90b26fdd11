// Prints the instruction set that the library uses on this machine: .ci/run checks the choice under GODEBUG and on emulated CPUs.
package main

import (
	"fmt"

	"github.com/lanewise/lanewise"
)

func main() { fmt.Println(lanewise.ActiveISA()) }
