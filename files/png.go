package files

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
)

// A mask is a PNG file whose header has been read.
type mask struct {
	s             *source
	width, height int
	depth, colour byte
}

// openPNG reads the header of a mask: class ids as gray values or palette indices, or colours.
func (s *source) openPNG() (*Array, error) {
	header := make([]byte, 26) // signature, then the IHDR chunk up to the colour type
	if _, err := s.r.ReadAt(header, 0); err != nil {
		return nil, errors.New("the PNG file is truncated")
	}
	width, height := int64(binary.BigEndian.Uint32(header[16:])), int64(binary.BigEndian.Uint32(header[20:]))
	m := &mask{s: s, depth: header[24], colour: header[25]}
	if width < 1 || height < 1 || width > 1<<31-1 || height > 1<<31-1 || string(header[:8]) != "\x89PNG\r\n\x1a\n" ||
		string(header[12:16]) != "IHDR" {
		return nil, errors.New("not a valid PNG file")
	}
	if height > 8*maxRatio*s.size/width { // at least one bit a pixel
		return nil, fmt.Errorf("the PNG file is too small for %d × %d pixels", width, height)
	}
	m.width, m.height = int(width), int(height)
	a := &Array{Shape: []int{m.height, m.width}, elements: m}
	switch m.colour {
	case 0:
		a.Dtype = fmt.Sprintf("gray%d", m.depth)
	case 3:
		a.Dtype = "paletted"
	case 2, 6:
		a.Dtype, a.Colours = "rgb", true
		if m.depth != 8 {
			return nil, fmt.Errorf("a PNG file of colours has 8 bits each, not %d", m.depth)
		}
	case 4:
		return nil, errors.New("the PNG file is gray with alpha: a mask is gray or paletted, its values class ids, or RGB with -labels-map " +
			"COLOURS.json")
	default:
		return nil, errors.New("not a valid PNG file")
	}
	return a, nil
}

func (m *mask) floats() ([]float32, error) { return nil, errNotFloats("a PNG file") }

func (m *mask) integers() ([]int32, error) {
	decoded, err := png.Decode(withoutTransparency(io.NewSectionReader(m.s.r, 0, m.s.size)))
	if err != nil {
		return nil, fmt.Errorf("not a valid PNG file: %w", err)
	}
	data := make([]int32, 0, m.height*m.width)
	rows := func(pix []uint8, stride, bytes int, value func(pixel []uint8) int32) {
		for y := range m.height {
			row := pix[y*stride : y*stride+m.width*bytes]
			for ; len(row) > 0; row = row[bytes:] {
				data = append(data, value(row))
			}
		}
	}
	colour := func(pixel []uint8) int32 { return int32(pixel[0])<<16 | int32(pixel[1])<<8 | int32(pixel[2]) }
	switch picture := decoded.(type) {
	case *image.Paletted:
		rows(picture.Pix, picture.Stride, 1, func(pixel []uint8) int32 { return int32(pixel[0]) })
	case *image.Gray:
		// The decoder spreads 1, 2 and 4 bits over 0 … 255; a mask means the values themselves.
		spread := int32(255) / (1<<m.depth - 1)
		rows(picture.Pix, picture.Stride, 1, func(pixel []uint8) int32 { return int32(pixel[0]) / spread })
	case *image.Gray16:
		rows(picture.Pix, picture.Stride, 2, func(pixel []uint8) int32 { return int32(binary.BigEndian.Uint16(pixel)) })
	case *image.RGBA: // of RGB, without alpha
		rows(picture.Pix, picture.Stride, 4, colour)
	case *image.NRGBA:
		rows(picture.Pix, picture.Stride, 4, colour)
	default:
		return nil, errors.New("the PNG file is neither gray, paletted nor RGB")
	}
	return data, nil
}

// withoutTransparency leaves out the chunk tRNS, which says nothing about class ids, and for which the decoder would make colours of gray
// values. Chunks are passed on as they come: whether they are whole is the decoder's to see.
func withoutTransparency(r io.Reader) io.Reader {
	return &pngFilter{r: r, left: 8}
}

// A pngFilter passes on the signature, then chunk by chunk.
type pngFilter struct {
	r       io.Reader
	pending bytes.Reader // the beginning of a chunk, which was read to see its type
	left    int64        // bytes of the signature or the chunk that are not passed on yet
}

func (f *pngFilter) Read(p []byte) (int, error) {
	for f.pending.Len() == 0 && f.left == 0 {
		begin := make([]byte, 8)
		n, err := io.ReadFull(f.r, begin)
		if n == 0 {
			return 0, err
		}
		f.left = int64(binary.BigEndian.Uint32(begin)) + 4 // with its checksum
		if n == 8 && string(begin[4:]) == "tRNS" {
			if _, err := io.CopyN(io.Discard, f.r, f.left); err != nil {
				return 0, io.ErrUnexpectedEOF
			}
			f.left = 0
			continue
		}
		f.pending.Reset(begin[:n])
	}
	if f.pending.Len() > 0 {
		return f.pending.Read(p)
	}
	n, err := f.r.Read(p[:min(int64(len(p)), f.left)])
	f.left -= int64(n)
	return n, err
}
