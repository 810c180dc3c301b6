package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rekey-go/rekey/internal/faults"
	"github.com/rekey-go/rekey/internal/storm/load"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
)

// A service runs statements on a pool of its own, behind a proxy of its own.
type service struct {
	name      string
	proxy     faults.Proxy
	witness   *faults.Witness
	refresher *refresh.Refresher
	pool      managed
	statement func(context.Context) error // seen by the witness
	stop      func(context.Context) error // of the pool and what belongs to it

	latency load.Histogram
	clients []client
	running sync.WaitGroup
	halt    context.CancelFunc
}

// A client runs one statement after the other.
type client struct {
	faults.Progress
	done atomic.Int64
}

// managed is what both kinds of pool have.
type managed interface {
	Health() pool.Health
	Drained(ctx context.Context, version string) error
	Shutdown(ctx context.Context) error
}

// think is a client's pause between statements.
const think = 5 * time.Millisecond

// work starts the clients.
func (v *service) work(n int) {
	ctx, halt := context.WithCancel(context.Background())
	v.halt, v.clients = halt, make([]client, n)
	for i := range v.clients {
		c := &v.clients[i]
		v.running.Go(func() {
			for pause(ctx, think) == nil {
				begun := time.Now()
				err := v.statement(context.WithoutCancel(ctx)) // what has begun ends
				v.latency.Add(time.Since(begun))
				if c.done.Add(1); err == nil {
					c.Served(begun)
				}
			}
		})
	}
}

// served returns how long after a moment the last client was served.
func (v *service) served(ctx context.Context, s *soak, since time.Time) (time.Duration, error) {
	var latest time.Duration
	for i := range v.clients {
		c := &v.clients[i]
		err := s.eventually(ctx, fmt.Sprintf("service %s serves client %d again", v.name, i), func() bool { return !c.First().IsZero() })
		if err != nil {
			return 0, err
		}
		latest = max(latest, c.First().Sub(since))
	}
	return latest, nil
}

func (v *service) statements() (n int64) {
	for i := range v.clients {
		n += v.clients[i].done.Load()
	}
	return n
}

// rest ends the clients.
func (v *service) rest() {
	if v.halt != nil {
		v.halt()
		v.running.Wait()
	}
}

// close ends the pool.
func (v *service) close(ctx context.Context) error {
	var err error
	if v.stop != nil {
		err = v.stop(ctx)
	}
	v.proxy.Stop()
	return err
}

// service makes what all services have, with a proxy in front of a database.
func (s *soak) newService(name, upstream string) (v *service, err error) {
	v = &service{name: name, witness: faults.NewWitness()}
	v.proxy, err = faults.NewProxy(name, upstream)
	s.services = append(s.services, v)
	return v, err
}

// follow starts a refresher whose credentials are never to be seen.
func (v *service) follow(ctx context.Context, s *soak, src source.Source) (err error) {
	v.refresher, err = refresh.New(ctx, src, &refresh.Options{Name: v.name, Logger: s.logger, Trace: s.telemetry.Trace})
	if err != nil {
		return err
	}
	s.written.secret(v.refresher.Current().Password)
	v.refresher.OnChange(func(n refresh.Snapshot) { s.written.secret(n.Password) })
	v.stop = v.refresher.Shutdown
	return nil
}

func (v *service) use(s *soak, p managed) error {
	v.pool = p
	rest := v.stop
	stopMetrics, err := s.telemetry.Register(p)
	v.stop = func(ctx context.Context) error {
		var unregistered error
		if stopMetrics != nil {
			unregistered = stopMetrics()
		}
		return errors.Join(unregistered, p.Shutdown(ctx), rest(ctx))
	}
	return err
}
