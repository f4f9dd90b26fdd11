// Command lovasz computes the Lovász-Softmax loss, the intersection over union and, if asked, the gradient of a segmentation network's
// output, from files.
//
//	lovasz -logits logits.npy -labels labels.npy
//
// Logits are .npy, .npz, .safetensors, .pt or raw float32 arrays, labels these, PNG masks or .label; of directories every file is an image.
// Without arguments it computes an embedded example; -h lists the flags. "lovasz merge" adds up what -counts wrote, "lovasz compare" shows
// how two models differ.
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"unicode"

	"github.com/lanewise/lanewise/files"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is the command: it returns the exit code. Every error ends here, as one line on stderr.
func run(args []string, stdout, stderr io.Writer) int {
	var out bytes.Buffer // nothing is printed before everything went well
	written := &files.Outputs{}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, stopSignals...)
	defer func() {
		signal.Stop(interrupted)
		close(interrupted)
	}()
	go func() {
		if _, ok := <-interrupted; ok {
			written.Abort()
			fmt.Fprintln(stderr, "lovasz: interrupted")
			os.Exit(130)
		}
	}()
	err := lovasz(args, &out, stderr, written)
	if err == nil {
		err = written.Commit()
	}
	written.Abort()
	if err == nil {
		_, err = stdout.Write(out.Bytes())
	}
	if err != nil {
		fmt.Fprintln(stderr, "lovasz: "+printable(strings.TrimPrefix(err.Error(), "lanewise: ")))
		return 1
	}
	return 0
}

// printable shows text on one line: names in files may hold line ends, and sequences that a terminal obeys.
func printable(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\n':
			b.WriteByte(' ')
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, "\\x%02x", r)
		}
	}
	return b.String()
}

func lovasz(args []string, out, stderr io.Writer, written *files.Outputs) error {
	if len(args) > 0 {
		switch args[0] {
		case "merge":
			return merge(args[1:], out, written)
		case "compare":
			return compare(args[1:], out)
		}
	}
	o, err := parse(args, out)
	if err != nil || o == nil {
		return err
	}
	to, err := o.outputs(written)
	if err != nil {
		return err
	}
	l, err := o.newLoader()
	if err != nil {
		return err
	}
	pairs, notes, err := o.pairs()
	if err != nil {
		return err
	}
	progress := newProgress(stderr)
	for _, note := range notes {
		progress.note("%s", note)
	}
	if o.Pairs {
		return listPairs(pairs, out)
	}
	if err := to.protect(pairs); err != nil {
		return err
	}
	var r *report
	if o.set() || o.Counts != "" {
		r, err = evaluateSet(l, pairs, to, progress)
	} else {
		r, err = evaluateOne(l, pairs, to)
	}
	if err != nil {
		return err
	}
	if to.csv != nil {
		if err := r.writeCSV(to.csv); err != nil {
			return err
		}
	}
	if to.plot != nil {
		if err := r.plot(to.plot, o.Plot); err != nil {
			return err
		}
	}
	return r.print(out, o.JSON)
}

// listPairs shows which files belong together; of a stack which image each file is.
func listPairs(pairs []pair, out io.Writer) error {
	for _, p := range pairs {
		if p.stack == nil {
			fmt.Fprintf(out, "%s\t%s\n", printable(p.Logits), printable(p.labels()))
		}
		for i, file := range p.stack {
			fmt.Fprintf(out, "%s [%d]\t%s\n", printable(p.Logits), i, printable(file))
		}
	}
	return nil
}

// evaluateOne computes what the flags ask for of one file, which may hold several images.
func evaluateOne(l *loader, pairs []pair, to *outputs) (*report, error) {
	o := l.o
	x, y, shape, err := l.load(pairs[0])
	if err != nil {
		return nil, err
	}
	var h *heatmap
	if to.heatmap != nil {
		if h, err = o.newHeatmap(x, y, shape, o.HeatmapImage); err != nil {
			return nil, err
		}
	}
	t := newTally(o, shape)
	r, grad, err := evaluate(o, x, y, shape, t)
	if err != nil {
		return nil, l.explain(err, 0, pairs, y, shape)
	}
	r.setTally(t)
	r.tally = t
	if stack := pairs[0].stack; stack != nil {
		r.ImageNames = stack
		r.firstPair = fmt.Sprintf("image 0 – %s", stack[0])
		r.lastPair = fmt.Sprintf("image %d – %s", len(stack)-1, stack[len(stack)-1])
	}
	if to.grad != nil {
		if err := files.WriteNPY(to.grad, x.shape, grad); err != nil {
			return nil, err
		}
	}
	if h != nil {
		return r, h.save(to.heatmap, r, grad)
	}
	return r, nil
}

// outputs are the files that the flags name.
type outputs struct {
	all                              *files.Outputs
	o                                *options
	grad, counts, csv, plot, heatmap *files.Output
}

// outputs checks all of them, before anything is read.
func (o *options) outputs(all *files.Outputs) (*outputs, error) {
	to := &outputs{all: all, o: o}
	if o.Pairs {
		return to, nil
	}
	var err error
	add := func(out **files.Output, flag, path string, endings ...string) {
		if err == nil && path != "" {
			*out, err = all.Add(flag, path, endings...)
		}
	}
	if o.set() {
		if o.Grad != "" {
			to.grad, err = all.AddDir("-grad", o.Grad)
		}
	} else {
		add(&to.grad, "-grad", o.Grad, ".npy")
	}
	add(&to.counts, "-counts", o.Counts)
	add(&to.csv, "-csv", o.CSV, ".csv")
	add(&to.plot, "-plot", o.Plot, ".svg", ".png", ".pdf")
	add(&to.heatmap, "-heatmap", o.Heatmap, ".png")
	return to, err
}

// protect refuses outputs that are inputs.
func (to *outputs) protect(pairs []pair) error {
	inputs := []string{to.o.List}
	inputs = append(append(inputs, to.o.LabelsMap...), to.o.PredictionsMap...)
	var names []string
	for _, p := range pairs {
		inputs = append(inputs, p.files()...)
		names = append(names, p.Name+".npy")
	}
	if err := to.all.Protect(inputs...); err != nil || to.grad == nil || !to.o.set() {
		return err
	}
	return to.all.ProtectIn(to.grad, names, inputs)
}
