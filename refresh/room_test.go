package refresh_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source/sourcetest"
)

// unrevocable are the ways in which a store does not revoke.
var unrevocable = map[string]func(*sourcetest.Script){
	"refused": func(s *sourcetest.Script) { s.FailRevoke(errDenied) },
	"fails":   func(s *sourcetest.Script) { s.FailRevoke(errAway) },
	"hangs":   func(s *sourcetest.Script) { s.HangRevoke(true) },
}

// serve lets d pass in steps, with a session that stays for a while, and
// requires that a login is possible at each.
func serve(t *testing.T, r *refresh.Refresher, a *refresh.Attachment, d, step time.Duration) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		h := hold(t, a)
		advance(step)
		assert.NotEqual(t, refresh.Expired, r.Health().State)
		h.Release()
	}
}

func TestG7_StoreThatDoesNotRevoke(t *testing.T) {
	renewals := map[string]func(s *sourcetest.Script, ttl time.Duration){
		"granted":   func(*sourcetest.Script, time.Duration) {},
		"truncated": func(s *sourcetest.Script, ttl time.Duration) { s.MaxTTL(ttl * 5 / 4) },
		"at once":   func(s *sourcetest.Script, ttl time.Duration) { s.MaxTTL(ttl) },
		"refused":   func(s *sourcetest.Script, _ time.Duration) { s.FailRenew(errDenied) },
		"fail":      func(s *sourcetest.Script, _ time.Duration) { s.FailRenew(errAway) },
		"empty":     func(s *sourcetest.Script, _ time.Duration) { s.EmptyRenew(true) },
	}
	for how, harm := range unrevocable {
		for renewal, set := range renewals {
			for _, ttl := range []time.Duration{6 * time.Second, time.Minute, time.Hour} {
				t.Run(fmt.Sprint(how, "/", renewal, "/", ttl), func(t *testing.T) {
					bubble(t, func(t *testing.T) {
						s := leases(ttl)
						harm(s)
						set(s, ttl)
						r := start(t, s, nil)
						serve(t, r, attach(t, r, &database{}), 20*ttl, ttl/7)
						assert.Equal(t, 2, s.MaxLive())
						assert.Less(t, s.Calls(), 2*20+2, "a new one when the last but one has ended")
						assert.Greater(t, s.Calls(), 8, "and no less often than that")
						assert.Less(t, s.Renewals(), 20*50, "and renewals do not spin")
						assert.LessOrEqual(t, r.Health().LiveLeases, 2)
						assert.NotEmpty(t, r.Health().RevokeError)
						if renewal != "fail" {
							assert.Equal(t, refresh.Fresh, r.Health().State, r.Health())
						}
					})
				})
			}
		}
	}
}

// Whatever the terms of the store are, and whatever it does not do, two leases
// are enough as long as what it grants works.
func TestG7_TwoLeasesAreEnough(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				rnd := rand.New(rand.NewPCG(seed, 17))
				ttl := time.Duration(60+rnd.IntN(1000)) * time.Second
				s := leases(ttl)
				s.Delay(time.Duration(rnd.IntN(1000)) * time.Millisecond)
				s.MaxTTL(ttl * time.Duration(2+rnd.IntN(6)) / 2)
				if rnd.IntN(3) == 0 {
					s.FailRenew(errDenied)
				}
				r := start(t, s, &refresh.Options{
					PreferRenew: rnd.IntN(2) == 0,
					Ahead:       ttl * time.Duration([]int{0, 2, 3, 4}[rnd.IntN(4)]) / 12,
					Drain:       ttl * time.Duration(rnd.IntN(3)) / 4,
				})
				a := attach(t, r, &database{})
				for range 10 {
					up(s)
					switch rnd.IntN(4) {
					case 0:
						s.FailRevoke(errDenied)
					case 1:
						s.FailRevoke(errAway)
					case 2:
						s.HangRevoke(true)
					default:
						s.HangRevoke(false)
					}
					serve(t, r, a, time.Duration(rnd.Float64()*float64(4*ttl)), ttl/time.Duration(3+rnd.IntN(20)))
				}
				assert.LessOrEqual(t, s.MaxLive(), 2)
			})
		})
	}
}

