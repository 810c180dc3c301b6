package pool

import "time"

// lend decides whether a connection may be lent. A stale one that is still
// good is given up only within the pace, and not when it is lent for the first
// time: it may have been made for the very caller who asks.
func (k *keeper) lend(l *Login) bool {
	return l == nil || !l.over() && !k.giveUp(l)
}

// giveUp decides whether a connection that is still good is given up because it
// is stale. One of a user that was taken back is at once.
func (k *keeper) giveUp(l *Login) bool {
	if l.unfit.Load() {
		return true
	}
	if l.hold.Stays() || !l.lent.Swap(true) {
		return false
	}
	given := k.allowance.Add(-1) >= 0 && k.mayTurnAway()
	if given {
		l.given.Store(true)
	}
	return given
}

func (k *keeper) mayTurnAway() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.turnaway.allow(time.Now())
}

// pgxpool gives up on a caller when it has offered him as many connections as it
// may have, and one more. A caller of a small pool could come to that if the
// credential changed again and again while he waited, so such a pool refuses no
// more than its size within longestAcquire. What is lent all the same is still
// good, and is given up the next time.
const (
	smallPool      = 8
	longestAcquire = 2 * time.Second
)

// A turnaway remembers when callers were refused a connection that was still
// good. It is pure; the keeper's mu guards it. The zero value refuses as often
// as it is asked to.
type turnaway struct {
	size int         // of a pool that counts offers; zero: it does not
	at   []time.Time // the last refusals, the oldest first
}

// allow reports whether a caller may be refused another one at now.
func (t *turnaway) allow(now time.Time) bool {
	if t.size == 0 || t.size >= smallPool {
		return true
	}
	if len(t.at) == t.size {
		if now.Sub(t.at[0]) < longestAcquire {
			return false
		}
		t.at = t.at[1:]
	}
	t.at = append(t.at, now)
	return true
}
