package faults

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/rekey-go/rekey/pool"
)

// A Dialer is what this package can watch.
type Dialer interface {
	pool.Dialer
	pool.Prober
	pool.RightsComparer
}

// Dialer has the witness see the logins of d. Statements run by [Witness.WatchDB].
func (w *Witness) Dialer(d Dialer) Dialer { return watchedDialer{d, w} }

type watchedDialer struct {
	Dialer
	w *Witness
}

// A session is a connection of database/sql.
type session struct {
	login time.Time // when it began
	seen  time.Time // in use, last
}

// A loginError is a login that failed, in whoever's hands.
type loginError struct {
	began time.Time
	error
}

func (e *loginError) Unwrap() error { return e.error }

// Dial implements [pool.Dialer].
func (d watchedDialer) Dial(ctx context.Context, l *pool.Login) (driver.Conn, error) {
	began := time.Now()
	conn, err := d.Dialer.Dial(ctx, l)
	if err != nil {
		return nil, &loginError{began, err}
	}
	d.w.mu.Lock()
	defer d.w.mu.Unlock()
	d.w.sessions[conn] = &session{began, time.Now()}
	return conn, nil
}

// WatchDB takes a connection of db, runs a statement on it and notes how either
// failed.
func (w *Witness) WatchDB(ctx context.Context, db *sql.DB, statement func(context.Context, *sql.Conn) error) error {
	f := Failure{Begun: time.Now()}
	var login *loginError
	if f.Err = w.watchDB(ctx, db, statement, &f); f.Err == nil {
		return nil
	}
	f.Ended = time.Now()
	if !f.Sent && errors.As(f.Err, &login) { // whoever's login it was: database/sql hands them on
		f.Login = login.began
	}
	w.note(f)
	return f.Err
}

func (w *Witness) watchDB(ctx context.Context, db *sql.DB, statement func(context.Context, *sql.Conn) error, f *Failure) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // which says nothing about the statement
	if err := conn.Raw(func(c any) error { f.Login = w.use(c); return nil }); err != nil {
		return err
	}
	f.Sent = true
	err = statement(ctx, conn)
	if err == nil {
		return nil
	}
	f.Closed = true
	_ = conn.Raw(func(c any) error { f.Closed = !valid(c); return nil }) // it fails where database/sql has closed it
	return err
}

// use returns when the login of a connection began that is in use now.
func (w *Witness) use(conn any) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.sessions[conn]
	if s == nil {
		return time.Time{}
	}
	s.seen = time.Now()
	return s.login
}

// valid asks the driver's own connection, not the pool.
func valid(conn any) bool {
	if wrapped, ok := conn.(interface{ Raw() driver.Conn }); ok {
		conn = wrapped.Raw()
	}
	v, ok := conn.(driver.Validator)
	if !ok {
		panic(fmt.Sprintf("faults: a %T does not say whether it is closed", conn))
	}
	return v.IsValid()
}
