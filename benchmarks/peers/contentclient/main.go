// Contentclient drives a content service, containerd's or lading's, through containerd's own client
// code: messages of a mebibyte, each answer waited for, as ctr and BuildKit do.
//
// It takes one mode and prints one JSON object: the seconds that the work took once the connections
// stood, and a digest that stands for what was done, so that whoever compares two servers can see
// that both did the same.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/containerd/containerd"
	"github.com/containerd/containerd/namespaces"
)

const usage = `usage: contentclient MODE [options]

  write   commit one blob of -size bytes in each of -clients streams, out of the file -source
  read    read the blobs that write has made, each by a client of its own
  commit  commit -count blobs of -each bytes, shared among -clients
  delete  delete the blobs that commit has made, one by one
  info    describe -count of the -among blobs that fill has made, shared among -clients
  list    list everything
  clear   delete everything, and wait until the bytes are gone
  hold    keep -idle streams open that say nothing, while -clients streams write -size bytes each
  fill    put -among blobs into the -database of a containerd that does not run
`

type result struct {
	Mode    string  `json:"mode"`
	Seconds float64 `json:"seconds"`
	Digest  string  `json:"digest"`
	Count   int     `json:"count"`
}

// options are the same for every mode; a mode takes those that it needs.
type options struct {
	address   string
	namespace string
	source    string
	database  string
	size      int64
	message   int
	clients   int
	count     int
	each      int
	among     int
	idle      int
	round     int
}

func main() {
	if err := measure(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "contentclient:", err)
		os.Exit(1)
	}
}

func measure(arguments []string) error {
	if len(arguments) == 0 {
		return fmt.Errorf("no mode given\n%s", usage)
	}
	mode := arguments[0]
	var o options
	flags := flag.NewFlagSet(mode, flag.ContinueOnError)
	flags.StringVar(&o.address, "address", "", "the socket of the server")
	flags.StringVar(&o.namespace, "namespace", "benchmark", "the namespace to work in")
	flags.StringVar(&o.source, "source", "", "the file to take bytes from")
	flags.StringVar(&o.database, "database", "", "containerd's meta.db, for fill")
	flags.Int64Var(&o.size, "size", 0, "bytes of a large blob")
	flags.IntVar(&o.message, "message", 1<<20, "bytes of a message")
	flags.IntVar(&o.clients, "clients", 1, "how many at once, each with a connection of its own")
	flags.IntVar(&o.count, "count", 1000, "how many blobs, or calls")
	flags.IntVar(&o.each, "each", 4096, "bytes of a small blob")
	flags.IntVar(&o.among, "among", 100000, "blobs that fill makes")
	flags.IntVar(&o.idle, "idle", 0, "streams that say nothing")
	flags.IntVar(&o.round, "round", 0, "rounds with different numbers have different bytes")
	if err := flags.Parse(arguments[1:]); err != nil {
		return err
	}
	if mode == "fill" {
		return fill(o)
	}
	work, known := modes[mode]
	if !known {
		return fmt.Errorf("there is no mode %q\n%s", mode, usage)
	}
	var block []byte
	if o.source != "" {
		read, err := os.ReadFile(o.source)
		if err != nil {
			return err
		}
		block = read
	}
	ctx := namespaces.WithNamespace(context.Background(), o.namespace)
	clients, err := connected(ctx, o)
	if err != nil {
		return err
	}
	started := time.Now()
	digests, err := work(ctx, clients, block, o)
	took := time.Since(started)
	if err != nil {
		return err
	}
	all := sha256.New()
	for _, each := range digests {
		all.Write([]byte(each))
	}
	return json.NewEncoder(os.Stdout).Encode(result{
		Mode:    mode,
		Seconds: took.Seconds(),
		Digest:  fmt.Sprintf("sha256:%x", all.Sum(nil)),
		Count:   len(digests),
	})
}

// connected gives -clients clients, each with a connection that has been used once.
func connected(ctx context.Context, o options) ([]*containerd.Client, error) {
	clients := make([]*containerd.Client, o.clients)
	for i := range clients {
		client, err := containerd.New(o.address)
		if err != nil {
			return nil, err
		}
		if _, err := client.ContentStore().ListStatuses(ctx); err != nil {
			return nil, err
		}
		clients[i] = client
	}
	return clients, nil
}
