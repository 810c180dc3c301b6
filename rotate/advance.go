package rotate

import (
	"context"
	"fmt"
	"slices"
)

// Advance does one step of the rotation called token, for schedulers that ask for
// each step by itself, as Secrets Manager does: [StepCreate], [StepSet],
// [StepVerify] or [StepPromote]. What comes before a step and has not been done is
// done with it. So approval is asked for with the step that needs it, set in place
// and promote otherwise, and promote verifies once more, as nothing is promoted that
// this process has not seen to be fit. A step that has been done is
// nothing. Another rotation that is under way is an error that wraps
// [ErrConflict].
//
// Users that are left behind are retired before create, so by the next rotation.
func (r *Rotator) Advance(ctx context.Context, token string, step Step) (Result, error) {
	if token == "" || !slices.Contains([]Step{StepCreate, StepSet, StepVerify, StepPromote}, step) {
		return Result{}, fmt.Errorf("rotate: a rotation %q cannot be advanced to %q: the token must be given and the step be create, set, verify or promote", token, step)
	}
	return r.do(ctx, func(ctx context.Context, run *run) error {
		if step == StepSet || step == StepVerify {
			steps := order(r.config.Target.Strategy())
			run.until = steps[slices.Index(steps, step)+1]
		}
		if err := run.read(ctx); err != nil || run.state.Current.Token == token {
			return err
		}
		if !run.open() && step == StepCreate {
			if err := run.prepare(ctx); err != nil {
				return err
			}
			if err := run.create(ctx, token); err != nil {
				return err
			}
		}
		switch {
		case !run.open():
			return fmt.Errorf("rotate: %s: version %s is not pending: begin with %s: %w", r.config.Store.Name(), token, StepCreate, ErrConflict)
		case run.state.Pending.Token != token:
			return fmt.Errorf("rotate: %s: version %s is pending: finish it with Rotate, or undo it with Rollback: %w", r.config.Store.Name(), run.state.Pending.Token, ErrConflict)
		case step == StepCreate:
			run.result.Rotation, run.result.From, run.result.To = token, run.state.Current.Token, token
			return nil
		}
		if err := run.finishRollback(ctx); err != nil {
			return err
		}
		return run.forward(ctx)
	})
}
