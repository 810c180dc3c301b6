package rotate_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/storm/load"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/source"
)

// stormy is how many rotations of each strategy a storm goes through.
const stormy = 50

// A storm of rotations under load, as services in this process see them that are
// given the pending credential as a candidate, and as services see them that are
// not. Beside them somebody without rekey logs in again and again with what the
// store calls current.
func TestStorm(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		with := s.service("pool with the candidate", s.store)
		without := s.service("pool without", plain{s.store})
		s.config.Pools = []rotate.Pool{with.pool, without.pool}
		var g gaps
		s.config.Audit = g.see
		naive := s.naive()

		for range stormy {
			result, err := s.rotator().Rotate(t.Context())
			require.NoError(t, err)
			require.Empty(t, result.Forced)
		}
		logins, rejected := naive()
		with.calm(t)
		without.calm(t)
		require.Positive(t, logins)
		if !s.config.Target.Strategy().InPlace {
			require.Empty(t, rejected, "logins are rejected")
		}
		for _, at := range rejected {
			require.True(t, g.touch(at), "a login was rejected, and not between set and promote: %v", at)
		}
		for _, c := range s.sound().Consumers {
			require.Zero(t, c.Behind, "%+v: it has followed", c)
		}
		t.Logf("%d rotations; of %d logins without rekey %d were rejected", stormy, logins, len(rejected))
	})
}

// plain is a memory that offers no candidates.
type plain struct{ m *memory }

func (p plain) Credential(ctx context.Context) (source.Credential, error) {
	return p.m.Credential(ctx)
}
func (p plain) Watch(changed func()) (stop func()) { return p.m.Watch(changed) }

// A service uses the secret through a pool whose connections do not get old.
type service struct {
	name              string
	pool              *pool.ManagedPool
	statements, dials *load.Load
}

func (s *scene) service(name string, src source.Source) *service {
	s.t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	p, err := pool.Open(s.t.Context(), s.db.DSN+"&pool_max_conns=4", src, &pool.Options{Refresh: &refresh.Options{Logger: quiet}, Logger: quiet})
	require.NoError(s.t, err)
	s.t.Cleanup(p.Close)
	v := &service{name: name, pool: p}
	v.statements = load.Start(s.t.Context(), 2, func(ctx context.Context) error {
		pace(ctx, time.Millisecond)
		var n int
		return p.QueryRow(ctx, "select count(*) from orders").Scan(&n)
	})
	v.dials = load.Start(s.t.Context(), 1, func(ctx context.Context) error {
		pace(ctx, 20*time.Millisecond)
		c, err := p.Acquire(ctx)
		if err != nil {
			return err
		}
		defer c.Release()
		return c.Conn().Close(ctx) // somebody has to log in anew
	})
	return v
}

// pace keeps a client from taking the processor for itself.
func pace(ctx context.Context, pause time.Duration) {
	select {
	case <-time.After(pause):
	case <-ctx.Done():
	}
}

// calm checks that nobody has noticed anything.
func (v *service) calm(t *testing.T) {
	t.Helper()
	for what, l := range map[string]*load.Load{"statements": v.statements, "logins": v.dials} {
		r := l.Stop()
		require.NoError(t, r.Err, "%s: %s", v.name, what)
		require.Zero(t, r.Failed, "%s: %s", v.name, what)
		require.Positive(t, r.Statements, "%s: %s", v.name, what)
		t.Logf("%s: %d %s, longest %v", v.name, r.Statements, what, r.Latency.Max)
	}
}

// A span is a time with a begin and an end.
type span struct{ begun, ended time.Time }

// naive logs in with what the store calls current until the function that it
// returns is called, which tells how often, and when it was rejected although the
// store still called it current.
func (s *scene) naive() (stop func() (logins int64, rejected []span)) {
	var mu sync.Mutex
	var rejected []span
	l := load.Start(s.t.Context(), 1, func(ctx context.Context) error {
		pace(ctx, 10*time.Millisecond)
		config, err := pgx.ParseConfig(s.db.DSN)
		if err != nil {
			return err
		}
		begun := time.Now()
		before, _ := s.store.Read(ctx) // never fails
		config.User, config.Password = before.Current.Credential.Username, before.Current.Credential.Password.Reveal()
		conn, err := pgx.ConnectConfig(ctx, config)
		after, _ := s.store.Read(ctx)
		var pg *pgconn.PgError
		switch {
		case err == nil:
			return conn.Close(ctx)
		case !errors.As(err, &pg) || pg.Code[:2] != "28":
			return err
		case before.Current.Token == after.Current.Token:
			mu.Lock()
			defer mu.Unlock()
			rejected = append(rejected, span{begun, time.Now()})
		}
		return nil
	})
	return func() (int64, []span) {
		r := l.Stop()
		require.NoError(s.t, r.Err)
		return r.Statements, rejected
	}
}

// gaps are the times between set and promote.
type gaps struct {
	mu    sync.Mutex
	spans []span
}

func (g *gaps) see(e rotate.Event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case e.Step == rotate.StepSet && e.Outcome == rotate.OutcomeBegun:
		g.spans = append(g.spans, span{begun: e.Time})
	case e.Step == rotate.StepPromote && e.Outcome == rotate.OutcomeOK:
		g.spans[len(g.spans)-1].ended = e.Time
	}
}

// touch reports whether one of them and s have a moment in common.
func (g *gaps) touch(s span) bool {
	return slices.ContainsFunc(g.spans, func(gap span) bool { return gap.begun.Before(s.ended) && s.begun.Before(gap.ended) })
}
