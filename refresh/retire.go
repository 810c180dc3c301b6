package refresh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/rekey-go/rekey/source"
)

// retireOverdue lets go of predecessors that nobody holds or whose time has
// come.
func (r *Refresher) retireOverdue() {
	now := time.Now()
	r.mu.Lock()
	var retire []*generation
	for _, g := range r.predecessors {
		if g.holds == 0 || reached(now, g.ends()) {
			retire = append(retire, g)
		}
	}
	r.mu.Unlock()
	for _, g := range retire {
		r.retire(g)
	}
}

// nextRetirement returns when a predecessor's time comes. The caller holds mu.
func (r *Refresher) nextRetirement() (at time.Time) {
	for _, g := range r.predecessors {
		at = earlier(at, g.ends())
	}
	return at
}

// ends returns when a predecessor must be given up; zero: when nobody holds it.
func (g *generation) ends() time.Time {
	l := g.life.Load()
	if l.credential.Lease == nil {
		return l.sessionUntil
	}
	return earlier(l.sessionUntil, l.loginUntil)
}

// retire takes g out of use and has its lease revoked.
func (r *Refresher) retire(g *generation) {
	r.mu.Lock()
	r.predecessors = slices.DeleteFunc(r.predecessors, func(p *generation) bool { return p == g })
	if g.holds > 0 {
		g.overdue.Store(true)
	}
	held := g.holds
	r.mu.Unlock()
	c := g.life.Load().credential
	r.opts.Logger.Info("rekey: credential retired", "credential", r.opts.Name, "generation", g.number, "user", c.Username, "still_held", held)
	if held > 0 {
		r.notify()
	}
	r.giveBack(c)
}

// discard gives a credential that was never adopted back to the store.
func (r *Refresher) discard(c source.Credential, why string) {
	r.opts.Logger.Warn("rekey: credential not adopted", "credential", r.opts.Name, "user", c.Username, "version", c.Version, "why", why)
	r.giveBack(c)
}

// A returned lease has been given back to the store, which has not confirmed
// that it is revoked.
type returned struct {
	credential source.Credential
	again      chan struct{} // one slot: ask the store once more
	asking     bool          // the store has not refused yet, or is asked once more; guarded by Refresher.mu
	refused    error         // why the store has not revoked it; guarded by Refresher.mu
}

// giveBack has the lease of c, if it has a live one, revoked by a worker.
func (r *Refresher) giveBack(c source.Credential) {
	if !alive(time.Now(), c) {
		return
	}
	l := &returned{credential: c, again: make(chan struct{}, 1), asking: true}
	r.mu.Lock()
	r.returned = append(r.returned, l)
	r.mu.Unlock()
	r.workers.Go(func() { r.revoke(l) })
}

// revoke has a lease revoked. It asks the store until the lease has ended by
// itself, after growing pauses, or after longestRefusal where the store refuses
// for good, and whenever another lease is due. On shutdown what is left falls
// to revokeAll.
func (r *Refresher) revoke(l *returned) {
	const tries = 3
	var last error
	for n := 1; !reached(time.Now(), l.credential.Expires); n++ {
		ctx, cancel := l.within(r.ctx, r.opts.Timeout)
		err := r.revokeOnce(ctx, l.credential)
		cancel()
		if err == nil {
			r.noteRevoked(l)
			return
		}
		if r.ctx.Err() != nil {
			return
		}
		if last == nil || !reached(time.Now(), l.credential.Expires) { // else the end of the lease has cut it off
			last = err
		}
		pause := backoff(n, r.opts.MinBackoff, r.opts.MaxBackoff, 1)
		if source.IsPermanent(err) {
			pause = longestRefusal
		}
		if n >= tries || source.IsPermanent(err) {
			r.noteRefused(l, last)
		}
		ctx, cancel = l.within(r.ctx, pause)
		select {
		case <-l.again:
		case <-ctx.Done():
		}
		cancel()
		if r.ctx.Err() != nil {
			return
		}
	}
	if last != nil && l.refused == nil {
		r.noteRefused(l, last)
	}
}

// within returns a context that ends after d or with the lease.
func (l *returned) within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if end := l.credential.Expires; !end.IsZero() {
		d = min(d, time.Until(end))
	}
	return context.WithTimeout(ctx, d)
}

