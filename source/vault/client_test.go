package vault_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/vaultserver/vaulttest"
	"github.com/rekey-go/rekey/source/vault"
)

func TestVaultVariablesAndNamespaceAreHonoured(t *testing.T) {
	b := newBench(t)
	var namespaces sync.Map
	target, err := url.Parse(b.Server.Addr())
	require.NoError(t, err)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	back := &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		namespaces.Store(r.In.URL.Path+" "+r.In.Header.Get("X-Vault-Namespace")+" "+r.In.Header.Get("X-Custom"), true)
		r.SetURL(target)
		r.Out.Header.Del("X-Vault-Namespace") // only Vault Enterprise has them
	}}
	front := httptest.NewServer(back)
	defer front.Close()
	path := b.Role("app", vaulttest.Role{})
	t.Setenv("VAULT_ADDR", front.URL)
	t.Setenv("VAULT_TOKEN", vaulttest.NewToken(t, b.Server, vaulttest.Token{Policy: may(path)}))
	t.Setenv("VAULT_NAMESPACE", "team/a")
	t.Setenv("VAULT_HEADERS", `{"X-Custom":"yes"}`)
	t.Setenv("VAULT_WRAP_TTL", "60s")
	config := api.DefaultConfig()
	client, err := api.NewClient(config)
	require.NoError(t, err)
	defer config.HttpClient.CloseIdleConnections()
	s := login(t, client, nil, nil)
	c := get(t, vault.Dynamic(client, path, &vault.Options{Session: s}))
	require.NoError(t, c.Lease.Revoke(t.Context()))
	for _, path := range []string{path, "auth/token/lookup-self", "sys/leases/revoke"} {
		_, seen := namespaces.Load("/v1/" + path + " team/a yes")
		require.True(t, seen, path)
	}
	require.Equal(t, 2, client.MaxRetries(), "the user's client stays as it was")
}

func TestTheClientMayBeUsedByOthersMeanwhile(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	mount := vaulttest.KV(t, b.Server, 2)
	vaulttest.Do(t, b.Server, "PUT", mount+"/data/app", map[string]any{"data": map[string]any{"username": "u", "password": "p"}})
	client := b.client(b.Server.RootToken())
	s := login(t, client, nil, &vault.LoginOptions{Poll: time.Millisecond})
	var stop atomic.Bool
	var wg sync.WaitGroup
	for _, o := range []*vault.Options{nil, {Session: s}} {
		src := vault.KV(client, mount, "app", o)
		wg.Go(func() {
			for !stop.Load() {
				if _, err := src.Credential(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 50 {
		client.SetToken(b.Server.RootToken())
		client.SetNamespace("")
		client.SetMaxRetries(1)
		client.AddHeader("X-Some", "thing")
		_, err := client.Logical().ReadWithContext(t.Context(), mount+"/data/app")
		require.NoError(t, err)
	}
	stop.Store(true)
	wg.Wait()
}
