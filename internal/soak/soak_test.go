package main

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/source"
)

func TestMain(m *testing.M) {
	if asRotator() {
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

var (
	length = flag.Duration("soak", 20*time.Second, "how long the soak lasts")
	seed   = flag.Uint64("seed", 0, "of its schedule; 0: draw one")
)

func TestSoak(t *testing.T) {
	f := flags{length: *length, seed: *seed, longest: longest, recovery: 2 * time.Second, workers: 8, conns: 4, log: filepath.Join(t.TempDir(), "output")}
	require.NoError(t, run(t.Context(), f, t.Output()))
}

const longest = 3 * time.Second

// A fault that nobody mends in time, and statements that fail of nothing, are
// found.
func TestViolationsAreFound(t *testing.T) {
	f := flags{length: time.Minute, seed: 1, longest: longest, recovery: time.Millisecond, workers: 2, conns: 2}
	s, err := start(t.Context(), f, t.Output())
	require.NoError(t, err)
	harm := func(ctx context.Context, s *soak) error {
		_, err := s.written.Write([]byte("password=" + s.draw() + "\n"))
		require.NoError(t, err)
		return s.lab.Postgres.Stop(ctx)
	}
	mend := func(ctx context.Context, s *soak) error { return s.lab.Postgres.Start(ctx) }
	k := strike{faults: []fault{{name: "harm", begin: harm, end: mend, breaks: []string{byFile}}}, lasts: 300 * time.Millisecond}
	s.begun = time.Now()
	for range 4 {
		require.NoError(t, s.round(t.Context(), k))
	}
	s.end()
	err = s.verdict()
	require.ErrorContains(t, err, "harm: a statement of vault failed", "without an outage of its own")
	require.NotContains(t, err.Error(), "a statement of file failed,", "it has an excuse")
	require.ErrorContains(t, err, "and not within 1ms")
	require.ErrorContains(t, err, `a secret is in the output, behind "password="`)
	require.NotContains(t, err.Error(), canary)
	require.Positive(t, s.summary.of(byVault).Unexcused)
	require.Zero(t, s.summary.of(byFile).Unexcused)
	require.Positive(t, s.summary.of(byFile).Excused)
	require.Zero(t, s.summary.of(byMariaDB).Unexcused+s.summary.of(byMariaDB).Excused)
}

func TestScheduleFollowsFromTheSeed(t *testing.T) {
	first := func(seed uint64) (strikes []strike) {
		for k := range schedule(seed, longest) {
			if len(strikes) == 3*len(all) {
				break
			}
			strikes = append(strikes, k)
		}
		return strikes
	}
	names := func(strikes []strike) (names []string) {
		for _, k := range strikes {
			names = append(names, k.String()+" "+k.lasts.String())
			require.GreaterOrEqual(t, k.lasts, shortest)
			require.Less(t, k.lasts, longest)
		}
		return names
	}
	seven := first(7)
	require.Equal(t, names(seven), names(first(7)))
	require.NotEqual(t, names(seven), names(first(8)))
	for round := range 3 {
		seen := map[string]bool{}
		for _, k := range seven[round*len(all):][:len(all)] {
			seen[k.faults[0].name] = true
			if len(k.faults) > 1 {
				require.Equal(t, store, k.faults[1].side)
				require.Equal(t, database, k.faults[0].side)
			}
		}
		require.Len(t, seen, len(all), "every fault comes in every round")
	}
}

func TestGrowthIsFound(t *testing.T) {
	steady := &soak{summary: newSummary(0)}
	leaking := &soak{summary: newSummary(0)}
	for i := range 100 {
		noise := i % 3
		steady.samples = append(steady.samples, sample{Goroutines: 100 + noise, Files: 50 + noise, Heap: 5000 + 100*noise, Sessions: 12, Leases: 1 + i%2, Roles: 3})
		leaking.samples = append(leaking.samples, sample{Goroutines: 100 + i, Files: 50 + i, Heap: 5000 + 300*i, Sessions: 12 + i, Leases: 1 + i, Roles: 3 + i})
	}
	steady.growth()
	require.NoError(t, steady.verdict())
	leaking.growth()
	require.Len(t, leaking.summary.errs, 6)
	short := &soak{summary: newSummary(0), samples: steady.samples[:3]}
	short.growth()
	require.Error(t, short.verdict(), "too few")
}

func TestSecretsAreFound(t *testing.T) {
	o, err := newOutput("")
	require.NoError(t, err)
	o.secret(source.NewSecret("s3cret"))
	o.secret(source.NewSecret("other"))
	_, err = o.Write([]byte("first line\nuser=app password=s3cret\nlast line\n"))
	require.NoError(t, err)
	o.secret(source.NewSecret("last")) // written before it was known
	secrets, written, found, err := o.close()
	require.NoError(t, err)
	require.Equal(t, 4, secrets)
	require.Equal(t, 46, written)
	require.ElementsMatch(t, []string{"user=app password=", ""}, found)
	require.NoFileExists(t, o.file.Name())
}
