package refresh

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/rekey-go/rekey/source"
)

// longestDrain bounds how long a fetch waits for the last but one credential
// to drain before that is retired by force.
const longestDrain = 30 * time.Second

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

// makeRoom keeps the number of live leases at two: before a third is fetched,
// the oldest drains, or is retired by force when waiting any longer would put
// the current one at risk. Revocations under way are waited for too.
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
	r.wait(max(r.patience(), time.Second), func() bool { return r.status.revoking == 0 })
}

// excess returns the oldest predecessor with a lease if together with others
// there are two live ones already, else nil.
func (r *Refresher) excess() (oldest *generation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	live := 0
	if r.current.Load().lease() != nil {
		live++
	}
	for _, g := range slices.Backward(r.predecessors) {
		if g.lease() != nil {
			oldest = g
			live++
		}
	}
	if live < 2 {
		return nil
	}
	return oldest
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
// became true within d.
func (r *Refresher) wait(d time.Duration, ready func() bool) bool {
	ctx, cancel := context.WithTimeout(r.ctx, d)
	defer cancel()
	return nil == r.await(ctx, func(time.Time) (bool, time.Time, error) { return ready(), time.Time{}, nil })
}

// discard gives a credential that was never adopted back to the store.
func (r *Refresher) discard(c source.Credential, why string) {
	r.opts.Logger.Warn("rekey: credential not adopted", "credential", r.opts.Name, "user", c.Username, "version", c.Version, "why", why)
	r.giveBack(c)
}

// giveBack has the lease of c, if it has a live one, revoked by a worker.
func (r *Refresher) giveBack(c source.Credential) {
	if c.Lease == nil || reached(time.Now(), c.Expires) {
		return
	}
	r.mu.Lock()
	r.status.revoking++
	r.mu.Unlock()
	r.workers.Go(func() {
		err := r.revoke(c)
		r.mu.Lock()
		r.status.revoking--
		switch {
		case err != nil && r.ctx.Err() != nil:
			r.status.unrevoked = append(r.status.unrevoked, &c)
			err = nil
		case err != nil:
			r.status.revokeFailures++
		}
		r.broadcast()
		r.mu.Unlock()
		if err != nil {
			r.opts.Logger.Warn("rekey: lease not revoked, it ends by itself", "credential", r.opts.Name, "user", c.Username, "expires", c.Expires, "error", err)
		}
	})
}

// revoke ends a lease, trying again a few times. Where the store refuses, the
// lease is left to its own end; on shutdown what is left falls to revokeAll.
func (r *Refresher) revoke(c source.Credential) error {
	const tries = 3
	for n := 1; ; n++ {
		ctx, cancel := context.WithTimeout(r.ctx, r.opts.Timeout)
		err := r.revokeOnce(ctx, c)
		cancel()
		switch {
		case err == nil || reached(time.Now(), c.Expires):
			return nil
		case n == tries || source.IsPermanent(err):
			return err
		}
		select {
		case <-time.After(backoff(n, r.opts.MinBackoff, r.opts.MaxBackoff, 1)):
		case <-r.ctx.Done():
			return err
		}
	}
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
			r.status.unrevoked = append(r.status.unrevoked, &g.life.Load().credential)
		}
		r.predecessors = nil
		if c := r.loop.candidate; c != nil {
			r.status.unrevoked = append(r.status.unrevoked, c)
		}
		r.mu.Unlock()
		close(r.stopped)
	}()
}

// revokeAll revokes what is left after the loop has ended, all at once. What
// fails is left for the next call.
func (r *Refresher) revokeAll(ctx context.Context) error {
	r.mu.Lock()
	left := slices.Clone(r.status.unrevoked)
	r.mu.Unlock()
	type answer struct {
		user string
		err  error
	}
	answers := make(chan answer, len(left))
	waiting := make(map[string]bool)
	n := 0
	for _, c := range left {
		if c.Lease == nil || reached(time.Now(), c.Expires) {
			continue
		}
		n++
		waiting[c.Username] = true
		go func() { // ends with ctx: Revoke returns then
			err := r.revokeOnce(ctx, *c)
			if err != nil {
				err = fmt.Errorf("refresh: lease of user %q not revoked, it ends at %s: %w", c.Username, c.Expires.Format(time.RFC3339), err)
			} else {
				r.mu.Lock()
				r.status.unrevoked = slices.DeleteFunc(r.status.unrevoked, func(u *source.Credential) bool { return u == c })
				r.mu.Unlock()
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
