package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// store is a folder laid out as containerd's content store is.
type store struct{ root string }

func (s store) blobs() string { return filepath.Join(s.root, "blobs", "sha256") }

func (s store) ingests() string { return filepath.Join(s.root, "ingest") }

// open makes the standing folders, which are there before the first round in a store that is in use.
func (s store) open() error {
	if s.root == "" {
		return errors.New("-root is missing")
	}
	return errors.Join(os.MkdirAll(s.blobs(), 0o755), os.MkdirAll(s.ingests(), 0o755))
}

func (s store) clear() error {
	return errors.Join(os.RemoveAll(s.blobs()), os.RemoveAll(s.ingests()), s.open())
}

// writer is one ingest: what is written is hashed afterwards, in the same thread.
type writer struct {
	store  store
	folder string
	file   *os.File
	hash   hash.Hash
}

// begin opens an ingest as containerd does: a folder with the ref, two times, the total and the data.
func (s store) begin(ref string, total int64) (*writer, error) {
	key := sha256.Sum256([]byte(ref))
	folder := filepath.Join(s.ingests(), hex.EncodeToString(key[:]))
	if err := os.Mkdir(folder, 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(folder, "ref"), []byte(ref), 0o666); err != nil {
		return nil, err
	}
	now := time.Now()
	for _, name := range []string{"startedat", "updatedat"} {
		if err := writeTime(filepath.Join(folder, name), now); err != nil {
			return nil, err
		}
	}
	if total > 0 {
		text := []byte(strconv.FormatInt(total, 10))
		if err := os.WriteFile(filepath.Join(folder, "total"), text, 0o666); err != nil {
			return nil, err
		}
	}
	file, err := os.OpenFile(filepath.Join(folder, "data"), os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	return &writer{store: s, folder: folder, file: file, hash: sha256.New()}, nil
}

// writeTime keeps a moment as containerd does: in a file of its own, synced, then renamed.
func writeTime(path string, moment time.Time) error {
	text, err := moment.MarshalText()
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_SYNC, 0o666)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

func (w *writer) Write(data []byte) (int, error) {
	n, err := w.file.Write(data)
	w.hash.Write(data[:n])
	return n, err
}

// commit makes the data a blob in containerd's order: its bytes, its name, its folder, then the rest.
func (w *writer) commit(size int64) (string, error) {
	if err := w.file.Sync(); err != nil {
		return "", err
	}
	found, err := w.file.Stat()
	if err != nil {
		return "", err
	}
	if err := w.file.Close(); err != nil {
		return "", err
	}
	if size > 0 && found.Size() != size {
		return "", fmt.Errorf("%d bytes were kept of %d", found.Size(), size)
	}
	digest := hex.EncodeToString(w.hash.Sum(nil))
	target := filepath.Join(w.store.blobs(), digest)
	if _, err := os.Stat(target); !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s is there already, so nothing was measured (%v)", target, err)
	}
	if err := os.Rename(filepath.Join(w.folder, "data"), target); err != nil {
		return "", err
	}
	if err := syncFolder(w.store.blobs()); err != nil {
		return "", err
	}
	now := time.Now()
	err = errors.Join(
		os.Chtimes(target, now, now),
		os.RemoveAll(w.folder),
		os.Chmod(target, found.Mode()&0o777&^0o333),
	)
	return "sha256:" + digest, err
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
