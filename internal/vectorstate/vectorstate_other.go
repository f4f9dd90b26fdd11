//go:build !amd64 || purego

package vectorstate

func supported() bool { return false }
func inUse() uint64   { return 0 }
func soil()           {}
func clean()          {}
