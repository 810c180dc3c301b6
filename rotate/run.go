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
	var last time.Time // when this has rotated, which not every store remembers
	failures, mismatch := 0, ""
	for {
		wait, err := r.due(ctx, s, last)
		wrong := ""
		switch {
		case err != nil:
		case wait <= 0:
			if _, err = r.Rotate(ctx); err == nil {
				last = time.Now()
			}
		default:
			wrong, err = r.tend(ctx)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if wrong != mismatch && wrong != "" {
			failed(fmt.Errorf("rotate: %s: %w: %s", r.config.Store.Name(), ErrMismatch, wrong))
		}
		mismatch = wrong
		if err == nil {
			failures = 0
		} else {
			failures++
			if !errors.Is(err, ErrRunning) {
				failed(err)
			}
			bound := min(firstPause<<min(failures-1, 10), longestPause)
			wait = bound/2 + time.Duration(rand.Float64()*float64(bound/2))
		}
		select {
		case <-time.After(min(wait, longestPause)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// due returns how long to wait, nothing if a rotation has been broken off.
func (r *Rotator) due(ctx context.Context, s Schedule, last time.Time) (time.Duration, error) {
	run := r.look()
	if err := run.read(ctx); err != nil || run.open() {
		return 0, err
	}
	if t := run.state.Rotated(); t.After(last) {
		last = t
	}
	now := time.Now()
	next := s.Next(last, now)
	if next.IsZero() { // never
		return longestPause, nil
	}
	return max(next.Sub(now), 0), nil
}

// tend does what is to be done between two rotations, and returns what is wrong.
func (r *Rotator) tend(ctx context.Context) (mismatch string, err error) {
	if _, err = r.Finish(ctx); errors.Is(err, ErrMismatch) {
		err = nil // as is found out below
	}
	run := r.look()
	if readErr := run.read(ctx); readErr != nil {
		return "", errors.Join(err, readErr)
	}
	current, lookErr := run.info(ctx, &run.state.Current)
	if lookErr != nil {
		return "", errors.Join(err, lookErr)
	}
	return Status{Current: current}.mismatch(), err
}
