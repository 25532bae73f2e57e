package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// smallBlobs cuts count pieces out of block and numbers each in its first eight bytes, so that no two
// are alike.
func smallBlobs(block []byte, count, each int) ([][]byte, error) {
	if each < 8 || len(block) < each {
		return nil, fmt.Errorf("cannot cut pieces of %d bytes out of %d", each, len(block))
	}
	blobs := make([][]byte, count)
	for i := range blobs {
		start := i * each % (len(block) - each + 1)
		blobs[i] = append([]byte(nil), block[start:start+each]...)
		binary.LittleEndian.PutUint64(blobs[i], uint64(i))
	}
	return blobs, nil
}

func prepareAdd(o options) (work, error) {
	block, err := os.ReadFile(o.source)
	if err != nil {
		return work{}, err
	}
	blobs, err := smallBlobs(block, o.count, o.each)
	if err != nil {
		return work{}, err
	}
	s := store{o.root}
	if err := s.open(); err != nil {
		return work{}, err
	}
	var add func(i int, data []byte) (string, error)
	switch o.way {
	case "plain":
		add = s.addPlainly
	case "same":
		add = s.addSame
	case "containerd":
		add = s.addThroughIngest
	default:
		return work{}, fmt.Errorf("-way is same, plain or containerd, not %q", o.way)
	}
	run := func(int) (string, error) {
		all := sha256.New()
		for i, data := range blobs {
			digest, err := add(i, data)
			if err != nil {
				return "", err
			}
			all.Write([]byte(digest))
		}
		return "sha256:" + hex.EncodeToString(all.Sum(nil)), nil
	}
	return work{run, s.clear}, nil
}

// addThroughIngest keeps a blob the only way containerd has: an ingest of its own.
func (s store) addThroughIngest(i int, data []byte) (string, error) {
	w, err := s.begin("small-"+strconv.Itoa(i), int64(len(data)))
	if err != nil {
		return "", err
	}
	if _, err := w.Write(data); err != nil {
		return "", err
	}
	return w.commit(int64(len(data)))
}

// addPlainly keeps a blob with the fewest calls that make it durable and whole.
func (s store) addPlainly(i int, data []byte) (string, error) {
	temporary := filepath.Join(s.ingests(), strconv.Itoa(i))
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return "", err
	}
	_, err = file.Write(data)
	hash := sha256.Sum256(data)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return "", err
	}
	digest := hex.EncodeToString(hash[:])
	if err := os.Rename(temporary, filepath.Join(s.blobs(), digest)); err != nil {
		return "", err
	}
	return "sha256:" + digest, syncFolder(s.blobs())
}

// addSame keeps a blob with the very calls of lading, in its order.
func (s store) addSame(_ int, data []byte) (string, error) {
	hash := sha256.Sum256(data)
	digest := hex.EncodeToString(hash[:])
	file, err := openNameless(s.blobs())
	if err != nil {
		return "", err
	}
	_, err = file.WriteAt(data, 0)
	if err := errors.Join(err, seal(file), file.Sync()); err != nil {
		return "", err
	}
	if err := link(file, filepath.Join(s.blobs(), digest)); err != nil {
		return "", err
	}
	return "sha256:" + digest, errors.Join(syncFolder(s.blobs()), file.Close())
}
