package rotate

import (
	"context"
	"errors"
)

// Finish ends what has begun and begins nothing: a rotation that is under way is
// taken to its end, so is a rollback that was broken off between database and
// store, and users that are left behind are retired, unless the database does not
// accept the current credential, which is an error that wraps [ErrMismatch]: then
// one of them may be the last that can log in. It is for programs that come by more
// often than the secret is due.
func (r *Rotator) Finish(ctx context.Context) (Result, error) {
	return r.do(ctx, func(ctx context.Context, run *run) error {
		if err := run.read(ctx); err != nil {
			return err
		}
		if run.open() {
			return run.rotate(ctx)
		}
		return run.finish(ctx)
	})
}

// finish ends what has begun where nothing is pending. A rollback comes first:
// before, an older password is not known to be left, and in place the database
// does not accept what the next rotation would follow.
func (r *run) finish(ctx context.Context) error {
	if err := r.finishRollback(ctx); err != nil {
		return err
	}
	return r.retire(ctx)
}

// prepare is finish before a rotation. A mismatch is what that ends, and who is
// left is retired after it; but an older password has to go before, for the current
// one.
func (r *run) prepare(ctx context.Context) error {
	err := r.finish(ctx)
	if !errors.Is(err, ErrMismatch) {
		return err
	}
	if !r.config.Target.Strategy().Dual {
		return nil
	}
	left, err := r.left(ctx)
	if err != nil {
		return err
	}
	return r.retireAll(ctx, left)
}
