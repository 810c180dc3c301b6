package apikey_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/refresh/apikey"
	"github.com/rekey-go/rekey/source/file"
)

const rotations = 25

// storm sends orders from many goroutines while rotate is called for each rotation in
// turn, and returns how many were sent. None may fail. A request is replayed once only,
// so the next rotation waits until everybody has sent one that began after the last.
func storm(t *testing.T, client *http.Client, url string, rotate func(n int)) (all int64) {
	t.Helper()
	var sent [16]atomic.Int64
	ctx, cancel := context.WithCancel(context.Background())
	var workers sync.WaitGroup
	for w := range sent {
		workers.Go(func() {
			for ctx.Err() == nil {
				resp, err := client.Post(url, "text/plain", bytes.NewReader([]byte("an order")))
				if err != nil {
					t.Error(err)
					continue
				}
				text, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if err != nil || resp.StatusCode != http.StatusOK || string(text) != "an order" {
					t.Error(resp.Status, string(text), err)
				}
				sent[w].Add(1)
			}
		})
	}
	for n := range rotations {
		rotate(n + 1)
		var then [len(sent)]int64
		for w := range sent {
			then[w] = sent[w].Load()
		}
		require.Eventually(t, func() bool {
			for w := range sent {
				if sent[w].Load() <= then[w]+1 {
					return false
				}
			}
			return true
		}, 30*time.Second, time.Millisecond)
	}
	cancel()
	workers.Wait()
	client.CloseIdleConnections()
	for w := range sent {
		all += sent[w].Load()
	}
	return all
}

// echo is what the API does.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })

// write replaces a credential file.
func write(t *testing.T, path, key, next string) {
	t.Helper()
	text, err := json.Marshal(map[string]string{"username": "orders", "password": key, "next": next})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path+".new", text, 0o600))
	require.NoError(t, os.Rename(path+".new", path))
}

// follow returns a refresher that watches a credential file.
func follow(t *testing.T, path string) *refresh.Refresher {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	r, err := refresh.New(t.Context(), file.JSON(path, &file.Options{Poll: 20 * time.Millisecond, Logger: quiet}), &refresh.Options{Logger: quiet})
	require.NoError(t, err)
	t.Cleanup(r.Close)
	return r
}

// Servers are told of the next key first, then clients take to it, then it is the
// current one of the servers.
func TestStormWithOverlap(t *testing.T) {
	dir := t.TempDir()
	servers, clients := filepath.Join(dir, "server.json"), filepath.Join(dir, "client.json")
	write(t, servers, "key-0", "")
	write(t, clients, "key-0", "")
	rs, rc := follow(t, servers), follow(t, clients)
	a, err := apikey.NewAcceptor(t.Context(), rs, &apikey.AcceptorOptions{Also: []string{"next"}})
	require.NoError(t, err)
	defer a.Close()
	var refused atomic.Int64
	guarded := a.Handler(echo)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !a.Accepts(r) {
			refused.Add(1)
		}
		guarded.ServeHTTP(w, r)
	}))
	defer server.Close()
	tr, err := apikey.New(t.Context(), rc, server.URL, &apikey.Options{Base: &http.Transport{MaxIdleConnsPerHost: 16}})
	require.NoError(t, err)
	defer tr.Close()
	adopted := func(r *refresh.Refresher, generation int) {
		t.Helper()
		require.Eventually(t, func() bool { return r.Current().Generation == uint64(generation) }, 30*time.Second, time.Millisecond)
	}
	sent := storm(t, &http.Client{Transport: tr}, server.URL, func(n int) {
		last, next := fmt.Sprint("key-", n-1), fmt.Sprint("key-", n)
		write(t, servers, last, next)
		adopted(rs, 2*n)
		write(t, clients, next, "")
		adopted(rc, n+1)
		write(t, servers, next, "")
		adopted(rs, 2*n+1)
	})
	assert.Zero(t, refused.Load(), "nobody had to replay")
	t.Logf("%d rotations, %d requests", rotations, sent)
}

// The server takes another key from one moment to the next, and clients find out by
// its answer.
func TestStormWithoutOverlap(t *testing.T) {
	store, r := keep(t, "key-0")
	var want atomic.Value
	want.Store("key-0")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Api-Key") != want.Load().(string) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		echo(w, r)
	}))
	defer server.Close()
	tr, err := apikey.New(t.Context(), r, server.URL, &apikey.Options{
		Base: &http.Transport{MaxIdleConnsPerHost: 16}, Form: apikey.Form{Header: "X-Api-Key"},
	})
	require.NoError(t, err)
	defer tr.Close()
	sent := storm(t, &http.Client{Transport: tr}, server.URL, func(n int) {
		store.Set(cred(fmt.Sprint("key-", n)))
		want.Store(fmt.Sprint("key-", n))
	})
	assert.LessOrEqual(t, store.Calls(), 2*rotations+1, "those who fail share a fetch, or two where one began before")
	assert.Equal(t, refresh.Fresh, r.Health().State)
	t.Logf("%d rotations, %d requests, %d fetches", rotations, sent, store.Calls())
}