// The current lease ends before the one that the store does not revoke, and it
// cannot be renewed: a third one is better than none.
func TestG7_AThirdLeaseRatherThanNone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(10 * time.Hour)
		s.FailRevoke(errDenied)
		s.FailRenew(errDenied)
		r := start(t, s, nil)
		a := attach(t, r, &database{})
		s.TTL(time.Minute)
		require.NoError(t, r.Refresh(t.Context()))
		for r.Current().Generation < 10 {
			before := r.Current()
			serve(t, r, a, time.Second, time.Second)
			if r.Current().Generation > before.Generation {
				assert.LessOrEqual(t, time.Until(before.Expires), 10*time.Second, "no sooner than in the last sixth of its life")
				assert.Greater(t, time.Until(before.Expires), 8*time.Second)
			}
		}
		assert.Equal(t, 3, s.MaxLive())
		s.FailRenew(nil)
		advance(20 * time.Second)
		require.NoError(t, r.Refresh(t.Context()))
		advance(time.Minute)
		calls := s.Calls()
		serve(t, r, a, time.Hour, time.Second)
		assert.Equal(t, calls, s.Calls(), "renewed as long as that is granted")
		assert.Equal(t, 2, r.Health().LiveLeases)
		assert.Equal(t, refresh.Fresh, r.Health().State)
	})
}

func TestG7_TheStoreRevokesAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		log := &journal{}
		s := leases(time.Hour)
		s.FailRevoke(errDenied)
		r := start(t, s, &refresh.Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
		assert.Empty(t, r.Health().RevokeError)
		for n := range 3 { // operators in a hurry
			require.NoError(t, r.Refresh(t.Context()))
			advance(10 * time.Second)
			health := r.Health()
			assert.Equal(t, n+2, health.LiveLeases)
			assert.Equal(t, n+1, health.UnrevokedLeases, "each once")
			assert.Contains(t, health.RevokeError, fmt.Sprintf(`"u%d": %v`, n+1, errDenied))
			assert.Contains(t, health.RevokeError, "right to revoke")
			assert.Equal(t, refresh.Fresh, health.State)
		}
		advance(10 * time.Minute)
		assert.Equal(t, 1, strings.Count(log.String(), "lease not revoked"), "once, not with every try")
		assert.Equal(t, 3, r.Health().UnrevokedLeases)

		s.FailRevoke(nil)
		advance(2 * time.Minute)
		assert.ElementsMatch(t, []string{"u1", "u2", "u3"}, s.Revoked())
		assert.Empty(t, r.Health().RevokeError)
		assert.Equal(t, 1, r.Health().LiveLeases)
		assert.Equal(t, 1, strings.Count(log.String(), "revoked again"))

		s.FailRevoke(errDenied)
		require.NoError(t, r.Refresh(t.Context()))
		advance(time.Second)
		assert.Equal(t, 2, strings.Count(log.String(), "lease not revoked"), "a change again")
	})
}

// Candidates that the gate rejects and that the store does not take back.
func TestG7_F10_RejectedCandidatesThatAreNotRevoked(t *testing.T) {
	for how, harm := range unrevocable {
		t.Run(how, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := leases(time.Hour)
				harm(s)
				r := start(t, s, nil)
				db := &database{}
				a := attach(t, r, db)
				db.refuses(rejection("permission denied for table orders"))
				advance(24 * time.Hour)
				assert.Equal(t, 2, s.MaxLive(), "the current one is renewed")
				assert.Less(t, s.Calls(), 24*3)
				assert.Equal(t, refresh.Degraded, r.Health().State)
				assert.Contains(t, r.Health().LastError, "permission denied")

				s.FailRenew(errDenied)
				calls := s.Calls()
				advance(24 * time.Hour)
				assert.Equal(t, refresh.Expired, r.Health().State)
				assert.LessOrEqual(t, s.MaxLive(), 14)
				assert.Less(t, s.Calls()-calls, 24*14)
				db.accepts()
				advance(40 * time.Minute)
				assert.Equal(t, refresh.Fresh, r.Health().State)
				hold(t, a).Release()
			})
		})
	}
}

// Soon after the trouble has begun, it is soon over.
func TestG7_RecoveryTakesNoLongerThanTheTrouble(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Hour)
		s.FailRevoke(errDenied)
		r := start(t, s, nil)
		db := &database{}
		a := attach(t, r, db)
		for _, trouble := range []time.Duration{5 * time.Second, time.Minute, 10 * time.Minute} {
			db.refuses(rejection("no"))
			began := time.Now()
			r.Invalidate(r.Current().Generation)
			advance(trouble)
			db.accepts()
			for r.Health().Rejections > 0 {
				advance(time.Second)
			}
			assert.Less(t, time.Since(began), 2*trouble+10*time.Second)
			hold(t, a).Release()
			advance(2 * time.Hour)
		}
		assert.LessOrEqual(t, s.MaxLive(), 14)
	})
}

