package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/rekey-go/rekey/rotate"
)

// Left returns the members of the group that come from the same user as the
// current one does: users of other secrets may be in the group, too.
func (p *parallel) Left(ctx context.Context, s rotate.State) (left []string, err error) {
	var members []remark
	err = p.admin(ctx, func(conn *pgx.Conn) error {
		members, err = p.members(ctx, conn)
		return err
	})
	if err != nil {
		return nil, err
	}
	line := ""
	for _, m := range members {
		if m.role == s.Current.Credential.Username {
			line = m.line
		}
	}
	slices.SortFunc(members, func(a, b remark) int { return a.at.Compare(b.at) })
	for _, m := range members {
		pending := s.Pending != nil && s.Pending.Credential.Username == m.role
		if line != "" && m.line == line && m.role != s.Current.Credential.Username && !pending {
			left = append(left, m.role)
		}
	}
	return left, nil
}

// members reads the comments of the group's members.
func (p *parallel) members(ctx context.Context, conn *pgx.Conn) ([]remark, error) {
	rows, err := conn.Query(ctx, `select distinct u.rolname from pg_catalog.pg_auth_members m
		join pg_catalog.pg_roles u on u.oid = m.member join pg_catalog.pg_roles g on g.oid = m.roleid where g.rolname = $1`, oneTrip, p.group)
	var names []string
	if err == nil {
		names, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil {
		return nil, fmt.Errorf("postgres: the members of group %q: %w", p.group, err)
	}
	return remarks(ctx, conn, names...)
}

// Disable is NOLOGIN. Open sessions do not notice.
func (p *parallel) Disable(ctx context.Context, user string) error {
	err := p.mayLogin(ctx, user, " nologin", true)
	if errors.Is(err, errNoRole) {
		return nil
	}
	return err
}

// Enable is LOGIN.
func (p *parallel) Enable(ctx context.Context, user string) error {
	err := p.mayLogin(ctx, user, " login", false)
	if errors.Is(err, errNoRole) {
		return fmt.Errorf("%w: %w", rotate.ErrNothing, err)
	}
	return err
}

// Disabled reads since when, by the server's clock.
func (p *parallel) Disabled(ctx context.Context, user string) (ago time.Duration, err error) {
	err = p.admin(ctx, func(conn *pgx.Conn) error {
		r, err := remarkOf(ctx, conn, user)
		switch {
		case errors.Is(err, errNoRole):
			return fmt.Errorf("%w: %w", rotate.ErrNothing, err)
		case err == nil && r.off.IsZero():
			return fmt.Errorf("postgres: role %q was not disabled by a rotation: %w", user, rotate.ErrNothing)
		}
		ago = r.now.Sub(r.off)
		return err
	})
	return ago, err
}

func (p *parallel) mayLogin(ctx context.Context, user, clause string, off bool) error {
	return p.change(ctx, func(conn *pgx.Conn) error {
		r, err := marked(ctx, conn, user)
		if err != nil {
			return err
		}
		m := r.mark
		switch {
		case !off:
			m.off = time.Time{}
		case m.off.IsZero():
			m.off = r.now.UTC()
		}
		return put(ctx, conn, r, clause, m)
	}, p.group)
}

// marked refuses a role that no rotation has made or adopted.
func marked(ctx context.Context, conn *pgx.Conn, user string) (remark, error) {
	r, err := remarkOf(ctx, conn, user)
	if err == nil && r.at.IsZero() {
		err = fmt.Errorf("postgres: role %q was not made by a rotation: its comment has no mark: %w", user, rotate.ErrConflict)
	}
	return r, err
}

// Remove gives what user owns to the group, in every database, takes the rights
// away that it was granted itself, and drops it.
func (p *parallel) Remove(ctx context.Context, user string) error {
	name, err := Ident(user)
	if err != nil {
		return err
	}
	err = p.admin(ctx, func(conn *pgx.Conn) error {
		if err := removable(ctx, conn, user); err != nil { // before anything is taken away
			return err
		}
		if err := p.strip(ctx, conn, user); err != nil {
			return err
		}
		return p.transact(ctx, conn, func(conn *pgx.Conn) error {
			if err := removable(ctx, conn, user); err != nil {
				return err
			}
			if err := run(ctx, conn, "drop role "+name); err != nil {
				return fmt.Errorf("postgres: role %q: %w%s", user, err, detail(err))
			}
			return nil
		}, p.group)
	})
	if errors.Is(err, errNoRole) {
		return nil
	}
	return err
}

// removable refuses who can log in, and who has prepared transactions: when the
// user is gone, only a superuser can end them.
func removable(ctx context.Context, conn *pgx.Conn, user string) error {
	if _, err := marked(ctx, conn, user); err != nil {
		return err
	}
	var able bool
	var n int
	err := conn.QueryRow(ctx, `select rolcanlogin, (select pg_catalog.count(*) from pg_catalog.pg_prepared_xacts where owner = rolname)
		from pg_catalog.pg_roles where rolname = $1`, oneTrip, user).Scan(&able, &n)
	switch {
	case err != nil:
		return fmt.Errorf("postgres: role %q: %w", user, err)
	case able:
		return fmt.Errorf("postgres: role %q may log in; disable it before it is removed: %w", user, rotate.ErrConflict)
	case n > 0:
		return fmt.Errorf("postgres: role %q has %d prepared transactions; commit them or roll them back (pg_prepared_xacts)", user, n)
	}
	return nil
}

// Sessions counts prepared transactions, too: they need their user.
func (p *parallel) Sessions(ctx context.Context, user string) (n int, err error) {
	err = p.admin(ctx, func(conn *pgx.Conn) error {
		if n, err = sessions(ctx, conn, user, everything); err != nil {
			return err
		}
		var waiting int
		err := conn.QueryRow(ctx, "select pg_catalog.count(*) from pg_catalog.pg_prepared_xacts where owner = $1", oneTrip, user).Scan(&waiting)
		if err != nil {
			return fmt.Errorf("postgres: the prepared transactions of %q: %w", user, err)
		}
		n += waiting
		return nil
	})
	return n, err
}

// End makes the rotator a member of the user, if need be.
func (p *parallel) End(ctx context.Context, user string) (n int, err error) {
	err = p.admin(ctx, func(conn *pgx.Conn) error {
		n, err = p.end(ctx, conn, user)
		return err
	})
	if errors.Is(err, errNoRole) {
		return 0, nil
	}
	return n, err
}

func (p *parallel) end(ctx context.Context, conn *pgx.Conn, user string) (int, error) {
	err := p.transact(ctx, conn, func(conn *pgx.Conn) error {
		if _, err := marked(ctx, conn, user); err != nil {
			return err
		}
		return become(ctx, conn, user, "pg_signal_backend")
	}, p.group)
	if err != nil {
		return 0, err
	}
	return end(ctx, conn, user, everything)
}

// detail is what a role that cannot be dropped has.
func detail(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Detail != "" {
		return ": " + pg.Detail
	}
	return ""
}

// strip ends sessions, if asked to, and takes from a user what keeps it from
// being dropped.
func (p *parallel) strip(ctx context.Context, conn *pgx.Conn, user string) error {
	if p.config.EndSessions {
		if _, err := p.end(ctx, conn, user); err != nil {
			return err
		}
	}
	databases, err := dependent(ctx, conn, user)
	if err != nil || len(databases) == 0 {
		return err
	}
	err = p.transact(ctx, conn, func(conn *pgx.Conn) error { return become(ctx, conn, user, "") }, p.group)
	if err != nil {
		return err
	}
	for _, database := range databases {
		err := p.in(ctx, conn, database, func(conn *pgx.Conn) error {
			return p.transact(ctx, conn, func(conn *pgx.Conn) error {
				statements, err := holdings{user: user, group: p.group}.taken(ctx, conn)
				if err != nil || len(statements) == 0 {
					return err
				}
				return run(ctx, conn, statements...)
			}, p.group)
		})
		if err != nil {
			if isCode(err, "42501") {
				err = fmt.Errorf("%w; what was granted to the user itself, only a member of its owner can take away", err)
			}
			return fmt.Errorf("postgres: what role %q has: %w", user, err)
		}
	}
	return nil
}

// become makes the rotator a member of a role, unless it may act as it, or as
// enough, already.
func become(ctx context.Context, conn *pgx.Conn, role, enough string) error {
	name, err := Ident(role)
	if err != nil {
		return err
	}
	var member, named bool
	err = conn.QueryRow(ctx, `select pg_catalog.pg_has_role($1::pg_catalog.name, 'usage') or $2 <> '' and pg_catalog.pg_has_role($2::pg_catalog.name, 'usage'),
		pg_catalog.current_setting('server_version_num')::pg_catalog.int4 >= 160000`, oneTrip, role, enough).Scan(&member, &named)
	if err == nil && !member {
		grant := "grant " + name + " to current_user"
		if named {
			grant += " with inherit true"
		}
		err = run(ctx, conn, grant)
	}
	if err != nil {
		return fmt.Errorf("postgres: the rotator cannot act as role %q: %w", role, err)
	}
	return nil
}
