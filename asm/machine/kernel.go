package machine

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// A Function is what a function of assembly is called, takes and does, of one ISA and one element type.
type Function struct {
	Name      string
	Signature string // a Go function type
	Doc       string // without the name, which comes first
}

// Comment returns the lines of a comment that says what a function does, without their slashes: of at most 140 columns with them.
func Comment(name, doc string) []string {
	lines := []string{name}
	for _, word := range strings.Fields(doc) {
		last := &lines[len(lines)-1]
		if utf8.RuneCountInString(*last)+1+utf8.RuneCountInString(word) > 140-len("// ") {
			lines = append(lines, word)
			continue
		}
		*last += " " + word
	}
	return lines
}

// A Feature is something that not every CPU of an architecture has.
type Feature struct {
	Field   string   // of x/sys/cpu
	Setting string   // of GODEBUG, which takes the feature away: cpu.Setting=off
	Names   []string // what avo calls the instructions that need it
}

var int32s = regexp.MustCompile(`((?:\w+, )*\w+) \[\]int32`)

// Int32s are the parameters that are []int32.
func (f *Function) Int32s() map[string]bool {
	names := map[string]bool{}
	for _, s := range int32s.FindAllStringSubmatch(f.Signature, -1) {
		for name := range strings.SplitSeq(s[1], ", ") {
			names[name] = true
		}
	}
	return names
}
