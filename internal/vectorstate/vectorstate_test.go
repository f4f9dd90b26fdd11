package vectorstate

import "testing"

func TestDirty(t *testing.T) {
	if !Supported() {
		t.Skip("this CPU does not tell")
	}
	for range 100 {
		if Clean(); Dirty() {
			t.Fatal("dirty after VZEROUPPER")
		}
		if Soil(); !Dirty() {
			t.Fatal("clean after writing to an upper half")
		}
	}
	Clean()
}
