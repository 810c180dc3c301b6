package pooltest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/source"
)

// Follows fails the test unless each pool soon logs in with the credential
// that the store behind src holds now, and has no older connection left. It is
// for rotations of your own; src is asked once and must answer the same
// whoever asks. "Soon" is 30 s, or less where the test's deadline is nearer.
func Follows(t testing.TB, src source.Source, pools ...pool.Reporter) {
	t.Helper()
	if len(pools) == 0 {
		t.Fatal("pooltest: Follows was given no pool to look at")
	}
	ctx, cancel := bounded(t)
	defer cancel()
	c, err := src.Credential(ctx)
	if err != nil {
		t.Fatalf("pooltest: the store does not answer: %v", err)
	}
	wait(ctx, t, func(context.Context) []string { return laggards(c, pools) })
}

// Drained fails the test unless each pool soon logs in with the credential
// that was last put into the store, and the server has no session left that
// logged in with an older one, of these pools or of anybody else.
func (s *Server) Drained(t testing.TB, pools ...pool.Reporter) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drained(t, pools)
}

func (s *Server) drained(t testing.TB, pools []pool.Reporter) {
	t.Helper()
	ctx, cancel := bounded(t)
	defer cancel()
	c := s.store.holds()
	wait(ctx, t, func(ctx context.Context) []string {
		return append(laggards(c, pools), s.leftover(ctx)...)
	})
}

// wait waits until look sees nothing wrong, or fails the test with what it saw
// last. A look that has begun may take a little longer than ctx: cut short, it
// would see nothing but that.
func wait(ctx context.Context, t testing.TB, look func(context.Context) []string) {
	t.Helper()
	began := time.Now()
	end, _ := ctx.Deadline()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		looking, cancel := context.WithDeadline(context.WithoutCancel(ctx), end.Add(margin/2))
		seen := look(looking)
		cancel()
		if len(seen) == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("pooltest: the rotation is not through after %v:\n\t%s",
				time.Since(began).Round(time.Millisecond), strings.Join(seen, "\n\t"))
		}
	}
}

// laggards describes the pools that are not all on c.
func laggards(c source.Credential, pools []pool.Reporter) (seen []string) {
	for i, p := range pools {
		h := p.Health()
		name := fmt.Sprintf("pool %d (%s)", i+1, h.Name)
		// Where a store names no versions, or another one than the pool's own
		// source, a digest does.
		if h.Version != c.Version && h.Version != c.Digest() {
			line := fmt.Sprintf("%s logs in with version %s of user %q; the store has version %s of user %q (it is %s",
				name, h.Version, h.Username, version(c), c.Username, h.State)
			if h.Why != "" {
				line += ": " + h.Why
			}
			if h.LastError != "" {
				line += "; last error: " + h.LastError
			}
			seen = append(seen, line+")")
			continue
		}
		for _, generation := range slices.Sorted(maps.Keys(h.Connections)) {
			if generation != h.Generation {
				seen = append(seen, fmt.Sprintf("%s is on generation %d and still has %d connections of generation %d",
					name, h.Generation, h.Connections[generation], generation))
			}
		}
	}
	return seen
}

func version(c source.Credential) string {
	if c.Version == "" {
		return c.Digest()
	}
	return c.Version
}

// leftover describes the sessions on the server that logged in with an older
// credential: those of earlier users, dropped ones included, and those of the
// current user from before his password was set.
func (s *Server) leftover(ctx context.Context) (seen []string) {
	current := s.made[len(s.made)-1]
	var earlier []uint32
	for _, u := range s.made[:len(s.made)-1] {
		earlier = append(earlier, u.oid)
	}
	err := s.server.Do(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `select pid, coalesce(usename, 'a user who is gone'), coalesce(application_name, ''),
				coalesce(state, 'state unknown'), coalesce(backend_start::timestamptz(0)::text, 'unknown')
			from pg_stat_activity
			where usesysid = any($1) or (usesysid = $2 and (backend_start < $3) is not false)
			order by pid`, earlier, current.oid, current.since)
		if err != nil {
			return err
		}
		var pid int32
		var name, app, state, began string
		_, err = pgx.ForEachRow(rows, []any{&pid, &name, &app, &state, &began}, func() error {
			seen = append(seen, fmt.Sprintf("session %d of %s is older than the credential (since %s, %s, application %q)", pid, name, began, state, app))
			return nil
		})
		return err
	})
	if err != nil {
		seen = append(seen, "the server does not say who is logged in: "+err.Error())
	}
	return seen
}
