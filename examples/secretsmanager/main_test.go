package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func storm(t *testing.T, users string, bridge bool) summary {
	t.Helper()
	t.Parallel()
	var out bytes.Buffer
	s, err := run(t.Context(), &out, flags{
		users: users, bridge: bridge, rotations: 3, gap: 2 * time.Second, pause: time.Second, workers: 4, conns: 4, json: true,
	})
	require.NoError(t, err)
	t.Log(out.String())
	require.Equal(t, 3, s.Rotations)
	require.Positive(t, s.Statements)
	require.Zero(t, s.Failed)
	require.Positive(t, s.Logins)
	require.Zero(t, s.LoginsFailed)
	return s
}

func TestSingleUser(t *testing.T) {
	s := storm(t, "single", true)
	require.LessOrEqual(t, s.Values, int64(1+3*3), "the first, and at each rotation the current, the pending and at most the previous one")
}

func TestAlternatingUsers(t *testing.T) { storm(t, "alternating", true) }

func TestWithoutTheBridgeLoginsWait(t *testing.T) {
	s := storm(t, "single", false)
	require.Greater(t, s.LoginMax, float64(1000), "for AWSCURRENT")
}

func TestRefusesNonsense(t *testing.T) {
	_, err := run(t.Context(), nil, flags{users: "three"})
	require.ErrorContains(t, err, "single or alternating")
	_, err = run(t.Context(), nil, flags{users: "single"})
	require.ErrorContains(t, err, "must be positive")
}
