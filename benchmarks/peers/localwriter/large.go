package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
)

// bufferSize is that of containerd's content.Copy, which fills a buffer before it writes it.
const bufferSize = 1 << 20

func prepareIngest(o options) (work, error) {
	if o.source == "-" && o.rounds != 1 {
		return work{}, errors.New("standard input can be read in one round only")
	}
	s := store{o.root}
	if err := s.open(); err != nil {
		return work{}, err
	}
	run := func(int) (string, error) {
		source, size := os.Stdin, int64(0)
		if o.source != "-" {
			file, err := os.Open(o.source)
			if err != nil {
				return "", err
			}
			defer file.Close()
			info, err := file.Stat()
			if err != nil {
				return "", err
			}
			source, size = file, info.Size()
		}
		w, err := s.begin("large", size)
		if err != nil {
			return "", err
		}
		if err := fillAndHand(source, w.Write); err != nil {
			return "", err
		}
		return w.commit(size)
	}
	return work{run, s.clear}, nil
}

// fillAndHand reads source to its end and hands it over a full buffer at a time.
func fillAndHand(source io.Reader, hand func([]byte) (int, error)) error {
	buffer := make([]byte, bufferSize)
	for {
		n, err := io.ReadFull(source, buffer)
		if n > 0 {
			if _, err := hand(buffer[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func prepareMemory(o options) (work, error) {
	block, err := os.ReadFile(o.source)
	if err != nil {
		return work{}, err
	}
	if len(block) == 0 || len(block)%bufferSize != 0 {
		return work{}, fmt.Errorf("%s is not a whole number of buffers", o.source)
	}
	s := store{o.root}
	if err := s.open(); err != nil {
		return work{}, err
	}
	run := func(int) (string, error) {
		w, err := s.begin("large", o.size)
		if err != nil {
			return "", err
		}
		for kept := int64(0); kept < o.size; kept += bufferSize {
			start := kept % int64(len(block))
			step := min(bufferSize, o.size-kept)
			if _, err := w.Write(block[start : start+step]); err != nil {
				return "", err
			}
		}
		return w.commit(o.size)
	}
	return work{run, s.clear}, nil
}

func prepareRehash(o options) (work, error) {
	run := func(int) (string, error) {
		file, err := os.Open(o.source)
		if err != nil {
			return "", err
		}
		defer file.Close()
		hash := sha256.New()
		if err := fillAndHand(file, hash.Write); err != nil {
			return "", err
		}
		return "sha256:" + hex.EncodeToString(hash.Sum(nil)), nil
	}
	return work{run, func() error { return nil }}, nil
}
