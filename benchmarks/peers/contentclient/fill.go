package main

import (
	"encoding/binary"
	"strconv"
	"time"

	"github.com/containerd/containerd/metadata/boltutil"
	"go.etcd.io/bbolt"
)

// fill puts rows into containerd's database, which would take minutes through its service. Info and
// List do not look at the bytes of a blob, so none are there.
func fill(o options) error {
	database, err := bbolt.Open(o.database, 0o644, nil)
	if err != nil {
		return err
	}
	defer database.Close()
	now := time.Now().UTC()
	return database.Update(func(tx *bbolt.Tx) error {
		bucket, err := tx.CreateBucketIfNotExists([]byte("v1"))
		for _, name := range []string{o.namespace, "content", "blob"} {
			if err != nil {
				return err
			}
			bucket, err = bucket.CreateBucketIfNotExists([]byte(name))
		}
		if err != nil {
			return err
		}
		for number := 0; number < o.among; number++ {
			blob, err := bucket.CreateBucket([]byte(filled(number)))
			if err != nil {
				return err
			}
			if err := boltutil.WriteTimestamps(blob, now, now); err != nil {
				return err
			}
			labels := map[string]string{"containerd.io/gc.root": "benchmark"}
			if err := boltutil.WriteLabels(blob, labels); err != nil {
				return err
			}
			size := make([]byte, binary.MaxVarintLen64)
			size = size[:binary.PutVarint(size, int64(len(strconv.Itoa(number))))]
			if err := blob.Put([]byte("size"), size); err != nil {
				return err
			}
		}
		return nil
	})
}
