package pool

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPace(t *testing.T) {
	var p pace
	full := tally{ready: 16}
	require.Equal(t, 2, p.grant(2, full))
	require.Equal(t, 1, p.grant(2, tally{ready: 15, coming: 1}), "one is being made")
	require.Equal(t, 0, p.grant(2, tally{ready: 14, leaving: 2}), "two wait to be replaced")
	require.Equal(t, 0, p.grant(2, tally{ready: 14}), "two were given up, nobody has begun to replace them")
	require.Equal(t, 0, p.grant(2, tally{ready: 10, coming: 6}), "never less than none")
	require.Equal(t, 2, p.grant(2, full))
	require.Equal(t, 2, p.grant(2, tally{ready: 17}), "pools grow")
	require.Equal(t, 1, p.grant(2, full))
}

func TestPaceBelievesThatAPoolHasShrunk(t *testing.T) {
	var p pace
	require.Equal(t, 2, p.grant(2, tally{ready: 16}))
	short := tally{ready: 9, coming: 1}
	for range shrunk - 1 {
		require.Equal(t, 0, p.grant(2, short))
	}
	require.Equal(t, 1, p.grant(2, short), "six have been idle for too long")
	require.Equal(t, 2, p.grant(2, tally{ready: 10}))
	for range 3 * shrunk {
		require.Equal(t, 0, p.grant(2, tally{ready: 8, coming: 2}), "slow logins are no reason to hurry")
	}
}
