// Command lovasz computes the Lovász-Softmax loss, the intersection over union and, if asked, the gradient of a segmentation network's
// output, from files.
//
//	lovasz -logits logits.npy -labels labels.npy
//
// Logits are .npy, .npz, .safetensors or .pt arrays, labels these or PNG masks; of directories every file is an image. Without arguments it
// computes an embedded example; -h lists the flags. "lovasz merge" adds up what -counts wrote.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is the command: it returns the exit code. Every error ends here, as one line on stderr.
func run(args []string, stdout, stderr io.Writer) int {
	var out bytes.Buffer // nothing is printed before everything went well
	err := lovasz(args, &out, stderr)
	if err == nil {
		_, err = stdout.Write(out.Bytes())
	}
	if err != nil {
		line := strings.ReplaceAll(strings.TrimPrefix(err.Error(), "lanewise: "), "\n", " ")
		fmt.Fprintln(stderr, "lovasz: "+line)
		return 1
	}
	return 0
}

func lovasz(args []string, out, stderr io.Writer) error {
	if len(args) > 0 && args[0] == "merge" {
		return merge(args[1:], out)
	}
	o, err := parse(args, out)
	if err != nil || o == nil {
		return err
	}
	pairs, err := o.pairs()
	if err != nil {
		return err
	}
	var r *report
	if o.set() || o.Counts != "" {
		r, err = evaluateSet(o, pairs, newProgress(stderr))
	} else {
		r, err = evaluateOne(o, pairs[0])
	}
	if err != nil {
		return err
	}
	if o.Plot != "" {
		if err := r.plot(o.Plot); err != nil {
			return err
		}
	}
	return r.print(out, o.JSON)
}

// evaluateOne computes what the flags ask for of one file, which may hold several images.
func evaluateOne(o *options, p pair) (*report, error) {
	x, y, shape, err := o.load(p)
	if err != nil {
		return nil, err
	}
	var h *heatmap
	if o.Heatmap != "" {
		if h, err = o.newHeatmap(x, y, shape, o.HeatmapImage); err != nil {
			return nil, err
		}
	}
	r, grad, err := evaluate(o, x, y, shape)
	if err != nil {
		return nil, err
	}
	if o.Grad != "" {
		if err := writeNPY(o.Grad, x.shape, grad); err != nil {
			return nil, err
		}
	}
	if h != nil {
		return r, h.save(o.Heatmap, r, grad)
	}
	return r, nil
}

// pairs returns the files that the flags name: one pair, or those of a set. The embedded example has no names.
func (o *options) pairs() ([]pair, error) {
	if o.example() {
		return []pair{{}}, nil
	}
	if o.source() == "" || o.Labels == "" {
		return nil, fmt.Errorf("both -logits and -labels are needed (neither: the embedded example)")
	}
	if o.set() {
		if err := errors.Join(refuseZarr(o.source(), "logits"), refuseZarr(o.Labels, "labels")); err != nil {
			return nil, err
		}
		return findPairs(o.source(), o.Labels)
	}
	if o.Grad != "" {
		for _, path := range []string{o.Logits, o.Labels} {
			if sameFile(o.Grad, path) {
				return nil, fmt.Errorf("-grad would overwrite %s", path)
			}
		}
	}
	return []pair{{logits: o.source(), labels: o.Labels}}, nil
}

// load reads a pair, and finds out how its logits lie.
func (o *options) load(p pair) (x *array[float32], y *array[int32], s shape, err error) {
	layout, classes := o.Layout, o.Classes
	switch {
	case o.example():
		x, y, err = example()
	case o.Predictions != "":
		layout = "pixel"
		var predicted *array[int32]
		if predicted, err = readLabels(p.logits); err == nil {
			if y, err = readLabels(p.labels); err == nil {
				x, err = o.oneHot(predicted, y)
			}
		}
	default:
		if x, err = readLogits(p.logits); err == nil {
			y, err = readLabels(p.labels)
		}
	}
	if err != nil {
		return nil, nil, shape{}, err
	}
	if s, err = fit(x.shape, y.shape, layout, classes, o.Images); err != nil && o.set() {
		err = fmt.Errorf("%s: %w", p.logits, err)
	}
	return x, y, s, err
}
