package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/storm/rotation"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source/file"
)

// A crowd is what many pools in one process cost, each with one connection.
type crowd struct {
	Pools             int     `json:"pools"`
	RawBytes          int     `json:"raw_bytes_per_pool"`
	RawGoroutines     float64 `json:"raw_goroutines_per_pool"`
	ManagedBytes      int     `json:"managed_bytes_per_pool"`
	ManagedGoroutines float64 `json:"managed_goroutines_per_pool"`
	Rotation          float64 `json:"rotation_s"` // until every pool has rolled over
	Failed            int     `json:"failed"`     // statements, one on each pool after the rotation
}

// crowds measures a hundredth, a tenth and all of so many pools.
func crowds(ctx context.Context, f flags) error {
	for _, n := range []int{f.pools / 100, f.pools / 10, f.pools} {
		if n == 0 {
			continue
		}
		c, err := measureCrowd(ctx, f, n)
		if err != nil {
			return err
		}
		if f.json {
			err = json.NewEncoder(os.Stdout).Encode(c)
		} else {
			_, err = fmt.Printf("%5d pools: raw %6d bytes and %.2f goroutines each, managed %6d and %.2f; a rotation of all takes %.2f s, %d statements failed\n",
				c.Pools, c.RawBytes, c.RawGoroutines, c.ManagedBytes, c.ManagedGoroutines, c.Rotation, c.Failed)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func measureCrowd(ctx context.Context, f flags, n int) (c crowd, err error) {
	server, err := pgserver.Start(ctx, &pgserver.Options{DSN: f.dsn, Log: os.Stderr, Settings: map[string]string{"max_connections": fmt.Sprint(n + 100)}})
	if err != nil {
		return c, err
	}
	defer server.Close()
	credential, err := rotation.New(ctx, server)
	if err != nil {
		return c, err
	}
	defer credential.CleanUp()
	s := setup{dsn: server.AppDSN(), file: credential.File, conns: 1, dials: new(dialCounter)}
	c.Pools = n

	raw := make([]*pgxpool.Pool, n)
	c.RawBytes, c.RawGoroutines, err = cost(n, func(i int) (err error) {
		if raw[i], err = s.openStatic(ctx); err == nil {
			err = add(ctx, raw[i])
		}
		return err
	})
	if err != nil {
		return c, err
	}
	for _, p := range raw {
		p.Close()
	}
	quiet := slog.New(slog.DiscardHandler)
	r, err := refresh.New(ctx, file.JSON(s.file, nil), &refresh.Options{Logger: quiet})
	if err != nil {
		return c, err
	}
	defer r.Close()
	managed := make([]*pool.ManagedPool, n)
	c.ManagedBytes, c.ManagedGoroutines, err = cost(n, func(i int) error {
		config, err := s.config()
		if err != nil {
			return err
		}
		if managed[i], err = pool.New(ctx, config, r, &pool.Options{Logger: quiet}); err == nil {
			err = add(ctx, managed[i])
		}
		return err
	})
	for _, p := range managed {
		if p != nil {
			defer p.Close()
		}
	}
	if err != nil {
		return c, err
	}
	old, begin := r.Current(), time.Now()
	if _, err := credential.Next(ctx); err != nil {
		return c, err
	}
	for _, p := range managed {
		if err := p.Drained(ctx, old.Version); err != nil {
			return c, err
		}
	}
	c.Rotation = time.Since(begin).Seconds()
	for _, p := range managed {
		if add(ctx, p) != nil {
			c.Failed++
		}
	}
	return c, nil
}

// cost is what n of something take of this process, on average.
func cost(n int, open func(i int) error) (bytes int, goroutines float64, err error) {
	before, routines := heap(), runtime.NumGoroutine()
	for i := range n {
		if err := open(i); err != nil {
			return 0, 0, err
		}
	}
	return (heap() - before) / n, float64(runtime.NumGoroutine()-routines) / float64(n), nil
}

func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapInuse + m.StackInuse)
}
