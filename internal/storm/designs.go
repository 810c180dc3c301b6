package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source/file"
)

// A design is one way to live with rotations.
type design struct {
	name  string
	every time.Duration // between rotations; zero: none
	open  func(context.Context, setup) (database, error)
}

var designs = []design{
	{"raw", 0, openRaw},
	{"managed", 10 * time.Second, openManaged},
	{"managed-2s", 2 * time.Second, openManaged},
	{"swap", 10 * time.Second, openSwap},
	{"beforeconnect", 10 * time.Second, openBeforeConnect},
}

// A setup is what a design is given to open its pool.
type setup struct {
	dsn   string
	file  string // the credential
	conns int
	every time.Duration
	dials *dialCounter
}

// A database is an open design.
type database struct {
	statement func(context.Context) error
	total     func() int // connections of the pool
	close     func()
}

type dialCounter struct{ atomic.Int64 }

// config is the pool's configuration with its dials counted.
func (s setup) config() (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(s.dsn)
	if err != nil {
		return nil, err
	}
	config.MaxConns = int32(s.conns)
	dial := config.ConnConfig.DialFunc
	config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		s.dials.Add(1)
		return dial(ctx, network, address)
	}
	return config, nil
}

// login reads the credential file into cc.
func (s setup) login(cc *pgx.ConnConfig) error {
	text, err := os.ReadFile(s.file)
	if err != nil {
		return err
	}
	var c struct{ Username, Password string }
	if err := json.Unmarshal(text, &c); err != nil {
		return err
	}
	cc.User, cc.Password = c.Username, c.Password
	return nil
}

// openStatic opens a plain pool with the credential of now.
func (s setup) openStatic(ctx context.Context) (*pgxpool.Pool, error) {
	config, err := s.config()
	if err != nil {
		return nil, err
	}
	if err := s.login(config.ConnConfig); err != nil {
		return nil, err
	}
	return pgxpool.NewWithConfig(ctx, config)
}

func openRaw(ctx context.Context, s setup) (database, error) {
	p, err := s.openStatic(ctx)
	if err != nil {
		return database{}, err
	}
	return database{func(ctx context.Context) error { return add(ctx, p) }, totalOf(p), p.Close}, nil
}

func openManaged(ctx context.Context, s setup) (database, error) {
	config, err := s.config()
	if err != nil {
		return database{}, err
	}
	quiet := slog.New(slog.DiscardHandler)
	r, err := refresh.New(ctx, file.JSON(s.file, nil), &refresh.Options{Logger: quiet})
	if err != nil {
		return database{}, err
	}
	p, err := pool.New(ctx, config, r, &pool.Options{Logger: quiet})
	if err != nil {
		r.Close()
		return database{}, err
	}
	return database{func(ctx context.Context) error { return add(ctx, p) }, totalOf(p.Pool), func() { p.Close(); r.Close() }}, nil
}

// openSwap is the textbook: every statement takes a read lock on the pool of
// the day, which is opened anew, swapped and closed when the file changes.
func openSwap(ctx context.Context, s setup) (database, error) {
	current, err := s.openStatic(ctx)
	if err != nil {
		return database{}, err
	}
	var lock sync.RWMutex
	get := func() *pgxpool.Pool {
		lock.RLock()
		defer lock.RUnlock()
		return current
	}
	done := make(chan struct{})
	var poll sync.WaitGroup
	poll.Go(func() {
		var seen time.Time
		if info, err := os.Stat(s.file); err == nil {
			seen = info.ModTime()
		}
		for tick := time.NewTicker(100 * time.Millisecond); ; {
			select {
			case <-done:
				tick.Stop()
				return
			case <-tick.C:
			}
			info, err := os.Stat(s.file)
			if err != nil || info.ModTime().Equal(seen) {
				continue
			}
			next, err := s.openStatic(ctx)
			if err != nil || next.Ping(ctx) != nil {
				continue
			}
			seen = info.ModTime()
			lock.Lock()
			old := current
			current = next
			lock.Unlock()
			old.Close()
		}
	})
	return database{
		func(ctx context.Context) error { return add(ctx, get()) },
		func() int { return int(get().Stat().TotalConns()) },
		func() { close(done); poll.Wait(); current.Close() },
	}, nil
}

// openBeforeConnect reads the file at every login and lets no connection live
// longer than a third of the interval, so that the old ones are gone when their
// user is dropped.
func openBeforeConnect(ctx context.Context, s setup) (database, error) {
	config, err := s.config()
	if err != nil {
		return database{}, err
	}
	config.BeforeConnect = func(_ context.Context, cc *pgx.ConnConfig) error { return s.login(cc) }
	config.MaxConnLifetime = s.every / 3
	config.MaxConnLifetimeJitter = s.every / 10
	p, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return database{}, err
	}
	return database{func(ctx context.Context) error { return add(ctx, p) }, totalOf(p), p.Close}, nil
}

func totalOf(p *pgxpool.Pool) func() int { return func() int { return int(p.Stat().TotalConns()) } }

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// add is the statement of the storm. It needs no rights on tables, so that a
// session whose role is dropped still answers it: what fails here is logins.
func add(ctx context.Context, q querier) error {
	var sum int
	return q.QueryRow(ctx, "select $1::int + $2::int", 1, 2).Scan(&sum)
}
