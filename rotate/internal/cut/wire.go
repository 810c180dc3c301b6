package cut

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"
)

// A Wire carries the requests of a store over HTTP and fails as a
// [rotatetest.StoreHarness] asks: Fail and Hang are its methods. It is safe for concurrent
// use.
type Wire struct {
	Next http.RoundTripper

	// Writes tells writes from other requests.
	Writes func(*http.Request) bool

	mu   sync.Mutex
	left int  // writes until one fails; zero: none will
	lost bool // its answer, not the write
	hung chan struct{}
	once sync.Once
	over <-chan struct{}
}

var errCut = errors.New("the connection was cut")

// RoundTrip implements [http.RoundTripper].
func (w *Wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	hung, over, fails := w.hung, w.over, false
	if w.left > 0 && w.Writes(r) {
		w.left--
		fails = w.left == 0
	}
	lost := w.lost
	w.mu.Unlock()
	switch {
	case hung != nil:
		w.once.Do(func() { close(hung) })
		closeBody(r)
		select {
		case <-r.Context().Done():
			return nil, r.Context().Err()
		case <-over:
			return nil, errCut
		}
	case fails && !lost:
		closeBody(r)
		return nil, errCut
	case fails:
		res, err := w.Next.RoundTrip(r)
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
			err = errors.Join(err, res.Body.Close())
		}
		return nil, errors.Join(errCut, err)
	}
	return w.Next.RoundTrip(r)
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close() // never read
	}
}

// Fail is for [rotatetest.StoreHarness.Fail].
func (w *Wire) Fail(_ *testing.T, n int, lost bool) (hit func() bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left, w.lost = n, lost
	return func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		hit := w.left == 0
		w.left = 0
		return hit
	}
}

// Hang is for [rotatetest.StoreHarness.Hang].
func (w *Wire) Hang(t *testing.T) (entered <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hung, w.over = make(chan struct{}), t.Context().Done()
	return w.hung
}
