package files

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestNatural(t *testing.T) {
	want := []string{"", "0.png", "1.png", "2.png", "9.png", "10.png", "11.png", "a", "a1b2", "a1b10", "a2", "a02b", "b"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, Natural)
	if !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

// touch makes files in a new folder, and goes there.
func touch(t *testing.T, names ...string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, name := range names {
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "/") {
			os.MkdirAll(name, 0o777)
		} else if err := os.WriteFile(name, nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

func match(logits, labels string, o PairOptions) (string, string, error) {
	x, err := List(logits, Logits, false)
	if err != nil {
		return "", "", err
	}
	y, err := List(labels, Labels, false)
	if err != nil {
		return "", "", err
	}
	pairs, notes, err := Match(x, y, o)
	var text []string
	for _, p := range pairs {
		text = append(text, fmt.Sprintf("%s: %s %s", p.Name, p.Logits, p.Labels))
	}
	return strings.Join(text, "\n"), strings.Join(notes, "\n"), err
}

func TestMatch(t *testing.T) {
	for _, test := range []struct {
		name           string
		files          string
		logits, labels string
		o              PairOptions
		want, note     string
		err            string
	}{
		{name: "numbers", files: "x/10.npy x/2.npy y/2.png y/10.png", logits: "x", labels: "y", want: "2: x/2.npy y/2.png\n10: x/10.npy y/10.png"},
		{name: "nested, one name in several folders", files: "x/00/1.npy x/08/1.npy y/08/1.label y/00/1.label", logits: "x/", labels: "./y",
			want: "00/1: x/00/1.npy y/00/1.label\n08/1: x/08/1.npy y/08/1.label"},
		{name: "Cityscapes", logits: "out", labels: "gtFine/val",
			files: "out/aachen/aachen_0_1_leftImg8bit.npy gtFine/val/aachen/aachen_0_1_gtFine_labelTrainIds.png gtFine/val/aachen/aachen_0_1_gtFine_labelIds.png " +
				"gtFine/val/aachen/aachen_0_1_gtFine_color.png gtFine/val/aachen/aachen_0_1_gtFine_instanceIds.png gtFine/val/aachen/aachen_0_1_gtFine_polygons.json",
			want: "aachen/aachen_0_1_leftImg8bit: out/aachen/aachen_0_1_leftImg8bit.npy gtFine/val/aachen/aachen_0_1_gtFine_labelTrainIds.png",
			note: "_gtFine_labelTrainIds.png is taken, not aachen_0_1_gtFine_labelIds.png, and so for 1 image (the pattern 'gtFine/val/**/*_gtFine_labelIds.png' takes the others)"},
		{name: "Cityscapes, by that pattern", logits: "out", labels: "gtFine/val/**/*_gtFine_labelIds.png",
			files: "out/aachen/aachen_0_1_leftImg8bit.npy gtFine/val/aachen/aachen_0_1_gtFine_labelTrainIds.png gtFine/val/aachen/aachen_0_1_gtFine_labelIds.png",
			want:  "aachen/aachen_0_1_leftImg8bit: out/aachen/aachen_0_1_leftImg8bit.npy gtFine/val/aachen/aachen_0_1_gtFine_labelIds.png"},
		{name: "Cityscapes, by a shorter one", logits: "out", labels: "gtFine/**/*_labelIds.png",
			files: "out/aachen/aachen_0_1_leftImg8bit.npy gtFine/aachen/aachen_0_1_gtFine_labelTrainIds.png gtFine/aachen/aachen_0_1_gtFine_labelIds.png",
			want:  "aachen/aachen_0_1_leftImg8bit: out/aachen/aachen_0_1_leftImg8bit.npy gtFine/aachen/aachen_0_1_gtFine_labelIds.png"},
		{name: "Cityscapes, flat", files: "out/aachen_0_1.npy gtFine/val/aachen/aachen_0_1_gtFine_labelIds.png", logits: "out", labels: "gtFine",
			want: "aachen_0_1: out/aachen_0_1.npy gtFine/val/aachen/aachen_0_1_gtFine_labelIds.png"},
		{name: "Cityscapes, flat, both kinds of ids", logits: "out", labels: "gtFine",
			files: "out/a_0_leftImg8bit.npy out/b_0_leftImg8bit.npy gtFine/val/a/a_0_gtFine_labelTrainIds.png gtFine/val/a/a_0_gtFine_labelIds.png gtFine/val/b/b_0_gtFine_labelTrainIds.png gtFine/val/b/b_0_gtFine_labelIds.png",
			want:  "a_0_leftImg8bit: out/a_0_leftImg8bit.npy gtFine/val/a/a_0_gtFine_labelTrainIds.png\nb_0_leftImg8bit: out/b_0_leftImg8bit.npy gtFine/val/b/b_0_gtFine_labelTrainIds.png"},
		{name: "Cityscapes, from another depth", logits: "out", labels: "gtFine/val",
			files: "out/val/a/a_0_leftImg8bit.npy gtFine/val/a/a_0_gtFine_labelTrainIds.png gtFine/val/a/a_0_gtFine_labelIds.png",
			want:  "val/a/a_0_leftImg8bit: out/val/a/a_0_leftImg8bit.npy gtFine/val/a/a_0_gtFine_labelTrainIds.png"},
		{name: "one name in several folders, flat", files: "x/1.npy y/a/1_labelTrainIds.png y/b/1_labelIds.png", logits: "x", labels: "y", err: "x/1.npy has no labels"},
		{name: "two of one name, flat", files: "x/1.npy y/a/1_mask.png y/a/1_seg.png", logits: "x", labels: "y", err: "y/a/1_mask.png and y/a/1_seg.png have one name"},
		{name: "one file each", files: "x/1.npy y/2.png", logits: "x/1.npy", labels: "y/2.png", want: "1: x/1.npy y/2.png"},
		{name: "masks", files: "x/a.npy y/a_mask.png", logits: "x", labels: "y", want: "a: x/a.npy y/a_mask.png"},
		{name: "an ending that belongs to the name", files: "x/a_mask.npy x/a.npy y/a_mask.png y/a.png", logits: "x", labels: "y",
			want: "a: x/a.npy y/a.png\na_mask: x/a_mask.npy y/a_mask.png"},
		{name: "patterns", files: "x/s1/a7_lg.npy x/s2/a7_lg.npy y/s1-a7.png y/s2-a7.png", logits: "x/*/*_lg.npy", labels: "y/*-*.png", err: "has no labels"},
		{name: "patterns of folders", files: "x/s1/p/7.npy x/s2/p/7.npy y/s1/q/7.label y/s2/q/7.label", logits: "x/*/p/*.npy",
			labels: "y/*/q/*.label",
			want:   "s1/p/7: x/s1/p/7.npy y/s1/q/7.label\ns2/p/7: x/s2/p/7.npy y/s2/q/7.label"},
		{name: "any depth", files: "x/a/b/1.npy x/2.npy y/a/b/1.png y/2.png", logits: "x/**/*.npy", labels: "y/**/*.png", want: "2: x/2.npy y/2.png\na/b/1: x/a/b/1.npy y/a/b/1.png"},
		{name: "known folders", files: "x/08/predictions/0.npy y/08/labels/0.label", logits: "x", labels: "y", want: "08/predictions/0: x/08/predictions/0.npy y/08/labels/0.label"},
		{name: "strangers", files: "x/1.npy x/README.txt x/.DS_Store y/1.png y/Thumbs.db", logits: "x", labels: "y", want: "1: x/1.npy y/1.png",
			note: "passed over: 3 files of other kinds (x/.DS_Store, README.txt, Thumbs.db)"},
		{name: "NFC and NFD", files: "x/u\u0308.npy y/\u00fc.png", logits: "x", labels: "y", want: "\u00fc: x/u\u0308.npy y/\u00fc.png"},
		{name: "nnU-Net", files: "x/c_1.npz x/c_1.png x/c_1.pkl x/plans.json y/c_1.png", logits: "x", labels: "y", want: "c_1: x/c_1.npz y/c_1.png"},
		{name: "nnU-Net, NIfTI", files: "x/c_1.npz x/c_1.nii.gz x/c_1.pkl x/c.2.npz y/c_1.nii.gz y/c.2.nii", logits: "x", labels: "y", want: "c.2: x/c.2.npz y/c.2.nii\nc_1: x/c_1.npz y/c_1.nii.gz"},
		{name: "NIfTI, by a pattern", files: "x/c_1.npz y/c_1_seg.nii.gz y/c_1.gz", logits: "x", labels: "y/*.nii.gz", want: "c_1: x/c_1.npz y/c_1_seg.nii.gz"},
		{name: "a list", files: "x/1.npy x/2.npy y/1.png y/2.png y/3.png", logits: "x", labels: "y", o: PairOptions{Only: []string{"2"}}, want: "2: x/2.npy y/2.png"},
		{name: "a list too long", files: "x/1.npy y/1.png", logits: "x", labels: "y", o: PairOptions{Only: []string{"1", "2"}}, err: "x: nothing is called 2, which the list names"},
		{name: "skip", files: "x/1.npy x/2.npy y/1.png y/3.png", logits: "x", labels: "y", o: PairOptions{Skip: true}, want: "1: x/1.npy y/1.png", note: "passed over: 2 files without a partner"},
		{name: "logits alone", files: "x/1.npy x/image2.npy y/1.png y/image_2.png", logits: "x", labels: "y",
			err: "x/image2.npy has no labels: nothing in y is called image2; nearest is y/image_2.png; -unpaired skip passes such files over"},
		{name: "other names", files: "x/7.npy x/10.npy y/img_7_a.png y/img_10_a.png", logits: "x", labels: "y",
			err: "x/7.npy has no labels: nothing in y is called 7; nearest is y/img_7_a.png (so for 2 files of x); whatever the names, patterns pair what their wildcards match, as in 'x/*.npy' and 'y/img_*_a.png'"},
		{name: "other names, by these patterns", files: "x/7.npy x/10.npy y/img_7_a.png y/img_10_a.png", logits: "x/*.npy", labels: "y/img_*_a.png", want: "7: x/7.npy y/img_7_a.png\n10: x/10.npy y/img_10_a.png"},
		{name: "other names in folders", files: "x/a/7.npy y/a/img7.png", logits: "x", labels: "y", err: "match, as in 'x/**/*.npy' and 'y/**/img*.png'"},
		{name: "other names in folders, by these patterns", files: "x/a/7.npy y/a/img7.png", logits: "x/**/*.npy", labels: "y/**/img*.png", want: "a/7: x/a/7.npy y/a/img7.png"},
		{name: "wholly other names", files: "x/a.npy y/b.png", logits: "x", labels: "y", err: "nearest is y/b.png; whatever the names, patterns pair what their wildcards match"},
		{name: "labels alone", files: "x/1.npy y/1.png y/2.png", logits: "x", labels: "y", err: "y/2.png has no logits: nothing in x is called 2; nearest is x/1.npy"},
		{name: "two endings", files: "x/1.npy x/1.npz y/1.png", logits: "x", labels: "y", err: "x/1.npy and x/1.npz have one name: a pattern says which is meant, such as 'x/*.npy'"},
		{name: "two endings in folders", files: "x/a/1.npy x/a/1.npz y/a/1.png", logits: "x", labels: "y", err: "x/a/1.npy and x/a/1.npz have one name: a pattern says which is meant, such as 'x/**/*.npy'"},
		{name: "two endings, by that pattern", files: "x/a/1.npy x/a/1.npz y/a/1.png", logits: "x/**/*.npy", labels: "y", want: "a/1: x/a/1.npy y/a/1.png"},
		{name: "empty", files: "x/ y/1.png", logits: "x", labels: "y", err: "x: neither the folder nor one below it holds a file: want .npy"},
		{name: "folders alone", files: "x/a/ x/b/ y/1.png", logits: "x", labels: "y", err: "x: neither the folder nor one below it holds a file"},
		{name: "strangers alone", files: "x/1.txt y/1.png", logits: "x", labels: "y", err: "x: no file of logits among its 1 file, such as 1.txt: want .npy, .npz, .safetensors, .pt, .pth"},
		{name: "no such pattern", files: "x/1.npy y/1.png", logits: "x/*.npz", labels: "y", err: "x/*.npz: no file fits this pattern: x/ holds 1 file, such as 1.npy"},
		{name: "no such file", files: "y/1.png", logits: "z/1.npz", labels: "y/1.png", err: "z/1.npz: no such file"},
		{name: "no such folder", files: "y/1.png", logits: "z/*.npz", labels: "y", err: "z/*.npz: no file fits this pattern: there is no folder z/"},
	} {
		t.Run(test.name, func(t *testing.T) {
			touch(t, strings.Fields(test.files)...)
			got, note, err := match(test.logits, test.labels, test.o)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("got %s, %v\nwant %s", got, err, test.err)
				}
				return
			}
			if err != nil || got != test.want || !strings.Contains(note, test.note) {
				t.Errorf("got  %s (%s), %v\nwant %s (%s)", got, note, err, test.want, test.note)
			}
		})
	}
}

func TestLabelMap(t *testing.T) {
	a := &Array{Path: "a.png", Dtype: "gray8"}
	for _, test := range []struct {
		text, file string
		want       string
		err        string
	}{
		{text: "255=1", want: "[0 1 2 3 1 -1]"},
		{text: "1=0,2=1,3=2", want: "[0 0 1 2 255 -1]"},
		{text: "0=255,1-3=0-2", want: "[255 0 1 2 255 -1]"},
		{text: "1-3=7, -1=255", want: "[0 7 7 7 255 255]"},
		{text: "0=1,1=0", want: "[1 0 2 3 255 -1]"},
		{file: "# a comment\n255 = 1\n0: 5\n2\t9\n", want: "[5 1 9 3 1 -1]"},
		{file: "labels:\n  0 : \"unlabeled\"\nlearning_map:\n  1 : 0     # \"outlier\"\n  255: 4\nlearning_map_inv:\n  0: 9\n", want: "[0 0 2 3 4 -1]"},
		{file: `{"255": 1, "-1": 0}`, want: "[0 1 2 3 1 0]"},
		{text: "255", err: "want pairs as in 255=1"},
		{text: "255=x", err: `"255=x" is no pair of labels`},
		{text: "1-3=0-1", err: "the ranges differ in length"},
		{text: "1=2,1=3", err: "label 1 stands for both 2 and 3"},
		{text: "1=4294967296", err: "does not fit in int32"},
		{text: "0-2000000000=1", err: "ranges have at most 65536 labels"},
		{file: "road\n", err: "line 1"},
		{file: `{"road": "x"}`, err: "the JSON is no map of labels"},
		{file: `{"0": [1, 2]}`, err: "is no colour"},
		{file: `{"1,2,3": 1}`, err: "the map is of colours, and this file has class ids (gray8)"},
	} {
		text := test.text
		if test.file != "" {
			text = writeFile(t, "map", []byte(test.file))
		}
		m, err := ParseLabelMap(text)
		data := []int32{0, 1, 2, 3, 255, -1}
		if err == nil {
			err = m.Apply(a, data)
		}
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%s%s: %v, want %s", test.text, test.file, err, test.err)
			}
		} else if err != nil || fmt.Sprint(data) != test.want {
			t.Errorf("%s%s: %v, %v, want %s", test.text, test.file, data, err, test.want)
		}
	}
	data := []int32{1, 255, 3}
	if err := (&LabelMap{Shift: -1, Keep: []int32{255}}).Apply(a, data); err != nil || fmt.Sprint(data) != "[0 255 2]" {
		t.Errorf("shifted: %v, %v", data, err)
	}
	if err := (&LabelMap{Shift: 1}).Apply(a, []int32{1<<31 - 1}); err == nil {
		t.Error("2³¹ was a label")
	}
}

