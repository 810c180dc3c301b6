package rdsiam_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/iamcheck"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/rdsiam"
)

// A token logs in; one for another user, or by another key, is rejected, and
// the library knows that it was.
func TestLogin(t *testing.T) {
	servers(t, func(t *testing.T, v *vendor, s *server) {
		src := rdsiam.New(v.config(), s.endpoint, s.user, nil)
		_, err := s.open(t, src, options(t)).query(t.Context())
		require.NoError(t, err)
		require.Zero(t, s.refused())

		token := get(t, src).Password.Reveal()
		require.Less(t, len(token), iamcheck.LongestToken, "PAM passes on all of it")
		of := func(endpoint, user, region string) string {
			return get(t, rdsiam.New(v.config(), endpoint, user, &rdsiam.Options{Region: region})).Password.Reveal()
		}
		for what, bad := range map[string]string{
			"its signature is wrong":  token[:len(token)-4] + "0bad",
			"it is for user":          of(s.endpoint, "else", ""),
			"it is for \"db.internal": of("db.internal:1", s.user, ""),
			"its scope":               of(s.endpoint, s.user, "us-east-1"),
			"it is not a token":       "secret",
		} {
			err := s.login(t.Context(), bad)
			require.Equal(t, s.code, code(err), "%s: %v", what, err)
			require.Equal(t, pool.Rejected, s.classify(err), what)
			logins := s.iam.Logins()
			require.ErrorContains(t, logins[len(logins)-1].Err, what)
		}
		require.Error(t, s.login(t.Context(), strings.Repeat("x", 2000)))
		logins := s.iam.Logins()
		require.Equal(t, iamcheck.LongestToken, logins[len(logins)-1].Length)
	})
}

// Tokens are replaced ahead of their end, and of their parent's: no login is
// ever rejected, though each statement makes one.
func TestRefreshedAhead(t *testing.T) {
	const life = 15 * time.Second
	servers(t, func(t *testing.T, v *vendor, s *server) {
		src := rdsiam.Shorten(rdsiam.New(v.config(), s.endpoint, s.user, nil), life)
		s.iam.Change(func(c *iamcheck.Checker) { c.Window = life })
		p := s.open(t, src, options(t))
		logins := 0
		for p.health().Generation < 3 {
			p.empty()
			_, err := p.query(t.Context())
			require.NoError(t, err)
			logins++
		}
		require.Equal(t, "token", p.health().Reason)
		require.Zero(t, s.refused())
		require.Zero(t, p.health().LoginsRejected)
		t.Logf("%d statements over %d tokens", logins, p.health().Generation)
	})
}

func TestF19RefreshedAheadOfTheParent(t *testing.T) {
	const life = 15 * time.Second
	servers(t, func(t *testing.T, v *vendor, s *server) {
		renew := func() { // those of before live until their own end
			v.set(func(v *vendor) { v.now.AccessKeyID += "0" })
			v.endsIn(life)
			s.iam.Change(func(c *iamcheck.Checker) { maps.Copy(c.Keys, v.keys()) })
		}
		src := rdsiam.New(v.config(), s.endpoint, s.user, nil)
		vend := source.Func(func(ctx context.Context) (source.Credential, error) {
			renew()
			return src.Credential(ctx)
		})
		p := s.open(t, vend, options(t))
		for p.health().Generation < 3 {
			p.empty()
			_, err := p.query(t.Context())
			require.NoError(t, err)
		}
		require.Equal(t, "aws credentials", p.health().Reason)
		require.Zero(t, s.refused())
	})
}

// The database finds the token too old, which the source did not: one fetch
// for all who come.
func TestF16RejectedTokenIsReplacedByOneFetch(t *testing.T) {
	const old = 5 * time.Second // the same token is not given again
	servers(t, func(t *testing.T, v *vendor, s *server) {
		src := rdsiam.Shorten(rdsiam.New(v.config(), s.endpoint, s.user, nil), 2*time.Minute)
		var fetches atomic.Int64
		counted := source.Func(func(ctx context.Context) (source.Credential, error) {
			fetches.Add(1)
			return src.Credential(ctx)
		})
		p := s.open(t, counted, options(t))
		_, err := p.query(t.Context())
		require.NoError(t, err)
		token := get(t, src)
		require.Eventually(t, func() bool { return time.Since(token.Issued) > old }, patience, 10*time.Millisecond)
		s.iam.Change(func(c *iamcheck.Checker) { c.Since = token.Issued.Add(old / 2) })
		p.empty()
		began, before := time.Now(), fetches.Load()
		var all sync.WaitGroup
		for range most {
			all.Go(func() {
				if _, err := p.query(t.Context()); err != nil {
					t.Errorf("a statement failed: %v", err)
				}
			})
		}
		all.Wait()
		require.EqualValues(t, 1, fetches.Load()-before)
		require.NotZero(t, s.refused())
		h := p.health()
		require.EqualValues(t, 2, h.Generation)
		require.Equal(t, refresh.Fresh, h.State)
		t.Logf("%d statements after %v: %d logins rejected, 1 fetch", most, time.Since(began), h.LoginsRejected)
	})
}

