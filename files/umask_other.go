//go:build !unix

package files

import "io/fs"

// umask is what new files are not allowed.
func umask() fs.FileMode { return 0 }
