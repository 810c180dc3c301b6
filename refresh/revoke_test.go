package refresh_test

import (
	"context"
	"math"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
)

func TestF28_OldLeaseIsRevokedAfterTheLastHold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Hour)
		r := start(t, s, nil)
		a := attach(t, r, &database{})
		one, two := hold(t, a), hold(t, a)
		require.NoError(t, r.Refresh(t.Context()))
		assert.False(t, one.Current())
		assert.Empty(t, s.Revoked())
		one.Release()
		one.Release() // twice is once
		synctest.Wait()
		assert.Empty(t, s.Revoked())
		assert.False(t, two.Over(time.Now()), "still good")
		two.Release()
		synctest.Wait()
		assert.Equal(t, []string{"u1"}, s.Revoked())
		assert.Equal(t, 1, r.Health().LiveLeases)
	})
}

func TestF28_OldLeaseIsRevokedAtItsDeadline(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Hour)
		r := start(t, s, nil)
		h := hold(t, attach(t, r, &database{}))
		end := h.Snapshot().Expires
		s.TTL(24 * time.Hour) // no third lease meanwhile
		advance(41 * time.Minute)
		require.False(t, h.Current())
		assert.Equal(t, end.Add(-5*time.Second), h.Deadline())
		advance(time.Until(h.Deadline()) - time.Nanosecond)
		assert.Empty(t, s.Revoked())
		assert.False(t, h.Over(time.Now()))
		advance(time.Nanosecond)
		assert.True(t, h.Over(time.Now()))
		assert.Equal(t, []string{"u1"}, s.Revoked())
		h.Release()
	})
}

func TestG7_OldestIsRetiredByForceBeforeAThirdLease(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Hour)
		r := start(t, s, nil)
		a := attach(t, r, &database{})
		first := hold(t, a)
		require.NoError(t, r.Refresh(t.Context()))
		second := hold(t, a)
		began := time.Now()
		third := later(func() error { return r.Refresh(t.Context()) })
		require.True(t, pending(third), "the first is asked to leave")
		assert.True(t, first.Over(time.Now()))
		assert.False(t, second.Over(time.Now()))
		require.NoError(t, <-third)
		assert.Equal(t, 30*time.Second, time.Since(began))
		assert.Equal(t, []string{"u1"}, s.Revoked())
		assert.Equal(t, 2, s.MaxLive())

		began = time.Now()
		fourth := later(func() error { return r.Refresh(t.Context()) })
		advance(2 * time.Second)
		second.Release()
		require.NoError(t, <-fourth)
		assert.Equal(t, 2*time.Second, time.Since(began), "nobody waits for longer than it takes to drain")
		assert.Equal(t, 2, s.MaxLive())
		first.Release()
	})
}

// Rotations, logins, sessions, failures and rejections in any order: the store
// never sees a third live lease, and in the end none. A store that does not
// always revoke sees as many as the package says.
func TestG7_AtMostTwoLiveLeases(t *testing.T) {
	for seed := range uint64(80) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				rnd := rand.New(rand.NewPCG(seed, 7))
				ttl := time.Duration(1+rnd.IntN(10)) * time.Minute
				s := leases(ttl)
				revokes := seed%2 == 0
				s.Delay(time.Duration(rnd.IntN(1000)) * time.Millisecond)
				if rnd.IntN(2) == 0 {
					s.MaxTTL(15 * time.Minute)
				}
				r := start(t, s, &refresh.Options{
					PreferRenew: rnd.IntN(2) == 0,
					Drain:       time.Duration(rnd.IntN(3)) * time.Minute,
				})
				db := &database{}
				a := attach(t, r, db)
				var held []*refresh.Hold
				for range 300 {
					switch rnd.IntN(12) {
					case 0:
						later(func() error { return r.Refresh(t.Context()) })
					case 1:
						r.Invalidate(r.Current().Generation)
					case 2:
						s.Fail(errAway)
					case 3:
						s.Recover()
						if !revokes {
							s.FailRevoke([]error{nil, errAway, errDenied, errDenied}[rnd.IntN(4)])
						}
					case 4:
						db.refuses(rejection("no rights"))
					case 5:
						db.refuses(errAway)
					case 6, 7:
						db.accepts()
						db.takes(time.Duration(rnd.IntN(3)) * time.Second)
					case 8, 9:
						ctx, cancel := context.WithTimeout(t.Context(), time.Second)
						if h, err := a.Hold(ctx); err == nil {
							if rnd.IntN(5) == 0 {
								h.Rejected()
							} else {
								h.Accepted()
							}
							held = append(held, h)
						}
						cancel()
					default:
						if n := len(held); n > 0 {
							i := rnd.IntN(n)
							held[i].Release()
							held = append(held[:i], held[i+1:]...)
						}
					}
					advance(time.Duration(rnd.ExpFloat64() * float64(20*time.Second)))
				}
				up(s)
				db.accepts()
				for _, h := range held {
					h.Release()
				}
				advance(22 * time.Minute)
				assert.Equal(t, refresh.Fresh, r.Health().State, r.Health())
				require.NoError(t, r.Shutdown(t.Context()))
				most := 2
				if !revokes {
					most = 3 + int(math.Log2(1+ttl.Seconds()))
				}
				assert.LessOrEqual(t, s.MaxLive(), most)
				assert.Zero(t, s.Live())
				assert.Less(t, s.Calls(), 3000)
			})
		})
	}
}

