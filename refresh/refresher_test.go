package refresh_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
)

func TestNewWaitsForAFirstCredential(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		s.Fail(errAway)
		time.AfterFunc(5*time.Second, s.Recover)
		r := start(t, s, nil)
		assert.EqualValues(t, 1, r.Current().Generation)
		assert.Equal(t, "u", r.Current().Username)
		assert.NotEmpty(t, r.Current().Version)
		assert.False(t, r.Current().Issued.IsZero())
		assert.Greater(t, s.Calls(), 2)
		assert.Less(t, s.Calls(), 20, "with pauses")
	})
}

func TestNewGivesUp(t *testing.T) {
	empty := source.Func(func(context.Context) (source.Credential, error) { return source.Credential{}, nil })
	ended := source.Func(func(context.Context) (source.Credential, error) {
		c := cred("late")
		c.Expires = time.Now().Add(-time.Second)
		return c, nil
	})
	failing := func(err error) source.Source {
		return source.Func(func(context.Context) (source.Credential, error) { return source.Credential{}, err })
	}
	hanging := source.Func(func(ctx context.Context) (source.Credential, error) {
		<-ctx.Done()
		return source.Credential{}, ctx.Err()
	})
	for name, c := range map[string]struct {
		src   source.Source
		after time.Duration
		is    error
		says  string
	}{
		"nil source":       {nil, 0, nil, "needs a source"},
		"permanent":        {failing(errDenied), 0, errDenied, "policy"},
		"timeout":          {failing(errAway), 30 * time.Second, errAway, "no first credential"},
		"hanging":          {hanging, 30 * time.Second, context.DeadlineExceeded, "no first credential"},
		"empty credential": {empty, 30 * time.Second, nil, "empty credential"},
		"ended credential": {ended, 30 * time.Second, nil, "ended at"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				began := time.Now()
				_, err := refresh.New(t.Context(), c.src, quiet(nil))
				require.ErrorContains(t, err, c.says)
				if c.is != nil {
					require.ErrorIs(t, err, c.is)
				}
				assert.Equal(t, c.after, time.Since(began))
			})
		})
	}
}

func TestNewStopsWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		s.Fail(errAway)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		_, err := refresh.New(ctx, s, quiet(nil))
		require.ErrorIs(t, err, errAway)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Zero(t, s.Watchers(), "nothing is left behind")
	})
}

func TestNewsContextGovernsTheStartOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		r, err := refresh.New(ctx, s, quiet(nil))
		require.NoError(t, err)
		defer r.Close()
		cancel()
		advance(10 * time.Hour)
		assert.Equal(t, refresh.Fresh, r.Health().State)
		assert.Greater(t, s.Calls(), 10)
	})
}

func TestNewMissesNoChangeWhileItStarts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		s.Delay(time.Second)
		time.AfterFunc(time.Second/2, func() {
			s.Set(cred("changed"))
			s.Changed()
		})
		r := start(t, s, &refresh.Options{Poll: -1})
		advance(time.Second)
		assert.Equal(t, "changed", r.Current().Username)
	})
}

func TestLatestIsFree(t *testing.T) {
	r, err := refresh.New(t.Context(), leases(time.Hour), quiet(nil))
	require.NoError(t, err)
	defer r.Close()
	ctx := t.Context()
	assert.Zero(t, testing.AllocsPerRun(1000, func() {
		if _, err := r.Latest(ctx); err != nil {
			t.Error(err)
		}
		_ = r.Current()
	}))
}

func BenchmarkLatest(b *testing.B) {
	r, err := refresh.New(b.Context(), leases(time.Hour), quiet(nil))
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := r.Latest(context.Background()); err != nil {
				b.Error(err)
			}
		}
	})
}

func TestF16_ManyOnAnExpiredCredentialShareOneFetch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Minute)
		r := start(t, s, nil)
		down(s)
		advance(2 * time.Minute)
		require.Equal(t, refresh.Expired, r.Health().State)
		up(s)
		s.Delay(3 * time.Second)

		before := s.Calls()
		var waits []<-chan error
		for range 100 {
			waits = append(waits, later(func() error {
				got, err := r.Latest(t.Context())
				if err == nil && got.Generation != 2 {
					err = errors.New("the wrong generation")
				}
				return err
			}))
		}
		advance(6 * time.Second)
		for _, w := range waits {
			require.NoError(t, <-w)
		}
		advance(0)
		assert.Equal(t, before+1, s.Calls())
	})
}

