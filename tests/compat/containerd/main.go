// Program contentroot opens a content root with containerd's own local store, so that tests can
// prove that lading and containerd go on where the other stopped. It prints one JSON document.
//
//	contentroot walk ROOT             every blob, read to its end and hashed again
//	contentroot statuses ROOT         every open ingest
//	contentroot write [FLAGS] ROOT REF    append standard input to the ref's ingest, and close it
//	    -total N      the size that is promised
//	    -truncate     forget what the ref holds before writing
//	    -die          end without closing, as a killed process does
//	    -commit       make it a blob instead of closing it
//	    -expected D   the digest to commit under
//	contentroot abort ROOT REF        end an ingest
//	contentroot delete ROOT DIGEST    delete a blob
package main

import (
	"context"
	_ "crypto/sha256" // go-digest knows only the algorithms that are linked in
	_ "crypto/sha512"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/containerd/containerd/content"
	"github.com/containerd/containerd/content/local"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// blob is what containerd says of a blob, and what its bytes say.
type blob struct {
	Digest    digest.Digest `json:"digest"`
	Size      int64         `json:"size"`
	CreatedNS int64         `json:"created_ns"`
	ReadSize  int64         `json:"read_size"`
	Matches   bool          `json:"matches"`
}

// ingest is what containerd says of an open ingest.
type ingest struct {
	Ref       string `json:"ref"`
	Offset    int64  `json:"offset"`
	Total     int64  `json:"total"`
	StartedNS int64  `json:"started_ns"`
	UpdatedNS int64  `json:"updated_ns"`
}

// written is where a writer began, where it stopped, and the digest of all that the ref holds.
type written struct {
	Resumed ingest        `json:"resumed"`
	Before  digest.Digest `json:"digest_before"`
	Offset  int64         `json:"offset"`
	Digest  digest.Digest `json:"digest"`
}

func main() {
	result, err := run(context.Background(), os.Args[1:])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(result)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (any, error) {
	if len(args) == 0 {
		return nil, errors.New("no command")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	total := flags.Int64("total", 0, "")
	truncate := flags.Bool("truncate", false, "")
	die := flags.Bool("die", false, "")
	commit := flags.Bool("commit", false, "")
	expected := flags.String("expected", "", "")
	if err := flags.Parse(args[1:]); err != nil {
		return nil, err
	}
	store, err := local.NewStore(flags.Arg(0))
	if err != nil {
		return nil, err
	}

	switch args[0] {
	case "walk":
		return walk(ctx, store)
	case "statuses":
		return statuses(ctx, store)
	case "write":
		writer, err := store.Writer(ctx, content.WithRef(flags.Arg(1)),
			content.WithDescriptor(ocispec.Descriptor{Size: *total}))
		if err != nil {
			return nil, err
		}
		if !*die {
			defer writer.Close()
		}
		return write(ctx, writer, *truncate, *commit, digest.Digest(*expected))
	case "abort":
		return nil, store.Abort(ctx, flags.Arg(1))
	case "delete":
		return nil, store.Delete(ctx, digest.Digest(flags.Arg(1)))
	}
	return nil, fmt.Errorf("unknown command %q", args[0])
}

func walk(ctx context.Context, store content.Store) ([]blob, error) {
	found := []blob{}
	err := store.Walk(ctx, func(info content.Info) error {
		if err := info.Digest.Validate(); err != nil {
			return err
		}
		reader, err := store.ReaderAt(ctx, ocispec.Descriptor{Digest: info.Digest})
		if err != nil {
			return err
		}
		defer reader.Close()
		verifier := info.Digest.Verifier()
		size, err := io.Copy(verifier, io.NewSectionReader(reader, 0, reader.Size()))
		if err != nil {
			return err
		}
		found = append(found, blob{
			Digest:    info.Digest,
			Size:      info.Size,
			CreatedNS: info.CreatedAt.UnixNano(),
			ReadSize:  size,
			Matches:   verifier.Verified(),
		})
		return nil
	})
	return found, err
}

func statuses(ctx context.Context, store content.Store) ([]ingest, error) {
	active, err := store.ListStatuses(ctx)
	if err != nil {
		return nil, err
	}
	found := []ingest{}
	for _, status := range active {
		found = append(found, described(status))
	}
	return found, nil
}

func described(status content.Status) ingest {
	return ingest{
		Ref:       status.Ref,
		Offset:    status.Offset,
		Total:     status.Total,
		StartedNS: status.StartedAt.UnixNano(),
		UpdatedNS: status.UpdatedAt.UnixNano(),
	}
}

func write(
	ctx context.Context, writer content.Writer, truncate, commit bool, expected digest.Digest,
) (result written, err error) {
	status, err := writer.Status()
	if err != nil {
		return result, err
	}
	result.Resumed, result.Before = described(status), writer.Digest()
	if truncate {
		if err := writer.Truncate(0); err != nil {
			return result, err
		}
	}
	if _, err := io.Copy(writer, os.Stdin); err != nil {
		return result, err
	}
	if status, err = writer.Status(); err != nil {
		return result, err
	}
	result.Offset, result.Digest = status.Offset, writer.Digest()
	if commit {
		return result, writer.Commit(ctx, status.Total, expected)
	}
	return result, nil
}
