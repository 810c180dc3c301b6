package vault_test

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/storm/load"
	"github.com/rekey-go/rekey/internal/vaultserver/vaulttest"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source/vault"
)

// use runs the statements that a service would, which need the rights of its
// user: some thousand a second, as other tests run beside.
func use(t testing.TB, p *pool.ManagedPool) *load.Load {
	return load.Start(t.Context(), 8, func(ctx context.Context) error {
		var n int
		err := p.QueryRow(ctx, "select count(*) from orders where id = -1").Scan(&n)
		time.Sleep(2 * time.Millisecond)
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
	path := b.Role("app", vaulttest.Role{TTL: 6 * time.Second, MaxTTL: 12 * time.Second})
	role := vaulttest.NewAppRole(t, b.Server, vaulttest.Token{Policy: may(path), TTL: 9 * time.Second, MaxTTL: 20 * time.Second})
	client := b.client("")
	s := login(t, client, appRole{role}, nil)
	p := b.pool(4, vault.Dynamic(client, path, &vault.Options{Session: s}), nil)
	l := use(t, p)
	most := 0
	for p.Refresher().Current().Generation < 6 {
		most = max(most, len(b.Leases("app")))
		time.Sleep(100 * time.Millisecond) // polling
	}
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
	p := b.pool(2, vault.Dynamic(b.limited(may(path)), path, nil), nil)
	held, err := p.Acquire(t.Context())
	require.NoError(t, err)
	old := p.Refresher().Current().Username
	require.NoError(t, p.Refresher().Refresh(t.Context()))
	for range 20 {
		_, err = held.Exec(t.Context(), "select count(*) from orders")
		require.NoError(t, err)
		require.Contains(t, b.Users(), old)
		time.Sleep(20 * time.Millisecond) // gives a wrong revocation its chance
	}
	held.Release()
	// The canary keeps the old user for its own while; closing ends that.
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
	for last := p.Refresher().Current().Generation; p.Refresher().Current().Generation < last+3; {
		p.Reset() // every connection logs in again and again
		time.Sleep(50 * time.Millisecond)
	}
	none(t, l)
	reads := b.proxy.Requests(path)
	for i := range reads[1:] {
		if i >= 2 {
			require.Greater(t, reads[i].At.Sub(reads[i-2].At), 300*time.Millisecond, "looks are bounded")
		}
	}
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
		require.WithinRange(t, c.Recheck, c.Issued.Add(step.least), c.Issued.Add(step.most), "ttl %d", step.ttl)
	}
}

func TestLeaseRevokedBehindOurBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.Role("app", vaulttest.Role{})
	p := b.pool(4, vault.Dynamic(b.limited(may(path)), path, nil), nil)
	var failed, last atomic.Int64 // of statements: how many, and when
	l := load.Start(t.Context(), 8, func(ctx context.Context) error {
		var n int
		err := p.QueryRow(ctx, "select count(*) from orders where id = -1").Scan(&n)
		if err != nil {
			failed.Add(1)
			last.Store(time.Now().UnixNano())
		}
		time.Sleep(time.Millisecond)
		return nil
	})
	eventually(t, func() bool { return l.Report().Statements > 100 }, "under way")
	fetches := len(b.proxy.Requests(path))
	b.RevokeAll("app")
	revoked := time.Now()
	eventually(t, func() bool { return p.Refresher().Current().Generation == 2 }, "recovered")
	adopted := time.Since(revoked)
	n := l.Report().Statements
	eventually(t, func() bool { return l.Report().Statements > n+1000 }, "works")
	l.Stop()
	gap := time.Unix(0, last.Load()).Sub(revoked)
	t.Logf("adopted %v after the revocation; %d statements failed, the last %v after it", adopted, failed.Load(), gap)
	require.Len(t, b.proxy.Requests(path), fetches+1, "one fetch")
	require.Less(t, gap, 5*time.Second)
	require.Less(t, time.Duration(last.Load())-time.Duration(revoked.Add(adopted).UnixNano()), 2*time.Second, "none fails after the recovery")
}

func TestF07VaultIsStoppedSealedAndRestartedDuringAStorm(t *testing.T) {
	t.Parallel()
	server := vaulttest.New(t, nil)
	b := benchOn(t, server)
	path := b.Role("app", vaulttest.Role{TTL: 10 * time.Second, MaxTTL: time.Minute})
	role := vaulttest.NewAppRole(t, b.Server, vaulttest.Token{Policy: may(path), TTL: time.Minute})
	client := b.client("")
	s := login(t, client, appRole{role}, nil)
	p := b.pool(4, vault.Dynamic(client, path, &vault.Options{Session: s}), &refresh.Options{Timeout: 5 * time.Second})
	l := use(t, p)
	fresh := func() {
		t.Helper()
		g := p.Refresher().Current().Generation
		require.NoError(t, p.Refresher().Refresh(t.Context()))
		require.Greater(t, p.Refresher().Current().Generation, g)
	}
	for name, harm := range map[string]struct{ begin, end func(context.Context) error }{
		"sealed":  {server.Seal, server.Unseal},
		"stopped": {server.Stop, server.Start},
		"crashed": {server.Crash, server.Start},
	} {
		fresh()
		left := time.Until(p.Refresher().Current().Expires)
		require.NoError(t, harm.begin(t.Context()), name)
		p.Reset()
		eventually(t, func() bool { return p.Health().Failures > 0 }, name+": is noticed")
		require.Equal(t, refresh.Degraded, p.Health().State)
		time.Sleep(time.Until(p.Refresher().Current().Expires.Add(-left / 5))) // 80 % of what was left
		require.NoError(t, harm.end(t.Context()), name)
		eventually(t, func() bool { return p.Health().State == refresh.Fresh }, name+": recovers by itself")
	}
	none(t, l)

	// A token that is gone with the restart is no different.
	vaulttest.Do(t, server, http.MethodPut, "sys/leases/revoke-prefix/auth/"+role.Mount+"/login", map[string]any{"sync": true})
	require.NoError(t, server.Restart(t.Context()))
	fresh()
	require.Equal(t, 2, s.Health().Logins)
}

func TestVaultIsSlow(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.Role("app", vaulttest.Role{TTL: 20 * time.Second})
	p := b.pool(4, vault.Dynamic(b.limited(may(path)), path, nil), nil)
	b.proxy.Break(vaulttest.Fault{Delay: 10 * time.Second, Times: 1, Path: path})
	l := use(t, p)
	eventually(t, func() bool { return p.Refresher().Current().Generation >= 2 }, "a new credential, late")
	none(t, l)
	require.Empty(t, p.Health().LastError)
}
