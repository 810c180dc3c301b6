package refresh_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/refresh"
)

func TestDoubtAsksTheSourceAndBlamesNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		s.Set(cred("one"))
		r := start(t, s, nil)
		a := attach(t, r, &database{})
		h := hold(t, a)
		calls := s.Calls()
		for range 100 {
			h.Doubt()
			synctest.Wait()
		}
		assert.Equal(t, calls+1, s.Calls(), "not again at once")
		assert.True(t, s.Bypassed()[calls])
		assert.Zero(t, r.Health().Rejections)
		assert.Equal(t, refresh.Fresh, r.Health().State)
		advance(time.Minute)
		s.Set(cred("two"))
		h.Doubt()
		synctest.Wait()
		assert.EqualValues(t, 2, r.Current().Generation)
		h.Doubt() // of an old one
		require.NoError(t, h.Doubted(t.Context()))
		assert.Equal(t, calls+2, s.Calls())
		h.Release()
	})
}

func TestDoubtedLoginsTakeTurnsWithGrowingPauses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		s.Set(cred("one"))
		r := start(t, s, nil)
		a := attach(t, r, &database{})
		began := time.Now()
		var turns []time.Duration
		const callers = 8
		done := make(chan error, callers)
		var mu sync.Mutex // guards turns
		var accepted atomic.Bool
		for range callers {
			go func() {
				h, err := a.Hold(t.Context())
				if err != nil {
					done <- err
					return
				}
				defer h.Release()
				for !accepted.Load() {
					if err := h.Doubted(t.Context()); err != nil {
						done <- err
						return
					}
					mu.Lock()
					turns = append(turns, time.Since(began))
					mu.Unlock()
					if time.Since(began) >= 15*time.Second {
						accepted.Store(true)
						h.Accepted()
					}
				}
				done <- nil
			}()
		}
		for range callers {
			require.NoError(t, <-done)
		}
		require.GreaterOrEqual(t, len(turns), 5)
		assert.Equal(t, []time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second, 15 * time.Second}, turns[:5])
		for _, at := range turns[5:] {
			assert.Equal(t, 15*time.Second, at, "the others follow at once")
		}
		assert.Equal(t, refresh.Fresh, r.Health().State)
	})
}

func TestDoubtedEndsWithItsContextAndTheRefresher(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		r := start(t, s, nil)
		a := attach(t, r, &database{})
		h := hold(t, a)
		defer h.Release()
		s.Fail(errAway)
		require.NoError(t, h.Doubted(t.Context()), "the store is no help, but the login may be tried")
		assert.ErrorContains(t, errAway, r.Health().LastError[len(r.Health().LastError)-len(errAway.Error()):])
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		require.ErrorIs(t, h.Doubted(ctx), context.DeadlineExceeded)
		advance(time.Minute)
		s.Delay(time.Minute)
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, h.Doubted(ctx), context.DeadlineExceeded)
		waiting := later(func() error { return h.Doubted(t.Context()) })
		synctest.Wait()
		r.Close()
		require.ErrorIs(t, <-waiting, refresh.ErrClosed)
		require.ErrorIs(t, h.Doubted(t.Context()), refresh.ErrClosed)
		h.Doubt()
	})
}
