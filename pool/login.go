package pool

import (
	"context"
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
	given    atomic.Bool // given up: the pool is about to close it
	due      atomic.Bool // it is to be probed before it is lent
	suspect  atomic.Bool // due because of a rights error
	gone     atomic.Bool // its user has been dropped
	unfit    atomic.Bool // its user has lost rights and was taken back
	closing  sync.Once

	// Guarded by the keeper's mu.
	since     time.Time // when the database accepted the login
	proven    time.Time // when its user last existed
	overSince time.Time // when it was first seen to have outlived its credential
	severed   bool
	sever     func() error // closes its socket under its user; nil: it cannot be
}

// Credential returns the user name and password to log in with, both of one
// generation.
func (l *Login) Credential() source.Credential { return l.snapshot.Credential }

// Opened says that the database has accepted the login.
func (l *Login) Opened() {
	l.open.Store(true)
	l.hold.Accepted()
	l.k.mu.Lock()
	l.since = time.Now()
	l.proven = l.since
	l.k.counts.logins++
	if l.snapshot.Generation == l.k.disowned {
		l.k.disowned = 0 // the user exists again
	}
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
func (l *Login) Denied(err error) { l.k.denied(l, err) }

// ApplicationName returns the name under which the session shows up in the
// database's list of sessions: base, with a short tag of the credential's
// version if [Options.VersionTag] asks for it. It has at most 63 bytes then.
func (l *Login) ApplicationName(base string) string {
	version := l.snapshot.Version
	if !l.k.opts.VersionTag || l.hold.Leased() || version == l.snapshot.Digest() {
		return base
	}
	return taggedName(base, VersionTag(version))
}

// Check returns nil if the connection may be lent and [driver.ErrBadConn] if
// it is to be closed. A driver's ResetSession calls it with the connection to
// itself, because it may be probed (see [Prober]). While nothing is the matter
// it is a few atomic loads, and a look at the clocks if the credential ends.
func (l *Login) Check(ctx context.Context) error {
	if !l.k.attention.Load() && (l.due.Load() || !l.hold.Endless() && l.over()) { // the timer is late, as after a suspend
		l.k.lookOut()
	}
	switch {
	case !l.k.attention.Load(), l.well(), l.k.ofExchange(ctx):
		return nil
	case l.over(), l.k.roomy.Load() && l.k.giveUp(l), l.due.Load() && !l.k.ask(ctx, l, l.conn):
		return driver.ErrBadConn
	}
	return nil
}

// Valid reports whether the connection may be lent on, without asking the
// database. A driver's IsValid calls it, if it has one: what leaves here is
// missed by nobody, whereas database/sql fails a caller to whom it has offered
// three connections in vain.
func (l *Login) Valid() bool { return !l.k.attention.Load() || l.k.lend(l) }

// OnOverstay gives the pool a way to close the session's socket under its user
// (see [Options.Overstay]). Without one it can only report the session.
func (l *Login) OnOverstay(sever func() error) {
	l.k.mu.Lock()
	defer l.k.mu.Unlock()
	l.sever = sever
}

// well reports whether nothing is the matter with the session, which is so for
// most even during a rollover.
func (l *Login) well() bool { return !l.due.Load() && !l.gone.Load() && l.hold.Endless() }

// over reports whether the session must not be lent any more. The clocks are
// asked only if the credential ends.
func (l *Login) over() bool {
	var now time.Time
	if !l.hold.Deadline().IsZero() {
		now = time.Now()
	}
	return l.overAt(now)
}

// overAt is over with a look at the clocks that has been taken already.
func (l *Login) overAt(now time.Time) bool { return l.gone.Load() || l.hold.Over(now) }
