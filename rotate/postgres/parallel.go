package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/source"
)

// ParallelRole returns the target of a group that gets a new user with each
// rotation. The group, a role that cannot log in, holds all rights and owns all
// objects, and its users act as the group from their login on, so that a user
// can go without a trace. A new user has the connection limit and the settings
// (ALTER ROLE … SET) of the one before.
//
// A member of the group that people have made is adopted by the first rotation
// away from it, and retired like the others.
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
	return p.change(ctx, func(tx pgx.Tx) error {
		_, m, err := comment(ctx, tx, c.To.Username)
		switch {
		case errors.Is(err, errNoRole):
			return p.create(ctx, tx, c, clause)
		case err != nil:
			return err
		}
		if err := p.ours(c, m); err != nil {
			return err
		}
		if err := m.unspent(c); err != nil {
			return err
		}
		return alter(ctx, tx, c.To.Username, clause)
	}, p.group)
}

func (p *parallel) create(ctx context.Context, tx pgx.Tx, c rotate.Change, clause string) error {
	user, err := Ident(c.To.Username)
	if err != nil {
		return err
	}
	group, err := Ident(p.group)
	if err != nil {
		return err
	}
	limit, err := p.adopt(ctx, tx, c.From)
	if err != nil {
		return err
	}
	for _, statement := range []string{
		fmt.Sprintf("create role %s login connection limit %d%s", user, limit, clause),
		"grant " + group + " to " + user,
		"alter role " + user + " set role to " + group,
	} {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return fmt.Errorf("postgres: role %q in group %q: %w", c.To.Username, p.group, err)
		}
	}
	if err := write(ctx, tx, c.To.Username, "", mark{}.set(c.Token, c.From.Version)); err != nil {
		return err
	}
	return copySettings(ctx, tx, c.From.Username, c.To.Username)
}

// adopt puts a mark on a member of the group that has none, so that it is found
// when it is left behind. It returns the role's connection limit, -1 for none.
func (p *parallel) adopt(ctx context.Context, tx pgx.Tx, from source.Credential) (limit int, err error) {
	text, m, err := comment(ctx, tx, from.Username)
	if errors.Is(err, errNoRole) {
		return -1, nil
	}
	if err != nil {
		return 0, err
	}
	var member bool
	err = tx.QueryRow(ctx, `select u.rolconnlimit, exists (select from pg_catalog.pg_auth_members where member = u.oid and roleid = g.oid)
		from pg_catalog.pg_roles u, pg_catalog.pg_roles g where u.rolname = $1 and g.rolname = $2`, from.Username, p.group).Scan(&limit, &member)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return 0, fmt.Errorf("postgres: group %q: %w", p.group, errNoRole)
	case err != nil:
		return 0, fmt.Errorf("postgres: role %q: %w", from.Username, err)
	case !member || !m.at.IsZero():
		return limit, nil
	}
	return limit, write(ctx, tx, from.Username, text, mark{token: from.Version})
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
	return p.change(ctx, func(tx pgx.Tx) error {
		text, m, err := comment(ctx, tx, c.To.Username)
		switch {
		case errors.Is(err, errNoRole):
			return nil
		case err != nil:
			return err
		}
		if err := p.ours(c, m); err != nil {
			return err
		}
		err = pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "drop role "+user)
			return err
		})
		if err == nil || !isCode(err, "2BP01") {
			return err
		}
		if err := alter(ctx, tx, c.To.Username, " nologin"); err != nil {
			return err
		}
		m.token = ""
		return write(ctx, tx, c.To.Username, text, m.spend(c.Token))
	}, p.group)
}

// Sessions counts all of user.
func (p *parallel) Sessions(ctx context.Context, user string) (int, error) {
	return p.sessions(ctx, user)
}
