package rotate

import (
	"context"
	"errors"
	"fmt"
)

// promote moves the pending version to current.
func (r *run) promote(ctx context.Context, c Change) error {
	err := r.config.Store.Promote(ctx, c.Token, r.state.Current.Token)
	return r.settled(ctx, err, func(s State) bool { return s.Current.Token == c.Token })
}

// settled looks again where the store has failed to say that something is done:
// its answer may be lost, and the next run would find nothing to finish and do
// the same once more. That ctx has ended may be why, and keeps it from nothing.
func (r *run) settled(ctx context.Context, err error, done func(State) bool) error {
	if err == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.config.StepTimeout)
	defer cancel()
	if s, readErr := r.config.Store.Read(ctx); readErr == nil && done(s) {
		return nil
	}
	return err
}

// stands reads what was promoted, and makes sure that nobody has undone it between
// the last look and that.
func (r *run) stands(ctx context.Context, c Change, from string) error {
	bounded, cancel := context.WithTimeout(ctx, r.config.StepTimeout)
	defer cancel()
	applied, err := r.config.Target.Applied(bounded, c)
	if err != nil {
		return fmt.Errorf("rotate: %s: whether somebody has undone what was promoted cannot be found out: %w", r.config.Store.Name(), err)
	}
	if applied {
		return r.read(ctx)
	}
	return r.unpromote(ctx, c, from)
}

// unpromote gives the store back what was current before c, if c was promoted
// while somebody undid it. Both of them come by here. If a rotation has begun
// since, it finds c current, and goes on from there.
func (r *run) unpromote(ctx context.Context, c Change, from string) error {
	if err := r.read(ctx); err != nil || r.state.Current.Token != c.Token || r.open() {
		return err
	}
	err := r.step(ctx, StepRestore, c.From.Username, func(ctx context.Context) error { return r.config.Store.Restore(ctx, from, c.Token) })
	if err == nil {
		err = fmt.Errorf("rotate: %s: version %s was promoted and undone at the same time, and %s is current again: %w", r.config.Store.Name(), c.Token, from, ErrConflict)
	}
	return errors.Join(err, r.read(ctx))
}

// back undoes the pending version: first in the database, then in the store, so
// that its password is not forgotten while the database may accept it. Nothing may
// be left of it, if another has done so.
func (r *run) back(ctx context.Context) error {
	if !r.open() {
		return nil
	}
	c, from := r.change(), r.state.Current.Token
	if err := r.step(ctx, StepUndo, c.To.Username, func(ctx context.Context) error { return r.config.Target.Undo(ctx, c) }); err != nil {
		return err
	}
	err := r.step(ctx, StepDiscard, c.To.Username, func(ctx context.Context) error {
		err := r.config.Store.Discard(ctx, c.Token)
		return r.settled(ctx, err, func(s State) bool { return s.Pending == nil || s.Pending.Token != c.Token })
	})
	if err != nil {
		return err
	}
	return r.unpromote(ctx, c, from)
}
