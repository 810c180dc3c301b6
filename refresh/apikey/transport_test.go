package apikey_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/refresh/apikey"
	"github.com/rekey-go/rekey/source"
)

const api = "https://api.example/orders"

// wants answers 401 to any other key than that of the moment.
func wants(want *atomic.Value) answers {
	return func(r *http.Request) (int, error) {
		if r.Header.Get("Authorization") != "Bearer "+want.Load().(string) {
			return http.StatusUnauthorized, nil
		}
		return http.StatusOK, nil
	}
}

func TestReplaysOnceWithTheNewKey(t *testing.T) {
	for _, payload := range []string{"", "one order"} {
		store, r := keep(t, "k1")
		var want atomic.Value
		want.Store("k1")
		var bodies []string
		tr := transport(t, r, apikey.Options{}, func(r *http.Request) (int, error) {
			if r.Body != nil {
				text, err := io.ReadAll(r.Body)
				require.NoError(t, err)
				bodies = append(bodies, string(text))
			}
			return wants(&want)(r)
		})
		assert.Equal(t, 200, call(t, tr, http.MethodPost, api, strings.NewReader(payload)))
		want.Store("k2")
		store.Set(cred("k2"))
		assert.Equal(t, 200, call(t, tr, http.MethodPost, api, strings.NewReader(payload)))
		assert.Equal(t, 2, store.Calls())
		assert.True(t, store.Bypassed()[1], "past every cache")
		if payload != "" {
			assert.Equal(t, []string{payload, payload, payload}, bodies)
		}
		assert.Equal(t, refresh.Fresh, r.Health().State)
		assert.Zero(t, open.Load(), "bodies are closed")
	}
}

func TestDoesNotReplay(t *testing.T) {
	t.Run("a body that is gone", func(t *testing.T) {
		store, r := keep(t, "k1")
		sent := 0
		tr := transport(t, r, apikey.Options{}, func(*http.Request) (int, error) { sent++; return 401, nil })
		store.Set(cred("k2"))
		assert.Equal(t, 401, call(t, tr, http.MethodPost, api, io.MultiReader(strings.NewReader("once"))))
		assert.Equal(t, 1, sent)
		require.Eventually(t, func() bool { return r.Current().Generation == 2 }, 10*time.Second, time.Millisecond, "but the store is asked")
	})
	t.Run("a body that cannot be had again", func(t *testing.T) {
		store, r := keep(t, "k1")
		sent := 0
		tr := transport(t, r, apikey.Options{}, func(*http.Request) (int, error) { sent++; return 401, nil })
		store.Set(cred("k2"))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, api, strings.NewReader("x"))
		require.NoError(t, err)
		req.GetBody = func() (io.ReadCloser, error) { return nil, errors.New("the disk is gone") }
		resp, err := tr.RoundTrip(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, 401, resp.StatusCode)
		assert.Equal(t, 1, sent)
	})
	t.Run("the same key", func(t *testing.T) {
		store, r := keep(t, "k1")
		sent := 0
		tr := transport(t, r, apikey.Options{}, func(*http.Request) (int, error) { sent++; return 401, nil })
		store.Set(cred("k1", "comment", "another credential, but the same key"))
		assert.Equal(t, 401, call(t, tr, http.MethodGet, api, nil))
		assert.Equal(t, 1, sent)
	})
	t.Run("a second time", func(t *testing.T) {
		store, r := keep(t, "k1")
		sent := 0
		tr := transport(t, r, apikey.Options{}, func(*http.Request) (int, error) { sent++; return 401, nil })
		store.Set(cred("k2"))
		assert.Equal(t, 401, call(t, tr, http.MethodGet, api, nil))
		assert.Equal(t, 2, sent)
	})
	t.Run("an error", func(t *testing.T) {
		store, r := keep(t, "k1")
		broken := errors.New("the network is down")
		tr := transport(t, r, apikey.Options{}, func(*http.Request) (int, error) { return 0, broken })
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, api, nil)
		require.NoError(t, err)
		_, err = tr.RoundTrip(req) //nolint:bodyclose // there is none
		require.ErrorIs(t, err, broken)
		assert.Equal(t, 1, store.Calls())
	})
	assert.Zero(t, open.Load(), "bodies are closed")
}

func TestWaitIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, r := keep(t, "k1")
		answer := 401
		tr := transport(t, r, apikey.Options{Wait: time.Second}, func(*http.Request) (int, error) { return answer, nil })
		store.Delay(time.Minute) // within which nobody gets an answer
		begun := time.Now()
		assert.Equal(t, 401, call(t, tr, http.MethodGet, api, nil))
		assert.Equal(t, time.Second, time.Since(begun))
		assert.Equal(t, 401, call(t, tr, http.MethodGet, api, nil))
		assert.Equal(t, time.Second, time.Since(begun), "the time is that of the key and not of each request")

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, api, nil)
		require.NoError(t, err)
		resp, err := tr.RoundTrip(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())

		// The key works for another request: the 401s had another reason.
		store.Delay(0)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		assert.Equal(t, refresh.Degraded, r.Health().State)
		answer = 200
		assert.Equal(t, 200, call(t, tr, http.MethodGet, api, nil))
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		assert.Equal(t, refresh.Fresh, r.Health().State)
		r.Close()
	})
}

func TestManyFailuresShareOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, r := keep(t, "k1")
		var want atomic.Value
		want.Store("k2")
		tr := transport(t, r, apikey.Options{}, func(r *http.Request) (int, error) {
			time.Sleep(10 * time.Millisecond)
			return wants(&want)(r)
		})
		store.Set(cred("k2"))
		store.Delay(100 * time.Millisecond)
		codes := make(chan int)
		for range 100 {
			go func() { codes <- call(t, tr, http.MethodGet, api, nil) }()
		}
		for range 100 {
			assert.Equal(t, 200, <-codes)
		}
		assert.Equal(t, 2, store.Calls())
		r.Close()
	})
}

func TestForms(t *testing.T) {
	for _, test := range []struct {
		form         apikey.Form
		header, want string
	}{
		{apikey.Form{}, "Authorization", "Bearer k1"},
		{apikey.Form{Prefix: "Token "}, "Authorization", "Token k1"},
		{apikey.Form{Header: "x-api-key"}, "X-Api-Key", "k1"},
		{apikey.Form{Header: "X-Api-Key", Prefix: "v1:", Field: "other"}, "X-Api-Key", "v1:k2"},
	} {
		store, r := keep(t, "k0")
		store.Set(cred("k1", "other", "k2"))
		require.NoError(t, r.Refresh(t.Context()))
		var got http.Header
		tr := transport(t, r, apikey.Options{Form: test.form}, func(r *http.Request) (int, error) { got = r.Header; return 200, nil })
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, api, nil)
		req.Header = nil
		resp, err := tr.RoundTrip(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, http.Header{test.header: {test.want}}, got)
		assert.Nil(t, req.Header, "the caller's request is not touched")
	}
}

func TestNewRefuses(t *testing.T) {
	_, r := keep(t, "k1")
	for _, origin := range []string{"", "api.example", "ftp://api.example", "https://api.example/path", "https://u:p@api.example", "https://", ":"} {
		_, err := apikey.New(t.Context(), r, origin, nil)
		assert.Error(t, err, origin)
	}
	for _, form := range []apikey.Form{{Header: "X Y"}, {Header: "X\n"}, {Prefix: "\r\n"}, {Field: "absent"}} {
		_, err := apikey.New(t.Context(), r, "https://api.example", &apikey.Options{Form: form})
		assert.Error(t, err, "%v", form)
		_, err = apikey.NewAcceptor(t.Context(), r, &apikey.AcceptorOptions{Form: form})
		assert.Error(t, err, "%v", form)
	}
	r.Close()
	_, err := apikey.New(t.Context(), r, "https://api.example", nil)
	require.ErrorIs(t, err, refresh.ErrClosed)
}

