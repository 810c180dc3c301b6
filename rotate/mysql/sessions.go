package mysql

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/rekey-go/rekey/rotate"
)

const (
	process         = "PROCESS ON *.*"
	connectionAdmin = "CONNECTION_ADMIN (MariaDB: CONNECTION ADMIN) ON *.*"
)

// whose is the condition for the sessions of user that hold back what comes next,
// with the names of information_schema.processlist; wide, for those that may have
// logged in with an older password as well.
type whose func(ctx context.Context, x *session, user string, wide bool) (string, error)

// anyone is for targets to which every session of a user matters.
func anyone(context.Context, *session, string, bool) (string, error) { return "true", nil }

// before is for those that were opened before the user's mark was written, or,
// wide, before the older of two passwords was discarded. The servers do not tell
// when a session began; they number them in that order, until they are started
// anew.
func before(ctx context.Context, x *session, user string, wide bool) (string, error) {
	const nobody = "false"
	m, err := x.read(ctx, user)
	if err != nil || m.At.IsZero() {
		return nobody, err
	}
	now, err := x.stamp(ctx, m)
	switch {
	case err != nil:
		return "", err
	case now.Server != m.Server: // another has taken over: all may be from before
		return "true", nil
	case m.Start != 0 && now.Start != m.Start, time.Unix(now.Start, 0).After(m.At):
		return nobody, nil
	}
	last := m.Last
	if wide {
		last = max(last, m.Gone)
	}
	return "id <= " + strconv.FormatUint(last, 10), nil
}

// ask asks for the sessions of user. Without the right to see those of others the
// server would tell of none, so that is asked for as well.
func (x *session) ask(ctx context.Context, user, what, rest string, row func(scan func(...any) error) error) error {
	name, err := Literal(user, x.mode)
	if err != nil {
		return err
	}
	var open int
	err = x.QueryRowContext(ctx, "select count(*) from information_schema.innodb_trx").Scan(&open)
	if err != nil {
		return x.statementError("the sessions of user "+user, process, err)
	}
	rows, err := x.QueryContext(ctx, "select "+what+" from information_schema.processlist where user = "+name+rest)
	if err != nil {
		return x.statementError("the sessions of user "+user, process, err)
	}
	defer func() { _ = rows.Close() }() // Err has told all
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return x.statementError("the sessions of user "+user, process, err)
	}
	return nil
}

// list lists the sessions of user that count.
func (s *server) list(ctx context.Context, x *session, user string, wide bool) (ids []uint64, err error) {
	where, err := s.counts(ctx, x, user, wide)
	if err != nil {
		return nil, err
	}
	err = x.ask(ctx, user, "id", " and "+where, func(scan func(...any) error) error {
		var id uint64
		err := scan(&id)
		ids = append(ids, id)
		return err
	})
	return ids, err
}

// Sessions counts those of user that were opened before its password was set, or,
// of alternating users, all: none of them knows the password that comes.
func (s *server) Sessions(ctx context.Context, user string) (n int, err error) {
	err = s.admin(ctx, func(x *session) error {
		ids, err := s.list(ctx, x, user, false)
		n = len(ids)
		return err
	})
	return n, err
}

// End implements [rotate.Ender]. Of a user with two passwords it ends whatever was
// opened before the older one was discarded, since that one may have been used.
func (s *server) End(ctx context.Context, user string) (n int, err error) {
	err = s.admin(ctx, func(x *session) error {
		ids, err := s.list(ctx, x, user, true)
		if err != nil {
			return err
		}
		var errs []error
		for _, id := range ids {
			_, err := x.ExecContext(ctx, "kill connection "+strconv.FormatUint(id, 10))
			switch {
			case err == nil:
				n++
			case isNumber(err, notTheOwner):
				return &PrivilegeError{connectionAdmin, "to end the sessions of user " + user, serverError(err)}
			case !isNumber(err, noSuchSession): // else it has ended by itself
				errs = append(errs, fmt.Errorf("mysql: session %d of user %q: %w", id, user, serverError(err)))
			}
		}
		return errors.Join(errs...)
	})
	return n, err
}

// Uses implements [rotate.Observer]. Applications are told apart by the connection
// attribute program_name, where the server keeps those (performance_schema) and
// the rotator may read them; else they have no names. When a session was opened is
// not told.
func (s *server) Uses(ctx context.Context, user string) (uses []rotate.Use, err error) {
	err = s.admin(ctx, func(x *session) error {
		where, err := s.counts(ctx, x, user, false)
		if err != nil {
			return err
		}
		var readable int
		names := "''"
		if x.QueryRowContext(ctx, "select count(*) from performance_schema.session_connect_attrs where false").Scan(&readable) == nil {
			names = "(select max(attr_value) from performance_schema.session_connect_attrs where attr_name = 'program_name' and processlist_id = id)"
		} else if ctx.Err() != nil {
			return ctx.Err()
		}
		what := "coalesce(" + names + ", '') as application, substring_index(host, ':', 1) as client, count(*), sum(" + where + ")"
		return x.ask(ctx, user, what, " group by application, client", func(scan func(...any) error) error {
			var u rotate.Use
			err := scan(&u.Application, &u.Client, &u.Sessions, &u.Old)
			uses = append(uses, u)
			return err
		})
	})
	slices.SortFunc(uses, func(a, b rotate.Use) int {
		return cmp.Or(cmp.Compare(a.Application, b.Application), cmp.Compare(a.Client, b.Client))
	})
	return uses, err
}
