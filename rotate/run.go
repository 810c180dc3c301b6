package rotate

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/rekey-go/rekey/rotate/schedule"
)

// A Schedule says when a secret is due. Package rotate/schedule has intervals, cron
// expressions and windows.
type Schedule = schedule.Schedule

// longestPause bounds the pause after a rotation that failed, and every other: the
// wall clock may be set, and somebody may have changed the database.
const (
	firstPause   = 10 * time.Second
	longestPause = 10 * time.Minute
)

// Run rotates whenever the schedule says so, until ctx ends. A rotation that was
// broken off is finished at once, whatever the schedule says, and users that are
// left behind are retired in between. After a failure it tries again, after
// growing pauses.
//
// In between, at least every 10 minutes, it looks whether the database still
// accepts what the store calls current. Each failure, and each such mismatch when
// it begins, is given to failed, for alerts, which may be nil. A mismatch wraps
// [ErrMismatch] and is left to people: whoever has changed the database may still
// be at it.
//
// A schedule that leaves too little time between two rotations is an error at
// once, see [Config.Lifetime].
func (r *Rotator) Run(ctx context.Context, s Schedule, failed func(error)) error {
	if err := r.config.allows(s); err != nil {
		return err
	}
	if failed == nil {
		failed = func(error) {}
	}
	failures, mismatch := 0, ""
	for {
		wait, wrong, err := r.due(ctx, s)
		switch {
		case err != nil:
		case wait <= 0:
			_, err = r.Rotate(ctx)
			wait, wrong = 0, ""
		default:
			_, err = r.Finish(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			failures++
			if !errors.Is(err, ErrRunning) {
				failed(err)
			}
			bound := min(firstPause<<min(failures-1, 10), longestPause)
			wait = bound/2 + time.Duration(rand.Float64()*float64(bound/2))
		default:
			failures = 0
			if wrong != mismatch && wrong != "" {
				failed(fmt.Errorf("rotate: %s: %w: %s", r.config.Store.Name(), ErrMismatch, wrong))
			}
			mismatch = wrong
		}
		select {
		case <-time.After(min(wait, longestPause)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// due returns how long to wait, nothing if a rotation has been broken off, and
// what is wrong meanwhile.
func (r *Rotator) due(ctx context.Context, s Schedule) (wait time.Duration, mismatch string, err error) {
	run := r.look()
	if err := run.read(ctx); err != nil || run.open() {
		return 0, "", err
	}
	now := time.Now()
	next := s.Next(run.state.Rotated(), now)
	switch {
	case next.IsZero(): // never
		wait = longestPause
	case !next.After(now):
		return 0, "", nil
	default:
		wait = next.Sub(now)
	}
	current, err := run.info(ctx, &run.state.Current)
	if err != nil {
		return 0, "", err
	}
	return wait, Status{Current: current}.mismatch(), nil
}
