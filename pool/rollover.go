package pool

import (
	"log/slog"
	"time"

	"github.com/rekey-go/rekey/refresh"
)

// During a rollover connections are exchanged in a rhythm. The beat slows down
// while those that are left are lent and the pool has to wait for them, and
// then rests: a connection that listens for ever must not keep the pool busy.
const (
	beat        = 20 * time.Millisecond
	beats       = 25 // in vain, before they slow down
	slowestBeat = 2 * time.Second
	rest        = 2 * time.Second
)

// run sleeps until a generation changes or a deadline comes, and then beats
// until no connection is left that should not be.
func (k *keeper) run() {
	defer close(k.done)
	defer k.closeLeaving()
	defer func() { k.rolled(refresh.ErrClosed) }()
	defer k.release(&k.canary.pin)
	defer k.release(&k.canary.old)
	timer := time.NewTimer(0)
	defer timer.Stop()
	pause, before, vain, failing, rested := beat, 0, 0, false, false
	for {
		k.turn() // first, so that the survey sees what it has seen
		s := k.survey()
		k.letGo(s.now, s.stale > 0)
		if s.stale == 0 {
			k.rolled(nil)
		}
		for _, l := range s.sever {
			_ = l.sever() // whoever uses it sees the error
			l.Closed()    // and may not come to that for long
			k.mu.Lock()
			k.counts.severed++
			k.mu.Unlock()
		}
		if s.probe {
			k.probe()
		}
		interval := time.Minute // no longer, as the wall clock may jump
		alarmed := k.alarmed()
		if alarmed {
			if k.compare(k.ctx) {
				continue
			}
			interval = time.Until(k.canary.next)
		}
		switch {
		case s.stale == 0:
			k.closeLeaving() // nobody but a generation that was returned to has any
			pause, failing, k.pace = beat, false, pace{}
		case !alarmed && s.over == 0 && s.stale == before && (vain > beats && !failing || pause == slowestBeat) && !rested:
			k.attention.Store(false) // what comes back is lent on until the next look
			rested, interval = true, rest
		default:
			n, logins := k.grant(failing)
			closed, err := k.exchange(k.ctx, n, logins)
			failing = err != nil
			if !failing && (closed > 0 || s.stale != before) {
				pause, vain = beat, 0
			} else if vain++; failing || vain > beats { // all are lent and none has come back, or no login succeeds
				pause = min(2*pause, slowestBeat)
			}
			interval = pause
			if rested { // a short look, in which those that come back are given up
				interval = longIdle
			}
			rested = false
		}
		before = s.stale
		timer.Reset(min(interval, max(time.Until(s.deadline), 0)))
		select {
		case <-k.ctx.Done():
			return
		case <-k.wake: // a generation has changed
			before, vain, pause, rested = 0, 0, beat, false
		case <-timer.C:
		}
	}
}

// A survey is how the connections stand.
type survey struct {
	now      time.Time
	stale    int       // those that should be exchanged
	over     int       // those among them that must not be lent any more
	sever    []*Login  // those among them that have stayed for too long
	probe    bool      // ask one although nobody lends
	deadline time.Time // when something is due next
}

// survey counts the connections that should be exchanged and finds the next
// deadline of the others. It raises or lowers the attention accordingly; for a
// while after an exchange it stays up, because the connections that were given
// back must be pinged when they are lent (see look).
func (k *keeper) survey() survey {
	now := time.Now()
	s := survey{now: now}
	calm := k.touched.Add(longIdle)
	k.mu.Lock()
	defer k.mu.Unlock()
	s.deadline, s.probe = k.scheduleProbes(now)
	due := false
	for l := range k.sessions {
		if l.overAt(now) {
			s.over++
			s.stale++
			k.overstays(l, &s)
			continue
		}
		due = due || l.suspect.Load() || l.due.Load() && now.Before(k.probing)
		if !l.hold.Stays() {
			s.stale++
		}
		if d := l.hold.Deadline(); !d.IsZero() && d.Before(s.deadline) {
			s.deadline = d
		}
	}
	if s.stale == 0 && now.Before(calm) && calm.Before(s.deadline) {
		s.deadline = calm
	}
	if k.canary.old != nil && k.canary.until.After(now) && k.canary.until.Before(s.deadline) {
		s.deadline = k.canary.until
	}
	if due && k.probing.After(now) && k.probing.Before(s.deadline) {
		s.deadline = k.probing
	}
	k.attention.Store(s.stale > 0 || due || now.Before(calm))
	k.rolling.Store(s.stale > 0)
	k.deadline = s.deadline
	return s
}

// troubled reports whether no login can succeed with the current credential.
func (k *keeper) troubled() bool { return k.refresher.Trouble() != nil }

// grant says how many connections may be exchanged in this beat, and whether
// logins may be made: not while they cannot succeed.
func (k *keeper) grant(failing bool) (n int, logins bool) {
	k.allowance.Store(0) // nothing is given up while they are being counted
	if k.alarmed() || k.troubled() {
		return 0, false
	}
	// Sockets are counted, because pools notice late that one is closed.
	k.mu.Lock()
	open, begun, given, left := 0, 0, 0, 0
	for l := range k.sessions {
		switch {
		case !l.open.Load():
			begun++
		case l.given.Load():
			given++
			fallthrough
		default:
			open++
		}
	}
	for _, v := range k.leaving {
		if _, still := k.sessions[v.login()]; still {
			left++
		}
	}
	k.mu.Unlock()
	t := tally{ready: open - given - left, coming: max(begun, k.exchanger.coming(open)), leaving: len(k.leaving)}
	n = k.pace.grant(k.opts.Pace, t)
	if failing {
		n = min(n, 1)
	}
	return n, true
}

// overstays notes that l has outlived its credential and is still there. The
// caller holds mu.
func (k *keeper) overstays(l *Login, s *survey) {
	if l.overSince.IsZero() {
		l.overSince = s.now
	}
	if k.opts.Overstay <= 0 || l.severed || l.sever == nil {
		return
	}
	at := l.overSince.Add(k.opts.Overstay)
	switch {
	case !s.now.Before(at):
		l.severed = true
		s.sever = append(s.sever, l)
	case at.Before(s.deadline):
		s.deadline = at
	}
}

// overtaken ends the trace of a rollover to a generation that is replaced
// before the rollover is over.
type overtaken struct{}

func (overtaken) Error() string     { return "overtaken by the next generation" }
func (overtaken) ErrorCode() string { return "overtaken" }

// traceRollover begins to trace the rollover to the generation of s.
func (k *keeper) traceRollover(s refresh.Snapshot) {
	k.rolled(overtaken{})
	_, k.rollover = k.opts.Trace.Start(k.ctx, "rollover", slog.String("credential", k.refresher.Health().Name),
		slog.Uint64("generation", s.Generation), slog.String("user", s.Username), slog.String("version", s.Version))
}

// rolled ends what traceRollover began.
func (k *keeper) rolled(err error) {
	if k.rollover != nil {
		k.rollover(err)
		k.rollover = nil
	}
}
