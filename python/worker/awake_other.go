//go:build !linux

package main

// awake is nothing where there is no yield.
type awake struct{}

func (awake) expect() {}

func (awake) flags() int { return 0 }

func (awake) yield() {}
