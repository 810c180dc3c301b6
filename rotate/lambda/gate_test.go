package lambda_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"

	"github.com/rekey-go/rekey/internal/smserver"
)

// A gate is in front of Secrets Manager, where the function's requests come by.
type gate struct {
	next http.Handler

	mu    sync.Mutex
	n     int                        // requests so far
	meet  func(n int) *stopAt        // nil: all pass
	asked map[string]map[string]bool // operations by secret
}

// A stopAt is where a request does not get its answer, but reached is called.
type stopAt struct {
	done    bool // what was asked for is done before
	reached func()
}

// watch counts from one again.
func (g *gate) watch(meet func(n int) *stopAt) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n, g.meet = 0, meet
}

// operations are those that were asked for about a secret, as a policy names them.
func (g *gate) operations(secret string) (all []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for operation := range g.asked[secret] {
		all = append(all, "secretsmanager:"+operation)
	}
	slices.Sort(all)
	return all
}

// secrets are those that were asked about.
func (g *gate) secrets() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Sorted(maps.Keys(g.asked))
}

// count is how many requests have come since watch.
func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.n
}

func (g *gate) met(operation, secret string) *stopAt {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n++
	if g.asked[secret] == nil {
		g.asked[secret] = make(map[string]bool)
	}
	g.asked[secret][operation] = true
	if g.meet == nil {
		return nil
	}
	return g.meet(g.n)
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// All of the request before anything happens: its client may be killed.
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var in struct{ SecretID string }
	_ = json.Unmarshal(body, &in) // what is no JSON is refused later
	stop := g.met(smserver.Operation(r), in.SecretID)
	if stop == nil {
		g.next.ServeHTTP(w, r)
		return
	}
	if stop.done {
		g.next.ServeHTTP(httptest.NewRecorder(), r)
	}
	stop.reached()
	panic(http.ErrAbortHandler)
}
