package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// A mark is what a rotation writes behind a role's comment, in the transaction
// that changes the role.
type mark struct {
	token string    // the rotation that changed the role last; empty: it was undone
	at    time.Time // when; zero: there is no mark
	after string    // the version that was current before
	spent []string  // rotations that must not happen here any more, latest last
}

// mostSpent bounds the spent rotations that a comment keeps.
const mostSpent = 8

// token in a comment: none is "-", what else may be in one is escaped as in URLs.
const tokenForm = `[0-9A-Za-z_.~%+-]+`

var markForm = regexp.MustCompile(`(?s)^(.*) \[rekey (` + tokenForm + `) (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)` +
	`(?: after=(` + tokenForm + `))?(?: spent=(` + tokenForm + `(?:,` + tokenForm + `)*))?\]$`)

// parseMark splits a role's comment into what people have written and the mark.
func parseMark(comment string) (text string, m mark) {
	parts := markForm.FindStringSubmatch(comment)
	if parts == nil {
		return comment, mark{}
	}
	var errs [3]error
	m.token, errs[0] = unescape(parts[2])
	m.at, errs[1] = time.Parse(time.RFC3339Nano, parts[3])
	m.after, errs[2] = unescape(parts[4])
	if parts[5] != "" {
		for t := range strings.SplitSeq(parts[5], ",") {
			spent, err := unescape(t)
			if err != nil {
				return comment, mark{}
			}
			m.spent = append(m.spent, spent)
		}
	}
	if errors.Join(errs[:]...) != nil || m.at.IsZero() {
		return comment, mark{}
	}
	return parts[1], m
}

func unescape(token string) (string, error) {
	if token == "-" {
		return "", nil
	}
	return url.QueryUnescape(token)
}

func escape(token string) string {
	switch token {
	case "":
		return "-"
	case "-":
		return "%2D"
	}
	return url.QueryEscape(token)
}

// behind returns the comment of text and mark.
func (m mark) behind(text string) string {
	if m.at.IsZero() {
		return text
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s [rekey %s %s", text, escape(m.token), m.at.UTC().Format(time.RFC3339Nano))
	if m.after != "" {
		b.WriteString(" after=" + escape(m.after))
	}
	for i, t := range m.spent {
		b.WriteString([]string{" spent=", ","}[min(i, 1)] + escape(t))
	}
	return b.String() + "]"
}

// set is the mark that follows m when rotation token, which began at version
// after, changes the role. Two rotations that began at one version exclude each
// other: the earlier one has been given up.
func (m mark) set(token, after string) mark {
	if m.token != "" && m.token != token && m.after == after && after != "" {
		m = m.spend(m.token)
	}
	m.token, m.after = token, after
	return m
}

// spend adds a rotation that must not happen any more.
func (m mark) spend(token string) mark {
	if !slices.Contains(m.spent, token) {
		m.spent = append(slices.Clone(m.spent), token)
		m.spent = m.spent[max(0, len(m.spent)-mostSpent):]
	}
	return m
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

// write puts a mark behind the role's comment, which is kept. The time of the
// mark is the server's, now.
func write(ctx context.Context, tx pgx.Tx, role, text string, m mark) error {
	if err := tx.QueryRow(ctx, "select pg_catalog.clock_timestamp()").Scan(&m.at); err != nil {
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
	if _, err = tx.Exec(ctx, "comment on role "+name+" is "+whole); err != nil {
		return fmt.Errorf("postgres: the comment of role %q: %w", role, err)
	}
	return nil
}
