package vault_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/vaultserver/vaulttest"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/vault"
)

// An agent puts a token of its own into requests, as Vault Agent and Vault
// Proxy do. It listens before it has one.
type agent struct {
	*httptest.Server
	token atomic.Value
}

func newAgent(t *testing.T, b *bench, listener net.Listener) *agent {
	t.Helper()
	target, err := url.Parse(b.proxy.Addr())
	require.NoError(t, err)
	transport := &http.Transport{}
	a := &agent{}
	a.Server = httptest.NewUnstartedServer(&httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Header.Del("X-Vault-Token")
		if token, ok := a.token.Load().(string); ok {
			r.Out.Header.Set("X-Vault-Token", token)
		}
	}})
	if listener != nil {
		a.Listener.Close()
		a.Listener = listener
	}
	a.Start()
	t.Cleanup(func() {
		a.Close()
		transport.CloseIdleConnections()
	})
	return a
}

func TestAnAgentThatHasNotLoggedInYetIsWaitedFor(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.Role("app", vaulttest.Role{})
	token := vaulttest.NewToken(t, b.Server, vaulttest.Token{Policy: may(path), TTL: time.Hour})
	a := newAgent(t, b, nil)
	client := clientOf(t, a.URL, "")
	_, err := vault.Dynamic(client, path, nil).Credential(t.Context())
	e := typed(t, err, vault.Permission)
	require.False(t, source.IsPermanent(err))
	require.Contains(t, e.Detail, "VAULT_TOKEN")

	opened := make(chan error, 1)
	go func() {
		r, err := refresh.New(t.Context(), vault.Dynamic(client, path, nil), quiet(t, nil))
		if err == nil {
			r.Close()
		}
		opened <- err
	}()
	eventually(t, func() bool { return len(b.proxy.Requests(path)) > 3 }, "tried again")
	a.token.Store(token)
	require.NoError(t, <-opened)

	// A token of the agent's that has ended is the agent's to replace.
	a.token.Store("hvs.ended")
	_, err = vault.Dynamic(client, path, nil).Credential(t.Context())
	kind(t, err, vault.Ended)
	require.False(t, source.IsPermanent(err))
}

func TestNoTokenAtARemoteVaultIsAMistake(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.Role("app", vaulttest.Role{})
	config := api.DefaultConfig()
	require.NoError(t, config.Error)
	config.Address = "http://vault.example:8200"
	config.HttpClient.Transport.(*http.Transport).Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(b.proxy.Addr()) }
	defer config.HttpClient.CloseIdleConnections()
	client, err := api.NewClient(config)
	require.NoError(t, err)
	client.ClearToken()
	begun := time.Now()
	_, err = refresh.New(t.Context(), vault.Dynamic(client, path, nil), quiet(t, nil))
	require.Contains(t, typed(t, err, vault.Permission).Detail, "VAULT_TOKEN")
	require.Less(t, time.Since(begun), 5*time.Second)
}

func TestF02TheTokenOfAnAgentIsReplaced(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.Role("app", vaulttest.Role{TTL: time.Hour})
	for name, batch := range map[string]bool{"service": false, "batch": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token := func(ttl time.Duration) string {
				return vaulttest.NewToken(t, b.Server, vaulttest.Token{Policy: may(path), TTL: ttl, Batch: batch})
			}
			a := newAgent(t, b, nil)
			a.token.Store(token(30 * time.Minute))
			begun := time.Now()
			src := vault.Dynamic(clientOf(t, a.URL, ""), path, nil)
			c := get(t, src)
			renewed, err := c.Lease.Renew(t.Context())
			require.NoError(t, err)
			if !batch { // Vault bounds a batch token's leases by itself
				require.Equal(t, "vault token", c.Reason)
				require.Equal(t, "vault token", renewed.Reason)
			}
			end := begun.Add(30*time.Minute + 2*time.Second)
			require.WithinRange(t, renewed.Expires, begun.Add(30*time.Minute-5*time.Second), end)

			// The lease ends with the token that it was made with.
			a.token.Store(token(3 * time.Hour))
			for range 2 {
				renewed, err = c.Lease.Renew(t.Context())
				if !batch || err != nil {
					kind(t, err, vault.Ended)
					require.True(t, source.IsPermanent(err))
				}
				require.True(t, renewed.Expires.Before(end))
				require.True(t, get(t, src).Expires.After(end), "another one does not")
			}
		})
	}
}

func TestClientsOfASocketDoNotRace(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	mount := vaulttest.KV(t, b.Server, 2)
	vaulttest.Do(t, b.Server, "PUT", mount+"/data/app", map[string]any{"data": map[string]any{"username": "u", "password": "p"}})
	path := filepath.Join(t.TempDir(), "vault.sock")
	listener, err := net.Listen("unix", path)
	require.NoError(t, err)
	a := newAgent(t, b, listener)
	a.token.Store(b.Server.RootToken())
	client := clientOf(t, "unix://"+path, "")
	src := vault.KV(client, mount, "app", nil)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				client.CloneConfig().HttpClient.CloseIdleConnections() // so that the next request dials
				if _, err := src.Credential(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 50 {
		get(t, vault.KV(client, mount, "app", nil)) // a second pool is opened
	}
	wg.Wait()
}
