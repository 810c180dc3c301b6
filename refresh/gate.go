package refresh

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/rekey-go/rekey/source"
)

// consider passes a fetched credential through the gate: unchanged, it at most
// moves the end of the current one; changed, it is adopted if every consumer
// accepts it. If the database rejects both it and the current one, the source's
// other candidates are tried. Without an error, what is current now is as good
// as the source knows.
func (r *Refresher) consider(c source.Credential) error {
	g := r.current.Load()
	old := g.snapshot().Credential
	var err error
	if c.Same(old) {
		r.update(g, c)
	} else if err = r.admit(c); !errors.Is(err, ErrRejected) {
		return err
	}
	r.mu.Lock()
	rejected := g.trial.suspect()
	r.mu.Unlock()
	switch {
	case !rejected:
		return err
	case err == nil:
		err = fmt.Errorf("the source still holds the credential of user %q that the database rejects: %w", old.Username, ErrRejected)
	}
	return r.tryCandidates(old, err)
}

// update takes over what the source says anew about the life of g.
func (r *Refresher) update(g *generation, c source.Credential) {
	now := time.Now()
	old := g.life.Load().credential
	switch {
	case !c.Expires.Equal(old.Expires):
		if old.Lease != nil && c.Expires.Before(old.Expires) && !c.Expires.IsZero() {
			return // said before the lease was renewed
		}
	case c.Recheck.Equal(old.Recheck):
		return
	default:
		c.Issued = old.Issued
	}
	r.mu.Lock()
	g.extend(c, now, &r.opts)
	r.broadcast()
	r.mu.Unlock()
	r.notify()
}

// tryCandidates offers what else the source has to the gate and stops at the
// first that passes. failure says why they are needed.
func (r *Refresher) tryCandidates(current source.Credential, failure error) error {
	cs, ok := r.src.(source.CandidateSource)
	if !ok {
		return failure
	}
	ctx, cancel := context.WithTimeout(r.ctx, r.opts.Timeout)
	defer cancel()
	fetching, ended := r.trace(source.BypassCache(ctx), "fetch", source.Credential{}, 0)
	start := time.Now()
	candidates, err := cs.Candidates(fetching)
	ended(err)
	if err != nil {
		failure = fmt.Errorf("%w; its candidates are not known: %w", failure, err)
	}
	for _, c := range candidates {
		c, bad := complete(c, start)
		if bad != nil || c.Same(current) {
			continue
		}
		if err := r.admit(c); err != nil {
			failure = err
			continue
		}
		r.candidate.Store(nil) // an earlier one that could not be judged
		return nil
	}
	return failure
}

// admit verifies c with every consumer and adopts it. A rejected one is given
// back to the store and not sent again except after growing pauses; one that
// could not be judged is kept for the next attempt.
func (r *Refresher) admit(c source.Credential) error {
	digest := c.Digest()
	now := time.Now()
	r.mu.Lock()
	if t := r.suspects[digest]; t != nil && !t.allow(now) {
		again, why := t.again(), t.why
		r.mu.Unlock()
		r.giveBack(c) // without a line of its own: this may be so for hours
		return fmt.Errorf("the source's new credential of user %q, version %q, was rejected before and is not sent again %s: %w",
			c.Username, c.Version, again, why)
	}
	number := r.last + 1
	r.mu.Unlock()

	// Consumers may attach meanwhile, so whether all have agreed is decided
	// together with the adoption.
	verified := make(map[*Attachment]bool)
	for {
		a := r.adoptUnless(c, verified)
		if a == nil {
			return nil
		}
		err := r.verify(r.ctx, a.consumer, Snapshot{c, number})
		switch {
		case err == nil:
			verified[a] = true
		case errors.Is(err, ErrRejected):
			r.reject(c, digest, err)
			r.discard(c, "rejected")
			return fmt.Errorf("the source's new credential of user %q, version %q, does not work, the old one stays: %w", c.Username, c.Version, err)
		default:
			r.candidate.Store(&c)
			return fmt.Errorf("the source's new credential of user %q, version %q, could not be verified yet: %w", c.Username, c.Version, err)
		}
	}
}

func (r *Refresher) verify(ctx context.Context, consumer Consumer, s Snapshot) error {
	ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	ctx, ended := r.trace(ctx, "verify", s.Credential, s.Generation)
	err := consumer.Verify(ctx, s)
	ended(err)
	return err
}

// longestRefusal bounds the pause after new leases that the database rejected,
// and after revocations that the store refused.
const longestRefusal = 2 * time.Minute

// reject remembers that a candidate was refused, and why.
func (r *Refresher) reject(c source.Credential, digest string, why error) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.Lease != nil { // another one costs the database another role
		r.loop.refused++
		r.loop.nextLease = now.Add(backoff(r.loop.refused, firstLoginPause, longestRefusal, rand.Float64()))
	}
	t := r.suspects[digest]
	if t == nil {
		if len(r.suspects) >= 16 { // a store that makes a new wrong one each time
			clear(r.suspects)
		}
		t = new(trial)
		r.suspects[digest] = t
	}
	t.rejected(now, r.opts.LoginBudget, r.opts.LoginPause)
	t.why = why
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
	r.last++
	number := r.last
	if old := r.current.Load(); old != nil {
		if r.opts.Drain > 0 {
			old.limit(now.Add(r.opts.Drain))
		}
		r.predecessors = append(r.predecessors, old)
		clear(r.suspects)
		if old.trial.suspect() { // should the source return to it, its budget goes on
			t := old.trial
			t.why = ErrRejected
			r.suspects[old.snapshot().Digest()] = &t
		}
	}
	g := newGeneration(number, c, now, &r.opts)
	if old := r.current.Load(); g.continues(old, r.opts.Drain) {
		g.line = old.line
	}
	r.current.Store(g)
	r.loop.refused, r.loop.nextLease = 0, time.Time{}
	r.broadcast()
	r.mu.Unlock()
	attrs := []any{"credential", r.opts.Name, "user", c.Username, "version", c.Version, "generation", number}
	if !c.Expires.IsZero() {
		attrs = append(attrs, "expires", c.Expires, "reason", c.Reason)
	}
	r.opts.Logger.Info("rekey: credential adopted", attrs...)
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
