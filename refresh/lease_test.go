package refresh_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
)

func TestLeaseIsReplacedBeforeItsEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Hour)
		r := start(t, s, nil)
		advance(19 * time.Minute)
		assert.Equal(t, 1, s.Calls())
		advance(22 * time.Minute)
		assert.EqualValues(t, 2, r.Current().Generation)
		assert.Equal(t, []string{"u1"}, s.Revoked(), "nobody holds it")
		assert.Equal(t, 1, s.Live())
		assert.Equal(t, 1, r.Health().LiveLeases)
		assert.Zero(t, s.Renewals())
	})
}

func TestLeaseIsRenewedWhenTheFetchFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Hour)
		r := start(t, s, nil)
		a := attach(t, r, &database{})
		h := hold(t, a)
		before := h.Deadline()
		s.Fail(errAway)
		advance(41 * time.Minute)
		assert.EqualValues(t, 1, r.Current().Generation)
		assert.Equal(t, 1, s.Renewals())
		health := r.Health()
		assert.Equal(t, refresh.Degraded, health.State, "the failure shows although the lease lives on")
		assert.Contains(t, health.LastError, errAway.Error())
		assert.Equal(t, 1, health.Renewals)
		assert.True(t, h.Deadline().After(before), "the end moves for whoever holds it")
		s.Recover()
		advance(41 * time.Minute)
		assert.Greater(t, r.Current().Generation, uint64(1))
		assert.Equal(t, refresh.Fresh, r.Health().State)
		h.Release()
	})
}

func TestF03_ReplacedLeaseIsNotRenewed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Hour)
		r := start(t, s, &refresh.Options{PreferRenew: true, Poll: -1})
		h := hold(t, attach(t, r, &database{})) // keeps u1 alive
		advance(10 * time.Minute)
		s.TTL(100 * time.Hour)
		require.NoError(t, r.Refresh(t.Context()))
		advance(10 * time.Hour)
		assert.Zero(t, s.Renewals(), "the renewal planned for u1 is gone with it")
		assert.Equal(t, []string{"u1"}, s.Revoked(), "at its deadline")
		h.Release()
	})
}

func TestPreferRenew(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Hour)
		r := start(t, s, &refresh.Options{PreferRenew: true})
		advance(24 * time.Hour)
		assert.Equal(t, 1, s.Calls(), "one role for the day")
		assert.Greater(t, s.Renewals(), 24)
		assert.Less(t, s.Renewals(), 24*3+1)
		assert.EqualValues(t, 1, r.Current().Generation)
		assert.Equal(t, refresh.Fresh, r.Health().State)
		require.NoError(t, r.Refresh(t.Context()))
		assert.EqualValues(t, 2, r.Current().Generation, "an operator wants a new one")
	})
}

func TestF04_TruncatedGrantMeansReplace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Hour)
		s.MaxTTL(90 * time.Minute)
		start(t, s, &refresh.Options{PreferRenew: true})
		advance(24 * time.Hour)
		assert.LessOrEqual(t, s.Renewals(), s.Calls()*2, "full ones and a truncated one for each credential")
		assert.Less(t, s.Calls()+s.Renewals(), 80, "no spinning")
		assert.Equal(t, 1, s.Live())
	})
}

func TestF04_MillisecondLeasesDoNotSpin(t *testing.T) {
	for name, o := range map[string]*refresh.Options{
		"replace": {}, "renew": {PreferRenew: true}, "margin": {Margin: time.Hour}, "ahead": {Ahead: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := leases(3 * time.Millisecond)
				r := start(t, s, o)
				done := later(func() error { // someone who needs it all the time
					for range 1000 {
						if _, err := r.Latest(t.Context()); err != nil {
							return err
						}
						advance(time.Millisecond)
					}
					return nil
				})
				advance(10 * time.Minute)
				assert.Less(t, s.Calls()+s.Renewals(), 4*10*60)
				r.Close()
				<-done
			})
		})
	}
}

func TestF04_GrantsWithoutAnyTimeDoNotSpin(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Hour)
		s.MaxTTL(time.Hour) // each renewal ends where the first grant ended
		r := start(t, s, &refresh.Options{PreferRenew: true})
		s.Fail(errAway)
		advance(59 * time.Minute)
		assert.Equal(t, 1, s.Renewals())
		assert.Less(t, s.Calls(), 200)
		assert.Equal(t, refresh.Degraded, r.Health().State)
	})
}

