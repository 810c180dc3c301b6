package rotate

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// A Schedule says when a secret is due that was rotated last at a time. Package
// rotate/schedule has intervals, cron expressions and windows.
type Schedule interface {
	Next(last, now time.Time) time.Time
}

// longestPause bounds the pause after a rotation that failed; sleep is no longer
// than this either, as the wall clock may be set.
const (
	firstPause   = 10 * time.Second
	longestPause = 10 * time.Minute
)

// Run rotates whenever the schedule says so, until ctx ends. A rotation that was
// broken off is finished at once, whatever the schedule says. After a failure
// it tries again, after growing pauses; failed is called with each, for alerts,
// and may be nil.
func (r *Rotator) Run(ctx context.Context, s Schedule, failed func(error)) error {
	failures := 0
	for {
		wait, err := r.due(ctx, s)
		if err == nil && wait <= 0 {
			_, err = r.Rotate(ctx)
			wait = 0
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			failures++
			if failed != nil && !errors.Is(err, ErrRunning) {
				failed(err)
			}
			bound := min(firstPause<<min(failures-1, 10), longestPause)
			wait = bound/2 + time.Duration(rand.Float64()*float64(bound/2))
		default:
			failures = 0
		}
		select {
		case <-time.After(min(wait, longestPause)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// due returns how long to wait; nothing if a rotation has been broken off.
func (r *Rotator) due(ctx context.Context, s Schedule) (time.Duration, error) {
	run := &run{config: &r.config, attempt: make(map[Step]int)}
	if err := run.read(ctx); err != nil {
		return 0, err
	}
	if run.open() {
		return 0, nil
	}
	return untilNext(s, run.state.Current.Created), nil
}

func untilNext(s Schedule, last time.Time) time.Duration {
	now := time.Now()
	return s.Next(last, now).Sub(now)
}
