package pool

import (
	"context"
	"sync"
	"time"
)

// An exchanger is a pool's own way to exchange idle connections.
type exchanger interface {
	// takeIdle takes the idle connections out, at most all.
	takeIdle(ctx context.Context) []idleConn
	// fill acquires a connection and releases it. While all idle ones are
	// taken, that makes a new one.
	fill(ctx context.Context)
}

// An idleConn is a connection that an exchange has taken. Either giveBack or
// leave and then close is called.
type idleConn interface {
	login() *Login
	giveBack()
	leave() // make room for another connection; do not close yet, if possible
	close()
}

// exchangeKey marks the context of an exchange's own acquires, which must see
// connections as they are. Its value is told when a login has begun.
type exchangeKey struct{}

// longestGrip bounds how long an exchange keeps idle connections from callers.
const longestGrip = 5 * time.Millisecond

// exchange makes before it breaks: it takes the victims out, has new
// connections made in their place while it holds back the other idle ones,
// because pools make a connection only when none is idle, and closes the
// victims last. Connections that must not be lent any more are all victims, and
// n of those that are only stale. It returns how many it closed.
func (k *keeper) exchange(ctx context.Context, n int) int {
	begun := make(chan struct{}, n)
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, exchangeKey{}, begun), k.opts.LoginTimeout)
	defer cancel()

	var victims, rest []idleConn
	now := time.Now()
	replace := 0
	for _, c := range k.exchanger.takeIdle(ctx) {
		l := c.login()
		switch {
		case l == nil:
			rest = append(rest, c)
		case l.hold.Over(now):
			victims = append(victims, c)
		case !l.hold.Current() && replace < n:
			victims = append(victims, c)
			replace++
		default:
			l.touched.Store(true)
			l.passing.Store(true)
			rest = append(rest, c)
		}
	}
	for _, v := range victims {
		v.leave()
	}
	var made sync.WaitGroup
	returned := make(chan struct{}, replace)
	for range replace {
		made.Go(func() {
			k.exchanger.fill(ctx)
			returned <- struct{}{}
		})
	}
	waitBegun(begun, returned, replace)
	for _, c := range rest {
		c.giveBack()
	}
	made.Wait()
	for _, v := range victims {
		v.close()
	}
	return len(victims)
}

// waitBegun returns when n logins are on their way or have ended. Where callers
// were waiting for a connection they make the new ones, and no login of the
// exchange begins, so it does not wait for long.
func waitBegun(begun, returned <-chan struct{}, n int) {
	if n == 0 {
		return
	}
	grip := time.NewTimer(longestGrip)
	defer grip.Stop()
	for range n {
		select {
		case <-begun:
		case <-returned:
		case <-grip.C:
			return
		}
	}
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
