package vault_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/vaultserver/vaulttest"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source/vault"
)

// Without the right to revoke, old leases live until Vault ends them. A third
// is not fetched before.
func TestG7LeasesThatMayNotBeRevoked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const ttl = 6 * time.Second
	path := b.Role("app", vaulttest.Role{TTL: ttl, MaxTTL: 2 * ttl})
	p := b.pool(4, vault.Dynamic(b.limited(vaulttest.Rule(path, "read")), path, nil), nil)
	l := use(t, p)
	most, told := 0, false
	throughout(t, func() bool { return p.Refresher().Current().Generation >= 6 }, func() {
		most = max(most, len(b.Leases("app")))
		health := p.Health()
		require.LessOrEqual(t, health.LiveLeases, 2)
		told = told || strings.Contains(health.RevokeError, `capability "update" on "sys/leases/revoke"`)
	})
	none(t, l)
	require.Equal(t, 2, most, "leases alive at a time")
	b.requireTurns(path, ttl)
	health := p.Health()
	require.Equal(t, refresh.Fresh, health.State)
	require.Positive(t, health.UnrevokedLeases)
	require.True(t, told, "which right is missing")
	require.Error(t, p.Shutdown(t.Context()), "those that are left live on")
	eventually(t, func() bool { return len(b.Users()) == 0 }, "until Vault ends them")
}

// A role that owns something cannot be dropped, so Vault's revocation fails.
func TestG7LeasesThatCannotBeRevoked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const ttl = 6 * time.Second
	admin := b.DB.Admin()
	defer admin.Close(t.Context())
	_, err := admin.Exec(t.Context(), "grant create on schema public to "+pgserver.QuoteIdent(b.DB.Group))
	require.NoError(t, err)
	path := b.Role("app", vaulttest.Role{TTL: ttl, MaxTTL: 2 * ttl})
	p := b.pool(4, vault.Dynamic(b.limited(may(path)), path, nil), nil)
	l := use(t, p)
	refusal := ""
	throughout(t, func() bool { return p.Refresher().Current().Generation >= 5 }, func() {
		_, err := p.Exec(t.Context(), fmt.Sprintf("create table if not exists mine_%d (id int)", p.Refresher().Current().Generation))
		require.NoError(t, err)
		health := p.Health()
		require.LessOrEqual(t, health.LiveLeases, 2)
		refusal = max(refusal, health.RevokeError)
	})
	none(t, l)
	b.requireTurns(path, ttl)
	require.Equal(t, refresh.Fresh, p.Health().State)
	require.NotEmpty(t, refusal)
}

// requireTurns requires that of the leases of ttl that were fetched from path
// the last but one had ended before each.
func (b *bench) requireTurns(path string, ttl time.Duration) {
	b.t.Helper()
	reads := b.proxy.Requests(path)
	for i := range reads[2:] {
		require.GreaterOrEqual(b.t, reads[i+2].At.Sub(reads[i].At), ttl)
	}
}
