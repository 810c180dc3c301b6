package pool_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
)

func TestF17UserAndPasswordAreAlwaysOfOneSnapshot(t *testing.T) {
	b := newBench(t)
	p := b.open(4, nil)
	ctx, stop := context.WithCancel(t.Context())
	var dialers sync.WaitGroup
	for range 4 {
		dialers.Go(func() {
			for ctx.Err() == nil {
				c, err := p.Acquire(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				_ = c.Conn().Close(t.Context()) // the next one has to log in
				c.Release()
			}
		})
	}
	for range 12 {
		generation, logins := p.Health().Generation, p.Health().Logins
		b.newUser() // each with a password of its own; the old one stays
		eventually(t, func() bool {
			h := p.Health()
			return h.Generation > generation && h.Logins > logins+4
		}, "adopted, while logins go on")
	}
	stop()
	dialers.Wait()
	require.Zero(t, p.Health().LoginsRejected)
}

func TestF14RejectionIsRecognizedHoweverItIsWrapped(t *testing.T) {
	rejected := &pgconn.PgError{Code: "28P01"}
	for _, err := range []error{
		rejected,
		&pgconn.PgError{Code: "28000"},
		fmt.Errorf("a: %w", fmt.Errorf("b: %w", rejected)),
		errors.Join(errors.New("another"), rejected),
		fmt.Errorf("%w; %w", errors.New("another"), errors.Join(rejected)),
	} {
		require.Equal(t, pool.Rejected, pool.ClassifyPostgres(err), err)
	}
	for _, err := range []error{
		nil,
		errors.New("password authentication failed (SQLSTATE 28P01)"), // texts prove nothing
		&pgconn.PgError{Code: "53300"},
		&pgconn.PgError{Code: "57P03"},
		&pgconn.PgError{Code: "42501"},
		&pgconn.PgError{Code: "3D000"},
		context.DeadlineExceeded,
	} {
		require.Equal(t, pool.Unrelated, pool.ClassifyPostgres(err), err)
	}
	require.Equal(t, pool.Doubtful, pool.ClassifyPostgres(fmt.Errorf("pgbouncer: %w", &pgconn.PgError{Code: "08P01"})))
}

func TestF14ErrorThatTheUserSeesHasTheTrueCode(t *testing.T) {
	b := newBench(t)
	p := b.open(2, &pool.Options{LoginTimeout: 50 * time.Millisecond})
	b.changePassword()
	err := selectOne(t.Context(), p.Pool)
	var rejection *pgconn.PgError
	require.ErrorAs(t, err, &rejection)
	require.Equal(t, "28P01", rejection.Code)
	require.ErrorContains(t, err, "SQLSTATE 28P01")
	require.NotContains(t, err.Error(), "28000")
	require.Equal(t, pool.Rejected, pool.ClassifyPostgres(err))
	require.ErrorIs(t, err, refresh.ErrRejected)
	b.publish()
	eventually(t, func() bool { return selectOne(t.Context(), p) == nil }, "it recovers")
}

func TestF12DatabaseChangesBeforeTheStore(t *testing.T) {
	b := newBench(t)
	const callers = 4
	p := b.open(callers, nil)
	fill(t, p, callers)
	p.Reset() // as if all connections had been lost
	b.changePassword()
	result := make(chan error, 2*callers)
	for i := range 2 * callers {
		go func() {
			if i%2 == 0 { // the raw pool, as libraries take it
				result <- selectOne(t.Context(), p.Pool)
			} else {
				result <- selectOne(t.Context(), p)
			}
		}()
	}
	eventually(t, func() bool { return p.Health().LoginsRejected > 0 }, "the database says no")

	// A caller with little time learns why it got nothing.
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := selectOne(short, p)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorIs(t, err, refresh.ErrRejected)
	require.ErrorContains(t, err, b.user)

	h := p.Health()
	require.Equal(t, refresh.Degraded, h.State)
	b.follow()
	b.store.Changed()
	for range 2 * callers {
		require.NoError(t, wait(t, result, "every caller is served"))
	}
	require.LessOrEqual(t, p.Health().LoginsRejected, uint64(callers+1), "only those that were on their way together, and one more")
	eventually(t, func() bool { return p.Health().State == refresh.Fresh }, "all is well")
	calm(t, p)
}

func TestF24StoreNeverFollows(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const conns = 4
	p := b.open(conns, &pool.Options{Refresh: &refresh.Options{LoginBudget: 2, LoginPause: -1}})
	fill(t, p, conns)
	p.Reset()
	b.changePassword()
	results := make(chan error, 100)
	for range 100 {
		go func() { results <- selectOne(within(t, patience), p) }()
	}
	for range 100 {
		err := wait(t, results, "the breaker answers everyone")
		require.ErrorIs(t, err, refresh.ErrRejected)
	}
	h := p.Health()
	require.LessOrEqual(t, h.LoginsRejected, uint64(conns+2), "those that went out together, and one for the rest of the budget")
	require.Equal(t, refresh.Degraded, h.State)

	// Open, it answers at once and sends nothing.
	for range 20 {
		err := selectOne(t.Context(), p)
		require.ErrorIs(t, err, refresh.ErrRejected)
		require.ErrorContains(t, err, "the account is not locked")
	}
	require.Equal(t, h.LoginsRejected, p.Health().LoginsRejected)

	b.publish()
	eventually(t, func() bool { return selectOne(t.Context(), p) == nil }, "a new credential closes it")
	require.Equal(t, h.LoginsRejected, p.Health().LoginsRejected)
}

func TestF24AtDatabaseSQL(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.refresher(&refresh.Options{LoginBudget: 2, LoginPause: -1})
	db, err := pool.OpenDB(t.Context(), pool.Postgres(b.connConfig()), r, &pool.Options{Logger: logger(t)})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	const conns = 4
	db.SetMaxOpenConns(conns)
	b.changePassword()
	results := make(chan error, 100)
	for range 100 {
		go func() { results <- db.PingContext(within(t, patience)) }()
	}
	for range 100 {
		require.ErrorIs(t, wait(t, results, "the breaker answers everyone"), refresh.ErrRejected)
	}
	require.LessOrEqual(t, db.Health().LoginsRejected, uint64(conns+2))
	b.publish()
	eventually(t, func() bool { return db.PingContext(t.Context()) == nil }, "a new credential closes it")
}

func TestF16HundredDialsOnAnExpiredCredentialFetchOnce(t *testing.T) {
	b := newBench(t)
	fetches, gate := make(chan struct{}, 10), make(chan struct{})
	src := source.Func(func(ctx context.Context) (source.Credential, error) {
		c := source.Credential{Username: b.user, Password: source.NewSecret(b.password())}
		fetches <- struct{}{}
		if len(fetches) == 1 {
			c.Version, c.Expires = "short", time.Now().Add(700*time.Millisecond)
			return c, nil
		}
		select {
		case <-gate:
		case <-ctx.Done():
			return c, ctx.Err()
		}
		c.Version = "long"
		return c, nil
	})
	p, err := pool.Open(t.Context(), b.DSN+"&pool_max_conns=10", src, &pool.Options{Logger: logger(t)})
	require.NoError(t, err)
	defer p.Close()
	eventually(t, func() bool { return p.Health().State == refresh.Expired }, "it ends")
	results := make(chan error, 100)
	for range 100 {
		go func() { results <- selectOne(t.Context(), p) }()
	}
	eventually(t, func() bool { return p.Stat().AcquireCount()+int64(p.Stat().ConstructingConns()) > 0 }, "dials wait")
	close(gate)
	for range 100 {
		require.NoError(t, wait(t, results, "all are served"))
	}
	require.Len(t, fetches, 2)
}

func TestRawPoolGetsItsSecondLoginInsideTheSameConnect(t *testing.T) {
	b := newBench(t)
	for _, rejection := range []string{"28P01", "28000", "role dropped"} {
		t.Run(rejection, func(t *testing.T) {
			p := b.open(2, nil)
			fill(t, p, 2)
			p.Reset()
			before := p.Health().LoginsRejected
			switch rejection {
			case "28P01":
				b.changePassword()
				b.follow()
			default:
				old := b.user
				b.n++
				b.user = b.Role(fmt.Sprintf("app%d", b.n))
				b.CreateUser(b.user, b.password())
				if rejection == "28000" {
					b.NoLogin(old)
				} else {
					b.DropUser(old)
				}
				b.follow()
			}
			rows, err := p.Pool.Query(t.Context(), "select 1")
			require.NoError(t, err)
			rows.Close()
			require.Equal(t, before+1, p.Health().LoginsRejected)
			require.EqualValues(t, 0, p.Health().Rejections)
			calm(t, p)
		})
	}
}

func TestDatabaseThatGoesBackIsNoticedWhileAllConnectionsWait(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.open(2, nil)
	fill(t, p, 2)
	p.Reset()
	before := b.password()
	b.changePassword()
	results := make(chan error, 8)
	for range 8 {
		go func() { results <- selectOne(t.Context(), p.Pool) }()
	}
	eventually(t, func() bool { return p.Health().LoginsRejected > 0 }, "the database says no")
	b.SetPassword(b.user, before)
	for range 8 {
		require.NoError(t, wait(t, results, "every caller is served"))
	}
	require.Zero(t, p.Health().Rejections)
	calm(t, p)
}
