package refresh

import (
	"sync/atomic"
	"time"

	"github.com/rekey-go/rekey/source"
)

// A generation is the one record of an adopted credential. Everyone who uses
// the credential points at it, so that a renewal moves the end for all of them
// at once.
type generation struct {
	number uint64
	line   *line
	life   atomic.Pointer[life] // replaced as a whole by a renewal

	overdue atomic.Bool // must not be used any more, whatever its end
	asked   atomic.Bool // rejected, and the source has not been asked since

	holds  int   // logins and sessions that use it; guarded by Refresher.mu
	trial  trial // guarded by Refresher.mu
	doubt  trial // of logins that failed without a clear reason; guarded by Refresher.mu
	prober *Hold // the one login that tries a suspect credential; guarded by Refresher.mu

	renewable bool          // the loop's own
	lifetime  time.Duration // as first granted; a shorter grant is a truncated one
}

// A line is what generations share whose sessions are as good as each other's:
// the tokens of one user at one place, which end for logins only.
type line struct{ _ byte } // not empty, so that each has an address of its own

// continues reports whether the sessions of old may stay when g follows it.
func (g *generation) continues(old *generation, drain time.Duration) bool {
	if old == nil || drain > 0 {
		return false
	}
	was, is := old.life.Load().credential, g.life.Load().credential
	if was.Expires.IsZero() || was.EndsSessions || was.Lease != nil {
		return false
	}
	was.Version, was.Password = is.Version, is.Password
	return was.Same(is) // in user and fields: sessions may be with another host
}

// life is what a renewal can change.
type life struct {
	credential   source.Credential
	end          time.Time // Expires, on both clocks
	recheck      time.Time // Recheck, on both clocks
	loginUntil   time.Time // no login after; zero: none
	sessionUntil time.Time // no session may be lent after; zero: none
}

func newGeneration(number uint64, c source.Credential, now time.Time, o *Options) *generation {
	g := &generation{number: number, line: new(line), renewable: c.Lease != nil}
	if !c.Expires.IsZero() {
		g.lifetime = c.Expires.Sub(c.Issued)
	}
	g.extend(c, now, o)
	return g
}

// extend gives the generation the life of c, which has the same user and
// password. A lease is never forgotten.
func (g *generation) extend(c source.Credential, now time.Time, o *Options) {
	if old := g.life.Load(); old != nil && c.Lease == nil {
		c.Lease = old.credential.Lease
	}
	l := &life{credential: c, end: onBothClocks(now, c.Expires), recheck: onBothClocks(now, c.Recheck)}
	if !l.end.IsZero() {
		l.loginUntil = l.end.Add(-margin(c.Expires.Sub(c.Issued), o.Margin))
	}
	if c.EndsSessions {
		l.sessionUntil = l.loginUntil
	}
	g.life.Store(l)
}

// limit ends the sessions at t, if they do not end before.
func (g *generation) limit(t time.Time) {
	l := *g.life.Load()
	l.sessionUntil = earlier(l.sessionUntil, t)
	g.life.Store(&l)
}

// snapshot is what others get to see; the lease stays here.
func (g *generation) snapshot() Snapshot {
	c := g.life.Load().credential
	c.Lease = nil
	return Snapshot{Credential: c, Generation: g.number}
}

// ended reports whether the generation must no longer be used for logins.
func (g *generation) ended(now time.Time) bool {
	return g.overdue.Load() || reached(now, g.life.Load().loginUntil)
}

// over reports whether its sessions must no longer be lent.
func (g *generation) over(now time.Time) bool {
	return g.overdue.Load() || reached(now, g.life.Load().sessionUntil)
}

func (g *generation) lease() source.Lease { return g.life.Load().credential.Lease }
