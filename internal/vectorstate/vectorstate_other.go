//go:build !amd64 || purego

package vectorstate

const supported = false

func inUse() uint64 { return 0 }
func soil()         {}
func clean()        {}
