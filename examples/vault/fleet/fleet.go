package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/api/auth/approle"

	"github.com/rekey-go/rekey/examples/vault/setup"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/vault"
)

// run starts the servers and a fleet, and watches it.
func run(ctx context.Context, f flags) (r result, err error) {
	if f.refreshers < 1 || f.ttl < time.Second || f.length <= 3*f.ttl {
		return r, errors.New("-refreshers must be positive, -ttl at least 1s, and -for more than three times -ttl")
	}
	lab, err := setup.Start(ctx, setup.Options{TTL: f.ttl, MaxTTL: 24 * time.Hour, TokenTTL: time.Hour, Log: os.Stderr})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, lab.Close()) }()
	client, err := lab.Client()
	if err != nil {
		return r, err
	}
	defer client.CloneConfig().HttpClient.CloseIdleConnections()
	method, err := approle.NewAppRoleAuth(lab.RoleID, &approle.SecretID{FromString: lab.SecretID})
	if err != nil {
		return r, err
	}
	session, err := vault.Login(ctx, client, method, nil)
	if err != nil {
		return r, err
	}
	defer session.Close()

	w := &watch{lab: lab, begin: time.Now(), ttl: f.ttl}
	src := &counted{Watcher: vault.Dynamic(client, setup.Path, &vault.Options{Session: session}), watch: w}
	defer w.closeFleet()
	if err := w.startFleet(ctx, src, f.refreshers); err != nil {
		return r, err
	}
	if err := w.until(ctx, w.begin.Add(f.length)); err != nil {
		return r, err
	}
	return w.result(f), nil
}

// startFleet starts all refreshers at once.
func (w *watch) startFleet(ctx context.Context, src source.Source, n int) error {
	opts := &refresh.Options{Timeout: time.Minute, Logger: slog.New(slog.DiscardHandler)}
	var started sync.WaitGroup
	errs := make([]error, n)
	all := make([]*refresh.Refresher, n)
	for i := range n {
		started.Go(func() { all[i], errs[i] = refresh.New(ctx, src, opts) })
	}
	started.Wait()
	for _, r := range all {
		if r != nil {
			w.fleet = append(w.fleet, r)
		}
	}
	w.started = time.Since(w.begin)
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%d of %d have not started: %w", n-len(w.fleet), n, err)
	}
	return nil
}

// closeFleet leaves the leases to the end of the session.
func (w *watch) closeFleet() {
	var closed sync.WaitGroup
	for _, r := range w.fleet {
		closed.Go(r.Close)
	}
	closed.Wait()
}

// counted is a source whose fetches are counted when they begin.
type counted struct {
	source.Watcher
	watch *watch
}

func (c *counted) Credential(ctx context.Context) (source.Credential, error) {
	c.watch.fetched(time.Now())
	got, err := c.Watcher.Credential(ctx)
	if err != nil {
		c.watch.failed.Add(1)
	}
	return got, err
}

// A watch counts what a fleet does.
type watch struct {
	lab     *setup.Lab
	begin   time.Time
	ttl     time.Duration
	fleet   []*refresh.Refresher
	started time.Duration

	mu     sync.Mutex
	counts []int // fetches by second
	failed atomic.Int64

	expired            map[*refresh.Refresher]uint64 // the last generation that did
	expirations        int
	usersMin, usersMax int
	stalls             map[int]time.Duration // by second, how long this process did not run
}

func (w *watch) fetched(at time.Time) {
	second := int(at.Sub(w.begin) / time.Second)
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.counts) <= second {
		w.counts = append(w.counts, 0)
	}
	w.counts[second]++
}

// until looks at the fleet every 100 ms, and at the database every second.
func (w *watch) until(ctx context.Context, end time.Time) error {
	const interval = 100 * time.Millisecond
	w.expired, w.stalls = make(map[*refresh.Refresher]uint64), make(map[int]time.Duration)
	w.usersMin = len(w.fleet)
	next, users := time.Now(), time.Now()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Until(next)):
		}
		now := time.Now()
		w.stalls[int(now.Sub(w.begin)/time.Second)] += now.Sub(next)
		w.look(now)
		if !now.Before(users) {
			all, err := w.lab.Users(ctx)
			if err != nil {
				return err
			}
			w.usersMin, w.usersMax = min(w.usersMin, len(all)), max(w.usersMax, len(all))
			users = now.Add(time.Second)
		}
		if next.Equal(end) {
			break
		}
		if next = now.Add(interval); next.After(end) {
			next = end
		}
	}
	return nil
}

// look counts leases that nobody may use any more and that have no successor.
func (w *watch) look(now time.Time) {
	for _, r := range w.fleet {
		c := r.Current()
		if now.Before(c.Expires) && r.Trouble() == nil {
			continue
		}
		if w.expired[r] != c.Generation {
			w.expired[r] = c.Generation
			w.expirations++
		}
	}
}
