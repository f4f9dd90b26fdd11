package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// processClock is the processor time that this process has used, in all its threads: on a busy machine it tells more than the wall's.
var processClock = func() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		fatal(err)
	}
	return time.Duration(t.Nano())
}
