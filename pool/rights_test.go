package pool_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/storm/load"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
)

// denials counts and tolerates rights errors, which are what these tests make.
func denied(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "42501"
}

// admin runs statements as the superuser in the database of the test.
func (b *bench) admin(statements ...string) {
	b.t.Helper()
	conn := b.Admin()
	defer conn.Close(context.Background())
	for _, sql := range statements {
		_, err := conn.Exec(context.Background(), sql)
		require.NoError(b.t, err, sql)
	}
}

// newPoorUser is newUser for one that is no member of the group: it may connect,
// and what it is granted.
func (b *bench) newPoorUser(grants ...string) (old string) {
	b.t.Helper()
	b.n++
	old = b.user
	b.user = b.Role(fmt.Sprint("poor", b.n))
	user := pgserver.QuoteIdent(b.user)
	b.CreateUser(b.user, b.password())
	b.admin("revoke "+pgserver.QuoteIdent(b.Group)+" from "+user,
		"grant connect on database "+pgserver.QuoteIdent(b.Name)+" to "+user)
	for _, g := range grants {
		b.admin("grant " + g + " to " + user)
	}
	poor := b.user
	b.t.Cleanup(func() { b.admin("drop owned by "+pgserver.QuoteIdent(poor), "drop role "+pgserver.QuoteIdent(poor)) })
	b.publish()
	return old
}

func TestCanaryReturnsToTheOldUserOnAProvenLoss(t *testing.T) {
	for _, kind := range []string{"pool", "db"} {
		t.Run(kind, func(t *testing.T) {
			b := newBench(t)
			// A slow rollover, so that both users are at work.
			opts := &pool.Options{Pace: 1, Logger: logger(t)}
			var r interface {
				pool.Reporter
				Attention() bool
			}
			var use func(ctx context.Context) error
			const sql = "select count(qty) from orders"
			var refresher *refresh.Refresher
			if kind == "pool" {
				p := b.open(8, opts)
				fill(t, p, 8)
				r, refresher = p, p.Refresher()
				use = func(ctx context.Context) error {
					var n int
					return p.QueryRow(ctx, sql).Scan(&n)
				}
			} else {
				db, err := pool.OpenDB(t.Context(), pool.Postgres(b.connConfig()), b.refresher(nil), opts)
				require.NoError(t, err)
				t.Cleanup(func() { require.NoError(t, db.Close()) })
				db.SetMaxOpenConns(8)
				db.SetMaxIdleConns(8)
				r, refresher = db, db.Refresher()
				use = func(ctx context.Context) error {
					var n int
					return db.QueryRowContext(ctx, sql).Scan(&n)
				}
			}
			good := refresher.Current()
			l := load.Start(t.Context(), 8, func(ctx context.Context) error {
				if err := use(ctx); err != nil && !denied(err) {
					return err
				}
				return nil
			})
			bad := b.newPoorUser("select (id), insert on orders")
			badUser := b.user
			eventually(t, func() bool { return r.Health().TakenBack == 1 }, "taken back")
			eventually(t, func() bool { return refresher.Current().Generation == good.Generation }, "the old one serves")
			calm(t, r)
			h := r.Health()
			require.Equal(t, bad, h.Username)
			require.Equal(t, refresh.Degraded, h.State)
			require.Contains(t, h.LastError, `user "`+badUser+`" lacks rights that "`+bad+`" has: `)
			require.Contains(t, h.LastError, "table public.orders")
			require.NotZero(t, h.Denied)
			for range 20 {
				require.NoError(t, use(t.Context()), "no statement fails any more")
			}

			// The same user is not taken again while it lacks the rights, though its
			// login works.
			require.ErrorContains(t, refresher.Refresh(t.Context()), "lacks rights")
			require.Equal(t, good.Generation, refresher.Current().Generation)
			// Once they are granted, it is.
			b.admin("grant " + pgserver.QuoteIdent(b.Group) + " to " + pgserver.QuoteIdent(badUser))
			require.NoError(t, refresher.Refresh(t.Context()))
			require.Equal(t, badUser, refresher.Current().Username)
			calm(t, r)
			report := l.Stop()
			require.NoError(t, report.Err)
			require.Zero(t, report.Failed)
		})
	}
}

// What says 42501 without a right being lost never rolls anything back.
func TestCanaryGoesOnWithoutProof(t *testing.T) {
	b := newBench(t)
	group := pgserver.QuoteIdent(b.Group)
	b.admin(`create table secrets (owner name, text text)`,
		`alter table secrets enable row level security`,
		`create policy own on secrets for select using (owner = session_user)`,
		`grant select, insert on secrets to `+group,
		`create function refuse() returns void language plpgsql as $$ begin raise 'no' using errcode = '42501'; end $$`,
		`create table forbidden (id int)`)
	p := b.open(4, nil)
	fill(t, p, 4)
	first := p.Health()
	b.newUser()
	eventually(t, func() bool { return p.Health().Generation > first.Generation }, "adopted")
	for _, sql := range []string{
		"insert into secrets values (session_user, 'x')", // row-level security
		"select refuse()",         // RAISE
		"select * from forbidden", // neither user may
	} {
		for range 8 {
			_, err := p.Exec(t.Context(), sql)
			require.True(t, denied(err), err)
		}
	}
	calm(t, p)
	h := p.Health()
	require.Equal(t, first.Generation+1, h.Generation)
	require.Zero(t, h.TakenBack)
	require.Equal(t, refresh.Fresh, h.State)
	require.EqualValues(t, 8, h.Denied, "only real ones are counted")
	_, err := p.Exec(t.Context(), "drop function refuse()")
	require.True(t, denied(err), err)
}

