package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// server is what the targets share.
type server struct{ config Config }

// oneTrip sends a query and its arguments in one round trip.
const oneTrip = pgx.QueryExecModeExec

// admin runs f in a session of the rotator.
func (s *server) admin(ctx context.Context, f func(*pgx.Conn) error) error {
	conn, err := s.config.Admin(ctx)
	if err != nil {
		return loginError("the rotator's own user", err)
	}
	defer hangUp(ctx, conn)
	return f(conn)
}

// in is admin in another database of the cluster.
func (s *server) in(ctx context.Context, conn *pgx.Conn, database string, f func(*pgx.Conn) error) error {
	config := conn.Config()
	if database == "" || database == config.Database {
		return f(conn)
	}
	config.Database = database
	other, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("database %q: %w", database, loginError(config.User, err))
	}
	defer hangUp(ctx, other)
	return f(other)
}

// hangUp closes a connection in good order, but waits for nobody.
func hangUp(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = conn.Close(ctx) // it is given up anyway
}

// attempts is how often a change is tried that another session got in the way
// of: roles are rows that can be waited for, but not be changed then.
const attempts = 10

// change runs f in a transaction of the rotator that nobody else changes roles
// in, see transact.
func (s *server) change(ctx context.Context, f func(*pgx.Conn) error, roles ...string) error {
	return s.admin(ctx, func(conn *pgx.Conn) error {
		return s.transact(ctx, conn, f, roles...)
	})
}

// transact runs f in a transaction that excludes all others over one of roles,
// which are in the order of their names. What f reads is what the one before has
// left.
func (s *server) transact(ctx context.Context, conn *pgx.Conn, f func(*pgx.Conn) error, roles ...string) error {
	begin, err := s.begin(roles)
	if err != nil {
		return err
	}
	for n := 1; ; n++ {
		if err = once(ctx, conn, begin, f); n == attempts || !transient(err) {
			return err
		}
	}
}

// begin takes two kinds of locks: an advisory lock to queue up at, which only
// those in the same database do, and the row of the role, which all others run
// into, as it is written: ALTER ROLE without any option changes nothing.
func (s *server) begin(roles []string) (string, error) {
	statements := []string{
		"begin isolation level read committed read write",
		fmt.Sprintf("set local lock_timeout = %d", s.config.LockTimeout.Milliseconds()),
	}
	for _, role := range roles {
		key, err := Literal("rekey role " + role)
		if err != nil {
			return "", err
		}
		name, err := Ident(role)
		if err != nil {
			return "", err
		}
		statements = append(statements, "select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended("+key+", 0))", "alter role "+name)
	}
	return strings.Join(statements, "; "), nil
}

func once(ctx context.Context, conn *pgx.Conn, begin string, f func(*pgx.Conn) error) error {
	_, err := conn.Exec(ctx, begin)
	if err != nil {
		err = fmt.Errorf("postgres: the locks of a change: %w", err)
	} else {
		err = f(conn)
	}
	if err == nil {
		if _, err = conn.Exec(ctx, "commit"); err == nil {
			return nil
		}
	}
	if !conn.IsClosed() {
		if _, undo := conn.Exec(ctx, "rollback"); undo != nil {
			hangUp(ctx, conn) // whatever it is in, it is not in a transaction any more
		}
	}
	return err
}

// run runs statements in one round trip.
func run(ctx context.Context, conn *pgx.Conn, statements ...string) error {
	_, err := conn.Exec(ctx, strings.Join(statements, "; "))
	return err
}

// transient reports whether another session got in the way: XX000 is "tuple
// concurrently updated".
func transient(err error) bool {
	return isCode(err, "XX000", "40001", "40P01")
}

// isCode reports whether err is the server's and has one of the codes.
func isCode(err error, codes ...string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && slices.Contains(codes, pg.Code)
}
