package main

import (
	"fmt"
	"math/rand/v2"

	"github.com/lanewise/lanewise"
)

// A loss writes d loss / d logits to grad and returns the loss of logits [pixels, classes] and labels [pixels]: all that a training loop
// needs to know of it.
type loss func(grad, logits []float32, labels []int32) (float64, error)

// lovasz is the Lovász-Softmax loss plus lambda times the cross-entropy, both from one pass of the library. A batch of a few hundred pixels
// is too little work to share among workers.
func lovasz(lambda float64) (loss, error) {
	l, err := lanewise.NewLovasz(lanewise.LovaszConfig{Classes: classes, CrossEntropy: lambda, Workers: 1})
	if err != nil {
		return nil, err
	}
	return func(grad, logits []float32, labels []int32) (float64, error) {
		result, err := l.Backward(grad, logits, labels, 1)
		return result.Loss, err
	}, nil
}

// crossEntropy is the mean of −log softmax(logits) at the labels, composed from two kernels of the library: what to do for a loss that the
// library does not have.
func crossEntropy(grad, logits []float32, labels []int32) (float64, error) {
	logProbs := make([]float32, len(logits))
	lanewise.LogSoftmaxRows(logProbs, logits, classes)
	var sum float64
	clear(grad)
	for i, label := range labels {
		own := i*classes + int(label)
		sum -= float64(logProbs[own])
		grad[own] = -1 / float32(len(labels)) // d loss / d logProbs …
	}
	lanewise.LogSoftmaxRowsGrad(grad, logProbs, grad, classes) // … and by the chain rule d loss / d logits
	return sum / float64(len(labels)), nil
}

// A schedule says how long and how fast to train.
type schedule struct {
	epochs int
	batch  int     // pixels in a step: enough to hold every class, since the Jaccard index is that of a set, not of a pixel
	rate   float64 // of Adam in the first epoch; it falls to 0 in a straight line
	seed   uint64  // of the initial weights and of the order of the pixels
}

// A training is a trained network and how it got there.
type training struct {
	net    *network
	scores []score   // [epochs]
	iou    []float64 // [classes], on the test pixels at the end
}

// A score is what one epoch came to.
type score struct {
	loss        float64 // mean over the training pixels
	train, test float64 // mean IoU on the training and on the test pixels
}

// fit trains a new network and calls report after every epoch, the first of which is 1.
func fit(train, test dataset, loss loss, s schedule, report func(epoch int, now score)) (training, error) {
	rng := rand.New(rand.NewPCG(s.seed, 0))
	t := training{net: newNetwork(rng)}
	for epoch := range s.epochs {
		rate := s.rate * (1 - float64(epoch)/float64(s.epochs))
		var sum float64
		for batch := range train.batches(s.batch, rng) {
			logits := t.net.forward(batch.features)
			grad := make([]float32, len(logits))
			value, err := loss(grad, logits, batch.labels)
			if err != nil {
				return t, fmt.Errorf("epoch %d: %w", epoch+1, err)
			}
			t.net.backward(grad)
			t.net.step(rate)
			sum += value * float64(len(batch.labels))
		}
		now := score{
			loss:  sum / float64(len(train.labels)),
			train: evaluate(t.net, train).MeanIoU(),
			test:  evaluate(t.net, test).MeanIoU(),
		}
		t.scores = append(t.scores, now)
		report(epoch+1, now)
	}
	t.iou = evaluate(t.net, test).IoU()
	return t, nil
}

// evaluate counts how the pixels of each class are predicted.
func evaluate(net *network, d dataset) *lanewise.Confusion {
	predicted := make([]int32, len(d.labels))
	lanewise.ArgMaxRows(predicted, net.forward(d.features), classes)
	counts := lanewise.NewConfusion(classes)
	if err := counts.Add(predicted, d.labels); err != nil {
		panic(err) // a prediction outside the classes
	}
	return counts
}
