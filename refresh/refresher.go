package refresh

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rekey-go/rekey/source"
)

var (
	// ErrRejected is wrapped by errors that say that the database does not
	// accept a credential. Find out who changed the password or the role; the
	// refresher takes up the next working credential by itself.
	ErrRejected = errors.New("credential rejected")

	// ErrExpired is wrapped by errors that say that the credential has ended
	// and no new one could be had. Look at the wrapped failure of the source.
	ErrExpired = errors.New("credential expired")

	// ErrClosed is returned after Close or Shutdown.
	ErrClosed = errors.New("refresh: the refresher is closed")
)

// A Snapshot is a credential with the number of its generation, taken at one
// moment.
type Snapshot struct {
	source.Credential

	// Generation rises by one with each changed credential that is adopted;
	// the first is 1. A renewal keeps it.
	Generation uint64
}

// A Refresher keeps the credential of one source fresh. Make one with [New].
// Its methods are safe for concurrent use. It is itself a [source.Watcher].
type Refresher struct {
	src  source.Source
	opts Options

	current   atomic.Pointer[generation]
	candidate atomic.Pointer[source.Credential] // fetched, but not yet verified either way; the loop's to change

	mu             sync.Mutex // guards what follows; never held over I/O
	attached       []*Attachment
	last           uint64            // the number of the latest generation
	predecessors   []*generation     // replaced, oldest first, until retired
	returned       []*returned       // leases given back, until they have ended
	suspects       map[string]*trial // rejected candidates, by digest
	next           *flight           // asked for, not yet begun
	reinstatements []*reinstatement  // asked for
	changed        chan struct{}     // closed and replaced at every change of state
	listeners      map[*listener]struct{}
	status         status
	closed         bool

	wake    chan struct{} // one slot: look whether something is due
	hinted  atomic.Bool   // the source says that there may be something new
	ctx     context.Context
	cancel  context.CancelFunc
	workers sync.WaitGroup // the loop and the revocations
	loop    loopState      // the loop's own
	unwatch func()
	shut    sync.Once
	stopped chan struct{} // closed when loop and revocations have ended
}

// A flight is one fetch shared by all who asked before it began.
type flight struct {
	newerThan uint64 // not needed once a later generation is current; zero: needed, and at once
	done      chan struct{}
	err       error
}

// New fetches the first credential from src and keeps it fresh until Close. It
// returns when there is one, or when ctx or [Options.Timeout] ends, or when
// src says that repeating is useless. ctx governs the start only. A nil
// Options means the defaults.
func New(ctx context.Context, src source.Source, opts *Options) (*Refresher, error) {
	if src == nil {
		return nil, errors.New("refresh: New needs a source, got nil")
	}
	r := &Refresher{
		src:       src,
		opts:      opts.withDefaults(),
		suspects:  make(map[string]*trial),
		changed:   make(chan struct{}),
		listeners: make(map[*listener]struct{}),
		wake:      make(chan struct{}, 1),
		stopped:   make(chan struct{}),
	}
	r.ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	r.unwatch = func() {}
	if w, ok := src.(source.Watcher); ok { // before the first fetch, so that no change is missed
		r.unwatch = w.Watch(func() { r.hinted.Store(true); r.poke() })
	}
	if err := r.start(ctx); err != nil {
		r.unwatch()
		r.cancel()
		return nil, err
	}
	r.workers.Go(r.run)
	return r, nil
}

// start gets the first credential.
func (r *Refresher) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	for n := 1; ; n++ {
		c, err := r.fetch(ctx, false)
		if err == nil {
			r.adoptUnless(c, nil) // nobody has attached yet
			at, pause := r.plan()
			r.settle(nil, nil, at, pause)
			return nil
		}
		err = fmt.Errorf("refresh: no first %s: %w", r.opts.Name, err)
		if source.IsPermanent(err) || ctx.Err() != nil {
			return err
		}
		pause := backoff(n, r.opts.MinBackoff, r.opts.shortPause(), rand.Float64())
		r.opts.Logger.Warn("rekey: first fetch failed", "credential", r.opts.Name, "error", err, "attempt", n, "next", pause)
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", err, ctx.Err())
		case <-time.After(pause):
		}
	}
}

// Latest returns the current credential. While it is good this is an atomic
// load and a look at the clock. If it has ended, or has been rejected and the
// source is being asked, Latest waits for that shared fetch, or for the end of
// ctx. An error wraps [ErrExpired] and the source's own error.
func (r *Refresher) Latest(ctx context.Context) (Snapshot, error) {
	g := r.current.Load()
	if !g.asked.Load() && !g.ended(time.Now()) {
		return g.snapshot(), nil
	}
	err := r.await(ctx, func(now time.Time) (bool, time.Time, error) {
		g = r.current.Load()
		if r.closed {
			return false, time.Time{}, ErrClosed
		}
		if g.ended(now) {
			r.request(g.number)
			return false, time.Time{}, nil
		}
		return !g.asked.Load(), time.Time{}, nil
	})
	if err != nil {
		return Snapshot{}, err
	}
	return g.snapshot(), nil
}

