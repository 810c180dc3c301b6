package refresh

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rekey-go/rekey/source"
)

// ErrTooManyLeases is wrapped by the error of [Refresher.Refresh] when no new
// lease is fetched yet, since the store has not revoked the ones before. The
// error says until when, and why the store refuses.
var ErrTooManyLeases = errors.New("too many live leases")

// crowdedError says that no lease is fetched before until; zero: before one is
// revoked.
type crowdedError struct {
	error
	until time.Time
}

func (e crowdedError) Unwrap() error { return e.error }

// longestDrain bounds how long a fetch waits for the last but one credential
// to drain before that is retired by force.
const longestDrain = 30 * time.Second

// alive reports whether c has a lease that has not ended by itself.
func alive(now time.Time, c source.Credential) bool {
	return c.Lease != nil && !reached(now, goneAt(c))
}

// live returns the credentials whose leases are alive, and forgets those given
// back that have ended. The caller holds mu.
func (r *Refresher) live(now time.Time) (live []source.Credential) {
	r.returned = slices.DeleteFunc(r.returned, func(l *returned) bool { return !alive(now, l.credential) })
	for _, l := range r.returned {
		live = append(live, l.credential)
	}
	for _, g := range append(slices.Clip(r.predecessors), r.current.Load()) {
		if c := g.life.Load().credential; alive(now, c) {
			live = append(live, c)
		}
	}
	return live
}

// makeRoom tries to bring the number of live leases to one: the oldest drains,
// or is retired by force when waiting any longer would put the current one at
// risk. Revocations under way are waited for, and those that the store has
// refused are tried once more.
func (r *Refresher) makeRoom() {
	for oldest := r.excess(); oldest != nil; oldest = r.excess() {
		r.mu.Lock()
		oldest.overdue.Store(true) // its connections leave as they come back
		r.mu.Unlock()
		r.answerReinstatements() // who asks to return to it holds it until then
		r.notify()
		if !r.wait(r.patience(), func() bool { return oldest.holds == 0 }) {
			r.opts.Logger.Warn("rekey: credential retired by force: a third lease is due", "credential", r.opts.Name, "generation", oldest.number)
		}
		r.retire(oldest)
	}
	r.mu.Lock()
	for _, l := range r.returned {
		if l.refused != nil && !reached(time.Now(), l.credential.Expires) {
			select {
			case l.again <- struct{}{}:
				l.asking = true
			default: // it is under way
			}
		}
	}
	r.mu.Unlock()
	r.wait(max(r.patience(), time.Second), func() bool {
		return !slices.ContainsFunc(r.returned, func(l *returned) bool { return l.asking && !reached(time.Now(), l.credential.Expires) })
	})
}

// excess returns the oldest predecessor with a live lease if together with
// others there are two, else nil.
func (r *Refresher) excess() *generation {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	at := slices.IndexFunc(r.predecessors, func(g *generation) bool { return alive(now, g.life.Load().credential) })
	if at < 0 || len(r.live(now)) < 2 {
		return nil
	}
	return r.predecessors[at]
}

// patience is how long the current credential lets a fetch wait: not at all
// when nobody can log in with it.
func (r *Refresher) patience() time.Duration {
	r.mu.Lock()
	g := r.current.Load()
	rejected := g.trial.suspect()
	r.mu.Unlock()
	if rejected {
		return 0
	}
	end := g.life.Load().loginUntil
	if end.IsZero() {
		return longestDrain
	}
	return max(0, min(longestDrain, time.Until(end)/2))
}

// wait blocks until ready, which is called with mu held, and reports whether it
// became true within d. It gives up when the database begins to reject the
// current credential.
func (r *Refresher) wait(d time.Duration, ready func() bool) bool {
	ctx, cancel := context.WithTimeout(r.ctx, d)
	defer cancel()
	r.mu.Lock()
	rejected := r.current.Load().trial.suspect()
	r.mu.Unlock()
	return nil == r.await(ctx, func(time.Time) (bool, time.Time, error) {
		if !rejected && r.current.Load().trial.suspect() {
			return false, time.Time{}, ErrRejected
		}
		return ready(), time.Time{}, nil
	})
}

// room returns nil if a lease may be fetched now, else a crowdedError. asked
// means that somebody waits for one because logins fail, or an operator does;
// operator means the latter.
func (r *Refresher) room(asked, operator bool) error {
	now := time.Now()
	r.mu.Lock()
	live, g, refusal := r.live(now), r.current.Load(), r.status.refusal
	r.mu.Unlock()
	hurried := r.loop.hurried
	if operator || r.loop.granted.IsZero() {
		hurried = 0
	}
	l := g.life.Load()
	last := lastMoment(l.credential, &r.opts, r.loop.slowest)
	ok, until := leaseAt(now, live, l.end, last, r.loop.granted, asked || reached(now, last), hurried)
	if ok {
		return nil
	}
	err := fmt.Errorf("no new lease is fetched before %s: %w: %d", until.Format(time.RFC3339), ErrTooManyLeases, len(live))
	if until.IsZero() {
		err = fmt.Errorf("no new lease is fetched before one is revoked: %w: %d", ErrTooManyLeases, len(live))
	}
	if refusal != nil {
		err = fmt.Errorf("%w; %w", err, refusal)
	}
	return crowdedError{err, until}
}
