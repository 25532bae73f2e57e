package main

import (
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"
)

const (
	nameless      = 0x400000 | syscall.O_DIRECTORY // O_TMPFILE
	workingFolder = -100                           // AT_FDCWD
	followLinks   = 0x400                          // AT_SYMLINK_FOLLOW
)

// openNameless makes a file in a folder that has no name until link gives it one.
func openNameless(folder string) (*os.File, error) {
	descriptor, err := syscall.Open(folder, nameless|syscall.O_RDWR|syscall.O_CLOEXEC, 0o666)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: folder, Err: err}
	}
	return os.NewFile(uintptr(descriptor), folder), nil
}

// seal gives an open file the mode and the times of a blob, as lading does.
func seal(file *os.File) error {
	descriptor := int(file.Fd())
	var found syscall.Stat_t
	if err := syscall.Fstat(descriptor, &found); err != nil {
		return err
	}
	if err := syscall.Fchmod(descriptor, found.Mode&0o777&^0o333); err != nil {
		return err
	}
	now := syscall.NsecToTimespec(time.Now().UnixNano())
	times := [2]syscall.Timespec{now, now}
	_, _, errno := syscall.Syscall6(
		syscall.SYS_UTIMENSAT, uintptr(descriptor), 0, uintptr(unsafe.Pointer(&times)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// link names a nameless file.
func link(file *os.File, target string) error {
	source, err := syscall.BytePtrFromString(fmt.Sprintf("/proc/self/fd/%d", file.Fd()))
	if err != nil {
		return err
	}
	name, err := syscall.BytePtrFromString(target)
	if err != nil {
		return err
	}
	here := workingFolder
	_, _, errno := syscall.Syscall6(
		syscall.SYS_LINKAT, uintptr(here), uintptr(unsafe.Pointer(source)),
		uintptr(here), uintptr(unsafe.Pointer(name)), followLinks, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
