package pool_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
)

// status is what a probe of the orchestrator gets.
func status(h http.Handler) int {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	return w.Code
}

// dropUser drops the current user in the database behind everybody's back.
func (b *bench) dropUser() { b.DropUser(b.user) }

func TestF23IdleConnectionsOfADroppedUserAreEvicted(t *testing.T) {
	b := newBench(t)
	const interval = 200 * time.Millisecond
	p := b.open(4, &pool.Options{Probe: interval})
	db, err := pool.OpenDB(t.Context(), pool.Postgres(b.connConfig()), b.refresher(nil), &pool.Options{Probe: interval, Logger: logger(t)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	fill(t, p, 4)
	require.NoError(t, db.PingContext(t.Context()))
	require.Equal(t, refresh.Fresh, p.Health().State)
	b.dropUser()
	for _, r := range []interface {
		pool.Reporter
		Attention() bool
	}{p, db} {
		eventually(t, func() bool { return r.Health().State == refresh.Disowned && sockets(r) == 0 }, "found, and all are closed")
		require.NotZero(t, r.Health().Disowned)
		require.Contains(t, r.Health().Why, "was dropped")
		require.Equal(t, http.StatusServiceUnavailable, status(pool.Handler(r)), "not ready")
		require.Equal(t, http.StatusOK, status(pool.Liveness(r)), "a new start would not mend it")
	}

	// The same user again: the next login shows that all is well.
	b.CreateUser(b.user, b.password())
	require.NoError(t, selectOne(within(t, patience), p))
	require.NoError(t, db.PingContext(within(t, patience)))
	eventually(t, func() bool { return p.Health().State == refresh.Fresh }, "and so does the next refresh")
	calm(t, p)
}

func TestF23NobodyGetsASessionThatWasDisownedForLongerThanTheInterval(t *testing.T) {
	b := newBench(t)
	const interval = 50 * time.Millisecond
	p := b.open(4, &pool.Options{Probe: interval})
	fill(t, p, 4)
	old := b.user
	b.n++
	b.user = b.Role("next")
	b.CreateUser(b.user, b.password())
	b.follow() // the store has it, but nobody is told
	b.DropUser(old)
	dropped := time.Now()
	eventually(t, func() bool { return time.Since(dropped) > 4*interval }, "the interval is over")
	var n int
	require.NoError(t, p.QueryRow(within(t, patience), "select count(*) from orders").Scan(&n), "not one statement fails")
	require.Equal(t, b.user, p.Health().Username)
	calm(t, p)
}

func TestF23FirstRightsErrorTriggersTheProbe(t *testing.T) {
	b := newBench(t)
	p := b.open(2, &pool.Options{Probe: time.Hour})
	fill(t, p, 2)
	b.rest(p)
	old := b.user
	b.n++
	b.user = b.Role("next")
	b.CreateUser(b.user, b.password())
	b.follow()
	b.DropUser(old)
	var n int
	err := p.QueryRow(t.Context(), "select count(*) from orders").Scan(&n)
	require.True(t, denied(err), "the first one cannot be foreseen: %v", err)
	for range 4 {
		require.NoError(t, p.QueryRow(within(t, patience), "select count(*) from orders").Scan(&n))
	}
	require.Equal(t, b.user, p.Health().Username)
	require.Zero(t, b.Sessions(old))
	require.EqualValues(t, 1, p.Health().Disowned)
}

// A session from before the user was dropped and made again is disowned, but
// the credential is not.
func TestADisownedSessionDoesNotCondemnAUserThatExistsAgain(t *testing.T) {
	b := newBench(t)
	p := b.open(2, &pool.Options{Probe: 300 * time.Millisecond})
	old, err := p.Acquire(t.Context())
	require.NoError(t, err)
	b.dropUser()
	b.CreateUser(b.user, b.password())
	next, err := p.Acquire(t.Context())
	require.NoError(t, err)
	next.Release()
	began := time.Now()
	eventually(t, func() bool { return time.Since(began) > 300*time.Millisecond }, "due")
	old.Release()
	eventually(t, func() bool { return p.Health().Disowned > 0 }, "found")
	for range 20 {
		require.NoError(t, selectOne(t.Context(), p))
	}
	require.Equal(t, refresh.Fresh, p.Health().State, p.Health().Why)
}

// rest waits until a rights error triggers a probe again.
func (b *bench) rest(p *pool.ManagedPool) {
	b.t.Helper()
	began := time.Now()
	eventually(b.t, func() bool { return time.Since(began) > 1100*time.Millisecond }, "a probe has its rest")
}

func TestSessionsThatAreLentAreProbedWhenTheyComeBack(t *testing.T) {
	b := newBench(t)
	p := b.open(1, &pool.Options{Probe: 50 * time.Millisecond})
	c, err := p.Acquire(t.Context())
	require.NoError(t, err)
	old := b.newUser()
	eventually(t, func() bool { return p.Health().Generation == 2 }, "adopted")
	b.DropUser(old)
	dropped := time.Now()
	eventually(t, func() bool { return time.Since(dropped) > 100*time.Millisecond }, "more than the interval")
	require.NoError(t, c.Ping(t.Context()), "it looks well")
	c.Release()
	var n int
	require.NoError(t, p.QueryRow(within(t, patience), "select count(*) from orders").Scan(&n))
}

func TestProbesOfAQuietPoolDoNotMakeConnectionsAndGoUnnoticed(t *testing.T) {
	b := newBench(t)
	config := b.config(2)
	var r record
	config.AfterRelease = func(*pgx.Conn) bool { r.add("AfterRelease"); return true }
	p := b.openConfig(config, &pool.Options{Probe: 20 * time.Millisecond})
	require.NoError(t, selectOne(t.Context(), p))
	eventually(t, func() bool { return r.count("AfterRelease") == 1 }, "released")
	acquired := p.Stat().AcquireCount()
	eventually(t, func() bool { return p.Stat().AcquireCount() > acquired+3 }, "probed")
	require.EqualValues(t, 1, p.Stat().TotalConns())
	require.EqualValues(t, 1, p.Health().Logins)
	require.Equal(t, 1, r.count("AfterRelease"))
	p.Reset()
	eventually(t, func() bool { return p.Stat().TotalConns() == 0 }, "empty")
	logins := p.Health().Logins
	acquired = p.Stat().AcquireCount()
	require.NoError(t, selectOne(t.Context(), p))
	require.Equal(t, logins+1, p.Health().Logins)
}

func TestProbeCanBeSwitchedOff(t *testing.T) {
	b := newBench(t)
	p := b.open(1, &pool.Options{Probe: -1})
	require.NoError(t, selectOne(t.Context(), p))
	b.dropUser()
	require.NoError(t, selectOne(t.Context(), p), "the session lives on, and nobody asks")
	require.Equal(t, refresh.Fresh, p.Health().State)
	b.CreateUser(b.user, b.password())
}

func TestSetRoleDoesNotHideADroppedUser(t *testing.T) {
	b := newBench(t)
	config := b.config(1)
	group := pgserver.QuoteIdent(b.Group)
	config.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, "set role "+group)
		return err
	}
	p := b.openConfig(config, &pool.Options{Probe: 50 * time.Millisecond})
	require.NoError(t, selectOne(t.Context(), p))
	b.dropUser()
	eventually(t, func() bool { return p.Health().State == refresh.Disowned }, "found although it keeps all rights")
	b.CreateUser(b.user, b.password())
}