// IAM knows the parent's key no more, though the cache still holds it.
func TestRevokedParent(t *testing.T) {
	servers(t, func(t *testing.T, v *vendor, s *server) {
		p := s.open(t, rdsiam.New(v.config(), s.endpoint, s.user, nil), options(t))
		v.set(func(v *vendor) { v.now.AccessKeyID = "AKIDOTHER" })
		s.iam.Change(func(c *iamcheck.Checker) { c.Keys = v.keys() })
		p.empty()
		_, err := p.query(t.Context())
		require.NoError(t, err)
		require.Equal(t, 2, v.calls())
		require.EqualValues(t, 2, p.health().Generation)
	})
}

// What has logged in goes on after the token's end, though there is no other one.
func TestSessionsSurviveTheToken(t *testing.T) {
	const life = 10 * time.Second
	servers(t, func(t *testing.T, v *vendor, s *server) {
		src := rdsiam.Shorten(rdsiam.New(v.config(), s.endpoint, s.user, nil), life)
		var broken atomic.Bool
		p := s.open(t, source.Func(func(ctx context.Context) (source.Credential, error) {
			if broken.Load() {
				return source.Credential{}, errAway
			}
			return src.Credential(ctx)
		}), options(t))
		pooled, err := p.query(t.Context())
		require.NoError(t, err)
		// Lent is another one than the pool keeps.
		other, done, err := p.begin(t.Context())
		require.NoError(t, err)
		lent, err := other(t.Context())
		require.NoError(t, err)
		require.Equal(t, pooled, lent)
		broken.Store(true)
		pooled, err = p.query(t.Context())
		require.NoError(t, err)
		require.NotEqual(t, lent, pooled)

		s.iam.Change(func(c *iamcheck.Checker) { c.Window = life })
		require.Eventually(t, func() bool {
			h := p.health()
			return time.Now().After(h.Expires.Add(time.Second)) && h.State == refresh.Degraded
		}, patience, 10*time.Millisecond)
		for range 3 {
			again, err := p.query(t.Context())
			require.NoError(t, err)
			require.Equal(t, pooled, again)
			again, err = other(t.Context())
			require.NoError(t, err)
			require.Equal(t, lent, again)
		}
		require.Zero(t, p.health().Overstaying)
		require.Contains(t, p.health().Why, "2 open connections still serve")

		// A login is not tried with what has ended.
		seen := len(s.iam.Logins())
		p.empty()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err = p.query(ctx)
		require.ErrorIs(t, err, errAway)
		require.Len(t, s.iam.Logins(), seen)
		broken.Store(false)
		_, err = p.query(t.Context())
		require.NoError(t, err)
		require.NoError(t, done())
	})
}

// A catcher is a log.
type catcher struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (c *catcher) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buf.Write(p)
}

func (c *catcher) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buf.String()
}

// Logs, health and errors of logins that are rejected have no part of a token
// that is worth anything.
func TestF38TokensDoNotAppear(t *testing.T) {
	servers(t, func(t *testing.T, v *vendor, s *server) {
		var log catcher
		o := &pool.Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug - 10}))}
		o.Refresh = &refresh.Options{Logger: o.Logger}
		var tokens []string
		var mu sync.Mutex
		src := rdsiam.New(v.config(), s.endpoint, s.user, nil)
		p := s.open(t, source.Func(func(ctx context.Context) (source.Credential, error) {
			c, err := src.Credential(ctx)
			mu.Lock()
			defer mu.Unlock()
			tokens = append(tokens, c.Password.Reveal())
			return c, err
		}), o)
		s.iam.Change(func(c *iamcheck.Checker) { c.Keys = nil })
		v.set(func(v *vendor) { v.now.AccessKeyID = "AKIDOTHER" })
		p.empty()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := p.query(ctx)
		require.Error(t, err)
		require.NotEmpty(t, log.text())
		mu.Lock()
		defer mu.Unlock()
		require.Greater(t, len(tokens), 1)
		for _, token := range append(tokens, secretKey, sessionToken) {
			_, signature, _ := strings.Cut(token, "X-Amz-Signature=")
			for _, text := range []string{log.text(), err.Error(), fmt.Sprintf("%+v %#v", err, err), fmt.Sprintf("%+v", p.health())} {
				require.NotContains(t, text, token)
				require.NotContains(t, text, "X-Amz")
				if signature != "" {
					require.NotContains(t, text, signature)
				}
			}
		}
	})
}
