// Command lovasz computes the Lovász-Softmax loss, the intersection over union and, if asked, the gradient of a segmentation network's
// output, from files.
//
//	lovasz -logits logits.npy -labels labels.npy
//
// Logits are .npy or .npz arrays, labels these or PNG masks. Without arguments it computes an embedded example; -h lists the flags.
package main

import (
	"bytes"
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
	err := lovasz(args, &out)
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

func lovasz(args []string, out io.Writer) error {
	o, err := parse(args, out)
	if err != nil || o == nil {
		return err
	}
	x, y, err := o.read()
	if err != nil {
		return err
	}
	shape, err := fit(x.shape, y.shape, o.Layout, o.Classes, o.Images)
	if err != nil {
		return err
	}
	r, grad, err := evaluate(o, x, y, shape)
	if err != nil {
		return err
	}
	if o.Grad != "" {
		if err := writeNPY(o.Grad, x.shape, grad); err != nil {
			return err
		}
	}
	if o.JSON {
		return r.printJSON(out)
	}
	return r.printText(out)
}

// read returns the logits and labels of the files that the flags name, or the embedded example's.
func (o *options) read() (*array[float32], *array[int32], error) {
	if o.example() {
		return example()
	}
	if o.Logits == "" || o.Labels == "" {
		return nil, nil, fmt.Errorf("both -logits and -labels are needed (neither: the embedded example)")
	}
	if o.Grad != "" {
		for _, path := range []string{o.Logits, o.Labels} {
			if sameFile(o.Grad, path) {
				return nil, nil, fmt.Errorf("-grad would overwrite %s", path)
			}
		}
	}
	x, err := readLogits(o.Logits)
	if err != nil {
		return nil, nil, err
	}
	y, err := readLabels(o.Labels)
	return x, y, err
}
