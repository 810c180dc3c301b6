package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
	source "github.com/rekey-go/rekey/source/secretsmanager"
)

// A service is what an application does about its database user: a source, the
// refresher that the pools share, and a pool.
type service struct {
	refresher *refresh.Refresher
	db        *pool.ManagedPool
}

func start(ctx context.Context, store source.Client, dsn string, f flags) (*service, error) {
	quiet := slog.New(slog.DiscardHandler) // the table says more
	src := source.New(store, secretID, &source.Options{Bridge: f.bridge, Logger: quiet})
	r, err := refresh.New(ctx, src, &refresh.Options{Logger: quiet})
	if err != nil {
		return nil, err
	}
	s := &service{refresher: r}
	if s.db, err = open(ctx, r, dsn, f.conns); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func open(ctx context.Context, r *refresh.Refresher, dsn string, conns int) (*pool.ManagedPool, error) {
	config, err := pgxpool.ParseConfig(fmt.Sprintf("%s&pool_max_conns=%d", dsn, conns))
	if err != nil {
		return nil, err
	}
	return pool.New(ctx, config, r, &pool.Options{Logger: slog.New(slog.DiscardHandler)})
}

func (s *service) stop() {
	if s.db != nil {
		s.db.Close()
	}
	s.refresher.Close()
}

func (s *service) statement(ctx context.Context) error {
	var sum int
	return s.db.QueryRow(ctx, "select $1::int + $2::int", 1, 2).Scan(&sum)
}