// noteRevoked forgets a lease whose end the store has confirmed.
func (r *Refresher) noteRevoked(l *returned) {
	r.mu.Lock()
	r.returned = slices.DeleteFunc(r.returned, func(other *returned) bool { return other == l })
	again := r.status.refusal != nil && !slices.ContainsFunc(r.returned, func(l *returned) bool { return l.refused != nil })
	if again {
		r.status.refusal = nil
	}
	r.broadcast()
	r.mu.Unlock()
	if again {
		r.opts.Logger.Info("rekey: leases are revoked again", "credential", r.opts.Name)
	}
}

// noteRefused remembers why a lease lives on. The log says it once until the
// store revokes again.
func (r *Refresher) noteRefused(l *returned, err error) {
	c := l.credential
	r.mu.Lock()
	level := slog.LevelDebug
	if r.status.refusal == nil {
		level = slog.LevelWarn
	}
	if l.refused == nil {
		r.status.revokeFailures++
	}
	l.asking, l.refused = false, err
	r.status.refusal = fmt.Errorf("the store does not revoke the lease of user %q: %w; no more than two are kept alive, so replacements may come later than planned; "+
		"grant this service the right to revoke its leases, or mend what the store does to revoke them", c.Username, err)
	r.broadcast()
	r.mu.Unlock()
	r.opts.Logger.Log(r.ctx, level, "rekey: lease not revoked, it ends by itself", "credential", r.opts.Name, "user", c.Username, "expires", c.Expires, "error", err)
}

func (r *Refresher) revokeOnce(ctx context.Context, c source.Credential) error {
	ctx, ended := r.trace(ctx, "revoke", c, 0)
	err := c.Lease.Revoke(ctx)
	ended(err)
	return err
}

// Close stops refreshing, revokes the leases that are left and waits for all
// that at most [Options.Timeout]. Close the pools that use the refresher
// before it. Closing twice is harmless.
func (r *Refresher) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), r.opts.Timeout)
	defer cancel()
	if err := r.Shutdown(ctx); err != nil {
		r.opts.Logger.Warn("rekey: shutdown incomplete", "credential", r.opts.Name, "error", err)
	}
}

// Shutdown is Close bounded by ctx. Its error says which leases could not be
// revoked; those live on to their own end, unless Shutdown is called again.
func (r *Refresher) Shutdown(ctx context.Context) error {
	r.shut.Do(r.stop)
	select {
	case <-r.stopped:
	case <-ctx.Done():
		return fmt.Errorf("refresh: no lease is revoked yet, the source or a consumer has not returned from a call: %w", ctx.Err())
	}
	return r.revokeAll(ctx)
}

// stop turns everybody away and ends the loop.
func (r *Refresher) stop() {
	r.mu.Lock()
	r.closed = true
	if r.next != nil {
		r.next.err = ErrClosed
		close(r.next.done)
		r.next = nil
	}
	r.broadcast()
	r.mu.Unlock()
	r.unwatch()
	r.cancel()
	go func() { // ends with the workers, whose contexts have ended
		r.workers.Wait()
		r.mu.Lock()
		for _, g := range append(r.predecessors, r.current.Load()) {
			g.overdue.Store(true)
			r.returned = append(r.returned, &returned{credential: g.life.Load().credential})
		}
		r.predecessors = nil
		if c := r.candidate.Load(); c != nil {
			r.returned = append(r.returned, &returned{credential: *c})
		}
		r.mu.Unlock()
		close(r.stopped)
	}()
}

// revokeAll revokes what is left after the loop has ended, all at once. What
// fails is left for the next call.
func (r *Refresher) revokeAll(ctx context.Context) error {
	r.mu.Lock()
	left := slices.Clone(r.returned)
	r.mu.Unlock()
	type answer struct {
		user string
		err  error
	}
	answers := make(chan answer, len(left))
	waiting := make(map[string]bool)
	n := 0
	for _, l := range left {
		c := l.credential
		if c.Lease == nil || reached(time.Now(), c.Expires) {
			continue
		}
		n++
		waiting[c.Username] = true
		go func() { // ends with ctx: Revoke returns then
			err := r.revokeOnce(ctx, c)
			if err != nil {
				err = fmt.Errorf("refresh: lease of user %q not revoked, it ends at %s: %w", c.Username, c.Expires.Format(time.RFC3339), err)
			} else {
				r.noteRevoked(l)
			}
			answers <- answer{c.Username, err}
		}()
	}
	var all error
	for range n {
		select {
		case a := <-answers:
			delete(waiting, a.user)
			all = errors.Join(all, a.err)
		case <-ctx.Done():
			return errors.Join(all, fmt.Errorf("refresh: the store has not answered whether the leases of users %q are revoked: %w",
				slices.Sorted(maps.Keys(waiting)), ctx.Err()))
		}
	}
	return all
}
