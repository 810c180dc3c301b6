package vault_test

import (
	"cmp"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/vaultserver/vaulttest"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/vault"
)

func TestF01TheTokenEndsBeforeTheLease(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.Role("app", vaulttest.Role{TTL: time.Hour})
	begun := time.Now()
	token := vaulttest.NewToken(t, b.Server, vaulttest.Token{Policy: may(path), TTL: 20 * time.Second})
	for name, o := range map[string]*vault.Options{
		"own token": nil,
		"session":   {Session: login(t, b.client(token), nil, nil)},
	} {
		c := get(t, vault.Dynamic(b.client(token), path, o))
		require.Equal(t, "vault token", c.Reason, name)
		require.WithinRange(t, c.Expires, begun.Add(15*time.Second), time.Now().Add(20*time.Second), name)
		renewed, err := c.Lease.Renew(t.Context())
		require.NoError(t, err, name)
		require.Equal(t, "vault token", renewed.Reason, name)
		require.WithinRange(t, renewed.Expires, begun.Add(15*time.Second), time.Now().Add(20*time.Second), name)
	}
	endless := get(t, vault.Dynamic(b.client(b.Server.RootToken()), path, nil))
	require.Equal(t, "lease", endless.Reason)
	require.Equal(t, time.Hour, endless.Expires.Sub(endless.Issued))
}

func TestF01F02ANewTokenMeansANewCredential(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.Role("app", vaulttest.Role{TTL: time.Hour})
	role := vaulttest.NewAppRole(t, b.Server, vaulttest.Token{Policy: may(path), TTL: 12 * time.Second, MaxTTL: 16 * time.Second})
	client := b.client("")
	s := login(t, client, appRole{role}, nil)
	src := vault.Dynamic(client, path, &vault.Options{Session: s})
	require.Empty(t, client.Token(), "the user's client stays as it was")

	first := get(t, src)
	require.Equal(t, "vault token", first.Reason)
	_, err := first.Lease.Renew(t.Context())
	require.NoError(t, err)

	r := b.refresher(src, nil)
	born := r.Current()
	changed := make(chan time.Time, 10)
	defer src.Watch(func() { changed <- time.Now() })()
	eventually(t, func() bool { return s.Health().Logins >= 2 }, "logged in again before the maximum")
	<-changed
	_, err = first.Lease.Renew(t.Context())
	kind(t, err, vault.Ended)
	require.ErrorContains(t, err, "token has changed")
	require.True(t, source.IsPermanent(err))
	eventually(t, func() bool { return r.Current().Generation > born.Generation }, "a new credential")
	require.True(t, time.Now().Before(born.Expires), "before the old one ends")
	require.NoError(t, first.Lease.Revoke(t.Context()), "revoked all the same")
	require.Equal(t, refresh.Fresh, r.Health().State)

	// One more life of a token, and never a moment without a credential.
	var none error
	eventually(t, func() bool {
		asked := time.Now()
		now, err := r.Latest(t.Context())
		if err == nil && !now.Expires.After(asked) {
			err = errors.New("it has ended")
		}
		none = cmp.Or(none, err)
		return none != nil || s.Health().Logins > 2
	}, "logged in again")
	require.NoError(t, none)
	require.LessOrEqual(t, r.Health().LiveLeases, 2)
}

func TestF19AChildTokenEndsWithItsParent(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.Role("app", vaulttest.Role{TTL: 30 * time.Minute})
	begun := time.Now()
	parent := vaulttest.NewToken(t, b.Server, vaulttest.Token{
		TTL:    12 * time.Second,
		MaxTTL: 12 * time.Second,
		Policy: may(path) + vaulttest.Rule("auth/token/create", "update") + vaulttest.Rule("auth/token/lookup-accessor", "update"),
	})
	end := time.Now().Add(12 * time.Second)
	child := vaulttest.NewToken(t, b.Server, vaulttest.Token{Parent: parent, TTL: time.Hour})
	accessor := vaulttest.Do(t, b.Server, "POST", "auth/token/lookup", map[string]any{"token": parent}).Data["accessor"].(string)
	client := b.client(child)

	s := login(t, client, nil, &vault.LoginOptions{ParentAccessor: accessor})
	require.Equal(t, "parent token", s.Health().Reason)
	c := get(t, vault.Dynamic(client, path, &vault.Options{Session: s}))
	require.Equal(t, "parent token", c.Reason)
	require.False(t, c.Expires.After(end))

	blind := get(t, vault.Dynamic(client, path, nil))
	require.Equal(t, "lease", blind.Reason, "Vault does not tell a token who its parent is")

	eventually(t, func() bool { return len(b.Users()) == 0 }, "Vault ends both with the parent")
	require.True(t, time.Now().After(begun.Add(11*time.Second)))
	eventually(t, func() bool { return !s.Health().Valid }, "which is known")
	_, err := vault.Dynamic(client, path, &vault.Options{Session: s}).Credential(t.Context())
	kind(t, err, vault.Ended)
	_, err = vault.Dynamic(client, path, nil).Credential(t.Context())
	kind(t, err, vault.Ended)
	require.NoError(t, blind.Lease.Revoke(t.Context()), "it went with its token")
	require.False(t, errors.Is(err, context.Canceled))
}
