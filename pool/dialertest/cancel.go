package dialertest

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/pool"
)

// soon is how long a caller whose context has ended may have to wait: 50 ms on
// a machine that is not busy with other tests.
const soon = 500 * time.Millisecond

// Callers leave when their context ends, wherever they wait.
func checkCanceled(t *testing.T, b *bench) {
	db := b.open()
	db.SetMaxOpenConns(1)
	leaves := func(what string, ctx context.Context, wait func(context.Context) error) {
		t.Helper()
		begin := time.Now()
		require.Error(t, wait(ctx), what)
		require.Less(t, time.Since(begin), soon+50*time.Millisecond, what)
	}
	statement := func(ctx context.Context) error {
		_, err := db.ExecContext(ctx, b.SQL.Sleep)
		return err
	}
	leaves("in a statement", within(t, 50*time.Millisecond), statement)
	require.Equal(t, b.user, b.sessionUser(db))
	held, err := db.Conn(t.Context())
	require.NoError(t, err)
	leaves("in the queue", within(t, 50*time.Millisecond), statement)
	leaves("in drain", within(t, 50*time.Millisecond), func(ctx context.Context) error { return db.Drained(ctx, "v0") })
	leaves("in a transaction", within(t, 50*time.Millisecond), func(ctx context.Context) error {
		tx, err := held.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, b.SQL.Sleep)
		return err
	})
	_ = held.Close() // it may have been found bad
	eventually(t, func() bool { return b.Sessions(b.user) == sockets(db) }, "as many sockets as sessions")
	require.Equal(t, b.user, b.sessionUser(db))
}

// A server that accepts connections and then says nothing keeps neither callers
// nor Close, and its sockets are closed and counted out.
func checkSilentServer(t *testing.T, b *bench) {
	p := newProxy(t, b.Address)
	db := b.openWith(b.At(p.address()), b.store)
	require.Equal(t, b.user, b.sessionUser(db))
	require.Equal(t, 1, p.open(), "one socket, as that of the verification is closed")
	require.Equal(t, 1, sockets(db))
	db.SetMaxIdleConns(-1)
	eventually(t, func() bool { return p.open() == 0 && sockets(db) == 0 }, "closed and counted out")

	p.silence(true)
	begin := time.Now()
	require.ErrorIs(t, db.PingContext(within(t, 50*time.Millisecond)), context.DeadlineExceeded)
	require.Less(t, time.Since(begin), soon)
	require.Equal(t, 1, sockets(db), "the login goes on, as it may be rejected")
	begin = time.Now()
	require.NoError(t, db.Close())
	require.Less(t, time.Since(begin), 2*soon, "closing ends the login")
	require.Zero(t, sockets(db))
	eventually(t, func() bool { return p.open() == 0 }, "all sockets are closed")

	begin = time.Now()
	err := b.At(p.address()).Verify(within(t, 50*time.Millisecond), snapshot(b.user, b.password()), &pool.Options{})
	require.Error(t, err)
	require.Less(t, time.Since(begin), soon)
	eventually(t, func() bool { return p.open() == 0 }, "all sockets are closed")
}

// A proxy passes on what it gets until it is silenced.
type proxy struct {
	listener net.Listener
	upstream string
	all      sync.WaitGroup

	mu     sync.Mutex
	silent bool
	conns  map[net.Conn]struct{}
	ended  bool
}

func newProxy(t *testing.T, upstream string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{listener: l, upstream: upstream, conns: map[net.Conn]struct{}{}}
	p.all.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close() // ends accept
		p.mu.Lock()
		p.ended = true
		for c := range p.conns {
			_ = c.Close() // ends serve
		}
		p.mu.Unlock()
		p.all.Wait()
	})
	return p
}

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) silence(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silent = on
}

// open counts the clients' sockets.
func (p *proxy) open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

func (p *proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		silent := p.silent
		p.conns[c] = struct{}{}
		if p.ended {
			_ = c.Close() // too late
		}
		p.mu.Unlock()
		p.all.Go(func() {
			p.serve(c, silent)
			p.mu.Lock()
			defer p.mu.Unlock()
			delete(p.conns, c)
		})
	}
}

func (p *proxy) serve(c net.Conn, silent bool) {
	defer func() { _ = c.Close() }() // closing twice is harmless
	if silent {
		_, _ = io.Copy(io.Discard, c) // until the client leaves
		return
	}
	server, err := net.Dial("tcp", p.upstream)
	if err != nil {
		return
	}
	back := make(chan struct{})
	go func() { // ends with the server's socket
		defer close(back)
		_, _ = io.Copy(c, server)
		_ = c.Close()
	}()
	_, _ = io.Copy(server, c)
	_ = server.Close()
	<-back
}
