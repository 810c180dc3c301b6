package pool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rekey-go/rekey/refresh"
)

// A LostRightsError is the reason why a credential of another user was taken
// back, or not adopted: its user may not do what the one before it may. Grant
// the rights and the credential is taken up again.
type LostRightsError struct {
	From, To string   // the users
	Lost     []string // what only From may do
}

func (e *LostRightsError) Error() string {
	const most = 10
	shown := e.Lost[:min(len(e.Lost), most)]
	text := fmt.Sprintf("user %q lacks rights that %q has: %s", e.To, e.From, strings.Join(shown, ", "))
	if more := len(e.Lost) - len(shown); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// A canary is what a keeper remembers in order to notice that a new user has
// lost rights. Where the user name changes, the generation before stays pinned
// for a while. A rights error with the new one that the old one did not have
// pauses the rollover until the rights of both have been compared.
//
// The first lines are the keeper's own goroutine's; the rest is guarded by its
// mu, and so are changes to old.
type canary struct {
	pin   *refresh.Hold // the current generation, as the goroutine has seen it last
	old   *refresh.Hold // the one before, of another user; nil: none to return to
	until time.Time     // old is kept at least until then
	next  time.Time     // the rights are not compared before
	pause time.Duration // after the next comparison that is not possible

	alarm   bool                           // paused until the rights have been compared
	left    int                            // comparisons that may still be made with this generation
	denials map[string]map[string]struct{} // rights errors that have been seen, by user
	strict  bool                           // one was taken back: candidates must lose no right
}

const (
	mostComparisons = 3   // of one generation
	mostDenials     = 256 // remembered of one user

	// firstPause is the pause after a comparison that was not possible. It
	// doubles each time.
	firstPause = 500 * time.Millisecond
)

// turn follows a change of the generation.
func (k *keeper) turn() {
	c := &k.canary
	pin := c.pin
	if pin.Current() {
		return
	}
	next := k.attachment.Pin()
	from, to := pin.Snapshot(), next.Snapshot()
	k.traceRollover(to)
	k.release(&c.old)
	c.pin = next
	if k.lostRights == nil || k.opts.Canary < 0 || from.Username == to.Username || from.Generation > to.Generation {
		k.release(&pin)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	c.old, c.until, c.left, c.alarm = pin, time.Now().Add(k.opts.Canary), mostComparisons, false
	c.next, c.pause = time.Time{}, firstPause
	if to.Generation > from.Generation {
		c.strict = false // it has passed
	}
	for text := range c.denials[to.Username] { // some may have come before the goroutine
		_, known := c.denials[from.Username][text]
		c.alarm = c.alarm || pin != nil && !known
	}
	for user := range c.denials {
		if user != from.Username && user != to.Username {
			delete(c.denials, user)
		}
	}
}

// letGo lets go of the old generation when its time is over.
func (k *keeper) letGo(now time.Time, rolling bool) {
	c := &k.canary
	if c.old == nil || !c.old.Over(now) && (rolling || now.Before(c.until)) {
		return
	}
	k.release(&c.old)
	k.mu.Lock()
	defer k.mu.Unlock()
	c.alarm = false
}

// release releases a hold and forgets it.
func (k *keeper) release(h **refresh.Hold) {
	held := *h
	k.mu.Lock()
	*h = nil
	k.mu.Unlock()
	if held != nil {
		held.Release()
	}
}

// denied notes that the database refused a statement of l for lack of rights.
// It is called while the statement's caller waits.
func (k *keeper) denied(l *Login, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.counts.denied++
	k.suspect(l)
	c := &k.canary
	user := l.snapshot.Username
	if c.denials == nil {
		c.denials = make(map[string]map[string]struct{})
	}
	if c.denials[user] == nil {
		c.denials[user] = make(map[string]struct{})
	}
	text := strings.ReplaceAll(err.Error(), user, "") // to recognize it, not to understand it
	if _, known := c.denials[user][text]; known || len(c.denials[user]) == mostDenials {
		return
	}
	c.denials[user][text] = struct{}{}
	if c.old == nil || c.left == 0 || !l.hold.Stays() {
		return
	}
	if _, known := c.denials[c.old.Snapshot().Username][text]; known {
		return // the old user did not have that right either
	}
	c.alarm = true
	k.attention.Store(true)
	k.poke()
}

// alarmed reports whether the rollover is paused.
func (k *keeper) alarmed() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.canary.alarm
}

// compare settles an alarm: it compares the rights of both users and returns to
// the old one on a proven loss. Without proof the rollover goes on. It reports
// false if the rights could not be compared now.
func (k *keeper) compare(ctx context.Context) bool {
	c := &k.canary
	if time.Now().Before(c.next) {
		return false
	}
	if c.old == nil {
		k.mu.Lock()
		c.alarm = false
		k.mu.Unlock()
		return true
	}
	from, to := c.old.Snapshot(), c.pin.Snapshot()
	log := k.opts.Logger.With("user", to.Username, "version", to.Version, "generation", to.Generation, "old_user", from.Username)
	ctx, cancel := context.WithTimeout(ctx, k.opts.LoginTimeout)
	defer cancel()
	lost, err := k.lostRights(ctx, from, to)
	switch {
	case k.ctx.Err() != nil:
		return false
	case err != nil && !errors.Is(err, refresh.ErrRejected) && time.Now().Before(c.until):
		c.next, c.pause = time.Now().Add(min(c.pause, time.Until(c.until))), 2*c.pause
		log.Warn("rekey: rights errors with a new user, rights not compared yet", "error", err, "next", c.next)
		return false
	case err != nil:
		log.Error("rekey: rights errors with a new user, rights could not be compared", "error", err)
	case len(lost) == 0:
		log.Warn("rekey: rights errors with a new user, but it has all rights of the old one")
	default:
		reason := &LostRightsError{from.Username, to.Username, lost}
		k.setStrict(true) // before the next candidate is verified
		if err = c.old.Reinstate(ctx, to.Generation, reason); err != nil {
			k.setStrict(false)
			log.Error("rekey: a new user has lost rights and the old one cannot be returned to", "reason", reason, "error", err)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	c.alarm = false
	c.left--
	if err == nil && len(lost) > 0 {
		k.counts.takenBack++
		for l := range k.sessions {
			if l.snapshot.Generation == to.Generation {
				l.unfit.Store(true)
			}
		}
	}
	return true
}

func (k *keeper) setStrict(strict bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.canary.strict = strict
}

// fit verifies a candidate: it must log in, and after one was taken back it
// must have all rights of the current user, for as long as that one serves.
func (k *keeper) fit(ctx context.Context, s refresh.Snapshot) error {
	if err := k.verifier(ctx, s); err != nil {
		return err
	}
	k.mu.Lock()
	strict := k.canary.strict
	k.mu.Unlock()
	current := k.refresher.Current()
	if !strict || current.Username == s.Username || k.troubled() {
		return nil
	}
	lost, err := k.lostRights(ctx, current, s)
	switch {
	case errors.Is(err, refresh.ErrRejected):
		err = nil // it is the current one's, which leaves nothing to lose
	case err != nil:
		err = fmt.Errorf("rights of user %q could not be compared with those of %q: %w", s.Username, current.Username, err)
	case len(lost) > 0:
		err = fmt.Errorf("%w (%w)", &LostRightsError{current.Username, s.Username, lost}, refresh.ErrRejected)
	}
	return err
}
