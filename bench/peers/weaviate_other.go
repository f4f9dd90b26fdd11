//go:build !amd64 && !arm64

package main

var weaviateDot func(a, b []float32) float32
