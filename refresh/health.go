package refresh

import (
	"errors"
	"fmt"
	"time"
)

// State is how a credential stands.
type State string

// The states of a credential, from best to worst.
const (
	Fresh    State = "fresh"    // good, and the last attempt to refresh it succeeded
	Degraded State = "degraded" // it serves, but refreshing fails or the database rejects it
	Disowned State = "disowned" // its user has been dropped in the database, says a pool
	Expired  State = "expired"  // it has ended and there is no new one
	Closed   State = "closed"   // the refresher is closed
)

// Health is how a refresher stands at one moment. It holds no secret.
type Health struct {
	Name            string    `json:"name"`                   // Options.Name
	State           State     `json:"state"`                  // whether it can be used, and whether all is well
	Why             string    `json:"why,omitempty"`          // one sentence where State is not fresh
	Generation      uint64    `json:"generation"`             // rises with each changed credential
	Username        string    `json:"username,omitempty"`     // of the current credential
	Version         string    `json:"version"`                // of the current credential
	Issued          time.Time `json:"issued,omitzero"`        // start of the request that brought it
	Expires         time.Time `json:"expires,omitzero"`       // zero: no known end
	Reason          string    `json:"reason,omitempty"`       // which bound sets Expires
	Renewals        int       `json:"renewals"`               // of leases, since start
	Rejections      int       `json:"rejections"`             // logins that the database rejected in a row
	Failures        int       `json:"failures"`               // attempts to refresh that failed in a row
	LastSuccess     time.Time `json:"last_success,omitzero"`  // when the source last answered well
	LastError       string    `json:"last_error,omitempty"`   // kept after a recovery, with its time
	LastFailure     time.Time `json:"last_failure,omitzero"`  // when LastError happened; zero: never
	NextAttempt     time.Time `json:"next_attempt,omitzero"`  // zero: none planned
	LiveLeases      int       `json:"live_leases"`            // not known to have ended
	UnrevokedLeases int       `json:"unrevoked_leases"`       // leases that the store refused to revoke, since start
	RevokeError     string    `json:"revoke_error,omitempty"` // why the store does not revoke leases, and what to do; empty while it does
}

// status is what the refresher remembers of its attempts; guarded by its mu.
type status struct {
	failures       int
	lastSuccess    time.Time
	lastErr        error
	lastFailure    time.Time
	nextAttempt    time.Time
	notBefore      time.Time // requests wait until then
	renewals       int
	revokeFailures int
	refusal        error // why the store does not revoke leases, while it does not
}

// Health returns how the refresher stands. It asks nobody.
func (r *Refresher) Health() Health {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.current.Load()
	c := g.life.Load().credential
	h := Health{
		Name: r.opts.Name, State: Fresh,
		Generation: g.number, Username: c.Username, Version: c.Version,
		Issued: c.Issued, Expires: c.Expires, Reason: c.Reason,
		Renewals: r.status.renewals, Rejections: g.trial.rejections,
		Failures: r.status.failures, LastSuccess: r.status.lastSuccess, LastFailure: r.status.lastFailure,
		NextAttempt: r.status.nextAttempt, LiveLeases: len(r.live(time.Now())), UnrevokedLeases: r.status.revokeFailures,
	}
	if r.status.lastErr != nil {
		h.LastError = r.status.lastErr.Error()
	}
	if r.status.refusal != nil {
		h.RevokeError = r.status.refusal.Error()
	}
	if c := r.candidate.Load(); c != nil && alive(time.Now(), *c) {
		h.LiveLeases++
	}
	switch {
	case r.closed:
		h.State, h.Why = Closed, "the refresher has been closed"
	case g.ended(time.Now()):
		h.State, h.Why = Expired, "the credential has ended and the source has given no new one"
	case g.trial.suspect():
		h.State, h.Why = Degraded, fmt.Sprintf("the database rejected %d logins in a row with the current credential", g.trial.rejections)
	case h.Failures > 0:
		h.State, h.Why = Degraded, fmt.Sprintf("refreshing failed %d times in a row; the last good credential serves", h.Failures)
	}
	return h
}

// settle notes how an attempt ended, answers those who asked for it, and plans
// the next for at. With pause set, requests wait until then too.
func (r *Refresher) settle(f *flight, err error, at time.Time, pause bool) {
	now := time.Now()
	r.mu.Lock()
	failures := r.status.failures
	g := r.current.Load()
	// To wait for a lease to end is no failure as long as the current one serves.
	waits := errors.Is(err, ErrTooManyLeases) && !g.trial.suspect() && !g.ended(now)
	switch {
	case err == nil:
		r.status.failures, r.status.lastSuccess = 0, now
	case !waits:
		r.status.failures++
		r.status.lastErr, r.status.lastFailure = err, now
	}
	r.status.nextAttempt, r.status.notBefore = at, time.Time{}
	if pause {
		r.status.notBefore = at
	}
	if r.next == nil {
		// Nobody has rejected the current credential since the attempt began.
		g.asked.Store(false)
	}
	if f != nil {
		f.err = err
		close(f.done)
	}
	r.broadcast()
	r.mu.Unlock()
	switch {
	case waits:
	case err != nil && r.ctx.Err() == nil:
		r.opts.Logger.Warn("rekey: refresh failed", "credential", r.opts.Name, "error", err, "failures", failures+1, "next", at)
	case err == nil && failures > 0:
		r.opts.Logger.Info("rekey: refresh works again", "credential", r.opts.Name, "failures", failures)
	}
}

// Trouble returns why logins are not possible now, wrapping [ErrExpired],
// [ErrRejected] or [ErrClosed] and the last failure of the source, or nil if
// nothing is known to be wrong.
func (r *Refresher) Trouble() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.current.Load()
	var why error
	switch {
	case r.closed:
		return ErrClosed
	case g.ended(time.Now()):
		why = ErrExpired
	case g.trial.open():
		return r.breakerError(g)
	case g.trial.suspect():
		why = ErrRejected
	default:
		return nil
	}
	c := g.life.Load().credential
	err := fmt.Errorf("refresh: %s of user %q, version %q: %w, and the source has given no other yet", r.opts.Name, c.Username, c.Version, why)
	if r.status.failures > 0 {
		err = fmt.Errorf("%w; last failure: %w", err, r.status.lastErr)
	}
	return err
}

// waitError explains why a wait was not over when its context was.
func (r *Refresher) waitError(cause error) error {
	if trouble := r.Trouble(); trouble != nil {
		return fmt.Errorf("%w (%w)", trouble, cause)
	}
	return cause
}

// breakerError says that the login budget is spent. The caller holds mu.
func (r *Refresher) breakerError(g *generation) error {
	c := g.life.Load().credential
	return fmt.Errorf("refresh: %s of user %q, version %q: %w by the database %d times; no login is sent %s, so that the account is not locked",
		r.opts.Name, c.Username, c.Version, ErrRejected, g.trial.rejections, g.trial.again())
}