func TestCanaryGoesOnWhereTheOldUserIsGone(t *testing.T) {
	b := newBench(t)
	p := b.open(4, nil)
	fill(t, p, 4)
	first := p.Health()
	old := b.newPoorUser("select (id) on orders")
	eventually(t, func() bool { return p.Health().Generation > first.Generation }, "adopted")
	b.DropUser(old)
	_, err := p.Exec(t.Context(), "select qty from orders")
	require.True(t, denied(err), err)
	require.NoError(t, p.Drained(within(t, patience), first.Version))
	calm(t, p)
	require.Equal(t, first.Generation+1, p.Health().Generation)
	require.Zero(t, p.Health().TakenBack)
}

func TestNoCanaryForANewPasswordOrWhenSwitchedOff(t *testing.T) {
	b := newBench(t)
	p := b.open(4, &pool.Options{Canary: -1})
	fill(t, p, 4)
	first := p.Health()
	b.newPoorUser("select (id) on orders")
	eventually(t, func() bool { return p.Health().Generation > first.Generation }, "adopted")
	calm(t, p)
	for range 4 {
		_, err := p.Exec(t.Context(), "select qty from orders")
		require.True(t, denied(err), err)
	}
	require.Equal(t, first.Generation+1, p.Health().Generation)
	b.newPassword()
	eventually(t, func() bool { return p.Health().Generation == first.Generation+2 }, "a password is no other user")
	_, err := p.Exec(t.Context(), "select qty from orders")
	require.True(t, denied(err), err)
	calm(t, p)
	require.Equal(t, first.Generation+2, p.Health().Generation)
}

// The lease of a replaced user stays for as long as it may be returned to.
func TestCanaryKeepsTheLeaseForItsTime(t *testing.T) {
	b := newBench(t)
	b.store.TTL(time.Hour)
	const canary = 700 * time.Millisecond
	p := b.open(2, &pool.Options{Canary: canary})
	require.NoError(t, selectOne(t.Context(), p))
	adopted := time.Now()
	old := b.newUser()
	require.NoError(t, p.Drained(within(t, patience), "v0"))
	calm(t, p)
	if revoked := b.store.Revoked(); time.Since(adopted) < canary {
		require.NotContains(t, revoked, old)
	}
	eventually(t, func() bool { return slices.Contains(b.store.Revoked(), old) }, "revoked after its time")
	require.GreaterOrEqual(t, time.Since(adopted), canary)
}

func TestRightsErrorsAreSeenInEveryKindOfStatement(t *testing.T) {
	b := newBench(t)
	b.admin("create table forbidden (id int)")
	p := b.open(1, nil)
	ctx := t.Context()
	for name, use := range map[string]func() error{
		"simple protocol": func() error {
			_, err := p.Exec(ctx, "select * from forbidden", pgx.QueryExecModeSimpleProtocol)
			return err
		},
		"prepared": func() error { _, err := p.Exec(ctx, "select * from forbidden where id = $1", 1); return err },
		"query": func() error {
			rows, err := p.Query(ctx, "select * from forbidden")
			if err != nil {
				return err
			}
			rows.Close()
			return rows.Err()
		},
		"exec mode": func() error {
			_, err := p.Exec(ctx, "select * from forbidden where id = $1", pgx.QueryExecModeExec, 1)
			return err
		},
		"batch": func() error {
			batch := new(pgx.Batch)
			batch.Queue("select * from forbidden")
			return p.SendBatch(ctx, batch).Close()
		},
		"copy": func() error {
			_, err := p.CopyFrom(ctx, pgx.Identifier{"forbidden"}, []string{"id"}, pgx.CopyFromRows([][]any{{1}}))
			return err
		},
	} {
		before := p.Health().Denied
		require.True(t, denied(use()), name)
		require.Greater(t, p.Health().Denied, before, name)
	}
}

func TestRolloverIsTraced(t *testing.T) {
	b := newBench(t)
	var r record
	trace := func(ctx context.Context, operation string, attrs ...slog.Attr) (context.Context, func(error)) {
		if operation != "rollover" {
			return ctx, func(error) {}
		}
		begun := fmt.Sprint(attrs)
		r.add("begin " + begun)
		return ctx, func(err error) { r.add(fmt.Sprint("end ", begun, err)) }
	}
	p := b.open(4, &pool.Options{Trace: trace, Refresh: &refresh.Options{Name: "orders", Logger: logger(t)}})
	fill(t, p, 4)
	b.newPassword()
	require.NoError(t, p.Drained(within(t, patience), "v0"))
	eventually(t, func() bool { return len(r.all()) == 2 }, "it ends")
	attrs := "[credential=orders generation=2 user=" + b.user + " version=v1]"
	require.Equal(t, []string{"begin " + attrs, "end " + attrs + "<nil>"}, r.all())

	held, err := p.Acquire(t.Context())
	require.NoError(t, err)
	b.newPassword()
	eventually(t, func() bool { return len(r.all()) == 3 }, "begins")
	b.newPassword()
	eventually(t, func() bool { return len(r.all()) == 5 }, "is overtaken")
	require.Contains(t, r.all()[3], "generation=3 user="+b.user+" version=v2]overtaken")
	held.Release()
	eventually(t, func() bool { return len(r.all()) == 6 }, "ends")
}
