package kernels

import (
	"go/scanner"
	"go/token"
	"os"
	"strings"
	"testing"
)

// Every constant of the exponential and the logarithm is one of kernels_generic.go: a wrong last bit of a high coefficient hardly ever
// shows in a result.
func TestConstants(t *testing.T) {
	definition := hexFloats(t, "../../kernels_generic.go")
	for _, file := range []string{"exp.go", "log.go"} {
		floats := hexFloats(t, file)
		if len(floats) < 8 {
			t.Errorf("%s has only %d constants", file, len(floats))
		}
		for x := range floats {
			if !definition[x] && !magic[x] {
				t.Errorf("%s: %s is not in kernels_generic.go", file, x)
			}
		}
	}
}

// magic rounds a float32 to an integer; the definition does that in float64.
var magic = map[string]bool{"0x1.8p23": true}

func hexFloats(t *testing.T, file string) map[string]bool {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var s scanner.Scanner
	s.Init(token.NewFileSet().AddFile(file, -1, len(src)), src, nil, 0)
	floats := map[string]bool{}
	for {
		switch _, tok, lit := s.Scan(); {
		case tok == token.EOF:
			return floats
		case tok == token.FLOAT && strings.HasPrefix(lit, "0x"):
			floats[lit] = true
		}
	}
}
