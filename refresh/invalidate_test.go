package refresh_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/refresh"
)

func TestInvalidateAsksOnceForAll(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		r := start(t, s, nil)
		s.Delay(time.Second)
		s.Set(cred("next"))
		for range 100 {
			r.Invalidate(1)
		}
		waiting := later(func() error { _, err := r.Latest(t.Context()); return err })
		require.True(t, pending(waiting), "the rejected one is not handed out while the source is asked")
		require.NoError(t, <-waiting)
		assert.Equal(t, []bool{false, true}, s.Bypassed())
		assert.EqualValues(t, 2, r.Current().Generation)

		r.Invalidate(1)
		r.Invalidate(7)
		advance(time.Minute)
		assert.Equal(t, 2, s.Calls(), "no-op for other generations")
	})
}

func TestInvalidateFetchBeginsAfterTheRejection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		r := start(t, s, &refresh.Options{Poll: time.Minute})
		s.Delay(30 * time.Second)
		advance(time.Minute) // a poll is in flight and will answer with the old credential
		require.Equal(t, 2, s.Calls())
		s.Set(cred("next"))
		r.Invalidate(1)
		rejected := time.Now()
		waiting := later(func() error { _, err := r.Latest(t.Context()); return err })
		require.NoError(t, <-waiting)
		assert.Equal(t, "next", r.Current().Username)
		times := s.CallTimes()
		require.Len(t, times, 3)
		assert.True(t, times[2].After(rejected))
		assert.Equal(t, []bool{false, false, true}, s.Bypassed())
	})
}

func TestInvalidateWithNothingNewServesTheOldOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		r := start(t, s, nil)
		r.Invalidate(1)
		got, err := r.Latest(t.Context())
		require.NoError(t, err, "the last good one serves")
		assert.EqualValues(t, 1, got.Generation)
		assert.Equal(t, refresh.Degraded, r.Health().State)
		require.ErrorIs(t, r.Trouble(), refresh.ErrRejected)

		advance(time.Hour)
		assert.Less(t, s.Calls(), 400, "it keeps looking, at growing intervals")
		s.Set(cred("next"))
		advance(31 * time.Second)
		assert.Equal(t, "next", r.Current().Username)
		assert.NoError(t, r.Trouble())
	})
}

// The source has been failing for long when the database rejects a login.
func TestInvalidateDoesNotWaitForTheEndOfABackoff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		r := start(t, s, &refresh.Options{Poll: time.Minute, MaxBackoff: time.Hour})
		s.Fail(errAway)
		advance(10 * time.Hour)
		s.Set(cred("next"))
		r.Invalidate(1)
		synctest.Wait()
		assert.Equal(t, "next", r.Current().Username)
	})
}

// A request for something newer than generation 1 waits while generation 2 is
// adopted; the rejection of generation 2 must not be taken for answered then.
func TestInvalidateOfTheNewestIsNotOvertaken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Minute)
		r := start(t, s, &refresh.Options{Poll: -1})
		down(s)
		advance(2 * time.Minute)
		up(s)
		s.TTL(time.Hour)
		stop := r.OnChange(func(snap refresh.Snapshot) {
			if snap.Generation == 2 {
				r.Invalidate(2) // a login has been quick
			}
		})
		defer stop()
		s.Delay(5 * time.Second)
		first := later(func() error { _, err := r.Latest(t.Context()); return err })
		advance(3 * time.Second) // in flight
		second := later(func() error { _, err := r.Latest(t.Context()); return err })
		advance(30 * time.Second)
		require.False(t, pending(first))
		require.False(t, pending(second))
		assert.EqualValues(t, 3, r.Current().Generation)
	})
}

func TestInvalidateAfterCloseIsHarmless(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		r := start(t, s, nil)
		r.Close()
		r.Invalidate(1)
		advance(time.Hour)
		assert.Equal(t, 1, s.Calls())
	})
}
