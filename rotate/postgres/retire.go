package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/rekey-go/rekey/rotate"
)

// Left returns the members of the group that have a mark.
func (p *parallel) Left(ctx context.Context, s rotate.State) (left []string, err error) {
	type user struct {
		name string
		mark
	}
	var users []user
	err = p.admin(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `select u.rolname, pg_catalog.shobj_description(u.oid, 'pg_authid') from pg_catalog.pg_auth_members m
			join pg_catalog.pg_roles u on u.oid = m.member join pg_catalog.pg_roles g on g.oid = m.roleid
			where g.rolname = $1 group by u.oid, u.rolname`, p.group)
		if err != nil {
			return fmt.Errorf("postgres: the members of group %q: %w", p.group, err)
		}
		var name string
		var comment *string
		_, err = pgx.ForEachRow(rows, []any{&name, &comment}, func() error {
			if comment != nil {
				_, m := parseMark(*comment)
				users = append(users, user{name, m})
			}
			return nil
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(users, func(a, b user) int { return a.at.Compare(b.at) })
	for _, u := range users {
		pending := s.Pending != nil && s.Pending.Credential.Username == u.name
		if !u.at.IsZero() && u.name != s.Current.Credential.Username && !pending {
			left = append(left, u.name)
		}
	}
	return left, nil
}

// Disable is NOLOGIN. Open sessions do not notice.
func (p *parallel) Disable(ctx context.Context, user string) error {
	err := p.mayLogin(ctx, user, " nologin")
	if errors.Is(err, errNoRole) {
		return nil
	}
	return err
}

// Enable is LOGIN.
func (p *parallel) Enable(ctx context.Context, user string) error {
	err := p.mayLogin(ctx, user, " login")
	if errors.Is(err, errNoRole) {
		return fmt.Errorf("%w: %w", rotate.ErrNothing, err)
	}
	return err
}

func (p *parallel) mayLogin(ctx context.Context, user, clause string) error {
	return p.change(ctx, func(tx pgx.Tx) error {
		if err := marked(ctx, tx, user); err != nil {
			return err
		}
		return alter(ctx, tx, user, clause)
	}, p.group)
}

// marked refuses a role that no rotation has made or adopted.
func marked(ctx context.Context, q querier, user string) error {
	_, m, err := comment(ctx, q, user)
	if err == nil && m.at.IsZero() {
		err = fmt.Errorf("postgres: role %q was not made by a rotation: its comment has no mark: %w", user, rotate.ErrConflict)
	}
	return err
}

// Remove gives what user owns to the group, in every database, takes the rights
// away that it was granted itself, and drops it.
func (p *parallel) Remove(ctx context.Context, user string) error {
	return p.admin(ctx, func(conn *pgx.Conn) error {
		if err := marked(ctx, conn, user); err != nil {
			if errors.Is(err, errNoRole) {
				return nil
			}
			return err
		}
		if err := p.strip(ctx, conn, user); err != nil {
			return err
		}
		name, err := Ident(user)
		if err != nil {
			return err
		}
		return p.transact(ctx, conn, func(tx pgx.Tx) error {
			var able bool
			err := tx.QueryRow(ctx, "select rolcanlogin from pg_catalog.pg_roles where rolname = $1", user).Scan(&able)
			switch {
			case errors.Is(err, pgx.ErrNoRows):
				return nil
			case err != nil:
				return fmt.Errorf("postgres: role %q: %w", user, err)
			case able:
				return fmt.Errorf("postgres: role %q may log in; disable it before it is removed: %w", user, rotate.ErrConflict)
			}
			if _, err := tx.Exec(ctx, "drop role "+name); err != nil {
				return fmt.Errorf("postgres: role %q: %w%s", user, err, detail(err))
			}
			return nil
		}, p.group)
	})
}

// detail is what a role that cannot be dropped has.
func detail(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Detail != "" {
		return ": " + pg.Detail
	}
	return ""
}

// dependent lists the databases with something that is owned by a role or
// granted to it; the empty name stands for what belongs to no database.
const dependent = `select distinct coalesce(d.datname, '') from pg_catalog.pg_shdepend s
	join pg_catalog.pg_roles r on r.oid = s.refobjid left join pg_catalog.pg_database d on d.oid = s.dbid
	where s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass and r.rolname = $1`

// strip ends sessions and removes what keeps a role from being dropped.
func (p *parallel) strip(ctx context.Context, conn *pgx.Conn, user string) error {
	rows, err := conn.Query(ctx, dependent, user)
	if err != nil {
		return fmt.Errorf("postgres: what depends on role %q: %w", user, err)
	}
	databases, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("postgres: what depends on role %q: %w", user, err)
	}
	if len(databases) == 0 && !p.config.EndSessions {
		return nil
	}
	name, err := Ident(user)
	if err != nil {
		return err
	}
	err = p.transact(ctx, conn, func(tx pgx.Tx) error { return become(ctx, tx, user, name) }, p.group)
	if err != nil {
		return fmt.Errorf("postgres: role %q cannot be granted to the rotator: %w", user, err)
	}
	if p.config.EndSessions {
		_, err := conn.Exec(ctx, "select pg_catalog.pg_terminate_backend(pid) from pg_catalog.pg_stat_activity where usename = $1", user)
		if err != nil {
			return fmt.Errorf("postgres: the sessions of %q cannot be ended: %w", user, err)
		}
	}
	for _, database := range databases {
		database = cmp.Or(database, conn.Config().Database)
		if err := p.stripIn(ctx, conn, database, name); err != nil {
			if isCode(err, "42501") {
				err = fmt.Errorf("%w; what was granted to the user itself, only a member of its owner can take away", err)
			}
			return fmt.Errorf("postgres: what role %q has in database %q: %w", user, database, err)
		}
	}
	return nil
}

// become makes the rotator a member of a role, unless it may act as it already.
func become(ctx context.Context, tx pgx.Tx, user, name string) error {
	var member, named bool
	err := tx.QueryRow(ctx, "select pg_catalog.pg_has_role($1::pg_catalog.name, 'usage'), pg_catalog.current_setting('server_version_num')::int >= 160000", user).Scan(&member, &named)
	if err != nil || member {
		return err
	}
	grant := "grant " + name + " to current_user"
	if named {
		grant += " with inherit true"
	}
	_, err = tx.Exec(ctx, grant)
	return err
}

// stripIn works in one database, and on what belongs to none.
func (p *parallel) stripIn(ctx context.Context, conn *pgx.Conn, database, name string) error {
	group, err := Ident(p.group)
	if err != nil {
		return err
	}
	if config := conn.Config(); database != config.Database {
		config.Database = database
		if conn, err = pgx.ConnectConfig(ctx, config); err != nil {
			return loginError(config.User, err)
		}
		defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // it is given up anyway
	}
	return p.transact(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "reassign owned by "+name+" to "+group); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "drop owned by "+name)
		return err
	})
}
