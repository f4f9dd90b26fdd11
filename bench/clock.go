package main

import "time"

// clock is what samples are taken with: the wall's clock, or with -cputime this process's.
var clock = wallClock

// clockVariable tells the peers in processes of their own to take the processor's time.
const clockVariable = "LANEWISE_BENCH_CLOCK"

var epoch = time.Now()

func wallClock() time.Duration { return time.Since(epoch) }
