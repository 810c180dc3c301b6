package main

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/storm/load"
)

// An observer looks at the server from outside while a storm runs: how many
// sessions the pool has there, and how long a login takes meanwhile.
type observer struct {
	cancel   context.CancelFunc
	done     sync.WaitGroup
	sessions int
	most     int // connections of the pool
	short    int
	logins   load.Histogram
}

func observe(ctx context.Context, server *pgserver.Server, group string, total func() int) *observer {
	ctx, cancel := context.WithCancel(ctx)
	o := &observer{cancel: cancel}
	every := func(d time.Duration, look func()) {
		o.done.Go(func() {
			tick := time.NewTicker(d)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
					look()
				}
			}
		})
	}
	every(50*time.Millisecond, func() {
		_ = server.Do(ctx, func(conn *pgx.Conn) error {
			var n int
			// A dropped role leaves sessions without a name behind.
			err := conn.QueryRow(ctx, `select count(*) from pg_stat_activity
				where backend_type = 'client backend' and (usename is null or usename like $1 || '%')`, group).Scan(&n)
			o.sessions = max(o.sessions, n)
			return err
		})
	})
	every(2*time.Millisecond, func() {
		n := total()
		o.most = max(o.most, n)
		o.short = max(o.short, o.most-n)
	})
	every(time.Second, func() {
		begin := time.Now()
		if conn, err := server.Admin(ctx); err == nil {
			o.logins.Add(time.Since(begin))
			_ = conn.Close(ctx)
		}
	})
	return o
}

// stop returns the most sessions seen at the server, how many connections the
// pool was short of at most, and the median of the logins.
func (o *observer) stop() (sessions, short int, login time.Duration) {
	o.cancel()
	o.done.Wait()
	return o.sessions, o.short, o.logins.Quantiles().P50
}
