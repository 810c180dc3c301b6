package main

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("test.parallel", "4") // they wait for leases to end more than they work
	goleak.VerifyTestMain(suite{m})
}

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
	f := flags{length: 35 * time.Second, workers: 2, conns: 4, lives: lives}
	f.lives.TTL = 15 * time.Second // a machine that is busy may stall for some
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
	require.GreaterOrEqual(t, s.Issued, 3, "one in 5 to 10 s")
	require.GreaterOrEqual(t, s.VaultLogins, 2)
}

func TestNoStatementFailsWhileLeasesAreRenewed(t *testing.T) {
	s := storm(t, func(f *flags) {
		f.preferRenew = true
		f.lives.MaxTTL = 30 * time.Second // a lease is cut after 16 to 26 s
	})
	require.GreaterOrEqual(t, s.Renewed, 2)
	require.GreaterOrEqual(t, s.Issued, 2)
	require.LessOrEqual(t, s.Issued, 3, "renewed at least once each")
}

func TestRefusesNonsense(t *testing.T) {
	_, err := run(t.Context(), flags{})
	require.ErrorContains(t, err, "must be positive")
}
