package refresh

import (
	"math"
	"slices"
	"time"

	"github.com/rekey-go/rekey/source"
)

// Everything here is a pure function: times and random numbers come in, times
// go out, and no clock is read.

// refreshAt says when to replace or look again at a credential. rnd is drawn
// from [0,1). slowest is what the slowest recent fetch took. The zero time
// means never.
func refreshAt(now time.Time, c source.Credential, o *Options, slowest time.Duration, rnd float64) time.Time {
	var at time.Time
	if !c.Expires.IsZero() {
		lifetime := c.Expires.Sub(c.Issued)
		ahead := o.Ahead
		if ahead <= 0 {
			ahead = lifetime / 3
		}
		ahead = min(max(ahead, slowest), lifetime/10*9)
		// Anywhere in the second half of the time before the latest moment: the
		// phases of a fleet mix within two or three periods.
		window := (lifetime - ahead) / 2
		at = c.Expires.Add(-ahead - fraction(window, rnd))
	}
	if !c.Recheck.IsZero() {
		at = earlier(at, c.Recheck)
	}
	if at.IsZero() && o.Poll > 0 {
		at = now.Add(o.Poll - fraction(o.Poll/5, rnd))
	}
	return at
}

// lastMoment is when a lease is replaced at the latest, whatever others are
// alive: Options.Ahead before its end, but not before the last sixth of its
// life, unless fetches take longer. The zero time means never.
func lastMoment(c source.Credential, o *Options, slowest time.Duration) time.Time {
	if c.Expires.IsZero() {
		return time.Time{}
	}
	lifetime := c.Expires.Sub(c.Issued)
	ahead := lifetime / 6
	if o.Ahead > 0 {
		ahead = min(ahead, o.Ahead)
	}
	return c.Expires.Add(-min(max(ahead, slowest), lifetime/10*9))
}

// goneAt is when the store will have ended the lease of c by itself: its clock
// started later than ours, and it takes a moment. The zero time means never.
func goneAt(c source.Credential) time.Time {
	if c.Expires.IsZero() {
		return c.Expires
	}
	return c.Expires.Add(max(time.Second, margin(c.Expires.Sub(c.Issued), 0)))
}

// leaseAt says whether another lease may be fetched now, or else when; the zero
// time means not before something changes. It may while fewer than two are
// alive. A third has to be urgent, since nobody can log in or the current one
// reaches its last moment; then it comes at once. Those beyond come after
// pauses since the one before was granted, of one second and then double with
// each: n at a time need leases that live for 2^(n-3)-1 seconds.
//
// hurried is how many in a row came because the one before did not work. Then
// the pauses double too, up to longestRefusal or the end of the current lease,
// even if all others are revoked: each costs the database a role.
func leaseAt(now time.Time, live []source.Credential, end, last, granted time.Time, urgent bool, hurried int) (bool, time.Time) {
	var room time.Time // when only one of those alive is left
	if n := len(live); n >= 2 {
		var gone []time.Time
		for _, c := range live {
			if at := goneAt(c); !at.IsZero() {
				gone = append(gone, at)
			}
		}
		slices.SortFunc(gone, time.Time.Compare)
		if n-2 < len(gone) {
			room = gone[n-2]
		}
		if !urgent {
			return false, earlier(room, last)
		}
		var pause time.Duration
		if n > 2 {
			pause = firstLoginPause << min(n-3, 30)
		}
		room = earlier(room, granted.Add(pause))
	}
	if urgent && hurried > 0 {
		pause := min(firstLoginPause<<min(hurried-1, 30), longestRefusal)
		room = later(room, earlier(granted.Add(pause), end))
	}
	return room.IsZero() || reached(now, room), room
}

// backoff is the pause after the n-th failure in a row (n from 1): at random up
// to a bound that doubles from base to limit, never less than a tenth of base.
func backoff(n int, base, limit time.Duration, rnd float64) time.Duration {
	bound := limit
	if n < 32 {
		if b := base << (n - 1); b > 0 && b < limit {
			bound = b
		}
	}
	return max(fraction(bound, rnd), base/10)
}

// margin is how long before its end a credential is no longer used.
func margin(lifetime, option time.Duration) time.Duration {
	switch {
	case option < 0:
		return 0
	case option > 0:
		return min(option, max(lifetime/2, 0))
	}
	return min(5*time.Second, max(lifetime/10, 0))
}

// reached reports whether t has come by the wall clock or by the monotonic one,
// whichever says so first: the monotonic clock stands still while a machine
// sleeps, and the wall clock can be set back. The zero time never comes.
func reached(now, t time.Time) bool {
	return !t.IsZero() && (!now.Before(t) || !now.Round(0).Before(t.Round(0)))
}

// onBothClocks returns t with a reading of both clocks, as now has it.
func onBothClocks(now, t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return now.Add(t.Sub(now))
}

// truncated reports whether a renewal was granted noticeably less than the
// lifetime asked for, which means that the lease nears its maximum. Stores
// count in whole seconds.
func truncated(granted, lifetime time.Duration) bool {
	return granted < lifetime-time.Second
}

// earlier returns the earlier of two times, of which zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// later returns the later of two times.
func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

func fraction(d time.Duration, rnd float64) time.Duration {
	return time.Duration(math.Max(0, rnd) * float64(d))
}
