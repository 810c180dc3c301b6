package main

import (
	"context"
	"os"
	"sync"
	"time"

	"github.com/rekey-go/rekey/internal/storm/load"
	"github.com/rekey-go/rekey/internal/storm/plot"
	"github.com/rekey-go/rekey/pool"
)

// A sampler looks at the pool and its clients every 50 ms, or less often in a
// run of more than a minute, for the picture.
type sampler struct {
	db       *pool.ManagedPool
	clients  *load.Load
	begin    time.Time
	interval time.Duration
	cancel   context.CancelFunc
	done     sync.WaitGroup
	samples  []plot.Sample // until done is waited for, the goroutine's own

	rotations []plot.Rotation
}

const mostSamples = 1200

func startSampler(ctx context.Context, db *pool.ManagedPool, clients *load.Load, length time.Duration) *sampler {
	s := &sampler{db: db, clients: clients, begin: time.Now(), interval: max(50*time.Millisecond, length/mostSamples)}
	ctx, s.cancel = context.WithCancel(ctx)
	s.done.Go(func() { s.run(ctx) })
	return s
}

func (s *sampler) run(ctx context.Context) {
	tick := time.NewTicker(s.interval)
	defer tick.Stop()
	for {
		s.samples = append(s.samples, plot.Sample{
			At:          time.Since(s.begin),
			Connections: s.db.Health().Connections,
			Latency:     s.clients.Latency(),
			Failed:      s.clients.Failed(),
		})
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// rotating notes that the n-th rotation, from 1, begins.
func (s *sampler) rotating(n int) {
	s.rotations = append(s.rotations, plot.Rotation{At: time.Since(s.begin), User: n%2 == 0})
}

// stop waits for the last sample. It may be called more than once.
func (s *sampler) stop() {
	s.cancel()
	s.done.Wait()
}

// draw writes the picture.
func (s *sampler) draw(path, setting string, r load.Report, size int, login time.Duration) error {
	picture := plot.Run{
		Setting: setting, Size: size, Statements: r.Statements, Failed: r.Failed, Login: login,
		Samples: s.samples, Rotations: s.rotations,
	}
	return os.WriteFile(path, picture.SVG(), 0o644)
}
