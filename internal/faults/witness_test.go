package faults_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A witness knows which session each statement ran on and when each login
// began, so that a failure can be laid at the door of one of them. It is a
// tracer of pgx.
type witness struct {
	mu       sync.Mutex
	sessions map[*pgx.Conn]time.Time            // when the login began
	failed   map[*pgconn.ConnectError]time.Time // of logins: when they began
	failures []failure
}

// An attempt is one statement of one client.
type attempt struct {
	mu      sync.Mutex
	session *pgx.Conn // that it was sent on last; nil: none
}

// A failure is a statement that failed.
type failure struct {
	begun, ended time.Time
	err          error
	login        time.Time // when its session's login began, or the login that failed instead; zero: there was none
	sent         bool      // on a session
	closed       bool      // the session is closed now
}

func (f failure) String() string {
	login := "no login"
	if !f.login.IsZero() {
		login = fmt.Sprintf("a login begun %v before", f.begun.Sub(f.login).Round(time.Millisecond))
	}
	return fmt.Sprintf("ran %v, sent: %v, closed: %v, %s: %v", f.ended.Sub(f.begun).Round(time.Millisecond), f.sent, f.closed, login, f.err)
}

type (
	attemptKey struct{}
	loginKey   struct{}
)

func newWitness() *witness {
	return &witness{sessions: map[*pgx.Conn]time.Time{}, failed: map[*pgconn.ConnectError]time.Time{}}
}

// watch runs a statement and notes how it failed.
func (w *witness) watch(ctx context.Context, statement func(context.Context) error) error {
	a := &attempt{}
	begun := time.Now()
	err := statement(context.WithValue(ctx, attemptKey{}, a))
	if err == nil {
		return nil
	}
	f := failure{begun: begun, ended: time.Now(), err: err}
	a.mu.Lock()
	session := a.session
	a.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	var connect *pgconn.ConnectError
	switch {
	case errors.As(err, &connect): // whoever's login it was: pools hand them on
		f.login = w.failed[connect]
	case session != nil:
		f.login, f.sent, f.closed = w.sessions[session], true, session.IsClosed()
	}
	w.failures = append(w.failures, f)
	return err
}

func (w *witness) all() []failure {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failures
}

func (w *witness) TraceConnectStart(ctx context.Context, _ pgx.TraceConnectStartData) context.Context {
	noteSession(ctx, nil)
	return context.WithValue(ctx, loginKey{}, time.Now())
}

func (w *witness) TraceConnectEnd(ctx context.Context, data pgx.TraceConnectEndData) {
	began, _ := ctx.Value(loginKey{}).(time.Time)
	w.mu.Lock()
	defer w.mu.Unlock()
	var connect *pgconn.ConnectError
	switch {
	case data.Err == nil:
		w.sessions[data.Conn] = began
	case errors.As(data.Err, &connect):
		w.failed[connect] = began
	}
}

func (w *witness) TraceQueryStart(ctx context.Context, conn *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	noteSession(ctx, conn)
	return ctx
}

func (w *witness) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func noteSession(ctx context.Context, conn *pgx.Conn) {
	if a, ok := ctx.Value(attemptKey{}).(*attempt); ok {
		a.mu.Lock()
		a.session = conn
		a.mu.Unlock()
	}
}

// An outage is the time in which sessions may break.
type outage struct{ begun, ended time.Time }

// excuses reports whether the outage is what a statement failed of: it was sent
// on a session that was there, or in the making, while the outage lasted and
// that is broken now; or the login made for it was under way then; or, where
// there was neither, it was itself. What a server says about credentials or
// rights is never excused, and no other of its answers to a statement.
func (o outage) excuses(f failure) bool {
	switch {
	case !broken(f.err) || f.ended.Before(o.begun):
		return false
	case f.sent:
		return f.closed && f.login.Before(o.ended)
	case !f.login.IsZero():
		return f.login.Before(o.ended)
	}
	return f.begun.Before(o.ended)
}

// broken reports whether anything that an error is made of is a broken
// connection, or a server that says that it goes or comes. A login that was
// rejected and whose repetition broke is both.
func broken(err error) bool {
	switch e := err.(type) { //nolint:errorlint // the tree is walked by hand
	case *pgconn.PgError:
		switch e.Code {
		case "57P01", "57P02", "57P03": // by an administrator, by a crash, not ready yet
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
