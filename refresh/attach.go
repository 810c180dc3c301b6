package refresh

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A Consumer uses a refresher's credential for something that can tell whether
// the credential works: a pool, whose Verify logs in. The interface stays as it is
// within a major version.
type Consumer interface {
	// Verify proves that the credential of s works here. It is called with
	// the current credential when the consumer attaches and with every
	// candidate before its adoption. An error that wraps [ErrRejected] means
	// that the credential does not work and is discarded; any other error
	// means that this could not be found out, and the candidate is kept and
	// verified again.
	Verify(ctx context.Context, s Snapshot) error

	// Changed is called after a new generation was adopted and whenever the
	// end of one has moved. It must return at once and must not call back into
	// the refresher.
	Changed()
}

// An Attachment ties one [Consumer] to a [Refresher].
type Attachment struct {
	r        *Refresher
	consumer Consumer
}

// Attach verifies the current credential with c and has c verify every later
// one. If c rejects the current credential, the source is asked once more. It
// returns an error that wraps [ErrRejected] if nothing else is to be had, or
// what kept c from finding out.
func (r *Refresher) Attach(ctx context.Context, c Consumer) (*Attachment, error) {
	a := &Attachment{r, c}
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil, ErrClosed
	}
	// From here on the gate asks c too, so that nothing slips in between.
	r.attached = append(r.attached, a)
	r.mu.Unlock()

	err := r.verifyCurrent(ctx, a)
	if err != nil {
		a.Detach()
		return nil, err
	}
	return a, nil
}

func (r *Refresher) verifyCurrent(ctx context.Context, a *Attachment) error {
	for {
		s, err := r.Latest(ctx)
		if err != nil {
			return err
		}
		err = r.verify(ctx, a.consumer, s)
		if err == nil {
			r.accepted(s.Generation)
			return nil
		}
		if !errors.Is(err, ErrRejected) {
			return fmt.Errorf("refresh: %s could not be verified: %w", r.opts.Name, err)
		}
		r.Invalidate(s.Generation)
		if next, latestErr := r.Latest(ctx); latestErr != nil || next.Generation == s.Generation {
			return fmt.Errorf("refresh: %s does not work: %w", r.opts.Name, errors.Join(err, latestErr))
		}
	}
}

// Detach ends the tie: the consumer is not asked any more. Holds that are still
// out stay until they are released. Detaching twice is harmless.
func (a *Attachment) Detach() {
	r := a.r
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, other := range r.attached {
		if other == a {
			// A copy, because the gate walks the old slice without the lock.
			r.attached = append(append([]*Attachment(nil), r.attached[:i]...), r.attached[i+1:]...)
			return
		}
	}
}

// A Hold is one login's claim on a generation: as long as it is not released,
// the generation's lease is not revoked before its deadline. Its methods are
// safe for concurrent use.
type Hold struct {
	r       *Refresher
	g       *generation
	known   int // rejections when the login began
	release sync.Once
}

// Hold waits for a credential that may be used for a login and claims it. It
// returns at once while the credential is good. While the database is
// rejecting the current one, it waits for the next generation or for the
// moment at which a login may be tried again; with the login budget spent and
// the source asked in vain it returns an error that wraps [ErrRejected] at
// once. Else it fails when ctx ends, telling why it waited.
func (a *Attachment) Hold(ctx context.Context) (*Hold, error) {
	r := a.r
	var h *Hold
	err := r.await(ctx, func(now time.Time) (bool, time.Time, error) {
		g := r.current.Load()
		switch {
		case r.closed:
			return false, time.Time{}, ErrClosed
		case g.ended(now):
			r.request(g.number)
			return false, time.Time{}, nil
		case g.prober != nil:
			return false, time.Time{}, nil
		case !g.trial.allow(now) && g.trial.open() && !g.asked.Load():
			return false, time.Time{}, r.breakerError(g)
		case !g.trial.allow(now):
			return false, g.trial.next, nil
		}
		h = &Hold{r: r, g: g, known: g.trial.rejections}
		if g.trial.suspect() {
			g.prober = h
		}
		g.holds++
		return true, time.Time{}, nil
	})
	return h, err
}

// Snapshot returns the credential as it stands now; a renewal moves its end.
func (h *Hold) Snapshot() Snapshot { return h.g.snapshot() }

// Generation returns the number of the generation that is held.
func (h *Hold) Generation() uint64 { return h.g.number }

// Current reports whether no newer generation has been adopted. It is an
// atomic load.
func (h *Hold) Current() bool { return h.r.current.Load() == h.g }

// Stays reports whether sessions of this generation need not be replaced: it is
// current, or only other tokens of its user with the same fields have followed,
// where tokens end for logins and not for sessions (a credential with Expires,
// without EndsSessions and Lease). With [Options.Drain] they are replaced all the same. It is an
// atomic load.
func (h *Hold) Stays() bool { return h.r.current.Load().line == h.g.line }

// Endless reports whether sessions of the generation need not be replaced, now
// or at some end. It is two atomic loads.
func (h *Hold) Endless() bool { return h.Stays() && h.g.life.Load().sessionUntil.IsZero() }

// Deadline returns when sessions of this generation must have ended: the
// credential's end less the margin if it ends sessions, or the end of
// [Options.Drain] once it has been replaced, whichever is earlier. The zero
// time means never.
func (h *Hold) Deadline() time.Time { return h.g.life.Load().sessionUntil }

// Over reports whether a session of this generation must not be lent any more
// at now: its deadline has come by the wall clock or the monotonic one, or the
// generation has been retired by force.
func (h *Hold) Over(now time.Time) bool { return h.g.over(now) }

// Leased reports whether the credential is a lease of the store.
func (h *Hold) Leased() bool { return h.g.lease() != nil }

// Rejected notes that the database rejected the login of this hold, like
// [Refresher.Invalidate]. Logins that were on their way together count as one.
func (h *Hold) Rejected() {
	h.r.mu.Lock()
	defer h.r.mu.Unlock()
	if h.g.prober == h {
		h.g.prober = nil
		h.r.broadcast()
	}
	if h.r.current.Load() == h.g && h.g.trial.rejections == h.known {
		h.r.invalidate(h.g)
	}
}

// Accepted notes that the database accepted a login with this generation.
func (h *Hold) Accepted() {
	if h.known > 0 {
		h.r.accepted(h.g.number)
	}
	h.r.mu.Lock()
	defer h.r.mu.Unlock()
	if h.g.doubt.suspect() {
		h.g.doubt = trial{}
		h.r.broadcast()
	}
}

// Release ends the claim. Releasing twice is harmless.
func (h *Hold) Release() {
	h.release.Do(func() {
		r := h.r
		r.mu.Lock()
		defer r.mu.Unlock()
		if h.g.prober == h {
			h.g.prober = nil
			r.broadcast()
		}
		h.g.holds--
		if h.g.holds == 0 && r.current.Load() != h.g {
			r.poke()
			r.broadcast()
		}
	})
}
