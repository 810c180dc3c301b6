package rotate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/rekey-go/rekey/source"
)

// A Rotator rotates one secret. Its methods may be called by several goroutines
// and processes; one of them works, the others get an error that wraps
// [ErrRunning] or [ErrConflict].
type Rotator struct {
	config Config
}

// New returns a rotator of what c says, which it copies. It asks nobody yet, and fails if
// Store or Target is missing, or Target lacks what its strategy needs.
func New(c *Config) (*Rotator, error) {
	config, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Rotator{config}, nil
}

// A Result is what a rotation has come to. It holds no secret.
type Result struct {
	Rotation string        // the token; empty: there was nothing to do
	From, To string        // versions
	User     string        // that is current now
	Resumed  bool          // an earlier run had begun it
	Kept     []string      // users that are disabled and kept for Config.Grace
	Retired  []string      // users; where a user has two passwords, the version of the older
	Approver string        // empty: nobody was asked in this run
	Forced   []string      // what was not waited for any longer, and why
	Took     time.Duration // by the clock, waits included
}

// Rotate gives the secret a new credential. If an earlier rotation was broken off, it
// finishes that one and begins no other. Users that are left behind from earlier ones are
// retired first.
//
// An error that wraps [ErrUnfit] means that everything is as it was. After any
// other error, Rotate goes on where it stopped, and Rollback undoes it.
func (r *Rotator) Rotate(ctx context.Context) (Result, error) {
	return r.do(ctx, func(ctx context.Context, run *run) error { return run.rotate(ctx) })
}

// do does what takes the lock.
func (r *Rotator) do(ctx context.Context, f func(context.Context, *run) error) (Result, error) {
	begun := time.Now()
	run := r.look()
	if r.config.Lock != nil {
		unlock, err := r.config.Lock(ctx)
		if err != nil {
			return Result{}, fmt.Errorf("rotate: %s: %w", r.config.Store.Name(), err)
		}
		defer unlock()
	}
	err := f(ctx, run)
	run.result.Took = time.Since(begun)
	return run.result, err
}

// look begins what changes nothing.
func (r *Rotator) look() *run { return &run{config: &r.config, attempt: make(map[Step]int)} }

// A run is one call of a rotator, with what it has found out.
type run struct {
	config   *Config
	state    State
	known    known
	result   Result
	attempt  map[Step]int
	until    Step   // stop before this step; empty: do not
	revoking string // why nobody is waited for; empty: everybody is
}

func (r *run) rotate(ctx context.Context) error {
	if err := r.read(ctx); err != nil {
		return err
	}
	if r.crossed() {
		r.result.Rotation, r.result.From, r.result.To = r.state.Pending.Token, r.state.Current.Token, r.state.Pending.Token
		if err := errors.Join(r.back(ctx), r.read(ctx)); err != nil {
			return err
		}
	}
	if r.open() {
		r.result.Resumed = true
		if err := r.finishRollback(ctx); err != nil {
			return err
		}
	} else {
		if err := r.prepare(ctx); err != nil {
			return err
		}
		if err := r.create(ctx, newToken()); err != nil {
			return err
		}
	}
	if err := r.forward(ctx); err != nil {
		return err
	}
	return r.retire(ctx)
}

// open reports whether a rotation has begun and is not over.
func (r *run) open() bool {
	return r.state.Pending != nil && r.state.Pending.Token != r.state.Current.Token
}

// crossed reports whether somebody has gone back to the user that the pending
// version is for while that was created: then it is not the other one's turn any
// more.
func (r *run) crossed() bool {
	return r.config.Target.Strategy().Reuses && r.open() && r.state.Pending.Credential.Username == r.state.Current.Credential.Username
}

func (r *run) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.config.StepTimeout)
	defer cancel()
	s, err := r.config.Store.Read(ctx)
	if err != nil {
		return fmt.Errorf("rotate: %s cannot be read: %w", r.config.Store.Name(), err)
	}
	r.state = s
	r.result.User = s.Current.Credential.Username
	return nil
}

// create draws the next credential and makes it durable.
func (r *run) create(ctx context.Context, token string) error {
	r.result.Rotation, r.result.From, r.result.To = token, r.state.Current.Token, token
	return r.step(ctx, StepCreate, "", func(ctx context.Context) error {
		next, err := r.config.Target.Next(ctx, r.state.Current.Credential, token)
		if err != nil {
			return err
		}
		if next.Password.IsEmpty() {
			if r.config.Generate == nil {
				return errors.New("the target draws no password; set Config.Generate")
			}
			if next.Password, err = r.config.Generate(); err != nil {
				return err
			}
		}
		next.Version = token
		next = next.WithFields(changed(r.state.Current.Credential, next))
		if err := r.config.Store.Create(ctx, token, next); err != nil {
			return err
		}
		return r.read(ctx)
	})
}

// changed returns the fields that next has and current has not, or otherwise. The
// others are nothing that a rotation should write: an operator may change them
// meanwhile.
func changed(current, next source.Credential) map[string]source.Secret {
	fields := make(map[string]source.Secret)
	for _, name := range next.FieldNames() {
		want, _ := next.Field(name)
		if got, ok := current.Field(name); !ok || !got.Equal(want) {
			fields[name] = want
		}
	}
	return fields
}

