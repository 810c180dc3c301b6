package vault_test

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/internal/vaultserver"
	"github.com/rekey-go/rekey/internal/vaultserver/vaulttest"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/vault"
)

func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("test.parallel", "12") // they wait for leases to end more than they work
	goleak.VerifyTestMain(vaulttest.Suite{Runner: suite{m}})
}

// A suite closes the servers that its examples have shared.
type suite struct{ *testing.M }

func (s suite) Run() int { return max(s.M.Run(), closeExampleServers()) }

// patience bounds the waits of these tests.
const patience = time.Minute

// A bench is a Vault with a database engine over a database of the test's own.
type bench struct {
	*vaulttest.Engine
	t     testing.TB
	proxy *vaulttest.Proxy // in front of Vault; does harm when told
}

func newBench(t testing.TB) *bench {
	t.Helper()
	return benchOn(t, vaulttest.Server(t))
}

func benchOn(t testing.TB, server *vaultserver.Server) *bench {
	t.Helper()
	db := pgtest.Database(t)
	return &bench{Engine: vaulttest.Database(t, server, db), t: t, proxy: vaulttest.NewProxy(t, server)}
}

// client returns a client that goes through the proxy.
func (b *bench) client(token string) *api.Client { return clientOf(b.t, b.proxy.Addr(), token) }

// nowhere returns a client that finds nobody.
func nowhere(t testing.TB) *api.Client { return clientOf(t, "http://127.0.0.1:1", "hvs.none") }

func clientOf(t testing.TB, addr, token string) *api.Client {
	t.Helper()
	config := api.DefaultConfig()
	require.NoError(t, config.Error)
	config.Address = addr
	client, err := api.NewClient(config)
	require.NoError(t, err)
	client.SetToken(token)
	t.Cleanup(config.HttpClient.CloseIdleConnections)
	return client
}

// limited returns a client whose token may do what rules say and what the
// default policy allows.
func (b *bench) limited(rules string) *api.Client {
	return b.client(vaulttest.NewToken(b.t, b.Server, vaulttest.Token{Policy: rules}))
}

// may are the rules that a dynamic source at path needs.
func may(path string) string {
	return vaulttest.Rule(path, "read") + vaulttest.Rule("sys/leases/revoke", "update")
}

// refresher keeps src fresh until the test ends.
func (b *bench) refresher(src source.Source, o *refresh.Options) *refresh.Refresher {
	b.t.Helper()
	r, err := refresh.New(b.t.Context(), src, quiet(b.t, o))
	require.NoError(b.t, err)
	b.t.Cleanup(r.Close)
	return r
}

func quiet(t testing.TB, o *refresh.Options) *refresh.Options {
	if o == nil {
		o = &refresh.Options{}
	}
	if o.Logger == nil {
		o.Logger = logger(t)
	}
	return o
}

// pool opens a pool of maxConns connections over src.
func (b *bench) pool(maxConns int, src source.Source, o *pool.Options) *pool.ManagedPool {
	b.t.Helper()
	if o == nil {
		o = &pool.Options{}
	}
	o.Refresh, o.Logger = quiet(b.t, o.Refresh), logger(b.t)
	o.Probe = cmp.Or(o.Probe, time.Second)
	p, err := pool.Open(b.t.Context(), fmt.Sprintf("%s&pool_max_conns=%d", b.DB.DSN, maxConns), src, o)
	require.NoError(b.t, err)
	b.t.Cleanup(p.Close)
	return p
}

// login logs in until the test ends.
func login(t testing.TB, client *api.Client, auth api.AuthMethod, o *vault.LoginOptions) *vault.Session {
	t.Helper()
	if o == nil {
		o = &vault.LoginOptions{}
	}
	if o.Logger == nil {
		o.Logger = logger(t)
	}
	s, err := vault.Login(t.Context(), client, auth, o)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// appRole is an api.AuthMethod, as package api/auth/approle has one.
type appRole struct{ *vaulttest.AppRole }

func (a appRole) Login(ctx context.Context, client *api.Client) (*api.Secret, error) {
	return client.Logical().WriteWithContext(ctx, "auth/"+a.Mount+"/login",
		map[string]any{"role_id": a.RoleID, "secret_id": a.SecretID})
}

func logger(t testing.TB) *slog.Logger {
	if os.Getenv("REKEY_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

func eventually(t testing.TB, condition func() bool, what string) {
	t.Helper()
	require.Eventually(t, condition, patience, 5*time.Millisecond, what)
}

// throughout has check run again and again until done.
func throughout(t testing.TB, done func() bool, check func()) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		check()
		select {
		case <-tick.C:
		case <-t.Context().Done():
			return
		}
	}
}

func get(t testing.TB, src source.Source) source.Credential {
	t.Helper()
	c, err := src.Credential(t.Context())
	require.NoError(t, err)
	return c
}
