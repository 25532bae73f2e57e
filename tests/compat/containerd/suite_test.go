// containerd's own suite for content stores, as Debian packages it for 1.6, against any server of
// containerd.services.content.v1 and containerd.services.leases.v1.
//
//	CONTENT_ADDRESS   where the server listens: unix:///path, or the path
//	CONTENT_PATIENCE  for how long to try again when a ref is in use; 0 asks for no patience.
//	                  The suite opens a ref again at once after closing it, and a server hears of
//	                  a closed stream a little later.
//
// Each test is in a namespace of its own, under a lease of its own, and takes away what it made.
package main_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	leasesapi "github.com/containerd/containerd/api/services/leases/v1"
	"github.com/containerd/containerd/content"
	contentproxy "github.com/containerd/containerd/content/proxy"
	"github.com/containerd/containerd/content/testsuite"
	"github.com/containerd/containerd/defaults"
	"github.com/containerd/containerd/errdefs"
	"github.com/containerd/containerd/leases"
	leasesproxy "github.com/containerd/containerd/leases/proxy"
	"github.com/containerd/containerd/namespaces"
	"google.golang.org/grpc"
)

var (
	address  = strings.TrimPrefix(os.Getenv("CONTENT_ADDRESS"), "unix://")
	patience = duration(os.Getenv("CONTENT_PATIENCE"))

	run   = strconv.FormatInt(time.Now().UnixNano(), 36)
	count atomic.Uint64 // namespaces that this process has made
)

func TestMain(m *testing.M) {
	if address == "" {
		fmt.Fprintln(os.Stderr, "CONTENT_ADDRESS is not set")
		os.Exit(2)
	}
	os.Exit(m.Run())
}

func TestContent(t *testing.T)  { testsuite.ContentSuite(t, "suite", open) }
func TestShared(t *testing.T)   { testsuite.ContentCrossNSSharedSuite(t, "suite", open) }
func TestIsolated(t *testing.T) { testsuite.ContentCrossNSIsolatedSuite(t, "suite", open) }

func duration(text string) time.Duration {
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		panic(err)
	}
	return d
}

// patientStore opens a writer again while its ref is in use.
type patientStore struct {
	content.Store
}

func (s patientStore) Writer(ctx context.Context, opts ...content.WriterOpt) (content.Writer, error) {
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		w, err := s.Store.Writer(ctx, opts...)
		if !errdefs.IsUnavailable(err) || time.Now().After(end) {
			return w, err
		}
	}
}

// session is one test's connection, and the namespaces that the test has used.
type session struct {
	conn   *grpc.ClientConn
	store  content.Store
	leases leases.Manager
	spaces []context.Context
}

// open is the suite's StoreInitFn.
func open(ctx context.Context, _ string) (context.Context, content.Store, func() error, error) {
	dialing, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	conn, err := grpc.DialContext(dialing, "unix://"+address,
		grpc.WithInsecure(),
		grpc.WithBlock(),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(defaults.DefaultMaxRecvMsgSize),
			grpc.MaxCallSendMsgSize(defaults.DefaultMaxSendMsgSize)))
	if err != nil {
		return nil, nil, nil, fmt.Errorf("dial %s: %w", address, err)
	}
	s := &session{
		conn:   conn,
		store:  patientStore{contentproxy.NewContentStore(contentapi.NewContentClient(conn))},
		leases: leasesproxy.NewLeaseManager(leasesapi.NewLeasesClient(conn)),
	}
	return testsuite.SetContextWrapper(ctx, s.enter), s.store, s.close, nil
}

// enter is the suite's ContextWrapper: a new namespace, under a new lease.
func (s *session) enter(ctx context.Context) (context.Context, func(context.Context) error, error) {
	name := fmt.Sprintf("suite-%s-%d-%d", run, os.Getpid(), count.Add(1))
	s.spaces = append(s.spaces, namespaces.WithNamespace(context.Background(), name))
	return s.lease(namespaces.WithNamespace(ctx, name))
}

// lease puts a new lease on ctx. The function that it returns deletes the lease, and returns when
// the server has collected what the lease alone kept.
func (s *session) lease(ctx context.Context) (context.Context, func(context.Context) error, error) {
	l, err := s.leases.Create(ctx, leases.WithRandomID(), leases.WithExpiration(time.Hour))
	if err != nil {
		return nil, nil, fmt.Errorf("create a lease: %w", err)
	}
	return leases.WithLease(ctx, l.ID), func(ctx context.Context) error {
		return s.leases.Delete(ctx, l, leases.SynchronousDelete)
	}, nil
}

// close empties the namespaces. The next test writes the same bytes, and has to find none of them.
func (s *session) close() error {
	defer s.conn.Close()
	for _, ctx := range s.spaces {
		if err := s.empty(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) empty(ctx context.Context) error {
	ingests, err := s.store.ListStatuses(ctx)
	if err != nil {
		return err
	}
	for _, i := range ingests {
		if err := s.abort(ctx, i.Ref); err != nil {
			return fmt.Errorf("abort %s: %w", i.Ref, err)
		}
	}

	var blobs []content.Info
	if err := s.store.Walk(ctx, func(i content.Info) error {
		blobs = append(blobs, i)
		return nil
	}); err != nil {
		return err
	}
	for _, i := range blobs {
		if err := s.store.Delete(ctx, i.Digest); err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("delete %s: %w", i.Digest, err)
		}
	}

	// Deleted bytes stay until the next collection, and the deletion of a lease can wait for one.
	ctx, done, err := s.lease(ctx)
	if err != nil {
		return err
	}
	return done(ctx)
}

// abort tries again while the server is still closing the ref's last writer.
func (s *session) abort(ctx context.Context, ref string) error {
	for end := time.Now().Add(2 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		err := s.store.Abort(ctx, ref)
		if err == nil || errdefs.IsNotFound(err) {
			return nil
		}
		if time.Now().After(end) {
			return err
		}
	}
}
