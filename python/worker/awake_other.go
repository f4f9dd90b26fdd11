//go:build !linux

package main

// awake is nothing where there is no yield.
type awake struct{}

func (awake) expect() {}

func (awake) wait() {}
