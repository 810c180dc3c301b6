package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/source"
)

// ParallelRole returns the target of a group that gets a new user with each
// rotation. The group, a role that cannot log in, holds all rights and owns all
// objects, and its users act as the group from their login on, so that a user
// can go without a trace. A new user has the connection limit, the end of
// validity and the settings (ALTER ROLE … SET) of the one before. Attributes such
// as REPLICATION and memberships beside the group are not handed on; Verify
// refuses a new user that would lack them.
//
// The first rotation adopts the user that the store names, who has to be a member
// of the group, and retires it like the others; [PlanMove] makes it one. Users of
// other secrets may be in the same group, and are left alone.
func ParallelRole(c *Config, group string) (rotate.Target, error) {
	config, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	if _, err := Ident(group); err != nil {
		return nil, err
	}
	return &parallel{server{config}, group}, nil
}

type parallel struct {
	server
	group string
}

func (p *parallel) Strategy() rotate.Strategy {
	return rotate.Strategy{Name: "parallel role", Leaves: true}
}

// Next is a user that is named after the group and the rotation.
func (p *parallel) Next(_ context.Context, current source.Credential, token string) (source.Credential, error) {
	current.Username, current.Password = nameOf(p.group, token), source.Secret{}
	return current, nil
}

// nameOf shortens group, a character at a time, so that the name is as long as
// PostgreSQL lets it be.
func nameOf(group, token string) string {
	sum := sha256.Sum256([]byte(token))
	suffix := "_" + hex.EncodeToString(sum[:4])
	for len(group)+len(suffix) > longestName {
		_, size := utf8.DecodeLastRuneInString(group)
		group = group[:len(group)-size]
	}
	return group + suffix
}

// Set makes the user.
func (p *parallel) Set(ctx context.Context, c rotate.Change) error {
	clause, err := p.secret(c.To.Password)
	if err != nil {
		return err
	}
	return p.change(ctx, func(conn *pgx.Conn) error {
		both, err := remarks(ctx, conn, c.From.Username, c.To.Username)
		if err != nil {
			return err
		}
		from, to := both[0], both[1]
		if !to.exist {
			return p.create(ctx, conn, c, from, to, clause)
		}
		if err := p.ours(c, to.mark); err != nil {
			return err
		}
		if err := to.unspent(c); err != nil {
			return err
		}
		return put(ctx, conn, to, clause, to.mark)
	}, p.group)
}

// create makes the user of c.To, and puts a mark on the one of c.From if it has
// none, so that it is found when it is left behind.
func (p *parallel) create(ctx context.Context, conn *pgx.Conn, c rotate.Change, from, to remark, clause string) error {
	user, err := Ident(to.role)
	if err != nil {
		return err
	}
	group, err := Ident(p.group)
	if err != nil {
		return err
	}
	var statements []string
	m := mark{line: to.role}.set(c.Token, c.From.Version)
	if from.exist {
		limits, err := p.limits(ctx, conn, from.role)
		if err != nil {
			return err
		}
		clause = limits + clause
		m.line = from.line
		if from.at.IsZero() {
			m.line = from.role
			adopt, err := from.write(mark{token: c.From.Version, line: from.role})
			if err != nil {
				return err
			}
			statements = append(statements, adopt)
		}
	}
	to.now = to.now.Add(time.Microsecond) // after the one that it follows
	note, err := to.write(m)
	if err != nil {
		return err
	}
	statements = append(statements, "create role "+user+" login"+clause, "grant "+group+" to "+user, "alter role "+user+" set role to "+group, note)
	if err := run(ctx, conn, statements...); err != nil {
		return fmt.Errorf("postgres: role %q in group %q: %w", to.role, p.group, err)
	}
	return copySettings(ctx, conn, from.role, to.role)
}

// limits are the clauses of a member of the group that others are to have, too.
func (p *parallel) limits(ctx context.Context, conn *pgx.Conn, user string) (clause string, err error) {
	var limit int
	var until string
	var member bool
	err = conn.QueryRow(ctx, `select u.rolconnlimit, case when pg_catalog.isfinite(u.rolvaliduntil)
			then pg_catalog.to_char(u.rolvaliduntil at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US+00 BC')
			else coalesce(u.rolvaliduntil::pg_catalog.text, '') end,
		exists (select from pg_catalog.pg_auth_members m join pg_catalog.pg_roles g on g.oid = m.roleid where m.member = u.oid and g.rolname = $2)
		from pg_catalog.pg_roles u where u.rolname = $1`, oneTrip, user, p.group).Scan(&limit, &until, &member)
	switch {
	case err != nil:
		return "", fmt.Errorf("postgres: role %q: %w", user, err)
	case !member:
		return "", fmt.Errorf("postgres: user %q is not a member of group %q, so no rotation would ever retire it; see PlanMove", user, p.group)
	}
	clause = fmt.Sprintf(" connection limit %d", limit)
	if until != "" {
		text, err := Literal(until)
		if err != nil {
			return "", err
		}
		clause += " valid until " + text
	}
	return clause, nil
}

// ours refuses a role that the rotation of c has not made.
func (p *parallel) ours(c rotate.Change, m mark) error {
	if m.token == c.Token || slices.Contains(m.spent, c.Token) {
		return nil
	}
	return fmt.Errorf("postgres: role %q was not made by rotation %q: %w", c.To.Username, c.Token, rotate.ErrConflict)
}

// Undo drops the user, or, if it owns something already, keeps it from logging
// in until Left finds it.
func (p *parallel) Undo(ctx context.Context, c rotate.Change) error {
	user, err := Ident(c.To.Username)
	if err != nil {
		return err
	}
	return p.change(ctx, func(conn *pgx.Conn) error {
		all, err := remarks(ctx, conn, c.To.Username)
		if err != nil || !all[0].exist {
			return err
		}
		to := all[0]
		if err := p.ours(c, to.mark); err != nil {
			return err
		}
		err = run(ctx, conn, "savepoint before", "drop role "+user)
		if err == nil || !isCode(err, "2BP01") {
			return err
		}
		if err := run(ctx, conn, "rollback to savepoint before"); err != nil {
			return err
		}
		m := to.spend(c.Token)
		m.token = ""
		return put(ctx, conn, to, " nologin", m)
	}, p.group)
}
