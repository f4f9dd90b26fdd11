package main

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lanewise/lanewise"
	"github.com/lanewise/lanewise/files"
)

// A file of counts: a line of JSON, which says what was counted, then a LovaszCounts and a Confusion (of masks one for each class), each
// behind its length as uvarint.
type countsHeader struct {
	Format     string   `json:"format"`
	Images     int      `json:"images"`
	Pixels     int      `json:"pixels"`
	Void       int      `json:"void_pixels"`
	Classes    int      `json:"classes"`
	Counted    []int    `json:"counted"` // the classes in the means
	Masks      bool     `json:"masks,omitempty"`
	Hard       bool     `json:"hard_predictions,omitempty"`
	Activation string   `json:"activation"`
	Average    string   `json:"average"`
	Names      []string `json:"names,omitempty"`
}

const countsFormat = "lovasz counts 2"

func writeCounts(to io.Writer, r *report, counts *lanewise.LovaszCounts, t *tally) error {
	h := countsHeader{countsFormat, t.images, t.pixels, t.void, len(r.Classes), t.counted, t.masks, r.Hard, r.Activation, r.Average, nil}
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
	parts := []encoding.BinaryMarshaler{counts}
	for _, c := range t.confusions {
		parts = append(parts, c)
	}
	for _, part := range parts {
		bytes, err := part.MarshalBinary()
		if err != nil {
			return err
		}
		b = append(binary.AppendUvarint(b, uint64(len(bytes))), bytes...)
	}
	_, err = to.Write(b)
	return err
}

// maxCounts bounds a file of counts: 8,192 classes make no larger one.
const maxCounts = 1 << 32

// readCounts reads what writeCounts wrote, and nothing else.
func readCounts(path string) (h countsHeader, counts *lanewise.LovaszCounts, t *tally, content []byte, err error) {
	fail := func(format string, args ...any) (countsHeader, *lanewise.LovaszCounts, *tally, []byte, error) {
		return h, nil, nil, nil, fmt.Errorf(path+": "+format, args...)
	}
	foreign := "not a file that -counts wrote"
	f, err := os.Open(path)
	if err != nil {
		return h, nil, nil, nil, err
	}
	defer f.Close()
	begin := make([]byte, len(`{"format":`)+len(countsFormat)+2)
	n, err := io.ReadFull(f, begin)
	if err != nil || !bytes.Contains(begin[:n], []byte("lovasz counts ")) {
		return fail(foreign)
	}
	rest, err := io.ReadAll(io.LimitReader(f, maxCounts))
	if err != nil {
		return fail("%v", err)
	}
	content = append(begin, rest...)
	line, rest, _ := bytes.Cut(content, []byte("\n"))
	if err := json.Unmarshal(line, &h); err != nil {
		return fail(foreign)
	}
	if h.Format != countsFormat {
		return fail("%s, while this program reads %s: count again", h.Format, countsFormat)
	}
	if h.Images < 0 || h.Pixels < 0 || h.Void < 0 || h.Void > max(h.Pixels, h.Pixels*h.Classes) || h.Classes < 1 || h.Classes > 1<<13 ||
		h.Names != nil && len(h.Names) != h.Classes || slices.ContainsFunc(h.Counted, func(k int) bool { return k < 0 || k >= h.Classes }) {
		return fail("its numbers make no sense: it is damaged")
	}
	counts = new(lanewise.LovaszCounts)
	t = &tally{classes: h.Classes, masks: h.Masks, counted: h.Counted, images: h.Images, pixels: h.Pixels, void: h.Void,
		imageIoU: make([]mean, h.Classes)}
	confusions, classes := 1, max(2, h.Classes)
	if h.Masks {
		confusions, classes = h.Classes, 2
	}
	parts := []encoding.BinaryUnmarshaler{counts}
	for range confusions {
		c := new(lanewise.Confusion)
		t.confusions = append(t.confusions, c)
		parts = append(parts, c)
	}
	for _, part := range parts {
		n, size := binary.Uvarint(rest)
		if size <= 0 || n > uint64(len(rest)-size) {
			return fail("the file is truncated")
		}
		if err := part.UnmarshalBinary(rest[size : size+int(n)]); err != nil {
			return fail("%s", strings.TrimPrefix(err.Error(), "lanewise: "))
		}
		rest = rest[size+int(n):]
	}
	if len(rest) > 0 {
		return fail("behind the counts there is more, %s: it is damaged", plural(len(rest), "byte"))
	}
	for _, c := range t.confusions {
		if len(c.IoU()) != classes {
			return fail(foreign)
		}
	}
	if len(counts.Result().PerClass) != h.Classes {
		return fail(foreign)
	}
	return h, counts, t, content, nil
}

