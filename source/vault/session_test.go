package vault_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/vaultserver/vaulttest"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/vault"
)

func TestSessionKeepsTheTokenOfTheClient(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for name, token := range map[string]vaulttest.Token{
		"renewable": {TTL: 9 * time.Second},
		"periodic":  {Period: 9 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := b.client(vaulttest.NewToken(t, b.Server, token))
			s := login(t, client, nil, nil)
			first := s.Health().Expires
			eventually(t, func() bool { return time.Now().After(first) }, "its first end")
			h := s.Health()
			require.True(t, h.Valid, "outlived")
			require.Equal(t, 1, h.Logins)
			require.WithinRange(t, h.Expires, first, time.Now().Add(9*time.Second))
			s.Close()
			_, err := client.Auth().Token().LookupSelfWithContext(t.Context())
			require.NoError(t, err, "a token that is not the session's own is not revoked")
		})
	}
}

func TestSessionWithoutAWayToLogInKeepsTheTokenToItsEnd(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	mount := vaulttest.KV(t, b.Server, 1)
	vaulttest.Do(t, b.Server, "PUT", mount+"/app", map[string]any{"username": "u", "password": "p"})
	client := b.client(vaulttest.NewToken(t, b.Server, vaulttest.Token{
		Policy: vaulttest.Rule(mount+"/app", "read"), TTL: 6 * time.Second, MaxTTL: 10 * time.Second,
	}))
	s := login(t, client, nil, &vault.LoginOptions{Poll: 100 * time.Millisecond})
	src := vault.KV(client, mount, "app", &vault.Options{Session: s, KVVersion: 1})
	var err error
	eventually(t, func() bool { _, err = src.Credential(t.Context()); return err != nil }, "it ends")
	kind(t, err, vault.Ended)
	require.False(t, s.Health().Valid)
	require.LessOrEqual(t, s.Health().Renewals, 5, "not renewed bit by bit")

	// Its user gives the client another one.
	client.SetToken(vaulttest.NewToken(t, b.Server, vaulttest.Token{TTL: time.Hour}))
	eventually(t, func() bool { return s.Health().Valid }, "taken up")
}

func TestSessionLogsInAnewWhenTheTokenCannotBeRenewed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for name, token := range map[string]vaulttest.Token{
		"batch":           {TTL: 12 * time.Second, Batch: true},
		"maximum":         {TTL: 9 * time.Second, MaxTTL: 12 * time.Second},
		"renewal refused": {TTL: 12 * time.Second, NoDefault: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := b.client("")
			s := login(t, client, appRole{vaulttest.NewAppRole(t, b.Server, token)}, nil)
			valid := true // each is replaced half a life before it ends
			eventually(t, func() bool {
				h := s.Health()
				valid = valid && h.Valid
				return !valid || h.Logins == 3
			}, "logged in again")
			require.True(t, valid, "never without a token")
		})
	}
}

func TestSessionRevokesItsOwnToken(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	role := vaulttest.NewAppRole(t, b.Server, vaulttest.Token{Policy: vaulttest.Rule("sys/leases/revoke", "update")})
	prefix := "auth/" + role.Mount + "/login"
	s := login(t, b.client(""), appRole{role}, nil)
	require.Len(t, vaulttest.Leases(t, b.Server, prefix), 1)
	s.Close()
	s.Close()
	require.Empty(t, vaulttest.Leases(t, b.Server, prefix))
	require.False(t, s.Health().Valid)
	_, err := vault.KV(nil, "secret", "app", &vault.Options{Session: s}).Credential(t.Context())
	require.ErrorIs(t, err, vault.ErrClosed)
	require.True(t, source.IsPermanent(err))

	login(t, b.client(""), appRole{role}, &vault.LoginOptions{KeepToken: true}).Close()
	require.Len(t, vaulttest.Leases(t, b.Server, prefix), 1)
}

func TestF08TheTokenIsRevokedBehindOurBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.Role("app", vaulttest.Role{})
	role := vaulttest.NewAppRole(t, b.Server, vaulttest.Token{Policy: may(path), TTL: time.Hour})
	client := b.client("")
	s := login(t, client, appRole{role}, nil)
	src := vault.Dynamic(client, path, &vault.Options{Session: s})
	get(t, src)
	for range 2 {
		eventually(t, func() bool { return vault.Settled(s) }, "what was just accepted is not asked about again at once")
		vaulttest.Do(t, b.Server, "PUT", "sys/leases/revoke-prefix/auth/"+role.Mount+"/login", map[string]any{"sync": true})
		before := len(b.proxy.Requests("auth/" + role.Mount + "/login"))
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				c, err := src.Credential(t.Context())
				if err != nil {
					t.Errorf("the call that finds out is served all the same: %v", err)
				} else if err := c.Lease.Revoke(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.Len(t, b.proxy.Requests("auth/" + role.Mount + "/login")[before:], 1, "one login shared by all")
	}

	// A policy that forbids is not taken for a token that has ended.
	_, err := vault.Dynamic(client, b.Role("other", vaulttest.Role{}), &vault.Options{Session: s}).Credential(t.Context())
	e := typed(t, err, vault.Permission)
	require.Equal(t, "read", e.Capability)
	require.True(t, source.IsPermanent(err))
	require.Equal(t, 3, s.Health().Logins)
}

