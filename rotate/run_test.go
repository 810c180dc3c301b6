package rotate_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/schedule"
)

// running runs a rotator for a while of the test's own time, and returns what has
// failed.
func running(t *testing.T, d *database, s rotate.Schedule, long time.Duration, change func(*rotate.Config), meanwhile func(*memory)) (m *memory, failed []error) {
	t.Helper()
	r, m := newRotator(t, d, change)
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	ended := make(chan error)
	go func() { ended <- r.Run(ctx, s, func(err error) { failed = append(failed, err) }) }()
	if meanwhile != nil {
		meanwhile(m)
	}
	require.ErrorIs(t, <-ended, context.DeadlineExceeded)
	return m, failed
}

func every(t *testing.T, interval time.Duration) rotate.Schedule {
	t.Helper()
	s, err := schedule.Every(interval, 0, "orders")
	require.NoError(t, err)
	return s
}

func TestRunRotatesWhenItIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, failed := running(t, newDatabase(single), every(t, time.Hour), 5*time.Hour+time.Minute, nil, nil)
		require.Empty(t, failed)
		require.Equal(t, 6, m.promoted, "at once, as it never was, and then each hour")
	})
}

func TestRunFinishesWhatWasBrokenOffWhateverTheSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		never := schedule.Func(func(_, _ time.Time) time.Time { return time.Time{} })
		m, failed := running(t, newDatabase(parallel), never, 11*time.Minute, nil, func(m *memory) {
			next := firstCredential
			next.Username, next.Version = "user_token", "token"
			require.NoError(t, m.Create(t.Context(), "token", next))
		})
		require.Empty(t, failed)
		require.Equal(t, 1, m.promoted)
	})
}

func TestRunTriesAgainAfterGrowingPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDatabase(single)
		d.down = errors.New("the database is away")
		var at []time.Time
		begun := time.Now()
		_, failed := running(t, d, every(t, time.Hour), 2*time.Hour, func(c *rotate.Config) {
			c.Audit = func(e rotate.Event) {
				if e.Step == rotate.StepApprove {
					t.Error("nothing could be found out, and it goes on")
				}
			}
		}, func(*memory) {
			time.Sleep(time.Hour)
			d.set(func(d *database) { d.down = nil })
			at = append(at, time.Now())
		})
		require.Equal(t, time.Hour, at[0].Sub(begun))
		require.Greater(t, len(failed), 6)
		require.Less(t, len(failed), 25)
		require.ErrorContains(t, failed[0], "the database is away")
		_, failed = running(t, d, every(t, time.Hour), time.Minute, nil, nil)
		require.Empty(t, failed)
	})
}

func TestRunTellsOfAMismatchOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDatabase(single)
		m, failed := running(t, d, every(t, 24*time.Hour), 5*time.Hour, nil, func(m *memory) {
			time.Sleep(time.Minute)
			d.set(func(d *database) { d.users["one"].password = "by hand" })
			time.Sleep(time.Hour)
			s, err := m.Read(t.Context())
			require.NoError(t, err)
			d.set(func(d *database) { d.users["one"].password = s.Current.Credential.Password.Reveal() })
			time.Sleep(time.Hour)
			d.set(func(d *database) { d.users["one"].password = "by hand again" })
		})
		require.Equal(t, 1, m.promoted, "what is wrong is left to people")
		require.Len(t, failed, 2)
		for _, err := range failed {
			require.ErrorIs(t, err, rotate.ErrMismatch)
			require.Equal(t, "mismatch", rotate.Class(err))
		}
	})
}

func TestRunRefusesAScheduleThatLeavesNoTime(t *testing.T) {
	lives := func(c *rotate.Config) { c.Lifetime, c.Propagation = time.Hour, time.Minute }
	r, _ := newRotator(t, newDatabase(single), lives)
	var wrong *schedule.IntervalError
	require.ErrorAs(t, r.Run(t.Context(), every(t, time.Hour), nil), &wrong)
	cron, err := schedule.Cron("*/30 * * * *", time.UTC)
	require.NoError(t, err)
	require.ErrorAs(t, r.Run(t.Context(), cron, nil), &wrong)
	synctest.Test(t, func(t *testing.T) {
		_, failed := running(t, newDatabase(single), every(t, 2*time.Hour), time.Hour, lives, nil)
		require.Empty(t, failed)
	})
}

func TestRunRetiresWhoIsLeftBehindInBetween(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDatabase(parallel)
		d.users["one"].sessions = 1
		_, failed := running(t, d, every(t, 24*time.Hour), 2*time.Hour, nil, func(*memory) {
			time.Sleep(time.Hour)
			d.set(func(d *database) { d.users["one"].sessions = 0 })
		})
		require.NotEmpty(t, failed)
		for _, err := range failed {
			require.ErrorIs(t, err, rotate.ErrUndrained)
		}
		require.Nil(t, d.users["one"], "the day has not ended")
	})
}

