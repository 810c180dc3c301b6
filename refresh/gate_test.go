package refresh_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/refresh"
)

func TestG4_VerifiedBeforeAdopted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		r := start(t, s, nil)
		one, two := &database{}, &database{}
		attach(t, r, one)
		attach(t, r, two)
		assert.Equal(t, []string{"u"}, one.asked(), "the current one when it attaches")
		one.takes(5 * time.Second)
		two.takes(5 * time.Second)
		s.Set(cred("next"))
		refreshed := later(func() error { return r.Refresh(t.Context()) })
		advance(9 * time.Second)
		assert.Equal(t, "u", r.Current().Username, "nobody sees it yet")
		require.NoError(t, <-refreshed)
		assert.Equal(t, "next", r.Current().Username)
		assert.Equal(t, []string{"u", "next"}, one.asked())
		assert.Equal(t, []string{"u", "next"}, two.asked())
		assert.Equal(t, 1, one.changed())
	})
}

func TestG4_RejectionKeepsTheOldOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Hour)
		r := start(t, s, nil)
		good, bad := &database{}, &database{}
		attach(t, r, good)
		attach(t, r, bad)
		bad.refuses(rejection("no such role"), "u2")
		err := r.Refresh(t.Context())
		require.ErrorIs(t, err, refresh.ErrRejected)
		require.ErrorContains(t, err, "no such role")
		synctest.Wait()
		assert.EqualValues(t, 1, r.Current().Generation)
		assert.Equal(t, []string{"u2"}, s.Revoked(), "the candidate is given back")
		assert.Equal(t, refresh.Degraded, r.Health().State)
		advance(time.Minute)
		assert.Equal(t, "u3", r.Current().Username)
		assert.EqualValues(t, 2, r.Current().Generation)
		assert.Zero(t, r.Health().Failures)
	})
}

func TestG4_TransientErrorKeepsTheCandidate(t *testing.T) {
	for name, opts := range map[string]*refresh.Options{"replace": {}, "renew": {PreferRenew: true}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := leases(time.Hour)
				s.MaxTTL(time.Hour)
				r := start(t, s, opts)
				db := &database{}
				attach(t, r, db)
				db.refuses(errAway)
				advance(41 * time.Minute)
				require.Equal(t, 2, s.Calls())
				assert.EqualValues(t, 1, r.Current().Generation)
				advance(10 * time.Minute)
				assert.Equal(t, 2, s.Calls(), "verified again, not fetched again")
				assert.Greater(t, len(db.asked()), 10)
				assert.Less(t, len(db.asked()), 250)
				assert.Empty(t, s.Revoked())

				// Its end and those who wait for another change nothing about it.
				advance(10 * time.Minute)
				require.Equal(t, refresh.Expired, r.Health().State)
				waiting := later(func() error { _, err := r.Latest(t.Context()); return err })
				advance(5 * time.Minute)
				require.True(t, pending(waiting))
				db.accepts()
				require.NoError(t, <-waiting)
				assert.Equal(t, "u2", r.Current().Username)
				assert.Equal(t, 2, s.Calls())
			})
		})
	}
}

// The old lease has been renewed because the candidate could not be judged;
// that is no reason to let the candidate wait for another term.
func TestG4_CandidateIsVerifiedSoonAlthoughTheOldLeaseWasRenewed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Hour)
		r := start(t, s, nil)
		db := &database{}
		attach(t, r, db)
		db.refuses(errAway)
		advance(41 * time.Minute)
		require.Equal(t, 1, s.Renewals())
		db.accepts()
		advance(31 * time.Second)
		assert.Equal(t, "u2", r.Current().Username)
		assert.Equal(t, 2, s.Calls())
	})
}

func TestG4_RefreshDropsACandidateFromBefore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Hour)
		r := start(t, s, nil)
		db := &database{}
		attach(t, r, db)
		db.refuses(errAway)
		require.ErrorIs(t, r.Refresh(t.Context()), errAway)
		db.accepts()
		require.NoError(t, r.Refresh(t.Context()))
		synctest.Wait()
		assert.Equal(t, "u3", r.Current().Username, "now means now")
		assert.ElementsMatch(t, []string{"u1", "u2"}, s.Revoked())
		assert.Equal(t, 2, s.MaxLive())
	})
}

