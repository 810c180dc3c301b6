package main

import (
	"context"
	"sync"
	"time"

	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
)

// logins logs in ten times a second, through a pool of its own that keeps no
// connection: what a process that starts up, or a pool that grows, would see.
type logins struct {
	db     *pool.ManagedPool
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu      sync.Mutex
	n       int
	failed  int
	longest time.Duration // that one had to wait
	awaited time.Time     // when AWSCURRENT moved; zero: a login has succeeded since
	back    time.Duration // the longest from then to a login that succeeded
}

func watchLogins(ctx context.Context, r *refresh.Refresher, dsn string) (*logins, error) {
	db, err := open(ctx, r, dsn, 1)
	if err != nil {
		return nil, err
	}
	l := &logins{db: db}
	ctx, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	l.done.Go(func() { l.run(ctx) })
	return l, nil
}

func (l *logins) run(ctx context.Context) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		l.db.Reset()
		begin := time.Now()
		var one int
		err := l.db.QueryRow(ctx, "select 1").Scan(&one)
		if ctx.Err() != nil {
			return
		}
		l.note(begin, err)
	}
}

func (l *logins) note(begin time.Time, err error) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n++
	if err != nil {
		l.failed++
		return
	}
	l.longest = max(l.longest, now.Sub(begin))
	if !l.awaited.IsZero() {
		l.back = max(l.back, now.Sub(l.awaited))
		l.awaited = time.Time{}
	}
}

// promoted notes that AWSCURRENT has moved.
func (l *logins) promoted(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.awaited = at
}

// loginCounts are what the logins have seen.
type loginCounts struct {
	Logins       int     `json:"logins"`                       // beside the clients
	LoginsFailed int     `json:"logins_failed"`                // of them
	LoginMax     float64 `json:"login_max_ms"`                 // the longest
	Recovered    float64 `json:"recovered_after_promotion_ms"` // the longest from AWSCURRENT's move to a login that succeeded
}

func (l *logins) counts() loginCounts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return loginCounts{l.n, l.failed, milliseconds(l.longest), milliseconds(l.back)}
}

// stop may be called more than once.
func (l *logins) stop() {
	l.cancel()
	l.done.Wait()
	l.db.Close()
}
