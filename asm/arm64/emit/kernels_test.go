package emit

import (
	"os"
	"path/filepath"
	"testing"
)

// TestKernelWords looks at the kernels as they are in the repository.
func TestKernelWords(t *testing.T) {
	asm, err := os.ReadFile(filepath.Join("..", "..", "..", "kernels_arm64.s"))
	if err != nil {
		t.Fatal(err)
	}
	checkWords(t, string(asm))
	if r := reserved.FindString(string(asm)); r != "" {
		t.Errorf("the register %s is there", r)
	}
}
