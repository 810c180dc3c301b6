package smtest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBucket(t *testing.T) {
	began := time.Now()
	b := bucket{rate: 2, burst: 3, tokens: 3}
	at := func(d time.Duration) (granted int) {
		for b.take(began.Add(d)) {
			granted++
		}
		return granted
	}
	require.Equal(t, 3, at(0), "the burst")
	require.Equal(t, 0, at(400*time.Millisecond))
	require.Equal(t, 1, at(600*time.Millisecond), "what is left over is not lost")
	require.Equal(t, 3, at(time.Hour), "no more than the burst")
	require.True(t, new(bucket).take(began), "there is no limit")
}
