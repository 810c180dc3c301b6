package pool

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rekey-go/rekey/refresh"
)

// A keeper keeps the connections of one pool on the right generation. It knows
// every open socket of the pool, decides which connections may be lent, and
// has the pool exchange the others. ManagedPool and ManagedDB are its two
// faces.
type keeper struct {
	refresher  *refresh.Refresher
	attachment *refresh.Attachment
	opts       Options
	classify   func(error) Verdict
	exchanger  exchanger

	// What the pool's driver can do; the last two may be nil.
	verifier   func(ctx context.Context, s refresh.Snapshot) error
	prober     func(ctx context.Context, conn any) error
	lostRights func(ctx context.Context, from, to refresh.Snapshot) ([]string, error)

	// attention is false while every connection is of the current generation
	// and good: then lending one costs this load and nothing else.
	attention  atomic.Bool
	rolling    atomic.Bool  // some connections are to be exchanged
	roomy      atomic.Bool  // a caller of a sql.DB who is refused one finds room for another
	exchanging atomic.Bool  // an exchange is under way
	allowance  atomic.Int32 // stale connections that callers may still give up in this beat

	mu       sync.Mutex // guards what follows; never held over I/O
	sessions map[*Login]struct{}
	changed  chan struct{} // closed and replaced at every change
	deadline time.Time     // the earliest that the next survey is planned for
	counts   counts
	canary   canary
	turnaway turnaway

	nextProbe, probing time.Time     // probing: until then every connection that is lent is looked at
	quiet              time.Duration // for how long nobody has lent
	asked, askedBefore uint64        // probes for callers, and at the last look
	disowned           uint64        // the last generation whose user was found to be dropped; zero: none

	// The goroutine's own.
	touched  time.Time // when an exchange last gave idle connections back
	pace     pace
	leaving  []idleConn  // out of the pool already, until they are replaced
	rollover func(error) // ends its trace; nil: none

	wake   chan struct{}
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}
}

type counts struct{ logins, rejected, retired, denied, disowned, takenBack, severed uint64 }

func newKeeper(r *refresh.Refresher, o Options) *keeper {
	k := &keeper{
		refresher: r,
		opts:      o,
		sessions:  make(map[*Login]struct{}),
		changed:   make(chan struct{}),
		wake:      make(chan struct{}, 1),
		done:      make(chan struct{}),
	}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	return k
}

// attach verifies the current credential and ties the keeper to the refresher.
func (k *keeper) attach(ctx context.Context) (err error) {
	k.attachment, err = k.refresher.Attach(ctx, consumer{k})
	if err == nil {
		k.canary.pin = k.attachment.Pin()
	}
	return err
}

// detach undoes attach where no goroutine was started.
func (k *keeper) detach() {
	k.attachment.Detach()
	k.canary.pin.Release()
	k.cancel()
}

// keep starts the keeper's goroutine.
func (k *keeper) keep(x exchanger) {
	k.exchanger = x
	go k.run()
}

// stop ends the goroutine and waits for it until ctx ends. Stopping twice is
// harmless.
func (k *keeper) stop(ctx context.Context) error {
	k.mu.Lock() // so that whoever holds it knows whether the pool is open
	k.cancel()
	k.mu.Unlock()
	k.attachment.Detach()
	select {
	case <-k.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("pool: connections are still being closed: %w", ctx.Err())
	}
}

// consumer keeps the refresher's callbacks out of the keeper's methods.
type consumer struct{ *keeper }

func (c consumer) Verify(ctx context.Context, s refresh.Snapshot) error { return c.fit(ctx, s) }

func (c consumer) Changed() {
	k := c.keeper
	k.mu.Lock()
	defer k.mu.Unlock()
	k.attention.Store(true)
	k.rolling.Store(true)
	k.broadcast()
	k.poke()
}

// begin registers a login under h.
func (k *keeper) begin(h *refresh.Hold) *Login {
	l := &Login{k: k, hold: h, snapshot: h.Snapshot()}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sessions[l] = struct{}{}
	switch d := h.Deadline(); {
	case !h.Stays(): // the switch came in between: it belongs to the old one
		k.attention.Store(true)
		k.rolling.Store(true)
		k.poke()
	case !d.IsZero() && d.Before(k.deadline):
		k.deadline = d
		k.poke()
	}
	return l
}

// end unregisters a login whose socket has closed or was never opened.
func (k *keeper) end(l *Login) {
	k.mu.Lock()
	delete(k.sessions, l)
	if l.open.Load() && !l.hold.Stays() {
		k.counts.retired++
	}
	k.broadcast()
	k.mu.Unlock()
	l.hold.Release()
}

// hold waits for a credential that may be used for a login.
func (k *keeper) hold(ctx context.Context) (*refresh.Hold, error) {
	ctx, cancel := context.WithTimeout(ctx, k.opts.LoginTimeout)
	defer cancel()
	return k.attachment.Hold(ctx)
}

// another waits after a login that failed with the given verdict until one with
// better prospects can be made: with a later generation, or with the same one
// if the database accepts it after all. Whoever waits here is the one who finds
// that out, off the pool and within the login budget, because all of a pool's
// connections may be waiting here.
func (k *keeper) another(ctx context.Context, l *Login, verdict Verdict) error {
	ctx, cancel := context.WithTimeout(ctx, k.opts.LoginTimeout)
	defer cancel()
	for {
		if verdict == Doubtful {
			if err := l.hold.Doubted(ctx); err != nil {
				return err
			}
		}
		h, err := k.attachment.Hold(ctx)
		if err != nil {
			return err
		}
		if h.Generation() != l.snapshot.Generation {
			h.Release()
			return nil
		}
		err = k.verifier(ctx, h.Snapshot())
		verdict = k.classify(err)
		switch {
		case err == nil:
			h.Accepted()
		case verdict == Rejected:
			k.rejected(h)
		}
		h.Release()
		if verdict == Unrelated { // well, or something else is the matter
			return err
		}
	}
}

// rejected notes that the database rejected a login under h.
func (k *keeper) rejected(h *refresh.Hold) {
	k.mu.Lock()
	k.counts.rejected++
	k.mu.Unlock()
	s := h.Snapshot()
	k.opts.Logger.Warn("rekey: login rejected", "user", s.Username, "version", s.Version, "generation", s.Generation)
	h.Rejected()
}

// drained blocks until another version is current and no socket that logged in
// with this one is open.
func (k *keeper) drained(ctx context.Context, version string) error {
	for {
		k.mu.Lock()
		changed := k.changed
		used := k.refresher.Current().Version == version
		for l := range k.sessions {
			used = used || l.snapshot.Version == version
		}
		k.mu.Unlock()
		if !used {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-k.done:
			return refresh.ErrClosed
		}
	}
}

// empty blocks until no socket is open.
func (k *keeper) empty(ctx context.Context) error {
	for {
		k.mu.Lock()
		changed, n := k.changed, len(k.sessions)
		k.mu.Unlock()
		if n == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// sessionOfConn finds the login of a connection of database/sql.
func (k *keeper) sessionOfConn(conn any) *Login {
	k.mu.Lock()
	defer k.mu.Unlock()
	for l := range k.sessions {
		if l.open.Load() && any(l.conn) == conn {
			return l
		}
	}
	return nil
}

func (k *keeper) broadcast() {
	close(k.changed)
	k.changed = make(chan struct{})
}

func (k *keeper) poke() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}
