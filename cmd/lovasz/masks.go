package main

import (
	"errors"

	"github.com/lanewise/lanewise"
)

var errMasks = errors.New("masks are not computed yet")

func computeMasks(l *lanewise.Lovasz, grad, logits []float32, masks []uint8, images int) (lanewise.LovaszResult, error) {
	return lanewise.LovaszResult{}, errMasks
}

func addMasks(c *lanewise.LovaszCounts, logits []float32, masks []uint8, images int) error {
	return errMasks
}

func backwardMasks(c *lanewise.LovaszCounts, grad, logits []float32, masks []uint8, images int) error {
	return errMasks
}
