package vault_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/vaultserver/vaulttest"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/vault"
)

func TestAnswersThatAreRefusals(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.Role("app", vaulttest.Role{})
	root := b.client(b.Server.RootToken())
	for _, c := range []struct {
		name      string
		src       source.Source
		fault     *vaulttest.Fault
		kind      vault.Kind
		permanent bool
		says      string
	}{
		{"no policy", vault.Dynamic(b.limited(""), path, nil), nil, vault.Permission, true, `capability "read" on "` + path + `"`},
		{"no policy, static", vault.Static(b.limited(""), b.Mount+"/static-creds/x", nil), nil, vault.Permission, true, `/static-creds/x"`},
		{"no policy, kv", vault.KV(b.limited(""), "kv", "x", nil), nil, vault.Permission, true, `"kv/data/x"`},
		{"unknown role", vault.Dynamic(root, b.Mount+"/creds/nobody", nil), nil, vault.NotFound, true, "unknown role"},
		{"unknown static role", vault.Static(root, b.Mount+"/static-creds/nobody", nil), nil, vault.NotFound, true, "unknown role"},
		{"unknown mount", vault.Dynamic(root, "nowhere/creds/x", nil), nil, vault.NotFound, true, "nowhere"},
		{"unknown secret", vault.KV(root, vaulttest.KV(t, b.Server, 2), "x", nil), nil, vault.NotFound, true, "KVVersion"},
		{"version 1 for 2", vault.KV(root, vaulttest.KV(t, b.Server, 2), "x", &vault.Options{KVVersion: 1}), nil, vault.NotFound, true, "KVVersion"},
		{"unknown token", vault.KV(b.client("hvs."+canary), "kv", "x", nil), nil, vault.Ended, true, "revoked"},
		{"no token", vault.Dynamic(b.client(""), path, nil), nil, vault.Permission, false, "VAULT_TOKEN"},
		{"nobody there", vault.Dynamic(nowhere(t), path, nil), nil, vault.Unavailable, false, "connection refused"},
		{"429", vault.Dynamic(root, path, nil), &vaulttest.Fault{Status: 429}, vault.Throttled, false, "429"},
		{"500", vault.Dynamic(root, path, nil), &vaulttest.Fault{Status: 500}, vault.Unavailable, false, "500"},
		{"502 from a balancer", vault.Dynamic(root, path, nil), &vaulttest.Fault{Status: 502, Body: "<html>" + canary}, vault.Unavailable, false, "not shown"},
		{"503", vault.Dynamic(root, path, nil), &vaulttest.Fault{Status: 503}, vault.Sealed, false, "503"},
		{"412", vault.Dynamic(root, path, nil), &vaulttest.Fault{Status: 412}, vault.Unavailable, false, "412"},
		{"404 of something else", vault.Dynamic(root, path, nil), &vaulttest.Fault{Status: 404, Body: canary}, vault.Malformed, false, "not shown"},
		{"garbage", vault.Dynamic(root, path, nil), &vaulttest.Fault{Body: canary + "{"}, vault.Malformed, false, "JSON"},
		{"nothing", vault.Dynamic(root, path, nil), &vaulttest.Fault{Status: 204, Body: " "}, vault.Malformed, false, "empty"},
		{"cut off", vault.Dynamic(root, path, nil), &vaulttest.Fault{Cut: true}, vault.Unavailable, false, "EOF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.fault != nil {
				c.fault.Path = path
				b.proxy.Break(*c.fault)
				defer b.proxy.Clear()
			}
			before := len(b.proxy.Requests(""))
			_, err := c.src.Credential(t.Context())
			e := typed(t, err, c.kind)
			require.NotEmpty(t, e.Path)
			require.Equal(t, c.permanent, source.IsPermanent(err), "%v", err)
			require.ErrorContains(t, err, c.says)
			require.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, e), canary)
			if c.fault == nil || !c.fault.Cut { // which net/http tries again by itself
				tries := 0
				for _, r := range b.proxy.Requests("")[before:] {
					if r.Path == e.Path {
						tries++
					}
				}
				require.LessOrEqual(t, tries, 1, "the api client does not try again by itself")
			}
			if e.Kind != vault.Unavailable && e.Kind != vault.Malformed {
				var response *api.ResponseError
				require.ErrorAs(t, err, &response)
			}
		})
	}
	require.Empty(t, b.Users(), "and no user is left")
}

