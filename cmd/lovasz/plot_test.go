package main

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	_ "image/png"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/lanewise/lanewise"
	"github.com/lanewise/lanewise/files"
)

func TestPlot(t *testing.T) {
	dir := t.TempDir()
	if code, _, stderr := command("-plot", dir+"/a.svg"); code != 0 {
		t.Fatal(stderr)
	}
	svg, err := os.ReadFile(dir + "/a.svg")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(svg), "font-family:") != strings.Count(string(svg), "font-family:"+svgFonts) {
		t.Error("a font without a family to fall back to")
	}
	for _, want := range append([]string{"<svg", "Lovász loss", "IoU", "mean IoU 0.", "sans-serif", "predicted:"}, exampleNames...) {
		if !strings.Contains(string(svg), want) {
			t.Errorf("no %q in the picture", want)
		}
	}
	// The bars are as long as what they stand for: 0.25 is a quarter of 1.
	r := &report{Loss: .5, MeanIoU: .5, Classes: []classReport{{Loss: 1, IoU: .25}, {Loss: number(math.NaN()), IoU: .5}}}
	draw := func(path string) error {
		var b bytes.Buffer
		if err := r.plot(&b, path); err != nil {
			return err
		}
		return os.WriteFile(path, b.Bytes(), 0o666)
	}
	if err := draw(dir + "/b.png"); err != nil {
		t.Fatal(err)
	}
	lengths := func(path string, c color.Color) (rows []int) {
		picture := readPicture(t, path)
		r0, g0, b0, _ := c.RGBA()
		for y := 95; y < picture.Bounds().Dy(); y++ { // below the key
			n := 0
			for x := range picture.Bounds().Dx() {
				if r, g, b, _ := picture.At(x, y).RGBA(); r == r0 && g == g0 && b == b0 {
					n++
				}
			}
			if n > 5 && (len(rows) == 0 || rows[len(rows)-1] != n) {
				rows = append(rows, n)
			}
		}
		return rows
	}
	loss, iou := lengths(dir+"/b.png", lossColour), lengths(dir+"/b.png", iouColour)
	if len(loss) != 1 || len(iou) != 2 || math.Abs(float64(4*iou[0]-loss[0])) > 6 || math.Abs(float64(2*iou[1]-loss[0])) > 4 {
		t.Errorf("lengths %v and %v of 1, 0.25 and 0.5", loss, iou)
	}
	if b := readPicture(t, dir+"/b.png").Bounds(); b.Dx() != 800 {
		t.Errorf("the picture is %v", b)
	}
	if err := draw(dir + "/c.pdf"); err != nil {
		t.Error(err)
	}
	if code, _, stderr := command("-plot", dir+"/a.gif"); code != 1 || !strings.Contains(stderr, "gif") {
		t.Errorf("exit %d, %s", code, stderr)
	}
}

func readPicture(t *testing.T, path string) image.Image {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	picture, _, err := image.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	return picture
}

