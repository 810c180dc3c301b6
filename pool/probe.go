package pool

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ErrDisowned means that a session's user no longer exists. Databases let the
// sessions of a dropped user live on, some with all rights, most with none, so
// such a session looks well until a statement fails on it.
var ErrDisowned = errors.New("the user of the session no longer exists")

const (
	// probeTimeout bounds one probe.
	probeTimeout = 5 * time.Second

	// longestQuiet is after how long a pool that nobody uses is no longer
	// probed, so that its idle connections can reach their age.
	longestQuiet = 30 * time.Minute

	// probeRest is how soon rights errors have a session probed again.
	probeRest = time.Second

	// probeWindow is for how long every lent connection is looked at after some
	// have become due. What is lent for longer, and then at once again, is
	// probed the next time, or after a rights error; what has rested for
	// longIdle is looked at anyway.
	probeWindow = 500 * time.Millisecond
)

// Sessions are probed when they are lent, at most once in half of the
// interval, and after a rights error: that is when somebody has to wait for it,
// for one round trip. A session that is proven well proves all later ones of
// the same user. Where nobody borrows, the keeper's goroutine does.

// probeKey marks the context of such an acquire; no connection is made for it.
type probeKey struct{}

func ofProbe(ctx context.Context) bool { return ctx.Value(probeKey{}) != nil }

// schedule marks the sessions that are due for a probe and returns when to look
// again. It reports whether to ask without a caller. The caller holds mu.
func (k *keeper) scheduleProbes(now time.Time) (next time.Time, ask bool) {
	tick := k.opts.Probe / 2
	if k.prober == nil || k.opts.Probe < 0 {
		return now.Add(time.Hour), false
	}
	if now.Before(k.nextProbe) {
		return k.nextProbe, false
	}
	k.nextProbe = now.Add(tick)
	due := false
	for l := range k.sessions {
		if l.open.Load() && now.Sub(l.proven) >= tick {
			due = due || l.due.Load()
			l.due.Store(true)
			k.probing = now.Add(probeWindow)
		}
	}
	switch {
	case !due || k.asked != k.askedBefore: // callers do it
		k.quiet = 0
	default:
		k.quiet += tick
		ask = k.quiet <= longestQuiet
	}
	k.askedBefore = k.asked
	return k.nextProbe, ask
}

// lookOut has every connection looked at that is lent in the next moment.
func (k *keeper) lookOut() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.probing = time.Now().Add(probeWindow)
	k.attention.Store(true)
	k.poke()
}

// suspect has l probed before it is lent again. The caller holds mu.
func (k *keeper) suspect(l *Login) {
	if k.prober == nil || k.opts.Probe < 0 || time.Since(l.proven) < probeRest {
		return
	}
	l.due.Store(true)
	l.suspect.Store(true)
	k.attention.Store(true)
}

// ask probes the session of conn, which the caller has for itself, and reports
// whether it may be lent.
func (k *keeper) ask(ctx context.Context, l *Login, conn any) bool {
	l.due.Store(false)
	l.suspect.Store(false)
	bounded, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	began := time.Now()
	err := k.prober(bounded, conn)
	k.mu.Lock()
	if !ofProbe(ctx) {
		k.asked++
	}
	disowned, later := errors.Is(err, ErrDisowned), false
	for s := range k.sessions {
		switch {
		case s.snapshot.Username != l.snapshot.Username || !s.open.Load():
		case disowned && !s.since.After(l.since):
			s.gone.Store(true)
		case disowned: // the user may exist again since then
			s.due.Store(true)
			later = true
		case err == nil && !s.since.Before(l.since):
			s.proven = began
			s.due.Store(false)
		}
	}
	if disowned {
		k.counts.disowned++
		if !later {
			k.disowned = l.snapshot.Generation
		}
		k.attention.Store(true)
		k.poke()
	}
	k.mu.Unlock()
	if disowned && !later {
		k.opts.Logger.Error("rekey: a user was dropped while its sessions were in use; they are closed",
			"user", l.snapshot.Username, "version", l.snapshot.Version, "generation", l.snapshot.Generation)
		k.refresher.Invalidate(l.snapshot.Generation)
	}
	return err == nil // another error means that the connection is broken
}

// probe has one idle connection probed: the one that would be lent next.
func (k *keeper) probe() {
	if k.exchanger.idle() == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithValue(k.ctx, probeKey{}, true), time.Second)
	defer cancel()
	_ = k.exchanger.fill(ctx) // what is wrong shows in the sessions
}

// undefinedObject is what PostgreSQL says when it has no name for a session's
// user any more.
const undefinedObject = "42704"

// probePgx asks for the session's user, which SET ROLE does not hide.
func probePgx(ctx context.Context, conn *pgx.Conn) error {
	err := conn.PgConn().Exec(ctx, "select session_user").Close()
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == undefinedObject {
		return fmt.Errorf("%w: %w", ErrDisowned, err)
	}
	return err
}