func TestRejectedCandidateIsSentAgainOnlyAfterGrowingPauses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		r := start(t, s, &refresh.Options{MaxBackoff: time.Second, LoginBudget: 4})
		db := &database{}
		attach(t, r, db)
		db.refuses(rejection("wrong password"), "early")
		s.Set(cred("early"))
		began := time.Now()
		require.ErrorIs(t, r.Refresh(t.Context()), refresh.ErrRejected)
		asked := func() int { return len(db.asked()) - 1 }
		for _, c := range []struct {
			after time.Duration
			want  int
		}{{900 * time.Millisecond, 1}, {2 * time.Second, 2}, {4900 * time.Millisecond, 3}, {9 * time.Second, 4}, {9 * time.Minute, 4}, {11 * time.Minute, 5}} {
			advance(c.after - time.Since(began))
			assert.LessOrEqual(t, asked(), c.want, c.after)
		}
		assert.Equal(t, 5, asked(), "the budget and the long pause")
		assert.Greater(t, s.Calls(), 500, "while the store is looked at for another")
		assert.Contains(t, r.Health().LastError, "rejected before")
		require.ErrorIs(t, r.Refresh(t.Context()), refresh.ErrRejected)
		assert.Equal(t, 6, asked(), "an operator may insist")
	})
}

func TestRejectedCandidateIsHastenedByARejectionOfTheCurrent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		r := start(t, s, nil)
		db := &database{}
		attach(t, r, db)
		db.refuses(rejection("wrong password"), "early")
		s.Set(cred("early")) // the store is ahead of the database
		require.ErrorIs(t, r.Refresh(t.Context()), refresh.ErrRejected)
		db.accepts() // the database follows
		r.Invalidate(1)
		synctest.Wait()
		assert.Equal(t, "early", r.Current().Username)
	})
}

func TestConsumerThatAttachesMeanwhileIsAskedToo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		r := start(t, s, nil)
		slow, late := &database{}, &database{}
		attach(t, r, slow)
		slow.takes(10 * time.Second)
		s.Set(cred("next"))
		refreshed := later(func() error { return r.Refresh(t.Context()) })
		late.refuses(rejection("not here"), "next")
		attach(t, r, late)
		require.ErrorIs(t, <-refreshed, refresh.ErrRejected)
		assert.Equal(t, []string{"u", "next"}, late.asked())
		assert.Equal(t, "u", r.Current().Username)
	})
}

func TestDetachedConsumerIsNotAsked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		r := start(t, s, nil)
		gone, stays := &database{}, &database{}
		a := attach(t, r, gone)
		attach(t, r, stays)
		gone.takes(time.Minute)
		s.Set(cred("next"))
		refreshed := later(func() error { return r.Refresh(t.Context()) })
		a.Detach() // while it verifies
		a.Detach()
		<-refreshed
		s.Set(cred("third"))
		require.NoError(t, r.Refresh(t.Context()))
		assert.Equal(t, []string{"u", "next"}, gone.asked())
		assert.Equal(t, "third", r.Current().Username)
	})
}

func TestAttach(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		r := start(t, s, nil)
		db := &database{}
		db.refuses(rejection("wrong password"))
		_, err := r.Attach(t.Context(), db)
		require.ErrorIs(t, err, refresh.ErrRejected)
		assert.Equal(t, []bool{false, true}, s.Bypassed(), "one fetch, around every cache")
		assert.Equal(t, []string{"u"}, db.asked())

		s.Set(cred("next"))
		db.refuses(rejection("wrong password"), "u")
		attach(t, r, db)
		assert.Equal(t, "next", r.Current().Username)
		require.NoError(t, r.Trouble())

		away := &database{}
		away.refuses(errAway)
		_, err = r.Attach(t.Context(), away)
		require.ErrorIs(t, err, errAway)
		require.NotErrorIs(t, err, refresh.ErrRejected)
		away.accepts()
		away.takes(time.Hour)
		_, err = r.Attach(t.Context(), away)
		require.ErrorIs(t, err, context.DeadlineExceeded, "Options.Timeout")
		s.Set(cred("third"))
		require.NoError(t, r.Refresh(t.Context()))
		assert.NotContains(t, away.asked(), "third", "one that failed to attach is not asked")
	})
}