func TestF30_CancelledCallerDoesNotCancelTheFetch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		r := start(t, s, nil)
		s.Delay(10 * time.Second)
		s.Set(cred("next"))
		ctx, cancel := context.WithCancel(t.Context())
		impatient := later(func() error { return r.Refresh(ctx) })
		patient := later(func() error { return r.Refresh(t.Context()) })
		cancel()
		require.ErrorIs(t, <-impatient, context.Canceled)
		require.NoError(t, <-patient)
		assert.Equal(t, "next", r.Current().Username)
	})
}

func TestF27_EveryWaitEndsWithItsContext(t *testing.T) {
	for name, wait := range map[string]func(context.Context, *refresh.Refresher, *refresh.Attachment) error{
		"Latest": func(ctx context.Context, r *refresh.Refresher, _ *refresh.Attachment) error {
			_, err := r.Latest(ctx)
			return err
		},
		"Credential": func(ctx context.Context, r *refresh.Refresher, _ *refresh.Attachment) error {
			_, err := r.Credential(ctx)
			return err
		},
		"Refresh": func(ctx context.Context, r *refresh.Refresher, _ *refresh.Attachment) error { return r.Refresh(ctx) },
		"Attach": func(ctx context.Context, r *refresh.Refresher, _ *refresh.Attachment) error {
			_, err := r.Attach(ctx, &database{})
			return err
		},
		"Hold": func(ctx context.Context, _ *refresh.Refresher, a *refresh.Attachment) error {
			_, err := a.Hold(ctx)
			return err
		},
	} {
		for end, ends := range map[string]error{"context": context.Canceled, "close": refresh.ErrClosed} {
			t.Run(name+"/"+end, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					s := leases(time.Minute)
					r := start(t, s, nil)
					a := attach(t, r, &database{})
					down(s)
					s.Delay(20 * time.Second)
					advance(5 * time.Minute)
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					waiting := later(func() error { return wait(ctx, r, a) })
					advance(time.Second)
					require.True(t, pending(waiting))
					began := time.Now()
					if end == "context" {
						cancel()
					} else {
						r.Close()
					}
					err := <-waiting
					require.ErrorIs(t, err, ends)
					assert.Less(t, time.Since(began), 50*time.Millisecond)
					if end == "context" && name != "Refresh" {
						require.ErrorIs(t, err, refresh.ErrExpired, "it tells what was missing")
						require.ErrorIs(t, err, errAway)
					}
				})
			})
		}
	}
}

func TestRefresh(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		r := start(t, s, nil)
		require.NoError(t, r.Refresh(t.Context()), "nothing new is no error")
		assert.EqualValues(t, 1, r.Current().Generation)
		assert.Equal(t, []bool{false, true}, s.Bypassed())

		s.Set(cred("next"))
		require.NoError(t, r.Refresh(t.Context()))
		assert.EqualValues(t, 2, r.Current().Generation)

		s.Fail(errAway)
		require.ErrorIs(t, r.Refresh(t.Context()), errAway)
		s.Recover()
		began := time.Now()
		require.NoError(t, r.Refresh(t.Context()), "a back-off does not hold it up")
		assert.Zero(t, time.Since(began))

		r.Close()
		require.ErrorIs(t, r.Refresh(t.Context()), refresh.ErrClosed)
		_, err := r.Latest(t.Context())
		require.ErrorIs(t, err, refresh.ErrClosed)
	})
}

func TestWatchedChangeIsFetchedAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		r := start(t, s, &refresh.Options{Poll: -1})
		advance(24 * time.Hour)
		assert.Equal(t, 1, s.Calls(), "nothing else to ask for")
		s.Set(cred("next"))
		s.Changed()
		synctest.Wait()
		assert.Equal(t, "next", r.Current().Username)
		r.Close()
		s.Changed()
		synctest.Wait()
		assert.Equal(t, 2, s.Calls(), "not after Close")
		assert.Zero(t, s.Watchers())
	})
}
