package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/lanewise/lanewise"
)

// A file of counts: a line of JSON, which says what was counted, then a LovaszCounts and a Confusion, each behind its length as uvarint.
type countsHeader struct {
	Format     string   `json:"format"`
	Images     int      `json:"images"`
	Pixels     int      `json:"pixels"`
	Void       int      `json:"void_pixels"`
	Classes    int      `json:"classes"`
	Hard       bool     `json:"hard_predictions,omitempty"`
	Activation string   `json:"activation"`
	Average    string   `json:"average"`
	Names      []string `json:"names,omitempty"`
}

const countsFormat = "lovasz counts 1"

func writeCounts(path string, r *report, counts *lanewise.LovaszCounts, t *tally) error {
	h := countsHeader{countsFormat, t.images, t.pixels, t.void, len(r.Classes), r.Hard, r.Activation, r.Average, nil}
	if r.Classes[0].Name != "" {
		for _, c := range r.Classes {
			h.Names = append(h.Names, c.Name)
		}
	}
	b, err := json.Marshal(h)
	if err != nil {
		return err
	}
	b = append(b, '\n')
	for _, part := range []interface{ MarshalBinary() ([]byte, error) }{counts, t.confusion} {
		bytes, err := part.MarshalBinary()
		if err != nil {
			return err
		}
		b = append(binary.AppendUvarint(b, uint64(len(bytes))), bytes...)
	}
	return os.WriteFile(path, b, 0o666)
}

// readCounts reads what writeCounts wrote.
func readCounts(path string) (h countsHeader, counts *lanewise.LovaszCounts, t *tally, err error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return h, nil, nil, err
	}
	line, rest, _ := bytes.Cut(content, []byte("\n"))
	if err := json.Unmarshal(line, &h); err != nil || h.Format != countsFormat {
		return h, nil, nil, fmt.Errorf("%s: not a file that -counts wrote", path)
	}
	counts, t = new(lanewise.LovaszCounts), &tally{images: h.Images, pixels: h.Pixels, void: h.Void, confusion: new(lanewise.Confusion)}
	b := bufio.NewReader(bytes.NewReader(rest))
	for _, part := range []interface{ UnmarshalBinary([]byte) error }{counts, t.confusion} {
		n, err := binary.ReadUvarint(b)
		if err != nil || n > uint64(len(rest)) {
			return h, nil, nil, fmt.Errorf("%s: the file is truncated", path)
		}
		encoded := make([]byte, n)
		if _, err := io.ReadFull(b, encoded); err != nil {
			return h, nil, nil, fmt.Errorf("%s: the file is truncated", path)
		}
		if err := part.UnmarshalBinary(encoded); err != nil {
			return h, nil, nil, fmt.Errorf("%s: %s", path, strings.TrimPrefix(err.Error(), "lanewise: "))
		}
	}
	if h.Classes < 1 || len(t.confusion.IoU()) != max(2, h.Classes) || len(counts.Result().PerClass) != h.Classes {
		return h, nil, nil, fmt.Errorf("%s: not a file that -counts wrote", path)
	}
	return h, counts, t, nil
}

type mergeOptions struct {
	Files  []string `arg:"" name:"file" help:"Files that -counts wrote, with the same flags of the loss. Quoted patterns too."`
	Counts string   `placeholder:"FILE" help:"Write the merged counts, to be merged again."`
	Plot   string   `placeholder:"FILE" help:"Draw the losses and IoU of the classes (.svg, .png or .pdf)."`
	Names  []string `placeholder:"NAME" help:"Names of the classes, for the output."`
	JSON   bool     `name:"json" help:"Print JSON; what is not a number is null."`
}

const mergeDescription = `The loss and IoU of everything that was counted into several files, in whatever order and on whatever machines: the bits of
one run over all of it.

  lovasz -logits part1 -labels masks1 -counts 1.bin     (on each machine)
  lovasz merge *.bin`

// merge is the command "lovasz merge".
func merge(args []string, out io.Writer) error {
	var m mergeOptions
	if helped, err := parseInto(&m, "lovasz merge", mergeDescription, args, out); helped || err != nil {
		return err
	}
	var paths []string
	for _, file := range m.Files {
		matches, err := filepath.Glob(file)
		if err != nil || len(matches) == 0 {
			matches = []string{file}
		}
		paths = append(paths, matches...)
	}
	var header countsHeader
	var counts *lanewise.LovaszCounts
	var all *tally
	for i, path := range paths {
		h, c, t, err := readCounts(path)
		if err != nil {
			return err
		}
		if i == 0 {
			header, counts, all = h, c, t
			continue
		}
		if err := errors.Join(counts.Merge(c), all.confusion.Merge(t.confusion)); err != nil || h.Hard != header.Hard {
			return fmt.Errorf("%s was counted with other flags of the loss than %s", path, paths[0])
		}
		if all.pixels > math.MaxInt-t.pixels {
			return fmt.Errorf("%s: too many pixels", path)
		}
		all.images, all.pixels, all.void = all.images+t.images, all.pixels+t.pixels, all.void+t.void
	}
	o := &options{Names: m.Names, Classes: header.Classes}
	if o.Names == nil {
		o.Names = header.Names
	}
	if o.Names != nil && len(o.Names) != header.Classes {
		return fmt.Errorf("-names has %d names for %d classes", len(o.Names), header.Classes)
	}
	r := &report{Merged: len(paths), Hard: header.Hard, Activation: header.Activation, Average: header.Average, Method: "binned"}
	r.Logits.Path, r.Labels.Path = strings.Join(m.Files, " "), strings.Join(m.Files, " ")
	r.newClasses(o, header.Classes)
	r.setLoss(o, counts.Result())
	r.setTally(o, all)
	if m.Counts != "" {
		if err := writeCounts(m.Counts, r, counts, all); err != nil {
			return err
		}
	}
	if m.Plot != "" {
		if err := r.plot(m.Plot); err != nil {
			return err
		}
	}
	return r.print(out, m.JSON)
}
