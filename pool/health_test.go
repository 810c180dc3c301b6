package pool_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
)

// fixed is a Reporter for the probes.
type fixed refresh.State

func (f fixed) Health() pool.Health {
	return pool.Health{Health: refresh.Health{Name: "of " + string(f), State: refresh.State(f)}}
}

func ask(h http.Handler, method string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, "/healthz", nil))
	return w
}

func TestProbesTellByTheWorstPool(t *testing.T) {
	const fresh, degraded, expired, closed = fixed(refresh.Fresh), fixed(refresh.Degraded), fixed(refresh.Expired), fixed(refresh.Closed)
	for _, c := range []struct {
		pools       []pool.Reporter
		ready, live int
		worst       refresh.State
	}{
		{nil, 200, 200, refresh.Fresh},
		{[]pool.Reporter{fresh}, 200, 200, refresh.Fresh},
		{[]pool.Reporter{fresh, degraded, fresh}, 200, 200, refresh.Degraded},
		{[]pool.Reporter{expired, degraded}, 503, 200, refresh.Expired},
		{[]pool.Reporter{fresh, closed, expired}, 503, 503, refresh.Closed},
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			for probe, want := range map[string]int{"ready": c.ready, "live": c.live} {
				h := pool.Handler(c.pools...)
				if probe == "live" {
					h = pool.Liveness(c.pools...)
				}
				w := ask(h, method)
				require.Equal(t, want, w.Code, "%s %s %v", method, probe, c.pools)
				require.Equal(t, "application/json", w.Header().Get("Content-Type"))
				require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
				if method == http.MethodHead {
					continue // the server leaves the body out
				}
				var body struct {
					State refresh.State     `json:"state"`
					Pools []json.RawMessage `json:"pools"`
				}
				require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body))
				require.Equal(t, c.worst, body.State)
				require.Len(t, body.Pools, len(c.pools))
				require.NotContains(t, w.Body.String(), `"pools":null`)
			}
		}
	}
}

func TestProbesRefuseOtherMethods(t *testing.T) {
	for _, h := range []http.Handler{pool.Handler(), pool.Liveness()} {
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
			w := ask(h, method)
			require.Equal(t, http.StatusMethodNotAllowed, w.Code)
			require.Equal(t, "GET, HEAD", w.Header().Get("Allow"))
		}
	}
}

func TestF07StoreOutageIsNeverUnreadyWhileThePoolServes(t *testing.T) {
	b := newBench(t)
	p := b.open(2, nil)
	ready := pool.Handler(p)
	require.Equal(t, refresh.Fresh, p.Health().State)
	b.store.Fail(errors.New("the store is sealed"))
	require.Error(t, p.Refresher().Refresh(t.Context()))
	h := p.Health()
	require.Equal(t, refresh.Degraded, h.State)
	require.NotEmpty(t, h.Why)
	require.Contains(t, h.LastError, "the store is sealed")
	p.Reset()
	require.NoError(t, selectOne(t.Context(), p), "logins go on")
	require.Equal(t, http.StatusOK, ask(ready, http.MethodGet).Code)
	b.store.Recover()
	require.NoError(t, p.Refresher().Refresh(t.Context()))
	require.Equal(t, refresh.Fresh, p.Health().State)
}

func TestStatesOfAPool(t *testing.T) {
	b := newBench(t)
	s := &landlord{b: b, life: time.Second}
	p := s.open("2", &refresh.Options{Margin: -1})
	s.set(func() { s.life, s.held = time.Hour, make(chan struct{}) })
	ready, live := pool.Handler(p), pool.Liveness(p)
	require.Equal(t, http.StatusOK, ask(ready, http.MethodGet).Code)
	eventually(t, func() bool { return p.Health().State == refresh.Expired }, "it ends")
	require.Equal(t, http.StatusServiceUnavailable, ask(ready, http.MethodGet).Code)
	require.Equal(t, http.StatusOK, ask(live, http.MethodGet).Code, "a restart would not help")
	close(s.held)
	eventually(t, func() bool { return ask(ready, http.MethodGet).Code == http.StatusOK }, "it serves again")
	p.Close()
	require.Equal(t, refresh.Closed, p.Health().State)
	require.Equal(t, http.StatusServiceUnavailable, ask(ready, http.MethodGet).Code)
	require.Equal(t, http.StatusServiceUnavailable, ask(live, http.MethodGet).Code)
}

func TestHealthAsJSON(t *testing.T) {
	b := newBench(t)
	p := b.open(2, &pool.Options{Refresh: &refresh.Options{Name: "orders"}})
	fill(t, p, 2)
	b.changePassword()
	b.follow()
	p.Reset()
	require.NoError(t, selectOne(t.Context(), p))
	calm(t, p)
	text, err := json.Marshal(p.Health())
	require.NoError(t, err)
	var got map[string]any
	require.NoError(t, json.Unmarshal(text, &got))
	for key, want := range map[string]any{
		"name": "orders", "state": "fresh", "generation": 2.0, "username": b.user, "version": "v1",
		"connections": map[string]any{"2": 1.0}, "overstaying": 0.0,
		"logins": 3.0, "logins_rejected": 1.0, "retired": 0.0, "rejections": 0.0, "failures": 0.0,
	} {
		require.Equal(t, want, got[key], key)
	}
	require.False(t, strings.Contains(string(text), b.password()))

	// What is asked for once is not changed by what comes later.
	h := p.Health()
	p.Reset()
	eventually(t, func() bool { return sockets(p) == 0 }, "all are closed")
	require.Equal(t, map[uint64]int{2: 1}, h.Connections)
}
