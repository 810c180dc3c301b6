package rotate

import (
	"context"
	"errors"
	"fmt"
)

// ErrNothing is wrapped by Rollback where there is nothing to go back to, and by
// [Disabler] for a user that is not disabled.
var ErrNothing = errors.New("nothing to go back to")

// Rollback undoes the rotation that is under way: the database accepts the
// current credential, and the pending one is discarded. If none is, the secret
// goes back to the previous version, and the database with it: in place its
// password is set again, otherwise its user must still be there. Rollback ends
// with a current credential that the database accepts, or with an error, after which
// it may be repeated. After a success, or a crash that leaves it unknown, look at
// [Rotator.Status] first: the next Rollback goes back one version further, or to where it came
// from. Nobody is asked for approval.
func (r *Rotator) Rollback(ctx context.Context) (Result, error) {
	return r.do(ctx, func(ctx context.Context, run *run) error { return run.rollback(ctx) })
}

// Undo is Rollback for programs: it undoes the rotation that is under way, and does
// nothing if none is, however often it is called.
func (r *Rotator) Undo(ctx context.Context) (Result, error) {
	return r.do(ctx, func(ctx context.Context, run *run) error {
		if _, err := run.look(ctx); err != nil || !run.open() {
			return err
		}
		return run.undo(ctx)
	})
}

func (r *run) undo(ctx context.Context) error {
	if err := r.finishRollback(ctx); err != nil {
		return err
	}
	if err := r.back(ctx); err != nil {
		return err
	}
	return r.proveCurrent(ctx)
}

func (r *run) rollback(ctx context.Context) error {
	if _, err := r.look(ctx); err != nil {
		return err
	}
	if r.open() {
		return r.undo(ctx)
	}
	if r.state.Previous == nil {
		return fmt.Errorf("rotate: %s: %w: no rotation is under way, and the store keeps no previous version", r.config.Store.Name(), ErrNothing)
	}
	return r.restore(ctx)
}

// restore makes the previous version current again: in the database first, so
// that the store never names what does not log in, except in place, where one
// of them is always ahead.
func (r *run) restore(ctx context.Context) error {
	current, previous := r.state.Current, *r.state.Previous
	r.result.Rotation, r.result.From, r.result.To = previous.Token, current.Token, previous.Token
	c := Change{Token: previous.Token, From: current.Credential, To: previous.Credential}
	user := previous.Credential.Username
	err := r.step(ctx, StepUndo, user, func(ctx context.Context) error {
		t := r.config.Target
		if t.Strategy().Dual { // the other way round: the older password becomes the newer
			return t.Set(ctx, c)
		}
		if t.Strategy().Leaves {
			if err := t.Enable(ctx, user); err != nil {
				return err
			}
		}
		accepted, err := t.Accepts(ctx, previous.Credential)
		switch {
		case err != nil || accepted:
			return err
		case t.Strategy().Leaves:
			return fmt.Errorf("%w: user %q does not log in any more", ErrNothing, user)
		}
		return t.Set(ctx, c)
	})
	if err != nil {
		return err
	}
	return r.recall(ctx, current, previous)
}

// recall makes previous current in the store, when the database accepts it.
func (r *run) recall(ctx context.Context, current, previous Version) error {
	user := previous.Credential.Username
	err := r.step(ctx, StepRestore, user, func(ctx context.Context) error {
		err := r.config.Store.Restore(ctx, previous.Token, current.Token)
		err = r.settled(ctx, err, func(s State) bool { return s.Current.Token == previous.Token })
		if s := r.config.Target.Strategy(); err == nil && s.Leaves && !s.Dual {
			// Who disables it meanwhile, to retire it, reads the store afterwards. It is
			// current now, so this is done even if the time of the step is over.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.config.StepTimeout)
			defer cancel()
			err = r.config.Target.Enable(ctx, user)
		}
		return err
	})
	if err != nil {
		return err
	}
	return r.proveCurrent(ctx)
}

// finishRollback does the rest of one that was broken off between database and
// store: the database then is at the previous version, and no rotation could begin
// at the current one, which in place it does not accept.
func (r *run) finishRollback(ctx context.Context) error {
	if s := r.config.Target.Strategy(); !s.InPlace && !s.Dual || r.state.Previous == nil {
		return nil
	}
	current, previous := r.state.Current, *r.state.Previous
	broken, err := r.ahead(ctx, current, previous)
	if err != nil {
		return fmt.Errorf("rotate: %s: whether a rollback was broken off cannot be found out: %w", r.config.Store.Name(), err)
	}
	if !broken {
		return nil
	}
	result := r.result
	r.result.Rotation, r.result.From, r.result.To = previous.Token, current.Token, previous.Token
	err = r.recall(ctx, current, previous)
	result.User = r.result.User
	r.result = result
	return err
}

// ahead reports whether the database has gone back and the store has not.
func (r *run) ahead(ctx context.Context, current, previous Version) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, r.config.StepTimeout)
	defer cancel()
	t := r.config.Target
	applied, err := t.Applied(ctx, Change{Token: previous.Token, From: current.Credential, To: previous.Credential})
	if err != nil || !applied || t.Strategy().Dual {
		return applied && err == nil, err
	}
	accepted, err := t.Accepts(ctx, current.Credential)
	return !accepted, err
}

// proveCurrent logs in with what the store calls current.
func (r *run) proveCurrent(ctx context.Context) error {
	if err := r.read(ctx); err != nil {
		return err
	}
	return r.step(ctx, StepVerify, r.state.Current.Credential.Username, func(ctx context.Context) error {
		accepted, err := r.config.Target.Accepts(ctx, r.state.Current.Credential)
		if err == nil && !accepted {
			err = fmt.Errorf("%w: the database does not accept the current credential; rotate again, or set its password by hand", ErrMismatch)
		}
		return err
	})
}
