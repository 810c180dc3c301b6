package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/source"
)

// secret is the clause that sets a password, by its verifier.
func (s *server) secret(password source.Secret) (string, error) {
	verifier, err := derive(password, newSalt(), s.config.Iterations)
	if err != nil {
		return "", err
	}
	text, err := Literal(verifier.Reveal())
	if err != nil {
		return "", err
	}
	return " password " + text, nil
}

// alter changes a role. clause is written in SQL and may hold a verifier.
func alter(ctx context.Context, tx pgx.Tx, role, clause string) error {
	name, err := Ident(role)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "alter role "+name+clause); err != nil {
		return fmt.Errorf("postgres: role %q: %w", role, err)
	}
	return nil
}

// Applied reads the mark of the user of c.To.
func (s *server) Applied(ctx context.Context, c rotate.Change) (applied bool, err error) {
	err = s.admin(ctx, func(conn *pgx.Conn) error {
		_, m, err := comment(ctx, conn, c.To.Username)
		applied = c.Token != "" && m.token == c.Token
		if errors.Is(err, errNoRole) {
			return nil
		}
		return err
	})
	return applied, err
}

// sessions counts the open sessions of user in all databases.
func (s *server) sessions(ctx context.Context, user string) (n int, err error) {
	err = s.admin(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "select pg_catalog.count(*) from pg_catalog.pg_stat_activity where usename = $1", user).Scan(&n)
	})
	return n, err
}
