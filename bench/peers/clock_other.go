//go:build !unix

package main

import "time"

var processClock func() time.Duration