func TestOutputs(t *testing.T) {
	touch(t, "in.npy", "old.npy", "dir/in.npy", "dir/b.npy")
	os.Symlink("in.npy", "link.npy")
	os.Link("in.npy", "hard.npy")
	os.WriteFile("old.npy", []byte("old"), 0o666)
	os.Chmod("old.npy", 0o640)
	left := func() string {
		names, _ := filepath.Glob(".*")
		deep, _ := filepath.Glob("dir/.*")
		return fmt.Sprint(append(names, deep...))
	}
	for _, path := range []string{"in.npy", "./in.npy", "link.npy", "hard.npy", "dir/../in.npy"} {
		o := &Outputs{}
		_, err := o.Add("-grad", path, ".npy")
		if err == nil {
			err = o.Protect("x.npy", "in.npy")
		}
		o.Abort()
		if fmt.Sprint(err) != "-grad would overwrite in.npy" || left() != "[]" {
			t.Errorf("%s: %v, %s", path, err, left())
		}
	}
	o := &Outputs{}
	for _, test := range []struct{ path, want string }{
		{"a.png", "-grad a.png: want a name that ends in .npy"},
		{"none/a.npy", "there is no folder none"},
		{"dir", "want a name that ends in .npy"},
	} {
		if _, err := o.Add("-grad", test.path, ".npy"); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.path, err)
		}
	}
	one, err := o.Add("-grad", "old.npy")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.Add("-counts", "dir/../old.npy"); fmt.Sprint(err) != "-grad and -counts would both write dir/../old.npy" {
		t.Error(err)
	}
	if _, err := o.Add("-counts", "new"); err != nil {
		t.Error(err)
	}
	if _, err := o.Add("-plot", "./new"); err == nil {
		t.Error("two outputs of a name that is not there yet")
	}
	fmt.Fprint(one, "new content")
	if b, _ := os.ReadFile("old.npy"); string(b) != "old" {
		t.Errorf("before Commit: %s", b)
	}
	o.Abort()
	if b, _ := os.ReadFile("old.npy"); string(b) != "old" || left() != "[]" {
		t.Errorf("after Abort: %s, %s", b, left())
	}
	if err := o.Commit(); err == nil {
		t.Error("Commit after Abort")
	}

	o = &Outputs{}
	one, err = o.Add("-grad", "old.npy")
	if err != nil {
		t.Fatal(err)
	}
	folder, err := o.AddDir("-grads", "out")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(one, "new content")
	for _, name := range []string{"a/1.npy", "2.npy"} {
		if err := folder.File(name, func(w io.Writer) error { _, err := fmt.Fprint(w, name); return err }); err != nil {
			t.Fatal(err)
		}
	}
	if err := folder.File("../x", nil); err == nil {
		t.Error("a file beside the folder")
	}
	if err := o.Commit(); err != nil {
		t.Fatal(err)
	}
	info, _ := os.Stat("old.npy")
	b, _ := os.ReadFile("old.npy")
	c, _ := os.ReadFile("out/a/1.npy")
	if string(b) != "new content" || string(c) != "a/1.npy" || left() != "[]" || info.Mode().Perm() != 0o640 {
		t.Errorf("%s, %s, %s, %v", b, c, left(), info.Mode())
	}

	// A folder that is there already keeps what it has, but for an input.
	o = &Outputs{}
	if folder, err = o.AddDir("-grads", "dir"); err != nil {
		t.Fatal(err)
	}
	if err := o.ProtectIn(folder, []string{"x.npy", "in.npy"},
		[]string{"dir/in.npy"}); fmt.Sprint(err) != "-grads would overwrite dir/in.npy" {
		t.Error(err)
	}
	if err := folder.File("c.npy", func(w io.Writer) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := o.Commit(); err != nil {
		t.Fatal(err)
	}
	names, _ := filepath.Glob("dir/*")
	if fmt.Sprint(names) != "[dir/b.npy dir/c.npy dir/in.npy]" || left() != "[]" {
		t.Errorf("%v %s", names, left())
	}

	if _, err := os.Stat("/dev/full"); err == nil { // what cannot be written is said
		o = &Outputs{}
		out, err := o.Add("-grad", "/dev/full", ".npy")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(out, "x")
		if err := o.Commit(); err == nil || !strings.Contains(err.Error(), "-grad /dev/full cannot be written: no space left on device") {
			t.Error(err)
		}
	}
}