// newToken is a UUID, since that is what stores ask for.
func newToken() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// forward takes the pending version to current, a step at a time.
func (r *run) forward(ctx context.Context) error {
	for {
		f, err := r.look(ctx)
		if err != nil {
			return err
		}
		if r.open() && r.state.Current.Token != r.result.From {
			return r.overwritten(ctx)
		}
		step := next(r.config.Target.Strategy(), f, r.known)
		if step == StepDone || step == r.until {
			return nil
		}
		switch err := r.do(ctx, step); {
		case errors.Is(err, ErrUnfit):
			return r.giveUp(ctx, err)
		case err != nil || step == StepPromote: // whatever has begun since is another one
			return err
		}
	}
}

// giveUp undoes a rotation that is unfit. If that fails, what it returns does not
// wrap ErrUnfit, as not everything is as it was.
func (r *run) giveUp(ctx context.Context, unfit error) error {
	if err := r.back(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("%w; it is to be undone, as this was found before: %v", err, unfit) //nolint:errorlint // see above
	}
	return unfit
}

// overwritten undoes a rotation whose secret an operator has written meanwhile: what
// he wrote is what counts, and nobody has approved of replacing it.
func (r *run) overwritten(ctx context.Context) error {
	err := fmt.Errorf("rotate: %s: somebody has made version %s current while %s was pending, which is undone: %w",
		r.config.Store.Name(), r.state.Current.Token, r.result.Rotation, ErrConflict)
	return errors.Join(err, r.back(context.WithoutCancel(ctx)))
}

// look finds out how things stand.
func (r *run) look(ctx context.Context) (facts, error) {
	if err := r.read(ctx); err != nil {
		return facts{}, err
	}
	f := facts{state: r.state}
	if !r.open() {
		return f, nil
	}
	if t := r.state.Pending.Token; r.result.Rotation != t {
		if r.result.Rotation != "" {
			return f, fmt.Errorf("rotate: %s: another rotation has taken over: %w", r.config.Store.Name(), ErrConflict)
		}
		r.result.Rotation, r.result.From, r.result.To = t, r.state.Current.Token, t
	}
	ctx, cancel := context.WithTimeout(ctx, r.config.StepTimeout)
	defer cancel()
	var err error
	f.applied, err = r.config.Target.Applied(ctx, r.change())
	if err != nil {
		return f, fmt.Errorf("rotate: %s: what was set last cannot be found out: %w", r.config.Store.Name(), err)
	}
	return f, nil
}

func (r *run) change() Change {
	return Change{Token: r.state.Pending.Token, From: r.state.Current.Credential, To: r.state.Pending.Credential}
}

// do does one step of the pending version.
func (r *run) do(ctx context.Context, step Step) error {
	c := r.change()
	switch step {
	case StepApprove:
		err := r.approve(ctx, c)
		r.known.approved = err == nil
		return err
	case StepClear:
		err := r.drained(ctx, StepClear, c.To.Username, "")
		r.known.clear = err == nil
		return err
	case StepSet:
		return r.step(ctx, step, c.To.Username, func(ctx context.Context) error { return r.config.Target.Set(ctx, c) })
	case StepVerify:
		err := r.step(ctx, step, c.To.Username, func(ctx context.Context) error { return r.config.Target.Verify(ctx, c) })
		r.known.verified = err == nil
		return err
	case StepPromote:
		err := r.step(ctx, step, c.To.Username, func(ctx context.Context) error { return r.promote(ctx, c) })
		if err != nil {
			return err
		}
		return r.stands(context.WithoutCancel(ctx), c, r.state.Current.Token)
	}
	panic("rotate: no such step: " + string(step))
}

// step runs f within the time of a step, between two lines of the audit.
func (r *run) step(ctx context.Context, step Step, user string, f func(context.Context) error) error {
	e := r.event(step)
	e.User, e.Outcome = user, OutcomeBegun
	r.config.Audit(e)
	ctx, cancel := context.WithTimeout(ctx, r.config.StepTimeout)
	defer cancel()
	begun := time.Now()
	err := f(ctx)
	return r.ended(e, begun, err)
}

// ended writes the second line.
func (r *run) ended(e Event, begun time.Time, err error) error {
	e.Time, e.Took, e.Outcome = time.Now(), time.Since(begun), OutcomeOK
	if err != nil {
		err = fmt.Errorf("rotate: %s: %s: %w", r.config.Store.Name(), e.Step, err)
		e.Outcome, e.Err, e.Class = OutcomeFailed, err, Class(err)
	}
	r.config.Audit(e)
	return err
}

func (r *run) event(step Step) Event {
	r.attempt[step]++
	return Event{
		Time: time.Now(), Secret: r.config.Store.Name(), Rotation: r.result.Rotation, Strategy: r.config.Target.Strategy().Name,
		Step: step, Attempt: r.attempt[step], From: r.result.From, To: r.result.To, Actor: r.config.Actor, Host: host,
	}
}
