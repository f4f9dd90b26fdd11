package main

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

// A pipe is the stdin. Memory has names, and goes when nobody has it mapped any more.
type pipe struct{ awake }

var stdin pipe

func (*pipe) Read(p []byte) (int, error) { return os.Stdin.Read(p) }

func (*pipe) closeDescriptors() {}

// mapMemory maps the memory of this name, which must exist.
func (*pipe) mapMemory(name string, size int) ([]byte, error) {
	pointer, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return nil, err
	}
	mapping, err := windows.CreateFileMapping(windows.InvalidHandle, nil, windows.PAGE_READWRITE, uint32(uint64(size)>>32), uint32(size),
		pointer)
	if mapping != 0 {
		defer windows.CloseHandle(mapping)
	}
	if !errors.Is(err, windows.ERROR_ALREADY_EXISTS) {
		return nil, fmt.Errorf("no memory is named %q: %v", name, err)
	}
	address, err := windows.MapViewOfFile(mapping, windows.FILE_MAP_READ|windows.FILE_MAP_WRITE, 0, 0, uintptr(size))
	if err != nil {
		return nil, err
	}
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&address)), size), nil
}

func unmapMemory(memory []byte) error {
	return windows.UnmapViewOfFile(uintptr(unsafe.Pointer(unsafe.SliceData(memory))))
}

// watchParent has nothing to do: the pipe is at its end when the parent is.
func watchParent() {}
