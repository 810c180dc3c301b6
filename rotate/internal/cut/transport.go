package cut

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
)

// A Transport carries what a target asks of a server over HTTP, and fails as a
// [rotatetest.TargetHarness] asks: Fail and Down are its methods. The zero Transport is
// ready. It is safe for concurrent use.
type Transport struct {
	// Base does the requests. Nil: [http.DefaultTransport].
	Base http.RoundTripper

	mu   sync.Mutex
	down bool
	left int // requests until one breaks; zero: none will
	lost bool
}

var errBroken = errors.New("the network is down")

// RoundTrip is for [http.Client].
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	breaks, lost := t.breaks()
	if breaks && !lost {
		return nil, errBroken
	}
	base := t.Base
	if base == nil {
		base = http.DefaultTransport
	}
	answer, err := base.RoundTrip(r)
	if err != nil || !breaks {
		return answer, err
	}
	return nil, errors.Join(errBroken, answer.Body.Close())
}

// breaks reports whether it is this request that breaks.
func (t *Transport) breaks() (breaks, lost bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.down || t.left == 0 {
		return t.down, false
	}
	t.left--
	return t.left == 0, t.lost
}

// Down is for [rotatetest.TargetHarness.Down].
func (t *Transport) Down(*testing.T) (up func()) {
	set := func(down bool) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.down = down
	}
	set(true)
	return func() { set(false) }
}

// Fail is for [rotatetest.TargetHarness.Fail].
func (t *Transport) Fail(_ *testing.T, n int, lost bool) (hit func() bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.left, t.lost = n, lost
	return func() bool {
		t.mu.Lock()
		defer t.mu.Unlock()
		hit := t.left == 0
		t.left = 0
		return hit
	}
}

// Dial connects, and fails as requests do: it counts as one.
func (t *Transport) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	breaks, lost := t.breaks()
	if breaks && !lost {
		return nil, errBroken
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil || !breaks {
		return conn, err
	}
	return nil, errors.Join(errBroken, conn.Close())
}
