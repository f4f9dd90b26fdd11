//go:build !amd64 && !arm64

package main

var weaviateDot, weaviateL2 func(a, b []float32) float32
