package main

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// awake is how the worker waits for a request. One that was announced finds it not asleep, since waking up takes as long as all the rest of
// a small call. And a while after a call it sleeps without telling Go's runtime, which would give its place to another thread, and wake up
// every 20 µs to see whether it should, in the middle of the next call too.
type awake struct{ announced time.Time }

const (
	spin = 200 * time.Microsecond // a request comes when its tensors are copied; of large ones it may sleep
	hold = 10 * time.Millisecond
)

// expect says that a request is on its way.
func (a *awake) expect() { a.announced = time.Now() }

// wait returns when there is something to read on stdin, or when it is time to sleep in earnest.
func (a *awake) wait() {
	for time.Since(a.announced) < spin {
		if readable(0) {
			return
		}
		unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) // the package may wait for this very CPU
	}
	readable(hold)
}

func readable(timeout time.Duration) bool {
	fds := [1]unix.PollFd{{Fd: 0, Events: unix.POLLIN}}
	limit := unix.NsecToTimespec(timeout.Nanoseconds())
	n, _, _ := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&fds)), 1, uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
	return int(n) > 0
}