func TestF27AContextThatEndsEndsTheRequest(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.Role("app", vaulttest.Role{})
	client := b.limited(may(path))
	src := vault.Dynamic(client, path, nil)
	c := get(t, src)
	b.proxy.Break(vaulttest.Fault{Delay: time.Minute})
	for name, call := range map[string]func(context.Context) error{
		"fetch":  func(ctx context.Context) error { _, err := src.Credential(ctx); return err },
		"renew":  func(ctx context.Context) error { _, err := c.Lease.Renew(ctx); return err },
		"revoke": c.Lease.Revoke,
		"login": func(ctx context.Context) error {
			_, err := vault.Login(ctx, client, nil, &vault.LoginOptions{Logger: logger(t)})
			return err
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		begun := time.Now()
		require.ErrorIs(t, call(ctx), context.Canceled, name)
		require.Less(t, time.Since(begun), 20*time.Second, name)
	}
	b.proxy.Clear()
	require.NoError(t, c.Lease.Revoke(t.Context()))
}

func TestStartFailsFastWhereWaitingIsUseless(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.Role("app", vaulttest.Role{})
	_, err := refresh.New(t.Context(), vault.Dynamic(b.limited(""), path, nil), quiet(t, nil))
	kind(t, err, vault.Permission)
	require.Len(t, b.proxy.Requests(path), 1, "not tried again")

	// Later, what an operator forbids and mends is taken up.
	r := b.refresher(vault.Dynamic(b.limited(may(path)), path, nil), &refresh.Options{MaxBackoff: time.Second})
	b.proxy.Break(vaulttest.Fault{Path: path, Status: http.StatusForbidden})
	kind(t, r.Refresh(t.Context()), vault.Permission)
	b.proxy.Clear()
	require.NoError(t, r.Refresh(t.Context()))
}

// A catcher keeps all that is said.
type catcher struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (c *catcher) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.Write(p)
}

func (c *catcher) say(values ...any) {
	for _, v := range values {
		fmt.Fprintf(c, "%v %+v %#v\n", v, v, v)
	}
}

func TestF38NoSecretShows(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var said catcher
	log := slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug - 10}))
	path := b.Role("app", vaulttest.Role{TTL: time.Hour})
	role := vaulttest.NewAppRole(t, b.Server, vaulttest.Token{Policy: may(path), TTL: 4 * time.Second, MaxTTL: 6 * time.Second})
	client := b.client("")
	s := login(t, client, appRole{role}, &vault.LoginOptions{Logger: log})
	src := vault.Dynamic(client, path, &vault.Options{Session: s, Logger: log})
	r := b.refresher(src, &refresh.Options{Logger: log})

	var secrets []string
	note := func() {
		c := get(t, src)
		secrets = append(secrets, c.Password.Reveal(), vault.TokenOf(s))
		said.say(c, &c, c.Lease, src, s.Health(), r.Health())
		_, err := c.Lease.Renew(t.Context())
		said.say(err, c.Lease.Revoke(t.Context()))
	}
	note()
	for _, f := range []vaulttest.Fault{
		{Status: 500},
		{Status: 403},
		{Status: 429},
		{Body: "garbage"},
		{Cut: true},
		{Status: 400, Body: `{"errors":["` + vault.TokenOf(s) + `"]}`},
		{Status: 400, Body: vault.TokenOf(s)},
		{Body: `{"data":"` + vault.TokenOf(s) + `"}`},
	} {
		b.proxy.Break(f)
		_, err := src.Credential(t.Context())
		require.Error(t, err)
		said.say(err, r.Refresh(t.Context()))
		b.proxy.Clear()
	}
	eventually(t, func() bool { return s.Health().Logins > 1 && s.Health().Valid }, "logged in again")
	note()
	s.Close()
	said.say(s.Health())
	_, err := src.Credential(t.Context())
	said.say(err)

	said.mu.Lock()
	defer said.mu.Unlock()
	require.Contains(t, said.text.String(), "credential adopted")
	for _, secret := range append(secrets, role.SecretID) {
		require.Greater(t, len(secret), 10)
		require.NotContains(t, said.text.String(), secret)
	}
}
