//go:build unix

package files

import (
	"io/fs"
	"sync"
	"syscall"
)

// umask is what new files are not allowed. It can only be read by setting it.
var umask = sync.OnceValue(func() fs.FileMode {
	mask := syscall.Umask(0o077)
	syscall.Umask(mask)
	return fs.FileMode(mask)
})
