package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// awake is how the worker waits for a request that was announced: not asleep, since waking up takes as long as all the rest of a small call.
type awake struct{ until time.Time }

// expect says that a request is on its way; it takes as long as its tensors take to copy, and of large ones it may sleep.
func (a *awake) expect() { a.until = time.Now().Add(200 * time.Microsecond) }

func (a *awake) flags() int {
	if time.Now().Before(a.until) {
		return unix.MSG_DONTWAIT
	}
	return 0
}

// yield lets the package run: it may wait for this very CPU.
func (*awake) yield() { unix.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }
