package refresh_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
)

// token is the n-th one of a user: it ends, and sessions do not end with it.
func token(user string, n int) source.Credential {
	return source.Credential{
		Username: user, Password: source.NewSecret(fmt.Sprint("token-", n)), Version: fmt.Sprint(user, n),
		Expires: time.Now().Add(15 * time.Minute),
	}
}

func TestStays(t *testing.T) {
	field := func(c source.Credential, host string) source.Credential {
		return c.WithFields(map[string]source.Secret{"host": source.NewSecret(host)})
	}
	ends := func(c source.Credential) source.Credential { c.EndsSessions = true; return c }
	endless := func(c source.Credential) source.Credential { c.Expires = time.Time{}; return c }
	bubble(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			first, next source.Credential
			stays       bool
			o           *refresh.Options
		}{
			"tokens of one user":   {token("app", 1), token("app", 2), true, nil},
			"with the same fields": {field(token("app", 1), "db"), field(token("app", 2), "db"), true, nil},
			"with another field":   {field(token("app", 1), "db"), field(token("app", 2), "other"), false, nil},
			"of another user":      {token("app", 1), token("clone", 2), false, nil},
			"after a password":     {endless(token("app", 1)), token("app", 2), false, nil},
			"a password after":     {token("app", 1), endless(token("app", 2)), true, nil},
			"after what ends them": {ends(token("app", 1)), token("app", 2), false, nil},
			"with Drain":           {token("app", 1), token("app", 2), false, &refresh.Options{Drain: time.Hour}},
		} {
			s := script()
			s.Set(c.first)
			r := start(t, s, c.o)
			a := attach(t, r, &database{})
			h := hold(t, a)
			require.True(t, h.Stays(), name)
			s.Set(c.next)
			require.NoError(t, r.Refresh(t.Context()))
			assert.Equal(t, c.stays, h.Stays(), name)
			assert.False(t, h.Current(), name)
			h.Release()
		}
	})
}

// There and back: sessions of the user from before are replaced once, and those
// of a user that is taken back go.
func TestStaysAcrossUsers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		s.Set(token("app", 1))
		r := start(t, s, nil)
		a := attach(t, r, &database{})
		next := func(c source.Credential) *refresh.Hold {
			s.Set(c)
			require.NoError(t, r.Refresh(t.Context()))
			return hold(t, a)
		}
		one := hold(t, a)
		two := next(token("clone", 2))
		assert.False(t, one.Stays())
		three := next(token("clone", 3))
		assert.True(t, two.Stays())
		bad := next(token("wrong", 4))
		require.NoError(t, three.Reinstate(t.Context(), r.Current().Generation, errAway))
		assert.True(t, two.Stays(), "of the line that is returned to")
		assert.True(t, three.Stays())
		assert.False(t, bad.Stays())
		five := next(token("clone", 5))
		for _, h := range []*refresh.Hold{two, three, five} {
			assert.True(t, h.Stays())
		}
		six := next(token("app", 6))
		assert.False(t, one.Stays(), "another line of the same user")
		for _, h := range []*refresh.Hold{one, two, three, bad, five, six} {
			h.Release()
		}
	})
}

// Connections that live for long hold the tokens that they have logged in with,
// and nothing holds the others.
func TestF25ThousandsOfTokens(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := 0
		r := start(t, source.Func(func(context.Context) (source.Credential, error) {
			n++
			return token("app", n), nil
		}), nil)
		a := attach(t, r, indifferent{})
		heap := func() uint64 {
			runtime.GC()
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		var lent []*refresh.Hold
		run := func(tokens, each int) {
			for i := range tokens {
				require.NoError(t, r.Refresh(t.Context()))
				if each > 0 && i%each == 0 {
					lent = append(lent, hold(t, a))
				}
			}
		}
		run(100, 10) // ten connections that stay
		before := heap()
		run(5000, 0)
		grown := int64(heap()) - int64(before)
		t.Logf("%d tokens, heap %+d bytes", r.Current().Generation, grown)
		require.Greater(t, r.Current().Generation, uint64(5000))
		require.Less(t, grown, int64(256<<10))
		for _, h := range lent {
			require.True(t, h.Stays())
			require.False(t, h.Over(time.Now()))
			h.Release()
		}
	})
}

// indifferent is a consumer that accepts everything.
type indifferent struct{}

func (indifferent) Verify(context.Context, refresh.Snapshot) error { return nil }
func (indifferent) Changed()                                       {}
