package refresh

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Pin claims the current generation whatever its state and without a login.
// Its lease is not revoked before its deadline while the hold lasts, so that
// [Hold.Reinstate] can return to it after it has been replaced.
func (a *Attachment) Pin() *Hold {
	r := a.r
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.current.Load()
	g.holds++
	return &Hold{r: r, g: g, known: g.trial.rejections}
}

// A reinstatement is what [Hold.Reinstate] asks the loop for.
type reinstatement struct {
	g      *generation
	bad    uint64
	reason error
	result chan error // has room for the answer
}

// Reinstate makes the generation of h current again, under its old number, in
// place of the generation bad that has replaced it and has turned out unfit
// for reason. The credential of bad is treated as a rejected one: reason shows
// in Health, it is adopted again only after growing pauses and if every
// consumer accepts it then, and its lease is revoked when nobody holds it any
// more. Reinstate fails if bad is not current any more, or if the generation
// of h has ended or was retired.
func (h *Hold) Reinstate(ctx context.Context, bad uint64, reason error) error {
	q := &reinstatement{g: h.g, bad: bad, reason: reason, result: make(chan error, 1)}
	r := h.r
	r.mu.Lock()
	switch {
	case r.closed:
		r.mu.Unlock()
		return ErrClosed
	case h.g.overdue.Load(): // whoever retires it may be waiting for this very hold
		r.mu.Unlock()
		return h.g.lost()
	}
	r.reinstatements = append(r.reinstatements, q)
	r.poke()
	r.mu.Unlock()
	select {
	case err := <-q.result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-r.ctx.Done():
		return ErrClosed
	}
}

// answerReinstatements does what has been asked for with Reinstate.
func (r *Refresher) answerReinstatements() {
	r.mu.Lock()
	asked := r.reinstatements
	r.reinstatements = nil
	r.mu.Unlock()
	for _, q := range asked {
		q.result <- r.reinstate(q)
	}
}

// lost says that there is no way back to g.
func (g *generation) lost() error {
	return fmt.Errorf("refresh: generation %d cannot be returned to: %w", g.number, ErrExpired)
}

func (r *Refresher) reinstate(q *reinstatement) error {
	now := time.Now()
	r.mu.Lock()
	bad, at := r.current.Load(), slices.Index(r.predecessors, q.g)
	var err error
	switch {
	case bad.number != q.bad:
		err = fmt.Errorf("refresh: generation %d is not current any more", q.bad)
	case at < 0 || q.g.ended(now):
		err = q.g.lost()
	}
	if err != nil {
		r.mu.Unlock()
		return err
	}
	q.g.extend(q.g.life.Load().credential, now, &r.opts) // without the limit of its replacement
	if r.opts.Drain > 0 {
		bad.limit(now.Add(r.opts.Drain))
	}
	r.predecessors = append(slices.Delete(slices.Clone(r.predecessors), at, at+1), bad)
	r.current.Store(q.g)
	r.broadcast()
	r.mu.Unlock()

	c := bad.life.Load().credential
	err = fmt.Errorf("the credential of user %q, version %q, was taken back: %w (%w)", c.Username, c.Version, q.reason, ErrRejected)
	r.opts.Logger.Error("rekey: credential taken back, the old one serves again", "credential", r.opts.Name,
		"user", c.Username, "version", c.Version, "generation", bad.number,
		"reinstated", q.g.number, "reinstated_user", q.g.snapshot().Username, "reason", q.reason)
	r.reject(c, c.Digest(), err)
	r.plan() // its lease is due when it was due before
	r.settle(nil, err, r.retry(), true)
	r.notify()
	r.announce(q.g.snapshot())
	return nil
}
