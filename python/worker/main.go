// Command worker computes for the Python package lanewise, which starts it: tensors lie in memory that both map, requests and replies are
// frames on stdin and stdout. It ends when the process that started it does.
//
// All numbers are little-endian. A request is the length of a header and that of a payload, as uint32, then the header, which is JSON, and
// the payload, states one after the other. A reply is a status and the length of a payload, as uint32, then the payload: what the operation
// gives, or the text of an error. There is a reply to every request, in order. A frame that makes no sense ends the worker. One without a
// header or payload is no request, but says that one comes soon, and has no reply.
package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
)

// What a reply says.
const (
	statusOK      = iota
	statusInvalid // the caller's values: an error of the library
	statusRequest // the request: a bug of the package
)

const maxHeader = 1 << 26 // bytes: the weights of 2²⁰ classes are less

func main() {
	signal.Ignore(os.Interrupt) // Ctrl-C is the parent's
	watchParent()
	if err := serve(&stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "lanewise worker:", err)
		os.Exit(1)
	}
}

// serve answers requests until there are no more.
func serve(in io.Reader, out io.Writer) error {
	buffered := bufio.NewReaderSize(in, 1<<16)
	s := newServer()
	var header, payload []byte
	reply := make([]byte, 8)
	for {
		var lengths [8]byte
		if _, err := io.ReadFull(buffered, lengths[:]); err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
		headerLength, payloadLength := binary.LittleEndian.Uint32(lengths[:]), binary.LittleEndian.Uint32(lengths[4:])
		if headerLength == 0 && payloadLength == 0 {
			stdin.expect()
			continue
		}
		if headerLength > maxHeader {
			return fmt.Errorf("a header of %d bytes", headerLength)
		}
		var err error
		if header, err = read(buffered, header, headerLength); err != nil {
			return err
		}
		if payload, err = read(buffered, payload, payloadLength); err != nil {
			return err
		}
		answer, err := s.answer(reply[:8], header, payload)
		status := uint32(statusOK)
		if err != nil {
			status = statusInvalid
			if _, ok := errors.AsType[requestError](err); ok {
				status = statusRequest
			}
			answer = append(reply[:8], err.Error()...)
		}
		reply = answer
		if uint64(len(reply)-8) > math.MaxUint32 {
			return fmt.Errorf("a reply of %d bytes", len(reply))
		}
		binary.LittleEndian.PutUint32(reply, status)
		binary.LittleEndian.PutUint32(reply[4:], uint32(len(reply)-8))
		if _, err := out.Write(reply); err != nil {
			return err
		}
		const kept = 1 << 22
		if cap(payload)+cap(reply) > kept {
			payload, reply = nil, make([]byte, 8)
		}
	}
}

// read reads n bytes to the memory of b, if they fit. A length is only believed as far as there are bytes.
func read(in io.Reader, b []byte, n uint32) ([]byte, error) {
	const step = 1 << 24
	b = b[:0]
	for uint32(len(b)) < n {
		begin := len(b)
		end := min(begin+step, int(n))
		if end > cap(b) {
			b = append(make([]byte, 0, max(end, min(2*begin, int(n)))), b...)
		}
		b = b[:end]
		if _, err := io.ReadFull(in, b[begin:]); err != nil {
			return nil, fmt.Errorf("a request is cut off: %w", err)
		}
	}
	return b, nil
}
