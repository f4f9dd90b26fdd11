package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"github.com/lanewise/lanewise"
)

// How exact the loss is where a network is nearly right: the own logit is raised by more and more, in some rows with a share of the pixels
// surely wrong, and float64 says what the loss, its gradient and the cross-entropy are.

// With fewer pixels, two that change their order because their errors are rounded are too much of the gradient.
const exactPixels, exactClasses = 32768, 6

// An exactRow is one such data set.
type exactRow struct {
	Activation string  `json:"activation"`
	Raised     float64 `json:"raised"`
	Wrong      float64 `json:"wrong"` // the share of the pixels
	Loss       float64 `json:"loss"`  // of float64
	Ours       offs    `json:"ours"`  // in the layout where it is more
	PyTorch    *offs   `json:"pytorch,omitempty"`
}

// offs are relative differences: of the gradient, the norm's.
type offs struct {
	Loss, Gradient, Entropy float64
}

// mostOff is what is wanted.
var mostOff = offs{1e-6, 1e-5, 1e-6}

// worst is the larger of each.
func (o offs) worst(p offs) offs {
	return offs{max(o.Loss, p.Loss), max(o.Gradient, p.Gradient), max(o.Entropy, p.Entropy)}
}

func (o offs) within(most offs) bool {
	return o.Loss <= most.Loss && o.Gradient <= most.Gradient && o.Entropy <= most.Entropy
}

func (r exactRow) name() string {
	return fmt.Sprintf("Lovasz/%s/raised=%g/wrong=%g%%", r.Activation, r.Raised, 100*r.Wrong)
}

func (r exactRow) short() bool { return !r.Ours.within(mostOff) }

// exactRows lists what is to be measured. Where more pixels are surely wrong, the order of errors that float32 cannot tell apart comes into
// it from where a network is that sure.
func exactRows(pattern *regexp.Regexp, raised []float64) []exactRow {
	var rows []exactRow
	for _, activation := range []string{"softmax", "sigmoid"} {
		for _, wrong := range []struct{ share, most float64 }{{0, 20}, {0.01, 14}, {0.1, 12}} {
			for _, raised := range raised {
				r := exactRow{Activation: activation, Raised: raised, Wrong: wrong.share}
				if raised <= wrong.most && pattern.MatchString(r.name()) {
					rows = append(rows, r)
				}
			}
		}
	}
	return rows
}

// measure fills the row in.
func (r *exactRow) measure(others *externals) error {
	planes := r.input()
	want := newLoss64(r.Activation, planes, exactPixels, exactClasses)
	r.Loss = want.loss
	inRows := func(i int) int { return i%exactClasses*exactPixels + i/exactClasses }
	grad := alloc[float32](len(planes.logits))
	c := lossCase{Activation: r.Activation, Extras: "entropy", Images: 1, Pixels: exactPixels, Classes: exactClasses, Workers: 1}
	for _, c.Layout = range []string{"class-major", "pixel-major"} {
		in, order := planes, inRows
		if c.Layout == "class-major" {
			order = nil
		} else {
			in.logits = transposed(planes.logits, exactClasses, exactPixels)
		}
		loss, entropy, err := c.exact(in, grad)
		if err != nil {
			return err
		}
		r.Ours = r.Ours.worst(want.offs(loss, entropy, grad, order))
	}
	torch := others.torch()
	c.Layout = "class-major"
	if torch == nil || !others.prepare(torch, c, planes) {
		return nil
	}
	loss, entropy, err := torch.exact(others.dir, grad)
	if err != nil {
		return err
	}
	off := want.offs(loss, entropy, grad, inRows)
	r.PyTorch = &off
	return nil
}

// exact returns the parts of the loss, and writes the gradient of the Lovász loss alone.
func (c lossCase) exact(in input, grad []float32) (loss, entropy float64, err error) {
	cfg := c.config()
	l, err := lanewise.NewLovasz(cfg)
	if err != nil {
		return 0, 0, err
	}
	both, err := l.Forward(in.logits, in.labels, c.Images)
	if err != nil {
		return 0, 0, err
	}
	cfg.CrossEntropy = 0
	if l, err = lanewise.NewLovasz(cfg); err != nil {
		return 0, 0, err
	}
	_, err = l.Backward(grad, in.logits, in.labels, c.Images)
	return both.Lovasz, both.CrossEntropy, err
}

// exact is the same of a peer, whose gradient lies pixel by pixel.
func (p *process) exact(dir string, grad []float32) (loss, entropy float64, err error) {
	answer, err := p.ask("exact %s", dir)
	if err != nil {
		return 0, 0, err
	}
	if _, err := fmt.Sscan(answer, &loss, &entropy); err != nil {
		return 0, 0, fmt.Errorf("%s: %q: %w", p.name, answer, err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "grad.f32"))
	if err == nil && len(data) != 4*len(grad) {
		err = fmt.Errorf("%s: the gradient has %d bytes, want %d", p.name, len(data), 4*len(grad))
	}
	copy(bytesOf(grad), data)
	return loss, entropy, err
}

// input returns class-major logits. A sigmoid's other logits are lowered as far, unless some of the pixels are wrong about them all the
// same.
func (r *exactRow) input() input {
	rng := xorshift(88172645463325252)
	x := input{alloc[float32](exactPixels * exactClasses), alloc[int32](exactPixels)}
	for i := range x.labels {
		label := int(rng.next() % exactClasses)
		sure := label
		if float64(rng.uniform()) < r.Wrong {
			sure = (label + 1) % exactClasses
		}
		x.labels[i] = int32(label)
		for k := range exactClasses {
			v := rng.normal()
			if k == sure {
				v += float32(r.Raised)
			} else if r.Activation == "sigmoid" && r.Wrong == 0 && r.Raised > 6 {
				v -= float32(r.Raised)
			}
			x.logits[k*exactPixels+i] = v
		}
	}
	return x
}
