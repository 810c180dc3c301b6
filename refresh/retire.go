package refresh

import (
	"context"
	"errors"
	"fmt"
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
	i := slices.Index(r.predecessors, g)
	if i < 0 {
		r.mu.Unlock()
		return
	}
	r.predecessors = slices.Delete(r.predecessors, i, i+1)
	if g.holds > 0 {
		g.overdue.Store(true)
	}
	held := g.holds
	r.mu.Unlock()
	r.opts.Logger.Info("rekey: credential retired", "credential", r.opts.Name, "generation", g.number, "user", g.snapshot().Username, "still_held", held)
	if held > 0 {
		r.notify()
	}
	lease := g.lease()
	if lease == nil {
		close(g.retired)
		return
	}
	r.mu.Lock()
	r.status.revoking++
	r.mu.Unlock()
	r.workers.Go(func() {
		r.revoke(lease, g.life.Load().credential)
		r.mu.Lock()
		r.status.revoking--
		close(g.retired)
		r.broadcast()
		r.mu.Unlock()
	})
}

// makeRoom keeps the number of live leases at two: before a third is fetched,
// the oldest drains, or is retired by force when waiting any longer would put
// the current one at risk.
func (r *Refresher) makeRoom() {
	r.mu.Lock()
	current := r.current.Load()
	var oldest *generation
	for _, g := range r.predecessors {
		if g.lease() != nil {
			oldest = g
			break
		}
	}
	if oldest == nil || current.lease() == nil {
		r.mu.Unlock()
		return
	}
	oldest.overdue.Store(true) // its connections leave as they come back
	r.mu.Unlock()
	r.notify()

	patience := longestDrain
	if end := current.life.Load().loginUntil; !end.IsZero() {
		patience = min(patience, time.Until(end)/2)
	}
	ctx, cancel := context.WithTimeout(r.ctx, max(patience, 0))
	defer cancel()
	drained := r.await(ctx, func(time.Time) (bool, time.Time, error) {
		return oldest.holds == 0, time.Time{}, nil
	})
	if drained != nil {
		r.opts.Logger.Warn("rekey: credential retired by force: a third lease is due", "credential", r.opts.Name, "generation", oldest.number, "held", oldest.holds)
	}
	r.retire(oldest)
	select {
	case <-oldest.retired:
	case <-r.ctx.Done():
	}
}

// discard gives a credential that was never adopted back to the store.
func (r *Refresher) discard(c source.Credential, why string) {
	r.opts.Logger.Warn("rekey: credential not adopted", "credential", r.opts.Name, "user", c.Username, "version", c.Version, "why", why)
	if c.Lease != nil {
		r.revoke(c.Lease, c)
	}
}

// revoke ends a lease, trying again a few times. Where the store refuses, the
// lease is left to its own end and the refusal is reported; on shutdown what is
// left falls to revokeAll.
func (r *Refresher) revoke(lease source.Lease, c source.Credential) {
	const tries = 3
	for n := 1; ; n++ {
		ctx, cancel := context.WithTimeout(r.ctx, r.opts.Timeout)
		err := lease.Revoke(ctx)
		cancel()
		if err == nil || reached(time.Now(), c.Expires) {
			return
		}
		if r.ctx.Err() == nil && n < tries && !source.IsPermanent(err) {
			select {
			case <-time.After(backoff(n, r.opts.MinBackoff, r.opts.MaxBackoff, 1)):
				continue
			case <-r.ctx.Done():
			}
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.ctx.Err() != nil {
			r.status.unrevoked = append(r.status.unrevoked, c)
			return
		}
		r.status.revokeFailures++
		r.opts.Logger.Warn("rekey: lease not revoked, it ends by itself", "credential", r.opts.Name, "user", c.Username, "expires", c.Expires, "error", err)
		return
	}
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
// revoked; those live on to their own end.
func (r *Refresher) Shutdown(ctx context.Context) error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil
	}
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

	stopped := make(chan struct{})
	go func() { // ends with the workers, whose contexts have ended
		r.workers.Wait()
		close(stopped)
	}()
	select {
	case <-stopped:
	case <-ctx.Done():
		return fmt.Errorf("refresh: the source has not returned from its call: %w", ctx.Err())
	}
	return r.revokeAll(ctx)
}

// revokeAll revokes what is left after the loop has ended, all at once.
func (r *Refresher) revokeAll(ctx context.Context) error {
	var left []source.Credential
	r.mu.Lock()
	for _, g := range append(slices.Clone(r.predecessors), r.current.Load()) {
		g.overdue.Store(true)
		left = append(left, g.life.Load().credential)
	}
	left = append(left, r.status.unrevoked...)
	r.mu.Unlock()
	if c := r.loop.candidate; c != nil {
		left = append(left, *c)
	}
	errs := make(chan error, len(left))
	n := 0
	for _, c := range left {
		if c.Lease == nil || reached(time.Now(), c.Expires) {
			continue
		}
		n++
		go func() { // ends with ctx: Revoke returns then
			if err := c.Lease.Revoke(ctx); err != nil {
				errs <- fmt.Errorf("refresh: lease of user %q not revoked, it ends at %s: %w", c.Username, c.Expires.Format(time.RFC3339), err)
				return
			}
			errs <- nil
		}()
	}
	var all error
	for range n {
		select {
		case err := <-errs:
			all = errors.Join(all, err)
		case <-ctx.Done():
			return errors.Join(all, ctx.Err())
		}
	}
	return all
}
