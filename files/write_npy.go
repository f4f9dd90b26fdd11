package files

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

// WriteNPY writes a float32 array in NumPy's format.
func WriteNPY(to io.Writer, shape []int, data []float32) (err error) {
	list := strings.Trim(Axes(shape), "[]")
	if len(shape) == 1 {
		list += ","
	}
	text := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }", list)
	padding := 63 - (10+len(text))%64 // the data begin at a multiple of 64 bytes
	text += strings.Repeat(" ", padding) + "\n"

	w := bufio.NewWriter(to)
	w.WriteString(npyMagic + "\x01\x00")
	w.Write(binary.LittleEndian.AppendUint16(nil, uint16(len(text))))
	w.WriteString(text)
	var block []byte
	for len(data) > 0 {
		n := min(len(data), 1<<14)
		if block, err = binary.Append(block[:0], binary.LittleEndian, data[:n]); err != nil {
			return err
		}
		if _, err = w.Write(block); err != nil {
			return err
		}
		data = data[n:]
	}
	return w.Flush()
}
