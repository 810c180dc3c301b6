package vault_test

import (
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
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

// front serves in front of the bench's Vault.
func front(t *testing.T, b *bench, start func(*httptest.Server), change func(http.ResponseWriter, *http.Request) bool) string {
	t.Helper()
	target, err := url.Parse(b.proxy.Addr())
	require.NoError(t, err)
	transport := &http.Transport{}
	back := &httputil.ReverseProxy{Transport: transport, ErrorLog: log.New(io.Discard, "", 0), Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !change(w, r) {
			back.ServeHTTP(w, r)
		}
	}))
	start(s)
	t.Cleanup(func() {
		s.Close()
		transport.CloseIdleConnections()
	})
	return s.URL
}

func TestAnswersOfOthersInTheWay(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.Role("app", vaulttest.Role{})
	src := vault.Dynamic(b.client(b.Server.RootToken()), path, nil)
	for name, f := range map[string]vaulttest.Fault{
		"a firewall's 403": {Status: http.StatusForbidden, Body: `{"message":"Forbidden"}`},
		"a gateway's 401":  {Status: http.StatusUnauthorized, Body: `{"message":"Unauthorized"}`},
		"a page":           {Body: "<!DOCTYPE html><html>" + canary + "</html>"},
		"a page for 403":   {Status: http.StatusForbidden, Body: "<html>" + canary + "</html>"},
		"cut JSON":         {Body: `{"lease_id":"x","data":{"password":"` + canary},
		"null":             {Body: "[]"},
		"too large":        {Body: `{"data":{"password":"` + strings.Repeat("x", 5<<20) + `"}}`},
		"no number":        {Body: `{"lease_id":"x","lease_duration":1e300,"data":{"username":"u","password":"` + canary + `"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			f.Path = path
			b.proxy.Break(f)
			defer b.proxy.Clear()
			_, err := src.Credential(t.Context())
			kind(t, err, vault.Malformed)
			require.False(t, source.IsPermanent(err), "it may pass")
			require.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), canary)
			require.Less(t, len(err.Error()), 1000)
		})
	}
}

func TestLeasesThatCannotBeUsedAreGivenBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.Role("app", vaulttest.Role{TTL: time.Hour})
	src := vault.Dynamic(b.client(b.Server.RootToken()), path, nil)
	for name, c := range map[string]struct{ rest, field string }{
		"none":     {`"lease_duration":0,"data":{"username":"u","password":"` + canary + `"}`, "lease_duration"},
		"negative": {`"lease_duration":-1,"data":{"username":"u","password":"` + canary + `"}`, "lease_duration"},
		"wrapped":  {`"lease_duration":60,"data":null,"wrap_info":{"token":"` + canary + `","ttl":60}`, "data"},
		"no user":  {`"lease_duration":60,"data":{"password":"` + canary + `"}`, "username"},
	} {
		t.Run(name, func(t *testing.T) {
			lease := vaulttest.Do(t, b.Server, "GET", path, nil).LeaseID
			b.proxy.Break(vaulttest.Fault{Path: path, Body: fmt.Sprintf(`{"lease_id":%q,%s}`, lease, c.rest)})
			defer b.proxy.Clear()
			_, err := src.Credential(t.Context())
			var field *source.FieldError
			require.ErrorAs(t, err, &field)
			require.Equal(t, c.field, field.Field)
			require.NotContains(t, err.Error(), canary)
			eventually(t, func() bool { return len(b.Users()) == 0 }, "revoked")
		})
	}

	b.proxy.Break(vaulttest.Fault{Path: path, Body: `{"lease_id":"x","lease_duration":9000000000000000,"renewable":false,"data":{"username":"u","password":"p"}}`})
	c := get(t, src)
	require.Greater(t, time.Until(c.Expires), 90*365*24*time.Hour, "longer than it matters")
	asked := len(b.proxy.Requests("sys/leases/renew"))
	_, err := c.Lease.Renew(t.Context())
	kind(t, err, vault.Ended)
	require.True(t, source.IsPermanent(err))
	require.Len(t, b.proxy.Requests("sys/leases/renew"), asked, "one that cannot be renewed is not asked for")
}

func TestAStandbyThatRedirects(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.Role("app", vaulttest.Role{})
	var redirected atomic.Int32
	standby := front(t, b, (*httptest.Server).Start, func(w http.ResponseWriter, r *http.Request) bool {
		_, _ = io.Copy(io.Discard, r.Body)
		redirected.Add(1)
		w.Header().Set("Location", b.proxy.Addr()+r.URL.Path)
		w.WriteHeader(http.StatusTemporaryRedirect)
		return true
	})
	c := get(t, vault.Dynamic(clientOf(t, standby, b.Server.RootToken()), path, nil))
	_, err := c.Lease.Renew(t.Context())
	require.NoError(t, err)
	require.NoError(t, c.Lease.Revoke(t.Context()))
	require.EqualValues(t, 4, redirected.Load())
	eventually(t, func() bool { return len(b.Users()) == 0 }, "bodies go along")
}

func TestTLSIsThatOfTheEnvironment(t *testing.T) {
	b := newBench(t)
	path := b.Role("app", vaulttest.Role{})
	var pemFile string
	addr := front(t, b, func(s *httptest.Server) {
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.StartTLS()
		pemFile = filepath.Join(t.TempDir(), "ca.pem")
		require.NoError(t, os.WriteFile(pemFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600))
	}, func(http.ResponseWriter, *http.Request) bool { return false })
	open := func() *api.Client {
		config := api.DefaultConfig()
		require.NoError(t, config.Error)
		client, err := api.NewClient(config)
		require.NoError(t, err)
		t.Cleanup(config.HttpClient.CloseIdleConnections)
		return client
	}
	t.Setenv("VAULT_ADDR", addr)
	t.Setenv("VAULT_TOKEN", b.Server.RootToken())
	_, err := vault.Dynamic(open(), path, nil).Credential(t.Context())
	kind(t, err, vault.Unavailable)
	require.ErrorContains(t, err, "x509")

	t.Setenv("VAULT_CACERT", pemFile)
	client := open()
	t.Setenv("VAULT_CACERT", "")
	s := login(t, client, nil, nil)
	c := get(t, vault.Dynamic(client, path, &vault.Options{Session: s}))
	require.NoError(t, c.Lease.Revoke(t.Context()))

	t.Setenv("VAULT_CACERT", pemFile)
	t.Setenv("VAULT_CLIENT_TIMEOUT", "200ms")
	b.proxy.Break(vaulttest.Fault{Delay: time.Minute})
	begun := time.Now()
	_, err = vault.Dynamic(open(), path, nil).Credential(t.Context())
	kind(t, err, vault.Unavailable)
	require.Less(t, time.Since(begun), 5*time.Second)
	b.proxy.Clear()
}

func TestF38APasswordInTheAddressDoesNotShow(t *testing.T) {
	_, err := vault.Dynamic(clientOf(t, "http://user:"+canary+"@127.0.0.1:1", "hvs.x"), "database/creds/app", nil).Credential(t.Context())
	kind(t, err, vault.Unavailable)
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), canary)
}

func TestALimitOfVaultsIsNotRunInto(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.Role("app", vaulttest.Role{TTL: 10 * time.Minute})
	var limited atomic.Bool
	var refused atomic.Int32
	addr := front(t, b, (*httptest.Server).Start, func(w http.ResponseWriter, r *http.Request) bool {
		if !limited.Load() {
			return false
		}
		refused.Add(1)
		w.Header().Set("Retry-After", "4")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, `{"errors":["request path \"x\": rate limit quota exceeded"]}`)
		return true
	})
	r := b.refresher(vault.Dynamic(clientOf(t, addr, b.Server.RootToken()), path, nil), nil)
	limited.Store(true)
	kind(t, r.Refresh(t.Context()), vault.Throttled)
	asked := time.Now()
	throughout(t, func() bool { return time.Since(asked) >= 4*time.Second }, func() { // what Vault asks to wait
		require.LessOrEqual(t, refused.Load(), int32(8))
	})
	require.Equal(t, refresh.Degraded, r.Health().State)
	_, err := r.Latest(t.Context())
	require.NoError(t, err, "what there is serves")
	limited.Store(false)
	eventually(t, func() bool { return r.Health().State == refresh.Fresh }, "recovered")
}
