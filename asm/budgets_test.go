package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/budgets.txt anew")

const budgetsFile = "testdata/budgets.txt"

// TestBudgets: no function of assembly, kernel or routine, has over 3 % more instructions than testdata/budgets.txt says. What is to be
// larger changes the file, go test -run Budgets -update ., and is seen there.
func TestBudgets(t *testing.T) {
	got := map[string]int{}
	for _, arch := range []string{"amd64", "arm64"} {
		n := instructions(t, filepath.Join("..", "kernels_"+arch+".s"))
		if len(n) < 100 {
			t.Errorf("only %d functions on %s", len(n), arch)
		}
		maps.Copy(got, n)
	}
	if *update {
		var s strings.Builder
		for _, name := range slices.Sorted(maps.Keys(got)) {
			fmt.Fprintln(&s, name, got[name])
		}
		if err := os.WriteFile(budgetsFile, []byte(s.String()), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	text, err := os.ReadFile(budgetsFile)
	if err != nil {
		t.Fatal(err)
	}
	budgets := map[string]int{}
	for line := range strings.Lines(string(text)) {
		var name string
		var n int
		if _, err := fmt.Sscan(line, &name, &n); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		budgets[name] = n
	}
	for name, n := range got {
		if budget, ok := budgets[name]; !ok {
			t.Errorf("%s has %d instructions and no budget", name, n)
		} else if 100*n > 103*budget {
			t.Errorf("%s has %d instructions, the budget is %d", name, n, budget)
		}
	}
	for name := range budgets {
		if _, ok := got[name]; !ok {
			t.Errorf("there is a budget for %s, and no such function", name)
		}
	}
}

// instructions counts those of each function of a generated file, where they are the lines that begin with a tab, but for what is no code.
func instructions(t *testing.T, file string) map[string]int {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	n, name := map[string]int{}, ""
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "TEXT ·"); ok {
			name, _, _ = strings.Cut(rest, "(")
			name = strings.TrimSuffix(name, "<>")
			n[name] = 0
		} else if line[0] == '\t' && !strings.HasPrefix(line, "\t//") && line != "\tNO_LOCAL_POINTERS\n" {
			n[name]++
		}
	}
	for name, n := range n {
		if n == 0 {
			t.Errorf("%s: %q has no instructions", file, name)
		}
	}
	return n
}
