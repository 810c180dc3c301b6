package refresh

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/rekey-go/rekey/source"
)

// loopState belongs to the refresher's one goroutine.
type loopState struct {
	slowest   time.Duration // the slowest recent fetch
	repeats   int           // fetches in a row after which the next was due at once
	refused   int           // new leases in a row that the database rejected
	nextLease time.Time     // no new one before, after such a rejection
	granted   time.Time     // when the last lease came
	hurried   int           // fetches in a row because logins failed
	dueAt     time.Time     // when the schedule wants the current credential replaced
}

// longestSleep bounds the loop's timer. Timers run on the monotonic clock, so
// after a suspend this is how late the wall clock is noticed.
const longestSleep = time.Minute

// run is the refresher's goroutine: sleep until something is due, do it, plan
// the next.
func (r *Refresher) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		r.answerReinstatements()
		r.retireOverdue()
		now := time.Now()
		due, at := r.due(now)
		if due {
			r.attempt()
			continue
		}
		timer.Reset(min(at.Sub(now), longestSleep))
		select {
		case <-r.ctx.Done():
			return
		case <-r.wake:
		case <-timer.C:
		}
	}
}

// due reports whether to fetch now, or else when to look again.
func (r *Refresher) due(now time.Time) (bool, time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() != nil {
		return false, now.Add(longestSleep)
	}
	if f := r.next; f != nil && f.newerThan != 0 && f.newerThan < r.current.Load().number {
		r.next = nil // overtaken
		close(f.done)
	}
	if r.hinted.Load() || (r.next != nil && r.next.newerThan == 0) {
		return true, now
	}
	at := earlier(r.status.nextAttempt, r.nextRetirement())
	if r.next != nil {
		at = earlier(at, r.status.notBefore)
		if r.status.notBefore.IsZero() {
			return true, now
		}
	}
	if reached(now, r.status.nextAttempt) || (r.next != nil && reached(now, r.status.notBefore)) {
		return true, now
	}
	if at.IsZero() {
		at = now.Add(longestSleep)
	}
	return false, at
}

// attempt is one try to get a better credential: fetch and pass the gate, or
// else renew what there is.
func (r *Refresher) attempt() {
	hinted := r.hinted.Swap(false)
	r.mu.Lock()
	f := r.next
	r.next = nil
	g := r.current.Load()
	rejected := g.trial.suspect()
	r.mu.Unlock()
	scheduled := reached(time.Now(), r.loop.dueAt)

	if r.opts.PreferRenew && scheduled && !rejected && !hinted && f == nil && r.candidate.Load() == nil && r.renew(g) == nil {
		at, pause := r.plan()
		r.settle(nil, nil, at, pause)
		return
	}
	err := r.replace(rejected || f != nil, hinted || (f != nil && f.newerThan == 0))
	switch {
	case err == nil:
		at, pause := r.plan()
		r.settle(f, nil, at, pause)
		return
	case r.ctx.Err() != nil:
		r.settle(f, ErrClosed, time.Time{}, false)
		return
	}
	var renewErr error
	if scheduled && !rejected {
		if renewErr = r.renew(g); renewErr == nil { // served for another term
			at, pause := r.plan()
			if r.candidate.Load() != nil {
				at, pause = earlier(at, r.retry()), true
			}
			r.settle(f, err, at, pause)
			return
		}
	}
	var full crowdedError
	switch {
	case !errors.As(err, &full):
		r.settle(f, err, r.retry(), true)
	case renewErr != nil && g.renewable: // but not now
		r.settle(f, renewErr, earlier(full.until, r.retry()), true)
	default:
		r.settle(f, err, full.until, rejected || f != nil)
	}
}

// replace passes what the source holds through the gate, around every cache if
// bypass is set; a candidate that still waits for its verdict does unless
// afresh is set.
func (r *Refresher) replace(bypass, afresh bool) error {
	c := r.candidate.Swap(nil)
	if c != nil && (afresh || reached(time.Now(), c.Expires)) {
		r.discard(*c, "not verified in time")
		c = nil
	}
	if c == nil {
		r.makeRoom()
		if err := r.room(bypass, afresh); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(r.ctx, r.opts.Timeout)
		defer cancel()
		fetched, err := r.fetch(ctx, bypass)
		if err != nil {
			return err
		}
		c = &fetched
		switch {
		case !bypass:
			r.loop.hurried = 0
		case !afresh:
			r.loop.hurried++
		}
	}
	return r.consider(*c)
}