func TestRunDoesNotRotateAtOnceAfterARollback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDatabase(alternating)
		r, m := newRotator(t, d, nil)
		_, err := r.Rotate(t.Context())
		require.NoError(t, err)
		_, err = r.Rollback(t.Context())
		require.NoError(t, err)
		begun := m.promoted
		ctx, cancel := context.WithTimeout(t.Context(), 23*time.Hour)
		defer cancel()
		require.ErrorIs(t, r.Run(ctx, every(t, 24*time.Hour), func(err error) { t.Error(err) }), context.DeadlineExceeded)
		require.Equal(t, begun, m.promoted)
	})
}

// What cannot be counted is not forced.
func TestForceNeedsANumber(t *testing.T) {
	for _, counts := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			d := newDatabase(parallel)
			d.users["one"].sessions = 3
			r, _ := newRotator(t, d, func(c *rotate.Config) {
				c.ForceDrain, c.DrainTimeout = true, time.Minute
				c.Audit = func(e rotate.Event) {
					if e.Step == rotate.StepDrain && e.Outcome == rotate.OutcomeBegun && !counts {
						d.set(func(d *database) { d.down = context.DeadlineExceeded })
					}
				}
				c.Pools = []rotate.Pool{stuck{}}
			})
			result, err := r.Rotate(t.Context())
			if counts {
				require.NoError(t, err)
				require.Equal(t, "3 sessions of one are left after 1m0s", result.Forced[0])
				return
			}
			require.ErrorIs(t, err, rotate.ErrUndrained)
			require.Empty(t, result.Forced)
		})
	}
}

// stuck is a pool that never lets go.
type stuck struct{}

func (stuck) Drained(ctx context.Context, _ string) error {
	<-ctx.Done()
	return ctx.Err()
}

// A store that does not say when something was made.
type timeless struct{ *memory }

func (s timeless) Read(ctx context.Context) (rotate.State, error) {
	state, err := s.memory.Read(ctx)
	state.Current.Created = time.Time{}
	if state.Previous != nil {
		was := *state.Previous
		was.Created, state.Previous = time.Time{}, &was
	}
	return state, err
}

func TestRunRemembersWhatTheStoreDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, failed := running(t, newDatabase(single), every(t, time.Hour), 5*time.Hour+time.Minute, func(c *rotate.Config) {
			c.Store = timeless{c.Store.(*memory)}
		}, nil)
		require.Empty(t, failed)
		require.Equal(t, 6, m.promoted)
	})
}

// Who is left behind may be the last that can log in.
func TestNobodyIsRetiredWhileThereIsAMismatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDatabase(parallel)
		d.users["one"].sessions = 1
		r, m := newRotator(t, d, func(c *rotate.Config) { c.DrainTimeout = time.Minute })
		_, err := r.Rotate(t.Context())
		require.ErrorIs(t, err, rotate.ErrUndrained)
		d.users["one"].sessions = 0
		d.users[m.state.Current.Credential.Username].password = "by hand"

		_, err = r.Finish(t.Context())
		require.ErrorIs(t, err, rotate.ErrMismatch)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Hour)
		defer cancel()
		var failed []error
		require.ErrorIs(t, r.Run(ctx, every(t, 24*time.Hour), func(err error) { failed = append(failed, err) }), context.DeadlineExceeded)
		require.Len(t, failed, 1)
		require.ErrorIs(t, failed[0], rotate.ErrMismatch)
		is, err := d.Accepts(t.Context(), firstCredential)
		require.NoError(t, err)
		require.True(t, is)

		_, err = r.Rotate(t.Context())
		require.NoError(t, err)
		require.Nil(t, d.users["one"])
		status, err := r.Status(t.Context())
		require.NoError(t, err)
		require.Empty(t, status.Mismatch)
		require.Empty(t, status.Left)
	})
}

// A grace is counted from when a user was disabled, whoever runs meanwhile, and
// nobody waits for it.
func TestGraceSurvivesRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDatabase(parallel)
		r, m := newRotator(t, d, func(c *rotate.Config) { c.Grace = 24 * time.Hour })
		begun := time.Now()
		result, err := r.Rotate(t.Context())
		require.NoError(t, err)
		require.Equal(t, []string{"one"}, result.Kept)
		require.Empty(t, result.Retired)
		require.Less(t, time.Since(begun), time.Second)
		for range 3 {
			time.Sleep(7 * time.Hour)
			again, err := rotate.New(&rotate.Config{Store: m, Target: d, Grace: 24 * time.Hour})
			require.NoError(t, err)
			result, err = again.Finish(t.Context())
			require.NoError(t, err)
			require.Equal(t, []string{"one"}, result.Kept)
		}
		_, err = r.Rollback(t.Context())
		require.NoError(t, err, "it is taken back")
		_, err = r.Rotate(t.Context())
		require.NoError(t, err)
		time.Sleep(23 * time.Hour)
		require.NotNil(t, d.users["one"], "the grace has begun anew")
		time.Sleep(time.Hour)
		result, err = r.Finish(t.Context())
		require.NoError(t, err)
		require.Contains(t, result.Retired, "one")
		require.Nil(t, d.users["one"])
	})
}