type mergeOptions struct {
	Files  []string `arg:"" name:"file" help:"Files that -counts wrote, with the same flags of the loss. Quoted patterns too."`
	Counts string   `placeholder:"FILE" help:"Write the merged counts, to be merged again."`
	Plot   string   `placeholder:"FILE" help:"Draw the losses and IoU of the classes (.svg, .png or .pdf)."`
	Names  []string `placeholder:"NAME" help:"Names of the classes, for the output."`
	JSON   bool     `name:"json" help:"Print JSON; what is not a number is null."`
}

const mergeDescription = `The loss and IoU of everything that was counted into several files, in whatever order and on whatever machines:
the bits of one run over all of it.

  lovasz -logits part1 -labels masks1 -counts 1.bin     (on each machine)
  lovasz merge *.bin`

// merge is the command "lovasz merge".
func merge(args []string, out io.Writer, written *files.Outputs) error {
	var m mergeOptions
	if helped, err := parseInto(&m, "lovasz merge", mergeDescription, args, out); helped || err != nil {
		return err
	}
	var to outputs
	var err error
	if m.Counts != "" {
		if to.counts, err = written.Add("-counts", m.Counts); err != nil {
			return err
		}
	}
	if m.Plot != "" {
		if to.plot, err = written.Add("-plot", m.Plot, ".svg", ".png", ".pdf"); err != nil {
			return err
		}
	}
	var paths []string
	for _, file := range m.Files {
		matches, err := filepath.Glob(file)
		if err != nil || len(matches) == 0 {
			matches = []string{file}
		}
		paths = append(paths, matches...)
	}
	if err := written.Protect(paths...); err != nil {
		return err
	}
	var header countsHeader
	var counts *lanewise.LovaszCounts
	var all *tally
	seen := map[[sha256.Size]byte]string{}
	for i, path := range paths {
		h, c, t, content, err := readCounts(path)
		if err != nil {
			return err
		}
		if sum := sha256.Sum256(content); t.pixels > 0 { // by whatever name
			if seen[sum] != "" {
				return fmt.Errorf("%s and %s hold the same counts: they would count twice", seen[sum], path)
			}
			seen[sum] = path
		}
		if i == 0 {
			header, counts, all = h, c, t
			continue
		}
		if h.Hard != header.Hard || h.Masks != header.Masks || !slices.Equal(h.Counted, header.Counted) || h.Activation != header.Activation {
			return fmt.Errorf("%s was counted with other flags than %s", path, paths[0])
		}
		if all.pixels > math.MaxInt-t.pixels || all.images > math.MaxInt-t.images || all.void > math.MaxInt-t.void {
			return fmt.Errorf("%s: too many pixels", path)
		}
		err = counts.Merge(c)
		for k, c := range t.confusions {
			if err == nil {
				err = all.confusions[k].Merge(c)
			}
		}
		if errors.Is(err, lanewise.ErrConfig) {
			return fmt.Errorf("%s was counted with other flags of the loss than %s", path, paths[0])
		} else if err != nil {
			return fmt.Errorf("%s: %s", path, strings.TrimPrefix(err.Error(), "lanewise: "))
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
	r := &report{Merged: len(paths), Hard: header.Hard, Masks: header.Masks, Activation: header.Activation, Average: header.Average,
		Method: "binned", tally: all}
	r.Logits.Path, r.Labels.Path = strings.Join(m.Files, " "), strings.Join(m.Files, " ")
	r.newClasses(o, header.Classes)
	for k := range r.Classes {
		r.Classes[k].Counted = slices.Contains(header.Counted, k)
	}
	r.setLoss(o, counts.Result())
	r.setTally(all)
	if to.counts != nil {
		if err := writeCounts(to.counts, r, counts, all); err != nil {
			return err
		}
	}
	if to.plot != nil {
		if err := r.plot(to.plot, m.Plot); err != nil {
			return err
		}
	}
	return r.print(out, m.JSON)
}
