package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/source"
)

// secret is the clause that sets a password, by its verifier.
func (s *server) secret(password source.Secret) (string, error) {
	if err := checkPassword(password); err != nil {
		return "", err
	}
	return s.again(password)
}

// again is the clause of a password that was set by whomever and has to work
// again: one that is not ASCII is taken as it is, which is the best that can be
// done.
func (s *server) again(password source.Secret) (string, error) {
	if password.IsEmpty() {
		return "", &PasswordError{"is empty, which PostgreSQL never lets in"}
	}
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

// alter is the statement that changes a role. clause is written in SQL and may
// hold a verifier.
func alter(role, clause string) (string, error) {
	name, err := Ident(role)
	if err != nil {
		return "", err
	}
	return "alter role " + name + clause, nil
}

// put changes a role and, unless m is what is there, writes the mark m.
func put(ctx context.Context, conn *pgx.Conn, r remark, clause string, m mark) error {
	var statements []string
	if clause != "" {
		statement, err := alter(r.role, clause)
		if err != nil {
			return err
		}
		statements = append(statements, statement)
	}
	if r.at.IsZero() || !m.says(r.mark) || !m.off.Equal(r.off) {
		statement, err := r.write(m)
		if err != nil {
			return err
		}
		statements = append(statements, statement)
	}
	if err := run(ctx, conn, statements...); err != nil {
		return fmt.Errorf("postgres: role %q: %w", r.role, err)
	}
	return nil
}

// Applied reads the mark of the user of c.To.
func (s *server) Applied(ctx context.Context, c rotate.Change) (applied bool, err error) {
	err = s.admin(ctx, func(conn *pgx.Conn) error {
		all, err := remarks(ctx, conn, c.To.Username)
		if err == nil {
			applied = c.Token != "" && all[0].token == c.Token
		}
		return err
	})
	return applied, err
}
