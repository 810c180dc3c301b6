package rotate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/rekey-go/rekey/rotate/schedule"
	"github.com/rekey-go/rekey/source"
)

var (
	// ErrUnfit is wrapped where the next credential logs in, or does not, and
	// lacks what it needs. The rotation has been undone.
	ErrUnfit = errors.New("the next credential is not fit")

	// ErrDenied is wrapped where approval was denied or did not come in time.
	// The pending version is kept, and asked for again by the next run, unless
	// [Rotator.Rollback] discards it.
	ErrDenied = errors.New("not approved")

	// ErrMismatch is wrapped where the database does not accept the credential that
	// the store calls current: see Status.Mismatch.
	ErrMismatch = errors.New("store and database do not agree")

	// ErrUndrained is wrapped where somebody still uses a user that is to be
	// reset or retired when [Config.DrainTimeout] ends. The next run waits again.
	ErrUndrained = errors.New("still in use")
)

// A Pool is what the rotator sees of a pool in this process; pool.ManagedPool
// and pool.ManagedDB are such.
type Pool interface {
	// Drained blocks until the pool has another version and no connection of
	// this one.
	Drained(ctx context.Context, version string) error
}

// A Request is what somebody is asked to approve.
type Request struct {
	Secret   string            // Store.Name
	Strategy Strategy          // of the target
	Rotation string            // the token
	Concerns []string          // Config.Consumers
	From, To source.Credential // current and pending; printing them shows no secret
	Next     Step              // what happens at once after the approval
}

// Config says what a [Rotator] rotates and how. Store and Target are needed;
// the zero values of the others mean the defaults, and so do negative values.
type Config struct {
	// Store keeps the versions of the secret.
	Store Store

	// Target is what the secret is for.
	Target Target

	// Generate draws the next password, such as generate.Password. Nil is for targets
	// that draw it themselves, as those for keys do; for others create fails.
	Generate func() (source.Secret, error)

	// Approve is asked before the first step that changes what the current
	// credential can do. It returns who has approved, or an error. Nil: nobody
	// is asked.
	Approve func(ctx context.Context, r Request) (approver string, err error)

	// ApproveTimeout bounds Approve. Zero: 1 h.
	ApproveTimeout time.Duration

	// Consumers are the applications that are known to use the secret, by the
	// names that they give the database (application_name). Status compares them
	// with who is there, and whom a rotation concerns is in each Request. Empty:
	// not known.
	Consumers []string

	// Pools of this process that use the secret. They are waited for exactly.
	Pools []Pool

	// DrainTimeout bounds how long a user that is to be reset or retired may
	// still be in use. Zero: 10 min.
	DrainTimeout time.Duration

	// ForceDrain goes on when DrainTimeout has ended, and says so in the audit. By
	// default the rotation stops there, and the next run waits again.
	ForceDrain bool

	// Poll is how often sessions are counted while waiting. Zero: 1 s.
	Poll time.Duration

	// Grace is how long a disabled user is kept before it is removed, so that
	// disabling it can be taken back. Where a user has two passwords, it is how long
	// the older one is kept after nobody is seen to use it any more. Zero: none.
	//
	// If the target is a [Disabler], a user whose grace is longer than StepTimeout is
	// left to the next run that comes by after it: see Result.Kept and
	// [Rotator.Finish]. Otherwise the rotation waits for its end.
	Grace time.Duration

	// Lock keeps others from rotating the same secret meanwhile: it returns a
	// function that gives the lock back, or an error that wraps [ErrRunning].
	// It saves work; correctness does not depend on it. Nil: no lock.
	Lock func(ctx context.Context) (unlock func(), err error)

	// Audit receives every step, as it begins and as it ends, one event after the
	// other, on the goroutine that rotates. Nil: nobody does.
	Audit func(Event)

	// Actor is who runs the rotation, for the audit. Empty: $USER at the host, or
	// "process" where that is not set.
	Actor string

	// Lifetime is the longest that a connection of any consumer lives, Propagation
	// the longest that a consumer logs in with the old credential after the new one
	// is current. Run refuses a schedule that leaves no more time than both between
	// two rotations, see [schedule.Validate]. Zero Lifetime: nothing is checked.
	Lifetime, Propagation time.Duration

	// StepTimeout bounds each step but for the waits, and each look at the store or
	// the target in between: all of its calls together. Let it be longer than what
	// the target needs to verify or to remove a user. Zero: 30 s.
	StepTimeout time.Duration
}

func (c *Config) withDefaults() (Config, error) {
	if c == nil || c.Store == nil || c.Target == nil {
		return Config{}, errors.New("rotate: the configuration needs Store and Target")
	}
	if _, ok := c.Target.(Discarder); c.Target.Strategy().Dual && !ok {
		return Config{}, errors.New("rotate: the strategy of Target is Dual; the target should be a Discarder")
	}
	d := *c
	d.ApproveTimeout = cmp.Or(max(d.ApproveTimeout, 0), time.Hour)
	d.DrainTimeout = cmp.Or(max(d.DrainTimeout, 0), 10*time.Minute)
	d.Poll = cmp.Or(max(d.Poll, 0), time.Second)
	d.Grace = max(d.Grace, 0)
	d.Lifetime, d.Propagation = max(d.Lifetime, 0), max(d.Propagation, 0)
	d.StepTimeout = cmp.Or(max(d.StepTimeout, 0), 30*time.Second)
	if d.Audit == nil {
		d.Audit = func(Event) {}
	}
	if d.Actor == "" {
		d.Actor = actor()
	}
	return d, nil
}

// allows checks that a schedule leaves time for a rotation to end.
func (c *Config) allows(s Schedule) error {
	if c.Lifetime == 0 {
		return nil
	}
	const ahead = 100 // rotations that are looked at
	interval := schedule.Shortest(s, time.Now(), ahead)
	if interval == 0 { // at most one rotation
		return nil
	}
	if err := schedule.Validate(interval, c.Lifetime, c.Propagation); err != nil {
		return fmt.Errorf("rotate: %s: %w", c.Store.Name(), err)
	}
	return nil
}

func actor() string {
	host, _ := os.Hostname() // empty is no name
	return cmp.Or(os.Getenv("USER"), "process") + "@" + host
}
