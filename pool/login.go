package pool

import (
	"database/sql/driver"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
)

// A Login is one attempt to log in with the credential of one generation, and
// the session that comes of it. A [Dialer] is given one for each connection.
// Its methods are safe for concurrent use.
type Login struct {
	k        *keeper
	hold     *refresh.Hold
	snapshot refresh.Snapshot
	conn     driver.Conn // of database/sql, once logged in
	open     atomic.Bool // logged in
	lent     atomic.Bool // during a rollover
	touched  atomic.Bool // its idle time has been reset by an exchange
	passing  atomic.Bool // it is released by an exchange, not by a user
	closing  sync.Once
}

// Credential returns the user name and password to log in with, both of one
// generation.
func (l *Login) Credential() source.Credential { return l.snapshot.Credential }

// Opened says that the database has accepted the login.
func (l *Login) Opened() {
	l.open.Store(true)
	l.hold.Accepted()
	l.k.mu.Lock()
	l.k.counts.logins++
	l.k.mu.Unlock()
}

// Rejected says that the database has rejected the login's credential. The
// source is asked for another.
func (l *Login) Rejected() { l.k.rejected(l.hold) }

// Closed says that the session's socket is closed, or was never opened. Only
// the first call counts.
func (l *Login) Closed() { l.closing.Do(func() { l.k.end(l) }) }

// Denied says that the database refused a statement of this session for lack of
// rights. The session is probed for whether its user still exists, and a
// replacement that lost rights is noticed.
func (l *Login) Denied(err error) { _ = err }

// ApplicationName returns the name under which the session shows up in the
// database's list of sessions: base, with a short tag of the credential's
// version if [Options.VersionTag] asks for it. It has at most 63 bytes then.
func (l *Login) ApplicationName(base string) string { return base }

// Check returns nil if the connection may be lent and [driver.ErrBadConn] if
// it is to be closed. A driver's ResetSession and IsValid call it. While no
// rollover is under way it is one atomic load.
func (l *Login) Check() error {
	if !l.k.attention.Load() || l.k.lend(l) {
		return nil
	}
	return driver.ErrBadConn
}

// over reports whether the session must not be lent any more. The clocks are
// asked only if the credential ends.
func (l *Login) over() bool {
	var now time.Time
	if !l.hold.Deadline().IsZero() {
		now = time.Now()
	}
	return l.hold.Over(now)
}
