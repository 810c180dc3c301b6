package faults

import (
	"fmt"
	"slices"
	"time"

	"github.com/go-sql-driver/mysql"
)

// A Failure is a statement that failed.
type Failure struct {
	Begun, Ended time.Time
	Err          error
	Login        time.Time // when its session's login began, or the login that failed instead; zero: there was none
	Sent         bool      // on a session
	Closed       bool      // the session is closed now
}

func (f Failure) String() string {
	login := "no login"
	if !f.Login.IsZero() {
		login = fmt.Sprintf("a login begun %v before", f.Begun.Sub(f.Login).Round(time.Millisecond))
	}
	return fmt.Sprintf("ran %v, sent: %v, closed: %v, %s: %v", f.Ended.Sub(f.Begun).Round(time.Millisecond), f.Sent, f.Closed, login, f.Err)
}

// An Outage is the time in which sessions may break.
type Outage struct {
	Begun, Ended time.Time

	// Logins that are under way go on: only sessions end.
	Sessions bool
}

// Excuses reports whether the outage is what a statement failed of: it was sent
// on a session that was there, or in the making, while the outage lasted and
// that is broken now; or the login made for it was under way then; or, where
// there was neither, it was itself. What a server says about credentials or
// rights is never excused, and no other of its answers to a statement.
func (o Outage) Excuses(f Failure) bool {
	switch {
	case !broken(f.Err) || f.Ended.Before(o.Begun):
		return false
	case f.Sent:
		return f.Closed && !f.Login.IsZero() && f.Login.Before(o.Ended)
	case o.Sessions:
		return false
	case !f.Login.IsZero():
		return f.Login.Before(o.Ended)
	}
	return f.Begun.Before(o.Ended)
}

// broken reports whether anything that an error is made of is a broken
// connection, or a server that says that it goes or comes. A login that was
// rejected and whose repetition broke is both.
func broken(err error) bool {
	switch e := err.(type) { //nolint:errorlint // the tree is walked by hand
	case interface{ SQLState() string }: // of pgx and lib/pq
		switch e.SQLState() {
		case "57P01", "57P02", "57P03": // by an administrator, by a crash, not ready yet
			return true
		}
		return false
	case *mysql.MySQLError:
		switch e.Number {
		case 1053, 1927: // shutdown in progress, killed by one
			return true
		}
		return false
	case interface{ Unwrap() error }:
		return e.Unwrap() == nil || broken(e.Unwrap())
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(e.Unwrap(), broken)
	}
	return true
}
