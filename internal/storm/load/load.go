// Package load runs statements as fast as they go, from many clients at once,
// and counts what happens to them: the storm that credentials are rotated
// under.
package load

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// A Load is a number of clients that each run one statement after the other.
// Its methods are safe for concurrent use.
type Load struct {
	statement func(ctx context.Context) error
	latency   Histogram
	failed    atomic.Int64

	mu     sync.Mutex
	errors []error // the first few

	cancel  context.CancelFunc
	clients sync.WaitGroup
}

// mostErrors is how many failures are kept for the report.
const mostErrors = 10

// Start starts clients that run statement until Stop is called or ctx ends. A
// statement that fails because ctx has ended is not counted.
func Start(ctx context.Context, clients int, statement func(ctx context.Context) error) *Load {
	ctx, cancel := context.WithCancel(ctx)
	l := &Load{statement: statement, cancel: cancel}
	for range clients {
		l.clients.Go(func() { l.client(ctx) })
	}
	return l
}

func (l *Load) client(ctx context.Context) {
	for ctx.Err() == nil {
		begin := time.Now()
		// A statement that has begun runs to its end, so that stopping the
		// storm does not break connections.
		err := l.statement(context.WithoutCancel(ctx))
		l.latency.Add(time.Since(begin))
		if err != nil {
			l.fail(err)
		}
	}
}

func (l *Load) fail(err error) {
	l.failed.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.errors) < mostErrors {
		l.errors = append(l.errors, err)
	}
}

// Stop ends the clients and waits for their last statements.
func (l *Load) Stop() Report {
	l.cancel()
	l.clients.Wait()
	return l.Report()
}

// A Report is what has been counted so far.
type Report struct {
	Statements int64
	Failed     int64
	Latency    Quantiles
	Err        error // the first few failures, joined
}

// Latency returns how long the statements took so far.
func (l *Load) Latency() *Counts { return l.latency.Counts() }

// Failed returns how many statements have failed so far.
func (l *Load) Failed() int64 { return l.failed.Load() }

// Report returns the counts so far.
func (l *Load) Report() Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	latency := l.Latency()
	return Report{
		Statements: latency.Total(),
		Failed:     l.Failed(),
		Latency:    latency.Quantiles(),
		Err:        errors.Join(l.errors...),
	}
}
