package rotate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Status is how a secret stands. It holds no secret.
type Status struct {
	Secret   string   // Store.Name
	Strategy Strategy // of the target

	Current, Pending, Previous *Info      // nil: there is none
	Applied                    bool       // the pending version has been set in the database
	Left                       []string   // users of earlier rotations that are not retired yet, oldest first
	Rotated                    time.Time  // see [State.Rotated]
	Next                       Step       // what Rotate would do first
	Consumers                  []Consumer // who uses the secret, or should, by name

	// Mismatch says in words that store and database do not agree; empty: they
	// do.
	Mismatch string
}

// Info is one version without its values.
type Info struct {
	Token    string    // of the rotation that made it, or the store's own name for it
	User     string    // whom it logs in
	Created  time.Time // zero: not known
	Accepted bool      // the database lets it log in; of the previous version nobody has tried
}

// Status looks at store and database and changes nothing. It logs in with the
// current and the pending version to find out whether they are accepted.
func (r *Rotator) Status(ctx context.Context) (Status, error) {
	run := r.look()
	f, err := run.look(ctx)
	if err != nil {
		return Status{}, err
	}
	s := Status{Secret: r.config.Store.Name(), Strategy: r.config.Target.Strategy(), Applied: f.applied, Rotated: run.state.Rotated()}
	if s.Strategy.Leaves {
		if s.Left, err = run.left(ctx); err != nil {
			return s, err
		}
	}
	// Before the logins below, which would be among them.
	if s.Consumers, err = run.consumers(ctx, s.Left); err != nil {
		return s, err
	}
	if s.Current, err = run.info(ctx, &run.state.Current); err != nil {
		return s, err
	}
	if run.state.Previous != nil {
		s.Previous = &Info{run.state.Previous.Token, run.state.Previous.Credential.Username, run.state.Previous.Created, false}
	}
	if run.open() {
		if s.Pending, err = run.info(ctx, run.state.Pending); err != nil {
			return s, err
		}
		s.Next = next(s.Strategy, f, known{})
	}
	if s.Next == "" {
		s.Next = StepCreate
		if len(s.Left) > 0 {
			s.Next = StepDrain
		}
	}
	s.Mismatch = s.mismatch()
	return s, nil
}

func (r *run) info(ctx context.Context, v *Version) (*Info, error) {
	ctx, cancel := context.WithTimeout(ctx, r.config.StepTimeout)
	defer cancel()
	accepted, err := r.config.Target.Accepts(ctx, v.Credential)
	if err != nil {
		return nil, fmt.Errorf("rotate: %s: a login as %q could not be tried: %w", r.config.Store.Name(), v.Credential.Username, err)
	}
	return &Info{v.Token, v.Credential.Username, v.Created, accepted}, nil
}

func (s Status) mismatch() string {
	switch {
	case s.Current.Accepted:
		return ""
	case s.Pending != nil && s.Pending.Accepted:
		return "the database is ahead of the store: the pending version logs in and the current one does not; Rotate finishes that, Rollback undoes it"
	case s.Pending != nil:
		return "neither the current nor the pending version logs in: somebody has changed the database; Rotate or Rollback sets it again"
	}
	return "the current version does not log in: somebody has changed the database; Rotate gives the secret a new credential"
}

// A Plan is what Rotate would do now.
type Plan struct {
	Status
	Steps []Step // in order; those of Status.Left come first
}

// Plan looks like [Rotator.Status] and tells the steps of a rotation that would
// begin now. It writes nothing.
func (r *Rotator) Plan(ctx context.Context) (Plan, error) {
	s, err := r.Status(ctx)
	if err != nil {
		return Plan{}, err
	}
	steps := order(s.Strategy)
	if s.Pending == nil {
		return Plan{s, append(slices.Repeat(retiring(s.Strategy), len(s.Left)), steps...)}, nil
	}
	return Plan{s, steps[slices.Index(steps, s.Next):]}, nil
}

// RehearseOptions adjust a rehearsal. The zero value, or nil, means the defaults.
type RehearseOptions struct {
	// InPlace lets a rehearsal take set where that changes the password of the current
	// user: until it is undone, nobody can log in with the current one. By default a
	// rehearsal of such a strategy ends before set.
	InPlace bool
}

// Rehearse rotates up to a step, which it does not take, and undoes what was done, on
// the real store and database. It is undone as well if it fails, or ctx ends, on the
// way. A rotation that is under way is not touched.
//
// until is a step that comes after create, promote at the latest, in the order of the
// target's strategy ([Rotator.Plan] lists it).
func (r *Rotator) Rehearse(ctx context.Context, until Step, opts *RehearseOptions) (Result, error) {
	steps := order(r.config.Target.Strategy())
	at, promote := slices.Index(steps, until), slices.Index(steps, StepPromote)
	switch {
	case at < 1 || at > promote:
		return Result{}, fmt.Errorf("rotate: a rehearsal ends before one of the steps %v, not %q", steps[1:promote+1], until)
	case r.config.Target.Strategy().InPlace && at > slices.Index(steps, StepSet) && (opts == nil || !opts.InPlace):
		return Result{}, fmt.Errorf("rotate: a rehearsal up to %s changes the password that is in use; force it, or end before %s", until, StepSet)
	}
	return r.do(ctx, func(ctx context.Context, run *run) error {
		run.until = until
		return run.rehearse(ctx)
	})
}

func (r *run) rehearse(ctx context.Context) error {
	if err := r.read(ctx); err != nil {
		return err
	}
	if r.open() {
		return fmt.Errorf("rotate: %s: %w: finish it with Rotate, or undo it with Rollback", r.config.Store.Name(), ErrRunning)
	}
	if err := r.finishRollback(ctx); err != nil {
		return err
	}
	err := r.create(ctx, newToken())
	if err == nil {
		err = r.forward(ctx)
	}
	return errors.Join(err, r.unrehearse(context.WithoutCancel(ctx)))
}

// unrehearse undoes what the rehearsal has come to, if nobody else has.
func (r *run) unrehearse(ctx context.Context) error {
	if err := r.read(ctx); err != nil {
		return err
	}
	if p := r.state.Pending; p == nil || p.Token != r.result.To {
		return nil
	}
	return r.back(ctx)
}