func TestLoginErrors(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	role := *vaulttest.NewAppRole(t, b.Server, vaulttest.Token{})
	role.SecretID = canary
	o := &vault.LoginOptions{Logger: logger(t)}
	_, err := vault.Login(t.Context(), b.client(""), appRole{&role}, o)
	e := typed(t, err, vault.Refused)
	require.Equal(t, "auth/"+role.Mount+"/login", e.Path)
	require.NotContains(t, err.Error(), canary)
	require.True(t, source.IsPermanent(err))
	require.Len(t, b.proxy.Requests(e.Path), 1, "not tried again")

	_, err = vault.Login(t.Context(), b.client("hvs."+canary), nil, o)
	kind(t, err, vault.Ended)
	require.NotContains(t, err.Error(), canary)
	require.True(t, source.IsPermanent(err))

	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err = vault.Login(ctx, nowhere(t), appRole{&role}, o)
	kind(t, err, vault.Unavailable)

	// In trouble, Login waits.
	good := vaulttest.NewAppRole(t, b.Server, vaulttest.Token{})
	b.proxy.Break(vaulttest.Fault{Path: "auth/" + good.Mount, Status: http.StatusServiceUnavailable, Times: 2})
	login(t, b.client(""), appRole{good}, nil)

	// Later, what is there serves to its end while logins fail.
	short := vaulttest.NewAppRole(t, b.Server, vaulttest.Token{TTL: 10 * time.Second, Batch: true})
	s := login(t, b.client(""), appRole{short}, nil)
	b.proxy.Break(vaulttest.Fault{Path: "auth/" + short.Mount, Status: http.StatusInternalServerError})
	var h vault.SessionHealth
	eventually(t, func() bool { h = s.Health(); return h.Failures > 1 }, "fails")
	require.True(t, h.Valid)
	eventually(t, func() bool { return !s.Health().Valid }, "ends")
	ctx, cancel = context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err = vault.KV(nil, "secret", "app", &vault.Options{Session: s}).Credential(ctx)
	require.ErrorContains(t, err, "no valid token", "it says so rather than wait")
	b.proxy.Clear()
	eventually(t, func() bool { return s.Health().Valid }, "works again")
}

// asked counts logins and refuses them when told.
type asked struct {
	api.AuthMethod
	n int
}

func (a *asked) Login(ctx context.Context, client *api.Client) (*api.Secret, error) {
	if a.n++; a.n == 1 {
		return nil, errors.New("the metadata service is away")
	}
	client.SetToken("hvs.scribbled")
	client.SetNamespace("scribbled")
	return a.AuthMethod.Login(ctx, client.WithNamespace(""))
}

func TestANewLoginIsToldToAllButNotAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	role := vaulttest.NewAppRole(t, b.Server, vaulttest.Token{TTL: 10 * time.Second, Batch: true})
	s := login(t, b.client(""), appRole{role}, nil)
	src := vault.Dynamic(nil, "database/creds/app", &vault.Options{Session: s})
	old := s.Health().Expires
	told := make(chan time.Time, 100)
	for range 10 {
		defer src.Watch(func() { told <- time.Now() })()
	}
	stop := src.Watch(func() { t.Error("this one has been stopped") })
	stop()
	stop()
	first := <-told
	var last time.Time
	for range 9 {
		last = <-told
	}
	require.Greater(t, last.Sub(first), 300*time.Millisecond)
	require.True(t, last.Before(old), "before the old token ends")
}

func TestAnyAuthMethodMayScribbleOnItsClient(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	role := vaulttest.NewAppRole(t, b.Server, vaulttest.Token{TTL: 3 * time.Second, Batch: true})
	client := b.client("")
	s := login(t, client, &asked{AuthMethod: appRole{role}}, nil)
	eventually(t, func() bool { return s.Health().Logins >= 3 }, "again and again")
	require.Empty(t, client.Token())
	require.Empty(t, client.Namespace())
}
