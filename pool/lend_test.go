package pool_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/pool"
)

func TestTurnaway(t *testing.T) {
	now := time.Now()
	three := pool.NewTurnaway(3)
	for i := range 3 {
		require.True(t, three.Allow(now.Add(time.Duration(i)*time.Second/2)))
	}
	require.False(t, three.Allow(now.Add(1900*time.Millisecond)), "the fourth within the time of one acquire")
	require.True(t, three.Allow(now.Add(2*time.Second)), "the first is long ago")
	require.False(t, three.Allow(now.Add(2400*time.Millisecond)))
	require.True(t, three.Allow(now.Add(2500*time.Millisecond)))

	for _, size := range []int{0, 8, 100} {
		free := pool.NewTurnaway(size)
		for range 1000 {
			require.True(t, free.Allow(now), size)
		}
	}
}
