package signingkey_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rekey-go/rekey/source/jwk"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/document"
	"github.com/rekey-go/rekey/rotate/internal/cut"
	"github.com/rekey-go/rekey/rotate/internal/documenttest"
	"github.com/rekey-go/rekey/rotate/rotatetest"
	"github.com/rekey-go/rekey/rotate/signingkey"
	"github.com/rekey-go/rekey/source"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	rotatetest.Target(t, func(t *testing.T) rotatetest.TargetHarness { return newIssuer(t, jwk.EdDSA).harness() })
}

// From one algorithm to another.
func TestAlgorithms(t *testing.T) {
	i := newIssuer(t, jwk.RS256)
	from := i.first
	for _, a := range []jwk.Algorithm{jwk.ES256, jwk.EdDSA, jwk.RS256} {
		i.algorithm = a
		target := i.target(i.config(new(cut.Transport)))
		to, err := target.Next(t.Context(), from, "to "+string(a))
		require.NoError(t, err)
		c := rotate.Change{Token: "to " + string(a), From: from, To: to}
		require.NoError(t, target.Set(t.Context(), c))
		require.NoError(t, target.Verify(t.Context(), c))
		for _, key := range []source.Credential{from, to} {
			accepted, err := target.Accepts(t.Context(), key)
			require.NoError(t, err)
			require.True(t, accepted, a)
		}
		from = to
	}
}

// An issuer publishes keys, of which people have made the first.
type issuer struct {
	t         *testing.T
	algorithm jwk.Algorithm
	document  document.Store
	server    *documenttest.Server // of the document
	url       string               // of the keys
	line      cut.Transport
	first     source.Credential
	refused   map[string]bool
}

func newIssuer(t *testing.T, a jwk.Algorithm) *issuer {
	i := &issuer{t: t, algorithm: a, document: document.File(filepath.Join(t.TempDir(), "keys.json"), 0o644), refused: make(map[string]bool)}
	i.first = source.Credential{Username: "first", Password: i.draw(), Version: "first"}
	require.NoError(t, signingkey.Publish(t.Context(), i.document, i.first))
	i.server = documenttest.Serve(t, i.document)
	public := httptest.NewServer(signingkey.Handler(i.document, 0))
	t.Cleanup(public.Close)
	i.url = public.URL
	return i
}

func (i *issuer) draw() source.Secret {
	private, err := jwk.Generate(i.algorithm)
	require.NoError(i.t, err)
	return private
}

// config is the one of a process.
func (i *issuer) config(line *cut.Transport) *signingkey.Config {
	base := http.DefaultTransport.(*http.Transport).Clone()
	i.t.Cleanup(base.CloseIdleConnections)
	line.Base = base
	client := &http.Client{Transport: line}
	return &signingkey.Config{
		Document: i.server.Over(client), URL: i.url, Client: client, Algorithm: i.algorithm, Name: "orders",
		Propagation: time.Nanosecond, Lifetime: time.Nanosecond,
		Verify: func(_ context.Context, c rotate.Change) error {
			if i.refused[c.To.Username] {
				return fmt.Errorf("a verifier refuses it: %w", rotate.ErrUnfit)
			}
			return nil
		},
	}
}

func (i *issuer) target(c *signingkey.Config) rotate.Target {
	target, err := signingkey.New(c)
	require.NoError(i.t, err)
	return target
}

func (i *issuer) harness() rotatetest.TargetHarness {
	return rotatetest.TargetHarness{
		Target: i.target(i.config(&i.line)), Other: i.target(i.config(new(cut.Transport))), Current: i.first, Draws: true,
		Overwrite: func(t *testing.T, id, _ string) { i.overwrite(id) },
		Weaken:    func(_ *testing.T, id string) { i.refused[id] = true },
		Fail:      i.line.Fail, Down: i.line.Down,
		Seen: func(t *testing.T) string {
			content, _, err := i.document.Read(t.Context())
			require.NoError(t, err)
			return string(content) + i.server.Seen()
		},
	}
}

// overwrite publishes another key under an ID.
func (i *issuer) overwrite(id string) {
	private, _, err := jwk.Private(i.draw())
	require.NoError(i.t, err)
	key, err := jwk.New(id, private.Public())
	require.NoError(i.t, err)
	require.NoError(i.t, document.Change(i.t.Context(), i.document, func(old []byte) ([]byte, error) {
		var all []map[string]any
		if err := json.Unmarshal(old, &all); err != nil {
			return nil, err
		}
		for _, e := range all {
			if e["jwk"].(map[string]any)["kid"] == id {
				e["jwk"] = key
			}
		}
		return json.Marshal(all)
	}))
}

