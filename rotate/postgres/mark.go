package postgres

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rekey-go/rekey/rotate"
)

// A mark is what a rotation writes behind a role's comment, in the transaction
// that changes the role: which rotation it was, and when.
type mark struct {
	token string
	at    time.Time
}

var markForm = regexp.MustCompile(`(?s)^(.*) \[rekey ([0-9A-Za-z-]{1,64}) (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)\]$`)

// parseMark splits a role's comment into what people have written and the mark.
func parseMark(comment string) (text string, m mark) {
	parts := markForm.FindStringSubmatch(comment)
	if parts == nil {
		return comment, mark{}
	}
	at, err := time.Parse(time.RFC3339Nano, parts[3])
	if err != nil {
		return comment, mark{}
	}
	return parts[1], mark{parts[2], at}
}

func (m mark) behind(text string) string {
	if m.token == "" {
		return text
	}
	return fmt.Sprintf("%s [rekey %s %s]", text, m.token, m.at.UTC().Format(time.RFC3339Nano))
}

// errNoRole is returned where a role does not exist.
var errNoRole = errors.New("the role does not exist")

// querier is a connection or a transaction.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// comment reads a role's comment.
func comment(ctx context.Context, q querier, role string) (text string, m mark, err error) {
	var whole *string
	err = q.QueryRow(ctx, "select pg_catalog.shobj_description(oid, 'pg_authid') from pg_catalog.pg_roles where rolname = $1", role).Scan(&whole)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return "", mark{}, fmt.Errorf("postgres: role %q: %w", role, errNoRole)
	case err != nil:
		return "", mark{}, fmt.Errorf("postgres: the comment of role %q: %w", role, err)
	case whole == nil:
		return "", mark{}, nil
	}
	text, m = parseMark(*whole)
	return text, m, nil
}

// write puts a mark behind the role's comment, which is kept.
func write(ctx context.Context, tx pgx.Tx, role, text, token string) error {
	m := mark{token: token}
	if err := tx.QueryRow(ctx, "select clock_timestamp()").Scan(&m.at); err != nil {
		return err
	}
	name, err := Ident(role)
	if err != nil {
		return err
	}
	whole, err := Literal(m.behind(text))
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "comment on role "+name+" is "+whole)
	return err
}

// fence refuses a rotation that does not follow the one that was here last.
func (m mark) fence(role string, c rotate.Change) error {
	if m.token == "" || m.token == c.Token || m.token == c.From.Version {
		return nil
	}
	return fmt.Errorf("postgres: role %q was last changed by rotation %s: %w", role, m.token, rotate.ErrConflict)
}