// A folder of files that are not read says why, as one of them does.
func TestWhyNoneIsRead(t *testing.T) {
	touch(t, "x/plans.json", "y/1.npy", "z/.x", "g/a/1.npz")
	for _, test := range []struct {
		name, begin string
		role        Role
		want        string
	}{
		{"x/1.bin", "\x00\x00\x80\x3f", Logits, "x: no file of logits among its 2 files: x/1.bin: not a .npy, .npz, .safetensors or .pt file (raw float32 is read with -shape, as in -shape -1,20)"},
		{"x/1.png", pngMagic, Logits, "x: no file of logits among its 2 files: x/1.png: a PNG file cannot hold logits"},
		{"x/1.tif", "II*\x00", Labels, "x: no file of labels among its 2 files: x/1.tif: TIFF is not read: convert it in Python with numpy.save('labels.npy', tifffile.imread('1.tif'))"},
		{"x/1.nii.gz", gzipMagic, Logits, "x: no file of logits among its 2 files: x/1.nii.gz: gzip (.nii.gz) is not read: convert it in Python with numpy.save('logits.npy', nibabel.load('1.nii.gz').get_fdata().T)"},
	} {
		if err := os.WriteFile(test.name, []byte(test.begin), 0o666); err != nil {
			t.Fatal(err)
		}
		s, err := List("x", test.role, false)
		if err == nil {
			_, _, _, err = Ordered(s)
		}
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("got %v, want %s", err, test.want)
		}
		os.Remove(test.name)
	}
}

// A name with [ in it is a pattern only if it fits a file.
func TestIsSet(t *testing.T) {
	touch(t, "a[1].npy", "b1.npy", "c/1.npy")
	for path, want := range map[string]bool{"a[1].npy": false, "a[2].npy": false, "b[1].npy": true, "b[2].npy": false, "b[.npy": false,
		"b?.npy": true, "none*": true, "c": true, "b1.npy": false} {
		if got := IsSet(path); got != want {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
	if _, err := Open("a[2].npy", Logits, Options{}); err == nil || err.Error() != "a[2].npy: no such file, and none fits it as a pattern" {
		t.Errorf("got %v", err)
	}
}
