package rotate

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"time"
)

var host, _ = os.Hostname()

// approve asks for the approval of c.
func (r *run) approve(ctx context.Context, c Change) error {
	if r.config.Approve == nil {
		return nil
	}
	s := r.config.Target.Strategy()
	after := StepPromote
	if s.InPlace {
		after = StepSet
	}
	e := r.event(StepApprove)
	e.Outcome = OutcomeBegun
	r.config.Audit(e)
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, r.config.ApproveTimeout)
	defer cancel()
	approver, err := r.config.Approve(ctx, Request{
		Secret: r.config.Store.Name(), Strategy: s, Rotation: c.Token, Concerns: r.config.Consumers,
		From: c.From, To: c.To, Next: after,
	})
	if err == nil && ctx.Err() != nil { // it comes too late
		approver, err = "", ctx.Err()
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrDenied, err)
	}
	e.Approver, r.result.Approver = approver, approver
	return r.ended(e, begun, err)
}

// drained waits until the pools of this process have let go of version, if one
// is named, and nobody has a session as user any more.
func (r *run) drained(ctx context.Context, step Step, user, version string) error {
	e := r.event(step)
	e.User, e.Outcome = user, OutcomeBegun
	r.config.Audit(e)
	begun := time.Now()
	if r.revoking != "" {
		return r.ended(r.rushed(ctx, e))
	}
	waiting, cancel := context.WithTimeout(ctx, r.config.DrainTimeout)
	defer cancel()
	left, err := r.leave(waiting, user, version)
	if err != nil && ctx.Err() == nil && over(waiting) {
		left, err = r.undrained(ctx, user, err)
		if err == nil {
			e.Forced = fmt.Sprintf("%d sessions of %s are left after %v", left, user, r.config.DrainTimeout)
			r.result.Forced = append(r.result.Forced, e.Forced)
		}
	}
	e.Sessions = left
	return r.ended(e, begun, err)
}

// undrained counts once more who is left when time is up. Nothing is forced that
// could not be counted.
func (r *run) undrained(ctx context.Context, user string, why error) (left int, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.config.StepTimeout)
	defer cancel()
	switch left, err = r.config.Target.Sessions(ctx, user); {
	case err != nil:
		return 0, fmt.Errorf("%w after %v, and by how many sessions cannot be found out: %w", ErrUndrained, r.config.DrainTimeout, err)
	case r.config.ForceDrain:
		return left, nil
	}
	return left, fmt.Errorf("%w by %d sessions after %v: %w", ErrUndrained, left, r.config.DrainTimeout, why)
}

// rushed does not wait: it ends the sessions, if the target can, and says why.
func (r *run) rushed(ctx context.Context, e Event) (Event, time.Time, error) {
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, r.config.StepTimeout)
	defer cancel()
	var err error
	done := "left"
	if ender, ok := r.config.Target.(Ender); ok {
		done = "ended"
		e.Sessions, err = ender.End(ctx, e.User)
	} else {
		e.Sessions, err = r.config.Target.Sessions(ctx, e.User)
	}
	if err == nil {
		e.Forced = fmt.Sprintf("%d sessions of %s are %s: %s", e.Sessions, e.User, done, r.revoking)
		r.result.Forced = append(r.result.Forced, e.Forced)
	}
	return e, begun, err
}

// leave returns how many sessions there were when it last could count them.
func (r *run) leave(ctx context.Context, user, version string) (left int, err error) {
	if version != "" {
		for _, p := range r.config.Pools {
			if err := p.Drained(ctx, version); err != nil {
				return 0, err
			}
		}
	}
	tick := time.NewTicker(r.config.Poll)
	defer tick.Stop()
	for {
		n, err := r.config.Target.Sessions(ctx, user)
		switch {
		case err == nil && n == 0:
			return 0, nil
		case err == nil:
			left = n
		case !over(ctx):
			return left, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return left, ctx.Err()
		}
	}
}

// over reports whether ctx has ended. Its deadline has some effects a little
// earlier, such as on a login that is under way.
func over(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}

// retire retires the users, or the passwords, that earlier rotations have left
// behind. If the database does not accept what is current, one of them may be the
// last that can log in, and the error wraps ErrMismatch.
func (r *run) retire(ctx context.Context) error {
	if !r.config.Target.Strategy().Leaves {
		return nil
	}
	left, err := r.left(ctx)
	if err != nil {
		return err
	}
	if len(left) > 0 && !r.known.verified {
		current, err := r.info(ctx, &r.state.Current)
		if err != nil {
			return err
		}
		if !current.Accepted {
			return fmt.Errorf("rotate: %s: %q are left behind, and not retired: %w: %s", r.config.Store.Name(), left, ErrMismatch, Status{Current: current}.mismatch())
		}
	}
	return r.retireAll(ctx, left)
}