// The values behind the picture, in both layouts: errors by the definition, void pixels marked, and their colours.
func TestHeatmap(t *testing.T) {
	planes := []float32{2, 0, 0, 1, -1, 0, 1, .5, 1, -.5, 3, 0} // image 0: classes 0, 1, 2 of 2 pixels; then image 1
	rows := []float32{2, 0, -1, 0, 1, 0, 1, 1, 3, .5, -.5, 0}
	y := &array[int32]{shape: []int{2, 1, 2}, data: []int32{2, 255, 0, 1}}
	o := &options{Activation: "auto", Void: []int32{255}}
	for _, test := range []struct {
		layout lanewise.Layout
		data   []float32
	}{{lanewise.ClassMajor, planes}, {lanewise.PixelMajor, rows}} {
		for i := range 2 {
			s := files.Shape{Images: 2, Pixels: 2, Classes: 3, Layout: test.layout}
			h, err := o.newHeatmap(&array[float32]{data: test.data}, y, s, i)
			if err != nil {
				t.Fatal(err)
			}
			if h.width != 2 || h.height != 1 || h.void[1] != (i == 0) || h.void[0] {
				t.Errorf("%+v", h)
			}
			for p := range 2 {
				sum := 0.
				for k := range 3 {
					sum += math.Exp(float64(rows[3*(2*i+p)+k]))
				}
				for k := range 3 {
					want := math.Exp(float64(rows[3*(2*i+p)+k])) / sum
					if int(y.data[2*i+p]) == k {
						want = 1 - want
					}
					if got := float64(h.errors[k][p]); math.Abs(got-want) > 1e-6 {
						t.Errorf("image %d, pixel %d, class %d: error %v, want %v", i, p, k, got, want)
					}
				}
			}
			if got := h.planes(test.data); fmt.Sprint(got) != fmt.Sprint(planes[6*i:6*i+6]) {
				t.Errorf("planes %v, want %v", got, planes[6*i:6*i+6])
			}
			picture := h.picture([]float32{0, 1}, 1)
			if picture.At(0, 0) != (color.RGBA{0, 0, 0, 0xff}) {
				t.Errorf("0 is %v, want black", picture.At(0, 0))
			}
			if r, g, b, _ := picture.At(1, 0).RGBA(); i == 1 && min(r, g, b) < 0xf000 || i == 0 && b <= r {
				t.Errorf("1 is %v, want white, or blue where it is void", picture.At(1, 0))
			}
		}
	}

	set := newSet(t, 4, 3, 8, 12)
	dir := t.TempDir()
	for i, args := range [][]string{
		append(set.batch(), "-heatmap-image", "2"),
		append(set.batch(), "-heatmap-image", "2", "-grad", dir+"/g.npy"),
		append(set.files(), "-heatmap-image", "2", "-method", "exact"),
		append(set.batch(), "-heatmap-image", "2", "-layout", "class"),
	} {
		path := fmt.Sprintf("%s/%d.png", dir, i)
		if code, _, stderr := command(append(args, "-heatmap", path)...); code != 0 {
			t.Fatal(stderr)
		}
		first, _ := os.ReadFile(dir + "/0.png")
		if this, err := os.ReadFile(path); err != nil || string(this) != string(first) {
			t.Errorf("%v: another picture than %s (%v)", args, path, err)
		}
	}
	if b := readPicture(t, dir+"/0.png").Bounds(); b.Dx() < 300 || b.Dy() < 300 {
		t.Errorf("a picture of %v", b)
	}
	counted := append(set.batch(), "-heatmap-image", "2", "-method", "binned", "-heatmap")
	if code, _, stderr := command(append(counted, dir+"/b.png")...); code != 0 {
		t.Fatal(stderr)
	}
	if code, _, stderr := command(append(append(counted, dir+"/c.png"), "-counts", dir+"/c.bin")...); code != 0 {
		t.Fatal(stderr)
	}
	b, _ := os.ReadFile(dir + "/b.png")
	if c, err := os.ReadFile(dir + "/c.png"); err != nil || string(b) != string(c) {
		t.Errorf("with -counts another picture: %v", err)
	}
	for _, test := range []struct{ args, want string }{
		{"-heatmap a.png", "-heatmap draws rows and columns: labels [H, W] or [N, H, W], not [2000] of 1 image"},
		{strings.Join(set.batch(), " ") + " -heatmap a.png -heatmap-image 4", "-heatmap-image 4: there are 4 images, from 0"},
		{strings.Join(set.files(), " ") + " -per-image -heatmap a.png -heatmap-image 4", "-heatmap-image 4: there are 4 images, from 0"},
		{strings.Join(set.batch(), " ") + " -heatmap a.png -heatmap-image -1", "-heatmap-image counts from 0"},
	} {
		code, _, stderr := command(strings.Fields(test.args)...)
		if line := strings.TrimSuffix(strings.TrimPrefix(stderr, "lovasz: "), "\n"); code != 1 || line != test.want {
			t.Errorf("%s: exit %d, got %s, want %s", test.args, code, line, test.want)
		}
	}
}

// Of one score per pixel the pictures speak of the foreground: a class 0 would be the background of their key.
func TestLabelOfOneClass(t *testing.T) {
	for want, r := range map[string]report{
		"foreground": {Classes: []classReport{{}}},
		"0 vessel":   {Classes: []classReport{{Name: "vessel"}}},
		"0":          {Classes: []classReport{{}, {Class: 1}}},
	} {
		if got := r.label(0); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
