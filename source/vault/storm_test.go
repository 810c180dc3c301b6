package vault_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/storm/load"
	"github.com/rekey-go/rekey/internal/vaultserver/vaulttest"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source/vault"
)

// thinkTime is how long a client pauses after each statement. It is part of the
// load, nothing waits for it.
const thinkTime = 10 * time.Millisecond

// use runs the statements that a service would, which need the rights of its
// user: some hundred a second, as other tests run beside.
func use(t testing.TB, p *pool.ManagedPool) *load.Load {
	return load.Start(t.Context(), 8, func(ctx context.Context) error {
		var n int
		err := p.QueryRow(ctx, "select count(*) from orders where id = -1").Scan(&n)
		time.Sleep(thinkTime)
		return err
	})
}

// none requires that no statement has failed.
func none(t testing.TB, l *load.Load) {
	t.Helper()
	r := l.Stop()
	t.Logf("%d statements, %d failed, latency %+v", r.Statements, r.Failed, r.Latency)
	require.NoError(t, r.Err)
	require.Zero(t, r.Failed)
	require.Positive(t, r.Statements)
}

func TestStormOverShortLeases(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.Role("app", vaulttest.Role{TTL: 10 * time.Second, MaxTTL: 20 * time.Second})
	role := vaulttest.NewAppRole(t, b.Server, vaulttest.Token{Policy: may(path), TTL: 15 * time.Second, MaxTTL: 30 * time.Second})
	client := b.client("")
	s := login(t, client, appRole{role}, nil)
	p := b.pool(4, vault.Dynamic(client, path, &vault.Options{Session: s}), nil)
	l := use(t, p)
	most := 0
	require.Eventually(t, func() bool {
		most = max(most, len(b.Leases("app")))
		return p.Refresher().Current().Generation >= 6
	}, 2*patience, 100*time.Millisecond)
	none(t, l)
	require.LessOrEqual(t, most, 2, "leases alive at a time")
	require.NoError(t, p.Shutdown(t.Context()))
	require.Empty(t, b.Leases("app"))
	require.Empty(t, b.Users())
}

func TestF28TheOldLeaseLivesUntilTheLastOldConnection(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.Role("app", vaulttest.Role{})
	p := b.pool(2, vault.Dynamic(b.limited(may(path)), path, nil), &pool.Options{Canary: -1}) // which would keep it, too
	held, err := p.Acquire(t.Context())
	require.NoError(t, err)
	old := p.Refresher().Current().Username
	require.NoError(t, p.Refresher().Refresh(t.Context()))
	require.NoError(t, p.Ping(t.Context()))
	chance := time.NewTicker(20 * time.Millisecond) // of a revocation that is wrong
	defer chance.Stop()
	for range 20 {
		_, err = held.Exec(t.Context(), "select count(*) from orders")
		require.NoError(t, err)
		require.Contains(t, b.Users(), old)
		<-chance.C
	}
	held.Release()
	eventually(t, func() bool { return !slices.Contains(b.Users(), old) }, "revoked after the last connection")
	require.Len(t, b.Users(), 1)
	require.NoError(t, p.Shutdown(t.Context()))
	require.Empty(t, b.Users())
}

func TestF11StaticRole(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.StaticRole("app", vaulttest.Static{Period: 5 * time.Second})
	p := b.pool(4, vault.Static(b.limited(vaulttest.Rule(path, "read")), path, nil), nil)
	l := use(t, p)
	// On schedule, however late Vault is.
	begun := time.Now()
	require.Eventually(t, func() bool {
		p.Reset() // every connection logs in again and again
		return p.Refresher().Current().Generation > 3
	}, patience, 200*time.Millisecond)
	none(t, l)
	reads, took := len(b.proxy.Requests(path)), time.Since(begun)
	t.Logf("%d looks in %v", reads, took)
	require.LessOrEqual(t, reads, 10+2*int(took/time.Second), "looks are bounded")
}

func TestF11StaticRoleIsRotatedByHand(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.StaticRole("app", vaulttest.Static{Period: 24 * time.Hour})
	src := vault.Static(b.limited(vaulttest.Rule(path, "read")), path, nil)
	before := get(t, src)
	require.WithinRange(t, before.Recheck, time.Now().Add(23*time.Hour), time.Now().Add(25*time.Hour))
	p := b.pool(4, src, nil)
	l := use(t, p)
	for i := range 3 {
		b.Rotate("app")
		p.Reset()
		eventually(t, func() bool { return int(p.Refresher().Current().Generation) == i+2 }, "found by a rejected login")
	}
	none(t, l)
	after := get(t, src)
	require.NotEqual(t, before.Version, after.Version)
	require.Equal(t, before.Username, after.Username)

	// A ttl that began anew without a new password is not believed: with the
	// version from before, the role stays due when it was.
	short := b.StaticRole("short", vaulttest.Static{Period: time.Hour})
	src = vault.Static(b.client(b.Server.RootToken()), short, nil)
	first := get(t, src)
	body := func(ttl int) string {
		return fmt.Sprintf(`{"data":{"username":%q,"password":%q,"last_vault_rotation":%q,"ttl":%d}}`, first.Username, first.Password.Reveal(), first.Version, ttl)
	}
	for _, step := range []struct {
		ttl   int
		least time.Duration
		most  time.Duration
	}{
		{1, time.Second, 4 * time.Second},    // now due soon
		{3600, time.Second, 4 * time.Second}, // reset before the change
		{0, time.Second, 4 * time.Second},    // stuck
	} {
		b.proxy.Break(vaulttest.Fault{Path: short, Times: 1, Body: body(step.ttl)})
		c := get(t, src)
		require.WithinRange(t, c.Recheck, c.Issued.Add(step.least), time.Now().Add(step.most), "ttl %d", step.ttl)
	}
}

func TestLeaseRevokedBehindOurBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.Role("app", vaulttest.Role{})
	p := b.pool(4, vault.Dynamic(b.limited(may(path)), path, nil), &pool.Options{Probe: time.Hour}) // statements find it out
	var mu sync.Mutex
	var failed []time.Time // when the statements began that have failed
	l := load.Start(t.Context(), 8, func(ctx context.Context) error {
		var n int
		begun := time.Now()
		err := p.QueryRow(ctx, "select count(*) from orders where id = -1").Scan(&n)
		if err != nil {
			mu.Lock()
			failed = append(failed, begun)
			mu.Unlock()
		}
		time.Sleep(thinkTime)
		return nil
	})
	eventually(t, func() bool { return l.Report().Statements > 100 }, "under way")
	fetches := len(b.proxy.Requests(path))
	b.RevokeAll("app")
	revoked := time.Now()
	eventually(t, func() bool { return p.Refresher().Current().Generation == 2 }, "recovered")
	adopted := time.Now()
	n := l.Report().Statements
	eventually(t, func() bool { return l.Report().Statements > n+1000 }, "works")
	l.Stop()
	t.Logf("adopted %v after the revocation; %d statements failed", adopted.Sub(revoked), len(failed))
	require.Len(t, b.proxy.Requests(path), fetches+1, "one fetch")
	require.NotEmpty(t, failed, "found out by them")
	for _, begun := range failed {
		require.False(t, begun.After(adopted), "%v after the recovery", begun.Sub(adopted))
	}
}

func TestF07VaultIsStoppedSealedAndRestartedDuringAStorm(t *testing.T) {
	t.Parallel()
	server := vaulttest.New(t, nil)
	b := benchOn(t, server)
	path := b.Role("app", vaulttest.Role{TTL: 20 * time.Second, MaxTTL: time.Minute})
	role := vaulttest.NewAppRole(t, b.Server, vaulttest.Token{Policy: may(path), TTL: time.Minute})
	client := b.client("")
	s := login(t, client, appRole{role}, nil)
	p := b.pool(4, vault.Dynamic(client, path, &vault.Options{Session: s}), &pool.Options{
		Refresh: &refresh.Options{Timeout: 5 * time.Second, Ahead: 17 * time.Second}, // begins to try early
	})
	l := use(t, p)
	for name, harm := range map[string]struct{ begin, end func(context.Context) error }{
		"sealed":  {server.Seal, server.Unseal},
		"stopped": {server.Stop, server.Start},
		"crashed": {server.Crash, server.Start},
	} {
		require.NoError(t, p.Refresher().Refresh(t.Context()), name)
		require.NoError(t, harm.begin(t.Context()), name)
		p.Reset()
		eventually(t, func() bool { return p.Health().Failures > 0 }, name+": is noticed")
		over := p.Refresher().Current().Expires.Add(-8 * time.Second) // time to start Vault
		var h pool.Health
		eventually(t, func() bool {
			h = p.Health()
			return h.State != refresh.Degraded || !time.Now().Before(over)
		}, name+": lasts")
		require.Equal(t, refresh.Degraded, h.State, name)
		require.NoError(t, harm.end(t.Context()), name)
		eventually(t, func() bool { return p.Health().State == refresh.Fresh }, name+": recovers by itself")
	}
	none(t, l)

	// A token that is gone with the restart is no different.
	vaulttest.Do(t, server, http.MethodPut, "sys/leases/revoke-prefix/auth/"+role.Mount+"/login", map[string]any{"sync": true})
	g := p.Refresher().Current().Generation
	require.NoError(t, server.Restart(t.Context()))
	eventually(t, func() bool { return p.Refresher().Current().Generation > g }, "a new login, and a new user by it")
	require.Equal(t, 2, s.Health().Logins)
}

func TestVaultIsSlow(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.Role("app", vaulttest.Role{TTL: 20 * time.Second})
	p := b.pool(4, vault.Dynamic(b.limited(may(path)), path, nil), &pool.Options{
		Refresh: &refresh.Options{Margin: 5 * time.Second}, // for the statements that are under way then
	})
	b.proxy.Break(vaulttest.Fault{Delay: 10 * time.Second, Times: 1, Path: path})
	l := use(t, p)
	eventually(t, func() bool { return p.Refresher().Current().Generation >= 2 }, "a new credential, late")
	none(t, l)
	require.Empty(t, p.Health().LastError)
}
