package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/lanewise/lanewise"
	"github.com/lanewise/lanewise/files"
)

// A scene is images whose measures are computed here, by the definitions, and that are written in the way of a data set.
type scene struct {
	classes, h, w int
	logits        [][]float32 // [classes, h, w]
	labels        [][]int32   // void is 255
}

func newScene(n, classes, h, w int) *scene {
	s := &scene{classes: classes, h: h, w: w}
	r := rand.New(rand.NewPCG(uint64(n), uint64(classes)))
	for range n {
		x, y := make([]float32, classes*h*w), make([]int32, h*w)
		for p := range y {
			y[p] = r.Int32N(int32(max(2, classes)))
			for k := range classes {
				x[k*h*w+p] = float32(2 * r.NormFloat64())
			}
			if classes > 1 {
				x[int(y[p])*h*w+p] += 2
			} else {
				x[p] += float32(4*y[p] - 2)
			}
			if r.IntN(9) == 0 {
				y[p] = 255
			}
		}
		s.logits, s.labels = append(s.logits, x), append(s.labels, y)
	}
	return s
}

// predicted is the class of the largest logit.
func (s *scene) predicted(i int) []int32 {
	out := make([]int32, s.h*s.w)
	for p := range out {
		if s.classes == 1 {
			out[p] = int32(b2i(s.logits[i][p] > 0))
			continue
		}
		for k := range s.classes {
			if s.logits[i][k*s.h*s.w+p] > s.logits[i][int(out[p])*s.h*s.w+p] {
				out[p] = int32(k)
			}
		}
	}
	return out
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// want returns the loss over all pixels, and the mean IoU over the classes from the first on.
func (s *scene) want(t *testing.T, cfg lanewise.LovaszConfig, first int) (loss, meanIoU float64) {
	t.Helper()
	cfg.Classes, cfg.Layout = s.classes, lanewise.ClassMajor
	cfg.VoidLabels = append(cfg.VoidLabels, 255)
	if s.classes == 1 {
		cfg.Activation = lanewise.SigmoidActivation
	}
	l, err := lanewise.NewLovasz(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.Forward(slices.Concat(s.logits...), slices.Concat(s.labels...), len(s.logits))
	if err != nil {
		t.Fatal(err)
	}
	classes := max(2, s.classes)
	both, either := make([]float64, classes), make([]float64, classes)
	for i := range s.labels {
		for p, seen := range s.predicted(i) {
			label := s.labels[i][p]
			if slices.Contains(cfg.VoidLabels, label) {
				continue
			}
			either[label]++
			if seen == label {
				both[label]++
			} else {
				either[seen]++
			}
		}
	}
	for k := first; k < classes; k++ {
		meanIoU += both[k] / either[k] / float64(classes-first)
	}
	return r.Loss, meanIoU
}

func writeTo(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o666); err != nil {
		t.Fatal(err)
	}
}

// pngOf is a mask: gray, or in a palette.
func pngOf(t *testing.T, h, w int, ids []int32, palette bool) []byte {
	t.Helper()
	pix := make([]uint8, len(ids))
	for i, id := range ids {
		pix[i] = uint8(id)
	}
	var picture image.Image = &image.Gray{Pix: pix, Stride: w, Rect: image.Rect(0, 0, w, h)}
	if palette {
		colours := make(color.Palette, 256)
		for i := range colours {
			colours[i] = color.RGBA{uint8(i), uint8(i * 7), uint8(255 - i), 255}
		}
		picture = &image.Paletted{Pix: pix, Stride: w, Rect: image.Rect(0, 0, w, h), Palette: colours}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, picture); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// evaluation runs one command, whose flags are all in -h, in a folder of files.
func evaluation(t *testing.T, args string) printed {
	t.Helper()
	_, help, _ := command("-h")
	for _, flag := range regexp.MustCompile(`(?:^| )(-[a-z-]+)`).FindAllStringSubmatch(args, -1) {
		if !strings.Contains(help, flag[1]) {
			t.Errorf("%s is not in -h", flag[1])
		}
	}
	code, stdout, stderr := command(append(strings.Fields(args), "-json")...)
	if code != 0 {
		t.Fatalf("%s: %s", args, stderr)
	}
	return parseJSON(t, stdout)
}

func sameAs(t *testing.T, p printed, loss, meanIoU float64, images int) {
	t.Helper()
	if !near(p.Loss, loss) || p.MeanIoU == nil || !near(*p.MeanIoU, meanIoU) || p.Images != images {
		t.Errorf("loss %v, mean IoU %v of %d images, want %v, %v of %d", p.Loss, *p.MeanIoU, p.Images, loss, meanIoU, images)
	}
}

// A tree of cities, its labels beside colours, instances and polygons.
func TestCityscapes(t *testing.T) {
	t.Chdir(t.TempDir())
	s := newScene(4, 19, 12, 20)
	for i, city := range []string{"aachen", "aachen", "bonn", "bonn"} {
		name := fmt.Sprintf("%s/%s_%06d_000019", city, city, i)
		if err := writeNPY("logits/val/"+name+"_leftImg8bit.npy", []int{19, 12, 20}, s.logits[i]); err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{"color", "instanceIds"} {
			writeTo(t, "gtFine/val/"+name+"_gtFine_"+kind+".png", pngOf(t, 12, 20, make([]int32, 240), false))
		}
		writeTo(t, "gtFine/val/"+name+"_gtFine_labelTrainIds.png", pngOf(t, 12, 20, s.labels[i], false))
		writeTo(t, "gtFine/val/"+name+"_gtFine_polygons.json", []byte("{}"))
	}
	loss, iou := s.want(t, lanewise.LovaszConfig{}, 0)
	sameAs(t, evaluation(t, "-logits logits/val -labels gtFine/val -void 255"), loss, iou, 4)
	code, stdout, _ := command("-logits", "logits/val", "-labels", "gtFine/val", "-pairs")
	if code != 0 || !strings.HasPrefix(stdout,
		"logits/val/aachen/aachen_000000_000019_leftImg8bit.npy\tgtFine/val/aachen/aachen_000000_000019_gtFine_labelTrainIds.png\n") ||
		strings.Count(stdout, "\n") != 4 {
		t.Errorf("-pairs: %s", stdout)
	}
}

// One folder of paletted masks for all images, and a list of those that are evaluated.
func TestVOC(t *testing.T) {
	t.Chdir(t.TempDir())
	s := newScene(3, 21, 9, 11)
	list := ""
	for i := range 3 {
		name := fmt.Sprintf("2007_%06d", 33+i)
		list += name + "\n"
		if err := writeNPY("logits/"+name+".npy", []int{21, 9, 11}, s.logits[i]); err != nil {
			t.Fatal(err)
		}
		writeTo(t, "VOC2012/SegmentationClass/"+name+".png", pngOf(t, 9, 11, s.labels[i], true))
		writeTo(t, fmt.Sprintf("VOC2012/SegmentationClass/2011_%06d.png", i), pngOf(t, 9, 11, s.labels[i], true))
	}
	writeTo(t, "VOC2012/ImageSets/Segmentation/val.txt", []byte(list))
	loss, iou := s.want(t, lanewise.LovaszConfig{}, 0)
	sameAs(t, evaluation(t, "-logits logits -labels VOC2012/SegmentationClass -list VOC2012/ImageSets/Segmentation/val.txt -void 255"), loss,
		iou, 3)
	// Without the list it is said what is there too many, and how to go on.
	args := strings.Fields("-logits logits -labels VOC2012/SegmentationClass -void 255")
	if code, _, stderr := command(args...); code != 1 || !strings.Contains(stderr, "2011_000000.png has no logits") ||
		!strings.Contains(stderr, "(so for 3 files of ") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	sameAs(t, evaluation(t, strings.Join(args, " ")+" -unpaired skip"), loss, iou, 3)
}

// Probabilities in .npz files, hard predictions and plans beside them.
func TestNNUNet(t *testing.T) {
	t.Chdir(t.TempDir())
	s := newScene(2, 4, 7, 8)
	for i := range 2 {
		name := fmt.Sprintf("case_%03d", i)
		p := slices.Clone(s.logits[i])
		lanewise.SoftmaxPlanes(p, p, 4)
		var b bytes.Buffer
		if err := files.WriteNPY(&b, []int{4, 1, 7, 8}, p); err != nil {
			t.Fatal(err)
		}
		writeTo(t, "out/"+name+".npz", zipOf(t, "probabilities.npy", b.Bytes()))
		writeTo(t, "out/"+name+".png", pngOf(t, 7, 8, s.predicted(i), false))
		writeTo(t, "out/"+name+".pkl", []byte("?"))
		writeTo(t, "labelsTs/"+name+".png", pngOf(t, 7, 8, s.labels[i], false))
	}
	writeTo(t, "out/plans.json", []byte("{}"))
	loss, iou := s.want(t, lanewise.LovaszConfig{}, 0)
	p := evaluation(t, "-logits out -labels labelsTs -void 255")
	sameAs(t, p, loss, iou, 2)
	if p.Activation != "none" {
		t.Errorf("%+v", p)
	}
}

// Volumes: labels and hard predictions in NIfTI, compressed. Each file is one image.
func TestNNUNetVolumes(t *testing.T) {
	t.Chdir(t.TempDir())
	s := newScene(2, 4, 7, 8)
	volume := func(ids []int32) []byte {
		b := make([]byte, 352)
		for at, v := range map[int]uint16{0: 348, 40: 3, 42: 7, 44: 4, 46: 2, 70: 2, 72: 8} {
			binary.LittleEndian.PutUint16(b[at:], v)
		}
		binary.LittleEndian.PutUint32(b[108:], math.Float32bits(352))
		copy(b[344:], "n+1\x00")
		for _, id := range ids {
			b = append(b, byte(id))
		}
		var zipped bytes.Buffer
		w := gzip.NewWriter(&zipped)
		w.Write(b)
		w.Close()
		return zipped.Bytes()
	}
	for i := range 2 {
		name := fmt.Sprintf("case_%03d", i)
		p := slices.Clone(s.logits[i])
		lanewise.SoftmaxPlanes(p, p, 4)
		var b bytes.Buffer
		if err := files.WriteNPY(&b, []int{4, 2, 4, 7}, p); err != nil {
			t.Fatal(err)
		}
		writeTo(t, "out/"+name+".npz", zipOf(t, "probabilities.npy", b.Bytes()))
		writeTo(t, "out/"+name+".nii.gz", volume(s.predicted(i)))
		writeTo(t, "labelsTs/"+name+".nii.gz", volume(s.labels[i]))
	}
	loss, iou := s.want(t, lanewise.LovaszConfig{}, 0)
	sameAs(t, evaluation(t, "-logits out -labels labelsTs -void 255"), loss, iou, 2)
	hard := evaluation(t, "-predictions out/*.nii.gz -labels labelsTs -classes 4 -void 255")
	if !near(*hard.MeanIoU, iou) || !near(hard.Loss, 1-iou) || hard.Files != 2 || hard.Images != 2 {
		t.Errorf("%+v, want a mean IoU of %v", hard, iou)
	}
}

// Points in .label files with instances in their upper bits, both sides in the data set's own labels.
func TestSemanticKITTI(t *testing.T) {
	t.Chdir(t.TempDir())
	s := newScene(3, 5, 1, 60)
	own := map[int32]uint32{0: 1, 1: 10, 2: 11, 3: 252, 4: 40, 255: 0} // and class 0 of the mapped ones is "unlabelled"
	points := func(ids []int32) (b []byte) {
		for i, id := range ids {
			b = binary.LittleEndian.AppendUint32(b, own[id]|uint32(i)<<16)
		}
		return b
	}
	for i := range 3 {
		for p, label := range s.labels[i] { // class 0 is void there, as 255 is
			if label == 255 {
				s.labels[i][p] = 0
			}
		}
		raw, err := binary.Append(nil, binary.LittleEndian, rowsOf(s, i))
		if err != nil {
			t.Fatal(err)
		}
		writeTo(t, fmt.Sprintf("out/sequences/08/logits/%06d.bin", i), raw)
		writeTo(t, fmt.Sprintf("out/sequences/08/predictions/%06d.label", i), points(s.predicted(i)))
		writeTo(t, fmt.Sprintf("dataset/sequences/08/labels/%06d.label", i), points(s.labels[i]))
	}
	writeTo(t, "semantic-kitti.yaml",
		[]byte("labels:\n  0 : \"unlabeled\"\nlearning_map:\n  0 : 0  # \"unlabeled\"\n  1 : 0  # \"outlier\"\n  10: 1\n  11: 2\n  252: 3\n  40: 4\nlearning_ignore:\n  0: True\n"))
	loss, iou := s.want(t, lanewise.LovaszConfig{VoidLabels: []int32{0}}, 1)
	sameAs(t, evaluation(t, "-logits out/sequences/08/logits -shape -1,5 -labels dataset/sequences/08/labels -void 0 -labels-map semantic-kitti.yaml"), loss, iou, 3)
	hard := evaluation(t, "-predictions out/sequences/08/predictions -labels dataset/sequences/08/labels -classes 5 -void 0 -labels-map semantic-kitti.yaml -predictions-map semantic-kitti.yaml")
	if !near(*hard.MeanIoU, iou) || !near(hard.Loss, 1-iou) {
		t.Errorf("%+v, want a mean IoU of %v", hard, iou)
	}
	all := evaluation(t, "-predictions out -labels dataset -classes 5 -void 0 -labels-map semantic-kitti.yaml -predictions-map semantic-kitti.yaml")
	if *all.MeanIoU != *hard.MeanIoU {
		t.Errorf("from the roots: %v, want %v", *all.MeanIoU, *hard.MeanIoU)
	}
}

// rowsOf are the logits of an image pixel by pixel.
func rowsOf(s *scene, i int) (rows []float32) {
	for p := range s.h * s.w {
		for k := range s.classes {
			rows = append(rows, s.logits[i][k*s.h*s.w+p])
		}
	}
	return rows
}

// Masks of 0 and 255, of a network with one score, and predicted as such masks too.
func TestBinaryMasks(t *testing.T) {
	t.Chdir(t.TempDir())
	s := newScene(3, 1, 6, 7)
	spread := func(ids []int32) (out []int32) {
		for _, id := range ids {
			out = append(out, 255*id)
		}
		return out
	}
	for i := range 3 {
		for p, label := range s.labels[i] {
			if label == 255 {
				s.labels[i][p] = 1
			}
		}
		if err := writeNPY(fmt.Sprintf("logits/%d.npy", i), []int{6, 7}, s.logits[i]); err != nil {
			t.Fatal(err)
		}
		writeTo(t, fmt.Sprintf("masks/%d_mask.png", i), pngOf(t, 6, 7, spread(s.labels[i]), false))
		writeTo(t, fmt.Sprintf("pred/%d.png", i), pngOf(t, 6, 7, spread(s.predicted(i)), false))
	}
	loss, iou := s.want(t, lanewise.LovaszConfig{}, 1)
	p := evaluation(t, "-logits logits -labels masks -classes 1 -labels-map 255=1")
	sameAs(t, p, loss, iou, 3)
	hard := evaluation(t, "-predictions pred -labels masks -classes 1 -labels-map 255=1 -predictions-map 255=1")
	if !near(*hard.MeanIoU, iou) || !near(hard.Loss, 1-iou) {
		t.Errorf("%+v, want %v", hard, iou)
	}
	// The hints of the command without the maps lead there.
	follow(t, "-logits logits -labels masks -classes 1", p)
	follow(t, "-predictions pred -labels masks -classes 1", hard)
	follow(t, "-predictions pred -labels masks -classes 2", evaluation(t,
		"-predictions pred -labels masks -classes 2 -labels-map 255=1 -predictions-map 255=1"))
}

// What is wrong with predictions is not said of labels.
func TestPredictionsErrors(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := writeNPY("p/0.npy", []int{1, 2}, []float32{0, 1}); err != nil {
		t.Fatal(err)
	}
	colours := image.NewRGBA(image.Rect(0, 0, 2, 1))
	for i := range colours.Pix {
		colours.Pix[i] = 255
	}
	var b bytes.Buffer
	if err := png.Encode(&b, colours); err != nil {
		t.Fatal(err)
	}
	writeTo(t, "rgb/0.png", b.Bytes())
	writeTo(t, "y/0.png", pngOf(t, 1, 2, []int32{0, 1}, false))
	writeTo(t, "more/0.png", pngOf(t, 1, 2, []int32{0, 1}, false))
	writeTo(t, "more/1.png", pngOf(t, 1, 2, []int32{0, 1}, false))
	for _, test := range []struct{ args, want string }{
		{"-predictions p -labels y -classes 2", "p/0.npy: predictions are float32: want integers, the class ids (logits and probabilities are -logits)\n"},
		{"-predictions rgb -labels y -classes 2", "rgb/0.png: the PNG file is RGB: a mask is paletted or gray, its values class ids; what the colours stand for says -predictions-map COLOURS.json"},
		{"-predictions y -labels more -classes 2", "more/1.png has no predictions: nothing in y is called 1"},
	} {
		if code, _, stderr := command(strings.Fields(test.args)...); code != 1 || !strings.HasPrefix(stderr, "lovasz: "+test.want) {
			t.Errorf("%s: exit %d, %s", test.args, code, stderr)
		}
	}
	writeTo(t, "colours.json", []byte(`{"#ffffff": 1}`))
	if p := evaluation(t, "-predictions rgb -labels y -classes 2 -predictions-map colours.json"); !near(*p.MeanIoU, .25) {
		t.Errorf("%+v", p)
	}
}

// follow runs a command that fails, adds what the message says, until it goes well, and compares: no hint may lead to another number. Where
// there are several ways out, the last argument says which is the one meant.
func follow(t *testing.T, args string, want printed, choose ...string) {
	t.Helper()
	for range 5 {
		code, stdout, stderr := command(append(strings.Fields(args), "-json")...)
		if code == 0 {
			p := parseJSON(t, stdout)
			if !near(p.Loss, want.Loss) || !near(*p.MeanIoU, *want.MeanIoU) {
				t.Errorf("%s: loss %v, mean IoU %v, want %v, %v", args, p.Loss, *p.MeanIoU, want.Loss, *want.MeanIoU)
			}
			return
		}
		hints := regexp.MustCompile(`-(?:labels-map|predictions-map|label-shift|void|classes|layout|activation|images|shape) -?[a-z0-9][a-z0-9=,-]*(?: -void [0-9,-]+)?`).FindAllString(stderr, -1)
		if len(hints) == 0 {
			t.Fatalf("%s: no hint in %s", args, stderr)
		}
		for i := range hints {
			hints[i] = strings.TrimRight(hints[i], ",")
		}
		hint := hints[0]
		for _, c := range choose {
			if slices.Contains(hints, c) {
				hint = c
			}
		}
		if len(hints) > 1 && !slices.Contains(choose, hint) {
			t.Fatalf("%s: several ways out: %s", args, stderr)
		}
		args += " " + hint
	}
	t.Errorf("%s: still no way out", args)
}

// Every hint leads to the right number, or out of several ways to choose from each to its own.
func TestHints(t *testing.T) {
	t.Chdir(t.TempDir())
	s := newScene(1, 3, 4, 5)
	labels := slices.Clone(s.labels[0])
	for p, label := range labels {
		if label == 255 {
			labels[p] = 2
		}
	}
	write := func(name string, ids []int32, f func(int32) int32) {
		out := []int32{}
		for _, id := range ids {
			out = append(out, f(id))
		}
		writeTo(t, name, pngOf(t, 4, 5, out, false))
	}
	if err := writeNPY("x.npy", []int{3, 4, 5}, s.logits[0]); err != nil {
		t.Fatal(err)
	}
	write("y.png", labels, func(id int32) int32 { return id })
	write("from1.png", labels, func(id int32) int32 { return id + 1 })
	write("void.png", s.labels[0], func(id int32) int32 { return id })
	write("zero.png", s.labels[0], func(id int32) int32 { // 0 is void, classes from 1
		if id == 255 {
			return 0
		}
		return id + 1
	})
	want := evaluation(t, "-logits x.npy -labels y.png")
	void := evaluation(t, "-logits x.npy -labels void.png -void 255")
	for _, choice := range []string{"-labels-map 1=0,2=1,3=2", "-label-shift -1"} {
		follow(t, "-logits x.npy -labels from1.png", want, choice)
	}
	follow(t, "-logits x.npy -labels void.png", void)
	follow(t, "-logits x.npy -labels zero.png", void, "-labels-map 0=255,1-3=0-2 -void 255")

	// Probabilities that look like logits, in a file that does not say so.
	p := slices.Clone(s.logits[0])
	lanewise.SoftmaxPlanes(p, p, 3)
	if err := writeNPY("p.npy", []int{3, 4, 5}, p); err != nil {
		t.Fatal(err)
	}
	follow(t, "-logits p.npy -labels y.png", want, "-activation none")
	wrong := evaluation(t, "-logits p.npy -labels y.png -activation softmax") // where they are what is meant
	follow(t, "-logits p.npy -labels y.png", wrong, "-activation softmax")

	// Two classes and a mask of 0 and 255.
	two := newScene(1, 2, 4, 5)
	if err := writeNPY("two.npy", []int{2, 4, 5}, two.logits[0]); err != nil {
		t.Fatal(err)
	}
	write("two.png", two.labels[0], func(id int32) int32 { return id & 1 })
	write("two255.png", two.labels[0], func(id int32) int32 { return 255 * (id & 1) })
	write("twovoid.png", two.labels[0], func(id int32) int32 { return id })
	follow(t, "-logits two.npy -labels two255.png", evaluation(t, "-logits two.npy -labels two.png"))
	follow(t, "-logits two.npy -labels twovoid.png", evaluation(t, "-logits two.npy -labels twovoid.png -void 255"))

	// As many images as classes: every way out works, and each is another reading.
	if err := writeNPY("square.npy", []int{3, 3, 4, 5}, slices.Concat(s.logits[0], s.logits[0], s.logits[0])); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		os.Mkdir("stack", 0o777)
	}
	for i := range 3 {
		write(fmt.Sprintf("stack/%d.png", i), labels, func(id int32) int32 { return id })
	}
	follow(t, "-logits square.npy -labels stack/*.png", want, "-images 3")
	follow(t, "-logits square.npy -labels stack", evaluation(t, "-logits square.npy -labels stack -images 1"), "-images 1")

	// What the file has is said where a flag does not fit.
	if code, _, stderr := command("-logits", "x.npy", "-labels", "y.png", "-classes", "6"); code != 1 ||
		!strings.Contains(stderr, "3 classes (class-major): that does not fit -classes 6") {
		t.Errorf("%s", stderr)
	}
}

// In a set, labels of all files together tell what the one with the error means: one mask without a 1 is no binary one.
func TestHintsOfSets(t *testing.T) {
	t.Chdir(t.TempDir())
	s := newScene(2, 1, 4, 5)
	s.labels[0] = []int32{0, 255, 0, 0, 0, 255, 0, 0, 0, 0, 0, 255, 0, 0, 0, 0, 0, 0, 0, 0} // void, and no foreground
	for i := range 2 {
		if err := writeNPY(fmt.Sprintf("x/%d.npy", i), []int{4, 5}, s.logits[i]); err != nil {
			t.Fatal(err)
		}
		writeTo(t, fmt.Sprintf("y/%d.png", i), pngOf(t, 4, 5, s.labels[i], false))
	}
	want := evaluation(t, "-logits x -labels y -classes 1 -void 255")
	follow(t, "-logits x -labels y -classes 1", want)
	if *want.MeanIoU < 0.3 {
		t.Errorf("mean IoU %v", *want.MeanIoU)
	}
}

// The numbers of names are numbers: mask 10 is of image 10.
func TestStackOrder(t *testing.T) {
	t.Chdir(t.TempDir())
	s := newScene(12, 3, 2, 3)
	if err := writeNPY("x.npy", []int{12, 3, 2, 3}, slices.Concat(s.logits...)); err != nil {
		t.Fatal(err)
	}
	for i := range 12 {
		writeTo(t, fmt.Sprintf("m/%d.png", i), pngOf(t, 2, 3, s.labels[i], false))
	}
	loss, iou := s.want(t, lanewise.LovaszConfig{}, 0)
	sameAs(t, evaluation(t, "-logits x.npy -labels m/*.png -void 255"), loss, iou, 12)
	_, stdout, _ := command("-logits", "x.npy", "-labels", "m", "-void", "255")
	if !strings.Contains(stdout, "pairs         image 0 – m/0.png … image 11 – m/11.png (-pairs lists all)") {
		t.Errorf("no pairs in\n%s", stdout)
	}
	_, stdout, _ = command("-logits", "x.npy", "-labels", "m/*.png", "-pairs")
	if !strings.Contains(stdout, "x.npy [2]\tm/2.png\nx.npy [3]\tm/3.png\n") {
		t.Errorf("%s", stdout)
	}
}

// Classes that the loss leaves out leave the mean.
func TestMeanIoU(t *testing.T) {
	f := pairOf(t, []float32{3, 0, 0, 2, 1, 0, 0, 3, 0, 0, 0, 3}, []int{4, 3}, []int64{0, 1, 1, 2})
	for flags, want := range map[string]float64{"-void 0 -only 1,2": .75, "-void 0": .75, "-skip 0": .75, "-only 1,2": .75,
		"": (.5 + .5 + 1) / 3, "-only 2": 1, "-skip 1,2": .5} {
		p := runJSON(t, append(f, strings.Fields(flags)...)...)
		if !near(*p.MeanIoU, want) {
			t.Errorf("%s: mean IoU %v, want %v", flags, *p.MeanIoU, want)
		}
		bin := filepath.Join(t.TempDir(), "c.bin")
		runJSON(t, append(append(f, strings.Fields(flags)...), "-counts", bin)...)
		if m := runJSON(t, "merge", bin); *m.MeanIoU != *p.MeanIoU {
			t.Errorf("%s: merged %v, want %v", flags, *m.MeanIoU, *p.MeanIoU)
		}
	}
	p := runJSON(t, append(f, "-images", "2")...)
	// image 0: predicted 0 0 of 0 1: IoU ½, 0; image 1: predicted 1 2 of 1 2: 1, 1
	if !near(*p.IoUByImage, (.25+1)/2) || !near(*p.IoUByClass, (.5+.5+1)/3) || !allNear(values(p.ImageIoU), []float64{.25, 1}) {
		t.Errorf("by image %v, by class %v, %v", *p.IoUByImage, *p.IoUByClass, values(p.ImageIoU))
	}
	if !near(*p.Accuracy, .75) || !near(*p.WeightedIoU, (.5+2*.5+1)/4) || !near(*p.MeanDice, (2./3+2./3+1)/3) ||
		!near(*p.Classes[0].Precision, .5) || !near(*p.Classes[1].Recall, .5) {
		t.Errorf("%+v", p)
	}
}

func TestCSVAndCompare(t *testing.T) {
	t.Chdir(t.TempDir())
	s := newScene(3, 3, 4, 5)
	for i := range 3 {
		worse := slices.Clone(s.logits[i])
		if i == 1 {
			for p := range worse {
				worse[p] = -worse[p]
			}
		}
		for name, x := range map[string][]float32{"a": s.logits[i], "b": worse} {
			if err := writeNPY(fmt.Sprintf("%s/%d.npy", name, i), []int{3, 4, 5}, x); err != nil {
				t.Fatal(err)
			}
		}
		writeTo(t, fmt.Sprintf("y/%d.png", i), pngOf(t, 4, 5, s.labels[i], false))
	}
	var ious [2]printed
	for i, name := range []string{"a", "b"} {
		code, stdout, stderr := command("-logits", name, "-labels", "y", "-void", "255", "-json", "-csv", name+".csv", "-per-image")
		if code != 0 {
			t.Fatal(stderr)
		}
		writeTo(t, name+".json", []byte(stdout))
		ious[i] = parseJSON(t, stdout)
	}
	content, err := os.ReadFile("a.csv")
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	if err != nil || len(lines) != 1+3*3+3 || lines[0] != "image,class,name,counted,pixels,predicted,correct,iou,dice,precision,recall,loss" ||
		!strings.HasPrefix(lines[1], "0,0,,true,") || !strings.HasPrefix(lines[10], fmt.Sprintf(",0,,true,%d,", ious[0].Classes[0].Pixels)) {
		t.Errorf("%v, %s", err, content)
	}
	code, stdout, stderr := command("compare", "a.json", "b.json")
	if code != 0 || !strings.Contains(stdout, "of 3 images B is better in 0; those that differ most:") ||
		!regexp.MustCompile(`(?m)^│ 1 +│ +0\.`).MatchString(stdout) {
		t.Errorf("exit %d, %s%s", code, stdout, stderr)
	}
	want := fmt.Sprintf("mean IoU  %.6f → %.6f (%+.6f)", *ious[0].MeanIoU, *ious[1].MeanIoU, *ious[1].MeanIoU-*ious[0].MeanIoU)
	if !strings.Contains(stdout, want) {
		t.Errorf("no %s in\n%s", want, stdout)
	}
	if code, stdout, _ := command("compare", "a.json", "b.json", "-json"); code != 0 || !strings.Contains(stdout, `"image": "1"`) {
		t.Errorf("%s", stdout)
	}
	if strings.Contains(stdout, "unlike") || strings.Contains(stdout, "name") {
		t.Errorf("%s", stdout)
	}
	if _, stdout, _ = command("-logits", "b", "-labels", "y", "-void", "255", "-json", "-skip", "0", "-names", "sky,sea,land"); stdout == "" {
		t.Fatal("nothing is printed")
	}
	writeTo(t, "unlike.json", []byte(stdout))
	if _, stdout, _ = command("compare", "unlike.json", "a.json"); !strings.Contains(stdout,
		"unlike    the loss: of all pixels together and per image\n"+
			"unlike    classes in the means: 1,2 and 0,1,2\n") || !strings.Contains(stdout, "│ sea  │") {
		t.Errorf("%s", stdout)
	}
	_, stdout, _ = command("-logits", "b", "-labels", "y", "-void", "255", "-json", "-per-image", "-weights", "1,1,2", "-ce", "1",
		"-ce-weights", "1,2.5,1", "-label-smoothing", "0.1")
	writeTo(t, "unlike.json", []byte(stdout))
	if _, stdout, _ = command("compare", "unlike.json", "a.json"); !strings.Contains(stdout,
		"unlike    weights of the classes: 1,1,2 and none\n"+
			"unlike    λ of the cross-entropy: 1 and 0\nunlike    weights in the cross-entropy: 1,2.5,1 and none\nunlike    label smoothing: 0.1 and 0\n") {
		t.Errorf("%s", stdout)
	}
	writeTo(t, "other.json", []byte(`{"loss": 1, "classes": [{"class": 0}]}`))
	for _, test := range []struct{ args, want string }{
		{"compare a.json", `expected "<b.json>"`},
		{"comprae a.json b.json", "there is no command comprae: they are merge and compare (all else are flags: lovasz -h)"},
		{"compare a.json a.csv", "a.csv: not what lovasz -json printed"},
		{"compare a.json other.json", "a.json has 3 classes, other.json 1: they are not of the same data"},
		{"compare a.json none.json", "none.json: no such file"},
	} {
		if code, _, stderr := command(strings.Fields(test.args)...); code != 1 || !strings.Contains(stderr, test.want) {
			t.Errorf("%s: exit %d, %s", test.args, code, stderr)
		}
	}
	if code, stdout, _ := command("-version"); code != 0 || !strings.HasPrefix(stdout, "lovasz") || !strings.Contains(stdout, "go1.") {
		t.Errorf("%s", stdout)
	}
}

// No output overwrites an input or another output, all is checked before anything is computed, and nothing is left behind.
func TestOutputsAreSafe(t *testing.T) {
	f := pairOf(t, logitsA, []int{4, 3}, []int64{2, 2, 0, 1})
	x, y := f[1], f[3]
	dir := filepath.Dir(x)
	t.Chdir(dir)
	os.Symlink("logits.npy", "link.npy")
	os.Link("logits.npy", "hard.png")
	before := map[string]string{}
	for _, name := range []string{x, y} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		before[name] = string(b)
	}
	for _, test := range []struct{ args, want string }{
		{"-plot logits.npy", "-plot logits.npy: want a name that ends in .svg or .png or .pdf"},
		{"-heatmap h.svg", "-heatmap h.svg: want a name that ends in .png"},
		{"-csv logits.npy", "-csv logits.npy: want a name that ends in .csv"},
		{"-counts labels.npy", "-counts would overwrite " + y},
		{"-counts ./labels.npy", "-counts would overwrite " + y},
		{"-grad link.npy", "-grad would overwrite " + x},
		{"-plot hard.png", "-plot would overwrite " + x},
		{"-grad same.npy -counts same.npy", "-grad and -counts would both write same.npy"},
		{"-grad same.npy -counts ./same.npy", "-grad and -counts would both write ./same.npy"},
		{"-grad nodir/g.npy", "-grad nodir/g.npy: there is no folder nodir"},
		{"-grad g.txt", "-grad g.txt: want a name that ends in .npy"},
		{"-grad .", "-grad .: want a name that ends in .npy"},
		{"-grad g.npy -weights 1", "the weights"},
		{"-grad g.npy -csv c.csv -plot p.svg -heatmap h.png", "-heatmap draws rows and columns"},
	} {
		code, stdout, stderr := command(append(slices.Clone(f), strings.Fields(test.args)...)...)
		if code != 1 || stdout != "" || !strings.Contains(strings.ToLower(stderr), strings.ToLower(strings.TrimPrefix(test.want, "the "))) ||
			strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit %d, %s\nwant %s", test.args, code, stderr, test.want)
		}
		for name, content := range before {
			if b, err := os.ReadFile(name); err != nil || string(b) != content {
				t.Fatalf("%s: %s has changed (%v)", test.args, name, err)
			}
		}
		entries, _ := os.ReadDir(".")
		if len(entries) != 4 {
			t.Fatalf("%s: left behind %v", test.args, entries)
		}
	}
	if _, err := os.Stat("/dev/full"); err == nil {
		if code, stdout, stderr := command(append(slices.Clone(f), "-counts", "/dev/full")...); code != 1 || stdout != "" ||
			!strings.Contains(stderr, "no space left on device") {
			t.Errorf("exit %d, %s", code, stderr)
		}
	}
	// merge guards its inputs too.
	runJSON(t, append(slices.Clone(f), "-counts", "c.bin")...)
	for _, test := range []struct{ args, want string }{
		{"merge c.bin -counts c.bin", "-counts would overwrite c.bin"},
		{"merge c.bin ./c.bin", "c.bin and ./c.bin hold the same counts"},
	} {
		if code, _, stderr := command(strings.Fields(test.args)...); code != 1 || !strings.Contains(stderr, test.want) {
			t.Errorf("%s: exit %d, %s", test.args, code, stderr)
		}
	}
	whole, _ := os.ReadFile("c.bin")
	for name, content := range map[string][]byte{
		"more.bin":     append(slices.Clone(whole), 0),
		"negative.bin": bytes.Replace(whole, []byte(`"pixels":4`), []byte(`"pixels":-4`), 1),
		"void.bin":     bytes.Replace(whole, []byte(`"void_pixels":0`), []byte(`"void_pixels":99`), 1),
		"counted.bin":  bytes.Replace(whole, []byte(`"counted":[0,`), []byte(`"counted":[7,`), 1),
		"classes.bin":  bytes.Replace(whole, []byte(`"classes":3`), []byte(`"classes":900000`), 1),
	} {
		writeTo(t, name, content)
		if code, _, stderr := command("merge", name); code != 1 || !strings.Contains(stderr, name+": ") || bytes.Equal(content, whole) {
			t.Errorf("%s: exit %d, %s", name, code, stderr)
		}
	}
}

