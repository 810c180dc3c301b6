package pool

import (
	"context"
	"errors"
	"time"
)

// An exchanger is a pool's own way to exchange idle connections.
type exchanger interface {
	// take takes the idle connections out, at most all. Where none is idle and
	// a pool lets it queue for one that comes back, it takes up to n stale ones
	// that way. It makes none.
	take(ctx context.Context, n int) []idleConn
	// fill acquires a connection and releases it. While all idle ones are
	// taken, that makes a new one.
	fill(ctx context.Context) error
	// idle returns how many connections are idle.
	idle() int
	// total returns how many connections there are, those that are being made
	// included.
	total() int
	// coming returns how many are being made, where so many sessions are open.
	coming(open int) int
	// most returns how many there may be; zero: any number.
	most() int
}

// An idleConn is a connection that an exchange has taken. Either giveBack or
// leave and then close is called.
type idleConn interface {
	login() *Login
	giveBack()
	leave() (room bool) // makes room for another connection, where that is needed
	close()
}

// exchangeKey marks the context of an exchange's own acquires, which must see
// connections as they are. Its value is told when a login has begun; it is a
// nil channel where no login is wanted.
type exchangeKey struct{}

// ofExchange reports whether ctx comes from an exchange.
func (k *keeper) ofExchange(ctx context.Context) bool {
	return k.exchanging.Load() && ctx.Value(exchangeKey{}) != nil
}

const (
	// longestGrip bounds how long an exchange keeps idle connections from
	// callers.
	longestGrip = 25 * time.Millisecond

	// longestQueue bounds how long an exchange waits for the login of a new
	// connection to begin. Where callers are waiting for connections they make
	// the new ones, and the exchange's own never comes to it.
	longestQueue = 100 * time.Millisecond
)

// exchange makes before it breaks, where the pool has room: it takes the
// victims out, has new connections made in their place while it holds back the
// other idle ones, because pools make a connection only when none is idle, and
// closes the victims last. What must not be lent any more leaves without that,
// and n connections that are only stale. A victim that was not replaced is kept
// for the next exchange, so that the pool is never short of more than the pace.
// Where logins cannot succeed, none is made. It returns how many connections it
// closed, and why a new one could not be made.
func (k *keeper) exchange(ctx context.Context, n int, logins bool) (closed int, err error) {
	ctx, cancel := context.WithTimeout(ctx, k.opts.LoginTimeout)
	defer cancel()
	k.exchanging.Store(true)
	defer k.exchanging.Store(false)
	over, victims, rest := k.choose(ctx, n)
	for _, v := range over {
		v.leave()
	}
	size := k.exchanger.total() + len(k.leaving)
	for _, v := range victims {
		if !v.leave() {
			size++ // there is room for one more anyway
		}
	}
	if most := k.exchanger.most(); most > 0 {
		size = min(size, most) // callers may have taken the room of those that left
	}
	k.leaving = append(k.leaving, victims...)
	var fillings []*filling
	if logins {
		fillings = make([]*filling, len(k.leaving))
	}
	for i := range fillings {
		fillings[i] = startFilling(ctx, k.exchanger)
	}
	grip, release := context.WithTimeout(ctx, longestGrip)
	defer release()
	for _, f := range fillings {
		f.begins(grip)
	}
	for _, c := range rest {
		c.giveBack()
	}
	if len(rest) > 0 {
		k.touched = time.Now()
	}
	queue, leave := context.WithTimeout(ctx, longestQueue)
	defer leave()
	for _, f := range fillings {
		if failed := f.ends(queue); failed != nil {
			err = failed
		}
	}
	missing := min(max(size-k.exchanger.total(), 0), len(k.leaving))
	over = append(over, k.leaving[missing:]...)
	k.leaving = k.leaving[:missing]
	for _, v := range over {
		v.close()
	}
	return len(over), err
}

// closeLeaving closes the victims that are still waiting to be replaced.
func (k *keeper) closeLeaving() {
	for _, v := range k.leaving {
		v.close()
	}
	k.leaving = nil
}

// choose takes the idle connections and says which of them must leave, which
// n may, and which stay. What it leaves of n is for callers to give up.
func (k *keeper) choose(ctx context.Context, n int) (over, victims, rest []idleConn) {
	now := time.Now()
	for _, c := range k.exchanger.take(context.WithValue(ctx, exchangeKey{}, (chan struct{})(nil)), n) {
		l := c.login()
		switch {
		case l == nil:
			rest = append(rest, c)
		case l.overAt(now):
			over = append(over, c)
		case !l.hold.Stays() && len(victims) < n:
			victims = append(victims, c)
		default:
			l.touched.Store(true)
			rest = append(rest, c)
		}
	}
	k.allowance.Store(int32(max(n-len(victims), 0)))
	return over, victims, rest
}

// A filling is one new connection that an exchange has made.
type filling struct {
	begun  chan struct{}
	result chan error
	cancel context.CancelFunc

	hasBegun, hasEnded bool
	err                error
}

func startFilling(ctx context.Context, x exchanger) *filling {
	f := &filling{begun: make(chan struct{}, 1), result: make(chan error, 1)}
	ctx, f.cancel = context.WithCancel(context.WithValue(ctx, exchangeKey{}, f.begun))
	go func() { f.result <- x.fill(ctx) }() // ends waits for it
	return f
}

// begins waits until the login has begun or has ended, or until limit ends.
func (f *filling) begins(limit context.Context) {
	if f.hasBegun || f.hasEnded {
		return
	}
	select {
	case <-f.begun:
		f.hasBegun = true
	case f.err = <-f.result:
		f.hasEnded = true
	case <-limit.Done():
	}
}

// ends waits for the end of a login that begins within limit, and has the
// others given up. It returns why a login failed.
func (f *filling) ends(limit context.Context) error {
	defer f.cancel()
	f.begins(limit)
	switch {
	case f.hasEnded:
		return f.err
	case f.hasBegun:
		return <-f.result
	}
	f.cancel()
	if err := <-f.result; !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// signalBegun tells an exchange, if ctx comes from one, that a login begins.
func signalBegun(ctx context.Context) {
	if begun, ok := ctx.Value(exchangeKey{}).(chan struct{}); ok {
		select {
		case begun <- struct{}{}:
		default:
		}
	}
}
