package crashtest_test

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
)

// A leg is a connection to a database. Each request has a point: it is done, and
// its answer is not read. That it was not sent is the point before.
type leg struct {
	net.Conn
	in   *injector
	asks func([]byte) bool
	lost atomic.Bool // the answer that comes next
}

// dial opens legs. asks tells requests from what follows them, or ends a session.
func dial(in *injector, asks func([]byte) bool) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil || in == nil {
			return conn, err
		}
		return &leg{Conn: conn, in: in, asks: asks}, nil
	}
}

func (l *leg) Write(b []byte) (int, error) {
	if l.asks(b) && l.in.due("before an answer") {
		l.lost.Store(true)
	}
	return l.Conn.Write(b)
}

// Read sees the first byte of the answer, which begins when the server is done.
func (l *leg) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if l.lost.Load() {
		die()
	}
	return n, err
}

// Close comes where no answer is waited for.
func (l *leg) Close() error {
	if l.lost.Load() {
		die()
	}
	return l.Conn.Close()
}

// A trip is the same for HTTP.
type trip struct {
	next http.RoundTripper
	in   *injector
}

func (t trip) RoundTrip(r *http.Request) (*http.Response, error) {
	lost := t.in.due("before an answer")
	res, err := t.next.RoundTrip(r)
	if lost {
		die()
	}
	return res, err
}

// An errand is the same for what asks its context before each system call.
type errand struct {
	context.Context
	in *injector
}

func (e errand) Err() error {
	e.in.at("between system calls")
	return e.Context.Err()
}
