package files

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestReadPNG(t *testing.T) {
	mask := []int32{0, 255, 2, 1, 3, 3, 0, 1}
	for _, test := range []struct {
		file, dtype string
		want        []int32
	}{
		{"mask_gray8.png", "gray8", mask},
		{"mask_gray16.png", "gray16", []int32{0, 3000, 2, 1, 3, 3, 0, 1}},
		{"mask_paletted.png", "paletted", mask},
		{"mask_paletted2.png", "paletted", []int32{0, 3, 2, 1, 3, 3, 0, 1}}, // two bits a pixel
		{"mask_bilevel.png", "gray1", []int32{0, 0, 0, 0, 1, 1, 0, 0}},
	} {
		a, err := readLabels("testdata/" + test.file)
		if err != nil {
			t.Errorf("%s: %v", test.file, err)
			continue
		}
		if a.dtype != test.dtype || !slices.Equal(a.shape, []int{2, 4}) || !slices.Equal(a.data, test.want) {
			t.Errorf("%s: got %s %v %v, want %s %v", test.file, a.dtype, a.shape, a.data, test.dtype, test.want)
		}
	}
}

// The gray values of 1, 2 and 4 bits are the labels, not their place between black and white.
func TestReadPNGSmallGray(t *testing.T) {
	for _, depth := range []byte{1, 2, 4} {
		n := 1 << depth
		row := []byte{0} // no filter
		var packed, filled byte
		for v := range n {
			packed |= byte(v) << (8 - depth - filled)
			if filled += depth; filled == 8 || v == n-1 {
				row = append(row, packed)
				packed, filled = 0, 0
			}
		}
		a, err := readLabels(writeFile(t, "mask.png", pngFile(uint32(n), 1, depth, 0, row)))
		if err != nil {
			t.Fatal(err)
		}
		for v := range n {
			if a.data[v] != int32(v) {
				t.Errorf("depth %d: got %v", depth, a.data)
				break
			}
		}
	}
}

func TestBadPNG(t *testing.T) {
	gray, err := os.ReadFile("testdata/mask_gray8.png")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		content []byte
		want    string
	}{
		{"gray with alpha", pngFile(1, 1, 8, 4, []byte{0, 1, 2}), "the PNG file is gray with alpha: a mask is gray or paletted"},
		{"cut", gray[:len(gray)-20], "not a valid PNG file: "},
		{"huge", pngFile(1<<31-1, 1<<31-1, 16, 0, nil), "the PNG file is too small for 2147483647 × 2147483647 pixels"},
		{"no pixels", pngFile(0, 5, 8, 0, nil), "not a valid PNG file"},
	} {
		_, err := readLabels(writeFile(t, "mask.png", test.content))
		if err == nil || !strings.Contains(err.Error(), "mask.png: "+test.want) {
			t.Errorf("%s: got %v\nwant %s", test.name, err, test.want)
		}
	}
	if _, err := readLogits("testdata/mask_gray8.png"); fmt.Sprint(err) != "testdata/mask_gray8.png: a PNG file cannot hold logits: want .npy, .npz, .safetensors or .pt (class ids that were predicted are -predictions)" {
		t.Error(err)
	}
}

// pngFile writes a PNG file of any depth and colour type: image/png writes no small gray depths.
func pngFile(width, height uint32, depth, colour byte, rows []byte) []byte {
	b := []byte("\x89PNG\r\n\x1a\n")
	chunk := func(kind string, data []byte) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
		body := append([]byte(kind), data...)
		b = append(b, body...)
		b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(body))
	}
	header := binary.BigEndian.AppendUint32(nil, width)
	header = binary.BigEndian.AppendUint32(header, height)
	chunk("IHDR", append(header, depth, colour, 0, 0, 0))
	var stream bytes.Buffer
	w := zlib.NewWriter(&stream)
	w.Write(rows)
	w.Close()
	chunk("IDAT", stream.Bytes())
	chunk("IEND", nil)
	return b
}
