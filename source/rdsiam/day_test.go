package rdsiam_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/rdsiam"
)

// keep is a refresher over the vendor, and how many tokens it has asked for.
func keep(t *testing.T, v aws.CredentialsProvider, o *refresh.Options) (r *refresh.Refresher, asked *atomic.Int64) {
	t.Helper()
	asked = new(atomic.Int64)
	src := rdsiam.New(aws.Config{Region: region, Credentials: v}, endpoint, "app", nil)
	counted := source.Func(func(ctx context.Context) (source.Credential, error) {
		asked.Add(1)
		return src.Credential(ctx)
	})
	o.Logger = logger(t)
	r, err := refresh.New(t.Context(), counted, o)
	require.NoError(t, err)
	t.Cleanup(r.Close)
	return r, asked
}

// At every moment of a day the refresher has a token that the database would
// accept, although the parent credentials end every hour.
func TestADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVendor()
		hour := aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
			v.set(func(v *vendor) { v.now.AccessKeyID = fmt.Sprint(accessKey, v.called) })
			v.endsIn(time.Hour)
			return v.Retrieve(ctx)
		})
		r, asked := keep(t, aws.NewCredentialsCache(hour), &refresh.Options{})
		left, bound := time.Hour, map[string]int{}
		for range 24 * 60 * 6 {
			time.Sleep(10 * time.Second)
			s, err := r.Latest(t.Context())
			require.NoError(t, err)
			left = min(left, time.Until(s.Expires))
			// The keys of before are good until their own end, too, but the
			// source knows of none whose successor it has seen.
			require.NoError(t, accepted(v, s.Credential))
			bound[s.Reason]++
		}
		synctest.Wait()
		t.Logf("in 24 h: %d tokens, %d requests for parent credentials, never less than %v left; bounds %v", asked.Load(), v.calls(), left, bound)
		require.Less(t, asked.Load(), int64(24*14))
		require.Less(t, v.calls(), 24+3)
		require.Greater(t, left, 10*time.Second)
		require.Len(t, bound, 2)
	})
}

// The same credentials again, although they are about to end: the refresher asks
// with growing pauses, uses them to their end, and goes on when there are others.
func TestF21TheSameNearlyEndedParentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVendor()
		v.endsIn(30 * time.Second)
		r, asked := keep(t, aws.NewCredentialsCache(v), &refresh.Options{})
		for time.Until(r.Current().Expires) > 4*time.Second {
			s, err := r.Latest(t.Context())
			require.NoError(t, err)
			require.NoError(t, accepted(v, s.Credential))
			time.Sleep(time.Second)
		}
		first, vended := asked.Load(), v.calls()
		time.Sleep(34 * time.Second) // half a minute after the end
		synctest.Wait()
		t.Logf("until the end: asked %d times, the vendor %d; in the half minute after it: %d and %d", first, vended, asked.Load()-first, v.calls()-vended)
		require.Less(t, first, int64(20))
		require.Less(t, vended, 40)
		require.Less(t, asked.Load()-first, int64(60))
		require.Less(t, v.calls()-vended, 60)
		ctx, cancel := context.WithTimeout(t.Context(), 0)
		defer cancel()
		_, err := r.Latest(ctx)
		var e *rdsiam.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, rdsiam.Ended, e.Kind)
		require.Equal(t, refresh.Expired, r.Health().State)

		v.endsIn(time.Hour)
		s, err := r.Latest(t.Context())
		require.NoError(t, err)
		require.NoError(t, accepted(v, s.Credential))
		require.Equal(t, "token", s.Reason)
	})
}