// Current returns the credential adopted last, even if it has ended. It is an
// atomic load; to log in, use [Refresher.Latest].
func (r *Refresher) Current() Snapshot { return r.current.Load().snapshot() }

// Credential makes the refresher a [source.Source]: it is [Refresher.Latest]
// without the generation. The lease stays with the refresher.
func (r *Refresher) Credential(ctx context.Context) (source.Credential, error) {
	s, err := r.Latest(ctx)
	return s.Credential, err
}

// Watch makes the refresher a [source.Watcher]: changed is called with every
// generation that is adopted.
func (r *Refresher) Watch(changed func()) (stop func()) {
	return r.OnChange(func(Snapshot) { changed() })
}

// Invalidate says that the database rejected a login with this generation. If
// it is still current, the source is asked once, beginning after this call and
// around every cache; all who call meanwhile share that fetch. A new lease is
// had at once even if it is the third that is alive; when one after the other is
// rejected, after growing pauses.
func (r *Refresher) Invalidate(generation uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch g := r.current.Load(); {
	case g.number != generation || r.closed:
	case g.asked.Load():
		r.request(generation) // one that has begun already may have come too early
	default:
		r.invalidate(g)
	}
}

// invalidate notes a rejection of g, which is current. The caller holds mu.
func (r *Refresher) invalidate(g *generation) {
	if r.closed {
		return
	}
	now := time.Now()
	if !g.trial.suspect() {
		r.status.notBefore = time.Time{} // it was meant for better times
	}
	g.trial.rejected(now, r.opts.LoginBudget, r.opts.LoginPause)
	g.asked.Store(true)
	// The database has moved on, so what it refused before may be right now.
	for _, t := range r.suspects {
		t.hasten(now)
	}
	r.request(g.number)
	r.broadcast()
}

// accepted notes that a login with this generation succeeded.
func (r *Refresher) accepted(generation uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if g := r.current.Load(); g.number == generation && g.trial.suspect() {
		g.trial, g.prober = trial{}, nil
		g.asked.Store(false)
		r.broadcast()
	}
}

// Refresh fetches now, around every cache, and returns when the new credential
// has been adopted, or with the reason why not. A source that still holds the
// same credential is no error. It also lets rejected credentials be tried
// again at once. It is for incidents and operators; nothing needs to call it
// regularly. Where the store does not revoke leases, a third is fetched at once,
// and those beyond are refused with [ErrTooManyLeases] for a growing while.
func (r *Refresher) Refresh(ctx context.Context) error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return ErrClosed
	}
	clear(r.suspects)
	g := r.current.Load()
	g.trial, g.prober = trial{}, nil
	r.broadcast()
	f := r.request(0)
	r.mu.Unlock()
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	case <-r.ctx.Done():
		return ErrClosed
	}
}

// request asks for a fetch that begins after this call, unless a generation
// after newerThan is adopted before; zero means in any case and at once. The
// caller holds mu.
func (r *Refresher) request(newerThan uint64) *flight {
	if r.next == nil {
		r.next = &flight{newerThan: newerThan, done: make(chan struct{})}
	}
	if r.next.newerThan != 0 { // what was asked for earlier may have been overtaken
		r.next.newerThan = newerThan
	}
	r.poke()
	return r.next
}

// poke wakes the loop.
func (r *Refresher) poke() {
	select {
	case r.wake <- struct{}{}:
	default: // it has been woken already
	}
}

// broadcast wakes everyone in await. The caller holds mu.
func (r *Refresher) broadcast() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// await blocks until ready says so. ready is called with mu held whenever
// something has changed, and at the time that it asks for; it may fail the
// wait. When ctx ends, the error says what was missing.
func (r *Refresher) await(ctx context.Context, ready func(now time.Time) (ok bool, again time.Time, err error)) error {
	for {
		now := time.Now()
		r.mu.Lock()
		changed := r.changed
		ok, again, err := ready(now)
		r.mu.Unlock()
		if ok || err != nil {
			return err
		}
		var timer <-chan time.Time
		if !again.IsZero() {
			timer = time.After(again.Sub(now))
		}
		select {
		case <-changed:
		case <-timer:
		case <-ctx.Done():
			return r.waitError(ctx.Err())
		}
	}
}