// What a terminal obeys does not reach it.
func TestEscapes(t *testing.T) {
	t.Chdir(t.TempDir())
	bad := "a\x1b[31mb\nc\u202e"
	writeTo(t, "x.npz", zipOf(t, bad+".npy", []byte("?"), "b.npy", []byte("?")))
	code, stdout, stderr := command("-logits", "x.npz", "-labels", "x.npz")
	if code != 1 || stdout != "" || strings.ContainsAny(stderr[:len(stderr)-1], "\x1b\n\u202e") ||
		!strings.Contains(stderr, `a\x1b[31mb c\x202e`) {
		t.Errorf("exit %d, %q", code, stderr)
	}
	if err := writeNPY("x/"+strings.ReplaceAll(bad, "\n", "")+".npy", []int{3, 1, 4}, make([]float32, 12)); err != nil {
		t.Skip("no such names here")
	}
	writeTo(t, "y/"+strings.ReplaceAll(bad, "\n", "")+".png", pngOf(t, 1, 4, []int32{0, 1, 2, 0}, false))
	for _, more := range []string{"-per-image", "-pairs"} {
		code, stdout, stderr = command("-logits", "x", "-labels", "y", more)
		if code != 0 || strings.ContainsAny(stdout+stderr, "\x1b\u202e") {
			t.Errorf("%s: exit %d, %q %q", more, code, stdout, stderr)
		}
	}
}

