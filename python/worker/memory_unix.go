//go:build unix

package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A socket is the stdin, a Unix socket: the descriptors of memory come with the requests to map it.
type socket struct {
	awake
	descriptors []int
}

var stdin socket

func (s *socket) Read(p []byte) (int, error) {
	control := make([]byte, unix.CmsgSpace(4*4))
	s.wait()
	for {
		n, controlN, _, _, err := unix.Recvmsg(0, p, control, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 0, err
		}
		messages, err := unix.ParseSocketControlMessage(control[:controlN])
		if err != nil {
			return 0, err
		}
		for i := range messages {
			descriptors, err := unix.ParseUnixRights(&messages[i])
			if err != nil {
				return 0, err
			}
			s.descriptors = append(s.descriptors, descriptors...)
		}
		if n == 0 {
			return 0, io.EOF
		}
		return n, nil
	}
}

// closeDescriptors closes those that came with a request.
func (s *socket) closeDescriptors() {
	for _, fd := range s.descriptors {
		unix.Close(fd)
	}
	s.descriptors = s.descriptors[:0]
}

// mapMemory maps the memory whose descriptor came with the request.
func (s *socket) mapMemory(_ string, size int) ([]byte, error) {
	if len(s.descriptors) != 1 {
		return nil, fmt.Errorf("%d descriptors, want 1", len(s.descriptors))
	}
	fd := s.descriptors[0]
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return nil, err
	}
	if stat.Size < int64(size) {
		return nil, fmt.Errorf("the file has %d", stat.Size)
	}
	return unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
}

func unmapMemory(memory []byte) error { return unix.Munmap(memory) }

// watchParent ends the worker when its parent has ended, even where a forked child still holds the other end of the socket, or a long
// call is running.
func watchParent() {
	parent := os.Getppid()
	go func() {
		for range time.Tick(time.Second) {
			if os.Getppid() != parent {
				os.Exit(0)
			}
		}
	}()
}