// A key is not fit before every verifier has it, whoever waits: the moment is
// written down.
func TestPropagation(t *testing.T) {
	i := newIssuer(t, jwk.EdDSA)
	c := i.config(new(cut.Transport))
	c.Propagation = time.Hour
	target := i.target(c)
	to, err := target.Next(t.Context(), i.first, "token")
	require.NoError(t, err)
	to.Version = "token"
	change := rotate.Change{Token: "token", From: i.first, To: to}
	require.NoError(t, target.Set(t.Context(), change))

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	begun := time.Now()
	early := new(signingkey.EarlyError)
	require.ErrorAs(t, target.Verify(ctx, change), &early)
	require.NotErrorIs(t, target.Verify(ctx, change), rotate.ErrUnfit)
	require.WithinDuration(t, begun.Add(time.Hour), early.Until, 10*time.Second)
	require.Less(t, time.Since(begun), 10*time.Second)

	i.back("published", to.Username, 58*time.Minute) // as if the time had passed
	require.ErrorAs(t, i.target(c).Verify(ctx, change), &early)
	i.back("published", to.Username, 2*time.Minute)
	require.NoError(t, i.target(c).Verify(ctx, change))

	c.Propagation = time.Hour + 500*time.Millisecond
	require.NoError(t, i.target(c).Verify(ctx, change), "it waits where there is time")
}

// The old key stays until its last token has expired, and the wait goes on over
// a restart, but not over a rollback.
func TestLifetime(t *testing.T) {
	i := newIssuer(t, jwk.EdDSA)
	c := i.config(new(cut.Transport))
	c.Lifetime = time.Hour
	target := i.target(c)
	to, err := target.Next(t.Context(), i.first, "token")
	require.NoError(t, err)
	require.NoError(t, target.Set(t.Context(), rotate.Change{Token: "token", From: i.first, To: to}))
	in := func(want int) {
		t.Helper()
		n, err := i.target(c).Sessions(t.Context(), i.first.Username)
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	in(1)
	i.back("waiting", i.first.Username, 59*time.Minute)
	in(1)
	require.NoError(t, target.Enable(t.Context(), i.first.Username))
	i.back("published", i.first.Username, time.Hour)
	in(1)
	i.back("waiting", i.first.Username, 59*time.Minute)
	in(1)
	i.back("waiting", i.first.Username, time.Minute)
	in(0)
}

// back moves a time of a key into the past.
func (i *issuer) back(what, id string, by time.Duration) {
	i.t.Helper()
	found := false
	require.NoError(i.t, document.Change(i.t.Context(), i.document, func(old []byte) ([]byte, error) {
		var all []map[string]any
		if err := json.Unmarshal(old, &all); err != nil {
			return nil, err
		}
		for _, e := range all {
			if e["jwk"].(map[string]any)["kid"] != id {
				continue
			}
			at, err := time.Parse(time.RFC3339Nano, e[what].(string))
			if err != nil {
				return nil, err
			}
			e[what], found = at.Add(-by), true
		}
		return json.Marshal(all)
	}))
	require.True(i.t, found)
}

func TestHandler(t *testing.T) {
	i := newIssuer(t, jwk.ES256)
	public := httptest.NewServer(signingkey.Handler(i.document, time.Minute))
	defer public.Close()
	answer, err := public.Client().Get(public.URL)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, "application/jwk-set+json", answer.Header.Get("Content-Type"))
	require.Equal(t, "public, max-age=60", answer.Header.Get("Cache-Control"))
	answer, err = public.Client().Post(public.URL, "text/plain", strings.NewReader("x"))
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusMethodNotAllowed, answer.StatusCode)

	require.NoError(t, document.Change(t.Context(), i.document, func([]byte) ([]byte, error) { return []byte("{"), nil }))
	answer, err = public.Client().Get(public.URL)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusInternalServerError, answer.StatusCode)
	_, err = i.target(i.config(new(cut.Transport))).Accepts(t.Context(), i.first)
	require.Error(t, err)
}

func TestNew(t *testing.T) {
	i := newIssuer(t, jwk.EdDSA)
	for _, spoil := range []func(*signingkey.Config){
		func(c *signingkey.Config) { c.Document = nil },
		func(c *signingkey.Config) { c.URL = "" },
		func(c *signingkey.Config) { c.Propagation = 0 },
		func(c *signingkey.Config) { c.Lifetime = -1 },
		func(c *signingkey.Config) { c.Algorithm = "none" },
	} {
		c := i.config(new(cut.Transport))
		spoil(c)
		_, err := signingkey.New(c)
		require.Error(t, err)
	}
	_, err := signingkey.New(nil)
	require.Error(t, err)
}
