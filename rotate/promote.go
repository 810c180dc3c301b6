package rotate

import (
	"context"
	"errors"
	"fmt"
)

// promote looks again where the store's answer was lost: the next run would see
// nothing pending, and rotate once more.
func (r *run) promote(ctx context.Context, c Change) error {
	err := r.config.Store.Promote(ctx, c.Token, r.state.Current.Token)
	if err == nil {
		return nil
	}
	if s, readErr := r.config.Store.Read(ctx); readErr == nil && s.Current.Token == c.Token {
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
// that its password is not forgotten while the database may accept it.
func (r *run) back(ctx context.Context) error {
	c, from := r.change(), r.state.Current.Token
	if err := r.step(ctx, StepUndo, c.To.Username, func(ctx context.Context) error { return r.config.Target.Undo(ctx, c) }); err != nil {
		return err
	}
	err := r.step(ctx, StepDiscard, c.To.Username, func(ctx context.Context) error { return r.config.Store.Discard(ctx, c.Token) })
	if err != nil {
		return err
	}
	return r.unpromote(ctx, c, from)
}
