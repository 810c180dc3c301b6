package refresh

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rekey-go/rekey/source"
)

// consider passes a fetched credential through the gate: unchanged, it at most
// extends the current one; changed, it is adopted if every consumer accepts
// it. If the database rejects the current credential and the source has
// nothing new, its other candidates are tried. It reports whether anything
// became better.
func (r *Refresher) consider(c source.Credential) (changed bool, err error) {
	g := r.current.Load()
	current := g.snapshot()
	if !c.Same(current.Credential) {
		return r.admit(c)
	}
	r.mu.Lock()
	rejected := g.trial.suspect()
	r.mu.Unlock()
	if rejected {
		return r.tryCandidates(current.Credential)
	}
	if c.Expires.After(current.Expires) || (c.Expires.IsZero() && !c.Recheck.Equal(current.Recheck)) {
		r.mu.Lock()
		g.extend(c, time.Now(), &r.opts)
		r.broadcast()
		r.mu.Unlock()
		r.notify()
		return true, nil
	}
	return false, nil
}

// tryCandidates offers what else the source has to the gate and stops at the
// first that passes.
func (r *Refresher) tryCandidates(current source.Credential) (changed bool, err error) {
	cs, ok := r.src.(source.CandidateSource)
	if !ok {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(r.ctx, r.opts.Timeout)
	defer cancel()
	start := time.Now()
	candidates, err := cs.Candidates(source.BypassCache(ctx))
	for _, c := range candidates {
		c, bad := complete(c, start)
		if bad != nil || c.Same(current) {
			continue
		}
		if changed, err = r.admit(c); changed {
			return true, nil
		}
	}
	return false, err
}

// admit verifies c with every consumer and adopts it. A rejected one is given
// back to the store and not sent again except after growing pauses; one that
// could not be judged is kept for the next attempt.
func (r *Refresher) admit(c source.Credential) (adopted bool, err error) {
	digest := c.Digest()
	now := time.Now()
	r.mu.Lock()
	if t := r.suspects[digest]; t != nil && !t.allow(now) {
		r.mu.Unlock()
		r.discard(c, "rejected before")
		return false, fmt.Errorf("the source's new credential of user %q, version %q, was rejected before and is not sent again until %s: %w",
			c.Username, c.Version, t.next.Format(time.RFC3339), ErrRejected)
	}
	number := r.current.Load().number + 1
	r.mu.Unlock()

	// Consumers may attach meanwhile, so whether all have agreed is decided
	// together with the adoption.
	verified := make(map[*Attachment]bool)
	for {
		a := r.adoptUnless(c, verified)
		if a == nil {
			return true, nil
		}
		err := r.verify(r.ctx, a.consumer, Snapshot{c, number})
		switch {
		case err == nil:
			verified[a] = true
		case errors.Is(err, ErrRejected):
			r.reject(digest)
			r.discard(c, "rejected")
			return false, fmt.Errorf("the source's new credential of user %q, version %q, does not work, the old one stays: %w", c.Username, c.Version, err)
		default:
			r.loop.candidate = &c
			return false, fmt.Errorf("the source's new credential of user %q, version %q, could not be verified yet: %w", c.Username, c.Version, err)
		}
	}
}

func (r *Refresher) verify(ctx context.Context, consumer Consumer, s Snapshot) error {
	ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	return consumer.Verify(ctx, s)
}

// reject remembers that the database refused a candidate.
func (r *Refresher) reject(digest string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.suspects[digest]
	if t == nil {
		if len(r.suspects) >= 16 { // a store that makes a new wrong one each time
			clear(r.suspects)
		}
		t = new(trial)
		r.suspects[digest] = t
	}
	t.rejected(time.Now(), r.opts.LoginBudget, r.opts.LoginPause)
}

// adoptUnless makes c the current credential and the one before it a
// predecessor, unless a consumer is left that has not verified it, which it
// returns.
func (r *Refresher) adoptUnless(c source.Credential, verified map[*Attachment]bool) *Attachment {
	now := time.Now()
	r.mu.Lock()
	for _, a := range r.attached {
		if !verified[a] {
			r.mu.Unlock()
			return a
		}
	}
	number := uint64(1)
	if old := r.current.Load(); old != nil {
		number = old.number + 1
		if r.opts.Drain > 0 {
			old.limit(now.Add(r.opts.Drain))
		}
		r.predecessors = append(r.predecessors, old)
	}
	g := newGeneration(number, c, now, &r.opts)
	r.current.Store(g)
	clear(r.suspects)
	r.broadcast()
	r.mu.Unlock()
	r.opts.Logger.Info("rekey: credential adopted", "credential", r.opts.Name, "user", c.Username,
		"version", c.Version, "generation", number, "expires", c.Expires, "reason", c.Reason)
	r.notify()
	r.announce(g.snapshot())
	return nil
}

// notify tells the consumers that an end or the current generation has moved.
func (r *Refresher) notify() {
	r.mu.Lock()
	attached := r.attached
	r.mu.Unlock()
	for _, a := range attached {
		a.consumer.Changed()
	}
}
