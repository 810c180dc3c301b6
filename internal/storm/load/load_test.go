package load_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/storm/load"
)

func TestHistogramQuantiles(t *testing.T) {
	var h load.Histogram
	for us := 1; us <= 10_000; us++ {
		h.Add(time.Duration(us) * time.Microsecond)
	}
	q := h.Quantiles()
	require.EqualValues(t, 10_000, h.Count())
	require.InEpsilon(t, 5_000, q.P50.Microseconds(), 1.0/16)
	require.InEpsilon(t, 9_900, q.P99.Microseconds(), 1.0/16)
	require.InEpsilon(t, 9_990, q.P999.Microseconds(), 1.0/16)
	require.Equal(t, 10*time.Millisecond, q.Max)
}

func TestCountsOfAnInterval(t *testing.T) {
	var h load.Histogram
	empty := h.Counts()
	require.Zero(t, empty.Quantiles())
	for range 100 {
		h.Add(time.Second)
	}
	first := h.Counts()
	require.Equal(t, first, first.Since(empty))
	require.Zero(t, first.Since(first).Total())
	require.Zero(t, first.Since(first).Quantiles())
	for us := 1; us <= 1_000; us++ {
		h.Add(time.Duration(us) * time.Microsecond)
	}
	second := h.Counts().Since(first)
	require.EqualValues(t, 1_000, second.Total())
	q := second.Quantiles()
	require.InEpsilon(t, 500, q.P50.Microseconds(), 1.0/16)
	require.InEpsilon(t, 1_000, q.Max.Microseconds(), 1.0/16, "the second before does not count")
	last := h.Counts()
	h.Add(3 * time.Second)
	require.Equal(t, 3*time.Second, h.Counts().Since(last).Quantiles().Max)
}

func TestHistogramTakesAnyDuration(t *testing.T) {
	for _, d := range []time.Duration{-time.Second, 0, time.Nanosecond, 1<<63 - 1} {
		var h load.Histogram
		h.Add(d)
		require.EqualValues(t, 1, h.Count())
		require.Equal(t, max(d, 0).Truncate(time.Microsecond), h.Quantiles().Max)
	}
}

func TestLoadCountsStatementsAndFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		var n atomic.Int64
		l := load.Start(t.Context(), 4, func(context.Context) error {
			time.Sleep(time.Millisecond)
			if n.Add(1)%10 == 0 {
				return broken
			}
			return nil
		})
		<-time.After(time.Second)
		r := l.Stop()
		require.Equal(t, n.Load(), r.Statements)
		require.Equal(t, n.Load()/10, r.Failed)
		require.ErrorIs(t, r.Err, broken)
		require.Equal(t, time.Millisecond, r.Latency.P50)
	})
}

func TestStopLetsStatementsFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := load.Start(t.Context(), 2, func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Second):
				return nil
			}
		})
		synctest.Wait()
		r := l.Stop()
		require.Zero(t, r.Failed)
		require.EqualValues(t, 2, r.Statements)
	})
}
