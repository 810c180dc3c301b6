package main

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(suite{m}) }

// A suite removes what its tests have built.
type suite struct{ *testing.M }

func (s suite) Run() int {
	dir, err := os.MkdirTemp("", "rekey-example-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	built.dir = dir
	return s.M.Run()
}

// Each run has servers of its own.
func storm(t *testing.T, change func(*flags)) summary {
	t.Helper()
	t.Parallel()
	f := flags{length: 25 * time.Second, workers: 4, conns: 4, lives: lives}
	change(&f)
	s, err := run(t.Context(), f)
	require.NoError(t, err)
	require.NoError(t, s.check())
	require.Positive(t, s.Statements)
	require.Equal(t, s.Rotations+1, s.Issued, "a user for each generation and for nothing else")
	require.Equal(t, s.Issued, s.Revoked, "no lease waits for its end")
	return s
}

func TestNoStatementFailsWhileUsersComeAndGo(t *testing.T) {
	s := storm(t, func(f *flags) {
		f.lives.TokenMaxTTL = 30 * time.Second // it nears its maximum after 20 s at the latest
	})
	require.Zero(t, s.Renewed)
	require.GreaterOrEqual(t, s.Issued, 4, "one in 3⅓ to 6⅔ s")
	require.GreaterOrEqual(t, s.VaultLogins, 2)
}

func TestNoStatementFailsWhileLeasesAreRenewed(t *testing.T) {
	s := storm(t, func(f *flags) {
		f.preferRenew = true
		f.lives.MaxTTL = 20 * time.Second // a lease nears its maximum after 18 s at the latest
	})
	require.GreaterOrEqual(t, s.Renewed, 2)
	require.GreaterOrEqual(t, s.Issued, 2)
	require.LessOrEqual(t, s.Issued, 3, "renewed at least once each")
}

func TestRefusesNonsense(t *testing.T) {
	_, err := run(t.Context(), flags{})
	require.ErrorContains(t, err, "must be positive")
}
