package pooltest

import (
	"context"
	"testing"
	"time"

	"github.com/rekey-go/rekey/internal/storm/load"
)

// A Load is a number of clients that each call the service again and again
// while the test rotates its credential.
type Load struct{ load *load.Load }

// StartLoad starts clients that call statement, one call after the other each,
// until the load is stopped; the test's end stops it too. The context of a
// call ends after 30 s, so that one that hangs is counted as failed.
func StartLoad(t testing.TB, clients int, statement func(ctx context.Context) error) *Load {
	t.Helper()
	if clients < 1 {
		t.Fatalf("pooltest: a load of %d clients proves nothing", clients)
	}
	l := &Load{load.Start(t.Context(), clients, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		return statement(ctx)
	})}
	t.Cleanup(func() { l.Stop() })
	return l
}

// A Report is what became of a load's calls. The latencies are at most 1/16
// too long.
type Report struct {
	Statements, Failed  int64         // calls that have ended, and those of them that returned an error
	P50, P99, P999, Max time.Duration // how long calls took: the median, 99 %, 99.9 % and the slowest
	Err                 error         // the first few failures, joined; nil: none
}

// Stop lets each client finish its call and returns what became of all calls.
// It may be called more than once.
func (l *Load) Stop() Report {
	r := l.load.Stop()
	q := r.Latency
	return Report{Statements: r.Statements, Failed: r.Failed, P50: q.P50, P99: q.P99, P999: q.P999, Max: q.Max, Err: r.Err}
}

// NoFailures stops the load and fails the test if any call has failed, or if
// none was made.
func (l *Load) NoFailures(t testing.TB) Report {
	t.Helper()
	r := l.Stop()
	switch {
	case r.Statements == 0:
		t.Error("pooltest: the load made no call, which proves nothing")
	case r.Failed > 0:
		t.Errorf("pooltest: %d of %d calls failed:\n%v", r.Failed, r.Statements, r.Err)
	}
	return r
}