func TestG7_ARejectedLoginGetsAThirdLeaseAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Hour)
		s.FailRevoke(errDenied)
		r := start(t, s, nil)
		a := attach(t, r, &database{})
		require.NoError(t, r.Refresh(t.Context()))
		advance(0)
		began := time.Now()
		r.Invalidate(2)
		h := hold(t, a)
		assert.EqualValues(t, 3, h.Generation())
		assert.Zero(t, time.Since(began))
		assert.Equal(t, 3, s.MaxLive())
		h.Release()
	})
}

// A replica that does not know the new users yet: whatever passes the gate is
// rejected by the next login.
func TestG7_RepeatedRejectionsArePaced(t *testing.T) {
	for name, c := range map[string]struct {
		refusal      error
		fetches, max int // in an hour, and at a time
	}{
		"revoked":     {nil, 40, 2},
		"not revoked": {errDenied, 15, 14},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := leases(time.Hour)
				s.FailRevoke(c.refusal)
				r := start(t, s, nil)
				a := attach(t, r, &database{})
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour-time.Second)
				defer cancel()
				for ctx.Err() == nil {
					if h, err := a.Hold(ctx); err == nil {
						h.Rejected()
						h.Release()
					}
					advance(100 * time.Millisecond)
				}
				assert.LessOrEqual(t, s.Calls(), c.fetches)
				assert.GreaterOrEqual(t, s.Calls(), 10)
				assert.LessOrEqual(t, s.MaxLive(), c.max)
				at := s.CallTimes()
				assert.Less(t, at[3].Sub(at[1]), 5*time.Second, "the first ones come soon")
			})
		})
	}
}

func TestG7_RefreshSaysThatThereAreTooMany(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Hour)
		s.FailRevoke(errDenied)
		r := start(t, s, nil)
		require.NoError(t, r.Refresh(t.Context()))
		require.NoError(t, r.Refresh(t.Context()), "a third at once")
		err := r.Refresh(t.Context())
		require.ErrorIs(t, err, refresh.ErrTooManyLeases)
		require.ErrorIs(t, err, errDenied)
		require.ErrorContains(t, err, "no new lease is fetched before "+time.Now().Add(time.Second).Format(time.RFC3339))
		assert.Equal(t, refresh.Fresh, r.Health().State, "the current one serves")
		advance(time.Second)
		require.NoError(t, r.Refresh(t.Context()))
		assert.Equal(t, 4, s.MaxLive())
		for range 1000 {
			_ = r.Refresh(t.Context())
			advance(3 * time.Second)
		}
		assert.LessOrEqual(t, s.MaxLive(), 14)
		r.Invalidate(r.Current().Generation)
		advance(30 * time.Minute)
		assert.Equal(t, refresh.Fresh, r.Health().State)
	})
}

// A wait for room does not make the loop deaf.
func TestG7_WaitingForRoomDoesNotDelayOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Hour)
		s.FailRevoke(errDenied)
		s.FailRenew(errDenied)
		r := start(t, s, nil)
		a := attach(t, r, &database{})
		require.NoError(t, r.Refresh(t.Context()))
		advance(45 * time.Minute)
		require.EqualValues(t, 2, r.Current().Generation, "due, but the first lease has not ended")
		require.True(t, r.Health().NextAttempt.After(time.Now()))
		s.Fail(errAway)
		r.Invalidate(2)
		advance(2 * time.Second)
		s.Recover()
		advance(2 * time.Second)
		h := hold(t, a)
		assert.EqualValues(t, 3, h.Generation())
		h.Release()
	})
}

// A candidate that waits for its verdict counts.
func TestG7_HealthCountsTheCandidate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Hour)
		r := start(t, s, nil)
		db := &database{}
		attach(t, r, db)
		db.refuses(errAway)
		require.ErrorIs(t, r.Refresh(t.Context()), errAway)
		assert.Equal(t, 2, s.Live())
		assert.Equal(t, 2, r.Health().LiveLeases)
		db.accepts()
		advance(time.Minute)
		assert.Equal(t, 1, r.Health().LiveLeases)
	})
}
