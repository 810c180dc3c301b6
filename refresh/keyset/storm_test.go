package keyset_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/refresh/keyset"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/file"
	"github.com/rekey-go/rekey/source/jwk"
)

const rotations = 25

// write replaces the file of a signing key; next may be empty.
func write(t *testing.T, path, id string, secret source.Secret, nextID string, next source.Secret) {
	t.Helper()
	text, err := json.Marshal(map[string]string{
		"username": id, "password": secret.Reveal(), "next_kid": nextID, "next": next.Reveal(),
	})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path+".new", text, 0o600))
	require.NoError(t, os.Rename(path+".new", path))
}

// follow returns a set of the keys in a file.
func follow(t *testing.T, path string, o keyset.Options) (*refresh.Refresher, *keyset.Set) {
	t.Helper()
	r, err := refresh.New(t.Context(), file.JSON(path, &file.Options{Poll: 20 * time.Millisecond, Logger: quiet}), &refresh.Options{Logger: quiet})
	require.NoError(t, err)
	t.Cleanup(r.Close)
	return r, newSet(t, r, o)
}

// api answers 200 to tokens that verify accepts.
func api(t *testing.T, verify func(token string, claims ...any) error) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var got jwt.Claims
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if err := verify(token, &got); err != nil || got.Subject != "anna" {
			http.Error(w, fmt.Sprint(err), http.StatusUnauthorized)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

// storm has many clients sign a token, or keep one for a while, and call the API with it,
// while rotate is called for each rotation in turn. No call may fail.
func storm(t *testing.T, url string, set *keyset.Set, rotate func(n int)) {
	t.Helper()
	var called [8]atomic.Int64
	ctx, cancel := context.WithCancel(context.Background())
	var workers sync.WaitGroup
	transport := &http.Transport{MaxIdleConnsPerHost: len(called)}
	defer transport.CloseIdleConnections()
	for w := range called {
		workers.Go(func() {
			token := ""
			for n := 0; ctx.Err() == nil; n++ {
				if n%(1+10*w) == 0 {
					var err error
					if token, err = set.Sign(claims()); err != nil {
						t.Error(err)
					}
				}
				req, err := http.NewRequest(http.MethodGet, url, nil)
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("Authorization", "Bearer "+token)
				resp, err := transport.RoundTrip(req)
				if err != nil {
					t.Error(err)
					continue
				}
				_ = resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					t.Error(resp.Status)
				}
				called[w].Add(1)
			}
		})
	}
	for n := range rotations {
		rotate(n + 1)
		var then [len(called)]int64
		for w := range called {
			then[w] = called[w].Load()
		}
		require.Eventually(t, func() bool {
			for w := range called {
				if called[w].Load() <= then[w]+1 {
					return false
				}
			}
			return true
		}, 60*time.Second, time.Millisecond)
	}
	cancel()
	workers.Wait()
	var all int64
	for w := range called {
		all += called[w].Load()
	}
	t.Logf("%d rotations, %d calls", rotations, all)
}

// The next key is published, then it signs; the verifier fetches what is published.
func TestStormOfPublishedKeys(t *testing.T) {
	algorithms := []jwk.Algorithm{jwk.EdDSA, jwk.ES256}
	path := filepath.Join(t.TempDir(), "signing.json")
	current := generate(jwk.ES256)
	write(t, path, "key-0", current, "", source.Secret{})
	r, set := follow(t, path, keyset.Options{Keep: time.Minute})
	issuer := httptest.NewServer(set.Handler(0))
	defer issuer.Close()
	client := issuer.Client()
	defer client.CloseIdleConnections()
	rv, err := refresh.New(t.Context(), keyset.Published(issuer.URL, client), &refresh.Options{Poll: 20 * time.Millisecond, MinBackoff: 20 * time.Millisecond, Logger: quiet})
	require.NoError(t, err)
	defer rv.Close()
	v, err := keyset.NewVerifier(t.Context(), rv, &keyset.VerifierOptions{Expect: keyset.Expect{Issuer: "us", Audience: []string{"shop"}}})
	require.NoError(t, err)
	defer v.Close()
	server := api(t, v.Verify)
	storm(t, server.URL, set, func(n int) {
		id, nextID := fmt.Sprint("key-", n-1), fmt.Sprint("key-", n)
		next := generate(algorithms[n%len(algorithms)])
		write(t, path, id, current, nextID, next)
		require.Eventually(t, func() bool { // in life: the time of propagation
			published, _ := rv.Current().Field(keyset.SetField)
			return strings.Contains(published.Reveal(), `"`+nextID+`"`)
		}, 30*time.Second, time.Millisecond)
		write(t, path, nextID, next, "", source.Secret{})
		require.Eventually(t, func() bool { return r.Current().Username == nextID }, 30*time.Second, time.Millisecond)
		current = next
	})
}

// Who signs and who verifies have a file each; who verifies has the next secret first.
func TestStormOfSecrets(t *testing.T) {
	dir := t.TempDir()
	signer, verifier := filepath.Join(dir, "signer.json"), filepath.Join(dir, "verifier.json")
	current := long("secret 0")
	write(t, signer, "key-0", current, "", source.Secret{})
	write(t, verifier, "key-0", current, "", source.Secret{})
	rs, set := follow(t, signer, keyset.Options{HMAC: true})
	rv, verify := follow(t, verifier, keyset.Options{HMAC: true, Keep: time.Minute})
	server := api(t, verify.Verify)
	storm(t, server.URL, set, func(n int) {
		id, nextID := fmt.Sprint("key-", n-1), fmt.Sprint("key-", n)
		next := long(fmt.Sprint("secret ", n))
		write(t, verifier, id, current, nextID, next)
		require.Eventually(t, func() bool { return rv.Current().Generation == uint64(2*n) }, 30*time.Second, time.Millisecond)
		write(t, signer, nextID, next, "", source.Secret{})
		require.Eventually(t, func() bool { return rs.Current().Username == nextID }, 30*time.Second, time.Millisecond)
		write(t, verifier, nextID, next, "", source.Secret{})
		require.Eventually(t, func() bool { return rv.Current().Generation == uint64(2*n+1) }, 30*time.Second, time.Millisecond)
		current = next
	})
}
