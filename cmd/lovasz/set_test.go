package main

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/files"
)

// A testSet is images of one size in files, and the same in one batch.
type testSet struct {
	dir        string
	n, h, w, c int
	x          []float32
	y          []int64
}

// newSet writes n images as DIR/x/a7.npy [c, h, w] and DIR/y/a7_ids.npy, and the batch as DIR/x.npy and DIR/y.npy. Label 255 is void;
// class 1 is absent from every second image.
func newSet(t *testing.T, n, c, h, w int) *testSet {
	t.Helper()
	set := &testSet{dir: t.TempDir(), n: n, h: h, w: w, c: c}
	r := rand.New(rand.NewPCG(uint64(n), uint64(c)))
	for _, folder := range []string{"x", "y"} {
		if err := os.Mkdir(set.dir+"/"+folder, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	write := func(name string, labels []int64, shape ...int) {
		b := npyFile(dict("'<i8'", "False", "("+strings.Trim(files.Axes(shape), "[]")+",)"), littleEndianBytes(labels))
		if err := os.WriteFile(name, b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		x, y := make([]float32, c*h*w), make([]int64, h*w)
		for p := range y {
			y[p] = int64(r.IntN(c))
			if y[p] == 1 && i%2 == 0 {
				y[p] = 0
			}
			for k := range c {
				x[k*h*w+p] = float32(r.NormFloat64())
			}
			x[int(y[p])*h*w+p] += 1
			if r.IntN(12) == 0 {
				y[p] = 255
			}
		}
		if err := writeNPY(fmt.Sprintf("%s/x/a%d.npy", set.dir, i), []int{c, h, w}, x); err != nil {
			t.Fatal(err)
		}
		write(fmt.Sprintf("%s/y/a%d_ids.npy", set.dir, i), y, h, w)
		set.x, set.y = append(set.x, x...), append(set.y, y...)
	}
	if err := writeNPY(set.dir+"/x.npy", []int{n, c, h, w}, set.x); err != nil {
		t.Fatal(err)
	}
	write(set.dir+"/y.npy", set.y, n, h, w)
	return set
}

func littleEndianBytes(values []int64) (b []byte) {
	for _, v := range values {
		for i := range 8 {
			b = append(b, byte(v>>(8*i)))
		}
	}
	return b
}

// files are the flags of the set, batch those of the batch.
func (s *testSet) files() []string {
	return []string{"-void", "255", "-logits", s.dir + "/x/a*.npy", "-labels", s.dir + "/y/a*_ids.npy"}
}

func (s *testSet) batch() []string {
	return []string{"-void", "255", "-logits", s.dir + "/x.npy", "-labels", s.dir + "/y.npy"}
}

// run computes with -json; a note on stderr is allowed where it is asked for.
func (s *testSet) run(t *testing.T, note string, args ...string) printed {
	t.Helper()
	code, stdout, stderr := command(append(args, "-json")...)
	if code != 0 || (note == "") != (stderr == "") || !strings.Contains(stderr, note) {
		t.Fatalf("%v: exit %d, stderr %q", args, code, stderr)
	}
	return parseJSON(t, stdout)
}

func init() { muchMemory = 0 }

const togetherNote = "lovasz: the exact loss of all pixels together ranks every error among those of all images, so it keeps them all: about "

// Many files give what the same images give as one batch, in every way; so do their gradients, file by file.
func TestSet(t *testing.T) {
	set := newSet(t, 5, 3, 4, 6)
	for _, flags := range []string{
		"", "-method binned", "-per-image", "-per-image -method binned", "-per-image -ce 0.5", "-ce 0.5",
		"-ce 0.5 -ce-weights 1,2,0 -label-smoothing 0.2",
		"-per-image -ce 0.5 -ce-weights 1,2,0.5 -label-smoothing 0.2", "-average all -weights 1,2,3", "-only 1 -per-image",
		"-activation sigmoid -method binned -void-as background",
	} {
		t.Run(flags, func(t *testing.T) {
			note := togetherNote
			if strings.Contains(flags, "binned") || strings.Contains(flags, "per-image") {
				note = ""
			}
			gradients := t.TempDir()
			more := strings.Fields(flags)
			got := set.run(t, note, append(set.files(), append(more, "-grad", gradients+"/g")...)...)
			want := set.run(t, "", append(set.batch(), append(more, "-grad", gradients+"/all.npy")...)...)
			if !near(got.Loss, want.Loss) || !near(got.Lovasz, want.Lovasz) || !near(got.CrossEntropy, want.CrossEntropy) ||
				math.Abs(got.Gap-want.Gap) > 1e-12 {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if !strings.Contains(flags, "per-image") && got.Loss != want.Loss {
				t.Errorf("loss %v, want the bits of %v", got.Loss, want.Loss)
			}
			if !slices.Equal(values(got.PerImage), values(want.PerImage)) || !allNear(got.classLosses(), want.classLosses()) {
				t.Errorf("got %v %v, want %v %v", values(got.PerImage), got.classLosses(), values(want.PerImage), want.classLosses())
			}
			if *got.MeanIoU != *want.MeanIoU || got.Images != 5 || got.Files != 5 || got.Pixels != want.Pixels || got.Void != want.Void {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if strings.Contains(flags, "per-image") && !slices.Equal(got.ImageNames, []string{"a0", "a1", "a2", "a3", "a4"}) {
				t.Errorf("images %v", got.ImageNames)
			}
			all, _ := readBack(t, gradients+"/all.npy")
			for i := range set.n {
				part, shape := readBack(t, fmt.Sprintf("%s/g/a%d.npy", gradients, i))
				if wantPart := all[i*len(part) : (i+1)*len(part)]; fmt.Sprint(shape) != "[3 4 6]" || !closeTo(part, wantPart) {
					t.Errorf("image %d: gradient %v, want %v", i, part, wantPart)
				}
			}
		})
	}
}

// The labels of many files may be one array: the images are paired in the files' natural order, and everything is as of files of labels.
func TestSetOfOneLabels(t *testing.T) {
	set := newSet(t, 12, 3, 4, 6) // a10 is behind a9
	one := []string{"-void", "255", "-logits", set.dir + "/x", "-labels", set.dir + "/y.npy"}
	same := func(got, want printed) {
		t.Helper()
		got.Seconds, got.Logits.Path, got.Labels = want.Seconds, want.Logits.Path, want.Labels
		got.Gradient, got.ImageNames = want.Gradient, want.ImageNames
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	for _, flags := range []string{"", "-method binned", "-per-image -ce 1", "-layout class -workers 1"} {
		note := togetherNote
		if strings.Contains(flags, "binned") || strings.Contains(flags, "per-image") {
			note = ""
		}
		gradients := t.TempDir()
		more := strings.Fields(flags)
		got := set.run(t, note, append(slices.Clone(one), append(more, "-grad", gradients+"/one", "-csv", gradients+"/one.csv")...)...)
		want := set.run(t, note, append(set.files(), append(more, "-grad", gradients+"/many", "-csv", gradients+"/many.csv")...)...)
		if fmt.Sprint(got.Labels.Shape) != "[12 4 6]" || got.Labels.Path != set.dir+"/y.npy" || got.Files != 12 || got.ImageNames[10] != "a10" {
			t.Errorf("%s: %+v", flags, got)
		}
		same(got, want)
		for _, name := range []string{"/a0.npy", "/a2.npy", "/a10.npy", "/a11.npy", ".csv"} {
			a, errA := os.ReadFile(gradients + "/one" + name)
			b, errB := os.ReadFile(gradients + "/many" + name)
			if errA != nil || errB != nil || len(a) == 0 || !bytes.Equal(a, b) {
				t.Errorf("%s, %s: %d bytes, want those of %d (%v, %v)", flags, name, len(a), len(b), errA, errB)
			}
		}
	}

	code, stdout, _ := command(one...)
	for _, pattern := range []string{
		`(?m)^logits        .*/x: 12 files, the first \[3, 4, 6\] float32, class-major$`,
		`(?m)^labels        .*/y\.npy \[12, 4, 6\] int64: 288 pixels, \d+ void$`,
		`(?m)^pairs         .*/x/a0\.npy – .*/y\.npy \[0\] … .*/x/a11\.npy – .*/y\.npy \[11\] \(-pairs lists all\)$`,
	} {
		if code != 0 || !regexp.MustCompile(pattern).MatchString(stdout) {
			t.Errorf("%s is not in\n%s", pattern, stdout)
		}
	}
	if _, stdout, _ := command(append(one, "-pairs")...); strings.Count(stdout, "\n") != 12 ||
		!strings.Contains(stdout, "/x/a10.npy\t"+set.dir+"/y.npy [10]\n") {
		t.Errorf("-pairs: %s", stdout)
	}
	if code, _, stderr := command(append(one, "-per-image", "-heatmap", set.dir+"/h.png", "-heatmap-image", "11")...); code != 0 {
		t.Errorf("-heatmap: %s", stderr)
	}

	// Masks that overlap, a map of labels, and hard predictions.
	masks := make([]int64, len(set.x))
	predicted := make([]int64, len(set.y))
	for i := range masks {
		masks[i] = int64(i*i/7) & 1
	}
	mapped := slices.Clone(set.y)
	for i, y := range mapped {
		predicted[i] = int64(i) % 3
		if y < 255 {
			mapped[i] = 10 + y
		}
	}
	write := func(name string, values []int64, shape ...int) {
		b := npyFile(dict("'<i8'", "False", "("+strings.Trim(files.Axes(shape), "[]")+",)"), littleEndianBytes(values))
		writeTo(t, set.dir+"/"+name, b)
	}
	write("masks.npy", masks, 12, 3, 4, 6)
	write("mapped.npy", mapped, 12, 4, 6)
	write("bad.npy", append(slices.Clone(set.y[:287]), 7), 12, 4, 6)
	for i := range 12 {
		write(fmt.Sprintf("masks/a%d.npy", i), masks[i*72:(i+1)*72], 3, 4, 6)
		write(fmt.Sprintf("predicted/a%d.npy", i), predicted[i*24:(i+1)*24], 4, 6)
	}
	x := []string{"-logits", set.dir + "/x"}
	overlap := append(x, "-classes", "3", "-method", "binned")
	same(set.run(t, "", append(overlap, "-labels", set.dir+"/masks.npy")...), set.run(t, "", append(overlap, "-labels", set.dir+"/masks")...))
	same(set.run(t, "", append(x, "-labels", set.dir+"/mapped.npy", "-labels-map", "10-12=0-2", "-void", "255", "-method", "binned")...),
		set.run(t, "", append(set.files(), "-method", "binned")...))
	hard := []string{"-classes", "3", "-void", "255", "-predictions", set.dir + "/predicted/a*.npy", "-labels"}
	same(set.run(t, "", append(hard, set.dir+"/y.npy")...), set.run(t, "", append(hard, set.dir+"/y/a*_ids.npy")...))

	write("flat.npy", set.y[:12], 12)
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"-logits", set.dir + "/x/a?.npy", "-labels", set.dir + "/y.npy"}, "…/y.npy: labels are [12, 4, 6], want [10, …]: an image for each file of …"},
		{append(x, "-labels", set.dir+"/y/a0_ids.npy"), "…/y/a0_ids.npy: labels are [4, 6], want [12, …]: an image for each file of …/x"},
		{append(x, "-labels", set.dir+"/flat.npy"), "…/flat.npy: labels are [12], want [12, …]: an image for each file of …/x"},
		{append(x, "-labels", set.dir+"/none.npy"), "…/none.npy: no such file or directory"},
		{append(x, "-labels", set.dir+"/bad.npy", "-void", "255", "-per-image"), "…/bad.npy [11]: label 7 at pixel 23 is outside [0, 3)…"},
		{append(x, "-labels", set.dir+"/bad.npy", "-void", "255", "-method", "exact"), "…/bad.npy [11]: label 7 at pixel 23 is outside [0, 3)…"},
		{append(x, "-labels", set.dir+"/y.npy", "-list", "val.txt"), "-list names files of a set, while …/y.npy is one file: give a directory or a pattern"},
	} {
		code, _, stderr := command(test.args...)
		if code != 1 {
			t.Errorf("%v: exit %d", test.args, code)
		}
		wantError(t, fmt.Sprint(test.args), fmt.Errorf("%s", strings.ReplaceAll(strings.TrimPrefix(strings.TrimSuffix(stderr, "\n"), "lovasz: "),
			set.dir, "…")), test.want)
	}
}

// closeTo compares gradients: to float32.
func closeTo(got, want []float64) bool {
	return slices.EqualFunc(got, want, func(a, b float64) bool { return math.Abs(a-b) <= 1e-8+1e-6*math.Abs(b) })
}

// Directories match by name, patterns by what their wildcards stand for; images of several sizes and layouts in one set.
func TestSetNames(t *testing.T) {
	set := newSet(t, 2, 3, 4, 6)
	byPattern := set.run(t, "", append(set.files(), "-per-image")...)
	for i := range 2 {
		if err := os.Rename(fmt.Sprintf("%s/y/a%d_ids.npy", set.dir, i), fmt.Sprintf("%s/y/a%d.npy", set.dir, i)); err != nil {
			t.Fatal(err)
		}
	}
	write := func(name string) {
		if err := os.WriteFile(set.dir+name, []byte("?"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write("/y/.hidden")
	if err := os.Mkdir(set.dir+"/x/folder", 0o777); err != nil {
		t.Fatal(err)
	}
	folders := []string{"-void", "255", "-logits", set.dir + "/x", "-labels", set.dir + "/y"}
	byName := set.run(t, "lovasz: passed over: 1 file of other kinds (", append(folders, "-per-image")...)
	byName.Logits, byName.Labels, byName.Seconds = byPattern.Logits, byPattern.Labels, byPattern.Seconds
	if !reflect.DeepEqual(byName, byPattern) {
		t.Errorf("got %+v, want %+v", byName, byPattern)
	}
	code, stdout, _ := command(append(folders, "-per-image")...)
	for _, pattern := range []string{
		`(?m)^logits        .*/x: 2 files, the first \[3, 4, 6\] float32, class-major$`,
		`(?m)^labels        .*/y: 2 files, the first \[4, 6\] int64: 48 pixels, \d+ void$`,
		`│ a1    │ 0\.\d{6} │`,
	} {
		if code != 0 || !regexp.MustCompile(pattern).MatchString(stdout) {
			t.Errorf("%s is not in\n%s", pattern, stdout)
		}
	}

	grad := []string{"-grad", set.dir + "/g"}
	for _, test := range []struct {
		before func()
		args   []string
		want   string
	}{
		{nil, []string{"-logits", set.dir + "/x", "-labels", set.dir + "/y/a0.npy"}, "…/y/a0.npy: labels are [4, 6], want [2, …]: an image for each file of …/x"},
		{func() { os.Mkdir(set.dir+"/none", 0o777) }, []string{"-logits", set.dir + "/none", "-labels", set.dir + "/y.npy"}, "…/none: neither the folder nor one below it holds a file: want .npy…"},
		{nil, []string{"-logits", set.dir + "/none*.npy", "-labels", set.dir + "/y.npy"}, "…/none*.npy: no file fits this pattern…"},
		{nil, []string{"-logits", set.dir + "/x", "-labels", set.dir + "/y/none*"}, "…/y/none*: no file fits this pattern: …/y/ holds 3 files, such as .hidden"},
		{nil, []string{"-logits", set.dir + "/x", "-labels", set.dir + "/y/a1*"}, "…/x/a0.npy has no labels: nothing in …/y/a1* is called a0; …"},
		{func() { write("/y/a9.npy") }, folders, "…/y/a9.npy has no logits: nothing in …/x is called a9; nearest is …/x/a….npy; -unpaired skip passes such files over"},
		{func() { os.Remove(set.dir + "/y/a9.npy") }, []string{"-logits", set.dir + "/x", "-labels", set.dir + "/y", "-per-image"}, "…/y/a0.npy: label 255 at pixel …"},
		{nil, []string{"-logits", set.dir + "/x", "-labels", set.dir + "/y"}, "…/y/a0.npy: label 255 at pixel …"},
		{nil, append(folders, "-method", "binned", "-ce", "1"), "-ce has no counts: with many files it goes with -per-image or -method exact"},
		{nil, append(folders, "-grad", set.dir+"/x"), "-grad would overwrite …/x/a0.npy"},
		{nil, append(folders, "-weights", "1,2"), "…-weights…"},
		{nil, []string{"-logits", set.dir + "/y", "-labels", set.dir + "/y"}, "…/y/a0.npy: logits are int64: want float16, float32 or float64 (class ids that were predicted are -predictions)"},
		{func() {
			x := slices.Clone(set.x[:72])
			x[5] = nan32
			if err := writeNPY(set.dir+"/x/a0.npy", []int{3, 4, 6}, x); err != nil {
				t.Fatal(err)
			}
			set.y[5] = 0
			y := npyFile(dict("'<i8'", "False", "(4, 6)"), littleEndianBytes(set.y[:24]))
			if err := os.WriteFile(set.dir+"/y/a0.npy", y, 0o666); err != nil {
				t.Fatal(err)
			}
		}, folders, "…/x/a0.npy: logit of pixel 5, class 0 is NaN"},
		{nil, append(folders, "-method", "binned"), "…/x/a0.npy: logit of pixel 5, class 0 is NaN"},
		{func() { write("/x/a2.npy"); write("/y/a2.png") }, append([]string{"-logits", set.dir + "/x/a2*", "-labels", set.dir + "/y/a2*"}, "-per-image"), "…/x/a2.npy: not a .npy, .npz, .safetensors or .pt file (raw float32 is read with -shape, as in -shape -1,20)"},
		{func() { write("/x/a2.npz") }, append(folders, "-per-image"), "…a2.npy and …a2.npz have one name: a pattern says which is meant, such as '…/x/*.npy'"},
	} {
		if test.before != nil {
			test.before()
		}
		args := test.args
		if !slices.Contains(args, "-grad") {
			args = append(slices.Clone(args), grad...)
		}
		code, stdout, stderr := command(args...)
		lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
		for len(lines) > 1 && (strings.HasPrefix(lines[0], togetherNote) || strings.HasPrefix(lines[0], "lovasz: passed over: 1 file")) {
			lines = lines[1:]
		}
		pattern := "^lovasz: " + strings.ReplaceAll(regexp.QuoteMeta(test.want), "…", ".*") + "$"
		if code != 1 || stdout != "" || len(lines) != 1 || !regexp.MustCompile(pattern).MatchString(lines[0]) {
			t.Errorf("%v: exit %d, got  %s\nwant %s", args, code, stderr, test.want)
		}
		if _, err := os.Stat(set.dir + "/g"); err == nil {
			t.Errorf("%v: gradients were written", args)
			os.RemoveAll(set.dir + "/g")
		}
	}
}

// A set of images of different sizes, as rows and as planes, together: one loss over all their pixels.
func TestSetSizes(t *testing.T) {
	dir := t.TempDir()
	a, b := newSet(t, 1, 3, 4, 6), newSet(t, 2, 3, 5, 2)
	move := func(from, to string) {
		if err := os.Rename(from, dir+to); err != nil {
			t.Fatal(err)
		}
	}
	for _, folder := range []string{"/x", "/y"} {
		if err := os.Mkdir(dir+folder, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	move(a.dir+"/x/a0.npy", "/x/1.npy")
	move(a.dir+"/y/a0_ids.npy", "/y/1.npy")
	move(b.dir+"/x/a0.npy", "/x/2.npy")
	move(b.dir+"/y/a0_ids.npy", "/y/2.npy")
	move(b.dir+"/x/a1.npy", "/x/3.npy")
	move(b.dir+"/y/a1_ids.npy", "/y/3.npy")
	var rows []float32
	for _, s := range []*testSet{a, b} {
		pixels := s.h * s.w
		for i := range s.n {
			for p := range pixels {
				for k := range s.c {
					rows = append(rows, s.x[(i*s.c+k)*pixels+p])
				}
			}
		}
	}
	flat := pairOf(t, rows, []int{44, 3}, append(slices.Clone(a.y), b.y...))
	want := runJSON(t, append(flat, "-void", "255")...)
	got := a.run(t, togetherNote, "-void", "255", "-logits", dir+"/x", "-labels", dir+"/y")
	if got.Loss != want.Loss || !slices.Equal(got.classLosses(), want.classLosses()) || got.Images != 3 {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// Directories stream: however many images, what is alive between two of them is less than a few. 48 images here, in both passes, stand for
// a thousand of 1024 × 1024.
func TestSetMemory(t *testing.T) {
	set := newSet(t, 48, 19, 48, 48)
	const image = 19 * 48 * 48 * 4 // bytes of logits
	for _, flags := range []string{"-method binned", "-per-image", "-per-image -method binned -ce 1"} {
		o, err := parse(append(append(set.files(), strings.Fields(flags)...), "-workers", "1", "-grad", set.dir+"/g"), os.Stdout)
		if err != nil {
			t.Fatal(err)
		}
		pairs, _, err := o.pairs()
		if err != nil {
			t.Fatal(err)
		}
		l, err := o.newLoader()
		if err != nil {
			t.Fatal(err)
		}
		written := &files.Outputs{}
		defer written.Abort()
		to, err := o.outputs(written)
		if err != nil {
			t.Fatal(err)
		}
		alive := func() int {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return int(m.HeapAlloc)
		}
		before, most, steps := alive(), 0, 0
		var early, grown int // after a few images of a pass what no image's size decides is there: the bins, then the weights of all bins
		p := &progress{w: os.Stderr, stepped: func() {
			steps++
			switch now, i := alive()-before, (steps-1)%set.n; {
			case i == 3:
				early = now
				most = max(most, early)
			case i > 3:
				grown = max(grown, now-early)
			}
		}}
		if _, err := evaluateSet(l, pairs, to, p); err != nil {
			t.Fatal(err)
		}
		if steps != 2*set.n {
			t.Errorf("%s: %d steps, want %d", flags, steps, 2*set.n)
		}
		bins := 0
		if strings.Contains(flags, "binned") {
			bins = 19 << 20
		}
		if most > 6*image+bins || grown > 3*image {
			t.Errorf("%s: %d bytes alive after 4 images, %d more later; an image has %d", flags, most, grown, image)
		}
	}
}

// The note says how much memory, before anything is computed.
func TestSetNote(t *testing.T) {
	set := newSet(t, 3, 3, 4, 6)
	_, _, stderr := command(append(set.files(), "-workers", "1", "-json")...)
	// 3 images of 24 pixels: 12 bytes a logit, 24 a pixel.
	if want := togetherNote + "4.32 kB for 3 images like the first (-per-image and -method binned: 4.32 kB)\n"; stderr != want {
		t.Errorf("got  %swant %s", stderr, want)
	}
	defer func() { muchMemory = 0 }()
	for _, muchMemory = range []float64{4320, 4321} {
		if _, _, stderr := command(append(set.files(), "-workers", "1", "-json")...); (stderr != "") != (muchMemory == 4320) {
			t.Errorf("of %v bytes: %q", muchMemory, stderr)
		}
	}
	for bytes, want := range map[float64]string{2.5e6: "2.5 MB", 3.84e11: "384 GB", 999_600: "1 MB", 5e14: "500 TB"} {
		if got := size(bytes); got != want {
			t.Errorf("%v bytes: %s, want %s", bytes, got, want)
		}
	}
}

// The bar shows how far it is.
func TestProgress(t *testing.T) {
	var out bytes.Buffer
	p := &progress{w: &out, show: true}
	p.begin(2, "loss")
	p.step()
	p.bar.RenderBlank()
	if !strings.Contains(out.String(), "loss") || !strings.Contains(out.String(), "1/2") {
		t.Errorf("%q", out.String())
	}
	if q := newProgress(&out); q.show {
		t.Error("a bar where nobody looks")
	}
}

// Hard predictions: the loss of a class is 1 − its IoU, by the confusion matrix alone.
func TestPredictions(t *testing.T) {
	set := newSet(t, 4, 3, 6, 5)
	var all []int64
	for i := range set.n {
		var predicted []int64
		for p := range 30 {
			best := 0
			for k := range 3 {
				if set.x[(3*i+k)*30+p] > set.x[(3*i+best)*30+p] {
					best = k
				}
			}
			if set.y[30*i+p] == 255 && p%2 == 0 {
				best = 255 // void is predicted where it is void
			}
			predicted = append(predicted, int64(best))
		}
		all = append(all, predicted...)
	}
	write := func(name string, ids []int64, shape ...int) {
		t.Helper()
		b := npyFile(dict("'<i8'", "False", "("+strings.Trim(files.Axes(shape), "[]")+",)"), littleEndianBytes(ids))
		if err := os.WriteFile(set.dir+name, b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(set.dir+"/p", 0o777); err != nil {
		t.Fatal(err)
	}
	for i := range set.n { // as PNG masks
		mask := image.NewGray(image.Rect(0, 0, 5, 6))
		for p := range 30 {
			mask.Pix[p/5*mask.Stride+p%5] = uint8(all[30*i+p])
		}
		var b bytes.Buffer
		if err := png.Encode(&b, mask); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(fmt.Sprintf("%s/p/a%d.png", set.dir, i), b.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write("/p.npy", all, 4, 6, 5)
	soft := runJSON(t, set.batch()...)
	for _, args := range [][]string{
		{"-predictions", set.dir + "/p.npy", "-labels", set.dir + "/y.npy"},
		{"-predictions", set.dir + "/p/*.png", "-labels", set.dir + "/y/*_ids.npy"},
		{"-predictions", set.dir + "/p.npy", "-labels", set.dir + "/y.npy", "-method", "binned"},
	} {
		p := runJSON(t, append(args, "-void", "255", "-classes", "3")...)
		if !p.Hard || p.Images != 4 || p.Pixels != 120 || *p.MeanIoU != *soft.MeanIoU {
			t.Errorf("%v: %+v, want the IoU of %+v", args, p, soft)
		}
		mean := 0.
		for k, c := range p.Classes {
			if *c.IoU != *soft.Classes[k].IoU || math.Abs(*c.Loss-(1-*c.IoU)) > 1e-7 {
				t.Errorf("%v: class %d: loss %v, IoU %v, want 1 − %v", args, k, *c.Loss, *c.IoU, *soft.Classes[k].IoU)
			}
			mean += *c.Loss / 3
		}
		if math.Abs(p.Loss-mean) > 1e-12 {
			t.Errorf("loss %v, want %v", p.Loss, mean)
		}
	}
	_, stdout, _ := command("-predictions", set.dir+"/p", "-labels", set.dir+"/y/*_ids.npy", "-void", "255", "-classes", "3")
	if !strings.Contains(stdout, "Lovász loss of hard predictions, of each class 1 − IoU") || !strings.HasPrefix(stdout, "predictions   ") {
		t.Errorf("not said:\n%s", stdout)
	}
	// One class.
	write("/b.npy", []int64{1, 1, 0, 0, 1}, 5)
	write("/t.npy", []int64{1, 0, 0, 1, 1}, 5)
	if p := runJSON(t, "-predictions", set.dir+"/b.npy", "-labels", set.dir+"/t.npy", "-classes", "1"); !near(p.Loss, 0.5) ||
		!near(*p.MeanIoU, 0.5) {
		t.Errorf("one class: %+v", p)
	}
	both := []string{"-predictions", set.dir + "/p.npy", "-labels", set.dir + "/y.npy"}
	for _, test := range []struct {
		args []string
		want string
	}{
		{both, "-predictions needs -classes"},
		{append(both, "-classes", "3", "-logits", "x.npy"), "-predictions stands for -logits: give one of them"},
		{append(both, "-classes", "3", "-grad", "g.npy"), "hard predictions have no logits: -predictions goes without -grad, -heatmap, " +
			"-hinge, -ce, -ce-weights, -label-smoothing and -activation"},
		{append(both, "-classes", "3", "-ce-weights", "1,2,3"), "hard predictions have no logits: -predictions goes without -grad, -heatmap, " +
			"-hinge, -ce, -ce-weights, -label-smoothing and -activation"},
		{append(both, "-classes", "2", "-void", "255"), set.dir + "/p.npy: prediction 2 at pixel …"},
		{append(both, "-classes", "1", "-void", "255"), set.dir + "/p.npy: prediction 2 at pixel …"},
		{[]string{"-predictions", set.dir + "/b.npy", "-labels", set.dir + "/y.npy", "-classes", "3"}, set.dir + "/b.npy: predictions [5] do not fit the labels [4, 6, 5]"},
	} {
		code, _, stderr := command(test.args...)
		line := strings.TrimPrefix(strings.TrimSuffix(stderr, "\n"), "lovasz: ")
		if code != 1 {
			t.Errorf("%v: exit %d", test.args, code)
		}
		wantError(t, fmt.Sprint(test.args), fmt.Errorf("%s", line), test.want)
	}
}

// Counts of parts, merged in any order and in steps, are those of the whole: every digit.
func TestMerge(t *testing.T) {
	set := newSet(t, 6, 3, 4, 6)
	dir := t.TempDir()
	flags := []string{"-void", "255", "-names", "a,b,c", "-average", "all"}
	part := func(name, pattern string) printed {
		return set.run(t, "", append(flags, "-logits", set.dir+"/x/a"+pattern+".npy", "-labels", set.dir+"/y/a"+pattern+"_ids.npy", "-counts",
			dir+"/"+name)...)
	}
	part("1.bin", "[01]")
	part("2.bin", "2") // one file is a set of one
	part("3.bin", "[345]")
	want := part("all.bin", "*")
	if want.Method != "binned" || want.Gap <= 0 {
		t.Fatalf("%+v", want)
	}
	same := func(what string, got printed) {
		t.Helper()
		if got.Loss != want.Loss || got.Gap != want.Gap || !reflect.DeepEqual(got.Classes, want.Classes) || *got.MeanIoU != *want.MeanIoU ||
			got.Images != 6 || got.Pixels != want.Pixels || got.Void != want.Void || got.Average != "all" || got.Activation != "softmax" {
			t.Errorf("%s: %+v, want %+v", what, got, want)
		}
	}
	merged := runJSON(t, "merge", dir+"/3.bin", dir+"/1.bin", dir+"/2.bin")
	same("merged", merged)
	if merged.Merged != 3 {
		t.Errorf("%d files merged", merged.Merged)
	}
	runJSON(t, "merge", dir+"/1.bin", dir+"/2.bin", "-counts", dir+"/12.bin")
	same("in steps", runJSON(t, "merge", dir+"/12.bin", dir+"/3.bin"))
	same("pattern", runJSON(t, "merge", dir+"/[123].bin"))
	code, stdout, stderr := command("merge", dir+"/all.bin")
	if code != 0 || stderr != "" || !strings.HasPrefix(stdout, "counts        1 file: 6 images, 144 pixels, ") ||
		strings.Contains(stdout, "time") {
		t.Errorf("exit %d, %s\n%s", code, stderr, stdout)
	}
	// A batch, and the example.
	same("batch", set.run(t, "", append(set.batch(), append(flags[2:], "-counts", dir+"/batch.bin")...)...))
	runJSON(t, "-counts", dir+"/example.bin")
	if example := runJSON(t, "merge", dir+"/example.bin"); example.Pixels != 2000 || example.Classes[0].Name != "red soil" {
		t.Errorf("%+v", example)
	}

	whole, err := os.ReadFile(dir + "/all.bin")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 10, bytes.IndexByte(whole, '\n') + 1, len(whole) / 2, len(whole) - 1} {
		if code, _, stderr := command("merge", writeFile(t, "cut.bin", whole[:n])); code != 1 || !strings.Contains(stderr, "cut.bin: ") {
			t.Errorf("%d bytes: exit %d, %s", n, code, stderr)
		}
	}
	set.run(t, "", append(set.batch(), "-counts", dir+"/other.bin")...)
	for _, test := range []struct{ args, want string }{
		{"merge", "…<file> …"},
		{"merge " + writeFile(t, "longer.bin", append(slices.Clone(whole), 0)), "…/longer.bin: behind the counts there is more, 1 byte: it is damaged"},
		{"merge " + dir + "/none.bin", "open " + dir + "/none.bin: no such file or directory"},
		{"merge " + dir + "/1.bin " + dir + "/other.bin", dir + "/other.bin was counted with other flags of the loss than " + dir + "/1.bin"},
		{"merge " + set.dir + "/x.npy", set.dir + "/x.npy: not a file that -counts wrote"},
		{"merge -names a,b " + dir + "/1.bin", "-names has 2 names for 3 classes"},
		{"-counts a.bin -ce 1", "-hinge, -ce, -ce-weights and -label-smoothing have no -counts"},
		{"-counts a.bin -label-smoothing 0.1", "-hinge, -ce, -ce-weights and -label-smoothing have no -counts"},
		{"-counts a.bin -per-image", "-counts are of all pixels together, not -per-image"},
	} {
		code, _, stderr := command(strings.Fields(test.args)...)
		if code != 1 {
			t.Errorf("%s: exit %d", test.args, code)
		}
		wantError(t, test.args, fmt.Errorf("%s", strings.TrimPrefix(strings.TrimSuffix(stderr, "\n"), "lovasz: ")), test.want)
	}
	if code, stdout, _ := command("merge", "-h"); code != 0 || !strings.Contains(stdout, "-counts=FILE") || strings.Contains(stdout, "--") {
		t.Errorf("merge -h: exit %d\n%s", code, stdout)
	}
}
