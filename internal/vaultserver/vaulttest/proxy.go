package vaulttest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rekey-go/rekey/internal/vaultserver"
)

// Proxy stands in front of a real server, hands requests on and does harm when
// told. Its methods are safe for concurrent use.
type Proxy struct {
	front *httptest.Server
	back  *httputil.ReverseProxy
	ended chan struct{} // the test is over

	mu       sync.Mutex
	faults   []*fault
	requests []*Request
}

// Fault is what happens to a request. Delay comes first, then the first that is
// set of Cut, Lose, Status and Body; with Delay alone the request goes on.
type Fault struct {
	Method string // GET, PUT, …; empty: any. POST and PUT are one, as for Vault
	Path   string // prefix, without /v1/; empty: any
	Times  int    // how many requests it hits; 0: all until Clear

	Delay  time.Duration
	Cut    bool   // no answer but a closed connection; Vault does not hear of it
	Lose   bool   // as Cut, but Vault did what was asked
	Status int    // the answer, with Body or with errors in Vault's form
	Body   string // the answer's body; Status 0: 200
}

// Request is one request that came in, without its body and token. Clients send
// some by themselves: net/http repeats a GET whose connection was cut while it
// was kept alive.
type Request struct {
	Method string
	Path   string // without /v1/
	At     time.Time
	Status int // of the answer; 0: cut off, or not answered yet
}

// fault is a Fault at work.
type fault struct {
	Fault
	left    int           // of Times
	cleared chan struct{} // ends delays
}

// NewProxy starts a proxy in front of a server; the test's end closes it.
func NewProxy(t testing.TB, s *vaultserver.Server) *Proxy {
	t.Helper()
	target, err := url.Parse(s.Addr())
	if err != nil {
		t.Fatalf("vaulttest: %v", err)
	}
	transport := &http.Transport{DisableCompression: true}
	p := &Proxy{ended: make(chan struct{})}
	p.back = &httputil.ReverseProxy{
		Transport: transport,
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		// Where Vault is down its clients find nobody either.
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	p.front = httptest.NewServer(p)
	t.Cleanup(func() {
		close(p.ended)
		p.front.CloseClientConnections()
		p.front.Close()
		transport.CloseIdleConnections()
	})
	return p
}

// Addr is where the proxy listens, http://host:port.
func (p *Proxy) Addr() string { return p.front.URL }

// Break adds a fault. Of several that match, the one added first applies.
func (p *Proxy) Break(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, &fault{Fault: f, left: f.Times, cleared: make(chan struct{})})
}

// Clear removes all faults. Requests that are being delayed go on to the server.
func (p *Proxy) Clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.faults {
		close(f.cleared)
	}
	p.faults = nil
}

// Requests are those so far whose path starts with prefix, oldest first.
func (p *Proxy) Requests(prefix string) []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []Request
	for _, r := range p.requests {
		if strings.HasPrefix(r.Path, prefix) {
			found = append(found, *r)
		}
	}
	return found
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	entry := &Request{Method: r.Method, Path: strings.TrimPrefix(r.URL.Path, "/v1/"), At: time.Now()}
	// Only when the body is read does the server notice that a client leaves.
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	f := p.enter(entry)
	if f != nil && !f.wait(r, p.ended) {
		f = nil
	}
	switch {
	case f == nil || (!f.Cut && !f.Lose && f.Status == 0 && f.Body == ""):
		p.back.ServeHTTP(&watched{w, p, entry}, r)
	case f.Cut:
		panic(http.ErrAbortHandler)
	case f.Lose:
		p.back.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	default:
		f.answer(&watched{w, p, entry})
	}
}

// enter writes a request down and finds the fault that it meets, or nil.
func (p *Proxy) enter(r *Request) *fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests = append(p.requests, r)
	for _, f := range p.faults {
		if !f.matches(r) || (f.Times > 0 && f.left == 0) {
			continue
		}
		f.left--
		return f
	}
	return nil
}

func (f *fault) matches(r *Request) bool {
	return strings.HasPrefix(r.Path, f.Path) && (f.Method == "" || verb(f.Method) == verb(r.Method))
}

func verb(method string) string {
	if method == http.MethodPost {
		return http.MethodPut
	}
	return method
}

// wait is the delay. It says false when the fault was cleared meanwhile.
func (f *fault) wait(r *http.Request, ended <-chan struct{}) bool {
	timer := time.NewTimer(f.Delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-f.cleared:
		return false
	case <-r.Context().Done():
	case <-ended:
	}
	panic(http.ErrAbortHandler)
}

func (f *fault) answer(w http.ResponseWriter) {
	status, body := f.Status, []byte(f.Body)
	if status == 0 {
		status = http.StatusOK
	}
	if f.Body == "" {
		body, _ = json.Marshal(map[string]any{"errors": []string{"a fault was injected"}}) // plain text marshals
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone
}

// watched writes the status of an answer into the log.
type watched struct {
	http.ResponseWriter
	proxy *Proxy
	entry *Request
}

// WriteHeader implements http.ResponseWriter.
func (w *watched) WriteHeader(status int) {
	w.proxy.mu.Lock()
	w.entry.Status = status
	w.proxy.mu.Unlock()
	w.ResponseWriter.WriteHeader(status)
}