// Masks in the logits' own shape: classes that overlap, each by its sigmoid. The numbers are float64's.
func TestMasks(t *testing.T) {
	t.Chdir(t.TempDir())
	f := pairOf(t, []float32{2, -1.5, .5, 1, -.3, .2}, []int{3, 2}, []int64{1, 0, 1, 1, 0, 1}, 3, 2)
	grad := "g.npy"
	p := runJSON(t, append(f, "-classes", "2", "-grad", grad)...)
	if !near(p.Loss, 0.333493702) || !allNear(p.classLosses(), []float64{0.307433691, 0.359553712}) || !p.Masks || p.Activation != "sigmoid" {
		t.Errorf("%+v", p)
	}
	g, shape := readBack(t, grad)
	want := []float64{-0.0174989309, 0, -0.0391672854, -0.0491529833, 0.0407430519, -0.0618791432}
	if fmt.Sprint(shape) != "[3 2]" || !slices.EqualFunc(g, want, func(a, b float64) bool { return a == b || a-b < 1e-7 && b-a < 1e-7 }) {
		t.Errorf("gradient %v %v, want %v", shape, g, want)
	}
	// Predicted 1 0, 1 1, 0 1 of 1 0, 1 1, 0 1.
	if *p.MeanIoU != 1 || *p.Accuracy != 1 || p.Classes[0].Pixels != 2 || p.Classes[1].Pixels != 2 || p.Pixels != 3 {
		t.Errorf("%+v", p)
	}

	// The same as planes, [N, C, H, W], without any flag; as files one by one; counted and merged; with masks of 0 and 255; with void pixels.
	planes, masks := []float32{2, .5, -.3, -1.5, 1, .2}, []int32{1, 1, 0, 0, 1, 1}
	if err := writeNPY("x/a.npy", []int{1, 2, 1, 3}, planes); err != nil {
		t.Fatal(err)
	}
	if err := writeNPY("x/b.npy", []int{1, 2, 1, 3}, planes); err != nil {
		t.Fatal(err)
	}
	write := func(name string, f func(int32) int32) {
		var b []byte
		for _, v := range masks {
			b = append(b, byte(f(v)))
		}
		writeTo(t, name, npyFile(dict("'|u1'", "False", "(1, 2, 1, 3)"), b))
	}
	for _, name := range []string{"y/a.npy", "y/b.npy"} {
		write(name, func(v int32) int32 { return v })
	}
	write("y255.npy", func(v int32) int32 { return 255 * v })
	for _, args := range []string{"-logits x/a.npy -labels y/a.npy", "-logits x/a.npy -labels y255.npy -labels-map 255=1",
		"-logits x -labels y", "-logits x -labels y -per-image",
		"-logits x/a.npy -labels y/a.npy -counts c.bin", "-logits x -labels y -method binned"} {
		got := evaluation(t, args)
		if d := got.Loss - p.Loss; d > 1e-6 || d < -1e-6 || *got.MeanIoU != 1 || !got.Masks {
			t.Errorf("%s: %+v", args, got)
		}
	}
	if m := runJSON(t, "merge", "c.bin"); *m.MeanIoU != 1 || !m.Masks || !near(m.Loss, p.Loss) {
		t.Errorf("merged: %+v", m)
	}
	follow(t, "-logits x/a.npy -labels y255.npy", p)
	masks[0] = 9
	write("void.npy", func(v int32) int32 { return v })
	one := evaluation(t, "-logits x/a.npy -labels void.npy -void 9")
	if one.Void != 1 || one.Classes[0].Pixels != 1 || near(one.Loss, p.Loss) {
		t.Errorf("%+v", one)
	}
	follow(t, "-logits x/a.npy -labels void.npy", one)
	if code, _, stderr := command("-logits", "x/a.npy", "-labels", "y/a.npy", "-heatmap", "h.png", "-plot", "p.svg", "-csv",
		"c.csv"); code != 0 {
		t.Error(stderr)
	}

	// One class for each pixel: only the user knows whether the network ends in a softmax.
	masks = []int32{1, 0, 0, 0, 1, 1}
	write("one.npy", func(v int32) int32 { return v })
	writeTo(t, "ids.npy", npyFile(dict("'|u1'", "False", "(1, 1, 3)"), []byte{0, 1, 1}))
	follow(t, "-logits x/a.npy -labels one.npy", evaluation(t, "-logits x/a.npy -labels ids.npy"), "-activation softmax")
	follow(t, "-logits x/a.npy -labels one.npy", evaluation(t, "-logits x/a.npy -labels one.npy -activation sigmoid"), "-activation sigmoid")
	if code, _, stderr := command("-logits", "x/a.npy", "-labels", "y/a.npy", "-activation", "softmax"); code != 1 ||
		!strings.Contains(stderr, "a softmax knows one for each pixel") {
		t.Errorf("%s", stderr)
	}
}