func TestABadKeyIsNotAdopted(t *testing.T) {
	for _, bad := range []string{"k2\n", " k2", "k\x002", "schlüssel", "k2\r\nX-Admin: 1"} {
		store, r := keep(t, "k1")
		transport(t, r, apikey.Options{}, func(*http.Request) (int, error) { return 200, nil })
		store.Set(cred(bad))
		err := r.Refresh(t.Context())
		require.ErrorIs(t, err, refresh.ErrRejected)
		var field *source.FieldError
		require.ErrorAs(t, err, &field)
		assert.NotContains(t, err.Error(), bad)
		assert.Equal(t, "k1", r.Current().Password.Reveal())
	}
}

func TestTheKeyStaysWithItsOrigin(t *testing.T) {
	_, r := keep(t, "k1")
	var keyed []string
	tr := transport(t, r, apikey.Options{}, func(r *http.Request) (int, error) {
		if r.Header.Get("Authorization") != "" {
			keyed = append(keyed, r.URL.String())
		}
		return 401, nil
	})
	for _, url := range []string{
		"http://api.example/", "https://api.example:444/", "https://api.example.evil/", "https://evil/?https://api.example", "https://xapi.example/",
	} {
		assert.Equal(t, 401, call(t, tr, http.MethodGet, url, nil))
	}
	assert.Empty(t, keyed)
	assert.Equal(t, refresh.Fresh, r.Health().State, "the 401 of others is none of ours")
	call(t, tr, http.MethodGet, "https://API.example:443/", nil)
	assert.Len(t, keyed, 1)
}

// Redirects to another server carry no key, and neither does the way back.
func TestRedirects(t *testing.T) {
	_, r := keep(t, "k1")
	var own, elsewhere *httptest.Server
	seen := make(map[string]string)
	elsewhere = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen["elsewhere"] = r.Header.Get("Authorization")
		http.Redirect(w, r, own.URL+"/back", http.StatusTemporaryRedirect)
	}))
	defer elsewhere.Close()
	own = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen[r.URL.Path] = r.Header.Get("Authorization")
		switch r.URL.Path {
		case "/start":
			http.Redirect(w, r, "/here", http.StatusTemporaryRedirect)
		case "/here":
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}
	}))
	defer own.Close()
	tr, err := apikey.New(t.Context(), r, own.URL, &apikey.Options{Base: own.Client().Transport})
	require.NoError(t, err)
	defer tr.Close()
	client := &http.Client{Transport: tr}
	defer client.CloseIdleConnections()
	resp, err := client.Get(own.URL + "/start")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, map[string]string{"/start": "Bearer k1", "/here": "Bearer k1", "elsewhere": "", "/back": ""}, seen)
}

func TestNothingPrintsTheKey(t *testing.T) {
	const canary = "CANARY-1c9a77d0"
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	store, r := keep(t, canary)
	refuse := errors.New("refused")
	tr := transport(t, r, apikey.Options{}, func(r *http.Request) (int, error) {
		if r.URL.Path == "/fail" {
			return 0, &url.Error{Op: r.Method, URL: r.URL.String(), Err: refuse}
		}
		return 200, nil
	})
	acceptor, err := apikey.NewAcceptor(t.Context(), r, &apikey.AcceptorOptions{Also: []string{"next"}})
	require.NoError(t, err)
	defer acceptor.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, api, nil)
	require.NoError(t, err)
	resp, err := tr.RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	_, failed := (&http.Client{Transport: tr}).Get("https://api.example/fail") //nolint:bodyclose // there is none
	require.ErrorIs(t, failed, refuse)
	store.Set(cred(canary+"\n", "next", canary))
	rejected := r.Refresh(t.Context())
	require.Error(t, rejected)
	logger.Info("all", "request", req.Header, "response", resp.Request.Header, "failed", failed, "rejected", rejected, "health", r.Health())
	fmt.Fprintf(&log, "%+v %+v %+v", resp.Request, failed, rejected)
	assert.NotContains(t, log.String(), "CANARY")
}
