package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
)

// readPNG reads a mask: the palette index or the gray value of every pixel.
func readPNG(r io.Reader, size int64) (*array[int32], error) {
	header := make([]byte, 26) // signature, then the IHDR chunk up to the colour type
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, errors.New("the PNG file is truncated")
	}
	width, height := int64(binary.BigEndian.Uint32(header[16:])), int64(binary.BigEndian.Uint32(header[20:]))
	depth, colour := header[24], header[25]
	if width > 0 && height > 8*maxRatio*size/width { // at least one bit a pixel: larger ones are not read, whatever the decoder would do
		return nil, fmt.Errorf("the PNG file is too small for %d × %d pixels", width, height)
	}
	if kinds := map[byte]string{2: "RGB", 4: "gray with alpha", 6: "RGB with alpha"}; kinds[colour] != "" {
		return nil, fmt.Errorf("the PNG file is %s: a mask is paletted or gray, its values class ids", kinds[colour])
	}
	decoded, err := png.Decode(io.MultiReader(bytes.NewReader(header), r))
	if err != nil {
		return nil, fmt.Errorf("not a valid PNG file: %w", err)
	}
	a := &array[int32]{shape: []int{int(height), int(width)}, data: make([]int32, 0, height*width)}
	rows := func(pix []uint8, stride, bytes int, value func(pixel []uint8) int32) {
		for y := range int(height) {
			row := pix[y*stride : y*stride+int(width)*bytes]
			for ; len(row) > 0; row = row[bytes:] {
				a.data = append(a.data, value(row))
			}
		}
	}
	switch m := decoded.(type) {
	case *image.Paletted:
		a.dtype = "paletted"
		rows(m.Pix, m.Stride, 1, func(pixel []uint8) int32 { return int32(pixel[0]) })
	case *image.Gray:
		// The decoder spreads 1, 2 and 4 bits over 0 … 255; a mask means the values themselves.
		a.dtype = fmt.Sprintf("gray%d", depth)
		spread := int32(255) / (1<<depth - 1)
		rows(m.Pix, m.Stride, 1, func(pixel []uint8) int32 { return int32(pixel[0]) / spread })
	case *image.Gray16:
		a.dtype = "gray16"
		rows(m.Pix, m.Stride, 2, func(pixel []uint8) int32 { return int32(binary.BigEndian.Uint16(pixel)) })
	default: // a transparent gray value
		return nil, errors.New("the PNG file has transparency: a mask is paletted or gray, its values class ids")
	}
	return a, nil
}
