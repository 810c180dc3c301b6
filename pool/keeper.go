package pool

import (
	"context"
	"slices"
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
	verifier   func(ctx context.Context, s refresh.Snapshot) error
	exchanger  exchanger

	// attention is false while every connection is of the current generation
	// and good: then lending one costs this load and nothing else.
	attention atomic.Bool
	allowance atomic.Int32 // stale connections that callers may still give up in this beat

	mu       sync.Mutex // guards what follows; never held over I/O
	sessions map[*Login]struct{}
	changed  chan struct{} // closed and replaced at every change
	counts   counts

	wake   chan struct{}
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}
}

type counts struct{ logins, rejected, retired uint64 }

// During a rollover connections are exchanged in a rhythm. The beat slows down
// while those that are left are lent and the pool has to wait for them.
const (
	beat        = 20 * time.Millisecond
	slowestBeat = 5 * time.Second
)

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
	return err
}

// keep starts the keeper's goroutine.
func (k *keeper) keep(x exchanger) {
	k.exchanger = x
	go k.run()
}

// stop ends the goroutine and waits for it.
func (k *keeper) stop() {
	k.cancel()
	<-k.done
	k.attachment.Detach()
}

// consumer keeps the refresher's callbacks out of the keeper's methods.
type consumer struct{ *keeper }

func (c consumer) Verify(ctx context.Context, s refresh.Snapshot) error { return c.verifier(ctx, s) }

func (c consumer) Changed() {
	k := c.keeper
	k.mu.Lock()
	defer k.mu.Unlock()
	k.attention.Store(true)
	k.broadcast()
	k.poke()
}

// run sleeps until a generation changes or a deadline comes, and then beats
// until no connection is left that should not be.
func (k *keeper) run() {
	defer close(k.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	interval, before := beat, 0
	for {
		stale, deadline := k.survey()
		if stale == 0 {
			interval = time.Minute // no longer, as the wall clock may jump
		} else if closed := k.exchange(k.ctx, k.grant()); closed > 0 || stale != before {
			interval = beat
		} else { // all are lent, and none has come back
			interval = min(2*interval, slowestBeat)
		}
		before = stale
		timer.Reset(min(interval, max(time.Until(deadline), 0)))
		select {
		case <-k.ctx.Done():
			return
		case <-k.wake: // a generation has changed
			before = 0
		case <-timer.C:
		}
	}
}

// survey counts the connections that should be exchanged and finds the next
// deadline of the others. It raises or lowers the attention accordingly.
func (k *keeper) survey() (stale int, deadline time.Time) {
	now := time.Now()
	deadline = now.Add(time.Hour)
	k.mu.Lock()
	defer k.mu.Unlock()
	for l := range k.sessions {
		if !l.hold.Current() || l.hold.Over(now) {
			stale++
		} else if d := l.hold.Deadline(); !d.IsZero() && d.Before(deadline) {
			deadline = d
		}
	}
	k.attention.Store(stale > 0)
	return stale, deadline
}

// grant says how many connections may be exchanged in this beat: what Pace
// leaves beside the logins that are under way.
func (k *keeper) grant() int {
	k.mu.Lock()
	n := k.opts.Pace
	for l := range k.sessions {
		if !l.open.Load() {
			n--
		}
	}
	k.mu.Unlock()
	n = max(n, 0)
	k.allowance.Store(int32(n))
	return n
}

// lend decides whether a connection may be lent. A stale one that is still
// good is given up only within the pace.
func (k *keeper) lend(l *Login) bool {
	switch {
	case l == nil:
		return true
	case l.hold.Over(time.Now()):
		return false
	case l.hold.Current():
		return true
	}
	return k.allowance.Add(-1) < 0
}

// begin registers a login under h.
func (k *keeper) begin(h *refresh.Hold) *Login {
	l := &Login{k: k, hold: h, snapshot: h.Snapshot()}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sessions[l] = struct{}{}
	if !h.Current() { // the switch came in between: it belongs to the old one
		k.attention.Store(true)
		k.poke()
	}
	return l
}

// end unregisters a login whose socket has closed or was never opened.
func (k *keeper) end(l *Login) {
	k.mu.Lock()
	delete(k.sessions, l)
	if l.open.Load() && !l.hold.Current() {
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

// newer waits for a generation after the given one.
func (k *keeper) newer(ctx context.Context, generation uint64) error {
	ctx, cancel := context.WithTimeout(ctx, k.opts.LoginTimeout)
	defer cancel()
	return k.attachment.Newer(ctx, generation)
}

// drained blocks until another version is current and no socket that logged in
// with this one is open.
func (k *keeper) drained(ctx context.Context, version string) error {
	for {
		k.mu.Lock()
		changed := k.changed
		used := k.refresher.Current().Version == version || slices.ContainsFunc(k.logins(), func(l *Login) bool {
			return l.snapshot.Version == version
		})
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

// logins lists the open sockets. The caller holds mu.
func (k *keeper) logins() []*Login {
	all := make([]*Login, 0, len(k.sessions))
	for l := range k.sessions {
		all = append(all, l)
	}
	return all
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
