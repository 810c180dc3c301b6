package pool

import "time"

// During a rollover connections are exchanged in a rhythm. The beat slows down
// while those that are left are lent and the pool has to wait for them.
const (
	beat        = 20 * time.Millisecond
	slowestBeat = 5 * time.Second
)

// run sleeps until a generation changes or a deadline comes, and then beats
// until no connection is left that should not be.
func (k *keeper) run() {
	defer close(k.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	pause, before, failing := beat, 0, false
	for {
		stale, deadline := k.survey()
		interval := time.Minute // no longer, as the wall clock may jump
		if stale > 0 {
			closed, err := k.exchange(k.ctx, k.grant(failing))
			failing = err != nil
			if !failing && (closed > 0 || stale != before) {
				pause = beat
			} else { // all are lent and none has come back, or no login succeeds
				pause = min(2*pause, slowestBeat)
			}
			interval = pause
		} else {
			pause, failing = beat, false
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
// deadline of the others. It raises or lowers the attention accordingly; for a
// while after an exchange it stays up, because the connections that were given
// back must be pinged when they are lent (see look).
func (k *keeper) survey() (stale int, deadline time.Time) {
	now := time.Now()
	deadline = now.Add(time.Hour)
	calm := k.touched.Add(longIdle)
	k.mu.Lock()
	defer k.mu.Unlock()
	for l := range k.sessions {
		if !l.hold.Current() || l.hold.Over(now) {
			stale++
		} else if d := l.hold.Deadline(); !d.IsZero() && d.Before(deadline) {
			deadline = d
		}
	}
	if stale == 0 && now.Before(calm) && calm.Before(deadline) {
		deadline = calm
	}
	k.attention.Store(stale > 0 || now.Before(calm))
	k.deadline = deadline
	return stale, deadline
}

// grant says how many connections may be exchanged in this beat: what Pace
// leaves beside the logins that are under way, and no good one while logins do
// not succeed.
func (k *keeper) grant(failing bool) int {
	if k.refresher.Trouble() != nil {
		return 0
	}
	n := k.opts.Pace
	if failing {
		n = 1
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for l := range k.sessions {
		if !l.open.Load() {
			n--
		}
	}
	return max(n, 0)
}
