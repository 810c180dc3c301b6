package faults

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A Witness knows which session each statement ran on and when each login
// began, so that a failure can be laid at the door of one of them. Make it the
// tracer of a pgx configuration, and run statements by Watch; for other drivers
// there is [Witness.Dialer]. Make one by [NewWitness].
type Witness struct {
	mu       sync.Mutex
	failed   map[*pgconn.ConnectError]login // of logins
	sessions map[any]*session               // of database/sql
	failures []Failure
}

// NewWitness returns a witness that has seen nothing.
func NewWitness() *Witness {
	return &Witness{failed: map[*pgconn.ConnectError]login{}, sessions: map[any]*session{}}
}

// Take returns the failures since it was called last, in the order of their
// ends. It forgets what has not been in use for a while: call it now and then.
func (w *Witness) Take() []Failure {
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.DeleteFunc(w.failed, func(_ *pgconn.ConnectError, l login) bool { return time.Since(l.ended) > handedOn })
	maps.DeleteFunc(w.sessions, func(_ any, s *session) bool { return time.Since(s.seen) > unused })
	failures := w.failures
	w.failures = nil
	return failures
}

const (
	handedOn = time.Second      // a login's error is in its callers' hands by then
	unused   = 20 * time.Second // a session of a pool whose clients never stop is in use before
)

// A login is one that failed.
type login struct{ began, ended time.Time }

func (w *Witness) note(f Failure) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failures = append(w.failures, f)
}

// An attempt is one statement of one client.
type attempt struct {
	mu      sync.Mutex
	session *pgx.Conn // that it was sent on last; nil: none
}

type (
	attemptKey struct{}
	loginKey   struct{}
)

// loginData is where a session keeps when its login began.
const loginData = "internal/faults: login"

// Watch runs a statement and notes how it failed.
func (w *Witness) Watch(ctx context.Context, statement func(context.Context) error) error {
	a := &attempt{}
	f := Failure{Begun: time.Now()}
	f.Err = statement(context.WithValue(ctx, attemptKey{}, a))
	if f.Err == nil {
		return nil
	}
	f.Ended = time.Now()
	a.mu.Lock()
	session := a.session
	a.mu.Unlock()
	var connect *pgconn.ConnectError
	switch {
	case errors.As(f.Err, &connect): // whoever's login it was: pools hand them on
		w.mu.Lock()
		f.Login = w.failed[connect].began
		w.mu.Unlock()
	case session != nil:
		f.Login, _ = session.PgConn().CustomData()[loginData].(time.Time)
		f.Sent, f.Closed = true, session.IsClosed()
	}
	w.note(f)
	return f.Err
}

// TraceConnectStart implements [pgx.ConnectTracer].
func (w *Witness) TraceConnectStart(ctx context.Context, _ pgx.TraceConnectStartData) context.Context {
	noteSession(ctx, nil)
	return context.WithValue(ctx, loginKey{}, time.Now())
}

// TraceConnectEnd implements [pgx.ConnectTracer].
func (w *Witness) TraceConnectEnd(ctx context.Context, data pgx.TraceConnectEndData) {
	began, _ := ctx.Value(loginKey{}).(time.Time)
	if data.Err == nil {
		data.Conn.PgConn().CustomData()[loginData] = began
		return
	}
	var connect *pgconn.ConnectError
	if errors.As(data.Err, &connect) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.failed[connect] = login{began, time.Now()}
	}
}

// TraceQueryStart implements [pgx.QueryTracer].
func (w *Witness) TraceQueryStart(ctx context.Context, conn *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	noteSession(ctx, conn)
	return ctx
}

// TraceQueryEnd implements [pgx.QueryTracer].
func (w *Witness) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func noteSession(ctx context.Context, conn *pgx.Conn) {
	if a, ok := ctx.Value(attemptKey{}).(*attempt); ok {
		a.mu.Lock()
		a.session = conn
		a.mu.Unlock()
	}
}
