package refresh

import (
	"context"
	"time"
)

// Doubt says that a login or a statement under h failed in a way that may or
// may not be a rejection of the credential, as poolers between have it. The
// source is asked, around every cache and shared by all, at most once in a
// pause that grows while the doubt lasts. Nothing is held against the
// credential. Doubt does not wait.
func (h *Hold) Doubt() {
	h.r.mu.Lock()
	defer h.r.mu.Unlock()
	h.doubt(time.Now())
}

// doubt asks the source if it is time to. The caller holds mu.
func (h *Hold) doubt(now time.Time) *flight {
	r, g := h.r, h.g
	if r.closed || r.current.Load() != g || !g.doubt.allow(now) {
		return nil
	}
	g.doubt.rejected(now, r.opts.LoginBudget, r.opts.MaxBackoff)
	return r.request(g.number)
}

// Doubted is [Hold.Doubt] for a login that is to be repeated. It returns when
// another generation is current, when the doubt is over, or when it is the
// caller's turn to try this one again: all who wait take turns, and each turn
// begins with the answer of the source. A login that succeeds ends the doubt
// with [Hold.Accepted]. Doubted fails when ctx ends or the refresher is closed.
func (h *Hold) Doubted(ctx context.Context) error {
	var f *flight
	waited := false
	err := h.r.await(ctx, func(now time.Time) (bool, time.Time, error) {
		if h.r.closed {
			return false, time.Time{}, ErrClosed
		}
		f = h.doubt(now)
		over := h.r.current.Load() != h.g || waited && !h.g.doubt.suspect()
		waited = true
		return f != nil || over, h.g.doubt.next, nil
	})
	if f == nil || err != nil {
		return err
	}
	select {
	case <-f.done: // why it failed, if it did, shows in Health
		return nil
	case <-ctx.Done():
		return h.r.waitError(ctx.Err())
	case <-h.r.ctx.Done():
		return ErrClosed
	}
}
