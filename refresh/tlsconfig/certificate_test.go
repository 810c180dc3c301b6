package tlsconfig_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/refresh/tlsconfig"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/keypair"
	"github.com/rekey-go/rekey/source/sourcetest"
)

func TestABadPairKeepsTheLastGoodOne(t *testing.T) {
	ca := newAuthority("ca", nextYear)
	chain, key := ca.issue(time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	_, other := ca.issue(time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	ended, endedKey := ca.issue(time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour))
	early, earlyKey := ca.issue(time.Now().Add(time.Hour), time.Now().Add(2*time.Hour))
	for name, bad := range map[string]source.Credential{
		"halves of two":       cred(chain, other, ca),
		"no key":              cred(chain, "", ca),
		"no chain":            cred("", key, ca),
		"nonsense":            cred("nonsense", key, ca),
		"ended":               cred(ended, endedKey, ca),
		"early":               cred(early, earlyKey, ca),
		"half of a chain":     cred(chain+encode("CERTIFICATE", []byte("half")), key, ca),
		"no roots":            cred(chain, key),
		"roots that ended":    cred(chain, key, newAuthority("ended", time.Now().Add(-time.Minute))),
		"half of the roots":   cred(chain, key, ca, &authority{pem: ca.pem[:100]}),
		"a key in the roots":  cred(chain, key, ca, &authority{pem: key}),
		"nonsense as a root":  cred(chain, key, ca, &authority{pem: encode("CERTIFICATE", []byte("root"))}),
		"text in their place": cred(chain, key, &authority{pem: "roots"}),
	} {
		t.Run(name, func(t *testing.T) {
			s := newSide(t, ca.pair(time.Hour, ca))
			before, roots := s.cert.Get(), s.roots.Get()
			s.store.Set(bad)
			err := s.r.Refresh(t.Context())
			require.Error(t, err)
			assert.Same(t, before, s.cert.Get())
			assert.Same(t, roots, s.roots.Get(), "both or none")
			h := s.cert.Health()
			assert.Equal(t, refresh.Degraded, h.State)
			assert.Equal(t, err.Error(), h.LastError)
			for _, secret := range []string{key, other, endedKey, earlyKey} {
				assert.NotContains(t, err.Error(), strings.Split(secret, "\n")[1])
			}

			s.set(t, ca.pair(time.Hour, ca))
			assert.NotSame(t, before, s.cert.Get())
			assert.Equal(t, refresh.Fresh, s.cert.Health().State)
		})
	}
}

func TestHealthWarnsBeforeTheEnd(t *testing.T) {
	for _, source := range []func(source.Source) source.Source{tlsconfig.Source, func(s source.Source) source.Source { return s }} {
		synctest.Test(t, func(t *testing.T) {
			ca := newAuthority("ca", time.Now().AddDate(1, 0, 0))
			store := sourcetest.NewScript()
			store.Set(ca.pair(99*time.Hour, ca)) // 100 h, of which one is over
			r, err := refresh.New(t.Context(), source(store), &refresh.Options{Logger: slog.New(slog.DiscardHandler)})
			require.NoError(t, err)
			defer r.Close()
			byDefault, err := tlsconfig.NewCertificate(t.Context(), r, nil)
			require.NoError(t, err)
			never, err := tlsconfig.NewCertificate(t.Context(), r, &tlsconfig.Options{Warn: -1})
			require.NoError(t, err)
			early, err := tlsconfig.NewCertificate(t.Context(), r, &tlsconfig.Options{Warn: 50 * time.Hour})
			require.NoError(t, err)
			states := func(want ...refresh.State) {
				t.Helper()
				synctest.Wait()
				for i, c := range []*tlsconfig.Certificate{early, byDefault, never} {
					h := c.Health()
					assert.Equal(t, want[i], h.State, i)
					assert.Equal(t, want[i] != refresh.Fresh, h.Why != "", i)
					assert.WithinDuration(t, c.Get().Leaf.NotAfter, h.Expires, 0)
				}
			}
			states(refresh.Fresh, refresh.Fresh, refresh.Fresh)
			time.Sleep(50 * time.Hour)
			states(refresh.Degraded, refresh.Fresh, refresh.Fresh)
			time.Sleep(30 * time.Hour)
			states(refresh.Degraded, refresh.Degraded, refresh.Fresh)
			time.Sleep(20 * time.Hour)
			states(refresh.Expired, refresh.Expired, refresh.Expired)
			store.Set(ca.pair(99*time.Hour, ca))
			time.Sleep(5 * time.Minute)
			states(refresh.Fresh, refresh.Fresh, refresh.Fresh)
		})
	}
}

// A store that does not tell of changes is asked all the same, although the certificate
// lives for long.
func TestSourceIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newAuthority("ca", time.Now().AddDate(1, 0, 0))
		s := newSide(t, ca.pair(90*24*time.Hour, ca))
		for range 10 {
			next := ca.pair(90*24*time.Hour, ca)
			s.store.Set(next)
			time.Sleep(6 * time.Minute)
			synctest.Wait()
			chain, _ := next.Field(keypair.ChainField)
			assert.Contains(t, chain.Reveal(), encode("CERTIFICATE", s.cert.Get().Certificate[0]))
		}
		assert.Less(t, s.store.Calls(), 15, "in an hour")
		s.r.Close()
	})
}

func TestSourceKeepsWhatItWraps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newAuthority("ca", time.Now().AddDate(1, 0, 0))
		s := newSide(t, ca.pair(time.Hour, ca))
		s.store.Set(ca.pair(2*time.Hour, ca))
		s.store.Changed()
		synctest.Wait()
		assert.WithinDuration(t, time.Now().Add(2*time.Hour), s.r.Current().Expires, 2*time.Second)
		assert.Equal(t, "certificate", s.r.Current().Reason)
		s.r.Close()
		assert.Zero(t, s.store.Watchers())

		pending := ca.pair(time.Hour, ca)
		s.store.Offer(pending, cred("", ""))
		wrapped := tlsconfig.Source(s.store).(source.CandidateSource)
		got, err := wrapped.Candidates(t.Context())
		require.NoError(t, err)
		require.Len(t, got, 1, "what has no certificate is left out")
		assert.True(t, pending.Same(got[0]))
		assert.False(t, got[0].Expires.IsZero())

		away := errors.New("the store is away")
		s.store.Fail(away)
		_, err = wrapped.Credential(t.Context())
		require.ErrorIs(t, err, away)
		plain := tlsconfig.Source(source.Static("u", source.NewSecret("p"))).(source.CandidateSource)
		got, err = plain.Candidates(t.Context())
		require.NoError(t, err)
		assert.Empty(t, got)
		_, err = plain.Credential(t.Context())
		require.Error(t, err)
		plain.(source.Watcher).Watch(func() {})()
	})
}

// Roots may be all that a credential holds.
func TestRootsAlone(t *testing.T) {
	ca := newAuthority("ca", nextYear)
	src := source.Static("", source.NewSecret("# the company's\n"+ca.pem))
	r, err := refresh.New(t.Context(), src, &refresh.Options{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer r.Close()
	roots, err := tlsconfig.NewRoots(t.Context(), r)
	require.NoError(t, err)
	defer roots.Close()
	server := newSide(t, ca.pair(time.Hour, ca))
	_, err = handshake(t, named(serve(t, tlsconfig.Server(nil, server.cert, nil))), tlsconfig.Client(nil, nil, roots))
	require.NoError(t, err)
	_, err = tlsconfig.NewCertificate(t.Context(), r, nil)
	require.ErrorIs(t, err, refresh.ErrRejected)
}

func TestNothingPrintsTheKey(t *testing.T) {
	ca := newAuthority("ca", nextYear)
	s := newSide(t, ca.pair(time.Hour, ca))
	text := strings.Split(s.r.Current().Password.Reveal(), "\n")[1]
	require.Greater(t, len(text), 50)
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	s.store.Set(cred("", s.r.Current().Password.Reveal(), ca))
	err := s.r.Refresh(t.Context())
	require.Error(t, err)
	logger.Info("all", "health", s.cert.Health(), "error", err, "credential", s.r.Current())
	fmt.Fprintf(&log, "%+v %v", s.cert.Health(), err)
	assert.NotContains(t, log.String(), text)
}