func TestF29OverstayingConnectionsAreReportedAndClosedIfAsked(t *testing.T) {
	for _, asked := range []bool{false, true} {
		t.Run(map[bool]string{false: "reported", true: "closed"}[asked], func(t *testing.T) {
			b := newBench(t)
			opts := &pool.Options{Refresh: &refresh.Options{Drain: 200 * time.Millisecond, Logger: logger(t)}}
			if asked {
				opts.Overstay = 300 * time.Millisecond
			}
			p := b.open(4, opts)
			tx, err := p.Begin(t.Context())
			require.NoError(t, err)
			held, err := p.Acquire(t.Context())
			require.NoError(t, err)
			hijacked := held.Hijack()
			defer hijacked.Close(context.Background())
			b.newPassword()
			eventually(t, func() bool { return p.Health().Overstaying == 2 }, "reported")
			require.Contains(t, p.Health().Why, "2 connections have outlived their credential")
			require.NoError(t, selectOne(t.Context(), p), "others get good ones")
			if !asked {
				var n int
				require.NoError(t, tx.QueryRow(t.Context(), "select 1").Scan(&n), "nobody takes it away")
				require.NoError(t, tx.Commit(t.Context()))
				require.NoError(t, hijacked.Close(t.Context()))
				require.Zero(t, p.Health().Severed)
			} else {
				eventually(t, func() bool { return p.Health().Severed == 2 && p.Health().Overstaying == 0 }, "closed")
				require.Zero(t, p.Health().Connections[1], "and they hold up nobody, used or not")
				var n int
				require.Error(t, tx.QueryRow(t.Context(), "select 1").Scan(&n))
				require.Error(t, tx.Rollback(t.Context()))
				require.Error(t, hijacked.Ping(t.Context()))
			}
			eventually(t, func() bool { return p.Health().Overstaying == 0 }, "and that is over")
			calm(t, p)
		})
	}
}

