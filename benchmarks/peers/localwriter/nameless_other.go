//go:build !linux

package main

import "os"

// Where no file can be without a name, one with a name has to do, which lading does there too.

func openNameless(folder string) (*os.File, error) {
	return os.CreateTemp(folder, ".draft-")
}

func seal(file *os.File) error {
	return file.Chmod(0o444)
}

func link(file *os.File, target string) error {
	return os.Rename(file.Name(), target)
}
