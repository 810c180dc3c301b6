package sourcetest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/sourcetest"
)

func TestScriptDelayRespectsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sourcetest.NewScript()
		s.Delay(time.Minute)

		began := time.Now()
		c, err := s.Credential(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "u", c.Username)
		assert.Equal(t, time.Minute, time.Since(began))

		ctx, cancel := context.WithTimeout(source.BypassCache(t.Context()), time.Second)
		defer cancel()
		_, err = s.Credential(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, []time.Time{began, began.Add(time.Minute)}, s.CallTimes())
		assert.Equal(t, []bool{false, true}, s.Bypassed())
		assert.Equal(t, 2, s.Calls())
	})
}

func TestScriptAnswersWhatItHeldWhenTheCallBegan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sourcetest.NewScript()
		s.Delay(time.Minute)
		got := make(chan string)
		go func() {
			c, _ := s.Credential(t.Context())
			got <- c.Username
		}()
		synctest.Wait()
		s.Set(source.Credential{Username: "later"})
		assert.Equal(t, "u", <-got)
	})
}

func TestScriptLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sourcetest.NewScript()
		s.Dynamic(true)
		s.TTL(time.Hour)
		s.MaxTTL(90 * time.Minute)
		start := time.Now()

		first, err := s.Credential(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "u1", first.Username)
		assert.Equal(t, "p1", first.Password.Reveal())
		assert.Equal(t, start, first.Issued)
		assert.Equal(t, start.Add(time.Hour), first.Expires)
		assert.True(t, first.EndsSessions)

		time.Sleep(50 * time.Minute)
		renewed, err := first.Lease.Renew(t.Context())
		require.NoError(t, err)
		assert.True(t, renewed.Same(first))
		assert.Equal(t, start.Add(90*time.Minute), renewed.Expires, "cut to the max TTL")
		assert.Equal(t, "max_ttl", renewed.Reason)

		second, err := s.Credential(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "u2", second.Username)
		assert.Equal(t, 2, s.Live())

		require.NoError(t, second.Lease.Revoke(t.Context()))
		require.NoError(t, second.Lease.Revoke(t.Context()))
		assert.Equal(t, []string{"u2"}, s.Revoked())
		assert.Equal(t, 1, s.Live())

		time.Sleep(40 * time.Minute)
		assert.Equal(t, 0, s.Live())
		assert.Equal(t, 2, s.MaxLive())
		_, err = first.Lease.Renew(t.Context())
		assert.True(t, source.IsPermanent(err))
		assert.Equal(t, 2, s.Renewals())
	})
}

func TestScriptLeaseTroubles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sourcetest.NewScript()
		s.TTL(time.Hour)
		c, err := s.Credential(t.Context())
		require.NoError(t, err)

		refused := errors.New("refused")
		s.FailRenew(refused)
		_, err = c.Lease.Renew(t.Context())
		require.ErrorIs(t, err, refused)
		s.FailRenew(nil)

		s.EmptyRenew(true)
		renewed, err := c.Lease.Renew(t.Context())
		require.NoError(t, err)
		assert.True(t, renewed.Expires.IsZero())

		s.FailRevoke(refused)
		require.ErrorIs(t, c.Lease.Revoke(t.Context()), refused)
		s.FailRevoke(nil)
		s.HangRevoke(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, c.Lease.Revoke(ctx), context.DeadlineExceeded)
		assert.Empty(t, s.Revoked())
		assert.Equal(t, 1, s.Live())
	})
}

func TestScriptOffersCandidates(t *testing.T) {
	s := sourcetest.NewScript()
	s.Offer(source.Credential{Username: "pending"})
	var src source.CandidateSource = s
	candidates, err := src.Candidates(t.Context())
	require.NoError(t, err)
	require.Len(t, candidates, 1)
	assert.Equal(t, "pending", candidates[0].Username)
}

func TestScriptWatch(t *testing.T) {
	s := sourcetest.NewScript()
	calls := 0
	stop := s.Watch(func() { calls++ })
	s.Changed()
	assert.Equal(t, 1, s.Watchers())
	stop()
	stop()
	s.Changed()
	assert.Equal(t, 1, calls)
	assert.Zero(t, s.Watchers())
}
