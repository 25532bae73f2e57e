package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/containerd/containerd"
	contentapi "github.com/containerd/containerd/api/services/content/v1"
	"github.com/containerd/containerd/content"
	"github.com/containerd/containerd/leases"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// root keeps a blob from both collectors.
var root = content.WithLabels(map[string]string{"containerd.io/gc.root": "benchmark"})

type mode func(context.Context, []*containerd.Client, []byte, options) ([]string, error)

var modes = map[string]mode{
	"write":  write,
	"read":   read,
	"commit": commit,
	"delete": remove,
	"info":   info,
	"list":   list,
	"clear":  clearAll,
	"hold":   hold,
}

// atOnce runs work for each client, and joins what they answer in the order of the clients.
func atOnce(
	clients []*containerd.Client, work func(int, *containerd.Client) ([]string, error),
) ([]string, error) {
	found := make([][]string, len(clients))
	failed := make([]error, len(clients))
	var all sync.WaitGroup
	for i, client := range clients {
		all.Add(1)
		go func(i int, client *containerd.Client) {
			defer all.Done()
			found[i], failed[i] = work(i, client)
		}(i, client)
	}
	all.Wait()
	var digests []string
	for i := range clients {
		if failed[i] != nil {
			return nil, failed[i]
		}
		digests = append(digests, found[i]...)
	}
	return digests, nil
}

func write(ctx context.Context, clients []*containerd.Client, block []byte, o options) ([]string, error) {
	return atOnce(clients, func(i int, client *containerd.Client) ([]string, error) {
		ref := fmt.Sprintf("large-%d-%d", o.round, i)
		blob, err := written(ctx, client, ref, block, o, uint64(o.round)<<8|uint64(i))
		return []string{blob.String()}, err
	})
}

// written commits one large blob. Its first eight bytes are its number, so that no two are alike.
func written(
	ctx context.Context, client *containerd.Client, ref string, block []byte, o options, number uint64,
) (digest.Digest, error) {
	writer, err := client.ContentStore().Writer(ctx, content.WithRef(ref))
	if err != nil {
		return "", err
	}
	defer writer.Close()
	head := append([]byte{}, block[:o.message]...)
	binary.LittleEndian.PutUint64(head, number)
	for offset := int64(0); offset < o.size; offset += int64(o.message) {
		start := offset % int64(len(block))
		data := block[start : start+int64(o.message)]
		if offset == 0 {
			data = head
		}
		if _, err := writer.Write(data); err != nil {
			return "", err
		}
	}
	if err := writer.Commit(ctx, o.size, "", root); err != nil {
		return "", err
	}
	return writer.Digest(), nil
}

func read(ctx context.Context, clients []*containerd.Client, _ []byte, o options) ([]string, error) {
	var blobs []digest.Digest
	err := clients[0].ContentStore().Walk(ctx, func(blob content.Info) error {
		if blob.Size == o.size {
			blobs = append(blobs, blob.Digest)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(blobs) < len(clients) {
		return nil, fmt.Errorf("%d blobs of %d bytes for %d clients", len(blobs), o.size, len(clients))
	}
	return atOnce(clients, func(i int, client *containerd.Client) ([]string, error) {
		stream, err := contentapi.NewContentClient(client.Conn()).Read(
			ctx, &contentapi.ReadContentRequest{Digest: blobs[i]},
		)
		if err != nil {
			return nil, err
		}
		for done := int64(0); ; {
			piece, err := stream.Recv()
			if err == io.EOF && done == o.size {
				return []string{blobs[i].String()}, nil
			}
			if err != nil {
				return nil, fmt.Errorf("after %d bytes: %w", done, err)
			}
			done += int64(len(piece.Data))
		}
	})
}

// small is the blob of a number, and the digest that a client of a registry would know beforehand.
func small(block []byte, o options, number int) ([]byte, digest.Digest) {
	start := number * o.each % (len(block) - o.each)
	data := append([]byte{}, block[start:start+o.each]...)
	binary.LittleEndian.PutUint64(data, uint64(o.round)<<32|uint64(number))
	return data, digest.FromBytes(data)
}

func commit(ctx context.Context, clients []*containerd.Client, block []byte, o options) ([]string, error) {
	return atOnce(clients, func(i int, client *containerd.Client) ([]string, error) {
		var digests []string
		store := client.ContentStore()
		for number := i; number < o.count; number += len(clients) {
			data, expected := small(block, o, number)
			writer, err := store.Writer(
				ctx,
				content.WithRef("small-"+expected.String()),
				content.WithDescriptor(ocispec.Descriptor{Digest: expected, Size: int64(o.each)}),
			)
			if err != nil {
				return nil, err
			}
			if _, err := writer.Write(data); err != nil {
				return nil, err
			}
			if err := writer.Commit(ctx, int64(o.each), expected, root); err != nil {
				return nil, err
			}
			writer.Close()
			digests = append(digests, expected.String())
		}
		return digests, nil
	})
}

func remove(ctx context.Context, clients []*containerd.Client, block []byte, o options) ([]string, error) {
	return atOnce(clients, func(i int, client *containerd.Client) ([]string, error) {
		var digests []string
		store := client.ContentStore()
		for number := i; number < o.count; number += len(clients) {
			_, known := small(block, o, number)
			if err := store.Delete(ctx, known); err != nil {
				return nil, err
			}
			digests = append(digests, known.String())
		}
		return digests, nil
	})
}

func info(ctx context.Context, clients []*containerd.Client, _ []byte, o options) ([]string, error) {
	return atOnce(clients, func(i int, client *containerd.Client) ([]string, error) {
		var digests []string
		store := client.ContentStore()
		for number := i; number < o.count; number += len(clients) {
			// A prime step, so that neighbours in time are none in the database.
			found, err := store.Info(ctx, filled(number*7919%o.among))
			if err != nil {
				return nil, err
			}
			digests = append(digests, found.Digest.String())
		}
		return digests, nil
	})
}

// filled is the digest of one of the blobs of fill; its bytes are its number in decimals.
func filled(number int) digest.Digest {
	return digest.FromString(strconv.Itoa(number))
}

func list(ctx context.Context, clients []*containerd.Client, _ []byte, o options) ([]string, error) {
	var digests []string
	err := clients[0].ContentStore().Walk(ctx, func(blob content.Info) error {
		digests = append(digests, blob.Digest.String())
		return nil
	})
	return digests, err
}

func clearAll(ctx context.Context, clients []*containerd.Client, _ []byte, o options) ([]string, error) {
	digests, err := list(ctx, clients, nil, o)
	if err != nil {
		return nil, err
	}
	store := clients[0].ContentStore()
	for _, each := range digests {
		if err := store.Delete(ctx, digest.Digest(each)); err != nil {
			return nil, err
		}
	}
	// The end of a lease can be told to wait for the collector.
	manager := clients[0].LeasesService()
	lease, err := manager.Create(ctx, leases.WithRandomID(), leases.WithExpiration(time.Hour))
	if err != nil {
		return nil, err
	}
	return digests, manager.Delete(ctx, lease, leases.SynchronousDelete)
}

func hold(ctx context.Context, clients []*containerd.Client, block []byte, o options) ([]string, error) {
	for i := 0; i < o.idle; i++ {
		store := clients[i%len(clients)].ContentStore()
		writer, err := store.Writer(ctx, content.WithRef(fmt.Sprintf("idle-%d", i)))
		if err != nil {
			return nil, err
		}
		defer writer.Close()
		if _, err := writer.Write(block[:o.each]); err != nil {
			return nil, err
		}
	}
	return write(ctx, clients, block, o)
}