func TestF10_FailedVerificationsLeaveOneLiveLease(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Hour)
		r := start(t, s, nil)
		db := &database{}
		attach(t, r, db)
		s.FailRenew(errDenied)
		db.refuses(rejection("permission denied for table orders"))
		advance(55 * time.Minute)
		assert.EqualValues(t, 1, r.Current().Generation, "the old one stays")
		assert.Equal(t, 1, s.Live())
		assert.Equal(t, 2, s.MaxLive())
		assert.Greater(t, s.Calls(), 5)
		assert.Contains(t, r.Health().LastError, "permission denied")
		advance(24 * time.Hour) // the old one has ended too
		assert.Equal(t, refresh.Expired, r.Health().State)
		assert.Zero(t, s.Live())
		assert.Less(t, s.Calls(), 25*90, "roles are not minted by the hundred")
		assert.Equal(t, 2, s.MaxLive())
		db.accepts()
		advance(5 * time.Minute)
		assert.Equal(t, refresh.Fresh, r.Health().State)
	})
}

func TestF09_RefusedRevocationIsReported(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Hour)
		r := start(t, s, nil)
		s.FailRevoke(errDenied)
		require.NoError(t, r.Refresh(t.Context()))
		advance(time.Minute)
		assert.Equal(t, 1, r.Health().UnrevokedLeases)
		began := time.Now()
		err := r.Shutdown(t.Context())
		require.ErrorIs(t, err, errDenied)
		require.ErrorContains(t, err, `"u2"`)
		assert.Zero(t, time.Since(began))
		require.ErrorIs(t, r.Shutdown(t.Context()), errDenied, "a second call tries what is left")
		s.FailRevoke(nil)
		require.NoError(t, r.Shutdown(t.Context()))
		require.NoError(t, r.Shutdown(t.Context()))
	})
}

func TestF09_HangingRevocationEndsWithTheContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Hour)
		r := start(t, s, nil)
		s.HangRevoke(true)
		require.NoError(t, r.Refresh(t.Context()))
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		began := time.Now()
		require.ErrorIs(t, r.Shutdown(ctx), context.DeadlineExceeded)
		assert.Equal(t, 2*time.Second, time.Since(began))
	})
}

func TestF09_HangingRevocationDoesNotStarveTheFetch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Minute)
		r := start(t, s, nil)
		db := &database{}
		attach(t, r, db)
		s.HangRevoke(true)
		for range 100 {
			advance(10 * time.Second)
			_, err := r.Latest(t.Context())
			require.NoError(t, err)
			assert.NotEqual(t, refresh.Expired, r.Health().State)
		}
		db.refuses(rejection("no"))
		s.Fail(nil)
		advance(30 * time.Second)
		assert.NotEqual(t, refresh.Expired, r.Health().State, "not held up by giving rejected ones back either")
	})
}

func TestShutdownRevokesWhatIsLeft(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Hour)
		r := start(t, s, nil)
		db := &database{}
		a := attach(t, r, db)
		h := hold(t, a)
		require.NoError(t, r.Refresh(t.Context()))
		require.NoError(t, r.Shutdown(t.Context()))
		assert.ElementsMatch(t, []string{"u1", "u2"}, s.Revoked())
		assert.True(t, h.Over(time.Now()))
		assert.Equal(t, refresh.Closed, r.Health().State)
		h.Accepted()
		h.Rejected()
		h.Release()
		a.Detach()
		_, err := a.Hold(t.Context())
		require.ErrorIs(t, err, refresh.ErrClosed)
		_, err = r.Attach(t.Context(), db)
		require.ErrorIs(t, err, refresh.ErrClosed)
		require.ErrorIs(t, r.Trouble(), refresh.ErrClosed)
	})
}

func TestShutdownRevokesACandidateThatWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Hour)
		r := start(t, s, nil)
		db := &database{}
		attach(t, r, db)
		db.refuses(errAway)
		require.ErrorIs(t, r.Refresh(t.Context()), errAway)
		require.NoError(t, r.Shutdown(t.Context()))
		assert.ElementsMatch(t, []string{"u1", "u2"}, s.Revoked())
	})
}

// slowLease takes its time to give up.
type slowLease struct {
	source.Lease
	revoked atomic.Int32
	good    atomic.Bool
}

func (l *slowLease) Revoke(ctx context.Context) error {
	l.revoked.Add(1)
	if l.good.Load() {
		return nil
	}
	<-ctx.Done()
	time.Sleep(time.Second)
	return ctx.Err()
}

func TestF09ShutdownAgainKnowsWhatIsStillUnanswered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		lease := &slowLease{}
		r := start(t, source.Func(func(context.Context) (source.Credential, error) {
			c := cred("a")
			c.Lease, c.Expires = lease, time.Now().Add(time.Hour)
			return c, nil
		}), nil)
		for want := int32(1); want <= 3; want++ {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			require.ErrorIs(t, r.Shutdown(ctx), context.DeadlineExceeded)
			cancel()
			require.Equal(t, want, lease.revoked.Load())
		}
		advance(2 * time.Second)
		lease.good.Store(true)
		require.NoError(t, r.Shutdown(t.Context()))
		require.NoError(t, r.Shutdown(t.Context()))
		require.EqualValues(t, 4, lease.revoked.Load(), "and no more than that")
	})
}
