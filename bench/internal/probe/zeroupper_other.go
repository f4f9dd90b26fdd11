//go:build !amd64

package probe

// ZeroUpper does nothing: only amd64 has upper halves to clear.
func ZeroUpper() {}
