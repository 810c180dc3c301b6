package refresh_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/refresh"
)

func TestLoginsInFlightTogetherCountOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		r := start(t, s, nil)
		a := attach(t, r, &database{})
		var logins []*refresh.Hold
		for range 16 {
			logins = append(logins, hold(t, a))
		}
		s.Delay(time.Second)
		for _, h := range logins {
			h.Rejected()
			h.Rejected()
			h.Release()
		}
		assert.Equal(t, 1, r.Health().Rejections)
		advance(time.Minute)
		assert.Equal(t, 1, r.Health().Rejections)
		assert.True(t, s.Bypassed()[1])
	})
}

func TestHoldWaitsForTheNextGeneration(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		r := start(t, s, nil)
		a := attach(t, r, &database{})
		h := hold(t, a)
		s.Delay(500 * time.Millisecond)
		s.Set(cred("next"))
		h.Rejected()
		h.Release()
		began := time.Now()
		again := hold(t, a)
		assert.Equal(t, 500*time.Millisecond, time.Since(began))
		assert.EqualValues(t, 2, again.Generation())
		assert.Equal(t, "next", again.Snapshot().Username)
		assert.True(t, again.Current())
		h.Rejected() // late news of an old one
		h.Accepted()
		assert.Zero(t, r.Health().Rejections)
		again.Release()
	})
}

func TestF24_BudgetThenBreaker(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		r := start(t, s, &refresh.Options{Name: "orders"})
		a := attach(t, r, &database{})
		began := time.Now()
		for _, at := range []time.Duration{0, 1, 3, 7, 15} {
			h := hold(t, a)
			assert.Equal(t, at*time.Second, time.Since(began))
			advance(0)
			h.Rejected()
			h.Release()
		}
		spent := time.Now()
		advance(3 * time.Second) // the source has been asked in vain
		before := time.Now()
		_, err := a.Hold(t.Context())
		require.ErrorIs(t, err, refresh.ErrRejected)
		assert.Equal(t, `refresh: orders of user "u", version "`+r.Current().Version+`": credential rejected by the database 5 times; `+
			`no login is sent before `+spent.Add(10*time.Minute).Format(time.RFC3339)+
			` unless the source has another one, so that the account is not locked`, err.Error())
		assert.Zero(t, time.Since(before), "at once")
		require.EqualError(t, r.Trouble(), err.Error())
		assert.Contains(t, r.Health().Why, "5 logins in a row")

		advance(10 * time.Minute) // half open
		probe := hold(t, a)
		second := later(func() error { _, err := a.Hold(t.Context()); return err })
		require.True(t, pending(second), "one at a time")
		probe.Rejected()
		synctest.Wait()
		require.ErrorIs(t, <-second, refresh.ErrRejected)
		probe.Release()

		advance(10 * time.Minute)
		probe = hold(t, a)
		probe.Accepted()
		hold(t, a).Release()
		hold(t, a).Release()
		assert.Zero(t, r.Health().Rejections)
		require.NoError(t, r.Trouble())
		probe.Release()
	})
}

func spend(t *testing.T, r *refresh.Refresher, a *refresh.Attachment) {
	t.Helper()
	for {
		h, err := a.Hold(t.Context())
		if err != nil {
			require.ErrorIs(t, err, refresh.ErrRejected)
			synctest.Wait()
			require.Equal(t, refresh.Degraded, r.Health().State)
			return
		}
		h.Rejected()
		h.Release()
		synctest.Wait()
	}
}

func TestF24_NewGenerationClosesTheBreaker(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		r := start(t, s, &refresh.Options{LoginPause: -1})
		a := attach(t, r, &database{})
		spend(t, r, a)
		_, err := a.Hold(t.Context())
		require.ErrorContains(t, err, "Refresh is called")
		s.Set(cred("next"))
		advance(10 * time.Second)
		hold(t, a).Release()
	})
}

func TestF24_RefreshClosesTheBreaker(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		r := start(t, s, &refresh.Options{LoginPause: -1})
		a := attach(t, r, &database{})
		spend(t, r, a)
		advance(time.Hour)
		require.NoError(t, r.Refresh(t.Context()))
		hold(t, a).Release()
		require.NoError(t, r.Trouble())
	})
}

func TestRefreshLetsAWaitingLoginGo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		r := start(t, s, nil)
		a := attach(t, r, &database{})
		for range 3 {
			h := hold(t, a)
			h.Rejected()
			h.Release()
		}
		waiting := later(func() error { _, err := a.Hold(t.Context()); return err })
		require.True(t, pending(waiting))
		s.Delay(20 * time.Second)
		began := time.Now()
		later(func() error { return r.Refresh(t.Context()) })
		require.NoError(t, <-waiting)
		assert.Zero(t, time.Since(began))
	})
}

