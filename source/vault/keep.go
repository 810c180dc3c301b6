package vault

import (
	"context"
	"math/rand/v2"
	"time"
)

// longestWait bounds the loop's timer: timers stand still while a machine
// sleeps.
const longestWait = time.Minute

// run is the session's goroutine: it waits until something is to be done for
// the token and does it.
func (s *Session) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for s.ctx.Err() == nil {
		at := s.attend()
		wait := longestWait
		if !at.IsZero() {
			wait = min(wait, max(time.Until(at), 0))
		}
		timer.Reset(wait)
		select {
		case <-s.ctx.Done():
		case <-s.wake:
		case <-timer.C:
		}
	}
}

// attend does what is due and returns when to look again; zero: when asked.
func (s *Session) attend() time.Time {
	s.mu.Lock()
	q := s.question
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(s.ctx, s.opts.Timeout)
	defer cancel()
	if q != nil {
		defer s.answerQuestion(q)  // when what follows is done too
		if q.token.same(s.now()) { // else it was replaced after it was doubted
			s.check(ctx, q)
		}
	}
	now := time.Now()
	s.mu.Lock()
	t := s.token.Load()
	bad := s.lost || t.over(now)
	due := reached(now, s.next) || (bad && s.next.IsZero())
	s.mu.Unlock()
	switch {
	case s.lender != nil && s.lender.changed(t.secret):
		s.settle(s.logIn(ctx))
	case !due:
	case t.renewable && !bad:
		s.settle(s.renew(ctx, t))
	default:
		s.settle(s.logIn(ctx))
	}
	return s.nextLook()
}

// nextLook returns when the loop has something to do; zero: when asked.
func (s *Session) nextLook() time.Time {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.next
	sooner := func(at time.Time) {
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	if s.lender != nil {
		sooner(now.Add(s.opts.Poll))
	}
	if end, _ := s.token.Load().bound(time.Time{}, ""); !s.lost && end.After(now) {
		sooner(end)
	}
	return next
}

// settle notes how an attempt ended and plans the next.
func (s *Session) settle(err error) {
	now := time.Now()
	t := s.now()
	s.mu.Lock()
	s.attempts++
	s.lastErr = err
	if err == nil {
		s.failures = 0
		s.next = t.attendAt(s.replaces(), rand.Float64())
	} else {
		s.failures++
		end, _ := t.bound(time.Time{}, "")
		left := time.Hour
		if !s.lost && !end.IsZero() && end.After(now) {
			left = end.Sub(now) / 4
		}
		s.next = now.Add(backoff(s.failures, left))
	}
	failures, next := s.failures, s.next
	s.broadcast()
	s.mu.Unlock()
	if err != nil && s.ctx.Err() == nil {
		s.opts.Logger.Warn("rekey: Vault token not renewed", "error", err, "failures", failures, "next", next)
	}
}

// replaces reports whether asking for a token again may bring another one.
func (s *Session) replaces() bool {
	_, ours := s.lender.(clientToken)
	return !ours
}

// broadcast wakes all who wait. The caller holds mu.
func (s *Session) broadcast() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// check asks whether Vault still accepts the token.
func (s *Session) check(ctx context.Context, q *question) {
	_, err := send(ctx, s.client, q.token.secret, lookupSelf)
	if dead(err) || (denied(err) && !q.token.blind) {
		s.opts.Logger.Warn("rekey: Vault does not accept the token any more", "error", err)
		s.lose(err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = time.Now()
	if err == nil {
		s.answered = s.asked
	}
}

// lose notes that Vault does not accept the token.
func (s *Session) lose(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost, s.lastErr = true, err
	s.next = time.Time{} // what was planned was meant for better times
}

// answerQuestion lets those go on who wait for q; nil: for any.
func (s *Session) answerQuestion(q *question) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.question != nil && (q == nil || s.question == q) {
		close(s.question.done)
		s.question = nil
	}
}

// backoff is the pause after the n-th failure in a row: at random up to a bound
// that doubles from half a second to thirty, and at most limit.
func backoff(n int, limit time.Duration) time.Duration {
	bound := min(30*time.Second, 500*time.Millisecond<<min(n-1, 10), max(limit, 500*time.Millisecond))
	return max(fraction(bound, rand.Float64()), 50*time.Millisecond)
}