func TestOverstayOfADB(t *testing.T) {
	b := newBench(t)
	r := b.refresher(&refresh.Options{Drain: 100 * time.Millisecond})
	db, err := pool.OpenDB(t.Context(), pool.Postgres(b.connConfig()), r, &pool.Options{Overstay: 100 * time.Millisecond, Logger: logger(t)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	b.newPassword()
	eventually(t, func() bool { return db.Health().Severed == 1 }, "closed")
	require.Error(t, tx.Commit())
	require.NoError(t, db.PingContext(t.Context()))
	calm(t, db)
}

func TestVersionTagShowsInTheListOfSessions(t *testing.T) {
	b := newBench(t)
	config := b.config(2, "application_name=orders-api")
	p := b.openConfig(config, &pool.Options{VersionTag: true})
	dialer := b.connConfig()
	dialer.RuntimeParams["application_name"] = "a-service-with-a-name-of-more-than-sixty-three-bytes-is-cut-so-that"
	db, err := pool.OpenDB(t.Context(), pool.Postgres(dialer), p.Refresher(), &pool.Options{VersionTag: true, Logger: logger(t)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	name := func() (name string) {
		require.NoError(t, p.QueryRow(t.Context(), "select current_setting('application_name')").Scan(&name))
		return name
	}
	require.Equal(t, "orders-api@v0", name())
	version := p.Health().Version
	b.newPassword()
	require.NoError(t, p.Drained(within(t, patience), version))
	require.Equal(t, "orders-api@v1", name())
	var cut string
	require.NoError(t, db.QueryRowContext(t.Context(), "select current_setting('application_name')").Scan(&cut))
	require.Equal(t, dialer.RuntimeParams["application_name"][:60]+"@v1", cut)
	require.LessOrEqual(t, len(cut), 63)

	// Nothing that is made from the secret shows, and no lease.
	c := b.store
	plain := p.Refresher().Current().Credential
	plain.Version = ""
	c.Set(plain)
	require.NoError(t, p.Refresher().Refresh(t.Context()))
	calm(t, p)
	require.Equal(t, "orders-api", name())
	c.TTL(time.Hour)
	plain.Version = "lease-id"
	c.Set(plain)
	require.NoError(t, p.Refresher().Refresh(t.Context()))
	calm(t, p)
	require.Equal(t, "lease-id", p.Health().Version)
	require.Equal(t, "orders-api", name())
}

func TestVersionTag(t *testing.T) {
	for version, tag := range map[string]string{
		"": "", "7": "7", "v1.2.3": "v1.2.3", "a b/c'ü": "a_b_c__",
		"3f2a6c1e-6d1b-4c58-9d7e-0a1b2c3d4e5f": "58-9d7e-0a1b2c3d4e5f",
		"..2026_11_21_08_00_00.123456789":      "1_08_00_00.123456789",
	} {
		require.Equal(t, tag, pool.VersionTag(version))
	}
}
