// Localwriter is the rival that lading's local store is measured against: it keeps content the way
// containerd's local writer does, one step after the other, and times itself.
//
// It takes one mode and prints one JSON object: the seconds of each round, without the start of the
// process and without the clearing up between rounds, and the digest of what it stored, so that
// whoever compares can see that the same work was done.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"
)

const usage = `usage: localwriter MODE [options]

  ingest  keep the file -source, or standard input when that is "-", as one blob
  memory  keep -size bytes, the file -source over and over, from memory, as one blob
  add     keep -count blobs of -each bytes out of -source, one by one, -way same, plain or containerd
  pull    get the URLs in -source, with commas between them, and keep each as a blob
  rehash  read and hash the file -source, as reopening a partial does
`

type result struct {
	Mode    string    `json:"mode"`
	Seconds []float64 `json:"seconds"`
	Digest  string    `json:"digest"`
}

// options are the same for every mode; a mode takes those that it needs.
type options struct {
	root   string
	source string
	way    string
	// authority is a file of certificates that https URLs are checked with.
	authority string
	size   int64
	count  int
	each   int
	rounds int
}

// work is one mode, ready to run: run is what is timed, clear makes the next round like the first.
type work struct {
	run   func(round int) (digest string, err error)
	clear func() error
}

func main() {
	if err := measure(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "localwriter:", err)
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
	flags.StringVar(&o.root, "root", "", "the folder to keep blobs in")
	flags.StringVar(&o.source, "source", "", "the file to take bytes from")
	flags.StringVar(&o.way, "way", "plain", "how to add: same, plain or containerd")
	flags.StringVar(&o.authority, "authority", "", "the certificate that https servers are checked with")
	flags.Int64Var(&o.size, "size", 0, "bytes to keep from memory")
	flags.IntVar(&o.count, "count", 1000, "blobs to add")
	flags.IntVar(&o.each, "each", 4096, "bytes of each blob")
	flags.IntVar(&o.rounds, "rounds", 1, "how often to do and time the work")
	if err := flags.Parse(arguments[1:]); err != nil {
		return err
	}
	w, err := prepare(mode, o)
	if err != nil {
		return err
	}
	r := result{Mode: mode}
	for round := range o.rounds {
		started := time.Now()
		digest, err := w.run(round)
		took := time.Since(started)
		if err != nil {
			return err
		}
		r.Seconds = append(r.Seconds, took.Seconds())
		r.Digest = digest
		if round == o.rounds-1 {
			break // clearing up is for the next round; after the last one the caller decides
		}
		if err := w.clear(); err != nil {
			return err
		}
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

func prepare(mode string, o options) (work, error) {
	switch mode {
	case "ingest":
		return prepareIngest(o)
	case "memory":
		return prepareMemory(o)
	case "add":
		return prepareAdd(o)
	case "pull":
		return preparePull(o)
	case "rehash":
		return prepareRehash(o)
	}
	return work{}, fmt.Errorf("unknown mode %q\n%s", mode, usage)
}
