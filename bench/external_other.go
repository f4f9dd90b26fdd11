//go:build !amd64

package main

func hasAVX512() bool { return false }

func openblasCore() []string { return nil }