// fetch asks the source once and completes its answer.
func (r *Refresher) fetch(ctx context.Context, bypass bool) (c source.Credential, err error) {
	if bypass {
		ctx = source.BypassCache(ctx)
	}
	ctx, ended := r.trace(ctx, "fetch", c, 0)
	defer func() { ended(err) }()
	start := time.Now()
	c, err = r.src.Credential(ctx)
	if err != nil {
		return source.Credential{}, err
	}
	took := time.Since(start)
	r.loop.slowest = max(took, r.loop.slowest-r.loop.slowest/8)
	if c.Lease != nil {
		r.loop.granted = time.Now()
	}
	return complete(c, start)
}

// complete fills in what the source left to the refresher and refuses what
// cannot be a credential.
func complete(c source.Credential, start time.Time) (source.Credential, error) {
	if c.Username == "" && c.Password.IsEmpty() && len(c.FieldNames()) == 0 {
		return c, errors.New("the source returned an empty credential and no error")
	}
	if c.Issued.IsZero() || c.Issued.After(start) { // the store's clock is ahead
		c.Issued = start
	}
	if c.Version == "" {
		c.Version = c.Digest()
	}
	if reached(time.Now(), c.Expires) {
		return c, fmt.Errorf("the source returned a credential of user %q that ended at %s", c.Username, c.Expires.Format(time.RFC3339))
	}
	return c, nil
}

// renew extends the lease of g in place. A nil error means that g has a longer
// life than before.
func (r *Refresher) renew(g *generation) error {
	lease := g.lease()
	if lease == nil || !g.renewable {
		return errors.New("no renewable lease")
	}
	ctx, cancel := context.WithTimeout(r.ctx, r.opts.Timeout)
	defer cancel()
	old := g.snapshot()
	ctx, ended := r.trace(ctx, "renew", old.Credential, old.Generation)
	start := time.Now()
	c, err := lease.Renew(ctx)
	now := time.Now()
	switch {
	case err != nil:
		g.renewable = !source.IsPermanent(err)
	case c.Expires.IsZero():
		err = errors.New("the store's answer to the renewal names no new end")
		g.renewable = false
	case !c.Expires.After(old.Expires):
		err = fmt.Errorf("the renewal brought no more time than the end at %s", old.Expires.Format(time.RFC3339))
		g.renewable = false
	}
	ended(err)
	if err != nil {
		err = fmt.Errorf("the lease of user %q was not renewed: %w", old.Username, err)
		r.mu.Lock()
		r.status.lastErr, r.status.lastFailure = err, now
		r.mu.Unlock()
		r.opts.Logger.Warn("rekey: lease not renewed", "credential", r.opts.Name, "error", err)
		return err
	}
	if c.Issued.IsZero() {
		c.Issued = start
	}
	// A renewal changes nothing but the life.
	renewed := old.Credential
	renewed.Issued, renewed.Expires, renewed.Reason, renewed.Lease = c.Issued, c.Expires, c.Reason, c.Lease
	if truncated(c.Expires.Sub(c.Issued), g.lifetime) {
		g.renewable = false // the maximum is near: replace next time
	}
	r.mu.Lock()
	g.extend(renewed, now, &r.opts)
	r.status.renewals++
	r.broadcast()
	r.mu.Unlock()
	r.opts.Logger.Info("rekey: lease renewed", "credential", r.opts.Name, "user", old.Username, "expires", c.Expires, "again", g.renewable)
	r.notify()
	return nil
}

// plan notes when the current credential is due and returns when to try next.
// One that is due at once, because the source says nothing new or grants next
// to no time, waits for a pause that grows, and so do those who ask.
func (r *Refresher) plan() (at time.Time, pause bool) {
	now := time.Now()
	l := r.current.Load().life.Load()
	c := l.credential
	c.Expires, c.Recheck = l.end, l.recheck
	at = refreshAt(now, c, &r.opts, r.loop.slowest, rand.Float64())
	r.loop.dueAt = at
	if !reached(now.Add(r.opts.MinBackoff/10), at) {
		r.loop.repeats = 0
		return at, false
	}
	r.loop.repeats++
	return r.pause(r.loop.repeats), true
}

// retry says when to try again after a failure.
func (r *Refresher) retry() time.Time {
	r.mu.Lock()
	n := r.status.failures + 1
	r.mu.Unlock()
	return later(r.pause(n), r.loop.nextLease)
}

// pause returns the end of the n-th pause in a row, which is short while nobody
// can log in and does not outlast the current credential by much.
func (r *Refresher) pause(n int) time.Time {
	now := time.Now()
	limit, short := r.opts.MaxBackoff, r.opts.shortPause()
	r.mu.Lock()
	g := r.current.Load()
	if until := g.life.Load().loginUntil; !until.IsZero() {
		limit = min(limit, max(until.Sub(now), short))
	}
	if g.trial.suspect() {
		limit = min(limit, max(now.Sub(g.trial.since)/8, short))
	}
	r.mu.Unlock()
	return now.Add(backoff(n, r.opts.MinBackoff, limit, rand.Float64()))
}
