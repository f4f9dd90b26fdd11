// Landcover trains a small neural network to tell from a satellite image what grows on the ground: with the cross-entropy, with the
// Lovász-Softmax loss, and with both together. It compares their IoU on pixels that none of them was trained on.
//
// It shows how the gradient that the library computes is used in a training loop (fit in train.go), how a loss is composed from kernels of
// the library (crossEntropy), and how predictions are counted (evaluate). The network and its optimiser (network.go) are plain Go around
// gonum's matrix products. The pixels (data.go) are the Statlog (Landsat Satellite) data set of the UCI Machine Learning Repository.
//
//	go run ./examples/landcover
//
// prints a line per epoch and a table, and writes curves.svg and curves.png.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"gonum.org/v1/gonum/stat"
)

func main() {
	s := schedule{batch: 256, rate: 0.01}
	flag.IntVar(&s.epochs, "epochs", 40, "train for `n` passes over the training pixels")
	flag.Uint64Var(&s.seed, "seed", 1, "`seed` of the initial weights and of the order of the pixels")
	seeds := flag.Int("seeds", 1, "train each way `n` times, with the seeds seed, seed+1, …, and report the mean")
	out := flag.String("out", ".", "write curves.svg and curves.png to this `folder`")
	save := flag.String("save", "", "write logits.npy of the test pixels, by the network trained with both losses, labels.npy "+
		"and\nclasses.txt to this `folder`")
	flag.Parse()
	if flag.NArg() > 0 || s.epochs < 1 || *seeds < 1 {
		fmt.Fprintln(os.Stderr, "landcover: -epochs and -seeds are at least 1, and there are no arguments but flags")
		os.Exit(2)
	}
	if err := run(os.Stdout, s, *seeds, *out, *save); err != nil {
		fmt.Fprintln(os.Stderr, "landcover:", err)
		os.Exit(1)
	}
}

// A way is one of the losses to train with, and what came of it.
type way struct {
	name string
	loss loss
	runs []training // one for each seed
}

func run(w io.Writer, s schedule, seeds int, out, save string) error {
	train, test, err := landsat()
	if err != nil {
		return err
	}
	ways, err := threeWays()
	if err != nil {
		return err
	}
	for i := range ways {
		way := &ways[i]
		for k := range seeds {
			s := s
			s.seed += uint64(k)
			t, err := fit(train, test, way.loss, s, func(epoch int, now score) {
				fmt.Fprintf(w, "%-14s  seed %d  epoch %2d  loss %.4f  mean IoU %.4f training, %.4f test\n",
					way.name, s.seed, epoch, now.loss, now.train, now.test)
			})
			if err != nil {
				return fmt.Errorf("%s: %w", way.name, err)
			}
			way.runs = append(way.runs, t)
		}
	}
	fmt.Fprintf(w, "\nIoU on the %d test pixels after the last epoch (seeds: %d)\n\n", len(test.labels), seeds)
	printTable(w, ways)

	if err := drawCurves(out, ways); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%s and %s hold the curves\n", filepath.Join(out, "curves.svg"), filepath.Join(out, "curves.png"))
	if save != "" {
		both := ways[len(ways)-1].runs[0].net
		return saveExample(save, both.forward(test.features), test.labels)
	}
	return nil
}

func threeWays() ([]way, error) {
	alone, err := lovasz(0)
	if err != nil {
		return nil, err
	}
	both, err := lovasz(1)
	if err != nil {
		return nil, err
	}
	return []way{
		{name: "cross-entropy", loss: crossEntropy},
		{name: "Lovász-Softmax", loss: alone},
		{name: "both", loss: both},
	}, nil
}

// over returns value of every run.
func (w way) over(value func(training) float64) []float64 {
	var values []float64
	for _, t := range w.runs {
		values = append(values, value(t))
	}
	return values
}

// printTable prints how well each way came to know every class, and all of them.
func printTable(w io.Writer, ways []way) {
	line := func(name string, cell func(way) string) {
		fmt.Fprintf(w, "%-20s", name)
		for _, way := range ways {
			fmt.Fprintf(w, "%17s", cell(way))
		}
		fmt.Fprintln(w)
	}
	line("", func(w way) string { return w.name })
	for k, class := range classNames {
		line(class, func(w way) string {
			return fmt.Sprintf("%.3f", stat.Mean(w.over(func(t training) float64 { return t.iou[k] }), nil))
		})
	}
	line("mean", func(w way) string {
		mean, deviation := stat.MeanStdDev(w.over(func(t training) float64 { return t.scores[len(t.scores)-1].test }), nil)
		if len(w.runs) == 1 {
			return fmt.Sprintf("%.3f", mean)
		}
		return fmt.Sprintf("%.3f ± %.3f", mean, deviation)
	})
}