func (r *run) retireAll(ctx context.Context, left []string) error {
	for _, user := range left {
		if err := r.retireOne(ctx, user); err != nil {
			return err
		}
	}
	return nil
}

// retireOne looks at the store once more before each step: another rotator may
// have begun a rotation to user before it was found to be left, or gone back to
// it since.
func (r *run) retireOne(ctx context.Context, user string) error {
	version := ""
	if p := r.state.Previous; p != nil && p.Credential.Username == user {
		version = p.Token
	}
	state := r.state
	if err := r.drained(ctx, StepDrain, user, version); err != nil {
		return err
	}
	t := r.config.Target
	if t.Strategy().Dual {
		return r.discard(ctx, state, user, cmp.Or(version, user))
	}
	if needed, err := r.needed(ctx, user); err != nil || needed {
		return err
	}
	if err := r.step(ctx, StepDisable, user, func(ctx context.Context) error { return t.Disable(ctx, user) }); err != nil {
		return err
	}
	look := context.WithoutCancel(ctx) // who has gone back to it meanwhile could not log in
	if needed, err := r.needed(look, user); err != nil {
		return err
	} else if needed {
		return r.step(look, StepUndo, user, func(ctx context.Context) error { return t.Enable(ctx, user) })
	}
	grace, later, err := r.graceLeft(ctx, user)
	switch {
	case err != nil:
		return err
	case later:
		if !slices.Contains(r.result.Kept, user) {
			r.result.Kept = append(r.result.Kept, user)
		}
		return nil
	}
	if err := r.grace(ctx, grace); err != nil {
		return err
	}
	// Somebody may have logged in between the last look and the disabling.
	if err := r.drained(ctx, StepDrain, user, ""); err != nil {
		return err
	}
	// Who has gone back to it by now has enabled it, and then this fails.
	if err := r.step(ctx, StepRemove, user, func(ctx context.Context) error { return t.Remove(ctx, user) }); err != nil {
		return err
	}
	r.result.Retired = append(r.result.Retired, user)
	return nil
}

// discard takes the older one of two passwords from a user.
func (r *run) discard(ctx context.Context, s State, user, version string) error {
	grace := r.config.Grace
	if r.revoking != "" {
		grace = 0
	}
	if err := r.grace(ctx, grace); err != nil {
		return err
	}
	if err := r.drained(ctx, StepDrain, user, ""); err != nil {
		return err
	}
	err := r.step(ctx, StepRemove, user, func(ctx context.Context) error { return r.config.Target.(Discarder).Discard(ctx, s) })
	if err == nil {
		r.result.Retired = append(r.result.Retired, version)
	}
	return err
}

// needed reports whether the store knows user as current or pending.
func (r *run) needed(ctx context.Context, user string) (bool, error) {
	if err := r.read(ctx); err != nil {
		return false, err
	}
	p := r.state.Pending
	return r.state.Current.Credential.Username == user || p != nil && p.Credential.Username == user, nil
}

// graceLeft is for how long disabling a user can still be taken back: from now on, if
// the target does not remember when that was. If it does, and that is long, it is
// left to a later run to remove the user.
func (r *run) graceLeft(ctx context.Context, user string) (left time.Duration, later bool, err error) {
	if r.revoking != "" {
		return 0, false, nil
	}
	d, ok := r.config.Target.(Disabler)
	if !ok || r.config.Grace == 0 {
		return r.config.Grace, false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.config.StepTimeout)
	defer cancel()
	ago, err := d.Disabled(ctx, user)
	if err != nil {
		return 0, false, fmt.Errorf("rotate: %s: when %q was disabled cannot be found out: %w", r.config.Store.Name(), user, err)
	}
	left = r.config.Grace - ago
	return left, left > r.config.StepTimeout, nil
}

func (r *run) grace(ctx context.Context, left time.Duration) error {
	select {
	case <-time.After(left):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *run) left(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, r.config.StepTimeout)
	defer cancel()
	left, err := r.config.Target.Left(ctx, r.state)
	if err != nil {
		return nil, fmt.Errorf("rotate: %s: the users that are left behind cannot be found out: %w", r.config.Store.Name(), err)
	}
	return left, nil
}
