package main

import "github.com/lanewise/lanewise"

// The loss with its gradient, over n logits of which nine pixels in ten are confident.
func init() {
	for name, cfg := range map[string]lanewise.LovaszConfig{
		"Lovasz":           {Layout: lanewise.ClassMajor},
		"LovaszPixelMajor": {},
		"LovaszEntropy":    {Layout: lanewise.ClassMajor, CrossEntropy: 1},
		"LovaszBinned":     {Layout: lanewise.ClassMajor, Method: lanewise.Binned},
		"LovaszSigmoid":    {Layout: lanewise.ClassMajor, Activation: lanewise.SigmoidActivation},
	} {
		kernels[name] = kernel{f32: lovasz(cfg)}
	}
	kernels["Hinge"] = kernel{f32: hinge}
}

func lovasz(cfg lanewise.LovaszConfig) func(n, classes int) func() {
	cfg.Workers = 1
	return func(n, classes int) func() {
		cfg.Classes = classes
		n, pixels := inRows(n, classes)
		logits, target, grad := normal[float32](n, 1), labels(pixels, max(classes, 2)), alloc[float32](n)
		for i, label := range target {
			if i%10 != 0 && int(label) < classes {
				if cfg.Layout == lanewise.ClassMajor {
					logits[int(label)*pixels+i] += 12
				} else {
					logits[i*classes+int(label)] += 12
				}
			}
		}
		l, err := lanewise.NewLovasz(cfg)
		if err != nil {
			panic(err)
		}
		return func() {
			if _, err := l.Backward(grad, logits, target, 1); err != nil {
				panic(err)
			}
		}
	}
}

func hinge(n, _ int) func() {
	scores, target, grad := normal[float32](n, 1), labels(n, 2), alloc[float32](n)
	for i, label := range target {
		if i%10 != 0 {
			scores[i] += float32(12*label - 6)
		}
	}
	l, err := lanewise.NewLovasz(lanewise.LovaszConfig{Classes: 2, Workers: 1})
	if err != nil {
		panic(err)
	}
	return func() {
		if _, err := l.Hinge(grad, scores, target, 1); err != nil {
			panic(err)
		}
	}
}
