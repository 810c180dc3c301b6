package apikey

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/refresh/internal/bystander"
)

// Options adjust a [Transport]. The zero value, or nil, means the defaults, and so
// does a negative value.
type Options struct {
	Form

	// Base sends the requests. Nil: [http.DefaultTransport].
	Base http.RoundTripper

	// Wait bounds how long requests wait for a new key, counted from the first 401 with
	// the old one. After that a 401 with the same key is returned at once, while the
	// store is still asked. Zero: 5 s.
	Wait time.Duration
}

// A Transport is an [http.RoundTripper] that sets the key. It is safe for concurrent
// use. The key costs an atomic load, a look whether it is suspected, and a copy of
// the request with its header.
type Transport struct {
	form   Form
	origin string
	base   http.RoundTripper
	wait   time.Duration

	refresher *refresh.Refresher
	key       *refresh.Derived[key]
	pins      *refresh.Attachment
	suspect   atomic.Pointer[suspicion]
}

// A suspicion is that a server does not accept the key of a generation any more.
type suspicion struct {
	generation uint64
	until      time.Time // requests wait until then
}

// New returns a transport for the key that r keeps fresh. Origin is the one place
// that the key is for: scheme, host and port if it is not that of the scheme, such as
// "https://api.example". Requests for any other go out without the key. New fails if
// the current credential has no key; later ones without are not adopted.
func New(ctx context.Context, r *refresh.Refresher, origin string, opts *Options) (*Transport, error) {
	if opts == nil {
		opts = new(Options)
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, fmt.Errorf("apikey: the origin should be like https://api.example, with a port if need be and nothing else")
	}
	t := &Transport{origin: originOf(u), base: opts.Base, wait: cmp.Or(max(opts.Wait, 0), 5*time.Second), refresher: r}
	if t.base == nil {
		t.base = http.DefaultTransport
	}
	if t.form, err = opts.withDefaults(); err != nil {
		return nil, err
	}
	if t.key, err = refresh.Derive(ctx, r, t.form.parse); err != nil {
		return nil, err
	}
	if t.pins, err = bystander.Attach(ctx, r); err != nil {
		t.key.Close()
		return nil, err
	}
	return t, nil
}

// Close stops following the refresher. Requests go on with the last key.
func (t *Transport) Close() {
	t.key.Close()
	t.pins.Detach()
}

// CloseIdleConnections closes those of the base transport.
func (t *Transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// RoundTrip sends req with the key. After a 401 it sends it once more if the store has
// another key by then and the body can be had again: there is none, or req.GetBody is
// set. Else it returns the 401, and the store is asked meanwhile.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if !t.concerns(req) {
		return t.base.RoundTrip(req)
	}
	k, suspect := t.key.Get(), t.suspect.Load()
	resp, err := t.send(req, req, k)
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode != http.StatusUnauthorized:
		t.accepted(suspect, k.generation)
		return resp, nil
	}
	until := t.rejected(k.generation)
	if req.Body != nil && req.Body != http.NoBody && req.GetBody == nil {
		return resp, nil
	}
	next, ok := t.other(req.Context(), k, until)
	if !ok {
		return resp, nil
	}
	again := req
	if req.GetBody != nil && req.Body != nil && req.Body != http.NoBody {
		body, err := req.GetBody()
		if err != nil {
			return resp, nil //nolint:nilerr // the 401 is what there is to tell
		}
		again = req.WithContext(req.Context())
		again.Body = body
	}
	discard(resp)
	resp, err = t.send(again, req, next)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusUnauthorized {
		t.rejected(next.generation)
	}
	return resp, nil
}

// send sends a copy of req with the key. Nobody sees the copy but the base transport:
// the response names the original, as loggers print its header.
func (t *Transport) send(req, original *http.Request, k key) (*http.Response, error) {
	keyed := req.WithContext(req.Context())
	if keyed.Header = req.Header.Clone(); keyed.Header == nil {
		keyed.Header = make(http.Header)
	}
	keyed.Header[t.form.Header] = []string{k.value}
	resp, err := t.base.RoundTrip(keyed)
	if resp != nil {
		resp.Request = original
	}
	return resp, err
}

// concerns reports whether the key is for req and for all the requests that have led
// to it by redirects: where one has led elsewhere, the way back is not ours.
func (t *Transport) concerns(req *http.Request) bool {
	for {
		if originOf(req.URL) != t.origin {
			return false
		}
		if req.Response == nil || req.Response.Request == nil {
			return true
		}
		req = req.Response.Request
	}
}

// rejected has the store asked and returns until when to wait for its answer.
func (t *Transport) rejected(generation uint64) time.Time {
	defer t.refresher.Invalidate(generation)
	for {
		old := t.suspect.Load()
		if old != nil && old.generation == generation {
			return old.until
		}
		s := &suspicion{generation, time.Now().Add(t.wait)}
		if t.suspect.CompareAndSwap(old, s) {
			return s.until
		}
	}
}

// accepted ends a suspicion that the store's answer has not confirmed: the key works,
// and the 401 had another reason. Before, another server's success proves nothing.
func (t *Transport) accepted(s *suspicion, generation uint64) {
	if s == nil || s.generation != generation || time.Now().Before(s.until) || !t.suspect.CompareAndSwap(s, nil) {
		return
	}
	pin := t.pins.Pin()
	defer pin.Release()
	if pin.Generation() == generation {
		pin.Accepted()
	}
}

// other waits for another key than k.
func (t *Transport) other(ctx context.Context, k key, until time.Time) (key, bool) {
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	s, err := t.refresher.Latest(ctx)
	if err != nil {
		return key{}, false
	}
	next, err := t.form.parse(s) // which may not have come to t.key yet
	return next, err == nil && next.value != k.value
}

// discard reads the rest of a short answer, so that its connection can be used again.
func discard(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10)
	_ = resp.Body.Close()
}

// originOf returns scheme, host and port in one form.
func originOf(u *url.URL) string {
	port := u.Port()
	if port == "" && u.Scheme == "https" {
		port = "443"
	} else if port == "" {
		port = "80"
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}
