// Package demo is a database for a first look at the service: a throwaway
// PostgreSQL with the tables of the orders, and somebody who changes the
// service's credential every few seconds. In life neither is the service's
// business.
package demo

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/rekey-go/rekey/examples/orders"
	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/storm/rotation"
)

// A Demo is a database whose credential changes.
type Demo struct {
	DSN  string // of the database, without user and password
	File string // the current credential

	server     *pgserver.Server
	credential *rotation.Rotation
	log        *slog.Logger
	cancel     context.CancelFunc
	done       sync.WaitGroup
}

// Start starts the database and changes the credential again and again, until
// Close. The context governs the start only.
func Start(ctx context.Context, every time.Duration, log *slog.Logger) (*Demo, error) {
	server, err := pgserver.Start(ctx, &pgserver.Options{Own: true, Log: os.Stderr})
	if err != nil {
		return nil, err
	}
	d := &Demo{DSN: server.AppDSN(), server: server, log: log, cancel: func() {}}
	if err := d.setUp(ctx); err != nil {
		d.Close()
		return nil, err
	}
	ctx, d.cancel = context.WithCancel(context.WithoutCancel(ctx))
	d.done.Go(func() { d.rotate(ctx, every) })
	return d, nil
}

func (d *Demo) setUp(ctx context.Context) (err error) {
	if d.credential, err = rotation.New(ctx, d.server); err != nil {
		return err
	}
	d.File = d.credential.File
	if err = d.server.Exec(ctx, orders.Schema); err != nil {
		return err
	}
	return d.server.Exec(ctx, "grant select, insert, update on items, orders to "+pgserver.QuoteIdent(d.credential.Group()))
}

// rotate gives the service a new password and a new user in turn. Old users stay
// to the end; the quickstart shows how they are dropped.
func (d *Demo) rotate(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if _, err := d.credential.Next(ctx); err != nil {
			if ctx.Err() == nil {
				d.log.Error("demo: the credential could not be changed", "error", err.Error())
			}
			continue
		}
		d.log.Info("demo: the credential was changed", "times", d.credential.Done())
	}
}

// Close ends the rotations and removes the database.
func (d *Demo) Close() {
	d.cancel()
	d.done.Wait()
	if d.credential != nil {
		d.credential.CleanUp()
	}
	if err := d.server.Close(); err != nil {
		d.log.Error("demo: the database could not be removed", "error", err.Error())
	}
}
