package vectorstate

import (
	"runtime"
	"testing"
)

func TestDirty(t *testing.T) {
	if !Supported() {
		t.Skip("this CPU does not tell")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const tries = 100
	missed := 0 // the scheduler may come in between, and leave the registers clean
	for range tries {
		if Clean(); Dirty() {
			t.Fatal("dirty after VZEROUPPER")
		}
		if Soil(); !Dirty() {
			missed++
		}
	}
	Clean()
	if missed > tries/2 {
		t.Fatalf("clean after writing to an upper half, %d times of %d", missed, tries)
	}
}