// With a budget of one the breaker is open at the first rejection; whoever
// comes then waits for what the source says to it.
func TestBreakerDoesNotAnswerForTheSource(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		r := start(t, s, &refresh.Options{LoginBudget: 1})
		a := attach(t, r, &database{})
		h := hold(t, a)
		s.Set(cred("next"))
		s.Delay(time.Second)
		h.Rejected()
		held := later(func() error { _, err := a.Hold(t.Context()); return err })
		require.NoError(t, <-held)
		h.Release()
	})
}

func TestProbeThatEndsWithoutAVerdictLetsTheNextGo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		r := start(t, s, nil)
		a := attach(t, r, &database{})
		h := hold(t, a)
		h.Rejected()
		h.Release()
		probe := hold(t, a)
		next := later(func() error { _, err := a.Hold(t.Context()); return err })
		require.True(t, pending(next))
		probe.Release() // the network broke
		require.NoError(t, <-next)
	})
}

// A session that came of a probe ends while another probe is under way.
func TestOldProbeDoesNotMakeRoomForASecondOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		r := start(t, s, nil)
		a := attach(t, r, &database{})
		r.Invalidate(1)
		session := hold(t, a)
		session.Accepted()
		r.Invalidate(1)
		probe := hold(t, a)
		next := later(func() error { h, err := a.Hold(t.Context()); h.Release(); return err })
		require.True(t, pending(next))
		session.Release()
		require.True(t, pending(next), "one at a time")
		r.Invalidate(1) // somebody else has been rejected too
		advance(time.Hour)
		require.True(t, pending(next), "one at a time")
		probe.Release()
		require.NoError(t, <-next)
	})
}

func TestRenewalMovesTheEndForEveryHold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Hour)
		r := start(t, s, &refresh.Options{PreferRenew: true, Margin: time.Minute})
		db := &database{}
		a := attach(t, r, db)
		holds := []*refresh.Hold{hold(t, a), hold(t, a)}
		began := time.Now()
		advance(59*time.Minute + time.Second)
		for _, h := range holds {
			assert.True(t, h.Deadline().After(began.Add(59*time.Minute)))
			assert.False(t, h.Over(time.Now()))
			assert.Equal(t, h.Deadline().Add(time.Minute), h.Snapshot().Expires)
			assert.True(t, h.Over(h.Deadline()))
			assert.True(t, h.Over(h.Deadline().Round(0)), "by the wall clock alone")
			h.Release()
		}
		assert.Positive(t, db.changed())
	})
}

func TestDrainEndsSessionsOfAReplacedCredential(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		r := start(t, s, &refresh.Options{Drain: time.Minute})
		a := attach(t, r, &database{})
		h := hold(t, a)
		assert.True(t, h.Deadline().IsZero(), "no end while it is current")
		s.Set(cred("next"))
		require.NoError(t, r.Refresh(t.Context()))
		assert.Equal(t, time.Now().Add(time.Minute), h.Deadline())
		advance(time.Minute - 1)
		assert.False(t, h.Over(time.Now()))
		advance(1)
		assert.True(t, h.Over(time.Now()))
		h.Release()
	})
}

func TestLoginOnlyExpiryDoesNotEndSessions(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		token := cred("token")
		token.Expires = time.Now().Add(15 * time.Minute)
		s.Set(token)
		r := start(t, s, nil)
		a := attach(t, r, &database{})
		h := hold(t, a)
		advance(20 * time.Minute)
		assert.Equal(t, refresh.Expired, r.Health().State)
		assert.True(t, h.Deadline().IsZero())
		assert.False(t, h.Over(time.Now()))
		h.Release()
	})
}

func TestG7_RejectedCurrentDoesNotWaitForTheOldest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Hour)
		r := start(t, s, nil)
		a := attach(t, r, &database{})
		report := hold(t, a) // a long report with the first lease
		defer report.Release()
		require.NoError(t, r.Refresh(t.Context()))
		began := time.Now()
		login := hold(t, a)
		login.Rejected()
		login.Release()
		latest, err := r.Latest(t.Context())
		require.NoError(t, err)
		assert.EqualValues(t, 3, latest.Generation)
		assert.Less(t, time.Since(began), 5*time.Second, "nobody can log in meanwhile")
		assert.LessOrEqual(t, s.MaxLive(), 2)
	})
}
