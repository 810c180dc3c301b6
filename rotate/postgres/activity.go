package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rekey-go/rekey/rotate"
)

// Who a session's user is, everybody may see; when it was opened and by what
// application, only members of the user and of pg_read_all_stats. What cannot be
// seen is an error, never none.

// old is a condition for sessions of role $1: those that were opened before the
// time $2, in microseconds since 1970; negative: all of them.
const old = "usename = $1 and ($2::pg_catalog.int8 < 0 or backend_start < 'epoch'::pg_catalog.timestamptz + $2::pg_catalog.int8 * interval '1 microsecond')"

const everything = -1

// since is $2 of old for the sessions that were opened before m was written.
func (m mark) since() int64 {
	if m.at.IsZero() {
		return 0 // nothing has been set: none is old
	}
	return m.at.UnixMicro()
}

// sessions counts the open sessions of user, in all databases, that are old.
func sessions(ctx context.Context, conn *pgx.Conn, user string, since int64) (n int, err error) {
	hidden := 0
	err = conn.QueryRow(ctx, `select pg_catalog.count(*) filter (where `+old+`), pg_catalog.count(*) filter (where backend_start is null)
		from pg_catalog.pg_stat_activity where usename = $1`, oneTrip, user, since).Scan(&n, &hidden)
	switch {
	case err != nil:
		return 0, fmt.Errorf("postgres: the sessions of %q: %w", user, err)
	case hidden > 0 && since > 0:
		return 0, hiddenError(user)
	}
	return n, nil
}

func hiddenError(user string) error {
	return fmt.Errorf("postgres: the rotator may not see when sessions of %q began and who has them; grant it pg_read_all_stats", user)
}

// end ends the sessions that sessions counts, and waits until they are gone.
func end(ctx context.Context, conn *pgx.Conn, user string, since int64) (int, error) {
	if since > 0 { // it must see when they began
		if _, err := sessions(ctx, conn, user, since); err != nil {
			return 0, err
		}
	}
	// Not as a condition, which could be looked at for the sessions of others.
	rows, err := conn.Query(ctx, `with old as materialized (select pid from pg_catalog.pg_stat_activity where `+old+`)
		select pid, pg_catalog.pg_terminate_backend(pid) from old`, oneTrip, user, since)
	var pids []int32
	if err == nil {
		var pid int32
		var told bool
		_, err = pgx.ForEachRow(rows, []any{&pid, &told}, func() error {
			if told {
				pids = append(pids, pid)
			}
			return nil
		})
	}
	if err != nil {
		if isCode(err, "42501") {
			err = fmt.Errorf("%w; grant the rotator pg_signal_backend, or the user itself", err)
		}
		return 0, fmt.Errorf("postgres: the sessions of %q cannot be ended: %w", user, err)
	}
	if err := gone(ctx, conn, pids); err != nil {
		return 0, fmt.Errorf("postgres: the sessions of %q: %w", user, err)
	}
	return len(pids), nil
}

// gone waits until sessions that were told to end have done so.
func gone(ctx context.Context, conn *pgx.Conn, pids []int32) error {
	const often = 10 * time.Millisecond
	tick := time.NewTicker(often)
	defer tick.Stop()
	for {
		left := 0
		err := conn.QueryRow(ctx, "select pg_catalog.count(*) from pg_catalog.pg_stat_activity where pid = any($1)", oneTrip, pids).Scan(&left)
		if err != nil || left == 0 {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d have been told to end and have not yet: %w", left, len(pids), ctx.Err())
		}
	}
}

// uses lists who has sessions of user. since tells which of them are old.
func uses(ctx context.Context, conn *pgx.Conn, user string, since int64) ([]rotate.Use, error) {
	rows, err := conn.Query(ctx, `select coalesce(application_name, ''), coalesce(pg_catalog.host(client_addr), ''),
		pg_catalog.count(*), pg_catalog.count(*) filter (where `+old+`),
		coalesce((extract(epoch from pg_catalog.min(backend_start)) * 1000000)::pg_catalog.int8, -1)
		from pg_catalog.pg_stat_activity where usename = $1 group by 1, 2 order by 1, 2`, oneTrip, user, since)
	if err != nil {
		return nil, fmt.Errorf("postgres: the sessions of %q: %w", user, err)
	}
	var all []rotate.Use
	var u rotate.Use
	var oldest int64
	hidden := false
	_, err = pgx.ForEachRow(rows, []any{&u.Application, &u.Client, &u.Sessions, &u.Old, &oldest}, func() error {
		hidden = hidden || oldest < 0
		u.Oldest = time.UnixMicro(oldest)
		all = append(all, u)
		return nil
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("postgres: the sessions of %q: %w", user, err)
	case hidden:
		return nil, hiddenError(user)
	}
	return all, nil
}

// What the targets have in common: all sessions of a user are old.

func (s *server) Sessions(ctx context.Context, user string) (n int, err error) {
	err = s.admin(ctx, func(conn *pgx.Conn) error {
		n, err = sessions(ctx, conn, user, everything)
		return err
	})
	return n, err
}

// End ends them, for which the rotator has to be a member of the user or of
// pg_signal_backend.
func (s *server) End(ctx context.Context, user string) (n int, err error) {
	err = s.admin(ctx, func(conn *pgx.Conn) error {
		n, err = end(ctx, conn, user, everything)
		return err
	})
	return n, err
}

// Uses lists them, for which the rotator has to be a member of the user or of
// pg_read_all_stats.
func (s *server) Uses(ctx context.Context, user string) (all []rotate.Use, err error) {
	err = s.admin(ctx, func(conn *pgx.Conn) error {
		all, err = uses(ctx, conn, user, everything)
		return err
	})
	return all, err
}
