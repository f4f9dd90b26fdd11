package main

import "github.com/lanewise/lanewise"

// computeMasks is the one call of the library for masks; grad may be nil, or the logits.
func computeMasks(l *lanewise.Lovasz, grad, logits []float32, masks []uint8, images int) (lanewise.LovaszResult, error) {
	if grad != nil {
		return l.BackwardMasks(grad, logits, masks, images)
	}
	return l.ForwardMasks(logits, masks, images)
}
