package cut

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"
)

// A Line carries the sessions of a target to a server, over TCP, and fails as a
// [rotatetest.TargetHarness] asks: Fail and Down are its methods. It is safe for concurrent
// use.
type Line struct {
	// End ends a session of the server and waits until it is gone.
	End func(session uint64)

	mu   sync.Mutex
	down bool
	left int // requests until one breaks; zero: none will
	lost bool
}

var errDown = errors.New("the network is down")

// Dial connects. Requests on the connection break from when session says what it
// is on the server, which is when the login is over; nil: they do not break.
func (l *Line) Dial(ctx context.Context, network, addr string, session *Session) (net.Conn, error) {
	l.mu.Lock()
	down := l.down
	l.mu.Unlock()
	if down {
		return nil, errDown
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil || session == nil {
		return conn, err
	}
	return &leg{conn, l, session}, nil
}

// Down is for [rotatetest.TargetHarness.Down].
func (l *Line) Down(*testing.T) (up func()) {
	set := func(down bool) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.down = down
	}
	set(true)
	return func() { set(false) }
}

// Fail is for [rotatetest.TargetHarness.Fail].
func (l *Line) Fail(_ *testing.T, n int, lost bool) (hit func() bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left, l.lost = n, lost
	return func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		hit := l.left == 0
		l.left = 0
		return hit
	}
}

// breaks reports whether it is this request that breaks.
func (l *Line) breaks() (breaks, lost bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left == 0 {
		return false, false
	}
	l.left--
	return l.left == 0, l.lost
}

// A Session is the one behind a connection, as the server names it; zero until it
// has begun.
type Session struct{ ID uint64 }

type leg struct {
	net.Conn
	line    *Line
	session *Session
}

// Write breaks a request: its session is ended before, or its answer is lost.
func (l *leg) Write(b []byte) (int, error) {
	if l.session.ID == 0 {
		return l.Conn.Write(b)
	}
	breaks, lost := l.line.breaks()
	if !breaks {
		return l.Conn.Write(b)
	}
	if !lost {
		l.line.End(l.session.ID)
		return l.Conn.Write(b)
	}
	n, err := l.Conn.Write(b)
	if err == nil {
		// Once an answer begins, the request is done.
		_ = l.SetReadDeadline(time.Now().Add(5 * time.Second))
		_, _ = l.Read(make([]byte, 1))
		err = l.Close()
	}
	return n, err
}