func TestF05_EmptyRenewalIsNoRenewal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Hour)
		s.EmptyRenew(true)
		r := start(t, s, &refresh.Options{PreferRenew: true})
		end := r.Current().Expires
		advance(41 * time.Minute)
		assert.Equal(t, 1, s.Renewals())
		assert.EqualValues(t, 2, r.Current().Generation, "replaced at once")
		assert.True(t, r.Current().Expires.After(end))
		assert.Contains(t, r.Health().LastError, "names no new end")
	})
}

func TestF06_EndCountsFromTheStartOfTheRequest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Hour)
		s.Delay(20 * time.Second)
		r := start(t, s, &refresh.Options{PreferRenew: true})
		first := r.Current()
		assert.Equal(t, s.CallTimes()[0], first.Issued)
		assert.Equal(t, s.CallTimes()[0].Add(time.Hour), first.Expires)
		advance(42 * time.Minute)
		renewed := r.Current()
		require.Equal(t, first.Generation, renewed.Generation)
		require.Positive(t, s.Renewals())
		assert.Equal(t, renewed.Issued.Add(time.Hour), renewed.Expires)
		assert.Less(t, renewed.Expires.Sub(first.Expires), 42*time.Minute)
	})
}

// A source that leaves Issued empty gets the start of the refresher's request.
func TestF06_IssuedIsTheRefreshersOwnIfNeedBe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for name, told := range map[string]time.Time{"nothing": {}, "a clock ahead": time.Now().Add(24 * time.Hour)} {
			began := time.Now()
			r := start(t, source.Func(func(context.Context) (source.Credential, error) {
				advance(10 * time.Second)
				c := cred("u")
				c.Issued, c.Expires = told, time.Now().Add(time.Hour)
				return c, nil
			}), nil)
			assert.Equal(t, began, r.Current().Issued, name)
			r.Close()
		}
	})
}

func TestF07_StoreDownForMostOfTheLife(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Hour)
		r := start(t, s, nil)
		a := attach(t, r, &database{})
		down(s)
		for range 59 {
			advance(time.Minute)
			_, err := r.Latest(t.Context())
			require.NoError(t, err)
			hold(t, a).Release() // logins go on
		}
		assert.Equal(t, refresh.Degraded, r.Health().State)
		assert.Greater(t, s.Calls(), 40)
		assert.Less(t, s.Calls()+s.Renewals(), 400, "bounded")

		waiting := later(func() error { _, err := r.Latest(t.Context()); return err })
		advance(30 * time.Minute)
		require.NoError(t, <-waiting, "the last minute")
		assert.Equal(t, refresh.Expired, r.Health().State)
		waiting = later(func() error { h, err := a.Hold(t.Context()); h.Release(); return err })
		require.True(t, pending(waiting))
		up(s)
		advance(2 * time.Second)
		require.NoError(t, <-waiting, "it recovers by itself and soon")
		assert.Equal(t, refresh.Fresh, r.Health().State)
	})
}

// A pause that was drawn while the credential was good does not outlast it.
func TestF07_PauseEndsWithTheCredential(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(10 * time.Minute)
		r := start(t, s, &refresh.Options{MaxBackoff: 24 * time.Hour, MinBackoff: 30 * time.Second})
		down(s)
		advance(10 * time.Minute)
		up(s)
		advance(31 * time.Second)
		assert.EqualValues(t, 2, r.Current().Generation)
	})
}

func TestF08_RefusedRenewalLeadsToOneFetch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Hour)
		s.FailRenew(errDenied)
		r := start(t, s, &refresh.Options{PreferRenew: true})
		advance(41 * time.Minute)
		assert.Equal(t, 1, s.Renewals())
		assert.Equal(t, 2, s.Calls())
		health := r.Health()
		assert.Equal(t, refresh.Fresh, health.State)
		assert.Contains(t, health.LastError, "the policy says no", "the reason is in the status")
		advance(24 * time.Hour)
		assert.Equal(t, s.Calls(), s.Renewals()+1, "one for one, no loop")
	})
}
