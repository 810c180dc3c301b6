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
)

var errLost = errors.New("lost: select on public.orders")

func TestReinstateReturnsToThePredecessor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		s.Set(cred("one"))
		r := start(t, s, &refresh.Options{Drain: time.Minute})
		db := &database{}
		a := attach(t, r, db)
		pin := a.Pin()
		defer pin.Release()
		var announced []uint64
		defer r.OnChange(func(s refresh.Snapshot) { announced = append(announced, s.Generation) })()

		s.Set(cred("two"))
		require.NoError(t, r.Refresh(t.Context()))
		bad := hold(t, a)
		require.EqualValues(t, 2, bad.Generation())
		assert.False(t, pin.Current())
		assert.False(t, pin.Deadline().IsZero(), "Drain limits the predecessor")

		require.NoError(t, pin.Reinstate(t.Context(), 2, errLost))
		assert.True(t, pin.Current())
		assert.EqualValues(t, 1, r.Current().Generation, "under its old number")
		assert.Equal(t, "one", r.Current().Username)
		assert.True(t, pin.Deadline().IsZero(), "the limit is lifted")
		assert.False(t, bad.Deadline().IsZero(), "and holds for the other one")
		assert.Equal(t, []uint64{2, 1}, announced)

		h := r.Health()
		assert.Equal(t, refresh.Degraded, h.State)
		assert.Equal(t, `the credential of user "two", version "v-two", was taken back: lost: select on public.orders (credential rejected)`, h.LastError)
		assert.Equal(t, 1, h.Failures)

		verified := len(db.asked())
		advance(300 * time.Millisecond)
		assert.Equal(t, verified, len(db.asked()), "it is not tried again at once")
		s.Set(cred("three"))
		s.Changed()
		advance(time.Second)
		assert.EqualValues(t, 3, r.Current().Generation, "no number is given twice")
		assert.Equal(t, refresh.Fresh, r.Health().State)
		bad.Release()
	})
}

func TestReinstatedAndTheSourceStays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		s.Set(cred("one"))
		r := start(t, s, nil)
		db := &database{}
		a := attach(t, r, db)
		pin := a.Pin()
		defer pin.Release()
		s.Set(cred("two"))
		require.NoError(t, r.Refresh(t.Context()))
		require.NoError(t, pin.Reinstate(t.Context(), 2, errLost))
		db.refuses(errors.Join(errLost, refresh.ErrRejected), "two")
		before := len(db.asked())
		advance(time.Hour)
		assert.EqualValues(t, 1, r.Current().Generation)
		assert.Less(t, len(db.asked())-before, 20, "with growing pauses")
		assert.Greater(t, len(db.asked())-before, 2)
		db.accepts() // the right has been granted
		advance(20 * time.Minute)
		assert.Equal(t, "two", r.Current().Username)
		assert.Equal(t, refresh.Fresh, r.Health().State)
	})
}

func TestReinstateRevokesTheLeaseOfTheUnfit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Hour)
		r := start(t, s, nil)
		a := attach(t, r, &database{})
		pin := a.Pin()
		require.NoError(t, r.Refresh(t.Context()))
		bad := hold(t, a)
		require.NoError(t, pin.Reinstate(t.Context(), 2, errLost))
		advance(0)
		assert.Empty(t, s.Revoked(), "it is still held")
		bad.Release()
		advance(0)
		assert.Equal(t, []string{bad.Snapshot().Username}, s.Revoked())
		assert.LessOrEqual(t, s.MaxLive(), 2)
		pin.Release()
		advance(0)
		assert.Len(t, s.Revoked(), 1, "a current one is not revoked")
		advance(time.Hour)
		assert.LessOrEqual(t, s.MaxLive(), 2)
		assert.Greater(t, r.Current().Generation, uint64(2))
	})
}

func TestReinstateFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		short := cred("one")
		short.Expires = time.Now().Add(time.Minute)
		s.Set(short)
		r := start(t, s, nil)
		a := attach(t, r, &database{})
		pin := a.Pin()
		s.Set(cred("two"))
		require.ErrorContains(t, pin.Reinstate(t.Context(), 7, errLost), "generation 7 is not current any more")
		require.ErrorIs(t, pin.Reinstate(t.Context(), 1, errLost), refresh.ErrExpired, "nothing has replaced it")
		advance(50 * time.Second)
		require.Greater(t, r.Current().Generation, uint64(1))
		advance(15 * time.Second)
		require.ErrorIs(t, pin.Reinstate(t.Context(), r.Current().Generation, errLost), refresh.ErrExpired)

		s.Delay(10 * time.Second)
		go func() { _ = r.Refresh(t.Context()) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, pin.Reinstate(ctx, 2, errLost), context.DeadlineExceeded, "the loop is busy")
		pin.Release()
		r.Close()
		require.ErrorIs(t, pin.Reinstate(t.Context(), 1, errLost), refresh.ErrClosed)
	})
}

func TestReinstateDoesNotWaitForARetirementThatWaitsForIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Hour)
		r := start(t, s, nil)
		a := attach(t, r, &database{})
		pin := a.Pin()
		defer pin.Release()
		require.NoError(t, r.Refresh(t.Context()))
		refreshed := later(func() error { return r.Refresh(context.Background()) })
		require.True(t, pending(refreshed), "the third lease waits for the pin")
		began := time.Now()
		err := pin.Reinstate(t.Context(), 2, errLost)
		assert.Less(t, time.Since(began), time.Second)
		require.ErrorIs(t, err, refresh.ErrExpired)
		pin.Release()
		advance(0)
		require.NoError(t, <-refreshed)
		assert.LessOrEqual(t, s.MaxLive(), 2)
	})
}

// Nothing else is to be had, so the lease that was returned to must be kept.
func TestReinstatedLeaseIsRenewed(t *testing.T) {
	for _, prefer := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			s := leases(time.Hour)
			r := start(t, s, &refresh.Options{PreferRenew: prefer})
			db := &database{}
			a := attach(t, r, db)
			pin := a.Pin()
			defer pin.Release()
			advance(30 * time.Minute)
			if r.Current().Generation == 1 {
				require.NoError(t, r.Refresh(t.Context()))
			}
			require.EqualValues(t, 2, r.Current().Generation)
			require.NoError(t, pin.Reinstate(t.Context(), 2, errLost))
			db.refuses(rejection("lost"))
			for range 100 {
				advance(time.Minute)
				require.EqualValues(t, 1, r.Current().Generation)
				require.NotEqual(t, refresh.Expired, r.Health().State)
			}
			assert.LessOrEqual(t, s.MaxLive(), 2)
		})
	}
}
