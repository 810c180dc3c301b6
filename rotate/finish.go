package rotate

import "context"

// Finish ends what has begun and begins nothing: a rotation that is under way is
// taken to its end, and users that are left behind are retired. It is for programs
// that come by more often than the secret is due.
func (r *Rotator) Finish(ctx context.Context) (Result, error) {
	return r.do(ctx, func(ctx context.Context, run *run) error {
		if err := run.read(ctx); err != nil {
			return err
		}
		if run.open() {
			return run.rotate(ctx)
		}
		return run.retire(ctx)
	})
}
