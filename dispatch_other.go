//go:build (!amd64 && !arm64) || purego

package lanewise

// detect returns the assembly implementations that this CPU can run, best first.
func detect() []*implementation { return nil }
