package refresh_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/refresh"
)

func TestHealth(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Hour)
		r := start(t, s, &refresh.Options{Name: "orders"})
		h := r.Health()
		assert.Equal(t, refresh.Health{
			Name: "orders", State: refresh.Fresh, Generation: 1, Username: "u1", Version: h.Version,
			Issued: h.Issued, Expires: h.Issued.Add(time.Hour), Reason: "lease",
			LastSuccess: h.Issued, NextAttempt: h.NextAttempt, LiveLeases: 1,
		}, h)
		assert.NotEmpty(t, h.Version)
		assert.True(t, h.NextAttempt.After(h.Issued.Add(20*time.Minute-1)))
		require.NoError(t, r.Trouble())

		down(s)
		advance(41 * time.Minute)
		h = r.Health()
		assert.Equal(t, refresh.Degraded, h.State)
		assert.Contains(t, h.Why, "the last good credential serves")
		assert.Positive(t, h.Failures)
		assert.Equal(t, errAway.Error(), h.LastError)
		assert.True(t, h.LastFailure.After(h.LastSuccess))
		require.NoError(t, r.Trouble(), "logins are possible")

		r.Invalidate(1)
		h = r.Health()
		assert.Equal(t, 1, h.Rejections)
		assert.Contains(t, h.Why, "rejected 1 login")

		advance(time.Hour)
		h = r.Health()
		assert.Equal(t, refresh.Expired, h.State)
		require.ErrorIs(t, r.Trouble(), refresh.ErrExpired)
		require.ErrorIs(t, r.Trouble(), errAway)
		require.ErrorContains(t, r.Trouble(), "orders")

		up(s)
		advance(time.Minute)
		h = r.Health()
		assert.Equal(t, refresh.Fresh, h.State)
		assert.Empty(t, h.Why)
		assert.Zero(t, h.Failures)
		assert.NotEmpty(t, h.LastError, "kept after a recovery")

		r.Close()
		h = r.Health()
		assert.Equal(t, refresh.Closed, h.State)
		assert.NotEmpty(t, h.Why)
	})
}

func TestHealthJSON(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := start(t, script(), nil)
		text, err := json.Marshal(r.Health())
		require.NoError(t, err)
		assert.Contains(t, string(text), `"state":"fresh"`)
		assert.NotContains(t, string(text), "expires", "no known end")
	})
}

func TestHealthWhileClosing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Hour)
		r := start(t, s, nil)
		s.HangRevoke(true)
		closed := later(func() error { r.Close(); return nil })
		require.True(t, pending(closed))
		assert.Equal(t, refresh.Closed, r.Health().State)
		_, err := r.Latest(t.Context())
		require.ErrorIs(t, err, refresh.ErrClosed)
		require.ErrorIs(t, r.Refresh(t.Context()), refresh.ErrClosed)
		<-closed
	})
}

// curious is a slog.Handler that looks at the refresher whenever it logs.
type curious struct {
	slog.Handler
	look func()
}

func (c curious) Handle(context.Context, slog.Record) error {
	c.look()
	return nil
}

func TestNoLockIsHeldWhileLogging(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Hour)
		var made atomic.Pointer[refresh.Refresher]
		var logged atomic.Int32
		look := func() {
			if logged.Add(1); made.Load() != nil {
				r := made.Load()
				_ = r.Health()
				_ = r.Trouble()
			}
		}
		opts := &refresh.Options{Logger: slog.New(curious{slog.NewTextHandler(&journal{}, nil), look})}
		r, err := refresh.New(t.Context(), s, opts)
		require.NoError(t, err)
		made.Store(r)
		db := &database{}
		attach(t, r, db)
		s.FailRevoke(errDenied)
		db.refuses(rejection("no"), "u2")
		require.Error(t, r.Refresh(t.Context()))
		require.NoError(t, r.Refresh(t.Context()))
		synctest.Wait()
		r.Close()
		assert.Greater(t, logged.Load(), int32(5))
	})
}

func TestRefreshWhileClosing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		s.Delay(time.Second)
		r := start(t, s, nil)
		inFlight := later(func() error { return r.Refresh(t.Context()) })
		waiting := later(func() error { return r.Refresh(t.Context()) })
		r.Close()
		require.ErrorIs(t, <-inFlight, refresh.ErrClosed)
		require.ErrorIs(t, <-waiting, refresh.ErrClosed)
	})
}

func TestShutdownDoesNotWaitForASourceThatHangs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		stuck := &database{}
		s := script()
		r := start(t, s, nil)
		attach(t, r, stuck)
		stop := r.OnChange(func(refresh.Snapshot) { <-release })
		s.Set(cred("next"))
		later(func() error { return r.Refresh(t.Context()) })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := r.Shutdown(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "has not returned")
		close(release)
		stop()
	})
}
