package refresh_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
)

func TestF21_SameNearlyExpiredAnswerDoesNotThrash(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var calls atomic.Int32
		stuck := cred("stuck")
		stuck.Expires = time.Now().Add(time.Hour)
		r := start(t, source.Func(func(context.Context) (source.Credential, error) {
			calls.Add(1)
			if time.Now().Before(stuck.Expires.Add(time.Minute)) {
				c := stuck
				c.Issued = time.Now()
				return c, nil
			}
			return cred("new"), nil
		}), nil)
		advance(55 * time.Minute)
		assert.Greater(t, calls.Load(), int32(20))
		assert.Less(t, calls.Load(), int32(300))
		advance(7 * time.Minute)
		assert.Equal(t, "new", r.Current().Username)
		assert.Less(t, calls.Load(), int32(500))
	})
}

func TestF11_RecheckThatStaysInThePastDoesNotSpin(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var calls atomic.Int32
		rotation := time.Now().Add(time.Hour)
		r := start(t, source.Func(func(context.Context) (source.Credential, error) {
			calls.Add(1)
			c := cred("static")
			if !time.Now().Before(rotation) {
				c = cred("rotated")
			}
			c.Recheck = time.Now() // the store's ttl is stuck at zero
			return c, nil
		}), nil)
		advance(time.Hour)
		assert.Greater(t, calls.Load(), int32(100))
		assert.Less(t, calls.Load(), int32(400))
		advance(31 * time.Second)
		assert.Equal(t, "rotated", r.Current().Username)
	})
}

func TestSameCredentialWithNewTimes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		began := time.Now()
		s := script()
		c := cred("u")
		set := func(expires, recheck time.Duration) {
			c.Expires, c.Recheck = time.Time{}, time.Time{}
			if expires > 0 {
				c.Expires = began.Add(expires)
			}
			if recheck > 0 {
				c.Recheck = began.Add(recheck)
			}
			s.Set(c)
		}
		set(time.Hour, 0)
		r := start(t, s, &refresh.Options{Poll: -1})
		db := &database{}
		attach(t, r, db)
		for _, times := range [][2]time.Duration{{2 * time.Hour, 0}, {2 * time.Hour, time.Hour}, {90 * time.Minute, 0}, {0, 0}, {0, time.Hour}} {
			changes := db.changed()
			set(times[0], times[1])
			require.NoError(t, r.Refresh(t.Context()))
			assert.True(t, c.Expires.Equal(r.Current().Expires), times)
			assert.True(t, c.Recheck.Equal(r.Current().Recheck), times)
			assert.Equal(t, changes+1, db.changed())
		}
		set(0, 0)
		require.NoError(t, r.Refresh(t.Context()))
		advance(24 * time.Hour)
		synctest.Wait()
		_, err := r.Latest(t.Context())
		require.NoError(t, err, "no end is known any more")
		assert.EqualValues(t, 1, r.Current().Generation)
	})
}

// A store that has not heard of the renewal yet does not shorten it.
func TestRenewedEndIsKept(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Hour)
		first, err := s.Credential(t.Context())
		require.NoError(t, err)
		r := start(t, source.Func(func(context.Context) (source.Credential, error) { return first, nil }), &refresh.Options{PreferRenew: true})
		advance(50 * time.Minute)
		end := r.Current().Expires
		require.True(t, end.After(first.Expires))
		require.NoError(t, r.Refresh(t.Context()))
		assert.Equal(t, end, r.Current().Expires)
	})
}
