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
	line  string    // of parallel roles: the user that the first rotation began at
	off   time.Time // since when the role may not log in, if a rotation has seen to that
	spent []string  // rotations that must not happen here any more, latest last
}

// mostSpent bounds the spent rotations that a comment keeps.
const mostSpent = 8

// token in a comment: none is "-", what else may be in one is escaped as in URLs.
const (
	tokenForm = `[0-9A-Za-z_.~%+-]+`
	timeForm  = `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z`
)

var markForm = regexp.MustCompile(`(?s)^(.*) \[rekey (` + tokenForm + `) (` + timeForm + `)` +
	`(?: after=(` + tokenForm + `))?(?: line=(` + tokenForm + `))?(?: off=(` + timeForm + `))?(?: spent=(` + tokenForm + `(?:,` + tokenForm + `)*))?\]$`)

// parseMark splits a role's comment into what people have written and the mark.
func parseMark(comment string) (text string, m mark) {
	parts := markForm.FindStringSubmatch(comment)
	if parts == nil {
		return comment, mark{}
	}
	var errs [5]error
	m.token, errs[0] = unescape(parts[2])
	m.at, errs[1] = time.Parse(time.RFC3339Nano, parts[3])
	m.after, errs[2] = unescape(parts[4])
	m.line, errs[3] = unescape(parts[5])
	if parts[6] != "" {
		m.off, errs[4] = time.Parse(time.RFC3339Nano, parts[6])
	}
	if parts[7] != "" {
		for t := range strings.SplitSeq(parts[7], ",") {
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
	if m.line != "" {
		b.WriteString(" line=" + escape(m.line))
	}
	if !m.off.IsZero() {
		b.WriteString(" off=" + m.off.UTC().Format(time.RFC3339Nano))
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

// says reports whether m says the same of rotations as other, at whatever time.
func (m mark) says(other mark) bool {
	return m.token == other.token && m.after == other.after && m.line == other.line && slices.Equal(m.spent, other.spent)
}

// spend adds a rotation that must not happen any more.
func (m mark) spend(token string) mark {
	if !slices.Contains(m.spent, token) {
		m.spent = append(slices.Clone(m.spent), token)
		m.spent = m.spent[max(0, len(m.spent)-mostSpent):]
	}
	return m
}

// A remark is a role's comment.
type remark struct {
	role  string
	exist bool   // the role does
	text  string // of people
	mark
	now time.Time // the server's clock when it was read
}

// errNoRole is returned where a role does not exist.
var errNoRole = errors.New("the role does not exist")

func (r remark) missing() error {
	if r.exist {
		return nil
	}
	return fmt.Errorf("postgres: role %q: %w", r.role, errNoRole)
}

// remarks reads the comments of roles, in their order.
func remarks(ctx context.Context, conn *pgx.Conn, roles ...string) ([]remark, error) {
	rows, err := conn.Query(ctx, `select r.oid is not null, coalesce(pg_catalog.shobj_description(r.oid, 'pg_authid'), ''),
		(extract(epoch from pg_catalog.clock_timestamp()) * 1000000)::pg_catalog.int8
		from pg_catalog.unnest($1::pg_catalog.text[]) with ordinality as x (name, n)
		left join pg_catalog.pg_roles r on r.rolname = x.name order by x.n`, oneTrip, roles)
	if err != nil {
		return nil, fmt.Errorf("postgres: the comments of roles %q: %w", roles, err)
	}
	var all []remark
	var exist bool
	var whole string
	var now int64
	_, err = pgx.ForEachRow(rows, []any{&exist, &whole, &now}, func() error {
		text, m := parseMark(whole)
		all = append(all, remark{roles[len(all)], exist, text, m, time.UnixMicro(now)})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("postgres: the comments of roles %q: %w", roles, err)
	}
	return all, nil
}

// remarkOf reads the comment of one role, which must exist.
func remarkOf(ctx context.Context, conn *pgx.Conn, role string) (remark, error) {
	all, err := remarks(ctx, conn, role)
	if err != nil {
		return remark{}, err
	}
	return all[0], all[0].missing()
}

// write is the statement that puts a mark behind the comment, in place of the
// one there. Its time is when the comment was read, if it says something new of
// rotations.
func (r remark) write(m mark) (string, error) {
	if m.at = r.at; r.at.IsZero() || !m.says(r.mark) {
		m.at = r.now
	}
	name, err := Ident(r.role)
	if err != nil {
		return "", err
	}
	whole, err := Literal(m.behind(r.text))
	if err != nil {
		return "", err
	}
	return "comment on role " + name + " is " + whole, nil
}
