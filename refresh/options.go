package refresh

import (
	"cmp"
	"log/slog"
	"time"
)

// Options adjust a [Refresher]. The zero value, or nil, means the defaults, and
// so does a negative value where no other meaning is given.
type Options struct {
	// Name of the credential in logs and health. Empty: "credential".
	Name string

	// Ahead is how long before its end a credential is replaced at the latest.
	// Zero: a third of its lifetime. It is never less than the slowest recent
	// fetch took, and never more than nine tenths of the lifetime. The actual
	// moment is drawn from the second half of what remains before that, so that
	// many processes that started together spread out. Where the store does not
	// revoke leases it may come later, in the last sixth of the lifetime.
	Ahead time.Duration

	// Margin is how long before its end a credential is no longer handed out
	// for logins, and connections whose sessions end with it are no longer
	// lent. Zero: a tenth of the lifetime, at most 5 s. Negative: none. It is
	// never more than half of the lifetime.
	Margin time.Duration

	// Poll is the interval at which a credential without a known end is looked
	// at again, shortened by up to a fifth of jitter. Zero: 5 min. Negative:
	// only when the source reports a change or a login is rejected.
	Poll time.Duration

	// Timeout bounds one fetch, one renewal, one revocation and one round of
	// verification. It also bounds how long [New] waits for a first
	// credential. Zero: 30 s.
	Timeout time.Duration

	// MinBackoff and MaxBackoff bound the pause after a failure, which doubles
	// each time and is drawn at random below that. Zero: 500 ms and 30 s.
	// While there is no credential or it has ended, the pause is at most 2 s,
	// and while the database rejects it, at most 2 s or an eighth of the time
	// that this has lasted. After a new lease that is rejected the pause doubles
	// up to 2 min, since each costs the database a role.
	MinBackoff, MaxBackoff time.Duration

	// PreferRenew extends a lease rather than replacing it, as long as the
	// store grants full extensions, for stores in which each new credential is
	// costly. By default a lease is renewed only when a fetch has failed, or
	// must wait since the store does not revoke the lease before.
	PreferRenew bool

	// Drain is how long a replaced credential may stay in use where it has no
	// earlier end of its own. Zero: as long as its connections live.
	Drain time.Duration

	// LoginBudget is how many logins the database may reject with the same
	// credential before no more are tried. The pauses between them double from
	// one second. Zero: 5.
	LoginBudget int

	// LoginPause is the time after which, with the budget spent, a single
	// login is tried again. Zero: 10 min. A tenth of it when the database rejects
	// what has served since: it may have gone back. Negative: never; only a new
	// credential or [Refresher.Refresh] helps.
	LoginPause time.Duration

	// Trace is told of every request to the source, verification, renewal and
	// revocation, for spans and durations. Nil: nobody is.
	Trace Trace

	// Logger receives what happens, without any secret. Nil: [slog.Default].
	Logger *slog.Logger
}

// shortPause bounds a pause while nobody can log in.
func (o *Options) shortPause() time.Duration {
	return min(max(2*time.Second, o.MinBackoff), o.MaxBackoff)
}

func (o *Options) withDefaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	d.Name = cmp.Or(d.Name, "credential")
	d.Poll = cmp.Or(d.Poll, 5*time.Minute)
	d.Timeout = cmp.Or(max(d.Timeout, 0), 30*time.Second)
	d.MinBackoff = cmp.Or(max(d.MinBackoff, 0), 500*time.Millisecond)
	d.MaxBackoff = max(cmp.Or(max(d.MaxBackoff, 0), 30*time.Second), d.MinBackoff)
	d.LoginBudget = cmp.Or(max(d.LoginBudget, 0), 5)
	d.LoginPause = cmp.Or(d.LoginPause, 10*time.Minute)
	if d.Logger == nil {
		d.Logger = slog.Default()
	}
	return d
}
