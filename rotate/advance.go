package rotate

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// phases are the steps that a scheduler of steps knows, and before which step each
// of them ends.
var phases = []struct{ step, until Step }{
	{StepCreate, ""}, {StepSet, StepVerify}, {StepVerify, StepPromote}, {StepPromote, ""},
}

// Advance does one step of the rotation called token, for schedulers that ask for
// each step by itself, as Secrets Manager does: [StepCreate], [StepSet],
// [StepVerify] or [StepPromote]. What comes before a step and has not been done is
// done with it, approval included; promote verifies once more, as nothing is
// promoted that this process has not seen to be fit. A step that has been done is
// nothing. Another rotation that is under way is an error that wraps
// [ErrConflict].
//
// Users that are left behind are retired before create, so by the next rotation.
func (r *Rotator) Advance(ctx context.Context, token string, step Step) (Result, error) {
	at := slices.IndexFunc(phases, func(p struct{ step, until Step }) bool { return p.step == step })
	if at < 0 || token == "" {
		return Result{}, fmt.Errorf("rotate: a rotation %q cannot be advanced to %q: the token must be given and the step be create, set, verify or promote", token, step)
	}
	return r.do(ctx, func(ctx context.Context, run *run) error {
		run.until = phases[at].until
		if err := run.read(ctx); err != nil || run.state.Current.Token == token {
			return err
		}
		if !run.open() && step == StepCreate {
			if err := run.finish(ctx); err != nil && !errors.Is(err, ErrMismatch) { // as in rotate
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
