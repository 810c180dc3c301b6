package apikey_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/refresh/apikey"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cred returns a credential of a key, with fields in pairs of name and text.
func cred(key string, fields ...string) source.Credential {
	c := source.Credential{Username: "orders", Password: source.NewSecret(key)}
	more := make(map[string]source.Secret)
	for i := 0; i < len(fields); i += 2 {
		more[fields[i]] = source.NewSecret(fields[i+1])
	}
	return c.WithFields(more)
}

// keep returns a refresher that looks at its store only when told to.
func keep(t testing.TB, key string) (*sourcetest.Script, *refresh.Refresher) {
	t.Helper()
	s := sourcetest.NewScript()
	s.Set(cred(key))
	r, err := refresh.New(t.Context(), s, &refresh.Options{Poll: -1, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(r.Close)
	return s, r
}

// answers is a base transport that asks a function.
type answers func(*http.Request) (int, error)

func (f answers) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer r.Body.Close()
	}
	code, err := f(r)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: code, Request: r, Body: &body{Reader: strings.NewReader("answer")}}, nil
}

// open counts the bodies that are not closed.
var open atomic.Int64

type body struct {
	io.Reader
	once sync.Once
}

func (b *body) Read(p []byte) (int, error) { return b.Reader.Read(p) }

func (b *body) Close() error {
	b.once.Do(func() { open.Add(-1) })
	return nil
}

// transport is a client of https://api.example whose requests f answers.
func transport(t testing.TB, r *refresh.Refresher, o apikey.Options, f answers) *apikey.Transport {
	t.Helper()
	o.Base = answers(func(r *http.Request) (int, error) {
		code, err := f(r)
		if err == nil {
			open.Add(1)
		}
		return code, err
	})
	tr, err := apikey.New(t.Context(), r, "https://api.example", &o)
	require.NoError(t, err)
	t.Cleanup(tr.Close)
	return tr
}

// call sends a request and returns the code of the answer.
func call(t testing.TB, tr http.RoundTripper, method, url string, body io.Reader) int {
	t.Helper()
	req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), method, url, body)
	require.NoError(t, err)
	resp, err := tr.RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Same(t, req, resp.Request)
	return resp.StatusCode
}
