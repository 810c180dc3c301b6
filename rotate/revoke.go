package rotate

import (
	"context"
	"fmt"
)

// Revoke is for incidents: somebody has the current credential who should not.
// It rotates at once, twice where the users take turns and the first rotation
// leaves the old user as it was, and waits for nobody: what holds back the next
// step is ended, or left, and the audit says so with the reason. Afterwards the
// credential that was current does not log in, and, if the target is an [Ender],
// its sessions are ended. Services that follow the store log in anew; what they
// were doing in those sessions fails.
//
// In place, a [Rotator.Rollback] afterwards would bring the leaked password back: the
// store keeps it as the previous one until the next rotation. Rotate again instead.
//
// Approval is asked for as ever: give a rotator for incidents a Config.Approve of
// its own. A rotation that is under way is finished first.
func (r *Rotator) Revoke(ctx context.Context, reason string) (Result, error) {
	if reason == "" {
		return Result{}, fmt.Errorf("rotate: %s: to revoke needs a reason, for the audit", r.config.Store.Name())
	}
	return r.do(ctx, func(ctx context.Context, run *run) error {
		run.revoking = reason
		if err := run.read(ctx); err != nil {
			return err
		}
		leaked := run.state.Current
		rounds := 1
		if r.config.Target.Strategy().Reuses {
			rounds++
		}
		for range rounds {
			if err := run.rotate(ctx); err != nil {
				return err
			}
			run.result.Rotation, run.known = "", known{}
		}
		run.result.From, run.result.Rotation = leaked.Token, run.state.Current.Token
		if err := run.expel(ctx, leaked.Credential.Username); err != nil {
			return err
		}
		return run.rejected(ctx, leaked)
	})
}

// expel ends the sessions that Sessions counts, if the target can.
func (r *run) expel(ctx context.Context, user string) error {
	e, ok := r.config.Target.(Ender)
	if !ok {
		return nil
	}
	return r.step(ctx, StepEnd, user, func(ctx context.Context) error {
		_, err := e.End(ctx, user)
		return err
	})
}

// rejected proves that what others know is worth nothing any more.
func (r *run) rejected(ctx context.Context, v Version) error {
	return r.step(ctx, StepVerify, v.Credential.Username, func(ctx context.Context) error {
		accepted, err := r.config.Target.Accepts(ctx, v.Credential)
		if err == nil && accepted {
			err = fmt.Errorf("%w: version %s still logs in", ErrConflict, v.Token)
		}
		return err
	})
}
